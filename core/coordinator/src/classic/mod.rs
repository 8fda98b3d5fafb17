//! Groups of the classic protocol: members join, one of them leads and assigns, all fetch what they
//! were assigned.
//!
//! [`ClassicGroup`] keeps the state; how it moves is written in `join`, `rebalance`, `sync` and
//! `members`, as parts of the coordinator. Only what a group metadata record holds is durable: the
//! generation that last got its assignment. A rebalance on its way is soft state, and starts anew
//! after loading.

mod describe;
mod join;
mod member;
mod members;
mod protocols;
mod rebalance;
mod state;
mod static_join;
mod subscription;
mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use chronik_model::ErrorCode;

pub(crate) use member::{Member, Protocols};
pub(crate) use members::start_session;
pub(crate) use state::State;

use crate::record::GroupMetadataValue;
use rebalance::InitialWait;

/// Protocol type of Kafka's consumers.
pub(crate) const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// A group of the classic protocol.
#[derive(Debug)]
pub(crate) struct ClassicGroup {
    id: Arc<str>,
    state: State,
    /// The state before this one.
    previous: State,
    /// Wall clock of the last change of state in ms, where known.
    state_ms: Option<i64>,
    /// None until a first member joined.
    protocol_type: Option<Arc<str>>,
    /// Chosen for this generation.
    protocol: Option<Arc<str>>,
    generation: i32,
    leader: Option<Arc<str>>,
    members: BTreeMap<Arc<str>, Member>,
    /// Member ids by group instance id.
    static_members: BTreeMap<Arc<str>, Arc<str>>,
    /// Members that were told their id and have not joined with it.
    pending: BTreeSet<Arc<str>>,
    /// Members of this generation that have not asked for their assignment.
    pending_sync: BTreeSet<Arc<str>>,
    /// Number of members with a JoinGroup that waits.
    awaiting_join: usize,
    /// Number of members that support a protocol.
    support: BTreeMap<Arc<str>, usize>,
    /// Topics that members read, where that is known.
    subscribed: Option<BTreeSet<Box<str>>>,
    /// The first rebalance of an empty group waits for more members.
    initial_wait: Option<InitialWait>,
}

impl ClassicGroup {
    /// A group without members, and no record yet.
    pub(crate) const fn new(id: Arc<str>) -> Self {
        Self {
            id,
            state: State::Empty,
            previous: State::Empty,
            state_ms: None,
            protocol_type: None,
            protocol: None,
            generation: 0,
            leader: None,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            awaiting_join: 0,
            support: BTreeMap::new(),
            subscribed: None,
            initial_wait: None,
        }
    }

    /// Takes in a record: the group is as it says, and those of its members that are known already
    /// keep who waits for them.
    pub(crate) fn install(&mut self, value: GroupMetadataValue) {
        let protocol: Arc<str> = value.protocol.as_deref().unwrap_or_default().into();
        let mut known = std::mem::take(&mut self.members);
        for record in value.members {
            let member_id = Arc::clone(&record.member_id);
            let mut member = Member::from_record(&protocol, record);
            if let Some(before) = known.remove(&member_id) {
                member.keep_soft_state(&protocol, before);
            }
            self.members.insert(member_id, member);
        }
        self.protocol_type = (!value.protocol_type.is_empty()).then(|| value.protocol_type.into());
        self.protocol = value.protocol.map(|_| protocol);
        self.generation = value.generation;
        self.state_ms = (value.state_ms != -1).then_some(value.state_ms);
        self.leader = value
            .leader
            .filter(|leader| self.members.contains_key(leader))
            .or_else(|| self.members.keys().next().cloned());
        self.previous = self.state;
        self.state = if self.members.is_empty() {
            State::Empty
        } else {
            State::Stable
        };
        self.recount();
        self.subscribed = self.subscribed_topics();
    }

    /// Makes what follows from the members anew.
    fn recount(&mut self) {
        self.static_members.clear();
        self.support.clear();
        self.awaiting_join = 0;
        for (member_id, member) in &self.members {
            if let Some(instance_id) = &member.instance_id {
                let (instance_id, member_id) = (Arc::clone(instance_id), Arc::clone(member_id));
                self.static_members.insert(instance_id, member_id);
            }
            for (name, _) in &member.protocols {
                *self.support.entry(Arc::clone(name)).or_default() += 1;
            }
            self.awaiting_join += usize::from(member.joining.is_some());
        }
    }

    /// The record of this group, with what `assignment` says of each member.
    pub(crate) fn record(
        &self,
        state_ms: i64,
        assignment: impl Fn(&str, &Member) -> Bytes,
    ) -> GroupMetadataValue {
        let protocol = self.protocol.as_deref();
        let member = |(id, member): (&Arc<str>, &Member)| {
            member.to_record(id, protocol.unwrap_or_default(), assignment(id, member))
        };
        GroupMetadataValue {
            protocol_type: self.protocol_type().unwrap_or_default().to_owned(),
            generation: self.generation,
            protocol: protocol.map(str::to_owned),
            leader: self.leader.clone(),
            state_ms,
            members: self.members.iter().map(member).collect(),
        }
    }

    /// State.
    pub(crate) const fn state(&self) -> State {
        self.state
    }

    /// Whether it has no members and waits for none.
    pub(crate) fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    /// Generation; 0 before the first.
    pub(crate) const fn generation(&self) -> i32 {
        self.generation
    }

    /// None until a first member joined.
    pub(crate) fn protocol_type(&self) -> Option<&str> {
        self.protocol_type.as_deref()
    }

    /// Chosen for this generation.
    pub(crate) fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Members by id.
    pub(crate) const fn members(&self) -> &BTreeMap<Arc<str>, Member> {
        &self.members
    }

    /// Whether its members are Kafka's consumers.
    pub(crate) fn is_of_consumers(&self) -> bool {
        self.protocol_type() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    /// Whether members read `topic`, as far as that is known: consumers whose subscription can not
    /// be read may read anything.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.is_of_consumers(),
        }
    }

    /// From when on the retention of an offset counts that was committed at `commit_ms`; none while
    /// offsets of this group do not expire.
    pub(crate) fn retention_base_ms(&self, commit_ms: i64) -> Option<i64> {
        if self.protocol_type.is_none() {
            return Some(commit_ms);
        }
        match self.state {
            State::Empty => Some(self.state_ms.unwrap_or(commit_ms)),
            State::Stable if self.is_of_consumers() && self.subscribed.is_some() => Some(commit_ms),
            State::Stable | State::PreparingRebalance | State::CompletingRebalance => None,
        }
    }

    /// Whether who says to be this member is it.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID.
    pub(crate) fn check_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ErrorCode::UnknownMemberId),
                Some(known) if **known != *member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(member_id) {
            Ok(())
        } else {
            Err(ErrorCode::UnknownMemberId)
        }
    }

    fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    fn all_joined(&self) -> bool {
        self.members.len() == self.awaiting_join && self.pending.is_empty()
    }

    /// How long a rebalance waits, in ms.
    fn rebalance_timeout_ms(&self) -> i64 {
        let longest = self.members.values().map(|m| m.rebalance_timeout_ms).max();
        i64::from(longest.unwrap_or(0).max(0))
    }

    fn transition(&mut self, state: State, wall_ms: i64) {
        self.previous = self.state;
        self.state = state;
        self.state_ms = Some(wall_ms);
    }

    /// Adds a member; the first of all leads.
    fn add(&mut self, member_id: &Arc<str>, protocol_type: &str, member: Member) {
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.into());
        }
        if let Some(instance_id) = &member.instance_id {
            let (instance_id, member_id) = (Arc::clone(instance_id), Arc::clone(member_id));
            self.static_members.insert(instance_id, member_id);
        }
        self.count_support(&member.protocols);
        self.awaiting_join += usize::from(member.joining.is_some());
        self.pending.remove(member_id);
        self.leader.get_or_insert_with(|| Arc::clone(member_id));
        self.members.insert(Arc::clone(member_id), member);
    }

    /// Removes a member, or one that was only told its id. Another member leads where it did.
    fn remove(&mut self, member_id: &str) -> Option<Member> {
        self.pending.remove(member_id);
        self.pending_sync.remove(member_id);
        let member = self.members.remove(member_id)?;
        self.discount_support(&member.protocols);
        self.awaiting_join -= usize::from(member.joining.is_some());
        if let Some(instance_id) = &member.instance_id {
            self.static_members.remove(instance_id);
        }
        if self.is_leader(member_id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    fn count_support(&mut self, protocols: &Protocols) {
        for (name, _) in protocols {
            *self.support.entry(Arc::clone(name)).or_default() += 1;
        }
    }

    fn discount_support(&mut self, protocols: &Protocols) {
        for (name, _) in protocols {
            if let Some(count) = self.support.get_mut(name) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.support.remove(name);
                }
            }
        }
    }
}
