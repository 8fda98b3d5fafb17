//! AlterConfigs and IncrementalAlterConfigs (KIP-339) of topics and brokers.

use std::collections::BTreeSet;

use chronik_model::ErrorCode;

use crate::controller::{Context, Outcome};
use crate::image::ConfigMap;
use crate::record::{ConfigSet, ConfigTarget, MetadataRecord};
use crate::request::{
    AlterConfigs, ConfigChange, ConfigOp, ConfigResource, ConfigScope, ControllerReply,
    RequestError, ResourceChanges,
};
use crate::topics_create::repeated;

/// Changes what can be changed; each resource succeeds or fails on its own.
pub(crate) fn alter_configs(context: &Context<'_>, request: &AlterConfigs) -> Outcome {
    let duplicates = repeated(request.resources.iter().map(|changes| &changes.resource));
    let mut records = Vec::new();
    let mut results = Vec::with_capacity(request.resources.len());
    let mut seen = BTreeSet::new();
    for changes in request
        .resources
        .iter()
        .filter(|changes| seen.insert(&changes.resource))
    {
        let altered = if duplicates.contains(&changes.resource) {
            let message = "the resource is named more than once";
            Err(RequestError::new(ErrorCode::InvalidRequest, message))
        } else {
            alter(context, changes, request.incremental)
        };
        let result = altered.map(|altered| records.extend(altered));
        results.push((changes.resource.clone(), result));
    }
    let records = if request.validate_only {
        Vec::new()
    } else {
        records
    };
    Outcome {
        records,
        reply: ControllerReply::AlterConfigs(results),
    }
}

fn alter(
    context: &Context<'_>,
    request: &ResourceChanges,
    incremental: bool,
) -> Result<Vec<MetadataRecord>, RequestError> {
    let (target, current) = find(context, &request.resource)?;
    if let Some(key) = repeated(request.changes.iter().map(|change| &change.key)).first() {
        let message = format!("{key} is changed more than once");
        return Err(RequestError::new(ErrorCode::InvalidRequest, message));
    }
    let mut altered = if incremental {
        current.clone()
    } else {
        ConfigMap::new()
    };
    for change in &request.changes {
        apply(context, scope_of(target), change, current, &mut altered)?;
    }
    Ok(difference(target, current, &altered))
}

/// Whose overrides, and what they are.
fn find<'a>(
    context: &Context<'a>,
    resource: &ConfigResource,
) -> Result<(ConfigTarget, &'a ConfigMap), RequestError> {
    match resource {
        ConfigResource::Topic(name) => {
            let topic = context.image.topic_by_name(name).ok_or_else(|| {
                let message = format!("topic {name} does not exist");
                RequestError::new(ErrorCode::UnknownTopicOrPartition, message)
            })?;
            Ok((ConfigTarget::Topic(topic.id), &topic.configs))
        }
        ConfigResource::Broker(node_id) => {
            if let Some(unknown) = node_id.filter(|node| context.image.broker(*node).is_none()) {
                let message = format!("broker {} is not registered", unknown.0);
                return Err(RequestError::new(ErrorCode::BrokerIdNotRegistered, message));
            }
            let configs = context.image.broker_configs(*node_id).unwrap_or(NO_CONFIGS);
            Ok((ConfigTarget::Broker(*node_id), configs))
        }
    }
}

fn apply(
    context: &Context<'_>,
    scope: ConfigScope,
    change: &ConfigChange,
    current: &ConfigMap,
    altered: &mut ConfigMap,
) -> Result<(), RequestError> {
    let key = &change.key;
    let operand = || {
        change.value.as_deref().ok_or_else(|| {
            RequestError::new(ErrorCode::InvalidRequest, format!("{key} has no value"))
        })
    };
    let list = || {
        let current = current.get(key).cloned();
        elements(
            &current
                .or_else(|| context.validator.default_value(scope, key))
                .unwrap_or_default(),
        )
    };
    let value = match change.op {
        ConfigOp::Delete => {
            altered.remove(key);
            return Ok(());
        }
        ConfigOp::Set => operand()?.to_owned(),
        ConfigOp::Append | ConfigOp::Subtract if !context.validator.is_list(scope, key) => {
            let message = format!("{key} is not a list, whose elements could be changed");
            return Err(RequestError::new(ErrorCode::InvalidConfig, message));
        }
        ConfigOp::Append => append(list(), elements(operand()?)),
        ConfigOp::Subtract => subtract(list(), &elements(operand()?)),
    };
    let valid = match scope {
        ConfigScope::Topic => context.validator.topic(key, &value),
        ConfigScope::Broker => context.validator.broker(key, &value),
    };
    valid.map_err(|message| RequestError::new(ErrorCode::InvalidConfig, message))?;
    altered.insert(key.clone(), value);
    Ok(())
}

fn elements(list: &str) -> Vec<String> {
    list.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

fn append(mut list: Vec<String>, added: Vec<String>) -> String {
    for item in added {
        if !list.contains(&item) {
            list.push(item);
        }
    }
    list.join(",")
}

fn subtract(mut list: Vec<String>, removed: &[String]) -> String {
    list.retain(|item| !removed.contains(item));
    list.join(",")
}

/// The records that turn `current` into `altered`.
fn difference(
    target: ConfigTarget,
    current: &ConfigMap,
    altered: &ConfigMap,
) -> Vec<MetadataRecord> {
    let removed = current
        .keys()
        .filter(|key| !altered.contains_key(*key))
        .map(|key| (key, None));
    let set = altered
        .iter()
        .filter(|(key, value)| current.get(*key) != Some(*value))
        .map(|(key, value)| (key, Some(value.clone())));
    removed
        .chain(set)
        .map(|(key, value)| {
            MetadataRecord::ConfigSet(ConfigSet {
                target,
                key: key.clone(),
                value,
            })
        })
        .collect()
}

const fn scope_of(target: ConfigTarget) -> ConfigScope {
    match target {
        ConfigTarget::Topic(_) => ConfigScope::Topic,
        ConfigTarget::Broker(_) => ConfigScope::Broker,
    }
}

static NO_CONFIGS: &ConfigMap = &ConfigMap::new();
