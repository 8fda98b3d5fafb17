//! The memory budget of the process (`chronik.memory.bytes`): one accountant, from which everything
//! draws that clients can make large.
//!
//! Whoever holds memory has a [`Lease`] for it, which gives it back when the last user of the bytes is
//! gone; a batch that a slow consumer still waits for stays accounted after the tail has let it go.
//! What is left of the budget beside a fixed part for the process itself is divided by two promises,
//! so that neither side can starve the other, and the tail takes what both leave free:
//!
//! ```text
//! |<- process ->|<----------------------- data ------------------------>|
//!               |<-- produce: 1/2 -->|<-- replies: 3/8 -->|<- slack 1/8 ->|
//!               |  requests coming   |  cold reads, sent  |
//!               |  in, not yet in    |  replies, batches  |
//!               |  the segments      |  the tail let go   |
//!               |<------------ tail (at most 1/4), evicted first -------->|
//! ```
//!
//! Requests wait in one line, in order, unread; the first of them gets in alone however large it is.
//! Fetches wait in front of their shard. While somebody waits, connections that hold memory and do
//! not move are closed, the largest first.

mod cold_reads;
mod lease;
mod line;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use chronik_node::ConnectionId;
use chronik_storage::store::Keep;

use crate::hub::lock;
pub(crate) use cold_reads::ColdReads;
use lease::BatchKeeper;
pub(crate) use lease::{Kind, Lease};
use line::{Line, Waiter};

/// What the process needs whatever clients do: code, stacks and tables (25 MiB), and a part of what the
/// allocator keeps for later; with all shares full it keeps half as much as is in use.
const PROCESS_BYTES: u64 = 48 << 20;
/// A reply is never kept shorter than this by the budget; one batch comes whole in any case.
const MIN_REPLY_BYTES: u64 = 64 << 10;
/// A reply is never longer than this, whatever the client and `fetch.max.bytes` allow.
const MAX_REPLY_BYTES: u64 = 4 << 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: u64,
    data: u64,
    held: [AtomicU64; Kind::ALL.len()],
    shards: Vec<ShardGauge>,
    line: Mutex<Line>,
    /// Somebody waits in the line.
    queueing: AtomicBool,
    /// A loop does not read until there is room.
    starving: AtomicBool,
    /// A loop holds fetches back until there is room.
    holding_back: AtomicBool,
    doors: OnceLock<Box<dyn Doors>>,
}

/// What a shard holds, as it was after its last step.
#[derive(Debug, Default)]
struct ShardGauge {
    open: AtomicU64,
    resident: AtomicU64,
    unwritten: AtomicU64,
}

/// What a shard holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ShardBytes {
    /// Appended and not taken by the journal yet.
    pub(crate) open: u64,
    /// In the tail.
    pub(crate) resident: u64,
    /// Appended and not written to the segments yet.
    pub(crate) unwritten: u64,
}

/// Where those are told who waited. Called with no lock held that a loop takes.
pub(crate) trait Doors: std::fmt::Debug + Send + Sync {
    /// A request that stood in line may be read now.
    fn granted(&self, event_loop: usize, id: ConnectionId, lease: Lease);
    /// There is room again: loops that starve may try.
    fn room(&self);
}

impl Memory {
    /// A budget of `limit` bytes for a process with this many shards.
    pub(crate) fn new(limit: u64, shards: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            data: limit.saturating_sub(PROCESS_BYTES).max(limit / 4),
            held: Default::default(),
            shards: (0..shards).map(|_| ShardGauge::default()).collect(),
            line: Mutex::default(),
            queueing: AtomicBool::new(false),
            starving: AtomicBool::new(false),
            holding_back: AtomicBool::new(false),
            doors: OnceLock::new(),
        })
    }

    /// Says where those are told who wait.
    pub(crate) fn set_doors(&self, doors: Box<dyn Doors>) {
        drop(self.doors.set(doors));
    }

    /// The whole budget.
    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes of one kind.
    pub(crate) fn held(&self, kind: Kind) -> u64 {
        self.held
            .get(kind.index())
            .map_or(0, |held| held.load(Ordering::Relaxed))
    }

    /// Bytes appended and not taken by the journal yet.
    pub(crate) fn open(&self) -> u64 {
        self.sum(|shard| &shard.open)
    }

    /// Bytes in the tails.
    pub(crate) fn resident(&self) -> u64 {
        self.sum(|shard| &shard.resident)
    }

    /// Bytes appended and not written to the segments yet.
    pub(crate) fn unwritten(&self) -> u64 {
        self.sum(|shard| &shard.unwritten)
    }

    /// Everything that is accounted.
    pub(crate) fn used(&self) -> u64 {
        self.requests()
            + self.open()
            + self.held(Kind::Journal)
            + self.held(Kind::Batches).max(self.resident())
            + self.held(Kind::ColdReads)
            + self.held(Kind::Replies)
    }

    fn requests(&self) -> u64 {
        self.held(Kind::Requests) + self.held(Kind::LargeRequests)
    }

    /// Requests on their way in, and what they have appended until it is in the segments.
    fn producing(&self) -> u64 {
        self.requests() + self.unwritten().max(self.open() + self.held(Kind::Journal))
    }

    /// What only replies keep.
    fn replying(&self) -> u64 {
        let let_go = self.held(Kind::Batches).saturating_sub(self.resident());
        let_go + self.held(Kind::ColdReads) + self.held(Kind::Replies)
    }

    const fn produce_share(&self) -> u64 {
        self.data / 2
    }

    const fn reply_share(&self) -> u64 {
        self.data / 8 * 3
    }

    /// Whether no more requests should be read.
    pub(crate) fn is_short(&self) -> bool {
        self.producing() >= self.produce_share()
    }

    /// Most bytes of a fetch that is read now; `None` when it has to wait. The more is taken, the
    /// less one reply may add, so that many slow consumers get a little each.
    pub(crate) fn reply_room(&self) -> Option<u64> {
        let room = self.reply_share().checked_sub(self.replying())?;
        // Powers of two, so that the allocator has buffers of few sizes, which it can use again.
        let share = 1 << (room / 4).max(1).ilog2();
        (room > 0).then_some(share.clamp(MIN_REPLY_BYTES, MAX_REPLY_BYTES))
    }

    /// Bytes that one shard may keep in its tail.
    pub(crate) fn tail_bytes(&self) -> usize {
        let appended = self.open() + self.held(Kind::Journal);
        let others = self.requests() + appended + self.replying();
        let all = (self.data / 8 * 7)
            .saturating_sub(others)
            .min(self.data / 4);
        usize::try_from(all).unwrap_or(usize::MAX) / self.shards.len().max(1)
    }

    /// Whether somebody waits for memory that is not there.
    pub(crate) fn is_wanted(&self) -> bool {
        let queueing = self.queueing.load(Ordering::Relaxed);
        let starving = self.starving.load(Ordering::Relaxed);
        let holding_back = self.holding_back.load(Ordering::Relaxed);
        queueing || (starving && self.is_short()) || (holding_back && self.reply_room().is_none())
    }

    /// Says that a loop waits for room for requests: it is told once there is some. The caller has
    /// to look again after this call.
    pub(crate) fn starve(&self) {
        self.starving.store(true, Ordering::SeqCst);
    }

    /// Says that a loop waits for room for replies, like [`Memory::starve`].
    pub(crate) fn hold_back(&self) {
        self.holding_back.store(true, Ordering::SeqCst);
    }

    /// Notes what a shard holds after a step.
    pub(crate) fn note_shard(&self, index: usize, bytes: ShardBytes) {
        if let Some(shard) = self.shards.get(index) {
            shard.open.store(bytes.open, Ordering::Relaxed);
            shard.resident.store(bytes.resident, Ordering::Relaxed);
            shard.unwritten.store(bytes.unwritten, Ordering::Relaxed);
        }
    }

    /// Takes memory without asking: for what is there already.
    pub(crate) fn take(self: &Arc<Self>, kind: Kind, bytes: usize) -> Lease {
        Lease::new(Arc::clone(self), kind, bytes as u64)
    }

    /// What shards account with for batches that do not come from the journal.
    pub(crate) fn batch_keeper(self: &Arc<Self>) -> Arc<dyn Keep> {
        Arc::new(BatchKeeper(Arc::clone(self)))
    }

    /// Takes memory for a large request, or puts it in line; then [`Doors::granted`] follows.
    pub(crate) fn reserve(
        self: &Arc<Self>,
        event_loop: usize,
        id: ConnectionId,
        bytes: usize,
    ) -> Option<Lease> {
        let waiter = Waiter {
            event_loop,
            id,
            bytes: bytes as u64,
        };
        let mut line = lock(&self.line);
        if line.is_empty() && self.fits(waiter.bytes) {
            return Some(self.take(Kind::LargeRequests, bytes));
        }
        line.join(waiter);
        self.queueing.store(true, Ordering::SeqCst);
        drop(line);
        // Room may have come between the look and the queue.
        self.settle();
        None
    }

    /// The rest of the share, or anything if no other large request is there and what came before is
    /// in the segments. A full tail is below this bound, so that it is reached in any case.
    fn fits(&self, bytes: u64) -> bool {
        let (share, producing) = (self.produce_share(), self.producing());
        let alone = self.held(Kind::LargeRequests) == 0 && producing <= share / 4 * 3;
        producing + bytes <= share || alone
    }

    /// Lets those in who wait, as far as there is room. Called whenever there may be more of it.
    pub(crate) fn settle(self: &Arc<Self>) {
        if self.queueing.load(Ordering::SeqCst) {
            self.admit();
        }
        let starving = self.starving.load(Ordering::SeqCst) && !self.is_short();
        let holding_back = self.holding_back.load(Ordering::SeqCst) && self.reply_room().is_some();
        let fed = starving && self.starving.swap(false, Ordering::SeqCst);
        let released = holding_back && self.holding_back.swap(false, Ordering::SeqCst);
        if (fed || released)
            && let Some(doors) = self.doors.get()
        {
            doors.room();
        }
    }

    fn admit(self: &Arc<Self>) {
        let mut granted = Vec::new();
        let mut line = lock(&self.line);
        while let Some(first) = line.first().filter(|first| self.fits(first.bytes)) {
            line.leave();
            let lease = Lease::new(Arc::clone(self), Kind::LargeRequests, first.bytes);
            granted.push((first, lease));
        }
        self.queueing.store(!line.is_empty(), Ordering::SeqCst);
        drop(line);
        for (waiter, lease) in granted {
            if let Some(doors) = self.doors.get() {
                doors.granted(waiter.event_loop, waiter.id, lease);
            }
        }
    }

    fn change(&self, kind: Kind, by: impl FnOnce(&AtomicU64) -> u64) {
        if let Some(held) = self.held.get(kind.index()) {
            by(held);
        }
    }

    fn sum(&self, of: fn(&ShardGauge) -> &AtomicU64) -> u64 {
        let bytes = self.shards.iter().map(of);
        bytes.map(|gauge| gauge.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
#[path = "memory/tests.rs"]
mod tests;
