//! Sending at a fixed rate, whatever the answers do: one thread keeps the pace, another one takes
//! what comes back.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::POLL_MS;
use super::native_calls::{NotSent, Producer, Report};
use super::produce::Source;
use crate::failure::Failure;
use crate::pace::Pace;
use crate::run::{Job, Run, Sent};
use crate::stats::{Entry, Recorder};

/// A worker that produces at its share of `rate`.
pub(super) fn produce(producer: Producer, source: Source, rate: u64, most: usize) -> Job {
    Box::new(move |run, recorder| {
        let pacing = Pacing::new(&source, rate, most);
        let (bytes, remembers) = (source.value_bytes, source.remembers);
        let (records, unacknowledged) = thread::scope(|scope| {
            let paced = scope.spawn(|| pacing.send_all(&producer, source, run));
            let unacknowledged = reports(&producer, &pacing, (bytes, remembers), (run, recorder));
            (joined(paced.join()), unacknowledged)
        });
        Ok(vec![Sent {
            records: records?,
            unacknowledged,
        }])
    })
}

/// The result of a thread that can only panic by a bug of ours.
pub(super) fn joined<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Shared by the thread that sends and the one that takes what comes back.
pub(super) struct Pacing {
    pace: Pace,
    most: usize,
    in_flight: AtomicUsize,
    done: AtomicBool,
}

impl Pacing {
    /// At most `most` records are in flight; those that have to wait for that are late, and count
    /// as such.
    pub(super) fn new(source: &Source, rate: u64, most: usize) -> Self {
        Self {
            pace: Pace::new(rate, source.index as u64, source.workers as u64),
            most,
            in_flight: AtomicUsize::new(0),
            done: AtomicBool::new(false),
        }
    }

    /// When the worker's record `sequence` should have been sent.
    pub(super) fn intended_ns(&self, sequence: u64) -> u64 {
        self.pace.intended_ns(sequence)
    }

    /// A record is no longer in flight.
    pub(super) fn landed(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether all was sent and came back.
    pub(super) fn is_over(&self) -> bool {
        self.done.load(Ordering::Acquire) && self.in_flight.load(Ordering::Relaxed) == 0
    }

    /// Sends every record at its time; the tag of a record is its sequence number. Returns how many
    /// were sent.
    pub(super) fn send_all(
        &self,
        producer: &Producer,
        mut source: Source,
        run: &Run,
    ) -> Result<u64, Failure> {
        // Sleeps end up to 50 us late by default. It is no harm if the system does not allow this.
        let _slack = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let mut sequence = 0;
        let result = loop {
            let intended_ns = self.intended_ns(sequence);
            self.sleep_until(intended_ns, run);
            let over = run.is_abandoned() || run.is_over(run.now_ns());
            if over || source.gate.pass(run, intended_ns, 1) == 0 {
                break Ok(sequence);
            }
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            let tag = usize::try_from(sequence).unwrap_or(usize::MAX);
            match send(producer, source.value(sequence, intended_ns), tag, run) {
                Ok(()) => sequence += 1,
                Err(failure) => break Err(failure),
            }
        };
        self.done.store(true, Ordering::Release);
        result
    }

    /// Until its time has come and there is room.
    fn sleep_until(&self, intended_ns: u64, run: &Run) {
        loop {
            let now_ns = run.now_ns();
            if run.is_over(now_ns) {
                return;
            }
            let early = Duration::from_nanos(intended_ns.saturating_sub(now_ns));
            if !early.is_zero() {
                thread::sleep(early.min(LOOK_AROUND));
            } else if self.in_flight.load(Ordering::Relaxed) >= self.most {
                thread::sleep(WAIT_FOR_ROOM);
            } else {
                return;
            }
        }
    }
}

/// Queues a record; the thread that takes reports makes room in a full queue.
pub(super) fn send(
    producer: &Producer,
    value: &[u8],
    tag: usize,
    run: &Run,
) -> Result<(), Failure> {
    loop {
        match producer.send(value, tag) {
            Ok(()) => return Ok(()),
            Err(NotSent::Full) if run.is_abandoned() => return Ok(()),
            Err(NotSent::Full) => thread::sleep(WAIT_FOR_ROOM),
            Err(NotSent::Refused(reason)) => return Err(Failure::Library(reason)),
        }
    }
}

/// Takes reports until all are in; returns the records that failed.
fn reports(
    producer: &Producer,
    pacing: &Pacing,
    (bytes, remembers): (u64, bool),
    (run, recorder): (&Run, &Recorder),
) -> Vec<u64> {
    let mut unacknowledged = Vec::new();
    let mut last_error = String::from("no answer");
    while !pacing.is_over() && !run.is_abandoned() {
        let mut entry: Option<Entry<'_>> = None;
        producer.poll(POLL_MS, |report| match report {
            Report::Delivery(tag, outcome) => {
                let sequence = tag as u64;
                let intended_ns = pacing.intended_ns(sequence);
                let entry = entry.get_or_insert_with(|| recorder.entry(run.now_ns()));
                match outcome {
                    Ok(()) => entry.answered(intended_ns, 1, bytes),
                    Err(reason) => {
                        entry.failed(intended_ns, 1, &reason);
                        if remembers {
                            unacknowledged.push(sequence);
                        }
                    }
                }
                pacing.landed();
            }
            Report::Error(error) => last_error = error,
        });
    }
    let waiting = pacing.in_flight.load(Ordering::Relaxed) as u64;
    if waiting > 0 {
        let now_ns = run.now_ns();
        recorder.entry(now_ns).failed(now_ns, waiting, &last_error);
    }
    unacknowledged
}

/// How soon the end of a run is noticed.
const LOOK_AROUND: Duration = Duration::from_millis(50);
const WAIT_FOR_ROOM: Duration = Duration::from_micros(100);
