//! DescribeConfigs (API 32), v1 to v4: configs of topics and brokers with their sources (KIP-226).
//!
//! - Every known key is there with its effective value, or those that the request names; no list
//!   of keys, and an empty one, mean all of them.
//! - A broker without a name stands for what is set for all brokers while they run.
//! - Synonyms on request; v3 adds types, and documentation on request (KIP-569).
//! - Loggers, groups (KIP-848) and client metrics (KIP-714) have no configs here.
//! - A resource that is named twice is answered once.

use std::collections::BTreeSet;

use chronik_controller::{ConfigResource, RequestError};
use chronik_model::config::{
    DescribedConfig, DescribedSynonym, describe_broker, describe_cluster_default, describe_topic,
};
use chronik_model::{ErrorCode, TopicName};
use chronik_protocol::messages::describe_configs_request::DescribeConfigsResource;
use chronik_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use chronik_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::config_resources::{is_bare, parse};
use super::errors::refusal;
use super::support::{ReplyTo, decode, text, verdict};
use super::{Context, HandlerError, Outcome, Request};

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: DescribeConfigsRequest = decode(request)?;
    let shown = Shown {
        synonyms: body.include_synonyms,
        documentation: body.include_documentation,
    };
    let mut seen = BTreeSet::new();
    let resources = body
        .resources
        .into_iter()
        .filter(|resource| seen.insert((resource.resource_type, resource.resource_name.clone())));
    let results = resources.map(|resource| describe(context, shown, resource));
    let response = DescribeConfigsResponse::default().with_results(results.collect());
    Ok(Outcome::Reply(ReplyTo::new(request).encode(&response)?))
}

/// What the client wants to see beside the values.
#[derive(Debug, Clone, Copy)]
struct Shown {
    synonyms: bool,
    documentation: bool,
}

fn describe(
    context: &Context<'_>,
    shown: Shown,
    resource: DescribeConfigsResource,
) -> DescribeConfigsResult {
    let (kind, name) = (resource.resource_type, &resource.resource_name);
    let this_node = context.view.node_id;
    let described = if is_bare(kind, name, this_node) {
        Ok(Vec::new())
    } else {
        parse(kind, name, this_node).and_then(|parsed| configs_of(context, &parsed))
    };
    let (code, message) = verdict(&described);
    let keys = resource.configuration_keys.filter(|keys| !keys.is_empty());
    let keys: Option<BTreeSet<_>> = keys.map(|keys| keys.into_iter().collect());
    let wanted = |config: &DescribedConfig| {
        keys.as_ref()
            .is_none_or(|keys| keys.contains(config.name.as_bytes()))
    };
    let configs = described.unwrap_or_default().into_iter().filter(wanted);
    DescribeConfigsResult::default()
        .with_error_code(code)
        .with_error_message(message)
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name)
        .with_configs(configs.map(|config| show(config, shown)).collect())
}

fn configs_of(
    context: &Context<'_>,
    resource: &ConfigResource,
) -> Result<Vec<DescribedConfig>, RequestError> {
    let layers = context.view.layers();
    match resource {
        ConfigResource::Topic(name) => {
            TopicName::new(name)
                .map_err(|error| refusal(ErrorCode::InvalidTopicException, error.to_string()))?;
            let topic = context.view.image.topic_by_name(name).ok_or_else(|| {
                let message = format!("topic {name} does not exist");
                refusal(ErrorCode::UnknownTopicOrPartition, message)
            })?;
            Ok(describe_topic(&topic.configs, &layers))
        }
        ConfigResource::Broker(None) => Ok(describe_cluster_default(layers.dynamic_default)),
        ConfigResource::Broker(Some(_)) => Ok(describe_broker(&layers)),
    }
}

fn show(config: DescribedConfig, shown: Shown) -> DescribeConfigsResourceResult {
    let synonyms = if shown.synonyms {
        config.synonyms
    } else {
        Vec::new()
    };
    let documentation = shown.documentation.then(|| text(config.key.doc));
    DescribeConfigsResourceResult::default()
        .with_name(text(config.name))
        .with_value(config.value.map(text))
        .with_read_only(config.read_only)
        .with_config_source(config.source.code())
        .with_is_sensitive(config.sensitive)
        .with_synonyms(synonyms.into_iter().map(synonym).collect())
        .with_config_type(config.key.kind.code())
        .with_documentation(documentation)
}

fn synonym(synonym: DescribedSynonym) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(text(synonym.name))
        .with_value(synonym.value.map(text))
        .with_source(synonym.source.code())
}
