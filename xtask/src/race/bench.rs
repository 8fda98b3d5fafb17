//! Runs of chronik-bench.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::process::{Process, words};
use super::programs::Programs;
use super::samples::Metric;

/// The load generator, and the server it is pointed at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bench<'a> {
    pub(super) programs: &'a Programs,
    pub(super) port: u16,
    /// For its files.
    pub(super) folder: &'a Path,
}

/// What a run found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figures {
    pub(super) records: f64,
    pub(super) metrics: Vec<(Metric, f64)>,
}

impl Bench<'_> {
    /// A run to its end.
    pub(super) fn run(
        &self,
        topic: &str,
        args: &str,
        deadline: Duration,
    ) -> Result<Figures, String> {
        let running = self.start(topic, args)?;
        running.finish(deadline)
    }

    /// A run beside which something else happens.
    pub(super) fn start(&self, topic: &str, args: &str) -> Result<Running, String> {
        let json = self.folder.join(format!("bench-{topic}.json"));
        let mut command = words([&self.programs.bench]);
        command.extend(["-b".to_owned(), format!("127.0.0.1:{}", self.port)]);
        command.extend(words([
            "--topic",
            topic,
            "--timeout",
            TIMEOUT,
            "--warmup",
            "0",
        ]));
        command.extend(["--json".to_owned(), json.display().to_string()]);
        command.extend(words(args.split_whitespace()));
        let log = self.folder.join("bench.log");
        let process = Process::spawn(&command, self.folder, &log)?;
        Ok(Running {
            process,
            json,
            command,
        })
    }
}

/// A run on its way; dropped, it is killed.
#[derive(Debug)]
pub(super) struct Running {
    process: Process,
    json: std::path::PathBuf,
    command: Vec<String>,
}

impl Running {
    pub(super) fn finish(mut self, deadline: Duration) -> Result<Figures, String> {
        let status = self.process.wait(deadline)?;
        if !status.success() {
            let words = self.process.last_words();
            return Err(format!("{}: {status}; {words}", self.command.join(" ")));
        }
        let path = self.json.display();
        let text = fs::read_to_string(&self.json).map_err(|error| format!("{path}: {error}"))?;
        figures(&text).ok_or_else(|| format!("{path} is not what chronik-bench writes: {text}"))
    }

    /// How it ended, if it has, with its last words.
    pub(super) fn ended(&mut self) -> Option<String> {
        let status = self.process.ended()?;
        Some(format!("{status}; {}", self.process.last_words()))
    }
}

fn figures(text: &str) -> Option<Figures> {
    let document: Value = serde_json::from_str(text).ok()?;
    let results = document.get("results")?;
    let number = |value: Option<&Value>| value.and_then(Value::as_f64);
    let mut metrics = vec![(Metric::RecordsPerS, number(results.get("records_per_s"))?)];
    if let Some(latency) = results.get("latency").filter(|it| !it.is_null()) {
        metrics.push((Metric::P50Ms, number(latency.get("p50_ms"))?));
        metrics.push((Metric::P99Ms, number(latency.get("p99_ms"))?));
    }
    Some(Figures {
        records: number(results.get("records"))?,
        metrics,
    })
}

/// Less than any deadline of a run, so that the load generator can say what it waits for.
const TIMEOUT: &str = "150s";

#[cfg(test)]
mod tests {
    use super::super::samples::Metric;
    use super::figures;

    #[test]
    fn figures_come_from_the_results() {
        let check = |text: &str, expected: Option<(f64, usize)>| {
            let found = figures(text).map(|it| (it.records, it.metrics.len()));
            assert_eq!(found, expected, "{text}");
        };
        let produce = r#"{"results": {"records": 10, "records_per_s": 5.5,
            "latency": {"p50_ms": 0.1, "p99_ms": 0.2}}}"#;
        check(produce, Some((10.0, 3)));
        assert_eq!(figures(produce).unwrap().metrics[2], (Metric::P99Ms, 0.2));
        check(
            r#"{"results": {"records": 10, "records_per_s": 5, "latency": null}}"#,
            Some((10.0, 1)),
        );
        check(r#"{"results": {"records": 10}}"#, None);
        check("", None);
    }
}
