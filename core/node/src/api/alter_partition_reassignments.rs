//! AlterPartitionReassignments (API 45), v0 to v1 (KIP-455): moves replicas to other brokers.
//!
//! - Replicas stay where they were made: a reassignment to the replicas that a partition has is
//!   granted, any other is INVALID_REPLICA_ASSIGNMENT.
//! - Nothing is ever on the move, so there is nothing to cancel: NO_REASSIGNMENT_IN_PROGRESS.
//! - v1 says whether the replication factor may change, and is told the same back.

use chronik_controller::{RequestError, TopicImage};
use chronik_model::{ErrorCode, PartitionIndex};
use chronik_protocol::TopicRef;
use chronik_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use chronik_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use chronik_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
};

use super::errors::refusal;
use super::support::{ReplyTo, decode, find_topic, verdict};
use super::{Context, HandlerError, Outcome, Request};

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: AlterPartitionReassignmentsRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let responses = body
        .topics
        .into_iter()
        .map(|topic| reassign_topic(context, topic));
    let response = AlterPartitionReassignmentsResponse::default()
        .with_error_message(None)
        .with_responses(responses.collect());
    let response = if reply.version >= 1 {
        response.with_allow_replication_factor_change(body.allow_replication_factor_change)
    } else {
        response
    };
    Ok(Outcome::Reply(reply.encode(&response)?))
}

fn reassign_topic(context: &Context<'_>, asked: ReassignableTopic) -> ReassignableTopicResponse {
    let topic = find_topic(context.view, TopicRef::Name(asked.name.as_str())).ok();
    let partitions = asked.partitions.into_iter().map(|partition| {
        let (code, message) = verdict(&reassign(topic, &partition));
        ReassignablePartitionResponse::default()
            .with_partition_index(partition.partition_index)
            .with_error_code(code)
            .with_error_message(message)
    });
    ReassignableTopicResponse::default()
        .with_partitions(partitions.collect())
        .with_name(asked.name)
}

fn reassign(topic: Option<&TopicImage>, asked: &ReassignablePartition) -> Result<(), RequestError> {
    let index = PartitionIndex(asked.partition_index);
    let Some(partition) = topic.and_then(|topic| topic.partition(index)) else {
        let message = "there is no such partition";
        return Err(refusal(ErrorCode::UnknownTopicOrPartition, message));
    };
    let Some(replicas) = &asked.replicas else {
        let message = "no replica of the partition is on the move";
        return Err(refusal(ErrorCode::NoReassignmentInProgress, message));
    };
    let are_the_same = replicas
        .iter()
        .map(|broker| broker.0)
        .eq(partition.replicas.iter().map(|node| node.0));
    if are_the_same {
        return Ok(());
    }
    Err(refusal(
        ErrorCode::InvalidReplicaAssignment,
        "replicas can not be moved to other brokers",
    ))
}
