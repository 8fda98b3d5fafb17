package chronik.clients;

import chronik.harness.Expect;
import chronik.harness.Skipped;
import chronik.harness.Suite;
import chronik.harness.Wait;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.common.TopicPartition;

/** Groups whose partitions the broker assigns (KIP-848). */
final class ConsumerProtocolChecks {
    private static final int PARTITIONS = 4;
    private static final int RECORDS = 200;
    private static final Map<String, Object> PROTOCOL = Map.of("group.protocol", "consumer");

    private final Cluster cluster;

    ConsumerProtocolChecks(Cluster cluster) {
        this.cluster = cluster;
    }

    void addTo(Suite suite) {
        suite.add("consumer-protocol", this::all);
    }

    private void all() throws Exception {
        if (!Edition.CURRENT.hasConsumerProtocol()) {
            throw new Skipped("kafka-clients " + Edition.CURRENT.name() + " has no group.protocol");
        }
        groupOfTwo();
        if (Edition.CURRENT.hasBrokerSidePatterns()) {
            pattern();
            migration();
        }
        restart();
    }

    private void groupOfTwo() throws Exception {
        String topic = cluster.topic("consumer-two", PARTITIONS);
        String group = cluster.settings().name("consumer-two");
        Set<TopicPartition> all = Groups.partitions(topic, PARTITIONS);
        try (Member first = Member.of(cluster, group, topic, PROTOCOL)) {
            Groups.awaitShared(all, first);
            try (Member second = Member.of(cluster, group, topic, PROTOCOL)) {
                Groups.awaitShared(all, first, second);
                Expect.equal("partitions taken from the first", PARTITIONS / 2, first.revoked().size());
                cluster.fill(topic, PARTITIONS, 0, RECORDS);
                Groups.awaitOnce(RECORDS, first, second);

                second.close();
                Groups.awaitShared(all, first);
                cluster.fill(topic, PARTITIONS, RECORDS, 2 * RECORDS);
                Groups.awaitOnce(2 * RECORDS, first, second);
            }
        }
    }

    /** A pattern that the broker resolves finds the topics there are, and those that come later. */
    private void pattern() throws Exception {
        String group = cluster.settings().name("pattern");
        String begin = cluster.settings().name("pattern-");
        Set<TopicPartition> expected = new HashSet<>(Groups.partitions(cluster.topic("pattern-1", 2), 2));
        cluster.topic("patterned", 2);
        cluster.topic("pattern-x", 1);
        try (Member member = new Member(cluster, group, PROTOCOL, (consumer, itself) ->
                Edition.CURRENT.subscribe(consumer, begin + "[0-9]"))) {
            Groups.awaitShared(expected, member);
            if (cluster.settings().full()) {
                // A broker looks for new topics every ten seconds at most.
                expected.addAll(Groups.partitions(cluster.topic("pattern-2", 1), 1));
                Groups.awaitShared(expected, member);
            }
        }
    }

    /** A group of the classic protocol moves to the newer one while it works: one member of each kind for a while. */
    private void migration() throws Exception {
        String topic = cluster.topic("migrating", PARTITIONS);
        String group = cluster.settings().name("migrating");
        Set<TopicPartition> all = Groups.partitions(topic, PARTITIONS);
        try (Member classic = Member.of(cluster, group, topic, Map.of())) {
            Groups.awaitShared(all, classic);
            cluster.fill(topic, PARTITIONS, 0, RECORDS);
            Groups.awaitOnce(RECORDS, classic);
            try (Member modern = Member.of(cluster, group, topic, PROTOCOL)) {
                Groups.awaitShared(all, classic, modern);
                cluster.fill(topic, PARTITIONS, RECORDS, 2 * RECORDS);
                Groups.awaitOnce(2 * RECORDS, classic, modern);

                classic.close();
                Groups.awaitShared(all, modern);
                cluster.fill(topic, PARTITIONS, 2 * RECORDS, 3 * RECORDS);
                Groups.awaitOnce(3 * RECORDS, classic, modern);
            }
        }
    }

    /** A member lives through a restart of the broker. */
    private void restart() throws Exception {
        String topic = cluster.topic("consumer-restart", PARTITIONS);
        String group = cluster.settings().name("consumer-restart");
        try (Member member = Member.of(cluster, group, topic, PROTOCOL)) {
            cluster.fill(topic, PARTITIONS, 0, RECORDS);
            Groups.awaitOnce(RECORDS, member);
            Wait.until("commits", () -> cluster.committed(group).values().stream()
                    .mapToLong(offset -> offset == null ? 0 : offset.offset()).sum() == RECORDS);

            cluster.restart();

            cluster.fill(topic, PARTITIONS, RECORDS, 2 * RECORDS);
            Groups.awaitOnce(2 * RECORDS, member);
        }
    }
}
