package chronik.connect;

import chronik.harness.Control;
import chronik.harness.Expect;
import chronik.harness.Settings;
import chronik.harness.Suite;
import chronik.harness.Topics;
import chronik.harness.Wait;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.utils.AppInfoParser;

/** A file goes into a topic, and the topic into a file. */
public final class Main {
    private final Settings settings;

    private Main(Settings settings) {
        this.settings = settings;
    }

    public static void main(String[] ids) {
        Settings settings = Settings.fromEnvironment();
        Suite suite = new Suite("kafka connect", AppInfoParser.getVersion(), settings, ids);
        suite.add("connect-file-source-sink", new Main(settings)::fileToFile);
        suite.run();
    }

    private void fileToFile() throws Exception {
        Path folder = Files.createTempDirectory("connect");
        Path in = folder.resolve("in.txt");
        Path out = folder.resolve("out.txt");
        String topic = settings.name("lines");
        String sink = settings.name("sink");
        Path[] properties = {workerProperties(folder), source(folder, in, topic), sink(folder, sink, out, topic)};
        int step = settings.size(500, 20_000);

        try (Topics topics = new Topics(settings.bootstrap())) {
            topics.create(topic, 1);
            append(in, 0, step);
            try (Worker worker = new Worker(properties)) {
                awaitSame(worker, in, out);
                append(in, step, 2 * step);
                awaitSame(worker, in, out);
                topics.awaitCommitted("connect-" + sink, topic, 1);

                new Control(settings.control()).restart();
                append(in, 2 * step, 3 * step);
                awaitSame(worker, in, out);
            }
            // A worker that was stopped in order goes on where it ended, on both sides.
            append(in, 3 * step, 4 * step);
            try (Worker worker = new Worker(properties)) {
                awaitSame(worker, in, out);
            }
            List<String> records = topics.read(topic, new StringDeserializer()).stream()
                    .map(ConsumerRecord::value)
                    .toList();
            Expect.equal("records in the topic", Files.readAllLines(in), records);
        }
    }

    private static void append(Path file, int first, int last) throws IOException {
        List<String> lines = IntStream.range(first, last).mapToObj(number -> "line " + number).toList();
        Files.write(file, lines, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }

    /** Waits until the second file has as many lines as the first, and the same ones. */
    private static void awaitSame(Worker worker, Path in, Path out) throws Exception {
        List<String> expected = Files.readAllLines(in);
        Wait.until(() -> expected.size() + " lines, not " + lines(out).size(), Wait.ANSWER, () -> {
            worker.expectAlive();
            return lines(out).size() >= expected.size();
        });
        Expect.equal("the file at the end of the way", expected, lines(out));
    }

    private static List<String> lines(Path file) {
        try {
            return Files.exists(file) ? Files.readAllLines(file) : List.of();
        } catch (IOException failed) {
            throw new java.io.UncheckedIOException(failed);
        }
    }

    private Path workerProperties(Path folder) throws IOException {
        return Worker.properties(folder.resolve("worker.properties"), List.of(
                "bootstrap.servers=" + settings.bootstrap(),
                "key.converter=org.apache.kafka.connect.storage.StringConverter",
                "value.converter=org.apache.kafka.connect.storage.StringConverter",
                "offset.storage.file.filename=" + folder.resolve("offsets"),
                "offset.flush.interval.ms=500",
                "listeners=http://127.0.0.1:0",
                "plugin.discovery=service_load",
                "reconnect.backoff.max.ms=200",
                "producer.reconnect.backoff.max.ms=200",
                "consumer.reconnect.backoff.max.ms=200",
                "consumer.heartbeat.interval.ms=500",
                "consumer.session.timeout.ms=10000"));
    }

    private static Path source(Path folder, Path in, String topic) throws IOException {
        return Worker.properties(folder.resolve("source.properties"), List.of(
                "name=source",
                "connector.class=org.apache.kafka.connect.file.FileStreamSourceConnector",
                "tasks.max=1",
                "file=" + in,
                "topic=" + topic));
    }

    private static Path sink(Path folder, String name, Path out, String topic) throws IOException {
        return Worker.properties(folder.resolve("sink.properties"), List.of(
                "name=" + name,
                "connector.class=org.apache.kafka.connect.file.FileStreamSinkConnector",
                "tasks.max=1",
                "file=" + out,
                "topics=" + topic));
    }
}
