//! Large requests that wait for memory, in the order in which they came.

use std::collections::VecDeque;

use chronik_node::ConnectionId;

/// One that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) event_loop: usize,
    pub(super) id: ConnectionId,
    pub(super) bytes: u64,
}

/// Nobody overtakes: a large request would wait for ever behind small ones that always fit. A
/// connection that is closed meanwhile keeps its place, and gives back what it is granted.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: VecDeque<Waiter>,
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn join(&mut self, waiter: Waiter) {
        self.waiting.push_back(waiter);
    }

    pub(super) fn first(&self) -> Option<Waiter> {
        self.waiting.front().copied()
    }

    pub(super) fn leave(&mut self) {
        self.waiting.pop_front();
    }
}
