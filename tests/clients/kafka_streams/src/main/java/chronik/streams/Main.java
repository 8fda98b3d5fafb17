package chronik.streams;

import chronik.harness.Control;
import chronik.harness.Expect;
import chronik.harness.Settings;
import chronik.harness.Skipped;
import chronik.harness.Suite;
import chronik.harness.Topics;
import chronik.harness.Wait;
import chronik.harness.Wire;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.utils.AppInfoParser;

/** Words are counted, over ends of the program and of the broker. */
public final class Main {
    private static final int PARTITIONS = 2;
    private static final int WORDS = 5;
    private static final int VOCABULARY = 40;

    private final Settings settings;
    private final Control control;
    private final Topics topics;
    private final Random random = new Random(42);

    private Main(Settings settings) {
        this.settings = settings;
        this.control = new Control(settings.control());
        this.topics = new Topics(settings.bootstrap());
    }

    public static void main(String[] ids) {
        Settings settings = Settings.fromEnvironment();
        Suite suite = new Suite("kafka streams", AppInfoParser.getVersion(), settings, ids);
        Main main = new Main(settings);
        suite.add("streams-word-count", () -> main.wordCount("at_least_once"));
        suite.add("streams-exactly-once", main::exactlyOnce);
        suite.run();
    }

    private void exactlyOnce() throws Exception {
        if (!Wire.served(settings.bootstrap()).containsKey(Wire.ADD_PARTITIONS_TO_TXN)) {
            throw new Skipped("the broker has no transactions: it does not serve API " + Wire.ADD_PARTITIONS_TO_TXN);
        }
        wordCount("exactly_once_v2");
    }

    private void wordCount(String guarantee) throws Exception {
        String application = settings.name(guarantee.replace('_', '-'));
        String input = application + "-input";
        String output = application + "-output";
        topics.create(input, PARTITIONS);
        topics.create(output, PARTITIONS);
        List<String> lines = new ArrayList<>();

        try (WordCount program = new WordCount(settings.bootstrap(), application, guarantee, input, output)) {
            count(lines, application, input, output);
            Expect.equal("counts in the store", expected(lines), program.counts());
        }
        // The next one has nothing on disk, and the two share the work.
        try (WordCount one = new WordCount(settings.bootstrap(), application, guarantee, input, output);
                WordCount other = new WordCount(settings.bootstrap(), application, guarantee, input, output)) {
            Wait.until(() -> "both to have tasks: " + one.threads() + "; " + other.threads(), Wait.ANSWER,
                    () -> one.tasks() == PARTITIONS && other.tasks() == PARTITIONS);
            count(lines, application, input, output);
            // Nothing is under way, so that a restart costs no repetition.
            topics.awaitCommitted(application, input, PARTITIONS);
            topics.awaitCommitted(application, application + "-counts-repartition", PARTITIONS);
            control.restart();
            count(lines, application, input, output);
            Map<String, Long> both = new HashMap<>(one.counts());
            both.putAll(other.counts());
            Expect.equal("counts in the stores", expected(lines), both);
        }
    }

    /** Produces more lines and waits until the output is right. */
    private void count(List<String> lines, String application, String input, String output) throws Exception {
        List<String> more = IntStream.range(0, settings.size(500, 10_000)).mapToObj(line -> line()).toList();
        lines.addAll(more);
        topics.write(input, more);
        Map<String, Long> expected = expected(lines);
        Map<String, Long> found = new HashMap<>();
        Wait.until(() -> application + " to have counted " + expected + ", not " + found, Wait.ANSWER, () -> {
            found.clear();
            for (ConsumerRecord<String, Long> record : topics.read(output, new LongDeserializer())) {
                Long before = found.put(record.key(), record.value());
                Expect.that(before == null || before <= record.value(),
                        record.key() + " was counted down from " + before + " to " + record.value());
            }
            return found.equals(expected);
        });
    }

    private String line() {
        return random.ints(WORDS, 0, VOCABULARY).mapToObj(word -> "word-" + word).collect(Collectors.joining(" "));
    }

    private static Map<String, Long> expected(List<String> lines) {
        return lines.stream()
                .flatMap(line -> List.of(line.split(" ")).stream())
                .collect(Collectors.groupingBy(word -> word, Collectors.counting()));
    }
}
