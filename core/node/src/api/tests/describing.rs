//! APIs that describe partitions, directories, producers and the quorum.

use chronik_model::ErrorCode;
use chronik_protocol::ApiKey;
use chronik_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use chronik_protocol::messages::describe_producers_request::TopicRequest as ProducersTopic;
use chronik_protocol::messages::describe_quorum_request::{
    PartitionData as QuorumPartition, TopicData as QuorumTopic,
};
use chronik_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use chronik_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use chronik_protocol::messages::*;

use super::{Cluster, INVALID_REQUEST, NONE, UNKNOWN_TOPIC, name, versions};
use crate::messages::PartitionAnswer;

const NOT_LEADER: i16 = ErrorCode::NotLeaderOrFollower.code();
/// Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs.
const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;

fn string(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

/// Topic, partition, stated epoch and epoch asked about.
fn epochs(asked: &[(&'static str, i32, i32, i32)]) -> OffsetForLeaderEpochRequest {
    let topics = asked.iter().map(|(topic, index, current, epoch)| {
        let partition = OffsetForLeaderPartition::default()
            .with_partition(*index)
            .with_current_leader_epoch(*current)
            .with_leader_epoch(*epoch);
        OffsetForLeaderTopic::default()
            .with_topic(name(topic))
            .with_partitions(vec![partition])
    });
    OffsetForLeaderEpochRequest::default().with_topics(topics.collect())
}

#[test]
fn epochs_end_where_their_leader_says() {
    let mut cluster = Cluster::new(&[]);
    cluster.create("orders", &[1, 2, 1, 1], &[]);
    let request = epochs(&[
        ("orders", 2, 5, 4),
        ("absent", 0, -1, 4),
        ("orders", 1, -1, 4),
        ("orders", 9, -1, 4),
        ("orders", 0, -1, 9),
        ("orders", 3, -1, -1),
    ]);
    for version in versions(ApiKey::OffsetForLeaderEpoch) {
        let response: OffsetForLeaderEpochResponse =
            cluster.call(ApiKey::OffsetForLeaderEpoch, version, &request);
        let ends: Vec<_> = response
            .topics
            .iter()
            .map(|topic| {
                let end = &topic.partitions[0];
                (end.error_code, end.leader_epoch, end.end_offset)
            })
            .collect();
        let expected = [
            (NONE, 4, 40),
            (UNKNOWN_TOPIC, -1, -1),
            (NOT_LEADER, -1, -1),
            (UNKNOWN_TOPIC, -1, -1),
            (NONE, 9, 90),
            (NONE, -1, -1),
        ];
        assert_eq!(ends, expected, "v{version}");
    }
}

/// Topics asked for, the most partitions, and a cursor.
fn page(
    topics: &[&'static str],
    limit: i32,
    cursor: Option<(&'static str, i32)>,
) -> DescribeTopicPartitionsRequest {
    let topics = topics
        .iter()
        .map(|topic| TopicRequest::default().with_name(name(topic)));
    let cursor = cursor.map(|(topic, index)| {
        Cursor::default()
            .with_topic_name(name(topic))
            .with_partition_index(index)
    });
    DescribeTopicPartitionsRequest::default()
        .with_topics(topics.collect())
        .with_response_partition_limit(limit)
        .with_cursor(cursor)
}

/// Topics with their error and partitions, and the cursor.
type Page = (Vec<(String, i16, Vec<i32>)>, Option<(String, i32)>);

fn turn(cluster: &mut Cluster, request: &DescribeTopicPartitionsRequest) -> Page {
    let response: DescribeTopicPartitionsResponse =
        cluster.call(ApiKey::DescribeTopicPartitions, 0, request);
    let topics = response.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|each| each.partition_index);
        let name = topic.name.as_ref().unwrap().to_string();
        (name, topic.error_code, partitions.collect())
    });
    let next = response.next_cursor.as_ref();
    let next = next.map(|next| (next.topic_name.to_string(), next.partition_index));
    (topics.collect(), next)
}

fn paged() -> Cluster {
    let mut cluster = Cluster::new(&[("max.request.partition.size.limit", "4")]);
    cluster.create("b", &[1, 2, 1], &[]);
    cluster.create("a", &[1, 1], &[]);
    cluster.create("c", &[1], &[]);
    cluster
}

#[test]
fn topics_are_described_page_by_page() {
    let mut cluster = paged();
    let mut check = |request: DescribeTopicPartitionsRequest,
                     topics: &[(&str, i16, &[i32])],
                     next: Option<(&str, i32)>| {
        let topics = topics
            .iter()
            .map(|(topic, error, partitions)| ((*topic).to_owned(), *error, partitions.to_vec()));
        let next = next.map(|(topic, index)| (topic.to_owned(), index));
        let expected = (topics.collect(), next);
        assert_eq!(turn(&mut cluster, &request), expected, "{request:?}");
    };
    let invalid = ErrorCode::InvalidTopicException.code();
    // The broker's limit ends the page within "b", the client's own limit earlier.
    check(
        page(&[], 100, None),
        &[("a", NONE, &[0, 1]), ("b", NONE, &[0, 1])],
        Some(("b", 2)),
    );
    check(page(&[], 2, None), &[("a", NONE, &[0, 1])], Some(("b", 0)));
    check(page(&[], -1, None), &[("a", NONE, &[0])], Some(("a", 1)));
    check(
        page(&[], 100, Some(("b", 2))),
        &[("b", NONE, &[2]), ("c", NONE, &[0])],
        None,
    );
    // A topic that was deleted between two pages.
    check(page(&[], 100, Some(("bb", 1))), &[("c", NONE, &[0])], None);
    // By name, in order, each once.
    check(
        page(&["c", "absent", "a", "c", "no/name"], 100, None),
        &[
            ("a", NONE, &[0, 1]),
            ("absent", UNKNOWN_TOPIC, &[]),
            ("c", NONE, &[0]),
            ("no/name", invalid, &[]),
        ],
        None,
    );
    check(
        page(&["a", "b"], 100, Some(("b", 1))),
        &[("b", NONE, &[1, 2])],
        None,
    );
    check(
        page(&["a", "b"], 100, Some(("b", 7))),
        &[("b", NONE, &[])],
        None,
    );
    // Cursors without sense.
    let refused: [(&str, i16, &[i32]); 1] = [("a", INVALID_REQUEST, &[])];
    check(page(&["a"], 100, Some(("b", 0))), &refused, None);
    check(page(&["a"], 100, Some(("a", -1))), &refused, None);
}

#[test]
fn a_described_partition_has_its_leader_and_replicas() {
    let mut cluster = paged();
    let id = cluster.view.image.topic_by_name("b").unwrap().id;
    let response: DescribeTopicPartitionsResponse =
        cluster.call(ApiKey::DescribeTopicPartitions, 0, &page(&["b"], 100, None));
    let topic = &response.topics[0];
    assert_eq!(topic_id(topic.topic_id), id);
    assert_eq!(topic.topic_authorized_operations, TOPIC_OPERATIONS);
    let second = &topic.partitions[1];
    assert_eq!((second.error_code, second.leader_id), (NONE, BrokerId(2)));
    assert_eq!(second.replica_nodes, [BrokerId(2)]);
    assert_eq!(second.isr_nodes, [BrokerId(2)]);
    assert!(second.offline_replicas.is_empty());
    assert_eq!(second.eligible_leader_replicas, Some(Vec::new()));
}

fn with_directory() -> Cluster {
    let mut cluster = Cluster::new(&[("log.dirs", "/data")]);
    cluster.create("orders", &[1, 2, 1], &[]);
    cluster.create("audit", &[1], &[]);
    cluster
}

fn sizes(topics: Option<&[(&'static str, &[i32])]>) -> DescribeLogDirsRequest {
    let topics = topics.map(|topics| {
        let topics = topics.iter().map(|(topic, partitions)| {
            DescribableLogDirTopic::default()
                .with_topic(name(topic))
                .with_partitions(partitions.to_vec())
        });
        topics.collect()
    });
    DescribeLogDirsRequest::default().with_topics(topics)
}

/// Topic, partition and bytes of everything in the only directory.
fn described(response: &DescribeLogDirsResponse) -> Vec<(&str, i32, i64)> {
    let [directory] = &response.results[..] else {
        panic!("{response:?}")
    };
    assert_eq!(&*directory.log_dir, "/data");
    assert_eq!((directory.total_bytes, directory.usable_bytes), (-1, -1));
    let topics = directory.topics.iter();
    topics
        .flat_map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.map(|each| {
                (
                    topic.name.as_str(),
                    each.partition_index,
                    each.partition_size,
                )
            })
        })
        .collect()
}

#[test]
fn log_dirs_hold_what_is_here() {
    for version in versions(ApiKey::DescribeLogDirs) {
        let mut cluster = with_directory();
        let mut check = |topics: Option<&[(&'static str, &[i32])]>, expected: &[_]| {
            let response: DescribeLogDirsResponse =
                cluster.call(ApiKey::DescribeLogDirs, version, &sizes(topics));
            assert_eq!(response.error_code, NONE, "v{version}");
            assert_eq!(response.results[0].error_code, NONE, "v{version}");
            assert_eq!(described(&response), expected, "v{version}");
        };
        let all = [("audit", 0, 1000), ("orders", 0, 1000), ("orders", 2, 1000)];
        check(None, &all);
        check(Some(&[]), &[]);
        check(Some(&[("absent", &[0])]), &[]);
        let some: [(&str, &[i32]); 2] = [("orders", &[2, 1, 2, 7, -1]), ("absent", &[0])];
        check(Some(&some), &[("orders", 2, 1000)]);
    }
}

#[test]
fn a_failed_directory_says_so() {
    let cluster = with_directory();
    let check = |failed: ErrorCode, expected: (i16, &[(&str, i32, i64)])| {
        let answers = vec![
            PartitionAnswer::Size(7),
            PartitionAnswer::Failed(failed),
            PartitionAnswer::Size(9),
        ];
        let response: DescribeLogDirsResponse =
            cluster.call_with(ApiKey::DescribeLogDirs, 4, &sizes(None), answers);
        let (error, partitions) = expected;
        assert_eq!(response.results[0].error_code, error);
        assert_eq!(described(&response), partitions);
    };
    let storage = ErrorCode::KafkaStorageError;
    check(storage, (storage.code(), &[]));
    let rest = [("audit", 0, 7), ("orders", 2, 9)];
    check(ErrorCode::NotLeaderOrFollower, (NONE, &rest));
}

#[test]
fn producers_are_described_by_leaders() {
    let mut cluster = with_directory();
    let topic = |topic, partitions: &[i32]| {
        ProducersTopic::default()
            .with_name(name(topic))
            .with_partition_indexes(partitions.to_vec())
    };
    let topics = vec![topic("orders", &[2, 1, 9]), topic("absent", &[0])];
    let request = DescribeProducersRequest::default().with_topics(topics);
    let response: DescribeProducersResponse = cluster.call(ApiKey::DescribeProducers, 0, &request);
    let errors: Vec<_> = response
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|each| each.error_code))
        .collect();
    assert_eq!(errors, [NONE, NOT_LEADER, UNKNOWN_TOPIC, UNKNOWN_TOPIC]);
    let [producer] = &response.topics[0].partitions[0].active_producers[..] else {
        panic!("{response:?}")
    };
    let who = (producer.producer_id.0, producer.producer_epoch);
    assert_eq!(who, (77, 3));
    let last = (producer.last_sequence, producer.last_timestamp);
    assert_eq!(last, (41, 1234));
    let transaction = (
        producer.coordinator_epoch,
        producer.current_txn_start_offset,
    );
    assert_eq!(transaction, (-1, -1));
}

#[test]
fn the_quorum_is_this_node() {
    let topic = |topic, index| {
        let partition = QuorumPartition::default().with_partition_index(index);
        QuorumTopic::default()
            .with_topic_name(name(topic))
            .with_partitions(vec![partition])
    };
    let topics = vec![
        topic("__cluster_metadata", 0),
        topic("__cluster_metadata", 1),
        topic("orders", 0),
    ];
    let request = DescribeQuorumRequest::default().with_topics(topics);
    for version in versions(ApiKey::DescribeQuorum) {
        let mut cluster = with_directory();
        let end = cluster.view.image.offset().0 + 1;
        let response: DescribeQuorumResponse =
            cluster.call(ApiKey::DescribeQuorum, version, &request);
        assert_eq!(response.error_code, NONE);
        let errors = response.topics.iter();
        let errors: Vec<_> = errors.map(|topic| topic.partitions[0].error_code).collect();
        assert_eq!(errors, [NONE, UNKNOWN_TOPIC, UNKNOWN_TOPIC], "v{version}");
        let quorum = &response.topics[0].partitions[0];
        assert_eq!(
            (quorum.leader_id, quorum.high_watermark),
            (BrokerId(1), end)
        );
        let [voter] = &quorum.current_voters[..] else {
            panic!("{quorum:?}")
        };
        assert_eq!((voter.replica_id, voter.log_end_offset), (BrokerId(1), end));
        assert_eq!(response.nodes.len(), usize::from(version >= 2));
    }
}

#[test]
fn config_resources() {
    let mut cluster = with_directory();
    let mut check = |version, types: &[i8], expected: (i16, &[(&str, i8)])| {
        let request = ListConfigResourcesRequest::default().with_resource_types(types.to_vec());
        let response: ListConfigResourcesResponse =
            cluster.call(ApiKey::ListConfigResources, version, &request);
        let resources: Vec<_> = response
            .config_resources
            .iter()
            .map(|each| (&*each.resource_name, each.resource_type))
            .collect();
        assert_eq!((response.error_code, &resources[..]), expected, "{types:?}");
    };
    check(0, &[], (NONE, &[]));
    check(1, &[4], (NONE, &[("1", 4), ("2", 4)]));
    check(1, &[16, 32], (NONE, &[]));
    check(1, &[3], (ErrorCode::UnsupportedVersion.code(), &[]));
    let response: ListConfigResourcesResponse = cluster.call(
        ApiKey::ListConfigResources,
        1,
        &ListConfigResourcesRequest::default(),
    );
    let topics = response
        .config_resources
        .iter()
        .filter(|each| each.resource_type == 2);
    let mut topics: Vec<_> = topics.map(|each| each.resource_name.clone()).collect();
    topics.sort_unstable();
    assert_eq!(topics, [string("audit"), string("orders")]);
    assert_eq!(response.config_resources.len(), 2 + 2 + 2);
}
