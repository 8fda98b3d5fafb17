//! SyncGroup (API 14), v0 to v5: the leader hands in everybody's assignment, everybody gets theirs.
//!
//! - v3 adds static members (KIP-345), v5 protocol type and name (KIP-559), both of which must be
//!   there then; INCONSISTENT_GROUP_PROTOCOL without them.
//! - The reply of a follower waits for the leader.

use chronik_coordinator::{GroupRequest, GroupResponse, SyncGroup, SyncResponse};
use chronik_model::ErrorCode;
use chronik_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::groups::{ask, named, owned};
use super::support::{ReplyTo, decode, text};
use super::{Context, HandlerError, Outcome, Request};

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: SyncGroupRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let group_id = body.group_id.clone();
    let protocol_is_stated = body.protocol_type.is_some() && body.protocol_name.is_some();
    let sync = if reply.version >= 5 && !protocol_is_stated {
        Err(ErrorCode::InconsistentGroupProtocol)
    } else {
        named(&group_id, GroupRequest::Sync(sync_of(body)))
    };
    ask(context, (group_id, sync), pick, move |answer| {
        reply.encode(&response(answer, reply.version))
    })
}

fn pick(response: GroupResponse) -> Option<SyncResponse> {
    if let GroupResponse::Sync(synced) = response {
        Some(synced)
    } else {
        None
    }
}

fn sync_of(body: SyncGroupRequest) -> SyncGroup {
    let assignments = body.assignments.into_iter();
    SyncGroup {
        group_id: body.group_id.to_string(),
        generation_id: body.generation_id,
        member_id: body.member_id.to_string(),
        group_instance_id: owned(body.group_instance_id),
        protocol_type: owned(body.protocol_type),
        protocol_name: owned(body.protocol_name),
        assignments: assignments
            .map(|each| (each.member_id.to_string(), each.assignment))
            .collect(),
    }
}

fn response(answer: Result<SyncResponse, ErrorCode>, version: i16) -> SyncGroupResponse {
    let response = SyncGroupResponse::default();
    match answer {
        Err(error) => response.with_error_code(error.code()),
        Ok(synced) => {
            let of_v5 = |name: Option<String>| name.filter(|_| version >= 5).map(text);
            response
                .with_error_code(synced.error.code())
                .with_protocol_type(of_v5(synced.protocol_type))
                .with_protocol_name(of_v5(synced.protocol_name))
                .with_assignment(synced.assignment)
        }
    }
}
