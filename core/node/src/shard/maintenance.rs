//! What a shard does by the clock: retention, compaction, `flush.ms`, forgetting idle producers.
//! Deadlines exist only for something that waits.

use std::collections::{BTreeMap, BTreeSet};

use chronik_model::{Mono, Now};
use chronik_storage::LogSlot;
use chronik_storage::compaction::CompactionSettings;
use chronik_storage::log::PartitionLog;

use super::wall_clock::WallClock;
use super::{Shard, ShardOutputs};

/// When to look next.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    retention: Option<Mono>,
    compaction: Option<Mono>,
    clock: WallClock,
    /// When logs that do not journal are synced: those that have something to sync.
    flush: BTreeMap<LogSlot, Mono>,
    flush_order: BTreeSet<(Mono, LogSlot)>,
}

impl Deadlines {
    pub(super) fn next(&self) -> Option<Mono> {
        let flush = self.flush_order.first().map(|(due, _)| *due);
        let cleanup = self.retention.into_iter().chain(self.compaction);
        cleanup.chain(flush).min()
    }

    /// Syncs a log at `due`, if nothing asks for it sooner.
    fn flush_by(&mut self, slot: LogSlot, due: Mono) {
        let known = self.flush.get(&slot);
        if known.is_none_or(|known| due < *known) {
            self.flushed(slot);
            self.flush.insert(slot, due);
            self.flush_order.insert((due, slot));
        }
    }

    fn flush_due(&self, now: Mono) -> impl Iterator<Item = LogSlot> + '_ {
        let due = self
            .flush_order
            .iter()
            .take_while(move |(due, _)| *due <= now);
        due.map(|(_, slot)| *slot)
    }

    /// A log has nothing left to sync, or is gone.
    pub(super) fn flushed(&mut self, slot: LogSlot) {
        if let Some(due) = self.flush.remove(&slot) {
            self.flush_order.remove(&(due, slot));
        }
    }
}

impl Shard {
    /// Arms the checks of retention and compaction if a log of this shard can lose something to them.
    pub(super) fn schedule_retention(&mut self, now: Now, slot: LogSlot) {
        self.schedule_compaction(now, slot);
        self.maintenance.clock.start(now);
        let Some(log) = self.store.log(slot) else {
            return;
        };
        let bounded = log.config.retention_ms.is_some() || log.config.retention_bytes.is_some();
        let empty = log.segments.iter().all(|segment| segment.bytes == 0);
        if bounded && log.config.cleanup_delete && !empty && self.maintenance.retention.is_none() {
            self.maintenance.retention = Some(now.mono.plus_ms(self.check_interval_ms()));
        }
    }

    /// Only a log that has something to compact arms the check.
    fn schedule_compaction(&mut self, now: Now, slot: LogSlot) {
        let armed = self.maintenance.compaction.is_some();
        if armed || !self.store.log(slot).is_some_and(PartitionLog::may_compact) {
            return;
        }
        let backoff = self.compaction_settings();
        let backoff = backoff.map(|settings| now.mono.plus_ms(settings.backoff_ms));
        self.maintenance.compaction = backoff;
    }

    /// Takes the next step of a compaction, if it is time for one.
    pub(super) fn compact(&mut self, now: Now, out: &mut ShardOutputs) {
        let due = self.maintenance.compaction;
        if due.is_some_and(|due| due <= now.mono) || self.store.compaction_is_ready() {
            let partitions = &self.partitions;
            let visible_end = |slot: LogSlot| {
                let partition = partitions.get(slot.0 as usize)?.as_ref()?;
                Some(partition.replica.high_watermark())
            };
            // Tombstones go by the clock that expiry goes by.
            let (wall_ms, leap) = self.maintenance.clock.read(now);
            out.warnings.extend(leap);
            let now = Now { wall_ms, ..now };
            let settings = self.compaction_settings();
            self.maintenance.compaction =
                settings.and_then(|settings| self.store.compact(now, &settings, &visible_end));
        }
        out.warnings.extend(self.store.take_compaction_warnings());
        let reports = self.store.take_compaction_reports();
        out.notes.extend(reports.iter().map(ToString::to_string));
    }

    /// What a shard may use for compaction; `None` while it is switched off.
    fn compaction_settings(&self) -> Option<CompactionSettings> {
        /// Maps of keys take up to one part in this many of the broker's memory.
        const MAP_SHARE: u64 = 16;
        /// Enough for a few thousand keys.
        const MIN_MAP_BYTES: u64 = 64 << 10;
        /// Beyond any disk: Kafka's way to say that there is no limit.
        const NO_LIMIT: f64 = 1e15;
        let broker = &self.view.as_ref()?.broker;
        if !broker.log_cleaner_enable || broker.log_cleaner_threads == 0 {
            return None;
        }
        let shards = self.config.count.max(1);
        let asked = broker.log_cleaner_dedupe_buffer_bytes;
        let map_bytes = asked.min(broker.memory_bytes / MAP_SHARE) / u64::from(shards);
        let rate = broker.log_cleaner_io_max_bytes_per_second;
        Some(CompactionSettings {
            map_bytes: usize::try_from(map_bytes.max(MIN_MAP_BYTES)).unwrap_or(usize::MAX),
            bytes_per_second: (rate < NO_LIMIT).then_some(rate / f64::from(shards)),
            backoff_ms: broker.log_cleaner_backoff_ms.max(1),
        })
    }

    fn check_interval_ms(&self) -> i64 {
        const DEFAULT_MS: i64 = 300_000;
        let view = self.view.as_ref();
        view.map_or(DEFAULT_MS, |view| {
            view.broker.log_retention_check_interval_ms
        })
        .max(1)
    }

    /// A log was written or synced: `flush.ms` counts from the first write that is not synced.
    pub(super) fn note_written(&mut self, now: Now, slot: LogSlot) {
        match self.store.flush_interval_ms(slot) {
            Some(interval) => self.maintenance.flush_by(slot, now.mono.plus_ms(interval)),
            None => self.maintenance.flushed(slot),
        }
        self.schedule_retention(now, slot);
    }

    pub(super) fn maintain(&mut self, now: Now, out: &mut ShardOutputs) {
        let due: Vec<LogSlot> = self.maintenance.flush_due(now.mono).collect();
        for slot in due {
            self.maintenance.flushed(slot);
            self.store.flush(slot);
            // Until the sync is done, in case something keeps it from being asked for.
            self.note_written(now, slot);
        }
        if self
            .maintenance
            .retention
            .is_some_and(|due| due <= now.mono)
        {
            self.maintenance.retention = None;
            self.retain_all(now, out);
        }
    }

    fn retain_all(&mut self, now: Now, out: &mut ShardOutputs) {
        let (wall_ms, leapt) = self.maintenance.clock.read(now);
        out.warnings.extend(leapt);
        let trusted = Now { wall_ms, ..now };
        let expiration = self
            .view
            .as_ref()
            .map_or(i64::MAX, |view| view.broker.producer_id_expiration_ms);
        let slots: Vec<LogSlot> = self.slots.values().copied().collect();
        for slot in slots {
            self.store.retain(slot, trusted);
            self.store
                .expire_producers(slot, wall_ms.saturating_sub(expiration));
            self.schedule_retention(now, slot);
        }
    }
}
