//! One log while it is brought back.
//!
//! ```text
//!   segments, as the checkpoint or a journaled recovery point vouches for them
//!   |------------------------------|
//!                     ^ cut here where the journal takes more back
//!                     |--- appends of the journal that stay ---|
//! ```

use std::ops::Range;

use chronik_model::batch::BatchHeader;
use chronik_model::{Offset, mutant};

use super::plan::{Change, LogPlan, Remains};
use super::replayer::config;
use super::scan::{Scan, position_of, segment_files, walk_headers};
use crate::checkpoint::{LogCheckpoint, SegmentCheckpoint};
use crate::disk::{Disk, DiskError, Steady};
use crate::journal::Replacement;
use crate::log::partition_log::NewBatch;
use crate::log::segment::{Checked, IndexState};
use crate::log::{Mode, PartitionLog, RecoveryPoint, Segment, SegmentId};

/// Bytes gathered per log before they are written.
const WRITE_BYTES: usize = 256 << 10;

/// A log, and batches of it that are not written yet.
#[derive(Debug)]
pub(super) struct Recovering {
    pub(super) log: PartitionLog,
    pub(super) plan: LogPlan,
    /// Batches that were found in segments.
    pub(super) batches: u64,
    buffer: Vec<u8>,
    buffer_at: (Offset, u64),
    /// Segments from here on may have changed without a sync: a killed process leaves writes and cuts
    /// in the page cache, where they can be read but may still vanish.
    unsure_from: Option<Offset>,
    /// The log start that checkpoint and journal know.
    start: Offset,
    /// Batches of the journal that do not follow are not acknowledged and passed over.
    gaps_allowed: bool,
    rebuilt: bool,
}

impl Recovering {
    /// Brings a log back to the newest point that does not need the journal's appends, and cuts off
    /// everything behind it.
    pub(super) fn restore(
        disk: &mut dyn Disk,
        from: &LogCheckpoint,
        mut plan: LogPlan,
        rebuilt: bool,
    ) -> Result<Self, DiskError> {
        for cut in &from.cuts {
            plan.add(cut);
        }
        let (partition, directory) = (from.partition, from.directory.clone());
        let mut log = PartitionLog::new(from.log_id, partition, directory, config());
        log.opened = true;
        log.failed.clone_from(&from.failed);
        log.log_start = from.log_start;
        log.epochs = from.epochs.clone();
        log.producers = from.producers.clone();
        log.segments = from.segments.iter().map(restore_segment).collect();
        log.compaction.clean_end = from.clean_end;
        for segment in &from.segments {
            log.compaction.note_generation(segment.id.generation);
        }
        log.generation = plan.generation.max(from.generation);
        log.journaled_generation = log.generation;
        let mut this = Self {
            log,
            plan,
            batches: 0,
            buffer: Vec::new(),
            buffer_at: (Offset(-1), 0),
            unsure_from: None,
            start: from.log_start,
            gaps_allowed: false,
            rebuilt,
        };
        this.set_end(from.recovery_point.offset);
        if this.log.failed.is_none() {
            this.settle(disk, from)?;
        }
        Ok(this)
    }

    fn settle(&mut self, disk: &mut dyn Disk, from: &LogCheckpoint) -> Result<(), DiskError> {
        let newer = self
            .plan
            .point
            .filter(|(known, _)| *known > from.generation);
        let (generation, point) = newer.unwrap_or((from.generation, from.recovery_point));
        self.gaps_allowed = point.unjournaled;
        let mut known = from.generation;
        if self.rebuilt {
            // The scan found whatever a journaled point vouches for, and more.
            known = generation;
        }
        self.start_from(from.recovery_point);
        let files = segment_files(disk, &self.log.directory)?;
        let by_files = newer.is_some() || point.unjournaled;
        self.start = from
            .log_start
            .max(self.plan.log_start.unwrap_or(from.log_start));
        self.drop_missing(&files, by_files);
        self.apply_changes(disk, known)?;
        self.drop_missing(&files, by_files);
        self.check_sizes(&files);
        let later = self.plan.remains(generation, u32::MAX);
        if later != Remains::All || point.unjournaled {
            self.unsure_from = Some(self.log.active().base_offset);
        }
        if newer.is_some() && !self.rebuilt {
            self.advance_to(disk, &files, later.of(point.offset))?;
        }
        if self.log.failed.is_some() {
            return Ok(());
        }
        if point.unjournaled {
            self.log.mode = Mode::Unjournaled;
            let limit = later.of(Offset(i64::MAX));
            self.batches += self.scan(disk, &files, limit)?;
        }
        self.cut_files(disk)
    }

    /// Applies what changed the segments behind generation `known`.
    fn apply_changes(&mut self, disk: &mut dyn Disk, known: u32) -> Result<(), DiskError> {
        let plan = self.plan.clone();
        let mut learned = self.log.log_end;
        for change in plan.changes(known) {
            match change {
                Change::Cut(end) => {
                    self.cut_to(disk, end)?;
                    learned = learned.min(end);
                }
                Change::Restart(start) => {
                    self.log.restart_at(start);
                    self.start = plan.log_start.map_or(start, |known| known.max(start));
                    self.log.epochs.truncate_end(Offset(i64::MIN));
                    self.log.producers.truncate_end(Offset(i64::MIN));
                    self.log.compaction.taken_back(Offset(i64::MIN));
                    learned = start;
                }
                Change::Replaced(replacement) => self.replace(replacement),
            }
        }
        self.learn(disk, learned)
    }

    /// Puts a segment of compaction in its place. What was in the replaced ones is durable, even if
    /// nothing else says so.
    fn replace(&mut self, replacement: &Replacement) {
        let Replacement {
            segment,
            end,
            clean_end,
            ..
        } = replacement;
        let log = &mut self.log;
        log.replace_segments(restore_segment(segment), *end);
        log.compaction.clean_end = log.compaction.clean_end.max(*clean_end);
        if log.segments.back().map(Segment::id) == Some(segment.id) {
            self.set_end(*end);
            self.log.segments.push_back(Segment::new(*end));
        }
    }

    /// Learns producers and epochs of compacted segments that lie behind what the checkpoint knew.
    /// Those of a log that does not journal are found nowhere else.
    fn learn(&mut self, disk: &mut dyn Disk, from: Offset) -> Result<(), DiskError> {
        let compacted = self.log.segments.iter();
        let compacted: Vec<SegmentId> = compacted
            .filter(|segment| segment.generation > 0)
            .map(Segment::id)
            .collect();
        let end = self.log.log_end;
        for id in compacted {
            let next = self.log.segments.iter().map(|later| later.base_offset);
            let next = next.into_iter().find(|base| *base > id.base_offset);
            if next.unwrap_or(end) <= from {
                continue;
            }
            let path = self.log.file_of(id).log_path();
            let log = &mut self.log;
            walk_headers(disk, &path, from, &mut |header| {
                if header.last_offset() < end {
                    log.epochs
                        .assign(header.leader_epoch(), header.base_offset());
                    log.remember(&NewBatch::stored(header));
                }
            })?;
        }
        Ok(())
    }

    /// Makes the last segment the one of a recovery point.
    fn start_from(&mut self, point: RecoveryPoint) {
        let log = &mut self.log;
        log.segments
            .retain(|segment| segment.base_offset <= point.segment);
        let known = log.segments.back();
        if known.is_none_or(|last| last.base_offset < point.segment) {
            log.segments.push_back(Segment::new(point.segment));
        }
        let active = log.active();
        active.truncate(point.position);
        active.bytes = point.position;
        active.written_bytes = point.position;
        active.synced_bytes = point.position;
        // It takes appends again, so an index file of it is not the last word.
        active.sealed = false;
    }

    fn set_end(&mut self, end: Offset) {
        let log = &mut self.log;
        for bound in [
            &mut log.log_end,
            &mut log.written_end,
            &mut log.synced_end,
            &mut log.committed_end,
        ] {
            *bound = end;
        }
    }

    /// Lets go of segments that lie wholly before the log start: their files may be gone. Where the
    /// journal does not have what follows, the files tell where the log goes on.
    fn drop_missing(&mut self, files: &[(SegmentId, u64)], by_files: bool) {
        let start = self.start;
        let log = &mut self.log;
        while let Some(segment) = log.segments.front() {
            let first = segment.base_offset;
            let gone = size_of(files, segment.id()) < segment.bytes;
            let next = log.segments.get(1).map(|segment| segment.base_offset);
            let in_files = || {
                let mut later = files.iter().map(|(id, _)| id.base_offset);
                later.find(|base| by_files && *base > first)
            };
            let below = |next: &Offset| *next > first && *next <= start;
            let alone = next.is_none();
            let next = next.or_else(in_files).filter(below);
            let end = Some(log.log_end).filter(|end| gone && alone && below(end));
            let Some(next) = next.or(end) else { return };
            log.segments.pop_front();
            if log.segments.is_empty() {
                log.restart_at(next);
            }
        }
    }

    /// Compares what should be there with what is.
    fn check_sizes(&mut self, files: &[(SegmentId, u64)]) {
        let log = &mut self.log;
        let short = log
            .segments
            .iter()
            .find(|segment| size_of(files, segment.id()) < segment.bytes);
        if let Some(segment) = short {
            let path = log.file_of(segment.id()).log_path();
            let found = size_of(files, segment.id());
            log.failed = Some(format!(
                "{path}: {found} bytes are left of {} that had been made durable; the partition stays offline",
                segment.bytes
            ));
        }
    }

    /// Forgets what a truncation took back from the part that the checkpoint vouches for.
    fn cut_to(&mut self, disk: &mut dyn Disk, end: Offset) -> Result<(), DiskError> {
        let log = &mut self.log;
        if end > log.log_end {
            return Ok(());
        }
        if log
            .segments
            .front()
            .is_none_or(|first| first.base_offset >= end)
        {
            log.restart_at(end);
            return Ok(());
        }
        log.segments.retain(|segment| segment.base_offset < end);
        let base = log.active().base_offset;
        let position = position_of(disk, &log.file(base).log_path(), end)?;
        let active = log.active();
        active.truncate(position.min(active.bytes));
        active.sealed = false;
        log.epochs.truncate_end(end);
        log.producers.truncate_end(end);
        log.compaction.taken_back(end);
        self.set_end(end);
        Ok(())
    }

    /// Takes in what a journaled recovery point says is durable.
    fn advance_to(
        &mut self,
        disk: &mut dyn Disk,
        files: &[(SegmentId, u64)],
        end: Offset,
    ) -> Result<(), DiskError> {
        if self.log.failed.is_some() || self.log.log_end >= end {
            return Ok(());
        }
        self.scan(disk, files, end)?;
        if self.log.log_end < end && self.start >= end {
            // All of it lies before the log start and may be gone.
            self.log.restart_at(end);
        } else if self.log.log_end < end {
            let (directory, found) = (&self.log.directory, self.log.log_end);
            self.log.failed = Some(format!(
                "{directory}: intact up to offset {found}, but {end} had been made durable; the partition stays offline"
            ));
        }
        Ok(())
    }

    fn scan(
        &mut self,
        disk: &mut dyn Disk,
        files: &[(SegmentId, u64)],
        limit: Offset,
    ) -> Result<u64, DiskError> {
        // What compaction wrote is in the log already, or was never put in place.
        let log = &self.log;
        let wanted = |id: &SegmentId| id.generation == 0 || log.segment(*id).is_some();
        let files: Vec<_> = files.iter().copied().filter(|(id, _)| wanted(id)).collect();
        let scan = Scan {
            files: &files,
            limit,
            gapless: self.log.mode == Mode::Unjournaled,
        };
        scan.extend(disk, &mut self.log)
    }

    /// Removes from the files what is not in the log.
    fn cut_files(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        let log = &mut self.log;
        let mut changed = false;
        for (id, size) in segment_files(disk, &log.directory)? {
            let file = log.file_of(id);
            let Some(segment) = log.segment(id) else {
                disk.remove(&file.log_path())?;
                disk.remove(&file.index_path())?;
                changed = true;
                continue;
            };
            if size > segment.bytes {
                disk.remove(&file.index_path())?;
                disk.truncate(&file.log_path(), segment.bytes)?;
                // An old end that came back after the next crash could pass for a new one.
                disk.sync(&file.log_path())?;
                changed = true;
            }
        }
        if changed {
            disk.sync_directory(&log.directory)?;
        }
        Ok(())
    }

    /// Takes one batch of the journal in; false when the log has it already.
    pub(super) fn append(
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
            self.log.epochs.assign(header.leader_epoch(), base_offset);
            self.log.remember(&NewBatch::stored(&header));
            return Ok(false);
        }
        if base_offset > self.log.log_end && !self.bridge(base_offset) {
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

    /// Decides about a batch that lies behind the end of the log.
    fn bridge(&mut self, base_offset: Offset) -> bool {
        let empty = self.log.segments.iter().all(|segment| segment.bytes == 0);
        if self.rebuilt && empty {
            self.log.restart_at(base_offset);
            return true;
        }
        if !self.gaps_allowed {
            let end = self.log.log_end;
            self.log.failed = Some(format!(
                "journal: offset {base_offset} of {} does not follow {end}; the partition stays offline",
                self.log.directory
            ));
        }
        false
    }

    fn flush(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        let (segment, position) = self.buffer_at;
        if !self.buffer.is_empty() {
            disk.write(&self.log.file(segment).log_path(), position, &self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Makes all of the log durable and applies its log start.
    pub(super) fn finish(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        if self.log.failed.is_some() {
            // The start may be one that only the journal reaches.
            self.set_end(self.log.log_end.max(self.log.log_start));
            return Ok(());
        }
        self.flush(disk)?;
        let directory = self.log.directory.clone();
        let files = segment_files(disk, &directory)?;
        let mut changed = self.unsure_from.is_some() && !files.is_empty();
        let paths: Vec<String> = self
            .log
            .segments
            .iter()
            .map(|segment| self.log.file_of(segment.id()).log_path())
            .collect();
        let unjournaled = self.log.mode == Mode::Unjournaled;
        for (segment, path) in self.log.segments.iter_mut().zip(&paths) {
            let base = segment.base_offset;
            let there = files.iter().any(|(known, _)| *known == segment.id());
            let unsure = self.unsure_from.is_some_and(|from| base >= from);
            if there && (unsure || segment.synced_bytes < segment.bytes) {
                if unjournaled {
                    rewrite(disk, path, segment.synced_bytes..segment.bytes)?;
                }
                if !mutant!(RecoveryNotSynced) {
                    disk.sync(path)?;
                }
                changed = true;
            }
            segment.written_bytes = segment.bytes;
            segment.synced_bytes = segment.bytes;
            // Recovery believes some headers without the rest of their batches.
            segment.checked = Checked::default();
        }
        if changed && !mutant!(SkipDirectorySync) {
            disk.sync_directory(&directory)?;
        }
        self.set_end(self.log.log_end);
        self.apply_log_start();
        // An epoch may begin at the end; producers have written before it.
        self.log.epochs.truncate_end(self.log.log_end.next());
        if !mutant!(ProducersAheadOfLog) {
            self.log.producers.truncate_end(self.log.log_end);
        }
        if mutant!(ProducersForgotten) {
            self.log.producers.truncate_end(Offset(i64::MIN));
        }
        self.log.producers.settle(self.log.log_end);
        self.log.cuts.clear();
        self.log.uncovered_cut = None;
        self.cut_files(disk)
    }

    fn apply_log_start(&mut self) {
        let log = &mut self.log;
        if self.start > log.log_end {
            log.restart_at(self.start);
        } else {
            log.advance_start(self.start);
        }
    }
}

/// Writes a part of a file once more. A sync that failed in the life before has left its pages clean:
/// they can be read, but another sync would pass over them.
pub(super) fn rewrite(disk: &mut dyn Disk, path: &str, part: Range<u64>) -> Result<(), DiskError> {
    let mut position = part.start;
    while position < part.end {
        let left = usize::try_from(part.end - position).unwrap_or(WRITE_BYTES);
        let bytes = Steady(disk).read(path, position, left.min(WRITE_BYTES))?;
        if bytes.is_empty() {
            break;
        }
        disk.write(path, position, &bytes)?;
        position += bytes.len() as u64;
    }
    Ok(())
}

fn size_of(files: &[(SegmentId, u64)], id: SegmentId) -> u64 {
    let file = files.iter().find(|(known, _)| *known == id);
    file.map_or(0, |(_, bytes)| *bytes)
}

fn restore_segment(from: &SegmentCheckpoint) -> Segment {
    Segment {
        bytes: from.bytes,
        written_bytes: from.bytes,
        synced_bytes: from.bytes,
        max_timestamp_ms: from.max_timestamp_ms,
        max_timestamp_offset: from.max_timestamp_offset,
        first_timestamp_ms: from.first_timestamp_ms,
        index_state: IndexState::OnDisk,
        sealed: true,
        generation: from.id.generation,
        ..Segment::new(from.id.base_offset)
    }
}
