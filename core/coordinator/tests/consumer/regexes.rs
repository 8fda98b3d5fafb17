use chronik_coordinator::ConsumerHeartbeat;
use chronik_model::ErrorCode;

use crate::harness::{PAUSE_MS, World, join, join_regex, stay};

/// Names of the topics that a member shall own partitions of.
fn target(world: &mut World, member: &str) -> Vec<String> {
    let mut members = world.describe("g").members.into_iter();
    let member = members.find(|it| it.member_id == member).unwrap();
    member
        .target_assignment
        .into_iter()
        .map(|topic| topic.topic)
        .collect()
}

/// Records of regular expressions, and how many of them have a value.
fn regex_records(world: &World) -> (usize, usize) {
    let records = world
        .log
        .iter()
        .filter(|record| record.key.starts_with(&[0, 16]));
    let values = records.clone().filter(|record| record.value.is_some());
    (records.count(), values.count())
}

#[test]
fn a_regular_expression_is_resolved_at_once() {
    let mut world = World::new(&[("a1", 1), ("a2", 1), ("b", 1), ("__consumer_offsets", 2)]);
    let joined = world.ok(join_regex("g", "m", "a.*"));
    assert_eq!(joined.member_epoch, 1);
    assert_eq!(target(&mut world, "m"), ["a1", "a2"]);
    let member = world.describe("g").members.remove(0);
    assert_eq!(member.subscribed_topic_regex.as_deref(), Some("a.*"));
    assert_eq!(regex_records(&world), (1, 1));
    world.restart();

    // Internal topics are matched like others.
    world.advance(PAUSE_MS);
    world.ok(join_regex("g", "m", "__.*"));
    assert_eq!(target(&mut world, "m"), ["__consumer_offsets"]);
    assert_eq!(regex_records(&world), (3, 2), "the unused one is removed");
}

#[test]
fn new_topics_are_found_at_the_next_heartbeat() {
    let mut world = World::new(&[("a1", 1)]);
    world.ok(join_regex("g", "m", "a.*"));
    world.topics.set("b1", 1);
    world.advance(PAUSE_MS);
    assert_eq!(world.ok(stay("g", "m", 1)).member_epoch, 1);
    assert_eq!(
        regex_records(&world),
        (1, 1),
        "the same topics are not written again"
    );
    world.topics.set("a2", 1);
    world.advance(PAUSE_MS);
    assert_eq!(world.ok(stay("g", "m", 1)).member_epoch, 2);
    assert_eq!(target(&mut world, "m"), ["a1", "a2"]);
    world.topics.delete("a1");
    world.advance(PAUSE_MS);
    world.ok(stay("g", "m", 2));
    assert_eq!(target(&mut world, "m"), ["a2"]);
    world.restart();
    world.topics.set("a3", 1);
    world.advance(PAUSE_MS);
    world.ok(stay("g", "m", 2));
    assert_eq!(target(&mut world, "m"), ["a2", "a3"]);
}

#[test]
fn members_share_a_regular_expression_until_the_last_leaves() {
    let mut world = World::new(&[("a1", 2)]);
    world.ok(join_regex("g", "1", "a.*"));
    world.ok(join_regex("g", "2", "a.*"));
    assert_eq!(regex_records(&world), (1, 1));
    world.ok(stay("g", "1", -1));
    assert_eq!(regex_records(&world), (1, 1));
    world.ok(stay("g", "2", -1));
    assert_eq!(regex_records(&world), (2, 1));
    world.restart();
}

#[test]
fn names_and_a_regular_expression_add_up() {
    let mut world = World::new(&[("a", 1), ("b", 1), ("c", 1)]);
    let both = ConsumerHeartbeat {
        subscribed_topic_regex: Some("a|b".to_owned()),
        ..join("g", "m", &["b", "c"])
    };
    world.ok(both);
    assert_eq!(target(&mut world, "m"), ["a", "b", "c"]);
    world.advance(PAUSE_MS);
    let by_name = ConsumerHeartbeat {
        subscribed_topic_regex: Some(String::new()),
        ..stay("g", "m", 1)
    };
    world.ok(by_name);
    assert_eq!(target(&mut world, "m"), ["b", "c"]);
}

#[test]
fn a_bad_pattern_leaves_the_member_as_it_was() {
    let mut world = World::new(&[("a", 1)]);
    world.ok(join("g", "m", &["a"]));
    for pattern in ["(", "((((a{99}){99}){99}){99})"] {
        let change = ConsumerHeartbeat {
            subscribed_topic_regex: Some(pattern.to_owned()),
            ..stay("g", "m", 1)
        };
        assert_eq!(world.error(change), ErrorCode::InvalidRegularExpression);
    }
    assert_eq!(world.ok(stay("g", "m", 1)).member_epoch, 1);
}
