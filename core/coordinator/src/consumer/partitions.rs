//! Sets of partitions by topic.

use std::collections::{BTreeMap, BTreeSet};

use chronik_model::TopicId;

use crate::request::TopicAssignment;

/// Partitions that a member shall own. Topics without partitions are left out.
pub(crate) type Target = BTreeMap<TopicId, BTreeSet<i32>>;

/// Partitions that a member owns, each with the epoch at which it was given to the member
/// (KIP-1251). Topics without partitions are left out.
pub(crate) type Owned = BTreeMap<TopicId, BTreeMap<i32, i32>>;

/// Whether every partition of `reported` is in `owned`.
pub(crate) fn is_subset(reported: &[TopicAssignment], owned: &Owned) -> bool {
    reported.iter().all(|topic| {
        let partitions = owned.get(&topic.topic_id);
        let owns = |partition| partitions.is_some_and(|owned| owned.contains_key(partition));
        // A topic without partitions still has to be known, as in Kafka.
        partitions.is_some() && topic.partitions.iter().all(owns)
    })
}

/// Whether any partition of `reported` is in `owned`.
pub(crate) fn intersects(reported: &[TopicAssignment], owned: &Owned) -> bool {
    reported.iter().any(|topic| {
        owned
            .get(&topic.topic_id)
            .is_some_and(|owned| topic.partitions.iter().any(|p| owned.contains_key(p)))
    })
}

/// `partitions`, all given at `epoch`.
pub(crate) fn with_epoch(partitions: &Target, epoch: i32) -> Owned {
    partitions
        .iter()
        .map(|(topic, partitions)| (*topic, partitions.iter().map(|p| (*p, epoch)).collect()))
        .collect()
}

/// The form of responses.
pub(crate) fn to_assignments(owned: &Owned) -> Vec<TopicAssignment> {
    owned
        .iter()
        .map(|(topic_id, partitions)| TopicAssignment {
            topic_id: *topic_id,
            partitions: partitions.keys().copied().collect(),
        })
        .collect()
}
