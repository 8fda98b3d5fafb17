//! Retention, deletion, flushing and the journal's wish to trim.

use std::collections::VecDeque;
use std::sync::Arc;

use chronik_model::{LogId, Now, Offset, mutant};

use super::{Deletion, Doomed, LogSlot, LogStore, Pending, Token};
use crate::checkpoint::LogCheckpoint;
use crate::disk::DiskOp;
use crate::journal::Operation;
use crate::log::cut::CutState;
use crate::log::{Mode, PartitionLog, Segment};

/// Why a recovered log failed that a crash kept from being deleted: delete it again.
pub const DELETION_UNDERWAY: &str = "its deletion was underway";

/// How far a store is with letting the journal trim.
#[derive(Debug)]
pub enum TrimProgress {
    /// Segments are being written and synced.
    Underway,
    /// Nothing below the asked sequence is needed for recovery from these points.
    Ready(Vec<LogCheckpoint>),
}

impl LogStore {
    /// The journal wants everything below frame `sequence` to be durable in the segments. Every frame
    /// below it must have been passed to [`LogStore::committed`].
    pub fn start_trim(&mut self, sequence: u64) {
        // A stop that is underway wants more than any trim.
        self.trim = self.trim.max(Some(sequence));
        let slots: Vec<LogSlot> = self.slots().collect();
        for slot in slots {
            self.name_again(slot);
            self.continue_trim(slot);
        }
    }

    /// The journal is about to forget what the id of a log means. Where no file says it either, the
    /// journal is told again before anything else of the log, or now if it has some of it already.
    fn name_again(&mut self, slot: LogSlot) {
        let log = self.log_mut(slot).filter(|log| log.opened);
        let Some(log) = log.filter(|log| log.unwritten_file().is_some()) else {
            return;
        };
        log.unnamed = true;
        if log.written_end < log.log_end {
            self.ensure_open(slot);
        }
    }

    /// Whether a trim that was asked for is done.
    pub fn trim_progress(&mut self) -> Option<TrimProgress> {
        let sequence = self.trim?;
        if self.offline.is_some() {
            return Some(TrimProgress::Underway);
        }
        // What the journal has taken back must be gone from the files before the journal forgets it.
        // What the journal does not have yet is not waited for: it may be the journal that waits.
        let cutting = |log: &PartitionLog| {
            let mut cuts = log.cuts.iter();
            cuts.any(|cut| cut.state != CutState::Journaling)
        };
        let mut deleted = self.deleted.values();
        let removing = deleted.any(|log| log.checkpoint.is_none()) || !self.replaced.is_empty();
        let waits = |log: &PartitionLog| cutting(log) || is_behind(log, sequence);
        if removing || self.logs.iter().flatten().any(waits) {
            return Some(TrimProgress::Underway);
        }
        self.trim = None;
        Some(TrimProgress::Ready(self.checkpoints()))
    }

    /// Where recovery may start, for every log that has anything to recover.
    #[must_use]
    pub fn checkpoints(&self) -> Vec<LogCheckpoint> {
        let opened = self.logs.iter().flatten().filter(|log| log.opened);
        let deleted = self.deleted.values();
        let deleted = deleted.filter_map(|log| log.checkpoint.clone());
        opened.map(LogCheckpoint::of).chain(deleted).collect()
    }

    /// Writes and syncs everything, for a clean stop. Done when [`LogStore::is_clean`].
    pub fn flush_all(&mut self) {
        self.abort_compaction();
        self.start_trim(u64::MAX);
        let slots: Vec<LogSlot> = self.slots().collect();
        for slot in slots {
            if self
                .log(slot)
                .is_some_and(|log| log.written_end < log.log_end)
            {
                self.write_back(slot, false);
            }
        }
    }

    /// Whether everything appended is durable in the segments.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let dirty = |log: &PartitionLog| {
            is_behind(log, u64::MAX) || !log.cuts.is_empty() || log.switch.is_some()
        };
        let removed = self.deleted.is_empty() && self.replaced.is_empty();
        let underway = self.wants_commit() || self.logs.iter().flatten().any(dirty);
        self.offline.is_some() || (removed && !underway)
    }

    pub(super) fn continue_trim(&mut self, slot: LogSlot) {
        let Some(sequence) = self.trim else { return };
        let Some(log) = self.log(slot) else { return };
        if !is_behind(log, sequence) {
            return;
        }
        if log.written_end < log.committed_end.max(log.tail_end()) {
            self.write_back(slot, false);
        } else {
            self.sync_segments(slot);
        }
    }

    /// Syncs a log that does not journal, once `flush.messages` records wait.
    pub(super) fn flush_if_due(&mut self, slot: LogSlot) {
        let Some(log) = self.log(slot) else { return };
        let waiting = log.written_end.since(log.synced_end);
        let limit = i64::try_from(log.config.flush_messages).unwrap_or(i64::MAX);
        if log.mode == Mode::Unjournaled && waiting >= limit {
            self.sync_segments(slot);
        }
    }

    /// Syncs what is written of a log that does not journal, for `flush.ms`.
    pub fn flush(&mut self, slot: LogSlot) {
        let unjournaled = |log: &PartitionLog| log.mode == Mode::Unjournaled;
        if self.log(slot).is_some_and(unjournaled) {
            self.sync_written(slot);
        }
    }

    /// `flush.ms` of a log that has something to sync by it.
    #[must_use]
    pub fn flush_interval_ms(&self, slot: LogSlot) -> Option<i64> {
        let log = self.log(slot)?;
        let waits = log.mode == Mode::Unjournaled && log.synced_end < log.written_end;
        log.config.flush_ms.filter(|_| waits)
    }

    /// Moves the log start; `token` comes back when that is durable. Files go after that.
    pub fn delete_records(&mut self, slot: LogSlot, start_offset: Offset, token: Option<u64>) {
        self.journal_control(slot, &Operation::LogStart { start_offset }, token);
        let Some(log) = self.log_mut(slot) else {
            return;
        };
        let gone = log.advance_start(start_offset);
        log.compaction.reconsider();
        let kept = log
            .segments
            .front()
            .map_or(log.log_start, |segment| segment.base_offset);
        // Segments go only when written whole, and what is removed needs no sync.
        log.note_synced(kept.min(log.written_end));
        let log_id = log.log_id;
        let files: Vec<_> = gone.iter().map(|id| log.file_of(*id)).collect();
        if !files.is_empty() {
            let doomed = Doomed {
                files,
                replaced_by: None,
            };
            self.doomed.entry(log_id).or_default().push_back(doomed);
            self.open.tell(Token::Start(log_id).encode());
        }
    }

    /// A log start, or a compaction, is durable in the journal: the segments that it does without may
    /// go, oldest first (J10).
    pub(super) fn remove_doomed(&mut self, log_id: LogId) {
        let next = self.doomed.get_mut(&log_id).and_then(VecDeque::pop_front);
        let Some(Doomed { files, replaced_by }) = next else {
            return;
        };
        let Some(generation) = replaced_by else {
            self.keep_a_file(log_id);
            for file in files {
                self.request(DiskOp::RemoveSegment { file }, Pending::Chore);
            }
            return;
        };
        if let Some(log) = self.slot_of(log_id).and_then(|slot| self.log_mut(slot)) {
            log.journaled_generation = log.journaled_generation.max(generation);
        }
        if self.offline.is_none() {
            *self.replaced.entry(log_id).or_default() += files.len();
        }
        for file in files {
            self.request(
                DiskOp::RemoveSegment { file },
                Pending::Superseded { log_id },
            );
        }
    }

    /// Where nothing is left but an active segment without records, its empty file is all that tells
    /// where the log ends if the checkpoints are lost: offsets are not to begin at 0 again.
    fn keep_a_file(&mut self, log_id: LogId) {
        let log = self.slot_of(log_id).and_then(|slot| self.log(slot));
        let Some(file) = log.and_then(PartitionLog::unwritten_file) else {
            return;
        };
        let create = DiskOp::Write {
            file: file.clone(),
            position: 0,
            buffers: Vec::new(),
            urgent: false,
        };
        self.request(create, Pending::Chore);
        self.request(DiskOp::Sync { file }, Pending::Chore);
    }

    /// A file that compaction has replaced is gone. What is left of it after a failure is found
    /// again at the next start.
    pub(super) fn replaced_gone(&mut self, log_id: LogId) {
        if let Some(files) = self.replaced.get_mut(&log_id) {
            *files = files.saturating_sub(1);
            if *files == 0 {
                self.replaced.remove(&log_id);
            }
        }
    }

    /// Applies `retention.ms` and `retention.bytes` to one log.
    pub fn retain(&mut self, slot: LogSlot, now: Now) {
        let Some(log) = self.log_mut(slot) else {
            return;
        };
        if !log.config.cleanup_delete || log.failed.is_some() {
            return;
        }
        let expired = |segment: &Segment, retention_ms: i64| {
            // Where compaction has left no record there is nothing to keep.
            let without_records = segment.generation > 0 && segment.max_timestamp_ms == i64::MIN;
            without_records
                || segment.max_timestamp_ms != i64::MIN
                    && now.wall_ms.saturating_sub(segment.max_timestamp_ms) > retention_ms
        };
        let stable = log.stable_end();
        let active_expired = log.config.retention_ms.is_some_and(|retention| {
            log.segments
                .back()
                .is_some_and(|active| expired(active, retention))
        });
        if active_expired && log.written_end < log.log_end {
            // The expired tail is written first; the next look finds it closed.
            self.write_back(slot, false);
            return;
        }
        if active_expired && stable == log.log_end {
            log.roll();
        }
        let mut total: u64 = log.segments.iter().map(|segment| segment.bytes).sum();
        let mut start = log.log_start;
        let closed = log.segments.iter().zip(log.segments.iter().skip(1));
        for (segment, next) in closed {
            let unlimited = mutant!(RetentionTakesAll);
            let old = log
                .config
                .retention_ms
                .map_or(unlimited, |retention| expired(segment, retention));
            let excess = log
                .config
                .retention_bytes
                .is_some_and(|most| total.saturating_sub(segment.bytes) >= most);
            if !(old || excess) || next.base_offset > stable {
                break;
            }
            total -= segment.bytes;
            start = next.base_offset;
        }
        if start > log.log_start {
            self.delete_records(slot, start, None);
        }
    }

    /// Forgets producers that have been idle since `before_ms`.
    pub fn expire_producers(&mut self, slot: LogSlot, before_ms: i64) {
        if let Some(log) = self.log_mut(slot) {
            log.producers.expire(before_ms);
        }
    }

    /// Removes a log for good. Its id is never used again.
    pub fn delete(&mut self, slot: LogSlot) {
        let Some(place) = self.logs.get_mut(slot.index()) else {
            return;
        };
        let Some(log) = place.take() else { return };
        self.free.push(slot);
        self.writing.remove(&log.log_id);
        self.doomed.remove(&log.log_id);
        self.replaced.remove(&log.log_id);
        self.unwritten_bytes = self.unwritten_bytes.saturating_sub(log.unwritten_bytes());
        if log.opened {
            let token = Token::Delete(log.log_id).encode();
            self.open
                .control(log.log_id, &Operation::Delete, Some(token));
            let mut checkpoint = LogCheckpoint::of(&log);
            checkpoint.failed = Some(DELETION_UNDERWAY.to_owned());
            let deletion = Deletion {
                directory: log.directory,
                checkpoint: Some(checkpoint),
            };
            self.deleted.insert(log.log_id, deletion);
        }
    }

    /// A log's removal is durable in the journal: its files may go (rule J6).
    pub(super) fn remove_deleted(&mut self, log_id: LogId) {
        if let Some(deletion) = self.deleted.get_mut(&log_id) {
            deletion.checkpoint = None;
            let directory = Arc::clone(&deletion.directory);
            let op = DiskOp::RemoveLog { log_id, directory };
            self.request(op, Pending::Removal { log_id });
        }
    }
}

/// Whether segments miss data of frames below `sequence`, or, when everything is wanted, any data.
fn is_behind(log: &PartitionLog, sequence: u64) -> bool {
    let stopping = sequence == u64::MAX && log.failed.is_none() && log.synced_end < log.log_end;
    let frames = log.oldest_unsynced();
    stopping || frames.is_some_and(|oldest| oldest < sequence)
}
