//! What is asked of one partition beside produce and fetch: its offsets, epochs, size and producers,
//! and to forget records.

use chronik_model::{ErrorCode, LeaderEpoch, Offset, TopicPartition, mutant};
use chronik_storage::LogSlot;
use chronik_storage::disk::DiskError;
use chronik_storage::log::PartitionLog;
use chronik_storage::select::TimestampHit;
use rustc_hash::FxHashMap;

use super::partition::check_epoch;
use super::{Control, Shard, ShardOutputs};
use crate::api::errors;
use crate::messages::{ActiveProducer, PartitionAnswer, PartitionOp, ShardReply, Ticket};

/// ListOffsets' names for special places (KIP-734, KIP-405, KIP-1005).
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// Lookups by time that are on their way to the disk.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    waiting: FxHashMap<u64, (Ticket, u32)>,
    next: u64,
}

const NOTHING: PartitionAnswer = PartitionAnswer::Offset {
    offset: Offset(-1),
    timestamp_ms: -1,
    leader_epoch: LeaderEpoch::NONE,
};

impl Shard {
    pub(super) fn operate(
        &mut self,
        (ticket, part): (Ticket, u32),
        partition: TopicPartition,
        op: PartitionOp,
        out: &mut ShardOutputs,
    ) {
        let slot = self
            .slots
            .get(&partition)
            .copied()
            .ok_or(ErrorCode::NotLeaderOrFollower);
        let answer = slot.and_then(|slot| match op {
            PartitionOp::ListOffset {
                timestamp,
                current_leader_epoch,
            } => self.list_offset((ticket, part), slot, timestamp, current_leader_epoch),
            PartitionOp::DeleteRecords { before } => {
                self.delete_records((ticket, part), slot, before)
            }
            PartitionOp::EpochEnd {
                epoch,
                current_leader_epoch,
            } => self.epoch_end(slot, epoch, current_leader_epoch),
            PartitionOp::Size => self.size(slot),
            PartitionOp::Producers => self.producers(slot),
            // Coordinators are asked in `groups.rs`.
            PartitionOp::Group(_) => Err(ErrorCode::NotCoordinator),
        });
        let answer = match answer {
            Ok(Some(answer)) => answer,
            Ok(None) => return,
            Err(error) => PartitionAnswer::Failed(error),
        };
        out.replies.push(ShardReply::Partition {
            ticket,
            part,
            answer,
        });
    }

    fn list_offset(
        &mut self,
        owner: (Ticket, u32),
        slot: LogSlot,
        timestamp: i64,
        stated_epoch: LeaderEpoch,
    ) -> Result<Option<PartitionAnswer>, ErrorCode> {
        let partition = self
            .partition_of(slot)
            .ok_or(ErrorCode::NotLeaderOrFollower)?;
        let (current, high_watermark) = (
            partition.replica.leader_epoch(),
            partition.replica.high_watermark(),
        );
        check_epoch(stated_epoch, current)?;
        let log = self.store.log(slot).ok_or(ErrorCode::NotLeaderOrFollower)?;
        let place = |offset: Offset, leader_epoch| {
            Ok(Some(PartitionAnswer::Offset {
                offset,
                timestamp_ms: -1,
                leader_epoch,
            }))
        };
        match timestamp {
            LATEST => place(high_watermark, current),
            EARLIEST | EARLIEST_LOCAL | EARLIEST_PENDING_UPLOAD => place(
                log.log_start,
                log.epochs.of_offset(log.log_start).unwrap_or(current),
            ),
            LATEST_TIERED => Ok(Some(NOTHING)),
            MAX_TIMESTAMP => {
                let largest = log
                    .segments
                    .iter()
                    .map(|segment| segment.max_timestamp_ms)
                    .max();
                match largest.filter(|time| *time >= 0) {
                    Some(largest) => Ok(self.find(owner, slot, largest, high_watermark)),
                    None => Ok(Some(NOTHING)),
                }
            }
            time if time >= 0 => Ok(self.find(owner, slot, time, high_watermark)),
            _ => Err(ErrorCode::InvalidRequest),
        }
    }

    fn find(
        &mut self,
        owner: (Ticket, u32),
        slot: LogSlot,
        timestamp_ms: i64,
        bound: Offset,
    ) -> Option<PartitionAnswer> {
        let lookup = self.lookups.next;
        self.lookups.next += 1;
        match self.store.find_timestamp(slot, timestamp_ms, bound, lookup) {
            Ok(hit) => Some(answer_of(hit)),
            Err(_on_disk) => {
                self.lookups.waiting.insert(lookup, owner);
                None
            }
        }
    }

    /// A lookup by time came back from disk.
    pub(super) fn lookup_done(
        &mut self,
        lookup: u64,
        result: Result<Option<TimestampHit>, DiskError>,
        out: &mut ShardOutputs,
    ) {
        let Some((ticket, part)) = self.lookups.waiting.remove(&lookup) else {
            return;
        };
        let answer = match result {
            Ok(hit) => answer_of(hit),
            Err(error) => {
                out.warnings.push(format!("list offsets: {error}"));
                PartitionAnswer::Failed(errors::of_disk(&error))
            }
        };
        out.replies.push(ShardReply::Partition {
            ticket,
            part,
            answer,
        });
    }

    /// Kafka's leader knows its own epoch from the moment it leads: it starts at the end of what was
    /// there before. Here an epoch is in the log from its first record on.
    fn epoch_end(
        &self,
        slot: LogSlot,
        epoch: LeaderEpoch,
        stated_epoch: LeaderEpoch,
    ) -> Result<Option<PartitionAnswer>, ErrorCode> {
        let partition = self
            .partition_of(slot)
            .ok_or(ErrorCode::NotLeaderOrFollower)?;
        let current = partition.replica.leader_epoch();
        check_epoch(stated_epoch, current)?;
        let log = self.online(slot)?;
        let before_all = || {
            let first = log.epochs.pairs().next();
            (epoch, first.map_or(log.log_end, |(_, start)| start))
        };
        let found = if epoch.0 < 0 || epoch > current {
            None
        } else if epoch == current {
            Some((epoch, log.log_end))
        } else {
            let found = log.epochs.end_of(epoch, log.log_end);
            Some(found.unwrap_or_else(before_all))
        };
        Ok(Some(PartitionAnswer::EpochEnd(found)))
    }

    fn size(&self, slot: LogSlot) -> Result<Option<PartitionAnswer>, ErrorCode> {
        let segments = self.online(slot)?.segments.iter();
        let bytes = segments.map(|segment| segment.bytes).sum();
        Ok(Some(PartitionAnswer::Size(bytes)))
    }

    fn producers(&self, slot: LogSlot) -> Result<Option<PartitionAnswer>, ErrorCode> {
        let known = self.online(slot)?.producers.newest();
        let producers = known.map(|(producer_id, epoch, batch)| ActiveProducer {
            producer_id,
            epoch,
            last_sequence: batch.map_or(-1, |batch| batch.last_sequence),
            last_timestamp_ms: batch.map_or(-1, |batch| batch.timestamp_ms),
        });
        Ok(Some(PartitionAnswer::Producers(producers.collect())))
    }

    /// A log that can be believed.
    fn online(&self, slot: LogSlot) -> Result<&PartitionLog, ErrorCode> {
        let log = self.store.log(slot).ok_or(ErrorCode::NotLeaderOrFollower)?;
        if log.failed.is_some() || self.store.offline().is_some() {
            return Err(ErrorCode::KafkaStorageError);
        }
        Ok(log)
    }

    fn delete_records(
        &mut self,
        (ticket, part): (Ticket, u32),
        slot: LogSlot,
        before: Offset,
    ) -> Result<Option<PartitionAnswer>, ErrorCode> {
        let partition = self
            .partition_of(slot)
            .ok_or(ErrorCode::NotLeaderOrFollower)?;
        let high_watermark = partition.replica.high_watermark();
        let before = if before.0 == -1 {
            high_watermark
        } else {
            before
        };
        let log_start = self
            .store
            .log(slot)
            .map_or(Offset::ZERO, |log| log.log_start);
        if before > high_watermark || before.0 < 0 {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        if self.store.offline().is_some() {
            return Err(ErrorCode::KafkaStorageError);
        }
        if mutant!(DeleteRecordsAnsweredEarly) {
            self.store.delete_records(slot, before, None);
            return Ok(Some(PartitionAnswer::LogStart(before)));
        }
        // Where the log begins so far is known here, and may not be on disk yet: it is written again.
        let start = before.max(log_start);
        let partition = partition.partition;
        let token = self.control(Control::DeleteRecords {
            ticket,
            part,
            partition,
            start,
        });
        self.store.delete_records(slot, start, Some(token));
        Ok(None)
    }
}

fn answer_of(hit: Option<TimestampHit>) -> PartitionAnswer {
    hit.map_or(NOTHING, |hit| PartitionAnswer::Offset {
        offset: hit.offset,
        timestamp_ms: hit.timestamp_ms,
        leader_epoch: hit.leader_epoch,
    })
}
