//! Where the machines meet: any thread may step a shard under its lock, and what comes out is carried
//! to where it belongs.
//!
//! A shard's lock is held for one step and is hardly ever contended; `docs/adr/0001-shard-lock.md`
//! has the measurement against handing every request to an owning thread. Locks nest in one order
//! only: the controller's, then one shard's.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use chronik_model::Mono;
use chronik_node::{
    ClusterView, ConnectionId, FrontendId, FrontendInput, Peer, Quorum, QuorumInput, QuorumOutput,
    Shard, ShardId, ShardInput, ShardOutputs, ShardReply, TrimAnswer,
};
use chronik_storage::disk::{DiskDone, DiskOp, DiskRequest};
use chronik_storage::journal::JournalStart;

use crate::clock::Clock;
use crate::disk::pool::DiskPool;
use crate::journal::JournalHandle;
use crate::memory::{ColdReads, Doors, Lease, Memory, ShardBytes};

/// What other threads hand to an event loop.
#[derive(Debug)]
pub(crate) enum LoopMessage {
    /// For its frontend.
    Frontend(FrontendInput),
    /// A connection that another loop accepted.
    Accepted(mio::net::TcpStream, Peer),
    /// A large request may be read now.
    Granted(ConnectionId, Lease),
    /// Somebody waits for memory: close what holds some and does not move.
    CloseStalled,
    /// Read no more requests.
    Drain,
    /// Close everything and end.
    Stop,
}

/// The side of an event loop that other threads see.
#[derive(Debug)]
pub(crate) struct LoopHandle {
    inbox: Mutex<Vec<LoopMessage>>,
    waker: mio::Waker,
    /// The loop is awake and will look into its inbox before it sleeps.
    awake: AtomicBool,
}

impl LoopHandle {
    pub(crate) const fn new(waker: mio::Waker) -> Self {
        Self {
            inbox: Mutex::new(Vec::new()),
            waker,
            awake: AtomicBool::new(true),
        }
    }

    /// Hands messages over, and wakes the loop if it sleeps.
    pub(crate) fn send(&self, messages: impl IntoIterator<Item = LoopMessage>) {
        lock(&self.inbox).extend(messages);
        self.wake();
    }

    fn wake(&self) {
        if !self.awake.swap(true, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "an event loop can not be woken");
        }
    }

    /// Takes what was handed over. The loop calls this after it woke.
    pub(crate) fn take(&self) -> Vec<LoopMessage> {
        self.awake.store(true, Ordering::SeqCst);
        std::mem::take(&mut *lock(&self.inbox))
    }

    /// Says that the loop is about to sleep; `false` when something came in meanwhile.
    pub(crate) fn may_sleep(&self) -> bool {
        self.awake.store(false, Ordering::SeqCst);
        lock(&self.inbox).is_empty()
    }
}

/// See the module.
pub(crate) struct Hub {
    pub(crate) clock: Clock,
    pub(crate) journal: JournalHandle,
    shards: Vec<Mutex<Shard>>,
    /// Deadline of each shard, for the loop that is its home; `u64::MAX` for none.
    deadlines: Vec<AtomicU64>,
    pub(crate) memory: Arc<Memory>,
    cold_reads: ColdReads,
    quorum: Mutex<Option<Quorum>>,
    /// Deadline of the controller, for the first loop; `u64::MAX` for none.
    quorum_deadline: AtomicU64,
    loops: OnceLock<Vec<Arc<LoopHandle>>>,
    pool: OnceLock<DiskPool>,
    view: Mutex<Option<Arc<ClusterView>>>,
    registered: AtomicBool,
    events: std::sync::mpsc::SyncSender<HubEvent>,
}

/// What the main thread and the checkpointer hear of.
#[derive(Debug)]
pub(crate) enum HubEvent {
    /// The broker is registered with the controller.
    Registered,
    /// The journal wants to drop what lies before this point.
    TrimWanted(JournalStart),
    /// A shard needs the journal's past no more.
    Trimmed(TrimAnswer),
    /// The process must stop: why, and the exit status.
    Fatal(String),
    /// Somebody asked for a stop.
    Stop,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("shards", &self.shards.len())
            .finish_non_exhaustive()
    }
}

/// Locks without regard to poisoning: a panic ends the process (see the panic hook of `main`).
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub(crate) fn new(
        clock: Clock,
        shards: Vec<Shard>,
        journal: JournalHandle,
        memory: Arc<Memory>,
        events: std::sync::mpsc::SyncSender<HubEvent>,
    ) -> Self {
        let never = || AtomicU64::new(u64::MAX);
        Self {
            clock,
            journal,
            deadlines: shards.iter().map(|_| never()).collect(),
            shards: shards
                .into_iter()
                .map(|mut shard| {
                    shard.account_with(memory.batch_keeper());
                    Mutex::new(shard)
                })
                .collect(),
            memory,
            cold_reads: ColdReads::default(),
            quorum: Mutex::new(None),
            quorum_deadline: never(),
            loops: OnceLock::new(),
            pool: OnceLock::new(),
            view: Mutex::new(None),
            registered: AtomicBool::new(false),
            events,
        }
    }

    pub(crate) fn set_pool(&self, pool: DiskPool) {
        drop(self.pool.set(pool));
    }

    pub(crate) fn set_loops(&self, loops: Vec<Arc<LoopHandle>>) {
        self.memory.set_doors(Box::new(LoopDoors(loops.clone())));
        drop(self.loops.set(loops));
    }

    pub(crate) fn loops(&self) -> &[Arc<LoopHandle>] {
        self.loops.get().map_or(&[], Vec::as_slice)
    }

    pub(crate) const fn shard_count(&self) -> usize {
        self.shards.len()
    }

    pub(crate) fn shard(&self, index: usize) -> Option<MutexGuard<'_, Shard>> {
        self.shards.get(index).map(lock)
    }

    pub(crate) fn view(&self) -> Option<Arc<ClusterView>> {
        lock(&self.view).clone()
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.registered.load(Ordering::Acquire)
    }

    pub(crate) fn event(&self, event: HubEvent) {
        // The receiver is gone only when the process is ending.
        drop(self.events.send(event));
    }

    /// When the shards of a home loop want a tick.
    pub(crate) fn deadline(&self, home: usize, loop_count: usize) -> Option<Mono> {
        let homes = self.deadlines.iter().skip(home).step_by(loop_count.max(1));
        let homes = homes.chain((home == 0).then_some(&self.quorum_deadline));
        let soonest = homes
            .map(|deadline| deadline.load(Ordering::Relaxed))
            .min()?;
        (soonest != u64::MAX).then_some(Mono(soonest))
    }

    /// Steps the shards of a home loop whose deadline has passed.
    pub(crate) fn tick(&self, home: usize, loop_count: usize) {
        let now = self.clock.mono().0;
        if home == 0 && self.quorum_deadline.load(Ordering::Relaxed) <= now {
            self.step_quorum(QuorumInput::Tick);
        }
        for index in (home..self.shards.len()).step_by(loop_count.max(1)) {
            let due = self
                .deadlines
                .get(index)
                .is_some_and(|at| at.load(Ordering::Relaxed) <= now);
            if due {
                self.step_shard(index, ShardInput::Tick);
            }
        }
    }

    /// Steps a shard and hands every reply to the loop it belongs to.
    pub(crate) fn step_shard(&self, index: usize, input: ShardInput) {
        let replies = self.step_shard_locally(index, input);
        self.deliver(replies);
    }

    /// Steps a shard and returns the replies: the caller may take its own without a detour.
    pub(crate) fn step_shard_locally(&self, index: usize, input: ShardInput) -> Vec<ShardReply> {
        let mut replies = Vec::new();
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let mut outputs = ShardOutputs::default();
            let immediate = self.step_once(index, input, &mut outputs);
            replies.append(&mut outputs.replies);
            for line in outputs.warnings {
                tracing::warn!("{line}");
            }
            for line in outputs.notes {
                tracing::debug!("{line}");
            }
            if let Some(reason) = outputs.offline {
                replies.extend(self.go_offline(index, &reason));
            }
            if let Some(answer) = outputs.trimmed {
                self.event(HubEvent::Trimmed(answer));
            }
            if outputs.full {
                self.journal.space_ran_out();
            }
            if let Some(sequence) = outputs.persisted {
                self.step_quorum(QuorumInput::Persisted(sequence));
            }
            if let Some(written) = outputs.snapshot {
                self.step_quorum(QuorumInput::Snapshot(written));
            }
            let execute = |request| {
                self.pool
                    .get()
                    .and_then(|pool| pool.execute_inline(index, request))
            };
            let executed = immediate.urgent.into_iter().filter_map(execute);
            for done in immediate.pinned.into_iter().chain(executed) {
                if next.is_none() {
                    next = Some(ShardInput::Disk(done));
                } else {
                    replies.extend(self.step_shard_locally(index, ShardInput::Disk(done)));
                }
            }
        }
        replies
    }

    /// A failure below one shard is one of the directory: the others stop as well, and so does the
    /// controller, whose log is there.
    fn go_offline(&self, index: usize, reason: &str) -> Vec<ShardReply> {
        self.journal.directory_failed();
        let others = (0..self.shards.len()).filter(|other| *other != index);
        let stop =
            |other| self.step_shard_locally(other, ShardInput::JournalFailed(reason.to_owned()));
        let replies = others.flat_map(stop).collect();
        self.step_quorum(QuorumInput::Offline);
        replies
    }

    /// One step under the lock. Disk operations are queued before it is released, so that those of
    /// one log stay in order; what needs no queue is returned.
    fn step_once(&self, index: usize, input: ShardInput, outputs: &mut ShardOutputs) -> Immediate {
        let now = self.clock.now();
        // The end of the turn marks the journal: then the commit holds all of the turn's requests.
        let more_follows = matches!(input, ShardInput::Request(_));
        let Some(mut shard) = self.shard(index) else {
            return Immediate::default();
        };
        shard.set_tail_bytes(self.memory.tail_bytes());
        shard.step(now, input, outputs);
        let is_urgent =
            |request: &DiskRequest| matches!(request.op, DiskOp::Write { urgent: true, .. });
        let requests = std::mem::take(&mut outputs.disk);
        let (urgent, mut queued): (Vec<_>, Vec<_>) = requests.into_iter().partition(is_urgent);
        let mut pinned = Vec::new();
        if let Some(pool) = self.pool.get().filter(|_| !queued.is_empty()) {
            queued.retain(|request| match pool.pin(request) {
                Some(done) => {
                    pinned.push(done);
                    false
                }
                None => true,
            });
            self.cold_reads.begin(&self.memory, index, &queued);
            pool.submit(index, queued);
        }
        let wants_commit = shard.wants_commit();
        let deadline = shard.deadline().map_or(u64::MAX, |deadline| deadline.0);
        self.memory.note_shard(index, shard_bytes(&shard));
        drop(shard);
        self.memory.settle();
        self.note_deadline(index, deadline);
        if wants_commit && !more_follows {
            self.journal.mark();
        }
        Immediate { urgent, pinned }
    }

    fn note_deadline(&self, index: usize, deadline: u64) {
        if let Some(known) = self.deadlines.get(index) {
            self.set_deadline(known, index, deadline);
        }
    }

    fn note_deadline_of(&self, quorum: &Quorum) {
        let deadline = quorum.deadline().map_or(u64::MAX, |deadline| deadline.0);
        self.set_deadline(&self.quorum_deadline, 0, deadline);
    }

    fn set_deadline(&self, known: &AtomicU64, index: usize, deadline: u64) {
        let before = known.swap(deadline, Ordering::Relaxed);
        let loops = self.loops();
        if deadline < before && !loops.is_empty() {
            // Its home loop may sleep for longer.
            loops
                .iter()
                .skip(index % loops.len())
                .take(1)
                .for_each(|home| home.wake());
        }
    }

    /// Hands replies to their loops, each of which is woken at most once.
    pub(crate) fn deliver(&self, replies: Vec<ShardReply>) {
        if replies.is_empty() {
            return;
        }
        let loops = self.loops();
        let mut by_loop: Vec<Vec<LoopMessage>> = loops.iter().map(|_| Vec::new()).collect();
        for reply in replies {
            let frontend = usize::from(reply.ticket().frontend.0);
            if let Some(messages) = by_loop.get_mut(frontend) {
                messages.push(LoopMessage::Frontend(FrontendInput::Shard(reply)));
            }
        }
        for (handle, messages) in loops.iter().zip(by_loop) {
            if !messages.is_empty() {
                handle.send(messages);
            }
        }
    }

    /// A disk operation of a shard is done.
    pub(crate) fn disk_done(&self, shard: usize, mut done: DiskDone) {
        self.cold_reads.end(shard, &mut done);
        self.step_shard(shard, ShardInput::Disk(done));
    }

    /// Puts the controller in place and does what it wants first.
    pub(crate) fn start_quorum(&self, quorum: Quorum, outputs: Vec<QuorumOutput>) {
        let mut place = lock(&self.quorum);
        self.note_deadline_of(&quorum);
        *place = Some(quorum);
        self.carry_out(outputs);
        drop(place);
    }

    /// Steps the controller. Its lock is held until everything that it wants is done, so that
    /// entries reach the metadata log, and views the machines, in the order of the steps. No shard
    /// asks for the controller while it is stepped from here.
    pub(crate) fn step_quorum(&self, input: QuorumInput) {
        let mut outputs = Vec::new();
        let now = self.clock.now();
        let mut quorum = lock(&self.quorum);
        if let Some(quorum) = quorum.as_mut() {
            quorum.step(now, input, &mut outputs);
            self.note_deadline_of(quorum);
        }
        self.carry_out(outputs);
        drop(quorum);
    }

    fn carry_out(&self, outputs: Vec<QuorumOutput>) {
        for output in outputs {
            match output {
                QuorumOutput::Persist {
                    sequence,
                    hard_state,
                    entries,
                } => {
                    let home = usize::from(METADATA_SHARD.0);
                    self.step_shard(
                        home,
                        ShardInput::Persist {
                            sequence,
                            hard_state,
                            entries,
                        },
                    );
                }
                QuorumOutput::Snapshot { id, bytes } => {
                    let home = usize::from(METADATA_SHARD.0);
                    self.step_shard(home, ShardInput::Snapshot { id, bytes });
                }
                QuorumOutput::Trim(trim) => {
                    let home = usize::from(METADATA_SHARD.0);
                    self.step_shard(home, ShardInput::TrimMetadata(trim));
                }
                QuorumOutput::Publish(view, delta) => self.publish(&view, &delta),
                QuorumOutput::Reply {
                    ticket,
                    reply,
                    offset,
                } => {
                    let message = FrontendInput::Controller(ticket, reply, offset);
                    self.to_frontend(ticket.frontend, message);
                }
                QuorumOutput::ProducerIds(frontend, ids) => {
                    self.to_frontend(frontend, FrontendInput::ProducerIds(ids));
                }
                QuorumOutput::Registered => {
                    self.registered.store(true, Ordering::Release);
                    self.event(HubEvent::Registered);
                }
                QuorumOutput::Halt(reason) => self.event(HubEvent::Fatal(reason)),
            }
        }
    }

    /// Shards act on new metadata before any frontend sees it: a topic that a client reads of is
    /// one that it can write to.
    fn publish(&self, view: &Arc<ClusterView>, delta: &Arc<chronik_node::MetadataDelta>) {
        for index in 0..self.shards.len() {
            self.step_shard(index, ShardInput::View(Arc::clone(view), Arc::clone(delta)));
        }
        *lock(&self.view) = Some(Arc::clone(view));
        for handle in self.loops() {
            handle.send([LoopMessage::Frontend(FrontendInput::View(Arc::clone(view)))]);
        }
    }

    fn to_frontend(&self, frontend: FrontendId, message: FrontendInput) {
        if let Some(handle) = self.loops().get(usize::from(frontend.0)) {
            handle.send([LoopMessage::Frontend(message)]);
        }
    }
}

/// What a step leaves that needs no queue.
#[derive(Debug, Default)]
struct Immediate {
    /// Writes that an acknowledgement waits for.
    urgent: Vec<DiskRequest>,
    /// Reads that are done.
    pinned: Vec<DiskDone>,
}

/// The loops, as the memory budget sees them.
#[derive(Debug)]
struct LoopDoors(Vec<Arc<LoopHandle>>);

impl Doors for LoopDoors {
    fn granted(&self, event_loop: usize, id: ConnectionId, lease: Lease) {
        if let Some(handle) = self.0.get(event_loop) {
            handle.send([LoopMessage::Granted(id, lease)]);
        }
    }

    fn room(&self) {
        for handle in &self.0 {
            handle.wake();
        }
    }
}

fn shard_bytes(shard: &Shard) -> ShardBytes {
    let store = shard.store();
    ShardBytes {
        open: store.open_bytes() as u64,
        resident: store.resident_bytes() as u64,
        unwritten: store.unwritten_bytes(),
    }
}

/// The shard that hosts the metadata log.
pub(crate) const METADATA_SHARD: ShardId = ShardId(0);
