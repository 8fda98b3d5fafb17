//! From sending a record to receiving it. Records carry the time they were sent at.

use std::thread;

use super::native_calls::{Consumer, Producer, Received, Report};
use super::open_loop::{Pacing, joined, send};
use super::produce::Source;
use super::{POLL_MS, consumer_config, producer_config, with_properties};
use crate::driver::{Range, Setup, share};
use crate::failure::Failure;
use crate::payload::Stamp;
use crate::run::{Job, Run};
use crate::stats::{Entry, Recorder};

/// One worker per pair of handles, each with a consumer of all partitions.
pub(super) fn jobs(setup: &Setup) -> Result<Vec<Job>, Failure> {
    let args = &setup.plan.args;
    let workers = args.connections();
    let from_now_on: Vec<Range> = setup
        .ranges
        .iter()
        .map(|range| Range {
            begin: range.end,
            ..*range
        })
        .collect();
    let mut jobs: Vec<Job> = Vec::with_capacity(workers);
    for index in 0..workers {
        let in_flight = share(args.concurrency, index, workers).max(1);
        let mut config = with_properties(producer_config(args, in_flight), args);
        config.set("delivery.report.only.error", "true");
        let producer = Producer::open(&config, args.topic.as_str())?;
        let mut config = consumer_config(args);
        config.set("enable.partition.eof", "false");
        let config = with_properties(config, args);
        let consumer = Consumer::open(&config, args.topic.as_str(), &from_now_on)?;
        let source = Source::new(setup, index, workers).stamped();
        let arrivals = Arrivals {
            consumer,
            run_id: setup.run_id,
            worker: u32::try_from(index).unwrap_or(u32::MAX),
        };
        jobs.push(match args.rate {
            Some(rate) => open(producer, source, arrivals, (rate, in_flight)),
            None => closed(producer, source, arrivals, in_flight),
        });
    }
    Ok(jobs)
}

/// Each arrival sends the next record.
fn closed(producer: Producer, mut source: Source, mut arrivals: Arrivals, most: usize) -> Job {
    Box::new(move |run, recorder| {
        let mut sequence = 0;
        let mut in_flight = 0;
        while !run.is_abandoned() {
            while in_flight < most {
                let now_ns = run.now_ns();
                if source.gate.pass(run, now_ns, 1) == 0 {
                    break;
                }
                send(&producer, source.value(sequence, now_ns), 0, run)?;
                sequence += 1;
                in_flight += 1;
            }
            if in_flight == 0 {
                break;
            }
            in_flight = in_flight.saturating_sub(arrivals.poll(run, recorder));
            in_flight = in_flight.saturating_sub(failures(&producer, run, recorder));
        }
        lost(in_flight, run, recorder);
        Ok(Vec::new())
    })
}

/// One thread keeps the pace, another one receives.
fn open(
    producer: Producer,
    source: Source,
    mut arrivals: Arrivals,
    (rate, most): (u64, usize),
) -> Job {
    Box::new(move |run, recorder| {
        let pacing = Pacing::new(&source, rate, most);
        let paced = thread::scope(|scope| {
            let paced = scope.spawn(|| pacing.send_all(&producer, source, run));
            while !pacing.is_over() && !run.is_abandoned() {
                let landed = arrivals.poll(run, recorder) + failures(&producer, run, recorder);
                (0..landed).for_each(|_| pacing.landed());
            }
            joined(paced.join())
        });
        paced.map(|_records| Vec::new())
    })
}

struct Arrivals {
    consumer: Consumer,
    run_id: u64,
    worker: u32,
}

impl Arrivals {
    /// Waits for records of this worker and returns how many came.
    fn poll(&mut self, run: &Run, recorder: &Recorder) -> usize {
        let mut entry: Option<Entry<'_>> = None;
        let mut arrived = 0;
        let (run_id, worker) = (self.run_id, self.worker);
        self.consumer.poll(POLL_MS, |received| match received {
            Received::Record { value, .. } => {
                let stamp = Stamp::read(value);
                let ours = |stamp: &Stamp| stamp.run == run_id && stamp.worker == worker;
                if let Some(stamp) = stamp.filter(ours) {
                    let entry = entry.get_or_insert_with(|| recorder.entry(run.now_ns()));
                    entry.answered(stamp.sent_ns, 1, value.len() as u64);
                    arrived += 1;
                }
            }
            Received::End(_) => {}
            // The library tries again; silence ends the run.
            Received::Error(_) => {}
        });
        arrived
    }
}

/// Takes reports of records that will not arrive, and returns how many.
fn failures(producer: &Producer, run: &Run, recorder: &Recorder) -> usize {
    producer.poll(0, |report| {
        if let Report::Delivery(_, Err(reason)) = report {
            let now_ns = run.now_ns();
            recorder.entry(now_ns).failed(now_ns, 1, &reason);
        }
    })
}

fn lost(in_flight: usize, run: &Run, recorder: &Recorder) {
    if in_flight > 0 {
        let now_ns = run.now_ns();
        let mut entry = recorder.entry(now_ns);
        entry.failed(now_ns, in_flight as u64, "did not arrive");
    }
}
