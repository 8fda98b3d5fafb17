//! The state of a consumer group, and how records change it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_model::{Mono, TopicId};
use rustc_hash::FxHashMap;

use crate::consumer::member::{CurrentAssignment, LEAVE_EPOCH, Member};
use crate::consumer::partitions::Target;
use crate::record::{ConsumerChange, GroupEpoch, ResolvedRegex, TargetEpoch};
use crate::topics::Topics;

/// A group of the consumer protocol.
#[derive(Debug)]
pub(crate) struct ConsumerGroup {
    pub(super) id: Arc<str>,
    pub(super) epoch: i32,
    pub(super) metadata_hash: i64,
    /// A record of a broker before Kafka 4.1 is there, and to be removed.
    pub(super) has_partition_metadata: bool,
    /// Epoch 0 and time 0 before the first target assignment.
    pub(super) target_epoch: TargetEpoch,
    pub(super) targets: BTreeMap<Arc<str>, Target>,
    pub(super) members: BTreeMap<Arc<str>, Member>,
    /// Member ids by group instance id.
    pub(super) static_members: BTreeMap<String, Arc<str>>,
    pub(super) regexes: BTreeMap<Arc<str>, ResolvedRegex>,
    /// How many members and regular expressions subscribe to a topic.
    subscriptions: BTreeMap<String, usize>,
    /// Who owns a partition, or still has to give it back.
    owners: FxHashMap<(TopicId, i32), Arc<str>>,
    pub(super) seen: Seen,
}

/// Which topics the group was last compared with. Soft: everything is looked at again after loading.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// Version of the topics that the metadata hash was compared with.
    pub(super) hashed_version: Option<i64>,
    /// Version of the topics that all regular expressions were matched against, and when.
    pub(super) regexes: Option<(i64, Mono)>,
}

impl ConsumerGroup {
    /// A group of which no record was seen yet.
    pub(crate) fn new(id: Arc<str>) -> Self {
        Self {
            id,
            epoch: 0,
            metadata_hash: 0,
            has_partition_metadata: false,
            target_epoch: NO_TARGET,
            targets: BTreeMap::new(),
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            regexes: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            owners: FxHashMap::default(),
            seen: Seen::default(),
        }
    }

    /// Takes in what a record says. The tombstone of the group itself is the caller's to act upon.
    pub(super) fn apply(&mut self, change: ConsumerChange) {
        match change {
            ConsumerChange::Epoch(value) => {
                let value = value.unwrap_or(GroupEpoch {
                    epoch: 0,
                    metadata_hash: 0,
                });
                self.epoch = value.epoch;
                self.metadata_hash = value.metadata_hash;
            }
            ConsumerChange::PartitionMetadata(value) => {
                self.has_partition_metadata = value.is_some();
            }
            ConsumerChange::Member(id, Some(metadata)) => {
                let mut member = self.take_member(&id).unwrap_or_default();
                member.metadata = *metadata;
                self.put_member(id, member);
            }
            ConsumerChange::Member(id, None) => {
                self.take_member(&id);
            }
            ConsumerChange::TargetEpoch(value) => self.target_epoch = value.unwrap_or(NO_TARGET),
            ConsumerChange::TargetMember(id, Some(target)) => {
                self.targets.insert(id, target);
            }
            ConsumerChange::TargetMember(id, None) => {
                self.targets.remove(&id);
            }
            ConsumerChange::CurrentMember(id, Some(current)) => {
                let mut member = self.take_member(&id).unwrap_or_default();
                member.current = current;
                self.put_member(id, member);
            }
            ConsumerChange::CurrentMember(id, None) => self.give_up_all(id),
            ConsumerChange::Regex(regex, value) => self.set_regex(regex, value),
        }
    }

    /// The first of the records that remove a member: it owns nothing any more.
    fn give_up_all(&mut self, id: Arc<str>) {
        if let Some(mut member) = self.take_member(&id) {
            member.current = CurrentAssignment {
                epoch: LEAVE_EPOCH,
                previous_epoch: LEAVE_EPOCH,
                ..CurrentAssignment::default()
            };
            self.put_member(id, member);
        }
    }

    fn take_member(&mut self, id: &str) -> Option<Member> {
        let member = self.members.remove(id)?;
        for name in &member.metadata.topic_names {
            discount(&mut self.subscriptions, name);
        }
        if let Some(instance_id) = &member.metadata.instance_id
            && self
                .static_members
                .get(instance_id)
                .is_some_and(|holder| **holder == *id)
        {
            self.static_members.remove(instance_id);
        }
        for partition in owned_partitions(&member) {
            if self
                .owners
                .get(&partition)
                .is_some_and(|owner| **owner == *id)
            {
                self.owners.remove(&partition);
            }
        }
        Some(member)
    }

    fn put_member(&mut self, id: Arc<str>, member: Member) {
        for name in &member.metadata.topic_names {
            *self.subscriptions.entry(name.clone()).or_default() += 1;
        }
        if let Some(instance_id) = &member.metadata.instance_id {
            self.static_members
                .insert(instance_id.clone(), Arc::clone(&id));
        }
        for partition in owned_partitions(&member) {
            self.owners.insert(partition, Arc::clone(&id));
        }
        self.members.insert(id, member);
    }

    fn set_regex(&mut self, regex: Arc<str>, value: Option<ResolvedRegex>) {
        for name in value.iter().flat_map(|resolved| &resolved.topics) {
            *self.subscriptions.entry(name.clone()).or_default() += 1;
        }
        let before = match value {
            Some(resolved) => self.regexes.insert(regex, resolved),
            None => self.regexes.remove(&regex),
        };
        for name in before.iter().flat_map(|resolved| &resolved.topics) {
            discount(&mut self.subscriptions, name);
        }
    }

    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Number of members.
    pub(crate) fn member_count(&self) -> usize {
        self.members.len()
    }

    /// As ListGroups and ConsumerGroupDescribe name it.
    pub(crate) fn state_name(&self) -> &'static str {
        let target_epoch = self.target_epoch.epoch;
        let reconciled = |member: &Member| member.current.is_reconciled_to(target_epoch);
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch > target_epoch {
            "Assigning"
        } else if self.members.values().all(reconciled) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// Whether any member subscribes to `topic`, by name or by regular expression.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.subscriptions.contains_key(topic)
    }

    /// Names of all topics that members subscribe to, whether they exist or not.
    pub(super) fn subscribed_names(&self) -> impl Iterator<Item = &str> {
        self.subscriptions.keys().map(String::as_str)
    }

    /// Whether any member owns that partition or has yet to give it back.
    pub(super) fn is_owned(&self, topic: TopicId, partition: i32) -> bool {
        self.owners.contains_key(&(topic, partition))
    }

    /// Topics that exist and that a member of this metadata subscribes to. A regular expression that
    /// is not resolved matches none.
    pub(super) fn subscribed_ids(&self, member: &Member, topics: &dyn Topics) -> BTreeSet<TopicId> {
        let regex = member
            .metadata
            .regex()
            .and_then(|regex| self.regexes.get(regex));
        let names = member.metadata.topic_names.iter();
        names
            .chain(regex.into_iter().flat_map(|resolved| &resolved.topics))
            .filter_map(|name| topics.by_name(name).map(|topic| topic.id))
            .collect()
    }

    /// The assignor that most members vote for, the first by name where votes are equal.
    pub(super) fn preferred_assignor(&self) -> Option<&str> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        let members = self.members.values();
        for name in members.filter_map(|member| member.metadata.assignor.as_deref()) {
            *votes.entry(name).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        votes
            .into_iter()
            .find(|(_, count)| *count == most)
            .map(|(name, _)| name)
    }

    /// Whether a member that waits for partitions still has to.
    pub(super) fn waits_for_others(&self, member_id: &str) -> bool {
        let assigned = self
            .members
            .get(member_id)
            .map(|member| &member.current.assigned);
        let has = |topic: &TopicId, partition: &i32| {
            assigned
                .and_then(|assigned| assigned.get(topic))
                .is_some_and(|partitions| partitions.contains_key(partition))
        };
        let target = self.targets.get(member_id);
        target.into_iter().flatten().any(|(topic, partitions)| {
            let mut partitions = partitions.iter();
            partitions.any(|p| !has(topic, p) && self.is_owned(*topic, *p))
        })
    }

    /// What removes all of the group but its offsets, in the order that Kafka writes it.
    pub(super) fn removals(&self) -> Vec<ConsumerChange> {
        let ids = || self.members.keys().cloned();
        let targets = self
            .targets
            .keys()
            .filter(|id| !self.members.contains_key(*id));
        let mut changes = Vec::new();
        changes.extend(ids().map(|id| ConsumerChange::CurrentMember(id, None)));
        changes.extend(
            ids()
                .chain(targets.cloned())
                .map(|id| ConsumerChange::TargetMember(id, None)),
        );
        changes.push(ConsumerChange::TargetEpoch(None));
        changes.extend(ids().map(|id| ConsumerChange::Member(id, None)));
        let regexes = self.regexes.keys().cloned();
        changes.extend(regexes.map(|regex| ConsumerChange::Regex(regex, None)));
        changes.push(ConsumerChange::PartitionMetadata(None));
        changes.push(ConsumerChange::Epoch(None));
        changes
    }
}

const NO_TARGET: TargetEpoch = TargetEpoch {
    epoch: 0,
    timestamp_ms: 0,
};

fn discount(counts: &mut BTreeMap<String, usize>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count -= 1;
        if *count == 0 {
            counts.remove(name);
        }
    }
}

/// What a member owns or still has to give back.
fn owned_partitions(member: &Member) -> impl Iterator<Item = (TopicId, i32)> {
    let current = &member.current;
    let topics = current.assigned.iter().chain(&current.pending_revocation);
    topics.flat_map(|(topic, partitions)| partitions.keys().map(|p| (*topic, *p)))
}
