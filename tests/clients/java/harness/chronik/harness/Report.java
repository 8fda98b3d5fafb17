package chronik.harness;

import java.io.PrintStream;
import java.util.Locale;

/**
 * The lines of JSON that the runner reads. It keeps the standard output for itself: whatever else prints there goes to
 * the standard error.
 */
final class Report {
    private final PrintStream out = System.out;

    Report() {
        System.setOut(System.err);
    }

    void client(String name, String version) {
        line("{\"client\": %s, \"version\": %s}", quoted(name), quoted(version));
    }

    void check(String id, String result, double seconds, String detail) {
        line("{\"check\": %s, \"result\": %s, \"seconds\": %.2f, \"detail\": %s}",
                quoted(id), quoted(result), seconds, quoted(detail));
    }

    private void line(String format, Object... arguments) {
        out.println(String.format(Locale.ROOT, format, arguments));
        out.flush();
    }

    private static String quoted(String text) {
        StringBuilder json = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                json.append('\\').append(c);
            } else if (c < ' ' || c > '~') {
                json.append(String.format("\\u%04x", (int) c));
            } else {
                json.append(c);
            }
        }
        return json.append('"').toString();
    }
}
