package chronik.tools;

import chronik.harness.Expect;
import chronik.harness.Suite;
import chronik.harness.Wait;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.tools.GroupsCommand;
import org.apache.kafka.tools.consumer.ConsoleConsumer;
import org.apache.kafka.tools.consumer.group.ConsumerGroupCommand;

/** kafka-groups and kafka-consumer-groups. */
final class GroupTools {
    private static final int RECORDS = 10;

    private final Console console;

    GroupTools(Console console) {
        this.console = console;
    }

    void addTo(Suite suite) {
        suite.add("tools-groups", this::groups);
        suite.add("tools-consumer-groups-list", this::list);
        suite.add("tools-consumer-groups-describe", this::describe);
        suite.add("tools-consumer-groups-members", this::members);
        suite.add("tools-consumer-groups-state", this::state);
        suite.add("tools-consumer-groups-delete", this::delete);
        suite.add("tools-consumer-groups-delete-offsets", this::deleteOffsets);
        suite.add("tools-consumer-groups-reset-offsets", this::reset);
        suite.add("tools-consumer-groups-reset-by-time", this::resetByTime);
        suite.add("tools-consumer-groups-reset-from-file", this::resetFromFile);
    }

    private void groups() throws Exception {
        String group = groupOfCommits("groups");
        List<String> expected = List.of(group, "Classic", "consumer");
        for (String filter : List.of("--list", "--consumer", "--group-type=classic", "--protocol=consumer")) {
            String said = console.run(GroupsCommand::main, "--list", filter);
            Expect.equal("row with " + filter, List.of(expected), Console.rows(said, group));
        }
        Expect.lacks(console.run(GroupsCommand::main, "--list", "--share"), group);
    }

    private void list() throws Exception {
        String group = groupOfCommits("list");
        Expect.that(run("--list").lines().anyMatch(group::equals), "it is not listed");
        Expect.equal("row with its state", List.of(List.of(group, "Empty")),
                Console.rows(run("--list", "--state"), group));
        Expect.equal("row among the empty", List.of(List.of(group, "Empty")),
                Console.rows(run("--list", "--state", "Empty"), group));
        Expect.equal("rows among the stable", List.of(), Console.rows(run("--list", "--state", "Stable"), group));
        Expect.equal("row with its type", List.of(List.of(group, "Classic")),
                Console.rows(run("--list", "--type"), group));
    }

    private void describe() throws Exception {
        String group = groupOfCommits("describe");
        List<String> row = onlyRow("--describe", "--group", group);
        Expect.equal("offsets and lag", List.of(group, topicOf(group), "0", "4", "10", "6", "-", "-", "-"), row);

        try (Live live = new Live(group)) {
            row = onlyRow("--describe", "--group", group);
            Expect.equal("offsets and lag", List.of("10", "10", "0"), row.subList(3, 6));
            Expect.that(row.get(6).startsWith("console-consumer"), "member " + row.get(6));
            Expect.equal("host", "/127.0.0.1", row.get(7));
        }
        Expect.contains(run("--describe", "--all-groups"), group);
        String unknown = console.settings().name("nobody");
        Expect.contains(run("--describe", "--group", unknown), "Group " + unknown + " not found.");
    }

    private void members() throws Exception {
        String group = groupOfCommits("members");
        try (Live live = new Live(group)) {
            List<String> row = onlyRow("--describe", "--group", group, "--members");
            Expect.equal("host", "/127.0.0.1", row.get(2));
            Expect.equal("client id", "console-consumer", row.get(3));
            Expect.equal("number of partitions", "1", row.get(4));
            row = onlyRow("--describe", "--group", group, "--members", "--verbose");
            Expect.that(row.contains(topicOf(group) + ":0"), "assignment: " + row);
        }
        Expect.equal("members", List.of(),
                Console.rows(run("--describe", "--group", group, "--members"), group));
    }

    private void state() throws Exception {
        String group = groupOfCommits("state");
        expectState(group, "Empty", "0");
        try (Live live = new Live(group)) {
            expectState(group, "Stable", "1");
            Expect.that(onlyRow("--describe", "--group", group, "--state").contains("range"), "no assignor");
        }
        expectState(group, "Empty", "0");
    }

    private void expectState(String group, String state, String members) throws Exception {
        List<String> row = onlyRow("--describe", "--group", group, "--state");
        Expect.that(row.get(1).endsWith(console.settings().bootstrap().replaceAll(".*:", ":")),
                "coordinator: " + row);
        Expect.equal("state and members", List.of(state, members), row.subList(row.size() - 2, row.size()));
    }

    private void delete() throws Exception {
        String group = groupOfCommits("delete");
        try (Live live = new Live(group)) {
            String refused = runOnGroup(group, "--delete").out();
            Expect.contains(refused, "GroupNotEmptyException");
        }
        Expect.contains(runOnGroup(group, "--delete").out(), "Deletion of requested consumer groups ('" + group
                + "') was successful.");
        Expect.lacks(run("--list"), group);
    }

    private void deleteOffsets() throws Exception {
        String group = groupOfCommits("delete-offsets");
        String topic = topicOf(group);
        try (Live live = new Live(group)) {
            String refused = both(runOnGroup(group, "--delete-offsets", "--topic", topic));
            Expect.contains(refused, "subscribed to");
        }
        String said = run("--group", group, "--delete-offsets", "--topic", topic);
        Expect.contains(said, "Request succeeded for deleting offsets");
        Expect.equal("offsets left", List.of(), Console.rows(run("--describe", "--group", group), group));
    }

    private void reset() throws Exception {
        String group = groupOfCommits("reset");
        String topic = topicOf(group);
        try (Live live = new Live(group)) {
            String refused = both(runOnGroup(group, "--reset-offsets", "--topic", topic, "--to-earliest", "--execute"));
            Expect.contains(refused, "current state is Stable");
        }
        expectReset(group, 0, "--to-earliest");
        expectReset(group, 7, "--to-offset", "7");
        expectReset(group, 5, "--shift-by", "-2");
        expectReset(group, 8, "--shift-by", "3");
        expectReset(group, RECORDS, "--shift-by", "100");
        expectReset(group, RECORDS, "--to-offset", "100");
        expectReset(group, 0, "--shift-by", "-100");
        expectReset(group, RECORDS, "--to-latest");
        expectReset(group, RECORDS, "--to-current");

        String plan = run("--group", group, "--reset-offsets", "--topic", topic, "--to-offset", "2", "--dry-run");
        Expect.equal("planned", List.of(group, topic, "0", "2"), only(Console.rows(plan, group)));
        Expect.equal("offset after a plan", String.valueOf(RECORDS), committed(group));
    }

    private void resetByTime() throws Exception {
        String group = groupOfCommits("reset-by-time");
        expectReset(group, 0, "--to-datetime", "2020-01-01T00:00:00.000");
        expectReset(group, RECORDS, "--to-datetime", "2099-01-01T00:00:00.000");
        expectReset(group, 0, "--by-duration", "P1D");
    }

    private void resetFromFile() throws Exception {
        String group = groupOfCommits("reset-from-file");
        String plan = run("--group", group, "--reset-offsets", "--topic", topicOf(group), "--to-offset", "3",
                "--export", "--dry-run");
        Expect.contains(plan, topicOf(group) + "\",0,3");
        String file = console.file("offsets.csv", plan);
        String said = run("--group", group, "--reset-offsets", "--from-file", file, "--execute");
        Expect.equal("reset", List.of(group, topicOf(group), "0", "3"), only(Console.rows(said, group)));
        Expect.equal("offset", "3", committed(group));
    }

    private void expectReset(String group, int offset, String... how) throws Exception {
        List<String> arguments = new ArrayList<>(
                List.of("--group", group, "--reset-offsets", "--topic", topicOf(group), "--execute"));
        arguments.addAll(Arrays.asList(how));
        String said = run(arguments.toArray(String[]::new));
        List<String> expected = List.of(group, topicOf(group), "0", String.valueOf(offset));
        Expect.equal(String.join(" ", how), expected, only(Console.rows(said, group)));
        Expect.equal("offset after " + String.join(" ", how), String.valueOf(offset), committed(group));
    }

    private String committed(String group) throws Exception {
        return onlyRow("--describe", "--group", group).get(3);
    }

    private String run(String... arguments) throws Exception {
        return console.run(ConsumerGroupCommand::main, arguments);
    }

    /** These tools say what was refused, and end with status 0 all the same. */
    private Tool.Output runOnGroup(String group, String... arguments) throws Exception {
        String[] all = new String[arguments.length + 2];
        System.arraycopy(new String[] {"--group", group}, 0, all, 0, 2);
        System.arraycopy(arguments, 0, all, 2, arguments.length);
        return console.attempt(ConsumerGroupCommand::main, "", all);
    }

    private static String both(Tool.Output output) {
        return output.out() + output.err();
    }

    private List<String> onlyRow(String... arguments) throws Exception {
        String said = run(arguments);
        List<List<String>> rows = Console.rows(said).stream()
                .filter(row -> row.get(0).equals(groupIn(arguments)))
                .collect(Collectors.toList());
        Expect.equal("rows of the group in: " + said + "; number", 1, rows.size());
        return rows.get(0);
    }

    private static String groupIn(String... arguments) {
        return arguments[Arrays.asList(arguments).indexOf("--group") + 1];
    }

    private static <T> T only(List<T> list) {
        Expect.equal("number of rows in " + list, 1, list.size());
        return list.get(0);
    }

    /** A topic of ten records and a group of its name that has read four of them and left. */
    private String groupOfCommits(String suffix) throws Exception {
        String name = console.topic(suffix, 1);
        console.type(name, IntStream.range(0, RECORDS).mapToObj(String::valueOf).collect(Collectors.toList()));
        String read = console.run(ConsoleConsumer::main,
                "--topic", name, "--group", name, "--from-beginning", "--max-messages", "4");
        Expect.equal("read by the group", "0\n1\n2\n3\n", read);
        return name;
    }

    private static String topicOf(String group) {
        return group;
    }

    /** A console consumer that is in the group, and has read everything and committed. */
    private final class Live implements AutoCloseable {
        private final Tool consumer;

        Live(String group) throws Exception {
            consumer = console.start(ConsoleConsumer::main, "", "--topic", topicOf(group), "--group", group,
                    "--command-property", "auto.commit.interval.ms=100");
            Wait.until("the group to have read everything", () ->
                    Console.rows(run("--describe", "--group", group), group).stream()
                            .anyMatch(row -> row.get(5).equals("0") && !row.get(6).equals("-")));
        }

        @Override
        public void close() throws Exception {
            consumer.terminate();
        }
    }
}
