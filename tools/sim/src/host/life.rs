//! How a broker's processes begin and end.

use chronik_model::Mono;
use chronik_model::rng::Rng;
use chronik_sim_disk::Crash;
use chronik_storage::recovery::RecoveryReport;

use super::node::{Moment, Node};
use super::start::{self, Machines};
use super::{Ambush, Damaged, Host, HostEvent, State, Wanted};
use crate::checker::{Rule, Violation};
use crate::history::Happening;
use crate::world::{Event, Note, Stage};

/// A broker that can not be started for what its disk does is tried again after this time.
const RESTART_NS: u64 = 500_000_000;
/// A broker whose directory is offline gets a new life within this time.
const REPLACE_NS: u64 = 2_000_000_000;
/// Changes to the disk within which a recovery is crashed.
const RECOVERY_CHANGES: u64 = 40;

impl Host {
    /// Starts a process.
    pub(crate) fn start(&mut self, stage: &mut Stage) {
        if self.is_up() {
            return;
        }
        self.life += 1;
        self.replacing = false;
        self.state = State::Idle;
        stage.count("starts");
        stage.note(Note::Starts(self.id));
        let crash = self
            .ambush
            .take_if(|ambush| ambush.wanted == Wanted::Recovery);
        if let Some(ambush) = crash {
            let within = Rng::new(ambush.fault.seed).below(RECOVERY_CHANGES);
            let at = self.disk.operations() + 1 + within;
            self.disk.faults().crash_at = Some(at);
        }
        let excused = self.disk_is_faulty();
        let now = self.clocks.read(stage.now);
        // The kernel may have needed the memory for something else meanwhile.
        if self.disk_rng.below(2) == 0 && self.disk.evict() {
            stage.happened(Happening::Forgotten);
        }
        let (disk, chance) = (&mut self.disk, &mut self.product_rng);
        let started = start::start(disk, &self.setup, self.id, now, chance);
        if let Some(ambush) = crash {
            if self.disk.is_crashed() {
                return self.die_recovering(stage, ambush);
            }
            self.disk.faults().crash_at = None;
        }
        match started {
            Ok(machines) => self.live(stage, machines),
            Err(reason) => self.could_not_start(stage, reason, excused),
        }
    }

    fn die_recovering(&mut self, stage: &mut Stage, ambush: Ambush) {
        stage.count("crashes-recovery");
        let mut rng = Rng::new(ambush.fault.seed);
        let power = rng.below(2) == 0;
        self.die(stage, power, ambush.fault.lasts_ns, &mut rng);
    }

    /// What a server does that finds its disk in no state to be served from: it ends, and says why.
    fn could_not_start(&self, stage: &mut Stage, reason: String, excused: bool) {
        stage.count("recoveries-failed");
        if excused {
            stage.note(Note::Says(self.id, reason.into()));
            self.start_after(stage, RESTART_NS);
            return;
        }
        let what = format!("broker {} can not be started: {reason}", self.id.0);
        stage.judge(Err(Violation::new(Rule::Stuck, stage.now, what)));
    }

    fn live(&mut self, stage: &mut Stage, machines: Machines) {
        self.count_recovery(stage, &machines.report);
        for line in &machines.report.warnings {
            stage.note(Note::Says(self.id, line.as_str().into()));
        }
        let damaged = self.damaged == Some(Damaged::Checkpoints);
        if machines.report.rebuilt && damaged {
            stage.happened(Happening::Rebuilt);
        }
        let delays = self.delays();
        let (node, wanted) = Node::new(machines, &self.setup, delays);
        self.state = State::Up(Box::new(node));
        let moment = self.moment(stage);
        if let State::Up(node) = &mut self.state {
            node.carry_out(stage, &moment, wanted);
        }
    }

    fn count_recovery(&self, stage: &mut Stage, report: &RecoveryReport) {
        let counters = &mut stage.counters;
        counters.add("recoveries", u64::from(report.frames > 0));
        counters.add("recoveries-clean", u64::from(report.clean));
        counters.add("recoveries-torn", u64::from(report.torn));
        counters.add(
            "recoveries-rebuilt",
            u64::from(report.rebuilt && self.life > 1),
        );
        counters.add("frames-recovered", report.frames);
        counters.add("batches-recovered", report.batches);
    }

    /// What follows from any step of the process as a whole.
    pub(super) fn after_step(&mut self, stage: &mut Stage, moment: &Moment) {
        let State::Up(node) = &mut self.state else {
            return;
        };
        if !self.serves && node.registered && node.view.is_some() && node.stop.is_none() {
            node.open_frontends(self.id);
            self.serves = true;
            stage.note(Note::Serves(self.id, self.life));
            stage.happened(Happening::Serves { life: self.life });
        }
        if node.halted {
            return self.replace(stage);
        }
        if node.offline && !std::mem::replace(&mut self.replacing, true) {
            let at = Mono(stage.now.0 + 1 + self.disk_rng.below(REPLACE_NS));
            let event = Event::Replace(self.id, self.life);
            stage.schedule.push(at, event);
        }
        if node.is_alone() {
            node.flush_again(stage, moment);
        }
        let flushed = node.is_flushed();
        self.spring(stage);
        if flushed {
            self.end_in_order(stage);
        }
    }

    /// The operator gives a broker that is of no use any more a new life.
    pub(crate) fn replace(&mut self, stage: &mut Stage) {
        if self.is_up() {
            let mut rng = Rng::new(self.disk_rng.next_u64());
            self.die(stage, false, 0, &mut rng);
        }
    }

    fn end_in_order(&mut self, stage: &mut Stage) {
        let State::Up(node) = &mut self.state else {
            return;
        };
        if node.finish(&mut self.disk) {
            stage.count("stops-clean");
        }
        self.state = State::Idle;
        self.serves = false;
        // Whoever watches its machines will see others.
        stage.happened(Happening::Died { power: false });
        let pause = self.disk_rng.below(RESTART_NS);
        self.start_after(stage, pause);
    }

    /// The process dies, or the machine, in the middle of whatever it does; after a time it is
    /// started again.
    pub(super) fn die(&mut self, stage: &mut Stage, power: bool, lasts_ns: u64, rng: &mut Rng) {
        let was_dark = matches!(self.state, State::Dark);
        if let State::Up(node) = &self.state {
            if node.journal.die(&mut self.disk, rng) {
                stage.count("crashes-journal-write-underway");
            }
            if node.pool.die(&mut self.disk, rng) {
                stage.count("crashes-disk-write-underway");
            }
        }
        self.disk
            .crash(if power { Crash::Power } else { Crash::Kill }, rng);
        stage.count(if power {
            "crashes-power"
        } else {
            "crashes-process"
        });
        stage.note(Note::Died(self.id, power));
        stage.happened(Happening::Died { power });
        let id = self.id;
        stage.on_network(|network, times| {
            if power {
                network.machine_died(id, rng);
            } else {
                network.process_died(times, id, rng);
            }
        });
        let dark = power || was_dark;
        self.state = if dark { State::Dark } else { State::Idle };
        self.serves = false;
        self.paused_until = Mono(0);
        self.ambush = self
            .ambush
            .filter(|ambush| ambush.wanted == Wanted::Recovery);
        self.start_after(stage, lasts_ns);
    }

    /// Has the broker started later, where nothing else starts it before.
    pub(super) fn start_after(&self, stage: &mut Stage, after_ns: u64) {
        let at = Mono(stage.now.0 + 1 + after_ns);
        stage.schedule.push(at, Event::Start(self.id, self.life));
    }

    /// The moment may be the one that a crash waits for.
    fn spring(&mut self, stage: &mut Stage) {
        let (State::Up(node), Some(ambush)) = (&self.state, &mut self.ambush) else {
            return;
        };
        let within = match ambush.wanted {
            Wanted::Journal if node.journal.is_writing() => self.setup.pace.journal_ns,
            Wanted::Segment if !node.pool.is_idle() => self.setup.pace.disk_ns,
            Wanted::Journal | Wanted::Segment | Wanted::Recovery => return,
        };
        if std::mem::replace(&mut ambush.sprung, true) {
            return;
        }
        let mut rng = Rng::new(ambush.fault.seed);
        let power = rng.below(2) == 0;
        let at = Mono(stage.now.0 + 1 + rng.below(within / 8));
        self.moment(stage).at(stage, at, HostEvent::Die { power });
    }
}
