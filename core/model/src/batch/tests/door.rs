//! What a leader lets in, and how it changes it.

use super::{reseal, sample};
use crate::batch::{
    BatchBuilder, BatchError, BatchMut, BatchSpec, BatchView, ProduceRules, RecordError,
    TimestampRule, TimestampType, check_records, validate_produced, verify,
};
use crate::compression::{Codec, CompressionError, DecompressLimits, Decompressor};
use crate::{ErrorCode, LeaderEpoch, Offset};

const RULES: ProduceRules = ProduceRules {
    max_message_bytes: 1_048_588,
    zstd_allowed: true,
    transactional_allowed: true,
    keys_required: false,
    timestamps: TimestampRule::CreateTime {
        now_ms: 1_700_000_000_000,
        before_max_ms: 1_000,
        after_max_ms: 1_000,
    },
    decompress: DecompressLimits {
        max_bytes: 1 << 20,
        max_ratio: 100,
    },
};

#[test]
fn what_the_door_refuses_and_under_which_code() {
    let check = |change: &dyn Fn(&mut Vec<u8>), expected: ErrorCode| {
        let mut bytes = sample(Codec::None);
        change(&mut bytes);
        let code = validate_produced(&bytes, &RULES).map_err(|error| error.error_code());
        assert_eq!(
            code.err().unwrap_or(ErrorCode::None),
            expected,
            "{bytes:02x?}"
        );
    };
    let field = |at: usize, value: &'static [u8]| {
        move |bytes: &mut Vec<u8>| {
            bytes[at..at + value.len()].copy_from_slice(value);
            reseal(bytes);
        }
    };
    check(&|_| {}, ErrorCode::None);
    check(&|bytes| bytes.clear(), ErrorCode::InvalidRecord);
    check(&|bytes| bytes.truncate(60), ErrorCode::CorruptMessage);
    check(&|bytes| bytes.truncate(16), ErrorCode::CorruptMessage);
    check(
        &|bytes| bytes.truncate(bytes.len() - 1),
        ErrorCode::CorruptMessage,
    );
    check(&|bytes| bytes.push(0), ErrorCode::InvalidRecord);
    check(
        &|bytes| bytes.extend(sample(Codec::None)),
        ErrorCode::InvalidRecord,
    );
    check(
        &|bytes| *bytes.last_mut().unwrap() ^= 1,
        ErrorCode::CorruptMessage,
    );
    // Length: negative, and too small for a header.
    check(&field(8, &[0xFF; 4]), ErrorCode::CorruptMessage);
    check(&field(8, &[0, 0, 0, 48]), ErrorCode::CorruptMessage);
    // Magic.
    check(&field(16, &[0]), ErrorCode::UnsupportedForMessageFormat);
    check(&field(16, &[1]), ErrorCode::UnsupportedForMessageFormat);
    check(&field(16, &[3]), ErrorCode::CorruptMessage);
    check(&field(16, &[0xFF]), ErrorCode::CorruptMessage);
    // Attributes: codec 5, LogAppendTime, control, delete horizon.
    check(&field(22, &[0x15]), ErrorCode::UnsupportedCompressionType);
    check(&field(22, &[0x18]), ErrorCode::InvalidTimestamp);
    check(&field(22, &[0x30]), ErrorCode::InvalidRecord);
    check(&field(22, &[0x50]), ErrorCode::InvalidRecord);
    // Last offset delta and record count.
    check(&field(23, &[0, 0, 0, 3]), ErrorCode::InvalidRecord);
    check(&field(23, &[0xFF; 4]), ErrorCode::InvalidRecord);
    check(&field(57, &[0, 0, 0, 2]), ErrorCode::InvalidRecord);
    check(&field(57, &[0, 0, 0, 4]), ErrorCode::InvalidRecord);
    check(&field(57, &[0; 4]), ErrorCode::InvalidRecord);
    check(&field(57, &[0x80, 0, 0, 0]), ErrorCode::InvalidRecord);
    check(
        &field(23, &[0x7F, 0xFF, 0xFF, 0xFF]),
        ErrorCode::InvalidRecord,
    );
    // Base timestamp -2, max timestamp far in the future and none at all.
    check(
        &field(27, &[255, 255, 255, 255, 255, 255, 255, 254]),
        ErrorCode::InvalidTimestamp,
    );
    check(&field(35, &[0x7F; 8]), ErrorCode::InvalidTimestamp);
    check(&field(35, &[0xFF; 8]), ErrorCode::None);
    // Producer id without epoch, without sequence; transaction without producer id.
    check(&field(51, &[0xFF; 2]), ErrorCode::InvalidRecord);
    check(&field(53, &[0xFF; 4]), ErrorCode::InvalidRecord);
    check(&field(43, &[0xFF; 8]), ErrorCode::InvalidRecord);
}

#[test]
fn rules_of_topic_and_request_decide() {
    let check = |codec, rules: ProduceRules, expected: Result<Codec, BatchError>| {
        let bytes = sample(codec);
        assert_eq!(
            validate_produced(&bytes, &rules).map(|batch| batch.codec()),
            expected
        );
    };
    let size = sample(Codec::None).len();
    for codec in Codec::ALL {
        check(codec, RULES, Ok(codec));
    }
    let no_zstd = ProduceRules {
        zstd_allowed: false,
        ..RULES
    };
    check(Codec::Zstd, no_zstd, Err(BatchError::ZstdNotAllowed));
    check(Codec::Lz4, no_zstd, Ok(Codec::Lz4));
    let no_transaction = ProduceRules {
        transactional_allowed: false,
        ..RULES
    };
    check(
        Codec::None,
        no_transaction,
        Err(BatchError::TransactionalNotAllowed),
    );
    check(
        Codec::None,
        ProduceRules {
            max_message_bytes: size,
            ..RULES
        },
        Ok(Codec::None),
    );
    let limit = size - 1;
    let small = ProduceRules {
        max_message_bytes: limit,
        ..RULES
    };
    check(
        Codec::None,
        small,
        Err(BatchError::TooLarge { size, limit }),
    );
    let early = TimestampRule::CreateTime {
        now_ms: 0,
        before_max_ms: 0,
        after_max_ms: 9,
    };
    let expected = BatchError::TimestampOutOfRange {
        timestamp_ms: 1_700_000_000_005,
        earliest_ms: 0,
        latest_ms: 9,
    };
    check(
        Codec::None,
        ProduceRules {
            timestamps: early,
            ..RULES
        },
        Err(expected),
    );
    let own = ProduceRules {
        timestamps: TimestampRule::LogAppendTime,
        ..RULES
    };
    check(Codec::None, own, Ok(Codec::None));
}

#[test]
fn records_are_walked_under_every_codec() {
    for codec in Codec::ALL {
        let bytes = sample(codec);
        let batch = verify(&bytes).unwrap();
        let mut scratch = Decompressor::new();
        let summary = check_records(&batch, &RULES, &mut scratch).unwrap();
        assert_eq!(summary.max_timestamp, 1_700_000_000_005);
        assert_eq!(summary.offset_of_max_timestamp, Offset(1));
        assert_eq!(summary.payload_bytes, sample(Codec::None).len() - 61);
        let compacted = ProduceRules {
            keys_required: true,
            ..RULES
        };
        let expected = BatchError::Record {
            index: 1,
            error: RecordError::KeyMissing,
        };
        assert_eq!(expected.record_index(), Some(1));
        assert_eq!(
            check_records(&batch, &compacted, &mut scratch),
            Err(expected)
        );
    }
}

#[test]
fn malformed_records_are_named() {
    // One record: length 8, attributes, deltas, key "k", value "v", no headers.
    const PLAIN: &[u8] = &[16, 0, 0, 0, 2, b'k', 2, b'v', 0];
    let check = |payload: &[u8], expected: Result<(), RecordError>| {
        let mut builder = BatchBuilder::new(BatchSpec::default());
        builder.append(1_700_000_000_000, None, None, &[]).unwrap();
        let mut bytes = builder.finish().unwrap();
        bytes.truncate(61);
        bytes.extend_from_slice(payload);
        let length = u32::try_from(bytes.len() - 12).unwrap();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        reseal(&mut bytes);
        let batch = validate_produced(&bytes, &RULES).unwrap();
        let result = check_records(batch.view(), &RULES, &mut Decompressor::new());
        let expected = expected.map_err(|error| BatchError::Record { index: 0, error });
        assert_eq!(result.map(|_| ()), expected, "{payload:?}");
    };
    check(PLAIN, Ok(()));
    for cut in 0..PLAIN.len() {
        check(&PLAIN[..cut], Err(RecordError::CutOff));
    }
    check(&[1], Err(RecordError::Length));
    check(&[0], Err(RecordError::Length));
    check(&[0xFF; 12], Err(RecordError::Varint));
    // A length one too small or too large for the fields.
    check(
        &[14, 0, 0, 0, 2, b'k', 2, b'v', 0],
        Err(RecordError::CutOff),
    );
    check(
        &[18, 0, 0, 0, 2, b'k', 2, b'v', 0, 0],
        Err(RecordError::Length),
    );
    check(&[16, 0, 0, 2, 2, b'k', 2, b'v', 0], {
        Err(RecordError::OffsetDelta {
            found: 1,
            expected: 0,
        })
    });
    check(
        &[16, 0, 0, 0, 100, b'k', 2, b'v', 0],
        Err(RecordError::CutOff),
    );
    // Null key and value by any negative length.
    check(&[12, 0, 0, 0, 1, 3, 0], Ok(()));
    // Headers: a good one, a negative count, too many, a null key.
    check(&[16, 0, 0, 0, 1, 1, 2, 0, 1], Ok(()));
    check(
        &[12, 0, 0, 0, 1, 1, 1],
        Err(RecordError::HeaderCount { count: -1 }),
    );
    check(
        &[16, 0, 0, 0, 1, 1, 4, 0, 1],
        Err(RecordError::HeaderCount { count: 2 }),
    );
    check(&[16, 0, 0, 0, 1, 1, 2, 1, 1], Err(RecordError::HeaderKey));
}

#[test]
fn bytes_after_the_last_record_are_refused() {
    let mut bytes = sample(Codec::None);
    bytes.push(0);
    let length = u32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    reseal(&mut bytes);
    let batch = verify(&bytes).unwrap();
    let result = check_records(&batch, &RULES, &mut Decompressor::new());
    assert_eq!(result, Err(BatchError::TrailingRecordBytes { trailing: 1 }));
}

#[test]
fn a_bomb_stops_at_the_limit() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut builder = BatchBuilder::new(BatchSpec {
            codec,
            ..BatchSpec::default()
        });
        builder
            .append(1_700_000_000_000, None, Some(&vec![0; 3 << 20]), &[])
            .unwrap();
        let bytes = builder.finish().unwrap();
        let batch = validate_produced(&bytes, &RULES).unwrap();
        let result = check_records(batch.view(), &RULES, &mut Decompressor::new());
        let limit_bytes = RULES.decompress.max_bytes;
        let error = CompressionError::LimitExceeded { codec, limit_bytes };
        assert_eq!(result, Err(BatchError::Compression(error)));
    }
}

#[test]
fn assigning_a_place_leaves_the_checksum_valid() {
    let mut bytes = sample(Codec::Lz4);
    BatchMut::new(&mut bytes)
        .unwrap()
        .assign(Offset(1 << 40), LeaderEpoch(99));
    let header = *verify(&bytes).unwrap().header();
    assert_eq!(header.base_offset(), Offset(1 << 40));
    assert_eq!(header.last_offset(), Offset((1 << 40) + 2));
    assert_eq!(header.leader_epoch(), LeaderEpoch(99));
}

#[test]
fn stamping_the_append_time_keeps_the_checksum_right() {
    for payload_bytes in [0, 1, 500, 100_000] {
        let mut builder = BatchBuilder::new(BatchSpec::default());
        builder
            .append(5, None, Some(&vec![0x5A; payload_bytes]), &[])
            .unwrap();
        let mut bytes = builder.finish().unwrap();
        BatchMut::new(&mut bytes)
            .unwrap()
            .stamp_append_time(1_234_567_890_123);
        let header = *verify(&bytes).unwrap().header();
        assert_eq!(header.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(header.max_timestamp(), 1_234_567_890_123);
        assert_eq!(header.base_timestamp(), 5);
        BatchMut::new(&mut bytes).unwrap().correct_max_timestamp(6);
        assert_eq!(verify(&bytes).unwrap().header().max_timestamp(), 6);
    }
}

#[test]
fn stamping_does_not_cover_up_damage() {
    let mut bytes = sample(Codec::None);
    *bytes.last_mut().unwrap() ^= 1;
    BatchMut::new(&mut bytes).unwrap().stamp_append_time(7);
    let view = BatchView::parse(&bytes).unwrap();
    assert!(matches!(
        view.check_crc(),
        Err(BatchError::CrcMismatch { .. })
    ));
}

#[test]
fn sequences_wrap_to_zero() {
    let check = |base: i32, expected: i32| {
        let mut bytes = sample(Codec::None);
        bytes[53..57].copy_from_slice(&base.to_be_bytes());
        reseal(&mut bytes);
        assert_eq!(verify(&bytes).unwrap().header().last_sequence(), expected);
    };
    check(0, 2);
    check(i32::MAX - 2, i32::MAX);
    check(i32::MAX - 1, 0);
    check(i32::MAX, 1);
    check(-1, -1);
}
