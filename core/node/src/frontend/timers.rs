//! Deadlines of parked fetches, and of the oldest produce of each connection.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use chronik_model::Mono;

use crate::messages::Ticket;

/// Deadlines in order. A deadline whose request was answered before passes without effect.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Mono, Ticket)>>,
}

impl Timers {
    pub(super) fn arm(&mut self, at: Mono, ticket: Ticket) {
        self.heap.push(Reverse((at, ticket)));
    }

    pub(super) fn next(&self) -> Option<Mono> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    pub(super) fn pop_due(&mut self, now: Mono) -> Option<Ticket> {
        let due = self.heap.peek().is_some_and(|Reverse((at, _))| *at <= now);
        if due {
            self.heap.pop().map(|Reverse((_, ticket))| ticket)
        } else {
            None
        }
    }
}
