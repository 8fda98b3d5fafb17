//! The journal thread and the checkpointer as plain calls.

use chronik_node::{Shard, ShardInput, TrimAnswer};
use chronik_storage::checkpoint::Checkpoint;
use chronik_storage::disk::{Disk, replace_file};
use chronik_storage::journal::frame::CommittedFrame;
use chronik_storage::journal::ring::ring_path;
use chronik_storage::journal::{JournalStart, Ring, RingError, SealedFrame};

use super::MemoryDisk;

/// See the module.
#[derive(Debug)]
pub(super) struct Journal {
    ring: Ring,
    checkpoint: Checkpoint,
    trimming: Option<JournalStart>,
    answers: Vec<TrimAnswer>,
    /// Frames for which there was no room, with their shards.
    stuck: Option<(Vec<SealedFrame>, Vec<usize>)>,
}

/// What shards hear, in order.
pub(super) type Told = Vec<(usize, ShardInput)>;

impl Journal {
    pub(super) const fn new(ring: Ring, checkpoint: Checkpoint) -> Self {
        Self {
            ring,
            checkpoint,
            trimming: None,
            answers: Vec::new(),
            stuck: None,
        }
    }

    /// Writes what waits.
    pub(super) fn commit(
        &mut self,
        shards: &mut [Shard],
        disk: &mut MemoryDisk,
    ) -> Result<Told, String> {
        let (mut frames, mut owners) = self.stuck.take().unwrap_or_default();
        for (index, shard) in shards.iter_mut().enumerate() {
            let sealed = shard.seal();
            owners.extend(std::iter::repeat_n(index, sealed.len()));
            frames.extend(sealed);
        }
        let plan = match self.ring.plan(&mut frames) {
            Ok(plan) => plan,
            Err(RingError::Full) => {
                self.stuck = Some((frames, owners));
                let asked = self.ask_for_trim(shards.len());
                return if asked.is_empty() {
                    Err("the journal is full and can not be trimmed".to_owned())
                } else {
                    Ok(asked)
                };
            }
            Err(error @ RingError::TooLarge(_)) => return Err(error.to_string()),
        };
        for write in &plan.writes {
            let path = ring_path(write.file);
            let bytes = write.buffers.concat();
            disk.write(&path, write.position, &bytes)
                .map_err(|error| error.to_string())?;
        }
        self.ring.completed();
        let buffers = plan.writes.into_iter().flat_map(|write| write.buffers);
        let numbered = (plan.first_sequence..).zip(frames).zip(buffers).zip(owners);
        let mut told: Told = numbered
            .map(|(((sequence, frame), bytes), owner)| {
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
            })
            .collect();
        told.extend(self.ask_for_trim(shards.len()));
        Ok(told)
    }

    fn ask_for_trim(&mut self, shards: usize) -> Told {
        if self.trimming.is_none() {
            self.trimming = self.ring.wanted_trim();
            self.answers.clear();
        } else {
            return Vec::new();
        }
        let asked = self.trimming.iter();
        asked
            .flat_map(|start| {
                (0..shards).map(|shard| (shard, ShardInput::Trim(start.link.sequence)))
            })
            .collect()
    }

    /// A shard can do without the journal's past; the last one has the checkpoint written.
    pub(super) fn trimmed(&mut self, answer: TrimAnswer, shards: usize, disk: &mut MemoryDisk) {
        let Some(start) = self.trimming else { return };
        self.answers.retain(|other| other.shard != answer.shard);
        self.answers.push(answer);
        if self.answers.len() < shards {
            return;
        }
        let mut answers = std::mem::take(&mut self.answers);
        answers.sort_by_key(|answer| answer.shard);
        let vote = answers.iter().find_map(|answer| answer.vote);
        let next_log_id = answers.iter().map(|answer| answer.next_log_id).max();
        self.checkpoint = Checkpoint {
            generation: self.checkpoint.generation + 1,
            directory_id: self.checkpoint.directory_id,
            start,
            vote: vote.unwrap_or_default(),
            next_log_id: next_log_id.unwrap_or(self.checkpoint.next_log_id),
            logs: answers.into_iter().flat_map(|answer| answer.logs).collect(),
        };
        let written = replace_file(disk, self.checkpoint.path(), &self.checkpoint.encode());
        if written.is_ok() {
            self.ring.trim(start);
        }
        self.trimming = None;
    }

    /// Whether something waits for room.
    pub(super) const fn is_stuck(&self) -> bool {
        self.stuck.is_some()
    }
}
