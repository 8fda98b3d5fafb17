//! OffsetFetch (API 9), v1 to v9: how far a group has read.
//!
//! - v2 adds an error of the whole request and asks for everything by null topics, v5 leader epochs
//!   (KIP-320), v7 `require_stable` (KIP-447), v8 many groups (KIP-709), v9 the member that asks
//!   (KIP-848). Before v2 an error of the group stands in each of its partitions.
//! - What was never committed is offset -1 without an error, also for topics that do not exist.
//! - A coordinator whose log failed is COORDINATOR_LOAD_IN_PROGRESS here, as it has to be loaded anew
//!   before anybody learns more. librdkafka asks again for that one error only: with any other it
//!   never reads the partitions of its assignment, while its heartbeats go on.
//! - The empty group id is a group like others here.

use chronik_coordinator::{
    FetchOffsets, FetchedOffset, FetchedTopic, GroupRequest, GroupResponse, OffsetsFence,
};
use chronik_model::{ErrorCode, Offset};
use chronik_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use chronik_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use chronik_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse, TopicName};

use super::groups::{Question, ask, ask_each, owned};
use super::support::{ReplyTo, decode, text};
use super::{Context, HandlerError, Outcome, Request};

/// The first version with an error of the whole request.
const GROUP_ERROR_VERSION: i16 = 2;
/// The first version that asks about many groups.
const MANY_GROUPS: i16 = 8;
const NO_OFFSET: Offset = Offset(-1);
const NO_EPOCH: i32 = -1;

/// Topics and their partitions; none for everything there is.
type Wanted = Option<Vec<(String, Vec<i32>)>>;
/// The error of the group, and its topics.
type Found = (ErrorCode, Vec<FetchedTopic>);

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: OffsetFetchRequest = decode(request)?;
    if request.version >= MANY_GROUPS {
        many(context, request, body)
    } else {
        single(context, request, body)
    }
}

fn single(
    context: &Context<'_>,
    request: &Request<'_>,
    body: OffsetFetchRequest,
) -> Result<Outcome, HandlerError> {
    let reply = ReplyTo::new(request);
    let topics = body.topics.map(|topics| {
        let topics = topics.into_iter();
        topics
            .map(|topic| (topic.name.to_string(), topic.partition_indexes))
            .collect::<Vec<_>>()
    });
    let asked = topics
        .clone()
        .filter(|_| reply.version < GROUP_ERROR_VERSION);
    let fetch = GroupRequest::FetchOffsets(FetchOffsets {
        group_id: body.group_id.to_string(),
        fence: None,
        topics,
        require_stable: body.require_stable,
        api_version: reply.version,
    });
    ask(context, (body.group_id, Ok(fetch)), pick, move |answer| {
        let found = found(answer);
        let (error, topics) = match asked {
            Some(asked) if !found.0.is_none() => (ErrorCode::None, failed(asked, found.0)),
            Some(_) | None => found,
        };
        let topics = topics.into_iter().map(topic_of_one);
        let response = OffsetFetchResponse::default()
            .with_error_code(error.code())
            .with_topics(topics.collect());
        reply.encode(&response)
    })
}

fn many(
    context: &Context<'_>,
    request: &Request<'_>,
    body: OffsetFetchRequest,
) -> Result<Outcome, HandlerError> {
    let reply = ReplyTo::new(request);
    let require_stable = body.require_stable;
    let questions = body
        .groups
        .into_iter()
        .map(|group| question(group, require_stable, reply.version));
    ask_each(context, questions.collect(), pick, move |answers| {
        let groups = answers
            .into_iter()
            .map(|(group_id, answer)| group_of_many(group_id, answer));
        reply.encode(&OffsetFetchResponse::default().with_groups(groups.collect()))
    })
}

fn question(group: OffsetFetchRequestGroup, require_stable: bool, api_version: i16) -> Question {
    let topics: Wanted = group.topics.map(|topics| {
        let topics = topics.into_iter();
        topics
            .map(|topic| (topic.name.to_string(), topic.partition_indexes))
            .collect()
    });
    let asked_by_member = group.member_id.is_some() || group.member_epoch >= 0;
    let fetch = FetchOffsets {
        group_id: group.group_id.to_string(),
        fence: asked_by_member.then(|| OffsetsFence {
            member_id: owned(group.member_id).unwrap_or_default(),
            group_instance_id: None,
            generation_or_epoch: group.member_epoch,
        }),
        topics,
        require_stable,
        api_version,
    };
    (group.group_id, Ok(GroupRequest::FetchOffsets(fetch)))
}

fn pick(response: GroupResponse) -> Option<Found> {
    if let GroupResponse::FetchOffsets(error, topics) = response {
        Some((error, topics))
    } else {
        None
    }
}

fn found(answer: Result<Found, ErrorCode>) -> Found {
    match answer {
        Ok(found) => found,
        Err(ErrorCode::CoordinatorNotAvailable) => {
            (ErrorCode::CoordinatorLoadInProgress, Vec::new())
        }
        Err(error) => (error, Vec::new()),
    }
}

/// The error of a group in each partition that was asked for.
fn failed(asked: Vec<(String, Vec<i32>)>, error: ErrorCode) -> Vec<FetchedTopic> {
    let topics = asked.into_iter().map(|(topic, partitions)| FetchedTopic {
        topic,
        partitions: partitions
            .into_iter()
            .map(|partition| FetchedOffset {
                partition,
                offset: NO_OFFSET,
                leader_epoch: NO_EPOCH,
                metadata: String::new(),
                error,
            })
            .collect(),
    });
    topics.collect()
}

fn topic_of_one(topic: FetchedTopic) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|found| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(found.partition)
            .with_committed_offset(found.offset.0)
            .with_committed_leader_epoch(found.leader_epoch)
            .with_metadata(Some(text(found.metadata)))
            .with_error_code(found.error.code())
    });
    OffsetFetchResponseTopic::default()
        .with_name(TopicName(text(topic.topic)))
        .with_partitions(partitions.collect())
}

fn group_of_many(group_id: GroupId, answer: Result<Found, ErrorCode>) -> OffsetFetchResponseGroup {
    let (error, topics) = found(answer);
    OffsetFetchResponseGroup::default()
        .with_group_id(group_id)
        .with_error_code(error.code())
        .with_topics(topics.into_iter().map(topic_of_many).collect())
}

fn topic_of_many(topic: FetchedTopic) -> OffsetFetchResponseTopics {
    let partitions = topic.partitions.into_iter().map(|found| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(found.partition)
            .with_committed_offset(found.offset.0)
            .with_committed_leader_epoch(found.leader_epoch)
            .with_metadata(Some(text(found.metadata)))
            .with_error_code(found.error.code())
    });
    OffsetFetchResponseTopics::default()
        .with_name(TopicName(text(topic.topic)))
        .with_partitions(partitions.collect())
}
