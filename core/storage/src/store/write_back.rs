//! Moving the tail into the segments, and letting memory go.

use chronik_model::{LogId, Offset};

use super::maintain::{DELETE_TOKEN_BIT, START_TOKEN_BIT};
use super::{LogSlot, LogStore, Pending};
use crate::disk::DiskOp;
use crate::journal::Operation;
use crate::log::Mode;

/// Bytes of one write, so that a large backlog does not hold up others.
const MAX_WRITE_BYTES: u64 = 4 << 20;

impl LogStore {
    /// Ends a turn: what was appended without the journal goes to the segments now, as
    /// acknowledgements wait for it.
    pub fn end_turn(&mut self) {
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
        let log_id = log.log_id;
        if self.writing.contains_key(&log_id) {
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
        let pending = Pending::Write {
            slot,
            log_id,
            segment,
            end_position: position + bytes,
            end,
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
            if waits {
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
        let Some(log) = self.log(slot) else { return };
        let unsynced = log
            .segments
            .iter()
            .find(|segment| segment.synced_bytes < segment.written_bytes);
        let Some(segment) = unsynced else { return };
        let base = segment.base_offset;
        let bytes = segment.written_bytes;
        let next = log
            .segments
            .iter()
            .find(|segment| segment.base_offset > base);
        let end = next.map_or(log.written_end, |next| {
            next.base_offset.min(log.written_end)
        });
        let (file, log_id) = (log.file(base), log.log_id);
        let underway = self.pending.values().any(|pending| {
            matches!(pending, Pending::Sync { log_id: other, segment, bytes: synced, .. }
                if *other == log_id && *segment == base && *synced == bytes)
        });
        if !underway {
            self.request(
                DiskOp::Sync { file },
                Pending::Sync {
                    slot,
                    log_id,
                    segment: base,
                    bytes,
                    end,
                },
            );
        }
    }

    /// Takes the next step of a change of mode: write, sync, tell the journal.
    pub(super) fn push_switch(&mut self, slot: LogSlot) {
        let Some(log) = self.log(slot) else { return };
        let Some(switch) = log.switch.filter(|switch| !switch.journaling) else {
            return;
        };
        if log.written_end < switch.at {
            self.write_back(slot, false);
            return;
        }
        if log.synced_end < switch.at {
            self.sync_segments(slot);
            return;
        }
        let point = log.recovery_point();
        let token = SWITCH_TOKEN_BIT | log.log_id.0;
        let operation = Operation::RecoveryPoint {
            offset: point.offset,
            segment: point.segment,
            position: point.position,
            unjournaled: log.mode == Mode::Unjournaled,
        };
        self.journal_control(slot, &operation, Some(token));
        if let Some(switch) = self.log_mut(slot).and_then(|log| log.switch.as_mut()) {
            switch.journaling = true;
        }
    }

    /// A control operation of this store is durable. Returns the token if it was not the store's own.
    pub fn control_committed(&mut self, token: u64) -> Option<u64> {
        if token & DELETE_TOKEN_BIT != 0 {
            self.remove_deleted(LogId(token & !DELETE_TOKEN_BIT));
            return None;
        }
        if token & START_TOKEN_BIT != 0 {
            self.remove_doomed(LogId(token & !START_TOKEN_BIT));
            return None;
        }
        if token & SWITCH_TOKEN_BIT == 0 {
            return Some(token);
        }
        let log_id = LogId(token & !SWITCH_TOKEN_BIT);
        let slot = self
            .slots()
            .find(|slot| self.log(*slot).is_some_and(|log| log.log_id == log_id));
        let slot = slot?;
        if let Some(log) = self.log_mut(slot)
            && let Some(switch) = log.switch.take_if(|switch| switch.journaling)
        {
            log.committed_end = log.committed_end.max(switch.at);
        }
        self.advanced.push(slot);
        self.reconsider_mode(slot);
        None
    }
}

/// Marks tokens of mode changes; callers of the store use the lower 61 bits.
const SWITCH_TOKEN_BIT: u64 = 1 << 63;

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
