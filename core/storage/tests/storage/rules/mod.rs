//! The rules of the storage engine, one story each.

mod astray;
mod checkpoints;
mod failures;
mod history;
mod journal;
mod reading;

use chronik_model::rng::Rng;
use chronik_sim_disk::{Crash, SimDisk};
use chronik_storage::journal::replay::ReplayError;
use chronik_storage::log::PartitionLog;
use chronik_storage::store::StoreLimits;

use super::model::{Model, batch};
use super::shell::{Shell, new_directory};

const DURABLE: u64 = 1;
const LAZY: u64 = 1000;

/// A directory with its promises.
struct Story {
    shell: Shell,
    model: Model,
    rng: Rng,
}

impl Story {
    fn new() -> Self {
        Self {
            shell: start(new_directory()).unwrap(),
            model: Model::default(),
            rng: Rng::new(7),
        }
    }

    fn log(&mut self, flush_messages: u64) -> u64 {
        self.model.create(&mut self.shell, 1, flush_messages)
    }

    fn append(&mut self, id: u64, bytes: usize) -> i64 {
        let batch = batch(&mut self.rng, 1, bytes, None);
        self.model.append(&mut self.shell, id, &batch).unwrap().0
    }

    /// Commits what waits and tells the store.
    fn commit(&mut self) {
        self.shell.store.end_turn();
        self.shell.commit().unwrap();
        self.shell.deliver();
        self.model.note(&mut self.shell);
    }

    fn drain(&mut self) {
        self.shell.drain().unwrap();
        self.model.note(&mut self.shell);
    }

    fn of(&self, id: u64) -> &PartitionLog {
        self.shell
            .store
            .log(self.shell.slot_of(id).unwrap())
            .unwrap()
    }

    /// Crashes and comes back, with every promise checked.
    fn crash(&mut self, crash: Crash) {
        let left = self.shell.disk.after(crash, &mut self.rng);
        self.shell = start(left).unwrap();
        self.model.check(&self.shell, Some(crash));
        self.model.configure(&mut self.shell);
    }

    /// Recovers a disk that somebody damaged; every promise must still hold.
    fn check_damaged(&self, disk: SimDisk, what: &str) {
        let shell = start(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
        self.model.clone().check(&shell, Some(Crash::Power));
    }
}

fn start(disk: SimDisk) -> Result<Shell, ReplayError> {
    let limits = StoreLimits {
        tail_bytes: 48 << 10,
        write_back_bytes: 8 << 10,
        ..StoreLimits::default()
    };
    match Shell::start(disk, limits) {
        Ok((shell, _)) => Ok(shell),
        Err(failed) => Err(failed.1),
    }
}

/// Logs of both modes, several trims, a deletion, a truncation, and a tail in the journal.
fn filled() -> Story {
    let mut story = Story::new();
    let (durable, lazy, gone) = (story.log(DURABLE), story.log(LAZY), story.log(DURABLE));
    story.append(gone, 9000);
    story.drain();
    for _ in 0..60 {
        story.append(durable, 5000);
        story.append(lazy, 700);
        story.drain();
    }
    story.model.delete(&mut story.shell, gone);
    let end = story.model.logs[&durable].end;
    story
        .model
        .truncate(&mut story.shell, durable, end - 2, false);
    story.model.truncate(&mut story.shell, lazy, end - 2, false);
    for _ in 0..3 {
        story.append(durable, 900);
        story.append(lazy, 900);
        story.drain();
    }
    story.shell.flush_timed();
    story.drain();
    assert!(story.shell.counts.0["trims"] > 1);
    story
}
