//! IncrementalAlterConfigs (API 44), v0 to v1 (KIP-339): changes single overrides of topics and
//! brokers.
//!
//! Set, delete, and for lists append and subtract. Each resource succeeds or fails as a whole.

use chronik_controller::{ConfigChange, ConfigOp, RequestError};
use chronik_model::ErrorCode;
use chronik_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use chronik_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use chronik_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::config_resources::{Alteration, Altered, Mode, alter};
use super::errors::refusal;
use super::support::{ReplyTo, decode, verdict};
use super::{Context, HandlerError, Outcome, Request};

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: IncrementalAlterConfigsRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let mode = Mode {
        incremental: true,
        validate_only: body.validate_only,
    };
    let resources = body.resources.into_iter().map(alteration).collect();
    Ok(alter(context, mode, resources, move |altered| {
        let responses = altered.into_iter().map(respond).collect();
        reply.encode(&IncrementalAlterConfigsResponse::default().with_responses(responses))
    }))
}

fn alteration(resource: AlterConfigsResource) -> Alteration {
    Alteration {
        resource_type: resource.resource_type,
        resource_name: resource.resource_name,
        changes: resource.configs.into_iter().map(change).collect(),
    }
}

fn change(config: AlterableConfig) -> Result<ConfigChange, RequestError> {
    let op = match config.config_operation {
        0 => ConfigOp::Set,
        1 => ConfigOp::Delete,
        2 => ConfigOp::Append,
        3 => ConfigOp::Subtract,
        unknown => {
            let message = format!("unknown operation {unknown} on {}", config.name);
            return Err(refusal(ErrorCode::InvalidRequest, message));
        }
    };
    let key = config.name.to_string();
    let value = config.value.map(|value| value.to_string());
    Ok(ConfigChange { key, op, value })
}

fn respond(altered: Altered) -> AlterConfigsResourceResponse {
    let (code, message) = verdict(&altered.result);
    AlterConfigsResourceResponse::default()
        .with_error_code(code)
        .with_error_message(message)
        .with_resource_type(altered.resource_type)
        .with_resource_name(altered.resource_name)
}
