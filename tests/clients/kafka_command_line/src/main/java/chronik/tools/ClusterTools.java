package chronik.tools;

import chronik.harness.Expect;
import chronik.harness.Suite;
import java.util.List;
import java.util.regex.Pattern;
import org.apache.kafka.tools.AclCommand;
import org.apache.kafka.tools.BrokerApiVersionsCommand;
import org.apache.kafka.tools.ClusterTool;
import org.apache.kafka.tools.FeatureCommand;
import org.apache.kafka.tools.MetadataQuorumCommand;
import org.apache.kafka.tools.TransactionsCommand;

/** Tools for the cluster as a whole. */
final class ClusterTools {
    private final Console console;

    ClusterTools(Console console) {
        this.console = console;
    }

    void addTo(Suite suite) {
        suite.add("tools-broker-api-versions", this::apiVersions);
        suite.add("tools-cluster", this::cluster);
        suite.add("tools-metadata-quorum", this::metadataQuorum);
        suite.add("tools-acls", this::acls);
        suite.add("tools-transactions", this::transactions);
        suite.add("tools-features", this::features);
    }

    private void apiVersions() throws Exception {
        String said = console.run(BrokerApiVersionsCommand::main);
        Expect.that(said.contains(console.settings().bootstrap().replaceAll(".*:", ":") + " (id: "),
                "no broker at the port of the bootstrap address in: " + said);
        for (String api : List.of("Produce(0): ", "Fetch(1): ", "JoinGroup(11): ", "ApiVersions(18): ")) {
            String line = said.lines().filter(one -> one.contains(api)).findFirst().orElse("nothing");
            Expect.that(line.contains("[usable: "), api + line.trim());
        }
        Expect.lacks(said, "ERROR");
    }

    private void cluster() throws Exception {
        String id = console.runSub(ClusterTool::main, "cluster-id");
        Expect.that(id.matches("Cluster ID: \\S+\n"), id);
        List<List<String>> endpoints = Console.rows(console.runSub(ClusterTool::main, "list-endpoints"));
        Expect.equal("header and one broker", 2, endpoints.size());
        Expect.equal("port", console.settings().bootstrap().replaceAll(".*:", ""), endpoints.get(1).get(2));
        Expect.that(endpoints.get(1).contains("unfenced"), "state: " + endpoints.get(1));
    }

    private void metadataQuorum() throws Exception {
        String status = console.run(MetadataQuorumCommand::main, "describe", "--status");
        for (String line : List.of("ClusterId: +\\S+", "LeaderId: +\\d+", "LeaderEpoch: +\\d+", "HighWatermark: +\\d+",
                "MaxFollowerLag: +0", "CurrentVoters: +\\[.+\\]")) {
            Expect.that(Pattern.compile("^" + line, Pattern.MULTILINE).matcher(status).find(),
                    line + " is not in: " + status);
        }
        String replication = console.run(MetadataQuorumCommand::main, "describe", "--replication");
        Expect.that(Console.rows(replication).stream().anyMatch(row -> row.contains("Leader")), replication);
    }

    private void acls() throws Exception {
        String refused = console.fail(AclCommand::main, "--list");
        Expect.contains(refused, "SecurityDisabledException");
    }

    private void transactions() throws Exception {
        List<List<String>> rows = Console.rows(console.run(TransactionsCommand::main, "list"));
        Expect.equal("header", "TransactionalId", rows.get(0).get(0));
        Expect.equal("transactions", 1, rows.size());
    }

    private void features() throws Exception {
        String said = console.run(FeatureCommand::main, "describe");
        Pattern metadata = Pattern.compile("Feature: metadata.version\\s+SupportedMinVersion: \\S+\\s+"
                + "SupportedMaxVersion: \\S+\\s+FinalizedVersionLevel: \\S+\\s+Epoch: \\d+");
        Expect.that(metadata.matcher(said).find(), "no finalized metadata.version in: " + said);
    }
}
