//! The checkers at their place in the world: they hear the history and look into the brokers.

use std::cell::RefCell;
use std::rc::Rc;

use chronik_storage::LogStore;
use chronik_storage::log::{Mode, PartitionLog};

use super::{Checker, ReplicaChecker, ReplicaState, Rule, Violation};
use crate::history::{Entry, Event, Happening, Place};
use crate::story::Chronicle;
use crate::world::{ShardStep, Watch};

/// Every so many steps of shards one is looked into.
const LOOKS_EVERY: u64 = 16;
/// Every so many looks take in the whole store.
const STORE_EVERY: u64 = 16;

/// See the module.
#[derive(Debug, Default)]
pub struct Judge {
    checker: Checker,
    replicas: ReplicaChecker,
    steps: u64,
    chronicle: Option<Rc<RefCell<Chronicle>>>,
}

impl Judge {
    /// One that also has the history told.
    #[must_use]
    pub fn telling(chronicle: Rc<RefCell<Chronicle>>) -> Self {
        Self {
            chronicle: Some(chronicle),
            ..Self::default()
        }
    }

    fn look(&mut self, step: &ShardStep<'_>) -> Result<(), Violation> {
        let store = step.machine.store();
        for slot in store.slots() {
            let seen = store.log(slot).zip(step.machine.high_watermark(slot));
            let Some((log, high_watermark)) = seen.filter(|(log, _)| log.failed.is_none()) else {
                continue;
            };
            let place = place(log);
            let state = ReplicaState {
                log_start: log.log_start.0,
                high_watermark: high_watermark.0,
                stable_end: log.stable_end().0,
                log_end: log.log_end.0,
            };
            self.replicas.look(step.now, place, state)?;
            if log.mode == Mode::Unjournaled && log.switch.is_none() {
                self.checker.synced(place, log.synced_end.0);
            }
        }
        Ok(())
    }
}

impl Watch for Judge {
    fn after_shard_step(&mut self, step: &ShardStep<'_>) -> Result<(), Violation> {
        self.steps += 1;
        if !self.steps.is_multiple_of(LOOKS_EVERY) {
            return Ok(());
        }
        if self.steps.is_multiple_of(LOOKS_EVERY * STORE_EVERY) {
            check_store(step)?;
        }
        self.look(step)
    }

    fn fact(&mut self, entry: &Entry) -> Result<(), Violation> {
        if let Event::World(Happening::Died { .. } | Happening::Wiped) = entry.what {
            self.replicas.died();
        }
        if let Some(chronicle) = &self.chronicle {
            chronicle.borrow_mut().take(entry);
        }
        self.checker.take(entry)
    }

    fn finish(&mut self) -> Result<(), Violation> {
        self.checker.finish()
    }
}

fn check_store(step: &ShardStep<'_>) -> Result<(), Violation> {
    let store: &LogStore = step.machine.store();
    store.invariants().map_err(|broken| {
        let what = format!("shard {} of broker {}: {broken}", step.shard, step.broker.0);
        Violation::new(Rule::Replica, step.now, what)
    })
}

fn place(log: &PartitionLog) -> Place {
    Place {
        topic: log.partition.topic_id,
        partition: log.partition.partition.0,
    }
}
