//! JoinGroup (API 11), v0 to v9: a member asks to be part of the group's next generation.
//!
//! - v1 separates the rebalance timeout from the session timeout, v4 tells new members their id
//!   first (KIP-394), v5 adds static members (KIP-345), v7 the protocol type, v8 a reason
//!   (KIP-800), v9 lets leaders skip the assignment (KIP-814).
//! - The reply waits until the rebalance is complete.
//! - Protocol types and metadata are opaque: Kafka Connect and schema registries use their own.

use chronik_coordinator::{GroupRequest, GroupResponse, JoinGroup, JoinResponse};
use chronik_model::ErrorCode;
use chronik_protocol::messages::join_group_response::JoinGroupResponseMember;
use chronik_protocol::messages::{JoinGroupRequest, JoinGroupResponse, StrBytes};

use super::groups::{ask, client_of, named, owned};
use super::support::{ReplyTo, decode, text};
use super::{Context, HandlerError, Outcome, Request};

const NO_GENERATION: i32 = -1;

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: JoinGroupRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let group_id = body.group_id.clone();
    let member_id = body.member_id.to_string();
    let (client_id, client_host) = client_of(context, request.client_id);
    let join = GroupRequest::Join(join_of(body, reply.version, client_id, client_host));
    let question = (group_id.clone(), named(&group_id, join));
    ask(context, question, pick, move |answer| {
        let joined = answer.unwrap_or_else(|error| refused(error, member_id));
        reply.encode(&response(joined, reply.version))
    })
}

fn pick(response: GroupResponse) -> Option<JoinResponse> {
    if let GroupResponse::Join(joined) = response {
        Some(joined)
    } else {
        None
    }
}

fn join_of(
    body: JoinGroupRequest,
    version: i16,
    client_id: String,
    client_host: String,
) -> JoinGroup {
    let rebalance_timeout_ms = if version >= 1 {
        body.rebalance_timeout_ms
    } else {
        body.session_timeout_ms
    };
    let protocols = body.protocols.into_iter();
    JoinGroup {
        group_id: body.group_id.to_string(),
        member_id: body.member_id.to_string(),
        group_instance_id: owned(body.group_instance_id),
        protocol_type: body.protocol_type.to_string(),
        protocols: protocols
            .map(|each| (each.name.to_string(), each.metadata))
            .collect(),
        session_timeout_ms: body.session_timeout_ms,
        rebalance_timeout_ms,
        client_id,
        client_host,
        reason: owned(body.reason),
        requires_known_member_id: version >= 4,
        supports_skipping_assignment: version >= 9,
    }
}

const fn refused(error: ErrorCode, member_id: String) -> JoinResponse {
    JoinResponse {
        error,
        generation_id: NO_GENERATION,
        protocol_type: None,
        protocol_name: None,
        leader: String::new(),
        member_id,
        skip_assignment: false,
        members: Vec::new(),
    }
}

fn response(joined: JoinResponse, version: i16) -> JoinGroupResponse {
    // The name of the protocol can not be null before v7.
    let protocol_name = joined.protocol_name.map(text);
    let protocol_name = if version >= 7 {
        protocol_name
    } else {
        Some(protocol_name.unwrap_or_default())
    };
    let members = joined
        .members
        .into_iter()
        .map(|(member_id, instance_id, metadata)| {
            let instance_id: Option<StrBytes> = instance_id.filter(|_| version >= 5).map(text);
            JoinGroupResponseMember::default()
                .with_member_id(text(member_id))
                .with_group_instance_id(instance_id)
                .with_metadata(metadata)
        });
    JoinGroupResponse::default()
        .with_error_code(joined.error.code())
        .with_generation_id(joined.generation_id)
        .with_protocol_type(joined.protocol_type.map(text))
        .with_protocol_name(protocol_name)
        .with_leader(text(joined.leader))
        .with_skip_assignment(version >= 9 && joined.skip_assignment)
        .with_member_id(text(joined.member_id))
        .with_members(members.collect())
}
