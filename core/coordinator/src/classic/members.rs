//! Members: who waits for them, how long they may be silent, and how they leave.

use std::sync::Arc;

use chronik_model::ErrorCode;

use super::{ClassicGroup, State};
use crate::coordinator::GroupCoordinator;
use crate::outcome::Waiter;
use crate::request::{Heartbeat, LeaveGroup, LeavingMember};
use crate::response::{GroupResponse, JoinResponse, LeftMember, SyncResponse};
use crate::step::Step;
use crate::timers::{TimerKey, Timers};

impl GroupCoordinator {
    /// Heartbeat to a classic group.
    pub(crate) fn heartbeat_classic_group(
        &mut self,
        step: &mut Step<'_>,
        waiter: Waiter,
        request: &Heartbeat,
    ) {
        let error = self.heartbeat(step, request).err();
        let error = error.unwrap_or(ErrorCode::None);
        step.reply(waiter, GroupResponse::Heartbeat(error));
    }

    fn heartbeat(&mut self, step: &Step<'_>, request: &Heartbeat) -> Result<(), ErrorCode> {
        let (group, timers) = self
            .classic_mut(&request.group_id)
            .ok_or(ErrorCode::UnknownMemberId)?;
        group.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        start_session(step, group, timers, &request.member_id);
        match group.state {
            State::Empty => Err(ErrorCode::UnknownMemberId),
            State::PreparingRebalance => Err(ErrorCode::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// LeaveGroup to a classic group.
    pub(crate) fn leave_classic_group(
        &mut self,
        step: &mut Step<'_>,
        waiter: Waiter,
        request: &LeaveGroup,
    ) {
        let group_id = request.group_id.as_str();
        let mut left = Vec::with_capacity(request.members.len());
        for member in &request.members {
            let error = self.leave(step, group_id, member).err();
            left.push(LeftMember {
                member_id: member.member_id.clone(),
                group_instance_id: member.group_instance_id.clone(),
                error: error.unwrap_or(ErrorCode::None),
            });
        }
        if left.iter().any(|member| member.error.is_none()) {
            match self.classic(group_id).map(ClassicGroup::state) {
                Some(State::Stable | State::CompletingRebalance) => {
                    self.prepare_rebalance(step, group_id);
                }
                Some(State::PreparingRebalance) => self.complete_if_all_joined(step, group_id),
                Some(State::Empty) | None => {}
            }
        }
        step.reply(waiter, GroupResponse::Leave(ErrorCode::None, left));
    }

    /// One member leaves. An administrator may name a static member by its instance alone.
    fn leave(
        &mut self,
        step: &mut Step<'_>,
        group_id: &str,
        leaving: &LeavingMember,
    ) -> Result<(), ErrorCode> {
        let group = self.classic(group_id).ok_or(ErrorCode::UnknownMemberId)?;
        let instance_id = leaving.group_instance_id.as_deref();
        let member_id: Arc<str> = if leaving.member_id.is_empty() {
            let known = instance_id.and_then(|id| group.static_members.get(id));
            Arc::clone(known.ok_or(ErrorCode::UnknownMemberId)?)
        } else {
            if !group.pending.contains(leaving.member_id.as_str()) {
                group.check_member(&leaving.member_id, instance_id)?;
            }
            leaving.member_id.as_str().into()
        };
        self.remove_member(step, group_id, &member_id);
        Ok(())
    }

    /// [`TimerKey::Session`] is due.
    pub(crate) fn session_due(&mut self, step: &mut Step<'_>, group_id: &str, member_id: &str) {
        let Some(group) = self.classic(group_id) else {
            return;
        };
        if group.pending.contains(member_id) {
            self.remove_member(step, group_id, member_id);
            self.complete_after_removal(step, group_id);
            return;
        }
        match group.members.get(member_id) {
            Some(member) if !member.may_be_silent() => {}
            Some(_) | None => return,
        }
        self.remove_member(step, group_id, member_id);
        match self.classic(group_id).map(ClassicGroup::state) {
            Some(State::Stable | State::CompletingRebalance) => {
                self.prepare_rebalance(step, group_id);
            }
            Some(State::PreparingRebalance) => self.complete_after_removal(step, group_id),
            Some(State::Empty) | None => {}
        }
    }

    /// Ends the joining if nobody is missing, also in the first rebalance of an empty group.
    fn complete_after_removal(&mut self, step: &mut Step<'_>, group_id: &str) {
        let complete = self
            .classic(group_id)
            .is_some_and(|group| group.state == State::PreparingRebalance && group.all_joined());
        if complete {
            self.complete_join(step, group_id);
        }
    }

    /// Answers everyone who waits, because the group is replaced by another.
    pub(crate) fn refuse_all(&mut self, step: &mut Step<'_>, group_id: &str, error: ErrorCode) {
        let Some((group, _)) = self.classic_mut(group_id) else {
            return;
        };
        let member_ids: Vec<Arc<str>> = group.members.keys().cloned().collect();
        for member_id in member_ids {
            answer_join(
                step,
                group,
                &member_id,
                JoinResponse::failed(&member_id, error),
            );
            answer_sync(step, group, &member_id, SyncResponse::failed(error));
        }
    }

    /// Removes a member, or one that was only told its id. Who waits for it is told that it is not
    /// known, so that it joins anew if it is still there.
    pub(super) fn remove_member(&mut self, step: &mut Step<'_>, group_id: &str, member_id: &str) {
        let Some((group, timers)) = self.classic_mut(group_id) else {
            return;
        };
        timers.cancel(&session_key(group, member_id));
        let Some(member) = group.remove(member_id) else {
            return;
        };
        let error = ErrorCode::UnknownMemberId;
        if let Some(waiter) = member.joining {
            step.reply(waiter, GroupResponse::Join(JoinResponse::failed("", error)));
        }
        if let Some(waiter) = member.syncing {
            step.reply(waiter, GroupResponse::Sync(SyncResponse::failed(error)));
        }
    }
}

impl ClassicGroup {
    /// Nothing is due any more for a group that is gone.
    pub(crate) fn cancel_timers(&self, timers: &mut Timers) {
        timers.cancel(&TimerKey::Join(Arc::clone(&self.id)));
        timers.cancel(&TimerKey::Sync(Arc::clone(&self.id)));
        for member_id in self.members.keys().chain(&self.pending) {
            timers.cancel(&session_key(self, member_id));
        }
    }
}

/// Key of the session of a member.
pub(super) fn session_key(group: &ClassicGroup, member_id: &str) -> TimerKey {
    let member_id = match group.members.get_key_value(member_id) {
        Some((member_id, _)) => Arc::clone(member_id),
        None => member_id.into(),
    };
    TimerKey::Session {
        group_id: Arc::clone(&group.id),
        member_id,
    }
}

/// A member was heard of: its session starts anew.
pub(crate) fn start_session(
    step: &Step<'_>,
    group: &ClassicGroup,
    timers: &mut Timers,
    member_id: &str,
) {
    if let Some(member) = group.members.get(member_id) {
        let due = step.now.mono.plus_ms(i64::from(member.session_timeout_ms));
        timers.set(session_key(group, member_id), due);
    }
}

/// Answers the JoinGroup of a member, if it has one that waits.
pub(super) fn answer_join(
    step: &mut Step<'_>,
    group: &mut ClassicGroup,
    member_id: &str,
    response: JoinResponse,
) -> bool {
    let member = group.members.get_mut(member_id);
    let Some(waiter) = member.and_then(|member| member.joining.take()) else {
        return false;
    };
    group.awaiting_join -= 1;
    step.reply(waiter, GroupResponse::Join(response));
    true
}

/// Answers the SyncGroup of a member, if it has one that waits.
pub(super) fn answer_sync(
    step: &mut Step<'_>,
    group: &mut ClassicGroup,
    member_id: &str,
    response: SyncResponse,
) -> bool {
    let member = group.members.get_mut(member_id);
    let Some(waiter) = member.and_then(|member| member.syncing.take()) else {
        return false;
    };
    step.reply(waiter, GroupResponse::Sync(response));
    true
}
