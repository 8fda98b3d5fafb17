//! What a new process makes of what the last one left.

use std::collections::BTreeSet;

use chronik_model::NodeId;

use super::{
    ControllerConfig, Disk, Node, config, create, register, text, through_snapshot, topic,
};
use crate::{
    AllocateProducerIds, ControllerRequest, DeleteTopics, OpenError, RecoveryError, SnapshotPolicy,
    TopicRef, encode_batch,
};

fn busy(snapshots: SnapshotPolicy) -> Node {
    let mut node = Node::with_brokers(
        ControllerConfig {
            snapshots,
            ..config(3)
        },
        3,
    );
    for round in 0..20 {
        let mut new = topic(&format!("t.{round}"), 3, 2);
        new.configs
            .push(("retention.ms".into(), Some(round.to_string())));
        node.ask(create(vec![new]));
        node.ask(register(round % 3, 1));
        node.ask(ControllerRequest::AllocateProducerIds(
            AllocateProducerIds {
                node_id: NodeId(round % 3),
                count: 100,
            },
        ));
        if round % 3 == 2 {
            let name = format!("t.{}", round - 1);
            node.ask(ControllerRequest::DeleteTopics(DeleteTopics {
                topics: vec![TopicRef::Name(name)],
            }));
        }
    }
    node.ask(register(0, 9));
    node
}

#[test]
fn snapshot_and_entries_give_the_live_image() {
    for entries in [3, 7, 1000] {
        let live = busy(SnapshotPolicy {
            entries,
            bytes: u64::MAX,
            interval_ms: None,
        });
        assert_eq!(live.disk.snapshot.is_some(), entries < 1000);
        assert_eq!(through_snapshot(&live.published), *live.published);
        let mut again = Node::open(config(3), live.disk.clone()).unwrap();
        again.flush();
        assert_eq!(again.describe(), live.describe());
        let mut expected = (*live.published).clone();
        expected.offset = again.published.offset();
        expected.term = again.published.term();
        assert_eq!(*again.published, expected);
        let mut created = BTreeSet::new();
        for delta in &again.deltas {
            created.extend(delta.topics_created.iter().copied());
            created.retain(|topic_id| !delta.topics_deleted.contains_key(topic_id));
        }
        let topics: BTreeSet<_> = again.published.topics().map(|topic| topic.id).collect();
        assert_eq!(created, topics, "the first delta starts from nothing");
    }
}

#[test]
fn a_crash_loses_only_what_was_not_answered() {
    let mut node = Node::with_brokers(config(1), 1);
    node.ask(create(vec![topic("kept", 1, 1)]));
    let ticket = node.send(create(vec![topic("lost", 1, 1)]));
    assert!(node.replies.iter().all(|(answered, _)| *answered != ticket));
    let mut again = Node::open(config(1), node.disk.clone()).unwrap();
    assert_eq!(text(&again.ask(register(0, 2))), "epoch 6");
    assert_eq!(again.describe(), "kept [0]@1 {}");
    assert!(again.published.term() > node.published.term());
}

#[test]
fn producer_ids_and_topic_ids_are_not_given_twice() {
    let ids = || {
        ControllerRequest::AllocateProducerIds(AllocateProducerIds {
            node_id: NodeId(0),
            count: 5,
        })
    };
    let mut node = Node::with_brokers(config(1), 1);
    assert_eq!(text(&node.ask(ids())), "5 from 0");
    node.ask(create(vec![topic("a", 1, 1)]));
    let mut again = Node::open(config(1), node.disk.clone()).unwrap();
    assert_eq!(text(&again.ask(ids())), "5 from 5");
    let old = again.published.topic_by_name("a").unwrap().id;
    again.ask(ControllerRequest::DeleteTopics(DeleteTopics {
        topics: vec![TopicRef::Id(old)],
    }));
    again.ask(create(vec![topic("a", 1, 1)]));
    assert_ne!(again.published.topic_by_name("a").unwrap().id, old);
}

#[test]
fn only_a_lone_voter_goes_on_without_its_hard_state() {
    let mut live = busy(SnapshotPolicy {
        entries: 50,
        bytes: u64::MAX,
        interval_ms: None,
    });
    live.disk.hard_state = None;
    let mut again = Node::open(config(3), live.disk.clone()).unwrap();
    again.flush();
    assert_eq!(again.describe(), live.describe());
    let several = ControllerConfig {
        voters: vec![NodeId(0), NodeId(1), NodeId(2)],
        ..config(3)
    };
    let error = Node::open(several, live.disk).map(drop).unwrap_err();
    assert_eq!(
        error.to_string(),
        "entry 51 of the metadata log has the impossible term 1"
    );
}

#[test]
fn damage_is_refused() {
    let check = |damage: fn(&mut Disk), expected: &str| {
        let mut disk = busy(SnapshotPolicy {
            entries: 50,
            bytes: u64::MAX,
            interval_ms: None,
        })
        .disk;
        damage(&mut disk);
        let error = Node::open(config(3), disk).map(drop).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    };
    check(
        |disk| drop(disk.entries.pop_front()),
        "the metadata log has entry 52 where 51",
    );
    check(
        |disk| disk.entries.clear(),
        "the metadata log ends at 50, but was committed up to",
    );
    check(
        |disk| disk.entries[1].term = 9,
        "entry 52 of the metadata log has the impossible term 9",
    );
    check(
        |disk| disk.entries[1].data = vec![9].into(),
        "entry 52 of the metadata log: record batch",
    );
    check(
        |disk| disk.snapshot.as_mut().unwrap().index = 49,
        "the metadata snapshot of index 50",
    );
    check(
        |disk| {
            let snapshot = disk.snapshot.as_mut().unwrap();
            let mut bytes = snapshot.bytes.to_vec();
            bytes[100] ^= 1;
            snapshot.bytes = bytes.into();
        },
        "metadata snapshot: the checksum",
    );
}

#[test]
fn contradicting_records_stop_the_controller() {
    let mut disk = Node::with_brokers(config(1), 1).disk;
    let deleted = crate::MetadataRecord::TopicDeleted {
        topic_id: chronik_model::TopicId([1; 16]),
    };
    disk.entries.back_mut().unwrap().data = encode_batch(&[deleted]);
    let mut node = Node::open(config(1), disk).unwrap();
    node.flush();
    let halted = "halt metadata log entry 3: topic id AQEBAQEBAQEBAQEBAQEBAQ does not exist";
    assert_eq!(node.transcript, ["publish 1", halted]);
    node.send(register(0, 1));
    assert_eq!(node.transcript, ["publish 1", halted]);
}

#[test]
fn negative_node_ids_can_not_vote() {
    let config = ControllerConfig {
        node_id: NodeId(-1),
        ..config(1)
    };
    let error = Node::open(config, Disk::default()).map(drop).unwrap_err();
    assert!(matches!(
        error,
        OpenError::Recovery(RecoveryError::Refused(_))
    ));
}
