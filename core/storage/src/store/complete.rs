//! What the store makes of finished disk operations.

use bytes::Bytes;
use chronik_model::{LogId, Offset};

use super::{LogSlot, LogStore, Pending};
use crate::disk::{DiskData, DiskDone, DiskError, DiskErrorKind, DiskOp};
use crate::log::index::{IndexEntry, SegmentIndex};
use crate::log::segment::IndexState;
use crate::select::{Selected, TimestampHit};

/// A finished operation that somebody outside the store waits for.
#[derive(Debug, Clone)]
pub enum Completion {
    /// A read of [`LogStore::read`] went to the disk and is back.
    Read {
        /// The ticket it was given.
        ticket: u64,
        /// The batches.
        result: Result<Selected, DiskError>,
    },
    /// A timestamp lookup is back.
    Timestamp {
        /// The ticket it was given.
        ticket: u64,
        /// The record, if the segment has one.
        result: Result<Option<TimestampHit>, DiskError>,
    },
}

impl LogStore {
    /// Takes in a finished operation.
    pub fn disk_done(&mut self, done: DiskDone) -> Option<Completion> {
        match self.pending.remove(&done.token.0)? {
            Pending::Write {
                slot,
                log_id,
                segment,
                end_position,
                end,
            } => {
                self.write_done(slot, log_id, segment, (end_position, end), done.result);
                None
            }
            Pending::Sync {
                slot,
                log_id,
                segment,
                bytes,
                end,
            } => {
                self.sync_done(slot, log_id, segment, (bytes, end), done.result);
                None
            }
            Pending::Read {
                slot,
                log_id,
                segment,
                ticket,
            } => {
                let result = done.result.and_then(expect_batches);
                if let Ok(selected) = &result {
                    self.learn(slot, log_id, segment, selected);
                }
                Some(Completion::Read { ticket, result })
            }
            Pending::Timestamp { ticket } => {
                let result = done.result.and_then(expect_timestamp);
                Some(Completion::Timestamp { ticket, result })
            }
            Pending::Index {
                slot,
                log_id,
                segment,
            } => {
                self.index_done(slot, log_id, segment, done.result);
                None
            }
            Pending::Chore => None,
        }
    }

    fn write_done(
        &mut self,
        slot: LogSlot,
        log_id: LogId,
        segment: Offset,
        (end_position, end): (u64, Offset),
        result: Result<DiskData, DiskError>,
    ) {
        self.writing.remove(&log_id);
        if let Err(error) = result {
            // Without space the data stays in memory and the next completion or trim tries again.
            match error.kind {
                DiskErrorKind::Full => self.disk_full = true,
                DiskErrorKind::NotFound | DiskErrorKind::Corrupt | DiskErrorKind::Failed => {
                    self.go_offline(&error.to_string());
                }
            }
            return;
        }
        let Some(log) = self.same_log(slot, log_id) else {
            return;
        };
        let mut written = 0;
        if let Some(segment) = log.segment_mut(segment) {
            written = end_position.saturating_sub(segment.written_bytes);
            segment.written_bytes = segment.written_bytes.max(end_position);
        }
        log.written_end = log.written_end.max(end);
        let sealed = log
            .segments
            .back()
            .is_some_and(|active| active.base_offset != segment);
        self.unwritten_bytes = self.unwritten_bytes.saturating_sub(written);
        self.advanced.push(slot);
        if sealed {
            self.seal_segment(slot, segment);
        }
        self.write_back_if_due(&[slot]);
        self.push_switch(slot);
        self.continue_trim(slot);
        self.flush_if_due(slot);
        self.evict();
    }

    /// A segment that takes no more appends gets its index file and is made durable.
    fn seal_segment(&mut self, slot: LogSlot, base: Offset) {
        let Some(log) = self.log_mut(slot) else {
            return;
        };
        let file = log.file(base);
        let Some(segment) = log.segment_mut(base) else {
            return;
        };
        if segment.written_bytes < segment.bytes {
            return;
        }
        if segment.index_state == IndexState::Complete {
            let bytes = segment.index.encode(segment.bytes);
            segment.index = SegmentIndex::default();
            segment.index_state = IndexState::OnDisk;
            self.request(DiskOp::WriteIndex { file, bytes }, Pending::Chore);
        }
        self.sync_segments(slot);
    }

    fn sync_done(
        &mut self,
        slot: LogSlot,
        log_id: LogId,
        segment: Offset,
        (bytes, end): (u64, Offset),
        result: Result<DiskData, DiskError>,
    ) {
        if let Err(error) = result {
            // What a failed sync leaves behind reads as clean: it is never tried again.
            self.go_offline(&error.to_string());
            return;
        }
        let Some(log) = self.same_log(slot, log_id) else {
            return;
        };
        if let Some(segment) = log.segment_mut(segment) {
            segment.synced_bytes = segment.synced_bytes.max(bytes);
        }
        log.note_synced(end);
        self.push_switch(slot);
        self.continue_trim(slot);
    }

    /// Remembers where a read ended, so that the next one starts there.
    fn learn(&mut self, slot: LogSlot, log_id: LogId, segment: Offset, selected: &Selected) {
        let Some(log) = self.same_log(slot, log_id) else {
            return;
        };
        let Some(segment) = log.segment_mut(segment) else {
            return;
        };
        if segment.index_state == IndexState::Missing && !selected.bytes.is_empty() {
            segment.index.push(IndexEntry {
                offset: selected.next_offset,
                position: selected.position + selected.bytes.len() as u64,
                max_timestamp_before: i64::MIN,
            });
        }
    }

    fn index_done(
        &mut self,
        slot: LogSlot,
        log_id: LogId,
        segment: Offset,
        result: Result<DiskData, DiskError>,
    ) {
        let file = match result {
            Ok(DiskData::File(bytes)) => bytes,
            Ok(DiskData::Done | DiskData::Batches(_) | DiskData::Timestamp(_)) | Err(_) => {
                Bytes::new()
            }
        };
        let Some(log) = self.same_log(slot, log_id) else {
            return;
        };
        let Some(segment) = log.segment_mut(segment) else {
            return;
        };
        match SegmentIndex::decode(&file, segment.bytes) {
            Some(index) => {
                segment.index = index;
                segment.index_state = IndexState::Complete;
            }
            None => segment.index_state = IndexState::Missing,
        }
    }
}

fn unexpected() -> DiskError {
    DiskError::new(
        "",
        DiskErrorKind::Failed,
        "the disk answered another question",
    )
}

fn expect_batches(data: DiskData) -> Result<Selected, DiskError> {
    match data {
        DiskData::Batches(selected) => Ok(selected),
        DiskData::Done | DiskData::Timestamp(_) | DiskData::File(_) => Err(unexpected()),
    }
}

fn expect_timestamp(data: DiskData) -> Result<Option<TimestampHit>, DiskError> {
    match data {
        DiskData::Timestamp(hit) => Ok(hit),
        DiskData::Done | DiskData::Batches(_) | DiskData::File(_) => Err(unexpected()),
    }
}
