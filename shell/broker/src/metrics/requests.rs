//! Requests by API key and version.

use super::histogram::Counter;

/// How often each version of each API was asked for, with one writer. What lies outside the table
/// is garbage from the network and counted together, so that nobody can make the table grow.
#[derive(Debug)]
pub(crate) struct RequestTable {
    counts: Box<[Counter]>,
    other: Counter,
}

impl RequestTable {
    /// An empty table.
    pub(super) fn new() -> Self {
        let counts = (0..API_KEYS * VERSIONS)
            .map(|_| Counter::default())
            .collect();
        Self {
            counts,
            other: Counter::default(),
        }
    }

    /// Counts one request.
    pub(super) fn count(&self, api_key: i16, version: i16) {
        index(api_key, version)
            .and_then(|index| self.counts.get(index))
            .unwrap_or(&self.other)
            .add(1);
    }

    /// Every pair that was seen, as key, version and count.
    pub(super) fn seen(&self) -> impl Iterator<Item = ((usize, usize), u64)> {
        self.counts
            .iter()
            .enumerate()
            .map(|(index, count)| ((index / VERSIONS, index % VERSIONS), count.get()))
            .filter(|(_, count)| *count > 0)
    }

    /// Requests outside the table.
    pub(super) fn other(&self) -> u64 {
        self.other.get()
    }
}

fn index(api_key: i16, version: i16) -> Option<usize> {
    let api_key = usize::try_from(api_key)
        .ok()
        .filter(|key| *key < API_KEYS)?;
    let version = usize::try_from(version)
        .ok()
        .filter(|version| *version < VERSIONS)?;
    Some(api_key * VERSIONS + version)
}

/// Kafka's name of an API, as its metrics have it.
pub(super) fn api_name(api_key: usize) -> &'static str {
    API_NAMES.get(api_key).copied().unwrap_or("Other")
}

/// Rows of the table; Kafka 4.3 ends at key 92.
const API_KEYS: usize = 96;
/// Columns of the table; the highest version of Kafka 4.3 is Fetch 18.
const VERSIONS: usize = 24;

const API_NAMES: &[&str] = &[
    "Produce",
    "Fetch",
    "ListOffsets",
    "Metadata",
    "LeaderAndIsr",
    "StopReplica",
    "UpdateMetadata",
    "ControlledShutdown",
    "OffsetCommit",
    "OffsetFetch",
    "FindCoordinator",
    "JoinGroup",
    "Heartbeat",
    "LeaveGroup",
    "SyncGroup",
    "DescribeGroups",
    "ListGroups",
    "SaslHandshake",
    "ApiVersions",
    "CreateTopics",
    "DeleteTopics",
    "DeleteRecords",
    "InitProducerId",
    "OffsetForLeaderEpoch",
    "AddPartitionsToTxn",
    "AddOffsetsToTxn",
    "EndTxn",
    "WriteTxnMarkers",
    "TxnOffsetCommit",
    "DescribeAcls",
    "CreateAcls",
    "DeleteAcls",
    "DescribeConfigs",
    "AlterConfigs",
    "AlterReplicaLogDirs",
    "DescribeLogDirs",
    "SaslAuthenticate",
    "CreatePartitions",
    "CreateDelegationToken",
    "RenewDelegationToken",
    "ExpireDelegationToken",
    "DescribeDelegationToken",
    "DeleteGroups",
    "ElectLeaders",
    "IncrementalAlterConfigs",
    "AlterPartitionReassignments",
    "ListPartitionReassignments",
    "OffsetDelete",
    "DescribeClientQuotas",
    "AlterClientQuotas",
    "DescribeUserScramCredentials",
    "AlterUserScramCredentials",
    "Vote",
    "BeginQuorumEpoch",
    "EndQuorumEpoch",
    "DescribeQuorum",
    "AlterPartition",
    "UpdateFeatures",
    "Envelope",
    "FetchSnapshot",
    "DescribeCluster",
    "DescribeProducers",
    "BrokerRegistration",
    "BrokerHeartbeat",
    "UnregisterBroker",
    "DescribeTransactions",
    "ListTransactions",
    "AllocateProducerIds",
    "ConsumerGroupHeartbeat",
    "ConsumerGroupDescribe",
    "ControllerRegistration",
    "GetTelemetrySubscriptions",
    "PushTelemetry",
    "AssignReplicasToDirs",
    "ListConfigResources",
    "DescribeTopicPartitions",
    "ShareGroupHeartbeat",
    "ShareGroupDescribe",
    "ShareFetch",
    "ShareAcknowledge",
    "AddRaftVoter",
    "RemoveRaftVoter",
    "UpdateRaftVoter",
    "InitializeShareGroupState",
    "ReadShareGroupState",
    "WriteShareGroupState",
    "DeleteShareGroupState",
    "ReadShareGroupStateSummary",
    "StreamsGroupHeartbeat",
    "StreamsGroupDescribe",
    "DescribeShareGroupOffsets",
    "AlterShareGroupOffsets",
    "DeleteShareGroupOffsets",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_their_keys() {
        for (key, name) in [
            (0, "Produce"),
            (18, "ApiVersions"),
            (22, "InitProducerId"),
            (44, "IncrementalAlterConfigs"),
            (60, "DescribeCluster"),
            (75, "DescribeTopicPartitions"),
            (92, "DeleteShareGroupOffsets"),
            (95, "Other"),
        ] {
            assert_eq!(api_name(key), name, "{key}");
        }
    }

    #[test]
    fn garbage_is_counted_together() {
        let table = RequestTable::new();
        for (key, version) in [(0, 9), (0, 9), (3, 0), (-1, 0), (0, -1), (0, 24), (96, 0)] {
            table.count(key, version);
        }
        let seen: Vec<_> = table.seen().collect();
        assert_eq!(seen, [((0, 9), 2), ((3, 0), 1)]);
        assert_eq!(table.other(), 4);
    }
}
