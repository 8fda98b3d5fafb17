package chronik.connect;

import chronik.harness.Expect;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A standalone worker, as its own start script would run it: a process, with connectors in files of properties. */
final class Worker implements AutoCloseable {
    private static final String PROGRAM = "org.apache.kafka.connect.cli.ConnectStandalone";
    private static final int STOP_LIMIT_S = 30;
    private static final int KILLED = 128 + 15;

    private final Process process;

    /** Starts a worker; the files of properties are the worker's own and one for each connector. */
    Worker(Path... properties) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                ProcessHandle.current().info().command().orElse("java"),
                "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-Djava.io.tmpdir=" + System.getProperty("java.io.tmpdir"),
                "-cp", System.getProperty("java.class.path"), PROGRAM));
        for (Path file : properties) {
            command.add(file.toString());
        }
        process = new ProcessBuilder(command)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        // Whatever becomes of the suite, the worker ends with it.
        Runtime.getRuntime().addShutdownHook(new Thread(process::destroyForcibly));
    }

    /** Throws if it ended by itself. */
    void expectAlive() {
        Expect.that(process.isAlive(), "the worker ended");
    }

    /** SIGTERM, and an end in time: the worker commits what it has done. */
    @Override
    public void close() throws InterruptedException {
        process.destroy();
        if (!process.waitFor(STOP_LIMIT_S, TimeUnit.SECONDS)) {
            process.destroyForcibly();
            throw new AssertionError("the worker does not stop in " + STOP_LIMIT_S + " s");
        }
        int status = process.exitValue();
        Expect.that(status == 0 || status == KILLED, "the worker ended with " + status);
    }

    /** Writes a file of properties. */
    static Path properties(Path file, List<String> lines) throws IOException {
        return Files.write(file, lines);
    }
}
