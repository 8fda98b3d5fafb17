package chronik.clients;

import chronik.harness.Expect;
import chronik.harness.Suite;
import chronik.harness.Wait;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;

/** Groups whose members agree among themselves (JoinGroup and SyncGroup). */
final class GroupChecks {
    private static final int PARTITIONS = 4;
    private static final int RECORDS = 200;

    private final Cluster cluster;

    GroupChecks(Cluster cluster) {
        this.cluster = cluster;
    }

    void addTo(Suite suite) {
        suite.add("group-of-two", this::groupOfTwo);
        suite.add("group-resume-after-restart", this::resumeAfterRestart);
        suite.add("error-fenced-member", this::fencedMember);
    }

    private void groupOfTwo() throws Exception {
        twoMembers("eager", RangeAssignor.class);
        twoMembers("cooperative", CooperativeStickyAssignor.class);
        if (cluster.settings().full()) {
            twoMembers("round-robin", RoundRobinAssignor.class);
            twoMembers("sticky", StickyAssignor.class);
        }
    }

    private void twoMembers(String name, Class<?> assignor) throws Exception {
        boolean cooperative = assignor == CooperativeStickyAssignor.class;
        String topic = cluster.topic("two-" + name, PARTITIONS);
        String group = cluster.settings().name("two-" + name);
        Set<TopicPartition> all = Groups.partitions(topic, PARTITIONS);
        Map<String, Object> settings = Map.of(ConsumerConfig.PARTITION_ASSIGNMENT_STRATEGY_CONFIG, assignor.getName());
        try (Member first = Member.of(cluster, group, topic, settings)) {
            Groups.awaitShared(all, first);
            try (Member second = Member.of(cluster, group, topic, settings)) {
                Groups.awaitShared(all, first, second);
                Expect.equal(name + ": partitions of the first", PARTITIONS / 2, first.owned().size());
                int taken = cooperative ? PARTITIONS / 2 : PARTITIONS;
                Expect.equal(name + ": partitions taken from the first: " + first.revoked(), taken,
                        first.revoked().size());

                cluster.fill(topic, PARTITIONS, 0, RECORDS);
                Groups.awaitOnce(RECORDS, first, second);
                Expect.that(!second.received().isEmpty(), name + ": the second member received nothing");

                second.close();
                Groups.awaitShared(all, first);
                cluster.fill(topic, PARTITIONS, RECORDS, 2 * RECORDS);
                Groups.awaitOnce(2 * RECORDS, first, second);
            }
        }
        for (TopicPartition partition : all) {
            long committed = cluster.committed(group).get(partition).offset();
            Expect.equal(name + ": committed of " + partition, 2L * RECORDS / PARTITIONS, committed);
        }
    }

    /** One group was left before the restart, one lives through it. */
    private void resumeAfterRestart() throws Exception {
        String topic = cluster.topic("resume", PARTITIONS);
        String left = cluster.settings().name("left");
        String alive = cluster.settings().name("alive");
        cluster.fill(topic, PARTITIONS, 0, RECORDS);
        Map<TopicPartition, OffsetAndMetadata> committed = readAndCommit(left, topic, RECORDS);

        try (Member member = Member.of(cluster, alive, topic, Map.of())) {
            Groups.awaitOnce(RECORDS, member);
            Map<TopicPartition, OffsetAndMetadata> all = cluster.committed(left);
            Wait.until("commits of the live member", () -> offsetsOf(cluster.committed(alive)).equals(offsetsOf(all)));

            cluster.restart();

            Expect.equal("committed after the restart", committed, cluster.committed(left));
            cluster.fill(topic, PARTITIONS, RECORDS, 2 * RECORDS);
            Groups.awaitOnce(2 * RECORDS, member);
        }
        try (Member resumed = Member.of(cluster, left, topic, Map.of())) {
            Wait.until("the group that was left to read on", () -> resumed.received().size() >= RECORDS);
            Reading.expectOnce(resumed.received(), RECORDS, 2 * RECORDS);
        }
    }

    private static Map<TopicPartition, Long> offsetsOf(Map<TopicPartition, OffsetAndMetadata> committed) {
        Map<TopicPartition, Long> offsets = new HashMap<>();
        committed.forEach((partition, offset) -> offsets.put(partition, offset.offset()));
        return offsets;
    }

    private Map<TopicPartition, OffsetAndMetadata> readAndCommit(String group, String topic, int count)
            throws Exception {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        int[] seen = {0};
        try (KafkaConsumer<String, String> consumer = cluster.consumer(
                Cluster.member(group, Map.of(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, "false")))) {
            consumer.subscribe(List.of(topic));
            Wait.until(() -> count + " records, not " + seen[0], Wait.ANSWER, () -> {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(100))) {
                    offsets.put(
                            new TopicPartition(topic, record.partition()),
                            new OffsetAndMetadata(record.offset() + 1, record.leaderEpoch(), "by hand"));
                    seen[0]++;
                }
                return seen[0] >= count;
            });
            consumer.commitSync(offsets);
            Expect.equal("committed as the consumer sees it", offsets, consumer.committed(offsets.keySet()));
        }
        return offsets;
    }

    /** Two consumers with one static id: the older is told, the newer has everything. */
    private void fencedMember() throws Exception {
        String topic = cluster.topic("static", PARTITIONS);
        String group = cluster.settings().name("static");
        Set<TopicPartition> all = Groups.partitions(topic, PARTITIONS);
        Map<String, Object> settings = Map.of(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG, "the-only-one");
        try (Member older = Member.of(cluster, group, topic, settings)) {
            Groups.awaitShared(all, older);
            try (Member newer = Member.of(cluster, group, topic, settings)) {
                Groups.awaitShared(all, newer);
                Wait.until("the older member to be fenced", () -> older.failure() != null);
                Expect.that(older.failure() instanceof FencedInstanceIdException, "ended by " + older.failure());
                cluster.fill(topic, PARTITIONS, 0, RECORDS);
                Groups.awaitOnce(RECORDS, newer);
            }
        }
    }
}
