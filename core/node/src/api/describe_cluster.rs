//! DescribeCluster (API 60), v0 to v2 (KIP-700): cluster id, controller and brokers.
//!
//! - v1 asks for endpoints of brokers or of controllers (KIP-919); controllers have none that
//!   clients could use, so those who ask a broker for them are sent away as Kafka does.
//! - v2 also lists fenced brokers when asked (KIP-1073). No broker here is fenced.
//! - The controller is this broker: it hands requests on to the active one.

use chronik_model::ErrorCode;
use chronik_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use chronik_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use super::support::{
    ALL_CLUSTER_OPERATIONS, OPERATIONS_NOT_ASKED, ReplyTo, brokers, decode, text,
};
use super::{Context, HandlerError, Outcome, Request};

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: DescribeClusterRequest = decode(request)?;
    let response = match body.endpoint_type {
        BROKERS => describe(context, body.include_cluster_authorized_operations),
        CONTROLLERS => refuse(
            ErrorCode::MismatchedEndpointType,
            "this is an endpoint of a broker, not of a controller".to_owned(),
        ),
        unknown => refuse(
            ErrorCode::UnsupportedEndpointType,
            format!("unknown endpoint type {unknown}"),
        ),
    };
    Ok(Outcome::Reply(ReplyTo::new(request).encode(&response)?))
}

fn describe(context: &Context<'_>, with_operations: bool) -> DescribeClusterResponse {
    let brokers = brokers(context).into_iter().map(|broker| {
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(broker.node_id.0))
            .with_host(text(broker.host))
            .with_port(i32::from(broker.port))
            .with_rack(broker.rack.map(text))
    });
    let operations = if with_operations {
        ALL_CLUSTER_OPERATIONS
    } else {
        OPERATIONS_NOT_ASKED
    };
    DescribeClusterResponse::default()
        .with_error_message(None)
        .with_cluster_id(text(context.identity.cluster_id.as_str()))
        .with_controller_id(BrokerId(context.identity.node_id.0))
        .with_brokers(brokers.collect())
        .with_cluster_authorized_operations(operations)
}

fn refuse(error: ErrorCode, message: String) -> DescribeClusterResponse {
    DescribeClusterResponse::default()
        .with_error_code(error.code())
        .with_error_message(Some(text(message)))
}
