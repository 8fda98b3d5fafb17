package chronik.harness;

import java.util.Objects;

/** What checks claim. */
public final class Expect {
    private static final int SHOWN = 600;

    private Expect() {}

    public static void that(boolean claim, String otherwise) {
        if (!claim) {
            throw new AssertionError(otherwise);
        }
    }

    public static void equal(String what, Object expected, Object found) {
        if (!Objects.equals(expected, found)) {
            throw new AssertionError(what + ": expected " + shown(expected) + ", found " + shown(found));
        }
    }

    /** The text holds the part. */
    public static void contains(String text, String part) {
        that(text.contains(part), "'" + part + "' is not in: " + shown(text));
    }

    /** The text does not hold the part. */
    public static void lacks(String text, String part) {
        that(!text.contains(part), "'" + part + "' is in: " + shown(text));
    }

    /** Runs something that must fail in exactly this way, and returns the failure. */
    public static <E extends Throwable> E failure(Class<E> kind, String what, Body body) {
        try {
            body.run();
        } catch (Throwable thrown) {
            Throwable cause = thrown instanceof java.util.concurrent.ExecutionException ? thrown.getCause() : thrown;
            if (kind.isInstance(cause)) {
                return kind.cast(cause);
            }
            throw new AssertionError(what + ": expected " + kind.getSimpleName() + ", found " + cause, cause);
        }
        throw new AssertionError(what + ": expected " + kind.getSimpleName() + ", but it succeeded");
    }

    private static String shown(Object value) {
        String text = String.valueOf(value);
        return text.length() <= SHOWN ? text : text.substring(0, SHOWN) + "... (" + text.length() + " characters)";
    }
}
