//! What one step of the coordinator has at hand.

use chronik_model::Now;

use crate::outcome::{Outcome, Record, Waiter};
use crate::response::GroupResponse;
use crate::topics::Topics;

/// Bytes that a batch needs besides its records.
const BATCH_OVERHEAD_BYTES: usize = 64;
/// Most bytes that a record needs in a batch besides its key and value.
const RECORD_OVERHEAD_BYTES: usize = 32;

/// The time of a step, the topics at that time, and where its outcome goes.
pub(crate) struct Step<'a> {
    /// The time.
    pub(crate) now: Now,
    /// The topics.
    pub(crate) topics: &'a dyn Topics,
    /// The outcome.
    pub(crate) out: &'a mut Outcome,
}

impl Step<'_> {
    /// Answers `waiter`.
    pub(crate) fn reply(&mut self, waiter: Waiter, response: GroupResponse) {
        self.out.replies.push((waiter, response));
    }
}

/// No batch of `records` is larger than this, in bytes.
pub(crate) fn batch_bytes(records: &[Record]) -> usize {
    records
        .iter()
        .map(record_bytes)
        .fold(BATCH_OVERHEAD_BYTES, usize::saturating_add)
}

/// No record takes more than this of a batch, in bytes.
pub(crate) fn record_bytes(record: &Record) -> usize {
    let value = record.value.as_ref().map_or(0, bytes::Bytes::len);
    record.key.len() + value + RECORD_OVERHEAD_BYTES
}
