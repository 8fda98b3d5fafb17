//! The batches of one partition that are not settled yet, in the order of their sequences.

use std::collections::VecDeque;

use bytes::Bytes;
use chronik_model::Mono;

use crate::client::catalog::Spot;
use crate::history::{OpId, Value};

/// A batch from its first attempt until it is settled or given up.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) op: OpId,
    pub(super) values: Vec<Value>,
    pub(super) bytes: Bytes,
    /// Producer id, epoch and base sequence.
    pub(super) sequence: Option<(i64, i16, i32)>,
    pub(super) attempts: u32,
    /// When it was made.
    pub(super) since: Mono,
    pub(super) in_flight: bool,
    /// Whether an answer was an error, so that it may never be taken.
    pub(super) failed: bool,
    /// Sent once, and to be refused.
    pub(super) doomed: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) spot: Spot,
    pub(super) pending: VecDeque<Pending>,
    next_sequence: i32,
    /// Producer id and epoch that were given up for a later epoch, and what would have been the next
    /// sequence.
    former: Option<(i64, i16, i32)>,
}

impl Lane {
    pub(super) const fn new(spot: Spot) -> Self {
        Self {
            spot,
            pending: VecDeque::new(),
            next_sequence: 0,
            former: None,
        }
    }

    /// The base sequence of a new batch of so many records.
    pub(super) fn take_sequence(&mut self, records: usize) -> i32 {
        let sequence = self.next_sequence;
        let records = i32::try_from(records).unwrap_or(i32::MAX);
        self.next_sequence = sequence.saturating_add(records);
        sequence
    }

    /// What would be the sequence of a batch behind many that were never sent.
    pub(super) const fn distant_sequence(&self) -> i32 {
        self.next_sequence.saturating_add(DISTANCE)
    }

    /// The oldest batch that has to be sent again.
    pub(super) fn waiting(&mut self) -> Option<&mut Pending> {
        self.pending.iter_mut().find(|batch| !batch.in_flight)
    }

    /// Whether an older batch than that one is not settled.
    pub(super) fn has_older(&self, op: OpId) -> bool {
        self.pending.front().is_some_and(|first| first.op != op)
    }

    pub(super) fn find(&mut self, op: OpId) -> Option<&mut Pending> {
        self.pending.iter_mut().find(|batch| batch.op == op)
    }

    pub(super) fn remove(&mut self, op: OpId) {
        self.pending.retain(|batch| batch.op != op);
    }

    /// A new producer id counts from 0, as does a later epoch of the one that there was.
    pub(super) fn begin_anew(&mut self, former: Option<(i64, i16)>) {
        self.pending.clear();
        let next = std::mem::take(&mut self.next_sequence);
        if next > 0 || former.is_none() {
            self.former = former.map(|(id, epoch)| (id, epoch, next));
        }
    }

    /// Under what a producer would go on that has not heard of its later epoch. Known once.
    pub(super) fn take_former(&mut self) -> Option<(i64, i16, i32)> {
        self.former.take()
    }
}

/// No producer writes so many records in a run.
const DISTANCE: i32 = 1_000_000;
