//! What metrics and health say of a running broker.

use std::sync::Arc;

use chronik_model::{PartitionIndex, TopicName};
use chronik_storage::compaction::CompactionStats;
use serde_json::json;

use super::directory::DataDirectory;
use crate::config::ServerConfig;
use crate::disk::filesystem::free_bytes;
use crate::http::{Health, HealthCheck};
use crate::hub::Hub;
use crate::memory::Kind;
use crate::metrics::{PartitionSample, PartitionStats, StoreSample};

/// Partitions of all shards.
#[derive(Debug)]
pub(super) struct Partitions(pub(super) Arc<Hub>);

impl PartitionStats for Partitions {
    fn partitions(&self) -> Vec<PartitionSample> {
        let mut samples = Vec::new();
        for index in 0..self.0.shard_count() {
            let status = self
                .0
                .shard(index)
                .map(|shard| shard.status())
                .unwrap_or_default();
            samples.extend(status.into_iter().filter_map(|status| {
                Some(PartitionSample {
                    topic: TopicName::new(&status.topic).ok()?,
                    partition: PartitionIndex(status.partition),
                    log_start: status.log_start,
                    log_end: status.log_end,
                    high_watermark: status.high_watermark,
                    bytes: status.bytes,
                    segments: status.segments as u64,
                })
            }));
        }
        samples.sort_by(|one, other| {
            (&one.topic, one.partition).cmp(&(&other.topic, other.partition))
        });
        samples
    }
}

/// Asks the stores of all shards.
pub(super) fn store_sampler(
    hub: &Arc<Hub>,
    config: &ServerConfig,
    directory: &DataDirectory,
) -> Arc<dyn Fn() -> StoreSample + Send + Sync> {
    let hub = Arc::clone(hub);
    let data_dir = config.data_dir.clone();
    let file_bytes = directory.meta.journal_file_bytes;
    let journal_limit_bytes = directory.meta.journal_files as u64 * file_bytes;
    Arc::new(move || {
        let memory = &hub.memory;
        let mut memory_by_kind = vec![
            ("appended", memory.open()),
            ("tail", memory.resident()),
            ("unwritten", memory.unwritten()),
        ];
        memory_by_kind.extend(Kind::ALL.map(|kind| (kind.name(), memory.held(kind))));
        let shards = || (0..hub.shard_count()).filter_map(|index| hub.shard(index));
        let compactions = shards().map(|shard| shard.store().compaction_stats());
        let dirt = shards().map(|shard| shard.store().max_dirty_percent());
        StoreSample {
            memory_used_bytes: memory.used(),
            memory_limit_bytes: memory.limit(),
            memory_by_kind,
            journal_used_bytes: hub.journal.used_files() * file_bytes,
            journal_limit_bytes,
            disk_free_bytes: free_bytes(&data_dir).unwrap_or(0),
            compaction: compactions.fold(CompactionStats::default(), CompactionStats::merge),
            max_dirty_percent: dirt.max().unwrap_or(0),
        }
    })
}

/// The state of now: the directory is online and the broker registered.
pub(super) fn check(hub: &Arc<Hub>) -> HealthCheck {
    let hub = Arc::clone(hub);
    Arc::new(move || {
        let offline = (0..hub.shard_count()).find_map(|index| {
            let shard = hub.shard(index)?;
            shard
                .offline()
                .map(|reason| format!("data directory offline: {reason}"))
        });
        let mut not_ready: Vec<String> = offline.clone().into_iter().collect();
        if !hub.is_registered() {
            not_ready.push("waiting for the registration with the controller".to_owned());
        }
        let view = hub.view();
        Health {
            not_live: Vec::new(),
            not_ready,
            detail: json!({
                "topics": view.as_ref().map_or(0, |view| view.image.topic_count()),
                "metadata_offset": view.as_ref().map_or(0, |view| view.image.offset().0),
                "unwritten_bytes": hub.memory.unwritten(),
                "offline": offline,
            }),
        }
    })
}
