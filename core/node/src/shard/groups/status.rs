//! Groups and how far behind they are, for metrics.

use std::sync::Arc;

use chronik_coordinator::GroupStatus;
use chronik_model::{Offset, TopicPartition};
use chronik_storage::LogSlot;

use super::State;
use crate::shard::Shard;

/// How far somebody got through the groups of a shard; see [`Shard::group_status`].
#[derive(Debug, Default)]
pub struct GroupCursor(Option<(LogSlot, Option<Arc<str>>)>);

/// What is ahead of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// Records below the high watermark, as offsets count them.
    pub records: u64,
    /// The first of them is not younger than this time in ms, as far as that is known; see
    /// [`chronik_storage::log::PartitionLog::time_bound`].
    pub since_ms: Option<i64>,
}

impl Shard {
    /// The next groups of the coordinators that answer: about as many as have `most` offsets and
    /// members together, and at least one. None are left when nothing comes. Groups that come and go
    /// between two calls may be missed.
    pub fn group_status(&self, cursor: &mut GroupCursor, most: usize) -> Vec<GroupStatus> {
        let mut found = Vec::new();
        let mut weight = 0;
        let start = cursor.0.as_ref().map_or(LogSlot(0), |(slot, _)| *slot);
        for (slot, hosted) in self.groups.hosted.range(start..) {
            if hosted.state != State::Ready {
                continue;
            }
            let after = match &cursor.0 {
                Some((at, after)) if at == slot => after.clone(),
                Some(_) | None => None,
            };
            for group in hosted.coordinator.status(after.as_deref()) {
                weight += 1 + group.offsets.len() + group.members;
                cursor.0 = Some((*slot, Some(Arc::clone(&group.group_id))));
                found.push(group);
                if weight >= most {
                    return found;
                }
            }
        }
        found
    }

    /// What is ahead of a consumer that goes on at `offset`; `None` for partitions that are not here.
    /// A deleted record still counts until its place is behind.
    #[must_use]
    pub fn ahead_of(&self, partition: TopicPartition, offset: Offset) -> Option<Ahead> {
        let slot = *self.slots.get(&partition)?;
        let high_watermark = self.partition_of(slot)?.replica.high_watermark();
        let records = u64::try_from(high_watermark.since(offset)).unwrap_or(0);
        let log = self.store.log(slot).filter(|_| records > 0);
        Some(Ahead {
            records,
            since_ms: log.and_then(|log| log.time_bound(offset)),
        })
    }
}
