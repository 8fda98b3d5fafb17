//! What every machine reads of the cluster: the metadata image and the settings resolved from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_controller::{Endpoint, MetadataDelta, MetadataImage, TopicImage};
use chronik_coordinator::{TopicInfo, Topics};
use chronik_model::config::{BrokerConfig, Layers, TopicConfig};
use chronik_model::{NodeId, PartitionIndex, TopicId, TopicPartition};
use imbl::OrdMap;

/// Who this broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Broker id.
    pub node_id: NodeId,
    /// Cluster id.
    pub cluster_id: String,
    /// What clients are told, listener by listener; [`crate::Peer::listener`] counts in this order.
    pub listeners: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
}

impl Identity {
    /// The address for clients of one listener.
    #[must_use]
    pub fn listener(&self, index: usize) -> Option<&Endpoint> {
        self.listeners.get(index)
    }
}

/// The cluster at one offset of the metadata log, with typed settings beside it. Immutable and
/// shared by all machines.
#[derive(Debug)]
pub struct ClusterView {
    /// The metadata.
    pub image: Arc<MetadataImage>,
    /// This broker's effective settings.
    pub broker: BrokerConfig,
    /// What was given at start, for DescribeConfigs.
    pub static_broker: Arc<BTreeMap<String, String>>,
    /// Effective settings by topic; see [`ClusterView::topic_config`].
    pub topics: OrdMap<TopicId, Arc<TopicConfig>>,
    /// This broker.
    pub node_id: NodeId,
    /// Offset of the last change to a topic or its partitions.
    pub topics_version: i64,
}

/// What [`Layers`] borrow where nothing was set.
static NO_OVERRIDES: BTreeMap<String, String> = BTreeMap::new();

impl ClusterView {
    /// Effective settings of a topic; those of a topic without overrides when it is unknown.
    #[must_use]
    pub fn topic_config(&self, topic_id: TopicId) -> Arc<TopicConfig> {
        self.topics.get(&topic_id).cloned().unwrap_or_default()
    }

    /// Broker settings by source.
    #[must_use]
    pub fn layers(&self) -> Layers<'_> {
        Layers {
            dynamic_broker: self
                .image
                .broker_configs(Some(self.node_id))
                .unwrap_or(&NO_OVERRIDES),
            dynamic_default: self.image.broker_configs(None).unwrap_or(&NO_OVERRIDES),
            static_broker: &self.static_broker,
        }
    }

    /// Whether this broker leads the partition.
    #[must_use]
    pub fn leads(&self, topic: &TopicImage, partition: PartitionIndex) -> bool {
        topic
            .partition(partition)
            .is_some_and(|partition| partition.leader == Some(self.node_id))
    }

    /// All partitions of all topics.
    pub fn partitions(&self) -> impl Iterator<Item = (&Arc<TopicImage>, TopicPartition)> {
        self.image.topics().flat_map(|topic| {
            let indexes = (0..).map(PartitionIndex).take(topic.partitions.len());
            indexes.map(move |partition| {
                (
                    topic,
                    TopicPartition {
                        topic_id: topic.id,
                        partition,
                    },
                )
            })
        })
    }
}

/// Makes views from published images, resolving again only what changed.
#[derive(Debug)]
pub struct ViewBuilder {
    node_id: NodeId,
    static_broker: Arc<BTreeMap<String, String>>,
    topics: OrdMap<TopicId, Arc<TopicConfig>>,
    topics_version: i64,
}

impl ViewBuilder {
    /// A builder for one broker with the settings it was started with.
    #[must_use]
    pub fn new(node_id: NodeId, static_broker: Arc<BTreeMap<String, String>>) -> Self {
        Self {
            node_id,
            static_broker,
            topics: OrdMap::new(),
            topics_version: 0,
        }
    }

    /// The view of an image, given what changed since the one before.
    pub fn build(&mut self, image: Arc<MetadataImage>, delta: &MetadataDelta) -> Arc<ClusterView> {
        if delta.topics_changed() {
            self.topics_version = image.offset().0;
        }
        let mut view = ClusterView {
            image,
            topics_version: self.topics_version,
            broker: BrokerConfig::resolve(&Layers::of_static(&self.static_broker)),
            static_broker: Arc::clone(&self.static_broker),
            topics: OrdMap::new(),
            node_id: self.node_id,
        };
        view.broker = BrokerConfig::resolve(&view.layers());
        let everything = delta.reset || !delta.broker_configs_changed.is_empty();
        for topic_id in delta.topics_deleted.keys() {
            self.topics.remove(topic_id);
        }
        if everything {
            self.topics.clear();
            for topic in view.image.topics() {
                let config = TopicConfig::resolve(&topic.configs, &view.layers());
                self.topics.insert(topic.id, Arc::new(config));
            }
        }
        for topic_id in delta
            .topics_created
            .iter()
            .chain(&delta.topic_configs_changed)
        {
            if let Some(topic) = view.image.topic(*topic_id).filter(|_| !everything) {
                let config = TopicConfig::resolve(&topic.configs, &view.layers());
                self.topics.insert(*topic_id, Arc::new(config));
            }
        }
        view.topics = self.topics.clone();
        Arc::new(view)
    }
}

/// The topics of a view, as group coordinators see them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ViewTopics<'a>(pub(crate) &'a ClusterView);

impl Topics for ViewTopics<'_> {
    fn by_name(&self, name: &str) -> Option<TopicInfo<'_>> {
        self.0.image.topic_by_name(name).map(|topic| info(topic))
    }

    fn by_id(&self, id: TopicId) -> Option<TopicInfo<'_>> {
        self.0.image.topic(id).map(|topic| info(topic))
    }

    fn for_each(&self, each: &mut dyn FnMut(TopicInfo<'_>)) {
        for topic in self.0.image.topics() {
            each(info(topic));
        }
    }

    fn version(&self) -> i64 {
        self.0.topics_version
    }
}

fn info(topic: &TopicImage) -> TopicInfo<'_> {
    TopicInfo {
        name: topic.name.as_str(),
        id: topic.id,
        partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
    }
}
