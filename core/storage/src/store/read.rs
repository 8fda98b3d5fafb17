//! Reading: from the tail where it is in memory, from segments where it is not.

use bytes::Bytes;
use chronik_model::batch::BatchHeader;
use chronik_model::{LogId, Offset, mutant};

use super::{Completion, LogSlot, LogStore, Pending};
use crate::disk::{DiskOp, FileRange, PinnedFile};
use crate::log::segment::IndexState;
use crate::log::{PartitionLog, Segment, SegmentId};
use crate::select::{
    Boundary, Offsets, Selected, Selection, TimestampHit, TimestampQuery, timestamp_in_batch,
};

/// What to read.
#[derive(Debug, Clone, Copy)]
pub struct ReadRequest {
    /// First offset wanted; the batch that holds it comes whole.
    pub from: Offset,
    /// Nothing at or behind this offset.
    pub bound: Offset,
    /// Most bytes.
    pub max_bytes: usize,
    /// Whether one batch is returned even if it is larger than that.
    pub at_least_one: bool,
    /// Whether the answer may be a range of a segment's file: a [`Completion::Range`].
    pub as_range: bool,
}

/// What a read gave.
#[derive(Debug)]
pub enum ReadOutcome {
    /// Batches from memory; empty when there is nothing below the bound.
    Batches {
        /// The batches, in order.
        pieces: Vec<Bytes>,
        /// Their size.
        bytes: usize,
    },
    /// A disk operation was requested; a [`super::Completion`] with the ticket follows.
    OnDisk,
}

impl LogStore {
    /// Reads batches of one log. Offsets must have been checked against its start and end.
    pub fn read(&mut self, slot: LogSlot, request: &ReadRequest, ticket: u64) -> ReadOutcome {
        let nothing = ReadOutcome::Batches {
            pieces: Vec::new(),
            bytes: 0,
        };
        let Some(log) = self.log(slot) else {
            return nothing;
        };
        if request.from >= request.bound {
            return nothing;
        }
        if request.from < log.tail_start() {
            return if self.read_segment(slot, request, ticket) {
                ReadOutcome::OnDisk
            } else {
                nothing
            };
        }
        let first = log
            .tail
            .partition_point(|batch| batch.last_offset < request.from);
        let ends_here = log.tail.get(first).map(|batch| batch.last_offset) == Some(request.from);
        let first = first + usize::from(ends_here && mutant!(ReadSkipsABatch));
        let mut pieces = Vec::new();
        let mut bytes = 0;
        for batch in log.tail.iter().skip(first) {
            if batch.last_offset >= request.bound {
                break;
            }
            let fits = bytes + batch.bytes.len() <= request.max_bytes;
            let wanted = fits || (pieces.is_empty() && request.at_least_one);
            if !wanted {
                break;
            }
            bytes += batch.bytes.len();
            pieces.push(batch.bytes.clone());
        }
        ReadOutcome::Batches { pieces, bytes }
    }

    fn read_segment(&mut self, slot: LogSlot, request: &ReadRequest, ticket: u64) -> bool {
        self.load_index(slot, request.from);
        let Some(log) = self.log(slot) else {
            return false;
        };
        let Some(segment) = log.segment_of(request.from) else {
            return false;
        };
        let (id, base) = (segment.id(), segment.base_offset);
        let next = log.segments.iter().rev().map(|later| later.base_offset);
        let next = next.take_while(|later| *later > base).last();
        // A file that is still to be cut must not show what was taken back.
        let bound = next.map_or(request.bound, |next| next.min(request.bound));
        let start = segment.index.floor(request.from, base);
        // Where the next read can start without looking for its first batch.
        let end = boundary_of_read(segment, start, next, &ReadRequest { bound, ..*request });
        let selection = Selection {
            from: request.from,
            bound,
            start,
            end_position: end.map_or(segment.written_bytes, |end| end.position),
            offsets: log.offsets_of(segment),
            max_bytes: request.max_bytes,
        };
        let range = end
            .filter(|_| request.as_range && start.offset == request.from && log.cuts.is_empty())
            .filter(|end| segment.checked.covers(&(start.position..end.position)))
            .map(|end| WantedRange { start, end });
        let (file, log_id) = (log.file_of(id), log.log_id);
        let pending = Pending::Read {
            slot,
            log_id,
            segment: id,
            request: *request,
            ticket,
            range,
        };
        let op = DiskOp::Read {
            file,
            selection,
            may_pin: range.is_some(),
        };
        self.request(op, pending);
        true
    }

    /// A segment had nothing left for a read: goes on where the log goes on.
    pub(super) fn read_on(
        &mut self,
        slot: LogSlot,
        log_id: LogId,
        segment: SegmentId,
        request: &ReadRequest,
        ticket: u64,
    ) -> Option<Completion> {
        let log = self.same_log(slot, log_id);
        let replaced =
            log.is_some_and(|log| log.segment(segment).is_none() && request.from >= log.log_start);
        let next = self.same_log(slot, log_id).and_then(|log| {
            if replaced {
                // Compaction has put another segment in its place, which may reach further.
                return Some(request.from);
            }
            let mut bases = log.segments.iter().map(|later| later.base_offset);
            let next = bases.find(|base| *base > segment.base_offset);
            let tail = Some(log.tail_start()).filter(|start| *start > request.from);
            next.into_iter().chain(tail).min()
        });
        let mut pieces = Vec::new();
        let goes_on = |next: &Offset| replaced || *next > request.from;
        let from = next.filter(|next| goes_on(next) && *next < request.bound);
        if let Some(from) = from {
            let request = ReadRequest { from, ..*request };
            match self.read(slot, &request, ticket) {
                ReadOutcome::OnDisk => return None,
                ReadOutcome::Batches { pieces: found, .. } => pieces = found,
            }
        }
        let base_offset = from.unwrap_or(request.from);
        let last = pieces
            .last()
            .and_then(|batch| BatchHeader::parse(batch).ok());
        let selected = Selected {
            bytes: Bytes::from(pieces.concat()),
            position: 0,
            base_offset,
            next_offset: last.map_or(base_offset, |header| header.next_offset()),
        };
        let result = Ok(selected);
        Some(Completion::Read { ticket, result })
    }

    /// Asks for the index file of the segment that holds `offset`, once.
    fn load_index(&mut self, slot: LogSlot, offset: Offset) {
        let Some(log) = self.log_mut(slot) else {
            return;
        };
        let log_id = log.log_id;
        let Some(id) = log.segment_of(offset).map(Segment::id) else {
            return;
        };
        let file = log.file_of(id);
        let Some(segment) = log.segment_mut(id.base_offset) else {
            return;
        };
        if segment.index_state == IndexState::OnDisk {
            segment.index_state = IndexState::Missing;
            self.request(
                DiskOp::ReadIndex { file },
                Pending::Index {
                    slot,
                    log_id,
                    segment: id,
                },
            );
        }
    }

    /// Finds the first record at or after a timestamp, below `bound`. A disk operation may be
    /// requested instead.
    ///
    /// # Errors
    /// [`OnDisk`] when the answer comes later.
    pub fn find_timestamp(
        &mut self,
        slot: LogSlot,
        timestamp_ms: i64,
        bound: Offset,
        ticket: u64,
    ) -> Result<Option<TimestampHit>, OnDisk> {
        let Some(log) = self.log(slot) else {
            return Ok(None);
        };
        let query = TimestampQuery {
            timestamp_ms,
            from: log.log_start,
            bound,
            start: Boundary {
                position: 0,
                offset: log.log_start,
            },
            end_position: 0,
            offsets: Offsets::Dense,
        };
        self.look_behind(slot, None, &query, ticket)
    }

    /// Looks for a timestamp in the segments behind `after`.
    fn look_behind(
        &mut self,
        slot: LogSlot,
        after: Option<Offset>,
        query: &TimestampQuery,
        ticket: u64,
    ) -> Result<Option<TimestampHit>, OnDisk> {
        let Some(log) = self.log(slot) else {
            return Ok(None);
        };
        for segment in &log.segments {
            let base = segment.base_offset;
            let holds = segment.max_timestamp_ms >= query.timestamp_ms && base < query.bound;
            if !holds || after.is_some_and(|after| base <= after) {
                continue;
            }
            let query = TimestampQuery {
                start: segment.index.floor_of_time(query.timestamp_ms, base),
                end_position: segment.written_bytes,
                offsets: log.offsets_of(segment),
                ..*query
            };
            let in_memory = log.tail.front().is_some_and(|batch| {
                (batch.segment, batch.position) <= (base, query.start.position)
            });
            if in_memory || query.end_position == 0 {
                match in_tail(log, base, 0, &query) {
                    Some(hit) => return Ok(Some(hit)),
                    None => continue,
                }
            }
            let pending = Pending::Timestamp {
                slot,
                log_id: log.log_id,
                segment: segment.id(),
                query,
                ticket,
            };
            let file = log.file_of(segment.id());
            self.request(DiskOp::FindTimestamp { file, query }, pending);
            return Err(OnDisk);
        }
        Ok(None)
    }

    /// A segment's file had no record for a timestamp: goes on in memory and in later segments.
    pub(super) fn look_on(
        &mut self,
        slot: LogSlot,
        log_id: LogId,
        segment: SegmentId,
        query: &TimestampQuery,
        ticket: u64,
    ) -> Option<Completion> {
        let base = segment.base_offset;
        let log = self.same_log(slot, log_id);
        let known = log.is_some_and(|log| log.segment(segment).is_some());
        let log = self.same_log(slot, log_id).filter(|_| known);
        let hit = log.and_then(|log| in_tail(log, base, query.end_position, query));
        // Where compaction has put another segment in its place, the search begins anew.
        let after = known.then_some(base);
        let found = match hit {
            Some(hit) => Ok(Some(hit)),
            None if self.same_log(slot, log_id).is_some() => {
                self.look_behind(slot, after, query, ticket)
            }
            None => Ok(None),
        };
        let result = Ok(found.ok()?);
        Some(Completion::Timestamp { ticket, result })
    }
}

/// Whole batches that may be sent as they lie in their file.
#[derive(Debug, Clone, Copy)]
pub(super) struct WantedRange {
    start: Boundary,
    end: Boundary,
}

impl WantedRange {
    pub(super) fn completion(&self, ticket: u64, file: PinnedFile) -> Completion {
        let length = self.end.position - self.start.position;
        let range = FileRange {
            file,
            position: self.start.position,
            length: usize::try_from(length).unwrap_or(usize::MAX),
        };
        Completion::Range {
            ticket,
            range,
            next_offset: self.end.offset,
        }
    }
}

/// The last boundary that is known behind the wanted batch, among what is in the file and what the
/// request has room for from `start` on. `next` is where the segment behind starts.
fn boundary_of_read(
    segment: &Segment,
    start: Boundary,
    next: Option<Offset>,
    request: &ReadRequest,
) -> Option<Boundary> {
    let limit = start.position.saturating_add(request.max_bytes as u64);
    let limit = limit.min(segment.written_bytes);
    let whole = next.filter(|next| *next <= request.bound && segment.bytes <= limit);
    let end = whole.map(|offset| Boundary {
        position: segment.bytes,
        offset,
    });
    end.or_else(|| segment.index.last_within(limit, request.bound))
        .filter(|end| end.offset > request.from && end.position > start.position)
}

/// Finds a timestamp among the batches in memory of one segment, from byte `position` on.
fn in_tail(
    log: &PartitionLog,
    segment: Offset,
    position: u64,
    query: &TimestampQuery,
) -> Option<TimestampHit> {
    let batches = log
        .tail
        .iter()
        .filter(|batch| batch.segment == segment && batch.position >= position);
    let mut hits = batches.map(|batch| timestamp_in_batch(&batch.bytes, query));
    hits.find_map(|hit| hit.ok().flatten())
}

/// The answer comes as a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnDisk;
