//! Members that speak the classic protocol to a consumer group: JoinGroup, SyncGroup, Heartbeat and
//! LeaveGroup.
//!
//! Nobody leads and nobody waits here. A member's generation is its epoch, JoinGroup is where its
//! assignment is reconciled, SyncGroup where it is told. Heartbeat asks it to join again where the
//! target moved on, where it has to give partitions back, or where partitions it waits for are free.

use std::sync::Arc;

use chronik_model::ErrorCode;

use crate::consumer::embedded::{
    self, Named, PROTOCOL_TYPE, Subscription, read_subscription, write_assignment,
};
use crate::consumer::heartbeat::{Admission, check_instance};
use crate::consumer::member::{ClassicMetadata, Member, MemberMetadata};
use crate::consumer::partitions::Owned;
use crate::consumer::timers::TimerKind;
use crate::consumer::validate::{check_member_id, check_room};
use crate::consumer::{ConsumerGroup, MemberState, Refusal};
use crate::coordinator::GroupCoordinator;
use crate::outcome::Waiter;
use crate::request::{Heartbeat, JoinGroup, LeaveGroup, LeavingMember, SyncGroup, TopicAssignment};
use crate::response::{GroupResponse, JoinResponse, LeftMember, SyncResponse};
use crate::step::Step;
use crate::topics::Topics;

impl GroupCoordinator {
    /// A classic member joins a consumer group that is not empty.
    pub(crate) fn join_consumer_group(
        &mut self,
        step: &mut Step<'_>,
        waiter: Waiter,
        request: &JoinGroup,
    ) {
        let response = self
            .classic_join(step, request)
            .unwrap_or_else(|refusal| JoinResponse::failed(&request.member_id, refusal.code));
        step.reply(waiter, GroupResponse::Join(response));
    }

    fn classic_join(
        &mut self,
        step: &mut Step<'_>,
        request: &JoinGroup,
    ) -> Result<JoinResponse, Refusal> {
        let is_unknown = request.member_id.is_empty();
        let member_id = if is_unknown {
            self.new_consumer_id()
        } else {
            request.member_id.as_str().into()
        };
        let group = self
            .consumer(&request.group_id)
            .ok_or_else(unknown_member)?;
        self.check_classic_join(group, &member_id, request)?;
        let is_dynamic = request.group_instance_id.is_none();
        if is_unknown && is_dynamic && request.requires_known_member_id {
            return Ok(JoinResponse::failed(
                &member_id,
                ErrorCode::MemberIdRequired,
            ));
        }
        let subscription = first_subscription(request)?;
        let admission = group.admit_classic(member_id, request)?;
        let downgrades = admission.replaces.as_ref().is_some_and(|former| {
            let only = [Arc::clone(former)].into();
            let holder = group.members.get(former);
            holder.is_some_and(|holder| !holder.uses_classic_protocol())
                && self.may_downgrade(group, &only, group.members.len())
        });
        let (group_id, member_id) = (&admission.group_id, &admission.member_id);
        if let Some(former) = &admission.replaces {
            self.replace_static_member(step, group_id, former, member_id, &admission.before);
        }
        let metadata = joined_metadata(&admission.before, request, &subscription);
        let subscription_changed = self.update_consumer(step, &admission, metadata);
        let owned = by_id(&subscription.owned, step.topics);
        if !downgrades {
            self.maybe_assign(step, group_id);
        }
        self.reconcile_member(
            step,
            group_id,
            member_id,
            subscription_changed,
            Some(&owned),
        )?;
        let response = self.classic_join_response(group_id, member_id, request);
        self.stop_timer(TimerKind::Join, group_id, member_id);
        if downgrades {
            self.downgrade_with_joined(step, group_id);
        } else {
            let timeout_ms = request.rebalance_timeout_ms;
            self.restart_session(step, group_id, member_id);
            self.start_timer(step, TimerKind::Sync, group_id, member_id, timeout_ms);
        }
        Ok(response)
    }

    fn check_classic_join(
        &self,
        group: &ConsumerGroup,
        member_id: &str,
        request: &JoinGroup,
    ) -> Result<(), Refusal> {
        let inconsistent = |text: String| Refusal::new(ErrorCode::InconsistentGroupProtocol, text);
        let sessions = self.config.min_session_timeout_ms..=self.config.max_session_timeout_ms;
        if !sessions.contains(&request.session_timeout_ms) {
            return Err(Refusal::new(ErrorCode::InvalidSessionTimeout, ""));
        }
        if !self.config.allow_upgrade && !self.config.allow_downgrade {
            return Err(inconsistent(format!(
                "Cannot join the consumer group {} with the classic protocol because the group \
                 migration is disabled.",
                group.id
            )));
        }
        check_member_id(member_id)?;
        let is_member = group.members.contains_key(member_id);
        check_room(group.members.len(), is_member, &self.config)?;
        let text = || format!("Member {member_id}'s protocols are not supported.");
        if group.supports(request) {
            Ok(())
        } else {
            Err(inconsistent(text()))
        }
    }

    /// The last member of the consumer protocol was replaced by this classic one. A target that is
    /// out of date makes everyone join anew.
    fn downgrade_with_joined(&mut self, step: &mut Step<'_>, group_id: &Arc<str>) {
        let group = self.consumer(group_id);
        let is_stale = group.is_some_and(|group| group.target_epoch.epoch < group.epoch);
        if self.downgrade(step, group_id, &[].into()) && is_stale {
            self.prepare_rebalance(step, group_id);
        }
    }

    fn classic_join_response(
        &self,
        group_id: &str,
        member_id: &str,
        request: &JoinGroup,
    ) -> JoinResponse {
        let group = self.consumer(group_id);
        let member = group.and_then(|group| group.members.get(member_id));
        JoinResponse {
            error: ErrorCode::None,
            generation_id: member.map_or(-1, |member| member.current.epoch),
            protocol_type: Some(PROTOCOL_TYPE.to_owned()),
            protocol_name: request.protocols.first().map(|(name, _)| name.clone()),
            leader: String::new(),
            member_id: member_id.to_owned(),
            skip_assignment: false,
            members: Vec::new(),
        }
    }

    /// A classic member asks for its assignment.
    pub(crate) fn sync_consumer_group(
        &mut self,
        step: &mut Step<'_>,
        waiter: Waiter,
        request: &SyncGroup,
    ) {
        let response = self
            .classic_sync(step, request)
            .unwrap_or_else(|refusal| SyncResponse::failed(refusal.code));
        step.reply(waiter, GroupResponse::Sync(response));
    }

    fn classic_sync(
        &mut self,
        step: &Step<'_>,
        request: &SyncGroup,
    ) -> Result<SyncResponse, Refusal> {
        let group = self
            .consumer(&request.group_id)
            .ok_or_else(unknown_member)?;
        let instance_id = request.group_instance_id.as_deref();
        let caller =
            group.classic_caller(&request.member_id, instance_id, request.generation_id)?;
        let Caller {
            member_id,
            member,
            classic,
        } = caller;
        let (name, metadata) = classic.protocols.first().ok_or_else(unknown_member)?;
        let other_type = (request.protocol_type.as_deref()).is_some_and(|it| it != PROTOCOL_TYPE);
        let other_name = request.protocol_name.as_ref().is_some_and(|it| it != name);
        if other_type || other_name {
            return Err(Refusal::new(ErrorCode::InconsistentGroupProtocol, ""));
        }
        let version = embedded::version(metadata).unwrap_or(0);
        let assignment = write_assignment(version, &by_name(&member.current.assigned, step.topics));
        let group_id = Arc::clone(&group.id);
        let is_behind = group.target_epoch.epoch > member.current.epoch
            && member.current.state != MemberState::UnrevokedPartitions;
        if is_behind {
            let timeout_ms = member.metadata.rebalance_timeout_ms;
            self.start_timer_once(step, TimerKind::Join, &group_id, &member_id, timeout_ms);
            return Err(Refusal::new(ErrorCode::RebalanceInProgress, ""));
        }
        self.stop_timer(TimerKind::Sync, &group_id, &member_id);
        self.restart_session(step, &group_id, &member_id);
        Ok(SyncResponse {
            error: ErrorCode::None,
            protocol_type: request.protocol_type.clone(),
            protocol_name: request.protocol_name.clone(),
            assignment,
        })
    }

    /// A classic member says that it is there.
    pub(crate) fn heartbeat_consumer_group(
        &mut self,
        step: &mut Step<'_>,
        waiter: Waiter,
        request: &Heartbeat,
    ) {
        let result = self.classic_heartbeat(step, request);
        let code = result.unwrap_or_else(|refusal| refusal.code);
        step.reply(waiter, GroupResponse::Heartbeat(code));
    }

    fn classic_heartbeat(
        &mut self,
        step: &Step<'_>,
        request: &Heartbeat,
    ) -> Result<ErrorCode, Refusal> {
        let group = self
            .consumer(&request.group_id)
            .ok_or_else(unknown_member)?;
        let instance_id = request.group_instance_id.as_deref();
        let caller =
            group.classic_caller(&request.member_id, instance_id, request.generation_id)?;
        let Caller {
            member_id, member, ..
        } = caller;
        let has_to_join = member.current.epoch < group.target_epoch.epoch
            || match member.current.state {
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => !group.waits_for_others(&member_id),
                MemberState::Stable | MemberState::Unknown => false,
            };
        let timeout_ms = member.metadata.rebalance_timeout_ms;
        let group_id = Arc::clone(&group.id);
        self.restart_session(step, &group_id, &member_id);
        if !has_to_join {
            return Ok(ErrorCode::None);
        }
        self.start_timer_once(step, TimerKind::Join, &group_id, &member_id, timeout_ms);
        Ok(ErrorCode::RebalanceInProgress)
    }

    /// Members leave by LeaveGroup; those of the consumer protocol may be among them, removed by an
    /// administrator.
    pub(crate) fn leave_consumer_group(
        &mut self,
        step: &mut Step<'_>,
        waiter: Waiter,
        request: &LeaveGroup,
    ) {
        let group_id: Arc<str> = request.group_id.as_str().into();
        let mut left = Vec::with_capacity(request.members.len());
        let mut leaving = Vec::new();
        for member in &request.members {
            let found = self.consumer(&group_id).ok_or_else(unknown_member);
            let found = found.and_then(|group| group.leaver(member));
            let error = found
                .as_ref()
                .err()
                .map_or(ErrorCode::None, |refusal| refusal.code);
            leaving.extend(found);
            left.push(LeftMember {
                member_id: member.member_id.clone(),
                group_instance_id: member.group_instance_id.clone(),
                error,
            });
        }
        self.fence_members(step, &group_id, leaving);
        step.reply(waiter, GroupResponse::Leave(ErrorCode::None, left));
    }
}

/// A classic member that passed the checks of its request.
struct Caller<'a> {
    member_id: Arc<str>,
    member: &'a Member,
    classic: &'a ClassicMetadata,
}

impl ConsumerGroup {
    /// Whether a classic member with these protocols can be in the group: there has to be one that
    /// all classic members support.
    fn supports(&self, request: &JoinGroup) -> bool {
        let classic: Vec<&ClassicMetadata> = self
            .members
            .values()
            .filter_map(|member| member.metadata.classic.as_ref())
            .collect();
        let by_all = |name: &str| {
            let mut members = classic.iter();
            members.all(|member| member.protocols.iter().any(|(known, _)| known == name))
        };
        request.protocol_type == PROTOCOL_TYPE
            && request.protocols.iter().any(|(name, _)| by_all(name))
    }

    fn admit_classic(
        &self,
        member_id: Arc<str>,
        request: &JoinGroup,
    ) -> Result<Admission, Refusal> {
        let known = self.members.get(&member_id);
        let mut admission = Admission {
            group_id: Arc::clone(&self.id),
            is_new: known.is_none(),
            before: known.cloned().unwrap_or_default(),
            member_id,
            replaces: None,
        };
        let Some(instance_id) = &request.group_instance_id else {
            return Ok(admission);
        };
        if !request.member_id.is_empty() {
            let (holder, _) = self.static_member(instance_id)?;
            check_instance(&holder, &request.member_id, instance_id)?;
            return Ok(admission);
        }
        if let Ok((holder, member)) = self.static_member(instance_id) {
            admission.is_new = false;
            admission.before = member.clone();
            admission.before.current.epoch = 0;
            admission.before.current.previous_epoch = 0;
            admission.replaces = Some(holder);
        }
        Ok(admission)
    }

    fn classic_caller(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation_id: i32,
    ) -> Result<Caller<'_>, Refusal> {
        let (member_id, member) = match instance_id {
            None => self.known_member(member_id)?,
            Some(instance_id) => {
                let holder = self.static_member(instance_id)?;
                check_instance(&holder.0, member_id, instance_id)?;
                holder
            }
        };
        let classic = member
            .metadata
            .classic
            .as_ref()
            .ok_or_else(unknown_member)?;
        if member.current.epoch != generation_id {
            return Err(Refusal::new(ErrorCode::IllegalGeneration, ""));
        }
        Ok(Caller {
            member_id,
            member,
            classic,
        })
    }

    fn leaver(&self, leaving: &LeavingMember) -> Result<Arc<str>, Refusal> {
        let Some(instance_id) = &leaving.group_instance_id else {
            return self.known_member(&leaving.member_id).map(|(id, _)| id);
        };
        let (holder, _) = self.static_member(instance_id)?;
        // An administrator names the instance only.
        if !leaving.member_id.is_empty() {
            check_instance(&holder, &leaving.member_id, instance_id)?;
        }
        Ok(holder)
    }
}

fn unknown_member() -> Refusal {
    Refusal::new(ErrorCode::UnknownMemberId, "")
}

fn first_subscription(request: &JoinGroup) -> Result<Subscription, Refusal> {
    let malformed = || Refusal::new(ErrorCode::InconsistentGroupProtocol, "");
    let (_, metadata) = request.protocols.first().ok_or_else(malformed)?;
    read_subscription(metadata).map_err(|_error| malformed())
}

fn joined_metadata(
    before: &Member,
    request: &JoinGroup,
    subscription: &Subscription,
) -> MemberMetadata {
    let before = &before.metadata;
    // Copies, which do not hold on to the request's buffer.
    let protocols = request
        .protocols
        .iter()
        .map(|(name, metadata)| (name.clone(), bytes::Bytes::copy_from_slice(metadata)));
    let rebalance_timeout_ms = match request.rebalance_timeout_ms {
        -1 => before.rebalance_timeout_ms,
        timeout_ms => timeout_ms,
    };
    MemberMetadata {
        instance_id: request
            .group_instance_id
            .clone()
            .or_else(|| before.instance_id.clone()),
        rack_id: subscription
            .rack_id
            .clone()
            .or_else(|| before.rack_id.clone()),
        client_id: request.client_id.clone(),
        client_host: request.client_host.clone(),
        topic_names: subscription.topics.iter().cloned().collect(),
        topic_regex: Some(String::new()),
        rebalance_timeout_ms,
        assignor: before.assignor.clone(),
        classic: Some(ClassicMetadata {
            session_timeout_ms: request.session_timeout_ms,
            protocols: protocols.collect(),
        }),
    }
}

fn by_id(named: &Named, topics: &dyn Topics) -> Vec<TopicAssignment> {
    let known = named.iter().filter_map(|(name, partitions)| {
        Some(TopicAssignment {
            topic_id: topics.by_name(name)?.id,
            partitions: partitions.clone(),
        })
    });
    known.collect()
}

fn by_name(owned: &Owned, topics: &dyn Topics) -> Named {
    let known = owned.iter().filter_map(|(id, partitions)| {
        let name = topics.by_id(*id)?.name.to_owned();
        Some((name, partitions.keys().copied().collect()))
    });
    known.collect()
}
