//! What the store makes of finished disk operations.

use bytes::Bytes;
use chronik_model::{LogId, Offset, mutant};

use super::{Extent, LogSlot, LogStore, Pending};
use crate::disk::{DiskData, DiskDone, DiskError, DiskErrorKind, DiskOp, FileRange, PinnedFile};
use crate::log::index::{IndexEntry, SegmentIndex};
use crate::log::segment::IndexState;
use crate::log::{Mode, Segment, SegmentId};
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
    /// A read of [`LogStore::read`] that took a range is back with one.
    Range {
        /// The ticket it was given.
        ticket: u64,
        /// Where the batches lie.
        range: FileRange,
        /// Offset behind the last of them.
        next_offset: Offset,
    },
    /// A timestamp lookup is back.
    Timestamp {
        /// The ticket it was given.
        ticket: u64,
        /// The record, if the segment has one.
        result: Result<Option<TimestampHit>, DiskError>,
    },
    /// A file of [`LogStore::replace_file`] is in place, or it is not.
    Replaced {
        /// The ticket it was given.
        ticket: u64,
        /// What came of it.
        result: Result<(), DiskError>,
    },
}

impl LogStore {
    /// Takes in a finished operation.
    pub fn disk_done(&mut self, done: DiskDone) -> Option<Completion> {
        let result = done.result;
        match self.pending.remove(&done.token.0)? {
            Pending::Read {
                slot,
                log_id,
                segment,
                request,
                ticket,
                range,
            } => {
                if let (Some(range), Ok(DiskData::Pinned(file))) = (&range, &result) {
                    return Some(range.completion(ticket, PinnedFile::clone(file)));
                }
                let result = result.and_then(expect_batches);
                if let Ok(selected) = &result {
                    if selected.bytes.is_empty() {
                        return self.read_on(slot, log_id, segment, &request, ticket);
                    }
                    self.learn(slot, log_id, segment, selected);
                }
                Some(Completion::Read { ticket, result })
            }
            Pending::Timestamp {
                slot,
                log_id,
                segment,
                query,
                ticket,
            } => {
                let result = result.and_then(expect_timestamp);
                if result == Ok(None) {
                    return self.look_on(slot, log_id, segment, &query, ticket);
                }
                Some(Completion::Timestamp { ticket, result })
            }
            Pending::Replace { ticket } => Some(Completion::Replaced {
                ticket,
                result: result.map(drop),
            }),
            chore @ (Pending::Write { .. }
            | Pending::Sync { .. }
            | Pending::Locate { .. }
            | Pending::Cut { .. }
            | Pending::Removal { .. }
            | Pending::Index { .. }
            | Pending::Compact { .. }
            | Pending::Superseded { .. }
            | Pending::Chore) => {
                self.chore_done(chore, result);
                None
            }
        }
    }

    /// Takes in an operation that nobody outside the store waits for.
    fn chore_done(&mut self, pending: Pending, result: Result<DiskData, DiskError>) {
        match pending {
            Pending::Write {
                slot,
                log_id,
                extent,
            } => self.write_done(slot, log_id, extent, result),
            Pending::Sync {
                slot,
                log_id,
                extent,
            } => self.sync_done(slot, log_id, extent, result),
            Pending::Locate {
                slot,
                log_id,
                segment,
                end_position,
            } if self.same_log(slot, log_id).is_some() => {
                let result = result.and_then(expect_batches);
                self.located(slot, segment, end_position, result);
            }
            Pending::Cut { slot, log_id } if self.same_log(slot, log_id).is_some() => {
                self.cut_done(slot, result);
            }
            Pending::Removal { log_id } => {
                // What is left of it after a failure is found again at the next start.
                self.deleted.remove(&log_id);
            }
            Pending::Index {
                slot,
                log_id,
                segment,
            } => self.index_done(slot, log_id, segment, result),
            Pending::Compact { run } => self.compaction_done(run, result),
            Pending::Superseded { log_id } => self.replaced_gone(log_id),
            Pending::Locate { .. }
            | Pending::Cut { .. }
            | Pending::Chore
            | Pending::Read { .. }
            | Pending::Timestamp { .. }
            | Pending::Replace { .. } => {}
        }
    }

    fn write_done(
        &mut self,
        slot: LogSlot,
        log_id: LogId,
        extent: Extent,
        result: Result<DiskData, DiskError>,
    ) {
        self.writing.remove(&log_id);
        let is_full = |error: &DiskError| error.kind == DiskErrorKind::Full;
        if let Err(error) = result
            && !(is_full(&error) && mutant!(FullDiskIgnored))
        {
            // Without space the data stays in memory until `retry_writes` tries again.
            match error.kind {
                DiskErrorKind::Full => {
                    (self.out_of_space, self.ran_out, self.retry_wanted) = (true, true, true);
                }
                DiskErrorKind::NotFound | DiskErrorKind::Corrupt | DiskErrorKind::Failed => {
                    self.go_offline(&error.to_string());
                }
            }
            return;
        }
        self.out_of_space = false;
        let Some(log) = self.same_log(slot, log_id) else {
            return;
        };
        let end = log.surviving_end(extent.generation, extent.end);
        let before = log.unwritten_bytes();
        if let Some(segment) = log
            .segment_mut(extent.segment)
            .filter(|segment| segment.base_offset < end)
        {
            let bytes = extent.bytes.min(segment.bytes);
            segment.written_bytes = segment.written_bytes.max(bytes);
        }
        log.written_end = log.written_end.max(end);
        let written = before.saturating_sub(log.unwritten_bytes());
        self.unwritten_bytes = self.unwritten_bytes.saturating_sub(written);
        self.advanced.push(slot);
        self.seal_rolled(slot);
        self.write_back_if_due(&[slot]);
        if self
            .log(slot)
            .is_some_and(|log| log.mode == Mode::Unjournaled)
        {
            // What came while this write was under way is waited for as well.
            self.write_back(slot, true);
        }
        self.push_switch(slot);
        self.continue_trim(slot);
        self.flush_if_due(slot);
        if mutant!(TrimBeforeSync) {
            self.sync_done(slot, log_id, extent, Ok(DiskData::Done));
        }
        self.evict();
    }

    /// Segments that take no more appends get their index files and are made durable.
    fn seal_rolled(&mut self, slot: LogSlot) {
        let Some(log) = self.log_mut(slot) else {
            return;
        };
        let rolled = log.segments.iter().rev().skip(1);
        let due: Vec<Offset> = rolled
            .take_while(|segment| !segment.sealed)
            .filter(|segment| segment.written_bytes == segment.bytes)
            .map(|segment| segment.base_offset)
            .collect();
        if !due.is_empty() && !log.cuts.is_empty() {
            return;
        }
        for base in due.iter().rev() {
            self.seal_segment(slot, *base);
        }
        if !due.is_empty() {
            self.sync_segments(slot);
        }
    }

    fn seal_segment(&mut self, slot: LogSlot, base: Offset) {
        let Some(log) = self.log_mut(slot) else {
            return;
        };
        let file = log.file(base);
        let Some(segment) = log.segment_mut(base) else {
            return;
        };
        segment.sealed = true;
        if segment.index_state == IndexState::Complete && segment.bytes > 0 {
            let bytes = segment.index.encode(segment.bytes);
            segment.index = SegmentIndex::default();
            segment.index_state = IndexState::OnDisk;
            self.request(DiskOp::WriteIndex { file, bytes }, Pending::Chore);
        }
    }

    /// Writes what found no space once more. Appends are taken again when one of these writes
    /// succeeds, or none is left.
    pub fn retry_writes(&mut self) {
        if !std::mem::take(&mut self.retry_wanted) {
            return;
        }
        let slots: Vec<LogSlot> = self.slots().collect();
        for slot in slots {
            let stalled = self
                .log(slot)
                .is_some_and(|log| log.mode == Mode::Unjournaled || log.switch.is_some());
            self.write_back(slot, stalled);
            self.continue_trim(slot);
        }
        self.evict();
        self.out_of_space &= !self.writing.is_empty();
    }

    fn sync_done(
        &mut self,
        slot: LogSlot,
        log_id: LogId,
        extent: Extent,
        result: Result<DiskData, DiskError>,
    ) {
        if let Err(error) = result {
            if mutant!(FailedSyncRetried) {
                return self.sync_segments(slot);
            }
            // What a failed sync leaves behind reads as clean: it is never tried again.
            self.go_offline(&error.to_string());
        }
        // Nor is one that was under way behind it believed: the pages it did not have to write may be those.
        if self.offline.is_some() {
            return;
        }
        let Some(log) = self.same_log(slot, log_id) else {
            return;
        };
        let end = log.surviving_end(extent.generation, extent.end);
        if let Some(segment) = log
            .segment_mut(extent.segment)
            .filter(|segment| segment.base_offset < end)
        {
            let bytes = extent.bytes.min(segment.written_bytes);
            segment.synced_bytes = segment.synced_bytes.max(bytes);
        }
        log.note_synced(end);
        self.advanced.push(slot);
        self.push_switch(slot);
        self.continue_trim(slot);
    }

    /// Remembers what a read has checked, and where it ended, so that the next one starts there.
    fn learn(&mut self, slot: LogSlot, log_id: LogId, id: SegmentId, selected: &Selected) {
        let Some(segment) = self.same_segment(slot, log_id, id) else {
            return;
        };
        let end = selected.position + selected.bytes.len() as u64;
        segment.checked.add(selected.position..end);
        if segment.index_state == IndexState::Missing && !selected.bytes.is_empty() {
            segment.index.push(IndexEntry {
                offset: selected.next_offset,
                position: end,
                max_timestamp_before: i64::MIN,
            });
        }
    }

    fn index_done(
        &mut self,
        slot: LogSlot,
        log_id: LogId,
        id: SegmentId,
        result: Result<DiskData, DiskError>,
    ) {
        let file = match result {
            Ok(DiskData::File(bytes)) => bytes,
            Ok(
                DiskData::Done
                | DiskData::Batches(_)
                | DiskData::Pinned(_)
                | DiskData::Timestamp(_)
                | DiskData::Compacted(_),
            )
            | Err(_) => Bytes::new(),
        };
        let Some(segment) = self.same_segment(slot, log_id, id) else {
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

    /// The segment, if neither its log nor compaction has let go of it meanwhile.
    fn same_segment(
        &mut self,
        slot: LogSlot,
        log_id: LogId,
        id: SegmentId,
    ) -> Option<&mut Segment> {
        let log = self.same_log(slot, log_id)?;
        let segment = log.segment_mut(id.base_offset);
        segment.filter(|segment| segment.id() == id)
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
        DiskData::Done
        | DiskData::Pinned(_)
        | DiskData::Timestamp(_)
        | DiskData::File(_)
        | DiskData::Compacted(_) => Err(unexpected()),
    }
}

fn expect_timestamp(data: DiskData) -> Result<Option<TimestampHit>, DiskError> {
    match data {
        DiskData::Timestamp(hit) => Ok(hit),
        DiskData::Done
        | DiskData::Batches(_)
        | DiskData::Pinned(_)
        | DiskData::File(_)
        | DiskData::Compacted(_) => Err(unexpected()),
    }
}
