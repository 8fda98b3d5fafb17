//! A coordinator for tests.

use bytes::Bytes;
use chronik_coordinator::{
    AssignedTopic, ClassicDescription, ClassicMemberDescription, CommitOffsets,
    ConsumerDescription, ConsumerHeartbeat, ConsumerHeartbeatResponse, ConsumerMemberDescription,
    DeleteOffsets, FetchedOffset, FetchedTopic, GroupRequest, GroupResponse, JoinGroup,
    JoinResponse, LeaveGroup, LeftMember, ListedGroup, SyncResponse, TopicAssignment,
};
use chronik_model::{ErrorCode, Offset, TopicId};

/// A coordinator that knows everybody, and answers so that every field is seen. Groups that are
/// called "loading" are, those that are called "failed" have, those that are called "absent" do not
/// exist, and so for members but "first".
pub(super) fn answer(request: GroupRequest) -> GroupResponse {
    if group_of(&request) == Some("loading") {
        return GroupResponse::Unavailable(ErrorCode::CoordinatorLoadInProgress);
    }
    if group_of(&request) == Some("failed") {
        return GroupResponse::Unavailable(ErrorCode::CoordinatorNotAvailable);
    }
    match request {
        GroupRequest::Join(join) => GroupResponse::Join(joined(join)),
        GroupRequest::Sync(sync) => GroupResponse::Sync(SyncResponse {
            error: ErrorCode::None,
            protocol_type: Some("consumer".to_owned()),
            protocol_name: Some("range".to_owned()),
            assignment: sync.assignments[0].1.clone(),
        }),
        GroupRequest::Heartbeat(beat) => GroupResponse::Heartbeat(is_member(&beat.member_id)),
        GroupRequest::Leave(leave) => left(leave),
        GroupRequest::DescribeClassic { group_id } => {
            GroupResponse::DescribeClassic(classic(&group_id))
        }
        GroupRequest::List(list) => GroupResponse::List(vec![ListedGroup {
            group_id: list.states.concat() + &list.types.concat(),
            protocol_type: "consumer".to_owned(),
            state: "Stable",
            group_type: "classic",
        }]),
        GroupRequest::Delete { group_id } => GroupResponse::Delete(exists(&group_id)),
        GroupRequest::CommitOffsets(commit) => committed(&commit),
        GroupRequest::FetchOffsets(fetch) => {
            let everything = || vec![("orders".to_owned(), vec![0, 1])];
            let topics = fetch.topics.unwrap_or_else(everything).into_iter();
            GroupResponse::FetchOffsets(ErrorCode::None, topics.map(offsets_of).collect())
        }
        GroupRequest::DeleteOffsets(delete) => deleted(&delete),
        GroupRequest::ConsumerHeartbeat(beat) => GroupResponse::ConsumerHeartbeat(lives(beat)),
        GroupRequest::DescribeConsumer { group_id } => {
            GroupResponse::DescribeConsumer(consumer(&group_id))
        }
    }
}

fn group_of(request: &GroupRequest) -> Option<&str> {
    let group_id = match request {
        GroupRequest::Join(join) => &join.group_id,
        GroupRequest::Sync(sync) => &sync.group_id,
        GroupRequest::Heartbeat(beat) => &beat.group_id,
        GroupRequest::Leave(leave) => &leave.group_id,
        GroupRequest::CommitOffsets(commit) => &commit.group_id,
        GroupRequest::FetchOffsets(fetch) => &fetch.group_id,
        GroupRequest::DeleteOffsets(delete) => &delete.group_id,
        GroupRequest::ConsumerHeartbeat(beat) => &beat.group_id,
        GroupRequest::DescribeClassic { group_id }
        | GroupRequest::Delete { group_id }
        | GroupRequest::DescribeConsumer { group_id } => group_id,
        GroupRequest::List(_) => return None,
    };
    Some(group_id)
}

fn exists(group_id: &str) -> ErrorCode {
    match group_id {
        "absent" => ErrorCode::GroupIdNotFound,
        _ => ErrorCode::None,
    }
}

fn is_member(member_id: &str) -> ErrorCode {
    match member_id {
        "first" => ErrorCode::None,
        _ => ErrorCode::UnknownMemberId,
    }
}

fn joined(join: JoinGroup) -> JoinResponse {
    let (name, metadata) = join.protocols[0].clone();
    JoinResponse {
        error: ErrorCode::None,
        generation_id: 3,
        protocol_type: Some(join.protocol_type),
        protocol_name: Some(name),
        leader: "first".to_owned(),
        member_id: format!("{}{}", join.client_id, join.client_host),
        skip_assignment: join.supports_skipping_assignment,
        members: vec![("first".to_owned(), Some("static".to_owned()), metadata)],
    }
}

fn left(leave: LeaveGroup) -> GroupResponse {
    let left = leave.members.into_iter().map(|member| LeftMember {
        error: is_member(&member.member_id),
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
    });
    GroupResponse::Leave(ErrorCode::None, left.collect())
}

fn committed(commit: &CommitOffsets) -> GroupResponse {
    let partitions = commit.partitions.iter();
    let codes = partitions.map(|each| match each.metadata.len() {
        0..10 => ErrorCode::None,
        _ => ErrorCode::OffsetMetadataTooLarge,
    });
    GroupResponse::CommitOffsets(codes.collect())
}

fn deleted(delete: &DeleteOffsets) -> GroupResponse {
    let error = exists(&delete.group_id);
    let partitions = delete.topics.iter().flat_map(|(_, partitions)| partitions);
    let codes = partitions.map(|index| match index {
        0 => ErrorCode::None,
        _ => ErrorCode::GroupSubscribedToTopic,
    });
    let codes = codes.filter(|_| error.is_none()).collect();
    GroupResponse::DeleteOffsets(error, codes)
}

fn lives(beat: ConsumerHeartbeat) -> Result<ConsumerHeartbeatResponse, (ErrorCode, String)> {
    if beat.member_epoch < 0 {
        return Err((ErrorCode::FencedMemberEpoch, "too old".to_owned()));
    }
    Ok(ConsumerHeartbeatResponse {
        member_id: beat.member_id + "!",
        member_epoch: beat.member_epoch + 1,
        heartbeat_interval_ms: 5000,
        assignment: beat.owned_partitions,
    })
}

fn classic(group_id: &str) -> ClassicDescription {
    if group_id == "absent" {
        return ClassicDescription {
            error: ErrorCode::GroupIdNotFound,
            error_message: Some("no such group".to_owned()),
            state: "Dead",
            protocol_type: String::new(),
            protocol: String::new(),
            members: Vec::new(),
        };
    }
    ClassicDescription {
        error: ErrorCode::None,
        error_message: None,
        state: "Stable",
        protocol_type: "consumer".to_owned(),
        protocol: "range".to_owned(),
        members: vec![ClassicMemberDescription {
            member_id: "first".to_owned(),
            group_instance_id: Some("static".to_owned()),
            client_id: "app".to_owned(),
            client_host: "/10.0.0.1".to_owned(),
            metadata: Bytes::from_static(b"meta"),
            assignment: Bytes::from_static(b"mine"),
        }],
    }
}

fn offsets_of((topic, partitions): (String, Vec<i32>)) -> FetchedTopic {
    let partitions = partitions.into_iter().map(|partition| FetchedOffset {
        partition,
        offset: Offset(40 + i64::from(partition)),
        leader_epoch: 2,
        metadata: "note".to_owned(),
        error: ErrorCode::None,
    });
    FetchedTopic {
        topic,
        partitions: partitions.collect(),
    }
}

fn consumer(group_id: &str) -> Result<ConsumerDescription, (ErrorCode, String)> {
    let error = exists(group_id);
    if !error.is_none() {
        return Err((error, "no such group".to_owned()));
    }
    let topic = AssignedTopic {
        topic: "orders".to_owned(),
        partitions: TopicAssignment {
            topic_id: TopicId([5; 16]),
            partitions: vec![1],
        },
    };
    Ok(ConsumerDescription {
        state: "Reconciling",
        group_epoch: 7,
        assignment_epoch: 6,
        assignor: "uniform".to_owned(),
        members: vec![ConsumerMemberDescription {
            member_id: "first".to_owned(),
            instance_id: None,
            rack_id: Some("left".to_owned()),
            member_epoch: 5,
            client_id: "app".to_owned(),
            client_host: "/10.0.0.1".to_owned(),
            subscribed_topic_names: vec!["orders".to_owned()],
            subscribed_topic_regex: None,
            assignment: vec![topic.clone()],
            target_assignment: vec![topic],
            member_type: 1,
        }],
    })
}
