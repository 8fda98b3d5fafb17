//! Threads that carry out operations on segment files, those of one log in order.
//!
//! A log belongs to one worker by its id. The worker takes operations from its queue one by one.
//! An urgent write may be carried out by the caller instead, but only while the worker has nothing
//! of that log, queued or under way; and until it is done, the worker takes nothing of that log.
//!
//! ```text
//!  event loops --submit--> [ queue | logs busy | logs inline ] --> worker thread
//!       |                             |                                |
//!       +-- execute_inline -- free? --+                                |
//!       |                                                              |
//!       +-----------------> [ table of open files ] <------------------+
//! ```
//!
//! The queue has no limit of its own: each requesting machine has a limited number of operations
//! outstanding.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};

use chronik_model::LogId;
use chronik_storage::disk::{DiskData, DiskDone, DiskOp, DiskRequest};

use super::file_table::FileTable;
use super::{locked, operations};

/// Threads of a pool where nothing else is asked for.
pub(crate) const DEFAULT_THREADS: usize = 2;
/// Segment files that one worker keeps open.
pub(crate) const MAX_OPEN_FILES_PER_THREAD: usize = 1024;
/// Completions held back at most while more writes are at hand.
const MAX_HELD_COMPLETIONS: usize = 64;

/// Told on a pool thread which operations of which shard are done.
pub(crate) type Complete = Arc<dyn Fn(usize, Vec<DiskDone>) + Send + Sync>;

/// The pool. Dropping it carries out what is queued, syncs what is dirty and joins the threads.
#[derive(Debug)]
pub(crate) struct DiskPool {
    workers: Vec<Arc<Worker>>,
    threads: Vec<JoinHandle<()>>,
}

impl DiskPool {
    /// Starts `threads` (at least one) on the directory `data_dir`.
    ///
    /// # Errors
    /// A thread can not be started.
    pub(crate) fn start(threads: usize, data_dir: PathBuf, complete: Complete) -> io::Result<Self> {
        Self::with_open_files(threads, data_dir, complete, MAX_OPEN_FILES_PER_THREAD)
    }

    pub(super) fn with_open_files(
        threads: usize,
        data_dir: PathBuf,
        complete: Complete,
        open_files: usize,
    ) -> io::Result<Self> {
        let root = data_dir.into();
        let mut pool = Self {
            workers: Vec::new(),
            threads: Vec::new(),
        };
        for index in 0..threads.max(1) {
            let worker = Arc::new(Worker {
                queue: Mutex::new(Queue::default()),
                changed: Condvar::new(),
                files: Mutex::new(FileTable::new(Arc::clone(&root), open_files)),
                complete: Arc::clone(&complete),
            });
            pool.workers.push(Arc::clone(&worker));
            let thread = thread::Builder::new().name(format!("disk-{index}"));
            pool.threads.push(thread.spawn(move || worker.run())?);
        }
        Ok(pool)
    }

    /// Queues operations of one shard. Those of one log are carried out in the order given, behind
    /// those submitted before.
    pub(crate) fn submit(&self, shard: usize, requests: Vec<DiskRequest>) {
        let mut shares: Vec<Vec<Job>> = Vec::new();
        shares.resize_with(self.workers.len(), Vec::new);
        for request in requests {
            if let Some(share) = shares.get_mut(self.place(request.op.log_id())) {
                share.push(Job { shard, request });
            }
        }
        for (worker, share) in self.workers.iter().zip(shares) {
            if !share.is_empty() {
                worker.enqueue(&mut locked(&worker.queue), share);
            }
        }
    }

    /// Carries out an urgent write in the calling thread and returns its outcome.
    ///
    /// `None`: it was queued as by [`Self::submit`], because it has to wait for an earlier operation
    /// of its log, because opening its file could block on a sync, or because it is no write.
    /// Execution is in order in either case; but an earlier operation's completion, already handed
    /// to the callback, may be looked at later than the outcome returned here.
    pub(crate) fn execute_inline(&self, shard: usize, request: DiskRequest) -> Option<DiskDone> {
        let log_id = request.op.log_id();
        let worker = self.workers.get(self.place(log_id))?;
        let request = worker.claim(shard, request)?;
        let result = operations::execute(&worker.files, request.op);
        worker.release(log_id);
        Some(DiskDone {
            token: request.token,
            result,
        })
    }

    /// Answers a read with its open file, if it may be and nothing has to be waited for. What is read
    /// was written before, and nothing that is queued changes it: there is no order to keep.
    pub(crate) fn pin(&self, request: &DiskRequest) -> Option<DiskDone> {
        let DiskOp::Read {
            file,
            selection,
            may_pin: true,
        } = &request.op
        else {
            return None;
        };
        let worker = self.workers.get(self.place(file.log_id))?;
        let opened = worker.files.try_lock().ok()?.opened(&file.log_path())?;
        let pinned = operations::pin(opened, selection)?;
        Some(DiskDone {
            token: request.token,
            result: Ok(DiskData::Pinned(pinned)),
        })
    }

    fn place(&self, log_id: LogId) -> usize {
        // Ids are dealt in sequence, so the remainder spreads them evenly.
        usize::try_from(log_id.0 % self.workers.len().max(1) as u64).unwrap_or_default()
    }
}

impl Drop for DiskPool {
    fn drop(&mut self) {
        for worker in &self.workers {
            locked(&worker.queue).stopping = true;
            worker.changed.notify_one();
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a disk thread panicked");
            }
        }
    }
}

struct Worker {
    queue: Mutex<Queue>,
    /// Something can be taken from the queue, or the pool stops.
    changed: Condvar,
    files: Mutex<FileTable>,
    complete: Complete,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Operations of each log that are queued or under way in the worker.
    busy: HashMap<LogId, usize>,
    /// Logs with a write under way in another thread.
    inline: Vec<LogId>,
    stopping: bool,
}

#[derive(Debug)]
struct Job {
    shard: usize,
    request: DiskRequest,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

impl Worker {
    fn run(&self) {
        let mut done = Completions::default();
        while let Some(Job { shard, request }) = self.take(&mut done) {
            let log_id = request.op.log_id();
            let quick = matches!(request.op, DiskOp::Write { .. });
            if !quick {
                done.deliver(&self.complete);
            }
            let result = operations::execute(&self.files, request.op);
            locked(&self.queue).finished(log_id);
            done.push(
                shard,
                DiskDone {
                    token: request.token,
                    result,
                },
            );
            if !quick || done.count >= MAX_HELD_COMPLETIONS {
                done.deliver(&self.complete);
            }
        }
        if let Err(error) = locked(&self.files).close_all() {
            tracing::error!(%error, "segment files could not be synced at shutdown");
        }
    }

    /// The next operation, delivering what is done before waiting for one; `None` at the end.
    fn take(&self, done: &mut Completions) -> Option<Job> {
        let mut queue = locked(&self.queue);
        loop {
            if queue.is_ready() {
                return queue.jobs.pop_front();
            }
            if queue.stopping && queue.jobs.is_empty() {
                drop(queue);
                done.deliver(&self.complete);
                return None;
            }
            if done.count == 0 {
                queue = self
                    .changed
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
            } else {
                drop(queue);
                done.deliver(&self.complete);
                queue = locked(&self.queue);
            }
        }
    }

    fn enqueue(&self, queue: &mut Queue, jobs: Vec<Job>) {
        for job in jobs {
            queue.push(job);
        }
        self.changed.notify_one();
    }

    /// Hands the request back if the calling thread may carry it out now; else queues it.
    fn claim(&self, shard: usize, request: DiskRequest) -> Option<DiskRequest> {
        let log_id = request.op.log_id();
        let mut queue = locked(&self.queue);
        if queue.is_free(log_id) && self.is_quick(&request.op) {
            queue.inline.push(log_id);
            return Some(request);
        }
        self.enqueue(&mut queue, vec![Job { shard, request }]);
        None
    }

    fn release(&self, log_id: LogId) {
        let mut queue = locked(&self.queue);
        queue.inline.retain(|other| *other != log_id);
        if !queue.jobs.is_empty() {
            self.changed.notify_one();
        }
    }

    /// Whether `op` is a write that finds its file open, or room for it.
    fn is_quick(&self, op: &DiskOp) -> bool {
        let DiskOp::Write { file, .. } = op else {
            return false;
        };
        match self.files.try_lock() {
            Ok(files) => files.has_room_for(&file.log_path()),
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => false,
        }
    }
}

impl Queue {
    fn push(&mut self, job: Job) {
        *self.busy.entry(job.request.op.log_id()).or_default() += 1;
        self.jobs.push_back(job);
    }

    fn is_free(&self, log_id: LogId) -> bool {
        !self.busy.contains_key(&log_id) && !self.inline.contains(&log_id)
    }

    fn is_ready(&self) -> bool {
        self.jobs
            .front()
            .is_some_and(|job| !self.inline.contains(&job.request.op.log_id()))
    }

    fn finished(&mut self, log_id: LogId) {
        if let Some(count) = self.busy.get_mut(&log_id) {
            *count -= 1;
            if *count == 0 {
                self.busy.remove(&log_id);
            }
        }
    }
}

/// Completions of quick operations, told together.
#[derive(Debug, Default)]
struct Completions {
    by_shard: BTreeMap<usize, Vec<DiskDone>>,
    count: usize,
}

impl Completions {
    fn push(&mut self, shard: usize, done: DiskDone) {
        self.by_shard.entry(shard).or_default().push(done);
        self.count += 1;
    }

    fn deliver(&mut self, complete: &Complete) {
        self.count = 0;
        for (shard, done) in std::mem::take(&mut self.by_shard) {
            complete(shard, done);
        }
    }
}

#[cfg(test)]
mod tests {
    use chronik_storage::disk::DiskToken;

    use super::*;

    fn job(log: u64) -> Job {
        let op = DiskOp::RemoveLog {
            log_id: LogId(log),
            directory: Arc::from("d"),
        };
        Job {
            shard: 0,
            request: DiskRequest {
                token: DiskToken(0),
                op,
            },
        }
    }

    #[test]
    fn the_worker_waits_for_an_inline_write_of_the_next_log_and_inline_writes_for_the_worker() {
        let mut queue = Queue::default();
        queue.inline.push(LogId(1));
        let check = |queue: &Queue, ready, free: [bool; 2]| {
            assert_eq!(queue.is_ready(), ready);
            assert_eq!([queue.is_free(LogId(1)), queue.is_free(LogId(2))], free);
        };
        check(&queue, false, [false, true]);
        queue.push(job(1));
        queue.push(job(1));
        check(&queue, false, [false, true]);
        queue.inline.clear();
        check(&queue, true, [false, true]);
        queue.jobs.clear();
        queue.finished(LogId(1));
        check(&queue, false, [false, true]);
        queue.finished(LogId(1));
        check(&queue, false, [true, true]);
        assert!(queue.busy.is_empty());
    }
}
