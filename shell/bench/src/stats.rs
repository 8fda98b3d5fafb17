//! What was answered, when, and how long it took.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;

/// What one worker has seen since it was last asked.
///
/// A worker takes the lock once for a group of answers, and nobody else does more than once in a
/// second: it is free of charge next to a system call.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// Records sent before this are warm-up.
    measure_from_ns: u64,
    tally: Mutex<Tally>,
}

impl Recorder {
    /// Counts records that were sent at `measure_from_ns` or later.
    pub(crate) fn new(measure_from_ns: u64) -> Self {
        Self {
            measure_from_ns,
            tally: Mutex::new(Tally::default()),
        }
    }

    /// For entering a group of answers that came at `now_ns`.
    pub(crate) fn entry(&self, now_ns: u64) -> Entry<'_> {
        Entry {
            measure_from_ns: self.measure_from_ns,
            now_ns,
            tally: self.lock(),
        }
    }

    /// What came since the last call.
    pub(crate) fn take(&self) -> Tally {
        // Made before the lock is taken: it clears much memory.
        let empty = Tally::default();
        std::mem::replace(&mut *self.lock(), empty)
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A group of answers that came at the same time.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    measure_from_ns: u64,
    now_ns: u64,
    tally: MutexGuard<'a, Tally>,
}

impl Entry<'_> {
    /// Records that were sent at `sent_ns` and are acknowledged, or received, now.
    pub(crate) fn answered(&mut self, sent_ns: u64, records: u64, bytes: u64) {
        if self.counts(sent_ns) {
            let latency = self.now_ns.saturating_sub(sent_ns).max(1);
            self.tally.latency.saturating_record_n(latency, records);
            self.tally.records += records;
            self.tally.bytes += bytes;
        } else {
            self.tally.warm_up_records += records;
        }
    }

    /// Records that were received now and have no latency.
    pub(crate) fn received(&mut self, records: u64, bytes: u64) {
        if self.counts(self.now_ns) {
            self.tally.records += records;
            self.tally.bytes += bytes;
        } else {
            self.tally.warm_up_records += records;
        }
    }

    /// Records that were sent at `sent_ns` and failed. In the warm-up too this is worth telling.
    pub(crate) fn failed(&mut self, sent_ns: u64, records: u64, reason: &str) {
        self.counts(sent_ns);
        self.tally.failed += records;
        match self.tally.reasons.get_mut(reason) {
            Some(count) => *count += records,
            None => drop(self.tally.reasons.insert(reason.to_owned(), records)),
        }
    }

    fn counts(&mut self, sent_ns: u64) -> bool {
        let counts = sent_ns >= self.measure_from_ns;
        if counts {
            self.tally.last_ns = self.tally.last_ns.max(self.now_ns);
        }
        counts
    }
}

/// Sums over some time.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    /// In nanoseconds; empty where the mode has no latency.
    pub(crate) latency: Histogram<u64>,
    /// Answered well, without those of the warm-up.
    pub(crate) records: u64,
    /// Bytes of their values.
    pub(crate) bytes: u64,
    /// Answered well in the warm-up.
    pub(crate) warm_up_records: u64,
    /// Failed, in the warm-up too.
    pub(crate) failed: u64,
    /// Why they did.
    pub(crate) reasons: BTreeMap<String, u64>,
    /// When the last counted answer came, in nanoseconds since the run began.
    pub(crate) last_ns: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            latency: Histogram::new_with_bounds(1, MAX_LATENCY_NS, DIGITS)
                .expect("the bounds are constants in their order"),
            records: 0,
            bytes: 0,
            warm_up_records: 0,
            failed: 0,
            reasons: BTreeMap::new(),
            last_ns: 0,
        }
    }
}

impl Tally {
    /// Adds what somebody else saw, or what came later.
    pub(crate) fn add(&mut self, other: &Self) {
        self.latency
            .add(&other.latency)
            .expect("both histograms have the same bounds");
        self.records += other.records;
        self.bytes += other.bytes;
        self.warm_up_records += other.warm_up_records;
        self.failed += other.failed;
        for (reason, count) in &other.reasons {
            *self.reasons.entry(reason.clone()).or_default() += count;
        }
        self.last_ns = self.last_ns.max(other.last_ns);
    }

    /// Answered well, in the warm-up too: what shows that the cluster is alive.
    pub(crate) const fn progress(&self) -> u64 {
        self.records + self.warm_up_records
    }

    /// The latency that this share of the records did not exceed; `None` without any.
    pub(crate) fn quantile_ns(&self, share: f64) -> Option<u64> {
        (!self.latency.is_empty()).then(|| self.latency.value_at_quantile(share))
    }
}

/// Longer ones are recorded as this.
const MAX_LATENCY_NS: u64 = 3_600_000_000_000;
/// A relative error of 0.1 %.
const DIGITS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::{Recorder, Tally};

    #[test]
    fn the_warm_up_does_not_count() {
        let recorder = Recorder::new(1_000);
        recorder.entry(1_500).answered(999, 1, 10);
        recorder.entry(1_600).answered(1_000, 2, 20);
        recorder.entry(1_700).received(3, 30);
        recorder.entry(900).received(4, 40);
        recorder.entry(1_800).failed(500, 1, "warm");
        recorder.entry(1_900).failed(1_100, 1, "gone");
        let tally = recorder.take();
        assert_eq!((tally.records, tally.bytes), (5, 50));
        assert_eq!((tally.warm_up_records, tally.failed), (5, 2));
        assert_eq!((tally.latency.len(), tally.last_ns), (2, 1_900));
        assert_eq!(tally.latency.max(), 600);
        assert_eq!(tally.progress(), 10);
        assert_eq!(recorder.take().progress(), 0);
    }

    #[test]
    fn percentiles_are_within_a_thousandth() {
        let recorder = Recorder::new(0);
        for latency in 1..=100_000 {
            recorder.entry(latency * 1_000).answered(0, 1, 1);
        }
        let tally = recorder.take();
        for (share, expected) in [(0.5, 50_000_000), (0.99, 99_000_000), (0.999, 99_900_000)] {
            let found = tally.quantile_ns(share).unwrap();
            let error = found.abs_diff(expected);
            assert!(
                error <= expected / 1_000,
                "{share}: {found}, not {expected}"
            );
        }
        assert_eq!(Tally::default().quantile_ns(0.5), None);
    }

    #[test]
    fn workers_and_seconds_add_up() {
        let tally = |latency_ns, reason: &str| {
            let recorder = Recorder::new(0);
            recorder.entry(latency_ns).answered(0, 1, 100);
            recorder.entry(latency_ns).failed(0, 2, reason);
            recorder.take()
        };
        let mut sum = tally(1_000, "a");
        sum.add(&tally(3_000, "b"));
        sum.add(&tally(2_000, "a"));
        assert_eq!(
            (sum.records, sum.bytes, sum.failed, sum.last_ns),
            (3, 300, 6, 3_000)
        );
        assert_eq!(sum.reasons.get("a"), Some(&4));
        assert_eq!(sum.latency.len(), 3);
    }

    #[test]
    fn hour_long_and_instant_answers_are_recorded() {
        let recorder = Recorder::new(0);
        recorder.entry(u64::MAX).answered(0, 1, 1);
        recorder.entry(5).answered(5, 1, 1);
        assert_eq!(recorder.take().latency.len(), 2);
    }
}
