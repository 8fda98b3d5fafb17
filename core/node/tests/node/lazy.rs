//! Topics that leave flushing to the system: acknowledged when written, until they are told to be
//! durable again.

use chronik_protocol::messages::ProduceResponse;

use crate::harness::client::{Call, Topic, produce_errors};
use crate::harness::node::Options;
use crate::harness::{Sim, is_synced, seeds};
use crate::produce::plain;

fn produce(sim: &mut Sim, connection: usize, topic: Topic, count: usize) {
    let calls: Vec<Call> = (0..count)
        .map(|_| {
            let part = (0, plain(sim));
            let call = sim.produce(connection, topic, -1, &[part]).unwrap();
            let steps = sim.rng.below(10);
            sim.run_steps(steps);
            call
        })
        .collect();
    for call in calls {
        let response: ProduceResponse = sim.wait(call);
        assert_eq!(produce_errors(&response), [0]);
    }
}

#[test]
fn a_lazy_topic_does_not_wait_for_the_journal() {
    for seed in seeds(10) {
        let mut sim = Sim::new(seed);
        let connection = sim.connect(0);
        let topic = sim.create(connection, "t", 1, &[("flush.messages", "1000")]);
        sim.ledger.lazy.insert(topic.id);
        sim.settle();
        sim.node.journal.held = true;
        produce(&mut sim, connection, topic, 10);
        sim.read_whole(connection, topic, 0);
        sim.node.journal.held = false;
        sim.settle();
        sim.crash(false);
        let connection = sim.connect(1);
        sim.read_whole(connection, topic, 0);
    }
}

#[test]
fn what_was_lazy_is_durable_once_the_topic_is() {
    for seed in seeds(30) {
        let mut sim = Sim::new(seed);
        let mut connection = sim.connect(0);
        let topic = sim.create(connection, "t", 1, &[("flush.messages", "1000")]);
        for round in 0..3 {
            sim.ledger.lazy.insert(topic.id);
            produce(&mut sim, connection, topic, 10);
            sim.configure(connection, topic, "flush.messages", "1");
            sim.ledger.lazy.remove(&topic.id);
            let count = 1 + round * 3;
            produce(&mut sim, connection, topic, count);
            sim.crash(true);
            connection = sim.connect(1);
            sim.read_whole(connection, topic, 0);
            sim.configure(connection, topic, "flush.messages", "1000");
        }
    }
}

#[test]
fn changes_of_mode_under_load_lose_nothing_when_the_process_dies() {
    for seed in seeds(30) {
        let mut sim = Sim::new(seed);
        let mut connection = sim.connect(0);
        let topic = sim.create(connection, "t", 1, &[]);
        sim.ledger.lazy.insert(topic.id);
        for _ in 0..4 {
            let admin = sim.connect(1);
            for value in ["1000", "1", "1000"] {
                let part = (0, plain(&mut sim));
                sim.produce(connection, topic, -1, &[part]).unwrap();
                sim.configure(admin, topic, "flush.messages", value);
                produce(&mut sim, connection, topic, 3);
            }
            sim.crash(false);
            connection = sim.connect(1);
            sim.read_whole(connection, topic, 0);
        }
    }
}

#[test]
fn flush_ms_syncs_a_segment_in_time_and_leaves_no_timer() {
    const FLUSH_MS: i64 = 700;
    for seed in seeds(20) {
        let mut options = Options::default();
        // The sync is nobody else's.
        options.limits.write_back_bytes = u64::MAX;
        let mut sim = Sim::with(seed, options);
        let connection = sim.connect(0);
        let configs = [
            ("flush.messages", "100000"),
            ("flush.ms", "700"),
            ("retention.ms", "-1"),
            ("segment.bytes", "1048576"),
        ];
        let topics = ["a", "b"].map(|name| sim.create(connection, name, 1, &configs));
        for topic in topics {
            sim.ledger.lazy.insert(topic.id);
        }
        sim.run_for(FLUSH_MS);
        assert_eq!(sim.node.shard_deadline(), None, "nothing is written yet");
        for _ in 0..4 {
            produce(&mut sim, connection, topics[0], 3);
            let pause = i64::try_from(sim.rng.below(500)).unwrap();
            sim.run_for(pause);
            produce(&mut sim, connection, topics[1], 3);
            assert!(!is_synced(&sim.disk, "topics/a-0"), "seed {seed}: at once");
            assert!(sim.node.shard_deadline().is_some());
            // The time that the steps themselves take, at most.
            let slack = 10;
            sim.run_for(FLUSH_MS - pause + slack);
            assert!(is_synced(&sim.disk, "topics/a-0"), "seed {seed}: a is late");
            sim.run_for(pause);
            assert!(is_synced(&sim.disk, "topics/b-0"), "seed {seed}: b is late");
            let left = sim.node.shard_deadline();
            assert_eq!(left, None, "seed {seed}: a timer for nothing");
        }
    }
}

#[test]
fn flush_ms_that_is_set_later_counts_for_what_is_written_already() {
    for seed in seeds(10) {
        let mut sim = Sim::new(seed);
        let connection = sim.connect(0);
        let configs = [("flush.messages", "100000"), ("retention.ms", "-1")];
        let topic = sim.create(connection, "t", 1, &configs);
        sim.ledger.lazy.insert(topic.id);
        produce(&mut sim, connection, topic, 3);
        sim.run_for(60_000);
        assert!(!is_synced(&sim.disk, "topics/t-0"));
        sim.configure(connection, topic, "flush.ms", "1000");
        sim.run_for(1_001);
        assert!(is_synced(&sim.disk, "topics/t-0"), "seed {seed}");
        assert_eq!(sim.node.shard_deadline(), None, "seed {seed}");
    }
}
