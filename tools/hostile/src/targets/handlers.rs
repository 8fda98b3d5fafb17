//! Whole requests through a whole broker, and a good client beside them.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use chronik_model::TopicId;
use chronik_model::rng::Rng;
use chronik_node::api::served_versions;
use chronik_node::{ClusterView, ConnectionId, Pieces};
use chronik_protocol::produce::ProduceRequest;
use chronik_protocol::{ApiKey, RequestHeader};

use super::{samples, wire};
use crate::allocator::measure;
use crate::chance::{index, one_in, pick};
use crate::mutate::mutate;
use crate::node::{MemoryDisk, Node, Told};
use crate::requests::{Api, Requests, TOPICS};
use crate::target::{Failure, Handled, Target, four_times};

/// The topic of the good client, which hostile ones do not name.
const GOOD_TOPIC: &str = "good";
/// What a broker may take for a request beyond four times its bytes: its own reply, which lists what
/// there is, a journal chunk, a ring file that grows, structs of small elements.
const CONSTANT_BYTES: u64 = 24 << 20;
/// What a partition takes that a request has created: a log, its place in metadata, its first records.
const PARTITION_BYTES: u64 = 8 << 10;
/// A broker with more partitions is slow, and gives way to a new one.
const MOST_PARTITIONS: usize = 2_000;
/// Requests that may wait before the hostile client hangs up.
const MOST_WAITING: usize = 8;
/// Frames between jumps of the clock.
const FRAMES_PER_JUMP: u64 = 64;
/// How far it jumps: beyond any session, deadline or rebalance.
const JUMP_MS: i64 = 400_000;

/// See the module. An input is a frame.
#[derive(Debug)]
pub(super) struct Handlers {
    requests: Requests,
    batches: Vec<Vec<u8>>,
    alive: Option<Alive>,
}

#[derive(Debug)]
struct Alive {
    node: Node,
    hostile: Client,
    good: Client,
    /// What the good client sends in turn.
    turns: Vec<(ApiKey, i16, Bytes)>,
    frames: u64,
    /// Metadata after the last frame, and the partitions in it.
    view: Arc<ClusterView>,
    partitions: usize,
}

impl Handlers {
    pub(super) fn new() -> Self {
        Self {
            requests: Requests::new(samples::batches()),
            batches: samples::batches(),
            alive: None,
        }
    }

    fn alive(&mut self) -> Result<&mut Alive, Failure> {
        if self.alive.is_none() {
            let alive = Alive::start()?;
            self.requests.topic_ids = alive.good.topic_ids(&alive.node);
            self.requests.members.clear();
            self.alive = Some(alive);
        }
        self.alive.as_mut().ok_or_else(|| "no broker".to_owned())
    }

    fn request(&mut self, rng: &mut Rng) -> Vec<u8> {
        let at = index(rng, self.requests.apis.len());
        let api = self.requests.apis[at].clone();
        if api.key == ApiKey::Produce && one_in(rng, 2) {
            let damaged = samples::damaged_batch(rng, &self.batches);
            let kept = std::mem::replace(&mut self.requests.batches, vec![damaged]);
            let frame = self.requests.write(&api, 1, rng);
            self.requests.batches = kept;
            return frame;
        }
        self.requests.write(&api, 1, rng)
    }
}

impl Target for Handlers {
    fn name(&self) -> &'static str {
        "handlers"
    }

    fn generate(&mut self, rng: &mut Rng) -> Vec<u8> {
        let learned = self
            .alive
            .as_mut()
            .map(|alive| std::mem::take(&mut alive.hostile.members));
        self.requests.members.extend(learned.unwrap_or_default());
        let mut frame = self.request(rng);
        if !one_in(rng, 4) {
            let other = self.request(rng);
            mutate(rng, &mut frame, &other);
        }
        frame
    }

    fn run(&mut self, input: &[u8]) -> Result<Handled, Failure> {
        let alive = self.alive()?;
        let result = alive.handle(input);
        if result.is_err() || alive.partitions > MOST_PARTITIONS {
            self.alive = None;
        }
        result
    }

    fn reset(&mut self) {
        self.alive = None;
    }

    fn remembers(&self) -> bool {
        true
    }

    fn allowance(&self, length: usize) -> u64 {
        four_times(length) + CONSTANT_BYTES
    }
}

impl Alive {
    fn start() -> Result<Self, Failure> {
        let mut node = Node::start(MemoryDisk::default())?;
        let mut good = Client::new(&mut node);
        for name in TOPICS.into_iter().chain([GOOD_TOPIC]) {
            good.create_topic(&mut node, name);
        }
        let hostile = Client::new(&mut node);
        let turns = turns(&good.topic_ids(&node));
        let view = node.view().cloned().ok_or("no metadata")?;
        Ok(Self {
            partitions: view.partitions().count(),
            view,
            node,
            hostile,
            good,
            turns,
            frames: 0,
        })
    }

    fn handle(&mut self, input: &[u8]) -> Result<Handled, Failure> {
        let frame = Bytes::copy_from_slice(input);
        let (sent, held) = measure(|| self.node.frame(self.hostile.id, frame.clone()));
        sent?;
        self.hostile.expect(&frame);
        let closed = self.hear()?;
        if closed || self.hostile.expected.len() > MOST_WAITING {
            self.node.hang_up(self.hostile.id);
            self.hostile = Client::new(&mut self.node);
        }
        self.frames += 1;
        if self.frames.is_multiple_of(FRAMES_PER_JUMP) {
            self.jump()?;
        }
        self.serve_the_good_one()?;
        let created = self.created();
        Ok(Handled {
            accepted: !closed,
            held: held.saturating_sub(created * PARTITION_BYTES),
        })
    }

    /// Partitions that there are since the last call.
    fn created(&mut self) -> u64 {
        let Some(view) = self
            .node
            .view()
            .filter(|view| !Arc::ptr_eq(view, &self.view))
        else {
            return 0;
        };
        self.view = Arc::clone(view);
        let before = std::mem::replace(&mut self.partitions, self.view.partitions().count());
        u64::try_from(self.partitions.saturating_sub(before)).unwrap_or(0)
    }

    /// Takes what was told; true when the hostile connection was closed.
    fn hear(&mut self) -> Result<bool, Failure> {
        let mut closed = false;
        for told in self.node.take_told() {
            match told {
                Told::Reply(id, pieces) if id == self.hostile.id => self.hostile.take(pieces)?,
                Told::Reply(id, pieces) if id == self.good.id => self.good.take(pieces)?,
                Told::Reply(id, _) => return Err(format!("a reply on {id:?}, which is closed")),
                Told::Closed(id, _) if id == self.hostile.id => closed = true,
                Told::Closed(id, reason) if id == self.good.id => {
                    return Err(format!("the good client lost its connection: {reason}"));
                }
                Told::Closed(..) => {}
            }
        }
        Ok(closed)
    }

    /// Whatever waits is answered by the time that its deadline has passed, but for a fetch that waits
    /// for days.
    fn jump(&mut self) -> Result<(), Failure> {
        self.node.pass(JUMP_MS)?;
        if self.hear()? {
            self.node.hang_up(self.hostile.id);
            self.hostile = Client::new(&mut self.node);
        }
        Ok(())
    }

    fn serve_the_good_one(&mut self) -> Result<(), Failure> {
        let turn = usize::try_from(self.frames).unwrap_or(0) % self.turns.len();
        let (key, version, frame) = self.turns[turn].clone();
        self.node.frame(self.good.id, frame.clone())?;
        self.good.expect(&frame);
        self.hear()?;
        if self.good.expected.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{key} v{version} of the good client was not answered"
        ))
    }
}

/// Well-formed requests of APIs that everybody needs, which do not wait for anything.
fn turns(topic_ids: &[TopicId]) -> Vec<(ApiKey, i16, Bytes)> {
    let mut requests = Requests::new(samples::batches());
    requests.topic_ids = topic_ids.to_vec();
    let mut rng = Rng::new(3);
    let wanted = [
        ApiKey::ApiVersions,
        ApiKey::Metadata,
        ApiKey::ListOffsets,
        ApiKey::OffsetFetch,
    ];
    let apis: Vec<Api> = requests
        .apis
        .iter()
        .filter(|api| wanted.contains(&api.key))
        .cloned()
        .collect();
    let mut turns: Vec<_> = apis
        .iter()
        .map(|api| {
            (
                api.key,
                api.version,
                Bytes::from(requests.write(api, 9, &mut rng)),
            )
        })
        .collect();
    let batches = samples::batches();
    for number in 0..turns.len() / 4 {
        let frame = produce_frame(GOOD_TOPIC, pick::<Vec<u8>>(&mut rng, &batches));
        turns.insert(number * 5, (ApiKey::Produce, PRODUCE_VERSION, frame));
    }
    turns
}

const PRODUCE_VERSION: i16 = 3;
const CREATE_TOPICS_VERSION: i16 = 4;

/// A Produce request for partition 0 of a topic.
fn produce_frame(topic: &str, batch: &[u8]) -> Bytes {
    let mut body = header(ApiKey::Produce, PRODUCE_VERSION);
    body.extend((-1i16).to_be_bytes());
    body.extend((-1i16).to_be_bytes());
    body.extend(30_000i32.to_be_bytes());
    body.extend(1i32.to_be_bytes());
    body.extend(short_string(topic));
    body.extend(1i32.to_be_bytes());
    body.extend(0i32.to_be_bytes());
    body.extend(i32::try_from(batch.len()).unwrap_or(0).to_be_bytes());
    body.extend(batch);
    body.into()
}

fn create_topic_frame(name: &str) -> Bytes {
    let mut body = header(ApiKey::CreateTopics, CREATE_TOPICS_VERSION);
    body.extend(1i32.to_be_bytes());
    body.extend(short_string(name));
    body.extend(2i32.to_be_bytes());
    body.extend(1i16.to_be_bytes());
    body.extend(0i32.to_be_bytes());
    body.extend(0i32.to_be_bytes());
    body.extend(30_000i32.to_be_bytes());
    body.push(0);
    body.into()
}

fn header(key: ApiKey, version: i16) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(key.code().to_be_bytes());
    out.extend(version.to_be_bytes());
    out.extend(77i32.to_be_bytes());
    out.extend(short_string("good"));
    out
}

fn short_string(text: &str) -> Vec<u8> {
    let mut out = i16::try_from(text.len())
        .unwrap_or(0)
        .to_be_bytes()
        .to_vec();
    out.extend(text.bytes());
    out
}

/// One connection's client: what it waits for, in order.
#[derive(Debug)]
pub(super) struct Client {
    id: ConnectionId,
    expected: VecDeque<Expected>,
    /// Member ids that it was given.
    members: Vec<String>,
}

#[derive(Debug)]
struct Expected {
    correlation_id: i32,
    /// What the reply is of, if it is of a version that is served.
    form: Option<(ApiKey, i16)>,
}

impl Client {
    /// Connects.
    pub(super) fn new(node: &mut Node) -> Self {
        Self {
            id: node.connect(),
            expected: VecDeque::new(),
            members: Vec::new(),
        }
    }

    /// Sends a frame and drops what comes back.
    ///
    /// # Panics
    /// The broker stops.
    pub(super) fn send(&mut self, node: &mut Node, frame: Bytes) {
        node.frame(self.id, frame).expect("the broker goes on");
        for told in node.take_told() {
            if matches!(told, Told::Closed(id, _) if id == self.id) {
                self.id = node.connect();
            }
        }
    }

    /// Creates a topic of two partitions.
    pub(super) fn create_topic(&mut self, node: &mut Node, name: &str) {
        self.send(node, create_topic_frame(name));
    }

    /// Produces a batch to partition 0.
    pub(super) fn produce(&mut self, node: &mut Node, topic: &str, batch: &[u8]) {
        self.send(node, produce_frame(topic, batch));
    }

    /// Ids of [`TOPICS`].
    #[must_use]
    pub(super) fn topic_ids(&self, node: &Node) -> Vec<TopicId> {
        let image = node.view().map(|view| &view.image);
        let topics = TOPICS.iter().filter_map(|name| image?.topic_by_name(name));
        topics.map(|topic| topic.id).collect()
    }

    /// Notes what must come back for a frame.
    fn expect(&mut self, frame: &Bytes) {
        let Ok((header, body)) = RequestHeader::decode(frame) else {
            return;
        };
        let served = served_versions();
        let row = served
            .iter()
            .find(|row| row.api_key.code() == header.api_key);
        let form = row.filter(|row| row.contains(header.api_version));
        let form = form.map(|row| (row.api_key, header.api_version));
        if let Some((ApiKey::Produce, version)) = form {
            let unanswered = ProduceRequest::decode(&body, version).is_ok_and(|it| it.acks == 0);
            if unanswered {
                return;
            }
        }
        self.expected.push_back(Expected {
            correlation_id: header.correlation_id,
            form,
        });
    }

    /// Takes a reply, which must be that of the oldest request without one.
    fn take(&mut self, pieces: Pieces) -> Result<(), Failure> {
        let frame = joined(pieces)?;
        let expected = self
            .expected
            .pop_front()
            .ok_or("a reply that nobody asked for")?;
        let told = match expected.form {
            Some((key, version)) => wire::read_reply(key, version, &frame)
                .map_err(|error| format!("the reply of {key} v{version}: {error}"))?,
            None => wire::correlation_id(&frame)?,
        };
        if told != expected.correlation_id {
            return Err(format!(
                "{told} is answered where {} is due",
                expected.correlation_id
            ));
        }
        if let Some((ApiKey::JoinGroup, version @ 2..=5)) = expected.form {
            self.members.extend(member_id(&frame, version));
        }
        Ok(())
    }
}

/// The member id in a JoinGroup reply.
fn member_id(frame: &Bytes, version: i16) -> Option<String> {
    let reply = chronik_protocol::messages::decode_response::<
        chronik_protocol::messages::JoinGroupResponse,
    >(frame, ApiKey::JoinGroup.code(), version);
    let (_, reply) = reply.ok()?;
    Some(reply.member_id.to_string()).filter(|id| !id.is_empty())
}

/// A whole reply without its length prefix, which must be right.
fn joined(pieces: Pieces) -> Result<Bytes, Failure> {
    let frame = pieces.joined().ok_or("a reply that lies in a file")?;
    let size = frame.first_chunk().copied().map(i32::from_be_bytes);
    let size = size.and_then(|size| usize::try_from(size).ok());
    if size.is_none_or(|size| size + 4 != frame.len()) {
        return Err(format!("a reply of {} bytes says {size:?}", frame.len()));
    }
    Ok(frame.slice(4..))
}
