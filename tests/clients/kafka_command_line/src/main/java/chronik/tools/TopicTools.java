package chronik.tools;

import chronik.harness.Expect;
import chronik.harness.Suite;
import java.util.List;
import java.util.regex.Pattern;
import kafka.admin.ConfigCommand;
import org.apache.kafka.tools.DeleteRecordsCommand;
import org.apache.kafka.tools.GetOffsetShell;
import org.apache.kafka.tools.LeaderElectionCommand;
import org.apache.kafka.tools.LogDirsCommand;
import org.apache.kafka.tools.TopicCommand;
import org.apache.kafka.tools.reassign.ReassignPartitionsCommand;

/** Tools for topics and their partitions. */
final class TopicTools {
    private final Console console;

    TopicTools(Console console) {
        this.console = console;
    }

    void addTo(Suite suite) {
        suite.add("tools-topics", this::topics);
        suite.add("tools-configs", this::configs);
        suite.add("tools-get-offsets", this::getOffsets);
        suite.add("tools-delete-records", this::deleteRecords);
        suite.add("tools-log-dirs", this::logDirs);
        suite.add("tools-leader-election", this::leaderElection);
        suite.add("tools-reassign-partitions", this::reassignPartitions);
    }

    private void topics() throws Exception {
        String topic = console.settings().name("topics");
        String created = console.run(TopicCommand::main,
                "--create", "--topic", topic, "--partitions", "3", "--config", "retention.ms=60000");
        Expect.contains(created, "Created topic " + topic + ".");
        Expect.contains(console.fail(TopicCommand::main, "--create", "--topic", topic), "already exists");
        Expect.that(console.run(TopicCommand::main, "--list").lines().anyMatch(topic::equals), "it is not listed");

        String described = describe(topic);
        Expect.contains(described, "PartitionCount: 3");
        Expect.contains(described, "ReplicationFactor: 1");
        Expect.contains(described, "retention.ms=60000");
        Pattern healthy = Pattern.compile("Partition: \\d+\\s+Leader: (\\d+)\\s+Replicas: \\1\\s+Isr: \\1");
        Expect.equal("partitions with their leader in sync", 3L, healthy.matcher(described).results().count());

        console.run(TopicCommand::main, "--alter", "--topic", topic, "--partitions", "5");
        Expect.contains(describe(topic), "PartitionCount: 5");
        for (String question : List.of("--under-replicated-partitions", "--unavailable-partitions",
                "--under-min-isr-partitions", "--at-min-isr-partitions")) {
            // One replica of one is at the minimum.
            boolean all = question.startsWith("--at");
            String answer = console.run(TopicCommand::main, "--describe", "--topic", topic, question);
            Expect.equal(question, all ? 5 : 0, Console.rows(answer).size());
        }
        console.run(TopicCommand::main, "--delete", "--topic", topic);
        Expect.lacks(console.run(TopicCommand::main, "--list"), topic);
        Expect.contains(console.fail(TopicCommand::main, "--delete", "--topic", topic), "does not exist");
    }

    private String describe(String topic) throws Exception {
        return console.run(TopicCommand::main, "--describe", "--topic", topic);
    }

    private void configs() throws Exception {
        String topic = console.topic("configs", 1);
        configsOf(topic, "--alter", "--add-config", "retention.ms=4242,cleanup.policy=[delete,compact]");
        String described = configsOf(topic, "--describe");
        Expect.contains(described, "DYNAMIC_TOPIC_CONFIG:retention.ms=4242");
        Expect.contains(described, "cleanup.policy=delete,compact");
        configsOf(topic, "--alter", "--delete-config", "retention.ms");
        Expect.lacks(configsOf(topic, "--describe"), "retention.ms=4242");
        Expect.contains(configsOf(topic, "--describe", "--all"), "DEFAULT_CONFIG:");
        String refused = console.fail(ConfigCommand::main, "--entity-type", "topics", "--entity-name", topic,
                "--alter", "--add-config", "no.such.key=1");
        Expect.contains(refused, "no.such.key");

        String brokers = console.run(ConfigCommand::main, "--entity-type", "brokers", "--describe", "--all");
        Expect.contains(brokers, "node.id=");
        Expect.contains(brokers, "sensitive=false");
    }

    private String configsOf(String topic, String... arguments) throws Exception {
        String[] all = new String[arguments.length + 4];
        System.arraycopy(new String[] {"--entity-type", "topics", "--entity-name", topic}, 0, all, 0, 4);
        System.arraycopy(arguments, 0, all, 4, arguments.length);
        return console.run(ConfigCommand::main, all);
    }

    private void getOffsets() throws Exception {
        String topic = console.topic("get-offsets", 2);
        Expect.equal("empty", topic + ":0:0\n" + topic + ":1:0\n", offsets(topic, "latest"));
        String single = console.topic("get-offsets-single", 1);
        console.type(single, List.of("a", "b", "c"));
        Expect.equal("latest", single + ":0:3\n", offsets(single, "latest"));
        Expect.equal("earliest", single + ":0:0\n", offsets(single, "earliest"));
        Expect.that(offsets(single, "max-timestamp").matches(single + ":0:[0-2]\n"),
                "offset of the highest timestamp: " + offsets(single, "max-timestamp"));
        Expect.equal("from the beginning of time", single + ":0:0\n", offsets(single, "0"));
        String both = console.run(GetOffsetShell::main, "--topic-partitions", topic + ":1," + single);
        Expect.equal("partitions by name", topic + ":1:0\n" + single + ":0:3\n", both);
    }

    private String offsets(String topic, String time) throws Exception {
        return console.run(GetOffsetShell::main, "--topic", topic, "--time", time);
    }

    private void deleteRecords() throws Exception {
        String topic = console.topic("delete-records", 1);
        console.type(topic, List.of("a", "b", "c", "d"));
        String wanted = console.file("delete.json", """
                {"version": 1, "partitions": [{"topic": "%s", "partition": 0, "offset": 3}]}""".formatted(topic));
        String said = console.run(DeleteRecordsCommand::main, "--offset-json-file", wanted);
        Expect.contains(said, "partition: " + topic + "-0\tlow_watermark: 3");
        Expect.equal("earliest", topic + ":0:3\n", offsets(topic, "earliest"));
    }

    private void logDirs() throws Exception {
        String topic = console.topic("log-dirs", 1);
        console.type(topic, List.of("x".repeat(500)));
        String said = console.run(LogDirsCommand::main, "--describe", "--topic-list", topic);
        Expect.contains(said, "\"error\":null");
        var size = Pattern.compile("\"partition\":\"" + Pattern.quote(topic) + "-0\",\"size\":(\\d+)").matcher(said);
        Expect.that(size.find(), "no size of the partition in: " + said);
        Expect.that(Integer.parseInt(size.group(1)) > 500, "500 bytes were produced, and its size is " + size.group());
    }

    private void leaderElection() throws Exception {
        String topic = console.topic("leader-election", 1);
        String said = console.run(LeaderElectionCommand::main,
                "--election-type", "preferred", "--topic", topic, "--partition", "0");
        Expect.contains(said, "Valid replica already elected for partitions " + topic + "-0");
        String refused = console.fail(LeaderElectionCommand::main,
                "--election-type", "preferred", "--topic", topic, "--partition", "7");
        Expect.contains(refused, "UnknownTopicOrPartition");
    }

    private void reassignPartitions() throws Exception {
        Expect.contains(console.run(ReassignPartitionsCommand::main, "--list"), "No partition reassignments found.");
        String topic = console.topic("reassign", 1);
        String broker = describe(topic).replaceAll("(?s).*Leader: (\\d+).*", "$1");
        String wanted = console.file("reassign.json", """
                {"version": 1, "partitions": [{"topic": "%s", "partition": 0, "replicas": [%s]}]}"""
                .formatted(topic, broker));
        String said = console.run(ReassignPartitionsCommand::main, "--verify", "--reassignment-json-file", wanted);
        Expect.contains(said, "Reassignment of partition " + topic + "-0 is completed.");
        said = console.run(ReassignPartitionsCommand::main, "--execute", "--reassignment-json-file", wanted);
        Expect.contains(said, "Successfully started partition reassignment for " + topic + "-0");
    }
}
