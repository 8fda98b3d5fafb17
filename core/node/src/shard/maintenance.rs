//! What a shard does by the clock: retention, `flush.ms`, forgetting idle producers. Deadlines exist
//! only for something that waits.

use std::collections::{BTreeMap, BTreeSet};

use chronik_model::{Mono, Now};
use chronik_storage::LogSlot;

use super::Shard;

/// When to look next.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    retention: Option<Mono>,
    /// When logs that do not journal are synced: those that have something to sync.
    flush: BTreeMap<LogSlot, Mono>,
    flush_order: BTreeSet<(Mono, LogSlot)>,
}

impl Deadlines {
    pub(super) fn next(&self) -> Option<Mono> {
        let flush = self.flush_order.first().map(|(due, _)| *due);
        self.retention.into_iter().chain(flush).min()
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
    /// Arms the retention check if a log of this shard can ever lose something to it.
    pub(super) fn schedule_retention(&mut self, now: Now, slot: LogSlot) {
        let Some(log) = self.store.log(slot) else {
            return;
        };
        let bounded = log.config.retention_ms.is_some() || log.config.retention_bytes.is_some();
        let empty = log.segments.iter().all(|segment| segment.bytes == 0);
        if bounded && log.config.cleanup_delete && !empty && self.maintenance.retention.is_none() {
            self.maintenance.retention = Some(now.mono.plus_ms(self.check_interval_ms()));
        }
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

    pub(super) fn maintain(&mut self, now: Now) {
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
            self.retain_all(now);
        }
    }

    fn retain_all(&mut self, now: Now) {
        let expiration = self
            .view
            .as_ref()
            .map_or(i64::MAX, |view| view.broker.producer_id_expiration_ms);
        let slots: Vec<LogSlot> = self.slots.values().copied().collect();
        for slot in slots {
            self.store.retain(slot, now);
            self.store
                .expire_producers(slot, now.wall_ms.saturating_sub(expiration));
            self.schedule_retention(now, slot);
        }
    }
}
