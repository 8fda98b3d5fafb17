//! Offsets by group, topic and partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::record::OffsetValue;

/// Offsets of one group, by topic and partition.
pub(crate) type GroupOffsets = BTreeMap<Arc<str>, BTreeMap<i32, OffsetValue>>;

/// Offsets of all groups. Topics and groups without offsets are not kept.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    by_group: BTreeMap<Arc<str>, GroupOffsets>,
}

impl Offsets {
    /// Offsets of a group, if it has any.
    pub(crate) fn of_group(&self, group_id: &str) -> Option<&GroupOffsets> {
        self.by_group.get(group_id)
    }

    /// The offset of a partition.
    pub(crate) fn get(&self, group_id: &str, topic: &str, partition: i32) -> Option<&OffsetValue> {
        self.of_group(group_id)?.get(topic)?.get(&partition)
    }

    /// Sets the offset of a partition.
    pub(crate) fn set(
        &mut self,
        group_id: Arc<str>,
        topic: Arc<str>,
        partition: i32,
        value: OffsetValue,
    ) {
        let topics = self.by_group.entry(group_id).or_default();
        topics.entry(topic).or_default().insert(partition, value);
    }

    /// Removes the offset of a partition.
    pub(crate) fn remove(&mut self, group_id: &str, topic: &str, partition: i32) {
        let Some(topics) = self.by_group.get_mut(group_id) else {
            return;
        };
        if let Some(partitions) = topics.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                topics.remove(topic);
            }
        }
        if topics.is_empty() {
            self.by_group.remove(group_id);
        }
    }

    /// Whether an open transaction has an offset for the partition, so that the one that is kept is
    /// not the last word (KIP-447). No request brings such offsets to this coordinator yet.
    #[expect(
        clippy::unused_self,
        reason = "offsets of transactions will be kept here"
    )]
    pub(crate) const fn is_unstable(&self, _group_id: &str, _topic: &str, _partition: i32) -> bool {
        false
    }
}
