//! What a shard keeps of a partition beside its log.

use std::collections::VecDeque;

use chronik_model::{LeaderEpoch, Now, Offset, TopicName, TopicPartition, mutant};
use chronik_replication::Replica;
use chronik_storage::LogSlot;

use super::{Shard, ShardOutputs};
use crate::messages::{Produced, ShardReply, Ticket};

/// A partition that this broker hosts.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) partition: TopicPartition,
    pub(super) topic: TopicName,
    pub(super) replica: Replica,
    /// Produce replies in order of the offsets they wait for.
    pub(super) parked: VecDeque<ParkedProduce>,
}

/// A produce reply that leaves when the high watermark passes its last offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct ParkedProduce {
    pub(super) ticket: Ticket,
    pub(super) part: u32,
    pub(super) base_offset: Offset,
    pub(super) last_offset: Offset,
    pub(super) append_time_ms: i64,
}

/// A partition's state, for metrics and people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Topic.
    pub topic: String,
    /// Index in the topic.
    pub partition: i32,
    /// First offset.
    pub log_start: Offset,
    /// Offset of the next record.
    pub log_end: Offset,
    /// End of what consumers may read.
    pub high_watermark: Offset,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Number of segments.
    pub segments: usize,
}

impl Shard {
    pub(super) fn partition_of(&self, slot: LogSlot) -> Option<&Partition> {
        self.partitions
            .get(slot.0 as usize)
            .and_then(Option::as_ref)
    }

    pub(super) fn partition_mut(&mut self, slot: LogSlot) -> Option<&mut Partition> {
        self.partitions
            .get_mut(slot.0 as usize)
            .and_then(Option::as_mut)
    }

    pub(super) fn host(&mut self, slot: LogSlot, partition: Partition) {
        let index = slot.0 as usize;
        if self.partitions.len() <= index {
            self.partitions.resize_with(index + 1, || None);
        }
        self.slots.insert(partition.partition, slot);
        if let Some(place) = self.partitions.get_mut(index) {
            *place = Some(partition);
        }
    }

    /// A log's stable end moved: so may its high watermark, and with it replies and fetches.
    pub(super) fn advance(&mut self, now: Now, slot: LogSlot, out: &mut ShardOutputs) {
        let Some(log) = self.store.log(slot) else {
            return;
        };
        let (mut stable, log_start) = (log.stable_end(), log.log_start);
        if mutant!(HighWatermarkBeforeDurable) {
            stable = log.log_end;
        }
        if self.metadata == Some(slot) {
            return;
        }
        self.note_written(now, slot);
        let Some(partition) = self.partition_mut(slot) else {
            return;
        };
        if !partition.replica.advance(stable) {
            return;
        }
        let high_watermark = partition.replica.high_watermark();
        while let Some(parked) = partition.parked.front() {
            if parked.last_offset >= high_watermark {
                break;
            }
            let result = Ok(Produced {
                base_offset: parked.base_offset,
                append_time_ms: parked.append_time_ms,
                log_start,
            });
            let (ticket, part) = (parked.ticket, parked.part);
            out.replies.push(ShardReply::Produced {
                ticket,
                part,
                result,
            });
            partition.parked.pop_front();
        }
        let partition = partition.partition;
        self.release_groups(slot, out);
        for ticket in self.watches.fire(partition) {
            out.replies.push(ShardReply::FetchReady(ticket));
        }
    }

    /// High watermark of the partition whose log is in `slot`.
    #[must_use]
    pub fn high_watermark(&self, slot: LogSlot) -> Option<Offset> {
        let partition = self.partitions.get(slot.0 as usize)?.as_ref()?;
        Some(partition.replica.high_watermark())
    }

    /// State of every partition.
    #[must_use]
    pub fn status(&self) -> Vec<PartitionStatus> {
        let hosted = self.partitions.iter().flatten();
        let rows = hosted.filter_map(|partition| {
            let slot = self.slots.get(&partition.partition)?;
            let log = self.store.log(*slot)?;
            Some(PartitionStatus {
                topic: partition.topic.to_string(),
                partition: partition.partition.partition.0,
                log_start: log.log_start,
                log_end: log.log_end,
                high_watermark: partition.replica.high_watermark(),
                bytes: log.segments.iter().map(|segment| segment.bytes).sum(),
                segments: log.segments.len(),
            })
        });
        rows.collect()
    }
}

/// Epochs as clients state them against the leader's own (KIP-320).
pub(super) fn check_epoch(
    stated: LeaderEpoch,
    current: LeaderEpoch,
) -> Result<(), chronik_model::ErrorCode> {
    use chronik_model::ErrorCode;
    match stated {
        LeaderEpoch::NONE => Ok(()),
        stated if stated < current => Err(ErrorCode::FencedLeaderEpoch),
        stated if stated > current => Err(ErrorCode::UnknownLeaderEpoch),
        _ => Ok(()),
    }
}
