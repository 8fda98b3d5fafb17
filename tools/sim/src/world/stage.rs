//! What everything in the world shares: the time, the schedule, the network, and who watches.

use chronik_model::Mono;

use crate::actor::ActorId;
use crate::history::{Entry, Event as HistoryEvent, Fact, Happening};
use crate::network::{Network, Times};
use crate::random::{Purpose, Seed};
use crate::schedule::Schedule;

use super::{Counters, Event, Note, ShardStep, Trace, Watch};
use crate::checker::Violation;

/// See the module.
#[derive(Debug)]
pub struct Stage {
    pub(crate) now: Mono,
    pub(crate) schedule: Schedule<Event>,
    pub(crate) network: Network,
    pub(crate) trace: Trace,
    pub(crate) counters: Counters,
    pub(crate) watch: Box<dyn Watch>,
    pub(crate) violation: Option<Violation>,
}

impl Stage {
    pub(super) fn new(seed: Seed, network: Network, trace: Trace, watch: Box<dyn Watch>) -> Self {
        Self {
            now: Mono(0),
            schedule: Schedule::new(seed.stream(Purpose::Schedule, u16::MAX)),
            network,
            trace,
            counters: Counters::default(),
            watch,
            violation: None,
        }
    }

    /// Something happened.
    pub(crate) fn note(&mut self, note: Note) {
        self.trace.note(self.now, note);
    }

    pub(crate) fn count(&mut self, name: &'static str) {
        self.counters.add(name, 1);
    }

    /// Lets the network do something.
    pub(crate) fn on_network<T>(
        &mut self,
        act: impl FnOnce(&mut Network, &mut Times<'_>) -> T,
    ) -> T {
        let mut times = Times {
            now: self.now,
            schedule: &mut self.schedule,
        };
        act(&mut self.network, &mut times)
    }

    /// The world itself did something to a broker.
    pub(crate) fn happened(&mut self, what: Happening) {
        self.witness(None, HistoryEvent::World(what));
    }

    /// An actor saw something.
    pub(super) fn fact(&mut self, actor: ActorId, fact: Fact) {
        self.witness(Some(actor), HistoryEvent::Fact(fact));
    }

    fn witness(&mut self, actor: Option<ActorId>, what: HistoryEvent) {
        let entry = Entry {
            at: self.now,
            actor,
            what,
        };
        if self.trace.is_followed() {
            let detail = format!("history: {:?}", entry.what);
            self.trace.detail(self.now, &detail);
        }
        let verdict = self.watch.fact(&entry);
        self.judge(verdict);
    }

    pub(crate) fn stepped(&mut self, step: &ShardStep<'_>) {
        let verdict = self.watch.after_shard_step(step);
        self.judge(verdict);
    }

    /// The first violation is the one that is told.
    pub(crate) fn judge(&mut self, verdict: Result<(), Violation>) {
        if let Err(violation) = verdict {
            self.violation.get_or_insert(violation);
        }
    }
}
