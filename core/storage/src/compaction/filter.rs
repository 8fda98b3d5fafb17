//! What compaction leaves of a record batch.

use chronik_model::batch::{
    self, BatchBuilder, BatchError, BatchHeader, BatchMut, BatchSpec, BatchView, BuildError,
    RecordView,
};
use chronik_model::compression::{Codec, DecompressLimits, Decompressor};
use chronik_model::{Offset, mutant};

use super::OffsetMap;

/// What is the same for all batches of a compaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Wall clock at the start, in ms since the Unix epoch.
    pub now_ms: i64,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// Last offsets of batches that stay, at least without records: each is the last one of an
    /// idempotent producer. In order.
    pub last_of_producers: Vec<Offset>,
}

/// What is left of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remainder {
    /// All of it: the bytes stay as they are.
    Whole,
    /// This, with the offsets of the original.
    Part(Vec<u8>),
    /// Nothing.
    Nothing,
}

/// Why a batch can not be compacted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It can not be read.
    #[error(transparent)]
    Read(#[from] BatchError),
    /// What is left of it can not be written.
    #[error(transparent)]
    Write(#[from] BuildError),
}

/// Learns the keys of a batch from offset `from` on; false when the map is full.
///
/// # Errors
/// The records can not be read.
pub fn learn(
    map: &mut OffsetMap,
    batch: &BatchView<'_>,
    from: Offset,
    scratch: &mut Decompressor,
) -> Result<bool, BatchError> {
    let last_offset = batch.header().last_offset();
    if last_offset < from || has_own_rules(batch.header()) {
        map.cover(last_offset);
        return Ok(true);
    }
    for record in batch::records(batch, scratch, DecompressLimits::default())? {
        let record = record?;
        let dirty = record.offset >= from;
        if let Some(key) = record.key.filter(|_| dirty)
            && !map.put(key, record.offset)
        {
            return Ok(false);
        }
        map.cover(record.offset);
    }
    map.cover(last_offset);
    Ok(true)
}

/// Batches of transactions: whether their records count is not known here, so they neither outdate
/// other records nor are they touched. Markers of control batches are no records at all.
const fn has_own_rules(header: &BatchHeader) -> bool {
    header.is_control() || header.is_transactional()
}

impl Rules {
    /// Decides what is left of a batch. With `keep_offsets`, its offsets stay even if no record does.
    ///
    /// # Errors
    /// The records can not be read, or not be written again.
    pub fn filter(
        &self,
        map: &OffsetMap,
        batch: &BatchView<'_>,
        keep_offsets: bool,
        scratch: &mut Decompressor,
    ) -> Result<Remainder, FilterError> {
        let header = *batch.header();
        if has_own_rules(&header) || header.base_offset() > map.covered() {
            return Ok(Remainder::Whole);
        }
        let mut kept = Vec::new();
        for record in batch::records(batch, scratch, DecompressLimits::default())? {
            let record = record?;
            if self.stays(map, &header, &record) {
                kept.push(record);
            }
        }
        if kept.is_empty() {
            return self.without_records(&header, keep_offsets);
        }
        let tombstones = kept.iter().any(|record| record.value.is_none());
        let starts_horizon = tombstones && header.delete_horizon_ms().is_none();
        let whole = usize::try_from(header.record_count()).is_ok_and(|count| count == kept.len());
        if whole && !starts_horizon {
            return Ok(Remainder::Whole);
        }
        let mut spec = spec_of(&header)?;
        if starts_horizon {
            let horizon = self.now_ms.saturating_add(self.delete_retention_ms);
            spec.delete_horizon_ms = Some(horizon);
        }
        let part = write(spec, &kept, header.last_offset())?;
        Ok(Remainder::Part(part))
    }

    /// Whether a record is the newest of its key, and no tombstone whose time is over. Records that
    /// the map does not cover stay; those without a key have no place in a compacted log.
    fn stays(&self, map: &OffsetMap, header: &BatchHeader, record: &RecordView<'_>) -> bool {
        if record.offset > map.covered() {
            return true;
        }
        let Some(key) = record.key else { return false };
        let newest = map.get(key).is_none_or(|newest| record.offset >= newest);
        let expired = header
            .delete_horizon_ms()
            .is_some_and(|horizon| horizon <= self.now_ms);
        newest && (record.value.is_some() || !expired) && !mutant!(CompactionDropsNewest)
    }

    fn without_records(
        &self,
        header: &BatchHeader,
        keep_offsets: bool,
    ) -> Result<Remainder, FilterError> {
        let last = header.last_offset();
        let of_producer =
            header.has_producer_id() && self.last_of_producers.binary_search(&last).is_ok();
        if !of_producer && !keep_offsets {
            return Ok(Remainder::Nothing);
        }
        if header.record_count() == 0 {
            return Ok(Remainder::Whole);
        }
        let spec = BatchSpec {
            codec: Codec::None,
            delete_horizon_ms: None,
            ..spec_of(header)?
        };
        let mut empty = write(spec, &[], last)?;
        BatchMut::new(&mut empty)?.correct_max_timestamp(header.max_timestamp());
        Ok(Remainder::Part(empty))
    }
}

fn spec_of(header: &BatchHeader) -> Result<BatchSpec, BatchError> {
    let codec = header.compression()?;
    BatchSpec::of(header).ok_or_else(|| BatchError::UnknownCodec { id: codec.id() })
}

fn write(
    spec: BatchSpec,
    records: &[RecordView<'_>],
    last_offset: Offset,
) -> Result<Vec<u8>, BuildError> {
    let mut builder = BatchBuilder::new(spec);
    for record in records {
        let RecordView {
            offset,
            timestamp,
            key,
            value,
            headers,
        } = *record;
        builder.append_at(offset, timestamp, key, value, headers)?;
    }
    builder.extend_to(last_offset)?;
    builder.finish()
}

#[cfg(test)]
mod tests {
    use chronik_model::batch::{Header, ProducerState, TimestampType, verify};
    use chronik_model::{LeaderEpoch, ProducerEpoch, ProducerId};

    use super::*;

    const NOW_MS: i64 = 5000;

    fn rules() -> Rules {
        Rules {
            now_ms: NOW_MS,
            delete_retention_ms: 100,
            last_of_producers: vec![Offset(19)],
        }
    }

    /// A batch at offset 10 with records of `key=value` or, as tombstones, `key`.
    fn batch(spec: BatchSpec, records: &[&str]) -> Vec<u8> {
        let mut builder = BatchBuilder::new(BatchSpec {
            base_offset: Offset(10),
            leader_epoch: LeaderEpoch(4),
            ..spec
        });
        let headers = [Header {
            key: b"h",
            value: Some(b"x"),
        }];
        for (record, timestamp) in records.iter().zip(1000..) {
            let (key, value) = match record.split_once('=') {
                Some((key, value)) => (key, Some(value.as_bytes())),
                None => (*record, None),
            };
            let key = Some(key.as_bytes()).filter(|key| !key.is_empty());
            builder.append(timestamp, key, value, &headers).unwrap();
        }
        builder.finish().unwrap()
    }

    /// Keys that are at these offsets at last; the map covers all up to 100.
    fn map(keys: &[(&str, i64)]) -> OffsetMap {
        let mut map = OffsetMap::new(100, 10_000, 7);
        for (key, offset) in keys {
            assert!(map.put(key.as_bytes(), Offset(*offset)));
        }
        map.cover(Offset(100));
        map
    }

    fn filter(map: &OffsetMap, batch: &[u8], keep_offsets: bool) -> Remainder {
        let view = verify(batch).unwrap();
        let mut scratch = Decompressor::new();
        rules()
            .filter(map, &view, keep_offsets, &mut scratch)
            .unwrap()
    }

    /// Offsets of what is left.
    fn left(original: &[u8], remainder: &Remainder) -> Option<Vec<i64>> {
        let bytes = match remainder {
            Remainder::Whole => original,
            Remainder::Part(bytes) => bytes,
            Remainder::Nothing => return None,
        };
        let view = verify(bytes).unwrap();
        let mut scratch = Decompressor::new();
        let records = batch::records(&view, &mut scratch, DecompressLimits::default()).unwrap();
        Some(records.map(|record| record.unwrap().offset.0).collect())
    }

    #[test]
    fn what_stays_of_a_batch() {
        let check = |records: &[&str], keys: &[(&str, i64)], expected: Option<&[i64]>| {
            let original = batch(BatchSpec::default(), records);
            let found = left(&original, &filter(&map(keys), &original, false));
            assert_eq!(found.as_deref(), expected, "{records:?} {keys:?}");
        };
        check(&["a=1", "b=2"], &[("a", 10), ("b", 11)], Some(&[10, 11]));
        check(&["a=1", "b=2"], &[], Some(&[10, 11]));
        check(&["a=1", "a=2"], &[("a", 11)], Some(&[11]));
        check(&["a=1", "b=2"], &[("a", 50), ("b", 11)], Some(&[11]));
        check(&["a=1", "b=2"], &[("a", 50), ("b", 60)], None);
        check(&["a=1", "b"], &[("a", 10), ("b", 11)], Some(&[10, 11]));
        check(&["=1", "b=2"], &[("b", 11)], Some(&[11]));
        check(&["=1"], &[], None);
    }

    #[test]
    fn what_the_map_does_not_cover_stays() {
        let original = batch(BatchSpec::default(), &["a=1", "a=2", "=3"]);
        let mut map = OffsetMap::new(10, 1000, 0);
        assert!(map.put(b"a", Offset(50)));
        let check = |map: &OffsetMap, expected: &[i64]| {
            let found = left(&original, &filter(map, &original, false));
            assert_eq!(found.as_deref(), Some(expected));
        };
        map.cover(Offset(9));
        check(&map, &[10, 11, 12]);
        map.cover(Offset(10));
        check(&map, &[11, 12]);
        map.cover(Offset(11));
        check(&map, &[12]);
    }

    #[test]
    fn all_but_the_dropped_records_stays_whatever_the_codec() {
        for codec in Codec::ALL {
            for timestamp_type in [TimestampType::CreateTime, TimestampType::LogAppendTime] {
                let spec = BatchSpec {
                    codec,
                    timestamp_type,
                    producer: Some(ProducerState {
                        id: ProducerId(3),
                        epoch: ProducerEpoch(2),
                        base_sequence: 40,
                    }),
                    ..BatchSpec::default()
                };
                let original = batch(spec, &["a=1", "b=2", "c=3", "d=4"]);
                let before = verify(&original).unwrap();
                let Remainder::Part(part) = filter(&map(&[("a", 50), ("d", 50)]), &original, false)
                else {
                    panic!("{codec}: nothing was dropped");
                };
                let after = verify(&part).unwrap();
                let fields = |header: &BatchHeader| {
                    let offsets = (header.base_offset(), header.last_offset());
                    let sequences = (header.base_sequence(), header.last_sequence());
                    let producer = (header.producer_id(), header.producer_epoch());
                    let kind = (header.attributes(), header.leader_epoch());
                    (offsets, sequences, producer, kind)
                };
                assert_eq!(fields(after.header()), fields(before.header()));
                let records = |view: &BatchView<'_>| -> Vec<String> {
                    let mut scratch = Decompressor::new();
                    let found = batch::records(view, &mut scratch, DecompressLimits::default());
                    let found = found
                        .unwrap()
                        .map(|record| format!("{:?}", record.unwrap()));
                    found.collect()
                };
                let (before, after) = (records(&before), records(&after));
                let parts = |records: &[String]| -> Vec<String> {
                    // Headers keep the bytes behind them, which differ.
                    let cut = |record: &String| record.split("headers").next().map(str::to_owned);
                    records.iter().filter_map(cut).collect()
                };
                assert_eq!(parts(&after), parts(&before[1..3]), "{codec}");
            }
        }
    }

    #[test]
    fn a_tombstone_gets_a_horizon_once_and_goes_behind_it() {
        let original = batch(BatchSpec::default(), &["a=1", "b"]);
        let map = map(&[("a", 10), ("b", 11)]);
        let Remainder::Part(first) = filter(&map, &original, false) else {
            panic!("no horizon");
        };
        let horizon = |bytes: &[u8]| verify(bytes).unwrap().header().delete_horizon_ms();
        assert_eq!(horizon(&first), Some(NOW_MS + 100));
        assert_eq!(filter(&map, &first, false), Remainder::Whole);
        let later = Rules {
            now_ms: NOW_MS + 100,
            ..rules()
        };
        let view = verify(&first).unwrap();
        let gone = later.filter(&map, &view, false, &mut Decompressor::new());
        assert_eq!(left(&first, &gone.unwrap()), Some(vec![10]));
    }

    #[test]
    fn a_batch_without_records_stays_for_its_producer_or_its_offsets() {
        let outdated = map(&[("a", 50)]);
        let check = |producer: i64, records: usize, keep_offsets: bool, expected: bool| {
            let spec = BatchSpec {
                codec: Codec::Gzip,
                producer: (producer >= 0).then_some(ProducerState {
                    id: ProducerId(producer),
                    epoch: ProducerEpoch(0),
                    base_sequence: 5,
                }),
                ..BatchSpec::default()
            };
            let original = batch(spec, &vec!["a=1"; records]);
            let remainder = filter(&outdated, &original, keep_offsets);
            let Remainder::Part(empty) = &remainder else {
                assert!(!expected && remainder == Remainder::Nothing);
                return;
            };
            assert!(expected);
            let (before, after) = (verify(&original).unwrap(), verify(empty).unwrap());
            let (before, after) = (before.header(), after.header());
            assert_eq!((after.record_count(), empty.len()), (0, 61));
            assert_eq!(after.last_offset(), before.last_offset());
            assert_eq!(after.last_sequence(), before.last_sequence());
            assert_eq!(after.max_timestamp(), before.max_timestamp());
            // The same again changes nothing, and it goes when nobody needs it.
            assert_eq!(filter(&outdated, empty, true), Remainder::Whole);
        };
        check(3, 10, false, true);
        check(3, 9, false, false);
        check(-1, 10, false, false);
        check(-1, 9, true, true);
    }

    #[test]
    fn transactions_and_markers_are_left_alone() {
        let outdated = map(&[("a", 50)]);
        for (transactional, control) in [(true, false), (true, true), (false, true)] {
            let spec = BatchSpec {
                transactional,
                control,
                ..BatchSpec::default()
            };
            let original = batch(spec, &["a=1", "=2"]);
            assert_eq!(filter(&outdated, &original, false), Remainder::Whole);
            let mut map = OffsetMap::new(10, 1000, 0);
            let view = verify(&original).unwrap();
            let learned = learn(&mut map, &view, Offset(0), &mut Decompressor::new());
            assert_eq!(
                (learned, map.len(), map.covered()),
                (Ok(true), 0, Offset(11))
            );
        }
    }
}
