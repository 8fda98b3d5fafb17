//! DescribeTopicPartitions (API 75), v0 (KIP-966): partitions of topics, a page at a time.
//!
//! - Topics come in the order of their names; no topics mean all of them. A page holds as many
//!   partitions as the client wants, but no more than `max.request.partition.size.limit`, and ends
//!   with a cursor where there is more. A page begins at the cursor that it is given.
//! - A cursor that names none of the topics asked for, or no partition, is INVALID_REQUEST.
//! - Eligible leader replicas are not kept track of, so there are none.

use std::collections::BTreeSet;

use chronik_controller::{PartitionImage, TopicImage};
use chronik_model::{ErrorCode, NodeId, TopicName};
use chronik_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use chronik_protocol::messages::{
    self as wire, BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    StrBytes, uuid,
};

use super::support::{ALL_TOPIC_OPERATIONS, ReplyTo, decode, text};
use super::{Context, HandlerError, Outcome, Request};
use crate::view::ClusterView;

const NO_LEADER: BrokerId = BrokerId(-1);

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: DescribeTopicPartitionsRequest = decode(request)?;
    let response = match Page::of(context.view, &body) {
        Some(page) => page.fill(context.view),
        None => refuse(body),
    };
    Ok(Outcome::Reply(ReplyTo::new(request).encode(&response)?))
}

/// What a page is to hold.
struct Page {
    /// Names from the cursor on, in order.
    names: BTreeSet<StrBytes>,
    /// Whether absent topics are left out, for nobody asked for them by name.
    all: bool,
    /// First partition of the first topic.
    first_partition: usize,
    /// The topic that it is the first partition of.
    cursor_topic: StrBytes,
    /// Partitions that fit.
    limit: usize,
}

impl Page {
    /// `None` for a cursor that makes no sense.
    fn of(view: &ClusterView, body: &DescribeTopicPartitionsRequest) -> Option<Self> {
        let all = body.topics.is_empty();
        let (cursor_topic, first_partition) = match &body.cursor {
            Some(cursor) => {
                let first = usize::try_from(cursor.partition_index).ok()?;
                (cursor.topic_name.0.clone(), first)
            }
            None => (StrBytes::default(), 0),
        };
        let names: BTreeSet<StrBytes> = if all {
            let topics = view.image.topics().map(|topic| text(topic.name.as_str()));
            topics.filter(|name| *name >= cursor_topic).collect()
        } else {
            let asked = body.topics.iter().map(|topic| topic.name.0.clone());
            asked.filter(|name| *name >= cursor_topic).collect()
        };
        let is_lost = !all && body.cursor.is_some() && !names.contains(&cursor_topic);
        if is_lost {
            return None;
        }
        let wanted = usize::try_from(body.response_partition_limit).unwrap_or(0);
        let limit = view.broker.network.max_request_partition_size_limit;
        Some(Self {
            names,
            all,
            first_partition,
            cursor_topic,
            limit: wanted.min(limit).max(1),
        })
    }

    fn fill(self, view: &ClusterView) -> DescribeTopicPartitionsResponse {
        let mut left = self.limit;
        let mut topics = Vec::new();
        let mut next = None;
        for name in self.names {
            if left == 0 {
                next = Some(cursor(name, 0));
                break;
            }
            let Some(topic) = view.image.topic_by_name(&name) else {
                if !self.all {
                    topics.push(absent(name));
                }
                continue;
            };
            let first = if name == self.cursor_topic {
                self.first_partition
            } else {
                0
            };
            let described = describe(view, topic, first, left);
            let end = first.saturating_add(described.partitions.len());
            left = left.saturating_sub(described.partitions.len());
            topics.push(described);
            if end < topic.partitions.len() {
                next = Some(cursor(name, end));
                break;
            }
        }
        DescribeTopicPartitionsResponse::default()
            .with_topics(topics)
            .with_next_cursor(next)
    }
}

fn cursor(name: StrBytes, partition: usize) -> Cursor {
    Cursor::default()
        .with_topic_name(wire::TopicName(name))
        .with_partition_index(i32::try_from(partition).unwrap_or(i32::MAX))
}

fn describe(
    view: &ClusterView,
    topic: &TopicImage,
    first: usize,
    most: usize,
) -> DescribeTopicPartitionsResponseTopic {
    let indexed = (0..).zip(&topic.partitions).skip(first).take(most);
    let partitions = indexed.map(|(index, partition)| describe_partition(view, index, partition));
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(wire::TopicName(text(topic.name.as_str()))))
        .with_topic_id(uuid(topic.id))
        .with_is_internal(topic.name.is_internal())
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(ALL_TOPIC_OPERATIONS)
}

fn describe_partition(
    view: &ClusterView,
    index: i32,
    partition: &PartitionImage,
) -> DescribeTopicPartitionsResponsePartition {
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| BrokerId(node.0)).collect();
    let is_offline = |node: &&NodeId| view.image.broker(**node).is_none();
    let offline = partition.replicas.iter().filter(is_offline);
    DescribeTopicPartitionsResponsePartition::default()
        .with_partition_index(index)
        .with_leader_id(
            partition
                .leader
                .map_or(NO_LEADER, |leader| BrokerId(leader.0)),
        )
        .with_leader_epoch(partition.leader_epoch.0)
        .with_replica_nodes(ids(&partition.replicas))
        .with_isr_nodes(ids(&partition.isr))
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()))
        .with_offline_replicas(offline.map(|node| BrokerId(node.0)).collect())
}

fn absent(name: StrBytes) -> DescribeTopicPartitionsResponseTopic {
    let error = match TopicName::new(&name) {
        Ok(_) => ErrorCode::UnknownTopicOrPartition,
        Err(_illegal) => ErrorCode::InvalidTopicException,
    };
    failed(name, error).with_topic_authorized_operations(ALL_TOPIC_OPERATIONS)
}

fn failed(name: StrBytes, error: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(wire::TopicName(name)))
        .with_error_code(error.code())
}

/// The response has no error of its own: every topic has it.
fn refuse(body: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let topics = body.topics.into_iter();
    let topics = topics.map(|topic| failed(topic.name.0, ErrorCode::InvalidRequest));
    DescribeTopicPartitionsResponse::default()
        .with_topics(topics.collect())
        .with_next_cursor(None)
}
