//! The journal thread and the checkpointer as steps: seal, write, tell, trim.

use std::borrow::Cow;

use chronik_model::LogId;
use chronik_model::rng::Rng;
use chronik_node::{Shard, ShardInput, TrimAnswer};
use chronik_sim_disk::SimDisk;
use chronik_storage::checkpoint::Checkpoint;
use chronik_storage::disk::{DiskError, DiskOp, replace_file};
use chronik_storage::journal::frame::CommittedFrame;
use chronik_storage::journal::ring::ring_path;
use chronik_storage::journal::{CommitPlan, JournalStart, Ring, SealedFrame};

/// One write under way.
#[derive(Debug)]
struct Commit {
    plan: CommitPlan,
    frames: Vec<SealedFrame>,
    owners: Vec<u16>,
}

/// Where the checkpointer stands.
#[derive(Debug)]
enum Checkpointing {
    No,
    /// Shards are asked to do without the journal before this point.
    Asked(JournalStart, Vec<TrimAnswer>),
    /// All have answered, and this is being written.
    Writing(JournalStart, Box<Checkpoint>),
    /// It could not be written.
    Failed(JournalStart),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Journal {
    ring: Ring,
    /// Frames for which there was no room.
    stuck: Option<(Vec<SealedFrame>, Vec<u16>)>,
    underway: Option<Commit>,
    last: Checkpoint,
    checkpointing: Checkpointing,
    /// Somebody will look for what waits.
    pub(super) awake: bool,
    pub(super) dead: bool,
    /// Nobody asks for checkpoints any more.
    pub(super) stopping: bool,
}

/// What shards hear, in order.
pub(super) type Told = Vec<(u16, ShardInput)>;

/// What became of a look at what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    Nothing,
    Writing,
    /// There is no room in the ring.
    Stuck,
}

impl Journal {
    pub(super) const fn new(ring: Ring, last: Checkpoint) -> Self {
        Self {
            ring,
            stuck: None,
            underway: None,
            last,
            checkpointing: Checkpointing::No,
            awake: false,
            dead: false,
            stopping: false,
        }
    }

    /// Whether it is to be woken for something that waits.
    pub(super) const fn is_asleep(&self) -> bool {
        !self.awake && !self.dead && self.underway.is_none() && self.stuck.is_none()
    }

    /// Whether nothing is under way and nothing can be.
    pub(super) fn is_idle(&self, shards: &[Shard]) -> bool {
        self.is_asleep() && !shards.iter().any(Shard::wants_commit)
    }

    pub(super) const fn is_writing(&self) -> bool {
        self.underway.is_some()
    }

    /// Takes what waits and places it in the ring.
    pub(super) fn begin(&mut self, shards: &mut [Shard]) -> Begun {
        self.awake = false;
        if self.dead || self.underway.is_some() || self.stuck.is_some() {
            return Begun::Nothing;
        }
        let mut frames = Vec::new();
        let mut owners = Vec::new();
        for (index, shard) in (0..).zip(shards) {
            let sealed = shard.seal();
            owners.extend(std::iter::repeat_n(index, sealed.len()));
            frames.extend(sealed);
        }
        if frames.is_empty() {
            return Begun::Nothing;
        }
        self.place(frames, owners)
    }

    fn place(&mut self, mut frames: Vec<SealedFrame>, mut owners: Vec<u16>) -> Begun {
        let count = match self.ring.fitting(&frames) {
            Ok(count) => count,
            Err(error) => panic!("{error}"),
        };
        if count < frames.len() {
            let later = (frames.split_off(count), owners.split_off(count));
            self.stuck = Some(later);
        }
        if count == 0 {
            return Begun::Stuck;
        }
        match self.ring.plan(&mut frames) {
            Ok(plan) => {
                self.underway = Some(Commit {
                    plan,
                    frames,
                    owners,
                });
                Begun::Writing
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Goes on with what there was no room for.
    pub(super) fn go_on(&mut self) -> Begun {
        if self.dead || self.underway.is_some() {
            return Begun::Nothing;
        }
        match self.stuck.take() {
            Some((frames, owners)) => self.place(frames, owners),
            None => Begun::Nothing,
        }
    }

    /// The write under way is done, or fails. `wrote` sees its bytes.
    pub(super) fn end(
        &mut self,
        disk: &mut SimDisk,
        mut wrote: impl FnMut(&[u8]),
    ) -> Result<Told, DiskError> {
        let Some(commit) = self.underway.take() else {
            return Ok(Vec::new());
        };
        for write in &commit.plan.writes {
            let path = ring_path(write.file);
            let bytes: Cow<'_, [u8]> = match write.buffers.as_slice() {
                [one] => one.as_ref().into(),
                many => many.concat().into(),
            };
            wrote(&bytes);
            if let Err(error) = disk.write_through(&path, write.position, &bytes) {
                self.dead = true;
                return Err(error);
            }
        }
        self.ring.completed();
        Ok(told(commit))
    }

    /// Once half of the ring is used, asks the shards to do without the oldest part of it.
    pub(super) fn ask_for_trim(&mut self) -> Option<ShardInput> {
        let start = match &self.checkpointing {
            Checkpointing::No if !self.stopping => self.ring.wanted_trim()?,
            Checkpointing::Failed(start) => *start,
            Checkpointing::No | Checkpointing::Asked(..) | Checkpointing::Writing(..) => {
                return None;
            }
        };
        self.checkpointing = Checkpointing::Asked(start, Vec::new());
        Some(ShardInput::Trim(start.link.sequence))
    }

    /// A shard can do without the journal's past. True when it was the last one, and a checkpoint is
    /// on its way to the disk.
    pub(super) fn trimmed(&mut self, answer: TrimAnswer, shards: usize) -> bool {
        let Checkpointing::Asked(start, answers) = &mut self.checkpointing else {
            return false;
        };
        answers.retain(|other| other.shard != answer.shard);
        answers.push(answer);
        if answers.len() < shards {
            return false;
        }
        let (start, answers) = (*start, std::mem::take(answers));
        let checkpoint = Box::new(self.checkpoint(start, answers));
        self.checkpointing = Checkpointing::Writing(start, checkpoint);
        true
    }

    fn checkpoint(&self, start: JournalStart, mut answers: Vec<TrimAnswer>) -> Checkpoint {
        answers.sort_by_key(|answer| answer.shard);
        let next = answers.iter().map(|answer| answer.next_log_id).max();
        Checkpoint {
            generation: self.last.generation + 1,
            directory_id: self.last.directory_id,
            start,
            vote: answers
                .iter()
                .find_map(|answer| answer.vote)
                .unwrap_or_default(),
            next_log_id: next.unwrap_or(self.last.next_log_id),
            logs: answers.into_iter().flat_map(|answer| answer.logs).collect(),
        }
    }

    /// The checkpoint reaches the disk, and frees what lies before it.
    pub(super) fn checkpointed(&mut self, disk: &mut SimDisk) -> Result<(), DiskError> {
        let before = std::mem::replace(&mut self.checkpointing, Checkpointing::No);
        let Checkpointing::Writing(start, checkpoint) = before else {
            self.checkpointing = before;
            return Ok(());
        };
        if let Err(error) = write_checkpoint(disk, &checkpoint) {
            self.checkpointing = Checkpointing::Failed(start);
            return Err(error);
        }
        self.last = without_logs(*checkpoint);
        self.ring.trim(start);
        Ok(())
    }

    /// Leaves a checkpoint from which nothing has to be replayed.
    pub(super) fn finish(
        &mut self,
        disk: &mut SimDisk,
        answers: Vec<TrimAnswer>,
    ) -> Result<JournalStart, DiskError> {
        let start = self.ring.successor();
        write_checkpoint(disk, &self.checkpoint(start, answers))?;
        Ok(start)
    }

    /// The process dies in the middle: of a write under way some sectors are there. True when
    /// there was one.
    pub(super) fn die(&self, disk: &mut SimDisk, rng: &mut Rng) -> bool {
        if let Checkpointing::Writing(_, checkpoint) = &self.checkpointing {
            let replacement = DiskOp::ReplaceFile {
                log_id: LogId::METADATA,
                path: checkpoint.path().into(),
                bytes: checkpoint.encode(),
            };
            disk.carry_out_in_part(&replacement, rng);
        }
        if let Some(commit) = &self.underway {
            tear(commit, disk, rng);
        }
        self.underway.is_some()
    }
}

fn tear(commit: &Commit, disk: &mut SimDisk, rng: &mut Rng) {
    for write in &commit.plan.writes {
        let path = ring_path(write.file);
        disk.write_torn(&path, write.position, &write.buffers.concat(), rng);
    }
}

fn write_checkpoint(disk: &mut SimDisk, checkpoint: &Checkpoint) -> Result<(), DiskError> {
    replace_file(disk, checkpoint.path(), &checkpoint.encode())
}

/// Only its numbers are asked for later.
fn without_logs(checkpoint: Checkpoint) -> Checkpoint {
    Checkpoint {
        logs: Vec::new(),
        ..checkpoint
    }
}

fn told(commit: Commit) -> Told {
    let buffers = commit.plan.writes.into_iter().flat_map(|it| it.buffers);
    let sequences = commit.plan.first_sequence..;
    let frames = sequences.zip(commit.frames).zip(buffers).zip(commit.owners);
    let told = frames.map(|(((sequence, frame), bytes), owner)| {
        let SealedFrame {
            entries, controls, ..
        } = frame;
        let frame = CommittedFrame {
            sequence,
            bytes,
            entries,
            controls,
        };
        (owner, ShardInput::Committed(frame))
    });
    told.collect()
}
