//! The driver through librdkafka, the library under most languages' clients.

mod consume;
mod metadata;
mod native_calls;
mod open_loop;
mod produce;
mod round_trip;

use rdkafka::ClientConfig;

use crate::args::{Args, Mode};
use crate::driver::Setup;
use crate::failure::Failure;
use crate::run::Job;

/// The workers of a run.
///
/// # Errors
/// A property that librdkafka does not take.
pub(crate) fn jobs(setup: &Setup) -> Result<Vec<Job>, Failure> {
    match setup.plan.args.mode {
        Mode::Produce => produce::jobs(setup),
        Mode::Consume => consume::jobs(setup),
        Mode::RoundTrip => round_trip::jobs(setup),
        Mode::Metadata => metadata::jobs(setup),
    }
}

/// What every handle has: where to start, and deadlines.
fn common(args: &Args) -> ClientConfig {
    let servers: Vec<_> = args
        .bootstrap_servers
        .iter()
        .map(ToString::to_string)
        .collect();
    let timeout_ms = args.timeout.as_millis();
    let socket_ms = timeout_ms.clamp(1_000, 60_000);
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers.join(","))
        .set("client.id", "chronik-bench")
        .set("socket.nagle.disable", "true")
        .set("socket.timeout.ms", socket_ms.to_string())
        .set("socket.connection.setup.timeout.ms", socket_ms.to_string())
        .set("reconnect.backoff.max.ms", "1000");
    config
}

fn with_properties(mut config: ClientConfig, args: &Args) -> ClientConfig {
    for property in &args.properties {
        config.set(&property.key, &property.value);
    }
    config
}

/// A producer with room for `in_flight` records.
fn producer_config(args: &Args, in_flight: usize) -> ClientConfig {
    let record = args.message_size + RECORD_OVERHEAD_BYTES;
    let batch = args.batch_size.unwrap_or(0).max(record);
    let queue_kib = (in_flight * record * 2 / 1_024).clamp(1 << 20, MAX_QUEUE_KIB);
    let mut config = common(args);
    config
        .set("acks", args.acks_code().to_string())
        .set("linger.ms", args.linger_ms.to_string())
        .set("compression.type", args.codec().name())
        .set("enable.idempotence", args.idempotent.to_string())
        .set("message.timeout.ms", args.timeout.as_millis().to_string())
        .set(
            "request.timeout.ms",
            args.timeout.as_millis().min(900_000).to_string(),
        )
        .set(
            "message.max.bytes",
            batch.max(DEFAULT_MAX_BYTES).to_string(),
        )
        .set(
            "queue.buffering.max.messages",
            (in_flight * 2).max(DEFAULT_QUEUE).to_string(),
        )
        .set("queue.buffering.max.kbytes", queue_kib.to_string());
    if let Some(bytes) = args.batch_size {
        // The limit in records would end large batches of small records early.
        config
            .set("batch.size", bytes.to_string())
            .set("batch.num.messages", MAX_BATCH_RECORDS);
    }
    if let Some(requests) = args.pipeline {
        config.set("max.in.flight", requests.to_string());
    }
    config
}

/// A consumer without a group: its partitions are assigned to it.
fn consumer_config(args: &Args) -> ClientConfig {
    let mut config = common(args);
    config
        .set("enable.partition.eof", "true")
        .set("fetch.message.max.bytes", "4194304")
        .set("queued.min.messages", "1000000")
        .set("fetch.error.backoff.ms", "50");
    config
}

/// The generous side of a record's length, times and batch header.
const RECORD_OVERHEAD_BYTES: usize = 512;
const DEFAULT_MAX_BYTES: usize = 1_000_000;
const DEFAULT_QUEUE: usize = 100_000;
const MAX_QUEUE_KIB: usize = 2_097_151;
const MAX_BATCH_RECORDS: &str = "1000000";
/// How long one wait for answers takes at most: how soon the end of a run is noticed.
const POLL_MS: i32 = 50;
