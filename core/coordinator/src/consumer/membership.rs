//! Members come, change and go, and the group epoch grows with that.

use std::collections::BTreeSet;
use std::sync::Arc;

use chronik_model::ErrorCode;

use crate::consumer::heartbeat::Admission;
use crate::consumer::member::{Member, MemberMetadata};
use crate::consumer::metadata_hash::metadata_hash;
use crate::consumer::reconcile::{Goal, reconcile};
use crate::consumer::regex::Pattern;
use crate::consumer::{ConsumerGroup, MemberState, Refusal, Target};
use crate::coordinator::GroupCoordinator;
use crate::record::{ConsumerChange, GroupEpoch, ResolvedRegex};
use crate::request::TopicAssignment;
use crate::step::Step;

/// Topics that are made one after the other are not all matched at once: as many ms pass between two
/// looks at all topics.
const REGEX_REFRESH_MIN_INTERVAL_MS: i64 = 1_000;

impl GroupCoordinator {
    /// A new member takes over from `former`, whose instance id it has: what that was to own, and
    /// what it did own.
    pub(super) fn replace_static_member(
        &mut self,
        step: &mut Step<'_>,
        group_id: &Arc<str>,
        former: &Arc<str>,
        member_id: &Arc<str>,
        member: &Member,
    ) {
        let target = self
            .consumer(group_id)
            .and_then(|group| group.targets.get(former));
        let target = target.cloned().unwrap_or_default();
        self.emit_changes(step, group_id, removal(former));
        let metadata = Box::new(member.metadata.clone());
        let changes = [
            ConsumerChange::Member(Arc::clone(member_id), Some(metadata)),
            ConsumerChange::TargetMember(Arc::clone(member_id), Some(target)),
            ConsumerChange::CurrentMember(Arc::clone(member_id), Some(member.current.clone())),
        ];
        self.emit_changes(step, group_id, changes);
    }

    /// Brings what the member says of itself up to date, and the group with it. Whether the member
    /// subscribes to something else now.
    pub(super) fn update_consumer(
        &mut self,
        step: &mut Step<'_>,
        admission: &Admission,
        metadata: MemberMetadata,
    ) -> bool {
        let group_id = &admission.group_id;
        let before = &admission.before.metadata;
        let regex_changed = metadata.regex() != before.regex();
        let subscription_changed = regex_changed || metadata.topic_names != before.topic_names;
        if admission.is_new || metadata != *before {
            let member_id = Arc::clone(&admission.member_id);
            let change = ConsumerChange::Member(member_id, Some(Box::new(metadata)));
            self.emit_change(step, group_id, change);
        }
        if regex_changed {
            self.drop_unused_regexes(step, group_id);
        }
        let matches_changed = self.refresh_regexes(step, group_id);
        let bump = admission.is_new || subscription_changed || matches_changed;
        self.refresh_epoch(step, group_id, bump);
        subscription_changed
    }

    /// Removes members at once: they left, or were not heard of. Without its last member of the
    /// consumer protocol, the group becomes a classic one where that is allowed.
    pub(super) fn fence_members(
        &mut self,
        step: &mut Step<'_>,
        group_id: &Arc<str>,
        member_ids: Vec<Arc<str>>,
    ) {
        if member_ids.is_empty() {
            return;
        }
        let leaving: BTreeSet<Arc<str>> = member_ids.into_iter().collect();
        if self.downgrades_without(group_id, &leaving) && self.downgrade(step, group_id, &leaving) {
            self.prepare_rebalance(step, group_id);
            return;
        }
        for member_id in &leaving {
            self.emit_changes(step, group_id, removal(member_id));
        }
        self.drop_unused_regexes(step, group_id);
        self.refresh_epoch(step, group_id, true);
    }

    fn drop_unused_regexes(&mut self, step: &mut Step<'_>, group_id: &Arc<str>) {
        let Some(group) = self.consumer(group_id) else {
            return;
        };
        let used: BTreeSet<&str> = group.used_regexes();
        let unused: Vec<Arc<str>> = group
            .regexes
            .keys()
            .filter(|regex| !used.contains(&***regex))
            .cloned()
            .collect();
        let removals = unused
            .into_iter()
            .map(|regex| ConsumerChange::Regex(regex, None));
        self.emit_changes(step, group_id, removals);
    }

    /// Resolves regular expressions that are new, and all of them where topics changed or it was
    /// long ago. Whether any matches other topics now.
    fn refresh_regexes(&mut self, step: &mut Step<'_>, group_id: &Arc<str>) -> bool {
        let version = step.topics.version();
        let interval_ms = self.config.regex_refresh_interval_ms;
        let Some(group) = self.consumer_mut(group_id) else {
            return false;
        };
        let used = group.used_regexes();
        if used.is_empty() {
            return false;
        }
        let all = group.seen.regexes.is_none_or(|(seen, at)| {
            let now = step.now.mono;
            let is_new = seen != version && now >= at.plus_ms(REGEX_REFRESH_MIN_INTERVAL_MS);
            is_new || now >= at.plus_ms(i64::from(interval_ms))
        });
        let due = used
            .into_iter()
            .filter(|regex| all || !group.regexes.contains_key(*regex));
        let due: Vec<Arc<str>> = due.map(Arc::from).collect();
        if all {
            group.seen.regexes = Some((version, step.now.mono));
        }
        let mut changed = false;
        for regex in due {
            changed |= self.resolve_regex(step, group_id, regex);
        }
        changed
    }

    fn resolve_regex(&mut self, step: &mut Step<'_>, group_id: &Arc<str>, regex: Arc<str>) -> bool {
        // Only a log of another broker can hold what does not compile here; it matches nothing.
        let pattern = Pattern::new(&regex).ok();
        let topics = pattern
            .map(|pattern| pattern.resolve(step.topics))
            .unwrap_or_default();
        let group = self.consumer(group_id);
        let known = group.and_then(|group| group.regexes.get(&regex));
        if known.is_some_and(|known| known.topics == topics) {
            return false;
        }
        let changed = known.is_some() || !topics.is_empty();
        let resolved = ResolvedRegex {
            topics,
            version: step.topics.version(),
            timestamp_ms: step.now.wall_ms,
        };
        let change = ConsumerChange::Regex(regex, Some(resolved));
        self.emit_change(step, group_id, change);
        changed
    }

    /// The group epoch grows if `bump` says so, or if subscribed topics changed.
    pub(super) fn refresh_epoch(&mut self, step: &mut Step<'_>, group_id: &Arc<str>, bump: bool) {
        let version = step.topics.version();
        let Some(group) = self.consumer_mut(group_id) else {
            return;
        };
        if !bump && group.seen.hashed_version == Some(version) {
            return;
        }
        group.seen.hashed_version = Some(version);
        let metadata_hash = metadata_hash(group.subscribed_names(), step.topics);
        let has_partition_metadata = group.has_partition_metadata;
        let epoch = GroupEpoch {
            epoch: group.epoch.saturating_add(1),
            metadata_hash,
        };
        if bump || metadata_hash != group.metadata_hash {
            self.emit_change(step, group_id, ConsumerChange::Epoch(Some(epoch)));
        }
        if has_partition_metadata {
            self.emit_change(step, group_id, ConsumerChange::PartitionMetadata(None));
        }
    }

    /// The member goes one step towards its target.
    pub(super) fn reconcile_member(
        &mut self,
        step: &mut Step<'_>,
        group_id: &Arc<str>,
        member_id: &Arc<str>,
        subscription_changed: bool,
        reported: Option<&[TopicAssignment]>,
    ) -> Result<(), Refusal> {
        let Some(group) = self.consumer(group_id) else {
            return Ok(());
        };
        let Some(member) = group.members.get(member_id) else {
            return Ok(());
        };
        let target_epoch = group.target_epoch.epoch;
        if !subscription_changed && member.current.is_reconciled_to(target_epoch) {
            return Ok(());
        }
        let nothing = Target::new();
        let goal = Goal {
            target_epoch,
            target: group.targets.get(member_id).unwrap_or(&nothing),
            subscribed: &group.subscribed_ids(member, step.topics),
            subscription_changed,
            reported,
        };
        let next = reconcile(&member.current, goal, |topic, partition| {
            group.is_owned(topic, partition)
        });
        let next = next.map_err(|_unknown| {
            Refusal::new(
                ErrorCode::FencedMemberEpoch,
                "The consumer group member is in a unknown state. The member must abandon all its \
                 partitions and rejoin.",
            )
        })?;
        if next == member.current {
            return Ok(());
        }
        let rebalance_timeout_ms = (!member.uses_classic_protocol()
            && next.state == MemberState::UnrevokedPartitions)
            .then_some(member.metadata.rebalance_timeout_ms);
        self.set_rebalance_timer(step, group_id, member_id, rebalance_timeout_ms);
        let change = ConsumerChange::CurrentMember(Arc::clone(member_id), Some(next));
        self.emit_change(step, group_id, change);
        Ok(())
    }
}

impl ConsumerGroup {
    /// Regular expressions that members subscribe by.
    fn used_regexes(&self) -> BTreeSet<&str> {
        let members = self.members.values();
        members
            .filter_map(|member| member.metadata.regex())
            .collect()
    }
}

/// What removes a member, in the order that replaying asks for.
fn removal(member_id: &Arc<str>) -> [ConsumerChange; 3] {
    let id = || Arc::clone(member_id);
    [
        ConsumerChange::CurrentMember(id(), None),
        ConsumerChange::TargetMember(id(), None),
        ConsumerChange::Member(id(), None),
    ]
}
