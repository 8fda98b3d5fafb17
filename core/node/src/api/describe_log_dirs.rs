//! DescribeLogDirs (API 35), v1 to v4: sizes of the partitions that this broker hosts.
//!
//! - Null topics mean all of them. Partitions that are not here are left out.
//! - There is one directory, and it is always described, if only without partitions: clients take
//!   an answer without directories for a refusal.
//! - v3 adds an error of the request, v4 the size of the volume (KIP-827), which is not known here
//!   and therefore -1.
//! - Replicas never move between directories, so none has a future and none lags.

use std::collections::{BTreeMap, BTreeSet};

use chronik_controller::TopicImage;
use chronik_model::{ErrorCode, PartitionIndex, TopicPartition};
use chronik_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use chronik_protocol::messages::{
    DescribeLogDirsRequest, DescribeLogDirsResponse, StrBytes, TopicName,
};

use super::partitions::read;
use super::support::{ReplyTo, decode, text};
use super::{Context, HandlerError, Outcome, Request};
use crate::messages::{PartitionAnswer, PartitionOp};

const UNKNOWN_BYTES: i64 = -1;

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: DescribeLogDirsRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let asked = hosted(context, body);
    let directory = DescribeLogDirsResult::default()
        .with_log_dir(directory_of(context))
        .with_total_bytes(UNKNOWN_BYTES)
        .with_usable_bytes(UNKNOWN_BYTES);
    let respond = move |directory| {
        reply.encode(&DescribeLogDirsResponse::default().with_results(vec![directory]))
    };
    if asked.is_empty() {
        return Ok(Outcome::Reply(respond(directory)?));
    }
    let (names, ops): (Vec<_>, Vec<_>) = asked
        .into_iter()
        .map(|(name, partition)| {
            let place = (name, partition.partition);
            (place, (partition, PartitionOp::Size))
        })
        .unzip();
    let after = move |_: &Context<'_>, answers: Vec<PartitionAnswer>| {
        if answers.len() != names.len() {
            return Err(HandlerError::UnexpectedAnswer);
        }
        respond(describe(directory, names, answers))
    };
    Ok(Outcome::Partitions(ops, Box::new(after)))
}

/// Partitions of the request that have a replica on this broker, each once, in order.
fn hosted(
    context: &Context<'_>,
    body: DescribeLogDirsRequest,
) -> BTreeSet<(StrBytes, TopicPartition)> {
    let image = &context.view.image;
    let here = |topic: &TopicImage, index: PartitionIndex| {
        let partition = topic.partition(index)?;
        let is_here = partition.replicas.contains(&context.view.node_id);
        let partition = TopicPartition {
            topic_id: topic.id,
            partition: index,
        };
        is_here.then(|| (text(topic.name.as_str()), partition))
    };
    let Some(topics) = body.topics else {
        let all = image.topics().flat_map(|topic| {
            let indexes = (0..).map(PartitionIndex).take(topic.partitions.len());
            indexes.filter_map(|index| here(topic, index))
        });
        return all.collect();
    };
    let mut found = BTreeSet::new();
    for asked in topics {
        if let Some(topic) = image.topic_by_name(asked.topic.as_str()) {
            let indexes = asked.partitions.into_iter().map(PartitionIndex);
            found.extend(indexes.filter_map(|index| here(topic, index)));
        }
    }
    found
}

fn directory_of(context: &Context<'_>) -> StrBytes {
    let given = &context.view.static_broker;
    let directory = given.get("log.dirs").or_else(|| given.get("log.dir"));
    directory.map_or_else(StrBytes::default, |path| text(path.as_str()))
}

fn pick(answer: PartitionAnswer) -> Option<u64> {
    if let PartitionAnswer::Size(bytes) = answer {
        Some(bytes)
    } else {
        None
    }
}

fn describe(
    directory: DescribeLogDirsResult,
    names: Vec<(StrBytes, PartitionIndex)>,
    answers: Vec<PartitionAnswer>,
) -> DescribeLogDirsResult {
    let mut topics: BTreeMap<StrBytes, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for ((name, index), answer) in names.into_iter().zip(answers) {
        match read(answer, pick) {
            Ok(bytes) => {
                let described = DescribeLogDirsPartition::default()
                    .with_partition_index(index.0)
                    .with_partition_size(i64::try_from(bytes).unwrap_or(i64::MAX));
                topics.entry(name).or_default().push(described);
            }
            Err(ErrorCode::KafkaStorageError) => {
                return directory.with_error_code(ErrorCode::KafkaStorageError.code());
            }
            // Deleted since, or not opened yet.
            Err(_not_here) => {}
        }
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        DescribeLogDirsTopic::default()
            .with_name(TopicName(name))
            .with_partitions(partitions)
    });
    directory.with_topics(topics.collect())
}
