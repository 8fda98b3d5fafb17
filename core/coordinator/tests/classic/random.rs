//! Many random operations on a few groups, and what must hold after each.

use std::collections::BTreeSet;

use bytes::Bytes;
use chronik_coordinator::{
    GroupConfig, GroupRequest, GroupResponse, Heartbeat, JoinGroup, SyncGroup, Waiter,
};
use chronik_model::ErrorCode;
use chronik_model::rng::Rng;

use crate::bench::{
    Bench, commit, fetch, join, leave, member, no_member, static_join, subscription,
};

const GROUPS: [&str; 3] = ["a", "b", "c"];

/// A client: what it last heard, and what it waits for.
#[derive(Debug, Clone, Default)]
struct Client {
    group: usize,
    instance: Option<String>,
    member_id: String,
    generation: i32,
    leads: Option<Vec<String>>,
    waiter: Option<Waiter>,
}

struct World {
    bench: Bench,
    clients: Vec<Client>,
    rng: Rng,
    /// (group, generation, leader) of successful joins.
    leaders: BTreeSet<(usize, i32, String)>,
}

impl World {
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("small");
        usize::try_from(self.rng.below(bound)).expect("small")
    }

    fn act(&mut self) {
        let who = self.below(self.clients.len());
        let client = self.clients[who].clone();
        let group = GROUPS[client.group];
        match self.below(14) {
            0..=3 if client.waiter.is_none() => self.join(who),
            4..=6 if client.waiter.is_none() && client.generation > 0 => self.sync(who),
            7 | 8 => self.heartbeat(&client),
            9 => {
                let fence = if self.below(3) == 0 {
                    no_member()
                } else {
                    member(client.generation, &client.member_id)
                };
                let partition = i32::try_from(self.below(5)).expect("small");
                self.bench
                    .commit(commit(group, fence, &[("t", partition, 1)]));
            }
            10 if self.below(3) == 0 => {
                let instance = client.instance.as_deref();
                self.bench
                    .ask(leave(group, &[(&client.member_id, instance)]));
            }
            11 if self.below(8) == 0 => {
                self.bench.delete(group);
            }
            12 if self.below(6) == 0 => {
                // The client restarts; its requests are left alone.
                let forgotten = &mut self.clients[who];
                forgotten.member_id.clear();
                forgotten.waiter = None;
                forgotten.generation = 0;
            }
            _ => {
                let ms = self.rng.below(4_000);
                self.bench.pass(ms);
            }
        }
        self.hear();
    }

    fn join(&mut self, who: usize) {
        let client = self.clients[who].clone();
        let group = GROUPS[client.group];
        let base = match &client.instance {
            Some(instance) => static_join(group, instance),
            None => join(group),
        };
        let topics: &[&str] = if self.below(4) == 0 {
            &["t", "u"]
        } else {
            &["t"]
        };
        let request = JoinGroup {
            member_id: client.member_id,
            requires_known_member_id: self.below(2) == 0,
            supports_skipping_assignment: self.below(2) == 0,
            rebalance_timeout_ms: 8_000,
            session_timeout_ms: 6_000,
            protocols: vec![("range".to_owned(), subscription(topics))],
            ..base
        };
        let waiter = self.bench.join(request);
        self.clients[who].waiter = Some(waiter);
    }

    fn sync(&mut self, who: usize) {
        let client = self.clients[who].clone();
        let assignments = client.leads.unwrap_or_default();
        let own = |id: String| (id.clone(), Bytes::from(id));
        let request = SyncGroup {
            group_id: GROUPS[client.group].to_owned(),
            generation_id: client.generation,
            member_id: client.member_id,
            group_instance_id: client.instance,
            protocol_type: None,
            protocol_name: None,
            assignments: assignments.into_iter().map(own).collect(),
        };
        let waiter = self.bench.send(GroupRequest::Sync(request));
        self.clients[who].waiter = Some(waiter);
    }

    fn heartbeat(&mut self, client: &Client) {
        let request = Heartbeat {
            group_id: GROUPS[client.group].to_owned(),
            generation_id: client.generation,
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.clone(),
        };
        let answer = self.bench.ask(GroupRequest::Heartbeat(request));
        assert!(matches!(answer, GroupResponse::Heartbeat(_)));
    }

    /// Clients take in what they are told.
    fn hear(&mut self) {
        for who in 0..self.clients.len() {
            let Some(waiter) = self.clients[who].waiter else {
                continue;
            };
            let Some(response) = self.bench.take(waiter) else {
                continue;
            };
            self.clients[who].waiter = None;
            self.take_in(who, response);
        }
    }

    fn take_in(&mut self, who: usize, response: GroupResponse) {
        let client = &mut self.clients[who];
        match response {
            GroupResponse::Join(join) if join.error == ErrorCode::None => {
                assert!(join.generation_id > 0);
                assert!(!join.skip_assignment || join.leader == join.member_id);
                let ids: Vec<String> = join.members.iter().map(|(id, _, _)| id.clone()).collect();
                assert!(ids.is_empty() || ids.contains(&join.member_id));
                if !ids.is_empty() && !join.skip_assignment {
                    self.leaders
                        .insert((client.group, join.generation_id, join.leader));
                }
                client.leads = (!ids.is_empty()).then_some(ids);
                client.generation = join.generation_id;
                client.member_id = join.member_id;
            }
            GroupResponse::Join(join) => {
                client.generation = 0;
                client.member_id = match join.error {
                    ErrorCode::MemberIdRequired => join.member_id,
                    ErrorCode::RebalanceInProgress => client.member_id.clone(),
                    _ => String::new(),
                };
            }
            GroupResponse::Sync(sync) if sync.error == ErrorCode::None => {}
            GroupResponse::Sync(_) => client.generation = 0,
            other => panic!("not asked for: {other:?}"),
        }
    }

    fn check(&mut self) {
        for group in GROUPS {
            let described = self.bench.describe(group);
            if described.state == "Stable" {
                assert!(!described.members.is_empty());
            }
            if described.state == "Empty" {
                assert!(described.members.is_empty());
            }
            let ids: BTreeSet<&str> = described
                .members
                .iter()
                .map(|member| member.member_id.as_str())
                .collect();
            assert_eq!(ids.len(), described.members.len());
            let instances: Vec<&String> = described
                .members
                .iter()
                .filter_map(|m| m.group_instance_id.as_ref())
                .collect();
            let distinct: BTreeSet<&&String> = instances.iter().collect();
            assert_eq!(distinct.len(), instances.len(), "one member per instance");
            assert_eq!(self.bench.fetch(fetch(group, None)).0, ErrorCode::None);
        }
        self.bench.check_replay();
    }
}

fn run(seed: u64, operations: usize) -> (Vec<Vec<chronik_coordinator::Record>>, usize) {
    let config = GroupConfig {
        initial_rebalance_delay_ms: 1_000,
        offsets_retention_ms: 60_000,
        offsets_retention_check_interval_ms: 10_000,
        max_size: 5,
        ..GroupConfig::default()
    };
    let client = |index: usize| Client {
        group: index % GROUPS.len(),
        instance: index.is_multiple_of(4).then(|| format!("i{index}")),
        ..Client::default()
    };
    let mut world = World {
        bench: Bench::new(config),
        clients: (0..18).map(client).collect(),
        rng: Rng::new(seed),
        leaders: BTreeSet::new(),
    };
    for operation in 0..operations {
        world.act();
        if operation % 16 == 0 {
            world.check();
        }
    }
    // Everyone falls silent: nothing may wait any more.
    world.bench.pass(400_000);
    world.hear();
    world.check();
    assert_eq!(world.bench.waiting(), 0);
    for group in GROUPS {
        assert!(matches!(world.bench.state(group), "Empty" | "Dead"));
    }
    (world.bench.log, world.leaders.len())
}

#[test]
fn whatever_happens_everyone_is_answered_once() {
    let mut generations = 0;
    for seed in 0..8 {
        generations += run(seed, 3_000).1;
    }
    assert!(
        generations > 100,
        "{generations} generations are too few to tell"
    );
}

#[test]
fn the_seed_decides_everything() {
    assert_eq!(run(99, 500).0, run(99, 500).0);
}
