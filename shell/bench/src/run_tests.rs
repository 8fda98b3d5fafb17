use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::Parser;

use super::{EndedBy, Gate, Job, Outcome, Run, Second, Sent, Watch, execute, first_tell};
use crate::args::{Args, Plan};
use crate::failure::Failure;

fn plan(line: &str) -> Plan {
    let words = std::iter::once("chronik-bench").chain(line.split_whitespace());
    Args::try_parse_from(words).unwrap().plan().unwrap()
}

struct Nobody;

impl Watch for Nobody {
    fn second(&mut self, _second: &Second<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

fn run(
    line: &str,
    job: impl FnOnce(&Run, &super::Recorder) -> Result<Vec<Sent>, Failure> + Send + 'static,
) -> Outcome {
    let jobs: Vec<Job> = vec![Box::new(job)];
    execute(&plan(line), jobs, &AtomicBool::new(false), &mut Nobody).unwrap()
}

#[test]
fn a_count_is_shared_and_the_warm_up_is_free() {
    let plan = plan("--message-count 10 --warmup 1s");
    let run = Run::new(&plan);
    let measured = 1_000_000_000;
    let mut gates: Vec<Gate> = (0..3).map(|index| Gate::new(&plan, index, 3)).collect();
    let passed: Vec<u64> = gates
        .iter_mut()
        .map(|gate| gate.pass(&run, 0, 100) + gate.pass(&run, measured, 100))
        .collect();
    assert_eq!(passed, [104, 103, 103]);
    assert!(
        gates
            .iter_mut()
            .all(|gate| !gate.is_open() && gate.pass(&run, measured, 1) == 0)
    );
}

#[test]
fn nothing_passes_after_the_end() {
    let plan = plan("-d 1s --warmup 0");
    let run = Run::new(&plan);
    let mut gate = Gate::new(&plan, 0, 1);
    assert_eq!(gate.pass(&run, 999_999_999, 5), 5);
    assert_eq!(gate.pass(&run, 1_000_000_000, 5), 0);
}

#[test]
fn a_count_is_measured_to_its_last_answer() {
    let outcome = run("--message-count 2", |run, recorder| {
        recorder.entry(5_000_000).answered(0, 2, 20);
        assert!(!run.is_abandoned());
        Ok(Vec::new())
    });
    assert_eq!((outcome.total.records, outcome.total.bytes), (2, 20));
    assert_eq!(outcome.elapsed, Duration::from_millis(5));
    assert!(outcome.ended_by.is_none());
}

#[test]
fn a_duration_is_measured_to_its_end() {
    let outcome = run("-d 50ms --warmup 0", |run, recorder| {
        while !run.is_over(run.now_ns()) {
            thread::yield_now();
        }
        recorder.entry(20_000_000).answered(0, 1, 1);
        Ok(Vec::new())
    });
    assert_eq!(outcome.elapsed, Duration::from_millis(50));
}

#[test]
fn a_failure_of_one_worker_ends_all() {
    let jobs: Vec<Job> = vec![
        Box::new(|_, _| Err(Failure::Library("broken".to_owned()))),
        Box::new(|run, _| {
            while !run.is_abandoned() {
                thread::yield_now();
            }
            Ok(Vec::new())
        }),
    ];
    let outcome = execute(&plan("-d 1h"), jobs, &AtomicBool::new(false), &mut Nobody).unwrap();
    assert!(matches!(
        outcome.ended_by,
        Some(EndedBy::Failure(Failure::Library(_)))
    ));
}

#[test]
fn an_interrupt_ends_sending_but_not_waiting() {
    let interrupt = AtomicBool::new(true);
    let jobs: Vec<Job> = vec![Box::new(|run, recorder| {
        while !run.is_over(run.now_ns()) {
            thread::yield_now();
        }
        assert!(!run.is_abandoned());
        recorder.entry(run.now_ns()).answered(run.now_ns(), 1, 1);
        Ok(Vec::new())
    })];
    let outcome = execute(&plan("-d 1h --warmup 0"), jobs, &interrupt, &mut Nobody).unwrap();
    interrupt.store(false, Ordering::Relaxed);
    assert!(matches!(outcome.ended_by, Some(EndedBy::Interrupt)));
    assert_eq!(outcome.total.records, 1);
}

#[test]
fn seconds_never_mix_warm_up_and_measurement() {
    let check = |measure_from_ms: u64, expected_ms: u64| {
        assert_eq!(
            first_tell(measure_from_ms * 1_000_000),
            expected_ms * 1_000_000
        );
    };
    check(0, 1_000);
    check(2_000, 1_000);
    check(1_500, 500);
}
