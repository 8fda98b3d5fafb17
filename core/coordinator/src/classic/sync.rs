//! SyncGroup: the leader brings the assignment, everyone fetches a part.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chronik_model::ErrorCode;

use super::members::{answer_sync, start_session};
use super::{ClassicGroup, State};
use crate::coordinator::GroupCoordinator;
use crate::outcome::Waiter;
use crate::record::CoordinatorRecord;
use crate::request::SyncGroup;
use crate::response::{GroupResponse, SyncResponse};
use crate::step::Step;
use crate::timers::TimerKey;

impl GroupCoordinator {
    /// SyncGroup to a classic group.
    pub(crate) fn sync_classic_group(
        &mut self,
        step: &mut Step<'_>,
        waiter: Waiter,
        request: &SyncGroup,
    ) {
        let refuse = |step: &mut Step<'_>, error| {
            step.reply(waiter, GroupResponse::Sync(SyncResponse::failed(error)));
        };
        let Some((group, timers)) = self.classic_mut(&request.group_id) else {
            return refuse(step, ErrorCode::UnknownMemberId);
        };
        if let Err(error) = group.check_sync(request) {
            return refuse(step, error);
        }
        if group.pending_sync.remove(request.member_id.as_str()) && group.pending_sync.is_empty() {
            timers.cancel(&TimerKey::Sync(Arc::clone(&group.id)));
        }
        if group.state == State::Stable {
            let response = group.sync_response(&request.member_id);
            step.reply(waiter, GroupResponse::Sync(response));
            return;
        }
        let member = group.members.get_mut(request.member_id.as_str());
        let earlier = member.and_then(|member| member.syncing.replace(waiter));
        if let Some(earlier) = earlier {
            // One request of a member is answered; the client behind this one is gone or confused.
            let error = ErrorCode::RebalanceInProgress;
            step.reply(earlier, GroupResponse::Sync(SyncResponse::failed(error)));
        }
        if group.is_leader(&request.member_id) {
            self.assign(step, request);
        }
    }

    /// The leader brought the assignment: it is recorded, and everyone who waits gets it together
    /// with the record.
    fn assign(&mut self, step: &mut Step<'_>, request: &SyncGroup) {
        let group_id = request.group_id.as_str();
        let Some(group) = self.classic(group_id) else {
            return;
        };
        let assignments: BTreeMap<&str, &Bytes> = request
            .assignments
            .iter()
            .map(|(member_id, assignment)| (member_id.as_str(), assignment))
            .collect();
        let value = group.record(step.now.wall_ms, |member_id, _| {
            let assignment = assignments.get(member_id);
            assignment.map_or_else(Bytes::new, |bytes| Bytes::copy_from_slice(bytes))
        });
        let record = CoordinatorRecord::GroupMetadata {
            group_id: Arc::clone(&group.id),
            value: Some(value),
        };
        if !self.try_emit(step, record) {
            self.refuse_syncs(step, group_id, ErrorCode::UnknownServerError);
            self.rebalance_or_complete(step, group_id);
            return;
        }
        let Some((group, timers)) = self.classic_mut(group_id) else {
            return;
        };
        let member_ids: Vec<Arc<str>> = group.members.keys().cloned().collect();
        for member_id in member_ids {
            let response = group.sync_response(&member_id);
            if answer_sync(step, group, &member_id, response) {
                start_session(step, group, timers, &member_id);
            }
        }
    }
}

impl ClassicGroup {
    fn check_sync(&self, request: &SyncGroup) -> Result<(), ErrorCode> {
        if self.is_empty() {
            return Err(ErrorCode::UnknownMemberId);
        }
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |theirs: &Option<String>, ours: Option<&str>| {
            let pair = theirs.as_deref().zip(ours);
            pair.is_some_and(|(theirs, ours)| theirs != ours)
        };
        if differs(&request.protocol_type, self.protocol_type())
            || differs(&request.protocol_name, self.protocol())
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if self.state == State::PreparingRebalance {
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    fn sync_response(&self, member_id: &str) -> SyncResponse {
        let member = self.members.get(member_id);
        SyncResponse {
            error: ErrorCode::None,
            protocol_type: self.protocol_type().map(str::to_owned),
            protocol_name: self.protocol().map(str::to_owned),
            assignment: member.map_or_else(Bytes::new, |member| member.assignment.clone()),
        }
    }
}
