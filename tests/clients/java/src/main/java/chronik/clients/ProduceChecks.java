package chronik.clients;

import static java.nio.charset.StandardCharsets.UTF_8;

import chronik.harness.Expect;
import chronik.harness.Suite;
import chronik.harness.Wait;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.StreamSupport;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** What was produced is there, unchanged and once. */
final class ProduceChecks {
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    // 2021-01-01, so nothing that a broker of today would have made up.
    private static final long A_TIME = 1_609_459_200_000L;

    // Records under way at a time; enough for full batches on every connection.
    private static final int UNANSWERED = 1_000;

    private final Cluster cluster;

    ProduceChecks(Cluster cluster) {
        this.cluster = cluster;
    }

    void addTo(Suite suite) {
        CODECS.forEach(codec -> suite.add("produce-" + codec, () -> produce(codec)));
        suite.add("round-trip", this::roundTrip);
        suite.add("idempotent-producer", this::idempotent);
    }

    private void produce(String codec) throws Exception {
        int count = cluster.settings().size(2_000, 100_000);
        String topic = cluster.topic("codec-" + codec, 1);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<String, String> producer = cluster.producer(Map.of(
                "compression.type", codec, "linger.ms", "20", "enable.idempotence", "false"))) {
            for (int number = 0; number < count; number++) {
                sent.add(producer.send(new ProducerRecord<>(topic, "key " + number, text(codec, number))));
            }
        }
        for (int number = 0; number < count; number++) {
            Expect.equal("offset answered", (long) number, Wait.get("Produce", sent.get(number)).offset());
        }
        List<ConsumerRecord<String, String>> found = Reading.whole(cluster, topic);
        Expect.equal("number of records", count, found.size());
        for (int number = 0; number < count; number++) {
            Expect.equal("offset", (long) number, found.get(number).offset());
            Expect.equal("key at " + number, "key " + number, found.get(number).key());
            Expect.equal("value at " + number, text(codec, number), found.get(number).value());
        }
    }

    private static String text(String codec, int number) {
        return (codec + " " + number + " ").repeat(8);
    }

    private void roundTrip() throws Exception {
        String topic = cluster.topic("round-trip", 1);
        List<ProducerRecord<byte[], byte[]>> sent = List.of(
                record(topic, A_TIME, "key", "value"),
                record(topic, A_TIME + 1, null, "no key"),
                record(topic, A_TIME - 1, "earlier than the one before", ""),
                record(topic, 0, "a tombstone", null),
                record(topic, A_TIME, "", "an empty key", new RecordHeader("name", bytes("value"))),
                record(topic, A_TIME, "h", "headers",
                        new RecordHeader("twice", bytes("1")),
                        new RecordHeader("twice", bytes("2")),
                        new RecordHeader("null", (byte[]) null),
                        new RecordHeader("empty", new byte[0]),
                        new RecordHeader("", bytes("no name")),
                        new RecordHeader("\u00fcml\u00e4ut", new byte[] {0, -1, 127, -128})));
        long before = System.currentTimeMillis();
        String stamped = cluster.topic("stamped", 1, Map.of("message.timestamp.type", "LogAppendTime"));
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(
                cluster.producerProperties(Map.of()), new ByteArraySerializer(), new ByteArraySerializer())) {
            for (ProducerRecord<byte[], byte[]> one : sent) {
                Wait.get("Produce", producer.send(one));
            }
            Wait.get("Produce", producer.send(record(stamped, A_TIME, "k", "v")));
        }
        long after = System.currentTimeMillis();

        List<ConsumerRecord<byte[], byte[]>> found = readBytes(topic);
        Expect.equal("number of records", sent.size(), found.size());
        for (int at = 0; at < sent.size(); at++) {
            Expect.equal("record " + at, describe(sent.get(at)), describe(found.get(at)));
            Expect.equal("kind of timestamp", TimestampType.CREATE_TIME, found.get(at).timestampType());
        }
        ConsumerRecord<byte[], byte[]> byBroker = readBytes(stamped).get(0);
        Expect.equal("kind of timestamp", TimestampType.LOG_APPEND_TIME, byBroker.timestampType());
        Expect.that(before <= byBroker.timestamp() && byBroker.timestamp() <= after,
                "appended between " + before + " and " + after + ", stamped " + byBroker.timestamp());
    }

    private List<ConsumerRecord<byte[], byte[]>> readBytes(String topic) throws Exception {
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(
                cluster.consumerProperties(Map.of("enable.auto.commit", "false")),
                new ByteArrayDeserializer(),
                new ByteArrayDeserializer())) {
            consumer.assign(List.of(new TopicPartition(topic, 0)));
            consumer.seekToBeginning(consumer.assignment());
            return Reading.toEnd(consumer);
        }
    }

    private static ProducerRecord<byte[], byte[]> record(
            String topic, long time, String key, String value, Header... headers) {
        return new ProducerRecord<>(topic, 0, time, bytes(key), bytes(value), Arrays.asList(headers));
    }

    private static byte[] bytes(String text) {
        return text == null ? null : text.getBytes(UTF_8);
    }

    private static String describe(ProducerRecord<byte[], byte[]> one) {
        return describe(one.timestamp(), one.key(), one.value(), one.headers());
    }

    private static String describe(ConsumerRecord<byte[], byte[]> one) {
        return describe(one.timestamp(), one.key(), one.value(), one.headers());
    }

    private static String describe(long time, byte[] key, byte[] value, Iterable<Header> headers) {
        return time + " " + Arrays.toString(key) + " " + Arrays.toString(value) + " "
                + StreamSupport.stream(headers.spliterator(), false)
                        .map(header -> header.key() + "=" + Arrays.toString(header.value()))
                        .collect(Collectors.toList());
    }

    /** A broker killed under an idempotent producer: every record is there once, in order. */
    private void idempotent() throws Exception {
        int partitions = 3;
        String topic = cluster.topic("idempotent", partitions);
        int count = sendOverARestart(topic, partitions, cluster.settings().size(4_000, 60_000));
        List<ConsumerRecord<String, String>> found = Reading.whole(cluster, topic);
        Reading.expectOnce(found, 0, count);
        for (int partition = 0; partition < partitions; partition++) {
            int here = partition;
            List<String> expected = IntStream.range(0, count)
                    .filter(number -> number % partitions == here)
                    .mapToObj(String::valueOf)
                    .collect(Collectors.toList());
            List<String> values = found.stream()
                    .filter(one -> one.partition() == here)
                    .map(ConsumerRecord::value)
                    .collect(Collectors.toList());
            Expect.that(expected.equals(values), "the records of partition " + here + " are out of order");
        }
    }

    /** Sends at least so many records, before, during and after a restart; returns how many. */
    private int sendOverARestart(String topic, int partitions, int least) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        CompletableFuture<Void> restart = null;
        try (KafkaProducer<String, String> producer = cluster.producer(Map.of(
                "enable.idempotence", "true",
                "max.in.flight.requests.per.connection", "5",
                "retries", "2147483647",
                "batch.size", "2000"))) {
            for (int number = 0; number < least || !restart.isDone(); number++) {
                sent.add(producer.send(
                        new ProducerRecord<>(topic, number % partitions, null, String.valueOf(number))));
                if (number >= UNANSWERED) {
                    Wait.get("Produce", sent.get(number - UNANSWERED));
                }
                if (number == least / 2) {
                    restart = CompletableFuture.runAsync(this::restartOrComplain);
                }
            }
            producer.flush();
        }
        restart.join();
        for (Future<RecordMetadata> one : sent) {
            Wait.get("Produce", one);
        }
        return sent.size();
    }

    private void restartOrComplain() {
        try {
            cluster.restart();
        } catch (Exception failed) {
            throw new IllegalStateException(failed);
        }
    }
}
