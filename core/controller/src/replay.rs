//! The only place where metadata changes.

use std::sync::Arc;

use chronik_model::{
    BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerId, TopicId, TopicName,
    TopicPartition,
};

use crate::delta::MetadataDelta;
use crate::image::{
    BrokerImage, MetadataImage, PartitionEpoch, PartitionImage, TopicImage, collision_key,
};
use crate::record::{BrokerRegistered, ConfigSet, ConfigTarget, MetadataRecord, PartitionRecord};

/// A record that contradicts those before it: the log is damaged or was written by a broken
/// version. The controller must stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A second cluster id.
    #[error("the cluster already has another id")]
    ClusterExists,
    /// A topic id or name that is in use.
    #[error("topic {0} already exists")]
    TopicExists(TopicName),
    /// A change to a topic that does not exist.
    #[error("topic id {0} does not exist")]
    NoTopic(TopicId),
    /// A partition out of order, or a change to one that does not exist.
    #[error("partition {} does not fit a topic with {} partitions", .0.0, .1)]
    NoPartition(PartitionIndex, usize),
    /// Producer ids that would be handed out twice.
    #[error("producer ids from {} on were already free at {}", .next.0, .was.0)]
    ProducerIdsReused {
        /// What the record says.
        next: ProducerId,
        /// What was known before.
        was: ProducerId,
    },
}

impl MetadataImage {
    /// Applies one entry. On an error the image is half changed and must be dropped.
    pub(crate) fn replay_entry(
        &mut self,
        offset: Offset,
        term: u64,
        records: &[MetadataRecord],
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        for record in records {
            self.replay(offset, record, delta)?;
        }
        self.offset = offset;
        self.term = term;
        Ok(())
    }

    fn replay(
        &mut self,
        offset: Offset,
        record: &MetadataRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::ClusterCreated { cluster_id } => self.create_cluster(cluster_id),
            MetadataRecord::BrokerRegistered(broker) => {
                self.register_broker(offset, broker, delta);
                Ok(())
            }
            MetadataRecord::TopicCreated { topic_id, name } => {
                self.create_topic(*topic_id, name, delta)
            }
            MetadataRecord::PartitionCreated(partition) => self.create_partition(partition, delta),
            MetadataRecord::TopicDeleted { topic_id } => self.delete_topic(*topic_id, delta),
            MetadataRecord::ConfigSet(config) => self.set_config(config, delta),
            MetadataRecord::ProducerIdsReserved {
                node_id: _,
                next_producer_id,
            } => self.reserve_producer_ids(*next_producer_id),
            MetadataRecord::PartitionChanged(partition) => self.change_partition(partition, delta),
        }
    }

    fn create_cluster(&mut self, cluster_id: &str) -> Result<(), ReplayError> {
        if self.cluster_id.is_some() {
            return Err(ReplayError::ClusterExists);
        }
        self.cluster_id = Some(cluster_id.into());
        Ok(())
    }

    fn register_broker(
        &mut self,
        offset: Offset,
        broker: &BrokerRegistered,
        delta: &mut MetadataDelta,
    ) {
        let image = BrokerImage {
            node_id: broker.node_id,
            epoch: broker.broker_epoch.unwrap_or(BrokerEpoch(offset.0)),
            incarnation: broker.incarnation,
            endpoints: broker.endpoints.clone(),
            rack: broker.rack.clone(),
        };
        self.brokers.insert(broker.node_id, Arc::new(image));
        delta.brokers_registered.insert(broker.node_id);
        if broker.broker_epoch.is_none() {
            self.start_leader_epochs(broker.node_id, delta);
        }
    }

    /// A new leader epoch in all that `leader` leads. Looks at every partition, which only
    /// registrations do, and copies only topics that it changes.
    fn start_leader_epochs(&mut self, leader: NodeId, delta: &mut MetadataDelta) {
        let leads = |topic: &TopicImage| topic.partitions.iter().any(|p| p.leader == Some(leader));
        let led: Vec<TopicId> = self
            .topics
            .values()
            .filter(|topic| leads(topic))
            .map(|topic| topic.id)
            .collect();
        for topic_id in led {
            let Some(topic) = self.topics.get_mut(&topic_id) else {
                continue;
            };
            let partitions = (0..)
                .map(PartitionIndex)
                .zip(&mut Arc::make_mut(topic).partitions);
            for (index, partition) in partitions.filter(|(_, p)| p.leader == Some(leader)) {
                partition.leader_epoch = LeaderEpoch(partition.leader_epoch.0.saturating_add(1));
                partition.partition_epoch =
                    PartitionEpoch(partition.partition_epoch.0.saturating_add(1));
                delta.partition_changed(TopicPartition {
                    topic_id,
                    partition: index,
                });
            }
        }
    }

    fn create_topic(
        &mut self,
        topic_id: TopicId,
        name: &TopicName,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        if self.topics.contains_key(&topic_id) || self.topic_ids.contains_key(name) {
            return Err(ReplayError::TopicExists(name.clone()));
        }
        let topic = TopicImage {
            name: name.clone(),
            id: topic_id,
            partitions: Vec::new(),
            configs: std::collections::BTreeMap::new(),
        };
        self.topics.insert(topic_id, Arc::new(topic));
        self.topic_ids.insert(name.clone(), topic_id);
        if let Some(key) = collision_key(name.as_str()) {
            self.collisions.insert(key, name.clone());
        }
        delta.topics_created.insert(topic_id);
        Ok(())
    }

    fn create_partition(
        &mut self,
        record: &PartitionRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        let partitions = &mut self.topic_mut(record.topic_id)?.partitions;
        if usize::try_from(record.partition.0) != Ok(partitions.len()) {
            return Err(ReplayError::NoPartition(record.partition, partitions.len()));
        }
        partitions.push(partition_image(record));
        delta.partitions_created.insert(identity(record));
        Ok(())
    }

    fn change_partition(
        &mut self,
        record: &PartitionRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        let partitions = &mut self.topic_mut(record.topic_id)?.partitions;
        let count = partitions.len();
        let partition = usize::try_from(record.partition.0)
            .ok()
            .and_then(|index| partitions.get_mut(index))
            .ok_or(ReplayError::NoPartition(record.partition, count))?;
        *partition = partition_image(record);
        delta.partition_changed(identity(record));
        Ok(())
    }

    fn delete_topic(
        &mut self,
        topic_id: TopicId,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        let topic = self
            .topics
            .remove(&topic_id)
            .ok_or(ReplayError::NoTopic(topic_id))?;
        self.topic_ids.remove(&topic.name);
        if let Some(key) = collision_key(topic.name.as_str()) {
            self.collisions.remove(&key);
        }
        delta.topic_deleted(topic);
        Ok(())
    }

    fn set_config(
        &mut self,
        config: &ConfigSet,
        delta: &mut MetadataDelta,
    ) -> Result<(), ReplayError> {
        let overrides = match config.target {
            ConfigTarget::Topic(topic_id) => {
                delta.topic_configs_changed.insert(topic_id);
                &mut self.topic_mut(topic_id)?.configs
            }
            ConfigTarget::Broker(node_id) => {
                delta.broker_configs_changed.insert(node_id);
                self.broker_configs.entry(node_id).or_default()
            }
        };
        match &config.value {
            Some(value) => overrides.insert(config.key.clone(), value.clone()),
            None => overrides.remove(&config.key),
        };
        let emptied = overrides.is_empty();
        if let (true, ConfigTarget::Broker(node_id)) = (emptied, config.target) {
            self.broker_configs.remove(&node_id);
        }
        Ok(())
    }

    fn reserve_producer_ids(&mut self, next: ProducerId) -> Result<(), ReplayError> {
        if next < self.next_producer_id {
            return Err(ReplayError::ProducerIdsReused {
                next,
                was: self.next_producer_id,
            });
        }
        self.next_producer_id = next;
        Ok(())
    }

    fn topic_mut(&mut self, topic_id: TopicId) -> Result<&mut TopicImage, ReplayError> {
        let topic = self
            .topics
            .get_mut(&topic_id)
            .ok_or(ReplayError::NoTopic(topic_id))?;
        Ok(Arc::make_mut(topic))
    }
}

fn partition_image(record: &PartitionRecord) -> PartitionImage {
    PartitionImage {
        replicas: record.replicas.clone(),
        isr: record.isr.clone(),
        leader: record.leader,
        leader_epoch: record.leader_epoch,
        partition_epoch: record.partition_epoch,
    }
}

const fn identity(record: &PartitionRecord) -> TopicPartition {
    TopicPartition {
        topic_id: record.topic_id,
        partition: record.partition,
    }
}
