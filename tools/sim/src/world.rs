//! Brokers, the network between them and the actors, the plan of what goes wrong, and one schedule for
//! all of it.

mod counters;
mod event;
mod stage;
mod trace;

use std::fmt;
use std::rc::Rc;

use chronik_model::Mono;
use chronik_node::Shard;

use crate::actor::{Actor, ActorId, ActorInput, ActorOutputs, BrokerId, LinkOp};
use crate::checker::Violation;
use crate::history::{Entry, Happening};
use crate::host::Host;
use crate::network::{Network, NetworkEvent, Piece, WireId};
use crate::plan::{Fault, Plan};
use crate::random::{Purpose, Seed};
use crate::run::Setup;

pub use counters::Counters;
pub use event::Event;
pub use stage::Stage;
pub use trace::{Note, Trace, Tracer};

/// An actor that does not do what it wanted to wake for is not asked again at once.
const MIN_WAIT_NS: u64 = 1_000;

/// A shard that has just taken a step.
#[derive(Debug)]
pub struct ShardStep<'a> {
    /// Its broker.
    pub broker: BrokerId,
    /// The broker's processes until now, this one included.
    pub life: u32,
    /// Its place in the broker.
    pub shard: u16,
    /// The machine itself.
    pub machine: &'a Shard,
    /// World time.
    pub now: Mono,
}

/// Who watches a world, and says when a promise was broken.
pub trait Watch: fmt::Debug {
    /// A shard took a step.
    ///
    /// # Errors
    /// An invariant of it does not hold.
    fn after_shard_step(&mut self, step: &ShardStep<'_>) -> Result<(), Violation>;

    /// The history goes on.
    ///
    /// # Errors
    /// It can not be that of a log that keeps its promises.
    fn fact(&mut self, entry: &Entry) -> Result<(), Violation>;

    /// The history is over.
    ///
    /// # Errors
    /// Something is missing from it.
    fn finish(&mut self) -> Result<(), Violation>;
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn after_shard_step(&mut self, _step: &ShardStep<'_>) -> Result<(), Violation> {
        Ok(())
    }

    fn fact(&mut self, _entry: &Entry) -> Result<(), Violation> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Violation> {
        Ok(())
    }
}

/// See the module.
#[derive(Debug)]
pub struct World {
    stage: Stage,
    hosts: Vec<Host>,
    actors: Vec<Player>,
    plan: Plan,
    steps: u64,
}

/// An actor, and the deadline for which there is an event.
#[derive(Debug)]
struct Player {
    actor: Box<dyn Actor>,
    armed: Option<Mono>,
}

impl World {
    /// A world in which every broker is about to start and every actor about to be woken.
    #[must_use]
    pub fn new(seed: Seed, setup: &Rc<Setup>, trace: Trace, watch: Box<dyn Watch>) -> Self {
        let rng = seed.stream(Purpose::Network, 0);
        let network = Network::new(setup.pace.clone(), rng, setup.brokers);
        let host = |id| Host::new(BrokerId(id), Rc::clone(setup), seed);
        let mut world = Self {
            stage: Stage::new(seed, network, trace, watch),
            hosts: (0..setup.brokers).map(host).collect(),
            actors: Vec::new(),
            plan: Plan::default(),
            steps: 0,
        };
        for host in &mut world.hosts {
            host.start(&mut world.stage);
        }
        world
    }

    /// Has these faults happen.
    pub fn suffer(&mut self, plan: Plan) {
        for (number, fault) in (0..).zip(&plan.faults) {
            let at = fault.at.max(self.stage.now);
            self.stage.schedule.push(at, Event::Fault(number));
        }
        self.plan = plan;
    }

    /// Brings an actor in, and wakes it.
    pub fn enter(&mut self, actor: Box<dyn Actor>) -> ActorId {
        let id = ActorId(u16::try_from(self.actors.len()).unwrap_or(u16::MAX));
        let armed = None;
        self.actors.push(Player { actor, armed });
        self.tell(id, ActorInput::Tick);
        id
    }

    /// Number of the actor that enters next.
    #[must_use]
    pub fn next_actor(&self) -> ActorId {
        ActorId(u16::try_from(self.actors.len()).unwrap_or(u16::MAX))
    }

    /// The actors, in the order in which they came.
    pub fn actors(&self) -> impl Iterator<Item = &dyn Actor> {
        self.actors.iter().map(|player| &*player.actor)
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Mono {
        self.stage.now
    }

    /// Events so far.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// What was counted.
    pub const fn counters(&mut self) -> &mut Counters {
        &mut self.stage.counters
    }

    /// What happened.
    #[must_use]
    pub const fn trace(&self) -> &Trace {
        &self.stage.trace
    }

    /// The brokers.
    #[must_use]
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The first promise that was broken, if one was.
    #[must_use]
    pub const fn violation(&self) -> Option<&Violation> {
        self.stage.violation.as_ref()
    }

    /// Somebody else has found a promise broken.
    pub fn accuse(&mut self, violation: Violation) {
        self.stage.judge(Err(violation));
    }

    /// The history is over: has the watch say what is missing.
    pub fn finish(&mut self) {
        let verdict = self.stage.watch.finish();
        self.stage.judge(verdict);
    }

    /// Tells every actor something.
    pub fn tell_all(&mut self, input: &ActorInput) {
        for number in 0..self.actors.len() {
            let id = ActorId(u16::try_from(number).unwrap_or(u16::MAX));
            self.tell(id, input.clone());
        }
    }

    /// Ends all faults, those that were yet to come included, and starts what is down.
    pub fn heal(&mut self) {
        self.plan.faults.clear();
        for host in &mut self.hosts {
            host.heal(&mut self.stage);
        }
        self.stage.happened(Happening::Healed);
    }

    /// Something goes wrong now.
    pub fn inflict(&mut self, fault: Fault) {
        let number = u32::MAX;
        self.begin_fault(fault, number);
    }

    /// One thing happens, time passing until it does. False when nothing will ever happen again, or a
    /// promise was broken.
    pub fn step(&mut self) -> bool {
        if self.stage.violation.is_some() {
            return false;
        }
        let Some((at, event)) = self.stage.schedule.pop() else {
            return false;
        };
        self.stage.now = at.max(self.stage.now);
        self.steps += 1;
        self.stage.trace.number(self.stage.now.0);
        self.stage.trace.number(event.code());
        self.happen(event);
        true
    }

    /// Lets things happen until a time. False when a promise was broken.
    pub fn run_until(&mut self, end: Mono, mut done: impl FnMut(&Self) -> bool) -> bool {
        /// `done` is asked every so many steps.
        const EVERY: u64 = 64;
        loop {
            if self.steps.is_multiple_of(EVERY) && done(self) {
                return true;
            }
            if self.stage.schedule.next_at().is_none_or(|next| next > end) {
                if done(self) {
                    return true;
                }
                self.stage.now = end.max(self.stage.now);
                return self.stage.violation.is_none();
            }
            if !self.step() {
                return false;
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Host(broker, life, what) => {
                let Some(host) = self.hosts.get_mut(usize::from(broker.0)) else {
                    return;
                };
                let until = host.paused_until();
                if until > self.stage.now && host.life() == life {
                    self.stage.schedule.push(until, event);
                    return;
                }
                self.stage.note(Note::Event(event));
                host.happen(&mut self.stage, life, what);
            }
            Event::Network(what) => self.arrive(what),
            Event::Actor(actor) => self.wake(actor),
            Event::Fault(number) => {
                let fault = self.plan.faults.get(number as usize).copied();
                if let Some(fault) = fault {
                    self.begin_fault(fault, number);
                }
            }
            Event::FaultEnds(broker, number) => {
                let fault = self.plan.faults.get(number as usize);
                let host = self.hosts.get_mut(usize::from(broker.0));
                if let (Some(fault), Some(host)) = (fault, host) {
                    host.relieve(&mut self.stage, fault.kind);
                }
            }
            Event::Start(broker, life) => {
                let host = self.hosts.get_mut(usize::from(broker.0));
                if let Some(host) = host.filter(|host| host.life() == life) {
                    host.start(&mut self.stage);
                }
            }
            Event::Replace(broker, life) => {
                let host = self.hosts.get_mut(usize::from(broker.0));
                if let Some(host) = host.filter(|host| host.life() == life) {
                    host.replace(&mut self.stage);
                }
            }
        }
    }

    fn begin_fault(&mut self, fault: Fault, number: u32) {
        let Some(host) = self.hosts.get_mut(usize::from(fault.broker.0)) else {
            return;
        };
        self.stage.note(Note::Fault(fault));
        self.stage.happened(Happening::Fault(fault));
        if host.afflict(&mut self.stage, fault, number) {
            self.stage.counters.fault(fault.kind);
        }
    }

    fn arrive(&mut self, event: NetworkEvent) {
        let (NetworkEvent::Up(wire) | NetworkEvent::Down(wire)) = event;
        let broker = self.stage.network.broker(wire);
        let host = broker.and_then(|broker| self.hosts.get_mut(usize::from(broker.0)));
        let Some(host) = host else { return };
        if let NetworkEvent::Up(wire) = event {
            let until = host.paused_until();
            if until > self.stage.now {
                let stage = &mut self.stage;
                return stage.on_network(|network, times| network.hold(times, event, until));
            }
            let arrived = self
                .stage
                .on_network(|network, times| network.arrive(times, event));
            if let Some(piece) = arrived {
                self.stage.note(Note::Event(Event::Network(event)));
                host.receive(&mut self.stage, wire, piece);
            }
            return;
        }
        self.hear(event, wire);
    }

    fn hear(&mut self, event: NetworkEvent, wire: WireId) {
        let Some((actor, link)) = self.stage.network.ends(wire) else {
            return;
        };
        let arrived = self
            .stage
            .on_network(|network, times| network.arrive(times, event));
        let input = match arrived {
            Some(Piece::Open) => ActorInput::Opened(link),
            Some(Piece::Bytes(bytes)) => ActorInput::Received(link, bytes),
            Some(Piece::End) => ActorInput::Lost(link),
            None => return,
        };
        self.stage.note(Note::Event(Event::Network(event)));
        self.tell(actor, input);
    }

    fn wake(&mut self, id: ActorId) {
        let Some(player) = self.actors.get_mut(usize::from(id.0)) else {
            return;
        };
        if player.armed.is_none_or(|armed| armed != self.stage.now) {
            return;
        }
        player.armed = None;
        let due = player.actor.deadline();
        if due.is_some_and(|due| due <= self.stage.now) {
            self.stage.note(Note::Event(Event::Actor(id)));
            self.tell(id, ActorInput::Tick);
        } else {
            self.arm(id);
        }
    }

    fn arm(&mut self, id: ActorId) {
        let Some(player) = self.actors.get_mut(usize::from(id.0)) else {
            return;
        };
        let Some(due) = player.actor.deadline() else {
            return;
        };
        let at = due.max(Mono(self.stage.now.0 + MIN_WAIT_NS));
        if player.armed.is_none_or(|armed| armed > at) {
            player.armed = Some(at);
            self.stage.schedule.push(at, Event::Actor(id));
        }
    }

    fn tell(&mut self, id: ActorId, input: ActorInput) {
        let Some(player) = self.actors.get_mut(usize::from(id.0)) else {
            return;
        };
        let mut out = ActorOutputs::default();
        player.actor.step(self.stage.now, input, &mut out);
        for fact in out.facts {
            self.stage.fact(id, fact);
        }
        for operation in out.links {
            self.operate(id, operation);
        }
        self.arm(id);
    }

    fn operate(&mut self, actor: ActorId, operation: LinkOp) {
        let stage = &mut self.stage;
        match operation {
            LinkOp::Open(link, broker) => {
                stage.note(Note::Opens(actor, link, broker));
                stage.on_network(|network, times| network.open(times, (actor, link), broker));
            }
            LinkOp::Send(link, bytes) => {
                stage.note(Note::Up(actor, link, bytes.len()));
                stage.trace.bytes(&bytes);
                stage.counters.add("bytes-received", bytes.len() as u64);
                stage.on_network(|network, times| network.send_up(times, (actor, link), bytes));
            }
            LinkOp::Close(link) => {
                stage.on_network(|network, times| network.close_up(times, (actor, link)));
            }
        }
    }
}
