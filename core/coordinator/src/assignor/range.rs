//! The `range` assignor.
//!
//! Each topic is cut into one run of partitions per subscriber, in the order of members; the first
//! runs are one longer where it does not come out even. Members keep their place in that order, so
//! topics with the same subscribers and the same number of partitions are cut at the same places,
//! and a member gets the same partitions of each.

use std::collections::BTreeMap;

use chronik_model::TopicId;

use super::Spec;
use crate::consumer::Target;

/// What is left of a topic.
struct Cut {
    next: i32,
    share: i32,
    longer: i32,
}

/// See the module.
pub(super) fn assign(spec: &Spec<'_>) -> Vec<Target> {
    let mut order: Vec<usize> = (0..spec.members.len()).collect();
    order.sort_by_key(|index| {
        let member = &spec.members[*index];
        let dynamic = member.instance_id.is_none();
        (dynamic, member.instance_id, &member.member_id)
    });
    let mut cuts = cuts(spec);
    let mut targets = vec![Target::new(); spec.members.len()];
    for index in order {
        for topic in spec.members[index].topics.iter() {
            let Some(cut) = cuts.get_mut(topic) else {
                continue;
            };
            let extra = i32::from(cut.longer > 0);
            cut.longer -= extra;
            let end = cut.next + cut.share + extra;
            if cut.next < end {
                targets[index].insert(*topic, (cut.next..end).collect());
            }
            cut.next = end;
        }
    }
    targets
}

fn cuts(spec: &Spec<'_>) -> BTreeMap<TopicId, Cut> {
    let mut subscribers: BTreeMap<TopicId, i32> = BTreeMap::new();
    for member in &spec.members {
        for topic in member.topics.iter() {
            *subscribers.entry(*topic).or_default() += 1;
        }
    }
    let cut = |(topic, subscribers): (TopicId, i32)| {
        let partitions = spec.topics.get(&topic).copied().unwrap_or(0);
        let cut = Cut {
            next: 0,
            share: partitions / subscribers,
            longer: partitions % subscribers,
        };
        (topic, cut)
    };
    subscribers.into_iter().map(cut).collect()
}
