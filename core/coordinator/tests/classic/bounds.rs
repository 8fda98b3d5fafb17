//! Sizes: batches, groups, and what comes from the disk.

use bytes::Bytes;
use chronik_coordinator::{GroupConfig, JoinGroup};
use chronik_model::ErrorCode;

use crate::bench::{Bench, commit, join, no_member, rejoin, static_join, sync};

fn bench(max_batch_bytes: usize) -> Bench {
    Bench::new(GroupConfig {
        max_batch_bytes,
        offsets_retention_ms: 100_000,
        offsets_retention_check_interval_ms: 1_000,
        ..GroupConfig::default()
    })
}

/// 300 offsets, in commits that fit.
fn with_offsets(bench: &mut Bench, group: &str) {
    for from in (0..300).step_by(10) {
        let offsets: Vec<(&str, i32, i64)> = (from..from + 10).map(|p| ("topic", p, 1)).collect();
        let codes = bench.commit(commit(group, no_member(), &offsets));
        assert_eq!(codes, [ErrorCode::None; 10]);
    }
    assert_eq!(bench.offsets(group).len(), 300);
}

#[test]
fn a_commit_that_fits_no_batch_is_refused_as_a_whole() {
    let mut bench = bench(2_000);
    let offsets: Vec<(&str, i32, i64)> = (0..100).map(|p| ("topic", p, 1)).collect();
    let codes = bench.commit(commit("g", no_member(), &offsets));
    assert_eq!(codes, [ErrorCode::UnknownServerError; 100]);
    assert_eq!(bench.offsets("g"), []);
}

#[test]
fn large_deletions_take_several_batches() {
    let mut bench = bench(2_000);
    with_offsets(&mut bench, "g");
    let batches = bench.log.len();
    assert_eq!(bench.delete("g"), ErrorCode::None);
    assert!(bench.log.len() > batches + 5);
    assert_eq!(bench.state("g"), "Dead");
    bench.check_replay();

    with_offsets(&mut bench, "h");
    bench.delete_topics(&["topic"]);
    assert_eq!(bench.offsets("h"), []);
    bench.check_replay();

    with_offsets(&mut bench, "i");
    bench.pass(101_000);
    assert_eq!(bench.state("i"), "Dead");
    assert_eq!(bench.reloaded().list(&[], &[]), []);
}

#[test]
fn an_assignment_that_fits_no_batch_is_refused_and_the_group_starts_over() {
    let mut bench = bench(2_000);
    let waiters = [bench.join(join("g")), bench.join(join("g"))];
    bench.pass(6_000);
    let [leader, follower] = waiters.map(|waiter| bench.joined(waiter));
    let early = bench.send(chronik_coordinator::GroupRequest::Sync(sync(
        "g",
        &follower.member_id,
        1,
        &[],
    )));
    let large = "x".repeat(2_000);
    let refused = bench.ask_sync(sync(
        "g",
        &leader.member_id,
        1,
        &[(&leader.member_id, &large)],
    ));
    assert_eq!(refused.error, ErrorCode::UnknownServerError);
    assert_eq!(bench.synced(early).error, ErrorCode::UnknownServerError);
    assert_eq!(bench.state("g"), "PreparingRebalance");
    bench.join(rejoin("g", &leader.member_id));
    let again = bench.ask_join(rejoin("g", &follower.member_id));
    assert_eq!((again.error, again.generation_id), (ErrorCode::None, 2));
}

#[test]
fn a_static_member_whose_group_would_not_fit_stays_who_it_was() {
    let mut bench = bench(2_000);
    let ids = bench.stable("g", vec![static_join("g", "i"), join("g")]);
    let large = vec![("range".to_owned(), Bytes::from(vec![0; 2_000]))];
    let refused = bench.ask_join(JoinGroup {
        protocols: large,
        ..static_join("g", "i")
    });
    assert_eq!(
        (refused.error, refused.member_id.as_str()),
        (ErrorCode::UnknownServerError, "")
    );
    assert_eq!(bench.state("g"), "Stable");
    assert_eq!(bench.heartbeat("g", &ids[0], 1), ErrorCode::None);
    bench.check_replay();
    bench.pass(9_999);
    assert_eq!(bench.heartbeat("g", &ids[0], 1), ErrorCode::None);
}

#[test]
fn ten_thousand_members_heartbeat() {
    let mut bench = Bench::new(GroupConfig {
        max_batch_bytes: 1 << 24,
        ..GroupConfig::default()
    });
    let ids = bench.stable("g", (0..10_000).map(|_| join("g")).collect());
    for _ in 0..3 {
        bench.pass(9_000);
        for id in &ids {
            assert_eq!(bench.heartbeat("g", id, 1), ErrorCode::None);
        }
    }
    bench.pass(10_000);
    assert_eq!(bench.state("g"), "Empty");
}

#[test]
fn ids_of_members_stay_strings_of_the_protocol() {
    let mut bench = bench(1 << 20);
    let request = JoinGroup {
        client_id: "\u{e4}".repeat(16_383),
        ..join("g")
    };
    let ids = bench.stable("g", vec![request]);
    assert!(ids[0].len() < 32_767);
    bench.check_replay();
}

#[test]
fn what_is_due_at_once_takes_several_batches() {
    let mut bench = bench(2_000);
    let groups: Vec<String> = (0..80).map(|index| format!("g{index}")).collect();
    for group in &groups {
        bench.join(join(group));
    }
    bench.pass(3_000);
    assert_eq!(bench.waiting(), 0);
    let batches = bench.log.len();
    // Nobody is heard of again: each group says that it is empty, and goes with the next look.
    bench.pass(11_000);
    for group in &groups {
        assert_eq!(bench.state(group), "Dead");
    }
    assert!(bench.log.len() > batches + 4);
    bench.check_replay();
}
