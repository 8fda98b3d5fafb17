//! The report for programs.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Value, json};

use super::Figures;
use crate::args::Plan;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::preflight::Cluster;
use crate::validate::Verdict;

/// Everything that makes a run repeatable, and what it found.
#[derive(Debug, Serialize)]
pub(crate) struct Document<'a> {
    /// `chronik-bench`.
    tool: &'static str,
    /// Its version.
    version: &'static str,
    /// Milliseconds since 1970.
    started_ms: u64,
    settings: Value,
    /// Before the run.
    machine: &'a Machine,
    results: &'a Figures,
    validation: Option<&'a Verdict>,
    /// Why the run ended before its time.
    ended_early: Option<String>,
}

impl<'a> Document<'a> {
    /// The document of a run.
    pub(crate) fn new(
        (plan, cluster, machine): (&Plan, &Cluster, &'a Machine),
        started: SystemTime,
        results: &'a Figures,
        validation: Option<&'a Verdict>,
        ended_early: Option<String>,
    ) -> Self {
        let started = started.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            tool: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            started_ms: u64::try_from(started.as_millis()).unwrap_or(u64::MAX),
            settings: settings(plan, cluster),
            machine,
            results,
            validation,
            ended_early,
        }
    }
}

/// Writes the document.
///
/// # Errors
/// [`Failure::File`].
pub(crate) fn write(path: &Path, document: &Document<'_>) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|error| Failure::of_file(path)(error.into()))?;
    fs::write(path, text + "\n").map_err(Failure::of_file(path))
}

fn settings(plan: &Plan, cluster: &Cluster) -> Value {
    let args = &plan.args;
    let servers: Vec<_> = args
        .bootstrap_servers
        .iter()
        .map(ToString::to_string)
        .collect();
    let properties: Vec<_> = args
        .properties
        .iter()
        .map(|property| format!("{}={}", property.key, property.value))
        .collect();
    json!({
        "bootstrap_servers": servers,
        "brokers": cluster.brokers.len(),
        "mode": args.mode,
        "driver": args.driver,
        "topic": args.topic.as_str(),
        "partitions": cluster.topic.partitions.len(),
        "replication_factor": cluster.topic.partitions.first().map(|it| it.replicas.len()),
        "concurrency": args.concurrency,
        "connections": args.connections(),
        "pipeline": args.pipeline,
        "threads": args.threads,
        "message_size": args.message_size,
        "duration_s": plan.duration.map(|duration| duration.as_secs_f64()),
        "message_count": plan.records,
        "warmup_s": plan.warmup.as_secs_f64(),
        "acks": args.acks_code(),
        "compression": args.codec().name(),
        "linger_ms": args.linger_ms,
        "batch_size": args.batch_size,
        "rate": args.rate,
        "idempotent": args.idempotent,
        "properties": properties,
        "validate": args.validate,
        "timeout_s": args.timeout.as_secs_f64(),
    })
}
