package chronik.tools;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.kafka.common.utils.Exit;

/**
 * One run of a command-line tool, on a thread of this process: a JVM for each would cost a second.
 *
 * <p>What the tool and its threads print is kept, its exit ends the thread and not the process, and its shutdown hooks
 * run when it has ended or is terminated.
 */
final class Tool {
    private static final Duration LIMIT = Duration.ofSeconds(40);
    private static final InheritableThreadLocal<Tool> CURRENT = new InheritableThreadLocal<>();

    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private final ByteArrayOutputStream err = new ByteArrayOutputStream();
    private final List<Runnable> hooks = new CopyOnWriteArrayList<>();
    private final InputStream in;
    private final Thread thread;
    private volatile Integer status;

    /** The entry of a tool. */
    @FunctionalInterface
    interface Program {
        void main(String[] arguments) throws Exception;
    }

    /** What a tool said until its end. */
    record Output(int status, String out, String err) {}

    /** Thrown where a real tool would end its process. */
    private static final class Ended extends Error {
        private static final long serialVersionUID = 1L;
    }

    /** Sends what tools print and how they exit to the run they belong to. To be called once, before the first. */
    static void install() {
        System.setOut(new PrintStream(new Routed(System.out, true), true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(new Routed(System.err, false), true, StandardCharsets.UTF_8));
        System.setIn(new RoutedInput());
        Exit.setExitProcedure((status, message) -> exit(status, message));
        Exit.setHaltProcedure((status, message) -> exit(status, message));
        Exit.setShutdownHookAdder((name, hook) -> CURRENT.get().hooks.add(hook));
    }

    private static void exit(int status, String message) {
        Tool tool = CURRENT.get();
        // Some tools exit once more in a handler of everything; the first word counts.
        if (tool.status == null) {
            tool.status = status;
        }
        if (message != null) {
            System.err.println(message);
        }
        throw new Ended();
    }

    private Tool(Program program, String input, String... arguments) {
        in = new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8));
        thread = new Thread(() -> run(program, arguments), "tool");
        thread.setDaemon(true);
    }

    /** Starts a tool that runs until it is terminated. */
    static Tool start(Program program, String input, String... arguments) {
        Tool tool = new Tool(program, input, arguments);
        tool.thread.start();
        return tool;
    }

    private void run(Program program, String... arguments) {
        CURRENT.set(this);
        int after = 0;
        try {
            program.main(arguments);
        } catch (Ended ended) {
            // The status is set.
        } catch (Throwable failed) {
            failed.printStackTrace();
            after = 1;
        }
        if (status == null) {
            status = after;
        }
        runHooks();
    }

    /** What a process does at its end, whoever ends it. Each hook runs once. */
    private void runHooks() {
        for (Runnable hook : hooks) {
            if (hooks.remove(hook)) {
                hook.run();
            }
        }
    }

    /** What it printed to the standard output so far. */
    String said() {
        return out.toString(StandardCharsets.UTF_8);
    }

    /** Waits for the end of the tool. */
    Output await() throws InterruptedException {
        thread.join(LIMIT.toMillis());
        if (thread.isAlive()) {
            StackTraceElement[] stack = thread.getStackTrace();
            thread.interrupt();
            throw new AssertionError("no end after " + LIMIT.toSeconds() + " s; it is in " + List.of(stack)
                    + " and said: " + said() + err.toString(StandardCharsets.UTF_8));
        }
        return new Output(status, said(), err.toString(StandardCharsets.UTF_8));
    }

    /** Does what SIGTERM would do to the tool's process, and waits for its end. */
    Output terminate() throws InterruptedException {
        runHooks();
        return await();
    }

    /** Goes to the tool whose thread writes, or past them all. */
    private static final class Routed extends OutputStream {
        private final PrintStream otherwise;
        private final boolean isOut;

        Routed(PrintStream otherwise, boolean isOut) {
            this.otherwise = otherwise;
            this.isOut = isOut;
        }

        @Override
        public void write(int one) throws IOException {
            target().write(one);
        }

        @Override
        public void write(byte[] bytes, int from, int count) throws IOException {
            target().write(bytes, from, count);
        }

        private OutputStream target() {
            Tool tool = CURRENT.get();
            if (tool == null) {
                return otherwise;
            }
            return isOut ? tool.out : tool.err;
        }
    }

    /** Comes from what the tool was given, or is at its end. */
    private static final class RoutedInput extends InputStream {
        @Override
        public int read() throws IOException {
            Tool tool = CURRENT.get();
            return tool == null ? -1 : tool.in.read();
        }

        @Override
        public int read(byte[] into, int from, int count) throws IOException {
            Tool tool = CURRENT.get();
            return tool == null ? -1 : tool.in.read(into, from, count);
        }
    }
}
