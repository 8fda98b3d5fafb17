//! Taking the end of a log back: in memory at once, in the files when the journal says so.
//!
//! ```text
//!  truncate(60)      journal has TRUNCATE       files are cut
//!      |-- held back: write-back, syncs, trims ------|
//!  appends go on in a new segment at 60 all the while
//! ```

use std::collections::VecDeque;

use chronik_model::Offset;

use super::{PartitionLog, Segment, SegmentId};
use crate::log::epochs::EpochHistory;
use crate::log::producers::ProducerTable;

/// An end of a log that was taken back and may still be in its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Generation that the log entered with it.
    pub generation: u32,
    /// What an earlier generation appended at and behind this offset is gone.
    pub end: Offset,
    /// Where the log goes on, if it was emptied.
    pub restart: Option<Offset>,
    /// Segments whose files go.
    pub removed: Vec<SegmentId>,
    /// A segment that loses its end, and the byte where that starts if it is known.
    pub shortened: Option<(SegmentId, Option<u64>)>,
    /// How far it is.
    pub state: CutState,
}

/// Steps of a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutState {
    /// The journal does not have it yet.
    Journaling,
    /// The journal has it; earlier cuts are still being carried out.
    Durable,
    /// So many disk operations are underway.
    Cutting(usize),
}

impl PartitionLog {
    /// What of the data that `generation` put before `end` has not been taken back since.
    #[must_use]
    pub fn surviving_end(&self, generation: u32, end: Offset) -> Offset {
        let later = self.cuts.iter().filter(|cut| cut.generation > generation);
        later.fold(end, |end, cut| end.min(cut.end))
    }

    /// Forgets everything at and behind `end`, which is a batch boundary above the log start.
    pub fn truncate_to(&mut self, end: Offset) {
        self.generation += 1;
        let shortened = self.shortened_by(end);
        let removed = self.segments.iter().map(Segment::id);
        let removed = removed.filter(|id| id.base_offset >= end).collect();
        self.compaction.taken_back(end);
        self.segments.retain(|segment| segment.base_offset < end);
        if let (Some(segment), Some((_, position))) = (self.segments.back_mut(), shortened) {
            // What is below the tail is all written; where it ends is found out later.
            segment.truncate(position.unwrap_or(segment.written_bytes));
        }
        self.segments.push_back(Segment::new(end));
        self.tail.retain(|batch| batch.last_offset < end);
        self.held.retain(|batch| batch.last_offset < end);
        self.epochs.truncate_end(end);
        self.producers.truncate_end(end);
        self.log_end = end;
        for bound in [
            &mut self.written_end,
            &mut self.synced_end,
            &mut self.committed_end,
        ] {
            *bound = (*bound).min(end);
        }
        for (_, unsynced) in &mut self.unsynced {
            *unsynced = (*unsynced).min(end);
        }
        self.note_synced(self.synced_end);
        self.note_cut(end, None, removed, shortened);
        if let Some(switch) = &mut self.switch {
            switch.at = switch.at.min(end);
            switch.since = switch.since.min(end);
        }
        let uncovered = self.uncovered_cut.map_or(end, |known| known.min(end));
        self.uncovered_cut = Some(uncovered);
    }

    /// Empties the log; it goes on at `start`.
    pub fn reset_to(&mut self, start: Offset) {
        self.generation += 1;
        let removed = self.segments.iter().map(Segment::id);
        let removed = removed.collect();
        self.compaction.taken_back(Offset(i64::MIN));
        self.restart_at(start);
        self.epochs = EpochHistory::default();
        self.producers = ProducerTable::default();
        self.note_cut(Offset(i64::MIN), Some(start), removed, None);
        if let Some(switch) = &mut self.switch {
            (switch.at, switch.since) = (start, start);
        }
        self.uncovered_cut = Some(start);
    }

    /// Makes the log an empty one that begins at `start`, with the same producers and epochs.
    pub(crate) fn restart_at(&mut self, start: Offset) {
        self.segments = VecDeque::from([Segment::new(start)]);
        self.tail.clear();
        self.held.clear();
        self.unsynced.clear();
        for bound in [
            &mut self.log_start,
            &mut self.log_end,
            &mut self.written_end,
            &mut self.synced_end,
            &mut self.committed_end,
        ] {
            *bound = start;
        }
    }

    /// A cut at `end` is done, and all that an earlier generation still had in flight has arrived:
    /// corrects the size of the segment that ends there.
    pub(crate) fn settle(&mut self, end: Offset) {
        // A later cut took that segment back, or moved its end.
        if self.cuts.iter().any(|later| later.end <= end) {
            return;
        }
        let starts_here = |segment: &Segment| segment.base_offset == end;
        let Some(next) = self.segments.iter().position(starts_here) else {
            return;
        };
        let Some(segment) = next
            .checked_sub(1)
            .and_then(|kept| self.segments.get_mut(kept))
        else {
            return;
        };
        let base = segment.base_offset;
        let last = self.tail.iter().rev().find(|batch| batch.segment == base);
        let in_memory = last.map_or(0, |batch| batch.position + batch.bytes.len() as u64);
        segment.bytes = segment.written_bytes.max(in_memory);
    }

    fn note_cut(
        &mut self,
        end: Offset,
        restart: Option<Offset>,
        removed: Vec<SegmentId>,
        shortened: Option<(SegmentId, Option<u64>)>,
    ) {
        self.cuts.push_back(Cut {
            generation: self.generation,
            end,
            restart,
            removed,
            shortened,
            state: CutState::Journaling,
        });
    }

    /// Which segment's file reaches beyond `end`, and where the rest of it starts.
    fn shortened_by(&self, end: Offset) -> Option<(SegmentId, Option<u64>)> {
        let segment = self.segment_of(end - 1)?;
        let (id, base) = (segment.id(), segment.base_offset);
        let kept = self.tail.partition_point(|batch| batch.last_offset < end);
        if let Some(batch) = kept.checked_sub(1).and_then(|last| self.tail.get(last)) {
            // Batches in flight follow the tail; those that stay find their place by themselves.
            let stays = kept == self.tail.len() && end > self.tail_end();
            let position = batch.position + batch.bytes.len() as u64;
            return (!stays && batch.segment == base).then_some((id, Some(position)));
        }
        if self.tail.is_empty() && end >= self.written_end {
            return None;
        }
        let next = self
            .segments
            .iter()
            .find(|segment| segment.base_offset > base);
        let whole = next.is_some_and(|next| next.base_offset <= end);
        (!whole).then_some((id, None))
    }
}
