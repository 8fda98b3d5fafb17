//! One event loop per core: accepts, reads, steps its frontend and the shards, writes.
//!
//! Everything that one turn has to say to a connection leaves with one write at the end of the turn;
//! writability is asked for only when the socket takes no more.

mod connection;
mod memory;
mod output;
mod receive;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chronik_model::{Mono, Now};
use chronik_node::{
    ConnectionId, FetchParts, Frontend, FrontendInput, FrontendOutput, Observation, Peer,
    QuorumInput, ShardId, ShardInput, ShardReply, ShardRequest,
};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::hub::{Hub, LoopHandle, LoopMessage};
use crate::logging::RepeatLimit;
use crate::metrics::{AcksLabel, LoopCounters};
use connection::{Connection, Flushed};

const WAKER: Token = Token(usize::MAX);
/// Tokens from here on are listeners, those below connections.
const FIRST_LISTENER: usize = usize::MAX / 2;
/// Bytes of one read.
const READ_BYTES: usize = 64 << 10;
/// Reads of one connection in one turn, so that others get theirs.
const READS_PER_TURN: usize = 8;
/// The same reason for closing connections is logged once in this time.
const REPEAT_INTERVAL: Duration = Duration::from_secs(10);
/// How often connections are looked at for idleness.
const IDLE_SWEEP: Duration = Duration::from_secs(30);

/// How a loop is set up.
#[derive(Debug)]
pub(crate) struct LoopConfig {
    pub(crate) index: usize,
    pub(crate) loop_count: usize,
    pub(crate) max_frame_bytes: u32,
    pub(crate) max_connections: usize,
    pub(crate) idle: Option<Duration>,
}

/// See the module.
pub(crate) struct EventLoop {
    config: LoopConfig,
    hub: Arc<Hub>,
    handle: Arc<LoopHandle>,
    poll: Poll,
    listeners: Vec<TcpListener>,
    frontend: Frontend,
    connections: Vec<Option<Connection>>,
    free: Vec<u32>,
    generation: u32,
    next_loop: usize,
    scratch: BytesMut,
    /// Connections with output of this turn.
    dirty: Vec<u32>,
    /// Connections that have more to read than this turn took.
    unread: VecDeque<ConnectionId>,
    /// Shards that were asked for something this turn.
    touched: Vec<bool>,
    /// Requests that shards got this turn.
    asked: usize,
    /// Empty, with memory that is used again: messages of others, and what a step leads to.
    messages: Vec<LoopMessage>,
    inputs: VecDeque<FrontendInput>,
    outputs: Vec<FrontendOutput>,
    replies: Vec<ShardReply>,
    counters: Arc<LoopCounters>,
    next_sweep: Mono,
    /// Fetches that wait for memory, in order.
    held_back: VecDeque<(ShardId, FetchParts)>,
    /// Connections whose request stands in line for memory.
    queued: usize,
    next_stall_check: Mono,
    /// When the turn before this one ended.
    last_turn: Mono,
    closings: RepeatLimit<String>,
    draining: bool,
    stopped: bool,
}

impl EventLoop {
    /// A loop and the handle by which others reach it.
    pub(crate) fn new(
        config: LoopConfig,
        poll: Poll,
        handle: Arc<LoopHandle>,
        hub: Arc<Hub>,
        frontend: Frontend,
        counters: Arc<LoopCounters>,
    ) -> Self {
        let (touched, now) = (vec![false; hub.shard_count()], hub.clock.mono());
        Self {
            config,
            hub,
            handle,
            poll,
            listeners: Vec::new(),
            frontend,
            connections: Vec::new(),
            free: Vec::new(),
            generation: 0,
            next_loop: 0,
            scratch: BytesMut::with_capacity(READ_BYTES),
            dirty: Vec::new(),
            unread: VecDeque::new(),
            touched,
            asked: 0,
            messages: Vec::new(),
            inputs: VecDeque::new(),
            outputs: Vec::new(),
            replies: Vec::new(),
            counters,
            next_sweep: Mono(0),
            held_back: VecDeque::new(),
            queued: 0,
            next_stall_check: Mono(0),
            last_turn: now,
            closings: RepeatLimit::new(REPEAT_INTERVAL),
            draining: false,
            stopped: false,
        }
    }

    /// The side that other threads see.
    pub(crate) fn handle(&self) -> Arc<LoopHandle> {
        Arc::clone(&self.handle)
    }

    /// Makes the waker of a loop's poll.
    pub(crate) fn waker(poll: &Poll) -> io::Result<mio::Waker> {
        mio::Waker::new(poll.registry(), WAKER)
    }

    /// Accepts connections from these listeners, and deals them to all loops in turn.
    pub(crate) fn listen(&mut self, listeners: Vec<TcpListener>) -> io::Result<()> {
        for (index, mut listener) in listeners.into_iter().enumerate() {
            let token = Token(FIRST_LISTENER + index);
            self.poll
                .registry()
                .register(&mut listener, token, Interest::READABLE)?;
            self.listeners.push(listener);
        }
        Ok(())
    }

    /// Runs until it is told to stop.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        while !self.stopped {
            let timeout = self.timeout();
            self.counters.parking(self.last_turn);
            if let Err(error) = self.poll.poll(&mut events, timeout)
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "an event loop can not wait for its sockets");
                return;
            }
            let now = self.hub.clock.now();
            self.counters.woke(now.mono);
            self.turn(now, &events);
        }
    }

    fn turn(&mut self, now: Now, events: &Events) {
        self.take_messages(now);
        for event in events {
            match event.token() {
                WAKER => {}
                Token(token) if token >= FIRST_LISTENER => self.accept(now, token - FIRST_LISTENER),
                Token(token) => self.ready(now, token, event),
            }
        }
        self.release_held_back(now);
        self.read_the_unread(now);
        self.timers(now);
        while self.end_turn(now) {
            // The journal has what the turn appended: its answers are there already.
            let now = self.hub.clock.now();
            self.take_messages(now);
        }
        self.last_turn = self.hub.clock.mono();
    }

    fn take_messages(&mut self, now: Now) {
        let mut messages = std::mem::take(&mut self.messages);
        self.handle.take(&mut messages);
        for message in messages.drain(..) {
            self.message(now, message);
        }
        self.messages = messages;
    }

    /// How long there is nothing to do.
    fn timeout(&mut self) -> Option<Duration> {
        if !self.unread.is_empty() && !self.hub.memory.is_short() {
            return Some(Duration::ZERO);
        }
        if !self.handle.may_sleep() {
            return Some(Duration::ZERO);
        }
        let shards = self.hub.deadline(self.config.index, self.config.loop_count);
        let has_connections = self.connections.len() > self.free.len();
        let sweep = (self.config.idle.is_some() && has_connections).then_some(self.next_sweep);
        let stall_check = self.waits_for_memory().then_some(self.next_stall_check);
        let deadlines = [self.frontend.deadline(), shards, sweep, stall_check];
        let soonest = deadlines.into_iter().flatten().min()?;
        // Rounded up, so that the loop does not wake before the deadline and go round in vain.
        let wait = soonest.since(self.last_turn) + Duration::from_micros(999);
        Some(Duration::from_millis(
            u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        ))
    }

    fn message(&mut self, now: Now, message: LoopMessage) {
        match message {
            LoopMessage::Frontend(input) => self.step(now, input),
            LoopMessage::Accepted(stream, peer) => self.adopt(now, stream, peer),
            LoopMessage::Granted(id, lease) => self.granted(id, lease),
            LoopMessage::CloseStalled => self.close_stalled(now),
            LoopMessage::Drain => {
                self.draining = true;
                self.listeners.clear();
            }
            LoopMessage::Stop => self.stopped = true,
        }
    }

    fn accept(&mut self, now: Now, index: usize) {
        loop {
            let Some(listener) = self.listeners.get(index) else {
                return;
            };
            let (stream, peer) = match listener.accept() {
                Ok((stream, address)) => (stream, peer(index, address)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::warn!(%error, "a connection can not be accepted");
                    return;
                }
            };
            let turn = self.next_loop % self.config.loop_count.max(1);
            self.next_loop = turn + 1;
            if turn == self.config.index {
                self.adopt(now, stream, peer);
            } else if let Some(other) = self.hub.loops().get(turn) {
                other.send([LoopMessage::Accepted(stream, peer)]);
            }
        }
    }

    fn adopt(&mut self, now: Now, mut stream: TcpStream, peer: Peer) {
        if self.connections.len() - self.free.len() >= self.config.max_connections {
            tracing::warn!("max.connections reached: a connection was refused");
            return;
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            u32::try_from(self.connections.len() - 1).unwrap_or(u32::MAX)
        });
        self.generation = self.generation.wrapping_add(1);
        let id = ConnectionId {
            index,
            generation: self.generation,
        };
        // Replies are whole when they are written: waiting for more would only delay them.
        drop(stream.set_nodelay(true));
        let interest = Interest::READABLE.add(Interest::WRITABLE);
        if let Err(error) =
            self.poll
                .registry()
                .register(&mut stream, Token(index as usize), interest)
        {
            tracing::warn!(%error, "a connection can not be watched");
            self.free.push(index);
            return;
        }
        let connection = Connection::new(id, stream, self.config.max_frame_bytes, now.mono);
        if let Some(place) = self.connections.get_mut(index as usize) {
            *place = Some(connection);
        }
        self.counters.connection_opened();
        self.step(now, FrontendInput::Connected(id, peer));
        self.unread.push_back(id);
    }

    fn ready(&mut self, now: Now, token: usize, event: &Event) {
        let Some(connection) = self.connections.get_mut(token).and_then(Option::as_mut) else {
            return;
        };
        let id = connection.id;
        connection.hung_up |= event.is_read_closed() || event.is_error();
        if event.is_writable() && connection.blocked {
            connection.blocked = false;
            self.dirty.push(id.index);
        }
        if event.is_readable() {
            self.read(now, id);
        }
    }

    fn read_the_unread(&mut self, now: Now) {
        for _ in 0..self.unread.len() {
            if self.hub.memory.is_short() && !self.has_room_for_requests() {
                return;
            }
            let Some(id) = self.unread.pop_front() else {
                return;
            };
            self.read(now, id);
        }
    }

    /// Reads and handles requests, up to this turn's share of the connection.
    fn read(&mut self, now: Now, id: ConnectionId) {
        for _ in 0..READS_PER_TURN {
            if self.draining {
                return;
            }
            if !self.frontend.accepts(id) {
                // A Resume follows.
                return;
            }
            let Some(connection) = self.connection(id) else {
                return;
            };
            if connection.closing {
                return;
            }
            if connection.output_bytes() > connection::MAX_OUTPUT_BYTES {
                connection.starved_by_output = true;
                return;
            }
            if !self.admit(id) {
                return;
            }
            match self.receive(now, id) {
                Received::Some => {}
                Received::Nothing => return,
                Received::End => return self.close(now, id),
                Received::Failed(reason) => {
                    self.counters.error();
                    self.log_close(reason);
                    return self.close(now, id);
                }
            }
        }
        self.unread.push_back(id);
    }

    fn receive(&mut self, now: Now, id: ConnectionId) -> Received {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.reserve(READ_BYTES);
        let received = self.receive_into(now, id, &mut scratch);
        scratch.clear();
        self.scratch = scratch;
        received
    }

    fn receive_into(&mut self, now: Now, id: ConnectionId, scratch: &mut BytesMut) -> Received {
        let Some(connection) = self.connection(id) else {
            return Received::Nothing;
        };
        let chunk = match connection.read(scratch) {
            Ok(chunk) if chunk.bytes == 0 => return Received::End,
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Received::Nothing,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Received::Some,
            Err(_reset) => return Received::End,
        };
        connection.last_active = now.mono;
        self.counters.received(chunk.bytes as u64);
        loop {
            let open = self.connection(id).filter(|connection| !connection.closing);
            let Some(connection) = open else {
                return Received::Nothing;
            };
            match connection.next_frame(scratch) {
                Ok(Some(frame)) => {
                    let lease = connection.lease.take();
                    self.count(&frame);
                    let frame = self.unshare(id, frame, lease);
                    self.step(now, FrontendInput::Frame(id, frame));
                }
                Ok(None) if chunk.last => return Received::Nothing,
                Ok(None) => return Received::Some,
                Err(error) => return Received::Failed(error.to_string()),
            }
        }
    }

    fn count(&self, frame: &[u8]) {
        if let Some((key, rest)) = frame.split_first_chunk::<2>()
            && let Some((version, _)) = rest.split_first_chunk::<2>()
        {
            self.counters
                .request(i16::from_be_bytes(*key), i16::from_be_bytes(*version));
        }
    }

    /// Steps the frontend, and whatever follows from it, until nothing is left to do.
    fn step(&mut self, now: Now, input: FrontendInput) {
        let mut inputs = std::mem::take(&mut self.inputs);
        let mut next = Some(input);
        while let Some(input) = next {
            let mut outputs = std::mem::take(&mut self.outputs);
            self.frontend.step(now, input, &mut outputs);
            for output in outputs.drain(..) {
                self.carry_out(now, output, &mut inputs);
            }
            self.outputs = outputs;
            next = inputs.pop_front();
        }
        self.inputs = inputs;
        for observation in self.frontend.take_observations() {
            observe(&self.counters, observation);
        }
    }

    /// One line per kind of trouble, however many connections have it.
    fn log_close(&mut self, reason: String) {
        if let Some(suppressed) = self
            .closings
            .admit(reason.clone(), std::time::Instant::now())
        {
            tracing::info!(%reason, suppressed, "connection closed");
        }
    }

    fn carry_out(
        &mut self,
        now: Now,
        output: FrontendOutput,
        inputs: &mut VecDeque<FrontendInput>,
    ) {
        match output {
            FrontendOutput::Send(id, pieces) => {
                let pieces = self.account_reply(pieces);
                if let Some(connection) = self.connection(id) {
                    if connection.output_bytes() == 0 {
                        self.dirty.push(id.index);
                    }
                    if let Some(connection) = self.connection(id) {
                        connection.send(pieces);
                    }
                }
            }
            FrontendOutput::Close(id, reason) => {
                self.log_close(reason.to_string());
                if let Some(connection) = self.connection(id) {
                    connection.closing = true;
                    self.dirty.push(id.index);
                }
            }
            FrontendOutput::Resume(id) => self.unread.push_back(id),
            FrontendOutput::Shard(shard, request @ ShardRequest::Produce(_)) => {
                self.ask(now, (shard, request), inputs);
            }
            FrontendOutput::Shard(shard, request) => {
                if let Some(request) = self.hold_back(shard, request) {
                    self.ask(now, (shard, request), inputs);
                }
            }
            FrontendOutput::Controller(ticket, request) => {
                self.hub
                    .step_quorum(QuorumInput::Request { ticket, request });
            }
            FrontendOutput::ProducerIds => {
                let frontend = self.frontend.config().id;
                self.hub.step_quorum(QuorumInput::ProducerIds(frontend));
            }
        }
    }

    fn ask(
        &mut self,
        now: Now,
        (shard, request): (ShardId, ShardRequest),
        inputs: &mut VecDeque<FrontendInput>,
    ) {
        let index = usize::from(shard.0);
        if let Some(touched) = self.touched.get_mut(index) {
            *touched = true;
        }
        self.asked += 1;
        self.step_shard(now, index, ShardInput::Request(request), inputs);
    }

    /// Steps a shard, takes the replies of this loop's own connections and hands the others on.
    fn step_shard(
        &mut self,
        now: Now,
        index: usize,
        input: ShardInput,
        inputs: &mut VecDeque<FrontendInput>,
    ) {
        let mut replies = std::mem::take(&mut self.replies);
        let hub = &self.hub;
        hub.step_shard_locally(now, index, input, &mut replies);
        if !replies.is_empty() {
            let own = self.frontend.config().id;
            let mine = replies.extract_if(.., |reply| reply.ticket().frontend == own);
            inputs.extend(mine.map(FrontendInput::Shard));
            hub.deliver(&mut replies);
        }
        self.replies = replies;
    }

    fn timers(&mut self, now: Now) {
        if self.frontend.deadline().is_some_and(|due| due <= now.mono) {
            self.step(now, FrontendInput::Tick);
        }
        self.hub
            .tick(now, self.config.index, self.config.loop_count);
        if self.next_sweep <= now.mono {
            self.next_sweep = now.mono + IDLE_SWEEP;
            self.close_idle(now);
        }
        self.look_for_stalled(now);
    }

    fn close_idle(&mut self, now: Now) {
        let Some(idle) = self.config.idle else { return };
        let idle_ids: Vec<ConnectionId> = self
            .connections
            .iter()
            .flatten()
            .filter(|connection| now.mono.since(connection.last_active) > idle)
            .map(|connection| connection.id)
            .collect();
        for id in idle_ids {
            self.close(now, id);
        }
    }

    /// Ends the turn: urgent writes, then replies, each connection with as few writes as it takes.
    /// Returns whether the turn goes on, with the answers to what was committed here.
    fn end_turn(&mut self, now: Now) -> bool {
        let mut wants_commit = false;
        for index in 0..self.touched.len() {
            if self.touched.get_mut(index).is_some_and(std::mem::take) {
                let mut inputs = VecDeque::new();
                self.step_shard(now, index, ShardInput::EndTurn, &mut inputs);
                for input in inputs {
                    self.step(now, input);
                }
                wants_commit |= self.hub.wants_commit(index);
            }
        }
        // A lone request gains nothing from a thread that would have to be woken, and to wake this one.
        let is_alone = std::mem::take(&mut self.asked) == 1 && self.unread.is_empty();
        if wants_commit && !is_alone {
            self.hub.journal.mark();
        }
        self.flush_dirty(now);
        if !wants_commit || !is_alone {
            return false;
        }
        let is_committed = self.hub.journal.commit_here();
        if !is_committed {
            self.hub.journal.mark();
        }
        is_committed
    }

    fn flush_dirty(&mut self, now: Now) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for index in dirty.drain(..) {
            self.flush(now, index);
        }
        // What closing a connection made dirty.
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
    }

    fn flush(&mut self, now: Now, index: u32) {
        let place = self
            .connections
            .get_mut(index as usize)
            .and_then(Option::as_mut);
        let Some(connection) = place else { return };
        let id = connection.id;
        let before = connection.output_bytes();
        let flushed = connection.flush();
        connection.account_small(&self.hub.memory);
        let sent = before - connection.output_bytes();
        let hungry = std::mem::take(&mut connection.starved_by_output);
        let closing = connection.closing;
        if sent > 0 {
            connection.last_active = now.mono;
        }
        self.counters.sent(sent as u64);
        match flushed {
            Flushed::All if closing => self.close(now, id),
            Flushed::All if hungry => self.unread.push_back(id),
            Flushed::All => {}
            Flushed::Blocked => {
                if let Some(connection) = self.connection(id) {
                    connection.starved_by_output = hungry;
                }
            }
            Flushed::Failed => self.close(now, id),
        }
    }

    fn close(&mut self, now: Now, id: ConnectionId) {
        let Some(place) = self.connections.get_mut(id.index as usize) else {
            return;
        };
        let Some(mut connection) = place.take_if(|connection| connection.id == id) else {
            return;
        };
        drop(self.poll.registry().deregister(&mut connection.stream));
        self.free.push(id.index);
        self.queued -= usize::from(connection.queued);
        self.counters.connection_closed();
        self.step(now, FrontendInput::Closed(id));
    }

    fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let place = self.connections.get_mut(id.index as usize)?;
        place.as_mut().filter(|connection| connection.id == id)
    }
}

enum Received {
    /// There may be more.
    Some,
    /// Readiness will tell of more.
    Nothing,
    End,
    Failed(String),
}

fn observe(counters: &LoopCounters, observation: Observation) {
    match observation {
        Observation::Produced {
            acks,
            records,
            bytes,
            took,
        } => {
            counters.produced(records, bytes);
            counters.produce_done(acks_label(acks), took);
        }
        Observation::ProduceFailed { bytes } => counters.produce_failed(bytes),
        Observation::Fetched { bytes, failed } => {
            counters.fetched(bytes);
            if failed {
                counters.fetch_failed();
            }
        }
        Observation::Malformed => counters.error(),
    }
}

const fn acks_label(acks: i16) -> AcksLabel {
    match acks {
        0 => AcksLabel::None,
        1 => AcksLabel::Leader,
        _ => AcksLabel::All,
    }
}

fn peer(listener: usize, address: std::net::SocketAddr) -> Peer {
    let host = address.ip().to_canonical().to_string();
    Peer {
        listener,
        host: host.into(),
    }
}
