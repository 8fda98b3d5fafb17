use chronik_coordinator::ConsumerHeartbeat;
use chronik_model::ErrorCode;

use crate::harness::{PAUSE_MS, World, count, join, owning, pairs, partitions, stay, topic_id};

#[test]
fn epochs_other_than_the_members_are_fenced() {
    let mut world = World::new(&[("a", 2)]);
    world.ok(join("g", "1", &["a"]));
    world.advance(PAUSE_MS);
    world.ok(join("g", "2", &["a"]));
    // The first member gives one back, and is at epoch 2 then.
    world.ok(stay("g", "1", 1));
    let kept = world.describe("g").members[0].target_assignment[0]
        .partitions
        .partitions[0];
    world.ok(owning("g", "1", 1, &[("a", &[kept])]));

    let fenced = ErrorCode::FencedMemberEpoch;
    assert_eq!(world.error(stay("g", "1", 3)), fenced);
    assert_eq!(
        world.error(stay("g", "1", 1)),
        fenced,
        "it may own too much"
    );
    assert_eq!(
        world.error(owning("g", "1", 1, &[("a", &[1 - kept])])),
        fenced
    );
    assert_eq!(world.error(owning("g", "1", 1, &[("b", &[])])), fenced);
    // The response that told the new epoch was lost.
    assert_eq!(
        world
            .ok(owning("g", "1", 1, &[("a", &[kept])]))
            .member_epoch,
        2
    );
    // Whoever was fenced joins anew, and is told everything.
    let again = world.ok(join("g", "1", &["a"]));
    assert_eq!(again.member_epoch, 2);
    assert_eq!(again.assignment, Some(partitions(&[("a", &[kept])])));
}

#[test]
fn members_that_come_together_are_assigned_together() {
    let mut world = World::new(&[("a", 6)]);
    world.ok(join("g", "1", &["a"]));
    for member in ["2", "3"] {
        let early = world.ok(join("g", member, &["a"]));
        assert_eq!(
            (early.member_epoch, early.assignment),
            (1, Some(Vec::new()))
        );
    }
    assert_eq!(world.epochs("g"), ("Assigning", 3, 1));
    world.advance(PAUSE_MS);
    world.ok(stay("g", "2", 1));
    assert_eq!(world.epochs("g"), ("Reconciling", 3, 3));
    world.restart();
}

#[test]
fn topics_that_change_make_a_new_epoch() {
    let mut world = World::new(&[("a", 1), ("other", 1)]);
    world.ok(join("g", "m", &["a", "later"]));
    let mut epoch = 1;
    let mut check = |world: &mut World, expected: Option<&[(&str, &[i32])]>| {
        world.advance(PAUSE_MS);
        let owned = world.describe("g").members.remove(0).assignment;
        let owned: Vec<_> = owned.into_iter().map(|topic| topic.partitions).collect();
        let beat = ConsumerHeartbeat {
            owned_partitions: Some(owned),
            ..stay("g", "m", epoch)
        };
        let beat = world.ok(beat);
        epoch += i32::from(expected.is_some());
        assert_eq!(beat.member_epoch, epoch);
        assert_eq!(beat.assignment, expected.map(partitions));
    };
    check(&mut world, None);
    world.topics.set("other", 5);
    check(&mut world, None);
    world.topics.set("a", 2);
    check(&mut world, Some(&[("a", &[0, 1])]));
    world.topics.set("later", 1);
    check(&mut world, Some(&[("a", &[0, 1]), ("later", &[0])]));
    world.topics.delete("a");
    check(&mut world, Some(&[("later", &[0])]));
    world.restart();
    check(&mut world, None);
}

#[test]
fn a_topic_made_anew_is_another_topic() {
    let mut world = World::new(&[("a", 2)]);
    world.ok(join("g", "m", &["a"]));
    world.topics.replace("a", 2);
    world.advance(PAUSE_MS);
    let changed = world.ok(owning("g", "m", 1, &[]));
    let expected = [(topic_id("a", 1), 0), (topic_id("a", 1), 1)].into();
    assert_eq!(pairs(&changed.assignment.unwrap()), expected);
}

#[test]
fn subscriptions_follow_heartbeats() {
    let mut world = World::new(&[("a", 2), ("b", 2)]);
    world.ok(join("g", "m", &["a"]));
    world.advance(PAUSE_MS);
    let change = ConsumerHeartbeat {
        subscribed_topic_names: Some(vec!["b".to_owned()]),
        ..stay("g", "m", 1)
    };
    // It may still own what it does not want any more.
    let told = world.ok(change);
    assert_eq!((told.member_epoch, told.assignment), (1, Some(Vec::new())));
    let gave_back = world.ok(owning("g", "m", 1, &[]));
    assert_eq!(gave_back.member_epoch, 2);
    assert_eq!(gave_back.assignment, Some(partitions(&[("b", &[0, 1])])));
    world.restart();
}

#[test]
fn a_thousand_members_share_ten_thousand_partitions() {
    let topics: Vec<String> = (0..20).map(|number| format!("t{number}")).collect();
    let topics: Vec<(&str, i32)> = topics.iter().map(|name| (name.as_str(), 500)).collect();
    let mut world = World::new(&topics);
    let names: Vec<&str> = topics.iter().map(|(name, _)| *name).collect();
    for member in 0..1_000 {
        world.ok(join("g", &format!("m{member:03}"), &names));
    }
    world.advance(PAUSE_MS);
    let one = world.ok(stay("g", "m500", 1));
    assert_eq!(one.member_epoch, 1_000);
    // All are with the first member until that gives them back.
    assert_eq!(count(&one.assignment.unwrap_or_default()), 0);
    let target = |member: &chronik_coordinator::ConsumerMemberDescription| {
        let topics = member.target_assignment.iter();
        topics
            .map(|topic| topic.partitions.partitions.len())
            .sum::<usize>()
    };
    assert!(
        world
            .describe("g")
            .members
            .iter()
            .all(|member| target(member) == 10)
    );
}
