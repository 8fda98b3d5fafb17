//! Consuming what is there, by assignment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::native_calls::{Consumer, Received};
use super::{POLL_MS, consumer_config, with_properties};
use crate::driver::Setup;
use crate::failure::Failure;
use crate::run::{Job, Run};
use crate::stats::Recorder;

/// One worker per handle; they share the partitions.
pub(super) fn jobs(setup: &Setup) -> Result<Vec<Job>, Failure> {
    let args = &setup.plan.args;
    let workers = args.connections().min(setup.ranges.len()).max(1);
    let left = Arc::new(AtomicU64::new(setup.plan.records.unwrap_or(u64::MAX)));
    let mut jobs: Vec<Job> = Vec::with_capacity(workers);
    for index in 0..workers {
        let config = with_properties(consumer_config(args), args);
        let ranges = setup.share_of(index, workers);
        let ends = ranges
            .iter()
            .filter(|range| range.begin < range.end)
            .map(|range| (range.partition.0, range.end.0))
            .collect();
        let (topic, left) = (args.topic.clone(), Arc::clone(&left));
        // Fetching begins with the clock, not before it.
        jobs.push(Box::new(move |run, recorder| {
            let consumer = Consumer::open(&config, topic.as_str(), &ranges)?;
            Reading {
                consumer,
                ends,
                left,
            }
            .run(run, recorder);
            Ok(Vec::new())
        }));
    }
    Ok(jobs)
}

struct Reading {
    consumer: Consumer,
    /// Where the partitions end that have not been read to their end.
    ends: BTreeMap<i32, i64>,
    /// Records that all workers together may still count.
    left: Arc<AtomicU64>,
}

impl Reading {
    fn run(mut self, run: &Run, recorder: &Recorder) {
        while !self.ends.is_empty() && self.left.load(Ordering::Relaxed) > 0 {
            if run.is_over(run.now_ns()) || run.is_abandoned() {
                break;
            }
            self.poll(run, recorder);
        }
    }

    fn poll(&mut self, run: &Run, recorder: &Recorder) {
        let (mut records, mut bytes) = (0_u64, 0_u64);
        let mut errors: Vec<String> = Vec::new();
        let ends = &mut self.ends;
        let mut last = (-1, -1);
        self.consumer.poll(POLL_MS, |received| match received {
            Received::Record {
                partition,
                offset,
                value,
            } => {
                records += 1;
                bytes += value.len() as u64;
                if last.0 != *partition {
                    ended(ends, last);
                }
                last = (*partition, *offset);
            }
            Received::End(partition) => drop(ends.remove(partition)),
            Received::Error(error) => errors.push(error.clone()),
        });
        ended(ends, last);
        if records == 0 && errors.is_empty() {
            return;
        }
        let now_ns = run.now_ns();
        let mut entry = recorder.entry(now_ns);
        for error in errors {
            entry.failed(now_ns, 1, &error);
        }
        let counted = if run.counts(now_ns) {
            take_up_to(&self.left, records)
        } else {
            records
        };
        entry.received(counted, bytes * counted / records.max(1));
    }
}

/// A partition whose last record this was is done.
fn ended(ends: &mut BTreeMap<i32, i64>, (partition, offset): (i32, i64)) {
    if ends.get(&partition).is_some_and(|end| offset + 1 >= *end) {
        ends.remove(&partition);
    }
}

/// Takes `wanted` from what is left, or all of that.
fn take_up_to(left: &AtomicU64, wanted: u64) -> u64 {
    let take = |left: u64| Some(left.saturating_sub(wanted));
    let before = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
    wanted.min(before.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::{ended, take_up_to};
    use std::collections::BTreeMap;
    use std::sync::atomic::AtomicU64;

    #[test]
    fn no_more_is_counted_than_was_asked_for() {
        let left = AtomicU64::new(10);
        assert_eq!(take_up_to(&left, 7), 7);
        assert_eq!(take_up_to(&left, 7), 3);
        assert_eq!(take_up_to(&left, 7), 0);
    }

    #[test]
    fn a_partition_is_done_with_its_last_record() {
        let check = |at: (i32, i64), expected: &[i32]| {
            let mut ends = BTreeMap::from([(0, 5), (1, 9)]);
            ended(&mut ends, at);
            assert_eq!(ends.into_keys().collect::<Vec<_>>(), expected);
        };
        check((-1, -1), &[0, 1]);
        check((0, 3), &[0, 1]);
        check((0, 4), &[1]);
        check((1, 20), &[0]);
    }
}
