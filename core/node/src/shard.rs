//! A shard owns partitions: it appends, reads, and keeps the replies that wait.

mod disk;
mod fetch;
mod groups;
mod maintenance;
mod metadata;
mod metadata_log;
mod operations;
mod partition;
mod produce;
mod wall_clock;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chronik_controller::{Entry, HardState, MetadataDelta};
use chronik_model::{Mono, Now, Offset, TopicPartition};
use chronik_storage::checkpoint::{LogCheckpoint, Vote};
use chronik_storage::disk::{DiskDone, DiskRequest};
use chronik_storage::journal::SealedFrame;
use chronik_storage::journal::frame::CommittedFrame;
use chronik_storage::log::PartitionLog;
use chronik_storage::store::{DELETION_UNDERWAY, Keep, StoreLimits, TrimProgress};
use chronik_storage::{LogSlot, LogStore};
use rustc_hash::FxHashMap;

use crate::messages::{PartitionOp, ShardId, ShardReply, ShardRequest, Ticket};
use crate::metadata_snapshot::{MetadataTrim, SnapshotId};
use crate::quorum::SnapshotWritten;
use crate::view::ClusterView;
use fetch::{ColdReads, Watches};
use groups::Groups;
pub(crate) use groups::OFFSETS_TOPIC;
pub use groups::{Ahead, GroupCursor};
use operations::Lookups;
use partition::Partition;
pub use partition::PartitionStatus;

/// How a shard is set up.
#[derive(Debug, Clone, Copy)]
pub struct ShardConfig {
    /// Which shard this is.
    pub id: ShardId,
    /// Shards of the broker.
    pub count: u16,
    /// Bounds of its store.
    pub limits: StoreLimits,
    /// No log of the directory has this id or a larger one.
    pub next_log_id: u64,
    /// Makes the ids of group members; another one with every start.
    pub seed: u64,
    /// Largest batch that the journal can take.
    pub max_batch_bytes: usize,
}

/// What a shard is told.
#[derive(Debug)]
pub enum ShardInput {
    /// A request of a frontend.
    Request(ShardRequest),
    /// The requests of this turn are all in: what must be written at once is written.
    EndTurn,
    /// A frame of this shard is durable.
    Committed(CommittedFrame),
    /// The journal failed.
    JournalFailed(String),
    /// A disk operation is done.
    Disk(DiskDone),
    /// New metadata.
    View(Arc<ClusterView>, Arc<MetadataDelta>),
    /// Entries for the metadata log, which this shard hosts.
    Persist {
        /// Reported when durable.
        sequence: u64,
        /// Raft's hard state, when it changed.
        hard_state: Option<HardState>,
        /// Entries.
        entries: Vec<Entry>,
    },
    /// All metadata, to be written beside the metadata log.
    Snapshot {
        /// Names it.
        id: SnapshotId,
        /// The content of its file.
        bytes: Bytes,
    },
    /// What snapshots make superfluous goes from the metadata log.
    TrimMetadata(MetadataTrim),
    /// The journal wants to drop frames below this number.
    Trim(u64),
    /// Everything is to be made durable in the segments, for a clean stop.
    Flush,
    /// Free space fell below the reserve, or is back.
    DiskFull(bool),
    /// What a segment had no space for is to be tried again.
    RetryWrites,
    /// A deadline passed.
    Tick,
}

/// What a shard wants done.
#[derive(Debug, Default)]
pub struct ShardOutputs {
    /// Answers to frontends.
    pub replies: Vec<ShardReply>,
    /// Disk operations, in order.
    pub disk: Vec<DiskRequest>,
    /// Highest persist sequence that is durable, for the controller.
    pub persisted: Option<u64>,
    /// What came of [`ShardInput::Snapshot`], for the controller.
    pub snapshot: Option<SnapshotWritten>,
    /// A segment write found no space: [`ShardInput::RetryWrites`] is wanted later.
    pub full: bool,
    /// The answer to [`ShardInput::Trim`], or to [`ShardInput::Flush`].
    pub trimmed: Option<TrimAnswer>,
    /// The disk failed under this shard: the directory is offline, for all shards and for good.
    pub offline: Option<String>,
    /// Lines for the operator.
    pub warnings: Vec<String>,
    /// Lines for whoever looks closely.
    pub notes: Vec<String>,
}

impl ShardOutputs {
    /// Whether anything is wanted beside replies and disk operations, which is rare.
    #[must_use]
    pub fn are_more_than_replies(&self) -> bool {
        let Self {
            replies: _,
            disk: _,
            persisted,
            snapshot,
            full,
            trimmed,
            offline,
            warnings,
            notes,
        } = self;
        persisted.is_some()
            || snapshot.is_some()
            || *full
            || trimmed.is_some()
            || offline.is_some()
            || !warnings.is_empty()
            || !notes.is_empty()
    }
}

/// This shard needs no frame below the asked one any more.
#[derive(Debug)]
pub struct TrimAnswer {
    /// The shard.
    pub shard: ShardId,
    /// Everything is durable in the segments: the answer to [`ShardInput::Flush`], but of a directory
    /// that is offline.
    pub clean: bool,
    /// Where its logs can be recovered from.
    pub logs: Vec<LogCheckpoint>,
    /// Raft's hard state, from the shard that hosts the metadata log.
    pub vote: Option<Vote>,
    /// No log of this shard has this id or a larger one.
    pub next_log_id: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Shard {
    config: ShardConfig,
    store: LogStore,
    view: Option<Arc<ClusterView>>,
    /// Logs that recovery found and no metadata has claimed yet.
    recovered: BTreeMap<TopicPartition, PartitionLog>,
    slots: FxHashMap<TopicPartition, LogSlot>,
    partitions: Vec<Option<Partition>>,
    watches: Watches,
    cold: ColdReads,
    lookups: Lookups,
    groups: Groups,
    /// Control tokens and what they were for.
    controls: FxHashMap<u64, Control>,
    next_control: u64,
    metadata: Option<LogSlot>,
    /// The snapshot of the metadata that is on its way to disk.
    snapshot: Option<SnapshotId>,
    vote: Vote,
    flushing: bool,
    trimming: bool,
    maintenance: maintenance::Deadlines,
}

/// What waits for a control operation of the journal.
#[derive(Debug, Clone, Copy)]
enum Control {
    Persist {
        sequence: u64,
    },
    DeleteRecords {
        ticket: Ticket,
        part: u32,
        partition: TopicPartition,
        start: Offset,
    },
}

impl Shard {
    /// A shard with the logs that recovery found for it.
    #[must_use]
    pub fn new(config: ShardConfig, recovered: Vec<PartitionLog>, vote: Vote) -> Self {
        let count = u64::from(config.count.max(1));
        let first = config.next_log_id + u64::from(config.id.0);
        let mut store = LogStore::new(config.limits, first, count);
        let mut logs = BTreeMap::new();
        let mut metadata = None;
        for log in recovered {
            if log.log_id == chronik_model::LogId::METADATA {
                let slot = store.adopt(log);
                store.configure(slot, metadata_log::config());
                metadata = Some(slot);
            } else if log.failed.as_deref() == Some(DELETION_UNDERWAY) {
                let slot = store.adopt(log);
                store.delete(slot);
            } else {
                logs.insert(log.partition, log);
            }
        }
        Self {
            config,
            store,
            view: None,
            recovered: logs,
            slots: FxHashMap::default(),
            partitions: Vec::new(),
            watches: Watches::default(),
            cold: ColdReads::default(),
            lookups: Lookups::default(),
            groups: Groups::default(),
            controls: FxHashMap::default(),
            next_control: 0,
            metadata,
            snapshot: None,
            vote,
            flushing: false,
            trimming: false,
            maintenance: maintenance::Deadlines::default(),
        }
    }

    /// Takes one input; what is to be done goes to `out`.
    pub fn step(&mut self, now: Now, input: ShardInput, out: &mut ShardOutputs) {
        match input {
            ShardInput::Request(request) => self.request(now, request, out),
            ShardInput::EndTurn => self.store.end_turn(),
            ShardInput::Committed(frame) => self.committed(&frame, out),
            ShardInput::JournalFailed(reason) => self.go_offline(&reason, out),
            ShardInput::Disk(done) => self.disk_done(now, done, out),
            ShardInput::View(view, delta) => self.apply_view(now, view, &delta, out),
            ShardInput::Persist {
                sequence,
                hard_state,
                entries,
            } => {
                self.persist(sequence, hard_state, &entries, out);
            }
            ShardInput::Snapshot { id, bytes } => self.write_snapshot(id, bytes),
            ShardInput::TrimMetadata(trim) => self.trim_metadata(&trim),
            ShardInput::Trim(sequence) => {
                self.trimming = true;
                self.store.start_trim(sequence);
            }
            ShardInput::Flush => {
                self.flushing = true;
                self.store.flush_all();
            }
            ShardInput::DiskFull(full) => self.store.set_disk_full(full),
            ShardInput::RetryWrites => self.store.retry_writes(),
            ShardInput::Tick => {
                self.maintain(now, out);
                self.tick_groups(now, out);
            }
        }
        self.settle(now, out);
    }

    /// Whether frames wait for the journal.
    #[must_use]
    pub fn wants_commit(&self) -> bool {
        self.store.wants_commit()
    }

    /// Takes the frames that wait for the journal.
    pub fn seal(&mut self) -> Vec<SealedFrame> {
        self.store.seal()
    }

    /// When [`ShardInput::Tick`] is wanted.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        let maintenance = self.maintenance.next().into_iter();
        maintenance.chain(self.groups.deadline()).min()
    }

    /// Why the directory is offline, if it is.
    #[must_use]
    pub fn offline(&self) -> Option<&str> {
        self.store.offline()
    }

    /// Has batches that do not come from the journal accounted for.
    pub fn account_with(&mut self, keeper: Arc<dyn Keep>) {
        self.store.account_with(keeper);
    }

    /// Bytes that the hot tail may keep from now on.
    pub const fn set_tail_bytes(&mut self, bytes: usize) {
        self.store.set_tail_bytes(bytes);
    }

    /// The store, for metrics.
    #[must_use]
    pub const fn store(&self) -> &LogStore {
        &self.store
    }

    fn request(&mut self, now: Now, request: ShardRequest, out: &mut ShardOutputs) {
        match request {
            ShardRequest::Produce(part) => self.produce(now, &part, out),
            ShardRequest::Fetch(parts) => self.fetch(parts, out),
            ShardRequest::CancelFetch(ticket) => self.watches.cancel(ticket),
            ShardRequest::Partition {
                ticket,
                part,
                partition,
                op: PartitionOp::Group(request),
            } => self.ask_group(now, (ticket, part), partition, request, out),
            ShardRequest::Partition {
                ticket,
                part,
                partition,
                op,
            } => {
                self.operate((ticket, part), partition, op, out);
            }
        }
    }

    /// What follows from any input: replies whose condition holds now, disk operations, trims.
    fn settle(&mut self, now: Now, out: &mut ShardOutputs) {
        for slot in self.store.take_advanced() {
            self.advance(now, slot, out);
        }
        self.compact(now, out);
        self.answer_trim(out);
        out.disk.extend(self.store.take_requests());
    }

    fn answer_trim(&mut self, out: &mut ShardOutputs) {
        let flushed = self.flushing && self.store.is_clean();
        let trimmed =
            self.trimming && matches!(self.store.trim_progress(), Some(TrimProgress::Ready(_)));
        if !flushed && !trimmed {
            return;
        }
        self.flushing &= !flushed;
        self.trimming = false;
        // Of a directory that is offline nothing more will be written: there is nothing to wait for,
        // and the journal is all that has what the segments lack.
        let clean = flushed && self.store.offline().is_none();
        out.trimmed = Some(TrimAnswer {
            shard: self.config.id,
            clean,
            logs: self.checkpoints(),
            vote: self.metadata.is_some().then_some(self.vote),
            next_log_id: self.store.next_log_id(),
        });
    }

    /// Recovery points of all logs, those that no metadata has claimed included.
    fn checkpoints(&self) -> Vec<LogCheckpoint> {
        let mut logs = self.store.checkpoints();
        logs.extend(self.recovered.values().map(LogCheckpoint::of));
        logs
    }

    fn control(&mut self, what: Control) -> u64 {
        let token = self.next_control;
        self.next_control += 1;
        self.controls.insert(token, what);
        token
    }
}
