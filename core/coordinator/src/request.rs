//! Requests in the coordinator's own words. A handler makes them of what is on the wire.

use bytes::Bytes;
use chronik_model::{Offset, TopicId};

/// What a group is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupRequest {
    /// JoinGroup.
    Join(JoinGroup),
    /// SyncGroup.
    Sync(SyncGroup),
    /// Heartbeat of the classic protocol.
    Heartbeat(Heartbeat),
    /// LeaveGroup.
    Leave(LeaveGroup),
    /// DescribeGroups, for one group.
    DescribeClassic {
        /// The group.
        group_id: String,
    },
    /// ListGroups: all groups of this partition that pass.
    List(ListGroups),
    /// DeleteGroups, for one group.
    Delete {
        /// The group.
        group_id: String,
    },
    /// OffsetCommit.
    CommitOffsets(CommitOffsets),
    /// OffsetFetch, for one group.
    FetchOffsets(FetchOffsets),
    /// OffsetDelete.
    DeleteOffsets(DeleteOffsets),
    /// ConsumerGroupHeartbeat (KIP-848).
    ConsumerHeartbeat(ConsumerHeartbeat),
    /// ConsumerGroupDescribe, for one group (KIP-848).
    DescribeConsumer {
        /// The group.
        group_id: String,
    },
}

/// JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinGroup {
    /// The group; never empty.
    pub group_id: String,
    /// Empty for a new member.
    pub member_id: String,
    /// Static membership (KIP-345).
    pub group_instance_id: Option<String>,
    /// Any word: "consumer", "connect", ...
    pub protocol_type: String,
    /// Protocols that the member supports, best first, with opaque metadata.
    pub protocols: Vec<(String, Bytes)>,
    /// Time without heartbeats after which the member is removed, in ms.
    pub session_timeout_ms: i32,
    /// Time that a rebalance waits for the member, in ms; equal to the session timeout before v1.
    pub rebalance_timeout_ms: i32,
    /// Client id of the request, or empty.
    pub client_id: String,
    /// Address of the client, as DescribeGroups shows it ("/127.0.0.1").
    pub client_host: String,
    /// Why the member joins (KIP-800).
    pub reason: Option<String>,
    /// Whether a new dynamic member is told its id first (v4 and above, KIP-394).
    pub requires_known_member_id: bool,
    /// Whether the leader understands `skip_assignment` (v9 and above, KIP-814).
    pub supports_skipping_assignment: bool,
}

/// SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncGroup {
    /// The group.
    pub group_id: String,
    /// Generation that the member believes in.
    pub generation_id: i32,
    /// The member.
    pub member_id: String,
    /// Static membership.
    pub group_instance_id: Option<String>,
    /// Sent from v5 on; checked where it is.
    pub protocol_type: Option<String>,
    /// Sent from v5 on; checked where it is.
    pub protocol_name: Option<String>,
    /// Member id and assignment; empty but for the leader.
    pub assignments: Vec<(String, Bytes)>,
}

/// Heartbeat of the classic protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The group.
    pub group_id: String,
    /// Generation that the member believes in.
    pub generation_id: i32,
    /// The member.
    pub member_id: String,
    /// Static membership.
    pub group_instance_id: Option<String>,
}

/// LeaveGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaveGroup {
    /// The group.
    pub group_id: String,
    /// Who leaves; one before v3.
    pub members: Vec<LeavingMember>,
}

/// A member that leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeavingMember {
    /// Empty where an administrator removes a static member by its instance id.
    pub member_id: String,
    /// Static membership.
    pub group_instance_id: Option<String>,
    /// Why (KIP-800).
    pub reason: Option<String>,
}

/// ListGroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListGroups {
    /// States that pass, without regard to case; empty for all.
    pub states: Vec<String>,
    /// Group types that pass ("classic", "consumer"), without regard to case; empty for all.
    pub types: Vec<String>,
}

/// Who commits or asks for offsets, and what proves that it may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetsFence {
    /// Empty for commits by no member.
    pub member_id: String,
    /// Static membership.
    pub group_instance_id: Option<String>,
    /// Generation of a classic group, or member epoch of a consumer group; -1 for no member.
    pub generation_or_epoch: i32,
}

/// OffsetCommit. Topics that do not exist are refused before they come here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitOffsets {
    /// The group.
    pub group_id: String,
    /// Who commits.
    pub fence: OffsetsFence,
    /// Retention stated by the request (v2 to v4), in ms.
    pub retention_ms: Option<i64>,
    /// Time stated by the request (v1 only, -1 otherwise) is not kept; the coordinator's is.
    pub partitions: Vec<CommittedPartition>,
    /// The API version, for codes that older clients do not know (STALE_MEMBER_EPOCH before v9).
    pub api_version: i16,
}

/// One committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedPartition {
    /// Topic.
    pub topic: String,
    /// Its id where known, else [`TopicId::ZERO`].
    pub topic_id: TopicId,
    /// Partition.
    pub partition: i32,
    /// Next offset to consume.
    pub offset: Offset,
    /// Leader epoch of the last consumed record, or -1.
    pub leader_epoch: i32,
    /// Any text, bounded by `offset.metadata.max.bytes`.
    pub metadata: String,
}

/// OffsetFetch, for one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchOffsets {
    /// The group.
    pub group_id: String,
    /// Who asks (v9 and above), if it says so.
    pub fence: Option<OffsetsFence>,
    /// Topics and partitions in the order wanted; none for everything there is.
    pub topics: Option<Vec<(String, Vec<i32>)>>,
    /// Refuse partitions with offsets of open transactions (KIP-447).
    pub require_stable: bool,
    /// The API version, for codes that older clients do not know.
    pub api_version: i16,
}

/// OffsetDelete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteOffsets {
    /// The group.
    pub group_id: String,
    /// Topics and partitions.
    pub topics: Vec<(String, Vec<i32>)>,
}

/// Partitions of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicAssignment {
    /// The topic.
    pub topic_id: TopicId,
    /// Partitions.
    pub partitions: Vec<i32>,
}

/// ConsumerGroupHeartbeat (KIP-848). `None` means unchanged since the last heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerHeartbeat {
    /// The group.
    pub group_id: String,
    /// Made by the client from v1 on; empty for a new member in v0.
    pub member_id: String,
    /// 0 joins, -1 leaves, -2 leaves for a while (static members), others are the member's epoch.
    pub member_epoch: i32,
    /// Static membership.
    pub instance_id: Option<String>,
    /// Rack of the consumer.
    pub rack_id: Option<String>,
    /// Time that the member may take to give partitions back, in ms; -1 for unchanged.
    pub rebalance_timeout_ms: i32,
    /// Topics by name.
    pub subscribed_topic_names: Option<Vec<String>>,
    /// Topics by regular expression (v1 and above); empty to subscribe to none.
    pub subscribed_topic_regex: Option<String>,
    /// Assignor of the server.
    pub server_assignor: Option<String>,
    /// Partitions that the member owns now.
    pub owned_partitions: Option<Vec<TopicAssignment>>,
    /// Client id of the request, or empty.
    pub client_id: String,
    /// Address of the client ("/127.0.0.1").
    pub client_host: String,
}
