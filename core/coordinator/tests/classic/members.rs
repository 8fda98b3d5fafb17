//! Heartbeats, sessions, and leaving.

use chronik_coordinator::{GroupConfig, GroupRequest, GroupResponse, Heartbeat, JoinGroup};
use chronik_model::ErrorCode;

use crate::bench::{Bench, join, leave, rejoin, static_join, sync};

fn bench() -> Bench {
    Bench::new(GroupConfig::default())
}

#[test]
fn heartbeats_say_how_the_group_is() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![join("g"), join("g")]);
    assert_eq!(bench.heartbeat("g", &ids[0], 1), ErrorCode::None);
    assert_eq!(
        bench.heartbeat("g", &ids[0], 2),
        ErrorCode::IllegalGeneration
    );
    assert_eq!(
        bench.heartbeat("g", &ids[0], -1),
        ErrorCode::IllegalGeneration
    );
    assert_eq!(
        bench.heartbeat("g", "nobody", 1),
        ErrorCode::UnknownMemberId
    );
    assert_eq!(
        bench.heartbeat("other", &ids[0], 1),
        ErrorCode::UnknownMemberId
    );
    let first = bench.join(rejoin("g", &ids[0]));
    assert_eq!(
        bench.heartbeat("g", &ids[1], 1),
        ErrorCode::RebalanceInProgress
    );
    bench.join(rejoin("g", &ids[1]));
    assert_eq!(bench.joined(first).generation_id, 2);
    assert_eq!(
        bench.heartbeat("g", &ids[1], 2),
        ErrorCode::None,
        "while the leader assigns"
    );
}

#[test]
fn heartbeats_of_static_members_are_fenced() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![static_join("g", "i")]);
    let check = |bench: &mut Bench, member: &str, instance: &str, expected| {
        let request = Heartbeat {
            group_id: "g".to_owned(),
            generation_id: 1,
            member_id: member.to_owned(),
            group_instance_id: Some(instance.to_owned()),
        };
        let answer = bench.ask(GroupRequest::Heartbeat(request));
        assert_eq!(answer, GroupResponse::Heartbeat(expected));
    };
    check(&mut bench, &ids[0], "i", ErrorCode::None);
    check(&mut bench, "other", "i", ErrorCode::FencedInstanceId);
    check(&mut bench, &ids[0], "j", ErrorCode::UnknownMemberId);
}

#[test]
fn a_silent_member_is_out_when_its_session_ends() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![join("g"), join("g")]);
    bench.pass(6_000);
    assert_eq!(bench.heartbeat("g", &ids[0], 1), ErrorCode::None);
    bench.pass(3_999);
    assert_eq!(bench.state("g"), "Stable");
    bench.pass(1);
    assert_eq!(bench.state("g"), "PreparingRebalance");
    assert_eq!(bench.heartbeat("g", &ids[1], 1), ErrorCode::UnknownMemberId);
    let alone = bench.ask_join(rejoin("g", &ids[0]));
    assert_eq!((alone.generation_id, alone.members.len()), (2, 1));
}

#[test]
fn a_group_that_all_leave_in_silence_is_empty() {
    let mut bench = bench();
    bench.stable("g", vec![join("g"), join("g")]);
    bench.pass(10_000);
    assert_eq!(bench.state("g"), "Empty");
    let described = bench.describe("g");
    assert_eq!(
        (described.error, described.protocol_type.as_str()),
        (ErrorCode::None, "consumer")
    );
    assert!(described.members.is_empty());
    bench.check_replay();
}

#[test]
fn waiting_members_may_be_silent() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![join("g"), join("g")]);
    let waiter = bench.join(rejoin("g", &ids[0]));
    for _ in 0..8 {
        bench.pass(5_000);
        assert_eq!(
            bench.heartbeat("g", &ids[1], 1),
            ErrorCode::RebalanceInProgress
        );
    }
    assert!(bench.take(waiter).is_none());
    bench.join(rejoin("g", &ids[1]));
    assert_eq!(bench.joined(waiter).generation_id, 2);
    // From now on its session counts again.
    bench.pass(10_000);
    assert_eq!(bench.state("g"), "Empty");
}

#[test]
fn a_member_that_leaves_starts_a_rebalance() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![join("g"), join("g")]);
    assert_eq!(bench.leave("g", &[(&ids[0], None)]), [ErrorCode::None]);
    assert_eq!(bench.state("g"), "PreparingRebalance");
    let next = bench.ask_join(rejoin("g", &ids[1]));
    assert_eq!(
        (next.generation_id, next.leader.as_str()),
        (2, ids[1].as_str())
    );
    assert_eq!(bench.leave("g", &[(&ids[1], None)]), [ErrorCode::None]);
    assert_eq!(bench.state("g"), "Empty");
    bench.check_replay();
}

#[test]
fn many_may_leave_at_once_and_each_gets_its_code() {
    let mut bench = bench();
    let ids = bench.stable(
        "g",
        vec![join("g"), static_join("g", "i"), static_join("g", "j")],
    );
    let left = bench.leave(
        "g",
        &[
            (&ids[0], None),
            (&ids[0], None),
            ("", Some("i")),
            ("", Some("unknown")),
            ("", None),
            ("wrong", Some("j")),
            (&ids[2], Some("j")),
        ],
    );
    assert_eq!(
        left,
        [
            ErrorCode::None,
            ErrorCode::UnknownMemberId,
            ErrorCode::None,
            ErrorCode::UnknownMemberId,
            ErrorCode::UnknownMemberId,
            ErrorCode::FencedInstanceId,
            ErrorCode::None,
        ]
    );
    assert_eq!(bench.state("g"), "Empty");
    assert_eq!(
        bench.leave("other", &[("m", None)]),
        [ErrorCode::UnknownMemberId]
    );
}

#[test]
fn who_waits_for_a_member_that_leaves_is_told() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![join("g"), join("g")]);
    let joining = bench.join(rejoin("g", &ids[0]));
    assert_eq!(bench.leave("g", &[(&ids[0], None)]), [ErrorCode::None]);
    assert_eq!(bench.joined(joining).error, ErrorCode::UnknownMemberId);

    let next = bench.ask_join(rejoin("g", &ids[1]));
    let third = bench.join(join("g"));
    bench.join(rejoin("g", &next.member_id));
    let third = bench.joined(third);
    let syncing = bench.send(GroupRequest::Sync(sync("g", &third.member_id, 3, &[])));
    assert_eq!(
        bench.leave("g", &[(&third.member_id, None)]),
        [ErrorCode::None]
    );
    assert_eq!(bench.synced(syncing).error, ErrorCode::UnknownMemberId);
}

#[test]
fn a_pending_member_may_leave_and_the_rebalance_goes_on() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![join("g")]);
    let asked = JoinGroup {
        requires_known_member_id: true,
        ..join("g")
    };
    let pending = bench.ask_join(asked).member_id;
    let waiter = bench.join(rejoin("g", &ids[0]));
    assert!(bench.take(waiter).is_none());
    let answer = bench.ask(leave("g", &[(&pending, None)]));
    assert!(matches!(answer, GroupResponse::Leave(ErrorCode::None, _)));
    assert_eq!(bench.joined(waiter).generation_id, 2);
}

#[test]
fn after_loading_members_have_a_whole_session() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![join("g"), static_join("g", "i")]);
    bench.pass(9_000);
    let mut loaded = bench.reloaded();
    assert_eq!(loaded.state("g"), "Stable");
    loaded.pass(9_999);
    assert_eq!(loaded.heartbeat("g", &ids[0], 1), ErrorCode::None);
    let own = loaded.ask_sync(sync("g", &ids[0], 1, &[]));
    assert_eq!(&own.assignment[..], ids[0].as_bytes());
    loaded.pass(1);
    assert_eq!(loaded.state("g"), "PreparingRebalance");
    // Its members only ever said what they had chosen, which the next generation can do without.
    assert_eq!(loaded.ask_join(rejoin("g", &ids[0])).generation_id, 2);
}
