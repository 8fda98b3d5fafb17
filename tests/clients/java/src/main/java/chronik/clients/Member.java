package chronik.clients;

import chronik.harness.Wait;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.BiConsumer;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;

/** A consumer of a group on a thread of its own; what it owns and receives can be looked at from outside. */
final class Member implements AutoCloseable, ConsumerRebalanceListener {
    private static final Duration POLL = Duration.ofMillis(100);
    private static final Duration LEAVE = Duration.ofSeconds(10);

    private final KafkaConsumer<String, String> consumer;
    private final Thread thread;
    private final Collection<ConsumerRecord<String, String>> received = new ConcurrentLinkedQueue<>();
    private final Collection<TopicPartition> revoked = new ConcurrentLinkedQueue<>();
    private volatile Set<TopicPartition> owned = Set.of();
    private volatile RuntimeException failure;
    private volatile boolean leaving;

    /** Joins a group for one topic. */
    static Member of(Cluster cluster, String group, String topic, Map<String, ?> settings) {
        return new Member(cluster, group, settings, (consumer, member) -> consumer.subscribe(List.of(topic), member));
    }

    /** Joins a group; {@code subscribe} is called first, on the member's thread. */
    Member(
            Cluster cluster,
            String group,
            Map<String, ?> settings,
            BiConsumer<KafkaConsumer<String, String>, Member> subscribe) {
        consumer = cluster.consumer(Cluster.member(group, settings));
        thread = new Thread(() -> run(subscribe), "member of " + group);
        thread.setDaemon(true);
        thread.start();
    }

    /** The partitions it owned after its last poll. Throws what ended it, if something did. */
    Set<TopicPartition> owned() {
        if (failure != null) {
            throw new AssertionError("a member ended: " + failure, failure);
        }
        return owned;
    }

    Collection<ConsumerRecord<String, String>> received() {
        owned();
        return received;
    }

    /** Every partition that was ever taken from it, as long as it did not leave. */
    Collection<TopicPartition> revoked() {
        return List.copyOf(revoked);
    }

    /** What ended it, or null. */
    RuntimeException failure() {
        return failure;
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        if (!leaving) {
            revoked.addAll(partitions);
        }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {}

    /** Leaves the group, with what was received committed. */
    @Override
    public void close() throws Exception {
        leaving = true;
        consumer.wakeup();
        thread.join(LEAVE.plus(Wait.ANSWER).toMillis());
        if (thread.isAlive()) {
            throw new AssertionError("a member does not leave its group; it is in "
                    + new ArrayList<>(List.of(thread.getStackTrace())));
        }
    }

    private void run(BiConsumer<KafkaConsumer<String, String>, Member> subscribe) {
        try (consumer) {
            subscribe.accept(consumer, this);
            while (!leaving) {
                consumer.poll(POLL).forEach(received::add);
                owned = Set.copyOf(consumer.assignment());
            }
        } catch (WakeupException wanted) {
            // close() was called.
        } catch (RuntimeException failed) {
            failure = failed;
        } finally {
            owned = Set.of();
        }
    }
}
