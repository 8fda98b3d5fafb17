//! The report for people.

use std::io::{self, Write};

use super::Figures;
use crate::args::Plan;
use crate::units::{count, grouped};
use crate::validate::Verdict;

/// Writes figures, failures and the verdict of the validation.
///
/// # Errors
/// Those of the writer.
pub(crate) fn print(
    plan: &Plan,
    figures: &Figures,
    verdict: Option<&Verdict>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut row = |name: &str, value: String| writeln!(out, "{name:<14}{value}");
    row(
        "records",
        format!(
            "{} in {:.3} s, {} failed, {:.2} % succeeded",
            grouped(count(figures.records)),
            figures.seconds,
            grouped(count(figures.failed)),
            figures.success_percent
        ),
    )?;
    row(
        "throughput",
        format!(
            "{} records/s, {:.2} MB/s",
            grouped(figures.records_per_s),
            figures.bytes_per_s / 1e6
        ),
    )?;
    match &figures.latency {
        Some(latency) => row(
            "latency",
            format!(
                "p50 {:.3} ms, p95 {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms, max {:.3} ms",
                latency.p50_ms, latency.p95_ms, latency.p99_ms, latency.p99_9_ms, latency.max_ms
            ),
        )?,
        None => row("latency", "none in this mode".to_owned())?,
    }
    row(
        "client CPU",
        format!(
            "{:.2} s{}",
            figures.client_cpu_seconds,
            figures
                .client_cpu_s_per_million
                .map(|cpu| format!(", {cpu:.2} s per million records"))
                .unwrap_or_default()
        ),
    )?;
    for (reason, number) in &figures.failures {
        row("failed", format!("{} x {reason}", grouped(count(*number))))?;
    }
    if let Some(verdict) = verdict {
        row("validation", verdict.describe(plan.args.idempotent))?;
    }
    Ok(())
}
