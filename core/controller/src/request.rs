//! Requests to the controller and its replies, in the model's words.

use std::fmt;

use chronik_model::{BrokerEpoch, ErrorCode, NodeId, PartitionIndex, ProducerId, TopicId};

use crate::record::{Endpoint, IncarnationId};

/// What the controller decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControllerRequest {
    /// A broker process begins its life (KIP-631).
    RegisterBroker(RegisterBroker),
    /// CreateTopics.
    CreateTopics(CreateTopics),
    /// DeleteTopics.
    DeleteTopics(DeleteTopics),
    /// CreatePartitions.
    CreatePartitions(CreatePartitions),
    /// AlterConfigs and IncrementalAlterConfigs.
    AlterConfigs(AlterConfigs),
    /// AllocateProducerIds (KIP-730).
    AllocateProducerIds(AllocateProducerIds),
}

/// The controller's answers, each to the request of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControllerReply {
    /// The epoch of this life of the broker.
    RegisterBroker(Result<BrokerEpoch, RequestError>),
    /// One result per name, in the order in which the request first names it.
    CreateTopics(Vec<(String, Result<CreatedTopic, RequestError>)>),
    /// One result per topic, in the order in which the request first names it.
    DeleteTopics(Vec<(TopicRef, Result<DeletedTopic, RequestError>)>),
    /// One result per name, in the order in which the request first names it.
    CreatePartitions(Vec<(String, Result<(), RequestError>)>),
    /// One result per resource, in the order in which the request first names it.
    AlterConfigs(Vec<(ConfigResource, Result<(), RequestError>)>),
    /// The block, which no one else gets.
    AllocateProducerIds(Result<ProducerIdBlock, RequestError>),
    /// Only the controller decides. A change that was under way may or may not happen.
    NotController {
        /// Whom to ask, when it is known.
        leader: Option<NodeId>,
    },
    /// Nothing was tried: too many requests wait already.
    Overloaded,
    /// Nothing was tried: what the request changes is more than one entry of the log takes.
    TooLarge,
}

/// Why a request, or one part of it, was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct RequestError {
    /// Kafka's code.
    pub code: ErrorCode,
    /// What a person should know.
    pub message: String,
}

impl RequestError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// A broker process introduces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterBroker {
    /// The broker.
    pub node_id: NodeId,
    /// The cluster that its data directories belong to.
    pub cluster_id: String,
    /// The process.
    pub incarnation: IncarnationId,
    /// Where clients and peers reach it.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
}

/// Topics to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTopics {
    /// The topics.
    pub topics: Vec<NewTopic>,
    /// Answer only.
    pub validate_only: bool,
}

/// One topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// The name, not yet checked.
    pub name: String,
    /// Number of partitions; -1 for the cluster's default, and with `assignments`.
    pub partitions: i32,
    /// Replicas per partition; -1 for the cluster's default, and with `assignments`.
    pub replication_factor: i16,
    /// The replicas of each partition, or nothing to leave the choice to the controller.
    pub assignments: Vec<(PartitionIndex, Vec<NodeId>)>,
    /// Overrides.
    pub configs: Vec<(String, Option<String>)>,
}

/// A topic that was created, or could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its identity; [`TopicId::ZERO`] when the request only validates.
    pub topic_id: TopicId,
    /// Number of partitions.
    pub partitions: i32,
    /// Replicas per partition.
    pub replication_factor: i16,
}

/// Topics to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteTopics {
    /// The topics.
    pub topics: Vec<TopicRef>,
}

/// A topic as a request names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicRef {
    /// By name.
    Name(String),
    /// By identity.
    Id(TopicId),
}

/// A topic that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedTopic {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub topic_id: TopicId,
}

/// Partitions to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatePartitions {
    /// The topics.
    pub topics: Vec<NewPartitions>,
    /// Answer only.
    pub validate_only: bool,
}

/// Partitions to add to one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPartitions {
    /// The topic.
    pub name: String,
    /// How many it should have.
    pub new_total: i32,
    /// The replicas of each new partition, or `None` to leave the choice to the controller.
    pub assignments: Option<Vec<Vec<NodeId>>>,
}

/// Config overrides to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterConfigs {
    /// The resources, each changed as a whole or not at all.
    pub resources: Vec<ResourceChanges>,
    /// `false`: the changes are the complete new set of overrides (AlterConfigs before KIP-339).
    pub incremental: bool,
    /// Answer only.
    pub validate_only: bool,
}

/// Changes of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceChanges {
    /// The resource.
    pub resource: ConfigResource,
    /// The changes.
    pub changes: Vec<ConfigChange>,
}

/// Whose config, as a request names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResource {
    /// A topic by name.
    Topic(String),
    /// One broker, or with `None` all of them.
    Broker(Option<NodeId>),
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// The key.
    pub key: String,
    /// The change.
    pub op: ConfigOp,
    /// The operand; not used by [`ConfigOp::Delete`].
    pub value: Option<String>,
}

/// Kafka's `AlterConfigOp` (KIP-339).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigOp {
    /// Override with the value.
    Set,
    /// Remove the override.
    Delete,
    /// Add elements to a list.
    Append,
    /// Remove elements from a list.
    Subtract,
}

/// A broker wants producer ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllocateProducerIds {
    /// The broker.
    pub node_id: NodeId,
    /// How many.
    pub count: i32,
}

/// Consecutive producer ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first.
    pub first: ProducerId,
    /// How many.
    pub count: i32,
}

/// Half of the smallest file that a server's journal has.
const MAX_ENTRY_BYTES: usize = 4 << 20;

/// Defaults of the cluster that decide requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerSettings {
    /// `num.partitions`.
    pub num_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// `delete.topic.enable`.
    pub delete_topic_enable: bool,
    /// Bytes of an entry, at most: it has to fit in one frame of the journal.
    pub max_entry_bytes: usize,
}

impl Default for ControllerSettings {
    fn default() -> Self {
        Self {
            num_partitions: 1,
            default_replication_factor: 1,
            delete_topic_enable: true,
            max_entry_bytes: MAX_ENTRY_BYTES,
        }
    }
}

/// What config keys belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigScope {
    /// Topics.
    Topic,
    /// Brokers.
    Broker,
}

/// Knows the config keys. Messages name the key and what is wrong.
pub trait ConfigValidator: fmt::Debug + Send {
    /// Whether a topic may have this override.
    ///
    /// # Errors
    /// What is wrong with the key or the value.
    fn topic(&self, key: &str, value: &str) -> Result<(), String>;

    /// Whether brokers may have this dynamic override.
    ///
    /// # Errors
    /// What is wrong with the key or the value.
    fn broker(&self, key: &str, value: &str) -> Result<(), String>;

    /// Whether the key holds a list, to which elements can be added.
    fn is_list(&self, scope: ConfigScope, key: &str) -> bool;

    /// The value without an override, to which elements are added first.
    fn default_value(&self, scope: ConfigScope, key: &str) -> Option<String>;
}
