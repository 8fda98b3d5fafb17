//! ConsumerGroupHeartbeat (API 68), v0 to v1 (KIP-848): a member of a consumer group joins, lives,
//! tells what it owns, learns what it shall own, and leaves.
//!
//! - From v1 on members make their ids themselves (KIP-1082), and may subscribe to a regular
//!   expression that the broker resolves.
//! - What the request says is checked by the coordinator, but for what depends on the version.

use chronik_coordinator::{
    ConsumerHeartbeat, ConsumerHeartbeatResponse, GroupRequest, GroupResponse, TopicAssignment,
};
use chronik_model::ErrorCode;
use chronik_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use chronik_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, topic_id, uuid,
};

use super::groups::{ask, client_of, owned};
use super::support::{ReplyTo, decode, text};
use super::{Context, HandlerError, Outcome, Request};

/// The first version in which members make their ids.
const OWN_MEMBER_ID: i16 = 1;

type Answer = Result<ConsumerHeartbeatResponse, (ErrorCode, String)>;

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: ConsumerGroupHeartbeatRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    if let Some(message) = invalid(&body, reply.version) {
        let refused = Err((ErrorCode::InvalidRequest, message.to_owned()));
        return Ok(Outcome::Reply(reply.encode(&response(refused))?));
    }
    let group_id = body.group_id.clone();
    let (client_id, client_host) = client_of(context, request.client_id);
    let beat = GroupRequest::ConsumerHeartbeat(heartbeat_of(body, client_id, client_host));
    ask(context, (group_id, Ok(beat)), pick, move |answer| {
        let answer = answer.unwrap_or_else(|error| Err((error, String::new())));
        reply.encode(&response(answer))
    })
}

fn pick(response: GroupResponse) -> Option<Answer> {
    if let GroupResponse::ConsumerHeartbeat(answer) = response {
        Some(answer)
    } else {
        None
    }
}

fn invalid(body: &ConsumerGroupHeartbeatRequest, version: i16) -> Option<&'static str> {
    let joins = body.member_epoch == 0;
    if body.group_id.is_empty() {
        Some("the group id must not be empty")
    } else if body.member_id.is_empty() && (version >= OWN_MEMBER_ID || !joins) {
        Some("the member id must not be empty")
    } else {
        None
    }
}

fn heartbeat_of(
    body: ConsumerGroupHeartbeatRequest,
    client_id: String,
    client_host: String,
) -> ConsumerHeartbeat {
    let names = body
        .subscribed_topic_names
        .map(|names| names.iter().map(|name| name.to_string()).collect());
    let owned_partitions = body.topic_partitions.map(|topics| {
        let topics = topics.into_iter().map(|topic| TopicAssignment {
            topic_id: topic_id(topic.topic_id),
            partitions: topic.partitions,
        });
        topics.collect()
    });
    ConsumerHeartbeat {
        group_id: body.group_id.to_string(),
        member_id: body.member_id.to_string(),
        member_epoch: body.member_epoch,
        instance_id: owned(body.instance_id),
        rack_id: owned(body.rack_id),
        rebalance_timeout_ms: body.rebalance_timeout_ms,
        subscribed_topic_names: names,
        subscribed_topic_regex: owned(body.subscribed_topic_regex),
        server_assignor: owned(body.server_assignor),
        owned_partitions,
        client_id,
        client_host,
    }
}

fn response(answer: Answer) -> ConsumerGroupHeartbeatResponse {
    let response = ConsumerGroupHeartbeatResponse::default()
        .with_error_message(None)
        .with_member_id(None)
        .with_assignment(None);
    match answer {
        Err((error, message)) => response
            .with_error_code(error.code())
            .with_error_message(Some(message).filter(|it| !it.is_empty()).map(text)),
        Ok(beat) => response
            .with_member_id(Some(text(beat.member_id)))
            .with_member_epoch(beat.member_epoch)
            .with_heartbeat_interval_ms(beat.heartbeat_interval_ms)
            .with_assignment(beat.assignment.map(assignment)),
    }
}

fn assignment(topics: Vec<TopicAssignment>) -> Assignment {
    let topics = topics.into_iter().map(|topic| {
        TopicPartitions::default()
            .with_topic_id(uuid(topic.topic_id))
            .with_partitions(topic.partitions)
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
