//! One broker as the world sees it: a disk and clocks that outlive its processes, and what its process
//! does now. The machines of `chronik_node` run unchanged; what the shell does around them is imitated.

mod doors;
mod event;
mod faults;
mod io;
mod journal;
mod life;
mod mail;
mod node;
mod pool;
mod start;
mod steps;
mod stop;

pub use event::{HostEvent, Machine};

use std::rc::Rc;

use chronik_model::Mono;
use chronik_model::rng::Rng;
use chronik_sim_disk::SimDisk;

use crate::actor::BrokerId;
use crate::clock::Clocks;
use crate::network::{Piece, Times, WireId};
use crate::plan::Fault;
use crate::random::{Purpose, Seed};
use crate::run::Setup;
use crate::world::Stage;
use mail::Delays;
use node::{Moment, Node};

/// What there is of a broker.
#[derive(Debug)]
enum State {
    /// Its machine is without power.
    Dark,
    /// Its machine is up, its process is not.
    Idle,
    /// Its process recovers, registers, serves or stops.
    Up(Box<Node>),
}

/// See the module.
#[derive(Debug)]
pub struct Host {
    id: BrokerId,
    setup: Rc<Setup>,
    clocks: Clocks,
    disk: SimDisk,
    state: State,
    /// Processes there have been.
    life: u32,
    serves: bool,
    /// Nothing happens in it before this time.
    paused_until: Mono,
    /// Everything on the disk takes this many times as long.
    disk_factor: u64,
    /// Times of the disk, and what of its work is lost.
    disk_rng: Rng,
    schedule_rng: Rng,
    /// What the product draws from the operating system.
    product_rng: Rng,
    /// A crash that waits for the right moment.
    ambush: Option<Ambush>,
    /// Somebody will replace it, as its directory is offline.
    replacing: bool,
    /// What of the disk was damaged. A start without checkpoints reads every segment, and cuts a log
    /// where it is damaged; so only one of the two is, as there is one copy of each.
    damaged: Option<Damaged>,
}

/// What a disk damages in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damaged {
    Segments,
    Checkpoints,
}

/// A crash in the middle of something.
#[derive(Debug, Clone, Copy)]
struct Ambush {
    fault: Fault,
    wanted: Wanted,
    /// Its event is in the schedule.
    sprung: bool,
}

/// What a crash waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Journal,
    Segment,
    Recovery,
}

impl Host {
    /// A broker with an empty disk that was never started.
    #[must_use]
    pub fn new(id: BrokerId, setup: Rc<Setup>, seed: Seed) -> Self {
        Self {
            id,
            clocks: Clocks::new(setup.pace.skew_ppm),
            setup,
            disk: SimDisk::default(),
            state: State::Idle,
            life: 0,
            serves: false,
            paused_until: Mono(0),
            disk_factor: 1,
            disk_rng: seed.stream(Purpose::Disk, id.0),
            schedule_rng: seed.stream(Purpose::Schedule, id.0),
            product_rng: seed.stream(Purpose::Product, id.0),
            ambush: None,
            replacing: false,
            damaged: None,
        }
    }

    /// Whether clients can be served.
    #[must_use]
    pub const fn serves(&self) -> bool {
        self.serves
    }

    /// Whether its data directory is offline, for as long as the process lives.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        match &self.state {
            State::Up(node) => node.offline,
            State::Dark | State::Idle => false,
        }
    }

    /// Whether it has a process.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// Until when nothing happens in it.
    pub(crate) const fn paused_until(&self) -> Mono {
        self.paused_until
    }

    pub(crate) const fn life(&self) -> u32 {
        self.life
    }

    fn moment(&self, stage: &Stage) -> Moment {
        Moment {
            broker: self.id,
            life: self.life,
            clocks: self.clocks,
            now: self.clocks.read(stage.now),
        }
    }

    /// Something from the network.
    pub(crate) fn receive(&mut self, stage: &mut Stage, wire: WireId, piece: Piece) {
        let moment = self.moment(stage);
        match &mut self.state {
            State::Dark => {
                stage.on_network(|network, times| network.send_again(times, wire, piece));
            }
            State::Idle => refuse(stage, wire),
            State::Up(node) => {
                let socket = stage.network.socket(wire);
                match (piece, socket) {
                    (Piece::Open, _) if self.serves && node.stop.is_none() => {
                        node.accept(stage, &moment, wire);
                    }
                    (piece, Some(socket)) => node.receive(stage, &moment, socket, piece),
                    (Piece::Open | Piece::Bytes(_) | Piece::End, None) => refuse(stage, wire),
                }
            }
        }
    }

    /// Something of one of its lives is due.
    pub(crate) fn happen(&mut self, stage: &mut Stage, life: u32, event: HostEvent) {
        if life != self.life {
            return;
        }
        if let HostEvent::Die { power } = event {
            let Some(ambush) = self.ambush.take() else {
                return;
            };
            let mut rng = Rng::new(ambush.fault.seed);
            self.die(stage, power, ambush.fault.lasts_ns, &mut rng);
            return;
        }
        let moment = self.moment(stage);
        let State::Up(node) = &mut self.state else {
            return;
        };
        node.delays.disk_factor = self.disk_factor;
        match event {
            HostEvent::Shard(line) => {
                if let Some((shard, input)) = node.take_for_shard(line) {
                    node.step_shard(stage, &moment, shard, input);
                }
            }
            HostEvent::Frontend(line) => {
                if let Some((frontend, input)) = node.take_for_frontend(line) {
                    node.step_frontend(stage, &moment, frontend, input);
                }
            }
            HostEvent::Quorum(line) => {
                if let Some(input) = node.take_for_quorum(line) {
                    node.step_quorum(stage, &moment, input);
                }
            }
            HostEvent::EndTurn(frontend) => node.end_turn(stage, &moment, frontend),
            HostEvent::Read(frontend, id) => node.read(stage, &moment, frontend, id),
            HostEvent::Disk(shard, log) => {
                node.disk_operation(stage, &moment, &mut self.disk, (shard, log));
            }
            HostEvent::CommitBegin => node.commit_begin(stage, &moment),
            HostEvent::CommitEnd => node.commit_end(stage, &moment, &mut self.disk),
            HostEvent::Tick(machine) => node.tick(stage, &moment, machine),
            HostEvent::RetryWrites => node.retry_writes(stage, &moment),
            HostEvent::CheckpointEnd => node.checkpoint_end(stage, &moment, &mut self.disk),
            HostEvent::CheckpointRetry => node.ask_for_trim(stage, &moment),
            HostEvent::StopTimeout => {
                if node.stop.is_some() {
                    let mut rng = Rng::new(self.disk_rng.next_u64());
                    self.die(stage, false, 0, &mut rng);
                    return;
                }
            }
            HostEvent::Die { .. } => {}
        }
        self.after_step(stage, &moment);
    }

    fn delays(&mut self) -> Delays {
        let rng = Rng::new(self.schedule_rng.next_u64());
        Delays::new(self.setup.pace.clone(), rng)
    }
}

fn refuse(stage: &mut Stage, wire: WireId) {
    stage.on_network(|network, times: &mut Times<'_>| network.close_down(times, wire));
}
