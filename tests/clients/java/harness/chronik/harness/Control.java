package chronik.harness;

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;

/** The runner's hold on the broker. Each call returns when it is done. */
public final class Control {
    // A broker that recovers a large directory, or one that is a JVM, takes its time.
    private static final Duration LIMIT = Duration.ofSeconds(90);

    private final HttpClient http = HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            .build();
    private final URI address;

    public Control(URI address) {
        this.address = address;
    }

    /** SIGKILL, then a start with the same port and data directory; returns when the broker is ready. */
    public void restart() throws Exception {
        post("/restart");
    }

    private void post(String path) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(address.resolve(path))
                .timeout(LIMIT)
                .POST(HttpRequest.BodyPublishers.noBody())
                .build();
        HttpResponse<String> answer = http.send(request, HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() != 200) {
            throw new IllegalStateException(path + " of the runner: " + answer.statusCode() + " " + answer.body());
        }
    }
}
