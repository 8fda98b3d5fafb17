//! ListOffsets and DeleteRecords: which partitions are asked, and which are refused at once.

use chronik_model::ErrorCode;
use chronik_protocol::ApiKey;
use chronik_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use chronik_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use chronik_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, ListOffsetsRequest, ListOffsetsResponse,
    encode_body,
};

use super::{Cluster, INVALID_REQUEST, NONE, UNKNOWN_TOPIC, handle, name, versions};
use crate::api::{HandlerError, Outcome};

const NOT_LEADER: i16 = ErrorCode::NotLeaderOrFollower.code();

/// Topic, partition and timestamp of each question, as topics of one partition each.
fn question(asked: &[(&'static str, i32, i64)]) -> ListOffsetsRequest {
    let topics = asked.iter().map(|(topic, index, timestamp)| {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(*index)
            .with_timestamp(*timestamp);
        ListOffsetsTopic::default()
            .with_name(name(topic))
            .with_partitions(vec![partition])
    });
    ListOffsetsRequest::default().with_topics(topics.collect())
}

fn answers(response: &ListOffsetsResponse) -> Vec<(i16, i64)> {
    let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
    partitions
        .map(|each| (each.error_code, each.offset))
        .collect()
}

#[test]
fn answers_stand_where_the_questions_stood() {
    let mut cluster = Cluster::new(&[]);
    cluster.create("orders", &[1, 2, 1, 1], &[]);
    let request = question(&[
        ("orders", 0, -2),
        ("absent", 0, -2),
        ("orders", 1, -2),
        ("orders", 9, -2),
        ("orders", -1, -2),
        ("orders", 2, 50),
        ("orders", 3, -1),
        ("orders", 3, -2),
    ]);
    let expected = [
        (NONE, 98),
        (UNKNOWN_TOPIC, -1),
        (NOT_LEADER, -1),
        (UNKNOWN_TOPIC, -1),
        (UNKNOWN_TOPIC, -1),
        (NONE, 150),
        (INVALID_REQUEST, -1),
        (INVALID_REQUEST, -1),
    ];
    for version in versions(ApiKey::ListOffsets) {
        let response: ListOffsetsResponse = cluster.call(ApiKey::ListOffsets, version, &request);
        assert_eq!(answers(&response), expected, "v{version}");
    }
}

#[test]
fn special_timestamps_begin_with_their_versions() {
    let mut cluster = Cluster::new(&[]);
    cluster.create("orders", &[1], &[]);
    let mut check = |timestamp: i64, first: i16| {
        for version in versions(ApiKey::ListOffsets) {
            let request = question(&[("orders", 0, timestamp)]);
            let response: ListOffsetsResponse =
                cluster.call(ApiKey::ListOffsets, version, &request);
            let expected = match version >= first {
                true => (NONE, 100 + timestamp),
                false => (ErrorCode::UnsupportedVersion.code(), -1),
            };
            assert_eq!(answers(&response), [expected], "{timestamp} v{version}");
        }
    };
    check(-1, 1);
    check(-2, 1);
    check(-3, 7);
    check(-4, 8);
    check(-5, 9);
    check(-6, 11);
    check(-7, i16::MAX);
}

#[test]
fn isolation_levels_are_two() {
    let mut cluster = Cluster::new(&[]);
    cluster.create("orders", &[1], &[]);
    for (level, expected) in [(0, NONE), (1, NONE), (2, INVALID_REQUEST)] {
        let request = question(&[("orders", 0, -1)]).with_isolation_level(level);
        let response: ListOffsetsResponse = cluster.call(ApiKey::ListOffsets, 10, &request);
        assert_eq!(answers(&response)[0].0, expected, "{level}");
    }
}

#[test]
fn a_missing_answer_is_noticed() {
    let mut cluster = Cluster::new(&[]);
    cluster.create("orders", &[1], &[]);
    let body = encode_body(10, &question(&[("orders", 0, -1)])).unwrap();
    let outcome = handle(
        &cluster.view,
        &cluster.identity,
        ApiKey::ListOffsets,
        10,
        &body,
    );
    let Outcome::Partitions(_, after) = outcome else {
        panic!("nobody is asked")
    };
    let finished = after(
        &super::context(&cluster.view, &cluster.identity),
        Vec::new(),
    );
    assert!(matches!(finished, Err(HandlerError::UnexpectedAnswer)));
}

#[test]
fn records_are_deleted_where_deletion_is_a_policy() {
    let mut cluster = Cluster::new(&[]);
    cluster.create("orders", &[1], &[]);
    cluster.create("table", &[1], &[("cleanup.policy", "compact")]);
    cluster.create("both", &[1], &[("cleanup.policy", "compact,delete")]);
    cluster.create("__consumer_offsets", &[1], &[]);
    let mut check = |topic: &'static str, offset: i64, expected: (ErrorCode, i64)| {
        let partition = DeleteRecordsPartition::default().with_offset(offset);
        let topics = DeleteRecordsTopic::default()
            .with_name(name(topic))
            .with_partitions(vec![partition]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topics]);
        let response: DeleteRecordsResponse = cluster.call(ApiKey::DeleteRecords, 2, &request);
        let found = &response.topics[0].partitions[0];
        let (error, low_watermark) = expected;
        assert_eq!(
            (found.error_code, found.low_watermark),
            (error.code(), low_watermark)
        );
    };
    check("orders", 5, (ErrorCode::None, 5));
    check("orders", -1, (ErrorCode::None, 77));
    check("orders", -2, (ErrorCode::OffsetOutOfRange, -1));
    check("both", 5, (ErrorCode::None, 5));
    check("table", 5, (ErrorCode::PolicyViolation, -1));
    check(
        "__consumer_offsets",
        5,
        (ErrorCode::InvalidTopicException, -1),
    );
    check("absent", 5, (ErrorCode::UnknownTopicOrPartition, -1));
}
