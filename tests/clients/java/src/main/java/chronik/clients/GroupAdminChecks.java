package chronik.clients;

import chronik.harness.Expect;
import chronik.harness.Suite;
import chronik.harness.Wait;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ConsumerGroupListing;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.UnknownMemberIdException;

/** Groups and their offsets, seen and changed from outside. */
final class GroupAdminChecks {
    private static final int PARTITIONS = 2;

    private final Cluster cluster;

    GroupAdminChecks(Cluster cluster) {
        this.cluster = cluster;
    }

    void addTo(Suite suite) {
        suite.add("admin-groups", this::groups);
        suite.add("admin-offsets", this::offsets);
    }

    private void groups() throws Exception {
        String topic = cluster.topic("watched", PARTITIONS);
        String group = cluster.settings().name("watched");
        Set<TopicPartition> all = Groups.partitions(topic, PARTITIONS);
        Map<String, Object> settings = Map.of(
                ConsumerConfig.PARTITION_ASSIGNMENT_STRATEGY_CONFIG, RangeAssignor.class.getName(),
                ConsumerConfig.CLIENT_ID_CONFIG, "the watched one",
                ConsumerConfig.GROUP_INSTANCE_ID_CONFIG, "at-home");
        try (Member member = Member.of(cluster, group, topic, settings)) {
            Groups.awaitShared(all, member);
            Wait.until("the group to be stable", () -> state(group).equals("Stable"));
            Expect.that(listed(group), "the group is not listed");
            expectDescribed(describe(group), all);
            Expect.failure(GroupNotEmptyException.class, "deleting a group with a member", () -> delete(group));
            Expect.failure(GroupSubscribedToTopicException.class, "deleting offsets of a topic in use", () ->
                    deleteOffsets(group, new TopicPartition(topic, 0)));
        }
        // A member with a name of its own stays until its session ends, unless somebody removes it.
        Expect.equal("members after a static one was closed", 1, describe(group).members().size());
        Wait.get("LeaveGroup", cluster.admin().removeMembersFromConsumerGroup(group,
                new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("at-home")))).all());
        Wait.until("the group to be empty", () -> state(group).equals("Empty"));
        delete(group);
        Expect.that(!listed(group), "the deleted group is listed");
        Expect.failure(GroupIdNotFoundException.class, "deleting it again", () -> delete(group));
    }

    private void expectDescribed(ConsumerGroupDescription described, Set<TopicPartition> owned) {
        Expect.equal("assignor", "range", described.partitionAssignor());
        Expect.that(described.coordinator() != null && described.coordinator().port() > 0,
                "coordinator " + described.coordinator());
        Expect.that(!described.isSimpleConsumerGroup(), "it is called a simple group");
        Expect.equal("number of members", 1, described.members().size());
        MemberDescription member = described.members().iterator().next();
        Expect.equal("client id", "the watched one", member.clientId());
        Expect.equal("instance id", "at-home", member.groupInstanceId().orElse(null));
        Expect.that(member.consumerId().startsWith("at-home-"), "member id " + member.consumerId());
        Expect.equal("host", "/127.0.0.1", member.host());
        Expect.equal("assignment", owned, member.assignment().topicPartitions());
    }

    private void offsets() throws Exception {
        String topic = cluster.topic("committed", PARTITIONS);
        String group = cluster.settings().name("committed");
        TopicPartition zero = new TopicPartition(topic, 0);
        TopicPartition one = new TopicPartition(topic, 1);
        cluster.fill(topic, PARTITIONS, 0, 100);
        Map<TopicPartition, OffsetAndMetadata> wanted =
                Map.of(zero, new OffsetAndMetadata(30, "why not"), one, new OffsetAndMetadata(50));
        alter(group, wanted);
        Expect.equal("committed", wanted, cluster.committed(group));
        Expect.that(listed(group), "a group of commits alone is not listed");
        Expect.equal("state", "Empty", state(group));

        try (Member member = Member.of(cluster, group, topic, Map.of())) {
            Groups.awaitShared(Set.of(zero, one), member);
            Wait.until("20 records", () -> member.received().size() >= 20);
            // Partition 0 holds the even numbers.
            Expect.equal("read from the committed offset",
                    Reading.numbers(30, 50).stream().map(n -> String.valueOf(Integer.parseInt(n) * 2))
                            .collect(Collectors.toList()),
                    Reading.values(member.received()));
            Expect.failure(UnknownMemberIdException.class, "altering offsets of a group with a member", () ->
                    alter(group, wanted));
        }
        Map<TopicPartition, Long> left = new HashMap<>();
        cluster.committed(group).forEach((partition, offset) -> left.put(partition, offset.offset()));
        Expect.equal("committed on leaving", Map.of(zero, 50L, one, 50L), left);
        deleteOffsets(group, one);
        Expect.equal("partitions with an offset", Set.of(zero), cluster.committed(group).keySet());
        delete(group);
        Expect.that(!listed(group), "the deleted group is listed");
    }

    private void alter(String group, Map<TopicPartition, OffsetAndMetadata> offsets) throws Exception {
        Wait.get("OffsetCommit", cluster.admin().alterConsumerGroupOffsets(group, offsets).all());
    }

    private void deleteOffsets(String group, TopicPartition partition) throws Exception {
        Wait.get("OffsetDelete", cluster.admin().deleteConsumerGroupOffsets(group, Set.of(partition)).all());
    }

    private void delete(String group) throws Exception {
        Wait.get("DeleteGroups", cluster.admin().deleteConsumerGroups(List.of(group)).all());
    }

    private boolean listed(String group) throws Exception {
        return Wait.get("ListGroups", cluster.admin().listConsumerGroups().all()).stream()
                .map(ConsumerGroupListing::groupId)
                .anyMatch(group::equals);
    }

    private ConsumerGroupDescription describe(String group) throws Exception {
        return Wait.get("DescribeGroups", cluster.admin().describeConsumerGroups(List.of(group)).all()).get(group);
    }

    private String state(String group) throws Exception {
        return describe(group).state().toString();
    }
}
