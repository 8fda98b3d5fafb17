//! CreateAcls (API 30), v1 to v3 (KIP-140): adds rules.
//!
//! - Without an authorizer every rule is SECURITY_DISABLED.
//! - v1 has pattern types (KIP-290), v2 is flexible, v3 has users as resources.

use chronik_model::ErrorCode;
use chronik_protocol::messages::create_acls_response::AclCreationResult;
use chronik_protocol::messages::{CreateAclsRequest, CreateAclsResponse};

use super::support::{NO_AUTHORIZER, ReplyTo, decode, text};
use super::{Context, HandlerError, Outcome, Request};

pub(super) fn handle(
    _context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: CreateAclsRequest = decode(request)?;
    let results = body.creations.iter().map(|_| {
        AclCreationResult::default()
            .with_error_code(ErrorCode::SecurityDisabled.code())
            .with_error_message(Some(text(NO_AUTHORIZER)))
    });
    let response = CreateAclsResponse::default().with_results(results.collect());
    Ok(Outcome::Reply(ReplyTo::new(request).encode(&response)?))
}
