//! Fetch: read what is there, watch what is not.

use std::collections::BTreeMap;

use bytes::Bytes;
use chronik_model::batch::BatchHeader;
use chronik_model::{ErrorCode, Offset, TopicPartition, mutant};
use chronik_storage::disk::{DiskError, FileRange};
use chronik_storage::select::Selected;
use chronik_storage::store::{ReadOutcome, ReadRequest};
use rustc_hash::FxHashMap;

use super::partition::check_epoch;
use super::{Shard, ShardOutputs};
use crate::api::errors;
use crate::messages::{FetchPart, FetchParts, FetchedPart, Piece, ShardReply, Ticket};

/// Fetches that wait for partitions to advance.
#[derive(Debug, Default)]
pub(super) struct Watches {
    by_partition: FxHashMap<TopicPartition, Vec<Ticket>>,
    partitions: BTreeMap<Ticket, Vec<TopicPartition>>,
}

impl Watches {
    fn watch(&mut self, ticket: Ticket, partitions: Vec<TopicPartition>) {
        for partition in &partitions {
            self.by_partition
                .entry(*partition)
                .or_default()
                .push(ticket);
        }
        self.partitions.insert(ticket, partitions);
    }

    /// Forgets a fetch.
    pub(super) fn cancel(&mut self, ticket: Ticket) {
        for partition in self.partitions.remove(&ticket).unwrap_or_default() {
            if let Some(waiting) = self.by_partition.get_mut(&partition) {
                waiting.retain(|other| *other != ticket);
                if waiting.is_empty() {
                    self.by_partition.remove(&partition);
                }
            }
        }
    }

    /// Takes the fetches that watch a partition.
    pub(super) fn fire(&mut self, partition: TopicPartition) -> Vec<Ticket> {
        let fired = self.by_partition.remove(&partition).unwrap_or_default();
        for ticket in &fired {
            self.cancel(*ticket);
        }
        fired
    }
}

/// Fetches of which some partitions are being read from disk.
#[derive(Debug, Default)]
pub(super) struct ColdReads {
    fetches: FxHashMap<u64, ColdFetch>,
    reads: FxHashMap<u64, ColdRead>,
    next: u64,
}

impl ColdReads {
    /// A number for a read that is not a fetch's.
    pub(super) fn ticket(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }
}

/// One partition of such a fetch.
#[derive(Debug)]
struct ColdRead {
    fetch: u64,
    part: FetchedPart,
    /// Where reading ends at the latest.
    bound: Offset,
}

#[derive(Debug)]
struct ColdFetch {
    ticket: Ticket,
    parts: Vec<FetchedPart>,
    reads_left: usize,
}

impl Shard {
    pub(super) fn fetch(&mut self, fetch: FetchParts, out: &mut ShardOutputs) {
        let fetch_id = self.cold.next;
        self.cold.next += 1;
        let mut parts = Vec::with_capacity(fetch.parts.len());
        let mut reads_left = 0;
        let mut budget = fetch.max_bytes;
        let mut found_any = false;
        let mut watched = Vec::new();
        for part in &fetch.parts {
            let (mut fetched, bound) = self.prepare(part);
            if !fetched.error.is_none() || fetched.diverging.is_some() {
                found_any = true;
                parts.push(fetched);
                continue;
            }
            watched.push(part.partition);
            let request = ReadRequest {
                from: part.offset,
                bound,
                max_bytes: part.max_bytes.min(budget),
                at_least_one: !found_any,
                as_range: true,
            };
            let wanted =
                request.from < request.bound && (request.max_bytes > 0 || request.at_least_one);
            if !wanted {
                parts.push(fetched);
                continue;
            }
            match self.read(part.partition, &request) {
                Read::Memory(records, bytes) => {
                    take_from_memory(&mut fetched, records, bytes, bound);
                    budget = budget.saturating_sub(bytes);
                    found_any |= bytes > 0;
                    parts.push(fetched);
                }
                Read::Disk(ticket) => {
                    let read = ColdRead {
                        fetch: fetch_id,
                        part: fetched,
                        bound,
                    };
                    self.cold.reads.insert(ticket, read);
                    budget = budget.saturating_sub(request.max_bytes);
                    reads_left += 1;
                    found_any = true;
                }
            }
        }
        if fetch.watch {
            self.watches.cancel(fetch.ticket);
            self.watches.watch(fetch.ticket, watched);
        }
        if reads_left > 0 {
            let ticket = fetch.ticket;
            self.cold.fetches.insert(
                fetch_id,
                ColdFetch {
                    ticket,
                    parts,
                    reads_left,
                },
            );
            return;
        }
        out.replies.push(ShardReply::Fetched {
            ticket: fetch.ticket,
            parts,
        });
    }

    /// Everything about a partition but its records, and the bound for reading them.
    fn prepare(&self, part: &FetchPart) -> (FetchedPart, Offset) {
        let mut fetched = FetchedPart {
            part: part.part,
            error: ErrorCode::None,
            high_watermark: Offset(-1),
            log_start: Offset(-1),
            diverging: None,
            more: false,
            records: Vec::new(),
            bytes: 0,
        };
        match self.bounds(part, &mut fetched) {
            Ok(bound) => (fetched, bound),
            Err(error) => {
                fetched.error = error;
                (fetched, Offset::ZERO)
            }
        }
    }

    fn bounds(&self, part: &FetchPart, fetched: &mut FetchedPart) -> Result<Offset, ErrorCode> {
        let slot = self
            .slots
            .get(&part.partition)
            .ok_or(ErrorCode::NotLeaderOrFollower)?;
        let partition = self
            .partition_of(*slot)
            .ok_or(ErrorCode::NotLeaderOrFollower)?;
        let log = self
            .store
            .log(*slot)
            .ok_or(ErrorCode::NotLeaderOrFollower)?;
        check_epoch(part.current_leader_epoch, partition.replica.leader_epoch())?;
        if log.failed.is_some() {
            return Err(ErrorCode::KafkaStorageError);
        }
        let high_watermark = partition.replica.high_watermark();
        fetched.high_watermark = high_watermark;
        fetched.log_start = log.log_start;
        if part.last_fetched_epoch.0 >= 0 {
            let end = log.epochs.end_of(part.last_fetched_epoch, log.log_end);
            let diverges =
                |(epoch, end): &(_, Offset)| *epoch < part.last_fetched_epoch || *end < part.offset;
            fetched.diverging = end.filter(diverges);
        }
        let gone = part.offset < log.log_start && !mutant!(DeletedRecordsServed);
        if gone || part.offset > high_watermark.max(log.log_start) {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        if mutant!(FetchBeyondHighWatermark) {
            return Ok(log.log_end);
        }
        Ok(high_watermark)
    }

    fn read(&mut self, partition: TopicPartition, request: &ReadRequest) -> Read {
        let ticket = self.cold.next;
        let Some(slot) = self.slots.get(&partition) else {
            return Read::Memory(Vec::new(), 0);
        };
        match self.store.read(*slot, request, ticket) {
            ReadOutcome::Batches { pieces, bytes } => Read::Memory(pieces, bytes),
            ReadOutcome::OnDisk => {
                self.cold.next += 1;
                Read::Disk(ticket)
            }
        }
    }

    /// A read came back from disk; the last one of a fetch sends its answer.
    pub(super) fn cold_read_done(
        &mut self,
        ticket: u64,
        result: Result<Selected, DiskError>,
        out: &mut ShardOutputs,
    ) {
        let Some(read) = self.cold.reads.remove(&ticket) else {
            return;
        };
        let (fetch_id, mut part) = (read.fetch, read.part);
        match result {
            Ok(selected) => {
                part.bytes = selected.bytes.len();
                part.more = part.bytes > 0 && selected.next_offset < read.bound;
                part.records = if part.bytes == 0 {
                    Vec::new()
                } else {
                    vec![Piece::Memory(selected.bytes)]
                };
            }
            Err(error) => {
                out.warnings.push(format!("fetch: {error}"));
                part.error = errors::of_disk(&error);
            }
        }
        self.part_done(fetch_id, part, out);
    }

    /// Batches of a fetch go out as they lie in their file.
    pub(super) fn range_found(
        &mut self,
        ticket: u64,
        range: FileRange,
        next_offset: Offset,
        out: &mut ShardOutputs,
    ) {
        let Some(read) = self.cold.reads.remove(&ticket) else {
            return;
        };
        let mut part = read.part;
        part.bytes = range.length;
        part.more = next_offset < read.bound;
        part.records = vec![Piece::File(range)];
        self.part_done(read.fetch, part, out);
    }

    fn part_done(&mut self, fetch_id: u64, part: FetchedPart, out: &mut ShardOutputs) {
        let Some(fetch) = self.cold.fetches.get_mut(&fetch_id) else {
            return;
        };
        fetch.parts.push(part);
        fetch.reads_left -= 1;
        if fetch.reads_left == 0
            && let Some(fetch) = self.cold.fetches.remove(&fetch_id)
        {
            out.replies.push(ShardReply::Fetched {
                ticket: fetch.ticket,
                parts: fetch.parts,
            });
        }
    }
}

/// Notes batches that were in memory, of all that there are below `bound`.
fn take_from_memory(part: &mut FetchedPart, records: Vec<Bytes>, bytes: usize, bound: Offset) {
    part.more = end_of(&records).is_some_and(|end| end < bound);
    part.records = records.into_iter().map(Piece::Memory).collect();
    part.bytes = bytes;
}

/// The offset behind the last of some batches.
fn end_of(records: &[Bytes]) -> Option<Offset> {
    let last = BatchHeader::parse(records.last()?).ok()?;
    Some(last.last_offset() + 1)
}

enum Read {
    Memory(Vec<Bytes>, usize),
    Disk(u64),
}
