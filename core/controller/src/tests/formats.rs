//! Bytes of records and snapshots.

use chronik_model::rng::Rng;
use chronik_model::{
    BrokerEpoch, LeaderEpoch, NodeId, PartitionIndex, ProducerId, TopicId, TopicName,
};

use super::{Node, config, create, topic};
use crate::{
    BrokerRegistered, ConfigSet, ConfigTarget, DecodeError, Endpoint, IncarnationId,
    MetadataRecord, PartitionEpoch, PartitionRecord, SnapshotError, decode_batch, decode_snapshot,
    encode_batch, encode_snapshot,
};

fn samples() -> Vec<MetadataRecord> {
    let topic_id = TopicId([7; 16]);
    let partition = PartitionRecord {
        topic_id,
        partition: PartitionIndex(3),
        replicas: vec![NodeId(1), NodeId(2)],
        isr: vec![NodeId(2)],
        leader: None,
        leader_epoch: LeaderEpoch(4),
        partition_epoch: PartitionEpoch(5),
    };
    let config = |target, value: Option<&str>| {
        let value = value.map(str::to_owned);
        MetadataRecord::ConfigSet(ConfigSet {
            target,
            key: "k".into(),
            value,
        })
    };
    let broker = BrokerRegistered {
        node_id: NodeId(1),
        incarnation: IncarnationId([2; 16]),
        endpoints: vec![Endpoint {
            listener: "L".into(),
            host: "h".into(),
            port: 65_535,
        }],
        rack: Some("r".into()),
        broker_epoch: Some(BrokerEpoch(6)),
    };
    vec![
        MetadataRecord::ClusterCreated {
            cluster_id: "c".into(),
        },
        MetadataRecord::BrokerRegistered(BrokerRegistered {
            broker_epoch: None,
            ..broker.clone()
        }),
        MetadataRecord::BrokerRegistered(broker),
        MetadataRecord::TopicCreated {
            topic_id,
            name: TopicName::new("t").unwrap(),
        },
        MetadataRecord::PartitionCreated(partition.clone()),
        MetadataRecord::TopicDeleted { topic_id },
        config(ConfigTarget::Topic(topic_id), Some("v")),
        config(ConfigTarget::Broker(None), None),
        config(ConfigTarget::Broker(Some(NodeId(1))), Some("")),
        MetadataRecord::ProducerIdsReserved {
            node_id: NodeId(1),
            next_producer_id: ProducerId(1 << 40),
        },
        MetadataRecord::PartitionChanged(PartitionRecord {
            leader: Some(NodeId(2)),
            ..partition
        }),
    ]
}

#[test]
fn records_survive_their_bytes() {
    assert_eq!(decode_batch(&encode_batch(&samples())), Ok(samples()));
    assert_eq!(decode_batch(b""), Ok(Vec::new()));
}

#[test]
fn the_bytes_of_a_record_stay_as_they_are() {
    let record = MetadataRecord::ProducerIdsReserved {
        node_id: NodeId(2),
        next_producer_id: ProducerId(1000),
    };
    let expected = [1, 7, 0, 12, 0, 0, 0, 2, 0, 0, 0, 0xE8, 3, 0, 0, 0, 0, 0, 0];
    assert_eq!(&encode_batch(&[record])[..], expected);
}

#[test]
fn records_of_the_future_are_skipped_or_refused() {
    let check = |bytes: &[u8], expected: Result<usize, DecodeError>| {
        assert_eq!(
            decode_batch(bytes).map(|records| records.len()),
            expected,
            "{bytes:?}"
        );
    };
    check(&[1, 0x80, 9, 1, 0, 0, 0, 5], Ok(0));
    check(
        &[1, 0x70, 0, 0, 0, 0, 0],
        Err(DecodeError::UnknownKind(0x70)),
    );
    check(&[1, 0, 0, 0, 0, 0, 0], Err(DecodeError::UnknownKind(0)));
    check(
        &[1, 5, 1, 0, 0, 0, 0],
        Err(DecodeError::UnknownVersion {
            kind: 5,
            version: 1,
        }),
    );
    check(&[2], Err(DecodeError::UnknownFormat(2)));
    check(&[1, 5, 0, 0, 0, 0, 0], Err(DecodeError::Truncated));
    check(&[1, 5, 0, 255, 255, 255, 255], Err(DecodeError::Truncated));
    check(
        &[1, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9],
        Err(DecodeError::TrailingBytes(1)),
    );
    check(
        &[1, 1, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0xFF],
        Err(DecodeError::NotUtf8),
    );
}

#[test]
fn a_cut_batch_is_refused_unless_it_ends_between_records() {
    let bytes = encode_batch(&samples());
    let counts: Vec<usize> = (1..=bytes.len())
        .filter_map(|end| decode_batch(&bytes[..end]).ok())
        .map(|r| r.len())
        .collect();
    assert_eq!(counts, (0..=samples().len()).collect::<Vec<_>>());
}

#[test]
fn random_and_damaged_bytes_never_panic() {
    let mut rng = Rng::new(11);
    let mut node = Node::with_brokers(config(1), 2);
    node.ask(create(vec![topic("a.b", 3, 2)]));
    let batch = encode_batch(&samples());
    let snapshot = encode_snapshot(&node.published);
    for _ in 0..20_000 {
        let length = usize::try_from(rng.below(200)).unwrap();
        let mut bytes: Vec<u8> = (0..length).map(|_| rng.bytes16()[0] & 0x8F).collect();
        drop(decode_batch(&bytes));
        bytes.insert(0, 1);
        drop(decode_batch(&bytes));
        assert!(decode_snapshot(&bytes).is_err());
        let mut flipped = batch.to_vec();
        let at = usize::try_from(rng.below(u64::try_from(flipped.len()).unwrap())).unwrap();
        flipped[at] ^= 1 << rng.below(8);
        drop(decode_batch(&flipped));
        let mut flipped = snapshot.to_vec();
        let at = usize::try_from(rng.below(u64::try_from(flipped.len()).unwrap())).unwrap();
        flipped[at] ^= 1 << rng.below(8);
        assert!(decode_snapshot(&flipped).is_err());
        // Damage behind a checksum that matches, as a broken writer would leave.
        let crc = crc32c::crc32c(&flipped[9..]);
        flipped[5..9].copy_from_slice(&crc.to_le_bytes());
        drop(decode_snapshot(&flipped));
    }
}

#[test]
fn snapshots_know_their_format() {
    let bytes = encode_snapshot(&crate::MetadataImage::default());
    assert_eq!(decode_snapshot(&bytes), Ok(crate::MetadataImage::default()));
    assert_eq!(
        decode_snapshot(b"CKMS\x02rest"),
        Err(SnapshotError::UnknownFormat)
    );
    assert_eq!(
        decode_snapshot(b"CK"),
        Err(SnapshotError::Decode(DecodeError::Truncated))
    );
}
