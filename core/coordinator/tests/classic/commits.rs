//! OffsetCommit, OffsetFetch and OffsetDelete.

use bytes::Bytes;
use chronik_coordinator::{
    CommitOffsets, DeleteOffsets, GroupConfig, GroupRequest, GroupResponse, JoinGroup, OffsetsFence,
};
use chronik_model::{ErrorCode, TopicId};

use crate::bench::{Bench, commit, fetch, join, member, no_member, rejoin, static_join, sync};

fn bench() -> Bench {
    Bench::new(GroupConfig::default())
}

fn delete(
    bench: &mut Bench,
    group: &str,
    topics: &[(&str, &[i32])],
) -> (ErrorCode, Vec<ErrorCode>) {
    let topic = |(topic, partitions): &(&str, &[i32])| ((*topic).to_owned(), partitions.to_vec());
    let request = DeleteOffsets {
        group_id: group.to_owned(),
        topics: topics.iter().map(topic).collect(),
    };
    match bench.ask(GroupRequest::DeleteOffsets(request)) {
        GroupResponse::DeleteOffsets(error, codes) => (error, codes),
        other => panic!("no OffsetDelete response: {other:?}"),
    }
}

#[test]
fn who_is_no_member_commits_to_groups_without_members() {
    let mut bench = bench();
    let codes = bench.commit(commit("g", no_member(), &[("t", 0, 5), ("u", 3, 6)]));
    assert_eq!(codes, [ErrorCode::None; 2]);
    assert_eq!(bench.state("g"), "Empty");
    bench.commit(commit("g", no_member(), &[("t", 0, 7)]));
    assert_eq!(
        bench.offsets("g"),
        [("t".to_owned(), 0, 7), ("u".to_owned(), 3, 6)]
    );
    bench.check_replay();
}

#[test]
fn commits_are_checked() {
    let check = |change: &dyn Fn(&mut CommitOffsets, &str), expected: ErrorCode| {
        let mut bench = bench();
        let ids = bench.stable("g", vec![static_join("g", "i")]);
        let mut request = commit("g", member(1, &ids[0]), &[("t", 0, 5)]);
        change(&mut request, &ids[0]);
        assert_eq!(bench.commit(request.clone()), [expected], "{request:?}");
        assert_eq!(bench.offsets("g").is_empty(), !expected.is_none());
        bench.check_replay();
    };
    let fence = |instance: Option<&str>, member: &str, generation| OffsetsFence {
        member_id: member.to_owned(),
        group_instance_id: instance.map(str::to_owned),
        generation_or_epoch: generation,
    };
    check(&|_, _| {}, ErrorCode::None);
    check(&|r, id| r.fence = fence(Some("i"), id, 1), ErrorCode::None);
    check(
        &|r, id| r.fence = fence(Some("j"), id, 1),
        ErrorCode::UnknownMemberId,
    );
    check(
        &|r, _| r.fence = fence(Some("i"), "other", 1),
        ErrorCode::FencedInstanceId,
    );
    check(
        &|r, _| r.fence = fence(None, "other", 1),
        ErrorCode::UnknownMemberId,
    );
    check(
        &|r, id| r.fence = fence(None, id, 2),
        ErrorCode::IllegalGeneration,
    );
    check(
        &|r, id| r.fence = fence(None, id, -1),
        ErrorCode::IllegalGeneration,
    );
    check(&|r, _| r.fence = no_member(), ErrorCode::UnknownMemberId);
    check(
        &|r, _| r.partitions[0].metadata = "m".repeat(4_096),
        ErrorCode::None,
    );
    check(
        &|r, _| r.partitions[0].metadata = "m".repeat(4_097),
        ErrorCode::OffsetMetadataTooLarge,
    );
}

#[test]
fn commits_of_members_of_no_group_are_refused() {
    let check = |api_version, expected: ErrorCode| {
        let request = commit("none", member(1, "m"), &[("t", 0, 5)]);
        let mut bench = bench();
        assert_eq!(
            bench.commit(CommitOffsets {
                api_version,
                ..request
            }),
            [expected]
        );
        assert_eq!(bench.state("none"), "Dead");
    };
    check(8, ErrorCode::IllegalGeneration);
    check(9, ErrorCode::GroupIdNotFound);
}

#[test]
fn partitions_have_codes_of_their_own() {
    let mut bench = bench();
    let mut request = commit("g", no_member(), &[("t", 0, 5), ("t", 1, 6)]);
    request.partitions[0].metadata = "m".repeat(5_000);
    let codes = bench.commit(request);
    assert_eq!(codes, [ErrorCode::OffsetMetadataTooLarge, ErrorCode::None]);
    assert_eq!(bench.offsets("g"), [("t".to_owned(), 1, 6)]);
}

#[test]
fn members_commit_until_the_next_generation_begins() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![join("g"), join("g")]);
    let first = bench.join(rejoin("g", &ids[0]));
    let request = |generation| commit("g", member(generation, &ids[1]), &[("t", 0, 5)]);
    assert_eq!(
        bench.commit(request(1)),
        [ErrorCode::None],
        "while others join"
    );
    bench.join(rejoin("g", &ids[1]));
    bench.joined(first);
    assert_eq!(bench.commit(request(1)), [ErrorCode::IllegalGeneration]);
    assert_eq!(bench.commit(request(2)), [ErrorCode::RebalanceInProgress]);
    bench.ask_sync(sync("g", &ids[0], 2, &[]));
    assert_eq!(bench.commit(request(2)), [ErrorCode::None]);
}

#[test]
fn commits_are_heartbeats() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![join("g")]);
    for _ in 0..5 {
        bench.pass(9_000);
        bench.commit(commit("g", member(1, &ids[0]), &[("t", 0, 5)]));
    }
    assert_eq!(bench.state("g"), "Stable");
}

#[test]
fn offsets_are_fetched_as_they_were_committed() {
    let mut bench = bench();
    let mut request = commit("g", no_member(), &[("t", 0, 5), ("u", 1, 6)]);
    request.partitions[0].topic_id = TopicId([7; 16]);
    bench.commit(request);
    let (error, topics) = bench.fetch(fetch("g", Some(&[("u", &[1, 0]), ("v", &[9]), ("t", &[])])));
    assert_eq!(error, ErrorCode::None);
    let names: Vec<&str> = topics.iter().map(|topic| topic.topic.as_str()).collect();
    assert_eq!(names, ["u", "v", "t"], "in the order of the request");
    let known = &topics[0].partitions[0];
    assert_eq!(
        (known.partition, known.offset.0, known.leader_epoch),
        (1, 6, 7)
    );
    assert_eq!(
        (known.metadata.as_str(), known.error),
        ("note", ErrorCode::None)
    );
    for unknown in [&topics[0].partitions[1], &topics[1].partitions[0]] {
        assert_eq!((unknown.offset.0, unknown.leader_epoch), (-1, -1));
        assert_eq!(
            (unknown.metadata.as_str(), unknown.error),
            ("", ErrorCode::None)
        );
    }
    assert!(topics[2].partitions.is_empty());
    let (error, topics) = bench.fetch(fetch("none", Some(&[("t", &[0])])));
    assert_eq!(
        (error, topics[0].partitions[0].offset.0),
        (ErrorCode::None, -1)
    );
    assert_eq!(
        bench.fetch(fetch("none", None)),
        (ErrorCode::None, Vec::new())
    );
}

#[test]
fn classic_groups_do_not_ask_who_fetches() {
    let mut bench = bench();
    bench.commit(commit("g", no_member(), &[("t", 0, 5)]));
    let mut request = fetch("g", None);
    request.fence = Some(member(9, "stranger"));
    assert_eq!(bench.fetch(request).0, ErrorCode::None);
}

#[test]
fn offsets_are_deleted_unless_members_read_them() {
    let mut bench = bench();
    let ids = bench.stable("g", vec![join("g")]);
    bench.commit(commit(
        "g",
        member(1, &ids[0]),
        &[("t", 0, 5), ("u", 0, 6), ("u", 1, 7)],
    ));
    let (error, codes) = delete(&mut bench, "g", &[("t", &[0, 1]), ("u", &[0, 9])]);
    let read = ErrorCode::GroupSubscribedToTopic;
    assert_eq!(
        (error, codes),
        (
            ErrorCode::None,
            vec![read, read, ErrorCode::None, ErrorCode::None]
        )
    );
    assert_eq!(
        bench.offsets("g"),
        [("t".to_owned(), 0, 5), ("u".to_owned(), 1, 7)]
    );
    bench.leave("g", &[(&ids[0], None)]);
    let deleted = delete(&mut bench, "g", &[("t", &[0])]);
    assert_eq!(deleted, (ErrorCode::None, vec![ErrorCode::None]));
    assert_eq!(bench.offsets("g"), [("u".to_owned(), 1, 7)]);
    bench.check_replay();
}

#[test]
fn what_is_not_known_of_a_group_keeps_its_offsets() {
    let none = delete(&mut bench(), "none", &[("t", &[0])]);
    assert_eq!(none, (ErrorCode::GroupIdNotFound, vec![]));

    let mut workers = bench();
    let worker = JoinGroup {
        protocol_type: "connect".to_owned(),
        ..join("g")
    };
    workers.join(worker);
    workers.pass(3_000);
    let refused = delete(&mut workers, "g", &[("t", &[0])]);
    assert_eq!(refused, (ErrorCode::NonEmptyGroup, vec![]));

    let mut unreadable = bench();
    let protocols = vec![("range".to_owned(), Bytes::from_static(b"?"))];
    unreadable.stable(
        "g",
        vec![JoinGroup {
            protocols,
            ..join("g")
        }],
    );
    let refused = delete(&mut unreadable, "g", &[("t", &[0])]);
    assert_eq!(
        refused,
        (ErrorCode::None, vec![ErrorCode::GroupSubscribedToTopic])
    );
}

#[test]
fn offsets_of_deleted_topics_go_with_them() {
    let mut bench = bench();
    bench.commit(commit("g", no_member(), &[("t", 0, 5), ("u", 0, 6)]));
    bench.commit(commit("h", no_member(), &[("t", 1, 7)]));
    bench.delete_topics(&["t", "w"]);
    assert_eq!(bench.offsets("g"), [("u".to_owned(), 0, 6)]);
    assert_eq!(bench.offsets("h"), []);
    assert_eq!(
        bench.state("h"),
        "Empty",
        "groups outlive their offsets until retention"
    );
    bench.check_replay();
}
