//! DescribeGroups (API 15), v0 to v6: state and members of classic groups.
//!
//! - v3 adds authorized operations (KIP-430), v4 static members (KIP-345), v6 a message
//!   (KIP-1043).
//! - A group that does not exist is dead and no error before v6, GROUP_ID_NOT_FOUND from then on.

use chronik_coordinator::{
    ClassicDescription, ClassicMemberDescription, GroupRequest, GroupResponse,
};
use chronik_model::ErrorCode;
use chronik_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use chronik_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

use super::groups::ask_each;
use super::support::{ALL_GROUP_OPERATIONS, OPERATIONS_NOT_ASKED, ReplyTo, decode, text};
use super::{Context, HandlerError, Outcome, Request};

/// The first version that says that a group does not exist.
const NOT_FOUND_VERSION: i16 = 6;

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: DescribeGroupsRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let operations = if body.include_authorized_operations {
        ALL_GROUP_OPERATIONS
    } else {
        OPERATIONS_NOT_ASKED
    };
    let questions = body.groups.into_iter().map(|group_id| {
        let describe = GroupRequest::DescribeClassic {
            group_id: group_id.to_string(),
        };
        (group_id, Ok(describe))
    });
    ask_each(context, questions.collect(), pick, move |answers| {
        let groups = answers
            .into_iter()
            .map(|(group_id, answer)| described(group_id, answer, operations, reply.version));
        reply.encode(&DescribeGroupsResponse::default().with_groups(groups.collect()))
    })
}

fn pick(response: GroupResponse) -> Option<ClassicDescription> {
    if let GroupResponse::DescribeClassic(description) = response {
        Some(description)
    } else {
        None
    }
}

/// Operations are told only of groups without an error.
fn described(
    group_id: GroupId,
    answer: Result<ClassicDescription, ErrorCode>,
    operations: i32,
    version: i16,
) -> DescribedGroup {
    let group = DescribedGroup::default()
        .with_group_id(group_id)
        .with_authorized_operations(OPERATIONS_NOT_ASKED)
        .with_error_message(None);
    let found = match answer {
        Ok(found) => found,
        Err(error) => return group.with_error_code(error.code()),
    };
    let tells_missing = version >= NOT_FOUND_VERSION;
    let error = if found.error == ErrorCode::GroupIdNotFound && !tells_missing {
        ErrorCode::None
    } else {
        found.error
    };
    let operations = if error.is_none() {
        operations
    } else {
        OPERATIONS_NOT_ASKED
    };
    let members = found
        .members
        .into_iter()
        .map(|member| described_member(member, version));
    group
        .with_error_code(error.code())
        .with_error_message(found.error_message.filter(|_| tells_missing).map(text))
        .with_group_state(text(found.state))
        .with_protocol_type(text(found.protocol_type))
        .with_protocol_data(text(found.protocol))
        .with_members(members.collect())
        .with_authorized_operations(operations)
}

fn described_member(member: ClassicMemberDescription, version: i16) -> DescribedGroupMember {
    let instance_id = member.group_instance_id.filter(|_| version >= 4);
    DescribedGroupMember::default()
        .with_member_id(text(member.member_id))
        .with_group_instance_id(instance_id.map(text))
        .with_client_id(text(member.client_id))
        .with_client_host(text(member.client_host))
        .with_member_metadata(member.metadata)
        .with_member_assignment(member.assignment)
}
