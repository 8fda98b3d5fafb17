//! Handlers against a real controller, with requests and replies of the generated structs.

mod configs;
mod coordinator;
mod describing;
mod groups;
mod listeners;
mod offsets;
mod partitions;
mod refusals;
mod topics;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chronik_controller::{
    ConfigScope, ConfigValidator, Controller, ControllerConfig, ControllerInput, ControllerOutput,
    ControllerReply, ControllerRequest, ControllerSettings, CreateTopics, Endpoint, IncarnationId,
    MetadataDelta, NewTopic, Recovered, RegisterBroker, SnapshotPolicy,
};
use chronik_model::config::{self, UpdateScope};
use chronik_model::{
    ErrorCode, LeaderEpoch, NodeId, Now, Offset, ProducerEpoch, ProducerId, TopicId, TopicPartition,
};
use chronik_protocol::ApiKey;
use chronik_protocol::messages::{
    Decodable, Encodable, StrBytes, TopicName, decode_response, encode_body,
};

use super::{Context, HandlerError, Outcome, Request, TABLE};
use crate::messages::{ActiveProducer, PartitionAnswer, PartitionOp, Peer};
use crate::view::{ClusterView, Identity, ViewBuilder};

const CORRELATION_ID: i32 = 4711;
const NEW_PRODUCER_ID: i64 = 5000;

/// The registry of keys, as the broker uses it.
#[derive(Debug)]
struct Keys;

impl ConfigValidator for Keys {
    fn topic(&self, key: &str, value: &str) -> Result<(), String> {
        let key = config::topic_key(key).ok_or_else(|| format!("unknown topic config {key}"))?;
        config::validate(key, value).map_err(|error| error.to_string())
    }

    fn broker(&self, key: &str, value: &str) -> Result<(), String> {
        let checked = config::check_dynamic_update(key, value, UpdateScope::ClusterDefault);
        checked.map_err(|error| error.to_string())
    }

    fn is_list(&self, _scope: ConfigScope, key: &str) -> bool {
        key == "cleanup.policy"
    }

    fn default_value(&self, _scope: ConfigScope, key: &str) -> Option<String> {
        config::topic_key(key)?.default.map(str::to_owned)
    }
}

/// Place of the listener that most requests come in on among [`endpoints`].
const CLIENTS: usize = 1;

/// What a broker registers, in the order of its listeners. Only broker 1 has the last one.
fn endpoints(id: u16, host: &str) -> Vec<Endpoint> {
    let endpoint = |listener: &str, port| Endpoint {
        listener: listener.to_owned(),
        host: host.to_owned(),
        port,
    };
    let mut all = vec![
        endpoint("INTERNAL", 8000 + id),
        endpoint("CLIENTS", 9000 + id),
    ];
    if id == 1 {
        all.push(endpoint("LONELY", 7001));
    }
    all
}

/// Brokers 1 and 2, of which 1 is this one and has the controller.
struct Cluster {
    controller: Controller,
    views: ViewBuilder,
    view: Arc<ClusterView>,
    identity: Identity,
    replies: BTreeMap<u64, ControllerReply>,
    /// The controller says this whatever it is asked.
    canned: Option<ControllerReply>,
}

impl Cluster {
    fn new(settings: &[(&str, &str)]) -> Self {
        let node_id = NodeId(1);
        let config = ControllerConfig {
            node_id,
            voters: vec![node_id],
            cluster_id: "test-cluster".to_owned(),
            seed: 7,
            settings: ControllerSettings {
                num_partitions: 2,
                ..ControllerSettings::default()
            },
            validator: Box::new(Keys),
            snapshots: SnapshotPolicy::default(),
        };
        let mut out = Vec::new();
        let controller = Controller::open(config, Recovered::default(), &mut out).unwrap();
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let settings = Arc::new(settings.iter().map(pair).collect());
        let mut views = ViewBuilder::new(node_id, settings);
        let view = views.build(Arc::clone(controller.image()), &MetadataDelta::default());
        let identity = Identity {
            node_id,
            cluster_id: "test-cluster".to_owned(),
            listeners: endpoints(1, "one.test"),
            rack: Some("left".to_owned()),
        };
        let replies = BTreeMap::new();
        let mut cluster = Self {
            controller,
            views,
            view,
            identity,
            replies,
            canned: None,
        };
        cluster.carry_out(out);
        cluster.register(1, "one.test");
        cluster.register(2, "two.test");
        cluster
    }

    fn register(&mut self, id: u16, host: &str) {
        self.ask(ControllerRequest::RegisterBroker(RegisterBroker {
            node_id: NodeId(i32::from(id)),
            cluster_id: "test-cluster".to_owned(),
            incarnation: IncarnationId([9; 16]),
            endpoints: endpoints(id, host),
            rack: None,
        }));
    }

    /// A topic with one partition led by each of `leaders`.
    fn create(&mut self, name: &str, leaders: &[i32], configs: &[(&str, &str)]) -> TopicId {
        let assignments = (0..).map(chronik_model::PartitionIndex).zip(leaders);
        let assignments = assignments.map(|(index, leader)| (index, vec![NodeId(*leader)]));
        let config = |(key, value): &(&str, &str)| ((*key).to_owned(), Some((*value).to_owned()));
        let topic = NewTopic {
            name: name.to_owned(),
            partitions: -1,
            replication_factor: -1,
            assignments: assignments.collect(),
            configs: configs.iter().map(config).collect(),
        };
        let topics = vec![topic];
        self.ask(ControllerRequest::CreateTopics(CreateTopics {
            topics,
            validate_only: false,
        }));
        self.view.image.topic_by_name(name).unwrap().id
    }

    fn ask(&mut self, request: ControllerRequest) -> ControllerReply {
        let ticket = 1;
        let mut out = Vec::new();
        self.controller.step(
            Now::default(),
            ControllerInput::Request { ticket, request },
            &mut out,
        );
        self.carry_out(out);
        self.replies.remove(&ticket).unwrap()
    }

    fn carry_out(&mut self, mut todo: Vec<ControllerOutput>) {
        while !todo.is_empty() {
            let mut more = Vec::new();
            for output in todo {
                self.carry_out_one(output, &mut more);
            }
            todo = more;
        }
    }

    fn carry_out_one(&mut self, output: ControllerOutput, more: &mut Vec<ControllerOutput>) {
        match output {
            ControllerOutput::Persist { sequence, .. } => {
                let persisted = ControllerInput::Persisted { sequence };
                self.controller.step(Now::default(), persisted, more);
            }
            ControllerOutput::Publish { image, delta } => {
                self.view = self.views.build(image, &delta);
            }
            ControllerOutput::Reply { ticket, reply, .. } => {
                self.replies.insert(ticket, reply);
            }
            ControllerOutput::Snapshot(_)
            | ControllerOutput::TruncateBefore { .. }
            | ControllerOutput::Send(_)
            | ControllerOutput::Halt { .. } => panic!("{output:?}"),
        }
    }

    /// Sends a request through the table and whatever its handler wants done, and reads the reply.
    fn call<Q: Encodable, A: Decodable>(&mut self, key: ApiKey, version: i16, request: &Q) -> A {
        let body = encode_body(version, request).unwrap();
        let outcome = handle(&self.view, &self.identity, key, version, &body);
        let frame = self.finish(outcome).unwrap();
        read_reply(&frame, key, version)
    }

    /// Sends a request that asks partitions, which answer this.
    fn call_with<Q: Encodable, A: Decodable>(
        &self,
        key: ApiKey,
        version: i16,
        request: &Q,
        answers: Vec<PartitionAnswer>,
    ) -> A {
        let body = encode_body(version, request).unwrap();
        let outcome = handle(&self.view, &self.identity, key, version, &body);
        let Outcome::Partitions(_, after) = outcome else {
            panic!("nobody is asked")
        };
        let frame = after(&context(&self.view, &self.identity), answers).unwrap();
        read_reply(&frame, key, version)
    }

    /// What a request has the partitions asked.
    fn operations<Q: Encodable>(
        &self,
        key: ApiKey,
        version: i16,
        request: &Q,
    ) -> Vec<(TopicPartition, PartitionOp)> {
        let body = encode_body(version, request).unwrap();
        match handle(&self.view, &self.identity, key, version, &body) {
            Outcome::Partitions(ops, _) => ops,
            Outcome::Reply(_) | Outcome::Controller(..) | Outcome::ProducerId(_) | Outcome::Hot => {
                panic!("nobody is asked")
            }
        }
    }

    fn finish(&mut self, outcome: Outcome) -> Result<Bytes, HandlerError> {
        match outcome {
            Outcome::Reply(frame) => Ok(frame),
            Outcome::Controller(request, after) => {
                let reply = self.canned.clone().unwrap_or_else(|| self.ask(request));
                after(&context(&self.view, &self.identity), reply)
            }
            Outcome::Partitions(ops, after) => {
                assert!(!ops.is_empty(), "nobody would finish the reply");
                let answers = ops
                    .iter()
                    .map(|(_, op)| partition_answer(op.clone()))
                    .collect();
                after(&context(&self.view, &self.identity), answers)
            }
            Outcome::ProducerId(after) => after(Ok(NEW_PRODUCER_ID)),
            Outcome::Hot => panic!("handled by the frontend"),
        }
    }
}

static NOBODY: std::sync::LazyLock<Peer> = std::sync::LazyLock::new(|| Peer {
    listener: CLIENTS,
    host: "127.0.0.1".into(),
});

fn context<'a>(view: &'a ClusterView, identity: &'a Identity) -> Context<'a> {
    Context {
        view,
        identity,
        peer: &NOBODY,
        now: Now::default(),
    }
}

fn handle(
    view: &ClusterView,
    identity: &Identity,
    key: ApiKey,
    version: i16,
    body: &Bytes,
) -> Outcome {
    let row = super::find(key.code()).unwrap();
    let request = Request {
        api_key: key,
        version,
        correlation_id: CORRELATION_ID,
        client_id: Some("test"),
        body,
    };
    (row.handler)(&context(view, identity), &request).unwrap()
}

/// What partitions say: the echo of the question.
fn partition_answer(op: PartitionOp) -> PartitionAnswer {
    match op {
        PartitionOp::ListOffset { timestamp, .. } => PartitionAnswer::Offset {
            offset: Offset(100 + timestamp),
            timestamp_ms: timestamp,
            leader_epoch: LeaderEpoch(3),
        },
        PartitionOp::DeleteRecords { before: Offset(-1) } => PartitionAnswer::LogStart(Offset(77)),
        PartitionOp::DeleteRecords { before } => PartitionAnswer::LogStart(before),
        PartitionOp::EpochEnd { epoch, .. } if epoch.0 < 0 => PartitionAnswer::EpochEnd(None),
        PartitionOp::EpochEnd { epoch, .. } => {
            let end = Offset(10 * i64::from(epoch.0));
            PartitionAnswer::EpochEnd(Some((epoch, end)))
        }
        PartitionOp::Size => PartitionAnswer::Size(1000),
        PartitionOp::Producers => PartitionAnswer::Producers(vec![ActiveProducer {
            producer_id: ProducerId(77),
            epoch: ProducerEpoch(3),
            last_sequence: 41,
            last_timestamp_ms: 1234,
        }]),
        PartitionOp::Group(request) => {
            PartitionAnswer::Group(Box::new(coordinator::answer(*request)))
        }
    }
}

/// Reads a whole reply frame.
fn read_reply<A: Decodable>(frame: &Bytes, key: ApiKey, version: i16) -> A {
    let size: [u8; 4] = frame[..4].try_into().unwrap();
    assert_eq!(
        usize::try_from(i32::from_be_bytes(size)).unwrap(),
        frame.len() - 4
    );
    let (correlation_id, response) =
        decode_response(&frame.slice(4..), key.code(), version).unwrap();
    assert_eq!(correlation_id, CORRELATION_ID);
    response
}

/// The versions of an API that are served.
fn versions(key: ApiKey) -> std::ops::RangeInclusive<i16> {
    let row = TABLE.iter().find(|row| row.key == key).unwrap();
    row.min_version..=row.max_version
}

fn name(name: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(name))
}

const NONE: i16 = ErrorCode::None.code();
const INVALID_REQUEST: i16 = ErrorCode::InvalidRequest.code();
const UNKNOWN_TOPIC: i16 = ErrorCode::UnknownTopicOrPartition.code();
