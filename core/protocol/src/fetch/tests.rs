use bytes::{Bytes, BytesMut};
use chronik_model::{
    BrokerEpoch, ErrorCode, LeaderEpoch, NodeId, Offset, PartitionIndex, ProducerId, TopicId,
};
use proptest::prelude::*;
use proto_kafka::messages::fetch_request as wire_request;
use proto_kafka::messages::fetch_response as wire_response;

use super::*;
use crate::messages::{
    BrokerId, Decodable, StrBytes, TopicName, decode_response, encode_body, uuid,
};
use crate::topic::{CurrentLeader, NodeEndpoint, TopicRef};
use crate::wire::WireError;

type WireRequest = proto_kafka::messages::FetchRequest;
type WireResponse = proto_kafka::messages::FetchResponse;

const ID: TopicId = TopicId([9; 16]);

fn name(version: i16, text: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(if by_id(version) {
        ""
    } else {
        text
    }))
}

fn id(version: i16) -> TopicId {
    if by_id(version) { ID } else { TopicId::ZERO }
}

fn sample_partition(version: i16, index: i32) -> wire_request::FetchPartition {
    let mut partition = wire_request::FetchPartition::default()
        .with_partition(index)
        .with_fetch_offset(1000)
        .with_partition_max_bytes(1 << 20);
    if version >= 5 {
        partition.log_start_offset = 7;
    }
    if version >= 9 {
        partition.current_leader_epoch = 3;
    }
    if version >= 12 {
        partition.last_fetched_epoch = 2;
        partition
            .unknown_tagged_fields
            .insert(50, Bytes::from_static(b"unknown"));
    }
    if version >= 17 {
        partition.replica_directory_id = uuid(TopicId([5; 16]));
    }
    if version >= 18 {
        partition.high_watermark = 990;
    }
    partition
}

fn sample(version: i16) -> WireRequest {
    let topic = |text, partitions| {
        wire_request::FetchTopic::default()
            .with_topic(name(version, text))
            .with_topic_id(uuid(id(version)))
            .with_partitions(partitions)
    };
    let mut request = WireRequest::default()
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(1 << 25)
        .with_isolation_level(1)
        .with_topics(vec![
            topic(
                "first",
                vec![sample_partition(version, 0), sample_partition(version, 9)],
            ),
            topic("second", vec![]),
        ]);
    if version >= 7 {
        request.session_id = 55;
        request.session_epoch = 8;
        let forgotten = wire_request::ForgottenTopic::default()
            .with_topic(name(version, "third"))
            .with_topic_id(uuid(id(version)))
            .with_partitions(vec![4, 5]);
        request.forgotten_topics_data = vec![forgotten];
    }
    if version >= 11 {
        request.rack_id = StrBytes::from_static_str("rack");
    }
    if version >= 12 {
        request.cluster_id = Some(StrBytes::from_static_str("cluster"));
        request
            .unknown_tagged_fields
            .insert(60, Bytes::from_static(b"unknown"));
    }
    if version >= 15 {
        request.replica_state = wire_request::ReplicaState::default()
            .with_replica_id(BrokerId(2))
            .with_replica_epoch(77);
    } else {
        request.replica_id = BrokerId(2);
    }
    request
}

fn reference(version: i16, topic: &TopicName, topic_id: [u8; 16]) -> TopicRef<'_> {
    if by_id(version) {
        TopicRef::Id(TopicId(topic_id))
    } else {
        TopicRef::Name(topic.0.as_str())
    }
}

fn expected_partition(wire: &wire_request::FetchPartition) -> FetchPartition {
    FetchPartition {
        index: PartitionIndex(wire.partition),
        current_leader_epoch: LeaderEpoch(wire.current_leader_epoch),
        fetch_offset: Offset(wire.fetch_offset),
        last_fetched_epoch: LeaderEpoch(wire.last_fetched_epoch),
        log_start_offset: Offset(wire.log_start_offset),
        partition_max_bytes: wire.partition_max_bytes,
        replica_directory_id: *wire.replica_directory_id.as_bytes(),
        high_watermark: Offset(wire.high_watermark),
    }
}

fn check_topics(version: i16, read: &FetchRequest<'_>, expected: &WireRequest) {
    assert_eq!(read.topics.len(), expected.topics.len());
    for (topic, expected) in read.topics.clone().zip(&expected.topics) {
        let topic_id = *expected.topic_id.as_bytes();
        assert_eq!(topic.topic, reference(version, &expected.topic, topic_id));
        let wanted: Vec<_> = expected.partitions.iter().map(expected_partition).collect();
        assert_eq!(topic.partitions.len(), wanted.len());
        assert_eq!(topic.partitions.clone().collect::<Vec<_>>(), wanted);
    }
    let forgotten = &expected.forgotten_topics_data;
    assert_eq!(read.forgotten_topics.len(), forgotten.len());
    for (topic, expected) in read.forgotten_topics.clone().zip(forgotten) {
        let topic_id = *expected.topic_id.as_bytes();
        assert_eq!(topic.topic, reference(version, &expected.topic, topic_id));
        let partitions: Vec<_> = topic.partitions.clone().map(|index| index.0).collect();
        assert_eq!(partitions, expected.partitions);
    }
}

fn check_request(body: &Bytes, version: i16, expected: &WireRequest) {
    let read = FetchRequest::decode(body, version).unwrap();
    assert_eq!(read.cluster_id, expected.cluster_id.as_deref());
    let state = &expected.replica_state;
    let replica = if version >= 15 {
        state.replica_id
    } else {
        expected.replica_id
    };
    assert_eq!(read.replica_id, NodeId(replica.0));
    assert_eq!(read.is_from_follower(), replica.0 >= 0);
    assert_eq!(read.replica_epoch, BrokerEpoch(state.replica_epoch));
    let limits = (read.max_wait_ms, read.min_bytes, read.max_bytes);
    assert_eq!(
        limits,
        (expected.max_wait_ms, expected.min_bytes, expected.max_bytes)
    );
    let committed = read.isolation_level == IsolationLevel::ReadCommitted;
    assert_eq!(i8::from(committed), expected.isolation_level);
    let session = (read.session_id, read.session_epoch);
    assert_eq!(session, (expected.session_id, expected.session_epoch));
    assert_eq!(read.rack_id, expected.rack_id.as_str());
    check_topics(version, &read, expected);
}

#[test]
fn requests_of_every_version_are_read_as_the_generated_structs_wrote_them() {
    for version in MIN_VERSION..=MAX_VERSION {
        let expected = sample(version);
        check_request(
            &encode_body(version, &expected).unwrap(),
            version,
            &expected,
        );
    }
}

#[test]
fn absent_fields_have_the_defaults_of_the_schema() {
    for version in MIN_VERSION..=MAX_VERSION {
        let partition = wire_request::FetchPartition::default();
        let topic = wire_request::FetchTopic::default().with_partitions(vec![partition.clone()]);
        let request = WireRequest::default().with_topics(vec![topic]);
        let body = encode_body(version, &request).unwrap();
        let read = FetchRequest::decode(&body, version).unwrap();
        assert_eq!(
            (read.replica_id, read.replica_epoch),
            (NodeId(-1), BrokerEpoch(-1))
        );
        assert!(!read.is_from_follower());
        assert_eq!(
            (read.session_id, read.session_epoch, read.rack_id),
            (0, -1, "")
        );
        assert_eq!(read.isolation_level, IsolationLevel::ReadUncommitted);
        let read = read
            .topics
            .clone()
            .next()
            .unwrap()
            .partitions
            .clone()
            .next()
            .unwrap();
        assert_eq!(read, expected_partition(&partition));
    }
}

#[test]
fn every_truncation_is_refused() {
    for version in MIN_VERSION..=MAX_VERSION {
        let body = encode_body(version, &sample(version)).unwrap();
        for end in 0..body.len() {
            assert!(
                FetchRequest::decode(&body.slice(..end), version).is_err(),
                "v{version}"
            );
        }
    }
}

fn check_refused(body: Vec<u8>, version: i16, expected: WireError) {
    let body = Bytes::from(body);
    assert_eq!(
        FetchRequest::decode(&body, version).err(),
        Some(expected),
        "v{version}"
    );
}

#[test]
fn malformed_requests_are_refused() {
    let body = encode_body(4, &sample(4)).unwrap().to_vec();
    check_refused(body.clone(), 3, WireError::UnsupportedVersion(3));
    check_refused(body.clone(), 19, WireError::UnsupportedVersion(19));
    check_refused(
        [&body[..], &[0, 0]].concat(),
        4,
        WireError::TrailingBytes(2),
    );
    let mut isolation = body.clone();
    isolation[16] = 2;
    let invalid = WireError::InvalidValue {
        field: "isolation_level",
        value: 2,
    };
    check_refused(isolation, 4, invalid);
    let mut count = body;
    count[17..21].fill(0x7f);
    count.truncate(21);
    check_refused(
        count,
        4,
        WireError::TooManyElements {
            count: 0x7f7f_7f7f,
            limit: 0,
        },
    );
}

#[test]
fn tags_of_later_versions_are_refused() {
    let mut request = WireRequest::default();
    request
        .unknown_tagged_fields
        .insert(1, Bytes::from_static(b"state"));
    // The generated encoder leaves unknown fields with a known tag out, so the last byte, the
    // number of tagged fields, is replaced by hand.
    let mut body = encode_body(12, &WireRequest::default()).unwrap().to_vec();
    body.pop();
    body.extend_from_slice(&[1, 1, 1, 0]);
    check_refused(body, 12, WireError::UnexpectedTag { tag: 1 });
}

/// What we accept, the generated decoder reads alike.
fn compare(body: &Bytes, version: i16) {
    if FetchRequest::decode(body, version).is_err() {
        return;
    }
    let expected = WireRequest::decode(&mut body.clone(), version).unwrap();
    check_request(body, version, &expected);
}

proptest! {
    #[test]
    fn no_bytes_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        version in MIN_VERSION..=MAX_VERSION,
    ) {
        compare(&Bytes::from(bytes), version);
    }

    #[test]
    fn mutations_are_refused_or_read_alike(
        version in MIN_VERSION..=MAX_VERSION,
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
    rack: None,
};

const ABORTED: AbortedTransaction = AbortedTransaction {
    producer_id: ProducerId(33),
    first_offset: Offset(44),
};

const RECORDS: [&[u8]; 2] = [b"the first records", b"more"];

fn answers() -> [FetchPartitionResponse<'static>; 3] {
    let with_records = FetchPartitionResponse {
        index: PartitionIndex(0),
        error: ErrorCode::None,
        high_watermark: Offset(100),
        last_stable_offset: Offset(90),
        log_start_offset: Offset(10),
        aborted_transactions: Some(&[ABORTED]),
        preferred_read_replica: -1,
        diverging_epoch: None,
        current_leader: None,
        records_len: RECORDS[0].len(),
    };
    let moved = FetchPartitionResponse {
        diverging_epoch: Some(EpochEndOffset {
            epoch: LeaderEpoch(5),
            end_offset: Offset(80),
        }),
        current_leader: Some(LEADER),
        ..FetchPartitionResponse::failed(PartitionIndex(1), ErrorCode::FencedLeaderEpoch)
    };
    let second = FetchPartitionResponse {
        index: PartitionIndex(2),
        aborted_transactions: None,
        records_len: RECORDS[1].len(),
        ..with_records
    };
    [with_records, moved, second]
}

fn assemble(frame: &FetchResponseFrame) -> Bytes {
    let mut records = RECORDS.iter();
    let mut wire = BytesMut::new();
    for piece in frame.pieces() {
        match piece {
            FetchPiece::Own(own) => wire.extend_from_slice(&own),
            FetchPiece::Records(length) => {
                let next = records.next().unwrap();
                assert_eq!(next.len(), length);
                wire.extend_from_slice(next);
            }
        }
    }
    assert_eq!((records.len(), wire.len()), (0, frame.wire_bytes()));
    let (prefix, rest) = wire.split_first_chunk().unwrap();
    assert_eq!(
        usize::try_from(i32::from_be_bytes(*prefix)).unwrap(),
        rest.len()
    );
    wire.freeze().slice(4..)
}

fn written(version: i16) -> Bytes {
    let topic = if by_id(version) {
        TopicRef::Id(ID)
    } else {
        TopicRef::Name("first")
    };
    let error = ErrorCode::FetchSessionIdNotFound;
    let mut writer = FetchResponseWriter::new(version, 42, 17, error, 55, 2);
    writer.topic(topic, 3);
    for answer in answers() {
        writer.partition(&answer);
    }
    writer.topic(topic, 0);
    assemble(&writer.finish(&[ENDPOINT]).unwrap())
}

fn expected_answer(
    version: i16,
    answer: &FetchPartitionResponse<'_>,
    records: &'static [u8],
) -> wire_response::PartitionData {
    let aborted = answer.aborted_transactions.map(|transactions| {
        let aborted = |transaction: &AbortedTransaction| {
            wire_response::AbortedTransaction::default()
                .with_producer_id(transaction.producer_id.0.into())
                .with_first_offset(transaction.first_offset.0)
        };
        transactions.iter().map(aborted).collect()
    });
    let mut expected = wire_response::PartitionData::default()
        .with_partition_index(answer.index.0)
        .with_error_code(answer.error.code())
        .with_high_watermark(answer.high_watermark.0)
        .with_last_stable_offset(answer.last_stable_offset.0)
        .with_aborted_transactions(aborted)
        .with_preferred_read_replica((-1).into())
        .with_records(Some(Bytes::from_static(records)));
    if version >= 5 {
        expected.log_start_offset = answer.log_start_offset.0;
    }
    if let (12.., Some(diverging)) = (version, answer.diverging_epoch) {
        expected.diverging_epoch = wire_response::EpochEndOffset::default()
            .with_epoch(diverging.epoch.0)
            .with_end_offset(diverging.end_offset.0);
    }
    if let (12.., Some(leader)) = (version, answer.current_leader) {
        expected.current_leader = wire_response::LeaderIdAndEpoch::default()
            .with_leader_id(BrokerId(leader.leader_id.0))
            .with_leader_epoch(leader.leader_epoch.0);
    }
    expected
}

fn expected_response(version: i16) -> WireResponse {
    let topic = |partitions| {
        wire_response::FetchableTopicResponse::default()
            .with_topic(name(version, "first"))
            .with_topic_id(uuid(id(version)))
            .with_partitions(partitions)
    };
    let records = [RECORDS[0], b"", RECORDS[1]];
    let partitions = answers()
        .iter()
        .zip(records)
        .map(|(answer, records)| expected_answer(version, answer, records))
        .collect();
    let mut expected = WireResponse::default()
        .with_throttle_time_ms(17)
        .with_responses(vec![topic(partitions), topic(vec![])]);
    if version >= 7 {
        expected.error_code = 70;
        expected.session_id = 55;
    }
    if version >= 16 {
        let endpoint = wire_response::NodeEndpoint::default()
            .with_node_id(BrokerId(4))
            .with_host(StrBytes::from_static_str("host"))
            .with_port(9092);
        expected.node_endpoints = vec![endpoint];
    }
    expected
}

#[test]
fn responses_of_every_version_are_read_by_the_generated_structs() {
    for version in MIN_VERSION..=MAX_VERSION {
        let read = decode_response(&written(version), 1, version).unwrap();
        assert_eq!(read, (42, expected_response(version)), "v{version}");
    }
}

#[test]
fn a_preferred_replica_is_told_from_version_11_on() {
    for version in [10, 11, 18] {
        let topic = if by_id(version) {
            TopicRef::Id(ID)
        } else {
            TopicRef::Name("first")
        };
        let mut writer = FetchResponseWriter::new(version, 1, 0, ErrorCode::None, 0, 1);
        writer.topic(topic, 1);
        let failed = FetchPartitionResponse::failed(PartitionIndex(0), ErrorCode::None);
        writer.partition(&FetchPartitionResponse {
            preferred_read_replica: 3,
            ..failed
        });
        let frame = writer.finish(&[]).unwrap();
        assert_eq!(frame.pieces().count(), 1);
        let Some(FetchPiece::Own(bytes)) = frame.pieces().next() else {
            panic!("no bytes")
        };
        let (_, read): (_, WireResponse) = decode_response(&bytes.slice(4..), 1, version).unwrap();
        let replica = read.responses[0].partitions[0].preferred_read_replica.0;
        assert_eq!(replica, if version >= 11 { 3 } else { -1 });
    }
}

#[test]
fn a_frame_beyond_2_gib_is_refused() {
    let mut writer = FetchResponseWriter::new(12, 1, 0, ErrorCode::None, 0, 1);
    writer.topic(TopicRef::Name("first"), 1);
    let failed = FetchPartitionResponse::failed(PartitionIndex(0), ErrorCode::None);
    let records_len = usize::try_from(i32::MAX).unwrap();
    writer.partition(&FetchPartitionResponse {
        records_len,
        ..failed
    });
    assert!(writer.frame_bytes() > records_len);
    assert!(writer.finish(&[]).is_err());
}

#[test]
#[should_panic(expected = "the topic before lacks partitions")]
fn a_topic_that_lacks_partitions_is_a_bug() {
    let mut writer = FetchResponseWriter::new(12, 1, 0, ErrorCode::None, 0, 2);
    writer.topic(TopicRef::Name("first"), 1);
    writer.topic(TopicRef::Name("second"), 1);
}
