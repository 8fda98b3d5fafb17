//! What a compacted log must still say: the newest record of each key, where it was appended.

use std::collections::BTreeMap;

use bytes::Bytes;
use chronik_model::Offset;
use chronik_model::batch::{
    BatchBuilder, BatchHeader, BatchSpec, BatchView, ProducerState, batches, records,
};
use chronik_model::compression::{Codec, DecompressLimits, Decompressor};
use chronik_model::rng::Rng;
use chronik_model::{ProducerEpoch, ProducerId};
use chronik_storage::log::PartitionLog;

use super::model::{Kept, ModelLog};

/// Different keys of a compacted log.
pub(crate) const KEYS: u64 = 9;

/// A record as a consumer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
}

/// A batch of records with a few keys, of any codec, tombstones among them.
pub(crate) fn keyed_batch(rng: &mut Rng, producer: Option<(i64, i32)>) -> Vec<u8> {
    let codec = Codec::ALL[usize::try_from(rng.below(5)).unwrap()];
    let mut builder = BatchBuilder::new(BatchSpec {
        codec,
        producer: producer.map(|(id, base_sequence)| ProducerState {
            id: ProducerId(id),
            epoch: ProducerEpoch(0),
            base_sequence,
        }),
        ..BatchSpec::default()
    });
    for _ in 0..=rng.below(5) {
        let key = rng.below(KEYS).to_be_bytes();
        let value: Vec<u8> = (0..rng.below(900))
            .map(|_| rng.next_u64().to_le_bytes()[0])
            .collect();
        let value = (rng.below(5) > 0).then_some(&value[..]);
        let timestamp = 1000 + i64::try_from(rng.below(50)).unwrap();
        builder.append(timestamp, Some(&key), value, &[]).unwrap();
    }
    builder.finish().unwrap()
}

/// The records of a batch by offset.
pub(crate) fn records_of(batch: &[u8]) -> Vec<(i64, Record)> {
    let view = BatchView::parse(batch).unwrap();
    let mut scratch = Decompressor::new();
    let found = records(&view, &mut scratch, DecompressLimits::default()).unwrap();
    found
        .map(|record| {
            let record = record.unwrap();
            let owned = Record {
                timestamp: record.timestamp,
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
            };
            (record.offset.0, owned)
        })
        .collect()
}

/// The records of several batches by offset.
pub(crate) fn all_records(bytes: &Bytes) -> Vec<(i64, Record)> {
    batches(bytes)
        .flat_map(|view| records_of(view.unwrap().bytes()))
        .collect()
}

type Timeline = BTreeMap<i64, Kept>;

impl ModelLog {
    /// Compares a compacted log with what was appended, and returns the timeline that it is of.
    pub(super) fn check_compacted(
        &self,
        id: u64,
        log: &PartitionLog,
        found: &[(i64, Vec<u8>)],
    ) -> Timeline {
        let end = check_places(id, log, found);
        // Where an end was taken back in the middle of a gap, no batch reaches up to it.
        let cut = end < log.log_end.0 && self.outdated > 0;
        assert!(
            end == log.log_end.0 || cut,
            "log {id}: what is there ends at {end}: {}",
            super::model::ends(log)
        );
        let mut timelines = vec![&self.batches];
        timelines.extend(self.replaced.iter().map(|(_, timeline, _)| timeline));
        let problems: Vec<_> = timelines
            .iter()
            .map(|timeline| self.problem(log, found, timeline))
            .collect();
        let fits = problems.iter().position(Option::is_none);
        let Some(fits) = fits else {
            panic!("log {id}: {problems:?}, {}", super::model::ends(log));
        };
        timelines[fits].clone()
    }

    /// What is wrong if the log is of this timeline.
    fn problem(
        &self,
        log: &PartitionLog,
        found: &[(i64, Vec<u8>)],
        timeline: &Timeline,
    ) -> Option<String> {
        let appended = visible(timeline, log);
        let mut there = BTreeMap::new();
        for (base, bytes) in found {
            let header = BatchHeader::parse(bytes).unwrap();
            let original = timeline.get(base);
            if original.is_none_or(|kept| kept.end != header.next_offset().0) {
                return Some(format!("a foreign batch at {base}"));
            }
            for (offset, record) in records_of(bytes) {
                if offset >= log.log_start.0 && appended.get(&offset) != Some(&record) {
                    return Some(format!("a foreign record at {offset}"));
                }
                there.insert(offset, record);
            }
        }
        let mut newest = BTreeMap::new();
        for (offset, record) in &appended {
            newest.insert(record.key.clone(), (*offset, record.clone()));
        }
        newest
            .into_values()
            .find_map(|(offset, record)| self.missing(&there, offset, &record))
    }

    /// What is wrong with the newest record of a key.
    fn missing(
        &self,
        there: &BTreeMap<i64, Record>,
        offset: i64,
        record: &Record,
    ) -> Option<String> {
        if there.contains_key(&offset) || offset < self.outdated {
            return None;
        }
        if record.value.is_some() {
            return Some(format!("the newest record of a key, {offset}, is missing"));
        }
        let mut earlier = there.range(..offset);
        let back = earlier.find(|(_, earlier)| earlier.key == record.key)?;
        Some(format!("{} was deleted at {offset} and is back", back.0))
    }
}

/// Records that were appended and lie in the log.
fn visible(timeline: &Timeline, log: &PartitionLog) -> BTreeMap<i64, Record> {
    let batches = timeline.values().filter(|kept| kept.end <= log.log_end.0);
    let records = batches.flat_map(|kept| records_of(&kept.bytes));
    records
        .filter(|(offset, _)| *offset >= log.log_start.0)
        .collect()
}

/// Batches follow each other, with gaps only where compaction was. Returns where they end.
fn check_places(id: u64, log: &PartitionLog, found: &[(i64, Vec<u8>)]) -> i64 {
    let mut next = None;
    let compacted = |offset| log.segment_of(Offset(offset)).unwrap().generation > 0;
    for (base, bytes) in found {
        let header = BatchHeader::parse(bytes).unwrap();
        let follows = next.is_none_or(|next| {
            next == *base || (next < *base && (compacted(*base) || compacted(next - 1)))
        });
        assert!(follows, "log {id}: {base} does not follow {next:?}");
        assert!(
            header.last_offset() >= log.log_start,
            "log {id}: batch {base} lies before the start"
        );
        next = Some(header.next_offset().0);
    }
    next.unwrap_or(log.log_end.0)
}
