//! The rebalance: a group waits for its members to join, elects a leader, starts a generation, and
//! waits for its members to sync.

use std::sync::Arc;

use chronik_model::ErrorCode;

use super::members::{answer_join, answer_sync, session_key, start_session};
use super::{ClassicGroup, State};
use crate::coordinator::GroupCoordinator;
use crate::record::CoordinatorRecord;
use crate::response::{JoinResponse, SyncResponse};
use crate::step::Step;
use crate::timers::TimerKey;

/// The wait of an empty group for its first members, which newcomers make longer. In ms.
#[derive(Debug, Clone, Copy)]
pub(super) struct InitialWait {
    /// The turn of waiting that goes on now.
    delay_ms: i64,
    /// What may be added to it.
    remaining_ms: i64,
    /// Somebody joined in this turn.
    newcomer: bool,
}

impl GroupCoordinator {
    /// Members changed: starts a rebalance, or ends the joining of one on its way if nobody is
    /// missing any more.
    pub(super) fn rebalance_or_complete(&mut self, step: &mut Step<'_>, group_id: &str) {
        match self.classic(group_id).map(ClassicGroup::state) {
            Some(State::PreparingRebalance) => self.complete_if_all_joined(step, group_id),
            Some(State::Empty | State::CompletingRebalance | State::Stable) => {
                self.prepare_rebalance(step, group_id);
            }
            None => {}
        }
    }

    /// Starts a rebalance.
    pub(crate) fn prepare_rebalance(&mut self, step: &mut Step<'_>, group_id: &str) {
        self.refuse_syncs(step, group_id, ErrorCode::RebalanceInProgress);
        let delay_ms = i64::from(self.config.initial_rebalance_delay_ms.max(0));
        let Some((group, timers)) = self.classic_mut(group_id) else {
            return;
        };
        group.pending_sync.clear();
        timers.cancel(&TimerKey::Sync(Arc::clone(&group.id)));
        let is_first = group.is_empty();
        group.transition(State::PreparingRebalance, step.now.wall_ms);
        let join = TimerKey::Join(Arc::clone(&group.id));
        if is_first {
            group.initial_wait = Some(InitialWait {
                delay_ms,
                remaining_ms: (group.rebalance_timeout_ms() - delay_ms).max(0),
                newcomer: false,
            });
            timers.set(join, step.now.mono.plus_ms(delay_ms));
        } else if group.all_joined() {
            self.complete_join(step, group_id);
        } else {
            timers.set(join, step.now.mono.plus_ms(wait_ms(group)));
        }
    }

    /// Ends the joining if nobody is missing. The first rebalance of an empty group waits its time.
    pub(super) fn complete_if_all_joined(&mut self, step: &mut Step<'_>, group_id: &str) {
        let complete = self.classic(group_id).is_some_and(|group| {
            group.state == State::PreparingRebalance
                && group.previous != State::Empty
                && group.all_joined()
        });
        if complete {
            self.complete_join(step, group_id);
        }
    }

    /// [`TimerKey::Join`] is due.
    pub(crate) fn join_due(&mut self, step: &mut Step<'_>, group_id: &str) {
        let delay_ms = i64::from(self.config.initial_rebalance_delay_ms.max(0));
        let Some((group, timers)) = self.classic_mut(group_id) else {
            return;
        };
        if group.state != State::PreparingRebalance {
            return;
        }
        match group.initial_wait {
            Some(wait) if wait.newcomer && wait.remaining_ms > 0 => {
                let next_ms = delay_ms.min(wait.remaining_ms);
                group.initial_wait = Some(InitialWait {
                    delay_ms: next_ms,
                    remaining_ms: (wait.remaining_ms - wait.delay_ms).max(0),
                    newcomer: false,
                });
                let join = TimerKey::Join(Arc::clone(&group.id));
                timers.set(join, step.now.mono.plus_ms(next_ms.max(1)));
            }
            Some(_) | None => self.complete_join(step, group_id),
        }
    }

    /// Ends the joining: dynamic members that did not join are out, static ones stay until their
    /// session ends.
    pub(super) fn complete_join(&mut self, step: &mut Step<'_>, group_id: &str) {
        let Some((group, timers)) = self.classic_mut(group_id) else {
            return;
        };
        let join = TimerKey::Join(Arc::clone(&group.id));
        timers.cancel(&join);
        for member_id in group.absent_dynamic_members() {
            group.remove(&member_id);
            timers.cancel(&session_key(group, &member_id));
        }
        if !group.members.is_empty() && !group.elect_joined_leader() {
            timers.set(join, step.now.mono.plus_ms(wait_ms(group)));
            return;
        }
        group.initial_wait = None;
        group.start_generation(step.now.wall_ms);
        if !group.is_empty() {
            self.answer_joins(step, group_id);
            return;
        }
        let record = CoordinatorRecord::GroupMetadata {
            group_id: Arc::clone(&group.id),
            value: Some(group.record(step.now.wall_ms, |_, member| member.assignment.clone())),
        };
        self.emit(step, record);
    }

    /// Tells all members of the new generation, and waits for them to sync.
    fn answer_joins(&mut self, step: &mut Step<'_>, group_id: &str) {
        let Some((group, timers)) = self.classic_mut(group_id) else {
            return;
        };
        let member_ids: Vec<Arc<str>> = group.members.keys().cloned().collect();
        for member_id in member_ids {
            let response = group.join_response(&member_id, false);
            answer_join(step, group, &member_id, response);
            start_session(step, group, timers, &member_id);
            if let Some(member) = group.members.get_mut(&member_id) {
                member.is_new = false;
            }
            group.pending_sync.insert(member_id);
        }
        let sync = TimerKey::Sync(Arc::clone(&group.id));
        timers.set(sync, step.now.mono.plus_ms(wait_ms(group)));
    }

    /// [`TimerKey::Sync`] is due: members of the generation that never asked for their assignment
    /// are out.
    pub(crate) fn sync_due(&mut self, step: &mut Step<'_>, group_id: &str) {
        let Some((group, _)) = self.classic_mut(group_id) else {
            return;
        };
        let in_generation = matches!(group.state, State::CompletingRebalance | State::Stable);
        if !in_generation || group.pending_sync.is_empty() {
            return;
        }
        for member_id in std::mem::take(&mut group.pending_sync) {
            self.remove_member(step, group_id, &member_id);
        }
        self.prepare_rebalance(step, group_id);
    }

    /// Answers everyone who waits for an assignment of the generation that comes to nothing.
    pub(super) fn refuse_syncs(&mut self, step: &mut Step<'_>, group_id: &str, error: ErrorCode) {
        let Some((group, timers)) = self.classic_mut(group_id) else {
            return;
        };
        if group.state != State::CompletingRebalance {
            return;
        }
        let member_ids: Vec<Arc<str>> = group.members.keys().cloned().collect();
        for member_id in member_ids {
            if let Some(member) = group.members.get_mut(&member_id) {
                member.assignment.clear();
            }
            if answer_sync(step, group, &member_id, SyncResponse::failed(error)) {
                start_session(step, group, timers, &member_id);
            }
        }
    }
}

impl ClassicGroup {
    /// Somebody joined who was not in the group.
    pub(super) fn note_newcomer(&mut self) {
        if let Some(wait) = &mut self.initial_wait {
            wait.newcomer = true;
        }
    }

    fn absent_dynamic_members(&self) -> Vec<Arc<str>> {
        let absent = self
            .members
            .iter()
            .filter(|(_, member)| member.joining.is_none() && member.instance_id.is_none());
        absent.map(|(id, _)| Arc::clone(id)).collect()
    }

    /// Makes sure that a member leads that has joined. Says whether there is one.
    fn elect_joined_leader(&mut self) -> bool {
        let joined = |id: &Arc<str>| self.members.get(id).is_some_and(|m| m.joining.is_some());
        if self.leader.as_ref().is_some_and(joined) {
            return true;
        }
        let first = self.members.keys().find(|id| joined(id)).cloned();
        let found = first.is_some();
        if found {
            self.leader = first;
        }
        found
    }

    fn start_generation(&mut self, wall_ms: i64) {
        // Negative numbers stand for "no generation".
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol = self.select_protocol();
        self.subscribed = self.subscribed_topics();
        self.pending_sync.clear();
        let state = if self.members.is_empty() {
            State::Empty
        } else {
            State::CompletingRebalance
        };
        self.transition(state, wall_ms);
    }

    /// What a member of this generation is told; the leader is told all members, also where it need
    /// not assign.
    pub(super) fn join_response(&self, member_id: &str, skip_assignment: bool) -> JoinResponse {
        let mut members = Vec::new();
        if self.is_leader(member_id) {
            let protocol = self.protocol.as_deref().unwrap_or_default();
            members.extend(self.members.iter().map(|(id, member)| {
                let instance_id = member.instance_id.as_deref().map(str::to_owned);
                let metadata = member.metadata(protocol).cloned().unwrap_or_default();
                (id.to_string(), instance_id, metadata)
            }));
        }
        JoinResponse {
            error: ErrorCode::None,
            generation_id: self.generation,
            protocol_type: self.protocol_type().map(str::to_owned),
            protocol_name: self.protocol().map(str::to_owned),
            leader: self.leader.as_deref().unwrap_or_default().to_owned(),
            member_id: member_id.to_owned(),
            skip_assignment,
            members,
        }
    }
}

/// How long a rebalance waits, in ms: never no time, so that a timer that sets itself anew makes
/// progress.
fn wait_ms(group: &ClassicGroup) -> i64 {
    group.rebalance_timeout_ms().max(1)
}
