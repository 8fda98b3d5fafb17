//! Which brokers get the replicas of new partitions.

use std::collections::BTreeSet;

use chronik_model::rng::Rng;
use chronik_model::{ErrorCode, LeaderEpoch, NodeId, PartitionIndex, TopicId};

use crate::image::{MetadataImage, PartitionEpoch};
use crate::record::{MetadataRecord, PartitionRecord};
use crate::request::RequestError;

/// Chooses replicas for `partitions` new partitions. Leaders go round robin over the brokers from
/// a random start; followers follow at a distance that grows with each round, so that the load of
/// a failed leader spreads. Racks are not considered.
pub(crate) fn place(
    image: &MetadataImage,
    rng: &mut Rng,
    partitions: i32,
    replication_factor: i16,
) -> Result<Vec<Vec<NodeId>>, RequestError> {
    let brokers: Vec<NodeId> = image.brokers().map(|broker| broker.node_id).collect();
    let replicas = usize::try_from(replication_factor).unwrap_or(0);
    if replicas > brokers.len() {
        let message = format!(
            "replication factor {replication_factor} is larger than the number of live brokers: {}",
            brokers.len()
        );
        return Err(RequestError::new(
            ErrorCode::InvalidReplicationFactor,
            message,
        ));
    }
    let count = usize::try_from(partitions).unwrap_or(0);
    let random = |rng: &mut Rng| {
        usize::try_from(rng.below(u64::try_from(brokers.len()).unwrap_or(1))).unwrap_or(0)
    };
    let (start, shift) = (random(rng), random(rng));
    Ok((0..count)
        .map(|partition| {
            let distance = shift + partition / brokers.len().max(1);
            round_robin(&brokers, replicas, start + partition, distance)
        })
        .collect())
}

/// Replicas led by the broker of this turn, followed by those that come `shift` brokers later.
fn round_robin(brokers: &[NodeId], replicas: usize, turn: usize, shift: usize) -> Vec<NodeId> {
    let count = brokers.len().max(1);
    let followers = count.saturating_sub(1).max(1);
    let distance = |replica: usize| match replica {
        0 => 0,
        follower => 1 + (shift + follower - 1) % followers,
    };
    (0..replicas)
        .filter_map(|replica| brokers.get((turn + distance(replica)) % count).copied())
        .collect()
}

/// Checks replicas that a client chose for one partition.
pub(crate) fn check_assignment(
    image: &MetadataImage,
    partition: PartitionIndex,
    replicas: &[NodeId],
    replication_factor: usize,
) -> Result<(), RequestError> {
    let invalid = |what: String| {
        let message = format!("partition {}: {what}", partition.0);
        Err(RequestError::new(
            ErrorCode::InvalidReplicaAssignment,
            message,
        ))
    };
    if replicas.is_empty() {
        return invalid("the list of replicas is empty".into());
    }
    if replicas.len() != replication_factor {
        return invalid(format!(
            "{} replicas, but other partitions have {replication_factor}",
            replicas.len()
        ));
    }
    if replicas.iter().collect::<BTreeSet<_>>().len() != replicas.len() {
        return invalid("a broker is named twice".into());
    }
    match replicas.iter().find(|node| image.broker(**node).is_none()) {
        Some(unknown) => invalid(format!("broker {} is not registered", unknown.0)),
        None => Ok(()),
    }
}

/// The records of new partitions, from index `first` on, led by their first replica.
pub(crate) fn partition_records(
    topic_id: TopicId,
    first: i32,
    assignments: Vec<Vec<NodeId>>,
) -> impl Iterator<Item = MetadataRecord> {
    (first..)
        .map(PartitionIndex)
        .zip(assignments)
        .map(move |(partition, replicas)| {
            MetadataRecord::PartitionCreated(PartitionRecord {
                topic_id,
                partition,
                isr: replicas.clone(),
                leader: replicas.first().copied(),
                replicas,
                leader_epoch: LeaderEpoch(0),
                partition_epoch: PartitionEpoch(0),
            })
        })
}
