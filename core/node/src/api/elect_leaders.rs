//! ElectLeaders (API 43), v0 to v2 (KIP-183, KIP-460): moves leadership to preferred replicas, or
//! to any replica where nobody leads.
//!
//! - v0 knows preferred replicas only and has no error of its own, v1 adds the election type.
//! - Every partition has one replica: where it leads, which is where it runs, ELECTION_NOT_NEEDED.
//!   Where it does not, nobody else can be elected.
//! - Null partitions mean all of them, of which those that need no election are left out.

use chronik_controller::{PartitionImage, RequestError};
use chronik_model::{ErrorCode, PartitionIndex};
use chronik_protocol::TopicRef;
use chronik_protocol::messages::elect_leaders_request::TopicPartitions;
use chronik_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use chronik_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};

use super::errors::refusal;
use super::support::{ReplyTo, decode, find_topic, text, verdict};
use super::{Context, HandlerError, Outcome, Request};

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: ElectLeadersRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let election_type = body.election_type;
    let is_known = [PREFERRED, UNCLEAN].contains(&election_type);
    let results = match body.topic_partitions {
        Some(topics) => {
            let topics = topics.into_iter();
            topics
                .map(|topic| elect_named(context, election_type, topic))
                .collect()
        }
        None if is_known => elect_all(context, election_type),
        None => Vec::new(),
    };
    let error = if is_known || reply.version == 0 {
        ErrorCode::None
    } else {
        ErrorCode::InvalidRequest
    };
    let response = ElectLeadersResponse::default()
        .with_error_code(error.code())
        .with_replica_election_results(results);
    Ok(Outcome::Reply(reply.encode(&response)?))
}

fn elect_named(
    context: &Context<'_>,
    election_type: i8,
    asked: TopicPartitions,
) -> ReplicaElectionResult {
    let topic = find_topic(context.view, TopicRef::Name(asked.topic.as_str()));
    let results = asked.partitions.into_iter().map(|index| {
        let found = topic
            .ok()
            .and_then(|topic| topic.partition(PartitionIndex(index)));
        let elected = match found {
            Some(partition) => elect(partition, election_type),
            None => Err(refusal(
                ErrorCode::UnknownTopicOrPartition,
                format!("there is no partition {}-{index}", asked.topic.as_str()),
            )),
        };
        result_of(index, &elected)
    });
    let results = results.collect();
    ReplicaElectionResult::default()
        .with_topic(asked.topic)
        .with_partition_result(results)
}

fn elect_all(context: &Context<'_>, election_type: i8) -> Vec<ReplicaElectionResult> {
    let topics = context.view.image.topics().filter_map(|topic| {
        let partitions = (0..).zip(&topic.partitions);
        let results = partitions.filter_map(|(index, partition)| {
            let elected = elect(partition, election_type);
            let is_needed = elected
                .as_ref()
                .is_err_and(|error| error.code != ErrorCode::ElectionNotNeeded);
            is_needed.then(|| result_of(index, &elected))
        });
        let results: Vec<_> = results.collect();
        (!results.is_empty()).then(|| {
            ReplicaElectionResult::default()
                .with_topic(TopicName(text(topic.name.as_str())))
                .with_partition_result(results)
        })
    });
    topics.collect()
}

fn elect(partition: &PartitionImage, election_type: i8) -> Result<(), RequestError> {
    let preferred = partition.replicas.first().copied();
    let refused = match election_type {
        PREFERRED if partition.leader.is_some() && partition.leader == preferred => refusal(
            ErrorCode::ElectionNotNeeded,
            "the preferred replica leads already",
        ),
        PREFERRED => refusal(
            ErrorCode::PreferredLeaderNotAvailable,
            "the preferred replica is not available",
        ),
        UNCLEAN if partition.leader.is_some() => {
            refusal(ErrorCode::ElectionNotNeeded, "there is a leader already")
        }
        UNCLEAN => refusal(
            ErrorCode::EligibleLeadersNotAvailable,
            "no replica is available",
        ),
        unknown => refusal(
            ErrorCode::InvalidRequest,
            format!("there is no election type {unknown}"),
        ),
    };
    Err(refused)
}

fn result_of(index: i32, elected: &Result<(), RequestError>) -> PartitionResult {
    let (code, message) = verdict(elected);
    PartitionResult::default()
        .with_partition_id(index)
        .with_error_code(code)
        .with_error_message(message)
}
