//! Moving the tail into the segments, and letting memory go.

use chronik_model::{LogId, Offset, mutant};

use super::{Extent, LogSlot, LogStore, Pending, Token};
use crate::disk::DiskOp;
use crate::journal::Operation;
use crate::log::Mode;

/// Bytes of one write, so that a large backlog does not hold up others.
const MAX_WRITE_BYTES: u64 = 4 << 20;

impl LogStore {
    /// Ends a turn: what was appended without the journal goes to the segments now, as
    /// acknowledgements wait for it.
    pub fn end_turn(&mut self) {
        if mutant!(EndTurnForgets) {
            self.unjournaled.pop();
        }
        for slot in std::mem::take(&mut self.unjournaled) {
            self.write_back(slot, true);
        }
        self.evict();
    }

    pub(super) fn write_back_if_due(&mut self, slots: &[LogSlot]) {
        for slot in slots {
            let waiting = self
                .log(*slot)
                .map_or(0, |log| waiting_bytes(log.written_end, &log.tail));
            if waiting >= self.limits.write_back_bytes {
                self.write_back(*slot, false);
            }
        }
    }

    /// Writes what of the log is in memory only, as far as one segment and one write go. Another
    /// write follows when this one is done.
    pub(super) fn write_back(&mut self, slot: LogSlot, urgent: bool) {
        if self.offline.is_some() {
            return;
        }
        let Some(log) = self.log(slot) else { return };
        let (log_id, generation) = (log.log_id, log.generation);
        if self.writing.contains_key(&log_id) || !log.cuts.is_empty() {
            return;
        }
        let first = log
            .tail
            .partition_point(|batch| batch.base_offset < log.written_end);
        let Some(front) = log.tail.get(first) else {
            return;
        };
        let (segment, position) = (front.segment, front.position);
        let mut buffers = Vec::new();
        let (mut bytes, mut end) = (0, log.written_end);
        for batch in log
            .tail
            .iter()
            .skip(first)
            .take_while(|batch| batch.segment == segment)
        {
            if bytes >= MAX_WRITE_BYTES {
                break;
            }
            bytes += batch.bytes.len() as u64;
            end = batch.last_offset.next();
            buffers.push(batch.bytes.clone());
        }
        let file = log.file(segment);
        let extent = Extent {
            segment,
            bytes: position + bytes,
            end,
            generation,
        };
        let pending = Pending::Write {
            slot,
            log_id,
            extent,
        };
        self.writing.insert(log_id, ());
        self.request(
            DiskOp::Write {
                file,
                position,
                buffers,
                urgent,
            },
            pending,
        );
    }

    /// Lets the oldest frames go while there are more than the budget allows; those that are not
    /// written yet are written first.
    pub(super) fn evict(&mut self) {
        while self.resident_bytes > self.limits.tail_bytes {
            let Some(oldest) = self.resident.front() else {
                return;
            };
            let entries = oldest.entries.clone();
            let mut waits = false;
            for (slot, log_id, last) in &entries {
                let written = self
                    .same_log(*slot, *log_id)
                    .is_none_or(|log| log.written_end > *last);
                if !written {
                    waits = true;
                    self.write_back(*slot, false);
                }
            }
            if waits && !mutant!(UnwrittenEvicted) {
                return;
            }
            for (slot, log_id, last) in entries {
                if let Some(log) = self.same_log(slot, log_id) {
                    while log
                        .tail
                        .front()
                        .is_some_and(|batch| batch.last_offset <= last)
                    {
                        log.tail.pop_front();
                    }
                }
            }
            if let Some(gone) = self.resident.pop_front() {
                self.resident_bytes -= gone.bytes;
            }
        }
    }

    /// Makes the log durable in its segments as far as it is written, one segment at a time.
    pub(super) fn sync_segments(&mut self, slot: LogSlot) {
        let Some(log) = self.log(slot).filter(|log| log.cuts.is_empty()) else {
            return;
        };
        let mut segments = log.segments.iter();
        let unsynced = segments.find(|segment| segment.synced_bytes < segment.written_bytes);
        if let Some(base) = unsynced.map(|segment| segment.base_offset) {
            self.sync_segment(slot, base);
        }
    }

    /// Syncs all that is written, oldest segment first.
    pub(super) fn sync_written(&mut self, slot: LogSlot) {
        let Some(log) = self.log(slot).filter(|log| log.cuts.is_empty()) else {
            return;
        };
        let segments = log.segments.iter();
        let unsynced: Vec<Offset> = segments
            .filter(|segment| segment.synced_bytes < segment.written_bytes)
            .map(|segment| segment.base_offset)
            .collect();
        for base in unsynced {
            self.sync_segment(slot, base);
        }
    }

    fn sync_segment(&mut self, slot: LogSlot, base: Offset) {
        let Some(log) = self.log(slot) else { return };
        let mut segments = log.segments.iter();
        let Some(segment) = segments.find(|segment| segment.base_offset == base) else {
            return;
        };
        let bytes = segment.written_bytes;
        let next = log
            .segments
            .iter()
            .find(|segment| segment.base_offset > base);
        let end = next.map_or(log.written_end, |next| {
            next.base_offset.min(log.written_end)
        });
        let (file, log_id, generation) = (log.file(base), log.log_id, log.generation);
        let extent = Extent {
            segment: base,
            bytes,
            end,
            generation,
        };
        let underway = self.pending.values().any(|pending| {
            matches!(pending, Pending::Sync { log_id: other, extent, .. }
                if *other == log_id && extent.segment == base && extent.bytes == bytes)
        });
        if !underway {
            let pending = Pending::Sync {
                slot,
                log_id,
                extent,
            };
            self.request(DiskOp::Sync { file }, pending);
        }
    }

    /// Takes the next step of a change of mode: write, sync, tell the journal.
    pub(super) fn push_switch(&mut self, slot: LogSlot) {
        let Some(log) = self.log(slot) else { return };
        let Some(switch) = log.switch.filter(|switch| !switch.journaling) else {
            return;
        };
        if !log.cuts.is_empty() || self.offline.is_some() {
            return;
        }
        if log.written_end < switch.since {
            self.write_back(slot, false);
            return;
        }
        if log.synced_end < switch.since && !mutant!(SwitchWithoutSync) {
            self.sync_segments(slot);
            return;
        }
        let point = log.recovery_point();
        let token = Token::Switch(log.log_id).encode();
        let operation = Operation::RecoveryPoint {
            offset: point.offset,
            segment: point.segment,
            position: point.position,
            unjournaled: log.mode == Mode::Unjournaled,
            generation: log.generation + 1,
        };
        self.journal_control(slot, &operation, Some(token));
        if let Some(log) = self.log_mut(slot) {
            log.generation += 1;
            log.uncovered_cut = None;
            if let Some(switch) = log.switch.as_mut() {
                switch.journaling = true;
                switch.generation = log.generation;
            }
        }
    }

    /// A control operation of this store is durable. Returns the token if it was not the store's own.
    pub fn control_committed(&mut self, token: u64) -> Option<u64> {
        match Token::decode(token) {
            Token::Callers => return Some(token),
            Token::Delete(log_id) => self.remove_deleted(log_id),
            Token::Start(log_id) => self.remove_doomed(log_id),
            Token::Cut(log_id) => {
                if let Some(slot) = self.slot_of(log_id) {
                    self.cut_committed(slot);
                }
            }
            Token::Switch(log_id) => {
                if let Some(slot) = self.slot_of(log_id) {
                    self.switch_committed(slot);
                }
            }
        }
        None
    }

    pub(super) fn slot_of(&self, log_id: LogId) -> Option<LogSlot> {
        self.slots()
            .find(|slot| self.log(*slot).is_some_and(|log| log.log_id == log_id))
    }

    fn switch_committed(&mut self, slot: LogSlot) {
        if let Some(log) = self.log_mut(slot)
            && let Some(switch) = log.switch.take_if(|switch| switch.journaling)
        {
            log.committed_end = log.committed_end.max(switch.since);
            log.journaled_generation = log.journaled_generation.max(switch.generation);
            log.release_held();
        }
        self.advanced.push(slot);
        self.reconsider_mode(slot);
        self.write_back(slot, true);
    }
}

fn waiting_bytes(
    written_end: Offset,
    tail: &std::collections::VecDeque<crate::log::segment::TailBatch>,
) -> u64 {
    let newest = tail.back().filter(|batch| batch.base_offset >= written_end);
    let Some(newest) = newest else { return 0 };
    let first = tail.partition_point(|batch| batch.base_offset < written_end);
    let Some(oldest) = tail.get(first) else {
        return 0;
    };
    if oldest.segment == newest.segment {
        newest.position + newest.bytes.len() as u64 - oldest.position
    } else {
        // A rolled segment is written out at once.
        u64::MAX
    }
}
