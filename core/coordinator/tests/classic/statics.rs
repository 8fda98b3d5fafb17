//! Static members (KIP-345, KIP-814).

use bytes::Bytes;
use chronik_coordinator::{GroupConfig, GroupRequest, JoinGroup};
use chronik_model::ErrorCode;

use crate::bench::{Bench, join, rejoin, static_join, subscription, sync};

fn bench() -> Bench {
    Bench::new(GroupConfig::default())
}

fn both() -> Vec<JoinGroup> {
    vec![static_join("g", "i"), static_join("g", "j")]
}

#[test]
fn a_restarted_follower_takes_its_place_without_a_rebalance() {
    let mut bench = bench();
    let ids = bench.stable("g", both());
    let follower = bench
        .describe("g")
        .members
        .into_iter()
        .find(|m| m.member_id == ids[1]);
    let instance = follower
        .and_then(|m| m.group_instance_id)
        .expect("a static member");
    let back = bench.ask_join(static_join("g", &instance));
    assert_eq!((back.error, back.generation_id), (ErrorCode::None, 1));
    assert!(back.member_id.starts_with(&format!("{instance}-")) && back.member_id != ids[1]);
    assert_eq!(
        (back.leader.as_str(), back.skip_assignment),
        (ids[0].as_str(), false)
    );
    assert!(back.members.is_empty());
    assert_eq!(bench.state("g"), "Stable");
    let own = bench.ask_sync(sync("g", &back.member_id, 1, &[]));
    assert_eq!(
        &own.assignment[..],
        ids[1].as_bytes(),
        "what the member before had"
    );

    assert_eq!(bench.heartbeat("g", &ids[1], 1), ErrorCode::UnknownMemberId);
    let mut fenced = sync("g", &ids[1], 1, &[]);
    fenced.group_instance_id = Some(instance.clone());
    assert_eq!(bench.ask_sync(fenced).error, ErrorCode::FencedInstanceId);
    let fenced = JoinGroup {
        member_id: ids[1].clone(),
        ..static_join("g", &instance)
    };
    assert_eq!(bench.ask_join(fenced).error, ErrorCode::FencedInstanceId);
    bench.check_replay();
    bench.pass(9_999);
    assert_eq!(bench.heartbeat("g", &back.member_id, 1), ErrorCode::None);
}

#[test]
fn a_restarted_leader_skips_the_assignment_if_it_can() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![static_join("g", "i"), join("g")]);
    let back = bench.ask_join(static_join("g", "i"));
    assert_eq!((back.generation_id, back.skip_assignment), (1, true));
    assert_eq!((&back.leader, back.members.len()), (&back.member_id, 2));

    let old = JoinGroup {
        supports_skipping_assignment: false,
        ..static_join("g", "i")
    };
    let again = bench.ask_join(old);
    assert_eq!((again.skip_assignment, again.members.len()), (false, 0));
    assert_eq!(
        again.leader, back.member_id,
        "not to be taken for the leader"
    );
    assert_ne!(again.member_id, ids[0]);
    assert_eq!(bench.state("g"), "Stable");
    bench.check_replay();
    // It leads nonetheless.
    bench.join(rejoin("g", &again.member_id));
    assert_eq!(bench.state("g"), "PreparingRebalance");
}

#[test]
fn a_restart_that_changes_the_protocol_costs_a_rebalance() {
    let mut bench = bench();
    let two = |names: [&str; 2]| {
        names
            .map(|name| (name.to_owned(), subscription(&["t"])))
            .to_vec()
    };
    let first = JoinGroup {
        protocols: two(["range", "sticky"]),
        ..static_join("g", "i")
    };
    let ids = bench.stable("g", vec![first]);
    let second = JoinGroup {
        protocols: two(["sticky", "range"]),
        ..static_join("g", "i")
    };
    let back = bench.ask_join(second);
    assert_eq!(
        (back.generation_id, back.protocol_name.as_deref()),
        (2, Some("sticky"))
    );
    assert_ne!(back.member_id, ids[0]);
}

#[test]
fn a_restart_with_new_metadata_keeps_the_group_stable() {
    let mut bench = bench();
    bench.stable("g", both());
    let other = vec![("range".to_owned(), Bytes::from_static(b"other"))];
    let back = bench.ask_join(JoinGroup {
        protocols: other,
        ..static_join("g", "j")
    });
    assert_eq!((back.error, back.generation_id), (ErrorCode::None, 1));
    assert_eq!(bench.state("g"), "Stable");
    bench.check_replay();
}

#[test]
fn a_restart_while_the_leader_assigns_starts_over() {
    let mut bench = bench();
    let waiters = [
        bench.join(static_join("g", "i")),
        bench.join(static_join("g", "j")),
    ];
    bench.pass(6_000);
    let [first, second] = waiters.map(|waiter| bench.joined(waiter));
    let syncing = bench.send(GroupRequest::Sync(sync("g", &second.member_id, 1, &[])));
    let back = bench.join(static_join("g", "j"));
    assert_eq!(bench.synced(syncing).error, ErrorCode::FencedInstanceId);
    assert_eq!(bench.state("g"), "PreparingRebalance");
    bench.join(JoinGroup {
        member_id: first.member_id,
        ..static_join("g", "i")
    });
    assert_eq!(bench.joined(back).generation_id, 2);
}

#[test]
fn a_restart_while_members_join_fences_who_waits() {
    let mut bench = bench();
    let ids = bench.stable("g", both());
    let leader = bench.join(rejoin("g", &ids[0]));
    let listed = bench.describe("g").members;
    let instance_of = |id: &str| {
        let member = listed.iter().find(|member| member.member_id == id);
        member
            .and_then(|member| member.group_instance_id.clone())
            .expect("a static member")
    };
    let back = bench.join(static_join("g", &instance_of(&ids[0])));
    let fenced = bench.joined(leader);
    assert_eq!(
        (fenced.error, &fenced.member_id),
        (ErrorCode::FencedInstanceId, &ids[0])
    );
    bench.join(rejoin("g", &ids[1]));
    let back = bench.joined(back);
    assert_eq!((back.generation_id, &back.leader), (2, &back.member_id));
}

#[test]
fn static_members_survive_a_rebalance_that_they_miss() {
    let mut bench = bench();
    let slow = JoinGroup {
        session_timeout_ms: 300_000,
        ..static_join("g", "i")
    };
    let ids = bench.stable("g", vec![join("g"), slow]);
    let waiter = bench.join(rejoin("g", &ids[0]));
    bench.pass(60_000);
    let joined = bench.joined(waiter);
    assert_eq!((joined.generation_id, joined.members.len()), (2, 2));
    assert_eq!(joined.leader, ids[0]);
}

#[test]
fn a_rebalance_that_nobody_joins_waits_for_sessions_to_end() {
    let mut bench = bench();
    let slow = |instance| JoinGroup {
        session_timeout_ms: 100_000,
        rebalance_timeout_ms: 20_000,
        ..static_join("g", instance)
    };
    bench.stable("g", vec![slow("i"), slow("j")]);
    // An administrator takes one away, the other one is silent.
    assert_eq!(bench.leave("g", &[("", Some("i"))]), [ErrorCode::None]);
    bench.pass(99_999);
    assert_eq!(bench.state("g"), "PreparingRebalance");
    bench.pass(1);
    assert_eq!(bench.state("g"), "Empty");
    bench.check_replay();
}

#[test]
fn static_members_need_no_id_first() {
    let mut bench = bench();
    let careful = JoinGroup {
        requires_known_member_id: true,
        ..static_join("g", "i")
    };
    let waiter = bench.join(careful);
    bench.pass(3_000);
    assert_eq!(bench.joined(waiter).error, ErrorCode::None);
    let unknown = JoinGroup {
        member_id: "stranger".to_owned(),
        ..static_join("g", "j")
    };
    assert_eq!(bench.ask_join(unknown).error, ErrorCode::UnknownMemberId);
}

#[test]
fn a_restart_before_the_sync_does_not_count_as_none() {
    let mut bench = bench();
    let waiters = [
        bench.join(static_join("g", "i")),
        bench.join(static_join("g", "j")),
    ];
    bench.pass(6_000);
    let [leader, _] = waiters.map(|waiter| bench.joined(waiter));
    bench.ask_sync(sync("g", &leader.member_id, 1, &[]));
    let back = bench.ask_join(static_join("g", "j"));
    assert_eq!((back.error, back.generation_id), (ErrorCode::None, 1));
    assert_eq!(
        bench.ask_sync(sync("g", &back.member_id, 1, &[])).error,
        ErrorCode::None
    );
    for _ in 0..15 {
        bench.pass(5_000);
        assert_eq!(bench.heartbeat("g", &leader.member_id, 1), ErrorCode::None);
        assert_eq!(bench.heartbeat("g", &back.member_id, 1), ErrorCode::None);
    }
}
