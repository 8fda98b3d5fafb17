//! Metadata and the APIs that create and delete topics, where they refuse or do more than asked.

use chronik_controller::ControllerReply;
use chronik_model::{ErrorCode, TopicId};
use chronik_protocol::ApiKey;
use chronik_protocol::messages::create_topics_request::CreatableTopic;
use chronik_protocol::messages::delete_topics_request::DeleteTopicState;
use chronik_protocol::messages::metadata_request::MetadataRequestTopic;
use chronik_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, DescribeClusterRequest, DescribeClusterResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, InitProducerIdRequest, InitProducerIdResponse,
    MetadataRequest, MetadataResponse, ProducerId, StrBytes, TransactionalId, uuid,
};

use super::{Cluster, INVALID_REQUEST, NONE, UNKNOWN_TOPIC, handle, name, versions};
use crate::api::Outcome;

fn named(names: &[&'static str]) -> MetadataRequest {
    let topics = names
        .iter()
        .map(|each| MetadataRequestTopic::default().with_name(Some(name(each))));
    MetadataRequest::default().with_topics(Some(topics.collect()))
}

/// Names or ids with their codes.
fn codes(response: &MetadataResponse) -> Vec<(String, i16)> {
    let topics = response.topics.iter().map(|topic| {
        let name = topic
            .name
            .as_ref()
            .map_or_else(|| "null".to_owned(), |name| name.to_string());
        (name, topic.error_code)
    });
    topics.collect()
}

fn pairs(expected: &[(&str, i16)]) -> Vec<(String, i16)> {
    expected
        .iter()
        .map(|(name, code)| ((*name).to_owned(), *code))
        .collect()
}

#[test]
fn all_topics_are_null_and_in_version_0_an_empty_list() {
    let mut cluster = Cluster::new(&[]);
    cluster.create("a", &[1], &[]);
    cluster.create("__consumer_offsets", &[1], &[]);
    let all = ["__consumer_offsets", "a"];
    for version in versions(ApiKey::Metadata) {
        let none = MetadataRequest::default().with_topics(Some(Vec::new()));
        let response: MetadataResponse = cluster.call(ApiKey::Metadata, version, &none);
        let expected: &[&str] = if version == 0 { &all } else { &[] };
        let names: Vec<_> = codes(&response).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, expected, "v{version}");
        if version >= 1 {
            let everything = MetadataRequest::default().with_topics(None);
            let response: MetadataResponse = cluster.call(ApiKey::Metadata, version, &everything);
            let internal: Vec<_> = response
                .topics
                .iter()
                .map(|topic| topic.is_internal)
                .collect();
            assert_eq!(internal, [true, false], "v{version}");
        }
    }
}

#[test]
fn missing_topics_are_created_with_the_clusters_defaults() {
    for version in versions(ApiKey::Metadata) {
        let mut cluster = Cluster::new(&[]);
        let asked = named(&["new", "no/name", "new", "__transaction_state", "a.b", "a_b"]);
        let response: MetadataResponse = cluster.call(ApiKey::Metadata, version, &asked);
        let invalid = ErrorCode::InvalidTopicException.code();
        let expected = [
            ("new", NONE),
            ("no/name", invalid),
            ("__transaction_state", UNKNOWN_TOPIC),
            ("a.b", NONE),
            ("a_b", invalid),
        ];
        assert_eq!(codes(&response), pairs(&expected), "v{version}");
        assert_eq!(response.topics[0].partitions.len(), 2);
    }
}

#[test]
fn topics_are_only_created_where_client_and_broker_allow_it() {
    let check = |setting: &str, allow: bool, expected: i16| {
        let mut cluster = Cluster::new(&[("auto.create.topics.enable", setting)]);
        let asked = named(&["new"]).with_allow_auto_topic_creation(allow);
        let response: MetadataResponse = cluster.call(ApiKey::Metadata, 13, &asked);
        assert_eq!(
            codes(&response),
            pairs(&[("new", expected)]),
            "{setting} {allow}"
        );
        assert_eq!(
            cluster.view.image.topic_count(),
            usize::from(expected == NONE)
        );
    };
    check("true", true, NONE);
    check("true", false, UNKNOWN_TOPIC);
    check("false", true, UNKNOWN_TOPIC);
}

#[test]
fn a_topic_whose_creation_was_not_decided_is_worth_another_try() {
    let mut cluster = Cluster::new(&[]);
    for reply in [
        ControllerReply::NotController { leader: None },
        ControllerReply::Overloaded,
    ] {
        cluster.canned = Some(reply);
        let response: MetadataResponse = cluster.call(ApiKey::Metadata, 13, &named(&["new"]));
        let expected = ErrorCode::LeaderNotAvailable.code();
        assert_eq!(codes(&response), pairs(&[("new", expected)]));
    }
}

#[test]
fn metadata_by_id_begins_with_version_12() {
    let mut cluster = Cluster::new(&[]);
    let id = cluster.create("orders", &[1], &[]);
    let by_id = |id| {
        MetadataRequestTopic::default()
            .with_name(None)
            .with_topic_id(uuid(id))
    };
    let asked = MetadataRequest::default().with_topics(Some(vec![
        by_id(id),
        by_id(TopicId([5; 16])),
        by_id(TopicId::ZERO),
    ]));
    let expected = [
        ("orders", NONE),
        ("null", ErrorCode::UnknownTopicId.code()),
        ("null", INVALID_REQUEST),
    ];
    for version in [12, 13] {
        let response: MetadataResponse = cluster.call(ApiKey::Metadata, version, &asked);
        assert_eq!(codes(&response), pairs(&expected), "v{version}");
    }
    for version in [10, 11] {
        let response: MetadataResponse = cluster.call(ApiKey::Metadata, version, &asked);
        assert_eq!(
            codes(&response),
            pairs(&[("", INVALID_REQUEST)]),
            "v{version}"
        );
    }
}

#[test]
fn authorized_operations_are_there_when_asked_for() {
    let mut cluster = Cluster::new(&[]);
    cluster.create("orders", &[1], &[]);
    for version in 8..=13 {
        let asked = named(&["orders"]).with_include_topic_authorized_operations(true);
        let asked = match version {
            8..=10 => asked.with_include_cluster_authorized_operations(true),
            _ => asked,
        };
        let response: MetadataResponse = cluster.call(ApiKey::Metadata, version, &asked);
        assert_eq!(
            response.topics[0].topic_authorized_operations,
            0b1101_1111_1000
        );
        let cluster_operations = if version <= 10 {
            0b1_1111_1010_0000
        } else {
            i32::MIN
        };
        assert_eq!(
            response.cluster_authorized_operations, cluster_operations,
            "v{version}"
        );
    }
}

#[test]
fn create_topics_reports_each_topic() {
    let mut cluster = Cluster::new(&[]);
    cluster.create("old", &[1], &[]);
    let topic = |each: &'static str, partitions: i32, replicas: i16| {
        CreatableTopic::default()
            .with_name(name(each))
            .with_num_partitions(partitions)
            .with_replication_factor(replicas)
    };
    let request = CreateTopicsRequest::default()
        .with_validate_only(true)
        .with_topics(vec![
            topic("old", 1, 1),
            topic("wide", 3, 3),
            topic("fine", 3, 2),
            topic("empty", 0, 1),
            topic("twice", 1, 1),
            topic("twice", 1, 1),
        ]);
    let response: CreateTopicsResponse = cluster.call(ApiKey::CreateTopics, 7, &request);
    let found: Vec<_> = response
        .topics
        .iter()
        .map(|topic| (topic.name.to_string(), topic.error_code))
        .collect();
    let expected = [
        ("old", ErrorCode::TopicAlreadyExists.code()),
        ("wide", ErrorCode::InvalidReplicationFactor.code()),
        ("fine", NONE),
        ("empty", ErrorCode::InvalidPartitions.code()),
        ("twice", INVALID_REQUEST),
    ];
    assert_eq!(found, pairs(&expected));
    assert!(response.topics[0].error_message.is_some());
    let fine = &response.topics[2];
    assert_eq!((fine.num_partitions, fine.replication_factor), (3, 2));
    assert!(fine.topic_id.is_nil() && !fine.configs.as_ref().unwrap().is_empty());
    assert_eq!(cluster.view.image.topic_count(), 1);

    cluster.canned = Some(ControllerReply::NotController { leader: None });
    let response: CreateTopicsResponse = cluster.call(ApiKey::CreateTopics, 7, &request);
    let code = ErrorCode::NotController.code();
    assert!(response.topics.iter().all(|topic| topic.error_code == code));
    assert_eq!(response.topics.len(), 5);
}

#[test]
fn delete_topics_wants_a_name_or_an_id() {
    let mut cluster = Cluster::new(&[]);
    let id = cluster.create("orders", &[1], &[]);
    let other = TopicId([5; 16]);
    let by_name = |each| DeleteTopicState::default().with_name(Some(name(each)));
    let by_id = |id| {
        DeleteTopicState::default()
            .with_name(None)
            .with_topic_id(uuid(id))
    };
    let request = DeleteTopicsRequest::default().with_topics(vec![
        by_name("absent"),
        by_id(other),
        by_id(TopicId::ZERO),
        by_name("orders").with_topic_id(uuid(id)),
    ]);
    let response: DeleteTopicsResponse = cluster.call(ApiKey::DeleteTopics, 6, &request);
    let found: Vec<_> = response
        .responses
        .iter()
        .map(|each| (each.name.clone(), each.error_code))
        .collect();
    let expected = [
        (Some(name("orders")), INVALID_REQUEST),
        (Some(name("absent")), UNKNOWN_TOPIC),
        (None, ErrorCode::UnknownTopicId.code()),
        (None, INVALID_REQUEST),
    ];
    assert_eq!(found, expected);
    assert_eq!(cluster.view.image.topic_count(), 1);
}

#[test]
fn coordinators_are_known_for_groups_and_transactions() {
    let mut cluster = Cluster::new(&[]);
    cluster.create("__consumer_offsets", &[1], &[]);
    let mut check = |key_type: i8, expected: (i16, i32)| {
        for version in versions(ApiKey::FindCoordinator).skip(1) {
            let key = StrBytes::from_static_str("key");
            let request = FindCoordinatorRequest::default().with_key_type(key_type);
            let request = match version {
                ..=3 => request.with_key(key),
                _ => request.with_coordinator_keys(vec![key]),
            };
            let response: FindCoordinatorResponse =
                cluster.call(ApiKey::FindCoordinator, version, &request);
            let found = match response.coordinators.first() {
                Some(found) => (found.error_code, found.node_id.0),
                None => (response.error_code, response.node_id.0),
            };
            assert_eq!(found, expected, "type {key_type} v{version}");
        }
    };
    check(0, (NONE, 1));
    check(1, (NONE, 1));
    check(2, (INVALID_REQUEST, -1));
    check(9, (INVALID_REQUEST, -1));
}

#[test]
fn producer_ids_are_for_idempotent_producers() {
    let mut cluster = Cluster::new(&[]);
    let mut check = |transactional: Option<&'static str>, id: i64, epoch: i16, expected: i16| {
        let transactional = transactional
            .map(StrBytes::from_static_str)
            .map(TransactionalId);
        let request = InitProducerIdRequest::default()
            .with_transactional_id(transactional)
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(epoch);
        let response: InitProducerIdResponse = cluster.call(ApiKey::InitProducerId, 5, &request);
        assert_eq!(response.error_code, expected);
        let has_producer = (response.producer_id.0 >= 0, response.producer_epoch >= 0);
        assert_eq!(has_producer, (expected == NONE, expected == NONE));
    };
    check(None, -1, -1, NONE);
    check(None, 7, 0, NONE);
    check(None, 7, -1, INVALID_REQUEST);
    check(None, -1, 0, INVALID_REQUEST);
    check(Some(""), -1, -1, INVALID_REQUEST);
    check(
        Some("tx"),
        -1,
        -1,
        ErrorCode::TransactionalIdAuthorizationFailed.code(),
    );

    let body = chronik_protocol::messages::encode_body(
        5,
        &InitProducerIdRequest::default().with_transactional_id(None),
    );
    let outcome = handle(
        &cluster.view,
        &cluster.identity,
        ApiKey::InitProducerId,
        5,
        &body.unwrap(),
    );
    let Outcome::ProducerId(after) = outcome else {
        panic!("no id is wanted")
    };
    assert!(after(Err(ErrorCode::CoordinatorLoadInProgress)).is_ok());
}

#[test]
fn endpoints_of_controllers_are_elsewhere() {
    let mut cluster = Cluster::new(&[]);
    let mut check = |endpoint_type: i8, expected: ErrorCode| {
        let request = DescribeClusterRequest::default().with_endpoint_type(endpoint_type);
        let response: DescribeClusterResponse = cluster.call(ApiKey::DescribeCluster, 2, &request);
        assert_eq!(response.error_code, expected.code());
        assert_eq!(response.brokers.is_empty(), expected != ErrorCode::None);
    };
    check(1, ErrorCode::None);
    check(2, ErrorCode::MismatchedEndpointType);
    check(3, ErrorCode::UnsupportedEndpointType);
}

#[test]
fn clients_must_name_their_software() {
    let mut cluster = Cluster::new(&[]);
    let request = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("my client"));
    let response: ApiVersionsResponse = cluster.call(ApiKey::ApiVersions, 3, &request);
    assert_eq!(
        (response.error_code, response.api_keys.len()),
        (INVALID_REQUEST, 0)
    );
}
