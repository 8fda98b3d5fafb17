package chronik.clients;

import chronik.harness.Settings;
import chronik.harness.Suite;
import org.apache.kafka.common.utils.AppInfoParser;

/** Everything a program can ask of a broker by way of kafka-clients. */
public final class Main {
    private Main() {}

    public static void main(String[] ids) {
        Settings settings = Settings.fromEnvironment();
        Suite suite = new Suite("java " + Edition.CURRENT.name(), AppInfoParser.getVersion(), settings, ids);
        Cluster cluster = new Cluster(settings);
        new TopicChecks(cluster).addTo(suite);
        new ProduceChecks(cluster).addTo(suite);
        new ConsumeChecks(cluster).addTo(suite);
        new AdminChecks(cluster).addTo(suite);
        new ErrorChecks(cluster).addTo(suite);
        new GroupChecks(cluster).addTo(suite);
        new GroupAdminChecks(cluster).addTo(suite);
        new ConsumerProtocolChecks(cluster).addTo(suite);
        new TransactionChecks(cluster).addTo(suite);
        suite.run();
    }
}
