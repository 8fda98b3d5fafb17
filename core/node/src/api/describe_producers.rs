//! DescribeProducers (API 61), v0 (KIP-664): idempotent producers that partitions remember.
//!
//! - Asked of the leader; NOT_LEADER_OR_FOLLOWER elsewhere.
//! - No transactions run here, so there is neither a coordinator's epoch nor a first offset of one.

use chronik_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use chronik_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};

use super::partitions::{Answered, ByTopic, ask};
use super::support::{ReplyTo, decode};
use super::{Context, HandlerError, Outcome, Request};
use crate::messages::{ActiveProducer, PartitionAnswer, PartitionOp};

const NO_COORDINATOR_EPOCH: i32 = -1;
const NO_TRANSACTION: i64 = -1;

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: DescribeProducersRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let wanted = body.topics.into_iter().map(|topic| ByTopic {
        name: topic.name,
        partitions: topic
            .partition_indexes
            .into_iter()
            .map(|index| (index, ()))
            .collect(),
    });
    let op = |_: &_, ()| Ok(PartitionOp::Producers);
    ask(context, wanted.collect(), op, pick, move |answers| {
        let topics = answers.into_iter().map(topic_response);
        reply.encode(&DescribeProducersResponse::default().with_topics(topics.collect()))
    })
}

fn pick(answer: PartitionAnswer) -> Option<Vec<ActiveProducer>> {
    if let PartitionAnswer::Producers(producers) = answer {
        Some(producers)
    } else {
        None
    }
}

fn topic_response(topic: ByTopic<Answered<Vec<ActiveProducer>>>) -> TopicResponse {
    let partitions = topic.partitions.into_iter().map(|(index, answer)| {
        let response = PartitionResponse::default()
            .with_partition_index(index)
            .with_error_message(None);
        match answer {
            Err(error) => response.with_error_code(error.code()),
            Ok(producers) => {
                let producers = producers.into_iter().map(producer_state);
                response.with_active_producers(producers.collect())
            }
        }
    });
    TopicResponse::default()
        .with_name(topic.name)
        .with_partitions(partitions.collect())
}

fn producer_state(producer: ActiveProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(producer.producer_id.0))
        .with_producer_epoch(i32::from(producer.epoch.0))
        .with_last_sequence(producer.last_sequence)
        .with_last_timestamp(producer.last_timestamp_ms)
        .with_coordinator_epoch(NO_COORDINATOR_EPOCH)
        .with_current_txn_start_offset(NO_TRANSACTION)
}
