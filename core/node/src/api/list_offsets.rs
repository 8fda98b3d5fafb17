//! ListOffsets (API 2), v1 to v10: offsets of the ends of partitions, or of a time.
//!
//! - v2 adds the isolation level, v4 leader epochs (KIP-320), v7 the largest timestamp (KIP-734),
//!   v8 the earliest local offset (KIP-405), v9 the latest tiered one (KIP-1005), v10 a timeout for
//!   tiered reads (KIP-1075), which do not happen here.
//! - Without transactions the last stable offset is the high watermark: both isolation levels see
//!   the same.
//! - A special timestamp that the version does not have is UNSUPPORTED_VERSION; a partition that is
//!   named twice is INVALID_REQUEST in all places.

use chronik_model::{ErrorCode, LeaderEpoch, Offset};
use chronik_protocol::messages::list_offsets_request::ListOffsetsPartition;
use chronik_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use chronik_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::partitions::{Answered, ByTopic, ask};
use super::support::{ReplyTo, decode};
use super::{Context, HandlerError, Outcome, Request};
use crate::messages::{PartitionAnswer, PartitionOp};

/// Read uncommitted and read committed.
const ISOLATION_LEVELS: [i8; 2] = [0, 1];

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: ListOffsetsRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let isolation_is_known = ISOLATION_LEVELS.contains(&body.isolation_level);
    let wanted = body.topics.into_iter().map(|topic| ByTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|each| (each.partition_index, each))
            .collect(),
    });
    let op = |_: &_, partition: ListOffsetsPartition| {
        if isolation_is_known {
            operation(reply.version, &partition)
        } else {
            Err(ErrorCode::InvalidRequest)
        }
    };
    ask(context, wanted.collect(), op, pick, move |answers| {
        let topics = answers
            .into_iter()
            .map(|topic| topic_response(topic, reply.version));
        reply.encode(&ListOffsetsResponse::default().with_topics(topics.collect()))
    })
}

fn operation(version: i16, partition: &ListOffsetsPartition) -> Result<PartitionOp, ErrorCode> {
    if version < first_version_of(partition.timestamp) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    Ok(PartitionOp::ListOffset {
        timestamp: partition.timestamp,
        current_leader_epoch: LeaderEpoch(partition.current_leader_epoch),
    })
}

/// The first version in which a timestamp means something.
const fn first_version_of(timestamp: i64) -> i16 {
    match timestamp {
        0.. | -1 | -2 => 1,
        -3 => 7,
        -4 => 8,
        -5 => 9,
        -6 => 11,
        _ => i16::MAX,
    }
}

/// Where nothing is found, offset, timestamp and epoch are -1.
#[derive(Debug)]
struct Found {
    offset: Offset,
    timestamp_ms: i64,
    leader_epoch: LeaderEpoch,
}

fn pick(answer: PartitionAnswer) -> Option<Found> {
    if let PartitionAnswer::Offset {
        offset,
        timestamp_ms,
        leader_epoch,
    } = answer
    {
        Some(Found {
            offset,
            timestamp_ms,
            leader_epoch,
        })
    } else {
        None
    }
}

fn topic_response(topic: ByTopic<Answered<Found>>, version: i16) -> ListOffsetsTopicResponse {
    let partitions = topic
        .partitions
        .into_iter()
        .map(|(index, answer)| partition_response(index, answer, version));
    ListOffsetsTopicResponse::default()
        .with_name(topic.name)
        .with_partitions(partitions.collect())
}

fn partition_response(
    index: i32,
    answer: Answered<Found>,
    version: i16,
) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(index);
    match answer {
        Ok(found) => {
            let known = if version >= 4 {
                found.leader_epoch
            } else {
                LeaderEpoch::NONE
            };
            response
                .with_offset(found.offset.0)
                .with_timestamp(found.timestamp_ms)
                .with_leader_epoch(known.0)
        }
        Err(error) => response.with_error_code(error.code()),
    }
}
