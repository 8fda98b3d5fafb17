//! What a shard does by the clock: retention, `flush.ms`, forgetting idle producers. Deadlines exist
//! only for something that waits.

use chronik_model::{Mono, Now};
use chronik_storage::LogSlot;

use super::Shard;

/// When to look next.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    retention: Option<Mono>,
    flush: Option<Mono>,
}

impl Deadlines {
    pub(super) fn next(&self) -> Option<Mono> {
        self.retention.into_iter().chain(self.flush).min()
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

    /// A log that does not journal has something to sync by `flush.ms`.
    pub(super) fn note_unflushed(&mut self, now: Now, slot: LogSlot) {
        if let Some(interval) = self.store.flush_interval_ms(slot) {
            let due = now.mono.plus_ms(interval);
            self.maintenance.flush =
                Some(self.maintenance.flush.map_or(due, |flush| flush.min(due)));
        }
        self.schedule_retention(now, slot);
    }

    pub(super) fn maintain(&mut self, now: Now) {
        if self.maintenance.flush.is_some_and(|due| due <= now.mono) {
            let again = self.store.flush_timed();
            self.maintenance.flush = again.map(|interval| now.mono.plus_ms(interval));
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
