package chronik.clients;

import chronik.harness.Expect;
import chronik.harness.Suite;
import chronik.harness.Wait;
import chronik.harness.Wire;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** What a broker refuses arrives as the exception that programs catch. */
final class ErrorChecks {
    private static final short UNSUPPORTED_VERSION = 35;
    private static final short A_VERSION_OF_THE_FUTURE = 99;

    private final Cluster cluster;

    ErrorChecks(Cluster cluster) {
        this.cluster = cluster;
    }

    void addTo(Suite suite) {
        suite.add("error-too-large", this::tooLarge);
        suite.add("error-unknown-topic", this::unknownTopic);
        suite.add("error-bad-version", this::badVersion);
    }

    private void tooLarge() throws Exception {
        String topic = cluster.topic("too-large", 1, Map.of("max.message.bytes", "2000"));
        try (KafkaProducer<String, String> producer = cluster.producer()) {
            Wait.get("Produce", producer.send(new ProducerRecord<>(topic, "fits")));
            Expect.failure(RecordTooLargeException.class, "a record of 5000 bytes", () ->
                    Wait.get("Produce", producer.send(new ProducerRecord<>(topic, "x".repeat(5_000)))));
            Wait.get("Produce", producer.send(new ProducerRecord<>(topic, "fits too")));
        }
        Expect.equal("records", List.of("fits", "fits too"), Reading.values(Reading.whole(cluster, topic)));
    }

    private void unknownTopic() throws Exception {
        String unknown = cluster.settings().name("nobody-made-this");
        Expect.failure(UnknownTopicOrPartitionException.class, "describing it", () -> cluster.describe(unknown));
        Expect.failure(UnknownTopicOrPartitionException.class, "deleting it", () ->
                Wait.get("DeleteTopics", cluster.admin().deleteTopics(List.of(unknown)).all()));
        Map<String, String> reserved = Map.of("allow.auto.create.topics", "false", "enable.auto.commit", "false");
        try (KafkaConsumer<String, String> consumer = cluster.consumer(reserved)) {
            List<?> partitions = consumer.partitionsFor(unknown);
            Expect.that(partitions == null || partitions.isEmpty(), "it has partitions: " + partitions);
            consumer.assign(List.of(new TopicPartition(unknown, 0)));
            Expect.failure(TimeoutException.class, "its position", () ->
                    consumer.position(new TopicPartition(unknown, 0), Duration.ofSeconds(1)));
        }
        String known = cluster.topic("one-partition", 1);
        try (KafkaProducer<String, String> producer = cluster.producer(Map.of("max.block.ms", "1000"))) {
            Expect.failure(TimeoutException.class, "producing to a partition it does not have", () ->
                    Wait.get("Produce", producer.send(new ProducerRecord<>(known, 7, "", ""))));
            Expect.failure(InvalidTopicException.class, "producing to an impossible name", () ->
                    Wait.get("Produce", producer.send(new ProducerRecord<>("not a name!", ""))));
        }
        Expect.that(!cluster.exists(unknown), "somebody created the topic");
    }

    /**
     * A version from the future: ApiVersions says what there is (KIP-511). Anything else ends the connection, as Kafka
     * does it, or is refused with UNSUPPORTED_VERSION in a body of the newest version; never is it taken for another.
     */
    private void badVersion() throws Exception {
        String bootstrap = cluster.settings().bootstrap();
        try (Wire wire = new Wire(bootstrap)) {
            Wire.ApiVersions answer = wire.apiVersions(A_VERSION_OF_THE_FUTURE);
            Expect.equal("error code", UNSUPPORTED_VERSION, answer.error());
            Expect.that(answer.apis().containsKey(Wire.API_VERSIONS), "it names no ApiVersions: " + answer);
            Expect.equal("error code on the same connection", (short) 0, wire.apiVersions((short) 0).error());
        }
        try (Wire wire = new Wire(bootstrap)) {
            wire.send(Wire.METADATA, A_VERSION_OF_THE_FUTURE, new byte[Integer.BYTES]);
            wire.receive().ifPresent(answer -> {
                // The last fields of a Metadata response: its error code, and no tagged fields.
                String bytes = HexFormat.of().formatHex(answer.array());
                Expect.that(bytes.endsWith("002300"), "Metadata of version 99 was answered with " + bytes);
            });
        }
        Expect.equal("topics seen afterwards", true, cluster.exists(cluster.topic("after-bad-version", 1)));
    }
}
