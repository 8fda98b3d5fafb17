use chronik_coordinator::{
    CommitOffsets, CommittedPartition, DeleteOffsets, FetchOffsets, GroupRequest, GroupResponse,
    OffsetsFence,
};
use chronik_model::{ErrorCode, Offset};

use crate::harness::{PAUSE_MS, World, join, owning, stay, topic_id};

fn fence(member: &str, epoch: i32) -> OffsetsFence {
    OffsetsFence {
        member_id: member.to_owned(),
        group_instance_id: None,
        generation_or_epoch: epoch,
    }
}

fn commit(world: &mut World, fence: OffsetsFence, version: i16, partition: i32) -> ErrorCode {
    let request = CommitOffsets {
        group_id: "g".to_owned(),
        fence,
        retention_ms: None,
        partitions: vec![CommittedPartition {
            topic: "a".to_owned(),
            topic_id: topic_id("a", 0),
            partition,
            offset: Offset(5),
            leader_epoch: -1,
            metadata: String::new(),
        }],
        api_version: version,
    };
    match world.ask(GroupRequest::CommitOffsets(request)) {
        GroupResponse::CommitOffsets(codes) => codes[0],
        other => panic!("{other:?}"),
    }
}

fn fetch(world: &mut World, fence: Option<OffsetsFence>) -> ErrorCode {
    let request = FetchOffsets {
        group_id: "g".to_owned(),
        fence,
        topics: None,
        require_stable: false,
        api_version: 9,
    };
    match world.ask(GroupRequest::FetchOffsets(request)) {
        GroupResponse::FetchOffsets(code, _) => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn members_commit_and_fetch_at_their_epoch() {
    let mut world = World::new(&[("a", 2)]);
    world.ok(join("g", "m", &["a"]));
    let mut check = |fence: OffsetsFence, version: i16, expected: ErrorCode| {
        assert_eq!(
            commit(&mut world, fence.clone(), version, 0),
            expected,
            "{fence:?}"
        );
    };
    check(fence("m", 1), 9, ErrorCode::None);
    check(fence("m", 1), 8, ErrorCode::UnsupportedVersion);
    check(fence("m", 2), 9, ErrorCode::StaleMemberEpoch);
    check(fence("m", 0), 9, ErrorCode::StaleMemberEpoch);
    check(fence("other", 1), 9, ErrorCode::UnknownMemberId);
    check(fence("", -1), 9, ErrorCode::UnknownMemberId);
    let mut check = |fence: Option<OffsetsFence>, expected: ErrorCode| {
        assert_eq!(fetch(&mut world, fence.clone()), expected, "{fence:?}");
    };
    check(None, ErrorCode::None);
    check(Some(fence("m", 1)), ErrorCode::None);
    check(Some(fence("m", 2)), ErrorCode::StaleMemberEpoch);
    check(Some(fence("m", 0)), ErrorCode::StaleMemberEpoch);
    check(Some(fence("other", 1)), ErrorCode::UnknownMemberId);

    world.ok(stay("g", "m", -1));
    assert_eq!(commit(&mut world, fence("", -1), 9, 0), ErrorCode::None);
}

#[test]
fn what_was_given_before_the_newest_epoch_may_be_committed() {
    let mut world = World::new(&[("a", 2)]);
    world.ok(join("g", "1", &["a"]));
    world.advance(PAUSE_MS);
    world.ok(join("g", "2", &["a"]));
    world.ok(stay("g", "1", 1));
    let kept = world.describe("g").members[0].target_assignment[0]
        .partitions
        .partitions[0];
    assert_eq!(
        commit(&mut world, fence("1", 1), 9, 1 - kept),
        ErrorCode::None
    );
    world.ok(owning("g", "1", 1, &[("a", &[kept])]));
    // At epoch 2 now, of which it may not have heard: what it kept is still its own.
    assert_eq!(commit(&mut world, fence("1", 1), 9, kept), ErrorCode::None);
    let stale = ErrorCode::StaleMemberEpoch;
    assert_eq!(commit(&mut world, fence("1", 1), 9, 1 - kept), stale);
    world.ok(stay("g", "2", 2));
    assert_eq!(commit(&mut world, fence("2", 1), 9, 1 - kept), stale);
    assert_eq!(
        commit(&mut world, fence("2", 2), 9, 1 - kept),
        ErrorCode::None
    );
}

#[test]
fn offsets_of_subscribed_topics_are_not_deleted() {
    let mut world = World::new(&[("a", 1), ("b", 1)]);
    world.ok(join("g", "m", &["a"]));
    let request = DeleteOffsets {
        group_id: "g".to_owned(),
        topics: vec![("a".to_owned(), vec![0]), ("b".to_owned(), vec![0])],
    };
    let deleted = world.ask(GroupRequest::DeleteOffsets(request));
    let codes = vec![ErrorCode::GroupSubscribedToTopic, ErrorCode::None];
    assert_eq!(
        deleted,
        GroupResponse::DeleteOffsets(ErrorCode::None, codes)
    );
}
