//! DescribeTransactions (API 65), v0 (KIP-664): state of transactional producers.
//!
//! - No transactions run here: each id is TRANSACTIONAL_ID_NOT_FOUND.

use chronik_model::ErrorCode;
use chronik_protocol::messages::describe_transactions_response::TransactionState;
use chronik_protocol::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse};

use super::support::{ReplyTo, decode};
use super::{Context, HandlerError, Outcome, Request};

pub(super) fn handle(
    _context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: DescribeTransactionsRequest = decode(request)?;
    let states = body.transactional_ids.into_iter().map(|id| {
        TransactionState::default()
            .with_transactional_id(id)
            .with_error_code(ErrorCode::TransactionalIdNotFound.code())
    });
    let response =
        DescribeTransactionsResponse::default().with_transaction_states(states.collect());
    Ok(Outcome::Reply(ReplyTo::new(request).encode(&response)?))
}
