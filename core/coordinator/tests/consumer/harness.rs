//! One coordinator, its topics, its log and its clock.

use std::collections::{BTreeMap, BTreeSet};

use chronik_coordinator::{
    ConsumerDescription, ConsumerHeartbeat, ConsumerHeartbeatResponse, GroupConfig,
    GroupCoordinator, GroupRequest, GroupResponse, ListGroups, ListedGroup, Outcome, Record,
    TopicAssignment, TopicInfo, Topics, Waiter,
};
use chronik_model::{ErrorCode, Now, TopicId};

/// Longer than the interval between two assignments, in ms.
pub(crate) const PAUSE_MS: i64 = 1_100;

/// Topics by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct TestTopics {
    topics: BTreeMap<String, (TopicId, i32)>,
    version: i64,
}

impl TestTopics {
    /// Makes a topic, or more partitions of one.
    pub(crate) fn set(&mut self, name: &str, partitions: i32) {
        self.version += 1;
        let id = topic_id(name, 0);
        let topic = self.topics.entry(name.to_owned()).or_insert((id, 0));
        topic.1 = partitions;
    }

    /// Deletes a topic.
    pub(crate) fn delete(&mut self, name: &str) {
        self.version += 1;
        self.topics.remove(name);
    }

    /// Deletes a topic and makes another of that name.
    pub(crate) fn replace(&mut self, name: &str, partitions: i32) {
        self.version += 1;
        let topic = (topic_id(name, 1), partitions);
        self.topics.insert(name.to_owned(), topic);
    }
}

impl Topics for TestTopics {
    fn by_name(&self, name: &str) -> Option<TopicInfo<'_>> {
        let (name, (id, partitions)) = self.topics.get_key_value(name)?;
        Some(TopicInfo {
            name,
            id: *id,
            partitions: *partitions,
        })
    }

    fn by_id(&self, id: TopicId) -> Option<TopicInfo<'_>> {
        let mut topics = self.topics.iter();
        let (name, _) = topics.find(|(_, (known, _))| *known == id)?;
        self.by_name(name)
    }

    fn for_each(&self, each: &mut dyn FnMut(TopicInfo<'_>)) {
        for name in self.topics.keys() {
            each(self.by_name(name).unwrap());
        }
    }

    fn version(&self) -> i64 {
        self.version
    }
}

/// The id that [`TestTopics`] gives the topic, counting from 0 how often it was made anew.
pub(crate) fn topic_id(name: &str, life: u8) -> TopicId {
    let mut id = [life; 16];
    for (byte, letter) in id.iter_mut().skip(1).zip(name.bytes()) {
        *byte = letter;
    }
    TopicId(id)
}

/// See the module.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) coordinator: GroupCoordinator,
    pub(crate) config: GroupConfig,
    pub(crate) topics: TestTopics,
    pub(crate) now: Now,
    pub(crate) log: Vec<Record>,
    /// Replies to requests that waited.
    pub(crate) late: BTreeMap<Waiter, GroupResponse>,
    next_waiter: u64,
}

impl World {
    /// A coordinator with these topics.
    pub(crate) fn new(topics: &[(&str, i32)]) -> Self {
        Self::with_config(topics, GroupConfig::default())
    }

    pub(crate) fn with_config(topics: &[(&str, i32)], config: GroupConfig) -> Self {
        let mut world = Self {
            coordinator: GroupCoordinator::new(config.clone(), 7),
            config,
            topics: TestTopics::default(),
            now: Now {
                mono: chronik_model::Mono(1_000_000_000),
                wall_ms: 1_700_000_000_000,
            },
            log: Vec::new(),
            late: BTreeMap::new(),
            next_waiter: 0,
        };
        for (name, partitions) in topics {
            world.topics.set(name, *partitions);
        }
        world
    }

    /// Sends a request; its reply may come later.
    pub(crate) fn send(&mut self, request: GroupRequest) -> Waiter {
        let waiter = Waiter(self.next_waiter);
        self.next_waiter += 1;
        let mut out = Outcome::default();
        self.coordinator
            .handle(self.now, &self.topics, waiter, request, &mut out);
        self.take(out);
        waiter
    }

    /// Sends a request that is answered at once.
    pub(crate) fn ask(&mut self, request: GroupRequest) -> GroupResponse {
        let waiter = self.send(request);
        self.late.remove(&waiter).expect("an answer at once")
    }

    fn take(&mut self, out: Outcome) {
        self.log.extend(out.records);
        self.late.extend(out.replies);
    }

    /// Lets time pass, and everything happen that is due meanwhile.
    pub(crate) fn advance(&mut self, ms: i64) {
        let end = self.now.mono.plus_ms(ms);
        while let Some(due) = self.coordinator.deadline().filter(|due| *due <= end) {
            self.move_clock(due.max(self.now.mono));
            let mut out = Outcome::default();
            self.coordinator.tick(self.now, &self.topics, &mut out);
            self.take(out);
        }
        self.move_clock(end);
    }

    fn move_clock(&mut self, to: chronik_model::Mono) {
        let passed = to.since(self.now.mono).as_millis();
        self.now.wall_ms += i64::try_from(passed).unwrap();
        self.now.mono = to;
    }

    /// Sends a heartbeat.
    pub(crate) fn beat(
        &mut self,
        beat: ConsumerHeartbeat,
    ) -> Result<ConsumerHeartbeatResponse, (ErrorCode, String)> {
        match self.ask(GroupRequest::ConsumerHeartbeat(beat)) {
            GroupResponse::ConsumerHeartbeat(result) => result,
            other => panic!("{other:?}"),
        }
    }

    /// Sends a heartbeat that has to succeed.
    pub(crate) fn ok(&mut self, beat: ConsumerHeartbeat) -> ConsumerHeartbeatResponse {
        self.beat(beat).unwrap()
    }

    /// Sends a heartbeat that has to fail.
    pub(crate) fn error(&mut self, beat: ConsumerHeartbeat) -> ErrorCode {
        let records = self.log.len();
        let (code, _message) = self.beat(beat).unwrap_err();
        assert_eq!(self.log.len(), records, "what is refused leaves no trace");
        code
    }

    pub(crate) fn describe(&mut self, group: &str) -> ConsumerDescription {
        let group_id = group.to_owned();
        match self.ask(GroupRequest::DescribeConsumer { group_id }) {
            GroupResponse::DescribeConsumer(result) => result.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// State, group epoch and assignment epoch.
    pub(crate) fn epochs(&mut self, group: &str) -> (&'static str, i32, i32) {
        let group = self.describe(group);
        (group.state, group.group_epoch, group.assignment_epoch)
    }

    pub(crate) fn list(&mut self) -> Vec<ListedGroup> {
        let request = ListGroups {
            states: Vec::new(),
            types: Vec::new(),
        };
        match self.ask(GroupRequest::List(request)) {
            GroupResponse::List(groups) => groups,
            other => panic!("{other:?}"),
        }
    }

    /// What is seen of all groups.
    pub(crate) fn picture(&mut self) -> Vec<GroupResponse> {
        let mut picture = Vec::new();
        for group in self.list() {
            let group_id = || group.group_id.clone();
            let consumer = GroupRequest::DescribeConsumer {
                group_id: group_id(),
            };
            let classic = GroupRequest::DescribeClassic {
                group_id: group_id(),
            };
            picture.push(self.ask(consumer));
            picture.push(self.ask(classic));
        }
        picture
    }

    /// A restart: a new coordinator is fed the log, and shows the same groups.
    pub(crate) fn restart(&mut self) {
        let before = self.picture();
        self.coordinator = GroupCoordinator::new(self.config.clone(), 8);
        for record in &self.log {
            self.coordinator.replay(record).unwrap();
        }
        let mut out = Outcome::default();
        self.coordinator.loaded(self.now, &self.topics, &mut out);
        self.take(out);
        assert_eq!(self.picture(), before);
    }
}

/// A heartbeat that says no more than that the member is there.
pub(crate) fn stay(group: &str, member: &str, epoch: i32) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        group_id: group.to_owned(),
        member_id: member.to_owned(),
        member_epoch: epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: -1,
        subscribed_topic_names: None,
        subscribed_topic_regex: None,
        server_assignor: None,
        owned_partitions: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
    }
}

/// A heartbeat that joins.
pub(crate) fn join(group: &str, member: &str, topics: &[&str]) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(topics.iter().map(|name| (*name).to_owned()).collect()),
        owned_partitions: Some(Vec::new()),
        ..stay(group, member, 0)
    }
}

/// A heartbeat that joins by regular expression.
pub(crate) fn join_regex(group: &str, member: &str, regex: &str) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some(regex.to_owned()),
        ..join(group, member, &[])
    }
}

/// A heartbeat that says what the member owns.
pub(crate) fn owning(
    group: &str,
    member: &str,
    epoch: i32,
    owned: &[(&str, &[i32])],
) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        owned_partitions: Some(partitions(owned)),
        ..stay(group, member, epoch)
    }
}

/// Partitions of topics in their first life.
pub(crate) fn partitions(topics: &[(&str, &[i32])]) -> Vec<TopicAssignment> {
    let topics = topics.iter().map(|(name, partitions)| TopicAssignment {
        topic_id: topic_id(name, 0),
        partitions: partitions.to_vec(),
    });
    topics.collect()
}

/// How many partitions that are.
pub(crate) fn count(assignment: &[TopicAssignment]) -> usize {
    assignment.iter().map(|topic| topic.partitions.len()).sum()
}

/// As pairs.
pub(crate) fn pairs(assignment: &[TopicAssignment]) -> BTreeSet<(TopicId, i32)> {
    assignment
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|p| (topic.topic_id, *p)))
        .collect()
}
