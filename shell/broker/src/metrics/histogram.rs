//! Counters and histograms with one writer.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread raises and any thread reads. Because there is one writer, raising it is
/// a load and a store, not a locked instruction; two writers would lose counts, but nothing else.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`; wraps around after 2^64, which scrapers take for a restart.
    pub(crate) fn add(&self, count: u64) {
        let value = self.0.load(Ordering::Relaxed).wrapping_add(count);
        self.0.store(value, Ordering::Relaxed);
    }

    /// Replaces the value.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value, perhaps a moment old.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts of values between fixed bounds, with one writer.
#[derive(Debug)]
pub(crate) struct Histogram {
    bounds: &'static [u64],
    /// One for each bound, and one for values beyond the last.
    counts: Box<[Counter]>,
    sum: Counter,
}

impl Histogram {
    /// An empty histogram. `bounds` are inclusive upper ends in ascending order.
    pub(crate) fn new(bounds: &'static [u64]) -> Self {
        debug_assert!(bounds.is_sorted(), "bounds out of order");
        let counts = (0..=bounds.len()).map(|_| Counter::default()).collect();
        Self {
            bounds,
            counts,
            sum: Counter::default(),
        }
    }

    /// Counts one value.
    pub(crate) fn observe(&self, value: u64) {
        let index = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(index) {
            count.add(1);
        }
        self.sum.add(value);
    }

    /// The values counted so far.
    pub(crate) fn snapshot(&self) -> HistogramSnapshot {
        HistogramSnapshot {
            bounds: self.bounds,
            counts: self.counts.iter().map(Counter::get).collect(),
            sum: self.sum.get(),
        }
    }
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HistogramSnapshot {
    bounds: &'static [u64],
    counts: Vec<u64>,
    sum: u64,
}

impl HistogramSnapshot {
    /// Adds the counts of another histogram with the same bounds.
    pub(crate) fn merge(mut self, other: &Self) -> Self {
        debug_assert_eq!(self.bounds, other.bounds, "histograms of different kinds");
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.wrapping_add(*more);
        }
        self.sum = self.sum.wrapping_add(other.sum);
        self
    }

    /// Number of values.
    pub(crate) fn count(&self) -> u64 {
        self.counts
            .iter()
            .fold(0, |sum, count| sum.wrapping_add(*count))
    }

    /// Sum of the values, each divided by `scale`.
    pub(crate) fn sum(&self, scale: f64) -> f64 {
        to_f64(self.sum) / scale
    }

    /// Upper bounds divided by `scale`, each with the number of values between it and the one
    /// before; infinity comes last.
    pub(crate) fn buckets(&self, scale: f64) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().map(|bound| to_f64(*bound) / scale);
        bounds
            .chain([f64::INFINITY])
            .zip(self.counts.iter().copied())
            .collect()
    }
}

/// The nearest floating point number: exact up to 2^53.
pub(crate) fn to_f64(value: u64) -> f64 {
    let high = u32::try_from(value >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(value & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

/// Nanoseconds from 50 microseconds to 10 seconds: an NVMe sync at one end, a stuck disk at the other.
pub(crate) const LATENCY_NANOS: &[u64] = &[
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_000_000,
    3_000_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
];

/// Records in one commit.
pub(crate) const COMMIT_RECORDS: &[u64] = &[
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000, 20_000, 100_000,
];

/// Bytes in one commit.
pub(crate) const COMMIT_BYTES: &[u64] = &[
    1 << 10,
    1 << 12,
    1 << 14,
    1 << 16,
    1 << 18,
    1 << 20,
    1 << 22,
    1 << 24,
    1 << 26,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fall_at_or_below_their_bound() {
        let histogram = Histogram::new(&[10, 20]);
        for value in [0, 10, 11, 20, 21, 1_000] {
            histogram.observe(value);
        }
        let snapshot = histogram.snapshot();
        assert_eq!(
            snapshot.buckets(10.0),
            [(1.0, 2), (2.0, 2), (f64::INFINITY, 2)]
        );
        assert_eq!((snapshot.count(), snapshot.sum(2.0)), (6, 531.0));
        let doubled = snapshot.clone().merge(&snapshot);
        assert_eq!(
            doubled.buckets(10.0),
            [(1.0, 4), (2.0, 4), (f64::INFINITY, 4)]
        );
        assert_eq!((doubled.count(), doubled.sum(1.0)), (12, 2124.0));
    }

    #[test]
    fn large_numbers_keep_their_size() {
        let check = |value: u64, expected: f64| {
            assert_eq!(to_f64(value).to_bits(), expected.to_bits(), "{value}");
        };
        check(0, 0.0);
        check(1 << 32, 4_294_967_296.0);
        check(9_007_199_254_740_991, 9_007_199_254_740_991.0);
        check(u64::MAX, 18_446_744_073_709_551_616.0);
    }
}
