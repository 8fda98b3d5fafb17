//! AlterConfigs (API 33), v0 to v2: replaces all overrides of topics and brokers (KIP-133).
//!
//! Overrides that the request does not mention are removed; newer clients use
//! IncrementalAlterConfigs instead. Each resource succeeds or fails as a whole.

use chronik_controller::{ConfigChange, ConfigOp};
use chronik_protocol::messages::alter_configs_request::AlterConfigsResource;
use chronik_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use chronik_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::config_resources::{Alteration, Altered, Mode, alter};
use super::support::{ReplyTo, decode, verdict};
use super::{Context, HandlerError, Outcome, Request};

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: AlterConfigsRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let mode = Mode {
        incremental: false,
        validate_only: body.validate_only,
    };
    let resources = body.resources.into_iter().map(alteration).collect();
    Ok(alter(context, mode, resources, move |altered| {
        let responses = altered.into_iter().map(respond).collect();
        reply.encode(&AlterConfigsResponse::default().with_responses(responses))
    }))
}

fn alteration(resource: AlterConfigsResource) -> Alteration {
    let changes = resource.configs.into_iter().map(|config| ConfigChange {
        key: config.name.to_string(),
        op: ConfigOp::Set,
        value: config.value.map(|value| value.to_string()),
    });
    Alteration {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        changes: Ok(changes.collect()),
    }
}

fn respond(altered: Altered) -> AlterConfigsResourceResponse {
    let (code, message) = verdict(&altered.result);
    AlterConfigsResourceResponse::default()
        .with_error_code(code)
        .with_error_message(message)
        .with_resource_type(altered.resource_type)
        .with_resource_name(altered.resource_name)
}
