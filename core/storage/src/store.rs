//! The logs of one shard: appends into the open frame, keeps the hot tail under its budget, writes
//! back to segments, and reads from either.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chronik_model::batch::{BatchHeader, BatchMut};
use chronik_model::{LeaderEpoch, LogId, Offset, PartitionIndex, TopicId, TopicPartition, mutant};
use rustc_hash::FxHashMap;

use crate::checkpoint::LogCheckpoint;
use crate::disk::{DiskOp, DiskRequest, DiskToken, FileKey};
use crate::journal::frame::CHUNK_BYTES;
use crate::journal::frame::CommittedFrame;
use crate::journal::{FrameEntry, OpenFrame, Operation, SealedFrame};
use crate::log::partition_log::{ModeSwitch, NewBatch, Placement};
use crate::log::{LogConfig, Mode, PartitionLog, SegmentId};
use crate::select::TimestampQuery;

mod compact;
mod complete;
mod cut;
mod invariants;
mod maintain;
mod read;
mod side_files;
mod write_back;

use compact::Compactor;
pub use complete::Completion;
pub use maintain::{DELETION_UNDERWAY, TrimProgress};
use read::WantedRange;
pub use read::{OnDisk, ReadOutcome, ReadRequest};

/// Directory of all partition logs.
pub const TOPICS_DIRECTORY: &str = "topics";
/// Directory of the metadata log.
pub const METADATA_DIRECTORY: &str = "metadata";
/// What the metadata log is the log of.
pub const METADATA_PARTITION: TopicPartition = TopicPartition {
    topic_id: TopicId::ZERO,
    partition: PartitionIndex(0),
};

/// Directory of a log: the name for people, the ids for recovery without a checkpoint.
#[must_use]
pub fn directory_name(topic: &str, log_id: LogId, partition: TopicPartition) -> String {
    const NAME_CHARACTERS: usize = 180;
    let name: String = topic.chars().take(NAME_CHARACTERS).collect();
    let index = partition.partition.0;
    format!(
        "{TOPICS_DIRECTORY}/{name}-{index}.{}.{}",
        log_id.0, partition.topic_id
    )
}

/// A log's place in its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogSlot(pub u32);

impl LogSlot {
    const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Bounds of one store.
#[derive(Debug, Clone, Copy)]
pub struct StoreLimits {
    /// Bytes of frames kept in memory for reads and write-back.
    pub tail_bytes: usize,
    /// A partition with this many bytes waiting is written back.
    pub write_back_bytes: u64,
    /// A frame of the journal is at most this large, or as a batch in it is: less than a file of its ring.
    pub frame_bytes: usize,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            tail_bytes: 32 << 20,
            write_back_bytes: 256 << 10,
            frame_bytes: CHUNK_BYTES,
        }
    }
}

/// Accounts for the memory of batches that do not come from the journal.
pub trait Keep: std::fmt::Debug + Send + Sync {
    /// The same bytes, accounted for until the last slice of them is gone.
    fn keep(&self, bytes: Bytes) -> Bytes;
}

/// Memory shared by the tails of several logs, let go in order.
#[derive(Debug)]
struct Resident {
    bytes: usize,
    entries: Vec<(LogSlot, LogId, Offset)>,
}

/// A part of a segment that is written or synced.
#[derive(Debug, Clone, Copy)]
struct Extent {
    segment: Offset,
    /// Bytes from the front of the segment.
    bytes: u64,
    /// Offset behind them.
    end: Offset,
    /// Generation of the log when it was asked for.
    generation: u32,
}

/// A log that is being removed.
#[derive(Debug)]
struct Deletion {
    directory: Arc<str>,
    /// What a checkpoint says of it until the journal knows that it goes.
    checkpoint: Option<LogCheckpoint>,
}

/// Segments whose files go once the journal says so.
#[derive(Debug)]
struct Doomed {
    files: Vec<FileKey>,
    /// Generation that their log entered when compaction replaced them; a log start has none.
    replaced_by: Option<u32>,
}

/// What an operation on the disk was for.
#[derive(Debug)]
enum Pending {
    Write {
        slot: LogSlot,
        log_id: LogId,
        extent: Extent,
    },
    Sync {
        slot: LogSlot,
        log_id: LogId,
        extent: Extent,
    },
    Read {
        slot: LogSlot,
        log_id: LogId,
        segment: SegmentId,
        request: ReadRequest,
        ticket: u64,
        range: Option<WantedRange>,
    },
    Timestamp {
        slot: LogSlot,
        log_id: LogId,
        segment: SegmentId,
        query: TimestampQuery,
        ticket: u64,
    },
    /// Finds the byte where a segment is cut.
    Locate {
        slot: LogSlot,
        log_id: LogId,
        segment: SegmentId,
        end_position: u64,
    },
    /// Takes back a part of a log's files.
    Cut { slot: LogSlot, log_id: LogId },
    /// Replaces a file beside the segments.
    Replace { ticket: u64 },
    /// Removes a deleted log.
    Removal { log_id: LogId },
    Index {
        slot: LogSlot,
        log_id: LogId,
        segment: SegmentId,
    },
    /// A step of a compaction.
    Compact { run: u64 },
    /// Removes a segment that compaction has replaced.
    Superseded { log_id: LogId },
    /// Nobody waits for it.
    Chore,
}

/// What a control operation in the journal is for. The upper bits of a token say so; those of the
/// store's callers have none of them set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Callers,
    Switch(LogId),
    Delete(LogId),
    Start(LogId),
    Cut(LogId),
}

impl Token {
    const SHIFT: u32 = 60;

    const fn encode(self) -> u64 {
        let (kind, log_id) = match self {
            Self::Callers => (0, LogId(0)),
            Self::Switch(log_id) => (1, log_id),
            Self::Delete(log_id) => (2, log_id),
            Self::Start(log_id) => (3, log_id),
            Self::Cut(log_id) => (4, log_id),
        };
        kind << Self::SHIFT | log_id.0
    }

    const fn decode(token: u64) -> Self {
        let log_id = LogId(token & ((1 << Self::SHIFT) - 1));
        match token >> Self::SHIFT {
            1 => Self::Switch(log_id),
            2 => Self::Delete(log_id),
            3 => Self::Start(log_id),
            4 => Self::Cut(log_id),
            _ => Self::Callers,
        }
    }
}

/// Why the store refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A write or sync failed: the directory is offline until the process is started again.
    #[error("the data directory is offline: {0}")]
    Offline(String),
    /// This log is damaged.
    #[error("the log is damaged: {0}")]
    LogFailed(String),
    /// Free space is below what is promised to be written, plus a reserve.
    #[error("the disk is full")]
    Full,
}

/// A batch to append.
#[derive(Debug, Clone, Copy)]
pub struct Append<'a> {
    /// Its parsed header.
    pub header: &'a BatchHeader,
    /// Its bytes.
    pub batch: &'a [u8],
    /// Epoch of the leader that appends it.
    pub leader_epoch: LeaderEpoch,
    /// Wall time for topics with `message.timestamp.type=LogAppendTime`, in ms.
    pub append_time_ms: Option<i64>,
}

/// See the module.
#[derive(Debug)]
pub struct LogStore {
    limits: StoreLimits,
    logs: Vec<Option<PartitionLog>>,
    free: Vec<LogSlot>,
    open: OpenFrame,
    /// Batches appended without the journal since the last turn end, by log.
    unjournaled: Vec<LogSlot>,
    unjournaled_chunk: BytesMut,
    keeper: Option<Arc<dyn Keep>>,
    resident: VecDeque<Resident>,
    resident_bytes: usize,
    unwritten_bytes: u64,
    pending: FxHashMap<u64, Pending>,
    writing: FxHashMap<LogId, ()>,
    next_token: u64,
    requests: Vec<DiskRequest>,
    advanced: Vec<LogSlot>,
    next_log_id: u64,
    log_id_step: u64,
    disk_full: bool,
    /// A write found no space, and none has succeeded since.
    out_of_space: bool,
    /// The same, not said to the store's owner yet.
    ran_out: bool,
    /// A write found no space since all were last tried again, whatever succeeded since.
    retry_wanted: bool,
    trim: Option<u64>,
    /// Logs whose removal is not durable yet.
    deleted: BTreeMap<LogId, Deletion>,
    /// Segments that the journal does not know to be gone yet, in the order in which they went.
    doomed: FxHashMap<LogId, VecDeque<Doomed>>,
    /// Files that are being removed because compaction has replaced them.
    replaced: FxHashMap<LogId, usize>,
    compactor: Compactor,
    offline: Option<String>,
}

impl LogStore {
    /// An empty store. Log ids it hands out start at `first_log_id` and rise by `log_id_step`, so
    /// that the stores of one directory never hand out the same one.
    #[must_use]
    pub fn new(limits: StoreLimits, first_log_id: u64, log_id_step: u64) -> Self {
        Self {
            limits,
            logs: Vec::new(),
            free: Vec::new(),
            open: OpenFrame::new(limits.frame_bytes),
            unjournaled: Vec::new(),
            unjournaled_chunk: BytesMut::new(),
            keeper: None,
            resident: VecDeque::new(),
            resident_bytes: 0,
            unwritten_bytes: 0,
            pending: FxHashMap::default(),
            writing: FxHashMap::default(),
            next_token: 0,
            requests: Vec::new(),
            advanced: Vec::new(),
            next_log_id: first_log_id,
            log_id_step: log_id_step.max(1),
            disk_full: false,
            out_of_space: false,
            ran_out: false,
            retry_wanted: false,
            trim: None,
            deleted: BTreeMap::new(),
            doomed: FxHashMap::default(),
            replaced: FxHashMap::default(),
            compactor: Compactor::default(),
            offline: None,
        }
    }

    /// Takes in a log that recovery found.
    pub fn adopt(&mut self, mut log: PartitionLog) -> LogSlot {
        // The journal of the life before is not the one of this life.
        log.unnamed = log.unwritten_file().is_some();
        let slot = self.free.pop().unwrap_or_else(|| {
            self.logs.push(None);
            LogSlot(u32::try_from(self.logs.len() - 1).unwrap_or(u32::MAX))
        });
        if let Some(place) = self.logs.get_mut(slot.index()) {
            *place = Some(log);
        }
        slot
    }

    /// Starts a log for a partition that has none. Nothing is written before its first record, or
    /// before the change to a mode that does not journal.
    pub fn create(&mut self, partition: TopicPartition, topic: &str, config: LogConfig) -> LogSlot {
        let log_id = LogId(self.next_log_id);
        self.next_log_id += self.log_id_step;
        let directory = directory_name(topic, log_id, partition);
        let slot = self.adopt(PartitionLog::new(
            log_id,
            partition,
            directory.into(),
            config,
        ));
        self.reconsider_mode(slot);
        slot
    }

    /// The log in `slot`.
    #[must_use]
    pub fn log(&self, slot: LogSlot) -> Option<&PartitionLog> {
        self.logs.get(slot.index()).and_then(Option::as_ref)
    }

    fn log_mut(&mut self, slot: LogSlot) -> Option<&mut PartitionLog> {
        self.logs.get_mut(slot.index()).and_then(Option::as_mut)
    }

    /// The log in `slot`, if it still is `log_id`.
    fn same_log(&mut self, slot: LogSlot, log_id: LogId) -> Option<&mut PartitionLog> {
        self.log_mut(slot).filter(|log| log.log_id == log_id)
    }

    /// Slots in use, in order.
    pub fn slots(&self) -> impl Iterator<Item = LogSlot> + '_ {
        let used = self
            .logs
            .iter()
            .enumerate()
            .filter(|(_, log)| log.is_some());
        used.filter_map(|(index, _)| u32::try_from(index).ok().map(LogSlot))
    }

    /// Whether appends would be taken now.
    ///
    /// # Errors
    /// The directory is offline or full, or the log is damaged.
    pub fn check_writable(&self, slot: LogSlot) -> Result<(), StoreError> {
        if let Some(reason) = &self.offline {
            return Err(StoreError::Offline(reason.clone()));
        }
        if let Some(reason) = self.log(slot).and_then(|log| log.failed.as_ref()) {
            return Err(StoreError::LogFailed(reason.clone()));
        }
        if self.disk_full || self.out_of_space {
            Err(StoreError::Full)
        } else {
            Ok(())
        }
    }

    /// Appends one checked batch at the end of the log: copies it once, and writes offset, epoch and
    /// append time into the copy.
    pub fn append(&mut self, slot: LogSlot, append: &Append<'_>) -> Option<Placement> {
        self.ensure_open(slot);
        let log = self.logs.get_mut(slot.index())?.as_mut()?;
        let base_offset = log.log_end;
        let header = append.header;
        // Append time never runs backwards, whatever the wall clock does (rule J12).
        let append_time_ms = append
            .append_time_ms
            .map(|time| time.max(log.last_timestamp_ms()));
        let placement = log.place(&NewBatch {
            header,
            base_offset,
            leader_epoch: append.leader_epoch,
            max_timestamp_ms: append_time_ms.unwrap_or_else(|| header.max_timestamp()),
        });
        let (log_id, mode) = (log.log_id, log.mode);
        self.unwritten_bytes += append.batch.len() as u64;
        let patch = |copy: &mut [u8]| {
            if let Ok(mut batch) = BatchMut::new(copy) {
                batch.assign(base_offset, append.leader_epoch);
                if let Some(time) = append_time_ms {
                    batch.stamp_append_time(time);
                }
            }
        };
        match mode {
            Mode::Journaled => {
                let Placement {
                    base_offset,
                    last_offset,
                    ..
                } = placement;
                let operation = Operation::Append {
                    base_offset,
                    last_offset,
                    batch: append.batch,
                };
                let entry = |range| FrameEntry {
                    log_id,
                    slot,
                    range,
                    placement,
                };
                patch(self.open.append(entry, &operation, log_id));
            }
            Mode::Unjournaled => {
                let bytes = self.copy_unjournaled(append.batch, patch);
                self.keep_unjournaled(slot, log_id, placement, bytes);
            }
        }
        Some(placement)
    }

    fn copy_unjournaled(&mut self, batch: &[u8], patch: impl FnOnce(&mut [u8])) -> Bytes {
        const CHUNK_BYTES: usize = 256 << 10;
        if self.unjournaled_chunk.capacity() - self.unjournaled_chunk.len() < batch.len() {
            self.unjournaled_chunk = BytesMut::with_capacity(batch.len().max(CHUNK_BYTES));
        }
        self.unjournaled_chunk.extend_from_slice(batch);
        let mut copy = self.unjournaled_chunk.split();
        patch(&mut copy);
        copy.freeze()
    }

    fn keep_unjournaled(
        &mut self,
        slot: LogSlot,
        log_id: LogId,
        placement: Placement,
        bytes: Bytes,
    ) {
        let length = bytes.len();
        let bytes = match &self.keeper {
            Some(keeper) => keeper.keep(bytes),
            None => bytes,
        };
        if let Some(log) = self.log_mut(slot) {
            log.attach_unjournaled(placement, bytes);
        }
        if self.unjournaled.last() != Some(&slot) {
            self.unjournaled.push(slot);
        }
        self.keep_resident(length, vec![(slot, log_id, placement.last_offset)]);
    }

    fn keep_resident(&mut self, bytes: usize, entries: Vec<(LogSlot, LogId, Offset)>) {
        self.resident_bytes += bytes;
        self.resident.push_back(Resident { bytes, entries });
    }

    /// Makes sure that the journal knows what the log id means before anything names it.
    fn ensure_open(&mut self, slot: LogSlot) {
        let Some(log) = self.logs.get_mut(slot.index()).and_then(Option::as_mut) else {
            return;
        };
        if log.opened && !log.unnamed {
            return;
        }
        (log.opened, log.unnamed) = (true, false);
        if mutant!(LogNotOpened) {
            return;
        }
        let (log_id, partition) = (log.log_id, log.partition);
        let directory = Arc::clone(&log.directory);
        self.open.control(
            log_id,
            &Operation::Open {
                partition,
                directory: &directory,
            },
            None,
        );
    }

    /// A leader epoch begins at the end of the log; `token` comes back when that is durable.
    pub fn begin_epoch(&mut self, slot: LogSlot, epoch: LeaderEpoch, token: Option<u64>) {
        let Some(log) = self.log_mut(slot) else {
            return;
        };
        let start_offset = log.log_end;
        log.epochs.assign(epoch, start_offset);
        let operation = Operation::EpochStart {
            epoch,
            start_offset,
        };
        self.journal_control(slot, &operation, token);
    }

    /// Adds an operation that carries no records; `token` comes back when it is durable.
    pub fn journal_control(
        &mut self,
        slot: LogSlot,
        operation: &Operation<'_>,
        token: Option<u64>,
    ) {
        self.ensure_open(slot);
        if let Some(log_id) = self.log(slot).map(|log| log.log_id) {
            self.open.control(log_id, operation, token);
        }
    }

    /// Adds an operation on the directory rather than on a log, such as Raft's vote.
    pub fn journal_directory_control(&mut self, operation: &Operation<'_>, token: Option<u64>) {
        self.open.control(LogId::METADATA, operation, token);
    }

    /// Whether frames wait for the journal.
    #[must_use]
    pub fn wants_commit(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes what waits for the journal.
    pub fn seal(&mut self) -> Vec<SealedFrame> {
        self.open.seal()
    }

    /// Operations for the disk since the last call, in order.
    pub fn take_requests(&mut self) -> Vec<DiskRequest> {
        std::mem::take(&mut self.requests)
    }

    /// Logs whose stable end, written or synced data moved since the last call.
    pub fn take_advanced(&mut self) -> Vec<LogSlot> {
        std::mem::take(&mut self.advanced)
    }

    /// Asks for a disk operation; a directory that is offline is not touched any more, except for
    /// reads.
    fn request(&mut self, op: DiskOp, pending: Pending) {
        let reads = matches!(
            op,
            DiskOp::Read { .. } | DiskOp::FindTimestamp { .. } | DiskOp::ReadIndex { .. }
        );
        if self.offline.is_some() && !reads {
            return;
        }
        let token = DiskToken(self.next_token);
        self.next_token += 1;
        self.pending.insert(token.0, pending);
        self.requests.push(DiskRequest { token, op });
    }

    /// A frame with appends of this store is durable: its batches become readable, acknowledgeable,
    /// and due for write-back.
    pub fn committed(&mut self, frame: &CommittedFrame) {
        // One for each log, however many of its batches the frame holds.
        let mut kept: Vec<(LogSlot, LogId, Offset)> = Vec::new();
        for entry in &frame.entries {
            let bytes = frame.bytes.slice(entry.range.clone());
            let Some(log) = self.same_log(entry.slot, entry.log_id) else {
                continue;
            };
            let end = entry.placement.last_offset.next();
            if log.surviving_end(entry.placement.generation, end) < end {
                continue;
            }
            log.attach(entry.placement, bytes);
            log.committed_end = log.committed_end.max(end);
            log.note_frame(frame.sequence, end);
            log.release_held();
            let last_offset = entry.placement.last_offset;
            match kept.last_mut() {
                Some((slot, _, last)) if *slot == entry.slot => *last = last_offset,
                Some(_) | None => kept.push((entry.slot, entry.log_id, last_offset)),
            }
        }
        kept.sort_unstable_by_key(|(slot, _, last)| (*slot, std::cmp::Reverse(*last)));
        kept.dedup_by_key(|(slot, ..)| *slot);
        let touched: Vec<LogSlot> = kept.iter().map(|(slot, ..)| *slot).collect();
        self.advanced.extend(&touched);
        self.keep_resident(frame.bytes.len(), kept);
        self.write_back_if_due(&touched);
        for slot in touched {
            self.push_switch(slot);
            self.continue_trim(slot);
        }
        self.evict();
    }

    /// The directory can no longer be trusted: nothing is acknowledged or written from here on.
    pub fn go_offline(&mut self, reason: &str) {
        self.offline.get_or_insert_with(|| reason.to_owned());
    }

    /// Why the directory is offline, if it is.
    #[must_use]
    pub fn offline(&self) -> Option<&str> {
        self.offline.as_deref()
    }

    /// Refuses or takes appends, as free space on the device allows (rule J9).
    pub const fn set_disk_full(&mut self, full: bool) {
        self.disk_full = full;
    }

    /// Whether a segment write found no space, and none has succeeded since.
    #[must_use]
    pub const fn is_out_of_space(&self) -> bool {
        self.out_of_space
    }

    /// Whether a segment write found no space since the last call: [`LogStore::retry_writes`] is wanted
    /// later.
    pub const fn take_ran_out(&mut self) -> bool {
        std::mem::replace(&mut self.ran_out, false)
    }

    /// Bytes that are promised to the segments but not written.
    #[must_use]
    pub const fn unwritten_bytes(&self) -> u64 {
        self.unwritten_bytes
    }

    /// No log of this store has this id or a larger one.
    #[must_use]
    pub const fn next_log_id(&self) -> u64 {
        self.next_log_id
    }

    /// Bytes that were appended and wait for the journal to take them.
    #[must_use]
    pub fn open_bytes(&self) -> usize {
        self.open.bytes()
    }

    /// Has batches that do not come from the journal accounted for. Those that do are the journal's
    /// to account for.
    pub fn account_with(&mut self, keeper: Arc<dyn Keep>) {
        self.keeper = Some(keeper);
    }

    /// Changes how much the hot tail may keep; what is above that goes with the next step.
    pub const fn set_tail_bytes(&mut self, bytes: usize) {
        self.limits.tail_bytes = bytes;
    }

    /// Bytes that the hot tail keeps in memory.
    #[must_use]
    pub const fn resident_bytes(&self) -> usize {
        self.resident_bytes
    }

    /// Applies new settings to a log.
    pub fn configure(&mut self, slot: LogSlot, config: LogConfig) {
        if let Some(log) = self.log_mut(slot) {
            log.config = config;
            log.compaction.reconsider();
        }
        self.reconsider_mode(slot);
    }

    /// Starts a change of mode where the settings ask for one (rule J8).
    fn reconsider_mode(&mut self, slot: LogSlot) {
        let Some(log) = self.log_mut(slot) else {
            return;
        };
        let wanted = log.config.mode();
        // Without the journal, what follows a truncation is only safe behind a recovery point.
        let uncovered = log.uncovered_cut.filter(|_| log.mode == Mode::Unjournaled);
        if (wanted == log.mode && uncovered.is_none()) || log.switch.is_some() {
            return;
        }
        log.switch = Some(ModeSwitch {
            at: uncovered.unwrap_or(log.log_end),
            since: log.log_end,
            from: log.mode,
            journaling: false,
            generation: log.generation,
        });
        log.mode = wanted;
        self.push_switch(slot);
    }
}
