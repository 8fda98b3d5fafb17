package chronik.tools;

import chronik.harness.Expect;
import chronik.harness.Settings;
import chronik.tools.Tool.Output;
import chronik.tools.Tool.Program;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.apache.kafka.tools.ConsoleProducer;
import org.apache.kafka.tools.TopicCommand;

/** Runs tools against the broker under test, as a person at a terminal would. */
final class Console {
    private final Settings settings;
    private final Path folder;

    Console(Settings settings) throws Exception {
        this.settings = settings;
        this.folder = Files.createTempDirectory("tools");
        folder.toFile().deleteOnExit();
    }

    Settings settings() {
        return settings;
    }

    /** The standard output of a tool that must succeed; it is given {@code --bootstrap-server} first. */
    String run(Program program, String... arguments) throws Exception {
        return succeeded(attempt(program, "", arguments), arguments);
    }

    /** The output of a tool that must fail, of both kinds. */
    String fail(Program program, String... arguments) throws Exception {
        Output output = attempt(program, "", arguments);
        Expect.that(output.status() != 0, String.join(" ", arguments) + " succeeded: " + output);
        return withoutStacks(output.out() + output.err());
    }

    /** Runs a tool to its end, whatever its status. */
    Output attempt(Program program, String input, String... arguments) throws Exception {
        return start(program, input, arguments).await();
    }

    /** Starts a tool that is terminated later. */
    Tool start(Program program, String input, String... arguments) {
        List<String> all = new ArrayList<>(List.of("--bootstrap-server", settings.bootstrap()));
        all.addAll(Arrays.asList(arguments));
        return Tool.start(program, input, all.toArray(String[]::new));
    }

    /** Runs a tool of subcommands, which wants {@code --bootstrap-server} behind the subcommand. */
    String runSub(Program program, String subcommand, String... arguments) throws Exception {
        List<String> all = new ArrayList<>(List.of(subcommand, "--bootstrap-server", settings.bootstrap()));
        all.addAll(Arrays.asList(arguments));
        return succeeded(Tool.start(program, "", all.toArray(String[]::new)).await(), subcommand);
    }

    private static String succeeded(Output output, String... arguments) {
        Expect.that(output.status() == 0, String.join(" ", arguments) + " ended with status " + output.status()
                + " and said: " + withoutStacks(output.out() + output.err()));
        return output.out();
    }

    /** What a tool said, without the places in its own code. */
    private static String withoutStacks(String said) {
        return said.lines()
                .filter(line -> !line.startsWith("\tat ") && !line.startsWith("\t... "))
                .distinct()
                .collect(Collectors.joining("\n"));
    }

    /** Creates a topic of this run and returns its name. */
    String topic(String suffix, int partitions) throws Exception {
        String topic = settings.name(suffix);
        run(TopicCommand::main, "--create", "--topic", topic, "--partitions", String.valueOf(partitions));
        return topic;
    }

    /** Types lines into kafka-console-producer. */
    void type(String topic, List<String> lines) throws Exception {
        String[] arguments = {"--topic", topic};
        succeeded(attempt(ConsoleProducer::main, String.join("\n", lines) + "\n", arguments), arguments);
    }

    /** A file of this run with some content. */
    String file(String name, String content) throws Exception {
        Path path = folder.resolve(name);
        Files.writeString(path, content);
        path.toFile().deleteOnExit();
        return path.toString();
    }

    /** The words of each line of a table that is not empty. */
    static List<List<String>> rows(String table) {
        return table.lines()
                .filter(line -> !line.isBlank())
                .map(line -> Arrays.asList(line.trim().split("\\s+")))
                .collect(Collectors.toList());
    }

    /** The rows that begin with a word. */
    static List<List<String>> rows(String table, String first) {
        return rows(table).stream().filter(row -> row.get(0).equals(first)).collect(Collectors.toList());
    }
}
