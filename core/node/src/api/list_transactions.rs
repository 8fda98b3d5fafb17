//! ListTransactions (API 66), v0 to v2 (KIP-664): transactional producers of this coordinator.
//!
//! - No transactions run here: the list is empty.
//! - Names of states that are not known are told back. v1 adds a filter by duration (KIP-994), v2
//!   one by a pattern (KIP-1152).

use chronik_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};

use super::support::{ReplyTo, decode};
use super::{Context, HandlerError, Outcome, Request};

/// Kafka's names of the states of a transaction.
const STATES: [&str; 8] = [
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

pub(super) fn handle(
    _context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: ListTransactionsRequest = decode(request)?;
    let mut unknown = body.state_filters;
    unknown.retain(|state| !STATES.contains(&state.as_str()));
    let response = ListTransactionsResponse::default().with_unknown_state_filters(unknown);
    Ok(Outcome::Reply(ReplyTo::new(request).encode(&response)?))
}
