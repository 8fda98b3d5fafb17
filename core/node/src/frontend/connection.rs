//! One connection's requests in order.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use chronik_model::{Mono, mutant};

use super::slots::Slot;
use crate::api::fetch::FetchSlot;
use crate::messages::{ConnectionId, Peer, Pieces};

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) peer: Arc<Peer>,
    /// A request waits for the controller: later ones go to the backlog.
    pub(super) barrier: bool,
    /// Frames that arrived behind a barrier.
    pub(super) backlog: VecDeque<Bytes>,
    /// A timer runs for the oldest produce in flight.
    pub(super) produce_timed: bool,
    slots: VecDeque<Slot>,
    /// Number of the request in the first slot.
    first: u64,
    paused: bool,
}

impl Connection {
    pub(super) const fn new(id: ConnectionId, peer: Arc<Peer>) -> Self {
        Self {
            id,
            peer,
            barrier: false,
            backlog: VecDeque::new(),
            produce_timed: false,
            slots: VecDeque::new(),
            first: 0,
            paused: false,
        }
    }

    /// Takes the next slot and returns its number.
    pub(super) fn push(&mut self, slot: Slot) -> u64 {
        self.slots.push_back(slot);
        self.first + self.slots.len() as u64 - 1
    }

    /// The slot of a request that has not been answered yet.
    pub(super) fn slot(&mut self, request: u64) -> Option<&mut Slot> {
        let index = usize::try_from(request.checked_sub(self.first)?).ok()?;
        self.slots.get_mut(index)
    }

    /// The next reply in request order, once it is there.
    pub(super) fn take_ready(&mut self) -> Option<Pieces> {
        if mutant!(RepliesOutOfOrder) {
            let ready = self.slots.iter().position(Slot::is_ready);
            self.slots.swap(0, ready?);
        }
        if !self.slots.front()?.is_ready() {
            return None;
        }
        let slot = self.slots.pop_front()?;
        self.first += 1;
        slot.into_ready()
    }

    pub(super) fn accepts(&mut self, limit: usize) -> bool {
        self.paused = self.slots.len() + self.backlog.len() >= limit;
        !self.paused
    }

    /// Whether a connection that was refused has room again; true once.
    pub(super) fn resumes(&mut self, limit: usize) -> bool {
        let room = self.slots.len() + self.backlog.len() < limit;
        room && std::mem::take(&mut self.paused)
    }

    /// The oldest produce in flight, and when its client gives up.
    pub(super) fn oldest_produce(&self) -> Option<(u64, Mono)> {
        let mut numbered = (self.first..).zip(&self.slots);
        numbered.find_map(|(request, slot)| match slot {
            Slot::Produce(produce) => Some((request, produce.deadline())),
            Slot::Ready(_)
            | Slot::Busy
            | Slot::Fetch(_)
            | Slot::Partitions(_)
            | Slot::Controller(_)
            | Slot::ProducerId(_) => None,
        })
    }

    /// Fetches that shards may be watching for.
    pub(super) fn waiting_fetches(&self) -> impl Iterator<Item = (u64, &FetchSlot)> {
        let numbered = (self.first..).zip(&self.slots);
        numbered.filter_map(|(request, slot)| match slot {
            Slot::Fetch(fetch) => Some((request, &**fetch)),
            Slot::Ready(_)
            | Slot::Busy
            | Slot::Produce(_)
            | Slot::Partitions(_)
            | Slot::Controller(_)
            | Slot::ProducerId(_) => None,
        })
    }
}
