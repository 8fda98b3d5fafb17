//! Long polls and fetch sessions.

use chronik_model::ErrorCode;
use chronik_protocol::messages::{FetchResponse, ProduceResponse};

use crate::admin::{NO_SESSION, Wait};
use crate::harness::client::{Topic, batch, fetched};
use crate::harness::{Sim, seeds};
use crate::produce::{plain, values};

const PATIENT: Wait = Wait {
    max_ms: 60_000,
    min_bytes: 1,
    max_bytes: 1 << 20,
};

fn record_bytes(response: &FetchResponse) -> usize {
    let parts = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partitions);
    parts
        .map(|part| part.records.as_ref().map_or(0, bytes::Bytes::len))
        .sum()
}

fn produce(sim: &mut Sim, connection: usize, topic: Topic, index: i32) {
    let part = (index, plain(sim));
    let call = sim.produce(connection, topic, -1, &[part]).unwrap();
    sim.wait::<ProduceResponse>(call);
}

#[test]
fn a_fetch_wakes_when_records_come() {
    for seed in seeds(20) {
        let mut sim = Sim::new(seed);
        let (producer, consumer) = (sim.connect(0), sim.connect(1));
        let topic = sim.create(producer, "t", 4, &[]);
        let mut next = [0; 4];
        for _ in 0..10 {
            let from = [0, 1, 2, 3]
                .map(|index: i32| (topic, index, next[usize::try_from(index).unwrap()]));
            let sent_at = sim.now().mono;
            let call = sim.send_fetch(consumer, &from, PATIENT, NO_SESSION);
            let steps = sim.rng.below(30);
            sim.run_steps(steps);
            let index = i32::try_from(sim.rng.below(4)).unwrap();
            produce(&mut sim, producer, topic, index);
            let response: FetchResponse = sim.wait(call);
            let waited = sim.replied_at(call).mono.since(sent_at);
            assert!(
                waited.as_millis() < 1000,
                "seed {seed}: woke after {waited:?}"
            );
            for ((_, index), _, records) in fetched(&response, &[topic]) {
                if let Some(last) = records.last() {
                    next[usize::try_from(index).unwrap()] = last.offset + 1;
                }
            }
            assert!(record_bytes(&response) > 0, "seed {seed}");
        }
    }
}

#[test]
fn a_fetch_gives_up_at_its_deadline_with_nothing() {
    for seed in seeds(10) {
        let mut sim = Sim::new(seed);
        let connection = sim.connect(0);
        let topic = sim.create(connection, "t", 4, &[]);
        sim.settle();
        let sent_at = sim.now().mono;
        let wait = Wait {
            max_ms: 500,
            ..PATIENT
        };
        let from = [0, 1, 2, 3].map(|index| (topic, index, 0));
        let call = sim.send_fetch(connection, &from, wait, NO_SESSION);
        let response: FetchResponse = sim.wait(call);
        let waited = sim.replied_at(call).mono.since(sent_at).as_millis();
        assert!((500..520).contains(&waited), "seed {seed}: {waited} ms");
        assert_eq!(record_bytes(&response), 0);
    }
}

#[test]
fn a_fetch_waits_for_as_many_bytes_as_it_wants() {
    for seed in seeds(10) {
        let mut sim = Sim::new(seed);
        let (producer, consumer) = (sim.connect(0), sim.connect(1));
        let topic = sim.create(producer, "t", 2, &[]);
        let wait = Wait {
            min_bytes: 1500,
            ..PATIENT
        };
        let from = [(topic, 0, 0), (topic, 1, 0)];
        let call = sim.send_fetch(consumer, &from, wait, NO_SESSION);
        let mut sent = 0;
        for round in 0..8 {
            sim.settle();
            assert_eq!(
                sim.answered(call),
                sent >= 1500,
                "seed {seed} round {round}: {sent} bytes"
            );
            let values = values(&mut sim, 10);
            let batch = batch(&values, 0, None);
            sent += batch.bytes.len();
            sim.produce(producer, topic, -1, &[(round % 2, batch)]);
        }
        let response: FetchResponse = sim.wait(call);
        assert!(record_bytes(&response) >= 1500);
        sim.settle();
        sim.check_all_answered();
    }
}

#[test]
fn a_fetch_does_not_wait_for_more_than_it_may_hold() {
    let mut sim = Sim::new(1);
    let connection = sim.connect(0);
    let topic = sim.create(connection, "t", 1, &[]);
    produce(&mut sim, connection, topic, 0);
    let wait = Wait {
        min_bytes: 10_000,
        max_bytes: 20,
        ..PATIENT
    };
    let sent_at = sim.now().mono;
    let call = sim.send_fetch(connection, &[(topic, 0, 0)], wait, NO_SESSION);
    let response: FetchResponse = sim.wait(call);
    assert!(record_bytes(&response) > 20, "the first batch comes whole");
    assert!(sim.replied_at(call).mono.since(sent_at).as_millis() < 1000);
}

#[test]
fn records_that_were_evicted_come_from_the_disk_and_later_ones_still_wake_the_fetch() {
    for seed in seeds(10) {
        let mut options = crate::harness::node::Options::default();
        options.limits.tail_bytes = 1;
        let mut sim = Sim::with(seed, options);
        let (producer, consumer) = (sim.connect(0), sim.connect(1));
        let topic = sim.create(producer, "t", 1, &[]);
        produce(&mut sim, producer, topic, 0);
        sim.settle();
        let wait = Wait {
            min_bytes: 200,
            ..PATIENT
        };
        let sent_at = sim.now().mono;
        let call = sim.send_fetch(consumer, &[(topic, 0, 0)], wait, NO_SESSION);
        sim.settle();
        for _ in 0..4 {
            produce(&mut sim, producer, topic, 0);
        }
        sim.wait::<FetchResponse>(call);
        let waited = sim.replied_at(call).mono.since(sent_at);
        assert!(
            waited.as_millis() < 1000,
            "seed {seed}: woke after {waited:?}"
        );
    }
}

#[test]
fn a_session_answers_only_what_changed() {
    for seed in seeds(20) {
        let mut sim = Sim::new(seed);
        let (producer, consumer) = (sim.connect(0), sim.connect(1));
        let topic = sim.create(producer, "t", 4, &[]);
        let all = [0, 1, 2, 3].map(|index| (topic, index, 0));
        let opened = sim.fetch(consumer, &all, Wait::NONE, (0, 0));
        let id = opened.session_id;
        assert_ne!(id, 0);
        assert_eq!(opened.responses[0].partitions.len(), 4);
        let quiet = sim.fetch(consumer, &[], Wait::NONE, (id, 1));
        assert_eq!((quiet.session_id, quiet.responses.len()), (id, 0));
        produce(&mut sim, producer, topic, 2);
        let news = sim.fetch(consumer, &[], Wait::NONE, (id, 2));
        let indexes: Vec<i32> = news.responses[0]
            .partitions
            .iter()
            .map(|it| it.partition_index)
            .collect();
        assert_eq!(indexes, [2]);
        let end = news.responses[0].partitions[0].high_watermark;
        let moved_on = sim.fetch(consumer, &[(topic, 2, end)], Wait::NONE, (id, 3));
        assert_eq!(moved_on.responses.len(), 0);
        let call = sim.send_fetch(consumer, &[], PATIENT, (id, 4));
        produce(&mut sim, producer, topic, 1);
        let woken: FetchResponse = sim.wait(call);
        let indexes: Vec<i32> = woken.responses[0]
            .partitions
            .iter()
            .map(|it| it.partition_index)
            .collect();
        assert_eq!(indexes, [1]);
    }
}

#[test]
fn sessions_that_are_not_known_or_out_of_step_are_refused() {
    let mut sim = Sim::new(1);
    let (one, other) = (sim.connect(0), sim.connect(1));
    let topic = sim.create(one, "t", 1, &[]);
    let opened = sim.fetch(one, &[(topic, 0, 0)], Wait::NONE, (0, 0));
    let id = opened.session_id;
    let mut check = |connection, session, expected: ErrorCode| {
        let response = sim.fetch(connection, &[], Wait::NONE, session);
        assert_eq!(response.error_code, expected.code(), "{session:?}");
        assert!(response.responses.is_empty());
    };
    check(one, (id, 2), ErrorCode::InvalidFetchSessionEpoch);
    check(one, (id + 1, 1), ErrorCode::FetchSessionIdNotFound);
    check(other, (id, 1), ErrorCode::FetchSessionIdNotFound);
    check(one, (id, 1), ErrorCode::None);
    check(one, (id, 1), ErrorCode::InvalidFetchSessionEpoch);
    check(one, (id, -1), ErrorCode::None);
    check(one, (id, 2), ErrorCode::FetchSessionIdNotFound);
}
