//! The command line, and the checked plan of a run that it becomes.

use std::path::PathBuf;
use std::time::Duration;

use chronik_cli::{Acks, BrokerAddress, CompressionArg, KeyValue, parse_duration, parse_topic};
use chronik_model::TopicName;
use chronik_model::compression::Codec;
use clap::{Parser, ValueEnum};
use serde::Serialize;

use crate::failure::Failure;
use crate::payload::STAMP_BYTES;
use crate::units::{parse_duration_or_zero, parse_latency};

/// Measures any Kafka-compatible cluster: throughput, latency percentiles, and whether it kept what
/// it acknowledged.
#[derive(Debug, Clone, Parser)]
#[command(version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Brokers to start from; without a port, 9092.
    #[arg(
        short,
        long,
        value_delimiter = ',',
        default_value = "localhost:9092",
        value_name = "HOST:PORT"
    )]
    pub(crate) bootstrap_servers: Vec<BrokerAddress>,
    /// What is measured.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) mode: Mode,
    /// The client that makes the load.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) driver: Driver,
    /// Topic to write to or read from.
    #[arg(long, default_value = "chronik-bench", value_parser = parse_topic)]
    pub(crate) topic: TopicName,
    /// Create the topic when it is not there; --partitions and --replication-factor do so too.
    #[arg(long)]
    pub(crate) create_topic: bool,
    /// Partitions of the topic; one that is there must have as many.
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) partitions: Option<i32>,
    /// Replicas of each partition of a topic that is created.
    #[arg(long, value_parser = clap::value_parser!(i16).range(1..))]
    pub(crate) replication_factor: Option<i16>,
    /// Requests in flight: records of librdkafka; with --driver native, connections.
    #[arg(short, long, default_value_t = 64, value_parser = positive)]
    pub(crate) concurrency: usize,
    /// Bytes of a record's value.
    #[arg(short = 's', long, default_value_t = 256, value_name = "BYTES")]
    pub(crate) message_size: usize,
    /// How long to measure (500ms, 10s, 2m, 24h), after the warm-up [default: 10s without
    /// --message-count].
    #[arg(short, long, value_parser = parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// End after this many records, the warm-up not counted; 0 = no limit.
    #[arg(long, default_value_t = 0, value_name = "RECORDS")]
    pub(crate) message_count: u64,
    /// Load before the measurement, not counted [default: 1s; 0 with --message-count or --mode
    /// consume].
    #[arg(long, value_parser = parse_duration_or_zero, value_name = "DURATION")]
    pub(crate) warmup: Option<Duration>,
    /// Who must have a record before it is acknowledged: 0 nobody, 1 the leader, all (or -1) every
    /// in-sync replica.
    #[arg(long, value_enum, default_value_t, allow_negative_numbers = true)]
    pub(crate) acks: Acks,
    /// Compression of batches; the records then differ from each other.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) compression: CompressionArg,
    /// How long librdkafka waits for a batch to fill, in milliseconds.
    #[arg(long, default_value_t = 0.0, value_parser = linger, value_name = "MS")]
    pub(crate) linger_ms: f64,
    /// Largest batch in bytes [default: librdkafka's own; with --driver native one record].
    #[arg(long, value_parser = positive, value_name = "BYTES")]
    pub(crate) batch_size: Option<usize>,
    /// Client handles of librdkafka [default: 1], or connections with --driver native [default:
    /// --concurrency].
    #[arg(long, value_parser = positive)]
    pub(crate) connections: Option<usize>,
    /// Requests in flight on one connection [default: librdkafka's own; with --driver native 1].
    #[arg(long, value_parser = positive)]
    pub(crate) pipeline: Option<usize>,
    /// Event loops of --driver native.
    #[arg(long, default_value_t = 1, value_parser = positive)]
    pub(crate) threads: usize,
    /// Open loop: so many records per second, whatever the answers do; latency counts from when a
    /// record should have been sent. At most --concurrency are in flight.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "RECORDS_PER_S")]
    pub(crate) rate: Option<u64>,
    /// Idempotent producers of librdkafka.
    #[arg(long)]
    pub(crate) idempotent: bool,
    /// Property of librdkafka, repeatable.
    #[arg(short = 'X', long = "property", value_name = "KEY=VALUE")]
    pub(crate) properties: Vec<KeyValue>,
    /// After the run read everything back: nothing acknowledged may be lost, doubled or out of order.
    #[arg(long)]
    pub(crate) validate: bool,
    /// How long the cluster may take to get ready, and how long a run may go without an answer.
    #[arg(long, default_value = "30s", value_parser = parse_duration, value_name = "DURATION")]
    pub(crate) timeout: Duration,
    /// Exit with 3 below this rate.
    #[arg(long, value_name = "RECORDS_PER_S")]
    pub(crate) min_throughput: Option<f64>,
    /// Exit with 3 above this latency (800us, 5ms).
    #[arg(long, value_parser = parse_latency, value_name = "LATENCY")]
    pub(crate) max_p99: Option<Duration>,
    /// Write settings, machine and results as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write a line per second as CSV.
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
    /// Write latencies as an HdrHistogram interval log.
    #[arg(long, value_name = "FILE")]
    pub(crate) hdr: Option<PathBuf>,
    /// Show the ratio to an earlier run's --json file.
    #[arg(long, value_name = "OLD.json")]
    pub(crate) compare: Option<PathBuf>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// Writing; latency from sending a record to its acknowledgement.
    #[default]
    Produce,
    /// Reading what the topic holds, from its start to the end it has at the start.
    Consume,
    /// Writing and reading; latency from sending a record to receiving it.
    RoundTrip,
    /// Asking for the topic's metadata.
    Metadata,
}

/// The client that makes the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Driver {
    /// The library under most languages' clients.
    #[default]
    Librdkafka,
    /// Chronik's own codec on bare event loops, with requests that are encoded once: what a client
    /// that costs next to nothing would see.
    Native,
}

/// A command line whose parts fit together.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// What was typed.
    pub(crate) args: Args,
    /// Length of the measurement; `None` without a limit.
    pub(crate) duration: Option<Duration>,
    /// Records to measure; `None` without a limit.
    pub(crate) records: Option<u64>,
    /// Load before it.
    pub(crate) warmup: Duration,
}

impl Args {
    /// Checks what single arguments can not show.
    ///
    /// # Errors
    /// [`Failure::Usage`] with what to change.
    pub(crate) fn plan(self) -> Result<Plan, Failure> {
        if let Some(problem) = self.contradiction() {
            return Err(Failure::Usage(problem));
        }
        let records = (self.message_count > 0).then_some(self.message_count);
        let finite = records.is_some() || self.mode == Mode::Consume;
        let duration = match self.duration {
            Some(duration) => Some(duration),
            None if finite => None,
            None => Some(DEFAULT_DURATION),
        };
        let warmup = self.warmup.unwrap_or(if finite {
            Duration::ZERO
        } else {
            DEFAULT_WARMUP
        });
        Ok(Plan {
            duration,
            records,
            warmup,
            args: self,
        })
    }

    fn contradiction(&self) -> Option<String> {
        let native = self.driver == Driver::Native;
        let produces = matches!(self.mode, Mode::Produce);
        let stamped = self.validate || self.mode == Mode::RoundTrip;
        let rules = [
            (
                native && self.mode == Mode::RoundTrip,
                "--mode round-trip needs --driver librdkafka",
            ),
            (
                native && !self.properties.is_empty(),
                "-X is for librdkafka; --driver native has no properties",
            ),
            (
                native && self.idempotent,
                "--idempotent needs --driver librdkafka",
            ),
            (
                native && self.linger_ms > 0.0,
                "--driver native does not wait for batches to fill: leave out --linger-ms",
            ),
            (
                native && produces && self.acks == Acks::None,
                "--driver native waits for answers: use --acks 1 or all",
            ),
            (
                !native && self.threads > 1,
                "--threads is for --driver native; librdkafka has --connections",
            ),
            (
                self.rate.is_some() && matches!(self.mode, Mode::Consume | Mode::Metadata),
                "--rate is for --mode produce and round-trip",
            ),
            (
                self.validate && !produces,
                "--validate is for --mode produce: it reads back what was written",
            ),
            (
                self.validate && self.acks == Acks::None,
                "--validate needs acknowledgements: use --acks 1 or all",
            ),
            (
                self.idempotent && self.acks != Acks::All,
                "--idempotent needs --acks all",
            ),
        ];
        if let Some((_, problem)) = rules.iter().find(|(broken, _)| *broken) {
            return Some((*problem).to_owned());
        }
        if stamped && self.message_size < STAMP_BYTES {
            return Some(format!(
                "--message-size {} is too small: --validate and --mode round-trip put {STAMP_BYTES} \
                 bytes of their own into every record",
                self.message_size
            ));
        }
        (self.message_size > MAX_MESSAGE_BYTES)
            .then(|| format!("--message-size is at most {MAX_MESSAGE_BYTES} bytes"))
    }

    /// Whether a topic that is not there is created.
    pub(crate) const fn creates_topic(&self) -> bool {
        self.create_topic || self.partitions.is_some() || self.replication_factor.is_some()
    }

    /// The codec of batches.
    pub(crate) const fn codec(&self) -> Codec {
        match self.compression {
            CompressionArg::None => Codec::None,
            CompressionArg::Gzip => Codec::Gzip,
            CompressionArg::Snappy => Codec::Snappy,
            CompressionArg::Lz4 => Codec::Lz4,
            CompressionArg::Zstd => Codec::Zstd,
        }
    }

    /// `acks` as the protocol has it.
    pub(crate) const fn acks_code(&self) -> i16 {
        match self.acks {
            Acks::All => -1,
            Acks::Leader => 1,
            Acks::None => 0,
        }
    }

    /// Client handles, or connections of the native driver.
    pub(crate) fn connections(&self) -> usize {
        self.connections.unwrap_or(match self.driver {
            Driver::Librdkafka => 1,
            Driver::Native => self.concurrency,
        })
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 && number <= MAX_COUNT => Ok(number),
        Ok(_) | Err(_) => Err(format!("expected a number from 1 to {MAX_COUNT}")),
    }
}

fn linger(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(ms) if (0.0..=900_000.0).contains(&ms) => Ok(ms),
        Ok(_) | Err(_) => Err("expected milliseconds from 0 to 900000".to_owned()),
    }
}

const DEFAULT_DURATION: Duration = Duration::from_secs(10);
const DEFAULT_WARMUP: Duration = Duration::from_secs(1);
const MAX_COUNT: usize = 10_000_000;
const MAX_MESSAGE_BYTES: usize = 64 << 20;

const AFTER_HELP: &str = "\
Exit status:
  0  all went well
  1  records failed, or --validate found damage
  2  the arguments are wrong
  3  a bound was missed: --min-throughput, --max-p99
  4  the cluster could not be reached, or gave no answer for --timeout

Figures: records and bytes count when they are answered, those of the warm-up excepted. The time
runs from the end of the warm-up to the last answer, or to the end of --duration if that is later.
1 MB is 1,000,000 bytes of record values (--driver native --mode consume counts whole batches).
Latencies are exact to three significant digits and rounded up. Client CPU is that of all threads
of this process. Ctrl-C ends a measurement early, with its report.";

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
