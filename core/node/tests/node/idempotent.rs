//! Idempotent producers: five requests in flight, and everything whose outcome is not known is sent
//! again, in order.

use std::collections::VecDeque;

use chronik_model::ErrorCode;
use chronik_protocol::messages::ProduceResponse;

use crate::harness::client::{Batch, Call, Topic, batch, produce_errors};
use crate::harness::{Sim, seeds};
use crate::produce::values;

/// What KIP-98 lets a producer have in flight.
const MOST_IN_FLIGHT: usize = 5;

/// A producer of one partition.
#[derive(Debug)]
pub(crate) struct Producer {
    topic: Topic,
    index: i32,
    id: i64,
    connection: usize,
    next_sequence: i32,
    /// Batches without answer, oldest first; those sent again have a new call.
    in_flight: VecDeque<(Batch, Call)>,
    /// Offset behind the newest acknowledged record.
    end: i64,
    pub(crate) acknowledged: usize,
}

impl Producer {
    pub(crate) fn new(sim: &mut Sim, connection: usize, topic: Topic, index: i32) -> Self {
        let id = sim.producer_id(connection);
        Self {
            topic,
            index,
            id,
            connection,
            next_sequence: 0,
            in_flight: VecDeque::new(),
            end: 0,
            acknowledged: 0,
        }
    }

    /// Sends another batch if one more may be in flight.
    pub(crate) fn push(&mut self, sim: &mut Sim) {
        self.take_answers(sim);
        if self.in_flight.len() >= MOST_IN_FLIGHT {
            return;
        }
        let count = 1 + sim.rng.below(3);
        let values = values(sim, count);
        let batch = batch(
            &values,
            sim.now().wall_ms,
            Some((self.id, self.next_sequence)),
        );
        self.next_sequence += i32::try_from(count).unwrap();
        let call = self.send(sim, &batch);
        self.in_flight.push_back((batch, call));
    }

    fn send(&self, sim: &mut Sim, batch: &Batch) -> Call {
        let parts = [(self.index, batch.clone())];
        sim.produce(self.connection, self.topic, -1, &parts)
            .expect("acks=all has a reply")
    }

    fn take_answers(&mut self, sim: &Sim) {
        while let Some((batch, call)) = self.in_flight.front() {
            let Some(response) = sim.reply::<ProduceResponse>(*call) else {
                return;
            };
            assert_eq!(produce_errors(&response), [0]);
            let base = response.responses[0].partition_responses[0].base_offset;
            assert!(
                base >= self.end,
                "batches of one producer out of order: {base} < {}",
                self.end
            );
            self.end = base + i64::try_from(batch.values.len()).unwrap();
            self.acknowledged += 1;
            self.in_flight.pop_front();
        }
    }

    /// Goes on over another connection: what was not answered is sent again.
    pub(crate) fn reconnect(&mut self, sim: &mut Sim, connection: usize) {
        self.take_answers(sim);
        self.connection = connection;
        for (batch, _) in std::mem::take(&mut self.in_flight) {
            let call = self.send(sim, &batch);
            self.in_flight.push_back((batch, call));
        }
    }

    /// Waits for all that is in flight.
    pub(crate) fn finish(&mut self, sim: &mut Sim) {
        while let Some((_, call)) = self.in_flight.front() {
            let call = *call;
            sim.wait::<ProduceResponse>(call);
            self.take_answers(sim);
        }
    }
}

#[test]
fn what_is_sent_again_while_it_is_in_flight_is_stored_once() {
    for seed in seeds(30) {
        let mut sim = Sim::new(seed);
        let admin = sim.connect(0);
        let topic = sim.create(admin, "t", 2, &[]);
        let mut connection = sim.connect(0);
        let mut producer = Producer::new(&mut sim, connection, topic, 1);
        for _ in 0..40 {
            producer.push(&mut sim);
            let steps = sim.rng.below(12);
            sim.run_steps(steps);
            if sim.rng.below(6) == 0 {
                sim.hang_up(connection);
                let frontend = u16::try_from(sim.rng.below(2)).unwrap();
                connection = sim.connect(frontend);
                producer.reconnect(&mut sim, connection);
            }
        }
        producer.finish(&mut sim);
        assert!(producer.acknowledged > 5);
        sim.read_whole(admin, topic, 1);
        sim.check_all_answered();
    }
}

#[test]
fn a_duplicate_gets_the_first_offset_and_not_before_it_is_durable() {
    for seed in seeds(10) {
        let mut sim = Sim::new(seed);
        let (one, other) = (sim.connect(0), sim.connect(1));
        let topic = sim.create(one, "t", 1, &[]);
        let id = sim.producer_id(one);
        sim.settle();
        sim.node.journal.held = true;
        let sent = batch(&values(&mut sim, 2), 0, Some((id, 0)));
        let next = batch(&values(&mut sim, 2), 0, Some((id, 2)));
        let first = sim.produce(one, topic, -1, &[(0, sent.clone())]).unwrap();
        let second = sim.produce(one, topic, -1, &[(0, next)]).unwrap();
        sim.settle();
        let again = sim.produce(other, topic, -1, &[(0, sent.clone())]).unwrap();
        sim.settle();
        assert!(!sim.answered(first) && !sim.answered(second) && !sim.answered(again));
        sim.node.journal.held = false;
        sim.settle();
        let late = sim.produce(other, topic, -1, &[(0, sent)]).unwrap();
        for (call, offset) in [(first, 0), (second, 2), (again, 0), (late, 0)] {
            let response: ProduceResponse = sim.wait(call);
            assert_eq!(produce_errors(&response), [0]);
            assert_eq!(
                response.responses[0].partition_responses[0].base_offset,
                offset
            );
        }
        assert_eq!(sim.read_whole(one, topic, 0).len(), 4);
    }
}

#[test]
fn a_produce_that_waits_too_long_is_told_so_and_its_retry_finds_it() {
    const TIMED_OUT: i16 = ErrorCode::RequestTimedOut.code();
    for seed in seeds(10) {
        let mut sim = Sim::new(seed);
        let (one, other) = (sim.connect(0), sim.connect(1));
        let topic = sim.create(one, "t", 2, &[]);
        let id = sim.producer_id(one);
        sim.settle();
        sim.node.journal.held = true;
        let sent = batch(&values(&mut sim, 2), 0, Some((id, 0)));
        let first = sim.produce(one, topic, -1, &[(0, sent.clone())]).unwrap();
        sim.run_for(20_000);
        let later = batch(&values(&mut sim, 2), 0, None);
        let second = sim.produce(one, topic, -1, &[(1, later)]).unwrap();
        sim.run_for(9_000);
        assert!(!sim.answered(first), "seed {seed}: 29 of 30 s have passed");
        sim.run_for(2_000);
        assert!(!sim.answered(second), "seed {seed}: 11 of 30 s have passed");
        let response: ProduceResponse = sim.wait(first);
        assert_eq!(produce_errors(&response), [TIMED_OUT], "seed {seed}");
        sim.node.journal.held = false;
        sim.settle();
        let response: ProduceResponse = sim.wait(second);
        assert_eq!(produce_errors(&response), [0]);
        let retried = sim.produce(other, topic, -1, &[(0, sent)]).unwrap();
        let response: ProduceResponse = sim.wait(retried);
        assert_eq!(produce_errors(&response), [0]);
        assert_eq!(response.responses[0].partition_responses[0].base_offset, 0);
        assert_eq!(sim.read_whole(one, topic, 0).len(), 2, "seed {seed}");
    }
}
