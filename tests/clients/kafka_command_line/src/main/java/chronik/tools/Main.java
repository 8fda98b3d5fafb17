package chronik.tools;

import chronik.harness.Settings;
import chronik.harness.Suite;
import org.apache.kafka.common.utils.AppInfoParser;

/** Kafka's command-line tools, one after another. */
public final class Main {
    private Main() {}

    public static void main(String[] ids) throws Exception {
        Settings settings = Settings.fromEnvironment();
        Suite suite = new Suite("kafka tools", AppInfoParser.getVersion(), settings, ids);
        Tool.install();
        Console console = new Console(settings);
        new TopicTools(console).addTo(suite);
        new RecordTools(console).addTo(suite);
        new GroupTools(console).addTo(suite);
        new ClusterTools(console).addTo(suite);
        suite.run();
    }
}
