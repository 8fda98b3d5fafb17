//! Deadlines of members. All of them are soft: they start anew after loading.

use std::sync::Arc;

use crate::consumer::member::{Member, MemberState, STATIC_LEAVE_EPOCH};
use crate::coordinator::GroupCoordinator;
use crate::group::Group;
use crate::step::Step;
use crate::timers::TimerKey;

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum TimerKind {
    /// The member was not heard of.
    Session,
    /// The member did not give back what it was told to.
    Rebalance,
    /// The classic member was told to join anew, and did not.
    Join,
    /// The classic member joined, and did not sync.
    Sync,
}

/// A deadline of a member.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ConsumerTimer {
    kind: TimerKind,
    group_id: Arc<str>,
    member_id: Arc<str>,
}

impl GroupCoordinator {
    /// The member was heard of.
    pub(super) fn restart_session(
        &mut self,
        step: &Step<'_>,
        group_id: &Arc<str>,
        member_id: &Arc<str>,
    ) {
        let group = self.consumer(group_id);
        let Some(member) = group.and_then(|group| group.members.get(member_id)) else {
            return;
        };
        let timeout_ms = match &member.metadata.classic {
            Some(classic) => classic.session_timeout_ms,
            None => self.config.consumer_session_timeout_ms,
        };
        self.start_timer(step, TimerKind::Session, group_id, member_id, timeout_ms);
    }

    /// How long the member may take to give partitions back; none ends that.
    pub(super) fn set_rebalance_timer(
        &mut self,
        step: &Step<'_>,
        group_id: &Arc<str>,
        member_id: &Arc<str>,
        timeout_ms: Option<i32>,
    ) {
        let kind = TimerKind::Rebalance;
        match timeout_ms {
            Some(timeout_ms) => self.start_timer(step, kind, group_id, member_id, timeout_ms),
            None => self.stop_timer(kind, group_id, member_id),
        }
    }

    pub(super) fn start_timer(
        &mut self,
        step: &Step<'_>,
        kind: TimerKind,
        group_id: &Arc<str>,
        member_id: &Arc<str>,
        timeout_ms: i32,
    ) {
        let due = step.now.mono.plus_ms(i64::from(timeout_ms));
        self.timers.set(key(kind, group_id, member_id), due);
    }

    /// Starts a deadline unless it runs already.
    pub(super) fn start_timer_once(
        &mut self,
        step: &Step<'_>,
        kind: TimerKind,
        group_id: &Arc<str>,
        member_id: &Arc<str>,
        timeout_ms: i32,
    ) {
        if !self.timers.is_set(&key(kind, group_id, member_id)) {
            self.start_timer(step, kind, group_id, member_id, timeout_ms);
        }
    }

    pub(super) fn stop_timer(
        &mut self,
        kind: TimerKind,
        group_id: &Arc<str>,
        member_id: &Arc<str>,
    ) {
        self.timers.cancel(&key(kind, group_id, member_id));
    }

    /// The member is gone.
    pub(super) fn cancel_timers(&mut self, group_id: &Arc<str>, member_id: &Arc<str>) {
        for kind in [
            TimerKind::Session,
            TimerKind::Rebalance,
            TimerKind::Join,
            TimerKind::Sync,
        ] {
            self.stop_timer(kind, group_id, member_id);
        }
    }

    /// A deadline has passed: the member is fenced, if the reason still holds.
    pub(crate) fn consumer_timer(&mut self, step: &mut Step<'_>, timer: ConsumerTimer) {
        let group = self.consumer(&timer.group_id);
        let member = group.and_then(|group| group.members.get(&timer.member_id));
        let is_due = member.is_some_and(|member| match timer.kind {
            TimerKind::Session => true,
            TimerKind::Rebalance => is_revoking(member),
            TimerKind::Join | TimerKind::Sync => member.uses_classic_protocol(),
        });
        if is_due {
            self.fence_members(step, &timer.group_id, vec![timer.member_id]);
        }
    }

    /// All records were replayed: everybody has a whole session, and a whole rebalance where one was
    /// on its way.
    pub(crate) fn consumer_loaded(&mut self, step: &mut Step<'_>) {
        let mut members = Vec::new();
        for (group_id, group) in &self.groups {
            if let Group::Consumer(group) = group {
                members.extend(group.members.iter().map(|(member_id, member)| {
                    let revoking_ms = is_revoking(member) && !member.uses_classic_protocol();
                    let revoking_ms = revoking_ms.then_some(member.metadata.rebalance_timeout_ms);
                    (Arc::clone(group_id), Arc::clone(member_id), revoking_ms)
                }));
            }
        }
        for (group_id, member_id, revoking_ms) in members {
            self.restart_session(step, &group_id, &member_id);
            if revoking_ms.is_some() {
                self.set_rebalance_timer(step, &group_id, &member_id, revoking_ms);
            }
        }
    }
}

/// A static member that is away has nothing to give back.
fn is_revoking(member: &Member) -> bool {
    member.current.state == MemberState::UnrevokedPartitions
        && member.current.epoch != STATIC_LEAVE_EPOCH
}

fn key(kind: TimerKind, group_id: &Arc<str>, member_id: &Arc<str>) -> TimerKey {
    TimerKey::Consumer(ConsumerTimer {
        kind,
        group_id: Arc::clone(group_id),
        member_id: Arc::clone(member_id),
    })
}
