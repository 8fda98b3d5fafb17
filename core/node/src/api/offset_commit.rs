//! OffsetCommit (API 8), v2 to v9: keeps how far a group has read.
//!
//! - v2 to v4 state a retention, v6 adds leader epochs (KIP-320), v7 static members (KIP-345), v9
//!   groups of the consumer protocol (KIP-848).
//! - Partitions that do not exist are UNKNOWN_TOPIC_OR_PARTITION and never reach the coordinator;
//!   the others are committed all the same.
//! - The empty group id keeps offsets too, for clients that assign partitions themselves.

use chronik_coordinator::{
    CommitOffsets, CommittedPartition, GroupRequest, GroupResponse, OffsetsFence,
};
use chronik_model::{ErrorCode, Offset};
use chronik_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use chronik_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use chronik_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::groups::ask;
use super::partitions::{ByTopic, Slot, codes, existing};
use super::support::{ReplyTo, decode};
use super::{Context, HandlerError, Outcome, Request};

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let mut body: OffsetCommitRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let topics = std::mem::take(&mut body.topics);
    let (slots, partitions) = split(context, topics);
    if partitions.is_empty() {
        let committed = codes(slots, Vec::new())?;
        return Ok(Outcome::Reply(reply.encode(&response(committed))?));
    }
    let asked = partitions.len();
    let group_id = body.group_id.clone();
    let commit = GroupRequest::CommitOffsets(commit_of(&body, partitions, reply.version));
    ask(context, (group_id, Ok(commit)), pick, move |answer| {
        let answers = answer.unwrap_or_else(|error| vec![error; asked]);
        reply.encode(&response(codes(slots, answers)?))
    })
}

fn pick(response: GroupResponse) -> Option<Vec<ErrorCode>> {
    if let GroupResponse::CommitOffsets(codes) = response {
        Some(codes)
    } else {
        None
    }
}

/// The places of the answers, and what there is to commit.
fn split(
    context: &Context<'_>,
    topics: Vec<OffsetCommitRequestTopic>,
) -> (Vec<ByTopic<Slot>>, Vec<CommittedPartition>) {
    let wanted = topics.into_iter().map(|topic| ByTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|each| (each.partition_index, each))
            .collect(),
    });
    let mut partitions = Vec::new();
    let slots = existing(context.view, wanted, |topic, index, each| {
        let each: OffsetCommitRequestPartition = each;
        partitions.push(CommittedPartition {
            topic: topic.name.to_string(),
            topic_id: topic.id,
            partition: index,
            offset: Offset(each.committed_offset),
            leader_epoch: each.committed_leader_epoch,
            metadata: each
                .committed_metadata
                .map_or_else(String::new, |text| text.to_string()),
        });
    });
    (slots, partitions)
}

fn commit_of(
    body: &OffsetCommitRequest,
    partitions: Vec<CommittedPartition>,
    api_version: i16,
) -> CommitOffsets {
    CommitOffsets {
        group_id: body.group_id.to_string(),
        fence: OffsetsFence {
            member_id: body.member_id.to_string(),
            group_instance_id: body.group_instance_id.as_deref().map(str::to_owned),
            generation_or_epoch: body.generation_id_or_member_epoch,
        },
        retention_ms: Some(body.retention_time_ms).filter(|retention| *retention >= 0),
        partitions,
        api_version,
    }
}

fn response(committed: Vec<ByTopic<ErrorCode>>) -> OffsetCommitResponse {
    let topics = committed.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|(index, error)| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(error.code())
        });
        OffsetCommitResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}
