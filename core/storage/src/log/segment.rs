//! One segment: a run of record batches in one file.

use std::ops::Range;

use bytes::Bytes;
use chronik_model::Offset;

use super::index::{IndexEntry, SegmentIndex};

/// A segment's identity in its log. Where compaction has replaced several segments by one, the new
/// one has the first one's base offset and a generation of its own, so that no file is ever written
/// over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId {
    /// First offset it may hold.
    pub base_offset: Offset,
    /// 0 for segments that were appended to, from 1 for what compaction wrote.
    pub generation: u32,
}

impl SegmentId {
    /// The segment of appends that starts at `base_offset`.
    #[must_use]
    pub const fn appended(base_offset: Offset) -> Self {
        Self {
            base_offset,
            generation: 0,
        }
    }
}

/// What is known of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// First offset it may hold; names the file.
    pub base_offset: Offset,
    /// 0, or which compaction of the log wrote it: then it takes no appends, and its offsets have
    /// gaps.
    pub generation: u32,
    /// Bytes appended, whether written yet or not.
    pub bytes: u64,
    /// Bytes that are in the file.
    pub written_bytes: u64,
    /// Bytes that survive a power cut.
    pub synced_bytes: u64,
    /// Bytes that were checked since the start: when they were appended, or when they were read.
    pub checked: Checked,
    /// Largest timestamp of its batches, in ms; `i64::MIN` when empty.
    pub max_timestamp_ms: i64,
    /// First offset of the batch that has it.
    pub max_timestamp_offset: Offset,
    /// Timestamp of its first batch, in ms, which starts the clock of `segment.ms`.
    pub first_timestamp_ms: Option<i64>,
    /// Where its batches lie; partial until loaded or learned.
    pub index: SegmentIndex,
    /// What the index file holds, where the index in memory is partial.
    pub index_state: IndexState,
    /// Whether its index file was written, or never will be.
    pub sealed: bool,
}

/// How much of a segment's index is in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexState {
    /// Complete: every append of the segment passed through here.
    Complete,
    /// There may be an index file to load.
    OnDisk,
    /// There is no usable index file: reads scan and remember.
    Missing,
}

impl Segment {
    /// An empty segment.
    #[must_use]
    pub fn new(base_offset: Offset) -> Self {
        Self {
            base_offset,
            generation: 0,
            bytes: 0,
            written_bytes: 0,
            synced_bytes: 0,
            checked: Checked::default(),
            max_timestamp_ms: i64::MIN,
            max_timestamp_offset: base_offset,
            first_timestamp_ms: None,
            index: SegmentIndex::default(),
            index_state: IndexState::Complete,
            sealed: false,
        }
    }

    /// Its identity.
    #[must_use]
    pub const fn id(&self) -> SegmentId {
        SegmentId {
            base_offset: self.base_offset,
            generation: self.generation,
        }
    }

    /// Bytes that are appended but not in the file.
    #[must_use]
    pub const fn unwritten_bytes(&self) -> u64 {
        self.bytes.saturating_sub(self.written_bytes)
    }

    /// Keeps the first `position` bytes.
    pub fn truncate(&mut self, position: u64) {
        self.bytes = position;
        self.written_bytes = self.written_bytes.min(position);
        self.synced_bytes = self.synced_bytes.min(position);
        self.checked.truncate(position);
        self.index.truncate(position);
        if self.index_state == IndexState::OnDisk {
            self.index_state = IndexState::Missing;
        }
    }

    /// Accounts for a batch at the end and returns its position.
    pub fn append(&mut self, batch: &AppendedBatch, index_interval_bytes: u64) -> u64 {
        let position = self.bytes;
        if position >= self.index.last_position() + index_interval_bytes {
            self.index.push(IndexEntry {
                offset: batch.base_offset,
                position,
                max_timestamp_before: self.max_timestamp_ms,
            });
        }
        self.bytes += batch.bytes;
        self.checked.add(position..self.bytes);
        if batch.max_timestamp_ms != i64::MIN {
            self.first_timestamp_ms
                .get_or_insert(batch.max_timestamp_ms);
        }
        if batch.max_timestamp_ms > self.max_timestamp_ms {
            self.max_timestamp_ms = batch.max_timestamp_ms;
            self.max_timestamp_offset = batch.base_offset;
        }
        position
    }
}

/// One stretch of a segment that is known to hold intact batches. Readers go forward, so that one
/// stretch is enough to remember.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    stretch: Range<u64>,
}

impl Checked {
    /// Adds what was checked just now: to the stretch that it continues, or in its place where it is
    /// longer.
    pub fn add(&mut self, found: Range<u64>) {
        let known = &self.stretch;
        if found.start <= known.end && known.start <= found.end {
            self.stretch = known.start.min(found.start)..known.end.max(found.end);
        } else if found.end - found.start > known.end - known.start {
            self.stretch = found;
        }
    }

    /// Whether all of a range was checked.
    #[must_use]
    pub fn covers(&self, range: &Range<u64>) -> bool {
        self.stretch.start <= range.start && range.end <= self.stretch.end
    }

    fn truncate(&mut self, position: u64) {
        self.stretch.end = self.stretch.end.min(position);
        self.stretch.start = self.stretch.start.min(position);
    }
}

/// What a segment needs to know of a batch.
#[derive(Debug, Clone, Copy)]
pub struct AppendedBatch {
    /// First offset.
    pub base_offset: Offset,
    /// Last offset.
    pub last_offset: Offset,
    /// Size in bytes.
    pub bytes: u64,
    /// Largest timestamp in ms; `i64::MIN` for a batch that compaction left without records.
    pub max_timestamp_ms: i64,
}

/// A batch that is in memory.
#[derive(Debug, Clone)]
pub struct TailBatch {
    /// First offset.
    pub base_offset: Offset,
    /// Last offset.
    pub last_offset: Offset,
    /// Segment that it belongs to.
    pub segment: Offset,
    /// Byte in that segment.
    pub position: u64,
    /// The batch as stored.
    pub bytes: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_checked_grows_where_it_meets_and_gives_way_to_what_is_longer() {
        let mut checked = Checked::default();
        let check = |checked: &Checked, expected: Range<u64>| {
            assert_eq!(checked.stretch, expected);
            assert!(checked.covers(&expected));
            assert!(!checked.covers(&(expected.start..expected.end + 1)));
        };
        checked.add(100..200);
        check(&checked, 100..200);
        checked.add(200..250);
        checked.add(90..110);
        check(&checked, 90..250);
        checked.add(400..500);
        check(&checked, 90..250);
        checked.add(1000..2000);
        check(&checked, 1000..2000);
        assert!(!checked.covers(&(999..1500)));
        checked.truncate(1500);
        check(&checked, 1000..1500);
        checked.truncate(10);
        check(&checked, 10..10);
    }
}
