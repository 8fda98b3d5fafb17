//! CreatePartitions (API 37), v0 to v3 (KIP-195): more partitions for topics, each of which
//! succeeds or fails on its own.
//!
//! The count is the new total. The answer is sent when the partitions are part of this broker's
//! metadata; the timeout of the request is not used.

use chronik_controller::{ControllerReply, ControllerRequest, CreatePartitions, NewPartitions};
use chronik_model::NodeId;
use chronik_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use chronik_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use chronik_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, TopicName};

use super::support::{ReplyTo, decode, results, text, verdict};
use super::{Context, HandlerError, Outcome, Request};

pub(super) fn handle(
    _context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: CreatePartitionsRequest = decode(request)?;
    let reply_to = ReplyTo::new(request);
    let topics: Vec<NewPartitions> = body.topics.into_iter().map(new_partitions).collect();
    let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
    let create = CreatePartitions {
        topics,
        validate_only: body.validate_only,
    };
    Ok(Outcome::Controller(
        ControllerRequest::CreatePartitions(create),
        Box::new(move |_context, reply| {
            let created = results(reply, names, |reply| {
                if let ControllerReply::CreatePartitions(results) = reply {
                    Some(results)
                } else {
                    None
                }
            })?;
            let topics = created.into_iter().map(|(name, result)| {
                let (code, message) = verdict(&result);
                CreatePartitionsTopicResult::default()
                    .with_name(TopicName(text(name)))
                    .with_error_code(code)
                    .with_error_message(message)
            });
            reply_to.encode(&CreatePartitionsResponse::default().with_results(topics.collect()))
        }),
    ))
}

fn new_partitions(topic: CreatePartitionsTopic) -> NewPartitions {
    let assignments = topic.assignments.map(|assignments| {
        let replicas = assignments.into_iter().map(|assignment| {
            assignment
                .broker_ids
                .into_iter()
                .map(|broker| NodeId(broker.0))
                .collect()
        });
        replicas.collect()
    });
    NewPartitions {
        name: topic.name.to_string(),
        new_total: topic.count,
        assignments,
    }
}
