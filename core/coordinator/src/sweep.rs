//! Work that may emit more records than one batch holds: it goes on in later ticks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_model::ErrorCode;

use crate::coordinator::GroupCoordinator;
use crate::group::Group;
use crate::outcome::Waiter;
use crate::record::{CoordinatorRecord, OffsetValue};
use crate::response::GroupResponse;
use crate::step::{Step, batch_bytes, record_bytes};
use crate::timers::TimerKey;

/// Work on its way. Groups are visited in the order of their ids, those up to `done` were.
#[derive(Debug)]
pub(crate) enum Sweep {
    /// Removes expired offsets, and empty groups that have none left.
    Retention {
        /// Last group that is done.
        done: Option<Arc<str>>,
    },
    /// Removes offsets of deleted topics.
    Topics {
        /// The topics.
        topics: BTreeSet<String>,
        /// Last group that is done.
        done: Option<Arc<str>>,
    },
    /// DeleteGroups of one group.
    Delete {
        /// The group.
        group_id: Arc<str>,
        /// Who asked.
        waiter: Waiter,
    },
}

/// Whether work is done, or goes on when there is room for more records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Done,
    Full,
}

impl GroupCoordinator {
    /// DeleteGroups of one group.
    pub(crate) fn delete_group(&mut self, step: &mut Step<'_>, waiter: Waiter, group_id: &str) {
        let group_id = group_id.into();
        self.start_sweep(step, Sweep::Delete { group_id, waiter });
    }

    /// [`TimerKey::Retention`] is due.
    pub(crate) fn retention_due(&mut self, step: &mut Step<'_>) {
        self.schedule_retention(step);
        let runs = |sweep: &Sweep| matches!(sweep, Sweep::Retention { .. });
        if !self.sweeps.iter().any(runs) {
            self.start_sweep(step, Sweep::Retention { done: None });
        }
    }

    /// Sets the time of the next look for expired offsets.
    pub(crate) fn schedule_retention(&mut self, step: &Step<'_>) {
        let interval_ms = self.config.offsets_retention_check_interval_ms.max(1);
        let due = step.now.mono.plus_ms(interval_ms);
        self.timers.set(TimerKey::Retention, due);
    }

    /// Starts work behind that which is on its way.
    pub(crate) fn start_sweep(&mut self, step: &mut Step<'_>, sweep: Sweep) {
        self.sweeps.push_back(sweep);
        self.sweep(step);
    }

    /// Goes on with the work that there is.
    pub(crate) fn sweep(&mut self, step: &mut Step<'_>) {
        while let Some(mut sweep) = self.sweeps.pop_front() {
            let progress = match &mut sweep {
                Sweep::Retention { done } => self.sweep_retention(step, done),
                Sweep::Topics { topics, done } => self.sweep_topics(step, topics, done),
                Sweep::Delete { group_id, waiter } => self.sweep_delete(step, group_id, *waiter),
            };
            if progress == Progress::Full {
                self.sweeps.push_front(sweep);
                self.timers.set(TimerKey::Sweep, step.now.mono);
                return;
            }
        }
    }

    fn sweep_retention(&mut self, step: &mut Step<'_>, done: &mut Option<Arc<str>>) -> Progress {
        while let Some(group_id) = self.next_group(done.as_ref()) {
            let expired = self.expired(step, &group_id);
            if self.emit_until_full(step, expired) == Progress::Full {
                return Progress::Full;
            }
            let is_over = (self.groups.get(&group_id)).is_some_and(Group::is_empty)
                && self.offsets.of_group(&group_id).is_none();
            if is_over && self.remove_group(step, &group_id) == Progress::Full {
                return Progress::Full;
            }
            *done = Some(group_id);
        }
        Progress::Done
    }

    fn sweep_topics(
        &mut self,
        step: &mut Step<'_>,
        topics: &BTreeSet<String>,
        done: &mut Option<Arc<str>>,
    ) -> Progress {
        while let Some(group_id) = self.next_group(done.as_ref()) {
            let gone = self.tombstones_where(&group_id, |topic, _| topics.contains(topic));
            if self.emit_until_full(step, gone) == Progress::Full {
                return Progress::Full;
            }
            *done = Some(group_id);
        }
        Progress::Done
    }

    fn sweep_delete(
        &mut self,
        step: &mut Step<'_>,
        group_id: &Arc<str>,
        waiter: Waiter,
    ) -> Progress {
        let error = match self.groups.get(group_id) {
            None => ErrorCode::GroupIdNotFound,
            Some(group) if !group.is_empty() => ErrorCode::NonEmptyGroup,
            Some(_) => {
                let offsets = self.tombstones_where(group_id, |_, _| true);
                if self.emit_until_full(step, offsets) == Progress::Full
                    || self.remove_group(step, group_id) == Progress::Full
                {
                    return Progress::Full;
                }
                ErrorCode::None
            }
        };
        step.reply(waiter, GroupResponse::Delete(error));
        Progress::Done
    }

    /// Removes what there is of a group besides offsets.
    fn remove_group(&mut self, step: &mut Step<'_>, group_id: &Arc<str>) -> Progress {
        let group = self.groups.get(group_id);
        let tombstones = group.map_or_else(Vec::new, |group| group.tombstones(group_id));
        self.emit_until_full(step, tombstones)
    }

    /// Emits records up to the size of a batch. The rest is made anew by the next round, from what
    /// is still there.
    fn emit_until_full(
        &mut self,
        step: &mut Step<'_>,
        records: Vec<CoordinatorRecord>,
    ) -> Progress {
        let mut bytes = batch_bytes(&step.out.records);
        for record in records {
            let encoded = record.encode();
            bytes = bytes.saturating_add(record_bytes(&encoded));
            if bytes > self.config.max_batch_bytes && !step.out.records.is_empty() {
                return Progress::Full;
            }
            self.emit_encoded(step, record, encoded);
        }
        Progress::Done
    }

    fn next_group(&self, done: Option<&Arc<str>>) -> Option<Arc<str>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = done.map_or(Unbounded, Excluded);
        let mut groups = self.groups.range::<Arc<str>, _>((from, Unbounded));
        groups.next().map(|(group_id, _)| Arc::clone(group_id))
    }

    /// Tombstones of the offsets of a group whose retention is over.
    fn expired(&self, step: &Step<'_>, group_id: &Arc<str>) -> Vec<CoordinatorRecord> {
        let Some(group) = self.groups.get(group_id) else {
            return Vec::new();
        };
        let now_ms = step.now.wall_ms;
        let is_over = |value: &OffsetValue| {
            let base_ms = match group {
                Group::Classic(group) => group.retention_base_ms(value.commit_ms),
                Group::Consumer(_) => Some(value.commit_ms),
            };
            base_ms.is_some_and(|base_ms| match value.expire_ms {
                Some(expire_ms) => now_ms >= expire_ms,
                None => now_ms.saturating_sub(base_ms) >= self.config.offsets_retention_ms,
            })
        };
        let topics = self.offsets.of_group(group_id);
        let unread: BTreeMap<&str, bool> = (topics.iter().flat_map(|topics| topics.keys()))
            .map(|topic| (&**topic, !group.is_subscribed_to(topic)))
            .collect();
        self.tombstones_where(group_id, |topic, value| {
            unread.get(topic).copied().unwrap_or_default() && is_over(value)
        })
    }

    fn tombstones_where(
        &self,
        group_id: &Arc<str>,
        chosen: impl Fn(&str, &OffsetValue) -> bool,
    ) -> Vec<CoordinatorRecord> {
        let mut tombstones = Vec::new();
        for (topic, partitions) in self.offsets.of_group(group_id).into_iter().flatten() {
            for (partition, value) in partitions {
                if chosen(topic, value) {
                    tombstones.push(CoordinatorRecord::OffsetCommit {
                        group_id: Arc::clone(group_id),
                        topic: Arc::clone(topic),
                        partition: *partition,
                        value: None,
                    });
                }
            }
        }
        tombstones
    }
}
