use bytes::{Bytes, BytesMut};
use chronik_model::{ErrorCode, LeaderEpoch, NodeId, Offset, PartitionIndex, TopicId};
use proptest::prelude::*;
use proto_kafka::messages::produce_request as wire_request;
use proto_kafka::messages::produce_response as wire_response;

use super::*;
use crate::messages::{
    BrokerId, Decodable, StrBytes, TopicName, TransactionalId, decode_response, encode_body, uuid,
};
use crate::topic::{CurrentLeader, NodeEndpoint, TopicRef};
use crate::wire::WireError;

type WireRequest = proto_kafka::messages::ProduceRequest;
type WireResponse = proto_kafka::messages::ProduceResponse;

const ID: TopicId = TopicId([9; 16]);

fn sample(version: i16) -> WireRequest {
    let partition = |index: i32, records: Option<&'static [u8]>| {
        wire_request::PartitionProduceData::default()
            .with_index(index)
            .with_records(records.map(Bytes::from_static))
    };
    let topic = |name: &'static str, partitions: Vec<_>| {
        let topic = wire_request::TopicProduceData::default().with_partition_data(partitions);
        if by_id(version) {
            topic.with_topic_id(uuid(ID))
        } else {
            topic.with_name(TopicName(StrBytes::from_static_str(name)))
        }
    };
    let mut request = WireRequest::default()
        .with_transactional_id(Some(TransactionalId(StrBytes::from_static_str("tx"))))
        .with_acks(-1)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![
            topic(
                "first",
                vec![partition(0, Some(b"records")), partition(7, None)],
            ),
            topic("second", vec![]),
            topic("third", vec![partition(1, Some(b""))]),
        ]);
    if is_flexible(version) {
        request = request.with_unknown_tagged_field(300, Bytes::from_static(b"unknown"));
        let topic = &mut request.topic_data[0];
        topic
            .unknown_tagged_fields
            .insert(1, Bytes::from_static(b"t"));
        topic.partition_data[1]
            .unknown_tagged_fields
            .insert(2, Bytes::new());
    }
    request
}

fn check_request(body: &Bytes, version: i16, expected: &WireRequest) {
    let read = ProduceRequest::decode(body, version).unwrap();
    assert_eq!(
        read.transactional_id,
        expected.transactional_id.as_ref().map(|id| id.0.as_str())
    );
    assert_eq!(
        (read.acks, read.timeout_ms),
        (expected.acks, expected.timeout_ms)
    );
    assert_eq!(read.topics.len(), expected.topic_data.len());
    for (topic, expected) in read.topics.clone().zip(&expected.topic_data) {
        let reference = if by_id(version) {
            TopicRef::Id(TopicId(*expected.topic_id.as_bytes()))
        } else {
            TopicRef::Name(expected.name.0.as_str())
        };
        assert_eq!(topic.topic, reference);
        let partitions: Vec<_> = topic.partitions.clone().collect();
        assert_eq!(partitions.len(), topic.partitions.len());
        let expected: Vec<_> = expected
            .partition_data
            .iter()
            .map(|data| ProducePartition {
                index: PartitionIndex(data.index),
                records: data.records.clone(),
            })
            .collect();
        assert_eq!(partitions, expected);
    }
}

#[test]
fn requests_of_every_version_are_read_as_the_generated_structs_wrote_them() {
    for version in 3..=MAX_VERSION {
        let request = sample(version);
        check_request(&encode_body(version, &request).unwrap(), version, &request);
    }
}

#[test]
fn requests_before_version_3_lack_the_transactional_id() {
    let mut request = sample(3);
    request.transactional_id = None;
    let body = encode_body(3, &request).unwrap().slice(2..);
    for version in 0..=2 {
        check_request(&body, version, &request);
    }
}

#[test]
fn records_are_slices_of_the_frame() {
    let body = encode_body(9, &sample(9)).unwrap();
    let request = ProduceRequest::decode(&body, 9).unwrap();
    let records = request
        .topics
        .clone()
        .next()
        .unwrap()
        .partitions
        .clone()
        .next()
        .unwrap()
        .records
        .unwrap();
    assert!(body.as_ptr_range().contains(&records.as_ptr()));
}

fn check_refused(body: Vec<u8>, version: i16, expected: WireError) {
    let body = Bytes::from(body);
    assert_eq!(
        ProduceRequest::decode(&body, version).err(),
        Some(expected),
        "v{version}"
    );
}

#[test]
fn malformed_requests_are_refused() {
    let body = encode_body(9, &sample(9)).unwrap();
    check_refused(body.to_vec(), -1, WireError::UnsupportedVersion(-1));
    check_refused(body.to_vec(), 14, WireError::UnsupportedVersion(14));
    check_refused([&body[..], &[0]].concat(), 9, WireError::TrailingBytes(1));
    let huge = [&[0, 1, 0, 0, 0, 0][..], &i32::MAX.to_be_bytes()].concat();
    let too_many = WireError::TooManyElements {
        count: 0x7fff_ffff,
        limit: 0,
    };
    check_refused(huge, 0, too_many);
    let null = [&[0, 1, 0, 0, 0, 0][..], &[0xff; 4]].concat();
    check_refused(null, 0, WireError::UnexpectedNull);
}

#[test]
fn every_truncation_is_refused() {
    for version in 3..=MAX_VERSION {
        let body = encode_body(version, &sample(version)).unwrap();
        for end in 0..body.len() {
            assert!(
                ProduceRequest::decode(&body.slice(..end), version).is_err(),
                "v{version}"
            );
        }
    }
}

/// What we accept, the generated decoder reads alike.
fn compare(body: &Bytes, version: i16) {
    if ProduceRequest::decode(body, version).is_err() || version < 3 {
        return;
    }
    let expected = WireRequest::decode(&mut body.clone(), version).unwrap();
    check_request(body, version, &expected);
}

proptest! {
    #[test]
    fn no_bytes_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200), version in 0..=MAX_VERSION,
    ) {
        compare(&Bytes::from(bytes), version);
    }

    #[test]
    fn mutations_are_refused_or_read_alike(
        version in 3..=MAX_VERSION,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut body = encode_body(version, &sample(version)).unwrap().to_vec();
        for (place, byte) in changes {
            let place = place.index(body.len());
            body[place] = byte;
        }
        compare(&Bytes::from(body), version);
    }
}

const LEADER: CurrentLeader = CurrentLeader {
    leader_id: NodeId(4),
    leader_epoch: LeaderEpoch(6),
};

const ENDPOINT: NodeEndpoint<'_> = NodeEndpoint {
    node_id: NodeId(4),
    host: "host",
    port: 9092,
    rack: Some("rack"),
};

fn moved() -> ProducePartitionResponse<'static> {
    ProducePartitionResponse {
        error_message: Some("moved"),
        current_leader: Some(LEADER),
        record_errors: &[
            RecordError {
                batch_index: 3,
                message: Some("bad"),
            },
            RecordError {
                batch_index: 5,
                message: None,
            },
        ],
        ..ProducePartitionResponse::failed(PartitionIndex(7), ErrorCode::NotLeaderOrFollower)
    }
}

fn taken() -> ProducePartitionResponse<'static> {
    ProducePartitionResponse {
        index: PartitionIndex(0),
        error: ErrorCode::None,
        base_offset: Offset(1234),
        log_append_time_ms: 99,
        log_start_offset: Offset(12),
        record_errors: &[],
        error_message: None,
        current_leader: None,
    }
}

fn written(version: i16) -> Bytes {
    let topic = if by_id(version) {
        TopicRef::Id(ID)
    } else {
        TopicRef::Name("first")
    };
    let mut buffer = BytesMut::from(&b"left by an unfinished one"[..]);
    let mut writer = ProduceResponseWriter::new(&mut buffer, version, 42, 2);
    writer.topic(topic, 2);
    writer.partition(&taken());
    writer.partition(&moved());
    writer.topic(topic, 0);
    let frame = writer.finish(17, &[ENDPOINT]).unwrap();
    let (prefix, rest) = frame.split_first_chunk().unwrap();
    assert_eq!(
        usize::try_from(i32::from_be_bytes(*prefix)).unwrap(),
        rest.len()
    );
    frame.slice(4..)
}

fn expected_partition(
    version: i16,
    partition: &ProducePartitionResponse<'_>,
) -> wire_response::PartitionProduceResponse {
    let mut expected = wire_response::PartitionProduceResponse::default()
        .with_index(partition.index.0)
        .with_error_code(partition.error.code())
        .with_base_offset(partition.base_offset.0)
        .with_log_append_time_ms(partition.log_append_time_ms);
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    if version >= 5 {
        expected.log_start_offset = partition.log_start_offset.0;
    }
    if version >= 8 {
        expected.error_message = partition.error_message.map(text);
        let record_error = |error: &RecordError<'_>| {
            wire_response::BatchIndexAndErrorMessage::default()
                .with_batch_index(error.batch_index)
                .with_batch_index_error_message(error.message.map(text))
        };
        expected.record_errors = partition.record_errors.iter().map(record_error).collect();
    }
    if let (10.., Some(leader)) = (version, partition.current_leader) {
        expected.current_leader = wire_response::LeaderIdAndEpoch::default()
            .with_leader_id(BrokerId(leader.leader_id.0))
            .with_leader_epoch(leader.leader_epoch.0);
    }
    expected
}

#[test]
fn responses_of_every_version_are_read_by_the_generated_structs() {
    for version in 3..=MAX_VERSION {
        let topic = |partitions| {
            let topic =
                wire_response::TopicProduceResponse::default().with_partition_responses(partitions);
            if by_id(version) {
                topic.with_topic_id(uuid(ID))
            } else {
                topic.with_name(TopicName(StrBytes::from_static_str("first")))
            }
        };
        let partitions = vec![
            expected_partition(version, &taken()),
            expected_partition(version, &moved()),
        ];
        let mut expected = WireResponse::default()
            .with_throttle_time_ms(17)
            .with_responses(vec![topic(partitions), topic(vec![])]);
        if version >= 10 {
            let endpoint = wire_response::NodeEndpoint::default()
                .with_node_id(BrokerId(4))
                .with_host(StrBytes::from_static_str("host"))
                .with_port(9092)
                .with_rack(Some(StrBytes::from_static_str("rack")));
            expected.node_endpoints = vec![endpoint];
        }
        let read = decode_response(&written(version), 0, version).unwrap();
        assert_eq!(read, (42, expected), "v{version}");
    }
}

#[test]
fn responses_before_version_3() {
    let version_3 = written(3);
    assert_eq!(written(2), version_3);
    let without_append_time = version_3.len() - 2 * 8;
    assert_eq!(written(1).len(), without_append_time);
    assert_eq!(written(0), written(1).slice(..without_append_time - 4));
    let mut bytes = written(0);
    let header_and_counts = bytes.split_to(4 + 4 + 2 + 5 + 4);
    assert!(header_and_counts.ends_with(b"\0\x05first\0\0\0\x02"));
    assert_eq!(bytes.split_to(14), b"\0\0\0\0\0\0\0\0\0\0\0\0\x04\xd2"[..]);
    assert_eq!(
        bytes.split_to(14),
        b"\0\0\0\x07\0\x06\xff\xff\xff\xff\xff\xff\xff\xff"[..]
    );
    assert_eq!(bytes, b"\0\x05first\0\0\0\0"[..]);
}

#[test]
#[should_panic(expected = "less told than announced")]
fn a_response_that_lacks_topics_is_a_bug() {
    drop(ProduceResponseWriter::new(&mut BytesMut::new(), 9, 1, 1).finish(0, &[]));
}

#[test]
#[should_panic(expected = "more partitions than announced")]
fn a_response_of_too_many_partitions_is_a_bug() {
    let mut buffer = BytesMut::new();
    let mut writer = ProduceResponseWriter::new(&mut buffer, 9, 1, 1);
    writer.topic(TopicRef::Name("first"), 0);
    writer.partition(&taken());
}

#[test]
fn our_sample_is_what_the_generated_decoder_reads() {
    for version in 3..=MAX_VERSION {
        let mut body = encode_body(version, &sample(version)).unwrap();
        assert_eq!(
            WireRequest::decode(&mut body, version).unwrap(),
            sample(version)
        );
    }
}
