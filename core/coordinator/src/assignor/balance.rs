//! The `uniform` assignor where members subscribe to different topics.
//!
//! Members keep what they had and still subscribe to. What is free goes, topic by topic, to the
//! subscriber with the fewest partitions; topics with few subscribers come first, because they leave
//! the least choice. Then partitions move from members with many to members with few, one topic
//! after the other, until no single move between two subscribers of a topic would make them more
//! even.

use std::collections::BTreeMap;

use chronik_model::TopicId;

use super::Spec;
use crate::consumer::Target;

/// Rounds of moving over all topics. Each round makes the assignment more even; subscriptions that
/// form long chains can need many, and what is left uneven after these is not worth the time.
const MAX_ROUNDS: usize = 100;

/// A topic while it is assigned.
struct Topic {
    id: TopicId,
    /// Members that subscribe, in order.
    subscribers: Vec<usize>,
    /// The owner of each partition.
    owners: Vec<Option<usize>>,
}

/// See the module.
pub(super) fn assign(spec: &Spec<'_>) -> Vec<Target> {
    let mut topics = topics(spec);
    let mut loads = vec![0; spec.members.len()];
    for owner in topics.iter().flat_map(|topic| &topic.owners).flatten() {
        loads[*owner] += 1;
    }
    for topic in &mut topics {
        topic.fill(&mut loads);
    }
    for _round in 0..MAX_ROUNDS {
        let mut moved = false;
        for topic in &mut topics {
            moved |= topic.level(&mut loads);
        }
        if !moved {
            break;
        }
    }
    let mut targets = vec![Target::new(); spec.members.len()];
    for topic in topics {
        for (partition, owner) in (0..).zip(topic.owners) {
            if let Some(owner) = owner {
                let target = targets[owner].entry(topic.id).or_default();
                target.insert(partition);
            }
        }
    }
    targets
}

/// All subscribed topics, those with the fewest subscribers first, each partition with the
/// subscriber that had it.
fn topics(spec: &Spec<'_>) -> Vec<Topic> {
    let mut subscribers: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
    for (index, member) in spec.members.iter().enumerate() {
        for topic in member.topics.iter() {
            subscribers.entry(*topic).or_default().push(index);
        }
    }
    let mut topics: Vec<Topic> = subscribers
        .into_iter()
        .map(|(id, subscribers)| {
            let partitions = spec.topics.get(&id).copied().unwrap_or(0);
            let mut topic = Topic {
                id,
                subscribers,
                owners: vec![None; usize::try_from(partitions).unwrap_or(0)],
            };
            topic.keep(spec);
            topic
        })
        .collect();
    topics.sort_by_key(|topic| (topic.subscribers.len(), topic.id));
    topics
}

impl Topic {
    fn keep(&mut self, spec: &Spec<'_>) {
        for member in &self.subscribers {
            let previous = spec.members[*member].previous;
            let had = previous.and_then(|target| target.get(&self.id));
            for partition in had.into_iter().flatten() {
                let index = usize::try_from(*partition).unwrap_or(usize::MAX);
                let owner = self.owners.get_mut(index);
                if let Some(owner) = owner.filter(|owner| owner.is_none()) {
                    *owner = Some(*member);
                }
            }
        }
    }

    /// Gives each free partition to the subscriber with the fewest.
    fn fill(&mut self, loads: &mut [usize]) {
        for owner in self.owners.iter_mut().filter(|owner| owner.is_none()) {
            let least = self.subscribers.iter().min_by_key(|member| loads[**member]);
            if let Some(least) = least {
                loads[*least] += 1;
                *owner = Some(*least);
            }
        }
    }

    /// Moves partitions of this topic while that makes two subscribers more even. Whether any moved.
    fn level(&mut self, loads: &mut [usize]) -> bool {
        let mut moved = false;
        loop {
            // The last of those that have the most, so that the first partitions stay put.
            let most = (0..self.owners.len())
                .filter_map(|partition| Some((partition, self.owners[partition]?)))
                .max_by_key(|(_, owner)| loads[*owner]);
            let least = self.subscribers.iter().min_by_key(|member| loads[**member]);
            let (Some((partition, most)), Some(least)) = (most, least) else {
                return moved;
            };
            if loads[most] <= loads[*least] + 1 {
                return moved;
            }
            loads[most] -= 1;
            loads[*least] += 1;
            self.owners[partition] = Some(*least);
            moved = true;
        }
    }
}
