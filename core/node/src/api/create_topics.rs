//! CreateTopics (API 19), v2 to v7: each topic succeeds or fails on its own.
//!
//! - Partitions and replication factor -1 take the cluster's defaults (KIP-464, v4; accepted in all
//!   versions).
//! - v5 answers with the layout and all configs of the new topic (KIP-525), v7 with its id
//!   (KIP-516). `validate_only` answers the same without creating anything, and without an id.
//! - The answer is sent when the topic is part of this broker's metadata; the timeout of the request
//!   is not used.

use std::collections::BTreeMap;

use chronik_controller::{
    ConfigMap, ControllerReply, ControllerRequest, CreateTopics, CreatedTopic, NewTopic,
    RequestError,
};
use chronik_model::config::{DescribedConfig, describe_topic};
use chronik_model::{NodeId, PartitionIndex};
use chronik_protocol::messages::create_topics_request::CreatableTopic;
use chronik_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use chronik_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName, uuid};

use super::support::{ReplyTo, decode, results, text, verdict};
use super::{Context, HandlerError, Outcome, Request};

const FIRST_VERSION_WITH_CONFIGS: i16 = 5;

pub(super) fn handle(
    _context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: CreateTopicsRequest = decode(request)?;
    let reply_to = ReplyTo::new(request);
    let topics: Vec<NewTopic> = body.topics.into_iter().map(new_topic).collect();
    let overrides: BTreeMap<String, ConfigMap> = topics
        .iter()
        .map(|topic| (topic.name.clone(), overrides(topic)))
        .collect();
    let create = CreateTopics {
        topics,
        validate_only: body.validate_only,
    };
    Ok(Outcome::Controller(
        ControllerRequest::CreateTopics(create),
        Box::new(move |context, reply| {
            let created = results(reply, overrides.keys().cloned(), |reply| {
                if let ControllerReply::CreateTopics(results) = reply {
                    Some(results)
                } else {
                    None
                }
            })?;
            let topics = created.into_iter().map(|(name, result)| {
                topic_result(
                    context,
                    reply_to.version,
                    overrides.get(&name),
                    name,
                    &result,
                )
            });
            reply_to.encode(&CreateTopicsResponse::default().with_topics(topics.collect()))
        }),
    ))
}

fn new_topic(topic: CreatableTopic) -> NewTopic {
    let assignments = topic.assignments.into_iter().map(|assignment| {
        let replicas = assignment
            .broker_ids
            .into_iter()
            .map(|broker| NodeId(broker.0));
        (
            PartitionIndex(assignment.partition_index),
            replicas.collect(),
        )
    });
    let configs = topic.configs.into_iter().map(|config| {
        (
            config.name.to_string(),
            config.value.map(|value| value.to_string()),
        )
    });
    NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: configs.collect(),
    }
}

fn overrides(topic: &NewTopic) -> ConfigMap {
    let set = topic
        .configs
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
    set.collect()
}

fn topic_result(
    context: &Context<'_>,
    version: i16,
    overrides: Option<&ConfigMap>,
    name: String,
    result: &Result<CreatedTopic, RequestError>,
) -> CreatableTopicResult {
    let (code, message) = verdict(result);
    let response = CreatableTopicResult::default()
        .with_name(TopicName(text(name)))
        .with_error_code(code)
        .with_error_message(message);
    let Ok(created) = result else {
        return response;
    };
    let response = response
        .with_topic_id(uuid(created.topic_id))
        .with_num_partitions(created.partitions)
        .with_replication_factor(created.replication_factor);
    match overrides {
        Some(overrides) if version >= FIRST_VERSION_WITH_CONFIGS => {
            let configs = describe_topic(overrides, &context.view.layers());
            response.with_configs(Some(configs.into_iter().map(topic_config).collect()))
        }
        Some(_) | None => response,
    }
}

fn topic_config(config: DescribedConfig) -> CreatableTopicConfigs {
    CreatableTopicConfigs::default()
        .with_name(text(config.name))
        .with_value(config.value.map(text))
        .with_read_only(config.read_only)
        .with_config_source(config.source.code())
        .with_is_sensitive(config.sensitive)
}
