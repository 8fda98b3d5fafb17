//! Offsets and groups that expire.

use chronik_coordinator::{CommitOffsets, GroupConfig, JoinGroup};
use chronik_model::ErrorCode;

use crate::bench::{Bench, commit, join, member, no_member, subscription};

/// Offsets live for 100 s, looked at every second.
fn bench() -> Bench {
    Bench::new(GroupConfig {
        offsets_retention_ms: 100_000,
        offsets_retention_check_interval_ms: 1_000,
        ..GroupConfig::default()
    })
}

#[test]
fn offsets_without_members_expire_by_their_commit() {
    let mut bench = bench();
    bench.commit(commit("g", no_member(), &[("t", 0, 5)]));
    bench.pass(50_000);
    bench.commit(commit("g", no_member(), &[("t", 1, 6)]));
    bench.pass(49_999);
    assert_eq!(bench.offsets("g").len(), 2);
    bench.pass(1);
    assert_eq!(bench.offsets("g"), [("t".to_owned(), 1, 6)]);
    bench.pass(50_000);
    assert_eq!(bench.offsets("g"), []);
    assert_eq!(bench.state("g"), "Dead", "nothing is left of the group");
    assert_eq!(bench.reloaded().state("g"), "Dead");
    bench.check_replay();
}

#[test]
fn offsets_of_members_expire_from_when_the_last_one_left() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![join("g")]);
    bench.commit(commit("g", member(1, &ids[0]), &[("t", 0, 5), ("u", 0, 6)]));
    for _ in 0..10 {
        bench.pass(9_000);
        assert_eq!(bench.heartbeat("g", &ids[0], 1), ErrorCode::None);
    }
    bench.leave("g", &[(&ids[0], None)]);
    let mut loaded = bench.reloaded();
    for bench in [&mut bench, &mut loaded] {
        bench.pass(99_000);
        assert_eq!(bench.offsets("g").len(), 2);
        bench.pass(1_000);
        assert_eq!(bench.offsets("g"), []);
        assert_eq!(bench.state("g"), "Dead");
    }
}

#[test]
fn offsets_that_members_read_stay_and_others_expire() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![join("g")]);
    bench.commit(commit("g", member(1, &ids[0]), &[("t", 0, 5), ("u", 0, 6)]));
    for _ in 0..20 {
        bench.pass(9_000);
        bench.heartbeat("g", &ids[0], 1);
    }
    assert_eq!(bench.offsets("g"), [("t".to_owned(), 0, 5)]);
    assert_eq!(bench.state("g"), "Stable");
    bench.check_replay();
}

#[test]
fn offsets_of_members_that_are_no_consumers_stay() {
    let mut bench = bench();
    let worker = JoinGroup {
        protocol_type: "connect".to_owned(),
        ..join("g")
    };
    let waiter = bench.join(worker);
    bench.pass(3_000);
    let joined = bench.joined(waiter);
    let mut request = crate::bench::sync("g", &joined.member_id, 1, &[]);
    request.protocol_type = Some("connect".to_owned());
    bench.ask_sync(request);
    bench.commit(commit("g", member(1, &joined.member_id), &[("t", 0, 5)]));
    for _ in 0..20 {
        bench.pass(9_000);
        bench.heartbeat("g", &joined.member_id, 1);
    }
    assert_eq!(bench.offsets("g").len(), 1);
}

#[test]
fn a_commit_may_say_how_long_it_holds() {
    let mut bench = bench();
    let request = commit("g", no_member(), &[("t", 0, 5)]);
    bench.commit(CommitOffsets {
        retention_ms: Some(5_000),
        ..request.clone()
    });
    bench.commit(CommitOffsets {
        retention_ms: Some(-1),
        group_id: "h".to_owned(),
        ..request
    });
    let mut loaded = bench.reloaded();
    for bench in [&mut bench, &mut loaded] {
        bench.pass(4_000);
        assert_eq!(bench.offsets("g").len(), 1);
        bench.pass(2_000);
        assert_eq!(bench.offsets("g").len(), 0);
        assert_eq!(
            bench.offsets("h").len(),
            1,
            "-1 is the broker's own retention"
        );
    }
}

#[test]
fn groups_that_nobody_ever_joined_go() {
    let mut bench = bench();
    let refused = JoinGroup {
        protocols: Vec::new(),
        ..join("g")
    };
    assert_eq!(
        bench.ask_join(refused).error,
        ErrorCode::InconsistentGroupProtocol
    );
    assert_eq!(bench.state("g"), "Empty");
    bench.pass(1_000);
    assert_eq!(bench.state("g"), "Dead");
    bench.check_replay();
}

#[test]
fn a_rebalance_stops_expiry() {
    let mut bench = bench();
    let slow = JoinGroup {
        session_timeout_ms: 600_000,
        rebalance_timeout_ms: 600_000,
        protocols: vec![("range".to_owned(), subscription(&["other"]))],
        ..join("g")
    };
    let ids = bench.stable("g", vec![slow.clone()]);
    bench.commit(commit("g", member(1, &ids[0]), &[("t", 0, 5)]));
    bench.join(slow);
    bench.pass(200_000);
    assert_eq!(bench.state("g"), "PreparingRebalance");
    assert_eq!(bench.offsets("g").len(), 1);
}
