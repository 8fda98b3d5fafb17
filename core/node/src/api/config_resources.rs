//! What the three APIs of configs share: how resources are named, and the way of a change through
//! the controller.
//!
//! A broker resource is this broker by its id, or with an empty name the default of all brokers.
//! Other brokers are INVALID_REQUEST, for clients must ask each broker itself. Loggers, groups and
//! client metrics are not configured this way here.

use std::collections::BTreeMap;

use bytes::Bytes;
use chronik_controller::{
    AlterConfigs, ConfigChange, ConfigResource, ControllerReply, ControllerRequest, RequestError,
    ResourceChanges,
};
use chronik_model::{ErrorCode, NodeId};
use chronik_protocol::messages::StrBytes;

use super::errors::refusal;
use super::support::results;
use super::{Context, HandlerError, Outcome};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// The resource that a request names.
pub(super) fn parse(
    resource_type: i8,
    name: &str,
    this_node: NodeId,
) -> Result<ConfigResource, RequestError> {
    let invalid = |message| Err(refusal(ErrorCode::InvalidRequest, message));
    match resource_type {
        TOPIC => Ok(ConfigResource::Topic(name.to_owned())),
        BROKER if name.is_empty() => Ok(ConfigResource::Broker(None)),
        BROKER if name.parse() == Ok(this_node.0) => Ok(ConfigResource::Broker(Some(this_node))),
        BROKER => {
            let this_node = this_node.0;
            invalid(format!(
                "this is broker {this_node}, the request is for broker {name:?}"
            ))
        }
        BROKER_LOGGER => invalid("the levels of loggers are not configured this way".to_owned()),
        unknown => invalid(format!("resources of type {unknown} have no configs here")),
    }
}

/// Whether a resource could have configs in Kafka and has none here: the loggers of this broker, a
/// group, client metrics of some name. There is nothing to describe of them, and nothing to alter.
pub(super) fn is_bare(resource_type: i8, name: &str, this_node: NodeId) -> bool {
    match resource_type {
        BROKER_LOGGER => name.parse() == Ok(this_node.0),
        CLIENT_METRICS | GROUP => !name.is_empty(),
        _ => false,
    }
}

/// One resource of a request.
pub(super) struct Alteration {
    pub(super) resource_type: i8,
    pub(super) resource_name: StrBytes,
    /// What is to change, if the request says it well.
    pub(super) changes: Result<Vec<ConfigChange>, RequestError>,
}

/// What came of one resource of a request.
pub(super) struct Altered {
    pub(super) resource_type: i8,
    pub(super) resource_name: StrBytes,
    pub(super) result: Result<(), RequestError>,
}

/// How all resources of a request are to be changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode {
    /// Or else the changes replace all overrides.
    pub(super) incremental: bool,
    /// Answer only.
    pub(super) validate_only: bool,
}

/// Asks the controller for the changes; `finish` gets one result for each resource, in the
/// request's order.
pub(super) fn alter(
    context: &Context<'_>,
    mode: Mode,
    resources: Vec<Alteration>,
    finish: impl FnOnce(Vec<Altered>) -> Result<Bytes, HandlerError> + Send + 'static,
) -> Outcome {
    let mut asked = Vec::with_capacity(resources.len());
    let mut parsed = Vec::with_capacity(resources.len());
    for alteration in resources {
        let Alteration {
            resource_type,
            resource_name,
            changes,
        } = alteration;
        let resource = parse(resource_type, &resource_name, context.view.node_id);
        let resource = resource.and_then(|resource| {
            asked.push(ResourceChanges {
                resource: resource.clone(),
                changes: changes?,
            });
            Ok(resource)
        });
        parsed.push((resource_type, resource_name, resource));
    }
    let names: Vec<_> = asked
        .iter()
        .map(|changes| changes.resource.clone())
        .collect();
    let request = AlterConfigs {
        resources: asked,
        incremental: mode.incremental,
        validate_only: mode.validate_only,
    };
    Outcome::Controller(
        ControllerRequest::AlterConfigs(request),
        Box::new(move |_context, reply| {
            let results = results(reply, names, |reply| {
                if let ControllerReply::AlterConfigs(results) = reply {
                    Some(results)
                } else {
                    None
                }
            })?;
            let results = results.into_iter().collect();
            let altered = parsed
                .into_iter()
                .map(|(resource_type, resource_name, resource)| {
                    let result = result_of(&results, resource)?;
                    Ok(Altered {
                        resource_type,
                        resource_name,
                        result,
                    })
                });
            finish(altered.collect::<Result<_, HandlerError>>()?)
        }),
    )
}

/// The controller gives one result per resource, also for one that is named twice.
fn result_of(
    results: &BTreeMap<ConfigResource, Result<(), RequestError>>,
    resource: Result<ConfigResource, RequestError>,
) -> Result<Result<(), RequestError>, HandlerError> {
    match resource {
        Ok(resource) => results
            .get(&resource)
            .cloned()
            .ok_or(HandlerError::UnexpectedAnswer),
        Err(refused) => Ok(Err(refused)),
    }
}
