//! LeaveGroup (API 13), v0 to v5: members leave, or are removed by an administrator.
//!
//! - One member before v3, whose error is that of the request; several from v3 on, static ones
//!   by their instance id (KIP-345); v5 adds reasons (KIP-800).

use chronik_coordinator::{GroupRequest, GroupResponse, LeaveGroup, LeavingMember, LeftMember};
use chronik_model::ErrorCode;
use chronik_protocol::messages::leave_group_response::MemberResponse;
use chronik_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::groups::{ask, named, owned};
use super::support::{ReplyTo, decode, text};
use super::{Context, HandlerError, Outcome, Request};

/// The first version with a list of members.
const MANY_MEMBERS: i16 = 3;

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: LeaveGroupRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let group_id = body.group_id.clone();
    let leave = named(
        &group_id,
        GroupRequest::Leave(leave_of(body, reply.version)),
    );
    ask(context, (group_id, leave), pick, move |answer| {
        let (error, members) = answer.unwrap_or_else(|error| (error, Vec::new()));
        reply.encode(&response(error, members, reply.version))
    })
}

fn pick(response: GroupResponse) -> Option<(ErrorCode, Vec<LeftMember>)> {
    if let GroupResponse::Leave(error, members) = response {
        Some((error, members))
    } else {
        None
    }
}

fn leave_of(body: LeaveGroupRequest, version: i16) -> LeaveGroup {
    let members = if version >= MANY_MEMBERS {
        let members = body.members.into_iter().map(|member| LeavingMember {
            member_id: member.member_id.to_string(),
            group_instance_id: owned(member.group_instance_id),
            reason: owned(member.reason),
        });
        members.collect()
    } else {
        vec![LeavingMember {
            member_id: body.member_id.to_string(),
            group_instance_id: None,
            reason: None,
        }]
    };
    LeaveGroup {
        group_id: body.group_id.to_string(),
        members,
    }
}

fn response(error: ErrorCode, members: Vec<LeftMember>, version: i16) -> LeaveGroupResponse {
    if version < MANY_MEMBERS {
        let of_member = members.first().map_or(ErrorCode::None, |left| left.error);
        let error = if error.is_none() { of_member } else { error };
        return LeaveGroupResponse::default().with_error_code(error.code());
    }
    let members = members.into_iter().map(|left| {
        MemberResponse::default()
            .with_member_id(text(left.member_id))
            .with_group_instance_id(left.group_instance_id.map(text))
            .with_error_code(left.error.code())
    });
    LeaveGroupResponse::default()
        .with_error_code(error.code())
        .with_members(members.collect())
}
