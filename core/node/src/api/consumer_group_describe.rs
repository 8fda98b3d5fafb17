//! ConsumerGroupDescribe (API 69), v0 to v1 (KIP-848): state, members and assignments of consumer
//! groups.
//!
//! - v1 tells members of the classic protocol from those of the new one (KIP-1099).
//! - Classic groups are GROUP_ID_NOT_FOUND here, after which clients ask DescribeGroups.

use chronik_coordinator::{
    AssignedTopic, ConsumerDescription, ConsumerMemberDescription, GroupRequest, GroupResponse,
};
use chronik_model::ErrorCode;
use chronik_protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use chronik_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, GroupId, TopicName, uuid,
};

use super::groups::{ask_each, named};
use super::support::{ALL_GROUP_OPERATIONS, OPERATIONS_NOT_ASKED, ReplyTo, decode, text};
use super::{Context, HandlerError, Outcome, Request};

/// What `member_type` is for versions that do not have it.
const UNKNOWN_MEMBER_TYPE: i8 = -1;

type Answer = Result<ConsumerDescription, (ErrorCode, String)>;

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: ConsumerGroupDescribeRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let operations = if body.include_authorized_operations {
        ALL_GROUP_OPERATIONS
    } else {
        OPERATIONS_NOT_ASKED
    };
    let questions = body.group_ids.into_iter().map(|group_id| {
        let describe = GroupRequest::DescribeConsumer {
            group_id: group_id.to_string(),
        };
        let describe = named(&group_id, describe);
        (group_id, describe)
    });
    ask_each(context, questions.collect(), pick, move |answers| {
        let groups = answers.into_iter().map(|(group_id, answer)| {
            let answer = answer.unwrap_or_else(|error| Err((error, String::new())));
            described(group_id, answer, operations, reply.version)
        });
        reply.encode(&ConsumerGroupDescribeResponse::default().with_groups(groups.collect()))
    })
}

fn pick(response: GroupResponse) -> Option<Answer> {
    if let GroupResponse::DescribeConsumer(answer) = response {
        Some(answer)
    } else {
        None
    }
}

fn described(group_id: GroupId, answer: Answer, operations: i32, version: i16) -> DescribedGroup {
    let group = DescribedGroup::default()
        .with_group_id(group_id)
        .with_error_message(None)
        .with_authorized_operations(OPERATIONS_NOT_ASKED);
    match answer {
        Err((error, message)) => group
            .with_error_code(error.code())
            .with_error_message(Some(message).filter(|it| !it.is_empty()).map(text)),
        Ok(found) => {
            let members = found
                .members
                .into_iter()
                .map(|each| described_member(each, version));
            group
                .with_group_state(text(found.state))
                .with_group_epoch(found.group_epoch)
                .with_assignment_epoch(found.assignment_epoch)
                .with_assignor_name(text(found.assignor))
                .with_members(members.collect())
                .with_authorized_operations(operations)
        }
    }
}

fn described_member(member: ConsumerMemberDescription, version: i16) -> Member {
    let names = member.subscribed_topic_names.into_iter();
    let member_type = if version >= 1 {
        member.member_type
    } else {
        UNKNOWN_MEMBER_TYPE
    };
    Member::default()
        .with_member_id(text(member.member_id))
        .with_instance_id(member.instance_id.map(text))
        .with_rack_id(member.rack_id.map(text))
        .with_member_epoch(member.member_epoch)
        .with_client_id(text(member.client_id))
        .with_client_host(text(member.client_host))
        .with_subscribed_topic_names(names.map(|name| TopicName(text(name))).collect())
        .with_subscribed_topic_regex(member.subscribed_topic_regex.map(text))
        .with_assignment(assignment(member.assignment))
        .with_target_assignment(assignment(member.target_assignment))
        .with_member_type(member_type)
}

fn assignment(topics: Vec<AssignedTopic>) -> Assignment {
    let topics = topics.into_iter().map(|topic| {
        TopicPartitions::default()
            .with_topic_id(uuid(topic.partitions.topic_id))
            .with_topic_name(TopicName(text(topic.topic)))
            .with_partitions(topic.partitions.partitions)
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
