package chronik.clients;

import chronik.harness.Expect;
import chronik.harness.Wait;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;

/** Reads partitions to the ends they had when the reading began. */
final class Reading {
    private static final Duration POLL = Duration.ofMillis(200);

    private Reading() {}

    /** Everything in a topic, partition by partition in order of offsets. */
    static List<ConsumerRecord<String, String>> whole(Cluster cluster, String topic) throws Exception {
        return whole(cluster, topic, Map.of("enable.auto.commit", "false"));
    }

    /** Everything that a consumer with these settings is shown of a topic. */
    static List<ConsumerRecord<String, String>> whole(Cluster cluster, String topic, Map<String, ?> settings)
            throws Exception {
        try (KafkaConsumer<String, String> consumer = cluster.consumer(settings)) {
            assignAll(consumer, topic);
            consumer.seekToBeginning(consumer.assignment());
            return toEnd(consumer);
        }
    }

    /** Assigns every partition of a topic. */
    static void assignAll(Consumer<?, ?> consumer, String topic) {
        consumer.assign(consumer.partitionsFor(topic).stream()
                .map(info -> new TopicPartition(topic, info.partition()))
                .collect(Collectors.toList()));
    }

    /** Reads from the positions of the consumer to the present ends of its assignment. */
    static <K, V> List<ConsumerRecord<K, V>> toEnd(Consumer<K, V> consumer) throws Exception {
        Map<TopicPartition, Long> ends = consumer.endOffsets(consumer.assignment());
        Map<TopicPartition, List<ConsumerRecord<K, V>>> found = new HashMap<>();
        Wait.until(() -> ends + ", at " + positions(consumer), Wait.ANSWER, () -> {
            consumer.poll(POLL).forEach(record -> found
                    .computeIfAbsent(new TopicPartition(record.topic(), record.partition()), p -> new ArrayList<>())
                    .add(record));
            return ends.entrySet().stream().allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
        });
        return ends.keySet().stream()
                .sorted((a, b) -> Integer.compare(a.partition(), b.partition()))
                .flatMap(partition -> found.getOrDefault(partition, List.of()).stream())
                .collect(Collectors.toList());
    }

    /** The values, in the order of the records. */
    static List<String> values(Collection<ConsumerRecord<String, String>> records) {
        return records.stream().map(ConsumerRecord::value).collect(Collectors.toList());
    }

    /** The numbers from first to last - 1 as text. */
    static List<String> numbers(int first, int last) {
        return IntStream.range(first, last).mapToObj(String::valueOf).collect(Collectors.toList());
    }

    /** The records hold each of the numbers from first to last - 1 once, in whatever order. */
    static void expectOnce(Collection<ConsumerRecord<String, String>> records, int first, int last) {
        Map<String, Long> seen = records.stream()
                .collect(Collectors.groupingBy(ConsumerRecord::value, Collectors.counting()));
        List<String> missing = numbers(first, last);
        missing.removeAll(seen.keySet());
        Expect.that(missing.isEmpty(), missing.size() + " records are missing, among them "
                + missing.stream().limit(5).collect(Collectors.toList()));
        List<String> repeated = seen.entrySet().stream()
                .filter(entry -> entry.getValue() > 1)
                .map(Map.Entry::getKey)
                .collect(Collectors.toList());
        Expect.that(repeated.isEmpty(), repeated.size() + " records came more than once, among them "
                + repeated.stream().limit(5).collect(Collectors.toList()));
        Expect.equal("number of records", last - first, records.size());
    }

    private static Map<TopicPartition, Long> positions(Consumer<?, ?> consumer) {
        return consumer.assignment().stream().collect(Collectors.toMap(p -> p, consumer::position));
    }
}
