package chronik.clients;

import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;

/** kafka-clients 4.3. */
final class ThisEdition implements Edition {
    @Override
    public String name() {
        return "4.3";
    }

    @Override
    public Future<Map<String, TopicDescription>> describe(Admin admin, String topic) {
        return admin.describeTopics(List.of(topic)).allTopicNames();
    }

    @Override
    public boolean hasConsumerProtocol() {
        return true;
    }

    @Override
    public boolean hasBrokerSidePatterns() {
        return true;
    }

    @Override
    public void subscribe(Consumer<?, ?> consumer, String pattern) {
        consumer.subscribe(new SubscriptionPattern(pattern));
    }
}
