use chronik_coordinator::{ConsumerHeartbeat, GroupRequest, GroupResponse};
use chronik_model::ErrorCode;

use crate::harness::{PAUSE_MS, World, count, join, owning, pairs, stay};

/// Two members: the first owns all four partitions, the second just joined.
fn two_members() -> World {
    let mut world = World::new(&[("a", 4)]);
    world.ok(join("g", "1", &["a"]));
    world.advance(PAUSE_MS);
    let second = world.ok(join("g", "2", &["a"]));
    assert_eq!(
        (second.member_epoch, second.assignment),
        (2, Some(Vec::new()))
    );
    world
}

#[test]
fn partitions_are_given_back_before_others_get_them() {
    let mut world = two_members();
    assert_eq!(world.epochs("g"), ("Reconciling", 2, 2));
    // Nothing was given back, so there is nothing to get.
    assert_eq!(world.ok(stay("g", "2", 2)).assignment, None);

    let told = world.ok(stay("g", "1", 1));
    let kept = told.assignment.unwrap();
    assert_eq!((told.member_epoch, count(&kept)), (1, 2));
    // Told once, and still not done.
    assert_eq!(world.ok(stay("g", "1", 1)).assignment, None);
    let all: &[(&str, &[i32])] = &[("a", &[0, 1, 2, 3])];
    assert_eq!(world.ok(owning("g", "1", 1, all)).member_epoch, 1);
    assert_eq!(world.ok(stay("g", "2", 2)).assignment, None);
    world.restart();

    let done = ConsumerHeartbeat {
        owned_partitions: Some(kept.clone()),
        ..stay("g", "1", 1)
    };
    let done = world.ok(done);
    assert_eq!((done.member_epoch, done.assignment), (2, None));
    let got = world.ok(stay("g", "2", 2)).assignment.unwrap();
    assert_eq!(count(&got), 2);
    assert!(pairs(&got).is_disjoint(&pairs(&kept)));
    assert_eq!(world.epochs("g"), ("Stable", 2, 2));
    world.restart();
}

#[test]
fn what_is_to_be_given_back_counts_as_owned() {
    let mut world = two_members();
    world.ok(stay("g", "1", 1));
    let members = world.describe("g").members;
    let owned = |index: usize| {
        let topics = members[index].assignment.iter();
        topics
            .map(|topic| topic.partitions.partitions.len())
            .sum::<usize>()
    };
    assert_eq!((owned(0), owned(1)), (4, 0));
}

#[test]
fn a_member_that_rejoins_with_nothing_gave_everything_back() {
    let mut world = two_members();
    world.ok(stay("g", "1", 1));
    let again = world.ok(join("g", "1", &["a"]));
    assert_eq!(again.member_epoch, 2);
    assert_eq!(count(&again.assignment.unwrap()), 2);
    let second = world.ok(stay("g", "2", 2));
    assert_eq!(count(&second.assignment.unwrap()), 2);
}

#[test]
fn a_target_that_moves_on_meanwhile_is_followed() {
    let mut world = two_members();
    world.ok(stay("g", "1", 1));
    // Before the first member gave anything back, the second leaves.
    world.ok(stay("g", "2", -1));
    world.advance(PAUSE_MS);
    let still = world.ok(stay("g", "1", 1));
    assert_eq!(still.member_epoch, 1, "it has not said what it owns");
    let members = world.describe("g").members;
    let kept = members[0].assignment[0].partitions.partitions.len();
    assert_eq!(kept, 4);
    let gave_back = world.ok(owning("g", "1", 1, &[]));
    assert_eq!(gave_back.member_epoch, 3);
    assert_eq!(count(&gave_back.assignment.unwrap()), 4);
    assert_eq!(world.epochs("g"), ("Stable", 3, 3));
}

/// A state that a later version may write: the member has to begin anew.
#[test]
fn members_in_unknown_states_begin_anew() {
    let mut world = World::new(&[("a", 1)]);
    world.ok(join("g", "m", &["a"]));
    let current = world
        .log
        .iter_mut()
        .find(|record| record.key.starts_with(&[0, 8]))
        .unwrap();
    let mut value = current.value.clone().unwrap().to_vec();
    // Behind the version and both epochs.
    value[10] = 99;
    current.value = Some(value.into());
    world.coordinator = chronik_coordinator::GroupCoordinator::new(world.config.clone(), 1);
    for record in &world.log {
        world.coordinator.replay(record).unwrap();
    }
    assert_eq!(world.error(stay("g", "m", 1)), ErrorCode::FencedMemberEpoch);
    let again = world.ok(join("g", "m", &["a"]));
    assert_eq!(
        (again.member_epoch, count(&again.assignment.unwrap())),
        (1, 1)
    );
    assert_eq!(world.epochs("g").0, "Stable");
}

#[test]
fn damaged_records_change_nothing() {
    let mut world = World::new(&[("a", 1)]);
    world.ok(join("g", "m", &["a"]));
    let before = world.picture();
    let records = world.log.clone();
    for mut record in records {
        record.value = Some(bytes::Bytes::from_static(&[0, 0, 0xFF]));
        assert!(world.coordinator.replay(&record).is_err(), "{record:?}");
    }
    assert_eq!(world.picture(), before);
    let unknown = GroupRequest::DescribeConsumer {
        group_id: "other".to_owned(),
    };
    match world.ask(unknown) {
        GroupResponse::DescribeConsumer(Err((code, message))) => {
            assert_eq!(code, ErrorCode::GroupIdNotFound);
            assert_eq!(message, "Group other not found.");
        }
        other => panic!("{other:?}"),
    }
}
