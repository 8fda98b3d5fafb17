package chronik.harness;

import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;

/** Bounded waiting: every wait of a check goes through here and says what it waited for. */
public final class Wait {
    /** Enough for any single answer of a broker, its restart included. */
    public static final Duration ANSWER = Duration.ofSeconds(30);

    private static final long POLL_INTERVAL_MS = 20;

    private Wait() {}

    /** Returns once the condition holds. */
    public static void until(String what, Callable<Boolean> condition) throws Exception {
        until(() -> what, ANSWER, condition);
    }

    /** Returns once the condition holds; {@code what} completes "gave up waiting for ..." and is asked at the end. */
    public static void until(Supplier<String> what, Duration limit, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + limit.toNanos();
        while (!condition.call()) {
            if (System.nanoTime() > end) {
                throw new AssertionError("gave up waiting for " + what.get() + " after " + limit.toSeconds() + " s");
            }
            Thread.sleep(POLL_INTERVAL_MS);
        }
    }

    /** What a future brings; its failure is thrown as it is, not wrapped. */
    public static <T> T get(String what, Future<T> future) throws Exception {
        try {
            return future.get(ANSWER.toMillis(), TimeUnit.MILLISECONDS);
        } catch (ExecutionException failed) {
            if (failed.getCause() instanceof Exception cause) {
                // The stack of a client's exception ends in the client's own thread; ours says which call it was.
                cause.setStackTrace(Thread.currentThread().getStackTrace());
                throw cause;
            }
            throw failed;
        } catch (TimeoutException late) {
            throw new AssertionError("no answer to " + what + " after " + ANSWER.toSeconds() + " s", late);
        }
    }
}
