//! What the APIs of groups share: which partition of `__consumer_offsets` a group belongs to, and
//! the way of a question to the coordinator of that partition.
//!
//! - Without the topic, and where another broker leads the partition, the answer is
//!   NOT_COORDINATOR, which every client takes for "look the coordinator up again"; FindCoordinator
//!   then creates the topic.
//! - Ids are at most 32,767 bytes long, which the decoder sees to: keys of records hold no more.

use bytes::Bytes;
use chronik_coordinator::{GroupRequest, GroupResponse};
use chronik_model::{ErrorCode, PartitionIndex, TopicPartition};
use chronik_protocol::TopicRef;
use chronik_protocol::messages::{GroupId, StrBytes};

use super::{Context, HandlerError, Outcome, errors, support};
use crate::messages::{PartitionAnswer, PartitionOp};
use crate::view::ClusterView;

/// The topic whose partitions hold the groups.
pub(super) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// The partition of `__consumer_offsets` that owns a group, if this broker leads it.
///
/// # Errors
/// NOT_COORDINATOR.
pub(super) fn owner(view: &ClusterView, group_id: &str) -> Result<TopicPartition, ErrorCode> {
    let led = || {
        let topic = support::find_topic(view, TopicRef::Name(OFFSETS_TOPIC))?;
        let index = partition_of(group_id, topic.partitions.len());
        support::led_partition(view, topic, index)
    };
    led().map_err(errors::of_coordinator)
}

/// Where Kafka puts a group, so that tools which compute it themselves agree.
pub(super) fn partition_of(group_id: &str, partitions: usize) -> PartitionIndex {
    let hash = java_hash(group_id).checked_abs().unwrap_or(0);
    let count = i32::try_from(partitions).unwrap_or(i32::MAX).max(1);
    PartitionIndex(hash % count)
}

/// `java.lang.String.hashCode`.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

/// Takes the response that fits a request.
pub(super) type Pick<T> = fn(GroupResponse) -> Option<T>;

/// A question about one group, or the code that refuses it.
pub(super) type Question = (GroupId, Result<GroupRequest, ErrorCode>);

/// Asks about one group.
pub(super) fn ask<T: 'static>(
    context: &Context<'_>,
    question: Question,
    pick: Pick<T>,
    finish: impl FnOnce(Result<T, ErrorCode>) -> Result<Bytes, HandlerError> + Send + 'static,
) -> Result<Outcome, HandlerError> {
    ask_each(context, vec![question], pick, move |answers| {
        let answer = answers.into_iter().next();
        finish(answer.ok_or(HandlerError::UnexpectedAnswer)?.1)
    })
}

/// Asks about several groups; `finish` gets one answer for each, in their order.
pub(super) fn ask_each<T: 'static>(
    context: &Context<'_>,
    questions: Vec<Question>,
    pick: Pick<T>,
    finish: impl FnOnce(Vec<(GroupId, Result<T, ErrorCode>)>) -> Result<Bytes, HandlerError>
    + Send
    + 'static,
) -> Result<Outcome, HandlerError> {
    let mut ops = Vec::new();
    let mut slots = Vec::with_capacity(questions.len());
    for (group_id, request) in questions {
        let op = request.and_then(|request| {
            let partition = owner(context.view, &group_id)?;
            Ok((partition, PartitionOp::Group(Box::new(request))))
        });
        slots.push((group_id, op.map(|op| ops.push(op))));
    }
    let after = move |answers: Vec<PartitionAnswer>| {
        let mut answers = answers.into_iter();
        let mut answered = Vec::with_capacity(slots.len());
        for (group_id, slot) in slots {
            let answer = match slot {
                Err(refused) => Err(refused),
                Ok(()) => read(answers.next(), pick)?,
            };
            answered.push((group_id, answer));
        }
        finish(answered)
    };
    if ops.is_empty() {
        return Ok(Outcome::Reply(after(Vec::new())?));
    }
    Ok(Outcome::Partitions(
        ops,
        Box::new(move |_, answers| after(answers)),
    ))
}

/// What a coordinator said, or why it said nothing.
pub(super) fn read<T>(
    answer: Option<PartitionAnswer>,
    pick: Pick<T>,
) -> Result<Result<T, ErrorCode>, HandlerError> {
    let answer = answer.ok_or(HandlerError::UnexpectedAnswer)?;
    if let PartitionAnswer::Failed(error) = answer {
        return Ok(Err(errors::of_coordinator(error)));
    }
    let PartitionAnswer::Group(response) = answer else {
        return Err(HandlerError::UnexpectedAnswer);
    };
    if let GroupResponse::Unavailable(error) = *response {
        return Ok(Err(error));
    }
    pick(*response)
        .map(Ok)
        .ok_or(HandlerError::UnexpectedAnswer)
}

/// Refuses the empty group id, which is no group but for offsets without members.
pub(super) fn named(group_id: &GroupId, request: GroupRequest) -> Result<GroupRequest, ErrorCode> {
    if group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    Ok(request)
}

/// Client id and host of whoever asks, as groups describe their members.
pub(super) fn client_of(context: &Context<'_>, client_id: Option<&str>) -> (String, String) {
    let host = format!("/{}", context.peer.host);
    (client_id.unwrap_or_default().to_owned(), host)
}

/// A string that the generated structs share with the request's frame, on its own.
pub(super) fn owned(text: Option<StrBytes>) -> Option<String> {
    text.map(|text| text.to_string())
}
