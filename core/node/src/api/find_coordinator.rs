//! FindCoordinator (API 10), v0 to v6: which broker coordinates groups and transactions.
//!
//! - v0 knows groups only, v1 adds key types, v4 takes many keys (KIP-699), v6 share groups.
//! - No coordinator runs yet. Consumers that assign partitions themselves ask all the same, and
//!   some ask again and again until they are told a broker; so this broker names itself for groups
//!   and transactions, and the APIs of coordinators are simply not advertised.
//! - Share groups and unknown key types are INVALID_REQUEST.

use chronik_model::ErrorCode;
use chronik_protocol::messages::find_coordinator_response::Coordinator;
use chronik_protocol::messages::{
    BrokerId, FindCoordinatorRequest, FindCoordinatorResponse, StrBytes,
};

use super::support::{ReplyTo, decode, text};
use super::{Context, HandlerError, Outcome, Request};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: FindCoordinatorRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let found = Found::new(context, body.key_type);
    let response = if reply.version >= 4 {
        let coordinators = body
            .coordinator_keys
            .into_iter()
            .map(|key| found.for_key(key));
        FindCoordinatorResponse::default()
            .with_error_message(None)
            .with_coordinators(coordinators.collect())
    } else {
        found.alone()
    };
    Ok(Outcome::Reply(reply.encode(&response)?))
}

/// The same answer for all keys of a request.
struct Found {
    node_id: BrokerId,
    host: StrBytes,
    port: i32,
    error: ErrorCode,
    message: Option<StrBytes>,
}

impl Found {
    fn new(context: &Context<'_>, key_type: i8) -> Self {
        let refused = |message: String| Self {
            node_id: BrokerId(-1),
            host: StrBytes::default(),
            port: -1,
            error: ErrorCode::InvalidRequest,
            message: Some(text(message)),
        };
        match key_type {
            GROUP | TRANSACTION => Self {
                node_id: BrokerId(context.identity.node_id.0),
                host: text(context.identity.host.as_str()),
                port: i32::from(context.identity.port),
                error: ErrorCode::None,
                message: None,
            },
            SHARE => refused("share groups are not supported".to_owned()),
            unknown => refused(format!("unknown key type {unknown}")),
        }
    }

    fn for_key(&self, key: StrBytes) -> Coordinator {
        Coordinator::default()
            .with_key(key)
            .with_node_id(self.node_id)
            .with_host(self.host.clone())
            .with_port(self.port)
            .with_error_code(self.error.code())
            .with_error_message(self.message.clone())
    }

    fn alone(self) -> FindCoordinatorResponse {
        FindCoordinatorResponse::default()
            .with_node_id(self.node_id)
            .with_host(self.host)
            .with_port(self.port)
            .with_error_code(self.error.code())
            .with_error_message(self.message)
    }
}
