//! The target assignment of a group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_model::TopicId;

use crate::assignor::{Assignor, MemberSpec, Spec};
use crate::consumer::ConsumerGroup;
use crate::coordinator::GroupCoordinator;
use crate::record::{ConsumerChange, TargetEpoch};
use crate::step::Step;
use crate::topics::Topics;

/// Kafka's default of `group.consumer.assignment.interval.ms` (KIP-1263): members that come one after
/// the other are assigned together.
const ASSIGNMENT_INTERVAL_MS: i64 = 1_000;

/// Topics by name and by regular expression.
type Subscription<'a> = (&'a BTreeSet<String>, Option<&'a str>);

impl GroupCoordinator {
    /// Computes the target assignment anew if the group epoch is beyond it and the last one is not
    /// too recent. What did not change for a member is not written.
    pub(super) fn maybe_assign(&mut self, step: &mut Step<'_>, group_id: &Arc<str>) {
        let Some(group) = self.consumer(group_id) else {
            return;
        };
        let last = group.target_epoch;
        if last.epoch >= group.epoch || !is_due(last.timestamp_ms, step.now.wall_ms) {
            return;
        }
        let epoch = TargetEpoch {
            epoch: group.epoch,
            timestamp_ms: step.now.wall_ms,
        };
        let spec = group.spec(step.topics);
        let targets = self.assignor(group).assign(&spec);
        let mut changes = Vec::new();
        for (member, target) in spec.members.iter().zip(targets) {
            if member.previous != Some(&target) {
                let member_id = Arc::clone(&member.member_id);
                changes.push(ConsumerChange::TargetMember(member_id, Some(target)));
            }
        }
        changes.push(ConsumerChange::TargetEpoch(Some(epoch)));
        self.emit_changes(step, group_id, changes);
    }

    /// Name of the assignor that a group uses: the members' choice, or the first that is configured.
    pub(super) fn assignor_name<'a>(&'a self, group: &'a ConsumerGroup) -> &'a str {
        let default = || self.config.consumer_assignors.first().map(String::as_str);
        group
            .preferred_assignor()
            .or_else(default)
            .unwrap_or("uniform")
    }

    fn assignor(&self, group: &ConsumerGroup) -> Assignor {
        Assignor::by_name(self.assignor_name(group)).unwrap_or(Assignor::Uniform)
    }
}

impl ConsumerGroup {
    fn spec(&self, topics: &dyn Topics) -> Spec<'_> {
        // Members with the same subscription share one set of topics.
        let mut sets: BTreeMap<Subscription<'_>, Arc<BTreeSet<TopicId>>> = BTreeMap::new();
        let mut members = Vec::with_capacity(self.members.len());
        for (id, member) in &self.members {
            let key = (&member.metadata.topic_names, member.metadata.regex());
            let set = sets
                .entry(key)
                .or_insert_with(|| Arc::new(self.subscribed_ids(member, topics)));
            members.push(MemberSpec {
                member_id: Arc::clone(id),
                instance_id: member.metadata.instance_id.as_deref(),
                topics: Arc::clone(set),
                previous: self.targets.get(id),
            });
        }
        let ids: BTreeSet<TopicId> = sets.values().flat_map(|set| set.iter().copied()).collect();
        let topics = ids
            .into_iter()
            .filter_map(|id| Some((id, topics.by_id(id)?.partitions)))
            .collect();
        Spec { members, topics }
    }
}

/// Whether a new assignment may follow one of `last_ms`, where 0 is none. A clock that went back
/// does not hold it up.
fn is_due(last_ms: i64, now_ms: i64) -> bool {
    last_ms == 0 || now_ms < last_ms || now_ms - last_ms >= ASSIGNMENT_INTERVAL_MS
}
