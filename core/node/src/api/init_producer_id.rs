//! InitProducerId (API 22), v0 to v5: an id for an idempotent producer (KIP-98).
//!
//! - Without a transactional id every request gets a new id with epoch 0. That holds also for
//!   requests that bring an id and an epoch (v3, KIP-360): only transactional producers keep theirs.
//! - One of id and epoch without the other, and an empty transactional id, are INVALID_REQUEST.
//! - There are no transactions yet. A transactional id is answered with
//!   TRANSACTIONAL_ID_AUTHORIZATION_FAILED: nobody may use one, and of all codes it is the one that
//!   every client takes for final, where others make some clients try again until a timeout.

use bytes::Bytes;
use chronik_model::ErrorCode;
use chronik_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::support::{ReplyTo, decode};
use super::{Context, HandlerError, Outcome, Request};

const NO_PRODUCER_ID: i64 = -1;
const NO_PRODUCER_EPOCH: i16 = -1;

pub(super) fn handle(
    _context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: InitProducerIdRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    match check(&body) {
        Ok(()) => Ok(Outcome::ProducerId(Box::new(move |id| answer(reply, id)))),
        Err(error) => Ok(Outcome::Reply(answer(reply, Err(error))?)),
    }
}

fn check(body: &InitProducerIdRequest) -> Result<(), ErrorCode> {
    let has_id = body.producer_id.0 != NO_PRODUCER_ID;
    let has_epoch = body.producer_epoch != NO_PRODUCER_EPOCH;
    match &body.transactional_id {
        Some(id) if id.is_empty() => Err(ErrorCode::InvalidRequest),
        Some(_) | None if has_id != has_epoch => Err(ErrorCode::InvalidRequest),
        Some(_) => Err(ErrorCode::TransactionalIdAuthorizationFailed),
        None => Ok(()),
    }
}

fn answer(reply: ReplyTo, id: Result<i64, ErrorCode>) -> Result<Bytes, HandlerError> {
    let response = match id {
        Ok(id) => InitProducerIdResponse::default()
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(0),
        Err(error) => InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(NO_PRODUCER_ID))
            .with_producer_epoch(NO_PRODUCER_EPOCH),
    };
    reply.encode(&response)
}
