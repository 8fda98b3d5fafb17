//! Applies a journal's operations to logs, writing appends straight to the segments.

use std::collections::{BTreeMap, BTreeSet};

use chronik_model::batch::BatchHeader;
use chronik_model::{LogId, Offset};

use super::JournaledPoint;
use super::scan::{extend_from_files, segment_files};
use crate::checkpoint::{LogCheckpoint, Vote};
use crate::disk::{Disk, DiskError};
use crate::journal::Operation;
use crate::log::partition_log::NewBatch;
use crate::log::segment::IndexState;
use crate::log::{LogConfig, Mode, PartitionLog, RecoveryPoint, Segment};

/// Bytes gathered per log before they are written.
const WRITE_BYTES: usize = 256 << 10;

/// The settings that recovery uses, as those of the topic are not known yet. They only decide where
/// replayed batches roll to a new segment.
pub(super) const fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 1 << 30,
        segment_ms: i64::MAX,
        retention_ms: None,
        retention_bytes: None,
        flush_messages: 1,
        flush_ms: None,
        index_interval_bytes: 4096,
        cleanup_delete: true,
    }
}

/// Logs while operations are applied to them.
#[derive(Debug)]
pub(super) struct Replayer {
    logs: BTreeMap<LogId, Recovering>,
    points: BTreeMap<LogId, JournaledPoint>,
    deleted: BTreeSet<LogId>,
    order: u64,
    vote: Vote,
    next_log_id: u64,
    batches: u64,
    warnings: Vec<String>,
}

/// One log, and batches of it that are not written yet.
#[derive(Debug)]
struct Recovering {
    log: PartitionLog,
    buffer: Vec<u8>,
    buffer_at: (Offset, u64),
    touched: BTreeSet<Offset>,
}

/// What replay leaves.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) logs: Vec<PartitionLog>,
    pub(super) vote: Vote,
    pub(super) next_log_id: u64,
    pub(super) batches: u64,
    pub(super) warnings: Vec<String>,
}

impl Replayer {
    pub(super) const fn new(
        points: BTreeMap<LogId, JournaledPoint>,
        vote: Vote,
        next_log_id: u64,
    ) -> Self {
        Self {
            logs: BTreeMap::new(),
            points,
            deleted: BTreeSet::new(),
            order: 0,
            vote,
            next_log_id,
            batches: 0,
            warnings: Vec::new(),
        }
    }

    /// Brings a log back to its last recovery point and cuts off everything behind it, or, where the
    /// journal does not know what follows, what is not intact.
    pub(super) fn restore(
        &mut self,
        disk: &mut dyn Disk,
        from: &LogCheckpoint,
    ) -> Result<(), DiskError> {
        let mut log = PartitionLog::new(
            from.log_id,
            from.partition,
            from.directory.clone(),
            config(),
        );
        log.opened = true;
        log.log_start = from.log_start;
        log.epochs = from.epochs.clone();
        log.producers = from.producers.clone();
        log.segments = from.segments.iter().map(restore_segment).collect();
        let point = self
            .points
            .get(&from.log_id)
            .map_or(from.recovery_point, |found| found.point);
        self.cut_to(disk, &mut log, point)?;
        self.next_log_id = self.next_log_id.max(from.log_id.0 + 1);
        self.insert(log);
        Ok(())
    }

    fn insert(&mut self, log: PartitionLog) {
        let recovering = Recovering {
            buffer: Vec::new(),
            buffer_at: (log.log_end, 0),
            touched: BTreeSet::new(),
            log,
        };
        self.logs.insert(recovering.log.log_id, recovering);
    }

    fn cut_to(
        &mut self,
        disk: &mut dyn Disk,
        log: &mut PartitionLog,
        point: RecoveryPoint,
    ) -> Result<(), DiskError> {
        let files = segment_files(disk, &log.directory)?;
        log.segments
            .retain(|segment| segment.base_offset <= point.segment);
        if log
            .segments
            .back()
            .is_none_or(|last| last.base_offset < point.segment)
        {
            log.segments.push_back(Segment::new(point.segment));
        }
        let active = log.active();
        active.bytes = point.position;
        active.written_bytes = point.position;
        active.synced_bytes = point.position;
        if point.position > 0 {
            active.index_state = IndexState::Missing;
        }
        for end in [
            &mut log.log_end,
            &mut log.written_end,
            &mut log.synced_end,
            &mut log.committed_end,
        ] {
            *end = point.offset;
        }
        self.drop_missing(log, &files);
        if log.failed.is_some() {
            return Ok(());
        }
        if point.unjournaled {
            log.mode = Mode::Unjournaled;
            let behind: Vec<_> = files
                .into_iter()
                .filter(|(base, _)| *base >= point.segment)
                .collect();
            self.batches += extend_from_files(disk, log, &behind, point.position)?;
            return Ok(());
        }
        for (base, size) in files {
            let path = log.file(base).log_path();
            if base > point.segment {
                disk.remove(&path)?;
                disk.remove(&log.file(base).index_path())?;
            } else if base == point.segment && size > point.position {
                disk.truncate(&path, point.position)?;
            }
        }
        Ok(())
    }

    /// Compares what should be there with what is. Old segments may be gone, as retention removes
    /// files after it moved the log start; anything else that is missing is damage.
    fn drop_missing(&mut self, log: &mut PartitionLog, files: &[(Offset, u64)]) {
        let size_of = |base: Offset| {
            files
                .iter()
                .find(|(known, _)| *known == base)
                .map_or(0, |file| file.1)
        };
        while log.segments.len() > 1 {
            let gone = log
                .segments
                .front()
                .filter(|first| first.bytes > 0 && size_of(first.base_offset) == 0);
            if gone.is_none() {
                break;
            }
            log.segments.pop_front();
            let first = log
                .segments
                .front()
                .map_or(log.log_end, |segment| segment.base_offset);
            log.log_start = log.log_start.max(first);
        }
        let short = log
            .segments
            .iter()
            .find(|segment| size_of(segment.base_offset) < segment.bytes);
        if let Some(segment) = short {
            let path = log.file(segment.base_offset).log_path();
            let found = size_of(segment.base_offset);
            let reason = format!(
                "{path}: {found} bytes are left of {} that had been made durable; the partition stays offline",
                segment.bytes
            );
            self.warnings.push(reason.clone());
            log.failed = Some(reason);
        }
    }

    /// Applies one operation.
    pub(super) fn apply(
        &mut self,
        disk: &mut dyn Disk,
        log_id: LogId,
        operation: &Operation<'_>,
    ) -> Result<(), DiskError> {
        self.order += 1;
        self.next_log_id = self.next_log_id.max(log_id.0 + 1);
        match operation {
            Operation::Vote { term, vote, commit } => {
                self.vote = Vote {
                    term: *term,
                    vote: *vote,
                    commit: *commit,
                };
            }
            Operation::Open {
                partition,
                directory,
            } => {
                if !self.logs.contains_key(&log_id) && !self.deleted.contains(&log_id) {
                    self.open(
                        disk,
                        log_id,
                        PartitionLog::new(log_id, *partition, (*directory).into(), config()),
                    )?;
                }
            }
            Operation::Delete => {
                self.deleted.insert(log_id);
                if let Some(gone) = self.logs.remove(&log_id) {
                    disk.remove(&gone.log.directory)?;
                }
            }
            Operation::Append { .. }
            | Operation::Truncate { .. }
            | Operation::Reset { .. }
            | Operation::LogStart { .. }
            | Operation::EpochStart { .. }
            | Operation::RecoveryPoint { .. } => self.apply_to_log(disk, log_id, operation)?,
        }
        Ok(())
    }

    fn open(
        &mut self,
        disk: &mut dyn Disk,
        log_id: LogId,
        mut log: PartitionLog,
    ) -> Result<(), DiskError> {
        log.opened = true;
        let start = RecoveryPoint {
            offset: Offset::ZERO,
            segment: Offset::ZERO,
            position: 0,
            unjournaled: false,
        };
        let point = self.points.get(&log_id).map_or(start, |found| found.point);
        self.cut_to(disk, &mut log, point)?;
        self.insert(log);
        Ok(())
    }

    fn apply_to_log(
        &mut self,
        disk: &mut dyn Disk,
        log_id: LogId,
        operation: &Operation<'_>,
    ) -> Result<(), DiskError> {
        let point = self.points.get(&log_id).copied();
        let covered = point.is_some_and(|point| self.order < point.order);
        let Some(recovering) = self.logs.get_mut(&log_id) else {
            return Ok(());
        };
        if recovering.log.failed.is_some() {
            return Ok(());
        }
        match operation {
            Operation::Append {
                base_offset, batch, ..
            } => {
                let below = point.is_some_and(|point| *base_offset < point.point.offset);
                if !(covered && below) && recovering.append(disk, *base_offset, batch)? {
                    self.batches += 1;
                }
            }
            Operation::Truncate { end_offset } if !covered => {
                recovering.truncate(disk, *end_offset)?
            }
            Operation::Reset { start_offset } if !covered => {
                recovering.reset(disk, *start_offset)?
            }
            Operation::LogStart { start_offset } => {
                for base in recovering.log.advance_start(*start_offset) {
                    disk.remove(&recovering.log.file(base).log_path())?;
                    disk.remove(&recovering.log.file(base).index_path())?;
                }
            }
            Operation::EpochStart {
                epoch,
                start_offset,
            } => {
                recovering.log.epochs.assign(*epoch, *start_offset);
            }
            Operation::Truncate { .. }
            | Operation::Reset { .. }
            | Operation::RecoveryPoint { .. }
            | Operation::Open { .. }
            | Operation::Delete
            | Operation::Vote { .. } => {}
        }
        Ok(())
    }

    /// Writes and syncs what is left, so that everything that was recovered is durable.
    pub(super) fn finish(mut self, disk: &mut dyn Disk) -> Result<Outcome, DiskError> {
        let mut logs = Vec::with_capacity(self.logs.len());
        for recovering in self.logs.values_mut() {
            recovering.flush(disk)?;
            recovering.sync(disk)?;
        }
        for (_, recovering) in self.logs {
            let mut log = recovering.log;
            log.producers.truncate_end(log.log_end);
            log.epochs.truncate_end(log.log_end);
            logs.push(log);
        }
        let (vote, next_log_id, batches) = (self.vote, self.next_log_id, self.batches);
        Ok(Outcome {
            logs,
            vote,
            next_log_id,
            batches,
            warnings: self.warnings,
        })
    }
}

fn restore_segment(from: &crate::checkpoint::SegmentCheckpoint) -> Segment {
    Segment {
        bytes: from.bytes,
        written_bytes: from.bytes,
        synced_bytes: from.bytes,
        max_timestamp_ms: from.max_timestamp_ms,
        max_timestamp_offset: from.max_timestamp_offset,
        first_timestamp_ms: from.first_timestamp_ms,
        index_state: IndexState::OnDisk,
        ..Segment::new(from.base_offset)
    }
}

impl Recovering {
    /// Takes one batch in; false when the log has it already.
    fn append(
        &mut self,
        disk: &mut dyn Disk,
        base_offset: Offset,
        batch: &[u8],
    ) -> Result<bool, DiskError> {
        // The frame's checksum vouches for the bytes; a header that does not parse is a bug of the
        // writer and must not be built upon.
        let Ok(header) = BatchHeader::parse(batch) else {
            self.log.failed = Some(format!(
                "journal: the batch at offset {base_offset} is no record batch"
            ));
            return Ok(false);
        };
        if base_offset < self.log.log_end {
            return Ok(false);
        }
        if base_offset > self.log.log_end {
            let end = self.log.log_end;
            self.log.failed = Some(format!(
                "journal: offset {base_offset} does not follow {end}"
            ));
            return Ok(false);
        }
        let placement = self.log.place(&NewBatch::stored(&header));
        let (segment, start) = self.buffer_at;
        let continues =
            segment == placement.segment && start + self.buffer.len() as u64 == placement.position;
        if !continues || self.buffer.len() >= WRITE_BYTES {
            self.flush(disk)?;
            self.buffer_at = (placement.segment, placement.position);
        }
        self.buffer.extend_from_slice(batch);
        Ok(true)
    }

    fn flush(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        let (segment, position) = self.buffer_at;
        if !self.buffer.is_empty() {
            disk.write(&self.log.file(segment).log_path(), position, &self.buffer)?;
            self.touched.insert(segment);
            self.buffer.clear();
        }
        Ok(())
    }

    fn sync(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        if self.log.failed.is_some() {
            return Ok(());
        }
        for segment in &mut self.log.segments {
            let touched = self.touched.contains(&segment.base_offset);
            if touched || segment.synced_bytes < segment.bytes {
                let path = crate::disk::FileKey {
                    log_id: self.log.log_id,
                    directory: self.log.directory.clone(),
                    base_offset: segment.base_offset,
                };
                disk.sync(&path.log_path())?;
            }
            segment.written_bytes = segment.bytes;
            segment.synced_bytes = segment.bytes;
        }
        if !self.touched.is_empty() {
            disk.sync_directory(&self.log.directory)?;
        }
        let end = self.log.log_end;
        self.log.written_end = end;
        self.log.committed_end = end;
        self.log.note_synced(end);
        Ok(())
    }

    /// Forgets everything at and behind `end`.
    fn truncate(&mut self, disk: &mut dyn Disk, end: Offset) -> Result<(), DiskError> {
        if end >= self.log.log_end {
            return Ok(());
        }
        self.flush(disk)?;
        let files = segment_files(disk, &self.log.directory)?;
        let kept = self
            .log
            .segment_of(end)
            .map_or(end, |segment| segment.base_offset);
        for (base, _) in files.iter().filter(|(base, _)| *base > kept) {
            disk.remove(&self.log.file(*base).log_path())?;
        }
        let position = super::scan::position_of(disk, &self.log.file(kept).log_path(), end)?;
        if files.iter().any(|(base, _)| *base == kept) {
            disk.truncate(&self.log.file(kept).log_path(), position)?;
        }
        self.log.truncate_to(end, position);
        self.touched.insert(kept);
        self.buffer_at = (kept, position);
        Ok(())
    }

    /// Empties the log; it goes on at `start`.
    fn reset(&mut self, disk: &mut dyn Disk, start: Offset) -> Result<(), DiskError> {
        self.buffer.clear();
        self.touched.clear();
        for (base, _) in segment_files(disk, &self.log.directory)? {
            disk.remove(&self.log.file(base).log_path())?;
            disk.remove(&self.log.file(base).index_path())?;
        }
        self.log.reset_to(start);
        self.buffer_at = (start, 0);
        Ok(())
    }
}
