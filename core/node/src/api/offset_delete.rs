//! OffsetDelete (API 47), v0 (KIP-496): forgets committed offsets of a group.
//!
//! - GROUP_SUBSCRIBED_TO_TOPIC for topics that members still read.
//! - Partitions that do not exist are UNKNOWN_TOPIC_OR_PARTITION and never reach the coordinator.
//! - An error of the whole request leaves its topics out.

use chronik_coordinator::{DeleteOffsets, GroupRequest, GroupResponse};
use chronik_model::ErrorCode;
use chronik_protocol::messages::offset_delete_request::OffsetDeleteRequestTopic;
use chronik_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use chronik_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::groups::{ask, named};
use super::partitions::{ByTopic, Slot, codes, existing};
use super::support::{ReplyTo, decode};
use super::{Context, HandlerError, Outcome, Request};

/// Topics and their partitions, as the coordinator takes them.
type Topics = Vec<(String, Vec<i32>)>;

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: OffsetDeleteRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let (slots, topics) = split(context, body.topics);
    let delete = GroupRequest::DeleteOffsets(DeleteOffsets {
        group_id: body.group_id.to_string(),
        topics,
    });
    let delete = named(&body.group_id, delete);
    ask(context, (body.group_id, delete), pick, move |answer| {
        let (error, answers) = answer.unwrap_or_else(|error| (error, Vec::new()));
        let response = if error.is_none() {
            deleted(codes(slots, answers)?)
        } else {
            OffsetDeleteResponse::default().with_error_code(error.code())
        };
        reply.encode(&response)
    })
}

fn pick(response: GroupResponse) -> Option<(ErrorCode, Vec<ErrorCode>)> {
    if let GroupResponse::DeleteOffsets(error, codes) = response {
        Some((error, codes))
    } else {
        None
    }
}

/// The places of the answers, and what there is to delete.
fn split(
    context: &Context<'_>,
    topics: Vec<OffsetDeleteRequestTopic>,
) -> (Vec<ByTopic<Slot>>, Topics) {
    let wanted = topics.into_iter().map(|topic| ByTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|each| (each.partition_index, ()))
            .collect(),
    });
    let mut topics: Topics = Vec::new();
    let slots = existing(context.view, wanted, |topic, index, ()| {
        match topics.last_mut() {
            Some((name, partitions)) if name == topic.name.as_str() => partitions.push(index),
            Some(_) | None => topics.push((topic.name.to_string(), vec![index])),
        }
    });
    (slots, topics)
}

fn deleted(topics: Vec<ByTopic<ErrorCode>>) -> OffsetDeleteResponse {
    let topics = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|(index, error)| {
            OffsetDeleteResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(error.code())
        });
        OffsetDeleteResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(partitions.collect())
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}
