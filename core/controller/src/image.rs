//! Everything the cluster knows at one offset of the metadata log.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_model::{
    BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerId, TopicId, TopicName,
    TopicPartition,
};
use imbl::OrdMap;

use crate::record::{Endpoint, IncarnationId};

/// Config overrides by key.
pub type ConfigMap = BTreeMap<String, String>;

/// Cluster metadata at one offset. Immutable once published; a clone shares structure, so that it
/// costs a few reference counts and the next change copies only its own path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataImage {
    pub(crate) offset: Offset,
    pub(crate) term: u64,
    pub(crate) cluster_id: Option<Arc<str>>,
    pub(crate) brokers: OrdMap<NodeId, Arc<BrokerImage>>,
    pub(crate) topics: OrdMap<TopicId, Arc<TopicImage>>,
    /// Ids only: a topic's record would otherwise be shared and copied by each of its changes.
    pub(crate) topic_ids: OrdMap<TopicName, TopicId>,
    /// Names with '.' or '_' by their form with '_' alone, which metrics can not tell apart.
    pub(crate) collisions: OrdMap<String, TopicName>,
    pub(crate) broker_configs: OrdMap<Option<NodeId>, ConfigMap>,
    pub(crate) next_producer_id: ProducerId,
}

/// A registered broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerImage {
    /// The broker.
    pub node_id: NodeId,
    /// This life of it.
    pub epoch: BrokerEpoch,
    /// The process.
    pub incarnation: IncarnationId,
    /// Its advertised addresses.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
}

/// A topic with its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicImage {
    /// The name.
    pub name: TopicName,
    /// The identity.
    pub id: TopicId,
    /// All partitions, by index.
    pub partitions: Vec<PartitionImage>,
    /// The topic's own overrides.
    pub configs: ConfigMap,
}

impl TopicImage {
    /// One partition; `None` when the topic has fewer.
    #[must_use]
    pub fn partition(&self, partition: PartitionIndex) -> Option<&PartitionImage> {
        self.partitions.get(usize::try_from(partition.0).ok()?)
    }
}

/// A partition's replicas and leadership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionImage {
    /// All replicas; the first is the preferred leader.
    pub replicas: Vec<NodeId>,
    /// The replicas in sync.
    pub isr: Vec<NodeId>,
    /// The leader, when there is one.
    pub leader: Option<NodeId>,
    /// Counts leaders.
    pub leader_epoch: LeaderEpoch,
    /// Counts changes.
    pub partition_epoch: PartitionEpoch,
}

/// Counts the changes of one partition's replicas, ISR and leader (KIP-497).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionEpoch(pub i32);

impl Default for MetadataImage {
    /// Before the first entry of the log.
    fn default() -> Self {
        Self {
            offset: Offset::ZERO,
            term: 0,
            cluster_id: None,
            brokers: OrdMap::new(),
            topics: OrdMap::new(),
            topic_ids: OrdMap::new(),
            collisions: OrdMap::new(),
            broker_configs: OrdMap::new(),
            next_producer_id: ProducerId(0),
        }
    }
}

impl MetadataImage {
    /// Offset of the last entry applied; entries count from 1, so 0 means none.
    #[must_use]
    pub const fn offset(&self) -> Offset {
        self.offset
    }

    /// Consensus term of the last entry applied.
    #[must_use]
    pub const fn term(&self) -> u64 {
        self.term
    }

    /// The cluster's id, once the log says it.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// A registered broker.
    #[must_use]
    pub fn broker(&self, node_id: NodeId) -> Option<&Arc<BrokerImage>> {
        self.brokers.get(&node_id)
    }

    /// All registered brokers, by id.
    pub fn brokers(&self) -> impl Iterator<Item = &Arc<BrokerImage>> {
        self.brokers.values()
    }

    /// A topic by name.
    #[must_use]
    pub fn topic_by_name(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(self.topic_ids.get(name)?)
    }

    /// A topic by identity.
    #[must_use]
    pub fn topic(&self, topic_id: TopicId) -> Option<&Arc<TopicImage>> {
        self.topics.get(&topic_id)
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.topic_ids
            .values()
            .filter_map(|topic_id| self.topics.get(topic_id))
    }

    /// Number of topics.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// One partition by identity.
    #[must_use]
    pub fn partition(&self, partition: TopicPartition) -> Option<&PartitionImage> {
        self.topic(partition.topic_id)?
            .partition(partition.partition)
    }

    /// Dynamic overrides of one broker, or with `None` those of all brokers.
    #[must_use]
    pub fn broker_configs(&self, node_id: Option<NodeId>) -> Option<&ConfigMap> {
        self.broker_configs.get(&node_id)
    }

    /// The first producer id that no broker was given.
    #[must_use]
    pub const fn next_producer_id(&self) -> ProducerId {
        self.next_producer_id
    }

    /// The existing topic that metrics could not tell from one called `name`.
    pub(crate) fn colliding_topic(&self, name: &str) -> Option<&TopicName> {
        self.collisions.get(&collision_key(name)?)
    }
}

/// `name` with '.' replaced by '_'; `None` for names with neither, which collide with nothing.
pub(crate) fn collision_key(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}
