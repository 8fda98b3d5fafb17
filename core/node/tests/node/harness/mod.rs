//! The whole broker without shell, clock and disk: every message between machines lies in a queue,
//! and a seed decides which queue moves next.

pub(crate) mod client;
mod journal;
pub(crate) mod ledger;
pub(crate) mod node;

use std::hash::Hasher;

use bytes::Bytes;
use chronik_model::rng::Rng;
use chronik_model::{LogId, Mono, Now};
use chronik_node::{FrontendInput, FrontendOutput, QuorumInput, ShardInput, ShardOutputs};
use chronik_sim_disk::{Crash, SimDisk};
use chronik_storage::disk::{DiskDone, DiskOp};
use chronik_storage::journal::ring::ring_path;
use rustc_hash::FxHasher;

use client::Connection;
use ledger::Ledger;
use node::{From, Node, Options};

const WALL_START_MS: i64 = 1_700_000_000_000;
/// After which segment writes that found no space are tried again.
const RETRY_WRITES_MS: i64 = 500;
/// More steps than any scenario needs without time passing.
const MOST_STEPS: u64 = 200_000;

/// The seeds of a test. `SIM_FACTOR`, where it is set at compile time, makes them more.
pub(crate) fn seeds(count: u64) -> std::ops::Range<u64> {
    let factor = option_env!("SIM_FACTOR").and_then(|factor| factor.parse().ok());
    0..count * factor.unwrap_or(1)
}

/// A directory with the files of an empty journal, as a server makes it before its first start.
fn new_directory(options: &Options) -> SimDisk {
    let mut disk = SimDisk::default();
    for file in 0..options.journal_files {
        disk.plant(&ring_path(file), &[]);
    }
    disk
}

/// Paths of the segments below a directory, which may end in the middle of a name.
fn segments(disk: &SimDisk, directory: &str) -> Vec<String> {
    let mut paths = disk.paths();
    paths.retain(|path| path.starts_with(directory) && path.ends_with(".log"));
    paths
}

/// Whether all that is in the segments below `directory` survives a power cut.
pub(crate) fn is_synced(disk: &SimDisk, directory: &str) -> bool {
    let paths = segments(disk, directory);
    paths.iter().all(|path| disk.is_durable(path))
}

/// Something that can happen now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Shard(From, u16),
    Frontend(From, u16),
    Quorum(From),
    Frame(usize),
    EndTurn(u16),
    Disk(u16, LogId),
    CommitBegin,
    CommitEnd,
    TickFrontend(u16),
    TickShard(u16),
    TickQuorum,
    RetryWrites,
}

impl Event {
    /// Events of one class are slow together in some runs.
    const CLASSES: u64 = 10;

    const fn class(self) -> u64 {
        match self {
            Self::Shard(From::Frontend(_), _) => 0,
            Self::Shard(From::Disk, _) => 1,
            Self::Shard(..) => 2,
            Self::Frontend(From::Quorum, _) => 3,
            Self::Frontend(..) => 4,
            Self::Quorum(_) => 5,
            Self::Frame(_) | Self::EndTurn(_) => 6,
            Self::Disk(..) => 7,
            Self::CommitBegin | Self::CommitEnd => 8,
            Self::TickFrontend(_) | Self::TickShard(_) => 9,
            Self::TickQuorum | Self::RetryWrites => 9,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Sim {
    pub(crate) rng: Rng,
    schedule: Rng,
    slow: u64,
    options: Options,
    mono: Mono,
    /// How far the wall clock was set off.
    pub(crate) wall_skew_ms: i64,
    pub(crate) disk: SimDisk,
    /// No disk operation of running machines comes back.
    pub(crate) disk_held: bool,
    pub(crate) node: Node,
    pub(crate) ledger: Ledger,
    pub(crate) connections: Vec<Connection>,
    /// Hash of everything that the machines put out.
    trace: u64,
    pub(crate) lives: u8,
    pub(crate) steps: u64,
}

impl Sim {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with(seed, Options::default())
    }

    pub(crate) fn with(seed: u64, options: Options) -> Self {
        let mut rng = Rng::new(seed);
        let mut schedule = Rng::new(rng.next_u64());
        let slow = schedule.below(2 * Event::CLASSES);
        let mut disk = new_directory(&options);
        let now = Now {
            mono: Mono(0),
            wall_ms: WALL_START_MS,
        };
        let node = Node::start(&options, &mut disk, 1, now);
        let mut sim = Self {
            rng,
            schedule,
            slow,
            options,
            mono: Mono(0),
            wall_skew_ms: 0,
            disk,
            disk_held: false,
            node,
            ledger: Ledger::default(),
            connections: Vec::new(),
            trace: 0,
            lives: 1,
            steps: 0,
        };
        sim.finish_start();
        sim
    }

    pub(crate) fn now(&self) -> Now {
        let passed = i64::try_from(self.mono.0 / 1_000_000).unwrap();
        Now {
            mono: self.mono,
            wall_ms: WALL_START_MS + passed + self.wall_skew_ms,
        }
    }

    pub(crate) const fn trace(&self) -> u64 {
        self.trace
    }

    fn finish_start(&mut self) {
        self.settle();
        assert!(self.node.registered, "the broker was not registered");
        self.node.open_frontends(&self.options);
    }

    /// Ends this life, and starts the next from what is on disk.
    pub(crate) fn crash(&mut self, power: bool) {
        self.node.journal.tear(&mut self.disk, &mut self.rng);
        for queue in self.node.to_disk.values() {
            if let Some(request) = queue.front() {
                self.disk.carry_out_in_part(&request.op, &mut self.rng);
            }
        }
        if power {
            self.disk.crash(Crash::Power, &mut self.rng);
            self.ledger.forget_lazy();
        } else {
            self.disk.crash(Crash::Kill, &mut self.rng);
        }
        for connection in &mut self.connections {
            connection.lose();
        }
        self.lives += 1;
        let now = self.now();
        self.node = Node::start(&self.options, &mut self.disk, self.lives, now);
        // Recovery may keep what was on its way and promised to nobody: now it is safe.
        for path in segments(&self.disk, "") {
            let durable = self.disk.durable_content(&path).unwrap();
            self.ledger.committed(&durable);
        }
        self.finish_start();
    }

    /// Lets things happen until nothing is left but deadlines.
    pub(crate) fn settle(&mut self) {
        let mut steps = 0;
        while self.step() {
            steps += 1;
            assert!(steps < MOST_STEPS, "the node does not come to rest");
        }
    }

    /// Lets `count` things happen, or as many as there are.
    pub(crate) fn run_steps(&mut self, count: u64) {
        for _ in 0..count {
            if !self.step() {
                return;
            }
        }
    }

    /// Lets things happen until `done`, time passing where nothing else is left. False when nothing
    /// will ever happen again.
    pub(crate) fn run_until(&mut self, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        for _ in 0..MOST_STEPS {
            if done(self) {
                return true;
            }
            if !self.step() && !self.pass_time(None) {
                return false;
            }
        }
        panic!("the node goes round in circles");
    }

    /// Lets `ms` pass, with everything that falls due in them.
    pub(crate) fn run_for(&mut self, ms: i64) {
        let end = self.mono.plus_ms(ms);
        loop {
            self.settle();
            if !self.pass_time(Some(end)) {
                break;
            }
        }
        self.mono = end.max(self.mono);
    }

    /// Moves the clock to the next deadline, if there is one before `end`.
    fn pass_time(&mut self, end: Option<Mono>) -> bool {
        let next = self.node.deadline();
        let next = next.filter(|next| end.is_none_or(|end| *next <= end));
        if let Some(next) = next {
            self.mono = next.max(self.mono);
        }
        next.is_some()
    }

    /// One thing happens; false when there is none.
    fn step(&mut self) -> bool {
        let events = self.events();
        if events.is_empty() {
            return false;
        }
        let mut event = self.pick(&events);
        if event.class() == self.slow && self.schedule.below(10) > 0 {
            event = self.pick(&events);
        }
        self.steps += 1;
        self.mono = Mono(self.mono.0 + self.schedule.below(50_000));
        self.note(format_args!("{event:?}"));
        self.happen(event);
        true
    }

    fn pick(&mut self, events: &[Event]) -> Event {
        let index = self.schedule.below(events.len() as u64);
        events[usize::try_from(index).unwrap()]
    }

    fn events(&mut self) -> Vec<Event> {
        let node = &self.node;
        let mut events = Vec::new();
        let waiting = node.to_shard.iter().filter(|(_, queue)| !queue.is_empty());
        events.extend(waiting.map(|((from, to), _)| Event::Shard(*from, *to)));
        let waiting = node
            .to_frontend
            .iter()
            .filter(|(_, queue)| !queue.is_empty());
        events.extend(waiting.map(|((from, to), _)| Event::Frontend(*from, *to)));
        let waiting = node.to_quorum.iter().filter(|(_, queue)| !queue.is_empty());
        events.extend(waiting.map(|((from, _), _)| Event::Quorum(*from)));
        let waiting = node.to_disk.iter().filter(|(_, queue)| !queue.is_empty());
        let waiting = waiting.filter(|_| !self.disk_held);
        events.extend(waiting.map(|((shard, log), _)| Event::Disk(*shard, *log)));
        events.extend(node.turns.keys().map(|frontend| Event::EndTurn(*frontend)));
        for (index, connection) in self.connections.iter().enumerate() {
            let taken = node
                .views_taken
                .get(usize::from(connection.frontend))
                .copied();
            if connection.can_deliver(taken.unwrap_or(0)) {
                events.push(Event::Frame(index));
            }
        }
        if node.journal.can_begin(&node.shards) {
            events.push(Event::CommitBegin);
        }
        if node.journal.can_end() {
            events.push(Event::CommitEnd);
        }
        let due = |deadline: Option<Mono>| deadline.is_some_and(|at| at <= self.mono);
        let frontends = (0..)
            .zip(&node.frontends)
            .filter(|(_, it)| due(it.deadline()));
        events.extend(frontends.map(|(index, _)| Event::TickFrontend(index)));
        let shards = (0..).zip(&node.shards).filter(|(_, it)| due(it.deadline()));
        events.extend(shards.map(|(index, _)| Event::TickShard(index)));
        events.extend(due(node.quorum.deadline()).then_some(Event::TickQuorum));
        events.extend(due(node.retry_at).then_some(Event::RetryWrites));
        events
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Shard(from, shard) => {
                let queue = self.node.to_shard.get_mut(&(from, shard)).unwrap();
                let input = queue.pop_front().unwrap();
                self.step_shard(shard, input);
            }
            Event::Frontend(from, frontend) => {
                let queue = self.node.to_frontend.get_mut(&(from, frontend)).unwrap();
                let input = queue.pop_front().unwrap();
                if matches!(input, FrontendInput::View(_)) {
                    self.node.views_taken[usize::from(frontend)] += 1;
                }
                self.step_frontend(frontend, input);
            }
            Event::Quorum(from) => {
                let input = self
                    .node
                    .to_quorum
                    .get_mut(&(from, 0))
                    .unwrap()
                    .pop_front()
                    .unwrap();
                self.step_quorum(input);
            }
            Event::Frame(connection) => self.deliver_frame(connection),
            Event::EndTurn(frontend) => self.end_turn(frontend),
            Event::Disk(shard, log) => self.disk_operation(shard, log),
            Event::CommitBegin => self.node.journal.begin(&mut self.node.shards),
            Event::CommitEnd => {
                let count = self.node.shard_count();
                let journal = &mut self.node.journal;
                for (shard, input) in journal.end(count, &mut self.disk, &mut self.ledger) {
                    self.node.push_to_shard(From::Journal, shard, input);
                }
                if self.node.journal.dead {
                    self.node.go_offline("simulated");
                }
            }
            Event::TickFrontend(frontend) => self.step_frontend(frontend, FrontendInput::Tick),
            Event::TickShard(shard) => self.step_shard(shard, ShardInput::Tick),
            Event::TickQuorum => self.step_quorum(QuorumInput::Tick),
            Event::RetryWrites => {
                self.node.retry_at = None;
                for shard in 0..self.node.shard_count() {
                    self.step_shard(shard, ShardInput::RetryWrites);
                }
            }
        }
    }

    fn step_quorum(&mut self, input: QuorumInput) {
        let mut out = Vec::new();
        let now = self.now();
        self.node.quorum.step(now, input, &mut out);
        self.node.carry_out(out);
    }

    fn step_shard(&mut self, shard: u16, input: ShardInput) {
        let view = if let ShardInput::View(view, _) = &input {
            Some(std::sync::Arc::clone(view))
        } else {
            None
        };
        let mut out = ShardOutputs::default();
        let now = self.now();
        self.node.shards[usize::from(shard)].step(now, input, &mut out);
        if let Some(view) = view {
            self.node.view_taken(&view);
        }
        self.note(format_args!(
            "{:?} {:?} {:?}",
            out.replies, out.disk, out.persisted
        ));
        for reply in out.replies {
            let frontend = reply.ticket().frontend.0;
            self.node
                .push_to_frontend(From::Shard(shard), frontend, FrontendInput::Shard(reply));
        }
        for request in out.disk {
            let log = request.op.log_id();
            self.node
                .to_disk
                .entry((shard, log))
                .or_default()
                .push_back(request);
        }
        if let Some(sequence) = out.persisted {
            self.node
                .push_to_quorum(From::Shard(shard), QuorumInput::Persisted(sequence));
        }
        if let Some(written) = out.snapshot {
            self.node.snapshots += u64::from(written.durable);
            self.node
                .push_to_quorum(From::Shard(shard), QuorumInput::Snapshot(written));
        }
        if out.full {
            let retry = self.mono.plus_ms(RETRY_WRITES_MS);
            self.node.retry_at.get_or_insert(retry);
        }
        if let Some(reason) = out.offline {
            self.node.go_offline(&reason);
        }
        if let Some(answer) = out.trimmed {
            let count = self.node.shard_count();
            self.node.journal.trimmed(answer, count, &mut self.disk);
        }
        self.node.warnings.extend(out.warnings);
        self.node.offline |= self.node.shards[usize::from(shard)].offline().is_some();
    }

    fn disk_operation(&mut self, shard: u16, log: LogId) {
        let request = self
            .node
            .to_disk
            .get_mut(&(shard, log))
            .unwrap()
            .pop_front()
            .unwrap();
        let result = self.disk.carry_out(&request.op);
        let safe = result.is_ok() && log != LogId::METADATA;
        if let (DiskOp::Write { buffers, .. }, true) = (&request.op, safe) {
            self.ledger.written(&buffers.concat());
        }
        let done = DiskDone {
            token: request.token,
            result,
        };
        self.node
            .push_to_shard(From::Disk, shard, ShardInput::Disk(done));
    }

    fn end_turn(&mut self, frontend: u16) {
        for shard in self.node.turns.remove(&frontend).unwrap_or_default() {
            self.node
                .push_to_shard(From::Frontend(frontend), shard, ShardInput::EndTurn);
        }
    }

    fn deliver_frame(&mut self, index: usize) {
        let (frontend, id) = (self.connections[index].frontend, self.connections[index].id);
        if !self.node.accepts(frontend, id) {
            self.connections[index].paused = true;
            return;
        }
        let frame: Bytes = self.connections[index].take_frame();
        self.step_frontend(frontend, FrontendInput::Frame(id, frame));
    }

    pub(crate) fn step_frontend(&mut self, frontend: u16, input: FrontendInput) {
        let mut out = Vec::new();
        let now = self.now();
        self.node.frontends[usize::from(frontend)].step(now, input, &mut out);
        for output in out {
            self.frontend_output(frontend, output);
        }
    }

    fn frontend_output(&mut self, frontend: u16, output: FrontendOutput) {
        let connection =
            |id| move |it: &&mut Connection| it.frontend == frontend && it.id == id && it.is_open();
        match output {
            FrontendOutput::Send(id, pieces) => {
                let frame = client::joined(pieces);
                self.note_bytes(&frame);
                let now = self.now();
                if let Some(connection) = self.connections.iter_mut().find(connection(id)) {
                    connection.receive(frame, now, &mut self.ledger);
                }
            }
            FrontendOutput::Close(id, reason) => {
                self.note(format_args!("{reason}"));
                if let Some(connection) = self.connections.iter_mut().find(connection(id)) {
                    connection.closed = Some(reason);
                    connection.lose();
                }
                self.step_frontend(frontend, FrontendInput::Closed(id));
            }
            FrontendOutput::Resume(id) => {
                if let Some(connection) = self.connections.iter_mut().find(connection(id)) {
                    connection.paused = false;
                }
            }
            FrontendOutput::Shard(shard, request) => {
                let from = From::Frontend(frontend);
                self.node
                    .push_to_shard(from, shard.0, ShardInput::Request(request));
                let turn = self.node.turns.entry(frontend).or_default();
                if !turn.contains(&shard.0) {
                    turn.push(shard.0);
                }
            }
            FrontendOutput::Controller(ticket, request) => {
                let input = QuorumInput::Request { ticket, request };
                self.node.push_to_quorum(From::Frontend(frontend), input);
            }
            FrontendOutput::ProducerIds => {
                let id = chronik_node::FrontendId(frontend);
                self.node
                    .push_to_quorum(From::Frontend(frontend), QuorumInput::ProducerIds(id));
            }
        }
    }

    fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.note_bytes(what.to_string().as_bytes());
    }

    fn note_bytes(&mut self, bytes: &[u8]) {
        let mut hasher = FxHasher::default();
        hasher.write_u64(self.trace);
        hasher.write(bytes);
        self.trace = hasher.finish();
    }
}
