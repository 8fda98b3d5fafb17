//! ListGroups (API 16), v0 to v5: all groups that this broker coordinates.
//!
//! - v4 adds states and a filter by them (KIP-518), v5 the same for types (KIP-848).
//! - Every partition of `__consumer_offsets` that this broker leads is asked. While one of them
//!   loads, the answer is COORDINATOR_LOAD_IN_PROGRESS, for a list that lacks groups would look
//!   like a whole one; partitions that are not here any more have nothing to add.

use chronik_coordinator::{GroupRequest, GroupResponse, ListGroups, ListedGroup};
use chronik_model::{ErrorCode, PartitionIndex};
use chronik_protocol::TopicRef;
use chronik_protocol::messages::{
    GroupId, ListGroupsRequest, ListGroupsResponse, StrBytes, list_groups_response,
};

use super::groups::{OFFSETS_TOPIC, read};
use super::support::{ReplyTo, decode, find_topic, led_partition, text};
use super::{Context, HandlerError, Outcome, Request};
use crate::messages::{PartitionAnswer, PartitionOp};

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: ListGroupsRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let strings = |texts: Vec<StrBytes>| texts.iter().map(ToString::to_string).collect();
    let list = ListGroups {
        states: strings(body.states_filter),
        types: strings(body.types_filter),
    };
    let mut ops = Vec::new();
    if let Ok(topic) = find_topic(context.view, TopicRef::Name(OFFSETS_TOPIC)) {
        let indexes = (0..).map(PartitionIndex).take(topic.partitions.len());
        let led = indexes.filter_map(|index| led_partition(context.view, topic, index).ok());
        let op = || PartitionOp::Group(Box::new(GroupRequest::List(list.clone())));
        ops.extend(led.map(|partition| (partition, op())));
    }
    if ops.is_empty() {
        return Ok(Outcome::Reply(
            reply.encode(&ListGroupsResponse::default())?,
        ));
    }
    let after = move |_: &Context<'_>, answers| {
        let response = match merge(answers)? {
            Ok(groups) => listed(groups, reply.version),
            Err(error) => ListGroupsResponse::default().with_error_code(error.code()),
        };
        reply.encode(&response)
    };
    Ok(Outcome::Partitions(ops, Box::new(after)))
}

fn pick(response: GroupResponse) -> Option<Vec<ListedGroup>> {
    if let GroupResponse::List(groups) = response {
        Some(groups)
    } else {
        None
    }
}

fn merge(
    answers: Vec<PartitionAnswer>,
) -> Result<Result<Vec<ListedGroup>, ErrorCode>, HandlerError> {
    let mut all = Vec::new();
    for answer in answers {
        match read(Some(answer), pick)? {
            Ok(groups) => all.extend(groups),
            Err(ErrorCode::NotCoordinator) => {}
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(all))
}

fn listed(groups: Vec<ListedGroup>, version: i16) -> ListGroupsResponse {
    let groups = groups.into_iter().map(|group| {
        let listed = list_groups_response::ListedGroup::default()
            .with_group_id(GroupId(text(group.group_id)))
            .with_protocol_type(text(group.protocol_type));
        match version {
            ..=3 => listed,
            4 => listed.with_group_state(text(group.state)),
            5.. => listed
                .with_group_state(text(group.state))
                .with_group_type(text(group.group_type)),
        }
    });
    ListGroupsResponse::default().with_groups(groups.collect())
}
