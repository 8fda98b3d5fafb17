//! What a run found, for people and for programs.

mod csv;
mod hdr;
mod json;
mod text;

use std::time::Duration;

use serde::Serialize;

pub(crate) use self::csv::Csv;
pub(crate) use self::hdr::HdrLog;
pub(crate) use self::json::{Document, write as write_json};
pub(crate) use self::text::print as print_text;

use crate::run::Outcome;
use crate::stats::Tally;
use crate::units::count;

/// The figures of a run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figures {
    /// Answered well.
    pub(crate) records: u64,
    /// Not, with those of the warm-up.
    pub(crate) failed: u64,
    /// Share of those that were answered well, in percent.
    pub(crate) success_percent: f64,
    /// Length of the measurement.
    pub(crate) seconds: f64,
    /// Rate of records.
    pub(crate) records_per_s: f64,
    /// Bytes of values.
    pub(crate) bytes: u64,
    /// Their rate.
    pub(crate) bytes_per_s: f64,
    /// Latencies, in the modes that have any.
    pub(crate) latency: Option<Latency>,
    /// CPU time of this process in the measurement.
    pub(crate) client_cpu_seconds: f64,
    /// The same for a million records.
    pub(crate) client_cpu_s_per_million: Option<f64>,
    /// Why records failed.
    pub(crate) failures: std::collections::BTreeMap<String, u64>,
}

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latency {
    /// The fastest.
    pub(crate) min_ms: f64,
    /// The mean.
    pub(crate) mean_ms: f64,
    /// Half of the records were no slower.
    pub(crate) p50_ms: f64,
    /// 95 %.
    pub(crate) p95_ms: f64,
    /// 99 %.
    pub(crate) p99_ms: f64,
    /// 99.9 %.
    pub(crate) p99_9_ms: f64,
    /// The slowest.
    pub(crate) max_ms: f64,
}

impl Figures {
    /// The figures of a run that has ended.
    pub(crate) fn of(outcome: &Outcome) -> Self {
        let total = &outcome.total;
        let seconds = outcome.elapsed.as_secs_f64();
        let rate = |number: u64| {
            if seconds > 0.0 {
                count(number) / seconds
            } else {
                0.0
            }
        };
        let all = total.records + total.failed;
        let cpu = outcome.client_cpu.as_secs_f64();
        Self {
            records: total.records,
            failed: total.failed,
            success_percent: if all > 0 {
                count(total.records) / count(all) * 100.0
            } else {
                0.0
            },
            seconds,
            records_per_s: rate(total.records),
            bytes: total.bytes,
            bytes_per_s: rate(total.bytes),
            latency: Latency::of(total),
            client_cpu_seconds: cpu,
            client_cpu_s_per_million: (total.records > 0).then(|| cpu / count(total.records) * 1e6),
            failures: total.reasons.clone(),
        }
    }
}

impl Latency {
    fn of(total: &Tally) -> Option<Self> {
        let quantile = |share| total.quantile_ns(share).map(millis);
        Some(Self {
            min_ms: millis(total.latency.min()),
            mean_ms: total.latency.mean() / 1e6,
            p50_ms: quantile(0.5)?,
            p95_ms: quantile(0.95)?,
            p99_ms: quantile(0.99)?,
            p99_9_ms: quantile(0.999)?,
            max_ms: quantile(1.0)?,
        })
    }
}

fn millis(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64() * 1e3
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
