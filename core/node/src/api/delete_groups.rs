//! DeleteGroups (API 42), v0 to v2 (KIP-229): deletes groups without members, and their offsets.
//!
//! - NON_EMPTY_GROUP where there are members, GROUP_ID_NOT_FOUND where there is no group.
//! - A group that is named several times is deleted, and answered for, once.

use std::collections::BTreeSet;

use chronik_coordinator::{GroupRequest, GroupResponse};
use chronik_model::ErrorCode;
use chronik_protocol::messages::delete_groups_response::DeletableGroupResult;
use chronik_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::groups::ask_each;
use super::support::{ReplyTo, decode};
use super::{Context, HandlerError, Outcome, Request};

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: DeleteGroupsRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let mut seen = BTreeSet::new();
    let mut groups = body.groups_names;
    groups.retain(|group_id| seen.insert(group_id.clone()));
    let questions = groups.into_iter().map(|group_id| {
        let delete = GroupRequest::Delete {
            group_id: group_id.to_string(),
        };
        (group_id, Ok(delete))
    });
    ask_each(context, questions.collect(), pick, move |answers| {
        let results = answers.into_iter().map(|(group_id, answer)| {
            let error = match answer {
                Ok(error) | Err(error) => error,
            };
            DeletableGroupResult::default()
                .with_group_id(group_id)
                .with_error_code(error.code())
        });
        reply.encode(&DeleteGroupsResponse::default().with_results(results.collect()))
    })
}

fn pick(response: GroupResponse) -> Option<ErrorCode> {
    if let GroupResponse::Delete(error) = response {
        Some(error)
    } else {
        None
    }
}
