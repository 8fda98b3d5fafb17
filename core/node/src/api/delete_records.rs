//! DeleteRecords (API 21), v0 to v2 (KIP-107): moves the start of partitions forward.
//!
//! - Offset -1 means the high watermark; below that is OFFSET_OUT_OF_RANGE, as is an offset beyond
//!   the high watermark, which the partition itself finds.
//! - Records of internal topics, and of topics that are compacted but never cut, are not deleted:
//!   INVALID_TOPIC_EXCEPTION and POLICY_VIOLATION.
//! - The answer is the new start of the log, once it is durable.

use chronik_controller::TopicImage;
use chronik_model::{ErrorCode, Offset};
use chronik_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use chronik_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use super::partitions::{Answered, ByTopic, ask};
use super::support::{ReplyTo, decode};
use super::{Context, HandlerError, Outcome, Request};
use crate::messages::{PartitionAnswer, PartitionOp};

const HIGH_WATERMARK: Offset = Offset(-1);
const NO_LOW_WATERMARK: i64 = -1;

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: DeleteRecordsRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let wanted = body.topics.into_iter().map(|topic| ByTopic {
        name: topic.name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|each| (each.partition_index, Offset(each.offset)))
            .collect(),
    });
    let op = |topic: &TopicImage, before| operation(context, topic, before);
    ask(context, wanted.collect(), op, pick, move |answers| {
        let topics = answers.into_iter().map(topic_result);
        reply.encode(&DeleteRecordsResponse::default().with_topics(topics.collect()))
    })
}

fn operation(
    context: &Context<'_>,
    topic: &TopicImage,
    before: Offset,
) -> Result<PartitionOp, ErrorCode> {
    if topic.name.is_internal() {
        return Err(ErrorCode::InvalidTopicException);
    }
    let config = context.view.topic_config(topic.id);
    if config.cleanup_compact && !config.cleanup_delete {
        return Err(ErrorCode::PolicyViolation);
    }
    if before < HIGH_WATERMARK {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    Ok(PartitionOp::DeleteRecords { before })
}

fn pick(answer: PartitionAnswer) -> Option<Offset> {
    if let PartitionAnswer::LogStart(start) = answer {
        Some(start)
    } else {
        None
    }
}

fn topic_result(topic: ByTopic<Answered<Offset>>) -> DeleteRecordsTopicResult {
    let partitions = topic.partitions.into_iter().map(|(index, answer)| {
        let (low_watermark, error) = match answer {
            Ok(start) => (start.0, ErrorCode::None),
            Err(error) => (NO_LOW_WATERMARK, error),
        };
        DeleteRecordsPartitionResult::default()
            .with_partition_index(index)
            .with_low_watermark(low_watermark)
            .with_error_code(error.code())
    });
    DeleteRecordsTopicResult::default()
        .with_name(topic.name)
        .with_partitions(partitions.collect())
}
