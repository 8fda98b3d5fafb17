//! OffsetForLeaderEpoch (API 23), v2 to v4 (KIP-320): where an epoch ends in the leader's log, by
//! which consumers and followers see that their history is another one.
//!
//! - v3 says who asks, v4 is flexible.
//! - The answer is the largest epoch that is not above the one asked for, and its end, which for the
//!   current epoch is the end of the log. An epoch above the leader's has none: -1 and -1.
//! - A stated current epoch that is not the leader's is FENCED_LEADER_EPOCH or
//!   UNKNOWN_LEADER_EPOCH.

use chronik_model::{LeaderEpoch, Offset};
use chronik_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use chronik_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use chronik_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::partitions::{Answered, ByTopic, ask};
use super::support::{ReplyTo, decode};
use super::{Context, HandlerError, Outcome, Request};
use crate::messages::{PartitionAnswer, PartitionOp};

const NO_EPOCH: i32 = -1;
const NO_OFFSET: i64 = -1;

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: OffsetForLeaderEpochRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let wanted = body.topics.into_iter().map(|topic| ByTopic {
        name: topic.topic,
        partitions: topic
            .partitions
            .into_iter()
            .map(|each| (each.partition, each))
            .collect(),
    });
    let op = |_: &_, partition: OffsetForLeaderPartition| {
        Ok(PartitionOp::EpochEnd {
            epoch: LeaderEpoch(partition.leader_epoch),
            current_leader_epoch: LeaderEpoch(partition.current_leader_epoch),
        })
    };
    ask(context, wanted.collect(), op, pick, move |answers| {
        let topics = answers.into_iter().map(topic_result);
        reply.encode(&OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
    })
}

/// The epoch and its end, if there is one.
type Found = Option<(LeaderEpoch, Offset)>;

fn pick(answer: PartitionAnswer) -> Option<Found> {
    if let PartitionAnswer::EpochEnd(found) = answer {
        Some(found)
    } else {
        None
    }
}

fn topic_result(topic: ByTopic<Answered<Found>>) -> OffsetForLeaderTopicResult {
    let partitions = topic.partitions.into_iter().map(|(index, answer)| {
        let nothing = EpochEndOffset::default()
            .with_partition(index)
            .with_leader_epoch(NO_EPOCH)
            .with_end_offset(NO_OFFSET);
        match answer {
            Err(error) => nothing.with_error_code(error.code()),
            Ok(None) => nothing,
            Ok(Some((epoch, end))) => nothing.with_leader_epoch(epoch.0).with_end_offset(end.0),
        }
    });
    OffsetForLeaderTopicResult::default()
        .with_topic(topic.name)
        .with_partitions(partitions.collect())
}
