package chronik.tools;

import chronik.harness.Expect;
import chronik.harness.Suite;
import chronik.tools.Tool.Output;
import java.util.List;
import org.apache.kafka.tools.ConsoleProducer;
import org.apache.kafka.tools.ConsumerPerformance;
import org.apache.kafka.tools.GetOffsetShell;
import org.apache.kafka.tools.ProducerPerformance;
import org.apache.kafka.tools.consumer.ConsoleConsumer;

/** Tools that produce and consume. */
final class RecordTools {
    private final Console console;

    RecordTools(Console console) {
        this.console = console;
    }

    void addTo(Suite suite) {
        suite.add("tools-console-producer", this::consoleProducer);
        suite.add("tools-console-consumer", this::consoleConsumer);
        suite.add("tools-console-consumer-group", this::consoleConsumerInAGroup);
        suite.add("tools-producer-perf-test", this::producerPerformance);
        suite.add("tools-consumer-perf-test", this::consumerPerformance);
    }

    private void consoleProducer() throws Exception {
        String topic = console.topic("console-producer", 1);
        String input = """
                color:red\tkey 1\tone
                color:blue,size:9\tkey 2\ttwo
                """;
        Output typed = console.attempt(ConsoleProducer::main, input,
                "--topic", topic,
                "--reader-property", "parse.key=true",
                "--reader-property", "parse.headers=true",
                "--compression-codec", "zstd");
        Expect.equal("status of " + typed, 0, typed.status());
        String said = console.run(ConsoleConsumer::main,
                "--topic", topic, "--partition", "0", "--offset", "earliest", "--max-messages", "2",
                "--formatter-property", "print.key=true",
                "--formatter-property", "print.headers=true",
                "--formatter-property", "print.offset=true",
                "--formatter-property", "print.partition=true");
        Expect.equal("records", """
                Partition:0\tOffset:0\tcolor:red\tkey 1\tone
                Partition:0\tOffset:1\tcolor:blue,size:9\tkey 2\ttwo
                """, said);
    }

    private void consoleConsumer() throws Exception {
        String topic = console.topic("console-consumer", 1);
        console.type(topic, List.of("a", "b", "c", "d"));
        Expect.equal("from the beginning, in a group of its own", "a\nb\nc\nd\n", console.run(ConsoleConsumer::main,
                "--topic", topic, "--from-beginning", "--max-messages", "4"));
        Expect.equal("from an offset", "c\nd\n", console.run(ConsoleConsumer::main,
                "--topic", topic, "--partition", "0", "--offset", "2", "--max-messages", "2"));
        Expect.equal("committed records", "a\n", console.run(ConsoleConsumer::main,
                "--topic", topic, "--partition", "0", "--offset", "earliest", "--max-messages", "1",
                "--isolation-level", "read_committed"));
    }

    private void consoleConsumerInAGroup() throws Exception {
        String topic = console.topic("console-group", 1);
        String group = console.settings().name("console-group");
        console.type(topic, List.of("a", "b", "c"));
        Expect.equal("first read", "a\nb\n", readInGroup(topic, group, 2));
        console.type(topic, List.of("d"));
        Expect.equal("second read", "c\nd\n", readInGroup(topic, group, 2));
    }

    private String readInGroup(String topic, String group, int count) throws Exception {
        return console.run(ConsoleConsumer::main, "--topic", topic, "--group", group, "--from-beginning",
                "--max-messages", String.valueOf(count));
    }

    private void producerPerformance() throws Exception {
        int count = console.settings().size(5_000, 500_000);
        String topic = console.topic("producer-perf", 1);
        String said = console.run(ProducerPerformance::main, "--topic", topic,
                "--num-records", String.valueOf(count), "--record-size", "200", "--throughput", "-1",
                "--command-property", "compression.type=lz4");
        Expect.contains(said, count + " records sent");
        String offsets = console.run(GetOffsetShell::main, "--topic", topic);
        Expect.equal("end", topic + ":0:" + count + "\n", offsets);
    }

    private void consumerPerformance() throws Exception {
        int count = console.settings().size(5_000, 500_000);
        String topic = console.topic("consumer-perf", 1);
        console.run(ProducerPerformance::main, "--topic", topic,
                "--num-records", String.valueOf(count), "--record-size", "100", "--throughput", "-1");
        String said = console.run(ConsumerPerformance::main, "--topic", topic,
                "--group", console.settings().name("consumer-perf"),
                "--num-records", String.valueOf(count), "--timeout", "20000");
        List<String> lines = said.lines().toList();
        String[] figures = lines.get(lines.size() - 1).split(", ");
        Expect.equal("records read, as in: " + said, String.valueOf(count), figures[4]);
    }
}
