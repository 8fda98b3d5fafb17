//! Workers under a clock, a watchdog and the wish of the person at the keyboard.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::args::Plan;
use crate::failure::Failure;
use crate::machine;
use crate::stats::{Recorder, Tally};
use crate::units::nanos;

/// What every worker looks at.
#[derive(Debug)]
pub(crate) struct Run {
    began: Instant,
    measure_from_ns: u64,
    end_ns: u64,
    stop: AtomicBool,
    abandon: AtomicBool,
}

impl Run {
    fn new(plan: &Plan) -> Self {
        let measure_from_ns = nanos(plan.warmup);
        let end_ns = plan.duration.map_or(u64::MAX, |duration| {
            measure_from_ns.saturating_add(nanos(duration))
        });
        Self {
            began: Instant::now(),
            measure_from_ns,
            end_ns,
            stop: AtomicBool::new(false),
            abandon: AtomicBool::new(false),
        }
    }

    /// Nanoseconds since the run began.
    pub(crate) fn now_ns(&self) -> u64 {
        nanos(self.began.elapsed())
    }

    /// Whether nothing more is to be sent.
    pub(crate) fn is_over(&self, now_ns: u64) -> bool {
        now_ns >= self.end_ns || self.stop.load(Ordering::Relaxed)
    }

    /// Whether nothing more is to be waited for.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandon.load(Ordering::Relaxed)
    }

    /// Whether a record sent now is measured.
    pub(crate) const fn counts(&self, sent_ns: u64) -> bool {
        sent_ns >= self.measure_from_ns
    }
}

/// How many records a worker may still send.
#[derive(Debug)]
pub(crate) struct Gate {
    left: Option<u64>,
}

impl Gate {
    /// The share of worker `index` of `workers` in the plan's records.
    pub(crate) fn new(plan: &Plan, index: usize, workers: usize) -> Self {
        let share = |records: u64| {
            let (index, workers) = (index as u64, workers.max(1) as u64);
            records / workers + u64::from(index < records % workers)
        };
        Self {
            left: plan.records.map(share),
        }
    }

    /// How many of `wanted` records may be sent at `at_ns`.
    pub(crate) fn pass(&mut self, run: &Run, at_ns: u64, wanted: u64) -> u64 {
        if run.is_over(at_ns) {
            return 0;
        }
        match &mut self.left {
            Some(left) if run.counts(at_ns) => {
                let passed = wanted.min(*left);
                *left -= passed;
                passed
            }
            Some(_) | None => wanted,
        }
    }

    /// Whether a measured record would still pass.
    pub(crate) const fn is_open(&self) -> bool {
        !matches!(self.left, Some(0))
    }
}

/// What one sender, within which order holds, has sent; for those who read it back.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Records with the sequence numbers from 0 up to this.
    pub(crate) records: u64,
    /// Those of them that were not acknowledged, in any order.
    pub(crate) unacknowledged: Vec<u64>,
}

/// One worker's part of a run; returns what each of its senders sent. Senders are numbered from 0
/// over all jobs.
pub(crate) type Job = Box<dyn FnOnce(&Run, &Recorder) -> Result<Vec<Sent>, Failure> + Send>;

/// Shown and written while a run goes on.
pub(crate) trait Watch {
    /// A second has passed since the last call, or the run has ended.
    ///
    /// # Errors
    /// A file that can not be written.
    fn second(&mut self, second: &Second<'_>) -> Result<(), Failure>;
}

/// What happened in (about) one second.
#[derive(Debug)]
pub(crate) struct Second<'a> {
    /// From here, relative to the start of the measurement; negative in the warm-up.
    pub(crate) from_s: f64,
    /// To here.
    pub(crate) to_s: f64,
    /// In between.
    pub(crate) tally: &'a Tally,
    /// Since the start of the measurement.
    pub(crate) total: &'a Tally,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Everything together.
    pub(crate) total: Tally,
    /// Length of the measurement.
    pub(crate) elapsed: Duration,
    /// CPU time of this process in the measurement.
    pub(crate) client_cpu: Duration,
    /// When the measurement began.
    pub(crate) started: SystemTime,
    /// What each sender sent, in their order; incomplete when a worker did not end well.
    pub(crate) sent: Vec<Sent>,
    /// Why it ended before its time, if it did.
    pub(crate) ended_by: Option<EndedBy>,
}

/// Why a run ended before its time.
#[derive(Debug)]
pub(crate) enum EndedBy {
    /// The person asked for it.
    Interrupt,
    /// No answer came for too long.
    Silence(Duration),
    /// A worker could not go on.
    Failure(Failure),
}

impl fmt::Display for EndedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupt => f.write_str("it was interrupted"),
            Self::Silence(time) => write!(
                f,
                "the cluster acknowledged nothing for {} s (--timeout)",
                time.as_secs_f64()
            ),
            Self::Failure(failure) => failure.fmt(f),
        }
    }
}

/// Runs all jobs to their end, or to the first reason not to.
///
/// # Errors
/// A file of results that can not be written.
pub(crate) fn execute(
    plan: &Plan,
    jobs: Vec<Job>,
    interrupt: &AtomicBool,
    watch: &mut dyn Watch,
) -> Result<Outcome, Failure> {
    let run = Arc::new(Run::new(plan));
    let measurement = SystemTime::now() + plan.warmup;
    let (done, finished) = mpsc::channel();
    let mut recorders = Vec::with_capacity(jobs.len());
    for (index, job) in jobs.into_iter().enumerate() {
        let (run, done) = (Arc::clone(&run), done.clone());
        let recorder = Arc::new(Recorder::new(run.measure_from_ns));
        recorders.push(Arc::clone(&recorder));
        thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || {
                let sent = job(&run, &recorder);
                // Nobody listens any more when the run was abandoned.
                drop(done.send((index, sent)));
            })
            .map_err(|error| Failure::Usage(format!("cannot start {index} threads: {error}")))?;
    }
    drop(done);
    let mut supervisor = Supervisor::new(plan, &run, recorders, watch);
    supervisor.supervise(&finished, interrupt)?;
    Ok(supervisor.outcome(measurement))
}

/// Waits for workers, adds up what they record, and ends what takes too long.
struct Supervisor<'a> {
    run: &'a Run,
    recorders: Vec<Arc<Recorder>>,
    watch: &'a mut dyn Watch,
    /// Longest time without an answer.
    patience: Duration,
    total: Tally,
    sent: Vec<Option<Vec<Sent>>>,
    ended_by: Option<EndedBy>,
    last_progress_ns: u64,
    /// When the last second was handed on.
    told_ns: u64,
    next_tell_ns: u64,
    cpu_at_start: Duration,
    cpu_at_end: Duration,
    stopped_ns: u64,
}

impl<'a> Supervisor<'a> {
    fn new(
        plan: &Plan,
        run: &'a Run,
        recorders: Vec<Arc<Recorder>>,
        watch: &'a mut dyn Watch,
    ) -> Self {
        let slowest_pace = Duration::from_secs(2);
        let sent = recorders.iter().map(|_| None).collect();
        Self {
            run,
            recorders,
            watch,
            patience: plan.args.timeout.max(slowest_pace),
            total: Tally::default(),
            sent,
            ended_by: None,
            last_progress_ns: 0,
            told_ns: 0,
            next_tell_ns: first_tell(run.measure_from_ns),
            cpu_at_start: machine::cpu_time(),
            cpu_at_end: Duration::ZERO,
            stopped_ns: 0,
        }
    }

    fn supervise(
        &mut self,
        finished: &Receiver<(usize, Result<Vec<Sent>, Failure>)>,
        interrupt: &AtomicBool,
    ) -> Result<(), Failure> {
        loop {
            let now_ns = self.run.now_ns();
            if now_ns >= self.next_tell_ns {
                self.tell(now_ns)?;
            }
            let until_tell = Duration::from_nanos(self.next_tell_ns.saturating_sub(now_ns));
            match finished.recv_timeout(until_tell.min(LOOK_AROUND)) {
                Ok((index, result)) => self.worker_ended(index, result),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.abandoned_for_too_long() {
                break;
            }
            if interrupt.load(Ordering::Relaxed) && self.ended_by.is_none() {
                self.end(EndedBy::Interrupt);
            }
            self.look_for_silence();
        }
        self.cpu_at_end = machine::cpu_time();
        self.tell(self.run.now_ns())
    }

    fn worker_ended(&mut self, index: usize, result: Result<Vec<Sent>, Failure>) {
        match result {
            Ok(sent) => {
                if let Some(place) = self.sent.get_mut(index) {
                    *place = Some(sent);
                }
            }
            Err(failure) => {
                if !matches!(self.ended_by, Some(EndedBy::Failure(_))) {
                    self.end(EndedBy::Failure(failure));
                }
                self.run.abandon.store(true, Ordering::Relaxed);
            }
        }
    }

    fn end(&mut self, reason: EndedBy) {
        self.ended_by = Some(reason);
        if self.stopped_ns == 0 {
            self.stopped_ns = self.run.now_ns();
        }
        self.run.stop.store(true, Ordering::Relaxed);
    }

    /// Answers are looked for once in a second, when they are added up.
    fn look_for_silence(&mut self) {
        let silent = self.run.now_ns().saturating_sub(self.last_progress_ns);
        if silent < nanos(self.patience) || self.run.is_abandoned() {
            return;
        }
        self.end(EndedBy::Silence(self.patience));
        self.run.abandon.store(true, Ordering::Relaxed);
    }

    /// Workers that do not even give up are left behind.
    fn abandoned_for_too_long(&self) -> bool {
        self.run.is_abandoned()
            && self.run.now_ns().saturating_sub(self.stopped_ns) > nanos(GIVE_UP_GRACE)
    }

    fn tell(&mut self, now_ns: u64) -> Result<(), Failure> {
        let mut tally = Tally::default();
        for recorder in &self.recorders {
            tally.add(&recorder.take());
        }
        if tally.progress() > 0 {
            self.last_progress_ns = now_ns;
        }
        if self.told_ns < self.run.measure_from_ns {
            self.cpu_at_start = machine::cpu_time();
        }
        self.total.add(&tally);
        let since_start = |ns: u64| {
            let (start, at) = (self.run.measure_from_ns, Duration::from_nanos(ns));
            at.as_secs_f64() - Duration::from_nanos(start).as_secs_f64()
        };
        self.watch.second(&Second {
            from_s: since_start(self.told_ns),
            to_s: since_start(now_ns),
            tally: &tally,
            total: &self.total,
        })?;
        self.told_ns = now_ns;
        while self.next_tell_ns <= now_ns {
            self.next_tell_ns += nanos(SECOND);
        }
        Ok(())
    }

    fn outcome(self, started: SystemTime) -> Outcome {
        let planned_ns = match self.run.end_ns {
            u64::MAX => 0,
            end_ns => end_ns,
        };
        let sent_until_ns = if self.stopped_ns > 0 {
            self.stopped_ns
        } else {
            planned_ns
        };
        let reached_end = self.sent.iter().all(Option::is_some);
        let by_count = reached_end && sent_until_ns > self.run.now_ns();
        let end_ns = if by_count {
            self.total.last_ns
        } else {
            sent_until_ns.max(self.total.last_ns)
        };
        let elapsed = Duration::from_nanos(end_ns.saturating_sub(self.run.measure_from_ns));
        Outcome {
            elapsed,
            client_cpu: self.cpu_at_end.saturating_sub(self.cpu_at_start),
            started,
            sent: self.sent.into_iter().flatten().flatten().collect(),
            ended_by: self.ended_by,
            total: self.total,
        }
    }
}

/// A whole number of seconds before the measurement begins, so that no second is part warm-up.
fn first_tell(measure_from_ns: u64) -> u64 {
    match measure_from_ns % nanos(SECOND) {
        0 => nanos(SECOND),
        part => part,
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// How soon Ctrl-C is noticed.
const LOOK_AROUND: Duration = Duration::from_millis(100);
/// How long workers may take to give up.
const GIVE_UP_GRACE: Duration = Duration::from_secs(3);

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
