use bytes::Bytes;
use chronik_coordinator::{ConsumerHeartbeat, GroupConfig, GroupRequest, GroupResponse};
use chronik_model::ErrorCode;

use crate::classic_client::{assignment, join as classic, read_assignment, subscription};
use crate::harness::{PAUSE_MS, World, count, join, owning, stay};

/// A classic group "g" of one consumer with all four partitions of "a"; and its member id.
fn classic_group(config: GroupConfig) -> (World, String) {
    let mut world = World::with_config(&[("a", 4)], config);
    let first = world.classic_join(classic("g", "", subscription(&["a"], &[])));
    assert_eq!(first.error, ErrorCode::MemberIdRequired);
    let member = first.member_id;
    let request = classic("g", &member, subscription(&["a"], &[]));
    let waiter = world.send(GroupRequest::Join(request));
    world.advance(3_000);
    let joined = world.joined(waiter);
    assert_eq!((joined.error, joined.generation_id), (ErrorCode::None, 1));
    let assigned = vec![(member.clone(), assignment(&[("a", &[0, 1, 2, 3])]))];
    let synced = world.classic_sync("g", &member, 1, assigned);
    assert_eq!(synced.error, ErrorCode::None);
    (world, member)
}

fn kind(world: &mut World) -> (&'static str, &'static str) {
    let listed = world.list();
    (listed[0].group_type, listed[0].state)
}

/// A classic member rejoins with what it owns, and fetches its assignment: generation and partitions.
fn rejoin(world: &mut World, member: &str, owned: &[i32]) -> (i32, Vec<i32>) {
    let request = classic("g", member, subscription(&["a"], &[("a", owned)]));
    let joined = world.classic_join(request);
    assert_eq!(joined.error, ErrorCode::None);
    let synced = world.classic_sync("g", member, joined.generation_id, Vec::new());
    assert_eq!(synced.error, ErrorCode::None);
    let assigned = read_assignment(&synced.assignment);
    (
        joined.generation_id,
        assigned
            .into_iter()
            .map(|(_, partition)| partition)
            .collect(),
    )
}

#[test]
fn a_group_goes_over_to_the_new_protocol_member_by_member() {
    let (mut world, old) = classic_group(GroupConfig::default());
    let new = world.ok(join("g", "new", &["a"]));
    assert_eq!((new.member_epoch, new.assignment), (2, Some(Vec::new())));
    assert_eq!(kind(&mut world), ("consumer", "Reconciling"));
    let types: Vec<i8> = world
        .describe("g")
        .members
        .iter()
        .map(|it| it.member_type)
        .collect();
    assert_eq!(types.iter().filter(|it| **it == 0).count(), 1);
    world.restart();

    // The classic member is told to join again, gives two back, and joins again to say so.
    assert_eq!(
        world.classic_beat("g", &old, 1),
        ErrorCode::RebalanceInProgress
    );
    let synced = world.classic_sync("g", &old, 1, Vec::new());
    assert_eq!(synced.error, ErrorCode::RebalanceInProgress);
    let (generation, kept) = rejoin(&mut world, &old, &[0, 1, 2, 3]);
    assert_eq!((generation, kept.len()), (1, 2));
    assert_eq!(world.ok(stay("g", "new", 2)).assignment, None);
    assert_eq!(
        world.classic_beat("g", &old, 1),
        ErrorCode::RebalanceInProgress
    );
    let (generation, again) = rejoin(&mut world, &old, &kept);
    assert_eq!((generation, again), (2, kept));
    assert_eq!(world.classic_beat("g", &old, 2), ErrorCode::None);
    let got = world.ok(stay("g", "new", 2));
    assert_eq!(count(&got.assignment.unwrap()), 2);
    assert_eq!(kind(&mut world), ("consumer", "Stable"));
    world.restart();

    // The last classic member leaves.
    assert_eq!(world.classic_leave("g", &old), ErrorCode::None);
    world.advance(PAUSE_MS);
    let all = world.ok(stay("g", "new", 2));
    assert_eq!(count(&all.assignment.unwrap()), 4);
    world.restart();
}

#[test]
fn a_group_goes_back_when_the_last_new_member_leaves() {
    let (mut world, old) = classic_group(GroupConfig::default());
    world.ok(join("g", "new", &["a"]));
    let (_, kept) = rejoin(&mut world, &old, &[0, 1, 2, 3]);
    let (generation, _) = rejoin(&mut world, &old, &kept);
    assert_eq!(generation, 2);
    world.ok(stay("g", "new", -1));
    assert_eq!(kind(&mut world), ("classic", "PreparingRebalance"));
    assert_eq!(
        world.classic_beat("g", &old, 2),
        ErrorCode::RebalanceInProgress
    );
    let request = classic("g", &old, subscription(&["a"], &[]));
    let joined = world.classic_join(request);
    assert_eq!((joined.error, joined.generation_id), (ErrorCode::None, 3));
    assert_eq!(joined.leader, old);
    let assigned = vec![(old.clone(), assignment(&[("a", &[0, 1, 2, 3])]))];
    assert_eq!(
        world.classic_sync("g", &old, 3, assigned).error,
        ErrorCode::None
    );
    assert_eq!(kind(&mut world), ("classic", "Stable"));
    world.restart();
    assert_eq!(world.error(stay("g", "new", 2)), ErrorCode::GroupIdNotFound);
}

#[test]
fn what_members_were_to_own_is_their_classic_assignment() {
    let (mut world, old) = classic_group(GroupConfig::default());
    world.ok(join("g", "new", &["a"]));
    let (_, kept) = rejoin(&mut world, &old, &[0, 1, 2, 3]);
    world.ok(stay("g", "new", -1));
    world.coordinator = chronik_coordinator::GroupCoordinator::new(world.config.clone(), 1);
    for record in &world.log {
        world.coordinator.replay(record).unwrap();
    }
    let group_id = "g".to_owned();
    match world.ask(GroupRequest::DescribeClassic { group_id }) {
        GroupResponse::DescribeClassic(group) => {
            assert_eq!(
                (group.state, group.protocol.as_str()),
                ("Stable", "cooperative-sticky")
            );
            let assigned = read_assignment(&group.members[0].assignment);
            let partitions: Vec<i32> = assigned.iter().map(|(_, partition)| *partition).collect();
            assert_eq!(partitions, kept);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn policies_forbid() {
    let config = |allow_upgrade, allow_downgrade| GroupConfig {
        allow_upgrade,
        allow_downgrade,
        ..GroupConfig::default()
    };
    let (mut world, _) = classic_group(config(false, true));
    assert_eq!(
        world.error(join("g", "new", &["a"])),
        ErrorCode::GroupIdNotFound
    );
    assert_eq!(kind(&mut world), ("classic", "Stable"));

    let (mut world, old) = classic_group(config(true, false));
    world.ok(join("g", "new", &["a"]));
    world.ok(stay("g", "new", -1));
    assert_eq!(kind(&mut world).0, "consumer");
    assert_eq!(world.classic_leave("g", &old), ErrorCode::None);
    assert_eq!(kind(&mut world), ("consumer", "Empty"));

    let mut world = World::with_config(&[("a", 1)], config(false, false));
    world.ok(join("g", "new", &["a"]));
    let refused = world.classic_join(classic("g", "", subscription(&["a"], &[])));
    assert_eq!(refused.error, ErrorCode::InconsistentGroupProtocol);

    let (mut world, _) = classic_group(GroupConfig {
        consumer_max_size: 1,
        ..GroupConfig::default()
    });
    assert_eq!(
        world.error(join("g", "new", &["a"])),
        ErrorCode::GroupMaxSizeReached
    );
}

#[test]
fn groups_that_can_not_be_read_stay_classic() {
    let check = |assigned: Bytes| {
        let mut world = World::new(&[("a", 4)]);
        let member = world
            .classic_join(classic("g", "", subscription(&["a"], &[])))
            .member_id;
        let request = classic("g", &member, subscription(&["a"], &[]));
        world.send(GroupRequest::Join(request));
        world.advance(3_000);
        world.classic_sync("g", &member, 1, vec![(member.clone(), assigned)]);
        assert_eq!(
            world.error(join("g", "new", &["a"])),
            ErrorCode::GroupIdNotFound
        );
        assert_eq!(kind(&mut world), ("classic", "Stable"));
    };
    check(Bytes::from_static(b"what?"));
    let mut custom = assignment(&[("a", &[0])]).to_vec();
    custom.truncate(custom.len() - 4);
    custom.extend([0, 0, 0, 1, 9]);
    check(custom.into());
}

#[test]
fn who_waits_for_a_classic_rebalance_joins_the_new_group() {
    let (mut world, old) = classic_group(GroupConfig::default());
    let second = world
        .classic_join(classic("g", "", subscription(&["a"], &[])))
        .member_id;
    let request = classic("g", &second, subscription(&["a"], &[]));
    let waiter = world.send(GroupRequest::Join(request));
    assert_eq!(kind(&mut world), ("classic", "PreparingRebalance"));
    world.ok(join("g", "new", &["a"]));
    assert_eq!(world.joined(waiter).error, ErrorCode::RebalanceInProgress);
    let (generation, nothing) = rejoin(&mut world, &second, &[]);
    assert_eq!((generation, nothing), (2, Vec::new()));
    let mut owned = vec![0, 1, 2, 3];
    for _join in 0..2 {
        (_, owned) = rejoin(&mut world, &old, &owned);
    }
    world.ok(stay("g", "new", 2));
    rejoin(&mut world, &second, &[]);
    assert_eq!(kind(&mut world), ("consumer", "Stable"));
    world.restart();
}

#[test]
fn empty_groups_become_what_they_are_asked_for() {
    let forbidden = GroupConfig {
        allow_upgrade: false,
        allow_downgrade: false,
        ..GroupConfig::default()
    };
    let (mut world, old) = classic_group(forbidden);
    assert_eq!(world.classic_leave("g", &old), ErrorCode::None);
    world.restart();
    assert_eq!(kind(&mut world), ("classic", "Empty"));
    assert_eq!(world.ok(join("g", "new", &["a"])).member_epoch, 1);
    assert_eq!(kind(&mut world), ("consumer", "Stable"));
    world.ok(stay("g", "new", -1));
    world.restart();
    let joined = world.classic_join(classic("g", "", subscription(&["a"], &[])));
    assert_eq!(joined.error, ErrorCode::MemberIdRequired);
    assert_eq!(kind(&mut world).0, "classic");
    world.restart();
}

#[test]
fn classic_members_have_to_rejoin_and_sync_in_time() {
    let start = || {
        let (mut world, old) = classic_group(GroupConfig::default());
        world.ok(join("g", "new", &["a"]));
        (world, old)
    };
    let keep = |world: &mut World, ms: i64| {
        for _beat in 0..ms / 5_000 {
            world.advance(5_000);
            world.ok(stay("g", "new", 2));
        }
    };
    // It sends heartbeats and does not join.
    let (mut world, old) = start();
    for _beat in 0..12 {
        assert_eq!(
            world.classic_beat("g", &old, 1),
            ErrorCode::RebalanceInProgress
        );
        keep(&mut world, 5_000);
    }
    assert_eq!(world.classic_beat("g", &old, 1), ErrorCode::UnknownMemberId);
    // It joins and does not sync.
    let (mut world, old) = start();
    world.classic_join(classic(
        "g",
        &old,
        subscription(&["a"], &[("a", &[0, 1, 2, 3])]),
    ));
    for _beat in 0..12 {
        world.classic_beat("g", &old, 1);
        keep(&mut world, 5_000);
    }
    assert_eq!(world.classic_beat("g", &old, 1), ErrorCode::UnknownMemberId);
    // It is not heard of.
    let (mut world, old) = start();
    keep(&mut world, 45_000);
    assert_eq!(world.classic_beat("g", &old, 1), ErrorCode::UnknownMemberId);
}

#[test]
fn classic_requests_are_checked() {
    let (mut world, old) = classic_group(GroupConfig::default());
    world.ok(join("g", "new", &["a"]));
    let illegal = ErrorCode::IllegalGeneration;
    assert_eq!(world.classic_beat("g", &old, 7), illegal);
    assert_eq!(
        world.classic_beat("g", "other", 1),
        ErrorCode::UnknownMemberId
    );
    assert_eq!(
        world.classic_beat("g", "new", 2),
        ErrorCode::UnknownMemberId
    );
    assert_eq!(world.classic_sync("g", &old, 7, Vec::new()).error, illegal);
    assert_eq!(
        world.classic_leave("g", "other"),
        ErrorCode::UnknownMemberId
    );
    let mut check = |change: fn(&mut chronik_coordinator::JoinGroup), expected| {
        let mut request = classic("g", "", subscription(&["a"], &[]));
        change(&mut request);
        assert_eq!(world.classic_join(request).error, expected);
    };
    let inconsistent = ErrorCode::InconsistentGroupProtocol;
    check(|it| it.protocol_type = "connect".to_owned(), inconsistent);
    check(|it| it.protocols[0].0 = "other".to_owned(), inconsistent);
    check(
        |it| {
            it.requires_known_member_id = false;
            it.protocols[0].1 = Bytes::from_static(b"?");
        },
        inconsistent,
    );
    check(
        |it| it.session_timeout_ms = 1,
        ErrorCode::InvalidSessionTimeout,
    );
    check(
        |it| it.group_instance_id = Some("i".to_owned()),
        ErrorCode::None,
    );
    check(
        |it| {
            it.group_instance_id = Some("i".to_owned());
            it.member_id = "not-it".to_owned();
        },
        ErrorCode::FencedInstanceId,
    );
}

#[test]
fn a_classic_successor_of_the_last_new_member_takes_the_group_back() {
    let (mut world, old) = classic_group(GroupConfig::default());
    let with_instance = |beat: ConsumerHeartbeat| ConsumerHeartbeat {
        instance_id: Some("i".to_owned()),
        ..beat
    };
    world.ok(with_instance(join("g", "new", &["a"])));
    let (_, kept) = rejoin(&mut world, &old, &[0, 1, 2, 3]);
    rejoin(&mut world, &old, &kept);
    world.ok(with_instance(owning("g", "new", 2, &[])));
    let mut request = classic("g", "", subscription(&["a"], &[]));
    request.group_instance_id = Some("i".to_owned());
    let joined = world.classic_join(request);
    assert_eq!(joined.error, ErrorCode::None);
    assert_eq!(
        kind(&mut world),
        ("classic", "Stable"),
        "nobody has to move"
    );
    world.restart();
    let synced = {
        let request = chronik_coordinator::SyncGroup {
            group_id: "g".to_owned(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            group_instance_id: Some("i".to_owned()),
            protocol_type: None,
            protocol_name: None,
            assignments: Vec::new(),
        };
        match world.ask(GroupRequest::Sync(request)) {
            GroupResponse::Sync(response) => response,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(synced.error, ErrorCode::None);
    assert_eq!(read_assignment(&synced.assignment).len(), 2);
}
