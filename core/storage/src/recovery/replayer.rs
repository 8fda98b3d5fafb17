//! Applies a journal's operations to logs, writing appends straight to the segments.

use std::collections::BTreeMap;

use chronik_model::{LogId, Offset, TopicPartition, mutant};

use super::plan::Plans;
use super::recovering::Recovering;
use crate::checkpoint::{LogCheckpoint, Vote};
use crate::disk::{Disk, DiskError};
use crate::journal::Operation;
use crate::log::{LogConfig, PartitionLog};
use crate::store::TOPICS_DIRECTORY;

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
        compact: None,
    }
}

/// Logs while operations are applied to them.
#[derive(Debug)]
pub(super) struct Replayer {
    logs: BTreeMap<LogId, Recovering>,
    plans: Plans,
    /// Directories of logs that are gone at the end.
    deleted: Vec<String>,
    order: u64,
    vote: Vote,
    next_log_id: u64,
    batches: u64,
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
    pub(super) const fn new(plans: Plans, vote: Vote, next_log_id: u64) -> Self {
        Self {
            logs: BTreeMap::new(),
            plans,
            deleted: Vec::new(),
            order: 0,
            vote,
            next_log_id,
            batches: 0,
        }
    }

    /// Brings a log of the checkpoint back to the newest point that does not need the journal.
    pub(super) fn restore(
        &mut self,
        disk: &mut dyn Disk,
        from: &LogCheckpoint,
        rebuilt: bool,
    ) -> Result<(), DiskError> {
        self.next_log_id = self.next_log_id.max(from.log_id.0.saturating_add(1));
        let plan = self.plans.of(from.log_id);
        if plan.deleted {
            self.deleted.push(from.directory.to_string());
            return Ok(());
        }
        let recovering = Recovering::restore(disk, from, plan, rebuilt)?;
        self.insert(recovering);
        Ok(())
    }

    /// Starts the logs that are in no checkpoint yet. The journal may say what a log is behind its
    /// first records, so this comes before any of them.
    pub(super) fn open_new(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        for (log_id, partition, directory) in self.plans.opened() {
            self.open(disk, log_id, partition, &directory)?;
        }
        Ok(())
    }

    fn insert(&mut self, recovering: Recovering) {
        self.batches += recovering.batches;
        self.logs.insert(recovering.log.log_id, recovering);
    }

    /// Applies one operation.
    pub(super) fn apply(
        &mut self,
        disk: &mut dyn Disk,
        log_id: LogId,
        operation: &Operation<'_>,
    ) -> Result<(), DiskError> {
        self.order += 1;
        if !mutant!(LogIdReused) {
            self.next_log_id = self.next_log_id.max(log_id.0.saturating_add(1));
        }
        match operation {
            Operation::Vote { term, vote, commit } => {
                self.vote = Vote {
                    term: *term,
                    vote: *vote,
                    commit: *commit,
                };
                Ok(())
            }
            Operation::Append {
                base_offset,
                last_offset,
                batch,
            } => self.append(disk, log_id, (*base_offset, *last_offset), batch),
            Operation::EpochStart {
                epoch,
                start_offset,
            } => {
                if let Some(recovering) = self.logs.get_mut(&log_id)
                    && recovering.plan.survives(self.order, *start_offset)
                {
                    recovering.log.epochs.assign(*epoch, *start_offset);
                }
                Ok(())
            }
            // The plan has these already.
            Operation::Open { .. }
            | Operation::Delete
            | Operation::Truncate { .. }
            | Operation::Reset { .. }
            | Operation::LogStart { .. }
            | Operation::RecoveryPoint { .. }
            | Operation::SegmentsReplaced(_) => Ok(()),
        }
    }

    fn open(
        &mut self,
        disk: &mut dyn Disk,
        log_id: LogId,
        partition: TopicPartition,
        directory: &str,
    ) -> Result<(), DiskError> {
        let plan = self.plans.of(log_id);
        if plan.deleted {
            self.deleted.push(directory.to_owned());
        } else if !self.logs.contains_key(&log_id) {
            let log = PartitionLog::new(log_id, partition, directory.into(), config());
            let from = LogCheckpoint::of(&log);
            let recovering = Recovering::restore(disk, &from, plan, false)?;
            self.insert(recovering);
        }
        Ok(())
    }

    fn append(
        &mut self,
        disk: &mut dyn Disk,
        log_id: LogId,
        (base, last): (Offset, Offset),
        batch: &[u8],
    ) -> Result<(), DiskError> {
        let Some(recovering) = self.logs.get_mut(&log_id) else {
            return Ok(());
        };
        let wanted = recovering.log.failed.is_none() && recovering.plan.survives(self.order, last);
        if wanted && recovering.append(disk, base, batch)? {
            self.batches += 1;
        }
        Ok(())
    }

    /// Writes and syncs what is left, so that everything that was recovered is durable.
    pub(super) fn finish(self, disk: &mut dyn Disk) -> Result<Outcome, DiskError> {
        let mut logs = Vec::with_capacity(self.logs.len());
        let mut warnings = Vec::new();
        for (_, mut recovering) in self.logs {
            recovering.finish(disk)?;
            warnings.extend(recovering.log.failed.clone());
            logs.push(recovering.log);
        }
        for directory in &self.deleted {
            disk.remove(directory)?;
        }
        // Replay may have made new directories, and a log's own may never have been synced.
        let entries = disk.list("")?;
        let any = entries.iter().any(|entry| entry.name == TOPICS_DIRECTORY);
        if any && !mutant!(SkipDirectorySync) {
            disk.sync_directory(TOPICS_DIRECTORY)?;
        }
        disk.sync_directory("")?;
        Ok(Outcome {
            logs,
            vote: self.vote,
            next_log_id: self.next_log_id,
            batches: self.batches,
            warnings,
        })
    }
}
