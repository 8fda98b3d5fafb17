//! The `uniform` assignor where everyone subscribes to the same topics.
//!
//! With P partitions and M members, everyone gets P / M partitions, and P % M of them one more. A
//! member keeps what it had up to its share; those who had more than the even share are the first to
//! get a larger one, so that as few partitions as possible move.

use std::collections::BTreeMap;

use chronik_model::TopicId;

use super::Spec;
use crate::consumer::Target;

/// See the module.
pub(super) fn assign(spec: &Spec<'_>) -> Vec<Target> {
    let members = spec.members.len();
    if members == 0 {
        return Vec::new();
    }
    let mut free = Free::new(spec);
    let share = free.total / members;
    let mut longer = free.total % members;
    let mut kept = Vec::with_capacity(members);
    for member in &spec.members {
        let had = free.count_valid(member.previous);
        let limit = share + usize::from(had > share && longer > 0);
        longer -= limit - share;
        let mut target = Target::new();
        let count = free.keep(member.previous, limit, &mut target);
        kept.push((target, limit.max(count), count));
    }
    // Larger shares that nobody had a claim to go to the first members.
    for (_, limit, _) in &mut kept {
        if longer > 0 && *limit == share {
            *limit += 1;
            longer -= 1;
        }
    }
    let mut rest = free.into_partitions();
    kept.into_iter()
        .map(|(mut target, limit, count)| {
            for (topic, partition) in rest.by_ref().take(limit - count) {
                target.entry(topic).or_default().insert(partition);
            }
            target
        })
        .collect()
}

/// Partitions that nobody was given yet.
struct Free {
    topics: BTreeMap<TopicId, Vec<bool>>,
    total: usize,
}

impl Free {
    fn new(spec: &Spec<'_>) -> Self {
        let subscribed = spec.members.first().map(|member| &member.topics);
        let mut topics = BTreeMap::new();
        let mut total = 0;
        for topic in subscribed.iter().flat_map(|topics| topics.iter()) {
            let partitions = spec.topics.get(topic).copied().unwrap_or(0);
            let partitions = usize::try_from(partitions).unwrap_or(0);
            topics.insert(*topic, vec![true; partitions]);
            total += partitions;
        }
        Self { topics, total }
    }

    fn is_free(&self, topic: TopicId, partition: i32) -> bool {
        let index = usize::try_from(partition).unwrap_or(usize::MAX);
        let topic = self.topics.get(&topic);
        topic.is_some_and(|free| free.get(index).copied().unwrap_or(false))
    }

    fn count_valid(&self, previous: Option<&Target>) -> usize {
        pairs(previous)
            .filter(|(topic, partition)| self.is_free(*topic, *partition))
            .count()
    }

    /// Moves up to `limit` partitions of `previous` into `target`, and says how many.
    fn keep(&mut self, previous: Option<&Target>, limit: usize, target: &mut Target) -> usize {
        let mut count = 0;
        for (topic, partition) in pairs(previous) {
            if count == limit {
                break;
            }
            let index = usize::try_from(partition).unwrap_or(usize::MAX);
            let slot = self
                .topics
                .get_mut(&topic)
                .and_then(|free| free.get_mut(index));
            if let Some(free) = slot.filter(|free| **free) {
                *free = false;
                target.entry(topic).or_default().insert(partition);
                count += 1;
            }
        }
        count
    }

    fn into_partitions(self) -> impl Iterator<Item = (TopicId, i32)> {
        self.topics.into_iter().flat_map(|(topic, free)| {
            (0..)
                .zip(free)
                .filter(|(_, free)| *free)
                .map(move |(partition, _)| (topic, partition))
        })
    }
}

fn pairs(target: Option<&Target>) -> impl Iterator<Item = (TopicId, i32)> {
    target
        .into_iter()
        .flatten()
        .flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)))
}
