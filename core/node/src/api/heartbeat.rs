//! Heartbeat (API 12), v0 to v4: a member of a classic group is alive.
//!
//! - v3 adds static members (KIP-345).
//! - While the coordinator loads, members are told that all is well: they can not know better, and
//!   their sessions begin anew once it has loaded.

use chronik_coordinator::{GroupRequest, GroupResponse, Heartbeat};
use chronik_model::ErrorCode;
use chronik_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::groups::{ask, named, owned};
use super::support::{ReplyTo, decode};
use super::{Context, HandlerError, Outcome, Request};

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: HeartbeatRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let beat = GroupRequest::Heartbeat(Heartbeat {
        group_id: body.group_id.to_string(),
        generation_id: body.generation_id,
        member_id: body.member_id.to_string(),
        group_instance_id: owned(body.group_instance_id),
    });
    let beat = named(&body.group_id, beat);
    ask(context, (body.group_id, beat), pick, move |answer| {
        let error = match answer {
            Ok(error) | Err(error) => error,
        };
        let error = if error == ErrorCode::CoordinatorLoadInProgress {
            ErrorCode::None
        } else {
            error
        };
        reply.encode(&HeartbeatResponse::default().with_error_code(error.code()))
    })
}

fn pick(response: GroupResponse) -> Option<ErrorCode> {
    if let GroupResponse::Heartbeat(error) = response {
        Some(error)
    } else {
        None
    }
}
