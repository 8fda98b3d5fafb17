//! ConsumerGroupHeartbeat: joining, staying and leaving (KIP-848).
//!
//! Everything that can be refused is checked before the first record is made, because records take
//! effect as they are made.

use std::sync::Arc;

use chronik_model::ErrorCode;

use crate::consumer::member::{LEAVE_EPOCH, Member, STATIC_LEAVE_EPOCH};
use crate::consumer::partitions::to_assignments;
use crate::consumer::validate::{check_epoch, check_regex, check_request, check_room};
use crate::consumer::{ConsumerGroup, Refusal};
use crate::coordinator::GroupCoordinator;
use crate::group::Group;
use crate::outcome::Waiter;
use crate::record::ConsumerChange;
use crate::request::ConsumerHeartbeat;
use crate::response::{ConsumerHeartbeatResponse, GroupResponse};
use crate::step::Step;

/// A heartbeat that passed all checks.
pub(super) struct Admission {
    pub(super) group_id: Arc<str>,
    pub(super) member_id: Arc<str>,
    /// The member before this request.
    pub(super) before: Member,
    /// Whether the group does not know the member yet, not even by its instance id.
    pub(super) is_new: bool,
    /// The member that had the instance id before.
    pub(super) replaces: Option<Arc<str>>,
}

impl GroupCoordinator {
    pub(crate) fn consumer_heartbeat(
        &mut self,
        step: &mut Step<'_>,
        waiter: Waiter,
        request: ConsumerHeartbeat,
    ) {
        let leaves = matches!(request.member_epoch, LEAVE_EPOCH | STATIC_LEAVE_EPOCH);
        let result = check_request(&request, &self.config).and_then(|()| {
            if leaves {
                self.consumer_leave(step, &request)
            } else {
                self.consumer_stay(step, &request)
            }
        });
        let result = result.map_err(Refusal::into_parts);
        step.reply(waiter, GroupResponse::ConsumerHeartbeat(result));
    }

    /// A member joins, or says that it is there.
    fn consumer_stay(
        &mut self,
        step: &mut Step<'_>,
        request: &ConsumerHeartbeat,
    ) -> Result<ConsumerHeartbeatResponse, Refusal> {
        let admission = self.admit(step, request)?;
        let (group_id, member_id) = (&admission.group_id, &admission.member_id);
        if let Some(former) = &admission.replaces {
            self.replace_static_member(step, group_id, former, member_id, &admission.before);
        }
        let metadata = updated_metadata(&admission.before, request);
        let subscription_changed = self.update_consumer(step, &admission, metadata);
        self.maybe_assign(step, group_id);
        let reported = request.owned_partitions.as_deref();
        self.reconcile_member(step, group_id, member_id, subscription_changed, reported)?;
        self.restart_session(step, group_id, member_id);
        Ok(self.heartbeat_response(&admission, request))
    }

    fn heartbeat_response(
        &self,
        admission: &Admission,
        request: &ConsumerHeartbeat,
    ) -> ConsumerHeartbeatResponse {
        let group = self.consumer(&admission.group_id);
        let member = group.and_then(|group| group.members.get(&admission.member_id));
        let current = member.unwrap_or(&admission.before).current.clone();
        let has_subscription =
            request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some();
        let is_full = request.rebalance_timeout_ms != -1
            && has_subscription
            && request.owned_partitions.is_some();
        let tell = request.member_epoch == 0
            || is_full
            || current.assigned != admission.before.current.assigned;
        ConsumerHeartbeatResponse {
            member_id: admission.member_id.to_string(),
            member_epoch: current.epoch,
            heartbeat_interval_ms: self.config.consumer_heartbeat_interval_ms,
            assignment: tell.then(|| to_assignments(&current.assigned)),
        }
    }

    /// Finds group and member, makes a consumer group of a classic one where that is asked for and
    /// allowed, and checks all that can be wrong.
    fn admit(
        &mut self,
        step: &mut Step<'_>,
        request: &ConsumerHeartbeat,
    ) -> Result<Admission, Refusal> {
        let joins = request.member_epoch == 0;
        let group_id: Arc<str> = request.group_id.as_str().into();
        match self.groups.get(&*group_id) {
            None if !joins => {
                return Err(not_found(format!("Consumer group {group_id} not found.")));
            }
            None => {
                check_room(0, false, &self.config)?;
                check_regex(None, request.subscribed_topic_regex.as_deref())?;
            }
            Some(Group::Consumer(_)) => {}
            Some(Group::Classic(_)) if !joins => return Err(not_a_consumer_group(&group_id)),
            Some(Group::Classic(_)) => {
                check_regex(None, request.subscribed_topic_regex.as_deref())?;
                self.upgrade(step, &group_id)?;
            }
        }
        let member_id: Arc<str> = if request.member_id.is_empty() {
            self.new_consumer_id()
        } else {
            request.member_id.as_str().into()
        };
        let Some(group) = self.consumer(&group_id) else {
            return Ok(Admission {
                group_id,
                member_id,
                before: Member::default(),
                is_new: true,
                replaces: None,
            });
        };
        let is_member = group.members.contains_key(&member_id);
        check_room(group.members.len(), is_member, &self.config)?;
        check_regex(Some(group), request.subscribed_topic_regex.as_deref())?;
        match &request.instance_id {
            None => group.admit_dynamic(member_id, request),
            Some(instance_id) => group.admit_static(member_id, instance_id, request),
        }
    }

    /// A member leaves for good, or a static member for a while.
    fn consumer_leave(
        &mut self,
        step: &mut Step<'_>,
        request: &ConsumerHeartbeat,
    ) -> Result<ConsumerHeartbeatResponse, Refusal> {
        let group_id: Arc<str> = request.group_id.as_str().into();
        let group = match self.groups.get(&*group_id) {
            Some(Group::Consumer(group)) => group,
            Some(Group::Classic(_)) => return Err(not_a_consumer_group(&group_id)),
            None => return Err(not_found(format!("Group {group_id} not found."))),
        };
        let (member_id, member) = match &request.instance_id {
            None => group.known_member(&request.member_id)?,
            Some(instance_id) => {
                let holder = group.static_member(instance_id)?;
                check_instance(&holder.0, &request.member_id, instance_id)?;
                holder
            }
        };
        if request.member_epoch == STATIC_LEAVE_EPOCH {
            let mut away = member.current.clone();
            away.epoch = STATIC_LEAVE_EPOCH;
            away.pending_revocation.clear();
            // Whoever takes the instance id over may commit what its predecessor consumed.
            for epoch in away
                .assigned
                .values_mut()
                .flat_map(|topic| topic.values_mut())
            {
                *epoch = 0;
            }
            let change = ConsumerChange::CurrentMember(member_id, Some(away));
            self.emit_change(step, &group_id, change);
        } else {
            self.fence_members(step, &group_id, vec![member_id]);
        }
        Ok(ConsumerHeartbeatResponse {
            member_id: request.member_id.clone(),
            member_epoch: request.member_epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        })
    }
}

impl ConsumerGroup {
    fn admit_dynamic(
        &self,
        member_id: Arc<str>,
        request: &ConsumerHeartbeat,
    ) -> Result<Admission, Refusal> {
        let joins = request.member_epoch == 0;
        let before = match self.members.get(&member_id) {
            Some(member) => member.clone(),
            None if joins => Member::default(),
            None => return Err(self.unknown_member(&member_id)),
        };
        let reported = request.owned_partitions.as_deref();
        check_epoch(&before, request.member_epoch, reported)?;
        Ok(Admission {
            group_id: Arc::clone(&self.id),
            is_new: !self.members.contains_key(&member_id),
            member_id,
            before,
            replaces: None,
        })
    }

    fn admit_static(
        &self,
        member_id: Arc<str>,
        instance_id: &str,
        request: &ConsumerHeartbeat,
    ) -> Result<Admission, Refusal> {
        if request.member_epoch != 0 {
            let (holder, member) = self.static_member(instance_id)?;
            check_instance(&holder, &member_id, instance_id)?;
            check_epoch(
                member,
                request.member_epoch,
                request.owned_partitions.as_deref(),
            )?;
            return Ok(self.admission(member_id, member.clone(), None));
        }
        let Some(holder) = self.static_members.get(instance_id) else {
            let before = self.members.get(&member_id).cloned();
            return Ok(Admission {
                is_new: before.is_none(),
                ..self.admission(member_id, before.unwrap_or_default(), None)
            });
        };
        let Some(member) = self.members.get(holder) else {
            return Ok(self.admission(member_id, Member::default(), None));
        };
        let is_away = member.current.epoch == STATIC_LEAVE_EPOCH;
        // A classic member does not say that it leaves, so its successor need not wait for that.
        if !is_away && !member.uses_classic_protocol() && *holder != member_id {
            return Err(Refusal::new(
                ErrorCode::UnreleasedInstanceId,
                format!(
                    "Static member {member_id} with instance id {instance_id} cannot join the \
                     group because the instance id is owned by {holder} member."
                ),
            ));
        }
        let replaces = (*holder != member_id || is_away).then(|| Arc::clone(holder));
        let mut before = member.clone();
        if replaces.is_some() {
            before.current.epoch = 0;
            before.current.previous_epoch = 0;
        }
        Ok(self.admission(member_id, before, replaces))
    }

    fn admission(
        &self,
        member_id: Arc<str>,
        before: Member,
        replaces: Option<Arc<str>>,
    ) -> Admission {
        Admission {
            group_id: Arc::clone(&self.id),
            member_id,
            before,
            is_new: false,
            replaces,
        }
    }

    /// The member of that id.
    pub(super) fn known_member(&self, member_id: &str) -> Result<(Arc<str>, &Member), Refusal> {
        let found = self.members.get_key_value(member_id);
        let (id, member) = found.ok_or_else(|| self.unknown_member(member_id))?;
        Ok((Arc::clone(id), member))
    }

    /// The holder of that instance id.
    pub(super) fn static_member(&self, instance_id: &str) -> Result<(Arc<str>, &Member), Refusal> {
        let holder = self.static_members.get(instance_id);
        holder
            .and_then(|id| self.members.get_key_value(id))
            .map(|(id, member)| (Arc::clone(id), member))
            .ok_or_else(|| {
                let text = format!("Instance id {instance_id} is unknown.");
                Refusal::new(ErrorCode::UnknownMemberId, text)
            })
    }

    fn unknown_member(&self, member_id: &str) -> Refusal {
        Refusal::new(
            ErrorCode::UnknownMemberId,
            format!("Member {member_id} is not a member of group {}.", self.id),
        )
    }
}

/// Checks that `member_id` holds the instance id.
pub(super) fn check_instance(
    holder: &str,
    member_id: &str,
    instance_id: &str,
) -> Result<(), Refusal> {
    if holder == member_id {
        return Ok(());
    }
    Err(Refusal::new(
        ErrorCode::FencedInstanceId,
        format!(
            "Static member {member_id} with instance id {instance_id} was fenced by member {holder}."
        ),
    ))
}

/// What the member says of itself, with what this request does not mention as before.
fn updated_metadata(
    before: &Member,
    request: &ConsumerHeartbeat,
) -> crate::consumer::MemberMetadata {
    let mut metadata = before.metadata.clone();
    let update = |field: &mut Option<String>, said: &Option<String>| {
        if said.is_some() {
            field.clone_from(said);
        }
    };
    update(&mut metadata.instance_id, &request.instance_id);
    update(&mut metadata.rack_id, &request.rack_id);
    update(&mut metadata.assignor, &request.server_assignor);
    update(&mut metadata.topic_regex, &request.subscribed_topic_regex);
    if request.rebalance_timeout_ms != -1 {
        metadata.rebalance_timeout_ms = request.rebalance_timeout_ms;
    }
    if let Some(names) = &request.subscribed_topic_names {
        metadata.topic_names = names.iter().cloned().collect();
    }
    metadata.client_id.clone_from(&request.client_id);
    metadata.client_host.clone_from(&request.client_host);
    metadata.classic = None;
    metadata
}

fn not_found(text: String) -> Refusal {
    Refusal::new(ErrorCode::GroupIdNotFound, text)
}

pub(super) fn not_a_consumer_group(group_id: &str) -> Refusal {
    not_found(format!("Group {group_id} is not a consumer group."))
}
