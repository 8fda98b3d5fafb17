//! ListConfigResources (API 74), v0 to v1 (KIP-1142): names of what may have configs.
//!
//! - v0 lists client metrics only, of which there are none; v1 also topics, brokers, their loggers
//!   and groups with configs, of which there are none either.
//! - No types mean all of them; a type that is not known is UNSUPPORTED_VERSION.

use chronik_model::ErrorCode;
use chronik_protocol::messages::list_config_resources_response::ConfigResource;
use chronik_protocol::messages::{
    ListConfigResourcesRequest, ListConfigResourcesResponse, StrBytes,
};

use super::support::{ReplyTo, brokers, decode, text};
use super::{Context, HandlerError, Outcome, Request};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
const ALL: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: ListConfigResourcesRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let asked = &body.resource_types;
    let response = ListConfigResourcesResponse::default();
    let response = if asked.iter().any(|asked| !ALL.contains(asked)) {
        response.with_error_code(ErrorCode::UnsupportedVersion.code())
    } else if reply.version == 0 {
        response
    } else {
        let is_wanted = |each: &i8| asked.is_empty() || asked.contains(each);
        let wanted = ALL.into_iter().filter(is_wanted);
        let resources = wanted.flat_map(|resource_type| {
            let names = names_of(context, resource_type).into_iter();
            names.map(move |name| {
                ConfigResource::default()
                    .with_resource_name(name)
                    .with_resource_type(resource_type)
            })
        });
        response.with_config_resources(resources.collect())
    };
    Ok(Outcome::Reply(reply.encode(&response)?))
}

fn names_of(context: &Context<'_>, resource_type: i8) -> Vec<StrBytes> {
    match resource_type {
        TOPIC => {
            let topics = context.view.image.topics();
            topics.map(|topic| text(topic.name.as_str())).collect()
        }
        BROKER | BROKER_LOGGER => {
            let brokers = brokers(context).into_iter();
            brokers
                .map(|broker| text(broker.node_id.0.to_string()))
                .collect()
        }
        _ => Vec::new(),
    }
}
