//! What some entries of the metadata log changed, for those who act on changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_model::{NodeId, PartitionIndex, TopicId, TopicPartition};

use crate::image::TopicImage;

/// The difference between two published images. Details are in the newer image; here is where to
/// look. A topic that was created and deleted in between appears nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetadataDelta {
    /// The image came from a peer's snapshot and the sets below are empty: compare everything.
    pub reset: bool,
    /// Brokers that registered, again or for the first time.
    pub brokers_registered: BTreeSet<NodeId>,
    /// New topics.
    pub topics_created: BTreeSet<TopicId>,
    /// Topics that are gone, as they last were.
    pub topics_deleted: BTreeMap<TopicId, Arc<TopicImage>>,
    /// New partitions, those of new topics included.
    pub partitions_created: BTreeSet<TopicPartition>,
    /// Partitions that existed before and have another leader, epoch, ISR or replica set.
    pub partitions_changed: BTreeSet<TopicPartition>,
    /// Topics whose overrides changed, new topics included.
    pub topic_configs_changed: BTreeSet<TopicId>,
    /// Brokers whose dynamic overrides changed; `None` for those of all brokers.
    pub broker_configs_changed: BTreeSet<Option<NodeId>>,
}

impl MetadataDelta {
    /// Whether nothing that anyone acts on changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether topics or partitions came or went.
    #[must_use]
    pub fn topics_changed(&self) -> bool {
        let unchanged = self.topics_deleted.is_empty()
            && self.topics_created.is_empty()
            && self.partitions_created.is_empty();
        self.reset || !unchanged
    }

    pub(crate) fn partition_changed(&mut self, partition: TopicPartition) {
        if !self.partitions_created.contains(&partition) {
            self.partitions_changed.insert(partition);
        }
    }

    pub(crate) fn topic_deleted(&mut self, topic: Arc<TopicImage>) {
        let topic_id = topic.id;
        for (partition, _) in (0..).map(PartitionIndex).zip(&topic.partitions) {
            let partition = TopicPartition {
                topic_id,
                partition,
            };
            self.partitions_created.remove(&partition);
            self.partitions_changed.remove(&partition);
        }
        self.topic_configs_changed.remove(&topic_id);
        if !self.topics_created.remove(&topic_id) {
            self.topics_deleted.insert(topic_id, topic);
        }
    }
}
