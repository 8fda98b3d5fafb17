//! Changing the configs of topics and brokers.

use chronik_model::NodeId;

use super::requests::check;
use super::{Node, config, create, text, topic};
use crate::{
    AlterConfigs, ConfigChange, ConfigOp, ConfigResource, ControllerRequest, ResourceChanges,
};

fn alter(
    resource: ConfigResource,
    incremental: bool,
    changes: &[(&str, ConfigOp, Option<&str>)],
) -> ControllerRequest {
    let change = |(key, op, value): &(&str, ConfigOp, Option<&str>)| ConfigChange {
        key: (*key).into(),
        op: *op,
        value: value.map(Into::into),
    };
    let changes = changes.iter().map(change).collect();
    let resources = vec![ResourceChanges { resource, changes }];
    ControllerRequest::AlterConfigs(AlterConfigs {
        resources,
        incremental,
        validate_only: false,
    })
}

#[test]
fn configs_are_altered_step_by_step() {
    use ConfigOp::{Append, Delete, Set, Subtract};
    let mut node = Node::with_brokers(config(1), 1);
    node.ask(create(vec![topic("t", 1, 1)]));
    let mut check = |incremental, changes: &[(&str, ConfigOp, Option<&str>)], expected: &str| {
        let reply = node.ask(alter(
            ConfigResource::Topic("t".into()),
            incremental,
            changes,
        ));
        assert_eq!(text(&reply), "Topic(\"t\") ok");
        assert_eq!(
            format!("{:?}", node.published.topic_by_name("t").unwrap().configs),
            expected
        );
    };
    let policy = "cleanup.policy";
    check(
        true,
        &[("retention.ms", Set, Some("5"))],
        r#"{"retention.ms": "5"}"#,
    );
    check(
        true,
        &[(policy, Append, Some("compact,compact"))],
        r#"{"cleanup.policy": "delete,compact", "retention.ms": "5"}"#,
    );
    check(
        true,
        &[
            (policy, Subtract, Some("delete")),
            ("retention.ms", Delete, None),
        ],
        r#"{"cleanup.policy": "compact"}"#,
    );
    check(
        true,
        &[("unset", Delete, None)],
        r#"{"cleanup.policy": "compact"}"#,
    );
    check(
        false,
        &[("segment.bytes", Set, Some("9"))],
        r#"{"segment.bytes": "9"}"#,
    );
    check(false, &[], "{}");
}

#[test]
fn broker_configs_are_altered() {
    let mut node = Node::with_brokers(config(1), 2);
    for broker in [None, Some(NodeId(1))] {
        let resource = ConfigResource::Broker(broker);
        node.ask(alter(
            resource.clone(),
            true,
            &[("threads", ConfigOp::Set, Some("3"))],
        ));
        assert_eq!(
            node.published.broker_configs(broker).unwrap()["threads"],
            "3"
        );
        assert!(
            node.deltas
                .last()
                .unwrap()
                .broker_configs_changed
                .contains(&broker)
        );
        node.ask(alter(
            resource,
            true,
            &[("threads", ConfigOp::Delete, None)],
        ));
        assert_eq!(node.published.broker_configs(broker), None);
    }
}

#[test]
fn bad_config_changes_are_refused() {
    use ConfigOp::{Append, Set};
    let topic = || ConfigResource::Topic("old".into());
    let check = |resource: ConfigResource, changes: &[_], expected: &str| {
        let prefix = format!("{resource:?} ");
        check(
            alter(resource, true, changes),
            &format!("{prefix}{expected}"),
        );
    };
    check(
        topic(),
        &[
            ("retention.ms", Set, Some("1")),
            ("segment.bytes", Set, Some("x")),
        ],
        "INVALID_CONFIG: segment.bytes: x is not a number",
    );
    check(
        topic(),
        &[("nope", Set, Some("1"))],
        "INVALID_CONFIG: nope is not a topic config",
    );
    check(
        topic(),
        &[("retention.ms", Set, None)],
        "INVALID_REQUEST: retention.ms has no value",
    );
    check(
        topic(),
        &[("retention.ms", Append, Some("1"))],
        "INVALID_CONFIG: retention.ms is not a list, whose elements could be changed",
    );
    check(
        topic(),
        &[
            ("retention.ms", Set, Some("1")),
            ("retention.ms", Set, Some("2")),
        ],
        "INVALID_REQUEST: retention.ms is changed more than once",
    );
    check(
        ConfigResource::Topic("none".into()),
        &[],
        "UNKNOWN_TOPIC_OR_PARTITION: topic none does not exist",
    );
    check(
        ConfigResource::Broker(Some(NodeId(9))),
        &[],
        "BROKER_ID_NOT_REGISTERED: broker 9 is not registered",
    );
    check(
        ConfigResource::Broker(None),
        &[("threads", Set, Some("x"))],
        "INVALID_CONFIG: threads: x is not a number",
    );
}

#[test]
fn a_resource_may_be_named_once() {
    let changes = ResourceChanges {
        resource: ConfigResource::Broker(None),
        changes: Vec::new(),
    };
    let resources = vec![changes.clone(), changes];
    let request = AlterConfigs {
        resources,
        incremental: true,
        validate_only: false,
    };
    check(
        ControllerRequest::AlterConfigs(request),
        "Broker(None) INVALID_REQUEST: the resource is named more than once",
    );
}
