//! Metrics: plain counters that each have one writer, gathered when somebody scrapes.

mod collect;
mod compaction;
mod counters;
mod groups;
mod histogram;
mod kafka_names;
mod requests;
mod sheet;

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use chronik_model::{Mono, Offset, PartitionIndex, TopicName};
use chronik_storage::compaction::CompactionStats;

use crate::config::MetricsView;
use collect::Collect;
pub(crate) use counters::{AcksLabel, JournalCounters, LoopCounters};
pub(crate) use groups::{GroupOffset, GroupSample, GroupStats};

/// One partition at the moment of a scrape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionSample {
    /// Its topic.
    pub(crate) topic: TopicName,
    /// Its index.
    pub(crate) partition: PartitionIndex,
    /// First offset that can be read.
    pub(crate) log_start: Offset,
    /// Offset behind the last record.
    pub(crate) log_end: Offset,
    /// Offset behind the last record that consumers see.
    pub(crate) high_watermark: Offset,
    /// Bytes on disk.
    pub(crate) bytes: u64,
    /// Segments on disk.
    pub(crate) segments: u64,
}

/// The store at the moment of a scrape.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StoreSample {
    /// Bytes of the memory budget in use.
    pub(crate) memory_used_bytes: u64,
    /// The memory budget.
    pub(crate) memory_limit_bytes: u64,
    /// What memory is held for. Some of it under two names: batches are in the tail and in replies.
    pub(crate) memory_by_kind: Vec<(&'static str, u64)>,
    /// Bytes of the journal that can not be trimmed yet.
    pub(crate) journal_used_bytes: u64,
    /// Size of the journal ring.
    pub(crate) journal_limit_bytes: u64,
    /// Bytes that the disk of the data directory still has.
    pub(crate) disk_free_bytes: u64,
    /// What compactions have done.
    pub(crate) compaction: CompactionStats,
    /// Largest share of a log that could be compacted and was not yet.
    pub(crate) max_dirty_percent: u64,
}

/// Where partitions are counted. Asked by the HTTP thread, once per scrape; it may take locks that
/// the event loops hold only briefly, and must not make them wait.
pub(crate) trait PartitionStats: Send + Sync + 'static {
    /// All partitions that this node leads, grouped by topic and in order.
    fn partitions(&self) -> Vec<PartitionSample>;
}

/// The clock of the event loops.
pub(crate) type Clock = Arc<dyn Fn() -> Mono + Send + Sync>;

/// What is measured, and by whom.
pub(crate) struct Sources {
    /// One per event loop.
    pub(crate) loops: Vec<Arc<LoopCounters>>,
    /// Of the journal thread.
    pub(crate) journal: Arc<JournalCounters>,
    /// All partitions.
    pub(crate) partitions: Arc<dyn PartitionStats>,
    /// All groups.
    pub(crate) groups: Arc<dyn GroupStats>,
    /// Asks the store.
    pub(crate) store: Arc<dyn Fn() -> StoreSample + Send + Sync>,
    /// The clock that the loops use.
    pub(crate) clock: Clock,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("loops", &self.loops.len())
            .finish_non_exhaustive()
    }
}

/// Everything that is measured, ready to be written out. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Metrics(Arc<Registry>);

impl Metrics {
    /// Media type of [`Self::render`].
    pub(crate) const CONTENT_TYPE: &'static str =
        "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// Metrics of `sources`, as far as `view` shows them.
    pub(crate) fn new(sources: Sources, view: MetricsView) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Collect { sources, view }));
        Self(Arc::new(registry))
    }

    /// All values of this moment as OpenMetrics text.
    ///
    /// # Errors
    /// None in practice: a text grows as long as there is memory.
    pub(crate) fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.0)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
