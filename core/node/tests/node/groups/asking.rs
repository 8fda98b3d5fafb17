//! Questions to groups, from members and from outside.

use bytes::Bytes;
use chronik_model::ErrorCode;
use chronik_protocol::ApiKey;
use chronik_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, GroupId, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest,
    JoinGroupResponse, ListGroupsRequest, ListGroupsResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, StrBytes, SyncGroupRequest,
    SyncGroupResponse,
    join_group_request::JoinGroupRequestProtocol,
    offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    offset_fetch_request::OffsetFetchRequestGroup,
    sync_group_request::SyncGroupRequestAssignment,
};

use crate::harness::Sim;
use crate::harness::client::{Call, Topic, name};

pub(super) const NONE: i16 = 0;
const MEMBER_ID_REQUIRED: i16 = ErrorCode::MemberIdRequired.code();

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group(id: &str) -> GroupId {
    GroupId(text(id))
}

/// A member of a group, on a connection of its own.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) connection: usize,
    pub(super) group: &'static str,
    pub(super) id: String,
    pub(super) generation: i32,
}

impl Member {
    pub(super) fn new(sim: &mut Sim, frontend: u16, group: &'static str) -> Self {
        Self {
            connection: sim.connect(frontend),
            group,
            id: String::new(),
            generation: -1,
        }
    }

    pub(super) fn send_join(&self, sim: &mut Sim) -> Call {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(text("range"))
            .with_metadata(Bytes::from_static(b"subscription"));
        let request = JoinGroupRequest::default()
            .with_group_id(group(self.group))
            .with_session_timeout_ms(30_000)
            .with_rebalance_timeout_ms(30_000)
            .with_member_id(text(&self.id))
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        sim.send(self.connection, ApiKey::JoinGroup, 9, &request)
    }

    /// Asks for a member id, and joins with it.
    pub(super) fn begin_join(&mut self, sim: &mut Sim) -> Call {
        let call = self.send_join(sim);
        let told: JoinGroupResponse = sim.wait(call);
        assert_eq!(told.error_code, MEMBER_ID_REQUIRED);
        self.id = told.member_id.to_string();
        self.send_join(sim)
    }

    pub(super) fn end_join(&mut self, sim: &mut Sim, call: Call) -> JoinGroupResponse {
        let joined: JoinGroupResponse = sim.wait(call);
        assert_eq!(joined.error_code, NONE);
        self.generation = joined.generation_id;
        joined
    }

    /// Asks for its assignment; the leader brings those of all, which are their own ids.
    pub(super) fn send_sync(&self, sim: &mut Sim, joined: &JoinGroupResponse) -> Call {
        let assignment = |member: &StrBytes| {
            SyncGroupRequestAssignment::default()
                .with_member_id(member.clone())
                .with_assignment(Bytes::copy_from_slice(member.as_bytes()))
        };
        let members = joined.members.iter();
        let request = SyncGroupRequest::default()
            .with_group_id(group(self.group))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id))
            .with_assignments(members.map(|it| assignment(&it.member_id)).collect());
        sim.send(self.connection, ApiKey::SyncGroup, 4, &request)
    }

    pub(super) fn heartbeat(&self, sim: &mut Sim) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(group(self.group))
            .with_generation_id(self.generation)
            .with_member_id(text(&self.id));
        let response: HeartbeatResponse = sim.call(self.connection, ApiKey::Heartbeat, 4, &request);
        response.error_code
    }
}

/// Joins of all members at once, until each has its assignment.
pub(super) fn settle_group(sim: &mut Sim, members: &mut [Member]) {
    let calls: Vec<Call> = members
        .iter_mut()
        .map(|member| member.begin_join(sim))
        .collect();
    let mut joined = Vec::new();
    for (member, call) in members.iter_mut().zip(calls) {
        joined.push(member.end_join(sim, call));
    }
    let calls: Vec<Call> = members
        .iter()
        .zip(&joined)
        .map(|(member, joined)| member.send_sync(sim, joined))
        .collect();
    for (member, call) in members.iter().zip(calls) {
        let synced: SyncGroupResponse = sim.wait(call);
        assert_eq!(synced.error_code, NONE);
        assert_eq!(&*synced.assignment, member.id.as_bytes());
    }
}

pub(super) fn find(sim: &mut Sim, connection: usize) {
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("any")]);
    let response: FindCoordinatorResponse =
        sim.call(connection, ApiKey::FindCoordinator, 4, &request);
    assert_eq!(response.coordinators[0].error_code, NONE);
}

/// A commit from outside of the group.
pub(super) fn send_commit(
    sim: &mut Sim,
    connection: usize,
    group_id: &str,
    topic: Topic,
    offset: i64,
) -> Call {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("")));
    let topic = OffsetCommitRequestTopic::default()
        .with_name(name(topic.name))
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(group(group_id))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    sim.send(connection, ApiKey::OffsetCommit, 8, &request)
}

pub(super) fn commit_error(sim: &mut Sim, call: Call) -> i16 {
    let response: OffsetCommitResponse = sim.wait(call);
    response.topics[0].partitions[0].error_code
}

pub(super) fn send_fetch(sim: &mut Sim, connection: usize, group_id: &str) -> Call {
    let wanted = OffsetFetchRequestGroup::default()
        .with_group_id(group(group_id))
        .with_topics(None);
    let request = OffsetFetchRequest::default().with_groups(vec![wanted]);
    sim.send(connection, ApiKey::OffsetFetch, 8, &request)
}

/// What an OffsetFetch found: the offset, or none.
pub(super) fn fetched(response: &OffsetFetchResponse) -> Result<Option<i64>, i16> {
    let found = &response.groups[0];
    if found.error_code != NONE {
        return Err(found.error_code);
    }
    let partitions = found.topics.first().map(|topic| &topic.partitions[0]);
    Ok(partitions.map(|partition| partition.committed_offset))
}

pub(super) fn fetch(sim: &mut Sim, connection: usize, group_id: &str) -> Result<Option<i64>, i16> {
    let call = send_fetch(sim, connection, group_id);
    fetched(&sim.wait(call))
}

/// How many groups there are.
pub(super) fn listed(sim: &mut Sim, connection: usize) -> usize {
    let request = ListGroupsRequest::default();
    let response: ListGroupsResponse = sim.call(connection, ApiKey::ListGroups, 4, &request);
    assert_eq!(response.error_code, NONE);
    response.groups.len()
}

pub(super) fn consumer_heartbeat(
    sim: &mut Sim,
    connection: usize,
    member_id: &str,
    epoch: i32,
) -> ConsumerGroupHeartbeatResponse {
    let joins = epoch == 0;
    let request = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(group("g2"))
        .with_member_id(text(member_id))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(if joins { 30_000 } else { -1 })
        .with_subscribed_topic_names(joins.then(|| vec![name("t")]))
        .with_topic_partitions(joins.then(Vec::new));
    sim.call(connection, ApiKey::ConsumerGroupHeartbeat, 1, &request)
}
