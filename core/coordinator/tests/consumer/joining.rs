use chronik_coordinator::{ConsumerHeartbeat, GroupConfig, GroupRequest, GroupResponse};
use chronik_model::ErrorCode;

use crate::harness::{PAUSE_MS, World, count, join, join_regex, owning, partitions, stay};

#[test]
fn the_first_member_gets_everything_at_once() {
    let mut world = World::new(&[("a", 3), ("b", 2)]);
    let joined = world.ok(join("g", "m", &["a", "b", "not-there"]));
    assert_eq!(joined.member_id, "m");
    assert_eq!(joined.member_epoch, 1);
    assert_eq!(joined.heartbeat_interval_ms, 5_000);
    let all = partitions(&[("a", &[0, 1, 2]), ("b", &[0, 1])]);
    assert_eq!(joined.assignment, Some(all.clone()));
    assert_eq!(world.epochs("g"), ("Stable", 1, 1));

    let stays = world.ok(owning("g", "m", 1, &[("a", &[0, 1, 2]), ("b", &[0, 1])]));
    assert_eq!((stays.member_epoch, stays.assignment), (1, None));
    let full = ConsumerHeartbeat {
        member_epoch: 1,
        owned_partitions: Some(all.clone()),
        ..join("g", "m", &["a", "b", "not-there"])
    };
    assert_eq!(
        world.ok(full).assignment,
        Some(all),
        "a full request is answered in full"
    );
    world.restart();
}

#[test]
fn the_coordinator_makes_ids_for_those_who_have_none() {
    let mut world = World::new(&[("a", 1)]);
    let first = world.ok(join("g", "", &["a"])).member_id;
    let second = world.ok(join("g", "", &["a"])).member_id;
    assert_ne!(first, second);
    assert_eq!(first.len(), 22);
    assert_eq!(world.describe("g").members.len(), 2);
}

#[test]
fn requests_that_can_not_be_are_refused() {
    let mut world = World::new(&[("a", 1)]);
    let mut check = |request: ConsumerHeartbeat, expected: ErrorCode| {
        assert_eq!(world.error(request.clone()), expected, "{request:?}");
    };
    let invalid = ErrorCode::InvalidRequest;
    check(join("", "m", &["a"]), invalid);
    check(stay("g", "", 1), invalid);
    check(stay("g", "", -1), invalid);
    check(stay("g", "m", -2), invalid);
    check(stay("g", "m", -3), invalid);
    check(join("g", &"m".repeat(40_000), &["a"]), invalid);
    check(join(&"g".repeat(40_000), "m", &["a"]), invalid);
    let with = |change: fn(&mut ConsumerHeartbeat)| {
        let mut request = join("g", "m", &["a"]);
        change(&mut request);
        request
    };
    check(with(|it| it.instance_id = Some(String::new())), invalid);
    check(with(|it| it.rack_id = Some(String::new())), invalid);
    check(with(|it| it.rebalance_timeout_ms = -1), invalid);
    check(with(|it| it.owned_partitions = None), invalid);
    check(
        with(|it| it.owned_partitions = Some(partitions(&[("a", &[0])]))),
        invalid,
    );
    check(with(|it| it.subscribed_topic_names = None), invalid);
    check(
        with(|it| it.server_assignor = Some("mine".to_owned())),
        ErrorCode::UnsupportedAssignor,
    );
    check(
        join_regex("g", "m", "("),
        ErrorCode::InvalidRegularExpression,
    );
    check(stay("g", "m", 1), ErrorCode::GroupIdNotFound);
    check(stay("g", "m", -1), ErrorCode::GroupIdNotFound);
    assert_eq!(world.list(), []);
}

#[test]
fn strangers_are_not_known() {
    let mut world = World::new(&[("a", 1)]);
    world.ok(join("g", "m", &["a"]));
    assert_eq!(
        world.error(stay("g", "other", 1)),
        ErrorCode::UnknownMemberId
    );
    assert_eq!(
        world.error(stay("g", "other", -1)),
        ErrorCode::UnknownMemberId
    );
}

#[test]
fn groups_have_a_largest_size() {
    let config = GroupConfig {
        consumer_max_size: 2,
        ..GroupConfig::default()
    };
    let mut world = World::with_config(&[("a", 1)], config);
    world.ok(join("g", "1", &["a"]));
    world.ok(join("g", "2", &["a"]));
    assert_eq!(
        world.error(join("g", "3", &["a"])),
        ErrorCode::GroupMaxSizeReached
    );
    world.ok(join("g", "2", &["a"]));
}

#[test]
fn members_choose_the_assignor_by_vote() {
    let mut world = World::new(&[("a", 1)]);
    let vote = |member: &str, assignor: Option<&str>| ConsumerHeartbeat {
        server_assignor: assignor.map(str::to_owned),
        ..join("g", member, &["a"])
    };
    let mut check = |request, expected: &str| {
        world.ok(request);
        assert_eq!(world.describe("g").assignor, expected);
    };
    check(vote("1", None), "uniform");
    check(vote("2", Some("range")), "range");
    check(vote("3", Some("uniform")), "range");
    check(vote("4", Some("uniform")), "uniform");
}

#[test]
fn leaving_gives_everything_to_the_others() {
    let mut world = World::new(&[("a", 4)]);
    world.ok(join("g", "1", &["a"]));
    world.advance(PAUSE_MS);
    world.ok(join("g", "2", &["a"]));
    let left = world.ok(stay("g", "1", -1));
    assert_eq!((left.member_epoch, left.assignment), (-1, None));
    world.advance(PAUSE_MS);
    let alone = world.ok(stay("g", "2", 2));
    assert_eq!(count(&alone.assignment.unwrap()), 4);
    world.ok(stay("g", "2", -1));
    assert_eq!(world.epochs("g").0, "Empty");
    world.restart();
}

#[test]
fn groups_are_listed_described_and_deleted() {
    let mut world = World::new(&[("a", 1)]);
    world.ok(join("g", "m", &["a"]));
    let listed = world.list();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].protocol_type, "consumer");
    assert_eq!(
        (listed[0].state, listed[0].group_type),
        ("Stable", "consumer")
    );

    let member = world.describe("g").members.remove(0);
    assert_eq!(member.member_id, "m");
    assert_eq!(member.member_type, 1);
    assert_eq!(member.client_host, "/127.0.0.1");
    assert_eq!(member.subscribed_topic_names, ["a"]);
    assert_eq!(member.assignment, member.target_assignment);
    assert_eq!(member.assignment[0].topic, "a");

    let group_id = || "g".to_owned();
    let classic = world.ask(GroupRequest::DescribeClassic {
        group_id: group_id(),
    });
    match classic {
        GroupResponse::DescribeClassic(description) => {
            assert_eq!(description.error, ErrorCode::GroupIdNotFound);
            assert_eq!(description.state, "Dead");
            let message = description.error_message.unwrap();
            assert_eq!(message, "Group g is not a classic group.");
        }
        other => panic!("{other:?}"),
    }
    let mut delete = |expected| {
        let group_id = group_id();
        let deleted = world.ask(GroupRequest::Delete { group_id });
        assert_eq!(deleted, GroupResponse::Delete(expected));
        world.restart();
        if expected == ErrorCode::NonEmptyGroup {
            world.ok(stay("g", "m", -1));
        }
    };
    delete(ErrorCode::NonEmptyGroup);
    delete(ErrorCode::None);
    assert_eq!(world.list(), []);
    assert_eq!(world.error(stay("g", "m", 1)), ErrorCode::GroupIdNotFound);
}
