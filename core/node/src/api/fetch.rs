//! Fetch (key 1), versions 4 to 18.
//!
//! A fetch is read in rounds: each shard involved reads what it has and, if asked, watches for more.
//! Enough bytes, an error or the deadline end it. The batch that holds the wanted offset comes whole,
//! and at least one batch comes whatever the limits say (KIP-74). Sessions (KIP-227) answer only
//! partitions with news. Records end at the high watermark; without transactions the last stable
//! offset is the same, so both isolation levels read alike.
//!
//! KIP-320 (leader epochs, v9), KIP-392 (v11; a lone broker has no other replica to prefer), KIP-516
//! (topic ids, v13), KIP-595 (diverging epochs, v12), KIP-951 (v16).

mod session;

use std::collections::BTreeMap;

use chronik_model::{ErrorCode, Mono, Now, Offset, TopicPartition};
use chronik_protocol::fetch::{
    EpochEndOffset, FetchPartitionResponse, FetchPiece, FetchRequest, FetchResponseWriter,
};

use super::{Context, HandlerError, Outcome, Request};
use crate::frontend::{Frontend, FrontendOutput, Observation, Slot};
use crate::messages::{
    ConnectionId, FetchPart, FetchParts, FetchedPart, Piece, Pieces, ShardId, ShardRequest, Ticket,
};
pub(crate) use session::FetchSessions;
use session::{Opened, Wanted};

/// The first version that names topics by id.
const TOPIC_ID_VERSION: i16 = 13;

/// Fetch is woven into the frontend.
pub(super) fn hot(_context: &Context<'_>, _request: &Request<'_>) -> Result<Outcome, HandlerError> {
    Ok(Outcome::Hot)
}

/// A Fetch request in flight.
#[derive(Debug)]
pub(crate) struct FetchSlot {
    version: i16,
    correlation_id: i32,
    session_id: i32,
    /// Leave out partitions without news.
    incremental: bool,
    min_bytes: usize,
    max_bytes: usize,
    wanted: Vec<Wanted>,
    found: Vec<Option<FetchedPart>>,
    /// Shards that have not answered this round.
    outstanding: usize,
    watches: bool,
    /// A watched partition moved while a round was under way.
    moved: bool,
    expired: bool,
    deadline: Mono,
    shard_count: u16,
}

impl FetchSlot {
    /// The shards that own the partitions.
    pub(crate) fn shards(&self) -> Vec<ShardId> {
        let owned = self.wanted.iter().filter_map(|wanted| wanted.partition);
        let mut shards: Vec<ShardId> = owned
            .map(|partition| ShardId::of(partition, self.shard_count))
            .collect();
        shards.sort_unstable();
        shards.dedup();
        shards
    }

    fn bytes(&self) -> usize {
        self.found.iter().flatten().map(|part| part.bytes).sum()
    }

    /// Whether the answer can not get better by waiting. Where a read could not give everything that
    /// is there, the client has to ask again, and may do so at once.
    fn is_enough(&self) -> bool {
        let is_final =
            |part: &FetchedPart| !part.error.is_none() || part.diverging.is_some() || part.more;
        self.expired
            || !self.watches
            || self.bytes() >= self.min_bytes
            || self.found.iter().flatten().any(is_final)
    }
}

impl Frontend {
    /// Starts a fetch.
    pub(crate) fn fetch(
        &mut self,
        now: Now,
        id: ConnectionId,
        request: &Request<'_>,
        out: &mut Vec<FrontendOutput>,
    ) -> Result<(), HandlerError> {
        let fetch = FetchRequest::decode(request.body, request.version)?;
        let view = std::sync::Arc::clone(self.view());
        let opened = self
            .sessions()
            .open(&fetch, request.version >= TOPIC_ID_VERSION, &view.image);
        let Opened {
            session_id,
            incremental,
            wanted,
        } = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let writer = FetchResponseWriter::new(
                    request.version,
                    request.correlation_id,
                    0,
                    error,
                    0,
                    0,
                );
                let frame = writer.finish(&[])?;
                let pieces = frame.pieces().filter_map(|piece| match piece {
                    FetchPiece::Own(bytes) => Some(Piece::Memory(bytes)),
                    FetchPiece::Records(_) => None,
                });
                let reply = Pieces::Many(pieces.collect());
                self.push(id, Slot::Ready(reply));
                return Ok(());
            }
        };
        let limit = view.broker.network.fetch_max_bytes;
        let max_bytes = usize::try_from(fetch.max_bytes).unwrap_or(0).min(limit);
        // More than the answer may hold is never there.
        let min_bytes = usize::try_from(fetch.min_bytes).unwrap_or(0).min(max_bytes);
        let slot = FetchSlot {
            version: request.version,
            correlation_id: request.correlation_id,
            session_id,
            incremental,
            min_bytes,
            max_bytes,
            found: wanted.iter().map(|_| None).collect(),
            outstanding: 0,
            watches: fetch.min_bytes > 0 && fetch.max_wait_ms > 0,
            moved: false,
            expired: false,
            deadline: now.mono.plus_ms(i64::from(fetch.max_wait_ms)),
            shard_count: self.config().shard_count,
            wanted,
        };
        let (watches, deadline) = (slot.watches, slot.deadline);
        if let Some(ticket) = self.push(id, Slot::Fetch(Box::new(slot))) {
            if watches {
                self.arm(deadline, ticket);
            }
            self.start_round(now, ticket, out);
        }
        Ok(())
    }

    /// Asks every shard involved for what it has.
    fn start_round(&mut self, now: Now, ticket: Ticket, out: &mut Vec<FrontendOutput>) {
        let Some(Slot::Fetch(slot)) = self.slot(ticket) else {
            return;
        };
        let mut by_shard: BTreeMap<ShardId, Vec<FetchPart>> = BTreeMap::new();
        for ((number, wanted), found) in (0..).zip(&slot.wanted).zip(&mut slot.found) {
            let Some(partition) = wanted.partition else {
                *found = Some(failed(number, wanted.error));
                continue;
            };
            *found = None;
            let shard = ShardId::of(partition, slot.shard_count);
            by_shard
                .entry(shard)
                .or_default()
                .push(part(number, partition, wanted));
        }
        slot.outstanding = by_shard.len();
        slot.moved = false;
        let (max_bytes, watch) = (slot.max_bytes, slot.watches && !slot.expired);
        for (shard, parts) in by_shard {
            let parts = FetchParts {
                ticket,
                parts,
                max_bytes,
                watch,
            };
            out.push(FrontendOutput::Shard(shard, ShardRequest::Fetch(parts)));
        }
        self.judge(now, ticket, out);
    }

    /// A shard has answered its part of a round.
    pub(crate) fn fetched(
        &mut self,
        now: Now,
        ticket: Ticket,
        parts: Vec<FetchedPart>,
        out: &mut Vec<FrontendOutput>,
    ) {
        let Some(Slot::Fetch(slot)) = self.slot(ticket) else {
            return;
        };
        slot.outstanding = slot.outstanding.saturating_sub(1);
        for part in parts {
            if let Some(place) = slot.found.get_mut(part.part as usize) {
                *place = Some(part);
            }
        }
        self.judge(now, ticket, out);
    }

    /// A watched partition moved.
    pub(crate) fn fetch_ready(&mut self, now: Now, ticket: Ticket, out: &mut Vec<FrontendOutput>) {
        let Some(Slot::Fetch(slot)) = self.slot(ticket) else {
            return;
        };
        if slot.outstanding > 0 {
            slot.moved = true;
        } else {
            self.start_round(now, ticket, out);
        }
    }

    /// A fetch has waited as long as it wants to.
    pub(crate) fn fetch_expired(
        &mut self,
        now: Now,
        ticket: Ticket,
        out: &mut Vec<FrontendOutput>,
    ) {
        if let Some(Slot::Fetch(slot)) = self.slot(ticket) {
            slot.expired = true;
            self.judge(now, ticket, out);
        }
    }

    /// Ends the fetch if this round brought enough, starts another if something moved meanwhile.
    fn judge(&mut self, now: Now, ticket: Ticket, out: &mut Vec<FrontendOutput>) {
        let Some(Slot::Fetch(slot)) = self.slot(ticket) else {
            return;
        };
        if slot.outstanding > 0 {
            return;
        }
        if !slot.is_enough() {
            if slot.moved {
                self.start_round(now, ticket, out);
            }
            return;
        }
        if slot.watches {
            for shard in slot.shards() {
                out.push(FrontendOutput::Shard(
                    shard,
                    ShardRequest::CancelFetch(ticket),
                ));
            }
        }
        let Some(slot) = self.slot(ticket).and_then(Slot::take_fetch) else {
            return;
        };
        let failed = slot
            .found
            .iter()
            .flatten()
            .any(|part| !part.error.is_none());
        self.observe(Observation::Fetched {
            bytes: slot.bytes() as u64,
            failed,
        });
        let reply = self.encode_fetch(*slot);
        self.fill(ticket, reply, out);
    }

    fn encode_fetch(&mut self, mut slot: FetchSlot) -> Result<Pieces, HandlerError> {
        let mut kept: Vec<(Wanted, FetchedPart)> = Vec::new();
        let found = slot.found.drain(..);
        for ((number, wanted), found) in (0..).zip(slot.wanted.drain(..)).zip(found) {
            let found = found.unwrap_or_else(|| failed(number, ErrorCode::UnknownServerError));
            let news = self.sessions().note(slot.session_id, &wanted, &found);
            if news || !slot.incremental {
                kept.push((wanted, found));
            }
        }
        let same_topic = |one: &(Wanted, FetchedPart), other: &(Wanted, FetchedPart)| {
            one.0.topic == other.0.topic
        };
        let topic_count = kept.chunk_by(same_topic).count();
        let mut writer = FetchResponseWriter::new(
            slot.version,
            slot.correlation_id,
            0,
            ErrorCode::None,
            slot.session_id,
            topic_count,
        );
        for group in kept.chunk_by(same_topic) {
            let Some((first, _)) = group.first() else {
                continue;
            };
            writer.topic(first.topic.reference(), group.len());
            for (wanted, found) in group {
                writer.partition(&response(wanted, found));
            }
        }
        let frame = writer.finish(&[])?;
        let mut records = kept
            .into_iter()
            .map(|(_, found)| found)
            .filter(|found| found.bytes > 0);
        let mut pieces = Vec::new();
        for piece in frame.pieces() {
            match piece {
                FetchPiece::Own(bytes) => pieces.push(Piece::Memory(bytes)),
                FetchPiece::Records(_) => {
                    pieces.extend(records.next().into_iter().flat_map(|it| it.records))
                }
            }
        }
        Ok(Pieces::Many(pieces))
    }
}

fn part(number: u32, partition: TopicPartition, wanted: &Wanted) -> FetchPart {
    FetchPart {
        part: number,
        partition,
        offset: wanted.offset,
        current_leader_epoch: wanted.current_leader_epoch,
        last_fetched_epoch: wanted.last_fetched_epoch,
        max_bytes: wanted.max_bytes,
    }
}

fn failed(number: u32, error: ErrorCode) -> FetchedPart {
    FetchedPart {
        part: number,
        error,
        high_watermark: Offset(-1),
        log_start: Offset(-1),
        diverging: None,
        more: false,
        records: Vec::new(),
        bytes: 0,
    }
}

fn response<'a>(wanted: &Wanted, found: &FetchedPart) -> FetchPartitionResponse<'a> {
    FetchPartitionResponse {
        high_watermark: found.high_watermark,
        last_stable_offset: found.high_watermark,
        log_start_offset: found.log_start,
        diverging_epoch: found
            .diverging
            .map(|(epoch, end_offset)| EpochEndOffset { epoch, end_offset }),
        records_len: found.bytes,
        ..FetchPartitionResponse::failed(wanted.index, found.error)
    }
}
