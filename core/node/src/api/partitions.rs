//! Requests that ask many partitions for one thing each, and answer in their own order.

use std::collections::BTreeSet;

use bytes::Bytes;
use chronik_controller::TopicImage;
use chronik_model::{ErrorCode, PartitionIndex, TopicPartition};
use chronik_protocol::TopicRef;
use chronik_protocol::messages::TopicName;

use super::{Context, HandlerError, Outcome, support};
use crate::messages::{PartitionAnswer, PartitionOp};

/// One topic of a request or reply, with something for each of its partitions.
#[derive(Debug)]
pub(super) struct ByTopic<T> {
    /// As the request has it.
    pub(super) name: TopicName,
    /// Partition index and what belongs to it.
    pub(super) partitions: Vec<(i32, T)>,
}

/// A partition of the request: refused at once, or asked.
type Slot = Option<ErrorCode>;

/// Asks this broker's partitions; `finish` gets one answer for each partition of the request, in
/// the request's order. Partitions that do not exist, are led elsewhere, are named more than once,
/// or for which `op` has no operation, are refused without being asked.
pub(super) fn ask<T>(
    context: &Context<'_>,
    wanted: Vec<ByTopic<T>>,
    op: impl Fn(&TopicImage, T) -> Result<PartitionOp, ErrorCode>,
    finish: impl FnOnce(Vec<ByTopic<PartitionAnswer>>) -> Result<Bytes, HandlerError> + Send + 'static,
) -> Result<Outcome, HandlerError> {
    let repeated = repeated(&wanted);
    let mut ops = Vec::new();
    let mut slots: Vec<ByTopic<Slot>> = Vec::with_capacity(wanted.len());
    for ByTopic { name, partitions } in wanted {
        let mut slot = |index: i32, question: T| {
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
    if ops.is_empty() {
        return finish(merge(slots, Vec::new())?).map(Outcome::Reply);
    }
    let after = move |_: &Context<'_>, answers| finish(merge(slots, answers)?);
    Ok(Outcome::Partitions(ops, Box::new(after)))
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
fn merge(
    slots: Vec<ByTopic<Slot>>,
    answers: Vec<PartitionAnswer>,
) -> Result<Vec<ByTopic<PartitionAnswer>>, HandlerError> {
    let mut answers = answers.into_iter();
    let mut answer = |slot: Slot| match slot {
        Some(code) => Ok(PartitionAnswer::Failed(code)),
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
