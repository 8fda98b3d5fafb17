//! DescribeAcls (API 29), v1 to v3 (KIP-140): who may do what.
//!
//! - Without an authorizer there are no rules: SECURITY_DISABLED, which clients know.
//! - v1 has pattern types (KIP-290), v2 is flexible, v3 has users as resources.

use chronik_model::ErrorCode;
use chronik_protocol::messages::{DescribeAclsRequest, DescribeAclsResponse};

use super::support::{NO_AUTHORIZER, ReplyTo, decode, text};
use super::{Context, HandlerError, Outcome, Request};

pub(super) fn handle(
    _context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let _filter: DescribeAclsRequest = decode(request)?;
    let response = DescribeAclsResponse::default()
        .with_error_code(ErrorCode::SecurityDisabled.code())
        .with_error_message(Some(text(NO_AUTHORIZER)));
    Ok(Outcome::Reply(ReplyTo::new(request).encode(&response)?))
}
