//! Batches as Kafka's Java client writes them, and what they say.

use super::{bytes_of_hex, sample_builder};
use crate::batch::{
    BatchSpec, ControlKind, EndTxnMarker, ProducerState, TimestampType, end_txn_marker, recompress,
    records, verify,
};
use crate::compression::{Codec, DecompressLimits, Decompressor};
use crate::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

#[test]
fn headers_of_the_java_client_are_understood() {
    for (codec, hex) in JAVA_BATCHES {
        let bytes = bytes_of_hex(hex);
        let batch = verify(&bytes).unwrap();
        let header = batch.header();
        assert_eq!(header.compression(), Ok(codec));
        assert_eq!(header.size_bytes(), bytes.len());
        assert_eq!(header.base_offset(), Offset(100));
        assert_eq!(header.last_offset(), Offset(102));
        assert_eq!(header.next_offset(), Offset(103));
        assert_eq!(header.leader_epoch(), LeaderEpoch(7));
        assert_eq!(header.timestamp_type(), TimestampType::CreateTime);
        assert!(header.is_transactional());
        assert!(!header.is_control());
        assert_eq!(header.delete_horizon_ms(), None);
        assert_eq!(header.base_timestamp(), 1_700_000_000_000);
        assert_eq!(header.max_timestamp(), 1_700_000_000_005);
        assert_eq!(header.producer_id(), ProducerId(4_711));
        assert_eq!(header.producer_epoch(), ProducerEpoch(3));
        assert_eq!((header.base_sequence(), header.last_sequence()), (9, 11));
        assert_eq!(header.record_count(), 3);
    }
}

#[test]
fn records_of_the_java_client_are_understood() {
    for (codec, hex) in JAVA_BATCHES {
        let bytes = bytes_of_hex(hex);
        let batch = verify(&bytes).unwrap();
        let mut scratch = Decompressor::new();
        let all: Result<Vec<_>, _> = records(&batch, &mut scratch, DecompressLimits::default())
            .unwrap()
            .collect();
        let all = all.unwrap();
        let fields: Vec<_> = all
            .iter()
            .map(|record| (record.offset.0, record.timestamp, record.key))
            .collect();
        let expected = [
            (100, 1_700_000_000_000, Some(b"k1".as_slice())),
            (101, 1_700_000_000_005, None),
            (102, 1_699_999_999_990, Some(b"k3".as_slice())),
        ];
        assert_eq!(fields, expected, "{codec}");
        assert_eq!(all[0].value, Some(b"value value value value".as_slice()));
        assert_eq!(all[1].value, Some(b"second".as_slice()));
        assert_eq!(all[2].value, None);
        let headers: Vec<_> = all[0]
            .headers
            .map(|header| (header.key, header.value))
            .collect();
        assert_eq!(
            headers,
            [
                (b"h".as_slice(), Some(b"x".as_slice())),
                (b"n".as_slice(), None)
            ]
        );
        assert_eq!(all[1].headers.len(), 0);
    }
}

#[test]
fn the_builder_writes_the_bytes_of_the_java_client() {
    let [(codec, hex), ..] = JAVA_BATCHES;
    assert_eq!(sample_builder(codec).finish().unwrap(), bytes_of_hex(hex));
}

#[test]
fn recompressing_leads_from_any_java_batch_to_the_plain_one() {
    let [(_, plain), ..] = JAVA_BATCHES;
    for (_, hex) in JAVA_BATCHES {
        let bytes = bytes_of_hex(hex);
        let batch = verify(&bytes).unwrap();
        let mut scratch = Decompressor::new();
        let limits = DecompressLimits::default();
        let result = recompress(&batch, Codec::None, None, &mut scratch, limits).unwrap();
        assert_eq!(result, bytes_of_hex(plain));
    }
}

#[test]
fn transaction_markers_equal_those_of_kafka() {
    let spec = BatchSpec {
        base_offset: Offset(55),
        leader_epoch: LeaderEpoch(7),
        producer: Some(ProducerState {
            id: ProducerId(4_711),
            epoch: ProducerEpoch(3),
            base_sequence: -1,
        }),
        ..BatchSpec::default()
    };
    let marker = EndTxnMarker {
        kind: ControlKind::Commit,
        coordinator_epoch: 12,
    };
    let bytes = end_txn_marker(marker, 1_700_000_000_000, spec).unwrap();
    assert_eq!(bytes, bytes_of_hex(JAVA_MARKER));
    let batch = verify(&bytes).unwrap();
    assert!(batch.header().is_control());
    let mut scratch = Decompressor::new();
    let mut records = records(&batch, &mut scratch, DecompressLimits::default()).unwrap();
    assert_eq!(
        EndTxnMarker::parse(&records.next().unwrap().unwrap()),
        Some(marker)
    );
}

/// The three records of [`sample_builder`], once per codec.
pub(super) const JAVA_BATCHES: [(Codec, &str); 5] = [
    (
        Codec::None,
        "00000000000000640000006e0000000702d46cbdf50010000000020000018bcfe568000000018bcfe5680500 \
     00000000001267000300000009000000034c000000046b312e76616c75652076616c75652076616c75652076 \
     616c75650402680278026e0118000a02010c7365636f6e640010001304046b330100",
    ),
    (
        Codec::Gzip,
        "000000000000006400000072000000070253d7ea900011000000020000018bcfe568000000018bcfe5680500 \
     00000000001267000300000009000000031f8b08000000000000fff361606060c936d42b4bcc294d55c02059 \
     9832982a98f2182518b89818798a5393f3f352180418845958b28d19190099c477ef3d000000",
    ),
    (
        Codec::Snappy,
        "00000000000000640000007700000007022f3e9fb90012000000020000018bcfe568000000018bcfe5680500 \
     000000000012670003000000090000000382534e41505059000000000100000001000000323d344c00000004 \
     6b312e76616c756520420600740402680278026e0118000a02010c7365636f6e640010001304046b330100",
    ),
    (
        Codec::Lz4,
        "0000000000000064000000710000000702b3f395020013000000020000018bcfe568000000018bcfe5680500 \
     000000000012670003000000090000000304224d1860408231000000ed4c000000046b312e76616c75652006 \
     00f00f0402680278026e0118000a02010c7365636f6e640010001304046b33010000000000",
    ),
    (
        Codec::Zstd,
        "00000000000000640000007000000007023b5c1e090014000000020000018bcfe568000000018bcfe5680500 \
     000000000012670003000000090000000328b52ffd00589c0100c4024c000000046b312e76616c7565200402 \
     680278026e0118000a02010c7365636f6e640010001304046b3301000100998b12010000",
    ),
];

/// The end of a committed transaction.
const JAVA_MARKER: &str = "0000000000000037000000420000000702f5f27e9a0030000000000000018bcfe568000000018bcfe5680000 \
     000000000012670003ffffffff000000012000000008000000010c00000000000c00";
