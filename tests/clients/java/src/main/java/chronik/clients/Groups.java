package chronik.clients;

import chronik.harness.Wait;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.TopicPartition;

/** Waiting for groups to settle and to have read. */
final class Groups {
    private Groups() {}

    /** Waits until the members share all of the partitions, and every one of them has some. */
    static void awaitShared(Set<TopicPartition> partitions, Member... members) throws Exception {
        Wait.until(
                () -> partitions + " to be shared, not " + owned(members),
                Wait.ANSWER,
                () -> shared(partitions, members));
    }

    private static boolean shared(Set<TopicPartition> partitions, Member... members) {
        List<Set<TopicPartition>> owned = owned(members);
        Set<TopicPartition> together = owned.stream().flatMap(Set::stream).collect(Collectors.toSet());
        return owned.stream().noneMatch(Set::isEmpty)
                && together.equals(partitions)
                && owned.stream().mapToInt(Set::size).sum() == partitions.size();
    }

    private static List<Set<TopicPartition>> owned(Member... members) {
        return Arrays.stream(members).map(Member::owned).collect(Collectors.toList());
    }

    /** Waits until the members together have received every number below the limit, and that each once. */
    static void awaitOnce(int limit, Member... members) throws Exception {
        Wait.until(
                () -> limit + " different records, not " + distinct(members),
                Wait.ANSWER,
                () -> distinct(members) >= limit);
        Reading.expectOnce(received(members), 0, limit);
    }

    static Collection<ConsumerRecord<String, String>> received(Member... members) {
        return Arrays.stream(members).flatMap(member -> member.received().stream()).collect(Collectors.toList());
    }

    private static int distinct(Member... members) {
        return new HashSet<>(Reading.values(received(members))).size();
    }

    static Set<TopicPartition> partitions(String topic, int count) {
        return IntStream.range(0, count)
                .mapToObj(partition -> new TopicPartition(topic, partition))
                .collect(Collectors.toSet());
    }
}
