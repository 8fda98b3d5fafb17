//! What a shard makes of metadata: it hosts, configures and drops partitions.

use std::collections::VecDeque;
use std::sync::Arc;

use chronik_controller::{MetadataDelta, TopicImage};
use chronik_model::config::TopicConfig;
use chronik_model::{ErrorCode, LeaderEpoch, Now, TopicPartition};
use chronik_replication::Replica;
use chronik_storage::compaction::CompactionConfig;
use chronik_storage::log::{LogConfig, PartitionLog};

use super::partition::Partition;
use super::{OFFSETS_TOPIC, Shard, ShardOutputs};
use crate::messages::{ShardId, ShardReply};
use crate::view::ClusterView;

impl Shard {
    pub(super) fn apply_view(
        &mut self,
        now: Now,
        view: Arc<ClusterView>,
        delta: &MetadataDelta,
        out: &mut ShardOutputs,
    ) {
        self.view = Some(Arc::clone(&view));
        for topic in delta.topics_deleted.values() {
            self.drop_topic(topic, out);
        }
        let changed = delta
            .partitions_created
            .iter()
            .chain(&delta.partitions_changed);
        for partition in changed {
            self.host_or_lead(now, &view, *partition);
        }
        if delta.reset {
            let all: Vec<TopicPartition> =
                view.partitions().map(|(_, partition)| partition).collect();
            for partition in all {
                self.host_or_lead(now, &view, partition);
            }
        }
        let reconfigured = if delta.broker_configs_changed.is_empty() {
            delta.topic_configs_changed.iter().copied().collect()
        } else {
            view.image
                .topics()
                .map(|topic| topic.id)
                .collect::<Vec<_>>()
        };
        for topic_id in reconfigured {
            self.configure_topic(now, &view, topic_id);
        }
        self.load_groups(now, out);
        self.groups_see(now, &view, delta, out);
    }

    /// Lines about logs that no topic claims: they are kept, not served.
    #[must_use]
    pub fn set_aside(&self) -> Vec<String> {
        let unclaimed = self.recovered.values();
        let lines = unclaimed.map(|log| {
            format!(
                "{}: no topic has the id {}; the files are set aside and can be removed by hand",
                log.directory, log.partition.topic_id
            )
        });
        lines.collect()
    }

    fn owns(&self, partition: TopicPartition) -> bool {
        ShardId::of(partition, self.config.count) == self.config.id
    }

    fn host_or_lead(&mut self, now: Now, view: &ClusterView, partition: TopicPartition) {
        if !self.owns(partition) {
            return;
        }
        let Some(topic) = view.image.topic(partition.topic_id) else {
            return;
        };
        let Some(state) = topic.partition(partition.partition) else {
            return;
        };
        if state.leader != Some(view.node_id) {
            return;
        }
        if let Some(slot) = self.slots.get(&partition).copied() {
            if let Some(hosted) = self.partition_mut(slot) {
                hosted.replica.lead(state.leader_epoch);
            }
            return;
        }
        self.host_new(now, view, topic, partition, state.leader_epoch);
    }

    fn host_new(
        &mut self,
        now: Now,
        view: &ClusterView,
        topic: &TopicImage,
        partition: TopicPartition,
        leader_epoch: LeaderEpoch,
    ) {
        let config = log_config(&view.topic_config(topic.id));
        let slot = match self.recovered.remove(&partition) {
            Some(log) => {
                let slot = self.store.adopt(log);
                self.store.configure(slot, config);
                slot
            }
            None => self.store.create(partition, topic.name.as_str(), config),
        };
        let stable_end = self
            .store
            .log(slot)
            .map_or_else(Default::default, PartitionLog::stable_end);
        let hosted = Partition {
            partition,
            topic: topic.name.clone(),
            replica: Replica::leading(leader_epoch, stable_end),
            parked: VecDeque::new(),
        };
        self.host(slot, hosted);
        if topic.name.as_str() == OFFSETS_TOPIC {
            self.host_groups(slot, view);
        }
        self.schedule_retention(now, slot);
    }

    fn configure_topic(&mut self, now: Now, view: &ClusterView, topic_id: chronik_model::TopicId) {
        let Some(topic) = view.image.topic(topic_id) else {
            return;
        };
        let config = log_config(&view.topic_config(topic_id));
        for index in 0..topic.partitions.len() {
            let Ok(index) = i32::try_from(index) else {
                return;
            };
            let partition = TopicPartition {
                topic_id,
                partition: chronik_model::PartitionIndex(index),
            };
            if let Some(slot) = self.slots.get(&partition).copied() {
                self.store.configure(slot, config.clone());
                self.note_written(now, slot);
            }
        }
    }

    fn drop_topic(&mut self, topic: &TopicImage, out: &mut ShardOutputs) {
        for index in 0..topic.partitions.len() {
            let Ok(index) = i32::try_from(index) else {
                return;
            };
            let partition = TopicPartition {
                topic_id: topic.id,
                partition: chronik_model::PartitionIndex(index),
            };
            let Some(slot) = self.slots.remove(&partition) else {
                continue;
            };
            self.drop_groups(slot, out);
            if let Some(hosted) = self
                .partitions
                .get_mut(slot.0 as usize)
                .and_then(Option::take)
            {
                for parked in hosted.parked {
                    let result = Err(ErrorCode::UnknownTopicOrPartition);
                    let (ticket, part) = (parked.ticket, parked.part);
                    out.replies.push(ShardReply::Produced {
                        ticket,
                        part,
                        result,
                    });
                }
            }
            for ticket in self.watches.fire(partition) {
                out.replies.push(ShardReply::FetchReady(ticket));
            }
            self.maintenance.flushed(slot);
            self.store.delete(slot);
        }
    }
}

/// What the storage engine needs of a topic's settings.
pub(super) fn log_config(config: &TopicConfig) -> LogConfig {
    LogConfig {
        segment_bytes: config.segment_bytes,
        segment_ms: config.segment_ms,
        retention_ms: config.retention_ms,
        retention_bytes: config.retention_bytes,
        flush_messages: config.flush_messages,
        flush_ms: config.flush_ms,
        index_interval_bytes: config.index_interval_bytes,
        cleanup_delete: config.cleanup_delete,
        compact: config.cleanup_compact.then_some(CompactionConfig {
            min_cleanable_dirty_ratio: config.min_cleanable_dirty_ratio,
            min_lag_ms: config.min_compaction_lag_ms,
            max_lag_ms: config.max_compaction_lag_ms,
            delete_retention_ms: config.delete_retention_ms,
        }),
    }
}
