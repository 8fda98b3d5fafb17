//! Memory for large requests on their way in.
//!
//! A request that does not fit one read reserves its whole size before more of it is read, from a
//! budget that all connections of a loop share. Those that find no room wait in order, unread. One
//! request that is larger than the whole budget is let in when it is alone.

use std::collections::VecDeque;

use chronik_node::ConnectionId;

/// Requests up to this size need no reservation.
pub(super) const FREE_BYTES: usize = 64 << 10;

/// See the module.
#[derive(Debug)]
pub(super) struct Admission {
    limit: usize,
    reserved: usize,
    waiting: VecDeque<ConnectionId>,
}

impl Admission {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            limit,
            reserved: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Reserves `bytes` for a connection, or puts it into the queue.
    pub(super) fn reserve(&mut self, id: ConnectionId, bytes: usize) -> bool {
        let fits = self.reserved + bytes <= self.limit || self.reserved == 0;
        if fits {
            self.reserved += bytes;
        } else if !self.waiting.contains(&id) {
            self.waiting.push_back(id);
        }
        fits
    }

    /// Gives a reservation back; returns the connections that may try now.
    pub(super) fn release(&mut self, bytes: usize) -> VecDeque<ConnectionId> {
        self.reserved = self.reserved.saturating_sub(bytes);
        if bytes > 0 {
            std::mem::take(&mut self.waiting)
        } else {
            VecDeque::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(index: u32) -> ConnectionId {
        ConnectionId {
            index,
            generation: 0,
        }
    }

    #[test]
    fn large_requests_wait_for_each_other() {
        let mut admission = Admission::new(100);
        assert!(admission.reserve(id(1), 60));
        assert!(admission.reserve(id(2), 40));
        assert!(!admission.reserve(id(3), 1));
        assert!(!admission.reserve(id(3), 1));
        assert_eq!(admission.release(60), [id(3)]);
        assert!(admission.reserve(id(3), 1));
    }

    #[test]
    fn a_request_beyond_the_budget_gets_in_alone() {
        let mut admission = Admission::new(100);
        assert!(admission.reserve(id(1), 50));
        assert!(!admission.reserve(id(2), 500));
        assert_eq!(admission.release(50), [id(2)]);
        assert!(admission.reserve(id(2), 500));
        assert!(!admission.reserve(id(1), 1));
    }
}
