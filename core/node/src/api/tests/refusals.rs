//! APIs whose truthful answer is that there is nothing, or that it can not be done.

use chronik_model::ErrorCode;
use chronik_protocol::ApiKey;
use chronik_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use chronik_protocol::messages::create_acls_request::AclCreation;
use chronik_protocol::messages::delete_acls_request::DeleteAclsFilter;
use chronik_protocol::messages::describe_client_quotas_request::ComponentData;
use chronik_protocol::messages::describe_user_scram_credentials_request::UserName;
use chronik_protocol::messages::elect_leaders_request::TopicPartitions;
use chronik_protocol::messages::*;

use super::{Cluster, INVALID_REQUEST, NONE, UNKNOWN_TOPIC, name, versions};

const SECURITY_DISABLED: i16 = ErrorCode::SecurityDisabled.code();

fn string(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn cluster() -> Cluster {
    let mut cluster = Cluster::new(&[]);
    cluster.create("orders", &[1, 2], &[]);
    cluster
}

#[test]
fn access_rules_need_an_authorizer() {
    for version in versions(ApiKey::DescribeAcls) {
        let request = DescribeAclsRequest::default().with_resource_type_filter(1);
        let response: DescribeAclsResponse =
            cluster().call(ApiKey::DescribeAcls, version, &request);
        assert_eq!(response.error_code, SECURITY_DISABLED, "v{version}");
        assert!(response.error_message.is_some() && response.resources.is_empty());
    }
    for version in versions(ApiKey::CreateAcls) {
        let rule = AclCreation::default().with_resource_name(string("orders"));
        let request = CreateAclsRequest::default().with_creations(vec![rule.clone(), rule]);
        let response: CreateAclsResponse = cluster().call(ApiKey::CreateAcls, version, &request);
        let errors: Vec<_> = response
            .results
            .iter()
            .map(|each| each.error_code)
            .collect();
        assert_eq!(errors, [SECURITY_DISABLED; 2], "v{version}");
    }
    for version in versions(ApiKey::DeleteAcls) {
        let filters = vec![DeleteAclsFilter::default(); 3];
        let request = DeleteAclsRequest::default().with_filters(filters);
        let response: DeleteAclsResponse = cluster().call(ApiKey::DeleteAcls, version, &request);
        let results = response.filter_results.iter();
        let errors: Vec<_> = results.map(|each| each.error_code).collect();
        assert_eq!(errors, [SECURITY_DISABLED; 3], "v{version}");
    }
}

#[test]
fn quotas_are_none_for_filters_that_make_sense() {
    let component = |entity_type, match_type, value: Option<&'static str>| {
        ComponentData::default()
            .with_entity_type(string(entity_type))
            .with_match_type(match_type)
            .with_match(value.map(string))
    };
    let check = |components: &[ComponentData], expected: ErrorCode| {
        for version in versions(ApiKey::DescribeClientQuotas) {
            let request =
                DescribeClientQuotasRequest::default().with_components(components.to_vec());
            let response: DescribeClientQuotasResponse =
                cluster().call(ApiKey::DescribeClientQuotas, version, &request);
            assert_eq!(response.error_code, expected.code(), "{components:?}");
            let entries = expected.is_none().then(Vec::new);
            assert_eq!(response.entries, entries, "v{version}");
        }
    };
    let user = component("user", 0, Some("me"));
    let client = component("client-id", 1, None);
    check(&[], ErrorCode::None);
    check(&[user.clone(), client], ErrorCode::None);
    check(&[component("ip", 2, None)], ErrorCode::None);
    let invalid = ErrorCode::InvalidRequest;
    check(&[user.clone(), user.clone()], invalid);
    check(&[user, component("ip", 2, None)], invalid);
    check(&[component("user", 0, None)], invalid);
    check(&[component("user", 1, Some("me"))], invalid);
    check(&[component("user", 3, None)], invalid);
    check(&[component("", 1, None)], invalid);
    check(&[component("team", 1, None)], ErrorCode::UnsupportedVersion);
}

#[test]
fn nobody_has_scram_credentials() {
    let check = |users: Option<&[&'static str]>, expected: &[(&str, ErrorCode)]| {
        let users = users.map(|users| {
            let users = users
                .iter()
                .map(|user| UserName::default().with_name(string(user)));
            users.collect()
        });
        let request = DescribeUserScramCredentialsRequest::default().with_users(users);
        let response: DescribeUserScramCredentialsResponse =
            cluster().call(ApiKey::DescribeUserScramCredentials, 0, &request);
        assert_eq!(response.error_code, NONE);
        let results: Vec<_> = response
            .results
            .iter()
            .map(|result| (&*result.user, result.error_code))
            .collect();
        let expected = expected.iter().map(|(user, error)| (*user, error.code()));
        assert_eq!(results, expected.collect::<Vec<_>>());
    };
    check(None, &[]);
    check(Some(&[]), &[]);
    check(
        Some(&["twice", "once", "twice"]),
        &[
            ("once", ErrorCode::ResourceNotFound),
            ("twice", ErrorCode::DuplicateResource),
        ],
    );
}

#[test]
fn leaders_are_where_they_should_be() {
    let not_needed = ErrorCode::ElectionNotNeeded.code();
    let partitions = TopicPartitions::default()
        .with_topic(name("orders"))
        .with_partitions(vec![1, 0, 5]);
    let absent = TopicPartitions::default()
        .with_topic(name("absent"))
        .with_partitions(vec![0]);
    let named =
        ElectLeadersRequest::default().with_topic_partitions(Some(vec![partitions, absent]));
    for version in versions(ApiKey::ElectLeaders) {
        let types: &[i8] = if version >= 1 { &[0, 1] } else { &[0] };
        for election_type in types {
            let request = named.clone().with_election_type(*election_type);
            let response: ElectLeadersResponse =
                cluster().call(ApiKey::ElectLeaders, version, &request);
            let results: Vec<_> = response
                .replica_election_results
                .iter()
                .flat_map(|topic| topic.partition_result.iter())
                .map(|result| (result.partition_id, result.error_code))
                .collect();
            let expected = [
                (1, not_needed),
                (0, not_needed),
                (5, UNKNOWN_TOPIC),
                (0, UNKNOWN_TOPIC),
            ];
            assert_eq!((response.error_code, &results[..]), (NONE, &expected[..]));
        }
        let all = ElectLeadersRequest::default().with_topic_partitions(None);
        let response: ElectLeadersResponse = cluster().call(ApiKey::ElectLeaders, version, &all);
        let answer = (response.error_code, response.replica_election_results);
        assert_eq!(answer, (NONE, Vec::new()), "v{version}");
    }
    let unknown = named.with_election_type(2);
    let response: ElectLeadersResponse = cluster().call(ApiKey::ElectLeaders, 2, &unknown);
    assert_eq!(response.error_code, INVALID_REQUEST);
}

#[test]
fn replicas_stay_where_they_are() {
    let check = |topic, index, replicas: Option<&[i32]>, expected: ErrorCode| {
        for version in versions(ApiKey::AlterPartitionReassignments) {
            let replicas = replicas.map(|all| all.iter().copied().map(BrokerId).collect());
            let partition = ReassignablePartition::default()
                .with_partition_index(index)
                .with_replicas(replicas);
            let topic = ReassignableTopic::default()
                .with_name(name(topic))
                .with_partitions(vec![partition]);
            let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]);
            let response: AlterPartitionReassignmentsResponse =
                cluster().call(ApiKey::AlterPartitionReassignments, version, &request);
            let result = &response.responses[0].partitions[0];
            let answer = (response.error_code, result.error_code);
            assert_eq!(answer, (NONE, expected.code()), "v{version}");
            assert_eq!(result.error_message.is_none(), expected.is_none());
        }
    };
    check("orders", 0, Some(&[1]), ErrorCode::None);
    check("orders", 1, Some(&[2]), ErrorCode::None);
    let invalid = ErrorCode::InvalidReplicaAssignment;
    check("orders", 0, Some(&[2]), invalid);
    check("orders", 0, Some(&[1, 2]), invalid);
    check("orders", 0, Some(&[1, 1]), invalid);
    check("orders", 0, Some(&[]), invalid);
    check("orders", 0, None, ErrorCode::NoReassignmentInProgress);
    check("orders", 2, None, ErrorCode::UnknownTopicOrPartition);
    check("absent", 0, Some(&[1]), ErrorCode::UnknownTopicOrPartition);
}

#[test]
fn no_replica_is_on_the_move() {
    let request = ListPartitionReassignmentsRequest::default().with_topics(None);
    let response: ListPartitionReassignmentsResponse =
        cluster().call(ApiKey::ListPartitionReassignments, 0, &request);
    assert_eq!((response.error_code, response.topics.len()), (NONE, 0));
}

#[test]
fn there_are_no_transactions() {
    let ids = ["one", "two"].map(|id| TransactionalId(string(id)));
    let request = DescribeTransactionsRequest::default().with_transactional_ids(ids.to_vec());
    let response: DescribeTransactionsResponse =
        cluster().call(ApiKey::DescribeTransactions, 0, &request);
    let states: Vec<_> = response
        .transaction_states
        .iter()
        .map(|state| (state.transactional_id.clone(), state.error_code))
        .collect();
    let not_found = ErrorCode::TransactionalIdNotFound.code();
    assert_eq!(states, ids.map(|id| (id, not_found)));

    for version in versions(ApiKey::ListTransactions) {
        let states = vec![string("Ongoing"), string("Asleep"), string("Dead")];
        let request = ListTransactionsRequest::default().with_state_filters(states);
        let response: ListTransactionsResponse =
            cluster().call(ApiKey::ListTransactions, version, &request);
        assert_eq!(response.error_code, NONE, "v{version}");
        assert_eq!(response.unknown_state_filters, [string("Asleep")]);
        assert_eq!(response.transaction_states, []);
    }
}
