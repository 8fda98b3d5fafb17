//! DescribeUserScramCredentials (API 50), v0 (KIP-554): who may authenticate by SCRAM, and how.
//!
//! - There are no such users: the list of all is empty, each that is named is RESOURCE_NOT_FOUND,
//!   and DUPLICATE_RESOURCE where it is named twice.

use std::collections::BTreeMap;

use chronik_model::ErrorCode;
use chronik_protocol::messages::describe_user_scram_credentials_response::DescribeUserScramCredentialsResult;
use chronik_protocol::messages::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse, StrBytes,
};

use super::support::{ReplyTo, decode, text};
use super::{Context, HandlerError, Outcome, Request};

pub(super) fn handle(
    _context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: DescribeUserScramCredentialsRequest = decode(request)?;
    let mut times: BTreeMap<StrBytes, usize> = BTreeMap::new();
    for user in body.users.unwrap_or_default() {
        *times.entry(user.name).or_default() += 1;
    }
    let results = times.into_iter().map(|(user, times)| {
        let (error, message) = if times > 1 {
            let message = format!("the request names user {user} more than once");
            (ErrorCode::DuplicateResource, message)
        } else {
            let message = format!("user {user} has no SCRAM credentials");
            (ErrorCode::ResourceNotFound, message)
        };
        DescribeUserScramCredentialsResult::default()
            .with_user(user)
            .with_error_code(error.code())
            .with_error_message(Some(text(message)))
    });
    let response = DescribeUserScramCredentialsResponse::default()
        .with_error_message(None)
        .with_results(results.collect());
    Ok(Outcome::Reply(ReplyTo::new(request).encode(&response)?))
}
