//! DescribeQuorum (API 55), v0 to v2 (KIP-595): who votes on the cluster's metadata.
//!
//! - There is one voter, this node, and it leads. Offsets are those of its metadata log, as far as
//!   this broker has applied it.
//! - v1 adds times (KIP-836), v2 messages, and nodes with listeners (KIP-853); the only voter has no
//!   listener for other voters.
//! - Anything but partition 0 of `__cluster_metadata` is UNKNOWN_TOPIC_OR_PARTITION.

use chronik_model::ErrorCode;
use chronik_protocol::messages::describe_quorum_response::{
    Node, PartitionData, ReplicaState, TopicData,
};
use chronik_protocol::messages::{
    BrokerId, DescribeQuorumRequest, DescribeQuorumResponse, TopicName,
};

use super::support::{ReplyTo, decode};
use super::{Context, HandlerError, Outcome, Request};

const METADATA_TOPIC: &str = "__cluster_metadata";
const METADATA_PARTITION: i32 = 0;
/// The leader does not fetch.
const NO_TIME: i64 = -1;

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: DescribeQuorumRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let topics = body.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|asked| {
            let index = asked.partition_index;
            match describe(context, reply.version, &topic.topic_name, index) {
                Ok(described) => described,
                Err(error) => PartitionData::default()
                    .with_error_message(None)
                    .with_partition_index(index)
                    .with_error_code(error.code()),
            }
        });
        let partitions = partitions.collect();
        TopicData::default()
            .with_topic_name(topic.topic_name)
            .with_partitions(partitions)
    });
    let response = DescribeQuorumResponse::default()
        .with_error_message(None)
        .with_topics(topics.collect());
    let response = if reply.version >= 2 {
        let node = Node::default().with_node_id(BrokerId(context.view.node_id.0));
        response.with_nodes(vec![node])
    } else {
        response
    };
    Ok(Outcome::Reply(reply.encode(&response)?))
}

fn describe(
    context: &Context<'_>,
    version: i16,
    topic: &TopicName,
    index: i32,
) -> Result<PartitionData, ErrorCode> {
    if topic.as_str() != METADATA_TOPIC || index != METADATA_PARTITION {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    let image = &context.view.image;
    let leader = BrokerId(context.view.node_id.0);
    // Entries count from 1: the end is one behind the last one.
    let end = image.offset().0.saturating_add(1);
    let voter = ReplicaState::default()
        .with_replica_id(leader)
        .with_log_end_offset(end);
    let voter = if version >= 1 {
        voter
            .with_last_fetch_timestamp(NO_TIME)
            .with_last_caught_up_timestamp(context.now.wall_ms)
    } else {
        voter
    };
    Ok(PartitionData::default()
        .with_partition_index(index)
        .with_error_message(None)
        .with_leader_id(leader)
        .with_leader_epoch(i32::try_from(image.term()).unwrap_or(i32::MAX))
        .with_high_watermark(end)
        .with_current_voters(vec![voter]))
}
