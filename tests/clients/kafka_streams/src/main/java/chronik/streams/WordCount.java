package chronik.streams;

import chronik.harness.Expect;
import chronik.harness.Wait;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.QueryableStoreTypes;

/** One instance of a program that counts words: by a repartition topic, a store on disk and its changelog. */
final class WordCount implements AutoCloseable {
    private static final String STORE = "counts";
    private static final Duration CLOSE = Duration.ofSeconds(30);

    private final KafkaStreams streams;

    /** Starts it and waits until it runs. */
    WordCount(String bootstrap, String application, String guarantee, String input, String output) throws Exception {
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(input, Consumed.with(Serdes.String(), Serdes.String()))
                .flatMapValues(line -> Arrays.asList(line.split(" ")))
                .groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String()))
                .count(Materialized.as(STORE))
                .toStream()
                .to(output, Produced.with(Serdes.String(), Serdes.Long()));
        // A directory of its own each time: counts come back from the changelog only.
        Path state = Files.createTempDirectory("streams");
        streams = new KafkaStreams(builder.build(), properties(bootstrap, application, guarantee, state));
        streams.start();
        Wait.until(() -> "a program that is " + streams.state() + " to run", Wait.ANSWER, () -> {
            Expect.that(!streams.state().hasCompletedShutdown(), "it ended: " + streams.state());
            return streams.state() == KafkaStreams.State.RUNNING;
        });
    }

    private static Properties properties(String bootstrap, String application, String guarantee, Path state) {
        Properties properties = new Properties();
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
        properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, guarantee);
        properties.put(StreamsConfig.STATE_DIR_CONFIG, state.toString());
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 200);
        properties.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        properties.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        properties.put(StreamsConfig.consumerPrefix("heartbeat.interval.ms"), 500);
        properties.put(StreamsConfig.consumerPrefix("session.timeout.ms"), 10_000);
        properties.put("reconnect.backoff.max.ms", 200);
        return properties;
    }

    /** The tasks that this instance works on. */
    int tasks() {
        return streams.metadataForLocalThreads().stream()
                .mapToInt(thread -> thread.activeTasks().size())
                .sum();
    }

    /** The counts in the part of the store that this instance has. */
    Map<String, Long> counts() {
        var store = streams.store(
                StoreQueryParameters.fromNameAndType(STORE, QueryableStoreTypes.<String, Long>keyValueStore()));
        Map<String, Long> counts = new HashMap<>();
        try (KeyValueIterator<String, Long> all = store.all()) {
            all.forEachRemaining(entry -> counts.put(entry.key, entry.value));
        }
        return counts;
    }

    String threads() {
        return streams.metadataForLocalThreads().stream().map(Object::toString).collect(Collectors.joining(", "));
    }

    /** Commits, leaves the group, and forgets what it has on disk. */
    @Override
    public void close() {
        Expect.that(streams.close(new KafkaStreams.CloseOptions().timeout(CLOSE).leaveGroup(true)),
                "it does not close in time");
        streams.cleanUp();
    }
}
