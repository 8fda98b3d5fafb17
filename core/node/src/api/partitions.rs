//! Requests that ask many partitions for one thing each, and answer in their own order.

use std::collections::BTreeSet;

use bytes::Bytes;
use chronik_controller::TopicImage;
use chronik_model::{ErrorCode, PartitionIndex, TopicPartition};
use chronik_protocol::TopicRef;
use chronik_protocol::messages::TopicName;

use super::{Context, HandlerError, Outcome, support};
use crate::messages::{PartitionAnswer, PartitionOp};
use crate::view::ClusterView;

/// One topic of a request or reply, with something for each of its partitions.
#[derive(Debug)]
pub(super) struct ByTopic<T> {
    /// As the request has it.
    pub(super) name: TopicName,
    /// Partition index and what belongs to it.
    pub(super) partitions: Vec<(i32, T)>,
}

/// A partition of the request: refused at once, or asked.
pub(super) type Slot = Option<ErrorCode>;

/// What a partition said, or why it said nothing.
pub(super) type Answered<T> = Result<T, ErrorCode>;

/// Takes the answer that fits an operation.
pub(super) type Pick<T> = fn(PartitionAnswer) -> Option<T>;

/// Asks this broker's partitions; `finish` gets one answer for each partition of the request, in
/// the request's order. Partitions that do not exist, are led elsewhere, are named more than once,
/// or for which `op` has no operation, are refused without being asked.
pub(super) fn ask<Q, A: 'static>(
    context: &Context<'_>,
    wanted: Vec<ByTopic<Q>>,
    op: impl Fn(&TopicImage, Q) -> Result<PartitionOp, ErrorCode>,
    pick: Pick<A>,
    finish: impl FnOnce(Vec<ByTopic<Answered<A>>>) -> Result<Bytes, HandlerError> + Send + 'static,
) -> Result<Outcome, HandlerError> {
    let repeated = repeated(&wanted);
    let mut ops = Vec::new();
    let mut slots: Vec<ByTopic<Slot>> = Vec::with_capacity(wanted.len());
    for ByTopic { name, partitions } in wanted {
        let mut slot = |index: i32, question: Q| {
            if repeated.contains(&(name.clone(), index)) {
                return Some(ErrorCode::InvalidRequest);
            }
            resolve(context, &name, index, |topic| op(topic, question))
                .map(|asked| ops.push(asked))
                .err()
        };
        let of_topic = partitions
            .into_iter()
            .map(|(index, question)| (index, slot(index, question)));
        let partitions = of_topic.collect();
        slots.push(ByTopic { name, partitions });
    }
    let after = move |answers: Vec<PartitionAnswer>| {
        let answers = answers.into_iter().map(|answer| read(answer, pick));
        finish(merge(slots, answers)?)
    };
    if ops.is_empty() {
        return after(Vec::new()).map(Outcome::Reply);
    }
    Ok(Outcome::Partitions(
        ops,
        Box::new(move |_, answers| after(answers)),
    ))
}

/// What an answer says. An answer to another question is this broker's own mistake.
pub(super) fn read<A>(answer: PartitionAnswer, pick: Pick<A>) -> Answered<A> {
    if let PartitionAnswer::Failed(error) = answer {
        return Err(error);
    }
    pick(answer).ok_or(ErrorCode::UnknownServerError)
}

/// Hands the partitions that exist to `keep`; the others are UNKNOWN_TOPIC_OR_PARTITION. Who leads
/// them does not matter.
pub(super) fn existing<Q>(
    view: &ClusterView,
    wanted: impl Iterator<Item = ByTopic<Q>>,
    mut keep: impl FnMut(&TopicImage, i32, Q),
) -> Vec<ByTopic<Slot>> {
    let slots = wanted.map(|ByTopic { name, partitions }| {
        let topic = support::find_topic(view, TopicRef::Name(name.as_str()));
        let mut slot = |index: i32, question: Q| {
            let topic = match topic {
                Ok(topic) => topic,
                Err(error) => return Some(error),
            };
            if topic.partition(PartitionIndex(index)).is_none() {
                return Some(ErrorCode::UnknownTopicOrPartition);
            }
            keep(topic, index, question);
            None
        };
        let partitions = partitions
            .into_iter()
            .map(|(index, question)| (index, slot(index, question)))
            .collect();
        ByTopic { name, partitions }
    });
    slots.collect()
}

/// One code for each partition of the request: that which refused it, or the next of `answers`.
pub(super) fn codes(
    slots: Vec<ByTopic<Slot>>,
    answers: Vec<ErrorCode>,
) -> Result<Vec<ByTopic<ErrorCode>>, HandlerError> {
    let merged = merge(slots, answers.into_iter().map(Ok))?;
    let topics = merged.into_iter().map(|ByTopic { name, partitions }| {
        let partitions = partitions.into_iter().map(|(index, answer)| {
            let (Ok(code) | Err(code)) = answer;
            (index, code)
        });
        let partitions = partitions.collect();
        ByTopic { name, partitions }
    });
    Ok(topics.collect())
}

fn resolve(
    context: &Context<'_>,
    name: &TopicName,
    index: i32,
    op: impl FnOnce(&TopicImage) -> Result<PartitionOp, ErrorCode>,
) -> Result<(TopicPartition, PartitionOp), ErrorCode> {
    let topic = support::find_topic(context.view, TopicRef::Name(name.as_str()))?;
    let partition = support::led_partition(context.view, topic, PartitionIndex(index))?;
    Ok((partition, op(topic)?))
}

fn repeated<T>(wanted: &[ByTopic<T>]) -> BTreeSet<(TopicName, i32)> {
    let mut seen = BTreeSet::new();
    let all = wanted.iter().flat_map(|topic| {
        topic
            .partitions
            .iter()
            .map(|(index, _)| (topic.name.clone(), *index))
    });
    all.filter(|partition| !seen.insert(partition.clone()))
        .collect()
}

/// Puts the answers where the questions were.
fn merge<A>(
    slots: Vec<ByTopic<Slot>>,
    mut answers: impl Iterator<Item = Answered<A>>,
) -> Result<Vec<ByTopic<Answered<A>>>, HandlerError> {
    let mut answer = |slot: Slot| match slot {
        Some(code) => Ok(Err(code)),
        None => answers.next().ok_or(HandlerError::UnexpectedAnswer),
    };
    let mut merged = Vec::with_capacity(slots.len());
    for ByTopic { name, partitions } in slots {
        let of_topic = partitions
            .into_iter()
            .map(|(index, slot)| Ok((index, answer(slot)?)));
        let partitions = of_topic.collect::<Result<_, HandlerError>>()?;
        merged.push(ByTopic { name, partitions });
    }
    Ok(merged)
}
