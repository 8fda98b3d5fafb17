//! DeleteAcls (API 31), v1 to v3 (KIP-140): removes rules that match filters.
//!
//! - Without an authorizer every filter is SECURITY_DISABLED.
//! - v1 has pattern types (KIP-290), v2 is flexible, v3 has users as resources.

use chronik_model::ErrorCode;
use chronik_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use chronik_protocol::messages::{DeleteAclsRequest, DeleteAclsResponse};

use super::support::{NO_AUTHORIZER, ReplyTo, decode, text};
use super::{Context, HandlerError, Outcome, Request};

pub(super) fn handle(
    _context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: DeleteAclsRequest = decode(request)?;
    let results = body.filters.iter().map(|_| {
        DeleteAclsFilterResult::default()
            .with_error_code(ErrorCode::SecurityDisabled.code())
            .with_error_message(Some(text(NO_AUTHORIZER)))
    });
    let response = DeleteAclsResponse::default().with_filter_results(results.collect());
    Ok(Outcome::Reply(ReplyTo::new(request).encode(&response)?))
}
