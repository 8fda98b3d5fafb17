//! What idempotent producers have written to one partition (KIP-98, KIP-360).
//!
//! State is a function of the log: the leader checks a batch before it appends, replay only records.

use std::collections::VecDeque;

use bytes::{BufMut, BytesMut};
use chronik_model::{Offset, ProducerEpoch, ProducerId, mutant};
use rustc_hash::FxHashMap;

use crate::codec::{Reader, Truncated, put_count};

/// Batches remembered per producer, as many as a client may have in flight. Older ones stay until
/// these are durable, so that a crash that loses the newest still knows the ones before.
pub const BATCHES_REMEMBERED: usize = 5;
/// Batches remembered per producer at most.
const MAX_BATCHES: usize = 64;
/// Producers remembered per partition; the longest idle ones give way.
pub const MAX_PRODUCERS: usize = 100_000;

/// Producer fields of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequenced {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// Sequence of the first record.
    pub first_sequence: i32,
    /// Sequence of the last record.
    pub last_sequence: i32,
    /// Largest timestamp in ms, for expiry.
    pub timestamp_ms: i64,
}

/// A batch as remembered for answering its duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RememberedBatch {
    /// The producer's epoch.
    pub epoch: ProducerEpoch,
    /// Sequence of the first record.
    pub first_sequence: i32,
    /// Sequence of the last record.
    pub last_sequence: i32,
    /// Offset of the first record, as the producer was told.
    pub base_offset: Offset,
    /// Offset of the last record.
    pub last_offset: Offset,
    /// Largest timestamp in ms.
    pub timestamp_ms: i64,
}

/// Why a batch of an idempotent producer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// A gap, or a duplicate older than the window.
    #[error("sequence {found} does not follow {expected}")]
    OutOfOrder {
        /// Sequence expected next.
        expected: i32,
        /// Sequence in the batch.
        found: i32,
    },
    /// A later life of this producer has written already.
    #[error("producer epoch {found} is older than {current}")]
    FencedEpoch {
        /// Newest epoch seen.
        current: i16,
        /// Epoch in the batch.
        found: i16,
    },
}

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SequenceCheck {
    /// Append it.
    New,
    /// It is in the log already: answer with these offsets once they are durable.
    Duplicate(RememberedBatch),
}

/// What a producer's transaction has done to the partition (KIP-98, KIP-890). Nothing sets it yet:
/// checkpoints keep its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionState {
    /// First offset of the transaction that is open, if one is.
    pub first_offset: Option<Offset>,
    /// Epoch of the transaction coordinator that wrote the last marker; -1 for none.
    pub coordinator_epoch: i32,
    /// `transaction.version` that the transaction runs under.
    pub version: i16,
}

impl TransactionState {
    /// Of a producer that never had a transaction here.
    pub const NONE: Self = Self {
        first_offset: None,
        coordinator_epoch: -1,
        version: 0,
    };
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Producer {
    epoch: ProducerEpoch,
    transaction: TransactionState,
    batches: VecDeque<RememberedBatch>,
}

/// Producers of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProducerTable {
    producers: FxHashMap<i64, Producer>,
}

impl Producer {
    /// Keeps the newest batches and, as long as any of them may be lost, those before them.
    fn forget_old(&mut self, durable: Offset) {
        let newer_are_durable = |batches: &VecDeque<RememberedBatch>| {
            let newer = batches.get(BATCHES_REMEMBERED);
            newer.is_some_and(|newer| newer.last_offset < durable)
        };
        while newer_are_durable(&self.batches) || self.batches.len() > MAX_BATCHES {
            self.batches.pop_front();
        }
    }
}

/// Sequences wrap to 0 behind `i32::MAX`.
const fn following(sequence: i32) -> i32 {
    if sequence == i32::MAX {
        0
    } else {
        sequence + 1
    }
}

impl ProducerTable {
    /// Decides about a batch that a leader is about to append (rules P1 and P2).
    ///
    /// # Errors
    /// The sequence does not follow or the epoch is fenced.
    pub fn check(&self, batch: &Sequenced) -> Result<SequenceCheck, SequenceError> {
        let Some(producer) = self.producers.get(&batch.producer_id.0) else {
            return Ok(SequenceCheck::New);
        };
        if batch.epoch < producer.epoch {
            if mutant!(OldProducerEpochAccepted) {
                return Ok(SequenceCheck::New);
            }
            let (current, found) = (producer.epoch.0, batch.epoch.0);
            return Err(SequenceError::FencedEpoch { current, found });
        }
        if batch.epoch > producer.epoch {
            return match batch.first_sequence {
                0 => Ok(SequenceCheck::New),
                found => Err(SequenceError::OutOfOrder { expected: 0, found }),
            };
        }
        let window = if mutant!(WindowOfOne) {
            1
        } else {
            BATCHES_REMEMBERED
        };
        let newest = producer.batches.iter().rev().take(window);
        let duplicate = newest.into_iter().find(|known| {
            (known.epoch, known.first_sequence, known.last_sequence)
                == (batch.epoch, batch.first_sequence, batch.last_sequence)
        });
        if let Some(known) = duplicate {
            return Ok(SequenceCheck::Duplicate(*known));
        }
        let Some(last) = producer.batches.back() else {
            return Ok(SequenceCheck::New);
        };
        let expected = following(last.last_sequence);
        let gap = batch.first_sequence > expected;
        if batch.first_sequence != expected && !(gap && mutant!(SequenceGapAccepted)) {
            return Err(SequenceError::OutOfOrder {
                expected,
                found: batch.first_sequence,
            });
        }
        Ok(SequenceCheck::New)
    }

    /// Records an appended batch without judging it; everything below `durable` survives a crash.
    /// Batches that are known already, as replay meets them, change nothing.
    pub fn record(
        &mut self,
        batch: &Sequenced,
        (base_offset, last_offset): (Offset, Offset),
        durable: Offset,
    ) {
        if self.producers.len() >= MAX_PRODUCERS
            && !self.producers.contains_key(&batch.producer_id.0)
        {
            self.forget_longest_idle();
        }
        let remembered = RememberedBatch {
            epoch: batch.epoch,
            first_sequence: batch.first_sequence,
            last_sequence: batch.last_sequence,
            base_offset,
            last_offset,
            timestamp_ms: batch.timestamp_ms,
        };
        let producer = self
            .producers
            .entry(batch.producer_id.0)
            .or_insert_with(|| Producer {
                epoch: batch.epoch,
                transaction: TransactionState::NONE,
                batches: VecDeque::new(),
            });
        // Replay may meet batches behind others that a scan of the segments found first.
        let at = producer
            .batches
            .partition_point(|known| known.last_offset < base_offset);
        if producer
            .batches
            .get(at)
            .is_some_and(|known| known.base_offset <= last_offset)
        {
            return;
        }
        producer.batches.insert(at, remembered);
        producer.epoch = producer
            .batches
            .back()
            .map_or(batch.epoch, |last| last.epoch);
        producer.forget_old(durable);
    }

    /// Forgets batches that only a crash could have called for; everything below `durable`
    /// survives one.
    pub fn settle(&mut self, durable: Offset) {
        for id in self.sorted_ids() {
            if let Some(producer) = self.producers.get_mut(&id) {
                producer.forget_old(durable);
            }
        }
    }

    /// Forgets batches at and behind `end`, as their records are gone.
    pub fn truncate_end(&mut self, end: Offset) {
        for producer in self.sorted_ids() {
            if let Some(known) = self.producers.get_mut(&producer) {
                known.batches.retain(|batch| batch.last_offset < end);
                match known.batches.back() {
                    Some(last) => known.epoch = last.epoch,
                    None => drop(self.producers.remove(&producer)),
                }
            }
        }
    }

    /// Whether all batches that are known lie below `end`.
    #[must_use]
    pub fn lie_below(&self, end: Offset) -> bool {
        let newest = |producer: &Producer| producer.batches.back().copied();
        let mut newest = self.producers.values().filter_map(newest);
        newest.all(|batch| batch.last_offset < end)
    }

    /// Forgets producers whose last batch is older than `before_ms` by its own timestamp.
    pub fn expire(&mut self, before_ms: i64) {
        self.producers.retain(|_, producer| {
            producer
                .batches
                .back()
                .is_some_and(|batch| batch.timestamp_ms >= before_ms)
        });
    }

    /// Last offset of each producer's last batch below `end`, in order: compaction keeps these
    /// batches, at least without records.
    #[must_use]
    pub fn last_offsets(&self, end: Offset) -> Vec<Offset> {
        let last = |producer: &Producer| {
            let mut below = producer.batches.iter().rev();
            let last = below.find(|batch| batch.last_offset < end);
            last.map(|batch| batch.last_offset)
        };
        let mut offsets: Vec<Offset> = self.producers.values().filter_map(last).collect();
        offsets.sort_unstable();
        offsets
    }

    /// Each producer with its epoch and its newest batch, by id.
    pub fn newest(
        &self,
    ) -> impl Iterator<Item = (ProducerId, ProducerEpoch, Option<&RememberedBatch>)> {
        self.sorted_ids().into_iter().filter_map(|id| {
            let producer = self.producers.get(&id)?;
            Some((ProducerId(id), producer.epoch, producer.batches.back()))
        })
    }

    /// Number of producers remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether no producer is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    fn forget_longest_idle(&mut self) {
        let last_offset = |producer: &Producer| {
            producer
                .batches
                .back()
                .map_or(Offset(-1), |batch| batch.last_offset)
        };
        let idle = self
            .producers
            .iter()
            .min_by_key(|(id, producer)| (last_offset(producer), **id));
        if let Some(id) = idle.map(|(id, _)| *id) {
            self.producers.remove(&id);
        }
    }

    fn sorted_ids(&self) -> Vec<i64> {
        let mut ids: Vec<i64> = self.producers.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Appends the table to a checkpoint.
    pub fn encode(&self, out: &mut BytesMut) {
        put_count(out, self.producers.len());
        for id in self.sorted_ids() {
            let Some(producer) = self.producers.get(&id) else {
                continue;
            };
            out.put_i64_le(id);
            out.put_i16_le(producer.epoch.0);
            let transaction = producer.transaction;
            out.put_i64_le(transaction.first_offset.map_or(-1, |first| first.0));
            out.put_i32_le(transaction.coordinator_epoch);
            out.put_i16_le(transaction.version);
            put_count(out, producer.batches.len());
            for batch in &producer.batches {
                out.put_i16_le(batch.epoch.0);
                out.put_i32_le(batch.first_sequence);
                out.put_i32_le(batch.last_sequence);
                out.put_i64_le(batch.base_offset.0);
                out.put_i64_le(batch.last_offset.0);
                out.put_i64_le(batch.timestamp_ms);
            }
        }
    }

    /// Reads a table back from a checkpoint of format `version`; the first one knew nothing of
    /// transactions.
    ///
    /// # Errors
    /// The bytes end too early.
    pub fn decode(reader: &mut Reader<'_>, version: u16) -> Result<Self, Truncated> {
        const FIRST_BYTES: usize = 12;
        const BYTES: usize = 28;
        let min_bytes = if version < 2 { FIRST_BYTES } else { BYTES };
        let mut table = Self::default();
        for _ in 0..reader.count(min_bytes)? {
            let id = reader.i64()?;
            let mut epoch = None;
            let mut transaction = TransactionState::NONE;
            if version >= 2 {
                epoch = Some(ProducerEpoch(reader.i16()?));
                transaction = TransactionState {
                    first_offset: Some(Offset(reader.i64()?)).filter(|first| first.0 >= 0),
                    coordinator_epoch: reader.i32()?,
                    version: reader.i16()?,
                };
            }
            let mut batches = VecDeque::new();
            for _ in 0..reader.count(34)? {
                batches.push_back(RememberedBatch {
                    epoch: ProducerEpoch(reader.i16()?),
                    first_sequence: reader.i32()?,
                    last_sequence: reader.i32()?,
                    base_offset: Offset(reader.i64()?),
                    last_offset: Offset(reader.i64()?),
                    timestamp_ms: reader.i64()?,
                });
            }
            if let Some(epoch) = epoch.or_else(|| batches.back().map(|batch| batch.epoch)) {
                let producer = Producer {
                    epoch,
                    transaction,
                    batches,
                };
                table.producers.insert(id, producer);
            }
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, first: i32, last: i32) -> Sequenced {
        Sequenced {
            producer_id: ProducerId(7),
            epoch: ProducerEpoch(epoch),
            first_sequence: first,
            last_sequence: last,
            timestamp_ms: 0,
        }
    }

    /// A producer that wrote six batches of ten in epoch 1, at offsets equal to its sequences.
    fn table() -> ProducerTable {
        let mut table = ProducerTable::default();
        for first in (0..60).step_by(10) {
            let offset = Offset(i64::from(first));
            table.record(
                &batch(1, first, first + 9),
                (offset, offset + 9),
                offset + 10,
            );
        }
        table
    }

    #[test]
    fn the_window_decides_between_new_duplicate_and_gap() {
        let check = |epoch, first, last, expected: &str| {
            let outcome = match table().check(&batch(epoch, first, last)) {
                Ok(SequenceCheck::New) => "new".to_owned(),
                Ok(SequenceCheck::Duplicate(known)) => {
                    format!("duplicate at {}", known.base_offset)
                }
                Err(error) => error.to_string(),
            };
            assert_eq!(outcome, expected, "epoch {epoch}, {first}..={last}");
        };
        check(1, 60, 69, "new");
        check(1, 50, 59, "duplicate at 50");
        check(1, 10, 19, "duplicate at 10");
        check(1, 0, 9, "sequence 0 does not follow 60");
        check(1, 61, 61, "sequence 61 does not follow 60");
        check(1, 50, 58, "sequence 50 does not follow 60");
        check(0, 60, 60, "producer epoch 0 is older than 1");
        check(2, 0, 0, "new");
        check(2, 60, 60, "sequence 60 does not follow 0");
    }

    #[test]
    fn sequences_wrap_behind_the_largest() {
        let mut table = ProducerTable::default();
        table.record(
            &batch(0, i32::MAX - 1, 1),
            (Offset(0), Offset(3)),
            Offset(0),
        );
        assert_eq!(table.check(&batch(0, 2, 2)), Ok(SequenceCheck::New));
    }

    #[test]
    fn a_checkpoint_gives_the_table_back_and_replay_changes_nothing() {
        let mut bytes = BytesMut::new();
        table().encode(&mut bytes);
        let mut restored = ProducerTable::decode(&mut Reader::new(&bytes), 2).unwrap();
        assert_eq!(restored, table());
        restored.record(&batch(1, 50, 59), (Offset(50), Offset(59)), Offset(0));
        assert_eq!(restored, table());
        for length in 0..bytes.len() {
            assert!(ProducerTable::decode(&mut Reader::new(&bytes[..length]), 2).is_err());
        }
    }

    #[test]
    fn fields_of_transactions_come_back_as_they_were_written() {
        let mut with_transaction = table();
        let producer = with_transaction.producers.get_mut(&7).unwrap();
        producer.transaction = TransactionState {
            first_offset: Some(Offset(50)),
            coordinator_epoch: 3,
            version: 2,
        };
        let mut bytes = BytesMut::new();
        with_transaction.encode(&mut bytes);
        let restored = ProducerTable::decode(&mut Reader::new(&bytes), 2);
        assert_eq!(restored, Ok(with_transaction));
    }

    #[test]
    fn the_first_format_is_still_read() {
        let mut bytes = BytesMut::new();
        put_count(&mut bytes, 1);
        bytes.put_i64_le(7);
        put_count(&mut bytes, 1);
        bytes.put_i16_le(1);
        bytes.put_i32_le(50);
        bytes.put_i32_le(59);
        for field in [50, 59, 0] {
            bytes.put_i64_le(field);
        }
        let restored = ProducerTable::decode(&mut Reader::new(&bytes), 1).unwrap();
        let known = restored.check(&batch(1, 50, 59));
        assert!(matches!(known, Ok(SequenceCheck::Duplicate(_))));
    }

    #[test]
    fn the_last_batch_of_each_producer_below_an_end_is_told() {
        let check = |end, expected: &[i64]| {
            let expected: Vec<Offset> = expected.iter().map(|offset| Offset(*offset)).collect();
            assert_eq!(table().last_offsets(Offset(end)), expected);
        };
        check(100, &[59]);
        check(59, &[49]);
        check(5, &[]);
    }

    #[test]
    fn a_crash_that_loses_the_newest_batches_still_knows_the_older_ones() {
        let mut table = ProducerTable::default();
        for first in 0..8 {
            let offset = Offset(i64::from(first));
            let epoch = if first < 6 { 1 } else { 2 };
            table.record(&batch(epoch, first, first), (offset, offset), Offset(1));
        }
        table.truncate_end(Offset(2));
        for first in 0..2 {
            let known = table.check(&batch(1, first, first));
            assert!(matches!(known, Ok(SequenceCheck::Duplicate(_))), "{first}");
        }
        assert_eq!(table.check(&batch(1, 2, 2)), Ok(SequenceCheck::New));
    }

    #[test]
    fn truncated_records_are_forgotten() {
        let mut cut = table();
        cut.truncate_end(Offset(40));
        assert_eq!(cut.check(&batch(1, 40, 49)), Ok(SequenceCheck::New));
        cut.truncate_end(Offset(0));
        assert!(cut.is_empty());
    }
}
