//! Segment files that can not be written: a failing device ends acknowledgements, a full one only
//! delays the segments.

use chronik_model::ErrorCode;
use chronik_protocol::messages::ProduceResponse;
use chronik_storage::disk::DiskErrorKind;

use crate::harness::client::{Call, Topic, produce_errors};
use crate::harness::node::Options;
use crate::harness::{Sim, seeds};
use crate::produce::plain;

const REFUSED: i16 = ErrorCode::KafkaStorageError.code();

fn send(sim: &mut Sim, connection: usize, topic: Topic, index: i32) -> Call {
    let part = (index, plain(sim));
    sim.produce(connection, topic, -1, &[part]).unwrap()
}

fn errors(sim: &mut Sim, call: Call) -> Vec<i16> {
    let response: ProduceResponse = sim.wait(call);
    produce_errors(&response)
}

#[test]
fn a_failed_segment_write_refuses_producers_and_serves_consumers() {
    for seed in seeds(20) {
        let mut sim = Sim::new(seed);
        let (one, other) = (sim.connect(0), sim.connect(1));
        let lazy = seed % 2 == 0;
        let configs: &[_] = if lazy {
            &[("flush.messages", "1000")]
        } else {
            &[]
        };
        let topic = sim.create(one, "t", 3, configs);
        if lazy {
            sim.ledger.lazy.insert(topic.id);
        }
        for index in 0..3 {
            let call = send(&mut sim, one, topic, index);
            assert_eq!(errors(&mut sim, call), [0]);
        }
        sim.settle();
        sim.disk.faults().writes = Some(DiskErrorKind::Failed);
        // Every shard hears of it in the end, whichever of them wrote.
        let mut calls = Vec::new();
        for round in 0..40 {
            calls.push(send(&mut sim, other, topic, round % 3));
            sim.run_steps(5);
        }
        sim.settle();
        let outcomes: Vec<i16> = calls
            .into_iter()
            .flat_map(|call| errors(&mut sim, call))
            .collect();
        assert!(outcomes.contains(&REFUSED), "seed {seed}: {outcomes:?}");
        assert!(outcomes.iter().all(|code| [0, REFUSED].contains(code)));
        assert!(sim.node.offline);
        for index in 0..3 {
            let call = send(&mut sim, one, topic, index);
            assert_eq!(errors(&mut sim, call), [REFUSED], "seed {seed}");
            assert!(!sim.read_whole(one, topic, index).is_empty());
        }
        sim.settle();
        sim.check_all_answered();
        sim.disk.faults().writes = None;
        sim.crash(false);
        let connection = sim.connect(0);
        for index in 0..3 {
            sim.read_whole(connection, topic, index);
            let call = send(&mut sim, connection, topic, index);
            assert_eq!(errors(&mut sim, call), [0], "seed {seed}");
        }
    }
}

#[test]
fn a_full_device_delays_segments_and_loses_nothing() {
    for seed in seeds(30) {
        let mut sim = Sim::with(
            seed,
            Options {
                journal_file_bytes: 64 << 10,
                ..Options::default()
            },
        );
        let connection = sim.connect(0);
        let configs: &[_] = if seed % 2 == 0 {
            &[]
        } else {
            &[("flush.messages", "1000")]
        };
        let topic = sim.create(connection, "t", 1, configs);
        if seed % 2 == 1 {
            sim.ledger.lazy.insert(topic.id);
        }
        sim.settle();
        sim.disk.faults().writes = Some(DiskErrorKind::Full);
        let checkpoints = sim.node.journal.checkpoints;
        let mut waiting = Vec::new();
        for _ in 0..60 {
            waiting.push(send(&mut sim, connection, topic, 0));
            sim.run_steps(20);
        }
        sim.run_for(5_000);
        assert!(!sim.node.offline, "seed {seed}: no space is no failure");
        assert_eq!(sim.node.journal.checkpoints, checkpoints, "trimmed");
        if seed % 3 == 0 {
            // Died while it was full: the journal has what the segments miss.
            sim.crash(seed % 2 == 0);
            sim.disk.faults().writes = None;
        } else {
            // Those that wait for the segment hold up their own connection only.
            let other = sim.connect(1);
            let refused = send(&mut sim, other, topic, 0);
            sim.settle();
            sim.disk.faults().writes = None;
            sim.run_for(2_000);
            assert_eq!(errors(&mut sim, refused), [REFUSED], "seed {seed}");
            for call in waiting {
                let outcome = errors(&mut sim, call);
                assert!([0, REFUSED].contains(&outcome[0]), "seed {seed}");
            }
        }
        let connection = sim.connect(1);
        sim.read_whole(connection, topic, 0);
        let call = send(&mut sim, connection, topic, 0);
        assert_eq!(errors(&mut sim, call), [0], "seed {seed}");
        sim.crash(false);
        let connection = sim.connect(0);
        sim.read_whole(connection, topic, 0);
        assert_eq!(sim.node.retry_at, None);
    }
}
