//! The three APIs of configs, where they refuse or have several kinds of resources.

use chronik_controller::ControllerReply;
use chronik_model::ErrorCode;
use chronik_protocol::ApiKey;
use chronik_protocol::messages::describe_configs_request::DescribeConfigsResource;
use chronik_protocol::messages::describe_configs_response::DescribeConfigsResult;
use chronik_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use chronik_protocol::messages::{
    DescribeConfigsRequest, DescribeConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, StrBytes,
};

use super::{Cluster, INVALID_REQUEST, NONE, UNKNOWN_TOPIC};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const METRICS: i8 = 16;
const GROUP: i8 = 32;
const SET: i8 = 0;
const DELETE: i8 = 1;

/// Resource, operation, key, value.
type Change = (i8, &'static str, i8, &'static str, Option<&'static str>);

fn alter(cluster: &mut Cluster, changes: &[Change]) -> IncrementalAlterConfigsResponse {
    let resources = changes.iter().map(|(kind, resource, op, key, value)| {
        let config = AlterableConfig::default()
            .with_name(StrBytes::from_static_str(key))
            .with_config_operation(*op)
            .with_value(value.map(StrBytes::from_static_str));
        AlterConfigsResource::default()
            .with_resource_type(*kind)
            .with_resource_name(StrBytes::from_static_str(resource))
            .with_configs(vec![config])
    });
    let request = IncrementalAlterConfigsRequest::default().with_resources(resources.collect());
    cluster.call(ApiKey::IncrementalAlterConfigs, 1, &request)
}

fn describe(
    cluster: &mut Cluster,
    kind: i8,
    resource: &'static str,
    keys: Option<&[&'static str]>,
) -> DescribeConfigsResult {
    let keys = keys.map(|keys| {
        keys.iter()
            .map(|key| StrBytes::from_static_str(key))
            .collect()
    });
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(StrBytes::from_static_str(resource))
        .with_configuration_keys(keys);
    let request = DescribeConfigsRequest::default()
        .with_include_synonyms(true)
        .with_resources(vec![resource.clone(), resource]);
    let mut response: DescribeConfigsResponse = cluster.call(ApiKey::DescribeConfigs, 4, &request);
    assert_eq!(
        response.results.len(),
        1,
        "a repeated resource is answered once"
    );
    response.results.remove(0)
}

#[test]
fn every_resource_is_answered_in_its_place() {
    let mut cluster = Cluster::new(&[]);
    cluster.create("orders", &[1], &[("retention.ms", "1")]);
    cluster.create("other", &[1], &[]);
    let changes = [
        (TOPIC, "absent", SET, "retention.ms", Some("5")),
        (BROKER, "2", SET, "log.retention.ms", Some("5")),
        (TOPIC, "orders", DELETE, "retention.ms", None),
        (LOGGER, "1", SET, "root", Some("DEBUG")),
        (BROKER, "x", SET, "log.retention.ms", Some("5")),
        (BROKER, "", SET, "log.retention.ms", Some("6")),
        (BROKER, "1", SET, "log.retention.ms", Some("7")),
        (99, "", SET, "a", Some("b")),
        (TOPIC, "other", 9, "retention.ms", Some("5")),
    ];
    let response = alter(&mut cluster, &changes);
    let found: Vec<_> = response
        .responses
        .iter()
        .map(|each| {
            (
                each.resource_type,
                each.resource_name.to_string(),
                each.error_code,
            )
        })
        .collect();
    let codes = [
        UNKNOWN_TOPIC,
        INVALID_REQUEST,
        NONE,
        INVALID_REQUEST,
        INVALID_REQUEST,
        NONE,
        NONE,
        INVALID_REQUEST,
        INVALID_REQUEST,
    ];
    let expected = changes.iter().zip(codes);
    let expected: Vec<_> = expected
        .map(|((kind, resource, ..), code)| (*kind, (*resource).to_owned(), code))
        .collect();
    assert_eq!(found, expected);
    for each in response.responses {
        assert_eq!(each.error_message.is_some(), each.error_code != NONE);
    }
    let orders = cluster.view.image.topic_by_name("orders").unwrap();
    assert!(orders.configs.is_empty());
}

#[test]
fn refusals_name_the_key() {
    let mut cluster = Cluster::new(&[]);
    cluster.create("orders", &[1], &[]);
    let mut check = |key: &'static str, value: Option<&'static str>, expected: ErrorCode| {
        let response = alter(&mut cluster, &[(TOPIC, "orders", SET, key, value)]);
        let refused = &response.responses[0];
        assert_eq!(refused.error_code, expected.code(), "{key}");
        assert!(
            refused.error_message.as_ref().unwrap().contains(key),
            "{refused:?}"
        );
    };
    check("retention.ms", Some("long"), ErrorCode::InvalidConfig);
    check("no.such.key", Some("1"), ErrorCode::InvalidConfig);
    check("retention.ms", None, ErrorCode::InvalidRequest);
}

#[test]
fn undecided_changes_are_told_for_each_resource() {
    let mut cluster = Cluster::new(&[]);
    let change = (BROKER, "1", SET, "log.retention.ms", Some("7"));
    let mut check = |reply: ControllerReply, expected: ErrorCode| {
        cluster.canned = Some(reply);
        let response = alter(&mut cluster, &[change, change]);
        let codes: Vec<_> = response
            .responses
            .iter()
            .map(|each| each.error_code)
            .collect();
        assert_eq!(codes, [expected.code(); 2]);
    };
    check(
        ControllerReply::NotController { leader: None },
        ErrorCode::NotController,
    );
    check(ControllerReply::Overloaded, ErrorCode::RequestTimedOut);
    check(ControllerReply::TooLarge, ErrorCode::PolicyViolation);
}

#[test]
fn topics_show_all_keys_or_those_that_are_named() {
    let mut cluster = Cluster::new(&[("log.retention.hours", "2")]);
    cluster.create("orders", &[1], &[("cleanup.policy", "compact")]);
    for keys in [None, Some(&[][..])] {
        let all = describe(&mut cluster, TOPIC, "orders", keys);
        assert!(all.error_code == NONE && all.configs.len() > 20);
    }
    let keys = ["cleanup.policy", "retention.ms", "no.such.key"];
    let some = describe(&mut cluster, TOPIC, "orders", Some(&keys));
    let found: Vec<_> = some
        .configs
        .iter()
        .map(|config| (&*config.name, config.value.as_deref(), config.config_source))
        .collect();
    let expected = [
        ("cleanup.policy", Some("compact"), 1),
        ("retention.ms", Some("7200000"), 5),
    ];
    assert_eq!(found, expected);
    let synonyms = &some.configs[0].synonyms;
    assert_eq!(
        (&*synonyms[0].name, synonyms[0].source),
        ("cleanup.policy", 1)
    );
    assert_eq!(&*synonyms[1].name, "log.cleanup.policy");
}

#[test]
fn brokers_show_their_own_values_and_those_of_all() {
    let mut cluster = Cluster::new(&[]);
    let set = |broker, value| (BROKER, broker, SET, "log.retention.ms", Some(value));
    alter(&mut cluster, &[set("", "6")]);
    let key = ["log.retention.ms"];
    let default = describe(&mut cluster, BROKER, "", None);
    assert_eq!(
        (default.configs.len(), default.configs[0].config_source),
        (1, 3)
    );
    alter(&mut cluster, &[set("1", "7")]);
    let own = describe(&mut cluster, BROKER, "1", Some(&key));
    assert_eq!(
        (
            own.configs[0].value.as_deref(),
            own.configs[0].config_source
        ),
        (Some("7"), 2)
    );
    let debezium = describe(
        &mut cluster,
        BROKER,
        "1",
        Some(&["default.replication.factor"]),
    );
    assert_eq!(debezium.configs[0].value.as_deref(), Some("1"));
}

#[test]
fn unknown_resources_have_no_configs() {
    let mut cluster = Cluster::new(&[]);
    let mut check = |kind: i8, resource: &'static str, expected: ErrorCode| {
        let result = describe(&mut cluster, kind, resource, None);
        assert_eq!(
            (result.error_code, result.configs.len()),
            (expected.code(), 0)
        );
        assert_eq!(result.error_message.is_none(), expected.is_none());
    };
    check(TOPIC, "absent", ErrorCode::UnknownTopicOrPartition);
    check(TOPIC, "no/name", ErrorCode::InvalidTopicException);
    check(BROKER, "2", ErrorCode::InvalidRequest);
    check(BROKER, "one", ErrorCode::InvalidRequest);
    check(LOGGER, "2", ErrorCode::InvalidRequest);
    check(LOGGER, "1", ErrorCode::None);
    check(METRICS, "", ErrorCode::InvalidRequest);
    check(METRICS, "metrics", ErrorCode::None);
    check(GROUP, "", ErrorCode::InvalidRequest);
    check(GROUP, "group", ErrorCode::None);
    check(3, "1", ErrorCode::InvalidRequest);
}
