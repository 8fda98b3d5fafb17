//! Log compaction: of all records with one key the newest survives, tombstones for a while longer
//! (KIP-534).
//!
//! ```text
//!  log_start          clean_end                 active segment
//!     |---- compacted ----|------ dirty ------|-- appends --|
//!     |                   1. learn the newest offset of each key, as many as fit the map
//!     |-- 2. copy, in groups of small segments, what is the newest of its key --|
//! ```
//!
//! Offsets never change: a batch keeps its first and last offset when records leave it, and batches
//! without records leave gaps. What a group of segments became is written beside them under a name
//! of its own and synced; SEGMENTS_REPLACED in the journal puts it in their place, and their files
//! go once that is durable. Everything here is decided in steps: each [`Step`] is one operation of
//! the disk pool, which reads a bounded part of one segment.

pub mod filter;
pub mod offset_map;
mod plan;
mod step;

use std::fmt;

use chronik_model::{Mono, Offset};

pub use offset_map::OffsetMap;
pub(crate) use plan::group;
pub use plan::{Dirt, Source};
pub use step::{Kept, Step, Work};

/// The settings of a compacted topic that compaction obeys.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CompactionConfig {
    /// `min.cleanable.dirty.ratio`.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`.
    pub min_lag_ms: i64,
    /// `max.compaction.lag.ms` (KIP-354); `i64::MAX` for none.
    pub max_lag_ms: i64,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
}

/// Bounds of the compactions of one store.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CompactionSettings {
    /// Bytes that the map of keys may take. What does not fit is left to the next run.
    pub map_bytes: usize,
    /// Bytes per second that are read and written together, if that is limited.
    pub bytes_per_second: Option<f64>,
    /// Time in ms between two looks at a log that can not be compacted yet.
    pub backoff_ms: i64,
}

impl Default for CompactionSettings {
    fn default() -> Self {
        Self {
            map_bytes: 8 << 20,
            bytes_per_second: None,
            backoff_ms: 15_000,
        }
    }
}

/// How far one log is compacted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactionState {
    /// What lies below was compacted.
    pub clean_end: Offset,
    /// Why the log is compacted no more, if so.
    pub uncleanable: Option<String>,
    /// Largest generation of a segment file.
    pub newest_generation: u32,
    /// Base of the segment that took appends when there was nothing to do.
    pub idle_at: Option<Offset>,
}

impl Default for CompactionState {
    fn default() -> Self {
        Self {
            clean_end: Offset(i64::MIN),
            uncleanable: None,
            newest_generation: 0,
            idle_at: None,
        }
    }
}

impl CompactionState {
    /// The log ends at `end` now.
    pub(crate) fn taken_back(&mut self, end: Offset) {
        self.clean_end = self.clean_end.min(end);
        self.idle_at = None;
    }

    /// A segment file of this generation exists.
    pub(crate) fn note_generation(&mut self, generation: u32) {
        self.newest_generation = self.newest_generation.max(generation);
    }

    /// A generation that no file of the log ever had.
    pub(crate) const fn next_generation(&mut self) -> u32 {
        self.newest_generation += 1;
        self.newest_generation
    }

    /// There is nothing to do as long as `active` takes the appends.
    pub(crate) const fn rest_at(&mut self, active: Offset) {
        self.idle_at = Some(active);
    }

    /// Look again: something has changed that may call for a compaction.
    pub(crate) const fn reconsider(&mut self) {
        self.idle_at = None;
    }

    pub(crate) fn rests_at(&self, active: Offset) -> bool {
        self.idle_at == Some(active)
    }
}

/// What the compactions of a store have done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CompactionStats {
    /// Compactions that reached their end.
    pub runs: u64,
    /// Compactions that were given up, because their log changed or the disk was full.
    pub aborted: u64,
    /// Bytes read, once to learn keys and once to copy.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Logs that are compacted no more because they are damaged.
    pub uncleanable: u64,
    /// When the last compaction ended.
    pub last_end: Option<Mono>,
    /// Duration of the longest compaction in ms.
    pub longest_ms: u64,
}

impl CompactionStats {
    /// Both stores together.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self {
            runs: self.runs + other.runs,
            aborted: self.aborted + other.aborted,
            bytes_read: self.bytes_read + other.bytes_read,
            bytes_written: self.bytes_written + other.bytes_written,
            uncleanable: self.uncleanable + other.uncleanable,
            last_end: self.last_end.max(other.last_end),
            longest_ms: self.longest_ms.max(other.longest_ms),
        }
    }
}

/// One compaction that reached its end, for one line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactionReport {
    /// The log's directory.
    pub directory: String,
    /// Keys were learned from here on.
    pub first_dirty: Offset,
    /// What lies below is compacted now.
    pub clean_end: Offset,
    /// Bytes of the segments before.
    pub bytes_before: u64,
    /// Bytes of those in their place.
    pub bytes_after: u64,
    /// Different keys that were learned.
    pub keys: usize,
    /// Time from the start to the end in ms.
    pub duration_ms: u64,
}

impl fmt::Display for CompactionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: compacted up to offset {} ({} keys from offset {}), {} bytes became {} in {} ms",
            self.directory,
            self.clean_end,
            self.keys,
            self.first_dirty,
            self.bytes_before,
            self.bytes_after,
            self.duration_ms
        )
    }
}
