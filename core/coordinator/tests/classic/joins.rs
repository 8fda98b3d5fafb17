//! JoinGroup and the joining of a rebalance.

use bytes::Bytes;
use chronik_coordinator::{GroupConfig, JoinGroup, Record};
use chronik_model::ErrorCode;

use crate::bench::{Bench, SESSION_MS, at, join, rejoin, subscription, sync};

fn bench() -> Bench {
    Bench::new(GroupConfig::default())
}

fn small(max_size: usize) -> Bench {
    Bench::new(GroupConfig {
        max_size,
        ..GroupConfig::default()
    })
}

#[test]
fn the_first_members_make_a_generation_after_the_initial_delay() {
    let mut bench = bench();
    let first = bench.join(join("g"));
    bench.pass(1_000);
    let second = bench.join(join("g"));
    assert_eq!(bench.state("g"), "PreparingRebalance");
    bench.pass(1_999);
    assert_eq!(bench.waiting(), 2);
    // The second member came within the first delay, which is therefore followed by another.
    bench.pass(3_000);
    assert_eq!(bench.waiting(), 2);
    bench.pass(1);
    let (first, second) = (bench.joined(first), bench.joined(second));
    assert_eq!(bench.state("g"), "CompletingRebalance");
    assert_eq!((first.error, first.generation_id), (ErrorCode::None, 1));
    assert_eq!(first.leader, first.member_id, "the first to come leads");
    assert!(first.member_id.starts_with("client-"));
    assert_eq!(first.member_id.len(), "client-".len() + 36);
    assert_eq!(first.members.len(), 2);
    assert_eq!(first.protocol_name.as_deref(), Some("range"));
    assert_eq!(first.protocol_type.as_deref(), Some("consumer"));
    let members = second.members.as_slice();
    assert_eq!(
        (second.leader, members),
        (first.leader, &[][..]),
        "followers need not know"
    );
}

#[test]
fn newcomers_extend_the_initial_delay_up_to_the_rebalance_timeout() {
    let mut bench = bench();
    let member = JoinGroup {
        rebalance_timeout_ms: 7_000,
        ..join("g")
    };
    let first = bench.join(member.clone());
    for _ in 0..6 {
        bench.pass(1_000);
        bench.join(member.clone());
    }
    bench.pass(999);
    assert!(bench.take(first).is_none());
    bench.pass(1);
    assert_eq!(bench.joined(first).members.len(), 7);
}

#[test]
fn a_new_dynamic_member_is_told_its_id_and_remembered_for_its_session() {
    let mut bench = bench();
    let first = JoinGroup {
        requires_known_member_id: true,
        ..join("g")
    };
    let told = bench.ask_join(first.clone());
    assert_eq!(
        (told.error, told.generation_id),
        (ErrorCode::MemberIdRequired, -1)
    );
    let lost = bench.ask_join(first.clone());

    let waiter = bench.join(JoinGroup {
        member_id: told.member_id.clone(),
        ..first.clone()
    });
    // The other one holds the rebalance up until its session ends.
    bench.pass(9_999);
    let joined = bench.joined(waiter);
    assert_eq!(
        joined.members.len(),
        1,
        "the first rebalance waits for nobody"
    );
    bench.pass(1);
    let late = bench.ask_join(JoinGroup {
        member_id: lost.member_id,
        ..first.clone()
    });
    assert_eq!(late.error, ErrorCode::UnknownMemberId);

    bench.sync_all("g", &[joined]);
    let other = bench.ask_join(first.clone());
    assert_eq!(
        bench.state("g"),
        "Stable",
        "a pending member is no reason to rebalance"
    );
    let other = bench.join(JoinGroup {
        member_id: other.member_id,
        ..first
    });
    assert_eq!(bench.state("g"), "PreparingRebalance");
    bench.join(rejoin("g", &told.member_id));
    assert_eq!(bench.joined(other).generation_id, 2);
}

#[test]
fn a_pending_member_holds_up_a_rebalance_until_its_session_ends() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![join("g")]);
    let asked = JoinGroup {
        requires_known_member_id: true,
        ..join("g")
    };
    assert_eq!(bench.ask_join(asked).error, ErrorCode::MemberIdRequired);
    bench.pass(5_000);
    let waiter = bench.join(rejoin("g", &ids[0]));
    bench.pass(4_999);
    assert!(bench.take(waiter).is_none());
    bench.pass(1);
    assert_eq!(bench.joined(waiter).generation_id, 2);
}

#[test]
fn joins_that_can_not_be_are_refused() {
    let check = |request: JoinGroup, expected: ErrorCode| {
        let mut bench = bench();
        bench.stable("g", vec![join("g")]);
        let refused = bench.ask_join(request.clone());
        assert_eq!(refused.error, expected, "{request:?}");
        assert_eq!((refused.generation_id, refused.members.len()), (-1, 0));
        assert_eq!(refused.member_id, request.member_id);
        assert_eq!(bench.state("g"), "Stable");
        bench.check_replay();
    };
    let short = JoinGroup {
        session_timeout_ms: 5_999,
        ..join("g")
    };
    check(short, ErrorCode::InvalidSessionTimeout);
    let long = JoinGroup {
        session_timeout_ms: 1_800_001,
        ..join("g")
    };
    check(long, ErrorCode::InvalidSessionTimeout);
    check(rejoin("g", "nobody"), ErrorCode::UnknownMemberId);
    check(rejoin("no group", "nobody"), ErrorCode::UnknownMemberId);
    let connect = JoinGroup {
        protocol_type: "connect".to_owned(),
        ..join("g")
    };
    check(connect, ErrorCode::InconsistentGroupProtocol);
    let sticky = vec![("sticky".to_owned(), Bytes::new())];
    check(
        JoinGroup {
            protocols: sticky,
            ..join("g")
        },
        ErrorCode::InconsistentGroupProtocol,
    );
    check(
        JoinGroup {
            protocols: Vec::new(),
            ..join("g")
        },
        ErrorCode::InconsistentGroupProtocol,
    );
    let empty = JoinGroup {
        protocols: Vec::new(),
        ..join("other")
    };
    check(empty, ErrorCode::InconsistentGroupProtocol);
    let untyped = JoinGroup {
        protocol_type: String::new(),
        ..join("other")
    };
    check(untyped, ErrorCode::InconsistentGroupProtocol);
}

#[test]
fn any_protocol_type_may_come_with_any_bytes() {
    let mut bench = bench();
    let metadata = Bytes::from_static(b"\xFF\x00 not a subscription");
    let worker = JoinGroup {
        protocol_type: "connect".to_owned(),
        protocols: vec![("sessioned".to_owned(), metadata.clone())],
        ..join("g")
    };
    let waiter = bench.join(worker);
    bench.pass(3_000);
    let joined = bench.joined(waiter);
    assert_eq!(joined.protocol_type.as_deref(), Some("connect"));
    assert_eq!(joined.members[0].2, metadata);
    let mut request = sync("g", &joined.member_id, 1, &[(&joined.member_id, "a")]);
    request.protocol_type = Some("connect".to_owned());
    request.protocol_name = Some("sessioned".to_owned());
    assert_eq!(bench.ask_sync(request).error, ErrorCode::None);
    let described = bench.describe("g");
    assert_eq!(
        (described.protocol_type.as_str(), described.state),
        ("connect", "Stable")
    );
    assert_eq!(described.members[0].metadata, metadata);
    bench.check_replay();
}

#[test]
fn members_vote_among_the_protocols_that_all_support() {
    let check = |members: &[&[&str]], expected: &str| {
        let mut bench = bench();
        let mut waiters = Vec::new();
        for names in members {
            let protocols = names
                .iter()
                .map(|name| ((*name).to_owned(), Bytes::new()))
                .collect();
            waiters.push(bench.join(JoinGroup {
                protocols,
                ..join("g")
            }));
        }
        bench.pass(6_000);
        for waiter in waiters {
            let chosen = bench.joined(waiter).protocol_name;
            assert_eq!(chosen.as_deref(), Some(expected), "{members:?}");
        }
    };
    check(&[&["a", "b"]], "a");
    check(&[&["a", "b"], &["b"]], "b");
    check(&[&["a", "b"], &["b", "a"], &["b", "a"]], "b");
    check(&[&["b", "a"], &["a", "b"]], "a");
    check(&[&["c", "a", "b"], &["b", "a"], &["a", "b"]], "a");
    check(&[&["a", "a", "b"], &["b", "a"], &["b", "a"]], "b");
}

#[test]
fn a_rebalance_ends_when_all_have_joined() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![join("g"), join("g")]);
    let third = bench.join(join("g"));
    assert_eq!(
        bench.heartbeat("g", &ids[1], 1),
        ErrorCode::RebalanceInProgress
    );
    let second = bench.join(rejoin("g", &ids[1]));
    assert_eq!(bench.waiting(), 2);
    let first = bench.join(rejoin("g", &ids[0]));
    let joined = [
        bench.joined(first),
        bench.joined(second),
        bench.joined(third),
    ];
    assert!(
        joined
            .iter()
            .all(|join| join.generation_id == 2 && join.leader == ids[0])
    );
    assert_eq!(joined[0].members.len(), 3);
    bench.sync_all("g", &joined);
    bench.check_replay();
}

#[test]
fn who_does_not_join_in_time_is_out_and_somebody_else_leads() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![join("g"), join("g")]);
    let third = bench.join(join("g"));
    for _ in 0..11 {
        bench.pass(5_000);
        for id in &ids {
            assert_eq!(bench.heartbeat("g", id, 1), ErrorCode::RebalanceInProgress);
        }
    }
    assert_eq!(bench.waiting(), 1);
    bench.pass(5_000);
    let joined = bench.joined(third);
    assert_eq!(
        (&joined.leader, joined.members.len()),
        (&joined.member_id, 1)
    );
    assert_eq!(bench.heartbeat("g", &ids[0], 2), ErrorCode::UnknownMemberId);
}

#[test]
fn a_follower_with_nothing_new_gets_the_generation_that_there_is() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![join("g"), join("g")]);
    let again = bench.ask_join(rejoin("g", &ids[1]));
    assert_eq!((again.error, again.generation_id), (ErrorCode::None, 1));
    assert_eq!(
        (again.leader.as_str(), again.members.len()),
        (ids[0].as_str(), 0)
    );
    assert_eq!(bench.state("g"), "Stable");

    let changed = vec![("range".to_owned(), subscription(&["t", "u"]))];
    bench.join(JoinGroup {
        protocols: changed,
        ..rejoin("g", &ids[1])
    });
    assert_eq!(bench.state("g"), "PreparingRebalance");
}

#[test]
fn the_leader_asks_for_a_rebalance_by_joining_again() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![join("g"), join("g")]);
    bench.join(rejoin("g", &ids[0]));
    assert_eq!(bench.state("g"), "PreparingRebalance");
}

#[test]
fn a_lost_join_response_is_repeated_while_the_leader_assigns() {
    let mut bench = bench();
    let waiters = [bench.join(join("g")), bench.join(join("g"))];
    bench.pass(6_000);
    let [first, second] = waiters.map(|waiter| bench.joined(waiter));
    assert_eq!(bench.ask_join(rejoin("g", &first.member_id)), first);
    assert_eq!(bench.ask_join(rejoin("g", &second.member_id)), second);
    assert_eq!(bench.state("g"), "CompletingRebalance");

    let changed = vec![("range".to_owned(), subscription(&["u"]))];
    bench.join(JoinGroup {
        protocols: changed,
        ..rejoin("g", &second.member_id)
    });
    assert_eq!(bench.state("g"), "PreparingRebalance");
}

#[test]
fn of_two_joins_of_a_member_the_later_waits() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![join("g"), join("g")]);
    let earlier = bench.join(rejoin("g", &ids[0]));
    let later = bench.join(rejoin("g", &ids[0]));
    assert_eq!(bench.joined(earlier).error, ErrorCode::RebalanceInProgress);
    bench.join(rejoin("g", &ids[1]));
    assert_eq!(bench.joined(later).generation_id, 2);
}

#[test]
fn a_new_member_that_is_never_answered_is_given_up() {
    let mut bench = bench();
    let slow = JoinGroup {
        rebalance_timeout_ms: 600_000,
        ..join("g")
    };
    let ids = bench.stable("g", vec![slow.clone()]);
    let waiter = bench.join(slow);
    for _ in 0..59 {
        bench.pass(5_000);
        bench.heartbeat("g", &ids[0], 1);
    }
    assert!(bench.take(waiter).is_none());
    bench.pass(5_000);
    let refused = bench.joined(waiter);
    assert_eq!(
        (refused.error, refused.member_id.as_str()),
        (ErrorCode::UnknownMemberId, "")
    );
}

#[test]
fn a_full_group_takes_no_more_members() {
    let mut bench = small(2);
    let ids = bench.stable("g", vec![join("g"), join("g")]);
    let refused = bench.ask_join(join("g"));
    assert_eq!(
        (refused.error, refused.member_id.as_str()),
        (ErrorCode::GroupMaxSizeReached, "")
    );
    // Members may come again, and while a rebalance runs those count that are in time.
    let first = bench.join(rejoin("g", &ids[0]));
    let newcomer = bench.join(join("g"));
    assert_eq!(
        bench.ask_join(rejoin("g", &ids[1])).error,
        ErrorCode::GroupMaxSizeReached
    );
    let repeated = bench.join(rejoin("g", &ids[0]));
    assert_eq!(bench.joined(first).error, ErrorCode::RebalanceInProgress);
    bench.pass(60_000);
    assert_eq!(bench.joined(newcomer).error, ErrorCode::None);
    assert_eq!(bench.joined(repeated).members.len(), 2);
}

#[test]
fn a_loaded_group_above_the_limit_rebalances() {
    let mut bench = Bench::new(GroupConfig::default());
    let ids = bench.stable("g", vec![join("g"), join("g"), join("g")]);
    bench.config.max_size = 2;
    let mut loaded = bench.reloaded();
    assert_eq!(loaded.state("g"), "PreparingRebalance");
    let waiters = [
        loaded.join(rejoin("g", &ids[0])),
        loaded.join(rejoin("g", &ids[1])),
    ];
    let last = loaded.ask_join(rejoin("g", &ids[2]));
    assert_eq!(last.error, ErrorCode::GroupMaxSizeReached);
    loaded.pass(u64::from(SESSION_MS.unsigned_abs()) * 6);
    let joined = waiters.map(|waiter| loaded.joined(waiter));
    assert!(joined.iter().all(|join| join.generation_id == 2));
}

#[test]
fn generations_never_become_negative() {
    // Group "g" in its last generation, with the member "m" of protocol "p".
    let mut value = Vec::new();
    value.extend(b"\0\x03\0\x08consumer\x7f\xff\xff\xff\0\x01p\0\x01m");
    value.extend([0; 8]);
    value.extend(b"\0\0\0\x01\0\x01m\xff\xff\0\x01c\0\x01h\0\0\xea\x60\0\0\x27\x10");
    value.extend([0; 8]);
    let record = Record {
        key: Bytes::from_static(b"\0\x02\0\x01g"),
        value: Some(value.into()),
    };
    let mut bench = Bench::with_log(GroupConfig::default(), vec![vec![record]], at(0));
    assert_eq!(bench.heartbeat("g", "m", i32::MAX), ErrorCode::None);
    let protocols = vec![("p".to_owned(), Bytes::new())];
    let next = bench.ask_join(JoinGroup {
        protocols,
        ..rejoin("g", "m")
    });
    assert_eq!(next.generation_id, 1);
}

#[test]
fn a_stable_group_remembers_what_else_its_members_support() {
    let both = ["range", "sticky"].map(|name| (name.to_owned(), subscription(&["t"])));
    let mut bench = bench();
    let first = JoinGroup {
        protocols: both.to_vec(),
        ..join("g")
    };
    let ids = bench.stable("g", vec![first.clone()]);
    let newcomer = JoinGroup {
        protocols: both[1..].to_vec(),
        ..join("g")
    };
    let waiter = bench.join(newcomer.clone());
    bench.join(JoinGroup {
        member_id: ids[0].clone(),
        ..first
    });
    assert_eq!(
        bench.joined(waiter).protocol_name.as_deref(),
        Some("sticky")
    );

    // A record holds the chosen protocol only, so that a successor knows of no other.
    let mut bench = Bench::new(GroupConfig::default());
    bench.stable("g", vec![join("g")]);
    let refused = bench.reloaded().ask_join(newcomer);
    assert_eq!(refused.error, ErrorCode::InconsistentGroupProtocol);
}
