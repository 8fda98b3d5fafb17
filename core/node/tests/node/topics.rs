//! Topics come and go while clients use them.

use chronik_model::{ErrorCode, TopicId};
use chronik_protocol::ApiKey;
use chronik_protocol::messages::{MetadataRequest, MetadataResponse, ProduceResponse};

use crate::admin::{NO_SESSION, Wait};
use crate::harness::client::{Topic, produce_errors};
use crate::harness::{Sim, seeds};
use crate::produce::plain;

#[test]
fn a_topic_whose_creation_was_answered_takes_records_everywhere() {
    for seed in seeds(30) {
        let mut sim = Sim::new(seed);
        let (admin, producer) = (sim.connect(0), sim.connect(1));
        for name in ["a", "b", "c"] {
            let topic = sim.create(admin, name, 2, &[]);
            let parts = [(0, plain(&mut sim)), (1, plain(&mut sim))];
            let call = sim.produce(producer, topic, -1, &parts).unwrap();
            let response: ProduceResponse = sim.wait(call);
            assert_eq!(produce_errors(&response), [0, 0], "seed {seed}");
            assert_eq!(sim.grow(admin, topic, 3), 0);
            let part = (2, plain(&mut sim));
            let call = sim.produce(producer, topic, -1, &[part]).unwrap();
            let response: ProduceResponse = sim.wait(call);
            assert_eq!(produce_errors(&response), [0], "seed {seed}");
        }
    }
}

#[test]
fn requests_behind_a_creation_wait_for_it() {
    for seed in seeds(20) {
        let mut sim = Sim::new(seed);
        let connection = sim.connect(0);
        let creating = sim.send_create(connection, "t", 1, &[]);
        let mut request = MetadataRequest::default();
        request.topics = None;
        let listing = sim.send(connection, ApiKey::Metadata, 12, &request);
        // The id is not known yet, and not asked for.
        let unknown = Topic {
            name: "t",
            id: TopicId::ZERO,
        };
        let part = (0, plain(&mut sim));
        let producing = sim.produce(connection, unknown, 1, &[part]).unwrap();
        let creating_again = sim.send_create(connection, "t", 1, &[]);
        sim.created(creating, "t");
        let listed: MetadataResponse = sim.wait(listing);
        assert_eq!(listed.topics.len(), 1, "seed {seed}");
        let response: ProduceResponse = sim.wait(producing);
        assert_eq!(produce_errors(&response), [0], "seed {seed}");
        let again: chronik_protocol::messages::CreateTopicsResponse = sim.wait(creating_again);
        assert_eq!(
            again.topics[0].error_code,
            ErrorCode::TopicAlreadyExists.code()
        );
    }
}

#[test]
fn produces_do_not_wait_for_one_another_up_to_the_limit() {
    for seed in seeds(10) {
        let mut sim = Sim::new(seed);
        let connection = sim.connect(0);
        let topic = sim.create(connection, "t", 1, &[]);
        sim.settle();
        sim.node.journal.held = true;
        let mut calls = Vec::new();
        let mut ends = Vec::new();
        for _ in 0..10 {
            let batch = plain(&mut sim);
            ends.push(ends.last().unwrap_or(&0) + batch.values.len());
            calls.push(sim.produce(connection, topic, -1, &[(0, batch)]).unwrap());
        }
        sim.settle();
        let status: Vec<_> = sim
            .node
            .shards
            .iter()
            .flat_map(chronik_node::Shard::status)
            .collect();
        assert_eq!(
            usize::try_from(status[0].log_end.0).unwrap(),
            ends[5],
            "six are in flight"
        );
        assert!(calls.iter().all(|call| !sim.answered(*call)));
        sim.node.journal.held = false;
        sim.settle();
        assert!(calls.iter().all(|call| sim.answered(*call)));
    }
}

#[test]
fn a_topic_created_again_has_nothing_of_the_old_one() {
    for seed in seeds(30) {
        let mut sim = Sim::new(seed);
        let (admin, producer) = (sim.connect(0), sim.connect(1));
        let mut old = sim.create(admin, "t", 2, &[]);
        for life in 0..4 {
            let calls: Vec<_> = (0..6)
                .map(|_| {
                    let parts = [(0, plain(&mut sim)), (1, plain(&mut sim))];
                    let call = sim.produce(producer, old, -1, &parts).unwrap();
                    sim.run_steps(5);
                    call
                })
                .collect();
            assert_eq!(sim.delete(admin, old), 0);
            for call in calls {
                let response: ProduceResponse = sim.wait(call);
                let allowed = [
                    0,
                    ErrorCode::UnknownTopicId.code(),
                    ErrorCode::UnknownTopicOrPartition.code(),
                    ErrorCode::NotLeaderOrFollower.code(),
                ];
                let errors = produce_errors(&response);
                assert!(
                    errors.iter().all(|error| allowed.contains(error)),
                    "seed {seed}: {errors:?}"
                );
            }
            let new = sim.create(admin, "t", 2, &[]);
            assert_ne!(new.id, old.id);
            if sim.rng.below(3) == 0 {
                sim.crash(life % 2 == 0);
                return check_new(&mut sim, old, new);
            }
            for index in 0..2 {
                assert_eq!(sim.read_whole(admin, new, index), [], "seed {seed}");
            }
            let response = sim.fetch(admin, &[(old, 0, 0)], Wait::NONE, NO_SESSION);
            let error = response.responses[0].partitions[0].error_code;
            assert_eq!(error, ErrorCode::UnknownTopicId.code());
            old = new;
        }
        sim.settle();
        sim.check_all_answered();
        let mut left = sim.disk.paths();
        left.retain(|path| path.ends_with(".log") && path.contains("t-"));
        assert_eq!(left, [""; 0], "files of deleted topics are left");
    }
}

fn check_new(sim: &mut Sim, old: Topic, new: Topic) {
    let admin = sim.connect(1);
    for index in 0..2 {
        assert_eq!(sim.read_whole(admin, new, index), []);
    }
    let response = sim.fetch(admin, &[(old, 0, 0)], Wait::NONE, NO_SESSION);
    let error = response.responses[0].partitions[0].error_code;
    assert_eq!(error, ErrorCode::UnknownTopicId.code());
}

#[test]
fn a_fetch_that_waits_hears_of_the_deletion() {
    for seed in seeds(10) {
        let mut sim = Sim::new(seed);
        let (admin, consumer) = (sim.connect(0), sim.connect(1));
        let topic = sim.create(admin, "t", 1, &[]);
        let sent_at = sim.now().mono;
        let wait = Wait {
            max_ms: 60_000,
            min_bytes: 1,
            max_bytes: 1000,
        };
        let call = sim.send_fetch(consumer, &[(topic, 0, 0)], wait, NO_SESSION);
        sim.settle();
        assert_eq!(sim.delete(admin, topic), 0);
        let response: chronik_protocol::messages::FetchResponse = sim.wait(call);
        let waited = sim.replied_at(call).mono.since(sent_at).as_millis();
        assert!(waited < 1000, "seed {seed}: woke after {waited} ms");
        assert_ne!(response.responses[0].partitions[0].error_code, 0);
    }
}
