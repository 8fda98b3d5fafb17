//! The report: JSON lines on stdout, everything else on stderr.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use serde_json::json;

/// How a check ends.
pub type Outcome<T = ()> = Result<T, Problem>;

/// Why a check did not pass.
#[derive(Debug)]
pub enum Problem {
    /// The broker did something else than it must.
    Failed(String),
    /// The client or the broker does not offer what is checked.
    Skipped(String),
}

impl From<KafkaError> for Problem {
    fn from(error: KafkaError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A check that failed.
pub fn failed<T>(reason: impl Into<String>) -> Outcome<T> {
    Err(Problem::Failed(reason.into()))
}

/// Equality, or a failure that shows both sides.
pub fn assert_equal<T: PartialEq + Debug>(got: &T, expected: &T, what: &str) -> Outcome {
    if got == expected {
        return Ok(());
    }
    failed(format!("{what}: got {}, expected {}", shortened(got), shortened(expected)))
}

/// Polls `condition` until it returns something.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    let end = Instant::now() + WAIT;
    loop {
        if let Some(found) = condition()? {
            return Ok(found);
        }
        if Instant::now() > end {
            return failed(format!("gave up waiting for {what} after {} s", WAIT.as_secs()));
        }
        std::thread::sleep(POLL);
    }
}

/// Writes the lines of the report.
#[derive(Debug)]
pub struct Report;

impl Report {
    /// Names the client.
    pub fn begin(client: &str, version: &str) -> Self {
        println!("{}", json!({"client": client, "version": version}));
        Self
    }

    /// Runs a check and reports it.
    pub fn run(&self, name: &str, check: impl FnOnce() -> Outcome) {
        eprintln!("==> {name}");
        let began = Instant::now();
        let (result, detail) = match check() {
            Ok(()) => ("pass", String::new()),
            Err(Problem::Failed(reason)) => ("fail", reason),
            Err(Problem::Skipped(reason)) => ("skip", reason),
        };
        let seconds = began.elapsed().as_secs_f64();
        println!("{}", json!({"check": name, "result": result, "seconds": seconds, "detail": detail}));
    }
}

fn shortened(item: &impl Debug) -> String {
    let text = format!("{item:?}");
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// How long anything may take that the broker is asked for.
pub const WAIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
const SHOWN_CHARACTERS: usize = 300;
