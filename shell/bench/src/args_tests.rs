use std::time::Duration;

use chronik_cli::Acks;
use clap::Parser;

use super::{Args, Mode, Plan};

fn parse(line: &str) -> Result<Plan, String> {
    let words = std::iter::once("chronik-bench").chain(line.split_whitespace());
    let args = Args::try_parse_from(words).map_err(|error| error.to_string())?;
    args.plan().map_err(|error| error.to_string())
}

#[test]
fn the_command_line_debugs_clean() {
    use clap::CommandFactory;
    Args::command().debug_assert();
}

#[test]
fn a_run_ends_by_time_or_by_count() {
    let check = |line, duration_s: Option<u64>, records, warmup_s| {
        let plan = parse(line).unwrap();
        let found = (plan.duration, plan.records, plan.warmup);
        let seconds = Duration::from_secs;
        assert_eq!(
            found,
            (duration_s.map(seconds), records, seconds(warmup_s)),
            "{line}"
        );
    };
    check("", Some(10), None, 1);
    check("-d 5s", Some(5), None, 1);
    check(
        "--duration 24h --message-count 0 --acks -1 --partitions 10 --concurrency 64",
        Some(86_400),
        None,
        1,
    );
    check("--message-count 10000", None, Some(10_000), 0);
    check("--message-count 10000 -d 1m", Some(60), Some(10_000), 0);
    check("--message-count 10 --warmup 2s", None, Some(10), 2);
    check("--mode consume", None, None, 0);
    check("--warmup 0", Some(10), None, 0);
}

#[test]
fn acknowledgements_are_named_as_in_kafka() {
    let check = |line, expected, code| {
        let plan = parse(line).unwrap();
        assert_eq!((plan.args.acks, plan.args.acks_code()), (expected, code));
    };
    check("", Acks::All, -1);
    check("--acks -1", Acks::All, -1);
    check("--acks=-1", Acks::All, -1);
    check("--acks all", Acks::All, -1);
    check("--acks 1", Acks::Leader, 1);
    check("--acks 0", Acks::None, 0);
}

#[test]
fn several_brokers_and_short_names() {
    let plan = parse("-b a:1,b,[::1]:3 -c 2 -s 256 -d 5s -m round-trip").unwrap();
    let brokers: Vec<_> = plan
        .args
        .bootstrap_servers
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(brokers, ["a:1", "b:9092", "[::1]:3"]);
    assert_eq!((plan.args.concurrency, plan.args.message_size), (2, 256));
    assert_eq!(plan.args.mode, Mode::RoundTrip);
}

#[test]
fn connections_follow_the_driver() {
    let check = |line, expected| {
        assert_eq!(parse(line).unwrap().args.connections(), expected, "{line}");
    };
    check("-c 128", 1);
    check("-c 128 --connections 4", 4);
    check("-c 128 --driver native", 128);
    check("-c 128 --driver native --connections 8 --pipeline 64", 8);
}

#[test]
fn contradictions_are_refused_with_what_to_change() {
    let check = |line, part: &str| {
        let problem = parse(line).unwrap_err();
        assert!(problem.contains(part), "{line}: {problem}");
    };
    check(
        "--driver native --mode round-trip",
        "needs --driver librdkafka",
    );
    check("--driver native -X a=b", "-X is for librdkafka");
    check("--driver native --idempotent", "--idempotent needs");
    check("--driver native --linger-ms 5", "--linger-ms");
    check("--driver native --acks 0", "--acks 1 or all");
    check("--threads 2", "--driver native");
    check("--mode consume --rate 5", "--rate is for");
    check("--mode consume --validate", "--validate is for");
    check("--validate --acks 0", "--acks 1 or all");
    check("--idempotent --acks 1", "--acks all");
    check("--validate -s 10", "too small");
    check("-s 100000000", "at most");
    check("-c 0", "from 1");
    check("--linger-ms=-1", "--linger-ms");
    check("--duration 25h", "1ms to 24h");
    check("--acks 2", "possible values");
    check("--max-p99 5", "unit");
}
