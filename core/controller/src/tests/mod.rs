//! A controller with a disk that a test flushes when it wants.

mod cluster;
mod configs;
mod formats;
mod ordering;
mod peers;
mod recovery;
mod requests;

use std::collections::VecDeque;
use std::sync::Arc;

use chronik_model::{NodeId, Now};

use crate::{
    ConfigScope, ConfigValidator, ConsensusSnapshot, Controller, ControllerConfig, ControllerInput,
    ControllerOutput, ControllerReply, ControllerRequest, ControllerSettings, CreateTopics,
    Endpoint, Entry, HardState, IncarnationId, MetadataDelta, MetadataImage, NewTopic, OpenError,
    Recovered, RegisterBroker, SnapshotPolicy, encode_snapshot,
};

/// Keys of the tests: numbers, and one list with a default.
#[derive(Debug)]
struct Keys;

impl ConfigValidator for Keys {
    fn topic(&self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "cleanup.policy" => Ok(()),
            "retention.ms" | "segment.bytes" if value.parse::<i64>().is_ok() => Ok(()),
            "retention.ms" | "segment.bytes" => Err(format!("{key}: {value} is not a number")),
            unknown => Err(format!("{unknown} is not a topic config")),
        }
    }

    fn broker(&self, key: &str, value: &str) -> Result<(), String> {
        match value.parse::<i64>() {
            Ok(_) => Ok(()),
            Err(_) => Err(format!("{key}: {value} is not a number")),
        }
    }

    fn is_list(&self, _scope: ConfigScope, key: &str) -> bool {
        key == "cleanup.policy"
    }

    fn default_value(&self, _scope: ConfigScope, key: &str) -> Option<String> {
        (key == "cleanup.policy").then(|| "delete".to_owned())
    }
}

fn config(seed: u64) -> ControllerConfig {
    ControllerConfig {
        node_id: NodeId(0),
        voters: vec![NodeId(0)],
        cluster_id: "test-cluster".into(),
        seed,
        settings: ControllerSettings {
            num_partitions: 2,
            ..ControllerSettings::default()
        },
        validator: Box::new(Keys),
        snapshots: SnapshotPolicy::default(),
    }
}

/// What survives a crash.
#[derive(Debug, Clone, Default)]
struct Disk {
    hard_state: Option<HardState>,
    snapshot: Option<ConsensusSnapshot>,
    entries: VecDeque<Entry>,
}

impl Disk {
    fn recovered(&self) -> Recovered {
        Recovered {
            hard_state: self.hard_state,
            snapshot: self.snapshot.clone(),
            entries: self.entries.clone(),
        }
    }
}

#[derive(Debug)]
struct Node {
    controller: Controller,
    disk: Disk,
    /// Persists and snapshots that were not flushed yet.
    writes: VecDeque<ControllerOutput>,
    /// Everything but writes, in order, as text.
    transcript: Vec<String>,
    /// Everything, writes included.
    trace: Vec<String>,
    replies: Vec<(u64, ControllerReply)>,
    published: Arc<MetadataImage>,
    deltas: Vec<Arc<MetadataDelta>>,
    tickets: u64,
}

impl Node {
    fn open(config: ControllerConfig, disk: Disk) -> Result<Self, OpenError> {
        let mut out = Vec::new();
        let controller = Controller::open(config, disk.recovered(), &mut out)?;
        let mut node = Self {
            controller,
            disk,
            writes: VecDeque::new(),
            transcript: Vec::new(),
            trace: Vec::new(),
            replies: Vec::new(),
            published: Arc::default(),
            deltas: Vec::new(),
            tickets: 0,
        };
        node.take(out);
        Ok(node)
    }

    /// A cluster with brokers 0 to `brokers - 1`.
    fn with_brokers(config: ControllerConfig, brokers: i32) -> Self {
        let mut node = Self::open(config, Disk::default()).unwrap();
        for id in 0..brokers {
            node.ask(register(id, 1));
        }
        node
    }

    /// Sends a request without flushing.
    fn send(&mut self, request: ControllerRequest) -> u64 {
        self.tickets += 1;
        let ticket = self.tickets;
        self.step(ControllerInput::Request { ticket, request });
        ticket
    }

    /// Sends a request and flushes until it is answered.
    fn ask(&mut self, request: ControllerRequest) -> ControllerReply {
        let ticket = self.send(request);
        self.flush();
        let reply = self
            .replies
            .iter()
            .find(|(answered, _)| *answered == ticket);
        reply.unwrap().1.clone()
    }

    fn step(&mut self, input: ControllerInput) {
        let mut out = Vec::new();
        self.controller.step(Now::default(), input, &mut out);
        self.take(out);
    }

    fn flush(&mut self) {
        while self.flush_one() {}
    }

    fn flush_one(&mut self) -> bool {
        match self.writes.pop_front() {
            Some(ControllerOutput::Persist {
                sequence,
                hard_state,
                reset,
                entries,
            }) => {
                assert_eq!(reset, None);
                self.disk.hard_state = hard_state.or(self.disk.hard_state);
                if let Some(first) = entries.first() {
                    self.disk.entries.retain(|entry| entry.index < first.index);
                }
                self.disk.entries.extend(entries);
                self.step(ControllerInput::Persisted { sequence });
                true
            }
            Some(ControllerOutput::Snapshot(snapshot)) => {
                let index = snapshot.index;
                self.disk.snapshot = Some(snapshot);
                self.step(ControllerInput::SnapshotPersisted { index });
                true
            }
            Some(other) => panic!("not a write: {other:?}"),
            None => false,
        }
    }

    fn take(&mut self, outputs: Vec<ControllerOutput>) {
        for output in outputs {
            self.trace.push(format!("{output:?}"));
            match output {
                write @ (ControllerOutput::Persist { .. } | ControllerOutput::Snapshot(_)) => {
                    self.writes.push_back(write);
                }
                ControllerOutput::Publish { image, delta } => {
                    self.transcript.push(format!("publish {}", image.offset()));
                    self.published = image;
                    self.deltas.push(delta);
                }
                ControllerOutput::Reply {
                    ticket,
                    reply,
                    offset,
                } => {
                    self.transcript.push(format!("reply {ticket} at {offset}"));
                    assert!(
                        self.published.offset() >= offset,
                        "the reply precedes its image"
                    );
                    self.replies.push((ticket, reply));
                }
                ControllerOutput::TruncateBefore { index } => {
                    self.transcript.push(format!("truncate before {index}"));
                    self.disk.entries.retain(|entry| entry.index >= index);
                }
                ControllerOutput::Send(message) => panic!("alone, but sends {message:?}"),
                ControllerOutput::Halt { reason } => self.transcript.push(format!("halt {reason}")),
            }
        }
    }

    /// Every topic, partition and config, as text.
    fn describe(&self) -> String {
        describe(&self.published)
    }
}

fn describe(image: &MetadataImage) -> String {
    let mut lines = Vec::new();
    for topic in image.topics() {
        let nodes = |nodes: &[NodeId]| {
            nodes
                .iter()
                .map(|node| node.0.to_string())
                .collect::<Vec<_>>()
                .join(",")
        };
        let partitions: Vec<_> = topic
            .partitions
            .iter()
            .map(|partition| {
                format!(
                    "[{}]@{}",
                    nodes(&partition.replicas),
                    partition.leader_epoch.0
                )
            })
            .collect();
        lines.push(format!(
            "{} {} {:?}",
            topic.name,
            partitions.join(" "),
            topic.configs
        ));
    }
    lines.join("\n")
}

fn register(id: i32, incarnation: u8) -> ControllerRequest {
    ControllerRequest::RegisterBroker(RegisterBroker {
        node_id: NodeId(id),
        cluster_id: "test-cluster".into(),
        incarnation: IncarnationId([incarnation; 16]),
        endpoints: vec![Endpoint {
            listener: "PLAINTEXT".into(),
            host: "here".into(),
            port: 9092,
        }],
        rack: None,
    })
}

fn topic(name: &str, partitions: i32, replication_factor: i16) -> NewTopic {
    NewTopic {
        name: name.into(),
        partitions,
        replication_factor,
        assignments: Vec::new(),
        configs: Vec::new(),
    }
}

fn create(topics: Vec<NewTopic>) -> ControllerRequest {
    ControllerRequest::CreateTopics(CreateTopics {
        topics,
        validate_only: false,
    })
}

/// A reply, one line per result.
fn text(reply: &ControllerReply) -> String {
    fn lines<K: std::fmt::Debug, V, E: std::fmt::Display>(
        results: &[(K, Result<V, E>)],
        ok: impl Fn(&V) -> String,
    ) -> String {
        let line = |(key, result): &(K, Result<V, E>)| match result {
            Ok(value) => format!("{key:?} {}", ok(value)),
            Err(error) => format!("{key:?} {error}"),
        };
        results.iter().map(line).collect::<Vec<_>>().join("\n")
    }
    match reply {
        ControllerReply::RegisterBroker(Ok(epoch)) => format!("epoch {}", epoch.0),
        ControllerReply::AllocateProducerIds(Ok(block)) => {
            format!("{} from {}", block.count, block.first.0)
        }
        ControllerReply::RegisterBroker(Err(error))
        | ControllerReply::AllocateProducerIds(Err(error)) => error.to_string(),
        ControllerReply::CreateTopics(results) => lines(results, |created| {
            format!(
                "{} partitions, {} replicas",
                created.partitions, created.replication_factor
            )
        }),
        ControllerReply::DeleteTopics(results) => {
            lines(results, |deleted| format!("was {}", deleted.name))
        }
        ControllerReply::CreatePartitions(results) => lines(results, |()| "ok".into()),
        ControllerReply::AlterConfigs(results) => lines(results, |()| "ok".into()),
        ControllerReply::NotController { leader } => format!("not controller, ask {leader:?}"),
        ControllerReply::Overloaded => "overloaded".into(),
        ControllerReply::TooLarge => "too large".into(),
    }
}

/// The image as recovery would see it.
fn through_snapshot(image: &MetadataImage) -> MetadataImage {
    crate::decode_snapshot(&encode_snapshot(image)).unwrap()
}
