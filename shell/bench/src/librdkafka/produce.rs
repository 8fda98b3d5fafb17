//! Producing in a closed loop: each acknowledgement sends the next record.

use super::native_calls::{NotSent, Producer, Report};
use super::{POLL_MS, open_loop, producer_config, with_properties};
use crate::driver::{Setup, share};
use crate::failure::Failure;
use crate::payload::{Payloads, Stamp};
use crate::run::{Gate, Job, Run, Sent};
use crate::stats::{Entry, Recorder};

/// One worker per handle; they share the records in flight.
pub(super) fn jobs(setup: &Setup) -> Result<Vec<Job>, Failure> {
    let args = &setup.plan.args;
    let workers = args.connections();
    let mut jobs: Vec<Job> = Vec::with_capacity(workers);
    for index in 0..workers {
        let in_flight = share(args.concurrency, index, workers).max(1);
        let config = with_properties(producer_config(args, in_flight), args);
        let producer = Producer::open(&config, args.topic.as_str())?;
        let source = Source::new(setup, index, workers);
        jobs.push(match args.rate {
            Some(rate) => open_loop::produce(producer, source, rate, in_flight),
            None => Box::new(move |run, recorder| {
                ClosedLoop::new(producer, source, in_flight).run(run, recorder)
            }),
        });
    }
    Ok(jobs)
}

/// Where the records of a worker come from.
pub(super) struct Source {
    /// Which worker this is.
    pub(super) index: usize,
    /// Of how many.
    pub(super) workers: usize,
    /// Tells this run's records from others.
    pub(super) run_id: u64,
    /// How many may still be sent.
    pub(super) gate: Gate,
    /// Bytes of a value.
    pub(super) value_bytes: u64,
    /// Whether failures are remembered for the validation.
    pub(super) remembers: bool,
    stamps: bool,
    payloads: Payloads,
}

impl Source {
    pub(super) fn new(setup: &Setup, index: usize, workers: usize) -> Self {
        let args = &setup.plan.args;
        let compressed = args.codec() != chronik_model::compression::Codec::None;
        Self {
            index,
            workers,
            run_id: setup.run_id,
            gate: Gate::new(&setup.plan, index, workers),
            value_bytes: args.message_size as u64,
            remembers: setup.stamps(),
            stamps: setup.stamps(),
            payloads: Payloads::new(args.message_size, compressed),
        }
    }

    /// A source whose records always say when they were sent.
    pub(super) const fn stamped(mut self) -> Self {
        self.stamps = true;
        self
    }

    /// The value of the worker's record `sequence`.
    pub(super) fn value(&mut self, sequence: u64, sent_ns: u64) -> &[u8] {
        let stamp = Stamp {
            run: self.run_id,
            worker: u32::try_from(self.index).unwrap_or(u32::MAX),
            sequence,
            sent_ns,
        };
        self.payloads.next(self.stamps.then_some(&stamp))
    }
}

/// A record in flight.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    sent_ns: u64,
    sequence: u64,
}

struct ClosedLoop {
    producer: Producer,
    source: Source,
    /// Indexed by the tag of a record.
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// Whether a record has passed the gate and was not taken by the queue.
    owed: bool,
    sent: Sent,
    /// The library's last word, for those who ask why nothing comes.
    last_error: Option<String>,
}

impl ClosedLoop {
    fn new(producer: Producer, source: Source, in_flight: usize) -> Self {
        Self {
            producer,
            source,
            slots: vec![Slot::default(); in_flight],
            free: (0..in_flight).rev().collect(),
            owed: false,
            sent: Sent::default(),
            last_error: None,
        }
    }

    fn run(mut self, run: &Run, recorder: &Recorder) -> Result<Vec<Sent>, Failure> {
        while !run.is_abandoned() {
            let filled = self.fill(run)?;
            if self.free.len() == self.slots.len() && filled == Fill::Closed {
                break;
            }
            let timeout_ms = if filled == Fill::More { 0 } else { POLL_MS };
            self.poll(run, recorder, timeout_ms);
        }
        self.give_up(run, recorder);
        Ok(vec![self.sent])
    }

    /// Sends into free slots, a group at a time so that reports do not wait for long.
    fn fill(&mut self, run: &Run) -> Result<Fill, Failure> {
        for _ in 0..GROUP {
            let Some(tag) = self.free.pop() else {
                return Ok(Fill::Full);
            };
            let now_ns = run.now_ns();
            if !self.may_send(run, now_ns) {
                self.free.push(tag);
                return Ok(Fill::Closed);
            }
            let sequence = self.sent.records;
            if let Some(slot) = self.slots.get_mut(tag) {
                *slot = Slot {
                    sent_ns: now_ns,
                    sequence,
                };
            }
            match self.producer.send(self.source.value(sequence, now_ns), tag) {
                Ok(()) => {}
                Err(NotSent::Full) => {
                    self.owed = true;
                    self.free.push(tag);
                    return Ok(Fill::Full);
                }
                Err(NotSent::Refused(reason)) => return Err(Failure::Library(reason)),
            }
            self.sent.records += 1;
        }
        Ok(Fill::More)
    }

    /// A record that has passed the gate and met a full queue does not have to pass again.
    fn may_send(&mut self, run: &Run, now_ns: u64) -> bool {
        if std::mem::take(&mut self.owed) {
            return !run.is_over(now_ns);
        }
        self.source.gate.pass(run, now_ns, 1) > 0
    }

    fn poll(&mut self, run: &Run, recorder: &Recorder, timeout_ms: i32) {
        let mut entry: Option<Entry<'_>> = None;
        let (slots, free, sent) = (&self.slots, &mut self.free, &mut self.sent);
        let (bytes, remembers) = (self.source.value_bytes, self.source.remembers);
        let last_error = &mut self.last_error;
        self.producer.poll(timeout_ms, |report| match report {
            Report::Delivery(tag, outcome) => {
                let slot = slots.get(tag).copied().unwrap_or_default();
                // The lock is taken with the first report, not while waiting for it.
                let entry = entry.get_or_insert_with(|| recorder.entry(run.now_ns()));
                match outcome {
                    Ok(()) => entry.answered(slot.sent_ns, 1, bytes),
                    Err(reason) => {
                        entry.failed(slot.sent_ns, 1, &reason);
                        if remembers {
                            sent.unacknowledged.push(slot.sequence);
                        }
                    }
                }
                free.push(tag);
            }
            Report::Error(error) => *last_error = Some(error),
        });
    }

    /// What is in flight when nobody waits any longer has failed.
    fn give_up(&self, run: &Run, recorder: &Recorder) {
        let waiting = (self.slots.len() - self.free.len()) as u64;
        if waiting == 0 {
            return;
        }
        let why = self.last_error.as_deref().unwrap_or("no answer");
        let now_ns = run.now_ns();
        recorder.entry(now_ns).failed(now_ns, waiting, why);
    }
}

/// Why filling ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fill {
    /// All slots are in flight, or the library's queue has no room.
    Full,
    /// There may be more free slots.
    More,
    /// Nothing more is to be sent.
    Closed,
}

/// Records sent between two polls.
const GROUP: usize = 1_000;
