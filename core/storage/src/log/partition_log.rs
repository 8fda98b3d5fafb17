//! The state of one partition's log.
//!
//! ```text
//!  log_start                     tail front      written_end      stable_end     log_end
//!     |-------- segment files ------|---- in both ---|-- memory only --|-- in flight --|
//!     |------------------ synced_end somewhere here --------------------|
//! ```
//!
//! `stable_end` is what an acknowledgement may cover: journaled appends up to the last durable frame,
//! unjournaled ones up to what is written to the segment.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use chronik_model::batch::BatchHeader;
use chronik_model::{LeaderEpoch, LogId, Offset, TopicPartition};

use super::cut::Cut;
use super::epochs::EpochHistory;
use super::producers::{ProducerTable, Sequenced};
use super::segment::{AppendedBatch, Segment, SegmentId, TailBatch};
use crate::compaction::{CompactionConfig, CompactionState};
use crate::disk::FileKey;
use crate::select::Offsets;

/// Smallest distance of index entries, whatever the topic asks for.
const MIN_INDEX_INTERVAL_BYTES: u64 = 4096;

/// The settings of a topic that its logs obey.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`.
    pub segment_bytes: u64,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `retention.ms`; `None` keeps for ever.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`; `None` keeps all.
    pub retention_bytes: Option<u64>,
    /// `flush.messages`: 1 journals before the acknowledgement.
    pub flush_messages: u64,
    /// `flush.ms` of logs that do not journal.
    pub flush_ms: Option<i64>,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u64,
    /// Whether `cleanup.policy` deletes old segments.
    pub cleanup_delete: bool,
    /// How `cleanup.policy` compacts, if it does.
    pub compact: Option<CompactionConfig>,
}

/// How appends become safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Through the journal, synced before the acknowledgement.
    Journaled,
    /// Written to the segment before the acknowledgement, synced later.
    Unjournaled,
}

impl LogConfig {
    /// The mode that `flush.messages` asks for.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        if self.flush_messages <= 1 {
            Mode::Journaled
        } else {
            Mode::Unjournaled
        }
    }

    /// Age in ms at which a segment closes. Segments of compacted logs close early enough for
    /// `max.compaction.lag.ms`, as the one that takes appends is never compacted.
    #[must_use]
    pub fn roll_ms(&self) -> i64 {
        let lag = self.compact.map_or(i64::MAX, |compact| compact.max_lag_ms);
        self.segment_ms.min(lag)
    }
}

/// Everything below is durable in the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveryPoint {
    /// First offset that is not covered.
    pub offset: Offset,
    /// Segment that holds it.
    pub segment: Offset,
    /// Byte in that segment.
    pub position: u64,
    /// Whether appends behind it are written to the segments only.
    pub unjournaled: bool,
}

impl RecoveryPoint {
    /// The recovery point of a log without records.
    pub const START: Self = Self {
        offset: Offset::ZERO,
        segment: Offset::ZERO,
        position: 0,
        unjournaled: false,
    };
}

/// A change of mode that is on its way (rule J8): nothing at or behind `at` is acknowledged before
/// everything below is synced and the journal says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModeSwitch {
    /// Nothing at or behind this offset is acknowledged before the journal has the change.
    pub at: Offset,
    /// First offset appended in the new mode.
    pub since: Offset,
    /// The mode before.
    pub from: Mode,
    /// Whether the journal has been told and only its commit is missing.
    pub journaling: bool,
    /// Generation that the log enters with it, once the journal has been told.
    pub generation: u32,
}

/// A batch that is about to stand in the log.
#[derive(Debug, Clone, Copy)]
pub struct NewBatch<'a> {
    /// Its header, as the producer or the leader sent it.
    pub header: &'a BatchHeader,
    /// First offset it gets.
    pub base_offset: Offset,
    /// Epoch of the leader that appends it.
    pub leader_epoch: LeaderEpoch,
    /// Its largest timestamp once stored, in ms.
    pub max_timestamp_ms: i64,
}

impl<'a> NewBatch<'a> {
    /// A batch that is taken as it is: a leader's, a follower's copy, or replay's.
    #[must_use]
    pub const fn stored(header: &'a BatchHeader) -> Self {
        Self {
            header,
            base_offset: header.base_offset(),
            leader_epoch: header.leader_epoch(),
            max_timestamp_ms: stored_timestamp_ms(header),
        }
    }

    /// What a segment needs to know of it.
    fn appended(&self) -> AppendedBatch {
        AppendedBatch {
            base_offset: self.base_offset,
            last_offset: self.base_offset + i64::from(self.header.last_offset_delta()),
            bytes: self.header.size_bytes() as u64,
            max_timestamp_ms: self.max_timestamp_ms,
        }
    }
}

/// Where an appended batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Its first offset.
    pub base_offset: Offset,
    /// Its last offset.
    pub last_offset: Offset,
    /// Segment that takes it.
    pub segment: Offset,
    /// Byte in that segment.
    pub position: u64,
    /// Generation of the log that it was appended to.
    pub generation: u32,
}

/// Largest timestamp of a stored batch's records; `i64::MIN` where compaction has left none.
pub(crate) const fn stored_timestamp_ms(header: &BatchHeader) -> i64 {
    if header.record_count() == 0 {
        i64::MIN
    } else {
        header.max_timestamp()
    }
}

/// See the module.
#[derive(Debug)]
pub struct PartitionLog {
    /// Identity in the data directory.
    pub log_id: LogId,
    /// The partition.
    pub partition: TopicPartition,
    /// Directory of the segments.
    pub directory: Arc<str>,
    /// Settings.
    pub config: LogConfig,
    /// Whether the journal or a checkpoint knows what the log id means.
    pub opened: bool,
    /// Whether only a checkpoint does, as there is no file and the journal has forgotten.
    pub unnamed: bool,
    /// First offset that can be read.
    pub log_start: Offset,
    /// Offset of the next record.
    pub log_end: Offset,
    /// End of what the journal has made durable.
    pub committed_end: Offset,
    /// End of what is in the segment files.
    pub written_end: Offset,
    /// End of what is durable in the segment files.
    pub synced_end: Offset,
    /// How new appends are made safe.
    pub mode: Mode,
    /// A change of mode that is on its way.
    pub switch: Option<ModeSwitch>,
    /// Segments, oldest first; the last one takes appends.
    pub segments: VecDeque<Segment>,
    /// Batches in memory, oldest first.
    pub tail: VecDeque<TailBatch>,
    /// Unjournaled batches that wait for journaled ones before them to be durable.
    pub held: VecDeque<TailBatch>,
    /// Counts truncations, resets and changes of mode, so that recovery can order them.
    pub generation: u32,
    /// The newest generation that the journal has made durable.
    pub journaled_generation: u32,
    /// Ends that were taken back and may still be in the files, oldest first.
    pub cuts: VecDeque<Cut>,
    /// Lowest end of a cut that no journaled recovery point covers: without the journal, nothing
    /// behind it may be acknowledged.
    pub uncovered_cut: Option<Offset>,
    /// Journal frames with data that is not synced in the segments: (sequence, end of its data).
    pub unsynced: VecDeque<(u64, Offset)>,
    /// Leader epochs.
    pub epochs: EpochHistory,
    /// Idempotent producers.
    pub producers: ProducerTable,
    /// How far the log is compacted.
    pub compaction: CompactionState,
    /// Why the log can not be used, if so.
    pub failed: Option<String>,
}

impl PartitionLog {
    /// A log without records.
    #[must_use]
    pub fn new(
        log_id: LogId,
        partition: TopicPartition,
        directory: Arc<str>,
        config: LogConfig,
    ) -> Self {
        let start = Offset::ZERO;
        Self {
            log_id,
            partition,
            directory,
            mode: Mode::Journaled,
            config,
            opened: false,
            unnamed: false,
            log_start: start,
            log_end: start,
            committed_end: start,
            written_end: start,
            synced_end: start,
            switch: None,
            segments: VecDeque::from([Segment::new(start)]),
            tail: VecDeque::new(),
            held: VecDeque::new(),
            generation: 0,
            journaled_generation: 0,
            cuts: VecDeque::new(),
            uncovered_cut: None,
            unsynced: VecDeque::new(),
            epochs: EpochHistory::default(),
            producers: ProducerTable::default(),
            compaction: CompactionState::default(),
            failed: None,
        }
    }

    /// End of what an acknowledgement may cover.
    #[must_use]
    pub fn stable_end(&self) -> Offset {
        let end = |mode| match mode {
            Mode::Journaled => self.committed_end,
            Mode::Unjournaled => self.written_end,
        };
        match self.switch {
            Some(switch) => end(switch.from).min(switch.at),
            None => end(self.mode),
        }
    }

    /// End of what survives a power cut for certain.
    fn durable_end(&self) -> Offset {
        match self.switch {
            Some(_) => self.synced_end,
            None => self.synced_end.max(self.committed_end),
        }
    }

    /// Records a batch of an idempotent producer.
    pub(crate) fn remember(&mut self, batch: &NewBatch<'_>) {
        if let Some(sequenced) = sequenced(batch.header) {
            let last_offset = batch.base_offset + i64::from(batch.header.last_offset_delta());
            let offsets = (batch.base_offset, last_offset);
            let durable = self.durable_end();
            // As it is in the log: the broker's clock may have set it.
            let sequenced = Sequenced {
                timestamp_ms: batch.max_timestamp_ms,
                ..sequenced
            };
            self.producers.record(&sequenced, offsets, durable);
        }
    }

    /// Takes a batch in: offsets, place, producer state and epoch, but not its bytes.
    pub fn place(&mut self, new: &NewBatch<'_>) -> Placement {
        if self.must_roll(&new.appended()) {
            self.segments.push_back(Segment::new(new.base_offset));
        }
        self.place_in_active(new)
    }

    /// Like [`PartitionLog::place`], in the last segment whatever the settings say.
    pub(crate) fn place_in_active(&mut self, new: &NewBatch<'_>) -> Placement {
        let NewBatch {
            base_offset,
            leader_epoch,
            ..
        } = *new;
        let batch = new.appended();
        let last_offset = batch.last_offset;
        let interval = self.index_interval();
        let active = self.active();
        let segment = active.base_offset;
        let position = active.append(&batch, interval);
        self.epochs.assign(leader_epoch, base_offset);
        self.remember(new);
        self.log_end = last_offset.next();
        Placement {
            base_offset,
            last_offset,
            segment,
            position,
            generation: self.generation,
        }
    }

    /// Keeps a placed batch's bytes in memory once it is durable in the journal.
    pub fn attach(&mut self, placement: Placement, bytes: Bytes) {
        self.tail.push_back(tail_batch(placement, bytes));
    }

    /// Keeps a placed batch's bytes in memory that the journal does not get. They stay apart while
    /// journaled batches before them are in flight, so that the tail is in order.
    pub fn attach_unjournaled(&mut self, placement: Placement, bytes: Bytes) {
        let batch = tail_batch(placement, bytes);
        if self.waits_for_journal() {
            self.held.push_back(batch);
        } else {
            self.tail.push_back(batch);
        }
    }

    fn waits_for_journal(&self) -> bool {
        self.switch.is_some_and(|switch| {
            switch.from == Mode::Journaled && self.committed_end < switch.since
        })
    }

    /// Moves held batches to the tail if what they wait for is there.
    pub fn release_held(&mut self) {
        if !self.held.is_empty() && !self.waits_for_journal() {
            self.tail.append(&mut self.held);
        }
    }

    /// Smallest distance of two index entries in bytes.
    #[must_use]
    pub fn index_interval(&self) -> u64 {
        let asked = self.config.index_interval_bytes;
        asked.max(MIN_INDEX_INTERVAL_BYTES)
    }

    /// Bytes that are appended but not in the segment files.
    #[must_use]
    pub fn unwritten_bytes(&self) -> u64 {
        self.segments.iter().map(Segment::unwritten_bytes).sum()
    }

    /// Largest timestamp of the newest segment that has one, in ms.
    #[must_use]
    pub fn last_timestamp_ms(&self) -> i64 {
        let newest = self.segments.iter().rev();
        newest
            .map(|segment| segment.max_timestamp_ms)
            .find(|timestamp| *timestamp != i64::MIN)
            .unwrap_or(i64::MIN)
    }

    fn must_roll(&self, batch: &AppendedBatch) -> bool {
        let Some(active) = self.segments.back() else {
            return true;
        };
        if active.generation > 0 {
            return true;
        }
        if active.bytes == 0 {
            return false;
        }
        let full = active.bytes + batch.bytes > self.config.segment_bytes;
        let old = active.first_timestamp_ms.is_some_and(|first| {
            batch.max_timestamp_ms.saturating_sub(first) > self.config.roll_ms()
        });
        // Kafka's index keeps offsets relative to the segment in 32 bits.
        full || old || batch.last_offset.since(active.base_offset) > i64::from(i32::MAX)
    }

    /// Closes the active segment, so that a later log start can let go of all that is in it. One that
    /// begins at the end of the log stays: no two may have one name.
    pub fn roll(&mut self) {
        let end = self.log_end;
        if self.active().base_offset < end {
            self.segments.push_back(Segment::new(end));
        }
    }

    /// The segment that takes appends.
    pub fn active(&mut self) -> &mut Segment {
        if self.segments.is_empty() {
            self.segments.push_back(Segment::new(self.log_end));
        }
        self.segments
            .back_mut()
            .expect("a log has an active segment")
    }

    /// The segment that starts at `base_offset`.
    pub fn segment_mut(&mut self, base_offset: Offset) -> Option<&mut Segment> {
        let index = self
            .segments
            .binary_search_by_key(&base_offset, |segment| segment.base_offset);
        index.ok().and_then(|index| self.segments.get_mut(index))
    }

    /// The segment that holds `offset`.
    #[must_use]
    pub fn segment_of(&self, offset: Offset) -> Option<&Segment> {
        let after = self
            .segments
            .partition_point(|segment| segment.base_offset <= offset);
        self.segments.get(after.saturating_sub(1))
    }

    /// The segment, if it is still part of the log.
    #[must_use]
    pub fn segment(&self, id: SegmentId) -> Option<&Segment> {
        let segment = self.segment_of(id.base_offset);
        segment.filter(|segment| segment.id() == id)
    }

    /// The file of the segment that starts at `base_offset`.
    #[must_use]
    pub fn file(&self, base_offset: Offset) -> FileKey {
        let segment = self.segment_of(base_offset).map(Segment::id);
        let segment = segment.filter(|id| id.base_offset == base_offset);
        self.file_of(segment.unwrap_or_else(|| SegmentId::appended(base_offset)))
    }

    /// The file of a segment, whether it is still part of the log or not.
    #[must_use]
    pub fn file_of(&self, segment: SegmentId) -> FileKey {
        FileKey {
            log_id: self.log_id,
            directory: Arc::clone(&self.directory),
            segment,
        }
    }

    /// The file of the active segment, if that is all there is and nothing was written to it.
    pub(crate) fn unwritten_file(&self) -> Option<FileKey> {
        let active = self.segments.back().filter(|_| self.segments.len() == 1)?;
        (active.written_bytes == 0).then(|| self.file_of(active.id()))
    }

    /// What readers of a segment may expect of its offsets.
    #[must_use]
    pub fn offsets_of(&self, segment: &Segment) -> Offsets {
        if segment.generation == 0 {
            return Offsets::Dense;
        }
        // While an end is being taken back, the file may still have it.
        if !self.cuts.is_empty() {
            return Offsets::Sparse(Offset(i64::MAX));
        }
        let mut bases = self.segments.iter().map(|later| later.base_offset);
        let next = bases.find(|base| *base > segment.base_offset);
        Offsets::Sparse(next.unwrap_or(self.log_end))
    }

    /// Puts one segment in the place of all that begin in `[segment.base_offset, end)`, and returns
    /// those. All of them are durable.
    pub fn replace_segments(&mut self, segment: Segment, end: Offset) -> Vec<SegmentId> {
        let first = self
            .segments
            .partition_point(|known| known.base_offset < segment.base_offset);
        let behind = self
            .segments
            .partition_point(|known| known.base_offset < end);
        let removed = self.segments.drain(first..behind.max(first));
        let removed: Vec<SegmentId> = removed.map(|segment| segment.id()).collect();
        self.compaction.note_generation(segment.generation);
        self.segments.insert(first, segment);
        removed
    }

    /// Number of the oldest journal frame whose data is not synced in the segments.
    #[must_use]
    pub fn oldest_unsynced(&self) -> Option<u64> {
        self.unsynced.front().map(|(sequence, _)| *sequence)
    }

    /// The data behind `end` of a journal frame became durable in the journal.
    pub fn note_frame(&mut self, sequence: u64, end: Offset) {
        match self.unsynced.back_mut() {
            Some((last, last_end)) if *last == sequence => *last_end = end,
            Some(_) | None => self.unsynced.push_back((sequence, end)),
        }
    }

    /// Segments are durable up to here.
    pub fn note_synced(&mut self, end: Offset) {
        self.synced_end = self.synced_end.max(end);
        while self
            .unsynced
            .front()
            .is_some_and(|(_, end)| *end <= self.synced_end)
        {
            self.unsynced.pop_front();
        }
    }

    /// Where recovery may start.
    #[must_use]
    pub fn recovery_point(&self) -> RecoveryPoint {
        let segment = self.segment_of(self.synced_end);
        let unjournaled = match self.switch {
            Some(switch) => switch.from == Mode::Unjournaled,
            None => self.mode == Mode::Unjournaled,
        };
        RecoveryPoint {
            offset: self.synced_end,
            segment: segment.map_or(self.synced_end, |segment| segment.base_offset),
            position: segment.map_or(0, |segment| segment.synced_bytes),
            unjournaled,
        }
    }

    /// First offset of the tail.
    #[must_use]
    pub fn tail_start(&self) -> Offset {
        self.tail
            .front()
            .map_or(self.log_end, |batch| batch.base_offset)
    }

    /// End of what is in memory.
    #[must_use]
    pub fn tail_end(&self) -> Offset {
        self.tail
            .back()
            .map_or(self.written_end, |batch| batch.last_offset.next())
    }

    /// Moves the log start up and lets go of what lies wholly before it. Returns the segments whose
    /// files can go; the active segment stays.
    pub fn advance_start(&mut self, start: Offset) -> Vec<SegmentId> {
        self.log_start = self.log_start.max(start.min(self.log_end));
        self.epochs.truncate_start(self.log_start);
        let mut gone = Vec::new();
        while self
            .segments
            .get(1)
            .is_some_and(|next| next.base_offset <= self.log_start)
        {
            let whole = self
                .segments
                .front()
                .is_none_or(|first| first.written_bytes == first.bytes);
            if !whole {
                break;
            }
            gone.extend(self.segments.pop_front().map(|segment| segment.id()));
        }
        let kept = self
            .segments
            .front()
            .map_or(self.log_start, |segment| segment.base_offset);
        while self.tail.front().is_some_and(|batch| batch.segment < kept) {
            self.tail.pop_front();
        }
        gone
    }
}

const fn tail_batch(placement: Placement, bytes: Bytes) -> TailBatch {
    let Placement {
        base_offset,
        last_offset,
        segment,
        position,
        generation: _,
    } = placement;
    TailBatch {
        base_offset,
        last_offset,
        segment,
        position,
        bytes,
    }
}

/// The producer fields of a batch, if it has any.
#[must_use]
pub fn sequenced(header: &BatchHeader) -> Option<Sequenced> {
    (header.has_producer_id() && header.base_sequence() >= 0).then(|| Sequenced {
        producer_id: header.producer_id(),
        epoch: header.producer_epoch(),
        first_sequence: header.base_sequence(),
        last_sequence: header.last_sequence(),
        timestamp_ms: header.max_timestamp(),
    })
}
