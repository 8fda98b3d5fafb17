//! Compactions of a store: one at a time, one disk operation at a time.
//!
//! ```text
//!  learn* -> per group: ( copy -> write )* -> sync -> SEGMENTS_REPLACED, files of the group go later
//! ```
//!
//! What was copied takes its place in memory as soon as it is durable, whether the journal knows yet
//! or not: both sets of files say the same, and the old ones stay until the journal does. A log that
//! changes under a compaction in any other way than by appends voids it.

mod run;

use std::sync::Arc;

use chronik_model::{Mono, Now, Offset};

use super::{Doomed, LogSlot, LogStore, Pending, Token};
use crate::checkpoint::SegmentCheckpoint;
use crate::compaction::{
    CompactionReport, CompactionSettings, CompactionStats, Dirt, Kept, Source, Step, Work,
};
use crate::disk::{DiskData, DiskError, DiskErrorKind, DiskOp, FileKey};
use crate::journal::{Operation, Replacement};
use crate::log::segment::IndexState;
use crate::log::{PartitionLog, Segment};
use crate::select::Selection;
use run::{Asked, Phase, Run};

/// Bytes of a segment that one step reads: what it takes to work on them is how long an operation of
/// another log may have to wait.
const STEP_BYTES: usize = 512 << 10;

/// The compaction that is underway, and what the ones before it did.
#[derive(Debug, Default)]
pub(super) struct Compactor {
    run: Option<Run>,
    runs: u64,
    stats: CompactionStats,
    reports: Vec<CompactionReport>,
    warnings: Vec<String>,
}

impl LogStore {
    /// Starts a compaction where one is due, or takes the next step of the one that is underway.
    /// Consumers see each log up to `visible_end`; nothing behind is touched. Returns when to call
    /// again; `None` where a finished disk operation or an append will tell, see
    /// [`LogStore::compaction_is_ready`] and [`PartitionLog::may_compact`].
    pub fn compact(
        &mut self,
        now: Now,
        settings: &CompactionSettings,
        visible_end: &dyn Fn(LogSlot) -> Option<Offset>,
    ) -> Option<Mono> {
        // A stop that is underway does not wait for a compaction.
        if self.offline.is_some() || self.trim == Some(u64::MAX) {
            self.abort_compaction();
            return None;
        }
        if self.compactor.run.is_none() {
            match self.dirtiest(now, settings, visible_end) {
                Ok((slot, dirt)) => self.start_compaction(now, settings, slot, dirt),
                Err(later) => return later,
            }
        }
        self.continue_compaction(now, settings)
    }

    /// Whether a compaction is underway that waits for [`LogStore::compact`] rather than the disk.
    #[must_use]
    pub fn compaction_is_ready(&self) -> bool {
        let run = self.compactor.run.as_ref();
        run.is_some_and(|run| run.asked.is_none())
    }

    /// What compactions have done so far.
    #[must_use]
    pub fn compaction_stats(&self) -> CompactionStats {
        let logs = self.logs.iter().flatten();
        let uncleanable = logs.filter(|log| log.compaction.uncleanable.is_some());
        CompactionStats {
            uncleanable: uncleanable.count() as u64,
            ..self.compactor.stats
        }
    }

    /// The largest share of a log that could be compacted and was not yet, in percent.
    #[must_use]
    pub fn max_dirty_percent(&self) -> u64 {
        let logs = self.logs.iter().flatten();
        let dirt = logs.filter_map(|log| log.dirt(i64::MAX, log.stable_end()));
        dirt.map(|dirt| dirt.percent()).max().unwrap_or(0)
    }

    /// Compactions that ended since the last call.
    pub fn take_compaction_reports(&mut self) -> Vec<CompactionReport> {
        std::mem::take(&mut self.compactor.reports)
    }

    /// Lines for the operator about compactions since the last call.
    pub fn take_compaction_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.compactor.warnings)
    }

    /// The log that is due and has the largest share of dirt; else when there may be one.
    fn dirtiest(
        &mut self,
        now: Now,
        settings: &CompactionSettings,
        visible_end: &dyn Fn(LogSlot) -> Option<Offset>,
    ) -> Result<(LogSlot, Dirt), Option<Mono>> {
        let candidates: Vec<LogSlot> = self
            .slots()
            .filter(|slot| self.log(*slot).is_some_and(PartitionLog::may_compact))
            .collect();
        let full = self.disk_full || self.out_of_space;
        let mut dirtiest: Option<(LogSlot, Dirt)> = None;
        let mut wait_ms: Option<i64> = None;
        for slot in candidates {
            let Some((log, end)) = self.log(slot).zip(visible_end(slot)) else {
                continue;
            };
            let wait = match log.dirt(now.wall_ms, end) {
                Some(dirt) if dirt.due && !full => {
                    let most = dirtiest.as_ref();
                    if most.is_none_or(|(_, most)| dirt.ratio() > most.ratio()) {
                        dirtiest = Some((slot, dirt));
                    }
                    continue;
                }
                Some(dirt) if !dirt.due && !dirt.blocked => dirt.wait_ms,
                Some(_) | None => Some(settings.backoff_ms),
            };
            match wait {
                Some(wait) => wait_ms = Some(wait_ms.map_or(wait, |known| known.min(wait))),
                None => self.rest(slot),
            }
            self.hurry_closed(slot);
        }
        let wait_ms = wait_ms.map(|wait| wait.max(settings.backoff_ms));
        dirtiest.ok_or_else(|| wait_ms.map(|wait| now.mono.plus_ms(wait)))
    }

    fn rest(&mut self, slot: LogSlot) {
        if let Some(log) = self.log_mut(slot)
            && let Some(active) = log.segments.back().map(|active| active.base_offset)
        {
            log.compaction.rest_at(active);
        }
    }

    /// Writes and syncs segments that closed, which nothing else may be in a hurry to do.
    fn hurry_closed(&mut self, slot: LogSlot) {
        self.write_back_if_due(&[slot]);
        let unsynced = self.log(slot).is_some_and(|log| {
            let mut closed = log.segments.iter().rev().skip(1);
            closed.any(|segment| segment.synced_bytes < segment.written_bytes)
        });
        if unsynced {
            self.sync_segments(slot);
        }
    }

    fn start_compaction(
        &mut self,
        now: Now,
        settings: &CompactionSettings,
        slot: LogSlot,
        dirt: Dirt,
    ) {
        let number = self.compactor.runs;
        let log = self.log(slot);
        let run = log.and_then(|log| Run::new(number, (slot, log), dirt, now, settings));
        self.compactor.runs += 1;
        self.compactor.run = run;
    }

    fn continue_compaction(&mut self, now: Now, settings: &CompactionSettings) -> Option<Mono> {
        let mut run = self.compactor.run.take_if(|run| run.asked.is_none())?;
        if !self.is_valid(&run) {
            self.abandon(run);
            return Some(now.mono.plus_ms(settings.backoff_ms));
        }
        run.settle_up(now.mono, settings.bytes_per_second);
        if run.not_before > now.mono {
            let later = run.not_before;
            self.compactor.run = Some(run);
            return Some(later);
        }
        self.take_step(&mut run);
        if run.phase == Phase::Done {
            self.finish(&run, now.mono);
            return Some(now.mono);
        }
        self.compactor.run = Some(run);
        None
    }

    /// Whether the log still is what the run was made for.
    fn is_valid(&self, run: &Run) -> bool {
        let Some(log) = self.log(run.slot).filter(|log| log.log_id == run.log_id) else {
            return false;
        };
        let there = |source: &Source| {
            let segment = log.segment(source.id);
            segment.is_some_and(|segment| segment.bytes == source.bytes)
        };
        let mut needed = run.groups.iter().flatten().chain(&run.sources);
        log.generation == run.generation && log.config.compact.is_some() && needed.all(there)
    }

    /// Asks the disk for what comes next; [`Phase::Done`] when nothing does.
    fn take_step(&mut self, run: &mut Run) {
        loop {
            run.skip_read_segments();
            match (run.phase, run.sources.front().copied()) {
                (Phase::Learn, Some(source)) => {
                    let work = Work::Learn {
                        from: run.report.first_dirty,
                        full: false,
                    };
                    return self.read_step(run, source, work);
                }
                (Phase::Learn, None) => {
                    let log = self.log(run.slot);
                    let segment_bytes = log.map_or(u64::MAX, |log| log.config.segment_bytes);
                    run.begin_copy(segment_bytes);
                }
                (Phase::Copy, Some(source)) => {
                    let work = Work::Copy {
                        rules: Arc::clone(&run.rules),
                        keep_end: run.sources.len() == 1,
                        kept: Kept::default(),
                    };
                    self.open_output(run);
                    return self.read_step(run, source, work);
                }
                (Phase::Copy, None) => {
                    if let Some(file) = self.output_file(run) {
                        return self.ask(run, Asked::Sync, DiskOp::Sync { file });
                    }
                    // Nothing was there to be read.
                    run.next_group();
                }
                (Phase::Done, _) => return,
            }
        }
    }

    fn read_step(&mut self, run: &mut Run, source: Source, work: Work) {
        let log = self.log(run.slot);
        let segment = log.and_then(|log| log.segment(source.id));
        let (Some(log), Some(segment), Some(map)) = (log, segment, run.map.take()) else {
            run.phase = Phase::Done;
            return;
        };
        let step = Step {
            selection: Selection {
                from: run.at.offset,
                bound: Offset(i64::MAX),
                start: run.at,
                end_position: source.bytes,
                offsets: log.offsets_of(segment),
                max_bytes: STEP_BYTES,
            },
            map,
            work,
            next: run.at,
        };
        let (file, step) = (log.file_of(source.id), Box::new(step));
        self.ask(run, Asked::Step, DiskOp::Compact { file, step });
    }

    fn ask(&mut self, run: &mut Run, what: Asked, op: DiskOp) {
        run.asked = Some(what);
        let run = run.number;
        self.request(op, Pending::Compact { run });
    }

    /// A segment for the first group, under a name that no file ever had.
    fn open_output(&mut self, run: &mut Run) {
        let first = run.groups.front().and_then(|group| group.first());
        let log = self.log_mut(run.slot);
        if let (None, Some(first), Some(log)) = (&run.output, first, log) {
            let mut output = Segment::new(first.id.base_offset);
            output.generation = log.compaction.next_generation();
            run.output = Some(output);
        }
    }

    /// The file that takes the first group, if anything was written to it.
    fn output_file(&self, run: &Run) -> Option<FileKey> {
        let output = run.output.as_ref().filter(|output| output.bytes > 0)?;
        Some(self.log(run.slot)?.file_of(output.id()))
    }

    /// An operation of a compaction is done.
    pub(super) fn compaction_done(&mut self, number: u64, result: Result<DiskData, DiskError>) {
        let run = self.compactor.run.take_if(|run| run.number == number);
        let Some(mut run) = run else { return };
        let asked = run.asked.take();
        if !self.is_valid(&run) {
            self.abandon(run);
            return;
        }
        match (asked, result) {
            (_, Err(error)) => {
                self.compaction_failed(run, asked, &error);
                return;
            }
            (Some(Asked::Step), Ok(DiskData::Compacted(step))) => self.step_done(&mut run, *step),
            (Some(Asked::Sync), Ok(_)) => self.put_in_place(&mut run),
            (Some(Asked::Write), Ok(_)) => {}
            (Some(Asked::Step) | None, Ok(_)) => {
                self.abandon(run);
                return;
            }
        }
        self.compactor.run = Some(run);
    }

    fn step_done(&mut self, run: &mut Run, step: Step) {
        let read = step.next.position - step.selection.start.position;
        run.map = Some(step.map);
        run.at = step.next;
        run.owed_bytes += read;
        self.compactor.stats.bytes_read += read;
        match step.work {
            Work::Learn { full: true, .. } => {
                run.full = true;
                run.sources.clear();
            }
            Work::Learn { full: false, .. } => {}
            Work::Copy { kept, .. } => self.write_kept(run, kept),
        }
    }

    fn write_kept(&mut self, run: &mut Run, kept: Kept) {
        let Some((log, output)) = self.log(run.slot).zip(run.output.as_mut()) else {
            return;
        };
        if kept.batches.is_empty() {
            return;
        }
        let (position, bytes) = (output.bytes, kept.size_bytes());
        for batch in &kept.batches {
            output.append(batch, log.index_interval());
        }
        let op = DiskOp::Write {
            file: log.file_of(output.id()),
            position,
            buffers: kept.buffers,
            urgent: false,
        };
        run.owed_bytes += bytes;
        self.compactor.stats.bytes_written += bytes;
        self.ask(run, Asked::Write, op);
    }

    /// What the first group became is durable: it takes the group's place.
    fn put_in_place(&mut self, run: &mut Run) {
        let output = run.output.take();
        let Some((group, mut output)) = run.next_group().zip(output) else {
            return;
        };
        let last = run.groups.is_empty();
        let end = group.last().map_or(output.base_offset, |last| last.end);
        let Some(log) = self.log_mut(run.slot) else {
            return;
        };
        output.written_bytes = output.bytes;
        output.synced_bytes = output.bytes;
        output.sealed = true;
        let index = std::mem::take(&mut output.index).encode(output.bytes);
        output.index_state = IndexState::OnDisk;
        if last {
            log.compaction.clean_end = log.compaction.clean_end.max(run.report.clean_end);
        }
        log.generation += 1;
        run.generation = log.generation;
        run.report.bytes_before += group.iter().map(|source| source.bytes).sum::<u64>();
        run.report.bytes_after += output.bytes;
        let (file, segment) = (log.file_of(output.id()), SegmentCheckpoint::of(&output));
        let replaced = log.replace_segments(output, end);
        // Their places in memory are those of the files that go.
        while log
            .tail
            .front()
            .is_some_and(|batch| batch.last_offset < end)
        {
            log.tail.pop_front();
        }
        let replacement = Replacement {
            generation: log.generation,
            segment,
            end,
            clean_end: log.compaction.clean_end,
            replaced,
        };
        self.journal_replacement(run.slot, replacement);
        self.request(DiskOp::WriteIndex { file, bytes: index }, Pending::Chore);
    }

    /// The files that were replaced go once the journal says so.
    fn journal_replacement(&mut self, slot: LogSlot, replacement: Replacement) {
        let Some(log) = self.log(slot) else { return };
        let log_id = log.log_id;
        let replaced = replacement.replaced.iter();
        let doomed = Doomed {
            files: replaced.map(|id| log.file_of(*id)).collect(),
            replaced_by: Some(replacement.generation),
        };
        self.doomed.entry(log_id).or_default().push_back(doomed);
        let token = Token::Start(log_id).encode();
        let operation = Operation::SegmentsReplaced(replacement);
        self.journal_control(slot, &operation, Some(token));
    }

    fn compaction_failed(&mut self, run: Run, asked: Option<Asked>, error: &DiskError) {
        match asked {
            // It is tried again: space may be back by then.
            Some(Asked::Write) if error.kind == DiskErrorKind::Full => {}
            Some(Asked::Write | Asked::Sync) => self.go_offline(&error.to_string()),
            Some(Asked::Step) | None => {
                self.compactor.warnings.push(format!(
                    "{error}: {} is not compacted until the server is started again; nothing of it was dropped",
                    run.report.directory
                ));
                if let Some(log) = self.same_log(run.slot, run.log_id) {
                    log.compaction.uncleanable = Some(error.to_string());
                }
            }
        }
        self.abandon(run);
    }

    /// Gives up the compaction that is underway.
    pub(super) fn abort_compaction(&mut self) {
        if let Some(run) = self.compactor.run.take() {
            self.abandon(run);
        }
    }

    /// Gives up a compaction and removes what it was writing, unless its log is gone.
    fn abandon(&mut self, run: Run) {
        self.compactor.stats.aborted += 1;
        let log = self.log(run.slot).filter(|log| log.log_id == run.log_id);
        let output = run.output.filter(|output| output.bytes > 0);
        if let Some((log, output)) = log.zip(output) {
            let file = log.file_of(output.id());
            self.request(DiskOp::RemoveSegment { file }, Pending::Chore);
        }
        // Whoever calls for compactions looks at the logs again.
        let waiting = self.slots();
        let waiting: Vec<LogSlot> = waiting
            .filter(|slot| self.log(*slot).is_some_and(PartitionLog::may_compact))
            .collect();
        self.advanced.extend(waiting);
    }

    fn finish(&mut self, run: &Run, now: Mono) {
        let duration = now.since(run.started);
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let stats = &mut self.compactor.stats;
        stats.runs += 1;
        stats.last_end = Some(now);
        stats.longest_ms = stats.longest_ms.max(duration_ms);
        let report = CompactionReport {
            duration_ms,
            ..run.report.clone()
        };
        self.compactor.reports.push(report);
    }
}
