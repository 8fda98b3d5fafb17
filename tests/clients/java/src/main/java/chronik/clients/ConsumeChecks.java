package chronik.clients;

import chronik.harness.Expect;
import chronik.harness.Suite;
import chronik.harness.Wait;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;

/** Reading without a group: from the start, from an offset, from a time. */
final class ConsumeChecks {
    private static final long FIRST_TIME = 1_700_000_000_000L;
    private static final long STEP_MS = 1_000;

    private final Cluster cluster;

    ConsumeChecks(Cluster cluster) {
        this.cluster = cluster;
    }

    void addTo(Suite suite) {
        suite.add("consume-from-start", this::fromStart);
        suite.add("consume-by-offset", this::byOffset);
        suite.add("consume-by-time", this::byTime);
    }

    private void fromStart() throws Exception {
        int count = cluster.settings().size(3_000, 210_000);
        String topic = cluster.topic("from-start", 3);
        cluster.fill(topic, 3, 0, count);
        try (KafkaConsumer<String, String> consumer = cluster.consumer()) {
            Reading.assignAll(consumer, topic);
            Map<TopicPartition, Long> zero = new HashMap<>();
            Map<TopicPartition, Long> third = new HashMap<>();
            consumer.assignment().forEach(partition -> {
                zero.put(partition, 0L);
                third.put(partition, count / 3L);
            });
            Expect.equal("beginnings", zero, consumer.beginningOffsets(consumer.assignment()));
            Expect.equal("ends", third, consumer.endOffsets(consumer.assignment()));
            // Nothing is committed and no position was given: auto.offset.reset says where.
            Reading.expectOnce(Reading.toEnd(consumer), 0, count);
        }
    }

    private void byOffset() throws Exception {
        String topic = cluster.topic("by-offset", 1);
        TopicPartition partition = new TopicPartition(topic, 0);
        cluster.fill(topic, 1, 0, 100);
        try (KafkaConsumer<String, String> consumer = cluster.consumer()) {
            consumer.assign(List.of(partition));
            for (int offset : List.of(40, 99, 0, 73)) {
                consumer.seek(partition, offset);
                Expect.equal(
                        "read from " + offset, Reading.numbers(offset, 100), Reading.values(Reading.toEnd(consumer)));
            }
            consumer.seekToEnd(List.of(partition));
            Expect.equal("position at the end", 100L, consumer.position(partition));
        }
        outOfRange(partition);
    }

    private void outOfRange(TopicPartition partition) throws Exception {
        Map<String, String> strict = Map.of("auto.offset.reset", "none", "enable.auto.commit", "false");
        try (KafkaConsumer<String, String> consumer = cluster.consumer(strict)) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 1_000);
            OffsetOutOfRangeException refused = Expect.failure(
                    OffsetOutOfRangeException.class, "reading beyond the end", () ->
                            Wait.until("a refusal", () -> !consumer.poll(Duration.ofMillis(200)).isEmpty()));
            Expect.equal("partitions out of range", Map.of(partition, 1_000L), refused.offsetOutOfRangePartitions());
        }
        try (KafkaConsumer<String, String> consumer = cluster.consumer()) {
            consumer.assign(List.of(partition));
            consumer.seek(partition, 1_000);
            Wait.until("the first record after a reset", () -> {
                var records = consumer.poll(Duration.ofMillis(200)).records(partition);
                Expect.that(records.isEmpty() || records.get(0).offset() == 0, "reset to " + records);
                return !records.isEmpty();
            });
        }
    }

    private void byTime() throws Exception {
        String topic = cluster.topic("by-time", 2);
        TopicPartition filled = new TopicPartition(topic, 0);
        TopicPartition empty = new TopicPartition(topic, 1);
        try (KafkaProducer<String, String> producer = cluster.producer()) {
            for (int number = 0; number < 50; number++) {
                long time = FIRST_TIME + number * STEP_MS;
                String text = String.valueOf(number);
                Wait.get("Produce", producer.send(new ProducerRecord<>(topic, 0, time, text, text)));
            }
        }
        try (KafkaConsumer<String, String> consumer = cluster.consumer()) {
            consumer.assign(List.of(filled));
            expectAt(consumer, filled, FIRST_TIME - 5, 0L);
            expectAt(consumer, filled, FIRST_TIME, 0L);
            expectAt(consumer, filled, FIRST_TIME + 20 * STEP_MS, 20L);
            expectAt(consumer, filled, FIRST_TIME + 20 * STEP_MS + 1, 21L);
            expectAt(consumer, filled, FIRST_TIME + 49 * STEP_MS, 49L);
            expectAt(consumer, filled, FIRST_TIME + 50 * STEP_MS, null);
            expectAt(consumer, empty, FIRST_TIME, null);

            consumer.seek(filled, consumer.offsetsForTimes(Map.of(filled, FIRST_TIME + 45 * STEP_MS))
                    .get(filled).offset());
            Expect.equal("read from a time", Reading.numbers(45, 50), Reading.values(Reading.toEnd(consumer)));
        }
    }

    private static void expectAt(KafkaConsumer<?, ?> consumer, TopicPartition partition, long time, Long expected) {
        OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(partition, time)).get(partition);
        Expect.equal("offset at time " + time, expected, found == null ? null : found.offset());
        if (found != null) {
            Expect.equal("time at offset " + expected, FIRST_TIME + expected * STEP_MS, found.timestamp());
        }
    }
}
