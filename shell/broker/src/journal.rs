//! The journal thread: takes what the shards have waiting, writes it with one synchronous write,
//! tells them, and starts over. There is no timer: the commit interval is the disk's own latency.
//!
//! While the thread waits, an event loop may take its place: for a lone record, waking the thread and
//! being woken by it would take as long as the write.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use chronik_node::{QuorumInput, ShardInput};
use chronik_storage::disk::{DiskError, DiskErrorKind};
use chronik_storage::journal::frame::CommittedFrame;
use chronik_storage::journal::{CommitPlan, JournalStart, Ring, RingError, SealedFrame};

use crate::disk::filesystem::free_bytes;
use crate::disk::journal_files::JournalFiles;
use crate::hub::{Hub, HubEvent, lock};
use crate::memory::Kind;
use crate::metrics::JournalCounters;

/// Free space is looked at whenever this much was written.
const FREE_SPACE_EVERY_BYTES: u64 = 16 << 20;
/// While the disk is full, free space is looked at this often.
const FREE_SPACE_RETRY: Duration = Duration::from_millis(500);
/// Produce is refused when free space falls below what is promised to the segments plus this.
const FREE_SPACE_RESERVE_BYTES: u64 = 64 << 20;
/// An event loop commits itself only on a disk that takes no longer for it than this.
const QUICK_COMMIT: Duration = Duration::from_micros(500);

#[derive(Debug, Default)]
struct Wanted {
    /// Some shard has something to write.
    commit: bool,
    /// A checkpoint is durable: files before this point are free.
    trim: Option<JournalStart>,
    /// A segment could not be written for want of space.
    full: bool,
    /// The directory failed: nothing is trimmed any more.
    offline: bool,
    stop: bool,
}

/// How other threads talk to the journal thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct JournalHandle {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    wanted: Mutex<Wanted>,
    wake: Condvar,
    /// Mirrors `Wanted::commit`, so that most marks take no lock.
    marked: AtomicBool,
    used_files: AtomicU64,
    /// The last commit held one batch and was quick: the next one is likely to be the same.
    calm: AtomicBool,
    /// The journal, for whoever commits. It is locked before any shard, and never waited for but by
    /// its own thread.
    journal: Mutex<Option<Journal>>,
}

impl JournalHandle {
    /// A shard has something to write.
    pub(crate) fn mark(&self) {
        if !self.shared.marked.swap(true, Ordering::AcqRel) {
            lock(&self.shared.wanted).commit = true;
            self.shared.wake.notify_one();
        }
    }

    /// Commits on the calling thread what the shards have waiting, if nobody else does and the disk is
    /// quick. Otherwise returns `false`, and [`JournalHandle::mark`] is due. Called with no lock held.
    pub(crate) fn commit_here(&self) -> bool {
        let is_calm = self.shared.calm.load(Ordering::Relaxed);
        if !is_calm || self.shared.marked.load(Ordering::Acquire) {
            return false;
        }
        let mut place = self.shared.journal.try_lock().ok();
        let journal = place.as_mut().and_then(|place| place.as_mut());
        journal.is_some_and(Journal::commit_for_a_loop)
    }

    /// Waits until there is something to do, or in trouble for a while.
    fn wait(&self, in_trouble: bool) -> Wanted {
        let mut wanted = lock(&self.shared.wanted);
        while !wanted.commit && wanted.trim.is_none() && !wanted.full && !wanted.stop {
            let wake = &self.shared.wake;
            if !in_trouble {
                wanted = wake.wait(wanted).unwrap_or_else(|it| it.into_inner());
                continue;
            }
            let waited = wake.wait_timeout(wanted, FREE_SPACE_RETRY);
            let (guard, timeout) = waited.unwrap_or_else(|it| it.into_inner());
            wanted = guard;
            if timeout.timed_out() {
                break;
            }
        }
        self.shared.marked.store(false, Ordering::Release);
        Wanted {
            commit: std::mem::take(&mut wanted.commit),
            trim: wanted.trim.take(),
            full: std::mem::take(&mut wanted.full),
            offline: wanted.offline,
            stop: wanted.stop,
        }
    }

    /// Waits for a trim, or for as long as nothing else is to be looked at. Where no trim can come any
    /// more that is a failure.
    fn wait_for_trim(&self) -> Result<Waited, DiskError> {
        let wanted = lock(&self.shared.wanted);
        let nothing_yet =
            |wanted: &mut Wanted| wanted.trim.is_none() && !wanted.offline && !wanted.stop;
        let waited = (self.shared.wake).wait_timeout_while(wanted, FREE_SPACE_RETRY, nothing_yet);
        let (mut wanted, timeout) = waited.unwrap_or_else(|it| it.into_inner());
        if let Some(start) = wanted.trim.take() {
            return Ok(Waited::Trimmed(start));
        }
        if timeout.timed_out() {
            let ran_out = std::mem::take(&mut wanted.full);
            return Ok(Waited::InVain { ran_out });
        }
        let reason = "no room, and nothing is trimmed any more";
        Err(DiskError::new("journal", DiskErrorKind::Failed, reason))
    }

    fn has_work(&self) -> bool {
        let wanted = lock(&self.shared.wanted);
        wanted.commit || wanted.trim.is_some() || wanted.full
    }

    /// Frees the ring files before a checkpoint that is durable.
    pub(crate) fn trim(&self, start: JournalStart) {
        lock(&self.shared.wanted).trim = Some(start);
        self.shared.wake.notify_one();
    }

    /// A segment could not be written for want of space: all are tried again later.
    pub(crate) fn space_ran_out(&self) {
        lock(&self.shared.wanted).full = true;
        self.shared.wake.notify_one();
    }

    /// The directory failed: nobody is to wait for room.
    pub(crate) fn directory_failed(&self) {
        lock(&self.shared.wanted).offline = true;
        self.shared.wake.notify_one();
    }

    /// Ends the thread once nothing waits.
    pub(crate) fn stop(&self) {
        lock(&self.shared.wanted).stop = true;
        self.shared.wake.notify_one();
    }

    /// Ring files that can not be trimmed yet.
    pub(crate) fn used_files(&self) -> u64 {
        self.shared.used_files.load(Ordering::Relaxed)
    }
}

/// What waiting for a trim came to.
#[derive(Debug)]
enum Waited {
    /// The ring has room before this.
    Trimmed(JournalStart),
    /// Nothing happened for a while, but that segments may have found no space.
    InVain { ran_out: bool },
}

/// The journal thread's own state.
#[derive(Debug)]
pub(crate) struct Journal {
    hub: Arc<Hub>,
    handle: JournalHandle,
    ring: Ring,
    files: JournalFiles,
    counters: Arc<JournalCounters>,
    data_dir: PathBuf,
    trimming: bool,
    disk_full: bool,
    /// When segment writes that found no space are tried again.
    retry_at: Option<Instant>,
    written_since_look: u64,
    /// A write failed: nothing is written any more.
    failed: bool,
}

/// Why the thread ended, and where the next incarnation may start to write.
#[derive(Debug)]
pub(crate) struct JournalEnd {
    pub(crate) successor: JournalStart,
    pub(crate) failed: bool,
}

impl Journal {
    pub(crate) fn new(
        hub: Arc<Hub>,
        ring: Ring,
        files: JournalFiles,
        counters: Arc<JournalCounters>,
        data_dir: PathBuf,
    ) -> Self {
        let handle = hub.journal.clone();
        Self {
            hub,
            handle,
            ring,
            files,
            counters,
            data_dir,
            trimming: false,
            disk_full: false,
            retry_at: None,
            written_since_look: FREE_SPACE_EVERY_BYTES,
            failed: false,
        }
    }

    /// Commits until it is told to stop, or a write fails.
    pub(crate) fn run(self) -> JournalEnd {
        let handle = self.handle.clone();
        let place = &handle.shared.journal;
        *lock(place) = Some(self);
        let mut in_trouble = false;
        loop {
            let wanted = handle.wait(in_trouble);
            let mut place = lock(place);
            let Some(mut journal) = place.take() else {
                continue;
            };
            journal.turn(&wanted);
            if journal.failed || (wanted.stop && !handle.has_work()) {
                return JournalEnd {
                    successor: journal.ring.successor(),
                    failed: journal.failed,
                };
            }
            in_trouble = journal.disk_full || journal.retry_at.is_some();
            *place = Some(journal);
        }
    }

    fn turn(&mut self, wanted: &Wanted) {
        if let Some(start) = wanted.trim {
            self.ring.trim(start);
            self.trimming = false;
        }
        if !self.failed && self.commit() {
            self.look_at_free_space();
            self.retry_writes(wanted.full);
            self.ask_for_trim();
        }
    }

    /// A commit in which nothing has to be waited for but the disk. Whatever else is due is left to the
    /// journal's own thread.
    fn commit_for_a_loop(&mut self) -> bool {
        if self.failed || self.trimming || self.disk_full || self.retry_at.is_some() {
            return false;
        }
        if self.commit() {
            self.ask_for_trim();
        }
        if self.failed || self.written_since_look >= FREE_SPACE_EVERY_BYTES {
            self.handle.mark();
        }
        true
    }

    /// Whether it went well; otherwise it was the last one.
    fn commit(&mut self) -> bool {
        if let Err(error) = self.write_all() {
            self.fail(&error);
        }
        !self.failed
    }

    /// Writes everything that waits: as one commit, or as several where the ring has no room for it
    /// at once.
    fn write_all(&mut self) -> Result<(), DiskError> {
        let mut frames: Vec<SealedFrame> = Vec::new();
        let mut owners: Vec<usize> = Vec::new();
        for index in 0..self.hub.shard_count() {
            if let Some(mut shard) = self.hub.shard(index) {
                let sealed = shard.seal();
                owners.extend(std::iter::repeat_n(index, sealed.len()));
                frames.extend(sealed);
            }
        }
        while !frames.is_empty() {
            let waiting = frames.iter().map(|frame| frame.bytes.len()).sum();
            let lease = self.hub.memory.take(Kind::Journal, waiting);
            self.counters
                .queued(frames.iter().map(|frame| frame.entries.len() as u64).sum());
            let started = Instant::now();
            let count = self.wait_for_room(&frames)?;
            let later = (frames.split_off(count), owners.split_off(count));
            let plan = self.write(&mut frames, started)?;
            drop(lease);
            self.tell_shards(plan, frames, owners);
            (frames, owners) = later;
        }
        Ok(())
    }

    /// Makes frames durable that there is room for.
    fn write(
        &mut self,
        frames: &mut [SealedFrame],
        started: Instant,
    ) -> Result<CommitPlan, DiskError> {
        let plan = self.ring.plan(frames).map_err(|error| misfit(&error))?;
        for write in &plan.writes {
            self.files.write(write)?;
        }
        self.ring.completed();
        let bytes: u64 = plan
            .writes
            .iter()
            .flat_map(|write| &write.buffers)
            .map(|it| it.len() as u64)
            .sum();
        let appends = frames.iter().map(|frame| frame.entries.len() as u64).sum();
        let took = started.elapsed();
        let is_calm = appends == 1 && took <= QUICK_COMMIT;
        self.handle.shared.calm.store(is_calm, Ordering::Relaxed);
        self.counters.committed(appends, bytes, took);
        self.written_since_look += bytes;
        Ok(plan)
    }

    /// How many of the first frames the ring has room for; waits for a trim while there is none for
    /// even one. A trim may wait for segments that found no space, so these are seen to meanwhile.
    fn wait_for_room(&mut self, frames: &[SealedFrame]) -> Result<usize, DiskError> {
        loop {
            let count = self.ring.fitting(frames).map_err(|error| misfit(&error))?;
            if count > 0 {
                return Ok(count);
            }
            self.ask_for_trim();
            match self.handle.wait_for_trim()? {
                Waited::Trimmed(start) => {
                    self.ring.trim(start);
                    self.trimming = false;
                }
                Waited::InVain { ran_out } => {
                    self.look_at_free_space();
                    self.retry_writes(ran_out);
                }
            }
        }
    }

    fn tell_shards(&self, plan: CommitPlan, frames: Vec<SealedFrame>, owners: Vec<usize>) {
        let buffers = plan.writes.into_iter().flat_map(|write| write.buffers);
        let (now, mut replies) = (self.hub.clock.now(), Vec::new());
        for (((sequence, frame), bytes), owner) in
            (plan.first_sequence..).zip(frames).zip(buffers).zip(owners)
        {
            let SealedFrame {
                entries, controls, ..
            } = frame;
            let lease = self.hub.memory.take(Kind::Batches, bytes.len());
            let frame = CommittedFrame {
                sequence,
                bytes: lease.keep(bytes),
                entries,
                controls,
            };
            let input = ShardInput::Committed(frame);
            self.hub.step_shard_locally(now, owner, input, &mut replies);
        }
        self.hub.deliver(&mut replies);
    }

    /// Once half of the ring is used, asks the shards to do without the oldest part of it.
    fn ask_for_trim(&mut self) {
        let (used, _) = self.ring.usage();
        self.handle
            .shared
            .used_files
            .store(used as u64, Ordering::Relaxed);
        if self.trimming {
            return;
        }
        if let Some(start) = self.ring.wanted_trim() {
            self.trimming = true;
            self.hub.event(HubEvent::TrimWanted(start));
        }
    }

    fn look_at_free_space(&mut self) {
        if self.written_since_look < FREE_SPACE_EVERY_BYTES && !self.disk_full {
            return;
        }
        self.written_since_look = 0;
        let Ok(free) = free_bytes(&self.data_dir) else {
            return;
        };
        let full = free < self.hub.memory.unwritten() + FREE_SPACE_RESERVE_BYTES;
        if full == self.disk_full {
            return;
        }
        self.disk_full = full;
        if full {
            tracing::error!(
                free_bytes = free,
                "disk almost full: produce is refused, reads and deletes go on"
            );
        } else {
            tracing::info!(free_bytes = free, "space is back: produce is accepted");
        }
        for index in 0..self.hub.shard_count() {
            self.hub.step_shard(index, ShardInput::DiskFull(full));
        }
    }

    /// A device may have no space whatever it says is free, such as behind a quota: what could not be
    /// written for want of it is tried again after a while.
    fn retry_writes(&mut self, ran_out: bool) {
        if self.retry_at.is_some_and(|at| at <= Instant::now()) {
            self.retry_at = None;
            for index in 0..self.hub.shard_count() {
                self.hub.step_shard(index, ShardInput::RetryWrites);
            }
        }
        if ran_out {
            self.retry_at
                .get_or_insert_with(|| Instant::now() + FREE_SPACE_RETRY);
        }
    }

    fn fail(&mut self, error: &DiskError) {
        self.failed = true;
        self.counters.failed();
        for index in 0..self.hub.shard_count() {
            self.hub
                .step_shard(index, ShardInput::JournalFailed(error.to_string()));
        }
        self.hub.step_quorum(QuorumInput::Offline);
    }
}

/// Room is asked for before frames are placed, so this is a frame that no file holds.
fn misfit(error: &RingError) -> DiskError {
    DiskError::new("journal", DiskErrorKind::Failed, error.to_string())
}
