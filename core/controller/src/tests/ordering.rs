//! When things leave, and in which order.

use chronik_model::{BrokerEpoch, NodeId};

use super::{Disk, Node, config, create, describe, register, text, topic};
use crate::{
    AllocateProducerIds, ControllerReply, ControllerRequest, DeleteTopics, SnapshotPolicy, TopicRef,
};

#[test]
fn a_reply_leaves_after_its_entry_is_durable_and_published() {
    let mut node = Node::with_brokers(config(1), 1);
    node.transcript.clear();
    let ticket = node.send(create(vec![topic("a", 1, 1)]));
    assert_eq!(node.transcript, Vec::<String>::new());
    node.flush();
    assert_eq!(
        node.transcript,
        ["publish 4".to_owned(), format!("reply {ticket} at 4")]
    );
    assert_eq!(node.writes.len(), 0, "a commit alone is not worth a write");
}

#[test]
fn requests_before_the_first_flush_wait_for_the_leader_to_be_ready() {
    let mut node = Node::open(config(1), Disk::default()).unwrap();
    node.send(register(0, 1));
    assert!(node.transcript.is_empty());
    assert_eq!(node.published.cluster_id(), None);
    node.flush();
    assert_eq!(node.published.cluster_id(), Some("test-cluster"));
    assert_eq!(node.transcript, ["publish 1", "publish 3", "reply 1 at 3"]);
    assert_eq!(
        node.published.broker(NodeId(0)).unwrap().epoch,
        BrokerEpoch(3)
    );
}

#[test]
fn requests_in_flight_see_each_other() {
    let mut node = Node::with_brokers(config(1), 1);
    let ids = ControllerRequest::AllocateProducerIds(AllocateProducerIds {
        node_id: NodeId(0),
        count: 10,
    });
    let delete = ControllerRequest::DeleteTopics(DeleteTopics {
        topics: vec![TopicRef::Name("a.b".into())],
    });
    let first = node.replies.len();
    for request in [
        create(vec![topic("a.b", 1, 1)]),
        create(vec![topic("a.b", 1, 1), topic("a_b", 1, 1)]),
        ids.clone(),
        ids,
        delete,
        create(vec![topic("a_b", 1, 1)]),
    ] {
        node.send(request);
    }
    assert_eq!(
        node.replies.len(),
        first,
        "even refusals wait for what they were decided on"
    );
    node.flush();
    let replies: Vec<_> = node
        .replies
        .iter()
        .skip(first)
        .map(|(_, reply)| text(reply))
        .collect();
    assert_eq!(
        replies,
        [
            "\"a.b\" 1 partitions, 1 replicas",
            "\"a.b\" TOPIC_ALREADY_EXISTS: Topic 'a.b' already exists.\n\
             \"a_b\" INVALID_TOPIC_EXCEPTION: topic a_b collides with topic a.b: \
             metrics can not tell '.' from '_'",
            "10 from 0",
            "10 from 10",
            "Name(\"a.b\") was a.b",
            "\"a_b\" 1 partitions, 1 replicas",
        ]
    );
    assert_eq!(node.describe(), "a_b [0]@0 {}");
}

#[test]
fn replies_leave_one_flush_at_a_time() {
    let mut node = Node::with_brokers(config(1), 1);
    node.transcript.clear();
    let first = node.send(create(vec![topic("a", 1, 1)]));
    let second = node.send(create(vec![topic("b", 1, 1)]));
    node.flush_one();
    assert_eq!(
        node.transcript,
        ["publish 4".to_owned(), format!("reply {first} at 4")]
    );
    assert_eq!(node.published.topic_count(), 1);
    node.flush_one();
    assert_eq!(
        node.transcript.last(),
        Some(&format!("reply {second} at 5"))
    );
}

#[test]
fn a_new_process_never_leads_in_an_epoch_led_before() {
    let mut node = Node::with_brokers(config(1), 2);
    node.ask(create(vec![topic("a", 2, 2), topic("b", 1, 1)]));
    let before = describe(&node.published);
    assert_eq!(
        text(&node.ask(register(0, 1))),
        "epoch 3",
        "the same process asks again"
    );
    assert_eq!(describe(&node.published), before);
    assert_eq!(text(&node.ask(register(0, 2))), "epoch 6");
    let bumped = &node.deltas.last().unwrap().partitions_changed;
    let mut led = 0;
    for topic in node.published.topics() {
        for partition in &topic.partitions {
            let epoch = i32::from(partition.leader == Some(NodeId(0)));
            assert_eq!(partition.leader_epoch.0, epoch);
            assert_eq!(partition.partition_epoch.0, epoch);
            led += usize::from(epoch == 1);
        }
    }
    assert_eq!(bumped.len(), led);
    assert!(led > 0);
}

#[test]
fn deltas_say_what_is_new() {
    let mut node = Node::with_brokers(config(1), 1);
    node.ask(create(vec![topic("a", 3, 1)]));
    let id = node.published.topic_by_name("a").unwrap().id;
    let delta = node.deltas.last().unwrap();
    assert_eq!(delta.topics_created.iter().collect::<Vec<_>>(), [&id]);
    assert_eq!(delta.partitions_created.len(), 3);
    assert!(delta.partitions_changed.is_empty() && !delta.reset);
    node.ask(ControllerRequest::DeleteTopics(DeleteTopics {
        topics: vec![TopicRef::Id(id)],
    }));
    let delta = node.deltas.last().unwrap();
    assert_eq!(delta.topics_deleted[&id].partitions.len(), 3);
    assert!(delta.topics_created.is_empty());
}

#[test]
fn the_seed_decides_every_output() {
    let run = |seed| {
        let mut node = Node::with_brokers(config(seed), 3);
        for name in ["a", "b", "c"] {
            node.ask(create(vec![topic(name, 4, 2)]));
        }
        node.trace
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn a_snapshot_is_written_before_the_log_is_cut() {
    let policy = SnapshotPolicy {
        entries: 5,
        bytes: u64::MAX,
        interval_ms: None,
    };
    let mut node = Node::with_brokers(
        super::ControllerConfig {
            snapshots: policy,
            ..config(1)
        },
        1,
    );
    node.transcript.clear();
    node.ask(create(vec![topic("a", 1, 1)]));
    node.ask(create(vec![topic("b", 1, 1)]));
    assert_eq!(
        node.transcript,
        [
            "publish 4",
            "reply 2 at 4",
            "publish 5",
            "reply 3 at 5",
            "truncate before 6"
        ]
    );
    assert_eq!(
        node.disk.snapshot.as_ref().map(|snapshot| snapshot.index),
        Some(5)
    );
    assert!(node.disk.entries.is_empty());
    node.ask(create(vec![topic("c", 1, 1)]));
    assert_eq!(node.published.topic_count(), 3);
}

#[test]
fn too_many_waiting_requests_are_turned_away() {
    let mut node = Node::open(config(1), Disk::default()).unwrap();
    for _ in 0..10_000 {
        node.send(register(0, 1));
    }
    assert!(node.replies.is_empty());
    node.send(register(0, 1));
    assert_eq!(node.replies, [(10_001, ControllerReply::Overloaded)]);
    node.flush();
    assert_eq!(node.replies.len(), 10_001);
}

#[test]
fn one_voter_needs_no_time() {
    let node = Node::with_brokers(config(1), 1);
    assert!(!node.controller.needs_ticks());
    assert!(node.controller.is_active());
    assert_eq!(node.controller.leader(), Some(NodeId(0)));
    assert!(matches!(
        node.replies[0].1,
        ControllerReply::RegisterBroker(Ok(_))
    ));
}
