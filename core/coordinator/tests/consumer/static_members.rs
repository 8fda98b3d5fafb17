use chronik_coordinator::ConsumerHeartbeat;
use chronik_model::ErrorCode;

use crate::harness::{PAUSE_MS, World, count, join, join_regex, stay};

fn of(instance: &str, beat: ConsumerHeartbeat) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        instance_id: Some(instance.to_owned()),
        ..beat
    }
}

#[test]
fn a_successor_takes_over_without_a_rebalance() {
    let mut world = World::new(&[("a", 4)]);
    world.ok(of("i", join("g", "1", &["a"])));
    let left = world.ok(of("i", stay("g", "1", -2)));
    assert_eq!(left.member_epoch, -2);
    world.restart();
    let next = world.ok(of("i", join("g", "2", &["a"])));
    assert_eq!(next.member_epoch, 1, "nobody else has to move");
    assert_eq!(count(&next.assignment.unwrap()), 4);
    let group = world.describe("g");
    assert_eq!((group.state, group.group_epoch), ("Stable", 1));
    assert_eq!(group.members.len(), 1);
    assert_eq!(group.members[0].member_id, "2");
    world.restart();
}

#[test]
fn an_instance_has_one_holder() {
    let mut world = World::new(&[("a", 1)]);
    world.ok(of("i", join("g", "1", &["a"])));
    let mut check = |request: ConsumerHeartbeat, expected: ErrorCode| {
        assert_eq!(world.error(request.clone()), expected, "{request:?}");
    };
    check(
        of("i", join("g", "2", &["a"])),
        ErrorCode::UnreleasedInstanceId,
    );
    check(of("i", stay("g", "2", 1)), ErrorCode::FencedInstanceId);
    check(of("i", stay("g", "2", -1)), ErrorCode::FencedInstanceId);
    check(of("i", stay("g", "2", -2)), ErrorCode::FencedInstanceId);
    check(of("other", stay("g", "1", 1)), ErrorCode::UnknownMemberId);
    check(of("other", stay("g", "1", -1)), ErrorCode::UnknownMemberId);
    check(of("i", stay("g", "1", 2)), ErrorCode::FencedMemberEpoch);
    // The holder itself may begin anew: its first response may have been lost.
    assert_eq!(world.ok(of("i", join("g", "1", &["a"]))).member_epoch, 1);
}

#[test]
fn the_former_holder_is_not_known_any_more() {
    let mut world = World::new(&[("a", 1)]);
    world.ok(of("i", join("g", "1", &["a"])));
    world.ok(of("i", stay("g", "1", -2)));
    world.ok(of("i", join("g", "2", &["a"])));
    assert_eq!(
        world.error(of("i", stay("g", "1", 1))),
        ErrorCode::FencedInstanceId
    );
    assert_eq!(world.error(stay("g", "1", 1)), ErrorCode::UnknownMemberId);
}

#[test]
fn a_holder_that_stays_away_is_removed() {
    let mut world = World::new(&[("a", 2)]);
    world.ok(of("i", join("g", "1", &["a"])));
    world.ok(of("i", stay("g", "1", -2)));
    world.advance(44_000);
    assert_eq!(world.describe("g").members.len(), 1);
    world.advance(2_000);
    assert_eq!(world.epochs("g"), ("Empty", 2, 1));
}

#[test]
fn leaving_for_good_frees_the_instance() {
    let mut world = World::new(&[("a", 2)]);
    world.ok(of("i", join("g", "1", &["a"])));
    world.ok(of("i", stay("g", "1", -1)));
    world.advance(PAUSE_MS);
    let next = world.ok(of("i", join("g", "2", &["a"])));
    assert_eq!(next.member_epoch, 3);
}

#[test]
fn a_successor_with_another_subscription_makes_a_new_epoch() {
    let mut world = World::new(&[("a", 2), ("b", 2)]);
    world.ok(of("i", join_regex("g", "1", "a.*")));
    world.ok(of("i", stay("g", "1", -2)));
    world.advance(PAUSE_MS);
    let other = ConsumerHeartbeat {
        subscribed_topic_regex: Some(String::new()),
        ..join("g", "2", &["b"])
    };
    let next = world.ok(of("i", other));
    assert_eq!(next.member_epoch, 2);
    let member = world.describe("g").members.remove(0);
    let topics: Vec<&str> = member
        .assignment
        .iter()
        .map(|it| it.topic.as_str())
        .collect();
    assert_eq!(topics, ["b"]);
    world.restart();
}
