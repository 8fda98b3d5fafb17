//! DescribeClientQuotas (API 48), v0 to v1 (KIP-546): quotas of users, clients and addresses.
//!
//! - There are none, and AlterClientQuotas is not served; the answer to a valid filter is empty.
//! - v1 is flexible.

use std::collections::BTreeSet;

use chronik_controller::RequestError;
use chronik_model::ErrorCode;
use chronik_protocol::messages::describe_client_quotas_request::ComponentData;
use chronik_protocol::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};

use super::errors::refusal;
use super::support::{ReplyTo, decode, verdict};
use super::{Context, HandlerError, Outcome, Request};

const IP: &str = "ip";
const ENTITY_TYPES: [&str; 3] = ["user", "client-id", IP];
const MATCH_EXACT: i8 = 0;
const MATCH_DEFAULT: i8 = 1;
const MATCH_ANY: i8 = 2;

pub(super) fn handle(
    _context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: DescribeClientQuotasRequest = decode(request)?;
    let checked = check(&body.components);
    let (code, message) = verdict(&checked);
    let response = DescribeClientQuotasResponse::default()
        .with_error_code(code)
        .with_error_message(message)
        .with_entries(checked.ok().map(|()| Vec::new()));
    Ok(Outcome::Reply(ReplyTo::new(request).encode(&response)?))
}

fn check(components: &[ComponentData]) -> Result<(), RequestError> {
    let invalid = |message: String| Err(refusal(ErrorCode::InvalidRequest, message));
    let mut seen = BTreeSet::new();
    for component in components {
        let entity_type = component.entity_type.as_str();
        if entity_type.is_empty() {
            return invalid("an entity type is empty".to_owned());
        }
        if !seen.insert(entity_type) {
            return invalid(format!("entity type {entity_type} is there more than once"));
        }
        if !ENTITY_TYPES.contains(&entity_type) {
            let message = format!("there is no entity type {entity_type}");
            return Err(refusal(ErrorCode::UnsupportedVersion, message));
        }
        match (component.match_type, component._match.is_some()) {
            (MATCH_EXACT, true) | (MATCH_DEFAULT | MATCH_ANY, false) => {}
            (MATCH_EXACT, false) => return invalid("an exact match of nothing".to_owned()),
            (MATCH_DEFAULT | MATCH_ANY, true) => {
                return invalid("a name where every name matches".to_owned());
            }
            (unknown, _) => return invalid(format!("there is no match type {unknown}")),
        }
    }
    if seen.contains(IP) && seen.len() > 1 {
        return invalid("addresses have quotas of their own, not with users or clients".to_owned());
    }
    Ok(())
}
