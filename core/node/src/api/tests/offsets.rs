//! Committed offsets: what reaches the coordinator, and where its answers stand.

use chronik_coordinator::GroupRequest;
use chronik_model::{ErrorCode, Offset};
use chronik_protocol::ApiKey;
use chronik_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use chronik_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use chronik_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use chronik_protocol::messages::*;

use super::groups::{INVALID_GROUP_ID, NOT_COORDINATOR, group, string, with_groups};
use super::{Cluster, NONE, UNKNOWN_TOPIC, name, versions};

fn commit(
    group_id: &'static str,
    topics: &[(&'static str, i32, &'static str)],
) -> OffsetCommitRequest {
    let topics = topics.iter().map(|(topic, index, metadata)| {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(*index)
            .with_committed_offset(9)
            .with_committed_metadata(Some(string(metadata)));
        OffsetCommitRequestTopic::default()
            .with_name(name(topic))
            .with_partitions(vec![partition])
    });
    OffsetCommitRequest::default()
        .with_group_id(group(group_id))
        .with_topics(topics.collect())
}

fn committed(response: &OffsetCommitResponse) -> Vec<(&str, i32, i16)> {
    let topics = response.topics.iter();
    topics
        .flat_map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.map(|each| (topic.name.as_str(), each.partition_index, each.error_code))
        })
        .collect()
}

#[test]
fn offset_commit() {
    let too_large = ErrorCode::OffsetMetadataTooLarge.code();
    let asked = [
        ("absent", 0, ""),
        ("orders", 1, ""),
        ("orders", 2, ""),
        ("orders", -1, ""),
        ("orders", 0, "a long remark"),
    ];
    let expected = [
        ("absent", 0, UNKNOWN_TOPIC),
        ("orders", 1, NONE),
        ("orders", 2, UNKNOWN_TOPIC),
        ("orders", -1, UNKNOWN_TOPIC),
        ("orders", 0, too_large),
    ];
    for version in versions(ApiKey::OffsetCommit) {
        let mut cluster = with_groups(&[1]);
        for group_id in ["g", ""] {
            let request = commit(group_id, &asked);
            let response: OffsetCommitResponse =
                cluster.call(ApiKey::OffsetCommit, version, &request);
            assert_eq!(committed(&response), expected, "v{version}");
        }
    }
}

#[test]
fn offset_commit_asks_for_what_exists_only() {
    let cluster = with_groups(&[1]);
    let request = commit("g", &[("absent", 0, ""), ("orders", 1, "note")]);
    let request = request
        .with_generation_id_or_member_epoch(4)
        .with_member_id(string("me"))
        .with_group_instance_id(Some(string("static")));
    let asked = cluster.asked(ApiKey::OffsetCommit, 9, &request);
    let GroupRequest::CommitOffsets(commit) = &asked[0].1 else {
        panic!("{asked:?}")
    };
    assert_eq!((commit.api_version, commit.retention_ms), (9, None));
    assert_eq!(commit.fence.generation_or_epoch, 4);
    assert_eq!(commit.fence.group_instance_id.as_deref(), Some("static"));
    let [partition] = &commit.partitions[..] else {
        panic!("{commit:?}")
    };
    let orders = cluster.view.image.topic_by_name("orders").unwrap().id;
    assert_eq!(partition.topic_id, orders);
    assert_eq!((partition.partition, partition.offset), (1, Offset(9)));
    assert_eq!((partition.leader_epoch, &*partition.metadata), (-1, "note"));
    let kept = commit_retention(&cluster, 3_000);
    assert_eq!(kept, Some(3_000));
}

fn commit_retention(cluster: &Cluster, stated_ms: i64) -> Option<i64> {
    let request = commit("g", &[("orders", 1, "")]).with_retention_time_ms(stated_ms);
    let asked = cluster.asked(ApiKey::OffsetCommit, 4, &request);
    let GroupRequest::CommitOffsets(commit) = &asked[0].1 else {
        panic!("{asked:?}")
    };
    commit.retention_ms
}

#[test]
fn a_commit_to_nowhere_needs_no_coordinator() {
    let mut cluster = with_groups(&[]);
    let mut check = |topic, expected: i16| {
        let request = commit("g", &[(topic, 0, "")]);
        let response: OffsetCommitResponse = cluster.call(ApiKey::OffsetCommit, 9, &request);
        assert_eq!(committed(&response), [(topic, 0, expected)]);
    };
    check("absent", UNKNOWN_TOPIC);
    check("orders", NOT_COORDINATOR);
}

#[test]
fn a_coordinator_that_loads_fails_every_commit() {
    let mut cluster = with_groups(&[1]);
    let loading = ErrorCode::CoordinatorLoadInProgress.code();
    let topics = [("orders", 1, ""), ("absent", 0, ""), ("orders", 0, "")];
    let request = commit("loading", &topics);
    let response: OffsetCommitResponse = cluster.call(ApiKey::OffsetCommit, 9, &request);
    let expected = [
        ("orders", 1, loading),
        ("absent", 0, UNKNOWN_TOPIC),
        ("orders", 0, loading),
    ];
    assert_eq!(committed(&response), expected);
}

/// Topic, partition, offset, epoch and error of everything in a reply, the group's error first.
type Fetched = (i16, Vec<(String, i32, i64, i32, i16)>);

fn fetched(response: &OffsetFetchResponse, version: i16) -> Fetched {
    if version >= 8 {
        let group = &response.groups[0];
        let topics = group.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|each| {
                (
                    topic.name.to_string(),
                    each.partition_index,
                    each.committed_offset,
                    each.committed_leader_epoch,
                    each.error_code,
                )
            })
        });
        return (group.error_code, topics.collect());
    }
    let topics = response.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|each| {
            (
                topic.name.to_string(),
                each.partition_index,
                each.committed_offset,
                each.committed_leader_epoch,
                each.error_code,
            )
        })
    });
    (response.error_code, topics.collect())
}

/// A request for partitions of "orders", or for everything.
fn offsets(group_id: &'static str, wanted: Option<&[i32]>, version: i16) -> OffsetFetchRequest {
    let request = OffsetFetchRequest::default();
    if version >= 8 {
        let topics = wanted.map(|partitions| {
            let topic = OffsetFetchRequestTopics::default()
                .with_name(name("orders"))
                .with_partition_indexes(partitions.to_vec());
            vec![topic]
        });
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(group(group_id))
            .with_topics(topics);
        return request.with_groups(vec![group]);
    }
    let topics = wanted.map(|partitions| {
        let topic = OffsetFetchRequestTopic::default()
            .with_name(name("orders"))
            .with_partition_indexes(partitions.to_vec());
        vec![topic]
    });
    request.with_group_id(group(group_id)).with_topics(topics)
}

#[test]
fn offset_fetch() {
    for version in versions(ApiKey::OffsetFetch) {
        let mut cluster = with_groups(&[1]);
        let epoch = if version >= 5 { 2 } else { -1 };
        let found = |index: i32| {
            let offset = 40 + i64::from(index);
            ("orders".to_owned(), index, offset, epoch, NONE)
        };
        let mut check = |wanted: Option<&[i32]>, expected: &[i32]| {
            let request = offsets("g", wanted, version);
            let response: OffsetFetchResponse =
                cluster.call(ApiKey::OffsetFetch, version, &request);
            let expected: Vec<_> = expected.iter().copied().map(found).collect();
            assert_eq!(fetched(&response, version), (NONE, expected), "v{version}");
        };
        check(Some(&[3, 1]), &[3, 1]);
        if version >= 2 {
            check(None, &[0, 1]);
        }
    }
}

#[test]
fn offset_fetch_fails_where_its_version_has_a_place_for_it() {
    let loading = ErrorCode::CoordinatorLoadInProgress.code();
    for version in versions(ApiKey::OffsetFetch) {
        let check = |partitions: &[i32], group_id, error: i16| {
            let mut cluster = with_groups(partitions);
            let request = offsets(group_id, Some(&[1]), version);
            let response: OffsetFetchResponse =
                cluster.call(ApiKey::OffsetFetch, version, &request);
            let expected = if version >= 2 {
                (error, vec![])
            } else {
                (NONE, vec![("orders".to_owned(), 1, -1, -1, error)])
            };
            assert_eq!(fetched(&response, version), expected, "v{version}");
        };
        check(&[1], "loading", loading);
        check(&[1], "failed", loading);
        check(&[], "g", NOT_COORDINATOR);
    }
}

#[test]
fn offsets_of_many_groups_are_asked_for_by_members_and_others() {
    let cluster = with_groups(&[1]);
    let group_of = |group_id, member_id: Option<&'static str>, epoch| {
        OffsetFetchRequestGroup::default()
            .with_group_id(group(group_id))
            .with_member_id(member_id.map(string))
            .with_member_epoch(epoch)
            .with_topics(None)
    };
    let groups = vec![group_of("g", None, -1), group_of("h", Some("me"), 4)];
    let request = OffsetFetchRequest::default()
        .with_groups(groups)
        .with_require_stable(true);
    let asked = cluster.asked(ApiKey::OffsetFetch, 9, &request);
    let fences: Vec<_> = asked
        .iter()
        .map(|(_, request)| {
            let GroupRequest::FetchOffsets(fetch) = request else {
                panic!("{asked:?}")
            };
            assert!(fetch.require_stable);
            let fence = fetch.fence.as_ref();
            fence.map(|fence| (fence.member_id.as_str(), fence.generation_or_epoch))
        })
        .collect();
    assert_eq!(fences, [None, Some(("me", 4))]);
}

#[test]
fn offset_delete() {
    let check = |group_id, expected: (i16, &[(&str, i32, i16)])| {
        let mut cluster = with_groups(&[1]);
        let topic = |topic, partitions: &[i32]| {
            let partitions = partitions
                .iter()
                .map(|index| OffsetDeleteRequestPartition::default().with_partition_index(*index));
            OffsetDeleteRequestTopic::default()
                .with_name(name(topic))
                .with_partitions(partitions.collect())
        };
        let topics = vec![topic("absent", &[0]), topic("orders", &[1, 5, 0])];
        let request = OffsetDeleteRequest::default()
            .with_group_id(group(group_id))
            .with_topics(topics);
        let response: OffsetDeleteResponse = cluster.call(ApiKey::OffsetDelete, 0, &request);
        let deleted: Vec<_> = response
            .topics
            .iter()
            .flat_map(|topic| {
                let partitions = topic.partitions.iter();
                partitions.map(|each| (topic.name.as_str(), each.partition_index, each.error_code))
            })
            .collect();
        assert_eq!((response.error_code, &deleted[..]), expected, "{group_id}");
    };
    let subscribed = ErrorCode::GroupSubscribedToTopic.code();
    let deleted = [
        ("absent", 0, UNKNOWN_TOPIC),
        ("orders", 1, subscribed),
        ("orders", 5, UNKNOWN_TOPIC),
        ("orders", 0, NONE),
    ];
    check("g", (NONE, &deleted));
    check("absent", (ErrorCode::GroupIdNotFound.code(), &[]));
    check("", (INVALID_GROUP_ID, &[]));
}
