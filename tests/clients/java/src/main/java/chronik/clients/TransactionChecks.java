package chronik.clients;

import chronik.harness.Expect;
import chronik.harness.Skipped;
import chronik.harness.Suite;
import chronik.harness.Wait;
import chronik.harness.Wire;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;

/** Records that become visible together, or never. */
final class TransactionChecks {
    private static final int RECORDS = 30;
    private static final Map<String, String> COMMITTED =
            Map.of("isolation.level", "read_committed", "enable.auto.commit", "false");

    private final Cluster cluster;

    TransactionChecks(Cluster cluster) {
        this.cluster = cluster;
    }

    void addTo(Suite suite) {
        suite.add("transactions", this::all);
    }

    private void all() throws Exception {
        var served = Wire.served(cluster.settings().bootstrap()).keySet();
        for (short api : new short[] {Wire.INIT_PRODUCER_ID, Wire.ADD_PARTITIONS_TO_TXN, Wire.END_TXN}) {
            if (!served.contains(api)) {
                throw new Skipped("the broker has no transactions: it does not serve API " + api);
            }
        }
        commitAndAbort();
        fencing();
        readProcessWrite();
    }

    private KafkaProducer<String, String> transactional(String id) {
        return cluster.producer(Map.of("transactional.id", cluster.settings().name(id)));
    }

    private void commitAndAbort() throws Exception {
        String topic = cluster.topic("transactions", 2);
        try (KafkaProducer<String, String> producer = transactional("writer")) {
            producer.initTransactions();
            transact(producer, topic, 0, true);
            transact(producer, topic, RECORDS, false);
            Reading.expectOnce(Reading.whole(cluster, topic, COMMITTED), 0, RECORDS);
            Reading.expectOnce(Reading.whole(cluster, topic), 0, 2 * RECORDS);

            // One that is still open hides itself and what comes after it.
            producer.beginTransaction();
            Wait.get("Produce", producer.send(new ProducerRecord<>(topic, 0, "", "open")));
            cluster.fill(topic, 1, 2 * RECORDS, 3 * RECORDS);
            Reading.expectOnce(Reading.whole(cluster, topic, COMMITTED), 0, RECORDS);
            producer.abortTransaction();
        }
        Expect.equal("committed records", 2 * RECORDS, Reading.whole(cluster, topic, COMMITTED).size());
    }

    private static void transact(KafkaProducer<String, String> producer, String topic, int first, boolean commit) {
        producer.beginTransaction();
        for (String number : Reading.numbers(first, first + RECORDS)) {
            producer.send(new ProducerRecord<>(topic, Integer.parseInt(number) % 2, number, number));
        }
        if (commit) {
            producer.commitTransaction();
        } else {
            producer.flush();
            producer.abortTransaction();
        }
    }

    private void fencing() throws Exception {
        String topic = cluster.topic("fenced", 1);
        KafkaProducer<String, String> older = transactional("fenced");
        try (KafkaProducer<String, String> newer = transactional("fenced")) {
            older.initTransactions();
            older.beginTransaction();
            Wait.get("Produce", older.send(new ProducerRecord<>(topic, "lost")));
            newer.initTransactions();
            newer.beginTransaction();
            Wait.get("Produce", newer.send(new ProducerRecord<>(topic, "kept")));
            Expect.failure(ProducerFencedException.class, "committing as the older producer", older::commitTransaction);
            newer.commitTransaction();
        } finally {
            older.close(Duration.ZERO);
        }
        Expect.equal("committed", List.of("kept"), Reading.values(Reading.whole(cluster, topic, COMMITTED)));
    }

    /** Offsets of the input and records of the output are committed together; a restart of the broker lies between. */
    private void readProcessWrite() throws Exception {
        String input = cluster.topic("input", 1);
        String output = cluster.topic("output", 1);
        String group = cluster.settings().name("processing");
        cluster.fill(input, 1, 0, RECORDS);
        copyOnce(group, input, output, false);
        copyOnce(group, input, output, true);
        cluster.restart();
        cluster.fill(input, 1, RECORDS, 2 * RECORDS);
        copyOnce(group, input, output, true);
        Expect.equal(
                "output", Reading.numbers(0, 2 * RECORDS), Reading.values(Reading.whole(cluster, output, COMMITTED)));
        OffsetAndMetadata committed = cluster.committed(group).get(new TopicPartition(input, 0));
        Expect.equal("offset committed", 2L * RECORDS, committed.offset());
    }

    private void copyOnce(String group, String input, String output, boolean commit) throws Exception {
        try (KafkaConsumer<String, String> consumer = cluster.consumer(
                        Cluster.member(group, Map.of("enable.auto.commit", "false")));
                KafkaProducer<String, String> producer = transactional("copying")) {
            producer.initTransactions();
            consumer.subscribe(Set.of(input));
            List<ConsumerRecord<String, String>> read = new ArrayList<>();
            Wait.until(() -> RECORDS + " records, not " + read.size(), Wait.ANSWER, () -> {
                consumer.poll(Duration.ofMillis(100)).forEach(read::add);
                return read.size() >= RECORDS;
            });
            producer.beginTransaction();
            read.forEach(record -> producer.send(new ProducerRecord<>(output, record.key(), record.value())));
            long next = read.get(read.size() - 1).offset() + 1;
            producer.sendOffsetsToTransaction(
                    Map.of(new TopicPartition(input, 0), new OffsetAndMetadata(next)), consumer.groupMetadata());
            if (commit) {
                producer.commitTransaction();
            } else {
                producer.abortTransaction();
            }
        }
    }
}
