//! What goes by time or on request, and timestamps of the broker's clock.

use chronik_model::ErrorCode;
use chronik_protocol::messages::{DeleteRecordsResponse, ProduceResponse};

use crate::admin::{NO_SESSION, Wait};
use crate::harness::client::{Topic, produce_errors};
use crate::harness::node::Options;
use crate::harness::{Sim, seeds};
use crate::produce::plain;

const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

/// Produces one batch and returns its log append time.
fn produce(sim: &mut Sim, connection: usize, topic: Topic) -> i64 {
    let part = (0, plain(sim));
    let call = sim.produce(connection, topic, -1, &[part]).unwrap();
    let response: ProduceResponse = sim.wait(call);
    assert_eq!(produce_errors(&response), [0]);
    response.responses[0].partition_responses[0].log_append_time_ms
}

#[test]
fn records_go_when_they_are_old_and_not_before() {
    for seed in seeds(10) {
        let mut options = Options {
            broker: &[("log.retention.check.interval.ms", "1000")],
            ..Options::default()
        };
        options.limits.write_back_bytes = 1;
        let mut sim = Sim::with(seed, options);
        let connection = sim.connect(0);
        let configs = [("retention.ms", "60000"), ("segment.bytes", "1048576")];
        let topic = sim.create(connection, "t", 1, &configs);
        for _ in 0..5 {
            produce(&mut sim, connection, topic);
        }
        sim.run_for(55_000);
        assert_eq!(sim.list_offset(connection, topic, 0, EARLIEST), (0, 0));
        produce(&mut sim, connection, topic);
        let (_, end) = sim.list_offset(connection, topic, 0, LATEST);
        sim.run_for(130_000);
        assert_eq!(
            sim.list_offset(connection, topic, 0, EARLIEST),
            (0, end),
            "seed {seed}"
        );
        produce(&mut sim, connection, topic);
        sim.crash(true);
        let connection = sim.connect(1);
        assert_eq!(
            sim.list_offset(connection, topic, 0, EARLIEST),
            (0, end),
            "seed {seed}"
        );
    }
}

#[test]
fn deleted_records_stay_deleted() {
    for seed in seeds(20) {
        let mut sim = Sim::new(seed);
        let connection = sim.connect(0);
        let topic = sim.create(connection, "t", 1, &[]);
        for _ in 0..10 {
            produce(&mut sim, connection, topic);
        }
        let (_, end) = sim.list_offset(connection, topic, 0, LATEST);
        assert_eq!(sim.delete_records(connection, topic, 0, 7), (0, 7));
        assert_eq!(sim.delete_records(connection, topic, 0, 5), (0, 7));
        let out_of_range = ErrorCode::OffsetOutOfRange.code();
        assert_eq!(
            sim.delete_records(connection, topic, 0, end + 1),
            (out_of_range, -1)
        );
        let power = seed % 2 == 0;
        sim.crash(power);
        let connection = sim.connect(1);
        assert_eq!(sim.list_offset(connection, topic, 0, EARLIEST), (0, 7));
        let response = sim.fetch(connection, &[(topic, 0, 6)], Wait::NONE, NO_SESSION);
        assert_eq!(response.responses[0].partitions[0].error_code, out_of_range);
        assert_eq!(sim.delete_records(connection, topic, 0, -1), (0, end));
        produce(&mut sim, connection, topic);
        assert_eq!(sim.list_offset(connection, topic, 0, EARLIEST), (0, end));
    }
}

#[test]
fn a_deletion_of_records_that_a_deleted_topic_overtakes_is_answered_for_its_own_topic() {
    for seed in seeds(20) {
        let mut sim = Sim::new(seed);
        let (one, other) = (sim.connect(0), sim.connect(1));
        let topic = sim.create(one, "t", 1, &[]);
        for _ in 0..4 {
            produce(&mut sim, one, topic);
        }
        let call = sim.send_delete_records(other, topic, 0, 3);
        sim.run_steps(seed);
        assert_eq!(sim.delete(one, topic), 0);
        sim.create(one, "t", 4, &[]);
        let response: DeleteRecordsResponse = sim.wait(call);
        let part = &response.topics[0].partitions[0];
        let told = (part.error_code == 0).then_some(part.low_watermark);
        assert!(told.is_none_or(|start| start == 3), "seed {seed}: {part:?}");
    }
}

#[test]
fn log_append_time_never_runs_backwards() {
    for seed in seeds(10) {
        let mut sim = Sim::new(seed);
        let mut connection = sim.connect(0);
        let configs = [
            ("message.timestamp.type", "LogAppendTime"),
            ("segment.bytes", "1048576"),
        ];
        let topic = sim.create(connection, "t", 1, &configs);
        let mut told = Vec::new();
        for _ in 0..20 {
            let jump = sim.rng.below(7_200_000);
            sim.wall_skew_ms += i64::try_from(jump).unwrap() - 3_600_000;
            told.push(produce(&mut sim, connection, topic));
            if sim.rng.below(8) == 0 {
                sim.crash(true);
                connection = sim.connect(0);
            }
        }
        let records = sim.read_whole(connection, topic, 0);
        let times: Vec<i64> = records.iter().map(|seen| seen.timestamp).collect();
        assert!(times.is_sorted(), "seed {seed}: {times:?}");
        assert!(
            told.iter().all(|told| times.contains(told)),
            "seed {seed}: told {told:?}, stored {times:?}"
        );
    }
}

#[test]
fn a_clock_that_leaps_ahead_expires_nothing_unless_it_stays_there() {
    const DAY_MS: i64 = 86_400_000;
    const MINUTE_MS: i64 = 60_000;
    for seed in seeds(10) {
        let mut options = Options::default();
        options.limits.write_back_bytes = 1;
        let mut sim = Sim::with(seed, options);
        let connection = sim.connect(0);
        let topic = sim.create(connection, "t", 1, &[]);
        for _ in 0..5 {
            produce(&mut sim, connection, topic);
        }
        sim.run_for(MINUTE_MS);
        sim.wall_skew_ms = 30 * DAY_MS;
        sim.run_for(40 * MINUTE_MS);
        assert_eq!(sim.list_offset(connection, topic, 0, EARLIEST), (0, 0));
        assert_eq!(sim.node.warnings.len(), 1, "{:?}", sim.node.warnings);
        sim.wall_skew_ms = 0;
        sim.run_for(40 * MINUTE_MS);
        assert_eq!(sim.list_offset(connection, topic, 0, EARLIEST), (0, 0));
        sim.wall_skew_ms = 30 * DAY_MS;
        sim.run_for(90 * MINUTE_MS);
        let end = sim.list_offset(connection, topic, 0, LATEST);
        let start = sim.list_offset(connection, topic, 0, EARLIEST);
        assert_eq!(start, end, "seed {seed}: it is 30 days later, then");
    }
}
