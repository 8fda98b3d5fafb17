//! What partitions say of themselves: epochs, sizes and producers; and reads that end early.

use chronik_model::ErrorCode;
use chronik_protocol::ApiKey;
use chronik_protocol::messages::{
    DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeProducersRequest,
    DescribeProducersResponse, FetchResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse, ProduceResponse,
    describe_producers_request::TopicRequest,
    describe_producers_response::ProducerState,
    offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic},
};

use crate::admin::{NO_SESSION, Wait};
use crate::harness::client::{Batch, Topic, batch, name, produce_errors};
use crate::harness::node::Options;
use crate::harness::{Sim, seeds};
use crate::produce::values;

/// Appends a batch and returns the time that the broker says it has.
fn produce(sim: &mut Sim, connection: usize, topic: Topic, batch: Batch) -> i64 {
    let call = sim.produce(connection, topic, -1, &[(0, batch)]).unwrap();
    let response: ProduceResponse = sim.wait(call);
    assert_eq!(produce_errors(&response), [0]);
    response.responses[0].partition_responses[0].log_append_time_ms
}

/// Error, epoch and end of an epoch of partition 0.
fn epoch_end(
    sim: &mut Sim,
    connection: usize,
    topic: Topic,
    (stated, epoch): (i32, i32),
) -> (i16, i32, i64) {
    let mut partition = OffsetForLeaderPartition::default();
    partition.current_leader_epoch = stated;
    partition.leader_epoch = epoch;
    let mut asked = OffsetForLeaderTopic::default();
    asked.topic = name(topic.name);
    asked.partitions = vec![partition];
    let mut request = OffsetForLeaderEpochRequest::default();
    request.topics = vec![asked];
    let response: OffsetForLeaderEpochResponse =
        sim.call(connection, ApiKey::OffsetForLeaderEpoch, 4, &request);
    let end = &response.topics[0].partitions[0];
    (end.error_code, end.leader_epoch, end.end_offset)
}

#[test]
fn the_current_epoch_ends_with_the_log() {
    let mut sim = Sim::new(1);
    let connection = sim.connect(0);
    let topic = sim.create(connection, "t", 1, &[]);
    assert_eq!(epoch_end(&mut sim, connection, topic, (-1, 0)), (0, 0, 0));
    let sent = batch(&values(&mut sim, 3), 0, None);
    produce(&mut sim, connection, topic, sent);
    let mut check = |asked: (i32, i32), expected: (ErrorCode, i32, i64)| {
        let (error, epoch, end) = expected;
        let found = epoch_end(&mut sim, connection, topic, asked);
        assert_eq!(found, (error.code(), epoch, end), "{asked:?}");
    };
    check((-1, 0), (ErrorCode::None, 0, 3));
    check((0, 0), (ErrorCode::None, 0, 3));
    check((0, 1), (ErrorCode::None, -1, -1));
    check((-1, -1), (ErrorCode::None, -1, -1));
    check((1, 0), (ErrorCode::UnknownLeaderEpoch, -1, -1));
}

#[test]
fn sizes_are_those_of_the_batches() {
    for seed in seeds(5) {
        let mut sim = Sim::new(seed);
        let connection = sim.connect(0);
        let topic = sim.create(connection, "t", 1, &[]);
        let mut sent = 0;
        for _ in 0..10 {
            let batch = batch(&values(&mut sim, 3), 0, None);
            sent += batch.bytes.len();
            produce(&mut sim, connection, topic, batch);
        }
        let mut request = DescribeLogDirsRequest::default();
        request.topics = None;
        let response: DescribeLogDirsResponse =
            sim.call(connection, ApiKey::DescribeLogDirs, 4, &request);
        let [directory] = &response.results[..] else {
            panic!("{response:?}")
        };
        let topics = directory.topics.iter();
        let mut found = topics.filter(|described| described.name == name("t"));
        let partitions = &found.next().unwrap().partitions;
        assert_eq!(partitions[0].partition_size, i64::try_from(sent).unwrap());
    }
}

fn producers(sim: &mut Sim, connection: usize, topic: Topic) -> Vec<ProducerState> {
    let mut asked = TopicRequest::default();
    asked.name = name(topic.name);
    asked.partition_indexes = vec![0];
    let mut request = DescribeProducersRequest::default();
    request.topics = vec![asked];
    let mut response: DescribeProducersResponse =
        sim.call(connection, ApiKey::DescribeProducers, 0, &request);
    let partition = response.topics[0].partitions.remove(0);
    assert_eq!(partition.error_code, 0);
    partition.active_producers
}

#[test]
fn producers_are_known_by_their_last_batch_also_after_a_crash() {
    for seed in seeds(5) {
        let mut sim = Sim::new(seed);
        let mut connection = sim.connect(0);
        let topic = sim.create(connection, "t", 1, &[]);
        let plain = batch(&values(&mut sim, 2), 5, None);
        produce(&mut sim, connection, topic, plain);
        assert_eq!(producers(&mut sim, connection, topic), []);
        let id = sim.producer_id(connection);
        for (sequence, time) in [(0, 100), (3, 200)] {
            let sent = batch(&values(&mut sim, 3), time, Some((id, sequence)));
            produce(&mut sim, connection, topic, sent);
        }
        for _ in 0..2 {
            let known = producers(&mut sim, connection, topic);
            let [known] = &known[..] else {
                panic!("seed {seed}: {known:?}")
            };
            assert_eq!((known.producer_id.0, known.last_sequence), (id, 5));
            assert!(known.last_timestamp >= 200);
            sim.crash(true);
            connection = sim.connect(0);
        }
    }
}

#[test]
fn a_duplicate_has_the_time_that_its_first_copy_was_stamped_with() {
    let check = |kind: &'static str, is_stamped: bool| {
        for seed in seeds(5) {
            let mut sim = Sim::new(seed);
            let mut connection = sim.connect(0);
            let configs = [("message.timestamp.type", kind)];
            let topic = sim.create(connection, "t", 1, &configs);
            let id = sim.producer_id(connection);
            let sent = batch(&values(&mut sim, 2), 7, Some((id, 0)));
            let first = produce(&mut sim, connection, topic, sent.clone());
            assert_eq!(first > 7, is_stamped, "seed {seed}: {first}");
            sim.run_for(1000);
            assert_eq!(produce(&mut sim, connection, topic, sent.clone()), first);
            sim.crash(true);
            connection = sim.connect(0);
            assert_eq!(produce(&mut sim, connection, topic, sent), first);
        }
    };
    check("LogAppendTime", true);
    check("CreateTime", false);
}

#[test]
fn a_fetch_does_not_wait_at_the_end_of_a_segment() {
    for seed in seeds(10) {
        let mut options = Options::default();
        options.limits.tail_bytes = 1;
        options.limits.write_back_bytes = 1;
        let mut sim = Sim::with(seed, options);
        let connection = sim.connect(0);
        let topic = sim.create(connection, "t", 1, &[("segment.bytes", "1024")]);
        for _ in 0..30 {
            let sent = batch(&values(&mut sim, 3), 0, None);
            produce(&mut sim, connection, topic, sent);
        }
        sim.settle();
        let wait = Wait {
            max_ms: 60_000,
            min_bytes: 2000,
            max_bytes: 1 << 20,
        };
        let sent_at = sim.now().mono;
        let call = sim.send_fetch(connection, &[(topic, 0, 0)], wait, NO_SESSION);
        sim.wait::<FetchResponse>(call);
        let waited = sim.replied_at(call).mono.since(sent_at);
        assert!(waited.as_millis() < 1000, "seed {seed}: {waited:?}");
    }
}
