//! Writes checkpoints, on the main thread: when the journal wants to trim, and at a clean stop.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use chronik_node::{ShardInput, TrimAnswer};
use chronik_storage::checkpoint::Checkpoint;
use chronik_storage::disk::{DiskError, replace_file};
use chronik_storage::journal::JournalStart;
use chronik_storage::recovery::{CLEAN_SHUTDOWN_PATH, clean_marker};

use crate::disk::os_disk::OsDisk;
use crate::hub::{Hub, HubEvent, lock};

/// See the module.
#[derive(Debug)]
pub(super) struct Checkpointer {
    hub: Arc<Hub>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    disk: OsDisk,
    last: Checkpoint,
    /// Where replay will start once every shard has answered.
    start: Option<JournalStart>,
    answers: Vec<TrimAnswer>,
}

impl Checkpointer {
    pub(super) const fn new(hub: Arc<Hub>, disk: OsDisk, last: Checkpoint) -> Self {
        let state = State {
            disk,
            last,
            start: None,
            answers: Vec::new(),
        };
        Self {
            hub,
            state: Mutex::new(state),
        }
    }

    /// Asks every shard to do without the journal before `start`.
    pub(super) fn begin(&self, start: JournalStart) {
        {
            let mut state = lock(&self.state);
            state.start = Some(start);
            state.answers.clear();
        }
        for index in 0..self.hub.shard_count() {
            self.hub
                .step_shard(index, ShardInput::Trim(start.link.sequence));
        }
    }

    /// Takes a shard's answer; the last one writes the checkpoint and trims the journal.
    pub(super) fn answer(&self, answer: TrimAnswer) -> Result<(), (JournalStart, DiskError)> {
        let mut state = lock(&self.state);
        let Some(start) = state.start else {
            return Ok(());
        };
        state.take(answer);
        if state.answers.len() == self.hub.shard_count() {
            state.start = None;
            state.write(start).map_err(|error| (start, error))?;
            drop(state);
            self.hub.journal.trim(start);
        }
        Ok(())
    }

    /// Has every shard write and sync everything, and waits for that.
    pub(super) fn flush(&self, events: &Receiver<HubEvent>, deadline: Instant) -> bool {
        for index in 0..self.hub.shard_count() {
            self.hub.step_shard(index, ShardInput::Flush);
        }
        let mut state = lock(&self.state);
        state.answers.clear();
        while state.answers.len() < self.hub.shard_count() {
            let left = deadline.saturating_duration_since(Instant::now());
            match events.recv_timeout(left) {
                Ok(HubEvent::Trimmed(answer)) if answer.clean => state.take(answer),
                // What an offline directory lacks stays in the journal: there is nothing to wait for.
                Ok(HubEvent::Trimmed(_)) if self.is_offline() => return false,
                Ok(HubEvent::Trimmed(_)) => {}
                Ok(HubEvent::TrimWanted(_) | HubEvent::Registered | HubEvent::Stop) => {}
                Ok(HubEvent::Fatal(_)) | Err(_) => return false,
            }
        }
        true
    }

    fn is_offline(&self) -> bool {
        let mut shards = (0..self.hub.shard_count()).filter_map(|index| self.hub.shard(index));
        shards.any(|shard| shard.offline().is_some())
    }

    /// Leaves a checkpoint from which nothing has to be replayed, and the marker of a clean stop.
    pub(super) fn finish(self, start: JournalStart) -> Result<(), DiskError> {
        let mut state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let broker_epoch = self.hub.view().and_then(|view| {
            let broker = view.image.broker(view.node_id);
            broker.map(|broker| broker.epoch)
        });
        state.write(start)?;
        let marker = clean_marker(&start, broker_epoch);
        replace_file(&mut state.disk, CLEAN_SHUTDOWN_PATH, &marker)?;
        state.disk.close()
    }
}

impl State {
    fn take(&mut self, answer: TrimAnswer) {
        self.answers.retain(|other| other.shard != answer.shard);
        self.answers.push(answer);
    }

    fn write(&mut self, start: JournalStart) -> Result<(), DiskError> {
        let mut answers = std::mem::take(&mut self.answers);
        answers.sort_by_key(|answer: &TrimAnswer| answer.shard);
        let vote = answers
            .iter()
            .find_map(|answer| answer.vote)
            .unwrap_or_default();
        let next_log_id = answers.iter().map(|answer| answer.next_log_id).max();
        let checkpoint = Checkpoint {
            generation: self.last.generation + 1,
            directory_id: self.last.directory_id,
            start,
            vote,
            next_log_id: next_log_id.unwrap_or(self.last.next_log_id),
            logs: answers.into_iter().flat_map(|answer| answer.logs).collect(),
        };
        replace_file(&mut self.disk, checkpoint.path(), &checkpoint.encode())?;
        self.last = Checkpoint {
            logs: Vec::new(),
            ..checkpoint
        };
        Ok(())
    }
}
