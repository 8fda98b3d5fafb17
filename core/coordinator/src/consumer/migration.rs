//! From one kind of group to the other, while its members go on.
//!
//! A classic group becomes a consumer group when the first member of the consumer protocol joins. Its
//! members stay, with what their leader gave them as both target and current assignment. A consumer
//! group becomes a classic one when the last member of the consumer protocol leaves, or is replaced
//! by a classic one of the same instance id; what members were to own is their assignment then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use chronik_model::{ErrorCode, TopicId};

use crate::classic::{ClassicGroup, Member as ClassicMember, start_session};
use crate::config::GroupConfig;
use crate::consumer::embedded::{
    self, Assignment, Named, PROTOCOL_TYPE, read_assignment, read_subscription, write_assignment,
};
use crate::consumer::member::{ClassicMetadata, CurrentAssignment, Member, MemberMetadata};
use crate::consumer::metadata_hash::metadata_hash;
use crate::consumer::partitions::{Target, with_epoch};
use crate::consumer::validate::check_room;
use crate::consumer::{ConsumerGroup, MemberState, Refusal};
use crate::coordinator::GroupCoordinator;
use crate::record::{
    ConsumerChange, CoordinatorRecord, GroupEpoch, GroupMetadataValue,
    MemberMetadata as ClassicMemberRecord, TargetEpoch,
};
use crate::step::Step;
use crate::topics::Topics;

impl GroupCoordinator {
    /// Makes a consumer group of a classic one. An empty group is removed, so that one of the other
    /// kind can be made in its place.
    pub(super) fn upgrade(
        &mut self,
        step: &mut Step<'_>,
        group_id: &Arc<str>,
    ) -> Result<(), Refusal> {
        let Some(group) = self.classic(group_id) else {
            return Ok(());
        };
        let mut changes = Vec::new();
        let mut member_ids = Vec::new();
        if group.is_empty() {
            check_room(0, false, &self.config)?;
        } else {
            check_upgrade(group_id, group, &self.config)?;
            changes = converted(group_id, group, step.topics)?;
            member_ids.extend(group.members().keys().cloned());
        }
        // Who waits for the classic rebalance joins anew, and then is in the consumer group.
        self.refuse_all(step, group_id, ErrorCode::RebalanceInProgress);
        let tombstone = CoordinatorRecord::GroupMetadata {
            group_id: Arc::clone(group_id),
            value: None,
        };
        self.emit(step, tombstone);
        self.emit_changes(step, group_id, changes);
        for member_id in member_ids {
            self.restart_session(step, group_id, &member_id);
        }
        Ok(())
    }

    /// Whether a consumer group turns classic when `leaving` leave.
    pub(super) fn downgrades_without(&self, group_id: &str, leaving: &BTreeSet<Arc<str>>) -> bool {
        self.consumer(group_id).is_some_and(|group| {
            let known = leaving.iter().filter(|id| group.members.contains_key(*id));
            let remaining = group.members.len() - known.count();
            remaining > 0 && self.may_downgrade(group, leaving, remaining)
        })
    }

    /// Whether all but `except` use the classic protocol, and a classic group of `members` members
    /// is allowed.
    pub(super) fn may_downgrade(
        &self,
        group: &ConsumerGroup,
        except: &BTreeSet<Arc<str>>,
        members: usize,
    ) -> bool {
        let mut others = group.members.iter().filter(|(id, _)| !except.contains(*id));
        self.config.allow_downgrade
            && members <= self.config.max_size
            && others.all(|(_, member)| member.uses_classic_protocol())
    }

    /// Makes a classic group of a consumer group, without those who leave. Says no where members'
    /// own protocols can not be read.
    pub(super) fn downgrade(
        &mut self,
        step: &mut Step<'_>,
        group_id: &Arc<str>,
        leaving: &BTreeSet<Arc<str>>,
    ) -> bool {
        let Some(group) = self.consumer(group_id) else {
            return false;
        };
        let Some(value) = group.as_classic(leaving, step) else {
            return false;
        };
        for record in group.tombstones(group_id) {
            self.emit(step, record);
        }
        let record = CoordinatorRecord::GroupMetadata {
            group_id: Arc::clone(group_id),
            value: Some(value),
        };
        self.emit(step, record);
        if let Some((group, timers)) = self.classic_mut(group_id) {
            for member_id in group.members().keys() {
                start_session(step, group, timers, member_id);
            }
        }
        true
    }
}

fn check_upgrade(
    group_id: &str,
    group: &ClassicGroup,
    config: &GroupConfig,
) -> Result<(), Refusal> {
    let members = group.members().len();
    let reason = if !config.allow_upgrade {
        "online upgrade is disabled"
    } else if !group.is_of_consumers() {
        "the group does not use the consumer embedded protocol"
    } else if members > config.consumer_max_size {
        "the group size exceeds the consumer group maximum size"
    } else {
        return check_room(members, false, config);
    };
    Err(no_upgrade(group_id, reason))
}

fn no_upgrade(group_id: &str, reason: &str) -> Refusal {
    Refusal::new(
        ErrorCode::GroupIdNotFound,
        format!("Cannot upgrade classic group {group_id} to consumer group because {reason}."),
    )
}

/// The records of a consumer group with the members of a classic one, in the order that Kafka writes
/// them.
fn converted(
    group_id: &str,
    group: &ClassicGroup,
    topics: &dyn Topics,
) -> Result<Vec<ConsumerChange>, Refusal> {
    let epoch = group.generation();
    let mut taken = BTreeSet::new();
    let mut members = Vec::new();
    for (member_id, member) in group.members() {
        let (metadata, assignment) = converted_member(group_id, group, member)?;
        let target = target(&assignment, topics, &mut taken);
        members.push((Arc::clone(member_id), metadata, target));
    }
    let names: BTreeSet<&str> = members
        .iter()
        .flat_map(|(_, metadata, _)| metadata.topic_names.iter().map(String::as_str))
        .collect();
    let group_epoch = GroupEpoch {
        epoch,
        metadata_hash: metadata_hash(names.into_iter(), topics),
    };
    let target_epoch = TargetEpoch {
        epoch,
        timestamp_ms: 0,
    };
    let mut changes = Vec::new();
    let mut targets = Vec::new();
    let mut currents = Vec::new();
    for (member_id, metadata, target) in members {
        let current = CurrentAssignment {
            epoch,
            previous_epoch: epoch,
            state: MemberState::Stable,
            assigned: with_epoch(&target, epoch),
            pending_revocation: BTreeMap::new(),
        };
        let id = || Arc::clone(&member_id);
        changes.push(ConsumerChange::Member(id(), Some(Box::new(metadata))));
        targets.push(ConsumerChange::TargetMember(id(), Some(target)));
        currents.push(ConsumerChange::CurrentMember(id(), Some(current)));
    }
    changes.push(ConsumerChange::Epoch(Some(group_epoch)));
    changes.extend(targets);
    changes.push(ConsumerChange::TargetEpoch(Some(target_epoch)));
    changes.extend(currents);
    Ok(changes)
}

fn converted_member(
    group_id: &str,
    group: &ClassicGroup,
    member: &ClassicMember,
) -> Result<(MemberMetadata, Assignment), Refusal> {
    let malformed = || no_upgrade(group_id, "the embedded consumer protocol is malformed");
    let assignment = read_assignment(&member.assignment).map_err(|_error| malformed())?;
    if assignment.has_user_data {
        return Err(no_upgrade(
            group_id,
            "an unsupported custom assignor is in use. Please refer to the documentation or switch \
             to a default assignor before re-attempting the upgrade",
        ));
    }
    // Before its first generation the group has no protocol; the member's best will do.
    let first = member.protocols.first().map(|(_, metadata)| metadata);
    let chosen = group
        .protocol()
        .and_then(|protocol| member.metadata(protocol));
    let metadata = chosen.or(first).ok_or_else(malformed)?;
    let subscription = read_subscription(metadata).map_err(|_error| malformed())?;
    let protocols = member.protocols.iter();
    let metadata = MemberMetadata {
        instance_id: member.instance_id.as_deref().map(str::to_owned),
        rack_id: subscription.rack_id,
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        topic_names: subscription.topics.into_iter().collect(),
        topic_regex: Some(String::new()),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        assignor: None,
        classic: Some(ClassicMetadata {
            session_timeout_ms: member.session_timeout_ms,
            protocols: protocols
                .map(|(name, it)| (name.to_string(), it.clone()))
                .collect(),
        }),
    };
    Ok((metadata, assignment))
}

/// Partitions that exist and that nobody else was given: a client's assignor may say anything.
fn target(
    assignment: &Assignment,
    topics: &dyn Topics,
    taken: &mut BTreeSet<(TopicId, i32)>,
) -> Target {
    let mut target = Target::new();
    for (name, partitions) in &assignment.partitions {
        let Some(topic) = topics.by_name(name) else {
            continue;
        };
        for partition in partitions {
            if (0..topic.partitions).contains(partition) && taken.insert((topic.id, *partition)) {
                target.entry(topic.id).or_default().insert(*partition);
            }
        }
    }
    target
}

impl ConsumerGroup {
    /// The record of a classic group of those who stay.
    fn as_classic(
        &self,
        leaving: &BTreeSet<Arc<str>>,
        step: &Step<'_>,
    ) -> Option<GroupMetadataValue> {
        let mut staying = Vec::new();
        for (id, member) in &self.members {
            if !leaving.contains(id) {
                staying.push((id, member, member.metadata.classic.as_ref()?));
            }
        }
        let protocols: Vec<&ClassicMetadata> =
            staying.iter().map(|(_, _, classic)| *classic).collect();
        let protocol = chosen_protocol(&protocols)?.to_owned();
        let mut members = Vec::with_capacity(staying.len());
        for (id, member, classic) in &staying {
            let subscription = metadata_of(classic, &protocol)?.clone();
            let assignment = self.classic_assignment(id, &subscription, step.topics)?;
            members.push(classic_record(
                id,
                member,
                classic,
                (subscription, assignment),
            ));
        }
        Some(GroupMetadataValue {
            protocol_type: PROTOCOL_TYPE.to_owned(),
            generation: self.epoch,
            protocol: Some(protocol),
            leader: staying.first().map(|(id, _, _)| Arc::clone(id)),
            state_ms: step.now.wall_ms,
            members,
        })
    }

    /// What a member was to own, in the version that its subscription has.
    fn classic_assignment(
        &self,
        member_id: &str,
        subscription: &Bytes,
        topics: &dyn Topics,
    ) -> Option<Bytes> {
        let version = embedded::version(subscription).ok()?;
        let target = self.targets.get(member_id).into_iter().flatten();
        let named = target.filter_map(|(topic, partitions)| {
            let name = topics.by_id(*topic)?.name.to_owned();
            Some((name, partitions.iter().copied().collect()))
        });
        Some(write_assignment(version, &named.collect::<Named>()))
    }
}

fn classic_record(
    member_id: &Arc<str>,
    member: &Member,
    classic: &ClassicMetadata,
    (subscription, assignment): (Bytes, Bytes),
) -> ClassicMemberRecord {
    let metadata = &member.metadata;
    ClassicMemberRecord {
        member_id: Arc::clone(member_id),
        instance_id: metadata.instance_id.as_deref().map(Arc::from),
        client_id: metadata.client_id.as_str().into(),
        client_host: metadata.client_host.as_str().into(),
        rebalance_timeout_ms: metadata.rebalance_timeout_ms,
        session_timeout_ms: classic.session_timeout_ms,
        subscription,
        assignment,
    }
}

fn metadata_of<'a>(classic: &'a ClassicMetadata, protocol: &str) -> Option<&'a Bytes> {
    let mut protocols = classic.protocols.iter();
    let found = protocols.find(|(name, _)| name == protocol);
    found.map(|(_, metadata)| metadata)
}

/// The protocol with the most votes, the first by name of equals: each member votes for the best of
/// its protocols that all members support.
fn chosen_protocol<'a>(members: &[&'a ClassicMetadata]) -> Option<&'a str> {
    let by_all = |name: &str| {
        let mut members = members.iter();
        members.all(|member| metadata_of(member, name).is_some())
    };
    let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
    for member in members {
        let mut protocols = member.protocols.iter();
        let (name, _) = protocols.find(|(name, _)| by_all(name))?;
        *votes.entry(name).or_default() += 1;
    }
    let most = votes.values().copied().max()?;
    votes
        .into_iter()
        .find(|(_, count)| *count == most)
        .map(|(name, _)| name)
}
