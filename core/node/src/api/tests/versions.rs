//! Every version of every API in the table: a request that succeeds.

use chronik_protocol::ApiKey;
use chronik_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use chronik_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use chronik_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use chronik_protocol::messages::delete_topics_request::DeleteTopicState;
use chronik_protocol::messages::describe_configs_request::DescribeConfigsResource;
use chronik_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use chronik_protocol::messages::metadata_request::MetadataRequestTopic;
use chronik_protocol::messages::*;

use super::{Cluster, NEW_PRODUCER_ID, NONE, TABLE, TopicName, name};

#[test]
fn every_served_version_is_answered_in_its_own_form() {
    for row in TABLE {
        for version in row.min_version..=row.max_version {
            let mut cluster = Cluster::new(&[]);
            cluster.create("orders", &[1, 2], &[]);
            exercise(&mut cluster, row.key, version);
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a new row without a sample must fail"
)]
fn exercise(cluster: &mut Cluster, key: ApiKey, version: i16) {
    match key {
        // Read and written by hand.
        ApiKey::Produce | ApiKey::Fetch => {}
        // `groups` and `offsets` go through all their versions.
        ApiKey::OffsetCommit
        | ApiKey::OffsetFetch
        | ApiKey::JoinGroup
        | ApiKey::Heartbeat
        | ApiKey::LeaveGroup
        | ApiKey::SyncGroup
        | ApiKey::DescribeGroups
        | ApiKey::ListGroups
        | ApiKey::DeleteGroups
        | ApiKey::OffsetDelete
        | ApiKey::ConsumerGroupHeartbeat
        | ApiKey::ConsumerGroupDescribe => {}
        // `describing` and `refusals` do for these.
        ApiKey::OffsetForLeaderEpoch
        | ApiKey::DescribeTopicPartitions
        | ApiKey::DescribeLogDirs
        | ApiKey::DescribeProducers
        | ApiKey::DescribeQuorum
        | ApiKey::ListConfigResources
        | ApiKey::DescribeAcls
        | ApiKey::CreateAcls
        | ApiKey::DeleteAcls
        | ApiKey::DescribeClientQuotas
        | ApiKey::DescribeUserScramCredentials
        | ApiKey::ElectLeaders
        | ApiKey::AlterPartitionReassignments
        | ApiKey::ListPartitionReassignments
        | ApiKey::DescribeTransactions
        | ApiKey::ListTransactions => {}
        ApiKey::ListOffsets => list_offsets(cluster, version),
        ApiKey::Metadata => metadata(cluster, version),
        ApiKey::FindCoordinator => find_coordinator(cluster, version),
        ApiKey::ApiVersions => api_versions(cluster, version),
        ApiKey::CreateTopics => create_topics(cluster, version),
        ApiKey::DeleteTopics => delete_topics(cluster, version),
        ApiKey::DeleteRecords => delete_records(cluster, version),
        ApiKey::InitProducerId => init_producer_id(cluster, version),
        ApiKey::DescribeConfigs => describe_configs(cluster, version),
        ApiKey::AlterConfigs => alter_configs(cluster, version),
        ApiKey::CreatePartitions => create_partitions(cluster, version),
        ApiKey::IncrementalAlterConfigs => incremental_alter_configs(cluster, version),
        ApiKey::DescribeCluster => describe_cluster(cluster, version),
        unsampled => panic!("no sample for {unsampled}"),
    }
}

fn list_offsets(cluster: &mut Cluster, version: i16) {
    let partition = ListOffsetsPartition::default().with_timestamp(-1);
    let topic = ListOffsetsTopic::default()
        .with_name(name("orders"))
        .with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_topics(vec![topic]);
    let response: ListOffsetsResponse = cluster.call(ApiKey::ListOffsets, version, &request);
    let found = &response.topics[0].partitions[0];
    assert_eq!((found.error_code, found.offset), (NONE, 99), "v{version}");
    assert_eq!(
        found.leader_epoch,
        if version >= 4 { 3 } else { -1 },
        "v{version}"
    );
}

fn metadata(cluster: &mut Cluster, version: i16) {
    let topic = MetadataRequestTopic::default().with_name(Some(name("orders")));
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    let response: MetadataResponse = cluster.call(ApiKey::Metadata, version, &request);
    let brokers: Vec<_> = response
        .brokers
        .iter()
        .map(|broker| (broker.node_id.0, broker.host.to_string(), broker.port))
        .collect();
    let expected = [
        (1, "one.test".to_owned(), 9001),
        (2, "two.test".to_owned(), 9002),
    ];
    assert_eq!(brokers, expected, "v{version}");
    if version >= 1 {
        assert_eq!(response.controller_id.0, 1);
    }
    if version >= 2 {
        assert_eq!(response.cluster_id.as_deref(), Some("test-cluster"));
    }
    let topic = &response.topics[0];
    assert_eq!(
        (topic.error_code, topic.name.as_deref()),
        (NONE, Some(&name("orders").0))
    );
    assert_eq!(topic.topic_id.is_nil(), version < 10, "v{version}");
    let leaders: Vec<_> = topic
        .partitions
        .iter()
        .map(|each| each.leader_id.0)
        .collect();
    assert_eq!(leaders, [1, 2]);
    assert_eq!(topic.partitions[1].replica_nodes, [BrokerId(2)]);
    assert_eq!(topic.topic_authorized_operations, i32::MIN);
    assert_eq!(response.cluster_authorized_operations, i32::MIN);
}

fn find_coordinator(cluster: &mut Cluster, version: i16) {
    cluster.create("__consumer_offsets", &[1], &[]);
    let key = StrBytes::from_static_str("group");
    let request = if version >= 4 {
        FindCoordinatorRequest::default().with_coordinator_keys(vec![key.clone()])
    } else {
        FindCoordinatorRequest::default().with_key(key.clone())
    };
    let response: FindCoordinatorResponse =
        cluster.call(ApiKey::FindCoordinator, version, &request);
    let found = match response.coordinators.first() {
        None => (
            response.error_code,
            response.node_id.0,
            response.host,
            response.port,
        ),
        Some(found) => {
            assert_eq!((&found.key, &found.error_message), (&key, &None));
            (
                found.error_code,
                found.node_id.0,
                found.host.clone(),
                found.port,
            )
        }
    };
    assert_eq!(response.coordinators.len(), usize::from(version >= 4));
    assert_eq!(
        found,
        (NONE, 1, StrBytes::from_static_str("one.test"), 9001),
        "v{version}"
    );
}

fn api_versions(cluster: &mut Cluster, version: i16) {
    let request = if version >= 3 {
        ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("apache-kafka-java"))
            .with_client_software_version(StrBytes::from_static_str("4.3.1"))
    } else {
        ApiVersionsRequest::default()
    };
    let response: ApiVersionsResponse = cluster.call(ApiKey::ApiVersions, version, &request);
    assert_eq!(response.error_code, NONE);
    let ranges = response
        .api_keys
        .iter()
        .map(|key| (key.api_key, key.min_version, key.max_version));
    let table = TABLE
        .iter()
        .map(|row| (row.key.code(), row.min_version, row.max_version));
    assert!(ranges.eq(table), "v{version}");
    let levels: Vec<_> = response
        .finalized_features
        .iter()
        .map(|feature| (feature.name.to_string(), feature.max_version_level))
        .collect();
    if version >= 3 {
        assert_eq!(levels, [("metadata.version".to_owned(), 30)]);
        assert_eq!(response.supported_features[0].min_version, 7);
        assert_eq!(
            response.finalized_features_epoch,
            cluster.view.image.offset().0
        );
    } else {
        assert_eq!(levels, []);
    }
}

fn create_topics(cluster: &mut Cluster, version: i16) {
    let config = CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str("cleanup.policy"))
        .with_value(Some(StrBytes::from_static_str("compact")));
    let topic = CreatableTopic::default()
        .with_name(name("fresh"))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_configs(vec![config]);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(1000);
    let response: CreateTopicsResponse = cluster.call(ApiKey::CreateTopics, version, &request);
    let created = &response.topics[0];
    assert_eq!((created.error_code, &created.error_message), (NONE, &None));
    let id = cluster.view.image.topic_by_name("fresh").unwrap().id;
    if version >= 7 {
        assert_eq!(topic_id(created.topic_id), id);
    }
    if version >= 5 {
        assert_eq!((created.num_partitions, created.replication_factor), (2, 1));
        let configs = created.configs.as_ref().unwrap();
        let policy = configs
            .iter()
            .find(|config| &*config.name == "cleanup.policy")
            .unwrap();
        assert_eq!(
            (policy.value.as_deref(), policy.config_source),
            (Some("compact"), 1)
        );
        assert!(configs.len() > 20);
    }
}

fn delete_topics(cluster: &mut Cluster, version: i16) {
    let id = cluster.view.image.topic_by_name("orders").unwrap().id;
    let request = if version >= 6 {
        let topic = DeleteTopicState::default()
            .with_name(None)
            .with_topic_id(uuid(id));
        DeleteTopicsRequest::default().with_topics(vec![topic])
    } else {
        DeleteTopicsRequest::default().with_topic_names(vec![name("orders")])
    };
    let response: DeleteTopicsResponse = cluster.call(ApiKey::DeleteTopics, version, &request);
    let deleted = &response.responses[0];
    assert_eq!(
        (deleted.error_code, &deleted.name),
        (NONE, &Some(name("orders"))),
        "v{version}"
    );
    assert_eq!(topic_id(deleted.topic_id) == id, version >= 6);
    assert_eq!(cluster.view.image.topic_count(), 0);
}

fn delete_records(cluster: &mut Cluster, version: i16) {
    let partition = DeleteRecordsPartition::default().with_offset(-1);
    let topic = DeleteRecordsTopic::default()
        .with_name(name("orders"))
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]);
    let response: DeleteRecordsResponse = cluster.call(ApiKey::DeleteRecords, version, &request);
    let deleted = &response.topics[0].partitions[0];
    assert_eq!(
        (deleted.error_code, deleted.low_watermark),
        (NONE, 77),
        "v{version}"
    );
}

fn init_producer_id(cluster: &mut Cluster, version: i16) {
    let request = InitProducerIdRequest::default().with_transactional_id(None);
    let request = if version >= 3 {
        request
            .with_producer_id(ProducerId(9))
            .with_producer_epoch(4)
    } else {
        request
    };
    let response: InitProducerIdResponse = cluster.call(ApiKey::InitProducerId, version, &request);
    assert_eq!(response.error_code, NONE);
    let producer = (response.producer_id.0, response.producer_epoch);
    assert_eq!(producer, (NEW_PRODUCER_ID, 0), "v{version}");
}

fn describe_configs(cluster: &mut Cluster, version: i16) {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(StrBytes::from_static_str("orders"))
        .with_configuration_keys(Some(vec![StrBytes::from_static_str("retention.ms")]));
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true);
    let request = if version >= 3 {
        request.with_include_documentation(true)
    } else {
        request
    };
    let response: DescribeConfigsResponse =
        cluster.call(ApiKey::DescribeConfigs, version, &request);
    let result = &response.results[0];
    assert_eq!(
        (result.error_code, result.configs.len()),
        (NONE, 1),
        "v{version}"
    );
    let config = &result.configs[0];
    assert_eq!(
        (&*config.name, config.value.as_deref()),
        ("retention.ms", Some("604800000"))
    );
    assert_eq!((config.config_source, config.read_only), (5, false));
    assert_eq!(config.config_type, if version >= 3 { 5 } else { 0 });
    let documented = config
        .documentation
        .as_deref()
        .is_some_and(|doc| !doc.is_empty());
    assert_eq!(documented, version >= 3, "v{version}");
}

fn alter_configs(cluster: &mut Cluster, version: i16) {
    use chronik_protocol::messages::alter_configs_request::{
        AlterConfigsResource, AlterableConfig,
    };
    let config = AlterableConfig::default()
        .with_name(StrBytes::from_static_str("retention.ms"))
        .with_value(Some(StrBytes::from_static_str("5000")));
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(StrBytes::from_static_str("orders"))
        .with_configs(vec![config]);
    let request = AlterConfigsRequest::default().with_resources(vec![resource]);
    let response: AlterConfigsResponse = cluster.call(ApiKey::AlterConfigs, version, &request);
    let altered = &response.responses[0];
    assert_eq!(
        (altered.error_code, altered.resource_type),
        (NONE, 2),
        "v{version}"
    );
    assert_override(cluster, "retention.ms", "5000");
}

fn incremental_alter_configs(cluster: &mut Cluster, version: i16) {
    use chronik_protocol::messages::incremental_alter_configs_request::{
        AlterConfigsResource, AlterableConfig,
    };
    let config = AlterableConfig::default()
        .with_name(StrBytes::from_static_str("cleanup.policy"))
        .with_config_operation(2)
        .with_value(Some(StrBytes::from_static_str("compact")));
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(StrBytes::from_static_str("orders"))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let response: IncrementalAlterConfigsResponse =
        cluster.call(ApiKey::IncrementalAlterConfigs, version, &request);
    let altered = &response.responses[0];
    assert_eq!(
        (altered.error_code, &*altered.resource_name),
        (NONE, "orders"),
        "v{version}"
    );
    assert_override(cluster, "cleanup.policy", "delete,compact");
}

fn assert_override(cluster: &Cluster, key: &str, expected: &str) {
    let topic = cluster.view.image.topic_by_name("orders").unwrap();
    assert_eq!(topic.configs.get(key).map(String::as_str), Some(expected));
}

fn create_partitions(cluster: &mut Cluster, version: i16) {
    let topic = CreatePartitionsTopic::default()
        .with_name(TopicName(StrBytes::from_static_str("orders")))
        .with_count(5)
        .with_assignments(None);
    let request = CreatePartitionsRequest::default().with_topics(vec![topic]);
    let response: CreatePartitionsResponse =
        cluster.call(ApiKey::CreatePartitions, version, &request);
    let result = &response.results[0];
    assert_eq!(
        (result.error_code, &result.name),
        (NONE, &name("orders")),
        "v{version}"
    );
    assert_eq!(
        cluster
            .view
            .image
            .topic_by_name("orders")
            .unwrap()
            .partitions
            .len(),
        5
    );
}

fn describe_cluster(cluster: &mut Cluster, version: i16) {
    let request = DescribeClusterRequest::default();
    let response: DescribeClusterResponse =
        cluster.call(ApiKey::DescribeCluster, version, &request);
    assert_eq!(
        (response.error_code, response.controller_id.0),
        (NONE, 1),
        "v{version}"
    );
    assert_eq!(&*response.cluster_id, "test-cluster");
    let brokers: Vec<_> = response
        .brokers
        .iter()
        .map(|broker| (broker.broker_id.0, broker.port, broker.is_fenced))
        .collect();
    assert_eq!(brokers, [(1, 9001, false), (2, 9002, false)]);
    assert_eq!(response.cluster_authorized_operations, i32::MIN);
}
