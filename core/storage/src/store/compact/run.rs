//! One compaction: where it is, and what it does next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chronik_model::rng::Rng;
use chronik_model::{LogId, Mono, Now, Offset};

use super::LogSlot;
use crate::compaction::filter::Rules;
use crate::compaction::{CompactionReport, CompactionSettings, Dirt, OffsetMap, Source, group};
use crate::log::{PartitionLog, Segment};
use crate::select::Boundary;

/// A compaction of one log.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) number: u64,
    pub(super) slot: LogSlot,
    pub(super) log_id: LogId,
    /// Generation of the log: another one voids the run.
    pub(super) generation: u32,
    pub(super) phase: Phase,
    /// What the disk has been asked for.
    pub(super) asked: Option<Asked>,
    /// Segments still to be read, all dirty ones while learning, those of a group while copying.
    pub(super) sources: VecDeque<Source>,
    /// Where the first of them is read next.
    pub(super) at: Boundary,
    /// All segments of the run.
    pub(super) all: Vec<Source>,
    /// Groups that are not in place yet.
    pub(super) groups: VecDeque<Vec<Source>>,
    /// The map, unless a step has it.
    pub(super) map: Option<OffsetMap>,
    /// The map could not take all keys.
    pub(super) full: bool,
    pub(super) rules: Arc<Rules>,
    /// What the first group becomes.
    pub(super) output: Option<Segment>,
    /// Bytes read and written that were not paid for in time yet.
    pub(super) owed_bytes: u64,
    pub(super) not_before: Mono,
    pub(super) started: Mono,
    pub(super) report: CompactionReport,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Learn,
    Copy,
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Step,
    Write,
    Sync,
}

impl Run {
    /// A compaction of a log that is due.
    pub(super) fn new(
        number: u64,
        (slot, log): (LogSlot, &PartitionLog),
        dirt: Dirt,
        now: Now,
        settings: &CompactionSettings,
    ) -> Option<Self> {
        let config = log.config.compact?;
        let (half, _) = log.partition.topic_id.0.split_at(8);
        let topic = half.first_chunk().copied().map_or(0, u64::from_le_bytes);
        let seed = topic ^ now.wall_ms.unsigned_abs().rotate_left(24) ^ number;
        let end = dirt.end();
        let keys = end.since(dirt.first_dirty).unsigned_abs();
        let map = OffsetMap::new(keys, settings.map_bytes, Rng::new(seed).next_u64());
        let rules = Rules {
            now_ms: now.wall_ms,
            delete_retention_ms: config.delete_retention_ms,
            last_of_producers: log.producers.last_offsets(end),
        };
        let mut sources: VecDeque<Source> = dirt.sources.iter().copied().collect();
        sources.retain(|source| source.end > dirt.first_dirty);
        Some(Self {
            number,
            slot,
            log_id: log.log_id,
            generation: log.generation,
            phase: Phase::Learn,
            asked: None,
            at: start_of(sources.front()),
            sources,
            groups: VecDeque::new(),
            map: Some(map),
            full: false,
            rules: Arc::new(rules),
            output: None,
            owed_bytes: 0,
            not_before: now.mono,
            started: now.mono,
            report: CompactionReport {
                directory: log.directory.to_string(),
                first_dirty: dirt.first_dirty,
                clean_end: end,
                bytes_before: 0,
                bytes_after: 0,
                keys: 0,
                duration_ms: 0,
            },
            all: dirt.sources,
        })
    }

    /// Lets go of segments that were read to their end.
    pub(super) fn skip_read_segments(&mut self) {
        while self
            .sources
            .front()
            .is_some_and(|source| self.at.position >= source.bytes)
        {
            self.sources.pop_front();
            self.at = start_of(self.sources.front());
        }
    }

    /// All keys are learned, or as many as fit: what they cover is copied.
    pub(super) fn begin_copy(&mut self, segment_bytes: u64) {
        self.phase = Phase::Copy;
        if let Some(map) = &mut self.map {
            if !self.full {
                map.cover(self.report.clean_end - 1);
            }
            self.report.clean_end = map.covered().next();
            self.report.keys = map.len();
        }
        self.groups = group(&self.all, self.report.clean_end, segment_bytes).into();
        self.read_group();
    }

    /// Goes on with the group behind the first one, which is returned.
    pub(super) fn next_group(&mut self) -> Option<Vec<Source>> {
        let done = self.groups.pop_front();
        self.read_group();
        done
    }

    fn read_group(&mut self) {
        self.sources = self.groups.front().cloned().unwrap_or_default().into();
        self.at = start_of(self.sources.front());
        if self.groups.is_empty() {
            self.phase = Phase::Done;
        }
    }

    /// Pays in time for what was read and written.
    pub(super) fn settle_up(&mut self, now: Mono, bytes_per_second: Option<f64>) {
        let owed = std::mem::take(&mut self.owed_bytes);
        if let Some(rate) = bytes_per_second.filter(|rate| *rate > 0.0 && owed > 0) {
            self.not_before = self.not_before.max(now).plus_ms(delay_ms(owed, rate));
        }
    }
}

/// Milliseconds that `bytes` take at `rate` bytes per second, at most an hour.
fn delay_ms(bytes: u64, rate: f64) -> i64 {
    const MAX: Duration = Duration::from_secs(3600);
    let delay = Duration::try_from_secs_f64(bytes as f64 / rate).unwrap_or(MAX);
    i64::try_from(delay.min(MAX).as_millis()).unwrap_or(i64::MAX)
}

fn start_of(source: Option<&Source>) -> Boundary {
    Boundary {
        position: 0,
        offset: source.map_or(Offset::ZERO, |source| source.id.base_offset),
    }
}
