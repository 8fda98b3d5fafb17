//! DescribeGroups.

use bytes::Bytes;
use chronik_model::ErrorCode;

use super::{ClassicGroup, State};
use crate::response::{ClassicDescription, ClassicMemberDescription};

impl ClassicGroup {
    /// As DescribeGroups shows it.
    pub(crate) fn describe(&self) -> ClassicDescription {
        let stable = self.state == State::Stable;
        let protocol = self.protocol().filter(|_| stable).unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| {
            let metadata = member.metadata(protocol).filter(|_| stable);
            ClassicMemberDescription {
                member_id: id.to_string(),
                group_instance_id: member.instance_id.as_deref().map(str::to_owned),
                client_id: member.client_id.to_string(),
                client_host: member.client_host.to_string(),
                metadata: metadata.map_or_else(Bytes::new, Bytes::clone),
                assignment: member.assignment.clone(),
            }
        });
        ClassicDescription {
            error: ErrorCode::None,
            error_message: None,
            state: self.state.name(),
            protocol_type: self.protocol_type().unwrap_or_default().to_owned(),
            protocol: protocol.to_owned(),
            members: members.collect(),
        }
    }
}
