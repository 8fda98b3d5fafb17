package chronik.clients;

import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.Consumer;

/**
 * What differs between the versions of kafka-clients that these checks are compiled against. Each version has a source
 * folder with its {@code ThisEdition}.
 */
interface Edition {
    Edition CURRENT = new ThisEdition();

    /** The version as people say it, like 3.9. */
    String name();

    /** Describes one topic by its name. */
    Future<Map<String, TopicDescription>> describe(Admin admin, String topic);

    /** Whether the consumer knows {@code group.protocol=consumer}. */
    boolean hasConsumerProtocol();

    /** Whether a subscription to a pattern can be left to the broker. */
    boolean hasBrokerSidePatterns();

    /** Subscribes to a pattern that the broker resolves. */
    void subscribe(Consumer<?, ?> consumer, String pattern);
}
