//! ListPartitionReassignments (API 46), v0 (KIP-455): replicas on the move. There are none.

use chronik_protocol::messages::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

use super::support::{ReplyTo, decode};
use super::{Context, HandlerError, Outcome, Request};

pub(super) fn handle(
    _context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let _asked: ListPartitionReassignmentsRequest = decode(request)?;
    let response = ListPartitionReassignmentsResponse::default().with_error_message(None);
    Ok(Outcome::Reply(ReplyTo::new(request).encode(&response)?))
}
