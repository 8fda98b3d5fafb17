//! Taking the end of a log back: the journal first, then the files.

use chronik_model::Offset;

use super::{LogSlot, LogStore, Pending, Token};
use crate::disk::{DiskData, DiskError, DiskErrorKind, DiskOp};
use crate::journal::Operation;
use crate::log::cut::{Cut, CutState};
use crate::log::{Mode, PartitionLog, SegmentId};
use crate::select::{Selected, Selection};

impl LogStore {
    /// Takes back everything at and behind `end_offset`, which must be a batch boundary; at or below
    /// the log start that is a [`LogStore::reset`]. Appends may follow at once; `token` comes back
    /// when the truncation is durable.
    pub fn truncate(&mut self, slot: LogSlot, end_offset: Offset, token: Option<u64>) {
        let Some(log) = self.log(slot) else { return };
        if end_offset <= log.log_start {
            self.reset(slot, end_offset, token);
            return;
        }
        let end_offset = end_offset.min(log.log_end);
        if end_offset < log.log_end {
            self.cut(slot, end_offset, |log| log.truncate_to(end_offset));
        }
        let generation = self.log(slot).map_or(0, |log| log.generation);
        let operation = Operation::Truncate {
            end_offset,
            generation,
        };
        self.journal_control(slot, &operation, token);
        self.tell_cut(slot, generation);
    }

    /// Empties the log, which goes on at `start_offset`; `token` comes back when that is durable.
    pub fn reset(&mut self, slot: LogSlot, start_offset: Offset, token: Option<u64>) {
        self.cut(slot, Offset(i64::MIN), |log| log.reset_to(start_offset));
        let generation = self.log(slot).map_or(0, |log| log.generation);
        let operation = Operation::Reset {
            start_offset,
            generation,
        };
        self.journal_control(slot, &operation, token);
        self.tell_cut(slot, generation);
    }

    fn cut(&mut self, slot: LogSlot, end: Offset, cut: impl FnOnce(&mut PartitionLog)) {
        let Some(log) = self.log_mut(slot) else {
            return;
        };
        let log_id = log.log_id;
        let before = log.unwritten_bytes();
        cut(log);
        log.release_held();
        let after = log.unwritten_bytes();
        self.unwritten_bytes = (self.unwritten_bytes + after).saturating_sub(before);
        for resident in &mut self.resident {
            resident
                .entries
                .retain(|(_, other, last)| *other != log_id || *last < end);
        }
        self.advanced.push(slot);
    }

    /// Has the files follow once the journal has the operation that was just added.
    fn tell_cut(&mut self, slot: LogSlot, generation: u32) {
        let Some(log) = self.log(slot) else { return };
        let newest = log.cuts.back().map(|cut| (cut.generation, cut.state));
        if newest == Some((generation, CutState::Journaling)) {
            self.open.tell(Token::Cut(log.log_id).encode());
        }
    }

    pub(super) fn cut_committed(&mut self, slot: LogSlot) {
        let Some(log) = self.log_mut(slot) else {
            return;
        };
        let mut cuts = log.cuts.iter_mut();
        if let Some(cut) = cuts.find(|cut| cut.state == CutState::Journaling) {
            cut.state = CutState::Durable;
            log.journaled_generation = log.journaled_generation.max(cut.generation);
        }
        self.carry_out_cut(slot);
    }

    /// Starts on the oldest cut, if the journal has it.
    fn carry_out_cut(&mut self, slot: LogSlot) {
        let Some(log) = self.log_mut(slot) else {
            return;
        };
        let Some(cut) = log.cuts.front_mut() else {
            return;
        };
        if cut.state != CutState::Durable {
            return;
        }
        let operations = cut.removed.len() + usize::from(cut.shortened.is_some());
        cut.state = CutState::Cutting(operations);
        let Cut {
            end,
            removed,
            shortened,
            ..
        } = cut.clone();
        if operations == 0 {
            self.finish_cut(slot);
            return;
        }
        let log_id = self
            .log(slot)
            .map_or(chronik_model::LogId(0), |log| log.log_id);
        for id in removed {
            let Some(file) = self.log(slot).map(|log| log.file_of(id)) else {
                return;
            };
            self.request(
                DiskOp::RemoveSegment { file },
                Pending::Cut { slot, log_id },
            );
        }
        match shortened {
            Some((id, Some(position))) => self.shorten(slot, id, position),
            Some((id, None)) => self.locate(slot, id, end),
            None => {}
        }
    }

    fn shorten(&mut self, slot: LogSlot, id: SegmentId, length: u64) {
        let Some(log) = self.log(slot) else { return };
        let (file, log_id) = (log.file_of(id), log.log_id);
        self.request(
            DiskOp::Truncate { file, length },
            Pending::Cut { slot, log_id },
        );
    }

    /// Finds where the batch at `end` starts, as nothing in memory says so.
    fn locate(&mut self, slot: LogSlot, id: SegmentId, end: Offset) {
        let Some(log) = self.log_mut(slot) else {
            return;
        };
        let (file, log_id) = (log.file_of(id), log.log_id);
        let Some(segment) = log.segment(id) else {
            // A log start or a later cut has let go of it meanwhile, and removes the file.
            self.cut_done(slot, Ok(DiskData::Done));
            return;
        };
        let end_position = segment.written_bytes;
        let selection = Selection {
            from: end,
            bound: Offset(i64::MAX),
            start: segment.index.floor(end - 1, id.base_offset),
            end_position,
            offsets: log.offsets_of(segment),
            max_bytes: 0,
        };
        let pending = Pending::Locate {
            slot,
            log_id,
            segment: id,
            end_position,
        };
        let may_pin = false;
        let op = DiskOp::Read {
            file,
            selection,
            may_pin,
        };
        self.request(op, pending);
    }

    pub(super) fn located(
        &mut self,
        slot: LogSlot,
        id: SegmentId,
        end_position: u64,
        result: Result<Selected, DiskError>,
    ) {
        let position = match result {
            Ok(selected) if selected.bytes.is_empty() => end_position,
            Ok(selected) => selected.position,
            Err(error) if error.kind == DiskErrorKind::NotFound => 0,
            Err(error) => {
                self.go_offline(&error.to_string());
                return;
            }
        };
        let Some(log) = self.log_mut(slot) else {
            return;
        };
        // A later cut may have taken the segment back as a whole and begun another of that name.
        let mut later = log.cuts.iter().skip(1);
        if !later.any(|later| later.end <= id.base_offset)
            && let Some(segment) = log.segment_mut(id.base_offset)
        {
            segment.truncate(position);
        }
        self.shorten(slot, id, position);
    }

    pub(super) fn cut_done(&mut self, slot: LogSlot, result: Result<DiskData, DiskError>) {
        if let Err(error) = result
            && error.kind != DiskErrorKind::NotFound
        {
            self.go_offline(&error.to_string());
            return;
        }
        let Some(log) = self.log_mut(slot) else {
            return;
        };
        let Some(cut) = log.cuts.front_mut() else {
            return;
        };
        if let CutState::Cutting(operations) = &mut cut.state {
            *operations = operations.saturating_sub(1);
            if *operations == 0 {
                self.finish_cut(slot);
            }
        }
    }

    fn finish_cut(&mut self, slot: LogSlot) {
        let Some(log) = self.log_mut(slot) else {
            return;
        };
        let before = log.unwritten_bytes();
        if let Some(cut) = log.cuts.pop_front() {
            log.settle(cut.end);
        }
        let after = log.unwritten_bytes();
        let (unjournaled, done) = (log.mode == Mode::Unjournaled, log.cuts.is_empty());
        self.unwritten_bytes = (self.unwritten_bytes + after).saturating_sub(before);
        if !done {
            self.carry_out_cut(slot);
            return;
        }
        self.reconsider_mode(slot);
        self.write_back(slot, unjournaled);
        self.push_switch(slot);
        self.continue_trim(slot);
        self.evict();
    }
}
