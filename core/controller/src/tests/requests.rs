//! Each request, what it may not do, and what Kafka's clients are told about it.

use chronik_model::{NodeId, PartitionIndex, TopicId};

use super::{Node, config, create, register, text, topic};
use crate::{
    AllocateProducerIds, ControllerConfig, ControllerRequest, ControllerSettings, CreatePartitions,
    CreateTopics, DeleteTopics, NewPartitions, NewTopic, RegisterBroker, TopicRef,
};

/// Asks a cluster of three brokers with the topics `old` and `dotted.name`; checks the answer.
pub(super) fn check(request: ControllerRequest, expected: &str) {
    let mut node = Node::with_brokers(config(1), 3);
    node.ask(create(vec![topic("old", 2, 2), topic("dotted.name", 1, 1)]));
    assert_eq!(text(&node.ask(request)), expected);
}

fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> NewTopic {
    let ids = |nodes: &[i32]| nodes.iter().copied().map(NodeId).collect();
    NewTopic {
        assignments: assignments
            .iter()
            .map(|(partition, nodes)| (PartitionIndex(*partition), ids(nodes)))
            .collect(),
        ..topic(name, -1, -1)
    }
}

fn configured(name: &str, key: &str, value: Option<&str>) -> NewTopic {
    NewTopic {
        configs: vec![(key.into(), value.map(Into::into))],
        ..topic(name, 1, 1)
    }
}

#[test]
fn topics_are_created_or_refused() {
    let check = |topic: NewTopic, expected: &str| {
        let name = topic.name.clone();
        check(create(vec![topic]), &format!("{name:?} {expected}"));
    };
    check(topic("a", 3, 2), "3 partitions, 2 replicas");
    check(topic("a", -1, -1), "2 partitions, 1 replicas");
    check(
        topic("old", 1, 1),
        "TOPIC_ALREADY_EXISTS: Topic 'old' already exists.",
    );
    check(
        topic("", 1, 1),
        "INVALID_TOPIC_EXCEPTION: the topic name is empty",
    );
    check(
        topic("..", 1, 1),
        "INVALID_TOPIC_EXCEPTION: the topic name can not be \".\" or \"..\"",
    );
    check(
        topic("dotted_name", 1, 1),
        "INVALID_TOPIC_EXCEPTION: topic dotted_name collides with topic dotted.name: \
         metrics can not tell '.' from '_'",
    );
    check(
        topic("a", 0, 1),
        "INVALID_PARTITIONS: the number of partitions 0 is not above zero",
    );
    check(
        topic("a", -2, 1),
        "INVALID_PARTITIONS: the number of partitions -2 is not above zero",
    );
    check(
        topic("a", 100_001, 1),
        "INVALID_PARTITIONS: 100001 partitions; a topic has 100000 at most",
    );
    check(
        topic("a", 1, 0),
        "INVALID_REPLICATION_FACTOR: replication factor 0 is not above zero",
    );
    check(
        topic("a", 1, 4),
        "INVALID_REPLICATION_FACTOR: replication factor 4 is larger than the number of live \
         brokers: 3",
    );
    check(
        configured("a", "retention.ms", Some("5")),
        "1 partitions, 1 replicas",
    );
    check(
        configured("a", "retention.ms", Some("x")),
        "INVALID_CONFIG: retention.ms: x is not a number",
    );
    check(
        configured("a", "nonsense", Some("x")),
        "INVALID_CONFIG: nonsense is not a topic config",
    );
    check(
        configured("a", "retention.ms", None),
        "INVALID_CONFIG: retention.ms has no value",
    );
}

#[test]
fn assignments_are_taken_or_refused() {
    let check = |topic: NewTopic, expected: &str| {
        check(create(vec![topic]), &format!("\"a\" {expected}"));
    };
    let invalid = "INVALID_REPLICA_ASSIGNMENT: ";
    check(
        assigned("a", &[(1, &[2, 0]), (0, &[0, 1])]),
        "2 partitions, 2 replicas",
    );
    check(
        NewTopic {
            partitions: 1,
            ..assigned("a", &[(0, &[0])])
        },
        "INVALID_REQUEST: with assignments, the numbers of partitions and of replicas must both \
         be -1",
    );
    check(
        assigned("a", &[(0, &[0]), (2, &[0])]),
        &format!("{invalid}assignments are not for partitions 0 to n: no 1"),
    );
    check(
        assigned("a", &[(0, &[])]),
        &format!("{invalid}partition 0: the list of replicas is empty"),
    );
    check(
        assigned("a", &[(0, &[0, 0])]),
        &format!("{invalid}partition 0: a broker is named twice"),
    );
    check(
        assigned("a", &[(0, &[9])]),
        &format!("{invalid}partition 0: broker 9 is not registered"),
    );
    check(
        assigned("a", &[(0, &[0]), (1, &[0, 1])]),
        &format!("{invalid}partition 1: 2 replicas, but other partitions have 1"),
    );
}

#[test]
fn topics_of_one_request_see_each_other() {
    check(
        create(vec![
            topic("a.b", 1, 1),
            topic("x", 1, 1),
            topic("a_b", 1, 1),
            topic("x", 1, 1),
        ]),
        "\"a.b\" 1 partitions, 1 replicas\n\
         \"x\" INVALID_REQUEST: topic x is named more than once\n\
         \"a_b\" INVALID_TOPIC_EXCEPTION: topic a_b collides with topic a.b: \
         metrics can not tell '.' from '_'",
    );
    check(
        create(vec![topic("a", 60_000, 1), topic("b", 60_000, 1)]),
        "\"a\" 60000 partitions, 1 replicas\n\
         \"b\" POLICY_VIOLATION: a request can create 100000 partitions",
    );
}

#[test]
fn validation_changes_nothing() {
    let mut node = Node::with_brokers(config(1), 1);
    let before = node.published.offset();
    let request = CreateTopics {
        topics: vec![topic("a", 1, 1)],
        validate_only: true,
    };
    let reply = node.ask(ControllerRequest::CreateTopics(request));
    assert_eq!(text(&reply), "\"a\" 1 partitions, 1 replicas");
    assert_eq!(node.published.offset(), before);
}

#[test]
fn leaders_and_followers_spread_over_the_brokers() {
    let mut node = Node::with_brokers(config(1), 3);
    node.ask(create(vec![topic("a", 9, 2)]));
    let topic = node.published.topic_by_name("a").unwrap();
    for broker in (0..3).map(NodeId) {
        let leads = topic
            .partitions
            .iter()
            .filter(|p| p.leader == Some(broker))
            .count();
        let hosts = topic
            .partitions
            .iter()
            .filter(|p| p.replicas.contains(&broker))
            .count();
        assert_eq!((leads, hosts), (3, 6));
    }
    assert!(
        topic
            .partitions
            .iter()
            .all(|p| p.isr == p.replicas && p.leader == Some(p.isr[0]))
    );
}

#[test]
fn topic_ids_never_look_like_options() {
    let mut node = Node::with_brokers(config(1), 1);
    node.ask(create(
        (0..500)
            .map(|index| topic(&format!("t{index}"), 1, 1))
            .collect(),
    ));
    assert_eq!(node.published.topic_count(), 500);
    assert!(
        node.published
            .topics()
            .all(|topic| !topic.id.to_string().starts_with('-'))
    );
}

#[test]
fn topics_are_deleted_or_refused() {
    let name = |name: &str| TopicRef::Name(name.into());
    let delete = |topics| ControllerRequest::DeleteTopics(DeleteTopics { topics });
    check(delete(vec![name("old")]), "Name(\"old\") was old");
    check(
        delete(vec![
            name("none"),
            TopicRef::Id(TopicId([1; 16])),
            TopicRef::Id(TopicId::ZERO),
        ]),
        "Name(\"none\") UNKNOWN_TOPIC_OR_PARTITION: topic none does not exist\n\
         Id(TopicId([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])) UNKNOWN_TOPIC_ID: \
         there is no topic with id AQEBAQEBAQEBAQEBAQEBAQ\n\
         Id(TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])) INVALID_REQUEST: \
         neither a topic name nor a topic id is given",
    );
    check(
        delete(vec![name("old"), name("old")]),
        "Name(\"old\") INVALID_REQUEST: the topic is named more than once",
    );
    let mut node = Node::with_brokers(config(1), 1);
    node.ask(create(vec![topic("a.b", 1, 1)]));
    let id = node.published.topic_by_name("a.b").unwrap().id;
    let reply = text(&node.ask(delete(vec![TopicRef::Id(id), name("a.b")])));
    let twice = "Name(\"a.b\") INVALID_REQUEST: topic a.b is named both by name and by id";
    assert!(reply.ends_with(twice), "{reply}");
    assert_eq!(node.published.topic_count(), 0);
    assert_eq!(
        text(&node.ask(create(vec![topic("a_b", 1, 1)]))),
        "\"a_b\" 1 partitions, 1 replicas"
    );
}

#[test]
fn deletion_can_be_disabled() {
    let settings = ControllerSettings {
        delete_topic_enable: false,
        ..Default::default()
    };
    let mut node = Node::with_brokers(
        ControllerConfig {
            settings,
            ..config(1)
        },
        1,
    );
    let request = DeleteTopics {
        topics: vec![TopicRef::Name("a".into())],
    };
    assert_eq!(
        text(&node.ask(ControllerRequest::DeleteTopics(request))),
        "Name(\"a\") TOPIC_DELETION_DISABLED: topics can not be deleted: delete.topic.enable is \
         false"
    );
}

#[test]
fn partitions_are_added_or_refused() {
    let check = |name: &str, new_total, assignments: Option<&[&[i32]]>, expected: &str| {
        let ids = |nodes: &&[i32]| nodes.iter().copied().map(NodeId).collect();
        let topics = vec![NewPartitions {
            name: name.into(),
            new_total,
            assignments: assignments.map(|lists| lists.iter().map(ids).collect()),
        }];
        let request = CreatePartitions {
            topics,
            validate_only: false,
        };
        check(
            ControllerRequest::CreatePartitions(request),
            &format!("{name:?} {expected}"),
        );
    };
    let invalid = "INVALID_REPLICA_ASSIGNMENT: ";
    check("old", 5, None, "ok");
    check("old", 4, Some(&[&[0, 1], &[1, 2]]), "ok");
    check(
        "none",
        5,
        None,
        "UNKNOWN_TOPIC_OR_PARTITION: topic none does not exist",
    );
    check(
        "old",
        2,
        None,
        "INVALID_PARTITIONS: topic old has 2 partitions already",
    );
    check(
        "old",
        1,
        None,
        "INVALID_PARTITIONS: topic old has 2 partitions, which can not be reduced to 1",
    );
    check(
        "old",
        100_001,
        None,
        "INVALID_PARTITIONS: 100001 partitions; a topic has 100000 at most",
    );
    check(
        "old",
        4,
        Some(&[&[0, 1]]),
        &format!("{invalid}1 assignments for 2 new partitions"),
    );
    check(
        "old",
        3,
        Some(&[&[0]]),
        &format!("{invalid}partition 2: 1 replicas, but other partitions have 2"),
    );
}

/// A frame that no file of the journal holds would be the last thing that a broker tries.
#[test]
fn what_no_frame_of_the_journal_holds_is_refused_and_nothing_is_left_of_it() {
    let settings = ControllerSettings {
        max_entry_bytes: 2_000,
        ..Default::default()
    };
    let config = ControllerConfig {
        settings,
        ..config(1)
    };
    let mut node = Node::with_brokers(config, 1);
    node.ask(create(vec![topic("old", 2, 1)]));
    let total = |new_total| {
        let topics = vec![NewPartitions {
            name: "old".into(),
            new_total,
            assignments: None,
        }];
        ControllerRequest::CreatePartitions(CreatePartitions {
            topics,
            validate_only: false,
        })
    };
    let before = node.describe();
    assert_eq!(text(&node.ask(total(1_000))), "too large");
    let many = (0..100).map(|number| topic(&format!("topic-{number}"), 1, 1));
    assert_eq!(text(&node.ask(create(many.collect()))), "too large");
    assert_eq!(node.describe(), before);
    assert_eq!(text(&node.ask(total(10))), "\"old\" ok");
}

#[test]
fn new_partitions_come_after_the_old_ones() {
    let mut node = Node::with_brokers(config(1), 1);
    node.ask(create(vec![topic("a", 2, 1)]));
    node.ask(register(0, 2));
    let topics = vec![NewPartitions {
        name: "a".into(),
        new_total: 3,
        assignments: None,
    }];
    let request = CreatePartitions {
        topics,
        validate_only: false,
    };
    node.ask(ControllerRequest::CreatePartitions(request));
    assert_eq!(node.describe(), "a [0]@1 [0]@1 [0]@0 {}");
}

#[test]
fn producer_ids_are_given_or_refused() {
    let check = |node, count, expected: &str| {
        let request = AllocateProducerIds {
            node_id: NodeId(node),
            count,
        };
        check(ControllerRequest::AllocateProducerIds(request), expected);
    };
    check(0, 1000, "1000 from 0");
    check(
        9,
        1000,
        "BROKER_ID_NOT_REGISTERED: broker 9 is not registered",
    );
    check(
        0,
        0,
        "INVALID_REQUEST: a block has 1 to 1000000 producer ids, not 0",
    );
    check(
        0,
        1_000_001,
        "INVALID_REQUEST: a block has 1 to 1000000 producer ids, not 1000001",
    );
}

#[test]
fn brokers_are_registered_or_refused() {
    let with = |id, incarnation, change: fn(&mut RegisterBroker)| {
        let mut request = register(id, incarnation);
        if let ControllerRequest::RegisterBroker(request) = &mut request {
            change(request);
        }
        request
    };
    let unchanged: fn(&mut RegisterBroker) = |_| ();
    check(with(7, 1, unchanged), "epoch 7");
    check(with(1, 1, unchanged), "epoch 4");
    check(
        with(1, 1, |request| request.rack = Some("r".into())),
        "epoch 7",
    );
    check(with(0, 2, unchanged), "epoch 7");
    check(
        with(1, 2, unchanged),
        "DUPLICATE_BROKER_REGISTRATION: another process is registered as broker 1",
    );
    check(
        with(7, 1, |request| request.cluster_id = "other".into()),
        "INCONSISTENT_CLUSTER_ID: the broker belongs to cluster other, this is test-cluster",
    );
    check(
        with(-1, 1, unchanged),
        "INVALID_REGISTRATION: node id -1 is negative",
    );
}
