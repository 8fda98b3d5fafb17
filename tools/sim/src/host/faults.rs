//! What goes wrong with one broker.

use chronik_model::ids::base_url_decode_16;
use chronik_model::rng::Rng;
use chronik_model::{Mono, TopicId};
use chronik_node::ShardInput;
use chronik_sim_disk::{Action, Failure, Fault as DiskFault, SimDisk};
use chronik_storage::checkpoint::CHECKPOINT_PATHS;
use chronik_storage::disk::DiskErrorKind;

use super::node::From;
use super::{Ambush, Damaged, Host, State, Wanted};
use crate::history::{Happening, Place};
use crate::plan::{Fault, FaultKind};
use crate::world::{Event, Stage};

const HOUR_MS: i64 = 3_600_000;

impl Host {
    /// A fault begins. False where there is nothing that it could hit.
    pub(crate) fn afflict(&mut self, stage: &mut Stage, fault: Fault, number: u32) -> bool {
        let mut rng = Rng::new(fault.seed);
        let until = Mono(stage.now.0 + fault.lasts_ns);
        match fault.kind {
            FaultKind::Crash if self.is_up() => self.die(stage, false, fault.lasts_ns, &mut rng),
            FaultKind::Crash => return false,
            FaultKind::Power => self.die(stage, true, fault.lasts_ns, &mut rng),
            FaultKind::Torn => self.lie_in_wait(fault, &mut rng),
            FaultKind::Fsync => self.fail_once(Action::Sync, &mut rng),
            FaultKind::Journal => self.fail_journal(&mut rng),
            FaultKind::Io => {
                let action = [Action::Write, Action::Read, Action::SyncDirectory];
                self.fail_once(action[draw(&mut rng, 3)], &mut rng);
            }
            FaultKind::Full => self.fill(stage, until, number, &mut rng),
            FaultKind::Slow => {
                self.disk_factor = [10, 100, 1_000][draw(&mut rng, 3)];
                self.ends(stage, until, number);
            }
            FaultKind::Rot => return self.rot(stage, &mut rng),
            FaultKind::Checkpoint => return self.harm_checkpoint(stage, &fault, &mut rng),
            FaultKind::Misdirect => self.misdirect(&mut rng),
            FaultKind::Reset => {
                let id = self.id;
                let count = stage.on_network(|network, times| network.reset(times, id, &mut rng));
                stage.counters.add("resets", count);
                return count > 0;
            }
            FaultKind::HalfOpen => {
                let id = self.id;
                return stage.on_network(|network, times| network.halve(times, id, &mut rng)) > 0;
            }
            FaultKind::Clog => stage.network.clog(self.id, until, &mut rng),
            FaultKind::Pause if self.is_up() => self.paused_until = until,
            FaultKind::Pause => return false,
            FaultKind::Clock => {
                let most = u64::try_from(2 * HOUR_MS).unwrap_or(0);
                let leap = i64::try_from(rng.below(most)).unwrap_or(0) - HOUR_MS;
                self.clocks.leap(leap);
            }
            FaultKind::Restart => return self.stop(stage),
            FaultKind::Wipe => {
                self.die(stage, true, fault.lasts_ns, &mut rng);
                self.disk = SimDisk::default();
                self.damaged = None;
                stage.happened(Happening::Wiped);
            }
        }
        true
    }

    /// What a fault did for a while is over.
    pub(crate) fn relieve(&mut self, stage: &mut Stage, kind: FaultKind) {
        match kind {
            FaultKind::Slow => self.disk_factor = 1,
            FaultKind::Full => {
                self.disk.faults().writes = None;
                self.tell_of_space(stage, false);
            }
            FaultKind::Crash
            | FaultKind::Power
            | FaultKind::Torn
            | FaultKind::Fsync
            | FaultKind::Journal
            | FaultKind::Io
            | FaultKind::Rot
            | FaultKind::Checkpoint
            | FaultKind::Misdirect
            | FaultKind::Reset
            | FaultKind::Clog
            | FaultKind::HalfOpen
            | FaultKind::Pause
            | FaultKind::Clock
            | FaultKind::Restart
            | FaultKind::Wipe => {}
        }
    }

    /// Nothing goes wrong any more. A broker that is of no use is replaced.
    pub(crate) fn heal(&mut self, stage: &mut Stage) {
        self.relieve(stage, FaultKind::Slow);
        self.relieve(stage, FaultKind::Full);
        self.disk.faults().once.clear();
        self.ambush = None;
        self.paused_until = Mono(0);
        stage.network.unclog(self.id);
        if self.is_offline() {
            self.replace(stage);
        }
        self.start(stage);
    }

    /// Whether the disk does something on purpose that no server can start with.
    pub(super) fn disk_is_faulty(&mut self) -> bool {
        let faults = self.disk.faults();
        !faults.once.is_empty() || faults.writes.is_some()
    }

    fn ends(&self, stage: &mut Stage, until: Mono, number: u32) {
        stage
            .schedule
            .push(until, Event::FaultEnds(self.id, number));
    }

    fn lie_in_wait(&mut self, fault: Fault, rng: &mut Rng) {
        let wanted = match rng.below(3) {
            0 => Wanted::Journal,
            1 => Wanted::Segment,
            _ => Wanted::Recovery,
        };
        self.ambush = Some(Ambush {
            fault,
            wanted,
            sprung: false,
        });
    }

    fn fail_once(&mut self, action: Action, rng: &mut Rng) {
        let failure = failure(rng);
        let fault = match action {
            Action::SyncDirectory => DiskFault {
                prefix: "topics",
                suffix: "",
                ..DiskFault::on_segment(action, failure)
            },
            Action::Write
            | Action::WriteThrough
            | Action::Truncate
            | Action::Sync
            | Action::Rename
            | Action::Remove
            | Action::Read => DiskFault::on_segment(action, failure),
        };
        self.disk.faults().once.push(fault);
    }

    fn fail_journal(&mut self, rng: &mut Rng) {
        let fault = DiskFault {
            prefix: "journal/",
            suffix: "",
            ..DiskFault::on_segment(Action::WriteThrough, failure(rng))
        };
        self.disk.faults().once.push(fault);
    }

    /// The next checkpoint can not be written, or what the next start finds of them is damaged.
    fn harm_checkpoint(&mut self, stage: &mut Stage, fault: &Fault, rng: &mut Rng) -> bool {
        if rng.below(2) == 0 {
            let action = [Action::Write, Action::Sync, Action::Rename][draw(rng, 3)];
            let fault = DiskFault {
                prefix: "checkpoint.",
                suffix: "",
                ..DiskFault::on_segment(action, failure(rng))
            };
            self.disk.faults().once.push(fault);
            return true;
        }
        if self.damaged == Some(Damaged::Segments) {
            return false;
        }
        let chosen = match draw(rng, 3) {
            2 => &CHECKPOINT_PATHS[..],
            one => &CHECKPOINT_PATHS[one..=one],
        };
        let mut damaged = false;
        for chosen in chosen {
            damaged |= self.disk.rot(rng, |path, _| path == *chosen).is_some();
        }
        if !damaged {
            return false;
        }
        self.damaged = Some(Damaged::Checkpoints);
        // A server that runs does not read them, and writes new ones before long.
        if self.is_up() {
            self.die(stage, false, fault.lasts_ns, rng);
        }
        true
    }

    /// One reading at a time: when both readings of a batch go the same way astray, nothing tells, as a
    /// batch does not name its partition.
    fn misdirect(&mut self, rng: &mut Rng) {
        let astray = |fault: &DiskFault| {
            matches!(
                fault.failure,
                Failure::OtherPosition(_) | Failure::OtherFile(_)
            )
        };
        if self.disk.faults().once.iter().any(astray) {
            return;
        }
        let chance = rng.next_u64();
        let failure = match rng.below(2) {
            0 => Failure::OtherPosition(chance),
            _ => Failure::OtherFile(chance),
        };
        let fault = DiskFault::on_segment(Action::Read, failure);
        self.disk.faults().once.push(fault);
    }

    /// Segments find no space, or the server sees that there is little, or both.
    fn fill(&mut self, stage: &mut Stage, until: Mono, number: u32, rng: &mut Rng) {
        let kinds = 1 + rng.below(3);
        if kinds & 1 > 0 {
            self.disk.faults().writes = Some(DiskErrorKind::Full);
        }
        if kinds & 2 > 0 {
            self.tell_of_space(stage, true);
        }
        self.ends(stage, until, number);
    }

    fn tell_of_space(&mut self, stage: &mut Stage, full: bool) {
        let moment = self.moment(stage);
        if let State::Up(node) = &mut self.state {
            let input = || ShardInput::DiskFull(full);
            node.tell_shards(stage, &moment, From::Journal, input);
        }
    }

    fn rot(&mut self, stage: &mut Stage, rng: &mut Rng) -> bool {
        if self.damaged == Some(Damaged::Checkpoints) {
            return false;
        }
        let sealed = sealed_segments(&self.disk);
        let rotten = self
            .disk
            .rot(rng, |path, _| sealed.iter().any(|it| it == path));
        let place = rotten.and_then(|(path, _)| place_of(&path));
        if let Some(place) = place {
            self.damaged = Some(Damaged::Segments);
            stage.happened(Happening::Damaged(place));
        }
        place.is_some()
    }

    /// Asks for a stop in good order.
    fn stop(&mut self, stage: &mut Stage) -> bool {
        let moment = self.moment(stage);
        let State::Up(node) = &mut self.state else {
            return false;
        };
        if !self.serves || node.stop.is_some() {
            return false;
        }
        node.begin_stop(stage, &moment);
        true
    }
}

fn failure(rng: &mut Rng) -> Failure {
    match rng.below(2) {
        0 => Failure::Nothing(DiskErrorKind::Failed),
        _ => Failure::Part(DiskErrorKind::Failed, rng.next_u64()),
    }
}

fn draw(rng: &mut Rng, bound: u64) -> usize {
    usize::try_from(rng.below(bound)).unwrap_or(0)
}

/// Segments of topics that have a later one beside them.
fn sealed_segments(disk: &SimDisk) -> Vec<String> {
    let mut paths = disk.paths();
    paths.retain(|path| path.starts_with("topics/") && path.ends_with(".log"));
    let directory = |path: &str| path.rsplit_once('/').map(|(it, _)| it.to_owned());
    let pairs = paths.windows(2);
    let sealed = pairs.filter(|pair| directory(&pair[0]) == directory(&pair[1]));
    sealed.map(|pair| pair[0].clone()).collect()
}

/// Whose segment a path names: `topics/<name>-<partition>.<log id>.<topic id>/<segment>`.
fn place_of(path: &str) -> Option<Place> {
    let directory = path.strip_prefix("topics/")?.split_once('/')?.0;
    let (rest, topic) = directory.rsplit_once('.')?;
    let (name, _log_id) = rest.rsplit_once('.')?;
    let (_topic, partition) = name.rsplit_once('-')?;
    Some(Place {
        topic: TopicId(base_url_decode_16(topic)?),
        partition: partition.parse().ok()?,
    })
}
