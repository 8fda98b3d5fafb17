//! One file per API. `TABLE` is the only place that knows which APIs and versions are served:
//! requests are dispatched by it and ApiVersions is answered from it.

use bytes::Bytes;
use chronik_controller::{ControllerReply, ControllerRequest};
use chronik_model::{ErrorCode, Now, TopicPartition};
use chronik_protocol::messages::{DecodeError, EncodeError};
use chronik_protocol::{ApiKey, ApiVersionRange, WireError};

use crate::messages::{PartitionAnswer, PartitionOp, Peer};
use crate::view::{ClusterView, Identity};

mod alter_configs;
mod alter_partition_reassignments;
mod api_versions;
mod config_resources;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_acls;
mod create_partitions;
mod create_topics;
mod delete_acls;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_acls;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod describe_transactions;
mod describe_user_scram_credentials;
mod elect_leaders;
pub(crate) mod errors;
pub(crate) mod fetch;
mod find_coordinator;
pub(crate) mod groups;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod partitions;
pub(crate) mod produce;
pub(crate) mod support;
mod sync_group;

#[cfg(test)]
mod tests;

/// One request as its handler sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// The API.
    pub(crate) api_key: ApiKey,
    /// A version within the table's range.
    pub(crate) version: i16,
    /// Echoed in the reply.
    pub(crate) correlation_id: i32,
    /// What the client calls itself.
    pub(crate) client_id: Option<&'a str>,
    /// What is behind the header.
    pub(crate) body: &'a Bytes,
}

/// What handlers may read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    /// The cluster.
    pub(crate) view: &'a ClusterView,
    /// This broker.
    pub(crate) identity: &'a Identity,
    /// Who asks.
    pub(crate) peer: &'a Peer,
    /// The time of this step.
    pub(crate) now: Now,
}

/// Finishes a reply once the controller has answered and this node's view holds the answer.
pub(crate) type AfterController =
    Box<dyn FnOnce(&Context<'_>, ControllerReply) -> Result<Bytes, HandlerError> + Send>;
/// Finishes a reply once every partition has answered, in the order of the operations.
pub(crate) type AfterPartitions =
    Box<dyn FnOnce(&Context<'_>, Vec<PartitionAnswer>) -> Result<Bytes, HandlerError> + Send>;

/// Makes the reply of a producer id.
pub(crate) type AfterProducerId =
    Box<dyn FnOnce(Result<i64, ErrorCode>) -> Result<Bytes, HandlerError> + Send>;

/// What a handler wants done with its request.
pub(crate) enum Outcome {
    /// The whole reply frame, length prefix included.
    Reply(Bytes),
    /// Ask the controller; later requests of this connection wait.
    Controller(ControllerRequest, AfterController),
    /// Ask the shards that own the partitions.
    Partitions(Vec<(TopicPartition, PartitionOp)>, AfterPartitions),
    /// Take an id from this node's block of producer ids; the function makes the reply of the id.
    ProducerId(AfterProducerId),
    /// Produce and Fetch are woven into the frontend.
    Hot,
}

/// Why a request has no reply: the connection is closed with one line in the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandlerError {
    /// The body is malformed.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The body of a generated message is malformed.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The reply can not be encoded: a bug of the handler.
    #[error("the reply can not be encoded: {0}")]
    Encode(#[from] EncodeError),
    /// The reply is larger than a frame can be.
    #[error(transparent)]
    TooLong(#[from] chronik_protocol::frame::FrameTooLong),
    /// The controller answered another question: a bug.
    #[error("the controller answered another question")]
    UnexpectedAnswer,
}

type Handler = fn(&Context<'_>, &Request<'_>) -> Result<Outcome, HandlerError>;

/// One row of the table.
pub(crate) struct Row {
    pub(crate) key: ApiKey,
    pub(crate) min_version: i16,
    pub(crate) max_version: i16,
    pub(crate) handler: Handler,
}

const fn row(key: ApiKey, min_version: i16, max_version: i16, handler: Handler) -> Row {
    Row {
        key,
        min_version,
        max_version,
        handler,
    }
}

/// Everything that is served.
pub(crate) const TABLE: &[Row] = &[
    row(ApiKey::Produce, 0, 13, produce::hot),
    row(ApiKey::Fetch, 4, 18, fetch::hot),
    row(ApiKey::ListOffsets, 1, 10, list_offsets::handle),
    row(ApiKey::Metadata, 0, 13, metadata::handle),
    row(ApiKey::OffsetCommit, 2, 9, offset_commit::handle),
    row(ApiKey::OffsetFetch, 1, 9, offset_fetch::handle),
    row(ApiKey::FindCoordinator, 0, 6, find_coordinator::handle),
    row(ApiKey::JoinGroup, 0, 9, join_group::handle),
    row(ApiKey::Heartbeat, 0, 4, heartbeat::handle),
    row(ApiKey::LeaveGroup, 0, 5, leave_group::handle),
    row(ApiKey::SyncGroup, 0, 5, sync_group::handle),
    row(ApiKey::DescribeGroups, 0, 6, describe_groups::handle),
    row(ApiKey::ListGroups, 0, 5, list_groups::handle),
    row(ApiKey::ApiVersions, 0, 4, api_versions::handle),
    row(ApiKey::CreateTopics, 2, 7, create_topics::handle),
    row(ApiKey::DeleteTopics, 1, 6, delete_topics::handle),
    row(ApiKey::DeleteRecords, 0, 2, delete_records::handle),
    row(ApiKey::InitProducerId, 0, 5, init_producer_id::handle),
    row(
        ApiKey::OffsetForLeaderEpoch,
        2,
        4,
        offset_for_leader_epoch::handle,
    ),
    row(ApiKey::DescribeAcls, 1, 3, describe_acls::handle),
    row(ApiKey::CreateAcls, 1, 3, create_acls::handle),
    row(ApiKey::DeleteAcls, 1, 3, delete_acls::handle),
    row(ApiKey::DescribeConfigs, 1, 4, describe_configs::handle),
    row(ApiKey::AlterConfigs, 0, 2, alter_configs::handle),
    row(ApiKey::DescribeLogDirs, 1, 4, describe_log_dirs::handle),
    row(ApiKey::CreatePartitions, 0, 3, create_partitions::handle),
    row(ApiKey::DeleteGroups, 0, 2, delete_groups::handle),
    row(ApiKey::ElectLeaders, 0, 2, elect_leaders::handle),
    row(
        ApiKey::IncrementalAlterConfigs,
        0,
        1,
        incremental_alter_configs::handle,
    ),
    row(
        ApiKey::AlterPartitionReassignments,
        0,
        1,
        alter_partition_reassignments::handle,
    ),
    row(
        ApiKey::ListPartitionReassignments,
        0,
        0,
        list_partition_reassignments::handle,
    ),
    row(ApiKey::OffsetDelete, 0, 0, offset_delete::handle),
    row(
        ApiKey::DescribeClientQuotas,
        0,
        1,
        describe_client_quotas::handle,
    ),
    row(
        ApiKey::DescribeUserScramCredentials,
        0,
        0,
        describe_user_scram_credentials::handle,
    ),
    row(ApiKey::DescribeQuorum, 0, 2, describe_quorum::handle),
    row(ApiKey::DescribeCluster, 0, 2, describe_cluster::handle),
    row(ApiKey::DescribeProducers, 0, 0, describe_producers::handle),
    row(
        ApiKey::DescribeTransactions,
        0,
        0,
        describe_transactions::handle,
    ),
    row(ApiKey::ListTransactions, 0, 2, list_transactions::handle),
    row(
        ApiKey::ConsumerGroupHeartbeat,
        0,
        1,
        consumer_group_heartbeat::handle,
    ),
    row(
        ApiKey::ConsumerGroupDescribe,
        0,
        1,
        consumer_group_describe::handle,
    ),
    row(
        ApiKey::ListConfigResources,
        0,
        1,
        list_config_resources::handle,
    ),
    row(
        ApiKey::DescribeTopicPartitions,
        0,
        0,
        describe_topic_partitions::handle,
    ),
];

/// The row of an API.
pub(crate) fn find(key: i16) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.key.code() == key)
}

/// The version ranges that ApiVersions advertises.
#[must_use]
pub fn served_versions() -> Vec<ApiVersionRange> {
    let ranges = TABLE.iter().map(|row| ApiVersionRange {
        api_key: row.key,
        min_version: row.min_version,
        max_version: row.max_version,
    });
    ranges.collect()
}
