//! One life of a broker: its machines, and what goes on between them.

use std::collections::VecDeque;
use std::sync::Arc;

use chronik_model::{Mono, Now};
use chronik_node::{
    ClusterView, FrameLimits, Frontend, FrontendConfig, FrontendId, FrontendInput, Quorum,
    QuorumInput, QuorumOutput, Shard, ShardInput,
};

use super::doors::Doors;
use super::journal::Journal;
use super::mail::{Class, Delays, Mail};
use super::pool::Pool;
use super::start::{Machines, identity};
use super::stop::Stop;
use super::{HostEvent, Machine};
use crate::actor::BrokerId;
use crate::clock::Clocks;
use crate::run::Setup;
use crate::world::{Event, Stage};

/// Who sends messages, as a place among the senders to one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Frontend(u16),
    Shard(u16),
    Quorum,
    Journal,
    Disk,
    Main,
}

/// What one step of a life needs to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) broker: BrokerId,
    pub(super) life: u32,
    pub(super) clocks: Clocks,
    pub(super) now: Now,
}

/// A deadline for which there is an event.
#[derive(Debug, Clone, Copy)]
struct Armed {
    local: Mono,
    at: Mono,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) quorum: Quorum,
    pub(super) shards: Vec<Shard>,
    pub(super) frontends: Vec<Frontend>,
    pub(super) journal: Journal,
    pub(super) pool: Pool,
    pub(super) doors: Doors,
    pub(super) delays: Delays,
    pub(super) stop: Option<Stop>,
    to_shard: Mail<ShardInput>,
    to_frontend: Mail<FrontendInput>,
    to_quorum: Mail<QuorumInput>,
    /// By frontend: shards that it asked since its last end of turn, as bits.
    pub(super) turns: Vec<u64>,
    /// Views that some shards have not seen, with the number of those shards.
    pub(super) publications: VecDeque<(Arc<ClusterView>, usize)>,
    pub(super) view: Option<Arc<ClusterView>>,
    /// Shards first, then frontends, then the controller.
    armed: Vec<Option<Armed>>,
    pub(super) registered: bool,
    pub(super) offline: bool,
    /// The process is to end.
    pub(super) halted: bool,
    pub(super) retry_pending: bool,
    pub(super) frontend_count: u16,
    max_pipelined: usize,
}

impl Node {
    pub(super) fn new(
        machines: Machines,
        setup: &Setup,
        delays: Delays,
    ) -> (Self, Vec<QuorumOutput>) {
        let (shards, frontends) = (setup.shards, setup.frontends);
        let limits = FrameLimits {
            max_frame_bytes: setup.max_frame_bytes,
        };
        let node = Self {
            quorum: machines.quorum,
            shards: machines.shards,
            frontends: Vec::new(),
            journal: Journal::new(machines.ring, machines.checkpoint),
            pool: Pool::default(),
            doors: Doors::new(frontends, limits),
            delays,
            stop: None,
            to_shard: Mail::new(shards, frontends + shards + 4),
            to_frontend: Mail::new(frontends, frontends + shards + 4),
            to_quorum: Mail::new(1, frontends + shards + 4),
            turns: vec![0; usize::from(frontends)],
            publications: VecDeque::new(),
            view: None,
            armed: vec![None; usize::from(shards + frontends) + 1],
            registered: false,
            offline: false,
            halted: false,
            retry_pending: false,
            frontend_count: frontends,
            max_pipelined: setup.max_pipelined,
        };
        (node, machines.wanted)
    }

    /// Opens the doors, once registered.
    pub(super) fn open_frontends(&mut self, broker: BrokerId) {
        let Some(view) = self.view.clone() else {
            panic!("registration publishes a view");
        };
        let identity = Arc::new(identity(broker));
        let frontend = |id| {
            let config = FrontendConfig {
                id: FrontendId(id),
                shard_count: self.shard_count(),
                identity: Arc::clone(&identity),
                max_pipelined: self.max_pipelined,
            };
            Frontend::new(config, Arc::clone(&view))
        };
        self.frontends = (0..self.frontend_count).map(frontend).collect();
    }

    pub(super) fn shard_count(&self) -> u16 {
        u16::try_from(self.shards.len()).unwrap_or(u16::MAX)
    }

    fn place(&self, from: From) -> u16 {
        let (frontends, shards) = (self.frontend_count, self.shard_count());
        match from {
            From::Frontend(index) => index,
            From::Shard(index) => frontends + index,
            From::Quorum => frontends + shards,
            From::Journal => frontends + shards + 1,
            From::Disk => frontends + shards + 2,
            From::Main => frontends + shards + 3,
        }
    }

    pub(super) fn tell_shard(
        &mut self,
        stage: &mut Stage,
        moment: &Moment,
        from: From,
        shard: u16,
        input: ShardInput,
    ) {
        let class = match from {
            From::Frontend(_) | From::Shard(_) => Class::Request,
            From::Disk => Class::DiskDone,
            From::Journal => Class::Committed,
            From::Quorum => Class::View,
            From::Main => Class::Main,
        };
        let at = self.delays.message(stage.now, class);
        let (line, at) = self.to_shard.put(shard, self.place(from), input, at);
        moment.at(stage, at, HostEvent::Shard(line));
    }

    /// Tells every shard the same.
    pub(super) fn tell_shards(
        &mut self,
        stage: &mut Stage,
        moment: &Moment,
        from: From,
        input: impl Fn() -> ShardInput,
    ) {
        for shard in 0..self.shard_count() {
            self.tell_shard(stage, moment, from, shard, input());
        }
    }

    pub(super) fn tell_frontend(
        &mut self,
        stage: &mut Stage,
        moment: &Moment,
        to: (From, u16),
        input: FrontendInput,
    ) {
        let (from, frontend) = to;
        if usize::from(frontend) >= self.frontends.len() {
            return;
        }
        let at = self.delays.message(stage.now, Class::Reply);
        let (line, at) = self.to_frontend.put(frontend, self.place(from), input, at);
        moment.at(stage, at, HostEvent::Frontend(line));
    }

    pub(super) fn tell_quorum(
        &mut self,
        stage: &mut Stage,
        moment: &Moment,
        from: From,
        input: QuorumInput,
    ) {
        let at = self.delays.message(stage.now, Class::Controller);
        let (line, at) = self.to_quorum.put(0, self.place(from), input, at);
        moment.at(stage, at, HostEvent::Quorum(line));
    }

    /// Whether no message is on its way to a shard or the controller.
    pub(super) fn is_quiet(&self) -> bool {
        self.to_shard.is_empty() && self.to_quorum.is_empty()
    }

    pub(super) fn take_for_shard(&mut self, line: u16) -> Option<(u16, ShardInput)> {
        self.to_shard.take(line)
    }

    pub(super) fn take_for_frontend(&mut self, line: u16) -> Option<(u16, FrontendInput)> {
        self.to_frontend.take(line)
    }

    pub(super) fn take_for_quorum(&mut self, line: u16) -> Option<QuorumInput> {
        self.to_quorum.take(line).map(|(_, input)| input)
    }

    /// Ticks a machine whose deadline has passed, if it still has one.
    pub(super) fn tick(&mut self, stage: &mut Stage, moment: &Moment, machine: Machine) {
        let place = self.place_of(machine);
        if self.armed[place].is_none_or(|armed| armed.at != stage.now) {
            return;
        }
        self.armed[place] = None;
        if self.stop.as_ref().is_some_and(Stop::without_loops) {
            return;
        }
        let deadline = self.deadline(machine);
        if deadline.is_none_or(|due| due > moment.now.mono) {
            return self.arm(stage, moment, machine, deadline);
        }
        match machine {
            Machine::Shard(shard) => self.step_shard(stage, moment, shard, ShardInput::Tick),
            Machine::Frontend(frontend) => {
                self.step_frontend(stage, moment, frontend, FrontendInput::Tick);
            }
            Machine::Quorum => self.step_quorum(stage, moment, QuorumInput::Tick),
        }
    }

    fn deadline(&self, machine: Machine) -> Option<Mono> {
        match machine {
            Machine::Shard(shard) => self.shards[usize::from(shard)].deadline(),
            Machine::Frontend(index) => {
                let frontend = self.frontends.get(usize::from(index));
                frontend.and_then(Frontend::deadline)
            }
            Machine::Quorum => self.quorum.deadline(),
        }
    }

    /// Sees to it that there is an event for a machine's deadline.
    pub(super) fn arm(
        &mut self,
        stage: &mut Stage,
        moment: &Moment,
        machine: Machine,
        deadline: Option<Mono>,
    ) {
        let Some(local) = deadline else { return };
        let place = self.place_of(machine);
        if self.armed[place].is_some_and(|armed| armed.local <= local) {
            return;
        }
        let at = moment.clocks.when(local).max(stage.now);
        self.armed[place] = Some(Armed { local, at });
        moment.at(stage, at, HostEvent::Tick(machine));
    }

    fn place_of(&self, machine: Machine) -> usize {
        match machine {
            Machine::Shard(shard) => usize::from(shard),
            Machine::Frontend(frontend) => self.shards.len() + usize::from(frontend),
            Machine::Quorum => self.shards.len() + usize::from(self.frontend_count),
        }
    }
}

impl Moment {
    /// Has something happen in this life.
    pub(super) fn at(&self, stage: &mut Stage, at: Mono, event: HostEvent) {
        let event = Event::Host(self.broker, self.life, event);
        stage.schedule.push(at, event);
    }
}
