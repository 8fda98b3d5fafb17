//! DeleteTopics and CreatePartitions.

use std::collections::BTreeSet;

use chronik_model::rng::Rng;
use chronik_model::{ErrorCode, NodeId, PartitionIndex, TopicId};

use crate::controller::{Context, Outcome};
use crate::image::TopicImage;
use crate::placement::{check_assignment, partition_records, place};
use crate::record::MetadataRecord;
use crate::request::{
    ControllerReply, CreatePartitions, DeleteTopics, DeletedTopic, NewPartitions, RequestError,
    TopicRef,
};
use crate::topics_create::{MAX_PARTITIONS_PER_REQUEST, check_partition_limit, repeated};

/// Deletes what can be deleted; each topic succeeds or fails on its own.
pub(crate) fn delete_topics(context: &Context<'_>, request: &DeleteTopics) -> Outcome {
    let duplicates = repeated(request.topics.iter());
    let mut deleted = BTreeSet::new();
    let mut results = Vec::with_capacity(request.topics.len());
    let mut seen = BTreeSet::new();
    for topic in request.topics.iter().filter(|topic| seen.insert(*topic)) {
        let result = if duplicates.contains(topic) {
            Err(RequestError::new(
                ErrorCode::InvalidRequest,
                "the topic is named more than once",
            ))
        } else {
            delete_topic(context, topic, &mut deleted)
        };
        results.push((topic.clone(), result));
    }
    let records = deleted
        .into_iter()
        .map(|topic_id| MetadataRecord::TopicDeleted { topic_id });
    Outcome {
        records: records.collect(),
        reply: ControllerReply::DeleteTopics(results),
    }
}

fn delete_topic(
    context: &Context<'_>,
    topic: &TopicRef,
    deleted: &mut BTreeSet<TopicId>,
) -> Result<DeletedTopic, RequestError> {
    if !context.settings.delete_topic_enable {
        let message = "topics can not be deleted: delete.topic.enable is false";
        return Err(RequestError::new(ErrorCode::TopicDeletionDisabled, message));
    }
    let topic = find(context, topic)?;
    if !deleted.insert(topic.id) {
        let message = format!("topic {} is named both by name and by id", topic.name);
        return Err(RequestError::new(ErrorCode::InvalidRequest, message));
    }
    Ok(DeletedTopic {
        name: topic.name.to_string(),
        topic_id: topic.id,
    })
}

fn find<'a>(context: &Context<'a>, topic: &TopicRef) -> Result<&'a TopicImage, RequestError> {
    let (found, code, what) = match topic {
        TopicRef::Name(name) => (
            context.image.topic_by_name(name),
            ErrorCode::UnknownTopicOrPartition,
            format!("topic {name} does not exist"),
        ),
        TopicRef::Id(TopicId::ZERO) => {
            let message = "neither a topic name nor a topic id is given";
            return Err(RequestError::new(ErrorCode::InvalidRequest, message));
        }
        TopicRef::Id(topic_id) => (
            context.image.topic(*topic_id),
            ErrorCode::UnknownTopicId,
            format!("there is no topic with id {topic_id}"),
        ),
    };
    found
        .map(|topic| &**topic)
        .ok_or_else(|| RequestError::new(code, what))
}

/// Adds partitions where that is possible; each topic succeeds or fails on its own.
pub(crate) fn create_partitions(
    context: &Context<'_>,
    rng: &mut Rng,
    request: &CreatePartitions,
) -> Outcome {
    let duplicates = repeated(request.topics.iter().map(|topic| topic.name.as_str()));
    let mut records = Vec::new();
    let mut results = Vec::with_capacity(request.topics.len());
    let mut seen = BTreeSet::new();
    for topic in request
        .topics
        .iter()
        .filter(|topic| seen.insert(topic.name.as_str()))
    {
        let added = if duplicates.contains(topic.name.as_str()) {
            let message = format!("topic {} is named more than once", topic.name);
            Err(RequestError::new(ErrorCode::InvalidRequest, message))
        } else {
            add_partitions(context, rng, topic, records.len())
        };
        results.push((topic.name.clone(), added.map(|added| records.extend(added))));
    }
    let records = if request.validate_only {
        Vec::new()
    } else {
        records
    };
    Outcome {
        records,
        reply: ControllerReply::CreatePartitions(results),
    }
}

/// The records of the new partitions; `before` of them the request creates already.
fn add_partitions(
    context: &Context<'_>,
    rng: &mut Rng,
    request: &NewPartitions,
    before: usize,
) -> Result<impl Iterator<Item = MetadataRecord> + use<>, RequestError> {
    let topic = context.image.topic_by_name(&request.name).ok_or_else(|| {
        let message = format!("topic {} does not exist", request.name);
        RequestError::new(ErrorCode::UnknownTopicOrPartition, message)
    })?;
    let current = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let added = check_total(topic, current, request.new_total)?;
    let before = i32::try_from(before).unwrap_or(i32::MAX);
    if before.saturating_add(added) > MAX_PARTITIONS_PER_REQUEST {
        let message = format!("a request can create {MAX_PARTITIONS_PER_REQUEST} partitions");
        return Err(RequestError::new(ErrorCode::PolicyViolation, message));
    }
    // As many replicas as the topic began with.
    let replicas = topic
        .partitions
        .first()
        .map_or(1, |partition| partition.replicas.len());
    let assignments = match &request.assignments {
        None => place(
            context.image,
            rng,
            added,
            i16::try_from(replicas).unwrap_or(i16::MAX),
        )?,
        Some(chosen) => {
            check_assignments(context, current, added, replicas, chosen)?;
            chosen.clone()
        }
    };
    Ok(partition_records(topic.id, current, assignments))
}

/// How many partitions are to be added.
fn check_total(topic: &TopicImage, current: i32, new_total: i32) -> Result<i32, RequestError> {
    check_partition_limit(new_total)?;
    let invalid = |message| Err(RequestError::new(ErrorCode::InvalidPartitions, message));
    if new_total == current {
        return invalid(format!(
            "topic {} has {current} partitions already",
            topic.name
        ));
    }
    if new_total < current {
        return invalid(format!(
            "topic {} has {current} partitions, which can not be reduced to {new_total}",
            topic.name
        ));
    }
    Ok(new_total - current)
}

fn check_assignments(
    context: &Context<'_>,
    current: i32,
    added: i32,
    replicas: usize,
    chosen: &[Vec<NodeId>],
) -> Result<(), RequestError> {
    if i32::try_from(chosen.len()) != Ok(added) {
        let message = format!("{} assignments for {added} new partitions", chosen.len());
        return Err(RequestError::new(
            ErrorCode::InvalidReplicaAssignment,
            message,
        ));
    }
    for (partition, nodes) in (current..).map(PartitionIndex).zip(chosen) {
        check_assignment(context.image, partition, nodes, replicas)?;
    }
    Ok(())
}
