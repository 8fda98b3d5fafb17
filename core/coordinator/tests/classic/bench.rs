//! A coordinator in virtual time, the log of its partition, and who waits for it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chronik_coordinator::{
    ClassicDescription, CommitOffsets, CommittedPartition, FetchOffsets, FetchedTopic, GroupConfig,
    GroupCoordinator, GroupRequest, GroupResponse, Heartbeat, JoinGroup, JoinResponse, LeaveGroup,
    LeavingMember, ListGroups, ListedGroup, NoTopics, OffsetsFence, Outcome, Record, SyncGroup,
    SyncResponse, Waiter,
};
use chronik_model::{ErrorCode, Mono, Now, Offset, TopicId};

/// Wall clock at the start, in ms.
pub(crate) const START_MS: i64 = 1_700_000_000_000;
/// Session timeout of members, unless said otherwise; in ms.
pub(crate) const SESSION_MS: i32 = 10_000;
/// Rebalance timeout of members, unless said otherwise; in ms.
pub(crate) const REBALANCE_MS: i32 = 60_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) coordinator: GroupCoordinator,
    pub(crate) config: GroupConfig,
    pub(crate) now: Now,
    /// All records that were appended, in batches.
    pub(crate) log: Vec<Vec<Record>>,
    waiting: BTreeSet<Waiter>,
    answered: BTreeMap<Waiter, GroupResponse>,
    next_waiter: u64,
}

impl Bench {
    pub(crate) fn new(config: GroupConfig) -> Self {
        Self::with_log(config, Vec::new(), at(0))
    }

    /// A coordinator that was loaded from `log`.
    pub(crate) fn with_log(config: GroupConfig, log: Vec<Vec<Record>>, now: Now) -> Self {
        let mut coordinator = GroupCoordinator::new(config.clone(), 42);
        for record in log.iter().flatten() {
            coordinator.replay(record).expect("own records can be read");
        }
        let mut bench = Self {
            coordinator,
            config,
            now,
            log,
            waiting: BTreeSet::new(),
            answered: BTreeMap::new(),
            next_waiter: 0,
        };
        bench.step(|bench, out| bench.coordinator.loaded(bench.now, &NoTopics, out));
        bench
    }

    /// What a successor makes of the log.
    pub(crate) fn reloaded(&self) -> Self {
        Self::with_log(self.config.clone(), self.log.clone(), self.now)
    }

    /// Sends a request.
    pub(crate) fn send(&mut self, request: GroupRequest) -> Waiter {
        let waiter = Waiter(self.next_waiter);
        self.next_waiter += 1;
        self.waiting.insert(waiter);
        self.step(|bench, out| {
            bench
                .coordinator
                .handle(bench.now, &NoTopics, waiter, request, out);
        });
        waiter
    }

    /// Sends a request that is answered at once, or as soon as batches let it.
    pub(crate) fn ask(&mut self, request: GroupRequest) -> GroupResponse {
        let waiter = self.send(request);
        self.pass(0);
        self.take(waiter).expect("the request is answered at once")
    }

    /// The answer to a request, if there is one.
    pub(crate) fn take(&mut self, waiter: Waiter) -> Option<GroupResponse> {
        self.answered.remove(&waiter)
    }

    /// Requests without an answer.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Lets time pass, in ms.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = Mono(self.now.mono.0 + ms * 1_000_000);
        let mut turns = 0;
        while let Some(due) = self.coordinator.deadline().filter(|due| *due <= end) {
            self.now = at(self.now.mono.max(due).0);
            self.step(|bench, out| bench.coordinator.tick(bench.now, &NoTopics, out));
            turns += 1;
            assert!(turns < 100_000, "time goes on");
        }
        self.now = at(end.0);
    }

    /// Deletes topics.
    pub(crate) fn delete_topics(&mut self, topics: &[&str]) {
        let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
        self.step(|bench, out| {
            bench
                .coordinator
                .topics_changed(bench.now, &NoTopics, &topics, out);
        });
        self.pass(0);
    }

    fn step(&mut self, act: impl FnOnce(&mut Self, &mut Outcome)) {
        let mut out = Outcome::default();
        act(self, &mut out);
        let size = |record: &Record| record.key.len() + record.value.as_ref().map_or(0, Bytes::len);
        let bytes: usize = out.records.iter().map(size).sum();
        assert!(
            bytes <= self.config.max_batch_bytes,
            "{bytes} bytes of records"
        );
        if !out.records.is_empty() {
            self.log.push(out.records);
        }
        for (waiter, response) in out.replies {
            assert!(self.waiting.remove(&waiter), "answered twice: {response:?}");
            self.answered.insert(waiter, response);
        }
    }

    pub(crate) fn join(&mut self, request: JoinGroup) -> Waiter {
        self.send(GroupRequest::Join(request))
    }

    pub(crate) fn joined(&mut self, waiter: Waiter) -> JoinResponse {
        match self.take(waiter) {
            Some(GroupResponse::Join(response)) => response,
            other => panic!("no JoinGroup response: {other:?}"),
        }
    }

    pub(crate) fn ask_join(&mut self, request: JoinGroup) -> JoinResponse {
        let waiter = self.join(request);
        self.joined(waiter)
    }

    pub(crate) fn synced(&mut self, waiter: Waiter) -> SyncResponse {
        match self.take(waiter) {
            Some(GroupResponse::Sync(response)) => response,
            other => panic!("no SyncGroup response: {other:?}"),
        }
    }

    pub(crate) fn ask_sync(&mut self, request: SyncGroup) -> SyncResponse {
        let waiter = self.send(GroupRequest::Sync(request));
        self.synced(waiter)
    }

    pub(crate) fn heartbeat(&mut self, group: &str, member: &str, generation: i32) -> ErrorCode {
        let request = GroupRequest::Heartbeat(Heartbeat {
            group_id: group.to_owned(),
            generation_id: generation,
            member_id: member.to_owned(),
            group_instance_id: None,
        });
        match self.ask(request) {
            GroupResponse::Heartbeat(error) => error,
            other => panic!("no Heartbeat response: {other:?}"),
        }
    }

    /// Members leave; the codes of each.
    pub(crate) fn leave(
        &mut self,
        group: &str,
        members: &[(&str, Option<&str>)],
    ) -> Vec<ErrorCode> {
        match self.ask(leave(group, members)) {
            GroupResponse::Leave(ErrorCode::None, left) => {
                left.into_iter().map(|member| member.error).collect()
            }
            GroupResponse::Leave(error, _) => vec![error],
            other => panic!("no LeaveGroup response: {other:?}"),
        }
    }

    pub(crate) fn describe(&mut self, group: &str) -> ClassicDescription {
        let group_id = group.to_owned();
        match self.ask(GroupRequest::DescribeClassic { group_id }) {
            GroupResponse::DescribeClassic(description) => description,
            other => panic!("no DescribeGroups response: {other:?}"),
        }
    }

    pub(crate) fn state(&mut self, group: &str) -> &'static str {
        self.describe(group).state
    }

    pub(crate) fn list(&mut self, states: &[&str], types: &[&str]) -> Vec<ListedGroup> {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let (states, types) = (owned(states), owned(types));
        match self.ask(GroupRequest::List(ListGroups { states, types })) {
            GroupResponse::List(groups) => groups,
            other => panic!("no ListGroups response: {other:?}"),
        }
    }

    pub(crate) fn delete(&mut self, group: &str) -> ErrorCode {
        let group_id = group.to_owned();
        match self.ask(GroupRequest::Delete { group_id }) {
            GroupResponse::Delete(error) => error,
            other => panic!("no DeleteGroups response: {other:?}"),
        }
    }

    pub(crate) fn commit(&mut self, request: CommitOffsets) -> Vec<ErrorCode> {
        match self.ask(GroupRequest::CommitOffsets(request)) {
            GroupResponse::CommitOffsets(codes) => codes,
            other => panic!("no OffsetCommit response: {other:?}"),
        }
    }

    pub(crate) fn fetch(&mut self, request: FetchOffsets) -> (ErrorCode, Vec<FetchedTopic>) {
        match self.ask(GroupRequest::FetchOffsets(request)) {
            GroupResponse::FetchOffsets(error, topics) => (error, topics),
            other => panic!("no OffsetFetch response: {other:?}"),
        }
    }

    /// All offsets of a group, as (topic, partition, offset).
    pub(crate) fn offsets(&mut self, group: &str) -> Vec<(String, i32, i64)> {
        let (error, topics) = self.fetch(fetch(group, None));
        assert_eq!(error, ErrorCode::None);
        let flat = topics.into_iter().flat_map(|topic| {
            let name = topic.topic;
            let row = move |one: chronik_coordinator::FetchedOffset| {
                (name.clone(), one.partition, one.offset.0)
            };
            topic.partitions.into_iter().map(row)
        });
        flat.collect()
    }

    /// Everything of the groups that are not in a rebalance that a successor must know too.
    pub(crate) fn durable(&mut self) -> Vec<(ListedGroup, ClassicDescription, Vec<FetchedTopic>)> {
        let mut durable = Vec::new();
        for group in self.list(&["stable", "empty"], &[]) {
            let description = self.describe(&group.group_id);
            let (_, offsets) = self.fetch(fetch(&group.group_id, None));
            durable.push((group, description, offsets));
        }
        durable
    }

    /// What a successor makes of the log is what this coordinator knows.
    pub(crate) fn check_replay(&mut self) {
        let here = self.durable();
        let groups: BTreeSet<String> = here
            .iter()
            .map(|(group, _, _)| group.group_id.clone())
            .collect();
        let mut there = self.reloaded().durable();
        there.retain(|(group, _, _)| groups.contains(&group.group_id));
        assert_eq!(here, there);
    }

    /// A stable group: members join at once, the leader gives each its own id as assignment. Returns
    /// the member ids, the leader first.
    pub(crate) fn stable(&mut self, group: &str, requests: Vec<JoinGroup>) -> Vec<String> {
        let waiters: Vec<Waiter> = requests.into_iter().map(|join| self.join(join)).collect();
        let delay = u64::from(self.config.initial_rebalance_delay_ms.unsigned_abs());
        self.pass(2 * delay);
        let joined: Vec<JoinResponse> = waiters.into_iter().map(|w| self.joined(w)).collect();
        self.sync_all(group, &joined);
        let mut ids: Vec<String> = joined.iter().map(|j| j.member_id.clone()).collect();
        ids.sort_by_key(|id| *id != joined[0].leader);
        ids
    }

    /// Everyone who joined gets its own id as assignment.
    pub(crate) fn sync_all(&mut self, group: &str, joined: &[JoinResponse]) {
        let is_leader = |join: &&JoinResponse| join.leader == join.member_id;
        let leader = joined.iter().find(is_leader).expect("somebody leads");
        let assignments: Vec<(&str, &str)> = (leader.members.iter())
            .map(|(id, _, _)| (id.as_str(), id.as_str()))
            .collect();
        for join in joined {
            let own: &[(&str, &str)] = if join.member_id == join.leader {
                &assignments
            } else {
                &[]
            };
            self.send(GroupRequest::Sync(sync(
                group,
                &join.member_id,
                join.generation_id,
                own,
            )));
        }
        assert_eq!(self.state(group), "Stable");
    }
}

/// A point in time, in ns since the start.
pub(crate) fn at(nanos: u64) -> Now {
    Now {
        mono: Mono(nanos),
        wall_ms: START_MS + i64::try_from(nanos / 1_000_000).expect("a short test"),
    }
}

/// ConsumerProtocolSubscription, version 0.
pub(crate) fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 0, 0, 0, 0, u8::try_from(topics.len()).expect("few")];
    for topic in topics {
        bytes.extend([0, u8::try_from(topic.len()).expect("short")]);
        bytes.extend(topic.as_bytes());
    }
    bytes.extend([0xFF; 4]);
    bytes.into()
}

/// A new consumer of topic "t" that is not told its id first.
pub(crate) fn join(group: &str) -> JoinGroup {
    JoinGroup {
        group_id: group.to_owned(),
        member_id: String::new(),
        group_instance_id: None,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), subscription(&["t"]))],
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        reason: None,
        requires_known_member_id: false,
        supports_skipping_assignment: true,
    }
}

/// A member that joins again.
pub(crate) fn rejoin(group: &str, member: &str) -> JoinGroup {
    JoinGroup {
        member_id: member.to_owned(),
        ..join(group)
    }
}

/// A static member.
pub(crate) fn static_join(group: &str, instance: &str) -> JoinGroup {
    JoinGroup {
        group_instance_id: Some(instance.to_owned()),
        ..join(group)
    }
}

pub(crate) fn sync(
    group: &str,
    member: &str,
    generation: i32,
    parts: &[(&str, &str)],
) -> SyncGroup {
    let part = |(member, part): &(&str, &str)| {
        (
            (*member).to_owned(),
            Bytes::copy_from_slice(part.as_bytes()),
        )
    };
    SyncGroup {
        group_id: group.to_owned(),
        generation_id: generation,
        member_id: member.to_owned(),
        group_instance_id: None,
        protocol_type: Some("consumer".to_owned()),
        protocol_name: Some("range".to_owned()),
        assignments: parts.iter().map(part).collect(),
    }
}

pub(crate) fn leave(group: &str, members: &[(&str, Option<&str>)]) -> GroupRequest {
    let member = |(member, instance): &(&str, Option<&str>)| LeavingMember {
        member_id: (*member).to_owned(),
        group_instance_id: instance.map(str::to_owned),
        reason: None,
    };
    GroupRequest::Leave(LeaveGroup {
        group_id: group.to_owned(),
        members: members.iter().map(member).collect(),
    })
}

pub(crate) fn no_member() -> OffsetsFence {
    member(-1, "")
}

pub(crate) fn member(generation: i32, member: &str) -> OffsetsFence {
    OffsetsFence {
        member_id: member.to_owned(),
        group_instance_id: None,
        generation_or_epoch: generation,
    }
}

pub(crate) fn commit(
    group: &str,
    fence: OffsetsFence,
    offsets: &[(&str, i32, i64)],
) -> CommitOffsets {
    let partition = |(topic, partition, offset): &(&str, i32, i64)| CommittedPartition {
        topic: (*topic).to_owned(),
        topic_id: TopicId::ZERO,
        partition: *partition,
        offset: Offset(*offset),
        leader_epoch: 7,
        metadata: "note".to_owned(),
    };
    CommitOffsets {
        group_id: group.to_owned(),
        fence,
        retention_ms: None,
        partitions: offsets.iter().map(partition).collect(),
        api_version: 9,
    }
}

pub(crate) fn fetch(group: &str, topics: Option<&[(&str, &[i32])]>) -> FetchOffsets {
    let topic = |(topic, partitions): &(&str, &[i32])| ((*topic).to_owned(), partitions.to_vec());
    FetchOffsets {
        group_id: group.to_owned(),
        fence: None,
        topics: topics.map(|topics| topics.iter().map(topic).collect()),
        require_stable: true,
        api_version: 9,
    }
}
