use chronik_model::ErrorCode;

use crate::harness::{PAUSE_MS, World, count, join, owning, stay};

#[test]
fn silent_members_are_removed_and_others_stay() {
    let mut world = World::new(&[("a", 2)]);
    world.ok(join("g", "1", &["a"]));
    world.ok(join("g", "2", &["a"]));
    let mut epoch = 1;
    for _beat in 0..10 {
        world.advance(5_000);
        epoch = world.ok(owning("g", "1", epoch, &[])).member_epoch;
    }
    assert_eq!(world.describe("g").members.len(), 1);
    assert_eq!(world.error(stay("g", "2", 1)), ErrorCode::UnknownMemberId);
    world.restart();
}

#[test]
fn sessions_end_after_their_time() {
    let mut world = World::new(&[("a", 2)]);
    world.ok(join("g", "m", &["a"]));
    world.advance(44_999);
    world.ok(stay("g", "m", 1));
    world.advance(44_999);
    assert_eq!(world.describe("g").members.len(), 1);
    world.advance(1);
    assert_eq!(world.epochs("g"), ("Empty", 2, 1));
    assert_eq!(world.error(stay("g", "m", 1)), ErrorCode::UnknownMemberId);
}

#[test]
fn sessions_begin_anew_after_loading() {
    let mut world = World::new(&[("a", 2)]);
    world.ok(join("g", "m", &["a"]));
    world.advance(40_000);
    world.restart();
    world.advance(40_000);
    world.ok(stay("g", "m", 1));
    world.restart();
    world.advance(46_000);
    assert_eq!(world.epochs("g").0, "Empty");
}

#[test]
fn who_does_not_give_partitions_back_in_time_is_removed() {
    let check = |restart: bool| {
        let mut world = World::new(&[("a", 4)]);
        world.ok(join("g", "1", &["a"]));
        world.advance(PAUSE_MS);
        world.ok(join("g", "2", &["a"]));
        world.ok(stay("g", "1", 1));
        if restart {
            world.restart();
        }
        // It is there, but does not do what it is told.
        for _beat in 0..11 {
            world.advance(5_000);
            assert_eq!(world.ok(stay("g", "1", 1)).member_epoch, 1);
            world.ok(stay("g", "2", 2));
        }
        world.advance(5_000);
        assert_eq!(world.error(stay("g", "1", 1)), ErrorCode::UnknownMemberId);
        let got = world.ok(stay("g", "2", 2));
        assert_eq!(count(&got.assignment.unwrap()), 4);
    };
    check(false);
    check(true);
}

#[test]
fn who_gives_partitions_back_in_time_stays() {
    let mut world = World::new(&[("a", 4)]);
    world.ok(join("g", "1", &["a"]));
    world.advance(PAUSE_MS);
    world.ok(join("g", "2", &["a"]));
    world.ok(stay("g", "1", 1));
    world.advance(40_000);
    world.ok(stay("g", "2", 2));
    let done = world.ok(owning("g", "1", 1, &[]));
    assert_eq!(done.member_epoch, 2);
    for _beat in 0..10 {
        world.advance(10_000);
        world.ok(stay("g", "1", 2));
        world.ok(stay("g", "2", 2));
    }
}
