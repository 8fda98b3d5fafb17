//! Clients of both protocols that come, go, crash, lose responses and take their time, while topics
//! change and the coordinator restarts. No partition is consumed by two of them at a time; and when
//! all is quiet, every partition is consumed.

use std::collections::BTreeSet;

use chronik_coordinator::{ConsumerHeartbeat, TopicAssignment, Topics};
use chronik_model::rng::Rng;
use chronik_model::{ErrorCode, TopicId};

use crate::classic_client::{self, read_assignment, subscription};
use crate::harness::{World, join, join_regex, pairs, stay};

const TOPICS: [&str; 3] = ["a1", "a2", "b"];

/// What a client consumes.
type Consumed = BTreeSet<(TopicId, i32)>;

#[derive(Debug, Default)]
struct Client {
    number: u64,
    /// How many lives it had; each has a new member id.
    life: u64,
    topics: Vec<&'static str>,
    by_regex: bool,
    is_static: bool,
    /// None while it is not in the group.
    epoch: Option<i32>,
    owned: Consumed,
    /// What it was told to own, once it has given the rest back.
    told: Option<Consumed>,
    /// A response was lost: it tells everything again.
    tell_all: bool,
    /// What it last said that it owns; it says so again when that changed.
    said: Consumed,
    /// Steps since it last sent anything.
    silent: u32,
}

/// Steps, of less than 800 ms each, after which a client knows that its session has ended.
const SESSION_STEPS: u32 = 55;

impl Client {
    fn id(&self) -> String {
        format!("c{}-{}", self.number, self.life)
    }

    fn joining(&self) -> ConsumerHeartbeat {
        let beat = if self.by_regex {
            join_regex("g", &self.id(), "a.*")
        } else {
            join("g", &self.id(), &self.topics)
        };
        ConsumerHeartbeat {
            instance_id: self.is_static.then(|| format!("i{}", self.number)),
            subscribed_topic_regex: Some(beat.subscribed_topic_regex.unwrap_or_default()),
            ..beat
        }
    }

    fn abandon(&mut self) {
        self.epoch = None;
        self.told = None;
        self.owned.clear();
    }

    /// One heartbeat; `lost` if its response does not arrive.
    fn beat(&mut self, world: &mut World, lost: bool) {
        let beat = match self.epoch {
            None => self.joining(),
            Some(epoch) if self.tell_all => {
                // What it says holds until it is told anew.
                self.told = None;
                ConsumerHeartbeat {
                    member_epoch: epoch,
                    owned_partitions: Some(topics_of(&self.owned)),
                    ..self.joining()
                }
            }
            Some(epoch) => ConsumerHeartbeat {
                instance_id: self.joining().instance_id,
                owned_partitions: (self.said != self.owned).then(|| topics_of(&self.owned)),
                ..stay("g", &self.id(), epoch)
            },
        };
        self.said.clone_from(&self.owned);
        let result = world.beat(beat);
        self.silent = 0;
        if lost {
            self.tell_all = true;
            return;
        }
        match result {
            Ok(response) => {
                self.tell_all = false;
                self.epoch = Some(response.member_epoch);
                if let Some(assignment) = response.assignment {
                    self.told = Some(pairs(&assignment));
                }
            }
            Err((ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId, _)) => self.abandon(),
            // Its own former life is still in the group; that will end.
            Err((ErrorCode::UnreleasedInstanceId, _)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }

    /// Does what it was told: gives back first.
    fn obey(&mut self) {
        if let Some(told) = self.told.take() {
            self.owned = told;
        }
    }

    fn leave(&mut self, world: &mut World, epoch: i32) {
        if self.epoch.is_some() {
            let beat = ConsumerHeartbeat {
                instance_id: self.joining().instance_id,
                ..stay("g", &self.id(), epoch)
            };
            drop(world.beat(beat));
            self.abandon();
            self.life += 1;
        }
    }

    fn crash(&mut self) {
        self.abandon();
        self.life += 1;
    }
}

fn topics_of(consumed: &Consumed) -> Vec<TopicAssignment> {
    let ids: BTreeSet<TopicId> = consumed.iter().map(|(id, _)| *id).collect();
    let partitions = |wanted: TopicId| {
        let all = consumed.iter().filter(move |(id, _)| *id == wanted);
        all.map(|(_, partition)| *partition).collect()
    };
    let topics = ids.into_iter().map(|topic_id| TopicAssignment {
        topic_id,
        partitions: partitions(topic_id),
    });
    topics.collect()
}

/// A client of the classic protocol.
#[derive(Debug, Default)]
struct Classic {
    member_id: String,
    generation: Option<i32>,
    has_to_sync: bool,
    owned: BTreeSet<(String, i32)>,
}

impl Classic {
    /// One request: whatever comes next.
    fn act(&mut self, world: &mut World) {
        match self.generation {
            None => self.join(world),
            Some(generation) if self.has_to_sync => self.sync(world, generation),
            Some(generation) => {
                let code = world.classic_beat("g", &self.member_id, generation);
                self.follow(code);
            }
        }
    }

    fn join(&mut self, world: &mut World) {
        let owned: Vec<(&str, Vec<i32>)> = TOPICS
            .iter()
            .map(|topic| {
                let partitions = self.owned.iter().filter(|(name, _)| name == topic);
                (
                    *topic,
                    partitions.map(|(_, partition)| *partition).collect(),
                )
            })
            .collect();
        let owned: Vec<(&str, &[i32])> = owned
            .iter()
            .map(|(topic, partitions)| (*topic, &partitions[..]))
            .collect();
        let metadata = subscription(&TOPICS, &owned);
        let request = classic_client::join("g", &self.member_id, metadata);
        let response = world.classic_join(request);
        match response.error {
            ErrorCode::None => {
                self.generation = Some(response.generation_id);
                self.has_to_sync = true;
            }
            ErrorCode::MemberIdRequired => self.member_id = response.member_id,
            other => panic!("{other:?}"),
        }
    }

    fn sync(&mut self, world: &mut World, generation: i32) {
        let response = world.classic_sync("g", &self.member_id, generation, Vec::new());
        if !response.error.is_none() {
            return self.follow(response.error);
        }
        self.has_to_sync = false;
        let assigned: BTreeSet<(String, i32)> =
            read_assignment(&response.assignment).into_iter().collect();
        if !self.owned.is_subset(&assigned) {
            // It gives the rest back, and joins again to say so.
            self.generation = None;
        }
        self.owned = assigned;
    }

    fn follow(&mut self, code: ErrorCode) {
        match code {
            ErrorCode::None => {}
            ErrorCode::RebalanceInProgress => self.generation = None,
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration => *self = Self::default(),
            other => panic!("{other:?}"),
        }
    }

    fn consumed(&self, world: &World) -> Consumed {
        let known = self.owned.iter();
        known
            .filter_map(|(name, p)| Some((world.topics.by_name(name)?.id, *p)))
            .collect()
    }
}

struct Story {
    world: World,
    rng: Rng,
    /// The first one never leaves, so that the group stays one of the consumer protocol.
    clients: Vec<Client>,
    classic: Vec<Classic>,
}

impl Story {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let clients = (0..5)
            .map(|number| Client {
                number,
                topics: (TOPICS.iter().copied())
                    .filter(|_| rng.below(3) > 0)
                    .collect(),
                by_regex: number > 0 && rng.below(4) == 0,
                is_static: number > 0 && rng.below(3) == 0,
                ..Client::default()
            })
            .collect();
        let mut story = Self {
            world: World::new(&[("a1", 3), ("a2", 2), ("b", 5)]),
            rng,
            clients,
            classic: vec![Classic::default(), Classic::default()],
        };
        story.clients[0].beat(&mut story.world, false);
        story
    }

    fn one_in(&mut self, chance: u64) -> bool {
        self.rng.below(chance) == 0
    }

    fn step(&mut self) {
        let ms = i64::try_from(self.rng.below(800)).unwrap();
        self.world.advance(ms);
        if self.one_in(60) {
            let topic = TOPICS[usize::try_from(self.rng.below(3)).unwrap()];
            let partitions = i32::try_from(3 + self.rng.below(5)).unwrap();
            let known = self.world.topics.by_name(topic).unwrap().partitions;
            self.world.topics.set(topic, partitions.max(known));
        }
        if self.one_in(80) {
            self.world.restart();
        }
        for client in &mut self.clients {
            client.silent += 1;
            if client.silent > SESSION_STEPS {
                client.abandon();
            }
        }
        // The first client and the classic ones have to be heard of in time.
        for index in 0..self.classic.len() {
            if self.one_in(3) {
                self.classic[index].act(&mut self.world);
                self.check();
            }
        }
        let index = if self.one_in(4) { 0 } else { self.rng.below(5) };
        let index = usize::try_from(index).unwrap();
        let choice = self.rng.below(if index == 0 { 8 } else { 12 });
        let lost = self.one_in(6);
        let client = &mut self.clients[index];
        match choice {
            0..=4 => client.beat(&mut self.world, lost),
            5..=8 => client.obey(),
            9 => client.leave(&mut self.world, -1),
            10 if client.is_static => client.leave(&mut self.world, -2),
            _ => client.crash(),
        }
        self.check();
    }

    /// Nobody consumes what another consumes.
    fn check(&self) {
        let mut seen = BTreeSet::new();
        let classic = self
            .classic
            .iter()
            .map(|client| client.consumed(&self.world));
        let clients = self.clients.iter().map(|client| client.owned.clone());
        for partition in clients.chain(classic).flatten() {
            assert!(seen.insert(partition), "{partition:?} is consumed twice");
        }
    }

    /// Everybody does what it is told, until nothing changes.
    fn settle(&mut self) {
        for _round in 0..60 {
            self.world.advance(3_000);
            for client in &mut self.clients {
                client.obey();
                client.beat(&mut self.world, false);
                client.obey();
            }
            for index in 0..self.classic.len() {
                for _request in 0..4 {
                    self.classic[index].act(&mut self.world);
                }
            }
            self.check();
        }
    }

    fn check_settled(&mut self) {
        assert_eq!(self.world.describe("g").state, "Stable");
        let mut consumed = Consumed::new();
        for client in &self.clients {
            consumed.extend(&client.owned);
        }
        for client in &self.classic {
            consumed.extend(client.consumed(&self.world));
        }
        let mut expected = Consumed::new();
        self.world.topics.for_each(&mut |topic| {
            expected.extend((0..topic.partitions).map(|partition| (topic.id, partition)));
        });
        assert_eq!(consumed, expected);
    }
}

#[test]
fn no_partition_is_consumed_twice_and_all_are_in_the_end() {
    for seed in 0..30 {
        println!("seed {seed}");
        let mut story = Story::new(seed);
        for _step in 0..400 {
            story.step();
        }
        story.settle();
        story.check_settled();
        story.world.restart();
    }
}
