package chronik.clients;

import chronik.harness.Control;
import chronik.harness.Settings;
import chronik.harness.Wait;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The broker under test, and clients for it with keys and values of text. */
final class Cluster {
    private final Settings settings;
    private final Control control;
    private final Admin admin;

    Cluster(Settings settings) {
        this.settings = settings;
        this.control = new Control(settings.control());
        this.admin = Admin.create(Map.of(
                AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, settings.bootstrap(),
                AdminClientConfig.REQUEST_TIMEOUT_MS_CONFIG, 10_000,
                AdminClientConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, 20_000,
                AdminClientConfig.RECONNECT_BACKOFF_MAX_MS_CONFIG, 200));
    }

    Settings settings() {
        return settings;
    }

    Admin admin() {
        return admin;
    }

    /** SIGKILL and a new start; returns when the broker is ready. */
    void restart() throws Exception {
        control.restart();
    }

    /** Creates a topic of this run and returns its name. */
    String topic(String suffix, int partitions, Map<String, String> configs) throws Exception {
        String name = settings.name(suffix);
        create(new NewTopic(name, partitions, (short) 1).configs(configs));
        return name;
    }

    String topic(String suffix, int partitions) throws Exception {
        return topic(suffix, partitions, Map.of());
    }

    /** Creates a topic and waits until it can be described, and every partition has a leader that knows of it. */
    void create(NewTopic topic) throws Exception {
        Wait.get("CreateTopics", admin.createTopics(List.of(topic)).all());
        Wait.until("topic " + topic.name() + " to be described", () -> exists(topic.name()));
        Map<TopicPartition, OffsetSpec> ends = new HashMap<>();
        for (int partition = 0; partition < topic.numPartitions(); partition++) {
            ends.put(new TopicPartition(topic.name(), partition), OffsetSpec.latest());
        }
        Wait.get("ListOffsets", admin.listOffsets(ends).all());
    }

    boolean exists(String topic) throws Exception {
        try {
            describe(topic);
            return true;
        } catch (UnknownTopicOrPartitionException unknown) {
            return false;
        }
    }

    TopicDescription describe(String topic) throws Exception {
        return Wait.get("describing " + topic, Edition.CURRENT.describe(admin, topic)).get(topic);
    }

    /** What a group has committed, as offsets by partition. */
    Map<TopicPartition, OffsetAndMetadata> committed(String group) throws Exception {
        return Wait.get(
                "OffsetFetch", admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
    }

    /** A producer that waits for all replicas and gives up in time. */
    KafkaProducer<String, String> producer(Map<String, ?> overrides) {
        return new KafkaProducer<>(producerProperties(overrides), new StringSerializer(), new StringSerializer());
    }

    KafkaProducer<String, String> producer() {
        return producer(Map.of());
    }

    Properties producerProperties(Map<String, ?> overrides) {
        Properties properties = new Properties();
        properties.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, settings.bootstrap());
        properties.put(ProducerConfig.ACKS_CONFIG, "all");
        properties.put(ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG, "10000");
        properties.put(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, "40000");
        properties.put(ProducerConfig.MAX_BLOCK_MS_CONFIG, "20000");
        properties.put(ProducerConfig.RECONNECT_BACKOFF_MAX_MS_CONFIG, "200");
        properties.putAll(overrides);
        return properties;
    }

    /** A consumer that begins with the first record and gives up in time. */
    KafkaConsumer<String, String> consumer(Map<String, ?> overrides) {
        return new KafkaConsumer<>(
                consumerProperties(overrides), new StringDeserializer(), new StringDeserializer());
    }

    KafkaConsumer<String, String> consumer() {
        return consumer(Map.of(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false"));
    }

    Properties consumerProperties(Map<String, ?> overrides) {
        Properties properties = new Properties();
        properties.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, settings.bootstrap());
        properties.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        properties.put(ConsumerConfig.REQUEST_TIMEOUT_MS_CONFIG, "10000");
        properties.put(ConsumerConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, "20000");
        properties.put(ConsumerConfig.RECONNECT_BACKOFF_MAX_MS_CONFIG, "200");
        properties.put(ConsumerConfig.METADATA_MAX_AGE_CONFIG, "1000");
        properties.putAll(overrides);
        return properties;
    }

    /** The settings of a consumer in a group; a classic member notices a rebalance with its next heartbeat. */
    static Map<String, Object> member(String group, Map<String, ?> overrides) {
        Map<String, Object> settings = new HashMap<>();
        settings.put(ConsumerConfig.GROUP_ID_CONFIG, group);
        settings.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "true");
        settings.put(ConsumerConfig.AUTO_COMMIT_INTERVAL_MS_CONFIG, "200");
        if (!overrides.containsKey("group.protocol")) {
            // The broker chooses these for members of the newer protocol.
            settings.put(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG, "10000");
            settings.put(ConsumerConfig.HEARTBEAT_INTERVAL_MS_CONFIG, "300");
        }
        settings.putAll(overrides);
        return settings;
    }

    /** Produces the numbers from first to last - 1 as values, each to the partition it falls on, and waits for all. */
    void fill(String topic, int partitions, int first, int last) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<String, String> producer = producer()) {
            for (int number = first; number < last; number++) {
                String text = String.valueOf(number);
                sent.add(producer.send(new ProducerRecord<>(topic, number % partitions, text, text)));
            }
            producer.flush();
        }
        for (Future<RecordMetadata> one : sent) {
            Wait.get("Produce", one);
        }
    }
}
