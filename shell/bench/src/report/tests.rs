use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use clap::Parser;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use super::csv::{HEADER, line};
use super::{Figures, HdrLog, print_text};
use crate::args::Args;
use crate::run::{Outcome, Second, Watch};
use crate::stats::{Recorder, Tally};
use crate::validate::Verdict;

fn tally(latencies_ms: &[u64], failed: u64) -> Tally {
    let recorder = Recorder::new(0);
    for ms in latencies_ms {
        recorder.entry(ms * 1_000_000).answered(0, 1, 100);
    }
    if failed > 0 {
        recorder.entry(1).failed(0, failed, "NOT_LEADER");
    }
    recorder.take()
}

fn outcome(total: Tally, seconds: u64) -> Outcome {
    Outcome {
        total,
        elapsed: Duration::from_secs(seconds),
        client_cpu: Duration::from_millis(500),
        started: SystemTime::UNIX_EPOCH,
        sent: Vec::new(),
        ended_by: None,
    }
}

#[test]
fn figures_follow_from_the_tally() {
    let figures = Figures::of(&outcome(tally(&[1, 2, 3, 4], 1), 2));
    assert_eq!(
        (figures.records, figures.failed, figures.bytes),
        (4, 1, 400)
    );
    assert_eq!(figures.success_percent, 80.0);
    assert_eq!((figures.records_per_s, figures.bytes_per_s), (2.0, 200.0));
    assert_eq!(figures.client_cpu_s_per_million, Some(125_000.0));
    let latency = figures.latency.unwrap();
    assert!((latency.p50_ms - 2.0).abs() < 0.01 && (latency.max_ms - 4.0).abs() < 0.01);
    assert_eq!(
        figures.failures,
        BTreeMap::from([("NOT_LEADER".to_owned(), 1)])
    );
}

#[test]
fn a_run_without_an_answer_has_figures_too() {
    let figures = Figures::of(&outcome(Tally::default(), 0));
    assert_eq!((figures.records_per_s, figures.success_percent), (0.0, 0.0));
    assert!(figures.latency.is_none() && figures.client_cpu_s_per_million.is_none());
}

#[test]
fn people_are_told_everything() {
    let figures = Figures::of(&outcome(tally(&[1; 1_234], 1), 2));
    let verdict = Verdict {
        lost: 1,
        first_lost: vec!["0/7".to_owned()],
        ..Verdict::default()
    };
    let plan = Args::parse_from(["chronik-bench"]).plan().unwrap();
    let mut out = Vec::new();
    print_text(&plan, &figures, Some(&verdict), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    for part in [
        "1,234 in 2.000 s, 1 failed, 99.92 % succeeded",
        "617 records/s",
        "p99.9 1.000 ms",
        "1 x NOT_LEADER",
        "1 lost",
        "0/7",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
}

#[test]
fn csv_lines_have_the_columns_of_the_header() {
    let columns = HEADER.split(',').count();
    for tally in [Tally::default(), tally(&[1, 2], 3)] {
        let second = Second {
            from_s: 1.0,
            to_s: 2.0,
            tally: &tally,
            total: &tally,
        };
        assert_eq!(line(&second).split(',').count(), columns);
    }
}

#[test]
fn the_interval_log_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.hlog");
    let mut log = HdrLog::create(&path).unwrap();
    for second in -1_i32..3 {
        let tally = tally(&[1, 5], 0);
        let from_s = f64::from(second);
        log.second(&Second {
            from_s,
            to_s: from_s + 1.0,
            tally: &tally,
            total: &tally,
        })
        .unwrap();
    }
    let text = std::fs::read(&path).unwrap();
    let entries: Vec<_> = IntervalLogIterator::new(&text)
        .map(Result::unwrap)
        .collect();
    let intervals = |entry: &&LogEntry<'_>| matches!(entry, LogEntry::Interval(_));
    assert_eq!(entries.iter().filter(intervals).count(), 3);
    let is_base = |entry: &&LogEntry<'_>| matches!(entry, LogEntry::BaseTime(_));
    assert_eq!(entries.iter().filter(is_base).count(), 1);
}
