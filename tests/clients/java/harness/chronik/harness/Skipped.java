package chronik.harness;

/** Thrown by a check that cannot be asked of this client or this broker; the message says why. */
public final class Skipped extends RuntimeException {
    private static final long serialVersionUID = 1L;

    public Skipped(String reason) {
        super(reason);
    }
}
