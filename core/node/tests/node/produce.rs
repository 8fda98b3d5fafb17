//! Producing and reading back under every order of events.

use chronik_protocol::messages::ProduceResponse;

use crate::harness::client::{Batch, Call, Topic, batch, produce_errors};
use crate::harness::{Sim, seeds};

/// Values that no other batch of the run has.
pub(crate) fn values(sim: &mut Sim, count: u64) -> Vec<String> {
    (0..count)
        .map(|number| format!("{:x}-{number}", sim.rng.next_u64()))
        .collect()
}

/// A small batch of a producer without idempotence.
pub(crate) fn plain(sim: &mut Sim) -> Batch {
    let count = 1 + sim.rng.below(4);
    let values = values(sim, count);
    batch(&values, sim.now().wall_ms, None)
}

/// Producers over both frontends, pipelining, with all kinds of acks, to several partitions.
pub(crate) fn workload(sim: &mut Sim) -> Topic {
    let connections = [sim.connect(0), sim.connect(1), sim.connect(0)];
    let topic = sim.create(connections[0], "t", 4, &[]);
    let mut calls: Vec<Call> = Vec::new();
    for round in 0..30 {
        let connection = connections[round % connections.len()];
        let first = i32::try_from(sim.rng.below(3)).unwrap();
        let parts = [(first, plain(sim)), (first + 1, plain(sim))];
        let acks = [-1, 1, -1, 0][usize::try_from(sim.rng.below(4)).unwrap()];
        calls.extend(sim.produce(connection, topic, acks, &parts));
        let steps = sim.rng.below(40);
        sim.run_steps(steps);
    }
    for call in calls {
        let response: ProduceResponse = sim.wait(call);
        assert_eq!(produce_errors(&response), [0, 0]);
    }
    sim.settle();
    sim.check_all_answered();
    topic
}

#[test]
fn what_is_acknowledged_is_read_back_once_and_in_order() {
    for seed in seeds(20) {
        let mut sim = Sim::new(seed);
        let topic = workload(&mut sim);
        let consumer = sim.connect(1);
        for index in 0..4 {
            sim.read_whole(consumer, topic, index);
        }
        sim.check_all_answered();
    }
}

#[test]
fn a_failed_produce_without_acknowledgement_closes_the_connection() {
    for seed in seeds(10) {
        let mut sim = Sim::new(seed);
        let (admin, producer) = (sim.connect(0), sim.connect(1));
        let topic = sim.create(admin, "t", 1, &[]);
        let good = (0, plain(&mut sim));
        assert_eq!(sim.produce(producer, topic, 0, &[good]), None);
        let call = sim.send_create(producer, "u", 1, &[]);
        sim.created(call, "u");
        let nowhere = (1, plain(&mut sim));
        sim.produce(producer, topic, 0, &[nowhere]);
        sim.settle();
        assert!(sim.connections[producer].closed.is_some());
        assert!(!sim.read_whole(admin, topic, 0).is_empty());
    }
}
