//! A whole broker without shell: its machines, one queue between them, a disk in memory. Everything
//! that follows from an input happens before the next one.

mod disk;
mod journal;
mod start;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use chronik_model::{Mono, Now};
use chronik_node::{
    ClusterView, ConnectionId, Frontend, FrontendInput, FrontendOutput, Peer, Pieces, Quorum,
    QuorumInput, QuorumOutput, Shard, ShardInput, ShardOutputs,
};
use chronik_storage::disk::{DiskDone, DiskRequest};

pub use disk::MemoryDisk;
use journal::Journal;
pub use start::{DIRECTORY_ID, JOURNAL_FILES, shape};

/// More steps than anything that a client asks for can need.
const MOST_STEPS: usize = 2_000_000;
/// What passes with every step.
const STEP_NS: u64 = 1_000;

/// Something that waits for its machine.
#[derive(Debug)]
enum Work {
    Shard(usize, ShardInput),
    Frontend(FrontendInput),
    Quorum(QuorumInput),
    Disk(usize, DiskRequest),
}

/// What a connection was told.
#[derive(Debug)]
pub enum Told {
    /// A whole reply.
    Reply(ConnectionId, Pieces),
    /// It was closed, for this reason.
    Closed(ConnectionId, String),
}

/// See the module.
#[derive(Debug)]
pub struct Node {
    quorum: Quorum,
    shards: Vec<Shard>,
    frontend: Option<Frontend>,
    journal: Journal,
    disk: MemoryDisk,
    queue: VecDeque<Work>,
    view: Option<Arc<ClusterView>>,
    mono: Mono,
    told: Vec<Told>,
    /// Why the broker would have stopped.
    fatal: Option<String>,
    next_connection: u32,
}

impl Node {
    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Now {
        let passed = i64::try_from(self.mono.0 / 1_000_000).unwrap_or(0);
        Now {
            mono: self.mono,
            wall_ms: 1_700_000_000_000 + passed,
        }
    }

    /// A new connection. The first keeps its place for ever; the others use a few places in turn.
    pub fn connect(&mut self) -> ConnectionId {
        let number = self.next_connection;
        self.next_connection += 1;
        let id = match number.checked_sub(1) {
            None => ConnectionId {
                index: 0,
                generation: 0,
            },
            Some(other) => ConnectionId {
                index: 1 + other % PLACES,
                generation: other / PLACES,
            },
        };
        let peer = Peer {
            listener: 0,
            host: "127.0.0.1".into(),
        };
        self.step_frontend(FrontendInput::Connected(id, peer));
        id
    }

    /// The client hangs up.
    pub fn hang_up(&mut self, id: ConnectionId) {
        self.step_frontend(FrontendInput::Closed(id));
    }

    /// Hands a frame in, and lets everything happen that follows from it but the passing of time.
    ///
    /// # Errors
    /// The broker would have stopped, or does not come to rest.
    pub fn frame(&mut self, id: ConnectionId, frame: Bytes) -> Result<(), String> {
        self.step_frontend(FrontendInput::Frame(id, frame));
        self.settle()
    }

    /// Lets time pass, with everything that falls due in it.
    ///
    /// # Errors
    /// As [`Self::frame`].
    pub fn pass(&mut self, ms: i64) -> Result<(), String> {
        let end = self.mono.plus_ms(ms);
        for _ in 0..MOST_STEPS {
            let due = self.deadline().filter(|due| *due <= end);
            let Some(due) = due else {
                self.mono = self.mono.max(end);
                return self.settle();
            };
            self.mono = self.mono.max(due);
            self.step_frontend(FrontendInput::Tick);
            self.queue.push_back(Work::Quorum(QuorumInput::Tick));
            for shard in 0..self.shards.len() {
                self.step_shard(shard, ShardInput::Tick);
            }
            self.settle()?;
        }
        Err("time does not pass: deadlines are never met".to_owned())
    }

    /// What connections were told since the last call.
    pub fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// The process is killed: what is left of it.
    #[must_use]
    pub fn into_disk(self) -> MemoryDisk {
        self.disk
    }

    /// Metadata as the frontend has it.
    #[must_use]
    pub const fn view(&self) -> Option<&Arc<ClusterView>> {
        self.view.as_ref()
    }

    fn deadline(&self) -> Option<Mono> {
        let frontend = self.frontend.as_ref().and_then(Frontend::deadline);
        let shards = self.shards.iter().filter_map(Shard::deadline);
        shards.chain(frontend).chain(self.quorum.deadline()).min()
    }

    fn settle(&mut self) -> Result<(), String> {
        for _ in 0..MOST_STEPS {
            if let Some(reason) = self.fatal.take() {
                return Err(reason);
            }
            match self.queue.pop_front() {
                Some(work) => self.happen(work),
                None if self.wants_commit() => self.commit()?,
                None => return Ok(()),
            }
        }
        Err("the broker does not come to rest".to_owned())
    }

    fn wants_commit(&self) -> bool {
        self.journal.is_stuck() || self.shards.iter().any(Shard::wants_commit)
    }

    fn happen(&mut self, work: Work) {
        self.mono = Mono(self.mono.0 + STEP_NS);
        match work {
            Work::Shard(shard, input) => self.step_shard(shard, input),
            Work::Frontend(input) => self.step_frontend(input),
            Work::Quorum(input) => {
                let mut out = Vec::new();
                self.quorum.step(self.now(), input, &mut out);
                self.quorum_outputs(out);
            }
            Work::Disk(shard, DiskRequest { token, op }) => {
                let result = self.disk.carry_out(&op);
                self.step_shard(shard, ShardInput::Disk(DiskDone { token, result }));
            }
        }
    }

    fn commit(&mut self) -> Result<(), String> {
        let told = self.journal.commit(&mut self.shards, &mut self.disk)?;
        let work = told
            .into_iter()
            .map(|(shard, input)| Work::Shard(shard, input));
        self.queue.extend(work);
        Ok(())
    }

    fn step_shard(&mut self, index: usize, input: ShardInput) {
        let now = self.now();
        let Some(shard) = self.shards.get_mut(index) else {
            return;
        };
        let mut out = ShardOutputs::default();
        shard.step(now, input, &mut out);
        let replies = out.replies.into_iter().map(FrontendInput::Shard);
        self.queue.extend(replies.map(Work::Frontend));
        let disk = out
            .disk
            .into_iter()
            .map(|request| Work::Disk(index, request));
        self.queue.extend(disk);
        if let Some(sequence) = out.persisted {
            self.queue
                .push_back(Work::Quorum(QuorumInput::Persisted(sequence)));
        }
        if let Some(written) = out.snapshot {
            self.queue
                .push_back(Work::Quorum(QuorumInput::Snapshot(written)));
        }
        if let Some(answer) = out.trimmed {
            self.journal
                .trimmed(answer, self.shards.len(), &mut self.disk);
        }
        if let Some(reason) = out.offline {
            self.fatal
                .get_or_insert_with(|| format!("the directory went offline: {reason}"));
        }
    }

    fn step_frontend(&mut self, input: FrontendInput) {
        let now = self.now();
        let Some(frontend) = &mut self.frontend else {
            return;
        };
        let mut out = Vec::new();
        frontend.step(now, input, &mut out);
        frontend.take_observations().for_each(drop);
        let mut asked: Vec<usize> = Vec::new();
        for output in out {
            self.frontend_output(output, &mut asked);
        }
        let turns = asked
            .into_iter()
            .map(|shard| Work::Shard(shard, ShardInput::EndTurn));
        self.queue.extend(turns);
    }

    fn frontend_output(&mut self, output: FrontendOutput, asked: &mut Vec<usize>) {
        match output {
            FrontendOutput::Send(id, pieces) => self.told.push(Told::Reply(id, pieces)),
            FrontendOutput::Close(id, reason) => {
                self.told.push(Told::Closed(id, reason.to_string()));
                self.queue
                    .push_back(Work::Frontend(FrontendInput::Closed(id)));
            }
            FrontendOutput::Resume(_) => {}
            FrontendOutput::Shard(shard, request) => {
                let shard = usize::from(shard.0);
                self.queue
                    .push_back(Work::Shard(shard, ShardInput::Request(request)));
                if !asked.contains(&shard) {
                    asked.push(shard);
                }
            }
            FrontendOutput::Controller(ticket, request) => {
                let input = QuorumInput::Request { ticket, request };
                self.queue.push_back(Work::Quorum(input));
            }
            FrontendOutput::ProducerIds => {
                let input = QuorumInput::ProducerIds(start::FRONTEND);
                self.queue.push_back(Work::Quorum(input));
            }
        }
    }

    fn quorum_outputs(&mut self, outputs: Vec<QuorumOutput>) {
        for output in outputs {
            self.quorum_output(output);
        }
    }

    fn quorum_output(&mut self, output: QuorumOutput) {
        let metadata = |input| Work::Shard(start::METADATA_SHARD, input);
        match output {
            QuorumOutput::Persist {
                sequence,
                hard_state,
                entries,
            } => self.queue.push_back(metadata(ShardInput::Persist {
                sequence,
                hard_state,
                entries,
            })),
            QuorumOutput::Snapshot { id, bytes } => {
                self.queue
                    .push_back(metadata(ShardInput::Snapshot { id, bytes }));
            }
            QuorumOutput::Trim(trim) => self
                .queue
                .push_back(metadata(ShardInput::TrimMetadata(trim))),
            QuorumOutput::Publish(view, delta) => {
                for shard in 0..self.shards.len() {
                    let input = ShardInput::View(Arc::clone(&view), Arc::clone(&delta));
                    self.queue.push_back(Work::Shard(shard, input));
                }
                self.view = Some(Arc::clone(&view));
                self.queue
                    .push_back(Work::Frontend(FrontendInput::View(view)));
            }
            QuorumOutput::Reply {
                ticket,
                reply,
                offset,
            } => {
                let input = FrontendInput::Controller(ticket, reply, offset);
                self.queue.push_back(Work::Frontend(input));
            }
            QuorumOutput::ProducerIds(_, ids) => {
                self.queue
                    .push_back(Work::Frontend(FrontendInput::ProducerIds(ids)));
            }
            QuorumOutput::Registered => {}
            QuorumOutput::Halt(reason) => {
                self.fatal
                    .get_or_insert_with(|| format!("the broker stops: {reason}"));
            }
        }
    }
}

/// Places of connections other than the first.
const PLACES: u32 = 32;
