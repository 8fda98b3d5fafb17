package chronik.harness;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Topics as the suites of whole programs need them: created, written and read. */
public final class Topics implements AutoCloseable {
    private static final Duration POLL = Duration.ofMillis(200);

    private final String bootstrap;
    private final Admin admin;

    public Topics(String bootstrap) {
        this.bootstrap = bootstrap;
        this.admin = Admin.create(Map.of(
                "bootstrap.servers", bootstrap, "request.timeout.ms", 10_000, "default.api.timeout.ms", 20_000));
    }

    public void create(String topic, int partitions) throws Exception {
        Wait.get("CreateTopics", admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all());
    }

    /** Writes values without keys and waits until all are acknowledged. */
    public void write(String topic, Collection<String> values) throws Exception {
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "max.block.ms", 20_000);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<String, String> producer =
                new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            values.forEach(value -> sent.add(producer.send(new ProducerRecord<>(topic, value))));
        }
        for (Future<RecordMetadata> one : sent) {
            Wait.get("Produce", one);
        }
    }

    /** Everything that is committed in a topic, in no order across partitions. */
    public <V> List<ConsumerRecord<String, V>> read(String topic, Deserializer<V> values) throws Exception {
        Map<String, Object> settings = Map.of(
                "bootstrap.servers", bootstrap, "isolation.level", "read_committed", "enable.auto.commit", false);
        List<ConsumerRecord<String, V>> found = new ArrayList<>();
        try (KafkaConsumer<String, V> consumer = new KafkaConsumer<>(settings, new StringDeserializer(), values)) {
            consumer.assign(consumer.partitionsFor(topic).stream()
                    .map(info -> new TopicPartition(topic, info.partition()))
                    .toList());
            consumer.seekToBeginning(consumer.assignment());
            Map<TopicPartition, Long> ends = consumer.endOffsets(consumer.assignment());
            Wait.until("the ends of " + topic, () -> {
                consumer.poll(POLL).forEach(found::add);
                return ends.entrySet().stream().allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
            });
        }
        return found;
    }

    /** Waits until a group has committed the end of every partition that is not empty. */
    public void awaitCommitted(String group, String topic, int partitions) throws Exception {
        Wait.until("group " + group + " to commit the ends of " + topic, () -> {
            for (int partition = 0; partition < partitions; partition++) {
                if (!isCommitted(group, new TopicPartition(topic, partition))) {
                    return false;
                }
            }
            return true;
        });
    }

    private boolean isCommitted(String group, TopicPartition partition) throws Exception {
        long end = Wait.get("ListOffsets",
                admin.listOffsets(Map.of(partition, OffsetSpec.latest())).partitionResult(partition)).offset();
        OffsetAndMetadata committed = Wait.get("OffsetFetch",
                admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).get(partition);
        return end == 0 || committed != null && committed.offset() == end;
    }

    @Override
    public void close() {
        admin.close(Duration.ofSeconds(5));
    }
}
