//! JoinGroup.

use std::sync::Arc;

use chronik_model::ErrorCode;

use super::member::owned;
use super::members::session_key;
use super::{ClassicGroup, Member, State};
use crate::coordinator::GroupCoordinator;
use crate::group::Group;
use crate::outcome::Waiter;
use crate::record::CoordinatorRecord;
use crate::request::JoinGroup;
use crate::response::{GroupResponse, JoinResponse};
use crate::step::Step;
use crate::timers::TimerKey;

/// Time that a new member may wait for its first generation, in ms. It can not send heartbeats, and
/// its client may be gone.
const NEW_MEMBER_TIMEOUT_MS: i64 = 5 * 60 * 1_000;
/// Longest front of a client id that becomes part of a member id, in bytes. With what follows it
/// stays below the longest string of the protocol.
const CLIENT_ID_BYTES: usize = 32_000;

impl GroupCoordinator {
    /// JoinGroup to a classic group, to one that does not exist yet, or in place of an empty group of
    /// the consumer protocol.
    pub(crate) fn join_classic_group(
        &mut self,
        step: &mut Step<'_>,
        waiter: Waiter,
        request: &JoinGroup,
    ) {
        let group_id = request.group_id.as_str();
        let is_new = request.member_id.is_empty();
        let sessions = self.config.min_session_timeout_ms..=self.config.max_session_timeout_ms;
        if !sessions.contains(&request.session_timeout_ms) {
            let error = ErrorCode::InvalidSessionTimeout;
            return refuse_join(step, waiter, &request.member_id, error);
        }
        if is_new {
            self.make_classic_group(step, group_id);
        }
        let Some(group) = self.classic(group_id) else {
            let error = ErrorCode::UnknownMemberId;
            return refuse_join(step, waiter, &request.member_id, error);
        };
        if !group.has_room_for(&request.member_id, self.config.max_size) {
            self.remove_member(step, group_id, &request.member_id);
            return refuse_join(step, waiter, "", ErrorCode::GroupMaxSizeReached);
        }
        if !group.supports(&request.protocol_type, &request.protocols) {
            let error = ErrorCode::InconsistentGroupProtocol;
            return refuse_join(step, waiter, &request.member_id, error);
        }
        if is_new {
            self.join_new(step, waiter, request);
        } else {
            self.join_known(step, waiter, request);
        }
    }

    /// Makes sure that there is a classic group, of which a record tells.
    fn make_classic_group(&mut self, step: &mut Step<'_>, group_id: &str) {
        let group_id: Arc<str> = match self.groups.get_key_value(group_id) {
            Some((_, Group::Classic(_))) => return,
            Some((group_id, Group::Consumer(_))) => Arc::clone(group_id),
            None => group_id.into(),
        };
        if let Some(consumers) = self.groups.get(&group_id) {
            for tombstone in consumers.tombstones(&group_id) {
                self.emit(step, tombstone);
            }
        }
        let group = ClassicGroup::new(Arc::clone(&group_id));
        let value = Some(group.record(step.now.wall_ms, |_, member| member.assignment.clone()));
        self.emit(step, CoordinatorRecord::GroupMetadata { group_id, value });
    }

    fn join_new(&mut self, step: &mut Step<'_>, waiter: Waiter, request: &JoinGroup) {
        let group_id = request.group_id.as_str();
        let instance_id = request.group_instance_id.as_deref();
        let member_id = self.new_member_id(instance_id.unwrap_or(&request.client_id));
        let Some((group, timers)) = self.classic_mut(group_id) else {
            return;
        };
        if let Some(instance_id) = instance_id {
            match group.static_members.get(instance_id).cloned() {
                Some(known) => self.replace_static(step, waiter, request, &known, &member_id),
                None => self.add_member(step, waiter, request, &member_id),
            }
            return;
        }
        if !request.requires_known_member_id {
            return self.add_member(step, waiter, request, &member_id);
        }
        group.pending.insert(Arc::clone(&member_id));
        let due = step.now.mono.plus_ms(i64::from(request.session_timeout_ms));
        let session = TimerKey::Session {
            group_id: Arc::clone(&group.id),
            member_id: Arc::clone(&member_id),
        };
        timers.set(session, due);
        refuse_join(step, waiter, &member_id, ErrorCode::MemberIdRequired);
    }

    fn join_known(&mut self, step: &mut Step<'_>, waiter: Waiter, request: &JoinGroup) {
        let (group_id, member_id) = (request.group_id.as_str(), request.member_id.as_str());
        let instance_id = request.group_instance_id.as_deref();
        let Some(group) = self.classic(group_id) else {
            return;
        };
        if let Some(pending) = group.pending.get(member_id).cloned() {
            if instance_id.is_some() {
                // Static members never have to wait for an id.
                return refuse_join(step, waiter, member_id, ErrorCode::UnknownServerError);
            }
            return self.add_member(step, waiter, request, &pending);
        }
        if let Err(error) = group.check_member(member_id, instance_id) {
            return refuse_join(step, waiter, member_id, error);
        }
        let members = &group.members;
        let unchanged = (members.get(member_id)).is_some_and(|m| m.matches(&request.protocols));
        let answered = match group.state {
            State::Empty => {
                return refuse_join(step, waiter, member_id, ErrorCode::UnknownMemberId);
            }
            State::PreparingRebalance => false,
            // The response of before may not have arrived.
            State::CompletingRebalance => unchanged,
            // The leader asks for a rebalance by joining again, as when topics changed.
            State::Stable => unchanged && !group.is_leader(member_id),
        };
        if answered {
            let response = group.join_response(member_id, false);
            step.reply(waiter, GroupResponse::Join(response));
            return;
        }
        self.update_member(step, waiter, request, member_id);
        self.rebalance_or_complete(step, group_id);
    }

    fn add_member(
        &mut self,
        step: &mut Step<'_>,
        waiter: Waiter,
        request: &JoinGroup,
        member_id: &Arc<str>,
    ) {
        let Some((group, timers)) = self.classic_mut(&request.group_id) else {
            return;
        };
        let mut member = Member::new(request);
        member.joining = Some(waiter);
        group.note_newcomer();
        group.add(member_id, &request.protocol_type, member);
        let due = step.now.mono.plus_ms(NEW_MEMBER_TIMEOUT_MS);
        timers.set(session_key(group, member_id), due);
        self.rebalance_or_complete(step, &request.group_id);
    }

    /// Takes over what a member says of itself now; its request waits.
    pub(super) fn update_member(
        &mut self,
        step: &mut Step<'_>,
        waiter: Waiter,
        request: &JoinGroup,
        member_id: &str,
    ) {
        let Some((group, _)) = self.classic_mut(&request.group_id) else {
            return;
        };
        let Some(member) = group.members.get_mut(member_id) else {
            return;
        };
        let before = std::mem::replace(&mut member.protocols, owned(&request.protocols));
        let after = member.protocols.clone();
        member.rebalance_timeout_ms = request.rebalance_timeout_ms;
        member.session_timeout_ms = request.session_timeout_ms;
        match member.joining.replace(waiter) {
            // One request of a member is answered; the client behind this one is gone or confused.
            Some(earlier) => refuse_join(step, earlier, member_id, ErrorCode::RebalanceInProgress),
            None => group.awaiting_join += 1,
        }
        group.discount_support(&before);
        group.count_support(&after);
    }

    /// An id for a member: `front`, and what makes it unique.
    pub(crate) fn new_member_id(&mut self, front: &str) -> Arc<str> {
        let mut end = front.len().min(CLIENT_ID_BYTES);
        while !front.is_char_boundary(end) {
            end -= 1;
        }
        let front = front.get(..end).unwrap_or_default();
        format!("{front}-{}", uuid(self.rng.bytes16())).into()
    }
}

impl ClassicGroup {
    /// Whether a member may join. In a rebalance those who are in time count, so that a group above
    /// a limit that was made smaller loses the last to come.
    fn has_room_for(&self, member_id: &str, max_size: usize) -> bool {
        let member = self.members.get(member_id);
        match self.state {
            State::Empty => true,
            State::PreparingRebalance => {
                member.is_some_and(|member| member.joining.is_some())
                    || self.awaiting_join < max_size
            }
            State::CompletingRebalance | State::Stable => {
                member.is_some() || self.members.len() < max_size
            }
        }
    }
}

/// Answers a JoinGroup that comes to nothing.
pub(super) fn refuse_join(step: &mut Step<'_>, waiter: Waiter, member_id: &str, error: ErrorCode) {
    let response = JoinResponse::failed(member_id, error);
    step.reply(waiter, GroupResponse::Join(response));
}

/// The text of a random UUID.
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = (bytes[6] & 0x0F) | 0x40;
    bytes[8] = (bytes[8] & 0x3F) | 0x80;
    let number = u128::from_be_bytes(bytes);
    let hex = format!("{number:032x}");
    let part = |from, to| hex.get(from..to).unwrap_or_default();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}
