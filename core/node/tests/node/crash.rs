//! Crashes at any point: what was acknowledged is there afterwards, once.

use std::collections::BTreeSet;

use crate::harness::client::{Call, Topic};
use crate::harness::{Sim, seeds};
use crate::idempotent::Producer;
use crate::produce::plain;

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Checks that all topics are there, led in later epochs than before.
fn check_topics(sim: &mut Sim, connection: usize, topics: &[Topic], epochs: &mut [Vec<i32>]) {
    let metadata = sim.metadata(connection);
    for (topic, epochs) in topics.iter().zip(epochs) {
        let found = metadata.iter().find(|(_, id, _)| *id == topic.id);
        let (name, _, now) = found.expect("a topic that was created is gone");
        assert_eq!(name, topic.name);
        assert!(
            epochs.iter().zip(now).all(|(before, now)| before < now),
            "led again in one epoch"
        );
        epochs.clone_from(now);
    }
}

fn crash_again_and_again(seed: u64) -> (u64, usize) {
    let mut sim = Sim::new(seed);
    let admin = sim.connect(0);
    let mut topics = vec![sim.create(admin, NAMES[0], 3, &[])];
    let mut epochs = vec![vec![-1; 3]];
    let mut ids = BTreeSet::new();
    let mut producers: Vec<Producer> = (0..2)
        .map(|index| Producer::new(&mut sim, admin, topics[0], index))
        .collect();
    let mut checkpoints = 0;
    for life in 0..5 {
        let connections = [sim.connect(0), sim.connect(1)];
        for (producer, connection) in producers.iter_mut().zip(connections) {
            producer.reconnect(&mut sim, connection);
        }
        check_topics(&mut sim, connections[0], &topics, &mut epochs);
        assert!(
            ids.insert(sim.producer_id(connections[0])),
            "a producer id came again"
        );
        let creating: Call = sim.send_create(connections[1], NAMES[life + 1], 2, &[]);
        let turns = sim.rng.below(60);
        for _ in 0..turns {
            for producer in &mut producers {
                producer.push(&mut sim);
            }
            let part = (2, plain(&mut sim));
            sim.produce(connections[0], topics[0], 1, &[part]);
            let steps = sim.rng.below(30);
            sim.run_steps(steps);
        }
        if sim.answered(creating) {
            topics.push(sim.created(creating, NAMES[life + 1]));
            epochs.push(vec![-1; 2]);
        }
        checkpoints += sim.node.journal.checkpoints;
        let power = sim.rng.below(2) == 0;
        sim.crash(power);
        assert_eq!(sim.node.warnings, Vec::<String>::new());
    }
    let connection = sim.connect(0);
    for producer in &mut producers {
        producer.reconnect(&mut sim, connection);
        producer.finish(&mut sim);
    }
    check_topics(&mut sim, connection, &topics, &mut epochs);
    for index in 0..3 {
        sim.read_whole(connection, topics[0], index);
    }
    sim.check_all_answered();
    (
        checkpoints,
        producers.iter().map(|producer| producer.acknowledged).sum(),
    )
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled() {
    let (mut checkpoints, mut acknowledged) = (0, 0);
    for seed in seeds(40) {
        let (trimmed, acked) = crash_again_and_again(seed);
        checkpoints += trimmed;
        acknowledged += acked;
    }
    assert!(
        checkpoints > 10,
        "only {checkpoints} checkpoints: trimming is not tested"
    );
    assert!(acknowledged > 1000, "only {acknowledged} batches");
}
