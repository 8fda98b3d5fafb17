//! Where a loop asks the memory budget: before it reads, before it hands on fetches, and for replies.
//!
//! What has to wait here waits in order. A loop in which something waits has all loops look for
//! connections that hold memory and do not move.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use chronik_model::Now;
use chronik_node::{ConnectionId, FrontendInput, Pieces, ShardId, ShardRequest};

use super::EventLoop;
use super::output::SMALL_PIECE_BYTES;
use crate::hub::LoopMessage;
use crate::memory::{Kind, Lease};

/// Requests up to this size are read without standing in line.
const SMALL_REQUEST_BYTES: usize = 8 << 10;
/// A connection that did not move for this long is closed when others wait for what it holds.
const STALLED_AFTER: Duration = Duration::from_secs(2);
/// How often such connections are looked for while somebody waits.
const STALL_CHECK: Duration = Duration::from_millis(500);
/// Api keys of the requests whose bytes are not kept once they were handled.
const PRODUCE_AND_FETCH: [[u8; 2]; 2] = [[0, 0], [0, 1]];

impl EventLoop {
    /// Whether more of the connection may be read now. If not, it is told when.
    pub(super) fn admit(&mut self, id: ConnectionId) -> bool {
        let event_loop = self.config.index;
        let Some(connection) = self.connection(id) else {
            return false;
        };
        if connection.queued {
            return false;
        }
        if connection.lease.is_some() {
            return true;
        }
        match connection.bytes_of_partial_request() {
            0 if self.has_room_for_requests() => true,
            0 => {
                self.unread.push_back(id);
                false
            }
            bytes => {
                let memory = &self.hub.memory;
                let lease = if bytes <= SMALL_REQUEST_BYTES {
                    Some(memory.take(Kind::Requests, bytes))
                } else {
                    memory.reserve(event_loop, id, bytes)
                };
                let admitted = lease.is_some();
                self.queued += usize::from(!admitted);
                if let Some(connection) = self.connection(id) {
                    connection.queued = !admitted;
                    connection.lease = lease;
                }
                admitted
            }
        }
    }

    /// Whether a request that has not begun may be read; if not, the loop is woken when it may.
    pub(super) fn has_room_for_requests(&self) -> bool {
        let memory = &self.hub.memory;
        if memory.is_short() {
            memory.starve();
        }
        !memory.is_short()
    }

    /// A request that stood in line may be read.
    pub(super) fn granted(&mut self, id: ConnectionId, lease: Lease) {
        let Some(connection) = self.connection(id).filter(|connection| connection.queued) else {
            return;
        };
        connection.queued = false;
        connection.lease = Some(lease);
        self.queued -= 1;
        self.unread.push_back(id);
    }

    /// A whole request as memory that others may keep: `frame` may be a slice of the bytes that this
    /// loop reads into, all of which it would hold on to.
    pub(super) fn unshare(
        &mut self,
        id: ConnectionId,
        frame: Bytes,
        lease: Option<Lease>,
    ) -> Bytes {
        let is_own = lease.is_some();
        match lease.filter(|lease| lease.bytes() > SMALL_REQUEST_BYTES as u64) {
            Some(lease) => lease.keep(frame),
            None if self.frontend.holds_back(id) => {
                let lease = self.hub.memory.take(Kind::Requests, frame.len());
                lease.keep(Bytes::copy_from_slice(&frame))
            }
            None if is_own => frame,
            None => match frame.first_chunk() {
                Some(api_key) if !PRODUCE_AND_FETCH.contains(api_key) => {
                    Bytes::copy_from_slice(&frame)
                }
                Some(_) | None => frame,
            },
        }
    }

    /// Gives a request back unless it is a fetch for which there is no room; then it waits here.
    pub(super) fn hold_back(
        &mut self,
        shard: ShardId,
        request: ShardRequest,
    ) -> Option<ShardRequest> {
        let mut fetch = match request {
            ShardRequest::Fetch(fetch) => fetch,
            ShardRequest::CancelFetch(ticket) => {
                self.held_back
                    .retain(|(of, fetch)| (*of, fetch.ticket) != (shard, ticket));
                return Some(request);
            }
            other @ (ShardRequest::Produce(_) | ShardRequest::Partition { .. }) => {
                return Some(other);
            }
        };
        let room = self.room_for_replies();
        match room.filter(|_| self.held_back.is_empty()) {
            Some(room) => {
                fetch.max_bytes = fetch.max_bytes.min(room);
                Some(ShardRequest::Fetch(fetch))
            }
            None => {
                self.held_back.push_back((shard, fetch));
                None
            }
        }
    }

    /// Most bytes of the next reply; if there is no room, the loop is woken when there is some.
    fn room_for_replies(&self) -> Option<usize> {
        let memory = &self.hub.memory;
        let room = memory.reply_room().or_else(|| {
            memory.hold_back();
            // It may have come between the look and the word.
            memory.reply_room()
        });
        room.map(|room| usize::try_from(room).unwrap_or(usize::MAX))
    }

    /// Hands on the fetches for which there is room now.
    pub(super) fn release_held_back(&mut self, now: Now) {
        if self.held_back.is_empty() || self.room_for_replies().is_none() {
            return;
        }
        for (shard, fetch) in std::mem::take(&mut self.held_back) {
            // Those of connections that were closed meanwhile are still there.
            if self.connection(fetch.ticket.connection).is_none() {
                continue;
            }
            let Some(request) = self.hold_back(shard, ShardRequest::Fetch(fetch)) else {
                continue;
            };
            let mut inputs: VecDeque<FrontendInput> = VecDeque::new();
            self.ask(now, (shard, request), &mut inputs);
            for input in inputs {
                self.step(now, input);
            }
        }
    }

    /// Accounts for a large reply that is not made of batches, which are accounted for already.
    pub(super) fn account_reply(&self, pieces: Pieces) -> Pieces {
        match pieces {
            Pieces::One(bytes) if bytes.len() > SMALL_PIECE_BYTES => {
                let lease = self.hub.memory.take(Kind::Replies, bytes.len());
                Pieces::One(lease.keep(bytes))
            }
            Pieces::One(_) | Pieces::Many(_) => pieces,
        }
    }

    pub(super) fn waits_for_memory(&self) -> bool {
        let unread = !self.unread.is_empty() && self.hub.memory.is_short();
        unread || self.queued > 0 || !self.held_back.is_empty()
    }

    /// Has all loops close what is stalled while something waits here.
    pub(super) fn look_for_stalled(&mut self, now: Now) {
        if !self.waits_for_memory() {
            self.next_stall_check = now.mono + STALL_CHECK;
            return;
        }
        if self.next_stall_check > now.mono {
            return;
        }
        self.next_stall_check = now.mono + STALL_CHECK;
        for handle in self.hub.loops() {
            handle.send([LoopMessage::CloseStalled]);
        }
    }

    /// Closes connections that hold memory and do not move, the largest first, until nobody waits.
    pub(super) fn close_stalled(&mut self, now: Now) {
        if now.mono.since(self.last_turn) > STALL_CHECK * 2 {
            // It is this loop that slept, or was held up: what they did meanwhile is not known yet.
            return;
        }
        let connections = self.connections.iter().flatten();
        let mut stalled: Vec<(usize, ConnectionId)> = connections
            .filter(|connection| now.mono.since(connection.last_active) > STALLED_AFTER)
            .filter_map(|connection| Some((connection.held_by_its_peer()?, connection.id)))
            .collect();
        stalled.sort_unstable_by_key(|(bytes, id)| (std::cmp::Reverse(*bytes), *id));
        for (bytes, id) in stalled {
            if !self.hub.memory.is_wanted() {
                return;
            }
            // One that waits for its own earlier requests can not move.
            if self.frontend.accepts(id) {
                self.log_close("memory is short, and this client does not move".to_owned());
                tracing::debug!(bytes, "a stalled connection gives its memory back");
                self.close(now, id);
            }
        }
    }
}
