//! SyncGroup.

use chronik_coordinator::{GroupConfig, GroupRequest, JoinResponse, SyncGroup};
use chronik_model::ErrorCode;

use crate::bench::{Bench, join, rejoin, sync};

/// Two members that were told of generation 1, the leader first.
fn joined() -> (Bench, [JoinResponse; 2]) {
    let mut bench = Bench::new(GroupConfig::default());
    let waiters = [bench.join(join("g")), bench.join(join("g"))];
    bench.pass(6_000);
    let joined = waiters.map(|waiter| bench.joined(waiter));
    (bench, joined)
}

#[test]
fn the_assignment_goes_out_with_its_record() {
    let (mut bench, [leader, follower]) = joined();
    let early = bench.send(GroupRequest::Sync(sync("g", &follower.member_id, 1, &[])));
    assert_eq!(bench.waiting(), 1);
    let batches = bench.log.len();
    let parts = [
        (leader.member_id.as_str(), "one"),
        (follower.member_id.as_str(), "two"),
    ];
    let own = bench.ask_sync(sync("g", &leader.member_id, 1, &parts));
    assert_eq!(
        (own.error, &own.assignment[..]),
        (ErrorCode::None, &b"one"[..])
    );
    assert_eq!(own.protocol_name.as_deref(), Some("range"));
    assert_eq!(&bench.synced(early).assignment[..], b"two");
    assert_eq!(bench.log.len(), batches + 1);
    assert_eq!(bench.state("g"), "Stable");

    let again = bench.ask_sync(sync("g", &follower.member_id, 1, &[]));
    assert_eq!(&again.assignment[..], b"two");
    assert_eq!(bench.log.len(), batches + 1);
    bench.check_replay();
}

#[test]
fn members_that_the_leader_forgets_get_nothing() {
    let (mut bench, [leader, follower]) = joined();
    bench.ask_sync(sync("g", &leader.member_id, 1, &[("stranger", "x")]));
    let answer = bench.ask_sync(sync("g", &follower.member_id, 1, &[]));
    assert_eq!(
        (answer.error, answer.assignment.len()),
        (ErrorCode::None, 0)
    );
}

#[test]
fn syncs_that_can_not_be_are_refused() {
    let check = |change: fn(&mut SyncGroup), expected: ErrorCode| {
        let (mut bench, [_, follower]) = joined();
        let mut request = sync("g", &follower.member_id, 1, &[]);
        change(&mut request);
        let refused = bench.ask_sync(request);
        assert_eq!((refused.error, refused.protocol_name), (expected, None));
    };
    check(
        |r| r.group_id = "other".to_owned(),
        ErrorCode::UnknownMemberId,
    );
    check(
        |r| r.member_id = "nobody".to_owned(),
        ErrorCode::UnknownMemberId,
    );
    check(
        |r| r.group_instance_id = Some("i".to_owned()),
        ErrorCode::UnknownMemberId,
    );
    check(|r| r.generation_id = 0, ErrorCode::IllegalGeneration);
    check(
        |r| r.protocol_type = Some("x".to_owned()),
        ErrorCode::InconsistentGroupProtocol,
    );
    check(
        |r| r.protocol_name = Some("x".to_owned()),
        ErrorCode::InconsistentGroupProtocol,
    );
}

#[test]
fn older_clients_do_not_say_their_protocol() {
    let (mut bench, [leader, _]) = joined();
    let mut request = sync("g", &leader.member_id, 1, &[]);
    request.protocol_type = None;
    request.protocol_name = None;
    assert_eq!(bench.ask_sync(request).error, ErrorCode::None);
}

#[test]
fn a_new_rebalance_sends_waiting_members_back() {
    let (mut bench, [leader, follower]) = joined();
    let waiter = bench.send(GroupRequest::Sync(sync("g", &follower.member_id, 1, &[])));
    bench.join(join("g"));
    assert_eq!(bench.synced(waiter).error, ErrorCode::RebalanceInProgress);
    let late = bench.ask_sync(sync("g", &leader.member_id, 1, &[]));
    assert_eq!(late.error, ErrorCode::RebalanceInProgress);
}

#[test]
fn of_two_syncs_of_a_member_the_later_waits() {
    let (mut bench, [leader, follower]) = joined();
    let request = sync("g", &follower.member_id, 1, &[]);
    let earlier = bench.send(GroupRequest::Sync(request.clone()));
    let later = bench.send(GroupRequest::Sync(request));
    assert_eq!(bench.synced(earlier).error, ErrorCode::RebalanceInProgress);
    bench.ask_sync(sync("g", &leader.member_id, 1, &[]));
    assert_eq!(bench.synced(later).error, ErrorCode::None);
}

#[test]
fn members_that_never_sync_are_out() {
    let (mut bench, [leader, follower]) = joined();
    let waiter = bench.send(GroupRequest::Sync(sync("g", &follower.member_id, 1, &[])));
    for _ in 0..11 {
        bench.pass(5_000);
        assert_eq!(bench.heartbeat("g", &leader.member_id, 1), ErrorCode::None);
    }
    bench.pass(5_000);
    assert_eq!(bench.synced(waiter).error, ErrorCode::RebalanceInProgress);
    assert_eq!(bench.state("g"), "PreparingRebalance");
    let alone = bench.ask_join(rejoin("g", &follower.member_id));
    assert_eq!((alone.generation_id, alone.leader), (2, follower.member_id));
}

#[test]
fn a_follower_that_never_syncs_costs_the_stable_group_a_rebalance() {
    let (mut bench, [leader, follower]) = joined();
    bench.ask_sync(sync("g", &leader.member_id, 1, &[]));
    for _ in 0..11 {
        bench.pass(5_000);
        assert_eq!(bench.heartbeat("g", &leader.member_id, 1), ErrorCode::None);
        assert_eq!(
            bench.heartbeat("g", &follower.member_id, 1),
            ErrorCode::None
        );
    }
    bench.pass(5_000);
    assert_eq!(
        bench.heartbeat("g", &follower.member_id, 1),
        ErrorCode::UnknownMemberId
    );
    assert_eq!(
        bench.heartbeat("g", &leader.member_id, 1),
        ErrorCode::RebalanceInProgress
    );
}

#[test]
fn when_all_have_synced_nobody_is_put_out() {
    let (mut bench, joined) = joined();
    bench.sync_all("g", &joined);
    for _ in 0..30 {
        bench.pass(5_000);
        for join in &joined {
            assert_eq!(bench.heartbeat("g", &join.member_id, 1), ErrorCode::None);
        }
    }
}
