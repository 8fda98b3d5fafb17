//! Reading: from the tail where it is in memory, from segments where it is not.

use bytes::Bytes;
use chronik_model::Offset;

use super::{LogSlot, LogStore, Pending};
use crate::disk::DiskOp;
use crate::log::segment::IndexState;
use crate::select::{Selection, TimestampHit, TimestampQuery, timestamp_in_batch};

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
            self.read_segment(slot, request, ticket);
            return ReadOutcome::OnDisk;
        }
        let first = log
            .tail
            .partition_point(|batch| batch.last_offset < request.from);
        let mut pieces = Vec::new();
        let mut bytes = 0;
        for batch in log.tail.iter().skip(first) {
            if batch.last_offset >= request.bound {
                break;
            }
            let fits = bytes + batch.bytes.len() <= request.max_bytes;
            if !fits && !(pieces.is_empty() && request.at_least_one) {
                break;
            }
            bytes += batch.bytes.len();
            pieces.push(batch.bytes.clone());
        }
        ReadOutcome::Batches { pieces, bytes }
    }

    fn read_segment(&mut self, slot: LogSlot, request: &ReadRequest, ticket: u64) {
        self.load_index(slot, request.from);
        let Some(log) = self.log(slot) else { return };
        let Some(segment) = log.segment_of(request.from) else {
            return;
        };
        let base = segment.base_offset;
        let selection = Selection {
            from: request.from,
            bound: request.bound,
            start_position: segment.index.floor(request.from),
            end_position: segment.written_bytes,
            max_bytes: request.max_bytes,
        };
        let (file, log_id) = (log.file(base), log.log_id);
        let pending = Pending::Read {
            slot,
            log_id,
            segment: base,
            ticket,
        };
        self.request(DiskOp::Read { file, selection }, pending);
    }

    /// Asks for the index file of the segment that holds `offset`, once.
    fn load_index(&mut self, slot: LogSlot, offset: Offset) {
        let Some(log) = self.log_mut(slot) else {
            return;
        };
        let log_id = log.log_id;
        let Some(base) = log.segment_of(offset).map(|segment| segment.base_offset) else {
            return;
        };
        let file = log.file(base);
        let Some(segment) = log.segment_mut(base) else {
            return;
        };
        if segment.index_state == IndexState::OnDisk {
            segment.index_state = IndexState::Missing;
            self.request(
                DiskOp::ReadIndex { file },
                Pending::Index {
                    slot,
                    log_id,
                    segment: base,
                },
            );
        }
    }

    /// Finds the first record at or after a timestamp, below `bound`. `Err(())` means that a disk
    /// operation was requested and a completion follows.
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
        let holds = |segment: &&crate::log::Segment| segment.max_timestamp_ms >= timestamp_ms;
        let Some(segment) = log.segments.iter().find(holds) else {
            return Ok(None);
        };
        let query = TimestampQuery {
            timestamp_ms,
            from: log.log_start,
            bound,
            start_position: segment.index.floor_of_time(timestamp_ms),
            end_position: segment.written_bytes,
        };
        let base = segment.base_offset;
        let in_memory = log
            .tail
            .front()
            .is_some_and(|batch| (batch.segment, batch.position) <= (base, query.start_position));
        if in_memory {
            let batches = log.tail.iter().filter(|batch| batch.segment >= base);
            let mut hits = batches.map(|batch| timestamp_in_batch(&batch.bytes, &query));
            return Ok(hits.find_map(|hit| hit.ok().flatten()));
        }
        let file = log.file(base);
        self.request(
            DiskOp::FindTimestamp { file, query },
            Pending::Timestamp { ticket },
        );
        Err(OnDisk)
    }
}

/// The answer comes as a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnDisk;
