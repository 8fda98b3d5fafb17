package chronik.harness;

/** What a check does. It passes by returning, and fails or is skipped by throwing. */
@FunctionalInterface
public interface Body {
    void run() throws Exception;
}
