//! Produce: decide, append, park the reply.

use chronik_model::{ErrorCode, Now, Offset, mutant};
use chronik_storage::LogSlot;
use chronik_storage::log::PartitionLog;
use chronik_storage::log::partition_log::sequenced;
use chronik_storage::log::producers::SequenceCheck;
use chronik_storage::store::Append;

use super::partition::ParkedProduce;
use super::{Shard, ShardOutputs};
use crate::api::errors;
use crate::messages::{ProducePart, Produced, ShardReply};

/// A batch that stands in the log, now or since an earlier try.
struct Appended {
    slot: LogSlot,
    base_offset: Offset,
    last_offset: Offset,
    append_time_ms: i64,
}

impl Shard {
    pub(super) fn produce(&mut self, now: Now, part: &ProducePart, out: &mut ShardOutputs) {
        let appended = self.append(now, part);
        let Some(ticket) = part.ticket else { return };
        let result = match appended {
            Ok(appended) => {
                let parked = ParkedProduce {
                    ticket,
                    part: part.part,
                    base_offset: appended.base_offset,
                    last_offset: appended.last_offset,
                    append_time_ms: appended.append_time_ms,
                };
                match self.park(appended.slot, parked) {
                    Some(safe) => Ok(safe),
                    None => return,
                }
            }
            Err(error) => Err(error),
        };
        out.replies.push(ShardReply::Produced {
            ticket,
            part: part.part,
            result,
        });
    }

    fn append(&mut self, now: Now, part: &ProducePart) -> Result<Appended, ErrorCode> {
        let slot = *self
            .slots
            .get(&part.partition)
            .ok_or(ErrorCode::NotLeaderOrFollower)?;
        let replica = &self
            .partition_of(slot)
            .ok_or(ErrorCode::NotLeaderOrFollower)?
            .replica;
        let leader_epoch = replica.leader_epoch();
        if part.batch.len() > self.config.max_batch_bytes {
            return Err(ErrorCode::MessageTooLarge);
        }
        self.store
            .check_writable(slot)
            .map_err(|error| errors::of_store(&error))?;
        if let Some(sequenced) = sequenced(&part.header) {
            let log = self.store.log(slot).ok_or(ErrorCode::NotLeaderOrFollower)?;
            let check = log
                .producers
                .check(&sequenced)
                .map_err(|error| errors::of_sequence(&error))?;
            if let SequenceCheck::Duplicate(known) = check {
                let (base_offset, last_offset) = (known.base_offset, known.last_offset);
                // The broker's clock stamped it then.
                let append_time_ms = if part.append_time {
                    known.timestamp_ms
                } else {
                    -1
                };
                return Ok(Appended {
                    slot,
                    base_offset,
                    last_offset,
                    append_time_ms,
                });
            }
        }
        // The time that is stored is the one that is told, also when the wall clock jumped back.
        let newest = self
            .store
            .log(slot)
            .map_or(i64::MIN, PartitionLog::last_timestamp_ms);
        let append_time_ms = part.append_time.then_some(now.wall_ms.max(newest));
        let append = Append {
            header: &part.header,
            batch: &part.batch,
            leader_epoch,
            append_time_ms,
        };
        let placement = self
            .store
            .append(slot, &append)
            .ok_or(ErrorCode::NotLeaderOrFollower)?;
        Ok(Appended {
            slot,
            base_offset: placement.base_offset,
            last_offset: placement.last_offset,
            append_time_ms: append_time_ms.unwrap_or(-1),
        })
    }

    /// Keeps a reply until its records are safe, or returns it if they are already.
    fn park(&mut self, slot: LogSlot, parked: ParkedProduce) -> Option<Produced> {
        let log_start = self
            .store
            .log(slot)
            .map_or(Offset::ZERO, |log| log.log_start);
        let partition = self.partition_mut(slot)?;
        let mut hasty = mutant!(AckBeforeSync);
        if mutant!(DuplicateAnsweredEarly) {
            let is_original = |other: &ParkedProduce| other.last_offset == parked.last_offset;
            hasty = partition.parked.iter().any(is_original);
        }
        if hasty || parked.last_offset < partition.replica.high_watermark() {
            let ParkedProduce {
                base_offset,
                append_time_ms,
                ..
            } = parked;
            return Some(Produced {
                base_offset,
                append_time_ms,
                log_start,
            });
        }
        let is_behind = |other: &ParkedProduce| other.last_offset <= parked.last_offset;
        if partition.parked.back().is_none_or(is_behind) {
            partition.parked.push_back(parked);
        } else {
            // Only a duplicate of a batch in flight can wait for an offset below the newest one.
            let place = partition.parked.partition_point(is_behind);
            partition.parked.insert(place, parked);
        }
        None
    }
}
