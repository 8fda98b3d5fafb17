use std::sync::Arc;

use bytes::Bytes;
use chronik_model::TopicId;

use super::{ConsumerChange, ConsumerRecord, GroupEpoch, ResolvedRegex, TargetEpoch};
use crate::consumer::{ClassicMetadata, CurrentAssignment, MemberMetadata, MemberState};
use crate::outcome::Record;
use crate::record::CoordinatorRecord;

const TOPIC: TopicId = TopicId([
    1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
]);

fn bytes(hex: &str) -> Bytes {
    let digit = |c: u8| u8::try_from(char::from(c).to_digit(16).unwrap()).unwrap();
    hex.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

fn change(change: ConsumerChange) -> CoordinatorRecord {
    CoordinatorRecord::Consumer(ConsumerRecord {
        group_id: "g".into(),
        change,
    })
}

fn member() -> Arc<str> {
    "m".into()
}

fn metadata() -> MemberMetadata {
    MemberMetadata {
        instance_id: Some("i".to_owned()),
        rack_id: None,
        client_id: "c".to_owned(),
        client_host: "/h".to_owned(),
        topic_names: ["a", "b"].map(str::to_owned).into(),
        topic_regex: Some("x.*".to_owned()),
        rebalance_timeout_ms: 300_000,
        assignor: Some("uniform".to_owned()),
        classic: None,
    }
}

/// Key and value are as expected, and read as what was written.
fn check(expected: (&str, &str), written: ConsumerChange) {
    let record = Record {
        key: bytes(expected.0),
        value: Some(bytes(expected.1)),
    };
    let written = change(written);
    assert_eq!(written.encode(), record);
    assert_eq!(CoordinatorRecord::decode(&record), Ok(written));
}

/// Bytes as the serializer of Kafka 4.3.1 writes them; so in the tests below.
#[test]
fn members_are_written_as_kafka_writes_them() {
    check(
        (
            "000500016700016d",
            "00000269000263032f68030261026204782e2a000493e008756e69666f726d00",
        ),
        ConsumerChange::Member(member(), Some(Box::new(metadata()))),
    );
    let classic = MemberMetadata {
        instance_id: None,
        rack_id: Some("r".to_owned()),
        topic_names: ["a".to_owned()].into(),
        topic_regex: Some(String::new()),
        assignor: None,
        classic: Some(ClassicMetadata {
            session_timeout_ms: 45_000,
            protocols: vec![("range".to_owned(), Bytes::from_static(&[1, 2, 3]))],
        }),
        ..metadata()
    };
    check(
        (
            "000500016700016d",
            "00000002720263032f6802026101000493e000010012010000afc8020672616e6765040102030000",
        ),
        ConsumerChange::Member(member(), Some(Box::new(classic))),
    );
}

#[test]
fn epochs_and_targets_are_written_as_kafka_writes_them() {
    let epoch = |metadata_hash| {
        ConsumerChange::Epoch(Some(GroupEpoch {
            epoch: 7,
            metadata_hash,
        }))
    };
    check(
        ("0003000167", "0000000000070100080102030405060708"),
        epoch(0x0102_0304_0506_0708),
    );
    check(("0003000167", "00000000000700"), epoch(0));
    check(
        ("0006000167", "0000000000070100080000011f71fb04cb"),
        ConsumerChange::TargetEpoch(Some(TargetEpoch {
            epoch: 7,
            timestamp_ms: 1_234_567_890_123,
        })),
    );
    check(
        (
            "000700016700016d",
            "000002010203040506070811121314151617180400000000000000010000012c0000",
        ),
        ConsumerChange::TargetMember(member(), Some([(TOPIC, [0, 1, 300].into())].into())),
    );
    check(
        (
            "00100001670003782e2a",
            "00000303783103783200000000000000630000011f71fb04cb00",
        ),
        ConsumerChange::Regex(
            "x.*".into(),
            Some(ResolvedRegex {
                topics: ["x1", "x2"].map(str::to_owned).into(),
                version: 99,
                timestamp_ms: 1_234_567_890_123,
            }),
        ),
    );
}

#[test]
fn assignment_epochs_are_written_and_their_absence_is_read() {
    let written_by_kafka = Record {
        key: bytes("000800016700016d"),
        value: Some(bytes(
            "00000000000700000006010201020304050607081112131415161718030000000000000001010009\
             030000000300000007020102030405060708111213141516171802000000020000",
        )),
    };
    let current = change(ConsumerChange::CurrentMember(
        member(),
        Some(CurrentAssignment {
            epoch: 7,
            previous_epoch: 6,
            state: MemberState::UnrevokedPartitions,
            assigned: [(TOPIC, [(0, 3), (1, 7)].into())].into(),
            // Without epochs of its own: that of the member.
            pending_revocation: [(TOPIC, [(2, 7)].into())].into(),
        }),
    ));
    assert_eq!(
        CoordinatorRecord::decode(&written_by_kafka),
        Ok(current.clone())
    );
    assert_eq!(CoordinatorRecord::decode(&current.encode()), Ok(current));
}

#[test]
fn topic_metadata_of_older_brokers_is_seen_and_tombstones_are_read() {
    let old = Record {
        key: bytes("0004000167"),
        value: Some(bytes(
            "00000201020304050607081112131415161718026100000003010000",
        )),
    };
    let seen = change(ConsumerChange::PartitionMetadata(Some(())));
    assert_eq!(CoordinatorRecord::decode(&old), Ok(seen));
    let tombstones = [
        ConsumerChange::Epoch(None),
        ConsumerChange::PartitionMetadata(None),
        ConsumerChange::Member(member(), None),
        ConsumerChange::TargetEpoch(None),
        ConsumerChange::TargetMember(member(), None),
        ConsumerChange::CurrentMember(member(), None),
        ConsumerChange::Regex("r".into(), None),
    ];
    for tombstone in tombstones.map(change) {
        let record = tombstone.encode();
        assert_eq!(record.value, None);
        assert_eq!(CoordinatorRecord::decode(&record), Ok(tombstone));
    }
}

/// Cut anywhere, and with any byte changed, a record is refused or read; it never panics.
#[test]
fn damage_is_survived() {
    let sound = change(ConsumerChange::Member(member(), Some(Box::new(metadata())))).encode();
    let value = sound.value.unwrap();
    for end in 0..value.len() {
        let cut = Record {
            key: sound.key.clone(),
            value: Some(value.slice(..end)),
        };
        assert!(CoordinatorRecord::decode(&cut).is_err(), "cut at {end}");
    }
    for index in 0..value.len() {
        for byte in [0, 1, 0x7F, 0x80, 0xFF] {
            let mut changed = value.to_vec();
            changed[index] = byte;
            let record = Record {
                key: sound.key.clone(),
                value: Some(changed.into()),
            };
            drop(CoordinatorRecord::decode(&record));
        }
    }
}
