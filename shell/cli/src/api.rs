//! The requests this client sends, the versions it speaks, and how a version is chosen.

use std::fmt;

use chronik_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse, CreateTopicsRequest, CreateTopicsResponse, Decodable,
    DeleteGroupsRequest, DeleteGroupsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeConfigsRequest, DescribeConfigsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    DescribeLogDirsRequest, DescribeLogDirsResponse, Encodable, FetchRequest, FetchResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, HeaderVersion, HeartbeatRequest,
    HeartbeatResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest,
    ListGroupsResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
    ProduceRequest, ProduceResponse, SyncGroupRequest, SyncGroupResponse,
};

/// A request together with its answer.
pub trait Api: Encodable + HeaderVersion {
    /// The answer.
    type Response: Decodable + HeaderVersion;
    /// The number on the wire.
    const KEY: i16;
    /// Kafka's name, for error messages.
    const NAME: &'static str;
    /// Whether carrying it out twice differs from once.
    const CHANGES: bool;
    /// Versions that this client fills in completely.
    const VERSIONS: Versions;
}

/// An inclusive range of API versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// Lowest.
    pub min: i16,
    /// Highest.
    pub max: i16,
}

impl Versions {
    /// The highest version that both sides speak.
    #[must_use]
    pub fn highest_common(self, other: Self) -> Option<i16> {
        let highest = self.max.min(other.max);
        (highest >= self.min.max(other.min)).then_some(highest)
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.min, self.max)
    }
}

macro_rules! apis {
    (@ reads) => { false };
    (@ changes) => { true };
    ($($request:ident => $response:ident, $changes:ident $name:ident $min:literal..=$max:literal;)*) => {
        $(impl Api for $request {
            type Response = $response;
            const KEY: i16 = ApiKey::$name as i16;
            const NAME: &'static str = stringify!($name);
            const CHANGES: bool = apis!(@ $changes);
            const VERSIONS: Versions = Versions { min: $min, max: $max };
        })*
    };
}

// Produce 13, Fetch 13 and DeleteTopics 6 replace topic names by ids (KIP-516). People type names,
// and a name is enough for brokers from 2.5 up to at least 4.3, so the client stays below those. From
// FindCoordinator 4 and OffsetFetch 8 on, a request asks for many groups; this client asks for one.
apis! {
    ApiVersionsRequest => ApiVersionsResponse, reads ApiVersions 0..=3;
    MetadataRequest => MetadataResponse, reads Metadata 4..=12;
    ProduceRequest => ProduceResponse, changes Produce 3..=12;
    FetchRequest => FetchResponse, reads Fetch 4..=12;
    ListOffsetsRequest => ListOffsetsResponse, reads ListOffsets 1..=9;
    CreateTopicsRequest => CreateTopicsResponse, changes CreateTopics 4..=7;
    DeleteTopicsRequest => DeleteTopicsResponse, changes DeleteTopics 1..=5;
    FindCoordinatorRequest => FindCoordinatorResponse, reads FindCoordinator 0..=3;
    ListGroupsRequest => ListGroupsResponse, reads ListGroups 0..=5;
    DescribeGroupsRequest => DescribeGroupsResponse, reads DescribeGroups 0..=6;
    ConsumerGroupDescribeRequest => ConsumerGroupDescribeResponse, reads ConsumerGroupDescribe 0..=1;
    DeleteGroupsRequest => DeleteGroupsResponse, changes DeleteGroups 0..=2;
    OffsetFetchRequest => OffsetFetchResponse, reads OffsetFetch 1..=7;
    OffsetCommitRequest => OffsetCommitResponse, changes OffsetCommit 2..=8;
    JoinGroupRequest => JoinGroupResponse, reads JoinGroup 1..=7;
    SyncGroupRequest => SyncGroupResponse, reads SyncGroup 0..=5;
    HeartbeatRequest => HeartbeatResponse, reads Heartbeat 0..=4;
    LeaveGroupRequest => LeaveGroupResponse, reads LeaveGroup 0..=2;
    DescribeLogDirsRequest => DescribeLogDirsResponse, reads DescribeLogDirs 1..=4;
    DescribeConfigsRequest => DescribeConfigsResponse, reads DescribeConfigs 1..=4;
    IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse, changes IncrementalAlterConfigs 0..=1;
}

#[cfg(test)]
mod tests {
    use super::Versions;

    #[test]
    fn the_highest_version_of_both_is_chosen() {
        let check = |ours: (i16, i16), theirs: (i16, i16), expected| {
            let ours = Versions {
                min: ours.0,
                max: ours.1,
            };
            let theirs = Versions {
                min: theirs.0,
                max: theirs.1,
            };
            assert_eq!(ours.highest_common(theirs), expected, "{ours} and {theirs}");
            assert_eq!(theirs.highest_common(ours), expected, "{theirs} and {ours}");
        };
        check((4, 12), (4, 18), Some(12));
        check((4, 12), (0, 7), Some(7));
        check((4, 12), (12, 13), Some(12));
        check((4, 12), (13, 18), None);
        check((4, 12), (0, 3), None);
        check((0, 0), (0, 0), Some(0));
    }
}
