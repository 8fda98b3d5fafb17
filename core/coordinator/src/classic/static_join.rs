//! A static member comes back under its instance id, and takes the place of the member that it was
//! (KIP-345, KIP-814).

use std::sync::Arc;

use chronik_model::ErrorCode;

use super::join::refuse_join;
use super::members::{answer_join, answer_sync, session_key, start_session};
use super::{ClassicGroup, Member, State};
use crate::coordinator::GroupCoordinator;
use crate::outcome::Waiter;
use crate::record::CoordinatorRecord;
use crate::request::JoinGroup;
use crate::response::{JoinResponse, SyncResponse};
use crate::step::Step;

impl GroupCoordinator {
    /// The member `old_id` is now `new_id`. Requests that wait under the old id are fenced.
    pub(super) fn replace_static(
        &mut self,
        step: &mut Step<'_>,
        waiter: Waiter,
        request: &JoinGroup,
        old_id: &Arc<str>,
        new_id: &Arc<str>,
    ) {
        let group_id = request.group_id.as_str();
        let Some((group, timers)) = self.classic_mut(group_id) else {
            return;
        };
        let error = ErrorCode::FencedInstanceId;
        answer_join(step, group, old_id, JoinResponse::failed(old_id, error));
        answer_sync(step, group, old_id, SyncResponse::failed(error));
        let Some(old) = group.members.get(old_id).cloned() else {
            return;
        };
        let old_leader = group.leader.clone();
        timers.cancel(&session_key(group, old_id));
        group.swap_member(old_id, new_id, old.clone());
        start_session(step, group, timers, new_id);
        self.update_member(step, waiter, request, new_id);

        match self.classic(group_id).map(ClassicGroup::state) {
            Some(State::Stable) => {}
            // The leader may assign to the old id at this moment, and the new one would get nothing.
            Some(State::CompletingRebalance) => return self.prepare_rebalance(step, group_id),
            Some(State::PreparingRebalance) => {
                return self.complete_if_all_joined(step, group_id);
            }
            Some(State::Empty) | None => return,
        }
        let keeps_protocol = (self.classic(group_id))
            .is_some_and(|group| group.select_protocol().as_deref() == group.protocol());
        if !keeps_protocol {
            return self.rebalance_or_complete(step, group_id);
        }
        if self.record_replaced(step, group_id) {
            let old_leader = old_leader.as_deref().unwrap_or_default();
            self.answer_replaced(step, request, old_leader, new_id);
        } else {
            self.undo_replacement(step, group_id, old_id, (new_id, old));
            refuse_join(step, waiter, "", ErrorCode::UnknownServerError);
        }
    }

    /// Records the group with the new member id. Says whether the record fits.
    fn record_replaced(&mut self, step: &mut Step<'_>, group_id: &str) -> bool {
        let Some(group) = self.classic(group_id) else {
            return false;
        };
        let record = CoordinatorRecord::GroupMetadata {
            group_id: Arc::clone(&group.id),
            value: Some(group.record(step.now.wall_ms, |_, member| member.assignment.clone())),
        };
        self.try_emit(step, record)
    }

    fn answer_replaced(
        &mut self,
        step: &mut Step<'_>,
        request: &JoinGroup,
        old_leader: &str,
        new_id: &str,
    ) {
        let Some((group, _)) = self.classic_mut(&request.group_id) else {
            return;
        };
        let response = if request.supports_skipping_assignment {
            group.join_response(new_id, group.is_leader(new_id))
        } else {
            // A client that can not be told to skip the assignment must not take itself for the
            // leader: it is told the leader that was.
            JoinResponse {
                leader: old_leader.to_owned(),
                members: Vec::new(),
                ..group.join_response(new_id, false)
            }
        };
        answer_join(step, group, new_id, response);
    }

    fn undo_replacement(
        &mut self,
        step: &Step<'_>,
        group_id: &str,
        old_id: &Arc<str>,
        (new_id, old): (&Arc<str>, Member),
    ) {
        if let Some((group, timers)) = self.classic_mut(group_id) {
            timers.cancel(&session_key(group, new_id));
            group.swap_member(new_id, old_id, old);
            start_session(step, group, timers, old_id);
        }
    }
}

impl ClassicGroup {
    /// Puts `member` under the id `to` in place of the member `from`.
    fn swap_member(&mut self, from: &Arc<str>, to: &Arc<str>, member: Member) {
        self.members.remove(from);
        self.members.insert(Arc::clone(to), member);
        if self.is_leader(from) {
            self.leader = Some(Arc::clone(to));
        }
        if self.pending_sync.remove(from) {
            self.pending_sync.insert(Arc::clone(to));
        }
        self.recount();
    }
}
