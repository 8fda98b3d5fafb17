use chronik_model::TopicId;
use proptest::prelude::*;

use super::metadata_request::MetadataRequestTopic;
use super::*;
use crate::wire::Writer;

fn metadata(names: usize) -> MetadataRequest {
    let topic = |number: usize| {
        let name = StrBytes::from_string(format!("topic-{number}"));
        MetadataRequestTopic::default().with_name(Some(TopicName(name)))
    };
    MetadataRequest::default().with_topics(Some((0..names).map(topic).collect()))
}

#[test]
fn requests_survive_the_way() {
    for (version, names) in [(9, 0), (9, 3), (12, 20_000), (0, 5)] {
        let request = metadata(names);
        let header = header::RequestHeader {
            api_key: 3,
            api_version: version,
            correlation_id: 5,
            client_id: Some("test"),
        };
        let frame = encode_request(&header, &request).unwrap().slice(4..);
        let (read, body) = header::RequestHeader::decode(&frame).unwrap();
        assert_eq!(read, header);
        assert_eq!(
            decode_request::<MetadataRequest>(&body, version).unwrap(),
            request
        );
    }
}

#[test]
fn bulk_partition_numbers_are_no_attack() {
    let topic = offset_fetch_request::OffsetFetchRequestTopic::default()
        .with_partition_indexes((0..50_000).collect());
    let request = OffsetFetchRequest::default().with_topics(Some(vec![topic]));
    let body = encode_body(1, &request).unwrap();
    assert_eq!(
        decode_request::<OffsetFetchRequest>(&body, 1).unwrap(),
        request
    );
}

#[test]
fn a_long_field_is_no_attack() {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(vec![7; 2_000_000].into());
    let body = encode_body(2, &request).unwrap();
    assert_eq!(
        decode_request::<SaslAuthenticateRequest>(&body, 2).unwrap(),
        request
    );
}

#[test]
fn bytes_behind_a_request_are_passed_over() {
    let mut body = encode_body(9, &metadata(1)).unwrap().to_vec();
    body.extend_from_slice(&[0, 0]);
    let decoded = decode_request::<MetadataRequest>(&body.into(), 9).unwrap();
    assert_eq!(decoded, metadata(1));
}

#[test]
fn oversized_bodies_are_refused() {
    let outcome = decode_request::<MetadataRequest>(&vec![0; MAX_BODY_BYTES + 1].into(), 9);
    assert!(
        matches!(outcome, Err(DecodeError::BodyTooLarge(_))),
        "{outcome:?}"
    );
}

#[test]
fn arrays_can_not_claim_more_than_the_bytes_can_hold() {
    for (claimed, present) in [(i32::MAX, 100), (5_000, 8_000), (150_000, 8_000_000)] {
        let mut body = claimed.to_be_bytes().to_vec();
        body.resize(present, 0xff);
        let outcome = decode_request::<MetadataRequest>(&body.into(), 0);
        let refused = matches!(
            outcome,
            Err(DecodeError::Schema(ProtoError::ArrayTooLong { .. }))
        );
        assert!(refused, "{outcome:?}");
    }
}

#[test]
fn tagged_fields_are_counted() {
    for (count, accepted) in [(1000, true), (200_001, false)] {
        let mut body = BytesMut::new();
        let mut writer = Writer::new(&mut body, true);
        writer.null_array();
        (0..3).for_each(|_flag| writer.i8(0));
        writer.tag_count(count);
        for tag in 0..count {
            writer.unsigned_varint(tag);
            writer.unsigned_varint(0);
        }
        let outcome = decode_request::<MetadataRequest>(&body.freeze(), 9);
        assert_eq!(
            matches!(outcome, Err(DecodeError::TooManyFields)),
            !accepted
        );
        assert_eq!(outcome.is_ok(), accepted);
    }
}

#[test]
fn arrays_within_arrays_are_counted() {
    // Topics without a name and with as many partitions as one array may have.
    for (topics, accepted) in [(4i32, true), (14, false)] {
        let mut body = BytesMut::new();
        let mut writer = Writer::new(&mut body, false);
        writer.nullable_string(Some("group"));
        writer.i32(topics);
        for _ in 0..topics {
            writer.nullable_string(Some(""));
            writer.i32(80_000);
            (0..80_000).for_each(|index| writer.i32(index));
        }
        let outcome = decode_request::<OffsetFetchRequest>(&body.freeze(), 1);
        assert_eq!(
            matches!(outcome, Err(DecodeError::TooManyFields)),
            !accepted
        );
        assert_eq!(outcome.is_ok(), accepted);
    }
}

#[test]
fn responses_come_with_prefix_and_header() {
    let response = HeartbeatResponse::default().with_error_code(27);
    for version in 0..=4 {
        let frame =
            encode_response(response_header_version(12, version), 9, version, &response).unwrap();
        let (prefix, rest) = frame.split_first_chunk().unwrap();
        assert_eq!(
            usize::try_from(i32::from_be_bytes(*prefix)).unwrap(),
            rest.len()
        );
        let read = decode_response::<HeartbeatResponse>(&frame.slice(4..), 12, version).unwrap();
        assert_eq!(read, (9, response.clone()));
    }
}

#[test]
fn topic_ids_survive_both_ways() {
    let id = TopicId(*b"0123456789abcdef");
    let topic = MetadataRequestTopic::default().with_topic_id(uuid(id));
    assert_eq!(topic.topic_id.as_bytes(), &id.0);
    assert_eq!(topic_id(topic.topic_id), id);
}

proptest! {
    #[test]
    fn no_bytes_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200), version in 0i16..14,
    ) {
        let body = Bytes::from(bytes);
        drop(decode_request::<MetadataRequest>(&body, version));
        drop(decode_request::<JoinGroupRequest>(&body, version));
        drop(decode_request::<CreateTopicsRequest>(&body, version));
        drop(decode_request::<OffsetFetchRequest>(&body, version));
    }
}
