package chronik.clients;

import chronik.harness.Expect;
import chronik.harness.Suite;
import chronik.harness.Wait;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Topics come, grow and go. */
final class TopicChecks {
    private final Cluster cluster;

    TopicChecks(Cluster cluster) {
        this.cluster = cluster;
    }

    void addTo(Suite suite) {
        suite.add("create-topic", this::create);
        suite.add("admin-partitions", this::addPartitions);
        suite.add("delete-and-recreate", this::deleteAndRecreate);
    }

    private void create() throws Exception {
        String topic = cluster.topic("created", 3);
        TopicDescription described = cluster.describe(topic);
        Expect.equal("partitions", List.of(0, 1, 2), described.partitions().stream()
                .map(TopicPartitionInfo::partition)
                .collect(Collectors.toList()));
        for (TopicPartitionInfo partition : described.partitions()) {
            Expect.that(partition.leader() != null, "no leader: " + partition);
            Expect.equal("replicas", List.of(partition.leader()), partition.replicas());
            Expect.equal("in-sync replicas", List.of(partition.leader()), partition.isr());
        }
        Expect.that(!described.isInternal(), "an internal topic: " + described);
        Expect.that(topicNames().contains(topic), "the topic is not listed");

        String dry = cluster.settings().name("dry");
        Wait.get("CreateTopics", cluster.admin().createTopics(
                List.of(new NewTopic(dry, 1, (short) 1)), new CreateTopicsOptions().validateOnly(true)).all());
        Expect.that(!cluster.exists(dry), "validateOnly created a topic");

        refused(TopicExistsException.class, new NewTopic(topic, 3, (short) 1));
        refused(InvalidPartitionsException.class, new NewTopic(dry, 0, (short) 1));
        refused(InvalidReplicationFactorException.class, new NewTopic(dry, 1, (short) 5));
        refused(InvalidTopicException.class, new NewTopic("not a name!", 1, (short) 1));
    }

    private void refused(Class<? extends Exception> kind, NewTopic topic) {
        Expect.failure(kind, "creating " + topic, () ->
                Wait.get("CreateTopics", cluster.admin().createTopics(List.of(topic)).all()));
    }

    private void addPartitions() throws Exception {
        String topic = cluster.topic("growing", 2);
        cluster.fill(topic, 2, 0, 20);
        grow(topic, 5);
        Wait.until("five partitions", () -> cluster.describe(topic).partitions().size() == 5);
        cluster.fill(topic, 5, 20, 70);
        Reading.expectOnce(Reading.whole(cluster, topic), 0, 70);

        Expect.failure(InvalidPartitionsException.class, "fewer partitions", () -> grow(topic, 3));
        Expect.failure(InvalidPartitionsException.class, "as many partitions as before", () -> grow(topic, 5));
        String unknown = cluster.settings().name("nobody-made-this");
        Expect.failure(UnknownTopicOrPartitionException.class, "partitions of no topic", () -> grow(unknown, 3));
    }

    private void grow(String topic, int partitions) throws Exception {
        Map<String, NewPartitions> request = Map.of(topic, NewPartitions.increaseTo(partitions));
        Wait.get("CreatePartitions", cluster.admin().createPartitions(request).all());
    }

    private void deleteAndRecreate() throws Exception {
        String topic = cluster.topic("phoenix", 2);
        try (KafkaProducer<String, String> longLived = cluster.producer(Map.of("metadata.max.age.ms", "500"))) {
            for (int number : IntStream.range(0, 10).toArray()) {
                Wait.get("Produce", longLived.send(new ProducerRecord<>(topic, number % 2, "", "old " + number)));
            }
            Wait.get("DeleteTopics", cluster.admin().deleteTopics(List.of(topic)).all());
            Wait.until("the topic to be gone", () -> !cluster.exists(topic) && !topicNames().contains(topic));

            cluster.create(new NewTopic(topic, 1, (short) 1));
            Expect.equal("records of the new topic", List.of(), Reading.values(Reading.whole(cluster, topic)));
            cluster.fill(topic, 1, 0, 5);
            long offset = Wait.get("Produce", longLived.send(new ProducerRecord<>(topic, 0, "", "5"))).offset();
            Expect.equal("offset given to the producer that knew the old topic", 5L, offset);
        }
        List<String> values = Reading.values(Reading.whole(cluster, topic));
        Expect.equal("records of the new topic", Reading.numbers(0, 6), values);
    }

    private Set<String> topicNames() throws Exception {
        return Wait.get("Metadata", cluster.admin().listTopics().names());
    }
}
