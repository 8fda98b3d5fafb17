package chronik.harness;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;

/**
 * Runs checks one after another and reports each. A check that is not done by its deadline has failed; its thread is
 * interrupted and left behind.
 *
 * <p>Arguments of the program, if there are any, are the ids to run.
 */
public final class Suite {
    private static final int FRAMES_SHOWN = 12;

    // First of all, so that nothing else prints to what it keeps for itself.
    private final Report report = new Report();
    private final String client;
    private final String version;
    private final Set<String> wanted;
    private final Duration limit;
    private final List<Check> checks = new ArrayList<>();

    private record Check(String id, Body body) {}

    public Suite(String client, String version, Settings settings, String... wanted) {
        this.client = client;
        this.version = version;
        this.wanted = Set.of(wanted);
        this.limit = Duration.ofSeconds(settings.size(60, 180));
    }

    /** Adds a check; they run in the order in which they were added. */
    public void add(String id, Body body) {
        if (wanted.isEmpty() || wanted.contains(id)) {
            checks.add(new Check(id, body));
        }
    }

    /** Runs everything and ends the process. */
    public void run() {
        report.client(client, version);
        checks.forEach(this::run);
        // Threads of clients that a failed check left behind must not keep the process.
        System.exit(0);
    }

    private void run(Check check) {
        System.err.println("--- " + check.id);
        long began = System.nanoTime();
        Outcome outcome = outcome(check);
        double seconds = (System.nanoTime() - began) / 1e9;
        report.check(check.id, outcome.result, seconds, outcome.detail);
    }

    private record Outcome(String result, String detail) {}

    private Outcome outcome(Check check) {
        FutureTask<Void> task = new FutureTask<>(() -> {
            check.body.run();
            return null;
        });
        Thread thread = new Thread(task, check.id);
        thread.setDaemon(true);
        thread.start();
        try {
            task.get(limit.toMillis(), TimeUnit.MILLISECONDS);
            return new Outcome("pass", "");
        } catch (TimeoutException late) {
            String stuck = frames(thread.getStackTrace());
            thread.interrupt();
            return new Outcome("fail", "not done after " + limit.toSeconds() + " s, waiting in " + stuck);
        } catch (ExecutionException failed) {
            return ended(failed.getCause());
        } catch (InterruptedException interrupted) {
            throw new IllegalStateException("nobody interrupts the suite", interrupted);
        }
    }

    private static Outcome ended(Throwable cause) {
        if (cause instanceof Skipped) {
            return new Outcome("skip", cause.getMessage());
        }
        cause.printStackTrace();
        String said = cause instanceof AssertionError ? cause.getMessage() : cause.toString();
        return new Outcome("fail", said + " (at " + frames(cause.getStackTrace()) + ")");
    }

    /** Where our own code was, innermost first. */
    private static String frames(StackTraceElement[] stack) {
        String ours = Arrays.stream(stack)
                .filter(frame -> frame.getClassName().startsWith("chronik."))
                .filter(frame -> !frame.getClassName().startsWith("chronik.harness."))
                .limit(FRAMES_SHOWN)
                .map(frame -> frame.getFileName() + ":" + frame.getLineNumber())
                .collect(Collectors.joining(" < "));
        return ours.isEmpty() ? Arrays.toString(stack) : ours;
    }
}
