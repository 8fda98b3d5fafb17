//! The journal thread and the checkpointer as steps: seal, write, tell, trim.

use chronik_node::{ShardInput, TrimAnswer};
use chronik_sim_disk::SimDisk;
use chronik_storage::checkpoint::Checkpoint;
use chronik_storage::disk::replace_file;
use chronik_storage::journal::frame::CommittedFrame;
use chronik_storage::journal::ring::ring_path;
use chronik_storage::journal::{CommitPlan, JournalStart, Ring, RingError, SealedFrame};

use super::ledger::Ledger;
use chronik_model::LogId;
use chronik_model::rng::Rng;
use chronik_node::Shard;

/// One write of the journal under way.
#[derive(Debug)]
struct Commit {
    plan: CommitPlan,
    frames: Vec<SealedFrame>,
    owners: Vec<u16>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Journal {
    ring: Ring,
    /// Frames for which there was no room.
    stuck: Option<(Vec<SealedFrame>, Vec<u16>)>,
    underway: Option<Commit>,
    checkpoint: Checkpoint,
    trimming: Option<JournalStart>,
    answers: Vec<TrimAnswer>,
    pub(crate) checkpoints: u64,
    /// The next write fails, and with it everything.
    pub(crate) fails: bool,
    /// No write begins.
    pub(crate) held: bool,
    pub(crate) dead: bool,
}

/// What shards hear, in order.
pub(crate) type Told = Vec<(u16, ShardInput)>;

impl Journal {
    pub(crate) const fn new(ring: Ring, checkpoint: Checkpoint) -> Self {
        Self {
            ring,
            stuck: None,
            underway: None,
            checkpoint,
            trimming: None,
            answers: Vec::new(),
            checkpoints: 0,
            fails: false,
            held: false,
            dead: false,
        }
    }

    pub(crate) fn can_begin(&self, shards: &[Shard]) -> bool {
        let wanted = || shards.iter().any(Shard::wants_commit);
        !self.dead && !self.held && self.underway.is_none() && self.stuck.is_none() && wanted()
    }

    pub(crate) const fn can_end(&self) -> bool {
        self.underway.is_some()
    }

    /// Takes what waits and places it in the ring.
    pub(crate) fn begin(&mut self, shards: &mut [Shard]) {
        let mut frames = Vec::new();
        let mut owners = Vec::new();
        for (index, shard) in (0..).zip(shards) {
            let sealed = shard.seal();
            owners.extend(std::iter::repeat_n(index, sealed.len()));
            frames.extend(sealed);
        }
        self.place(frames, owners);
    }

    fn place(&mut self, mut frames: Vec<SealedFrame>, owners: Vec<u16>) {
        match self.ring.plan(&mut frames) {
            Ok(plan) => {
                self.underway = Some(Commit {
                    plan,
                    frames,
                    owners,
                })
            }
            Err(RingError::Full) => self.stuck = Some((frames, owners)),
            Err(error @ RingError::TooLarge(_)) => panic!("{error}"),
        }
    }

    /// The write is done, or has failed.
    pub(crate) fn end(&mut self, shards: u16, disk: &mut SimDisk, ledger: &mut Ledger) -> Told {
        let Some(Commit {
            plan,
            frames,
            owners,
        }) = self.underway.take()
        else {
            return Vec::new();
        };
        if self.fails {
            self.dead = true;
            return Vec::new();
        }
        for write in &plan.writes {
            let (path, bytes) = (ring_path(write.file), write.buffers.concat());
            disk.write_through(&path, write.position, &bytes).unwrap();
        }
        self.ring.completed();
        let mut told = Vec::new();
        let buffers = plan.writes.into_iter().flat_map(|write| write.buffers);
        for (((sequence, frame), bytes), owner) in
            (plan.first_sequence..).zip(frames).zip(buffers).zip(owners)
        {
            let SealedFrame {
                entries, controls, ..
            } = frame;
            for entry in entries
                .iter()
                .filter(|entry| entry.log_id != LogId::METADATA)
            {
                ledger.committed(&bytes[entry.range.clone()]);
            }
            let frame = CommittedFrame {
                sequence,
                bytes,
                entries,
                controls,
            };
            told.push((owner, ShardInput::Committed(frame)));
        }
        told.extend(self.ask_for_trim(shards));
        told
    }

    fn ask_for_trim(&mut self, shards: u16) -> Told {
        if self.trimming.is_some() {
            return Vec::new();
        }
        self.trimming = self.ring.wanted_trim();
        let asked = self.trimming.iter().flat_map(|start| {
            let sequence = start.link.sequence;
            (0..shards).map(move |shard| (shard, ShardInput::Trim(sequence)))
        });
        asked.collect()
    }

    /// A shard can do without the journal's past; the last one writes the checkpoint.
    pub(crate) fn trimmed(&mut self, answer: TrimAnswer, shards: u16, disk: &mut SimDisk) {
        let Some(start) = self.trimming else { return };
        self.answers.retain(|other| other.shard != answer.shard);
        self.answers.push(answer);
        if self.answers.len() < usize::from(shards) {
            return;
        }
        let mut answers = std::mem::take(&mut self.answers);
        answers.sort_by_key(|answer| answer.shard);
        self.checkpoint = Checkpoint {
            generation: self.checkpoint.generation + 1,
            directory_id: self.checkpoint.directory_id,
            start,
            vote: answers
                .iter()
                .find_map(|answer| answer.vote)
                .unwrap_or_default(),
            next_log_id: answers
                .iter()
                .map(|answer| answer.next_log_id)
                .max()
                .unwrap(),
            logs: answers.into_iter().flat_map(|answer| answer.logs).collect(),
        };
        replace_file(disk, self.checkpoint.path(), &self.checkpoint.encode()).unwrap();
        self.checkpoints += 1;
        self.ring.trim(start);
        self.trimming = None;
        if let Some((frames, owners)) = self.stuck.take() {
            self.place(frames, owners);
        }
    }

    /// The machine dies: of a write under way some sectors are there.
    pub(crate) fn tear(&self, disk: &mut SimDisk, rng: &mut Rng) {
        for write in self.underway.iter().flat_map(|commit| &commit.plan.writes) {
            disk.write_torn(
                &ring_path(write.file),
                write.position,
                &write.buffers.concat(),
                rng,
            );
        }
    }
}
