package chronik.clients;

import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.Consumer;

/** kafka-clients 2.8. */
final class ThisEdition implements Edition {
    @Override
    public String name() {
        return "2.8";
    }

    @Override
    public Future<Map<String, TopicDescription>> describe(Admin admin, String topic) {
        return admin.describeTopics(List.of(topic)).all();
    }

    @Override
    public boolean hasConsumerProtocol() {
        return false;
    }

    @Override
    public boolean hasBrokerSidePatterns() {
        return false;
    }

    @Override
    public void subscribe(Consumer<?, ?> consumer, String pattern) {
        throw new UnsupportedOperationException("kafka-clients 2.8 resolves patterns itself");
    }
}
