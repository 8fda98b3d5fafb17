//! Responses in the coordinator's own words.

use bytes::Bytes;
use chronik_model::{ErrorCode, Offset};

use crate::request::TopicAssignment;

/// The answer to a [`crate::GroupRequest`], of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupResponse {
    /// JoinGroup.
    Join(JoinResponse),
    /// SyncGroup.
    Sync(SyncResponse),
    /// Heartbeat.
    Heartbeat(ErrorCode),
    /// LeaveGroup: of the whole request, and of each member in the request's order.
    Leave(ErrorCode, Vec<LeftMember>),
    /// DescribeGroups.
    DescribeClassic(ClassicDescription),
    /// ListGroups.
    List(Vec<ListedGroup>),
    /// DeleteGroups.
    Delete(ErrorCode),
    /// OffsetCommit: one code per partition, in the request's order.
    CommitOffsets(Vec<ErrorCode>),
    /// OffsetFetch: of the whole group, and of each topic.
    FetchOffsets(ErrorCode, Vec<FetchedTopic>),
    /// OffsetDelete: of the whole request, and one code per partition in the request's order.
    DeleteOffsets(ErrorCode, Vec<ErrorCode>),
    /// ConsumerGroupHeartbeat.
    ConsumerHeartbeat(Result<ConsumerHeartbeatResponse, (ErrorCode, String)>),
    /// ConsumerGroupDescribe.
    DescribeConsumer(Result<ConsumerDescription, (ErrorCode, String)>),
    /// The coordinator of this partition can not answer at all: it loads, or is not here.
    Unavailable(ErrorCode),
}

/// JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinResponse {
    /// What went wrong.
    pub error: ErrorCode,
    /// -1 with an error.
    pub generation_id: i32,
    /// Of the group.
    pub protocol_type: Option<String>,
    /// Chosen for this generation.
    pub protocol_name: Option<String>,
    /// Member id of the leader.
    pub leader: String,
    /// Of the member that asked; also with MEMBER_ID_REQUIRED.
    pub member_id: String,
    /// The leader need not compute an assignment (KIP-814).
    pub skip_assignment: bool,
    /// For the leader: member id, group instance id and metadata of everyone.
    pub members: Vec<(String, Option<String>, Bytes)>,
}

/// SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncResponse {
    /// What went wrong.
    pub error: ErrorCode,
    /// Of the group.
    pub protocol_type: Option<String>,
    /// Of this generation.
    pub protocol_name: Option<String>,
    /// Opaque.
    pub assignment: Bytes,
}

/// One member of LeaveGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftMember {
    /// As in the request.
    pub member_id: String,
    /// As in the request.
    pub group_instance_id: Option<String>,
    /// What came of it.
    pub error: ErrorCode,
}

/// DescribeGroups of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicDescription {
    /// What went wrong.
    pub error: ErrorCode,
    /// Said from v6 on.
    pub error_message: Option<String>,
    /// "Empty", "PreparingRebalance", "CompletingRebalance", "Stable" or "Dead".
    pub state: &'static str,
    /// Empty where the group has none.
    pub protocol_type: String,
    /// Chosen protocol in state Stable, else empty.
    pub protocol: String,
    /// Everyone.
    pub members: Vec<ClassicMemberDescription>,
}

/// A member in DescribeGroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicMemberDescription {
    /// Member id.
    pub member_id: String,
    /// Static membership.
    pub group_instance_id: Option<String>,
    /// Client id.
    pub client_id: String,
    /// Address.
    pub client_host: String,
    /// Metadata of the chosen protocol, in state Stable.
    pub metadata: Bytes,
    /// Assignment, in state Stable.
    pub assignment: Bytes,
}

/// A group in ListGroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedGroup {
    /// The group.
    pub group_id: String,
    /// "consumer" for groups of the new protocol.
    pub protocol_type: String,
    /// As the tools write it: "Stable", "Empty", "Assigning", "Reconciling", ...
    pub state: &'static str,
    /// "classic" or "consumer".
    pub group_type: &'static str,
}

/// Offsets of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedTopic {
    /// Topic.
    pub topic: String,
    /// Partitions.
    pub partitions: Vec<FetchedOffset>,
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedOffset {
    /// Partition.
    pub partition: i32,
    /// -1 where nothing is committed.
    pub offset: Offset,
    /// -1 where unknown.
    pub leader_epoch: i32,
    /// As committed.
    pub metadata: String,
    /// UNSTABLE_OFFSET_COMMIT where a transaction is open and stable offsets were asked for.
    pub error: ErrorCode,
}

/// ConsumerGroupHeartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerHeartbeatResponse {
    /// The member, also where the coordinator chose its id (v0).
    pub member_id: String,
    /// The member's epoch from here on.
    pub member_epoch: i32,
    /// How often to ask, in ms.
    pub heartbeat_interval_ms: i32,
    /// What the member shall own; none where that did not change.
    pub assignment: Option<Vec<TopicAssignment>>,
}

/// ConsumerGroupDescribe of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerDescription {
    /// "Empty", "Assigning", "Reconciling", "Stable" or "Dead".
    pub state: &'static str,
    /// Epoch of the group.
    pub group_epoch: i32,
    /// Epoch of the target assignment.
    pub assignment_epoch: i32,
    /// Assignor in use.
    pub assignor: String,
    /// Everyone.
    pub members: Vec<ConsumerMemberDescription>,
}

/// A member in ConsumerGroupDescribe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerMemberDescription {
    /// Member id.
    pub member_id: String,
    /// Static membership.
    pub instance_id: Option<String>,
    /// Rack.
    pub rack_id: Option<String>,
    /// Epoch.
    pub member_epoch: i32,
    /// Client id.
    pub client_id: String,
    /// Address.
    pub client_host: String,
    /// Topics by name.
    pub subscribed_topic_names: Vec<String>,
    /// Topics by regular expression.
    pub subscribed_topic_regex: Option<String>,
    /// What it owns.
    pub assignment: Vec<AssignedTopic>,
    /// What it shall own.
    pub target_assignment: Vec<AssignedTopic>,
    /// 1 for a member of the consumer protocol, 0 for one of the classic protocol, -1 for unknown.
    pub member_type: i8,
}

/// Partitions of a topic that still exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedTopic {
    /// Name.
    pub topic: String,
    /// Id and partitions.
    pub partitions: TopicAssignment,
}

impl JoinResponse {
    /// A refusal.
    pub(crate) fn failed(member_id: &str, error: ErrorCode) -> Self {
        Self {
            error,
            generation_id: -1,
            protocol_type: None,
            protocol_name: None,
            leader: String::new(),
            member_id: member_id.to_owned(),
            skip_assignment: false,
            members: Vec::new(),
        }
    }
}

impl SyncResponse {
    /// A refusal.
    pub(crate) const fn failed(error: ErrorCode) -> Self {
        Self {
            error,
            protocol_type: None,
            protocol_name: None,
            assignment: Bytes::new(),
        }
    }
}
