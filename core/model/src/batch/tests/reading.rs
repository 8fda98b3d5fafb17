//! Walking logs, building batches, and bytes that nobody wrote on purpose.

use proptest::prelude::{Strategy, any, prop, proptest};

use super::{sample, sample_builder};
use crate::Offset;
use crate::batch::{
    BatchBuilder, BatchError, BatchHeader, BatchMut, BatchSpec, BatchView, BuildError, Header,
    ProduceRules, TimestampRule, TimestampType, batches, check_records, recompress, records,
    validate_produced, verify,
};
use crate::compression::{Codec, DecompressLimits, Decompressor};

#[test]
fn a_log_is_read_up_to_the_batch_that_is_cut_off() {
    let first = sample(Codec::None);
    let second = sample(Codec::Zstd);
    let log = [first.as_slice(), &second].concat();
    for end in 0..=log.len() {
        let mut iterator = batches(&log[..end]);
        let whole = iterator.by_ref().map(|batch| batch.unwrap().bytes().len());
        let expected: &[usize] = match end {
            end if end < first.len() => &[],
            end if end < log.len() => &[first.len()],
            _ => &[first.len(), second.len()],
        };
        assert_eq!(whole.collect::<Vec<_>>(), expected, "{end}");
        assert_eq!(iterator.rest(), &log[expected.iter().sum()..end]);
    }
}

#[test]
fn a_log_ends_with_its_first_error() {
    let mut log = sample(Codec::None);
    log.extend_from_slice(&[0; 100]);
    let mut iterator = batches(&log);
    assert!(iterator.next().unwrap().is_ok());
    let error = iterator.next().unwrap().unwrap_err();
    assert_eq!(error, BatchError::UnsupportedMagic { magic: 0 });
    assert!(iterator.next().is_none());
    assert_eq!(iterator.rest(), [0; 100]);
}

#[test]
fn append_time_counts_for_every_record() {
    let mut bytes = sample(Codec::Gzip);
    BatchMut::new(&mut bytes).unwrap().stamp_append_time(77);
    let batch = verify(&bytes).unwrap();
    let mut scratch = Decompressor::new();
    let records = records(&batch, &mut scratch, DecompressLimits::default()).unwrap();
    assert!(records.map(|record| record.unwrap().timestamp).eq([77; 3]));
}

#[test]
fn compaction_can_leave_gaps_and_empty_batches() {
    let original = sample(Codec::Lz4);
    let header = *verify(&original).unwrap().header();
    let horizon = BatchSpec {
        delete_horizon_ms: Some(500),
        ..BatchSpec::of(&header).unwrap()
    };
    let mut builder = BatchBuilder::new(horizon);
    builder
        .append_at(Offset(101), 3, Some(b"k"), None, [])
        .unwrap();
    builder.extend_to(header.last_offset()).unwrap();
    let bytes = builder.finish().unwrap();
    let batch = verify(&bytes).unwrap();
    assert_eq!(batch.header().base_offset(), Offset(100));
    assert_eq!(batch.header().next_offset(), header.next_offset());
    assert_eq!(batch.header().record_count(), 1);
    assert_eq!(batch.header().delete_horizon_ms(), Some(500));
    assert_eq!(batch.header().last_sequence(), header.last_sequence());
    let mut scratch = Decompressor::new();
    let mut left = records(&batch, &mut scratch, DecompressLimits::default()).unwrap();
    let record = left.next().unwrap().unwrap();
    assert_eq!((record.offset, record.timestamp), (Offset(101), 3));
    assert!(left.next().is_none());

    let mut empty = BatchBuilder::new(BatchSpec::of(&header).unwrap());
    empty.extend_to(header.last_offset()).unwrap();
    let bytes = empty.finish().unwrap();
    let batch = verify(&bytes).unwrap();
    assert_eq!(batch.header().record_count(), 0);
    assert!(batch.payload().is_empty());
    assert!(
        records(&batch, &mut scratch, DecompressLimits::default())
            .unwrap()
            .next()
            .is_none()
    );
}

#[test]
fn builders_refuse_offsets_that_do_not_follow() {
    let spec = BatchSpec {
        base_offset: Offset(10),
        ..BatchSpec::default()
    };
    let check = |offsets: &[i64], expected: Option<i64>| {
        let mut builder = BatchBuilder::new(spec);
        let append = |offset: &i64| builder.append_at(Offset(*offset), 0, None, None, []);
        let result: Result<(), _> = offsets.iter().try_for_each(append);
        let expected = expected.map(|offset| BuildError::OffsetOutOfOrder {
            offset: Offset(offset),
        });
        assert_eq!(result.err(), expected, "{offsets:?}");
    };
    check(&[10, 11, 500], None);
    check(&[9], Some(9));
    check(&[12, 12], Some(12));
    check(&[12, 11], Some(11));
    check(&[10 + (1 << 31)], Some(10 + (1 << 31)));
    assert!(BatchBuilder::new(spec).finish().is_err());
}

type OwnedRecord = (
    i64,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Vec<(Vec<u8>, Option<Vec<u8>>)>,
);

fn any_record() -> impl Strategy<Value = OwnedRecord> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    let nullable = move || prop::option::of(bytes());
    let header = (bytes(), nullable());
    (
        0..i64::MAX / 4,
        nullable(),
        nullable(),
        prop::collection::vec(header, 0..3),
    )
}

fn any_codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(&Codec::ALL)
}

fn read_all(bytes: &[u8]) -> Result<Vec<OwnedRecord>, BatchError> {
    let batch = verify(bytes)?;
    let mut scratch = Decompressor::new();
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    records(&batch, &mut scratch, DecompressLimits::default())?
        .map(|record| {
            let record = record?;
            let headers = record
                .headers
                .map(|header| (header.key.to_vec(), owned(header.value)))
                .collect();
            Ok((
                record.timestamp,
                owned(record.key),
                owned(record.value),
                headers,
            ))
        })
        .collect()
}

/// Everything that looks at foreign bytes; the results do not matter, only that there are some.
fn exercise(bytes: &[u8]) {
    let rules = ProduceRules {
        max_message_bytes: 1 << 20,
        zstd_allowed: true,
        transactional_allowed: true,
        keys_required: true,
        timestamps: TimestampRule::LogAppendTime,
        decompress: DecompressLimits {
            max_bytes: 1 << 16,
            max_ratio: 10,
        },
    };
    let mut scratch = Decompressor::new();
    assert!(batches(bytes).count() <= bytes.len() / 61 + 1);
    assert!(validate_produced(bytes, &rules).is_err() || verify(bytes).is_ok());
    if let Ok(batch) = BatchView::parse(bytes) {
        let checked = check_records(&batch, &rules, &mut scratch).is_ok();
        let walked = records(&batch, &mut scratch, rules.decompress)
            .is_ok_and(|mut records| records.all(|record| record.is_ok()));
        assert!(walked || !checked);
        let again = recompress(&batch, Codec::Snappy, None, &mut scratch, rules.decompress);
        assert!(again.is_err() || verify(&again.unwrap()).is_ok());
    }
    let mut copy = bytes.to_vec();
    let valid = verify(bytes).is_ok();
    if let Ok(mut batch) = BatchMut::new(&mut copy) {
        batch.stamp_append_time(i64::MIN);
        assert_eq!(verify(&copy).is_ok(), valid);
    }
}

proptest! {
    #[test]
    fn batches_give_back_their_records(
        all in prop::collection::vec(any_record(), 1..20),
        from in any_codec(),
        to in any_codec(),
    ) {
        let mut builder = BatchBuilder::new(BatchSpec { codec: from, ..BatchSpec::default() });
        for (timestamp, key, value, headers) in &all {
            let headers: Vec<_> = headers
                .iter()
                .map(|(key, value)| Header { key, value: value.as_deref() })
                .collect();
            builder.append(*timestamp, key.as_deref(), value.as_deref(), &headers).unwrap();
        }
        let size = builder.size_bytes();
        let bytes = builder.finish().unwrap();
        assert!(from != Codec::None || bytes.len() == size);
        assert_eq!(read_all(&bytes).as_ref(), Ok(&all));
        let batch = verify(&bytes).unwrap();
        let limits = DecompressLimits::default();
        let again = recompress(&batch, to, None, &mut Decompressor::new(), limits).unwrap();
        assert_eq!(verify(&again).unwrap().header().compression(), Ok(to));
        assert_eq!(read_all(&again), Ok(all));
    }

    #[test]
    fn random_bytes_do_not_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        exercise(&bytes);
        // Past the magic and the length there is more to reach.
        if bytes.len() > 61 {
            bytes[16] = 2;
            let length = i32::try_from(bytes.len() - 12).unwrap();
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[23..27].copy_from_slice(&[0, 0, 0, 5]);
            bytes[57..61].copy_from_slice(&[0, 0, 0, 3]);
            bytes[22] %= 5;
            exercise(&bytes);
        }
    }

    #[test]
    fn mutated_batches_do_not_panic(
        codec in any_codec(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        sealed in any::<bool>(),
    ) {
        let mut bytes = sample(codec);
        for (position, value) in changes {
            let position = position.index(bytes.len());
            bytes[position] = value;
        }
        if sealed {
            super::reseal(&mut bytes);
        }
        exercise(&bytes);
    }

    #[test]
    fn a_changed_byte_behind_the_checksum_is_found(
        codec in any_codec(),
        position in any::<prop::sample::Index>(),
        change in 1_u8..,
    ) {
        let mut bytes = sample(codec);
        let position = 17 + position.index(bytes.len() - 17);
        bytes[position] ^= change;
        assert!(verify(&bytes).is_err());
    }
}

#[test]
fn a_header_can_be_read_without_its_batch() {
    let bytes = sample_builder(Codec::None).finish().unwrap();
    let header = BatchHeader::parse(&bytes[..61]).unwrap();
    assert_eq!(header, *verify(&bytes).unwrap().header());
    assert_eq!(header.timestamp_type(), TimestampType::CreateTime);
}
