//! A member of a classic group: joins, syncs, sends heartbeats, and gives up what it has before
//! another one can get it.

use bytes::Bytes;
use chronik_model::Mono;
use chronik_protocol::ApiKey;
use chronik_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use chronik_protocol::messages::leave_group_request::MemberIdentity;
use chronik_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use chronik_protocol::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, GroupId, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, StrBytes,
    SyncGroupRequest, SyncGroupResponse,
};

use super::assignment::{assignment, read_assignment, share, subscription};
use super::work::{Task, Work};
use super::{About, Fate, Protocol, fate, lease_ns, protocol_of};
use crate::actor::{Actor, ActorInput, ActorOutputs};
use crate::client::catalog::Spot;
use crate::client::connection::Reply;
use crate::client::desk::{Desk, News, Terms};
use crate::client::dice::{Dice, MS};
use crate::client::offsets::{Credentials, group_name};
use crate::history::Fact;

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Not in the group, and not before that time.
    Away(Mono),
    /// Asked for the coordinator.
    Finding,
    /// About to join, once a commit under way has ended.
    Revoking,
    /// Waits for the others since then.
    Joining,
    /// Waits for its assignment.
    Syncing,
    /// Has its assignment, but not heard yet that its session still runs.
    Confirming(Vec<Spot>),
    Stable,
    Leaving,
    Gone,
}

/// See the module.
#[derive(Debug)]
pub struct ClassicMember {
    desk: Desk<About>,
    work: Work,
    state: State,
    protocol: Protocol,
    session_ms: u64,
    /// Until when nobody else can have its partitions.
    lease: Mono,
    /// When the join of this generation was sent.
    joined: Mono,
    heartbeat_at: Mono,
    beating: bool,
    /// How many partitions the leader has shared out.
    shared: Option<usize>,
    /// When it leaves, or dies, to come back later.
    restless_at: Mono,
}

impl ClassicMember {
    /// A member of that group.
    #[must_use]
    pub fn new(terms: Terms, group: u16, plans: Vec<usize>, dice: Dice) -> Self {
        let mut desk = Desk::new(terms.clone(), dice);
        let mut work = Work::new(group, plans, &terms, &mut desk);
        let (_, join_version) = desk.versions.of(ApiKey::JoinGroup);
        if join_version >= FIRST_WITH_INSTANCES && desk.dice.chance(30) {
            work.who.instance = Some(format!("instance-{}", desk.id.0));
        }
        Self {
            work,
            state: State::Away(desk.dice.later(Mono(0), 0, 2_000)),
            protocol: protocol_of(group),
            session_ms: desk.dice.pick(&[1_500, 3_000, 6_000]),
            lease: Mono(0),
            joined: Mono(0),
            heartbeat_at: Mono(0),
            beating: false,
            shared: None,
            restless_at: desk.dice.later(Mono(0), 3_000, 40_000),
            desk,
        }
    }

    fn group_id(&self) -> GroupId {
        GroupId(group_name(self.work.group))
    }

    fn member_id(&self) -> StrBytes {
        StrBytes::from_string(self.work.who.member.clone())
    }

    fn instance_id(&self, version: i16, since: i16) -> Option<StrBytes> {
        let instance = self.work.who.instance.clone();
        instance
            .filter(|_| version >= since)
            .map(StrBytes::from_string)
    }

    fn act(&mut self, now: Mono, out: &mut ActorOutputs) {
        if self.lease <= now && self.work.owns_any() {
            // Nothing was heard for a whole session: others may have its partitions from now on.
            self.work.give_up(None, out);
            if self.state == State::Stable {
                self.state = State::Away(now);
            }
        }
        if self.desk.is_winding_down() {
            self.wind_down(now, out);
        } else if self.restless_at <= now {
            self.be_restless(now, out);
        }
        if !self.desk.is_ready() {
            return;
        }
        match self.state {
            State::Away(at) if at <= now => self.find(now, out),
            State::Revoking if !self.work.is_committing() => self.join(now, out),
            State::Stable | State::Confirming(_) if self.heartbeat_at <= now => {
                self.heartbeat(now, out);
            }
            State::Away(_)
            | State::Finding
            | State::Revoking
            | State::Joining
            | State::Syncing
            | State::Confirming(_)
            | State::Stable
            | State::Leaving
            | State::Gone => {}
        }
        if !matches!(self.state, State::Revoking | State::Leaving) {
            self.work.act(now, &mut self.desk, out);
        }
    }

    /// Leaves in good order, or at once where it is not in the group.
    fn wind_down(&mut self, now: Mono, out: &mut ActorOutputs) {
        match self.state {
            State::Leaving | State::Gone => {}
            State::Stable if self.desk.is_ready() => {
                if !self.work.is_committing() && !self.work.commit(now, &mut self.desk, out) {
                    self.leave(now, out);
                }
            }
            State::Stable
            | State::Away(_)
            | State::Finding
            | State::Revoking
            | State::Joining
            | State::Syncing
            | State::Confirming(_) => {
                self.work.give_up(None, out);
                self.end(out);
            }
        }
    }

    fn end(&mut self, out: &mut ActorOutputs) {
        for about in self.desk.close(out) {
            self.lose(&about, out);
        }
        self.work.close(out);
        self.state = State::Gone;
    }

    /// Leaves, or dies without a word, and comes back.
    fn be_restless(&mut self, now: Mono, out: &mut ActorOutputs) {
        self.restless_at = self.desk.dice.later(now, 5_000, 60_000);
        let is_stable = self.state == State::Stable && self.desk.is_ready();
        if is_stable && self.work.who.instance.is_none() && self.desk.dice.chance(60) {
            return self.leave(now, out);
        }
        let at = self.desk.dice.later(now, 10, 3_000);
        self.work.restart(at, out);
        for about in self.desk.reconnect(at, out) {
            self.lose(&about, out);
        }
        self.work.who.member.clear();
        self.work.who.epoch = -1;
        self.state = State::Away(at);
    }

    fn find(&mut self, now: Mono, out: &mut ActorOutputs) {
        let (key, version) = self.desk.versions.of(ApiKey::FindCoordinator);
        let name = group_name(self.work.group);
        let request = if version >= FIRST_WITH_MANY_KEYS {
            FindCoordinatorRequest::default().with_coordinator_keys(vec![name])
        } else {
            FindCoordinatorRequest::default().with_key(name)
        };
        self.state = State::Finding;
        self.desk
            .send(now, (key, version), &request, About::Find, out);
    }

    /// Commits what was read, gives up what the protocol wants to be given up, and joins.
    fn rejoin(&mut self, now: Mono, out: &mut ActorOutputs) {
        self.work.commit(now, &mut self.desk, out);
        self.state = State::Revoking;
        if !self.work.is_committing() && self.desk.is_ready() {
            self.join(now, out);
        }
    }

    fn join(&mut self, now: Mono, out: &mut ActorOutputs) {
        if self.protocol == Protocol::Eager {
            self.work.give_up(None, out);
        }
        let (key, version) = self.desk.versions.of(ApiKey::JoinGroup);
        let owned = self.work.owned();
        let generation = self.work.who.epoch;
        let metadata = subscription(&self.work.plans, &owned, generation, &self.desk.catalog);
        let name = match self.protocol {
            Protocol::Eager => "range",
            Protocol::Cooperative | Protocol::Consumer => "cooperative-sticky",
        };
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str(name))
            .with_metadata(metadata);
        let session_ms = i32::try_from(self.session_ms).unwrap_or(i32::MAX);
        let mut request = JoinGroupRequest::default()
            .with_group_id(self.group_id())
            .with_session_timeout_ms(session_ms)
            .with_member_id(self.member_id())
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![protocol])
            .with_group_instance_id(self.instance_id(version, FIRST_WITH_INSTANCES));
        if version >= 1 {
            request.rebalance_timeout_ms = REBALANCE_MS;
        }
        self.joined = now;
        self.state = State::Joining;
        let patience = (now, u64::from(REBALANCE_MS.unsigned_abs()) + 5_000);
        self.desk
            .send_patiently(patience, (key, version), &request, About::Join, out);
    }

    fn take_join(&mut self, now: Mono, reply: &Reply<About>, out: &mut ActorOutputs) {
        let Some(response) = self.desk.read::<JoinGroupResponse>(reply, out) else {
            return;
        };
        if self.state != State::Joining {
            return;
        }
        if response.error_code == MEMBER_ID_REQUIRED {
            self.work.who.member = response.member_id.to_string();
            return self.join(now, out);
        }
        if response.error_code != 0 {
            return self.fail(now, response.error_code, out);
        }
        let member = response.member_id.to_string();
        if member != self.work.who.member {
            // What it has, it has under another name.
            self.work.give_up(None, out);
        }
        self.work.enter(Credentials {
            member,
            epoch: response.generation_id,
            ..self.work.who.clone()
        });
        let leads = response.leader == response.member_id;
        self.shared = leads.then(|| self.partitions());
        let shares = if leads && !response.skip_assignment {
            self.share_out(&response)
        } else {
            Vec::new()
        };
        self.sync(now, &response, shares, out);
    }

    /// How many partitions there are to share out.
    fn partitions(&self) -> usize {
        let plans = self.work.plans.iter();
        plans
            .map(|plan| self.desk.catalog.spots(*plan).count())
            .sum()
    }

    fn share_out(&self, response: &JoinGroupResponse) -> Vec<SyncGroupRequestAssignment> {
        let members = response.members.iter();
        let members: Vec<(String, Bytes)> = members
            .map(|member| (member.member_id.to_string(), member.metadata.clone()))
            .collect();
        let catalog = &self.desk.catalog;
        let sticky = self.protocol == Protocol::Cooperative;
        let shares = share(&members, &self.work.plans, sticky, catalog);
        let shares = shares.into_iter().map(|(member, spots)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(StrBytes::from_string(member))
                .with_assignment(assignment(&spots, catalog))
        });
        shares.collect()
    }

    fn sync(
        &mut self,
        now: Mono,
        joined: &JoinGroupResponse,
        shares: Vec<SyncGroupRequestAssignment>,
        out: &mut ActorOutputs,
    ) {
        let (key, version) = self.desk.versions.of(ApiKey::SyncGroup);
        let mut request = SyncGroupRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(self.work.who.epoch)
            .with_member_id(self.member_id())
            .with_assignments(shares)
            .with_group_instance_id(self.instance_id(version, 3));
        if version >= 5 {
            request.protocol_type = Some(StrBytes::from_static_str("consumer"));
            request.protocol_name = joined.protocol_name.clone();
        }
        self.state = State::Syncing;
        let patience = (now, u64::from(REBALANCE_MS.unsigned_abs()) + 5_000);
        self.desk
            .send_patiently(patience, (key, version), &request, About::Sync, out);
    }

    fn take_sync(&mut self, now: Mono, reply: &Reply<About>, out: &mut ActorOutputs) {
        let Some(response) = self.desk.read::<SyncGroupResponse>(reply, out) else {
            return;
        };
        if self.state != State::Syncing {
            return;
        }
        if response.error_code != 0 {
            return self.fail(now, response.error_code, out);
        }
        let Some(spots) = read_assignment(&response.assignment, &self.desk.catalog) else {
            // A partition that this member has not heard of yet.
            self.desk.refresh(now);
            self.state = State::Away(self.desk.dice.later(now, 100, 300));
            return;
        };
        self.state = State::Confirming(spots);
        self.heartbeat_at = now;
        // The coordinator counts the session from when it answered the join, at the earliest.
        let lease = Mono(self.joined.0 + lease_ns(self.session_ms));
        if lease > now {
            self.lease = self.lease.max(lease);
            self.confirm(now, out);
        }
    }

    /// The assignment is the member's own now.
    fn confirm(&mut self, now: Mono, out: &mut ActorOutputs) {
        let State::Confirming(spots) = std::mem::replace(&mut self.state, State::Stable) else {
            return;
        };
        self.heartbeat_at = Mono(now.0 + self.session_ms * MS / 6);
        let before = self.work.owned();
        let gone: Vec<Spot> = before
            .into_iter()
            .filter(|spot| !spots.contains(spot))
            .collect();
        if !gone.is_empty() {
            self.work.give_up(Some(&gone), out);
        }
        self.work.own(now, &spots, out);
        if !gone.is_empty() && self.protocol == Protocol::Cooperative {
            self.rejoin(now, out);
        }
    }

    fn heartbeat(&mut self, now: Mono, out: &mut ActorOutputs) {
        if self.beating {
            return;
        }
        self.beating = true;
        if self.desk.dice.chance(3) {
            self.desk.refresh(now);
        }
        self.heartbeat_at = Mono(now.0 + self.session_ms * MS / 6);
        let (key, version) = self.desk.versions.of(ApiKey::Heartbeat);
        let request = HeartbeatRequest::default()
            .with_group_id(self.group_id())
            .with_generation_id(self.work.who.epoch)
            .with_member_id(self.member_id())
            .with_group_instance_id(self.instance_id(version, 3));
        self.desk
            .send(now, (key, version), &request, About::Heartbeat, out);
    }

    fn take_heartbeat(&mut self, now: Mono, reply: &Reply<About>, out: &mut ActorOutputs) {
        self.beating = false;
        let Some(response) = self.desk.read::<HeartbeatResponse>(reply, out) else {
            return;
        };
        if response.error_code == 0 {
            self.lease = self
                .lease
                .max(Mono(reply.sent_at.0 + lease_ns(self.session_ms)));
            if matches!(self.state, State::Confirming(_)) && self.lease > now {
                self.confirm(now, out);
            } else if self.state == State::Stable {
                self.work.commit_stale(now, &mut self.desk, out);
            }
        } else if fate(response.error_code) == Some(Fate::Again) {
            self.heartbeat_at = self.desk.dice.later(now, 20, 100);
        } else if matches!(self.state, State::Stable | State::Confirming(_)) {
            self.fail(now, response.error_code, out);
        }
    }

    fn leave(&mut self, now: Mono, out: &mut ActorOutputs) {
        self.work.give_up(None, out);
        if self.work.who.instance.is_some() {
            // Static members come back; nobody is told.
            return self.end(out);
        }
        self.state = State::Leaving;
        let (key, version) = self.desk.versions.of(ApiKey::LeaveGroup);
        let mut request = LeaveGroupRequest::default().with_group_id(self.group_id());
        if version >= 3 {
            let member = MemberIdentity::default().with_member_id(self.member_id());
            request.members = vec![member];
        } else {
            request.member_id = self.member_id();
        }
        self.desk
            .send(now, (key, version), &request, About::Leave, out);
    }

    fn after_leave(&mut self, now: Mono, out: &mut ActorOutputs) {
        if self.desk.is_winding_down() {
            return self.end(out);
        }
        self.work.who.member.clear();
        self.work.who.epoch = -1;
        self.state = State::Away(self.desk.dice.later(now, 10, 3_000));
    }

    fn fail(&mut self, now: Mono, code: i16, out: &mut ActorOutputs) {
        let Some(fate) = fate(code) else {
            let what = format!("a member of a classic group is told error {code}");
            out.facts.push(Fact::Protocol(what));
            return;
        };
        match fate {
            Fate::Rebalance if self.state == State::Stable => self.rejoin(now, out),
            Fate::Rebalance => self.rejoin_later(now),
            Fate::Again => {
                self.state = State::Away(self.desk.dice.later(now, 20, 200));
            }
            Fate::Fenced | Fate::Occupied => {
                self.work.give_up(None, out);
                if code != ILLEGAL_GENERATION {
                    self.work.who.member.clear();
                }
                self.work.who.epoch = -1;
                self.rejoin_later(now);
            }
        }
    }

    fn rejoin_later(&mut self, now: Mono) {
        self.state = State::Away(self.desk.dice.later(now, 0, 50));
    }

    fn lose(&mut self, about: &About, out: &mut ActorOutputs) {
        match about {
            About::Heartbeat => self.beating = false,
            About::Work(task) => self.work.lose(task, out),
            About::Find | About::Join | About::Sync | About::Leave => {}
        }
    }

    fn hear(&mut self, now: Mono, news: News<About>, out: &mut ActorOutputs) {
        match news {
            News::Learnt => {
                let has_changed = self
                    .shared
                    .is_some_and(|shared| shared != self.partitions());
                if has_changed && self.state == State::Stable {
                    self.rejoin(now, out);
                }
            }
            News::Lost(abouts) => {
                for about in abouts {
                    self.lose(&about, out);
                    match about {
                        About::Find | About::Join | About::Sync => {
                            self.state = State::Away(now);
                        }
                        About::Leave => self.after_leave(now, out),
                        About::Heartbeat | About::Work(_) => {}
                    }
                }
            }
            News::Reply(reply) => self.take(now, &reply, out),
        }
    }

    fn take(&mut self, now: Mono, reply: &Reply<About>, out: &mut ActorOutputs) {
        match &reply.about {
            About::Find => {
                let response = self.desk.read::<FindCoordinatorResponse>(reply, out);
                let Some(response) = response else { return };
                if self.state != State::Finding {
                    return;
                }
                let first = response.coordinators.first();
                let code = first.map_or(response.error_code, |it| it.error_code);
                match code {
                    0 => self.rejoin(now, out),
                    _ => self.fail(now, code, out),
                }
            }
            About::Join => self.take_join(now, reply, out),
            About::Sync => self.take_sync(now, reply, out),
            About::Heartbeat => self.take_heartbeat(now, reply, out),
            About::Leave => {
                self.desk.read::<LeaveGroupResponse>(reply, out);
                self.after_leave(now, out);
            }
            About::Work(task) => {
                let work = &mut self.work;
                let error = work.take(now, (task, reply), &mut self.desk, out);
                self.after_commit(now, task, error);
            }
        }
    }

    /// A commit that is refused may tell before a heartbeat does that the member is none.
    fn after_commit(&mut self, now: Mono, task: &Task, error: Option<i16>) {
        if matches!(task, Task::Commit(_)) && error.is_some_and(|code| code != 0) {
            self.heartbeat_at = now;
        }
    }
}

impl Actor for ClassicMember {
    fn step(&mut self, now: Mono, input: ActorInput, out: &mut ActorOutputs) {
        if self.state == State::Gone {
            return;
        }
        self.work.step(now, &input, &mut self.desk, out);
        for news in self.desk.step(now, &input, out) {
            self.hear(now, news, out);
        }
        self.act(now, out);
    }

    fn deadline(&self) -> Option<Mono> {
        if self.state == State::Gone {
            return None;
        }
        let ready = self.desk.is_ready();
        let next = match self.state {
            State::Away(at) => Some(at).filter(|_| ready),
            State::Stable | State::Confirming(_) => {
                Some(self.heartbeat_at).filter(|_| ready && !self.beating)
            }
            State::Finding
            | State::Revoking
            | State::Joining
            | State::Syncing
            | State::Leaving
            | State::Gone => None,
        };
        let works = !matches!(self.state, State::Revoking | State::Leaving);
        let work = self.work.deadline(&self.desk).filter(|_| works);
        let lease = Some(self.lease).filter(|_| self.work.owns_any());
        let restless = Some(self.restless_at).filter(|_| !self.desk.is_winding_down());
        [self.desk.deadline(), next, work, lease, restless]
            .into_iter()
            .flatten()
            .min()
    }

    fn is_done(&self) -> bool {
        self.state == State::Gone
    }

    fn state(&self) -> String {
        format!(
            "{:?} member {} of group {} at generation {}: {:?}",
            self.protocol, self.work.who.member, self.work.group, self.work.who.epoch, self.state
        )
    }

    fn operations(&self) -> u64 {
        self.desk.operations() + self.work.operations()
    }
}

const MEMBER_ID_REQUIRED: i16 = 79;
const ILLEGAL_GENERATION: i16 = 22;
const FIRST_WITH_MANY_KEYS: i16 = 4;
/// First version of JoinGroup with static members.
const FIRST_WITH_INSTANCES: i16 = 5;
/// Longer than any session timeout here: a member that does not hear of a rebalance has given up
/// everything before the rebalance goes on without it.
const REBALANCE_MS: i32 = 8_000;
