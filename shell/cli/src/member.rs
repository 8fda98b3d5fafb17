//! Membership in a consumer group by the classic protocol, which every broker speaks: join, heartbeat,
//! commit, leave. As leader it assigns by ranges, as other clients' `range` assignors do, so that it
//! shares groups with them.

mod assign;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use chronik_model::{ErrorCode, NodeId, Offset, PartitionIndex, TopicName};
use chronik_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use chronik_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use chronik_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use chronik_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use chronik_protocol::messages::{
    ConsumerProtocolSubscription, Encodable, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, OffsetCommitRequest, OffsetFetchRequest, StrBytes, SyncGroupRequest,
};

use crate::api::Api;
use crate::client::{Client, Target, wire_name};
use crate::error::{CliError, is_transient};
use crate::group::{assignment, find_coordinator, wire_group};
use crate::retry::Retry;

/// A member of a group that reads one topic.
#[derive(Debug)]
pub(crate) struct Member {
    group: String,
    topic: TopicName,
    coordinator: Option<NodeId>,
    member_id: StrBytes,
    generation: i32,
    next_heartbeat: Instant,
}

/// What the coordinator says to a member that is in the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its partitions are still its own.
    Member,
    /// It has to join again; until then it owns nothing.
    Rejoin,
}

impl Member {
    /// Nobody yet; [`Member::join`] comes first.
    pub(crate) fn new(group: &str, topic: &TopicName) -> Self {
        Self {
            group: group.to_owned(),
            topic: topic.clone(),
            coordinator: None,
            member_id: StrBytes::default(),
            generation: NO_GENERATION,
            next_heartbeat: Instant::now(),
        }
    }

    /// Joins, again after a rebalance, and returns the partitions that are this member's now.
    pub(crate) fn join(&mut self, client: &mut Client) -> Result<Vec<PartitionIndex>, CliError> {
        // A rebalance may be followed by another: each round is bounded, and so is their sum.
        let mut retry = Retry::within(REBALANCE_TIMEOUT * 4);
        loop {
            match self.join_once(client)? {
                Ok(partitions) => return Ok(partitions),
                Err(code) if self.rejoins(code) && retry.again() => {}
                Err(code) => {
                    return Err(CliError::refused(
                        format!("join group {}", self.group),
                        code,
                        None,
                    ));
                }
            }
        }
    }

    /// Whether a code means another try, and what has to be forgotten before it.
    fn rejoins(&mut self, code: i16) -> bool {
        if code == ErrorCode::UnknownMemberId.code() {
            self.member_id = StrBytes::default();
        }
        if is_transient(code) {
            self.coordinator = None;
        }
        is_transient(code) || REJOIN.iter().any(|known| known.code() == code)
    }

    fn join_once(
        &mut self,
        client: &mut Client,
    ) -> Result<Result<Vec<PartitionIndex>, i16>, CliError> {
        let mut request = JoinGroupRequest::default();
        request.group_id = wire_group(&self.group);
        request.session_timeout_ms = millis(SESSION_TIMEOUT);
        request.rebalance_timeout_ms = millis(REBALANCE_TIMEOUT);
        request.member_id = self.member_id.clone();
        request.protocol_type = StrBytes::from_static_str("consumer");
        let mut protocol = JoinGroupRequestProtocol::default();
        protocol.name = StrBytes::from_static_str(RANGE);
        protocol.metadata = self.subscription();
        request.protocols = vec![protocol];
        let joined = self.ask(client, &request)?;
        if joined.error_code == ErrorCode::MemberIdRequired.code() {
            self.member_id = joined.member_id;
            return Ok(Err(joined.error_code));
        }
        if joined.error_code != ErrorCode::None.code() {
            return Ok(Err(joined.error_code));
        }
        self.member_id = joined.member_id.clone();
        self.generation = joined.generation_id;
        self.sync(client, joined)
    }

    fn sync(
        &mut self,
        client: &mut Client,
        joined: JoinGroupResponse,
    ) -> Result<Result<Vec<PartitionIndex>, i16>, CliError> {
        let mut request = SyncGroupRequest::default();
        request.group_id = wire_group(&self.group);
        request.generation_id = self.generation;
        request.member_id = self.member_id.clone();
        request.protocol_type = Some(StrBytes::from_static_str("consumer"));
        request.protocol_name = Some(StrBytes::from_static_str(RANGE));
        if joined.leader == self.member_id {
            for (member_id, assignment) in assign::by_range(client, &joined.members)? {
                let mut assigned = SyncGroupRequestAssignment::default();
                assigned.member_id = member_id;
                assigned.assignment = assignment;
                request.assignments.push(assigned);
            }
        }
        let synced = self.ask(client, &request)?;
        if synced.error_code != ErrorCode::None.code() {
            return Ok(Err(synced.error_code));
        }
        self.next_heartbeat = Instant::now() + HEARTBEAT_INTERVAL;
        let assigned = assignment(&synced.assignment).unwrap_or_default();
        let own = assigned
            .into_iter()
            .filter(|(topic, _)| *topic == *self.topic.as_str());
        Ok(Ok(own.map(|(_, index)| PartitionIndex(index)).collect()))
    }

    fn subscription(&self) -> Bytes {
        let mut subscription = ConsumerProtocolSubscription::default();
        subscription.topics = vec![StrBytes::from_string(self.topic.to_string())];
        let mut bytes = BytesMut::new();
        bytes.put_i16(SUBSCRIPTION_VERSION);
        // Names that the command line has checked always fit.
        drop(subscription.encode(&mut bytes, SUBSCRIPTION_VERSION));
        bytes.freeze()
    }

    /// Tells the coordinator that this member lives, when it is time to.
    pub(crate) fn heartbeat(&mut self, client: &mut Client) -> Result<Standing, CliError> {
        if Instant::now() < self.next_heartbeat {
            return Ok(Standing::Member);
        }
        self.next_heartbeat = Instant::now() + HEARTBEAT_INTERVAL;
        let mut request = HeartbeatRequest::default();
        request.group_id = wire_group(&self.group);
        request.generation_id = self.generation;
        request.member_id = self.member_id.clone();
        let code = self.ask(client, &request)?.error_code;
        self.standing("stay in", code)
    }

    fn standing(&mut self, what: &str, code: i16) -> Result<Standing, CliError> {
        if code == ErrorCode::None.code() {
            return Ok(Standing::Member);
        }
        if self.rejoins(code) {
            return Ok(Standing::Rejoin);
        }
        let what = format!("{what} group {}", self.group);
        Err(CliError::refused(what, code, None))
    }

    /// The offsets that the group has committed for some partitions of the topic.
    pub(crate) fn committed(
        &mut self,
        client: &mut Client,
        partitions: &[PartitionIndex],
    ) -> Result<BTreeMap<PartitionIndex, Offset>, CliError> {
        let mut topic = OffsetFetchRequestTopic::default();
        topic.name = wire_name(&self.topic);
        topic.partition_indexes = partitions.iter().map(|index| index.0).collect();
        let mut request = OffsetFetchRequest::default();
        request.group_id = wire_group(&self.group);
        request.topics = Some(vec![topic]);
        let answer = self.ask(client, &request)?;
        let found = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let errors = found.clone().map(|partition| partition.error_code);
        let failed = [answer.error_code].into_iter().chain(errors);
        if let Some(code) = failed.into_iter().find(|code| *code != 0) {
            let what = format!("read the offsets of group {}", self.group);
            return Err(CliError::refused(what, code, None));
        }
        let found = found.filter(|partition| partition.committed_offset >= 0);
        let offsets = found.map(|partition| {
            let index = PartitionIndex(partition.partition_index);
            (index, Offset(partition.committed_offset))
        });
        Ok(offsets.collect())
    }

    /// Commits offsets of partitions that this member owns.
    pub(crate) fn commit(
        &mut self,
        client: &mut Client,
        offsets: &BTreeMap<PartitionIndex, Offset>,
    ) -> Result<Standing, CliError> {
        let mut topic = OffsetCommitRequestTopic::default();
        topic.name = wire_name(&self.topic);
        for (index, offset) in offsets {
            let mut partition = OffsetCommitRequestPartition::default();
            partition.partition_index = index.0;
            partition.committed_offset = offset.0;
            partition.committed_leader_epoch = -1;
            partition.committed_metadata = Some(StrBytes::default());
            topic.partitions.push(partition);
        }
        let mut request = OffsetCommitRequest::default();
        request.group_id = wire_group(&self.group);
        request.generation_id_or_member_epoch = self.generation;
        request.member_id = self.member_id.clone();
        request.retention_time_ms = -1;
        request.topics = vec![topic];
        let answer = self.ask(client, &request)?;
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let failed = partitions.map(|partition| partition.error_code);
        let code = failed.into_iter().find(|code| *code != 0).unwrap_or(0);
        self.standing("commit to", code)
    }

    /// Leaves, so that others need not wait for the session to end. A failure costs them that time
    /// and nothing else.
    pub(crate) fn leave(&mut self, client: &mut Client) {
        let mut request = LeaveGroupRequest::default();
        request.group_id = wire_group(&self.group);
        request.member_id = self.member_id.clone();
        drop(self.ask(client, &request));
    }

    /// Asks the coordinator, which is looked up again when it can not be reached.
    fn ask<A: Api>(&mut self, client: &mut Client, request: &A) -> Result<A::Response, CliError> {
        let mut retry = Retry::within(client.timeout());
        loop {
            let coordinator = match self.coordinator {
                Some(coordinator) => coordinator,
                None => *self
                    .coordinator
                    .insert(find_coordinator(client, &self.group)?),
            };
            match client.call(Target::Broker(coordinator), request) {
                Err(CliError::Connect { .. } | CliError::Lost { .. }) if retry.again() => {
                    self.coordinator = None;
                }
                answer => return answer,
            }
        }
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// The assignor that all clients have in common.
const RANGE: &str = "range";
/// Topics only; later versions add what other assignors need.
const SUBSCRIPTION_VERSION: i16 = 0;
const NO_GENERATION: i32 = -1;
/// Shorter than other clients' 45 s: whoever presses Ctrl-C at a terminal tries again soon.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);
/// Below the time that a request is waited for.
const REBALANCE_TIMEOUT: Duration = Duration::from_secs(6);

/// Codes that say that the group goes on without this member until it joins again.
const REJOIN: &[ErrorCode] = &[
    ErrorCode::MemberIdRequired,
    ErrorCode::UnknownMemberId,
    ErrorCode::IllegalGeneration,
    ErrorCode::RebalanceInProgress,
];
