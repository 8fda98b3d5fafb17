//! What clients of the classic protocol send, and how they read what they get.

use bytes::Bytes;
use chronik_coordinator::{
    GroupRequest, GroupResponse, Heartbeat, JoinGroup, JoinResponse, LeaveGroup, LeavingMember,
    SyncGroup, SyncResponse, Waiter,
};
use chronik_model::ErrorCode;

use crate::harness::World;

/// Partitions by topic name.
pub(crate) type Named<'a> = &'a [(&'a str, &'a [i32])];

/// A subscription of version 1, as cooperative consumers send it.
pub(crate) fn subscription(topics: &[&str], owned: Named<'_>) -> Bytes {
    let mut out = vec![0, 1];
    length(&mut out, topics.len());
    for topic in topics {
        text(&mut out, topic);
    }
    out.extend((-1_i32).to_be_bytes());
    partitions(&mut out, owned);
    out.into()
}

/// An assignment of version 1.
pub(crate) fn assignment(assigned: Named<'_>) -> Bytes {
    let mut out = vec![0, 1];
    partitions(&mut out, assigned);
    out.extend((-1_i32).to_be_bytes());
    out.into()
}

fn partitions(out: &mut Vec<u8>, topics: Named<'_>) {
    length(out, topics.len());
    for (topic, partitions) in topics {
        text(out, topic);
        length(out, partitions.len());
        for partition in *partitions {
            out.extend(partition.to_be_bytes());
        }
    }
}

fn length(out: &mut Vec<u8>, length: usize) {
    out.extend(i32::try_from(length).unwrap().to_be_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend(i16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend(text.as_bytes());
}

/// Reads an assignment.
pub(crate) fn read_assignment(bytes: &[u8]) -> Vec<(String, i32)> {
    let mut rest = bytes.get(2..).unwrap_or_default();
    let mut take = |count: usize| {
        let (head, tail) = rest.split_at(count);
        rest = tail;
        head
    };
    let mut all = Vec::new();
    if bytes.is_empty() {
        return all;
    }
    let number = |bytes: &[u8]| i32::from_be_bytes(bytes.try_into().unwrap());
    for _topic in 0..number(take(4)) {
        let size = usize::from(u16::from_be_bytes(take(2).try_into().unwrap()));
        let name = std::str::from_utf8(take(size)).unwrap().to_owned();
        for _partition in 0..number(take(4)) {
            all.push((name.clone(), number(take(4))));
        }
    }
    all
}

/// A JoinGroup of a consumer that supports one protocol.
pub(crate) fn join(group: &str, member: &str, metadata: Bytes) -> JoinGroup {
    JoinGroup {
        group_id: group.to_owned(),
        member_id: member.to_owned(),
        group_instance_id: None,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("cooperative-sticky".to_owned(), metadata)],
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 60_000,
        client_id: "classic".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        reason: None,
        requires_known_member_id: true,
        supports_skipping_assignment: true,
    }
}

impl World {
    /// Sends a JoinGroup that is answered at once.
    pub(crate) fn classic_join(&mut self, request: JoinGroup) -> JoinResponse {
        match self.ask(GroupRequest::Join(request)) {
            GroupResponse::Join(response) => response,
            other => panic!("{other:?}"),
        }
    }

    /// The answer to a JoinGroup that waited.
    pub(crate) fn joined(&mut self, waiter: Waiter) -> JoinResponse {
        match self.late.remove(&waiter) {
            Some(GroupResponse::Join(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    /// Sends a SyncGroup, as the leader of a classic group with assignments.
    pub(crate) fn classic_sync(
        &mut self,
        group: &str,
        member: &str,
        generation_id: i32,
        assignments: Vec<(String, Bytes)>,
    ) -> SyncResponse {
        let request = SyncGroup {
            group_id: group.to_owned(),
            generation_id,
            member_id: member.to_owned(),
            group_instance_id: None,
            protocol_type: Some("consumer".to_owned()),
            protocol_name: Some("cooperative-sticky".to_owned()),
            assignments,
        };
        match self.ask(GroupRequest::Sync(request)) {
            GroupResponse::Sync(response) => response,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn classic_beat(&mut self, group: &str, member: &str, generation: i32) -> ErrorCode {
        let request = Heartbeat {
            group_id: group.to_owned(),
            generation_id: generation,
            member_id: member.to_owned(),
            group_instance_id: None,
        };
        match self.ask(GroupRequest::Heartbeat(request)) {
            GroupResponse::Heartbeat(code) => code,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn classic_leave(&mut self, group: &str, member: &str) -> ErrorCode {
        let request = LeaveGroup {
            group_id: group.to_owned(),
            members: vec![LeavingMember {
                member_id: member.to_owned(),
                group_instance_id: None,
                reason: None,
            }],
        };
        match self.ask(GroupRequest::Leave(request)) {
            GroupResponse::Leave(_, members) => members[0].error,
            other => panic!("{other:?}"),
        }
    }
}
