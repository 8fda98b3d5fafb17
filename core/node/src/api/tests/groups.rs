//! The APIs of groups: which partition is asked what, and how its coordinator's answer is written.

use bytes::Bytes;
use chronik_coordinator::{GroupRequest, GroupResponse};
use chronik_model::{ErrorCode, TopicId, TopicPartition};
use chronik_protocol::ApiKey;
use chronik_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use chronik_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use chronik_protocol::messages::leave_group_request::MemberIdentity;
use chronik_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use chronik_protocol::messages::*;

use super::{Cluster, NONE, coordinator, name, versions};
use crate::api::groups::partition_of;
use crate::messages::{PartitionAnswer, PartitionOp};

pub(super) const NOT_COORDINATOR: i16 = ErrorCode::NotCoordinator.code();
pub(super) const INVALID_GROUP_ID: i16 = ErrorCode::InvalidGroupId.code();
const NO_MEMBER: i16 = ErrorCode::UnknownMemberId.code();
/// Read, Delete, Describe, DescribeConfigs, AlterConfigs.
const GROUP_OPERATIONS: i32 = 0b1101_0100_1000;

pub(super) fn string(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

pub(super) fn group(text: &'static str) -> GroupId {
    GroupId(string(text))
}

/// A cluster with a topic, and its groups if there are any.
pub(super) fn with_groups(partitions: &[i32]) -> Cluster {
    let mut cluster = Cluster::new(&[]);
    cluster.create("orders", &[1, 2], &[]);
    if !partitions.is_empty() {
        cluster.create("__consumer_offsets", partitions, &[]);
    }
    cluster
}

fn join(group_id: &'static str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(string("range"))
        .with_metadata(Bytes::from_static(b"meta"));
    JoinGroupRequest::default()
        .with_group_id(group(group_id))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(0)
        .with_member_id(string("me"))
        .with_protocol_type(string("consumer"))
        .with_protocols(vec![protocol])
}

#[test]
fn groups_are_where_kafka_puts_them() {
    let check = |group_id: &str, partitions: usize, expected: i32| {
        let found = partition_of(group_id, partitions);
        assert_eq!(found.0, expected, "{group_id} of {partitions}");
    };
    // The empty string hashes to 0, "a" to 97, "ab" to 97 * 31 + 98.
    check("", 50, 0);
    check("a", 50, 47);
    check("ab", 50, 3105 % 50);
    check("ab", 1, 0);
    // A string whose hash is the smallest integer, which has no absolute value.
    check("polygenelubricants", 50, 0);
    check("polygenelubricants", 7, 0);
    // One beside it, whose hash is negative: 1 - 2^31.
    check("polygenelubricantt", 50, 47);
    // UTF-16 units, not bytes: "\u{1F600}" is D83D DE00.
    check("\u{1F600}", 1_000_000, 1_772_899 % 1_000_000);
}

#[test]
fn join_group() {
    for version in versions(ApiKey::JoinGroup) {
        let mut cluster = with_groups(&[1]);
        let response: JoinGroupResponse = cluster.call(ApiKey::JoinGroup, version, &join("g"));
        assert_eq!(response.error_code, NONE, "v{version}");
        assert_eq!(response.generation_id, 3);
        assert_eq!(response.protocol_name.as_deref(), Some("range"));
        assert_eq!(response.protocol_type.is_some(), version >= 7, "v{version}");
        assert_eq!(&*response.member_id, "test/127.0.0.1");
        assert_eq!(response.skip_assignment, version >= 9, "v{version}");
        let member = &response.members[0];
        assert_eq!(&*member.member_id, "first");
        assert_eq!(&*member.metadata, b"meta");
        assert_eq!(member.group_instance_id.is_some(), version >= 5);
    }
}

#[test]
fn join_group_says_what_its_version_means() {
    for version in versions(ApiKey::JoinGroup) {
        let cluster = with_groups(&[1]);
        let mut request = join("g");
        if version >= 1 {
            request = request.with_rebalance_timeout_ms(77);
        }
        let asked = cluster.asked(ApiKey::JoinGroup, version, &request);
        let GroupRequest::Join(join) = &asked[0].1 else {
            panic!("{asked:?}")
        };
        let rebalance = if version >= 1 { 77 } else { 10_000 };
        assert_eq!(join.rebalance_timeout_ms, rebalance, "v{version}");
        assert_eq!(join.requires_known_member_id, version >= 4, "v{version}");
        assert_eq!(join.supports_skipping_assignment, version >= 9);
    }
}

#[test]
fn a_refused_join_keeps_the_member() {
    let check = |cluster: &mut Cluster, group_id: &'static str, expected: ErrorCode| {
        for version in versions(ApiKey::JoinGroup) {
            let request = join(group_id);
            let response: JoinGroupResponse = cluster.call(ApiKey::JoinGroup, version, &request);
            assert_eq!(
                response.error_code,
                expected.code(),
                "{group_id} v{version}"
            );
            assert_eq!((response.generation_id, &*response.member_id), (-1, "me"));
            let name = response.protocol_name.as_deref();
            assert_eq!(name, if version >= 7 { None } else { Some("") });
        }
    };
    check(&mut with_groups(&[1]), "", ErrorCode::InvalidGroupId);
    check(
        &mut with_groups(&[1]),
        "loading",
        ErrorCode::CoordinatorLoadInProgress,
    );
    check(&mut with_groups(&[2]), "g", ErrorCode::NotCoordinator);
    check(&mut with_groups(&[]), "g", ErrorCode::NotCoordinator);
}

#[test]
fn sync_group() {
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(string("first"))
        .with_assignment(Bytes::from_static(b"mine"));
    let request = SyncGroupRequest::default()
        .with_group_id(group("g"))
        .with_assignments(vec![assignment]);
    let stated = request
        .clone()
        .with_protocol_type(Some(string("consumer")))
        .with_protocol_name(Some(string("range")));
    for version in versions(ApiKey::SyncGroup) {
        let mut cluster = with_groups(&[1]);
        let request = if version >= 5 { &stated } else { &request };
        let response: SyncGroupResponse = cluster.call(ApiKey::SyncGroup, version, request);
        assert_eq!(response.error_code, NONE, "v{version}");
        assert_eq!(&*response.assignment, b"mine");
        assert_eq!(response.protocol_name.is_some(), version >= 5);
    }
    let mut cluster = with_groups(&[1]);
    let response: SyncGroupResponse = cluster.call(ApiKey::SyncGroup, 5, &request);
    let expected = ErrorCode::InconsistentGroupProtocol.code();
    assert_eq!(response.error_code, expected);
    let nameless = request.with_group_id(group(""));
    let response: SyncGroupResponse = cluster.call(ApiKey::SyncGroup, 4, &nameless);
    assert_eq!(response.error_code, INVALID_GROUP_ID);
}

#[test]
fn heartbeat() {
    let check = |partitions: &[i32], group_id, member_id, expected: i16| {
        for version in versions(ApiKey::Heartbeat) {
            let mut cluster = with_groups(partitions);
            let request = HeartbeatRequest::default()
                .with_group_id(group(group_id))
                .with_member_id(string(member_id));
            let response: HeartbeatResponse = cluster.call(ApiKey::Heartbeat, version, &request);
            assert_eq!(response.error_code, expected, "{group_id:?} v{version}");
        }
    };
    check(&[1], "g", "first", NONE);
    check(&[1], "g", "other", NO_MEMBER);
    check(&[1], "loading", "first", NONE);
    check(&[1], "", "first", INVALID_GROUP_ID);
    check(&[2], "g", "first", NOT_COORDINATOR);
    check(&[], "g", "first", NOT_COORDINATOR);
}

#[test]
fn leave_group() {
    let mut cluster = with_groups(&[1]);
    for version in versions(ApiKey::LeaveGroup) {
        let request = LeaveGroupRequest::default().with_group_id(group("g"));
        if version < 3 {
            for (member_id, expected) in [("first", NONE), ("other", NO_MEMBER)] {
                let request = request.clone().with_member_id(string(member_id));
                let response: LeaveGroupResponse =
                    cluster.call(ApiKey::LeaveGroup, version, &request);
                assert_eq!(response.error_code, expected, "{member_id} v{version}");
            }
            continue;
        }
        let member = |member_id, instance_id: Option<&'static str>| {
            MemberIdentity::default()
                .with_member_id(string(member_id))
                .with_group_instance_id(instance_id.map(string))
        };
        let members = vec![member("other", Some("static")), member("first", None)];
        let request = request.with_members(members);
        let response: LeaveGroupResponse = cluster.call(ApiKey::LeaveGroup, version, &request);
        assert_eq!(response.error_code, NONE);
        let left: Vec<_> = response
            .members
            .iter()
            .map(|member| (&*member.member_id, member.error_code))
            .collect();
        assert_eq!(left, [("other", NO_MEMBER), ("first", NONE)], "v{version}");
        assert_eq!(
            response.members[0].group_instance_id.as_deref(),
            Some("static")
        );
    }
    let nobody = LeaveGroupRequest::default();
    let response: LeaveGroupResponse = cluster.call(ApiKey::LeaveGroup, 5, &nobody);
    assert_eq!(response.error_code, INVALID_GROUP_ID);
}

#[test]
fn describe_groups() {
    let not_found = ErrorCode::GroupIdNotFound.code();
    for version in versions(ApiKey::DescribeGroups) {
        let mut cluster = with_groups(&[1]);
        let request = DescribeGroupsRequest::default()
            .with_groups(vec![group("absent"), group("g"), group("absent")])
            .with_include_authorized_operations(version >= 3);
        let response: DescribeGroupsResponse =
            cluster.call(ApiKey::DescribeGroups, version, &request);
        let states: Vec<_> = response
            .groups
            .iter()
            .map(|group| (&*group.group_id.0, &*group.group_state, group.error_code))
            .collect();
        let absent = if version >= 6 { not_found } else { NONE };
        let expected = [
            ("absent", "Dead", absent),
            ("g", "Stable", NONE),
            ("absent", "Dead", absent),
        ];
        assert_eq!(states, expected, "v{version}");
        assert_eq!(response.groups[0].error_message.is_some(), version >= 6);
        let found = &response.groups[1];
        let operations = if version >= 3 {
            GROUP_OPERATIONS
        } else {
            i32::MIN
        };
        assert_eq!(found.authorized_operations, operations, "v{version}");
        assert_eq!(&*found.protocol_data, "range");
        let member = &found.members[0];
        assert_eq!(&*member.client_host, "/10.0.0.1");
        assert_eq!(&*member.member_metadata, b"meta");
        assert_eq!(&*member.member_assignment, b"mine");
        assert_eq!(member.group_instance_id.is_some(), version >= 4);
    }
}

#[test]
fn groups_without_a_coordinator_are_described_as_that() {
    let request = DescribeGroupsRequest::default()
        .with_groups(vec![group("g")])
        .with_include_authorized_operations(true);
    let mut cluster = with_groups(&[]);
    let response: DescribeGroupsResponse = cluster.call(ApiKey::DescribeGroups, 6, &request);
    let found = &response.groups[0];
    assert_eq!(found.error_code, NOT_COORDINATOR);
    assert_eq!(
        (&*found.group_state, found.authorized_operations),
        ("", i32::MIN)
    );
}

#[test]
fn list_groups() {
    for version in versions(ApiKey::ListGroups) {
        let mut cluster = with_groups(&[1, 2, 1]);
        let mut request = ListGroupsRequest::default();
        if version >= 4 {
            request = request.with_states_filter(vec![string("Stable")]);
        }
        if version >= 5 {
            request = request.with_types_filter(vec![string("classic")]);
        }
        let response: ListGroupsResponse = cluster.call(ApiKey::ListGroups, version, &request);
        assert_eq!(response.error_code, NONE);
        let id = match version {
            ..4 => "",
            4 => "Stable",
            _ => "Stableclassic",
        };
        let listed = response.groups.iter().map(|group| {
            (
                &*group.group_id.0,
                &*group.group_state,
                &*group.group_type,
                &*group.protocol_type,
            )
        });
        let state = if version >= 4 { "Stable" } else { "" };
        let group_type = if version >= 5 { "classic" } else { "" };
        let expected = [(id, state, group_type, "consumer"); 2];
        assert!(listed.eq(expected), "v{version}: {response:?}");
    }
}

#[test]
fn a_list_of_groups_is_whole_or_an_error() {
    let check = |answers: Vec<PartitionAnswer>, expected: (ErrorCode, usize)| {
        let cluster = with_groups(&[1, 1]);
        let response: ListGroupsResponse = cluster.call_with(
            ApiKey::ListGroups,
            5,
            &ListGroupsRequest::default(),
            answers,
        );
        let (error, groups) = expected;
        assert_eq!(response.error_code, error.code());
        assert_eq!(response.groups.len(), groups);
    };
    let list = || {
        PartitionAnswer::Group(Box::new(coordinator::answer(GroupRequest::List(
            chronik_coordinator::ListGroups {
                states: Vec::new(),
                types: Vec::new(),
            },
        ))))
    };
    let unavailable = |error| PartitionAnswer::Group(Box::new(GroupResponse::Unavailable(error)));
    check(vec![list(), list()], (ErrorCode::None, 2));
    let loading = ErrorCode::CoordinatorLoadInProgress;
    check(vec![list(), unavailable(loading)], (loading, 0));
    let gone = unavailable(ErrorCode::NotCoordinator);
    check(vec![list(), gone], (ErrorCode::None, 1));
    let moved = PartitionAnswer::Failed(ErrorCode::NotLeaderOrFollower);
    check(vec![moved, list()], (ErrorCode::None, 1));
    let mut none = with_groups(&[]);
    let request = ListGroupsRequest::default();
    let response: ListGroupsResponse = none.call(ApiKey::ListGroups, 5, &request);
    assert_eq!((response.error_code, response.groups.len()), (NONE, 0));
}

#[test]
fn delete_groups() {
    for version in versions(ApiKey::DeleteGroups) {
        let mut cluster = with_groups(&[1]);
        let names = vec![group("g"), group("absent"), group("g"), group("")];
        let request = DeleteGroupsRequest::default().with_groups_names(names);
        let response: DeleteGroupsResponse = cluster.call(ApiKey::DeleteGroups, version, &request);
        let results: Vec<_> = response
            .results
            .iter()
            .map(|result| (&*result.group_id.0, result.error_code))
            .collect();
        let not_found = ErrorCode::GroupIdNotFound.code();
        assert_eq!(results, [("g", NONE), ("absent", not_found), ("", NONE)]);
    }
}

#[test]
fn consumer_group_heartbeat() {
    let owned = TopicPartitions::default()
        .with_topic_id(uuid(TopicId([6; 16])))
        .with_partitions(vec![2, 1]);
    let request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group("g"))
        .with_member_id(string("me"))
        .with_member_epoch(0)
        .with_topic_partitions(Some(vec![owned]));
    let check = |request: &ConsumerGroupHeartbeatRequest, version, expected: ErrorCode| {
        let mut cluster = with_groups(&[1]);
        let response: ConsumerGroupHeartbeatResponse =
            cluster.call(ApiKey::ConsumerGroupHeartbeat, version, request);
        assert_eq!(response.error_code, expected.code(), "v{version}");
        if expected.is_none() {
            assert_eq!(response.member_epoch, 1);
            let assigned = &response.assignment.unwrap().topic_partitions[0];
            assert_eq!(topic_id(assigned.topic_id), TopicId([6; 16]));
            assert_eq!(assigned.partitions, [2, 1]);
        } else {
            assert_eq!((response.member_id, response.member_epoch), (None, 0));
        }
    };
    let nameless = request.clone().with_group_id(group(""));
    let unnamed = request.clone().with_member_id(string(""));
    let stale = request.clone().with_member_epoch(-3);
    let early = request.clone().with_group_id(group("loading"));
    for version in versions(ApiKey::ConsumerGroupHeartbeat) {
        check(&request, version, ErrorCode::None);
        check(&nameless, version, ErrorCode::InvalidRequest);
        check(&stale, version, ErrorCode::FencedMemberEpoch);
        check(&early, version, ErrorCode::CoordinatorLoadInProgress);
    }
    check(&unnamed, 0, ErrorCode::None);
    check(&unnamed, 1, ErrorCode::InvalidRequest);
    check(&unnamed.with_member_epoch(-1), 0, ErrorCode::InvalidRequest);
}

#[test]
fn consumer_group_describe() {
    let not_found = ErrorCode::GroupIdNotFound.code();
    for version in versions(ApiKey::ConsumerGroupDescribe) {
        let mut cluster = with_groups(&[1]);
        let request = ConsumerGroupDescribeRequest::default()
            .with_group_ids(vec![group("absent"), group("g"), group("")])
            .with_include_authorized_operations(true);
        let response: ConsumerGroupDescribeResponse =
            cluster.call(ApiKey::ConsumerGroupDescribe, version, &request);
        let groups: Vec<_> = response
            .groups
            .iter()
            .map(|group| {
                (
                    group.error_code,
                    &*group.group_state,
                    group.authorized_operations,
                )
            })
            .collect();
        let expected = [
            (not_found, "", i32::MIN),
            (NONE, "Reconciling", GROUP_OPERATIONS),
            (INVALID_GROUP_ID, "", i32::MIN),
        ];
        assert_eq!(groups, expected);
        let message = response.groups[0].error_message.as_deref();
        assert_eq!(message, Some("no such group"));
        let found = &response.groups[1];
        assert_eq!((found.group_epoch, found.assignment_epoch), (7, 6));
        let member = &found.members[0];
        assert_eq!(member.member_type, if version >= 1 { 1 } else { -1 });
        assert_eq!(member.subscribed_topic_names, [name("orders")]);
        let assigned = &member.target_assignment.topic_partitions[0];
        assert_eq!(
            (&assigned.topic_name, &assigned.partitions[..]),
            (&name("orders"), &[1][..])
        );
    }
}

impl Cluster {
    /// What a request has the coordinators asked.
    pub(super) fn asked<Q: Encodable>(
        &self,
        key: ApiKey,
        version: i16,
        request: &Q,
    ) -> Vec<(TopicPartition, GroupRequest)> {
        let ops = self.operations(key, version, request).into_iter();
        ops.map(|(partition, op)| {
            let PartitionOp::Group(request) = op else {
                panic!("{op:?}")
            };
            (partition, *request)
        })
        .collect()
    }
}
