//! A stop in good order: what is in flight is finished, everything is written back, and a marker says
//! so.

use std::time::Duration;

use chronik_node::{ShardInput, TrimAnswer};
use chronik_sim_disk::SimDisk;
use chronik_storage::disk::replace_file;
use chronik_storage::recovery::{CLEAN_SHUTDOWN_PATH, clean_marker};

use super::HostEvent;
use super::node::{From, Moment, Node};
use crate::world::Stage;

/// A stop that takes longer is given up.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Requests are read no more; those that were are answered, and the bulk is written back.
    Draining,
    /// Connections are closed, event loops are gone; what they had asked for is being done.
    Ending,
    /// What was done meanwhile is written back, with nobody left to bring more.
    Flushing,
    /// Nothing is left to do but the checkpoint and the marker.
    Flushed,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Stop {
    phase: Phase,
    answers: Vec<TrimAnswer>,
}

impl Stop {
    /// Whether event loops, which also keep the time, are gone.
    pub(super) fn without_loops(&self) -> bool {
        self.phase != Phase::Draining
    }
}

impl Node {
    /// Requests are read no more; replies to those that were still leave.
    pub(super) fn begin_stop(&mut self, stage: &mut Stage, moment: &Moment) {
        self.stop = Some(Stop {
            phase: Phase::Draining,
            answers: Vec::new(),
        });
        self.journal.stopping = true;
        moment.at(stage, stage.now + TIMEOUT, HostEvent::StopTimeout);
        self.tell_shards(stage, moment, From::Main, || ShardInput::Flush);
    }

    /// A shard answers: that the journal may be trimmed, or that everything is written back.
    pub(super) fn trim_answer(&mut self, stage: &mut Stage, moment: &Moment, answer: TrimAnswer) {
        let shards = self.shards.len();
        let Some(stop) = &mut self.stop else {
            if self.journal.trimmed(answer, shards) {
                let at = self.delays.segment(stage.now);
                moment.at(stage, at, HostEvent::CheckpointEnd);
            }
            return;
        };
        if !answer.clean {
            // Of an offline directory nothing will be written back: the process ends as it is.
            self.halted |= self.offline;
            return;
        }
        stop.answers.retain(|other| other.shard != answer.shard);
        stop.answers.push(answer);
        if stop.answers.len() < shards {
            return;
        }
        match stop.phase {
            Phase::Draining => {
                stop.phase = Phase::Ending;
                stop.answers.clear();
                for wire in self.doors.all() {
                    stage.on_network(|network, times| network.close_down(times, wire));
                }
                self.frontends.clear();
            }
            Phase::Flushing => stop.phase = Phase::Flushed,
            Phase::Ending | Phase::Flushed => {}
        }
    }

    /// Whether event loops have ended, and all that they asked for is done.
    pub(super) fn is_alone(&self) -> bool {
        let ending = self
            .stop
            .as_ref()
            .is_some_and(|stop| stop.phase == Phase::Ending);
        ending && self.is_quiet() && self.journal.is_idle(&self.shards)
    }

    /// The second flush covers what came in during the first.
    pub(super) fn flush_again(&mut self, stage: &mut Stage, moment: &Moment) {
        if let Some(stop) = &mut self.stop {
            stop.phase = Phase::Flushing;
        }
        self.tell_shards(stage, moment, From::Main, || ShardInput::Flush);
    }

    /// Whether only [`Node::finish`] is left.
    pub(super) fn is_flushed(&self) -> bool {
        let flushed = self.stop.as_ref();
        let flushed = flushed.is_some_and(|stop| stop.phase == Phase::Flushed);
        flushed && self.journal.is_idle(&self.shards)
    }

    /// Leaves the marker. False when the disk does not take it.
    pub(super) fn finish(&mut self, disk: &mut SimDisk) -> bool {
        let broker_epoch = self.view.as_ref().and_then(|view| {
            let broker = view.image.broker(view.node_id);
            broker.map(|broker| broker.epoch)
        });
        let answers = self.stop.take().map(|stop| stop.answers);
        let written = self
            .journal
            .finish(disk, answers.unwrap_or_default())
            .and_then(|start| {
                let marker = clean_marker(&start, broker_epoch);
                replace_file(disk, CLEAN_SHUTDOWN_PATH, &marker)
            });
        written.is_ok()
    }
}
