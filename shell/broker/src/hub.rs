//! Where the machines meet: any thread may step a shard under its lock, and what comes out is carried
//! to where it belongs.
//!
//! A shard's lock is held for one step and is hardly ever contended; `docs/adr/0001-shard-lock.md`
//! has the measurement against handing every request to an owning thread. Locks nest in one order
//! only: the journal's, the controller's, then one shard's.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use chronik_model::{Mono, Now};
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

    /// Takes what was handed over, for an empty vector whose memory is used again. The loop calls this
    /// after it woke.
    pub(crate) fn take(&self, messages: &mut Vec<LoopMessage>) {
        self.awake.store(true, Ordering::SeqCst);
        std::mem::swap(&mut *lock(&self.inbox), messages);
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
    pub(crate) fn tick(&self, now: Now, home: usize, loop_count: usize) {
        let mono = now.mono.0;
        if home == 0 && self.quorum_deadline.load(Ordering::Relaxed) <= mono {
            self.step_quorum(QuorumInput::Tick);
        }
        for index in (home..self.shards.len()).step_by(loop_count.max(1)) {
            let due = self
                .deadlines
                .get(index)
                .is_some_and(|at| at.load(Ordering::Relaxed) <= mono);
            if due {
                self.step_shard(index, ShardInput::Tick);
            }
        }
    }

    /// Steps a shard and hands every reply to the loop it belongs to.
    pub(crate) fn step_shard(&self, index: usize, input: ShardInput) {
        let mut replies = Vec::new();
        self.step_shard_locally(self.clock.now(), index, input, &mut replies);
        self.deliver(&mut replies);
    }

    /// Steps a shard and adds the replies to those given: the caller may take its own without a
    /// detour.
    pub(crate) fn step_shard_locally(
        &self,
        now: Now,
        index: usize,
        input: ShardInput,
        replies: &mut Vec<ShardReply>,
    ) {
        let mut immediate = self.step_and_pass_on(now, index, input, replies);
        while !immediate.is_empty() {
            let mut follow = Vec::new();
            for operation in immediate {
                if let Some(done) = self.execute_now(index, operation) {
                    // The disk took its time.
                    let (now, input) = (self.clock.now(), ShardInput::Disk(done));
                    follow.extend(self.step_and_pass_on(now, index, input, replies));
                }
            }
            immediate = follow;
        }
    }

    fn execute_now(&self, index: usize, operation: Immediate) -> Option<DiskDone> {
        match operation {
            Immediate::Done(done) => Some(done),
            Immediate::Urgent(request) => self.pool.get()?.execute_inline(index, request),
        }
    }

    /// Steps a shard, and returns what needs no queue.
    fn step_and_pass_on(
        &self,
        now: Now,
        index: usize,
        input: ShardInput,
        replies: &mut Vec<ShardReply>,
    ) -> Vec<Immediate> {
        let mut outputs = ShardOutputs {
            replies: std::mem::take(replies),
            ..ShardOutputs::default()
        };
        let immediate = self.step_once(now, index, input, &mut outputs);
        *replies = std::mem::take(&mut outputs.replies);
        if outputs.are_more_than_replies() {
            self.pass_on(now, index, outputs, replies);
        }
        immediate
    }

    /// Does what a step wants beside its replies and its disk operations.
    fn pass_on(
        &self,
        now: Now,
        index: usize,
        outputs: ShardOutputs,
        replies: &mut Vec<ShardReply>,
    ) {
        for line in outputs.warnings {
            tracing::warn!("{line}");
        }
        for line in outputs.notes {
            tracing::debug!("{line}");
        }
        if let Some(reason) = outputs.offline {
            self.go_offline(now, index, &reason, replies);
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
    }

    /// A failure below one shard is one of the directory: the others stop as well, and so does the
    /// controller, whose log is there.
    fn go_offline(&self, now: Now, index: usize, reason: &str, replies: &mut Vec<ShardReply>) {
        self.journal.directory_failed();
        for other in (0..self.shards.len()).filter(|other| *other != index) {
            let input = ShardInput::JournalFailed(reason.to_owned());
            self.step_shard_locally(now, other, input, replies);
        }
        self.step_quorum(QuorumInput::Offline);
    }

    /// One step under the lock. Disk operations are queued before it is released, so that those of
    /// one log stay in order; what needs no queue is returned.
    fn step_once(
        &self,
        now: Now,
        index: usize,
        input: ShardInput,
        outputs: &mut ShardOutputs,
    ) -> Vec<Immediate> {
        // The end of the turn follows, for all of the turn's requests: it lets go of memory, has the
        // next tick noted and, with a look at `wants_commit`, the journal told.
        let is_request = matches!(input, ShardInput::Request(_));
        let ends_turn = matches!(input, ShardInput::EndTurn);
        let Some(mut shard) = self.shard(index) else {
            return Vec::new();
        };
        if !is_request {
            shard.set_tail_bytes(self.memory.tail_bytes());
        }
        shard.step(now, input, outputs);
        let immediate = self.submit(index, std::mem::take(&mut outputs.disk));
        self.memory.note_shard(index, shard_bytes(&shard));
        if is_request {
            return immediate;
        }
        let wants_commit = shard.wants_commit();
        let deadline = shard.deadline().map_or(u64::MAX, |deadline| deadline.0);
        drop(shard);
        self.memory.settle();
        self.note_deadline(index, deadline);
        if wants_commit && !ends_turn {
            self.journal.mark();
        }
        immediate
    }

    /// Queues operations, but for those that need no queue.
    fn submit(&self, index: usize, requests: Vec<DiskRequest>) -> Vec<Immediate> {
        let mut immediate = Vec::new();
        let Some(pool) = self.pool.get().filter(|_| !requests.is_empty()) else {
            return immediate;
        };
        let mut queued = Vec::with_capacity(requests.len());
        for request in requests {
            if matches!(request.op, DiskOp::Write { urgent: true, .. }) {
                immediate.push(Immediate::Urgent(request));
            } else if let Some(done) = pool.pin(&request) {
                immediate.push(Immediate::Done(done));
            } else {
                queued.push(request);
            }
        }
        if !queued.is_empty() {
            self.cold_reads.begin(&self.memory, index, &queued);
            pool.submit(index, queued);
        }
        immediate
    }

    /// Whether a shard has something for the journal.
    pub(crate) fn wants_commit(&self, index: usize) -> bool {
        self.shard(index).is_some_and(|shard| shard.wants_commit())
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
        if known.load(Ordering::Relaxed) == deadline {
            return;
        }
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
    pub(crate) fn deliver(&self, replies: &mut Vec<ShardReply>) {
        for (index, handle) in self.loops().iter().enumerate() {
            let is_of_it = |reply: &ShardReply| usize::from(reply.ticket().frontend.0) == index;
            if replies.iter().any(is_of_it) {
                let own = replies.extract_if(.., |reply| is_of_it(reply));
                handle.send(own.map(|reply| LoopMessage::Frontend(FrontendInput::Shard(reply))));
            }
        }
        replies.clear();
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

/// A disk operation that needs no queue.
#[derive(Debug)]
enum Immediate {
    /// A write that an acknowledgement waits for.
    Urgent(DiskRequest),
    /// A read of what the page cache has.
    Done(DiskDone),
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
