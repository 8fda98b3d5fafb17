package chronik.harness;

import java.net.URI;

/**
 * What the runner tells a suite, by environment variables.
 *
 * @param bootstrap host:port of the broker under test
 * @param control address that stops, starts and restarts the broker
 * @param full whether to take the time for more records and more variants
 * @param prefix begins the name of every topic and group of this run
 */
public record Settings(String bootstrap, URI control, boolean full, String prefix) {
    /** Reads BOOTSTRAP, CONTROL, PROFILE and PREFIX. */
    public static Settings fromEnvironment() {
        return new Settings(
                required("BOOTSTRAP"),
                URI.create(required("CONTROL")),
                required("PROFILE").equals("full"),
                required("PREFIX"));
    }

    /** A topic, group or transactional id of this run. */
    public String name(String suffix) {
        return prefix + suffix;
    }

    /** The first number in the short profile, the second in the full one. */
    public int size(int small, int large) {
        return full ? large : small;
    }

    private static String required(String variable) {
        String value = System.getenv(variable);
        if (value == null || value.isEmpty()) {
            throw new IllegalStateException("the environment variable " + variable + " is missing");
        }
        return value;
    }
}
