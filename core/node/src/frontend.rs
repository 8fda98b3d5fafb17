//! The connections of one event loop: requests in, replies out in request order.
//!
//! Requests pipeline: the next one is parsed before the last one's records are durable. Each request
//! takes a slot of its connection; replies leave from the front of the slots only. A request that
//! waits for the controller is a barrier: later ones of its connection wait in the backlog.

mod connection;
mod slots;
mod timers;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronik_controller::{ControllerReply, ControllerRequest};
use chronik_model::compression::Decompressor;
use chronik_model::{ErrorCode, Mono, Now, Offset};
use chronik_protocol::ApiVersionRange;

use crate::api::fetch::FetchSessions;
use crate::api::produce::ProduceBuffers;
use crate::api::{Context, HandlerError, Outcome, Request};
use crate::messages::{
    ConnectionId, FrontendId, Peer, Pieces, ShardId, ShardReply, ShardRequest, Ticket,
};
use crate::view::{ClusterView, Identity};
use connection::Connection;
pub(crate) use slots::Slot;
use timers::Timers;

/// How a frontend is set up.
#[derive(Debug, Clone)]
pub struct FrontendConfig {
    /// Which frontend this is.
    pub id: FrontendId,
    /// Shards of the broker.
    pub shard_count: u16,
    /// Who the broker is.
    pub identity: Arc<Identity>,
    /// Requests of one connection that may wait for their replies.
    pub max_pipelined: usize,
}

/// What a frontend is told.
#[derive(Debug)]
pub enum FrontendInput {
    /// A connection was accepted.
    Connected(ConnectionId, Peer),
    /// A whole request frame arrived, without its length prefix.
    Frame(ConnectionId, Bytes),
    /// The peer is gone.
    Closed(ConnectionId),
    /// A shard answers.
    Shard(ShardReply),
    /// The controller answers; the answer holds in views of at least this offset.
    Controller(Ticket, ControllerReply, Offset),
    /// Producer ids to hand out; none when there are none to be had.
    ProducerIds(std::ops::Range<i64>),
    /// New metadata, which the shards have acted on.
    View(Arc<ClusterView>),
    /// A deadline passed.
    Tick,
}

/// What a frontend wants done.
#[derive(Debug)]
pub enum FrontendOutput {
    /// Write to the connection.
    Send(ConnectionId, Pieces),
    /// Close the connection after what was written.
    Close(ConnectionId, CloseReason),
    /// The connection has room for requests again.
    Resume(ConnectionId),
    /// Ask a shard.
    Shard(ShardId, ShardRequest),
    /// Ask the controller.
    Controller(Ticket, ControllerRequest),
    /// Ask for producer ids.
    ProducerIds,
}

/// Why a frontend closes a connection, for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The bytes are no request that could be answered.
    #[error("{0}")]
    Malformed(String),
    /// A produce with acks=0 failed; closing is the only way to say so.
    #[error("a produce request with acks=0 failed: {0}")]
    UnacknowledgedFailure(ErrorCode),
}

/// What one request did, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observation {
    /// A produce was answered without an error.
    Produced {
        /// Acknowledgements that it asked for.
        acks: i16,
        /// Records in it.
        records: u64,
        /// Bytes of its batches.
        bytes: u64,
        /// From the arrival of the request to its reply.
        took: Duration,
    },
    /// A produce was answered with an error for at least one partition.
    ProduceFailed {
        /// Bytes of its batches.
        bytes: u64,
    },
    /// A fetch was answered.
    Fetched {
        /// Bytes of record batches.
        bytes: u64,
        /// Whether a partition was answered with an error.
        failed: bool,
    },
    /// A request could not be answered.
    Malformed,
}

/// See the module.
#[derive(Debug)]
pub struct Frontend {
    config: FrontendConfig,
    view: Arc<ClusterView>,
    served: Vec<ApiVersionRange>,
    connections: Vec<Option<Connection>>,
    timers: Timers,
    sessions: FetchSessions,
    scratch: Decompressor,
    /// Controller answers that hold in a later view than this frontend's.
    early: VecDeque<(Ticket, ControllerReply, Offset)>,
    producer_ids: std::ops::Range<i64>,
    wants_producer_id: VecDeque<Ticket>,
    producer_ids_asked: bool,
    observations: Vec<Observation>,
    produce_buffers: ProduceBuffers,
    /// The peer of a connection that is gone.
    nobody: Arc<Peer>,
}

impl Frontend {
    /// A frontend without connections.
    #[must_use]
    pub fn new(config: FrontendConfig, view: Arc<ClusterView>) -> Self {
        let sessions = FetchSessions::new(config.id, session_slots(&view));
        Self {
            config,
            view,
            served: crate::api::served_versions(),
            connections: Vec::new(),
            timers: Timers::default(),
            sessions,
            scratch: Decompressor::default(),
            early: VecDeque::new(),
            producer_ids: 0..0,
            wants_producer_id: VecDeque::new(),
            producer_ids_asked: false,
            observations: Vec::new(),
            produce_buffers: ProduceBuffers::default(),
            nobody: Arc::new(Peer {
                listener: 0,
                host: "".into(),
            }),
        }
    }

    /// Takes one input; what is to be done goes to `out`.
    pub fn step(&mut self, now: Now, input: FrontendInput, out: &mut Vec<FrontendOutput>) {
        match input {
            FrontendInput::Connected(id, peer) => self.connected(id, peer),
            FrontendInput::Frame(id, frame) => self.frame(now, id, frame, out),
            FrontendInput::Closed(id) => self.closed(id, out),
            FrontendInput::Shard(reply) => self.shard_reply(now, reply, out),
            FrontendInput::Controller(ticket, reply, offset) => {
                if self.view.image.offset() >= offset {
                    self.controller_reply(now, ticket, reply, out);
                } else {
                    self.early.push_back((ticket, reply, offset));
                }
            }
            FrontendInput::ProducerIds(ids) => self.take_producer_ids(ids, out),
            FrontendInput::View(view) => self.apply_view(now, view, out),
            FrontendInput::Tick => self.tick(now, out),
        }
    }

    /// When [`FrontendInput::Tick`] is wanted.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// Whether the connection may hand in another request now. A `false` is followed by a
    /// [`FrontendOutput::Resume`].
    pub fn accepts(&mut self, id: ConnectionId) -> bool {
        let limit = self.config.max_pipelined;
        self.connection(id)
            .is_none_or(|connection| connection.accepts(limit))
    }

    /// Whether requests of the connection wait behind one that the controller decides.
    pub fn holds_back(&mut self, id: ConnectionId) -> bool {
        self.connection(id)
            .is_some_and(|connection| connection.barrier)
    }

    /// What was observed since the last call.
    pub fn take_observations(&mut self) -> std::vec::Drain<'_, Observation> {
        self.observations.drain(..)
    }

    pub(crate) fn observe(&mut self, observation: Observation) {
        self.observations.push(observation);
    }

    /// How this frontend is set up.
    #[must_use]
    pub const fn config(&self) -> &FrontendConfig {
        &self.config
    }

    pub(crate) const fn view(&self) -> &Arc<ClusterView> {
        &self.view
    }

    pub(crate) const fn scratch(&mut self) -> &mut Decompressor {
        &mut self.scratch
    }

    pub(crate) const fn sessions(&mut self) -> &mut FetchSessions {
        &mut self.sessions
    }

    pub(crate) fn arm(&mut self, at: Mono, ticket: Ticket) {
        self.timers.arm(at, ticket);
    }

    /// The slot of a request in flight.
    pub(crate) fn slot(&mut self, ticket: Ticket) -> Option<&mut Slot> {
        self.connection(ticket.connection)?.slot(ticket.request)
    }

    /// The same, and what responses are written with.
    pub(crate) fn slot_and_buffers(
        &mut self,
        ticket: Ticket,
    ) -> (Option<&mut Slot>, &mut ProduceBuffers) {
        let place = self.connections.get_mut(ticket.connection.index as usize);
        let connection = place.and_then(Option::as_mut);
        let slot = connection
            .filter(|connection| connection.id == ticket.connection)
            .and_then(|connection| connection.slot(ticket.request));
        (slot, &mut self.produce_buffers)
    }

    pub(crate) const fn produce_buffers(&mut self) -> &mut ProduceBuffers {
        &mut self.produce_buffers
    }

    fn connected(&mut self, id: ConnectionId, peer: Peer) {
        let index = id.index as usize;
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        if let Some(place) = self.connections.get_mut(index) {
            *place = Some(Connection::new(id, Arc::new(peer)));
        }
    }

    fn closed(&mut self, id: ConnectionId, out: &mut Vec<FrontendOutput>) {
        let Some(place) = self.connections.get_mut(id.index as usize) else {
            return;
        };
        let Some(connection) = place.take_if(|connection| connection.id == id) else {
            return;
        };
        for (request, slot) in connection.waiting_fetches() {
            let ticket = Ticket {
                frontend: self.config.id,
                connection: id,
                request,
            };
            for shard in slot.shards() {
                out.push(FrontendOutput::Shard(
                    shard,
                    ShardRequest::CancelFetch(ticket),
                ));
            }
        }
    }

    fn peer(&mut self, id: ConnectionId) -> Arc<Peer> {
        let known = self.connection(id).map(|it| Arc::clone(&it.peer));
        known.unwrap_or_else(|| Arc::clone(&self.nobody))
    }

    fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let place = self.connections.get_mut(id.index as usize)?;
        place.as_mut().filter(|connection| connection.id == id)
    }

    fn frame(&mut self, now: Now, id: ConnectionId, frame: Bytes, out: &mut Vec<FrontendOutput>) {
        let Some(connection) = self.connection(id) else {
            return;
        };
        if connection.barrier {
            connection.backlog.push_back(frame);
            return;
        }
        if let Err(reason) = self.request(now, id, &frame, out) {
            self.observe(Observation::Malformed);
            out.push(FrontendOutput::Close(id, reason));
        }
        self.send_ready(id, out);
    }

    fn request(
        &mut self,
        now: Now,
        id: ConnectionId,
        frame: &Bytes,
        out: &mut Vec<FrontendOutput>,
    ) -> Result<(), CloseReason> {
        let malformed = |error: &dyn std::fmt::Display| CloseReason::Malformed(error.to_string());
        let (header, body) =
            chronik_protocol::RequestHeader::decode(frame).map_err(|error| malformed(&error))?;
        let row = crate::api::find(header.api_key);
        let known =
            row.filter(|row| (row.min_version..=row.max_version).contains(&header.api_version));
        let Some(row) = known else {
            let refusal =
                chronik_protocol::unsupported::unsupported_version_response(&header, &self.served);
            let refusal = refusal.map_err(|error| malformed(&error))?;
            let refusal = refusal.ok_or_else(|| {
                let client = header.client_id.unwrap_or("unnamed client");
                let (key, version) = (header.api_key, header.api_version);
                CloseReason::Malformed(format!("{client} asked for api {key} version {version}"))
            })?;
            self.push(id, Slot::Ready(Pieces::One(refusal)));
            return Ok(());
        };
        let request = Request {
            api_key: row.key,
            version: header.api_version,
            correlation_id: header.correlation_id,
            client_id: header.client_id,
            body: &body,
        };
        let handled = if row.key == chronik_protocol::ApiKey::Produce {
            self.produce(now, id, &request, out)?
        } else if row.key == chronik_protocol::ApiKey::Fetch {
            self.fetch(now, id, &request, out)
        } else {
            let (view, peer) = (Arc::clone(&self.view), self.peer(id));
            let context = Context {
                view: &view,
                identity: &self.config.identity,
                peer: &peer,
                now,
            };
            (row.handler)(&context, &request).map(|outcome| self.start(now, id, outcome, out))
        };
        handled.map_err(|error| {
            let client = header.client_id.unwrap_or("unnamed client");
            CloseReason::Malformed(format!(
                "{} v{} of {client}: {error}",
                row.key.name(),
                header.api_version
            ))
        })
    }

    /// Does what a handler decided.
    fn start(
        &mut self,
        now: Now,
        id: ConnectionId,
        outcome: Outcome,
        out: &mut Vec<FrontendOutput>,
    ) {
        match outcome {
            Outcome::Reply(frame) => {
                self.push(id, Slot::Ready(Pieces::One(frame)));
            }
            Outcome::Controller(request, finish) => {
                if let Some(ticket) = self.push(id, Slot::Controller(finish)) {
                    if let Some(connection) = self.connection(id) {
                        connection.barrier = true;
                    }
                    out.push(FrontendOutput::Controller(ticket, request));
                }
            }
            Outcome::Partitions(operations, finish) => {
                self.start_partitions(now, id, operations, finish, out);
            }
            Outcome::ProducerId(finish) => {
                if let Some(ticket) = self.push(id, Slot::ProducerId(finish)) {
                    self.wants_producer_id.push_back(ticket);
                    self.hand_out_producer_ids(out);
                }
            }
            Outcome::Hot => {}
        }
    }

    /// Takes the next slot of a connection.
    pub(crate) fn push(&mut self, id: ConnectionId, slot: Slot) -> Option<Ticket> {
        let frontend = self.config.id;
        let connection = self.connection(id)?;
        let request = connection.push(slot);
        Some(Ticket {
            frontend,
            connection: id,
            request,
        })
    }

    /// Fills a slot with its reply.
    pub(crate) fn fill(
        &mut self,
        ticket: Ticket,
        reply: Result<Pieces, HandlerError>,
        out: &mut Vec<FrontendOutput>,
    ) {
        let id = ticket.connection;
        match reply {
            Ok(pieces) => {
                if let Some(slot) = self.connection(id).and_then(|it| it.slot(ticket.request)) {
                    *slot = Slot::Ready(pieces);
                }
            }
            Err(error) => {
                if let Some(slot) = self.slot(ticket) {
                    *slot = Slot::Busy;
                }
                out.push(FrontendOutput::Close(
                    id,
                    CloseReason::Malformed(error.to_string()),
                ));
            }
        }
        self.send_ready(id, out);
    }

    /// Sends the replies at the front of the connection's slots.
    fn send_ready(&mut self, id: ConnectionId, out: &mut Vec<FrontendOutput>) {
        let limit = self.config.max_pipelined;
        let Some(connection) = self.connection(id) else {
            return;
        };
        while let Some(pieces) = connection.take_ready() {
            out.push(FrontendOutput::Send(id, pieces));
        }
        if connection.resumes(limit) {
            out.push(FrontendOutput::Resume(id));
        }
    }

    fn shard_reply(&mut self, now: Now, reply: ShardReply, out: &mut Vec<FrontendOutput>) {
        match reply {
            ShardReply::Produced {
                ticket,
                part,
                result,
            } => {
                self.produced(now, ticket, part, result, out);
            }
            ShardReply::Fetched { ticket, parts } => self.fetched(now, ticket, parts, out),
            ShardReply::FetchReady(ticket) => self.fetch_ready(now, ticket, out),
            ShardReply::Partition {
                ticket,
                part,
                answer,
            } => {
                self.partition_answer(now, ticket, part, answer, out);
            }
        }
    }

    fn controller_reply(
        &mut self,
        now: Now,
        ticket: Ticket,
        reply: ControllerReply,
        out: &mut Vec<FrontendOutput>,
    ) {
        let id = ticket.connection;
        let Some(finish) = self.slot(ticket).and_then(Slot::take_controller) else {
            return;
        };
        let (view, peer) = (Arc::clone(&self.view), self.peer(id));
        let context = Context {
            view: &view,
            identity: &self.config.identity,
            peer: &peer,
            now,
        };
        let frame = finish(&context, reply).map(Pieces::One);
        self.fill(ticket, frame, out);
        self.lower_barrier(now, id, out);
    }

    /// Works off what waited behind a barrier, up to the next one.
    fn lower_barrier(&mut self, now: Now, id: ConnectionId, out: &mut Vec<FrontendOutput>) {
        if let Some(connection) = self.connection(id) {
            connection.barrier = false;
        }
        while let Some(connection) = self.connection(id) {
            if connection.barrier {
                return;
            }
            let Some(frame) = connection.backlog.pop_front() else {
                return;
            };
            self.frame(now, id, frame, out);
        }
    }

    fn take_producer_ids(&mut self, ids: std::ops::Range<i64>, out: &mut Vec<FrontendOutput>) {
        self.producer_ids_asked = false;
        if ids.is_empty() {
            for ticket in std::mem::take(&mut self.wants_producer_id) {
                self.answer_producer_id(ticket, Err(ErrorCode::CoordinatorLoadInProgress), out);
            }
            return;
        }
        self.producer_ids = ids;
        self.hand_out_producer_ids(out);
    }

    fn hand_out_producer_ids(&mut self, out: &mut Vec<FrontendOutput>) {
        while let Some(ticket) = self.wants_producer_id.front().copied() {
            let Some(id) = self.producer_ids.next() else {
                if !std::mem::replace(&mut self.producer_ids_asked, true) {
                    out.push(FrontendOutput::ProducerIds);
                }
                return;
            };
            self.wants_producer_id.pop_front();
            self.answer_producer_id(ticket, Ok(id), out);
        }
    }

    fn answer_producer_id(
        &mut self,
        ticket: Ticket,
        id: Result<i64, ErrorCode>,
        out: &mut Vec<FrontendOutput>,
    ) {
        if let Some(finish) = self.slot(ticket).and_then(Slot::take_producer_id) {
            let frame = finish(id).map(Pieces::One);
            self.fill(ticket, frame, out);
        }
    }

    fn apply_view(&mut self, now: Now, view: Arc<ClusterView>, out: &mut Vec<FrontendOutput>) {
        self.view = view;
        let offset = self.view.image.offset();
        for (ticket, reply, at) in std::mem::take(&mut self.early) {
            if at <= offset {
                self.controller_reply(now, ticket, reply, out);
            } else {
                self.early.push_back((ticket, reply, at));
            }
        }
    }

    fn tick(&mut self, now: Now, out: &mut Vec<FrontendOutput>) {
        while let Some(ticket) = self.timers.pop_due(now.mono) {
            if matches!(self.slot(ticket), Some(Slot::Fetch(_))) {
                self.fetch_expired(now, ticket, out);
            } else {
                self.time_produces(now, ticket.connection, out);
            }
        }
    }

    /// Makes sure that a timer runs for the oldest produce of a connection: one, however many are in
    /// flight, as they give up in the order in which they came, or nearly so.
    pub(crate) fn watch_produce(&mut self, ticket: Ticket) {
        let Some(connection) = self.connection(ticket.connection) else {
            return;
        };
        if connection.produce_timed {
            return;
        }
        if let Some((request, deadline)) = connection.oldest_produce() {
            connection.produce_timed = true;
            self.timers.arm(deadline, Ticket { request, ..ticket });
        }
    }

    /// Answers produces whose clients give up now, and times the next one.
    fn time_produces(&mut self, now: Now, id: ConnectionId, out: &mut Vec<FrontendOutput>) {
        let frontend = self.config.id;
        while let Some(connection) = self.connection(id) {
            let Some((request, deadline)) = connection.oldest_produce() else {
                connection.produce_timed = false;
                return;
            };
            let ticket = Ticket {
                frontend,
                connection: id,
                request,
            };
            if deadline > now.mono {
                connection.produce_timed = true;
                self.timers.arm(deadline, ticket);
                return;
            }
            self.produce_expired(now, ticket, out);
        }
    }
}

fn session_slots(view: &ClusterView) -> usize {
    view.broker
        .network
        .max_incremental_fetch_session_cache_slots
}
