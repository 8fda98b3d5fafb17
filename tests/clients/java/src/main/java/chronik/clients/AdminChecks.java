package chronik.clients;

import chronik.harness.Expect;
import chronik.harness.Suite;
import chronik.harness.Wait;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ConfigEntry.ConfigSource;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Configuration and deletion of records. */
final class AdminChecks {
    private final Cluster cluster;

    AdminChecks(Cluster cluster) {
        this.cluster = cluster;
    }

    void addTo(Suite suite) {
        suite.add("admin-configs", this::configs);
        suite.add("admin-delete-records", this::deleteRecords);
    }

    private void configs() throws Exception {
        String topic = cluster.topic("configured", 1, Map.of("retention.ms", "123456"));
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        expectEntry(resource, "retention.ms", "123456", ConfigSource.DYNAMIC_TOPIC_CONFIG);
        expectEntry(resource, "cleanup.policy", "delete", ConfigSource.DEFAULT_CONFIG);

        alter(resource, OpType.SET, "segment.bytes", "2000000");
        awaitValue(resource, "segment.bytes", "2000000");
        alter(resource, OpType.APPEND, "cleanup.policy", "compact");
        awaitValue(resource, "cleanup.policy", "delete,compact");
        alter(resource, OpType.SUBTRACT, "cleanup.policy", "compact");
        awaitValue(resource, "cleanup.policy", "delete");
        alter(resource, OpType.DELETE, "segment.bytes", "");
        Wait.until("segment.bytes to be the default again", () ->
                config(resource).get("segment.bytes").source() != ConfigSource.DYNAMIC_TOPIC_CONFIG);
        // Altering one by one leaves the others alone.
        expectEntry(resource, "retention.ms", "123456", ConfigSource.DYNAMIC_TOPIC_CONFIG);

        Expect.failure(InvalidConfigurationException.class, "a key that does not exist", () ->
                alter(resource, OpType.SET, "no.such.key", "1"));
        Expect.failure(InvalidConfigurationException.class, "a value that is not a number", () ->
                alter(resource, OpType.SET, "segment.bytes", "many"));
        ConfigResource unknown =
                new ConfigResource(ConfigResource.Type.TOPIC, cluster.settings().name("nobody-made-this"));
        Expect.failure(UnknownTopicOrPartitionException.class, "configs of no topic", () -> config(unknown));
        brokerConfigs();
    }

    private void brokerConfigs() throws Exception {
        Collection<Node> nodes = Wait.get("DescribeCluster", cluster.admin().describeCluster().nodes());
        Expect.equal("number of brokers", 1, nodes.size());
        String id = nodes.iterator().next().idString();
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, id);
        Expect.equal("node.id", id, config(broker).get("node.id").value());
        Expect.that(config(broker).get("node.id").isReadOnly(), "node.id can be altered");
        Expect.that(config(broker).get("log.retention.ms") != null, "no log.retention.ms");
    }

    private Config config(ConfigResource resource) throws Exception {
        return Wait.get("DescribeConfigs", cluster.admin().describeConfigs(List.of(resource)).all()).get(resource);
    }

    private void alter(ConfigResource resource, OpType operation, String key, String value) throws Exception {
        AlterConfigOp change = new AlterConfigOp(new ConfigEntry(key, value), operation);
        Wait.get("IncrementalAlterConfigs",
                cluster.admin().incrementalAlterConfigs(Map.of(resource, List.of(change))).all());
    }

    private void awaitValue(ConfigResource resource, String key, String value) throws Exception {
        Wait.until(key + "=" + value, () -> value.equals(config(resource).get(key).value()));
    }

    private void expectEntry(ConfigResource resource, String key, String value, ConfigSource source)
            throws Exception {
        ConfigEntry found = config(resource).get(key);
        Expect.that(found != null, key + " is not described");
        Expect.equal(key, value, found.value());
        Expect.equal("source of " + key, source, found.source());
    }

    private void deleteRecords() throws Exception {
        String topic = cluster.topic("shortened", 1);
        TopicPartition partition = new TopicPartition(topic, 0);
        cluster.fill(topic, 1, 0, 20);
        Expect.equal("low watermark", 12L, deleteBefore(partition, 12));
        try (KafkaConsumer<String, String> consumer = cluster.consumer()) {
            Expect.equal("beginning", Map.of(partition, 12L), consumer.beginningOffsets(List.of(partition)));
        }
        Expect.equal("records left", Reading.numbers(12, 20), Reading.values(Reading.whole(cluster, topic)));
        Expect.failure(OffsetOutOfRangeException.class, "deleting beyond the end", () -> deleteBefore(partition, 21));

        // -1 stands for the end.
        Expect.equal("low watermark", 20L, deleteBefore(partition, -1));
        long end = Wait.get("ListOffsets", cluster.admin().listOffsets(Map.of(partition, OffsetSpec.latest()))
                .partitionResult(partition)).offset();
        Expect.equal("end", 20L, end);
        cluster.fill(topic, 1, 20, 25);
        Expect.equal("records after all", Reading.numbers(20, 25), Reading.values(Reading.whole(cluster, topic)));
    }

    private long deleteBefore(TopicPartition partition, long offset) throws Exception {
        var deleted = cluster.admin().deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(offset)));
        return Wait.get("DeleteRecords", deleted.lowWatermarks().get(partition)).lowWatermark();
    }
}
