//! A member of a group of the consumer protocol: one request for everything, in which it says what
//! it has, and learns what it shall have.

use std::collections::BTreeMap;

use chronik_model::{Mono, TopicId};
use chronik_protocol::ApiKey;
use chronik_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use chronik_protocol::messages::{
    self, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, GroupId, StrBytes,
};

use super::work::{Task, Work};
use super::{About, Fate, fate, lease_ns};
use crate::actor::{Actor, ActorInput, ActorOutputs};
use crate::client::catalog::Spot;
use crate::client::connection::Reply;
use crate::client::desk::{Desk, News, Terms};
use crate::client::dice::{Dice, MS};
use crate::client::offsets::group_name;
use crate::history::{Fact, Place};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not in the group, and not before that time.
    Away(Mono),
    /// Asked for the coordinator.
    Finding,
    /// In the group, or about to be.
    Member,
    Leaving,
    Gone,
}

/// See the module.
#[derive(Debug)]
pub struct ConsumerMember {
    desk: Desk<About>,
    work: Work,
    state: State,
    session_ms: u64,
    /// Until when nobody else can have its partitions.
    lease: Mono,
    beat_at: Mono,
    beating: bool,
    /// The next heartbeat says everything.
    full: bool,
    /// What it shall have, as it was told last.
    target: Option<Vec<Place>>,
    /// What it said last that it has.
    reported: Vec<Spot>,
    /// What it has to give up once a commit under way has ended.
    revoking: Vec<Spot>,
    assignor: Option<&'static str>,
    restless_at: Mono,
}

impl ConsumerMember {
    /// A member of that group, whose broker takes members for dead after so many ms.
    #[must_use]
    pub fn new(
        terms: Terms,
        (group, session_ms): (u16, u64),
        plans: Vec<usize>,
        dice: Dice,
    ) -> Self {
        let mut desk = Desk::new(terms.clone(), dice);
        let mut work = Work::new(group, plans, &terms, &mut desk);
        if desk.dice.chance(25) {
            work.who.instance = Some(format!("instance-{}", desk.id.0));
        }
        Self {
            work,
            state: State::Away(desk.dice.later(Mono(0), 0, 2_000)),
            session_ms,
            lease: Mono(0),
            beat_at: Mono(0),
            beating: false,
            full: true,
            target: None,
            reported: Vec::new(),
            revoking: Vec::new(),
            assignor: desk.dice.pick(&[None, Some("uniform"), Some("range")]),
            restless_at: desk.dice.later(Mono(0), 3_000, 40_000),
            desk,
        }
    }

    fn act(&mut self, now: Mono, out: &mut ActorOutputs) {
        if self.lease <= now && self.work.owns_any() {
            // Nothing was heard for a whole session: others may have its partitions from now on.
            self.fence(now, out);
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
            State::Member => {
                self.reconcile(now, out);
                if self.beat_at <= now && !self.beating {
                    self.beat(now, out);
                }
                self.work.act(now, &mut self.desk, out);
            }
            State::Away(_) | State::Finding | State::Leaving | State::Gone => {}
        }
    }

    fn find(&mut self, now: Mono, out: &mut ActorOutputs) {
        let api = self.desk.versions.from(ApiKey::FindCoordinator, 4);
        let name = group_name(self.work.group);
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![name]);
        self.state = State::Finding;
        self.desk.send(now, api, &request, About::Find, out);
    }

    fn wind_down(&mut self, now: Mono, out: &mut ActorOutputs) {
        match self.state {
            State::Leaving | State::Gone => {}
            State::Member if self.desk.is_ready() && self.work.who.epoch > 0 => {
                if !self.work.is_committing() && !self.work.commit(now, &mut self.desk, out) {
                    self.leave(now, out);
                }
            }
            State::Member | State::Away(_) | State::Finding => {
                self.work.give_up(None, out);
                self.end(out);
            }
        }
    }

    fn end(&mut self, out: &mut ActorOutputs) {
        for about in self.desk.close(out) {
            self.lose(Mono(0), &about, out);
        }
        self.work.close(out);
        self.state = State::Gone;
    }

    /// Leaves, or dies without a word, and comes back.
    fn be_restless(&mut self, now: Mono, out: &mut ActorOutputs) {
        self.restless_at = self.desk.dice.later(now, 5_000, 60_000);
        let is_in = self.state == State::Member && self.work.who.epoch > 0;
        if is_in && self.desk.is_ready() && self.desk.dice.chance(60) {
            return self.leave(now, out);
        }
        let at = self.desk.dice.later(now, 10, 3_000);
        self.work.restart(at, out);
        for about in self.desk.reconnect(at, out) {
            self.lose(now, &about, out);
        }
        self.forget();
        self.state = State::Away(at);
    }

    /// Comes back as somebody else.
    fn forget(&mut self) {
        self.work.who.member.clear();
        self.begin_anew();
    }

    fn begin_anew(&mut self) {
        self.work.who.epoch = 0;
        self.target = None;
        self.full = true;
        self.reported.clear();
        self.revoking.clear();
    }

    fn fence(&mut self, now: Mono, out: &mut ActorOutputs) {
        self.work.give_up(None, out);
        self.begin_anew();
        self.beat_at = now;
    }

    fn beat(&mut self, now: Mono, out: &mut ActorOutputs) {
        let (key, version) = self.desk.versions.of(ApiKey::ConsumerGroupHeartbeat);
        if self.work.who.member.is_empty() {
            self.begin_anew();
            if version >= OWN_MEMBER_ID {
                self.work.who.member = self.desk.dice.id();
            }
        }
        let joins = self.work.who.epoch == 0;
        let owned = self.work.owned();
        let mut request = self.request(self.work.who.epoch);
        if joins || self.full {
            let names = self.work.plans.iter();
            let names = names.map(|plan| self.desk.catalog.name(*plan));
            request.subscribed_topic_names = Some(names.collect());
            request.rebalance_timeout_ms = REBALANCE_MS;
            request.server_assignor = self.assignor.map(StrBytes::from_static_str);
        }
        if joins || self.full || owned != self.reported {
            request.topic_partitions = Some(by_topic(&owned));
        }
        self.full = false;
        self.reported = owned;
        self.beating = true;
        self.beat_at = Mono(now.0 + self.session_ms * MS / 5);
        if self.desk.dice.chance(3) {
            self.desk.refresh(now);
        }
        self.desk
            .send(now, (key, version), &request, About::Heartbeat, out);
    }

    fn request(&self, epoch: i32) -> ConsumerGroupHeartbeatRequest {
        let who = &self.work.who;
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(group_name(self.work.group)))
            .with_member_id(StrBytes::from_string(who.member.clone()))
            .with_member_epoch(epoch)
            .with_instance_id(who.instance.clone().map(StrBytes::from_string))
            .with_rebalance_timeout_ms(-1)
            .with_subscribed_topic_names(None)
            .with_topic_partitions(None)
    }

    fn take_beat(&mut self, now: Mono, reply: &Reply<About>, out: &mut ActorOutputs) {
        self.beating = false;
        let response = self.desk.read::<ConsumerGroupHeartbeatResponse>(reply, out);
        let Some(response) = response.filter(|_| self.state == State::Member) else {
            return;
        };
        if response.error_code != 0 {
            return self.fail(now, response.error_code, out);
        }
        if let Some(member) = &response.member_id
            && self.work.who.member.is_empty()
        {
            self.work.who.member = member.to_string();
        }
        if self.work.who.member.is_empty() {
            let what = "a member joined and was not told its id";
            out.facts.push(Fact::Protocol(what.to_owned()));
        }
        let lease = Mono(reply.sent_at.0 + lease_ns(self.session_ms));
        self.lease = self.lease.max(lease);
        self.work.who.epoch = response.member_epoch;
        if let Some(assignment) = &response.assignment {
            let topics = assignment.topic_partitions.iter();
            let places = topics.flat_map(|topic| {
                let id = messages::topic_id(topic.topic_id);
                let partitions = topic.partitions.iter();
                partitions.map(move |partition| Place {
                    topic: id,
                    partition: *partition,
                })
            });
            self.target = Some(places.collect());
        }
        self.reconcile(now, out);
    }

    /// Goes from what it has to what it shall have: first it gives up, and says so; then it takes.
    fn reconcile(&mut self, now: Mono, out: &mut ActorOutputs) {
        if !self.revoking.is_empty() && !self.work.is_committing() {
            let gone = std::mem::take(&mut self.revoking);
            self.work.give_up(Some(&gone), out);
            self.beat_at = now;
        }
        let Some(target) = &self.target else { return };
        if self.lease <= now || !self.revoking.is_empty() || self.work.who.epoch <= 0 {
            return;
        }
        let Some(mut wanted) = self.known(target) else {
            // A topic that this member has not heard of yet.
            return self.desk.refresh(now);
        };
        wanted.sort_unstable();
        self.target = None;
        let owned = self.work.owned();
        let gone: Vec<Spot> = owned
            .iter()
            .filter(|spot| !wanted.contains(spot))
            .copied()
            .collect();
        if !gone.is_empty() {
            self.target = Some(wanted.iter().map(|spot| spot.place).collect());
            self.work.commit(now, &mut self.desk, out);
            self.revoking = gone;
            if !self.work.is_committing() {
                self.reconcile(now, out);
            }
            return;
        }
        if wanted != owned {
            self.work.own(now, &wanted, out);
            self.beat_at = now;
        }
    }

    fn known(&self, target: &[Place]) -> Option<Vec<Spot>> {
        let spots = target.iter().map(|place| {
            let plan = self.desk.catalog.plan_of(place.topic)?;
            let known = self.desk.catalog.known(plan)?;
            let spot = Spot {
                plan,
                place: *place,
            };
            (place.partition < known.partitions).then_some(spot)
        });
        spots.collect()
    }

    fn fail(&mut self, now: Mono, code: i16, out: &mut ActorOutputs) {
        self.full = true;
        match fate(code) {
            Some(Fate::Again) => {
                self.state = State::Away(self.desk.dice.later(now, 20, 100));
            }
            Some(Fate::Fenced) => {
                self.fence(now, out);
                if code == FENCED_INSTANCE_ID {
                    self.forget();
                }
                self.beat_at = self.desk.dice.later(now, 0, 50);
            }
            Some(Fate::Occupied) => {
                self.forget();
                self.beat_at = self.desk.dice.later(now, 100, 500);
            }
            Some(Fate::Rebalance) | None => {
                let what = format!("a member of a consumer group is told error {code}");
                out.facts.push(Fact::Protocol(what));
            }
        }
    }

    fn leave(&mut self, now: Mono, out: &mut ActorOutputs) {
        self.work.give_up(None, out);
        self.state = State::Leaving;
        let epoch = match self.work.who.instance {
            Some(_) => STATIC_LEAVE_EPOCH,
            None => LEAVE_EPOCH,
        };
        let request = self.request(epoch);
        let api = self.desk.versions.of(ApiKey::ConsumerGroupHeartbeat);
        self.desk.send(now, api, &request, About::Leave, out);
    }

    fn after_leave(&mut self, now: Mono, out: &mut ActorOutputs) {
        if self.desk.is_winding_down() {
            return self.end(out);
        }
        self.forget();
        self.state = State::Away(self.desk.dice.later(now, 10, 3_000));
    }

    fn lose(&mut self, now: Mono, about: &About, out: &mut ActorOutputs) {
        match about {
            About::Heartbeat => {
                self.beating = false;
                self.full = true;
                self.beat_at = now;
            }
            About::Work(task) => self.work.lose(task, out),
            About::Find | About::Join | About::Sync | About::Leave => {}
        }
    }

    fn hear(&mut self, now: Mono, news: News<About>, out: &mut ActorOutputs) {
        match news {
            News::Learnt => {}
            News::Lost(abouts) => {
                for about in abouts {
                    self.lose(now, &about, out);
                    match about {
                        About::Find => self.state = State::Away(now),
                        About::Leave => self.after_leave(now, out),
                        About::Heartbeat | About::Work(_) | About::Join | About::Sync => {}
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
                let code = response.coordinators.first().map_or(-1, |it| it.error_code);
                if code == 0 {
                    self.state = State::Member;
                    self.beat_at = now;
                } else {
                    self.fail(now, code, out);
                }
            }
            About::Heartbeat => self.take_beat(now, reply, out),
            About::Leave => {
                self.desk.read::<ConsumerGroupHeartbeatResponse>(reply, out);
                self.after_leave(now, out);
            }
            About::Work(task) => {
                let work = &mut self.work;
                let error = work.take(now, (task, reply), &mut self.desk, out);
                if matches!(task, Task::Commit(_)) && error.is_some_and(|code| code != 0) {
                    self.beat_at = now;
                }
            }
            About::Join | About::Sync => {}
        }
    }
}

impl Actor for ConsumerMember {
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
            State::Member => Some(self.beat_at).filter(|_| ready && !self.beating),
            State::Finding | State::Leaving | State::Gone => None,
        };
        let works = self.state == State::Member;
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
            "member {} of consumer group {} at epoch {}: {:?}",
            self.work.who.member, self.work.group, self.work.who.epoch, self.state
        )
    }

    fn operations(&self) -> u64 {
        self.desk.operations() + self.work.operations()
    }
}

fn by_topic(spots: &[Spot]) -> Vec<TopicPartitions> {
    let mut topics: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
    for spot in spots {
        let partitions = topics.entry(spot.place.topic).or_default();
        partitions.push(spot.place.partition);
    }
    let topics = topics.into_iter().map(|(id, partitions)| {
        TopicPartitions::default()
            .with_topic_id(messages::uuid(id))
            .with_partitions(partitions)
    });
    topics.collect()
}

/// First version in which members make their ids.
const OWN_MEMBER_ID: i16 = 1;
const LEAVE_EPOCH: i32 = -1;
const STATIC_LEAVE_EPOCH: i32 = -2;
const FENCED_INSTANCE_ID: i16 = 82;
/// Longer than any session timeout here: a member that does not hear what to give up has given up
/// everything before its partitions go to others.
const REBALANCE_MS: i32 = 8_000;
