//! The journal fails: nothing is acknowledged any more, and what is there is still read.

use chronik_model::ErrorCode;
use chronik_protocol::messages::{CreateTopicsResponse, DeleteRecordsResponse, ProduceResponse};

use crate::harness::client::{Call, produce_errors};
use crate::harness::{Sim, seeds};
use crate::produce::plain;

#[test]
fn a_failed_journal_refuses_producers_and_serves_consumers() {
    const REFUSED: i16 = ErrorCode::KafkaStorageError.code();
    for seed in seeds(20) {
        let mut sim = Sim::new(seed);
        let (one, other) = (sim.connect(0), sim.connect(1));
        let topic = sim.create(one, "t", 4, &[]);
        let first: Vec<Call> = (0..4)
            .map(|index| {
                let part = (index, plain(&mut sim));
                sim.produce(one, topic, -1, &[part]).unwrap()
            })
            .collect();
        for call in first {
            sim.wait::<ProduceResponse>(call);
        }
        sim.settle();
        sim.node.journal.fails = true;
        let waiting: Vec<Call> = (0..4)
            .map(|index| {
                let part = (index, plain(&mut sim));
                let call = sim.produce(other, topic, 1, &[part]).unwrap();
                sim.run_steps(3);
                call
            })
            .collect();
        let deleting = sim.send_delete_records(one, topic, 0, 1);
        for call in waiting {
            let response: ProduceResponse = sim.wait(call);
            assert_eq!(produce_errors(&response), [REFUSED], "seed {seed}");
        }
        let deleted: DeleteRecordsResponse = sim.wait(deleting);
        assert_eq!(deleted.topics[0].partitions[0].error_code, REFUSED);
        assert!(sim.node.offline);
        // That the log begins there in memory is no promise.
        let again = sim.delete_records(other, topic, 0, 1);
        assert_eq!(again.0, REFUSED, "seed {seed}");
        let part = (1, plain(&mut sim));
        let call = sim.produce(one, topic, -1, &[part]).unwrap();
        let response: ProduceResponse = sim.wait(call);
        assert_eq!(produce_errors(&response), [REFUSED]);
        for index in 1..4 {
            assert!(!sim.read_whole(one, topic, index).is_empty());
        }
        sim.settle();
        sim.check_all_answered();
    }
}

#[test]
fn nobody_waits_for_a_controller_without_a_journal() {
    const REFUSED: i16 = ErrorCode::NotController.code();
    for seed in seeds(30) {
        let mut sim = Sim::new(seed);
        let (one, other) = (sim.connect(0), sim.connect(1));
        let topic = sim.create(one, "t", 1, &[]);
        sim.settle();
        sim.node.journal.fails = true;
        let names = ["a", "b", "c", "d", "e", "f"];
        let waiting: Vec<Call> = names
            .iter()
            .map(|name| {
                let connection = if name.len() % 2 == 0 { one } else { other };
                let call = sim.send_create(connection, name, 1, &[]);
                let steps = sim.rng.below(8);
                sim.run_steps(steps);
                call
            })
            .collect();
        sim.settle();
        assert!(sim.node.offline, "seed {seed}");
        for call in waiting {
            assert!(sim.answered(call), "seed {seed}: {call:?} hangs");
            let response: CreateTopicsResponse = sim.wait(call);
            assert_eq!(response.topics[0].error_code, REFUSED, "seed {seed}");
        }
        // Later ones are not even tried.
        let call = sim.send_create(one, "late", 1, &[]);
        sim.settle();
        let response: CreateTopicsResponse = sim.reply(call).expect("an answer");
        assert_eq!(response.topics[0].error_code, REFUSED, "seed {seed}");
        assert_eq!(sim.delete(one, topic), REFUSED);
        assert_eq!(sim.grow(other, topic, 3), REFUSED);
        let error = sim.try_configure(one, topic, "retention.ms", "1000");
        assert_eq!(error, REFUSED);
        assert_eq!(sim.metadata(one).len(), 1, "metadata is still served");
        sim.settle();
        sim.check_all_answered();
    }
}
