//! Several controllers: leadership comes and goes, and all end with the same image.

use chronik_model::{NodeId, Now};

use super::{ControllerConfig, config, create, register, text, topic};
use crate::{
    Controller, ControllerInput, ControllerOutput, ControllerRequest, Recovered, SnapshotPolicy,
};

/// Controllers on a network that may lose one of them, with disks that are instant.
struct Cluster {
    controllers: Vec<Controller>,
    todo: Vec<(usize, ControllerOutput)>,
    unreachable: Option<usize>,
    replies: Vec<(u64, String)>,
    resets: usize,
}

impl Cluster {
    fn new(snapshots: SnapshotPolicy) -> Self {
        let voters: Vec<NodeId> = (0..3).map(NodeId).collect();
        let mut cluster = Self {
            controllers: Vec::new(),
            todo: Vec::new(),
            unreachable: None,
            replies: Vec::new(),
            resets: 0,
        };
        for (seed, node_id) in (1..).zip(voters.clone()) {
            let voters = voters.clone();
            let config = ControllerConfig {
                node_id,
                voters,
                snapshots,
                ..config(seed)
            };
            let mut out = Vec::new();
            cluster
                .controllers
                .push(Controller::open(config, Recovered::default(), &mut out).unwrap());
            assert!(out.is_empty(), "elections take time");
        }
        cluster
    }

    fn step(&mut self, node: usize, input: ControllerInput) {
        let mut out = Vec::new();
        self.controllers[node].step(Now::default(), input, &mut out);
        self.todo
            .extend(out.into_iter().map(|output| (node, output)));
    }

    fn run(&mut self) {
        while !self.todo.is_empty() {
            for (from, output) in std::mem::take(&mut self.todo) {
                self.act(from, output);
            }
        }
    }

    fn act(&mut self, from: usize, output: ControllerOutput) {
        match output {
            ControllerOutput::Persist { sequence, .. } => {
                self.step(from, ControllerInput::Persisted { sequence });
            }
            ControllerOutput::Snapshot(snapshot) => {
                let index = snapshot.index;
                self.step(from, ControllerInput::SnapshotPersisted { index });
            }
            ControllerOutput::Send(message) => {
                let to = usize::try_from(message.to().0).unwrap();
                if self.unreachable != Some(to) && self.unreachable != Some(from) {
                    self.step(to, ControllerInput::Peer(message));
                }
            }
            ControllerOutput::Reply { ticket, reply, .. } => {
                self.replies.push((ticket, text(&reply)))
            }
            ControllerOutput::Publish { delta, .. } => self.resets += usize::from(delta.reset),
            ControllerOutput::TruncateBefore { .. } => {}
            ControllerOutput::Halt { reason } => panic!("{reason}"),
        }
    }

    fn ticks(&mut self, count: usize) {
        for _ in 0..count {
            for node in 0..self.controllers.len() {
                self.step(node, ControllerInput::Tick);
            }
            self.run();
        }
    }

    /// The reachable node that decides.
    fn active(&mut self) -> usize {
        self.ticks(60);
        let reachable = |node: &usize| Some(*node) != self.unreachable;
        (0..3)
            .filter(reachable)
            .find(|node| self.controllers[*node].is_active())
            .unwrap()
    }

    fn ask(&mut self, node: usize, ticket: u64, request: ControllerRequest) {
        self.step(node, ControllerInput::Request { ticket, request });
        self.run();
    }

    fn assert_same_images(&mut self) {
        self.ticks(10);
        for controller in &self.controllers {
            assert_eq!(controller.image(), self.controllers[0].image());
        }
    }
}

#[test]
fn a_deposed_leader_answers_and_forgets() {
    let mut cluster = Cluster::new(SnapshotPolicy::default());
    let first = cluster.active();
    cluster.ask(first, 1, register(0, 1));
    cluster.ask((first + 1) % 3, 2, register(0, 1));
    cluster.unreachable = Some(first);
    cluster.ask(first, 3, create(vec![topic("lost", 1, 1)]));
    assert_eq!(cluster.replies.len(), 2, "no reply without a majority");
    let second = cluster.active();
    assert!(!cluster.controllers[first].is_active());
    cluster.ask(second, 4, create(vec![topic("kept", 1, 1)]));
    cluster.unreachable = None;
    cluster.assert_same_images();
    let image = cluster.controllers[first].image();
    assert!(image.topic_by_name("kept").is_some() && image.topic_by_name("lost").is_none());
    let leader = Some(NodeId(i32::try_from(first).unwrap()));
    assert_eq!(
        cluster.replies,
        [
            (1, "epoch 3".to_owned()),
            (2, format!("not controller, ask {leader:?}")),
            (3, "not controller, ask None".to_owned()),
            (4, "\"kept\" 1 partitions, 1 replicas".to_owned()),
        ]
    );
}

#[test]
fn a_voter_that_was_away_for_long_gets_a_snapshot() {
    let mut cluster = Cluster::new(SnapshotPolicy {
        entries: 4,
        bytes: u64::MAX,
        interval_ms: None,
    });
    let leader = cluster.active();
    let away = (leader + 1) % 3;
    cluster.ask(leader, 0, register(0, 1));
    cluster.unreachable = Some(away);
    for ticket in 1..20 {
        cluster.ask(
            leader,
            ticket,
            create(vec![topic(&format!("t{ticket}"), 2, 1)]),
        );
    }
    assert_eq!(cluster.controllers[away].image().topic_count(), 0);
    cluster.unreachable = None;
    cluster.active();
    cluster.assert_same_images();
    assert_eq!(cluster.controllers[away].image().topic_count(), 19);
    assert_eq!(cluster.resets, 1);
}
