//! Measurements that are more than one run of the load generator.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::process::{self, Counters, words};
use super::samples::{Metric, System};
use super::stage::{RUN_DEADLINE, Stage, flush_messages};
use super::stats::quantile;
use super::wire::{Connection, Topic};

type Found = Result<Vec<(Metric, f64)>, String>;

impl Stage<'_> {
    /// Records at the tail reach their reader while another one reads from disk.
    pub(super) fn tail_while_cold(&mut self, rate: u32, records: u64) -> Found {
        let system = self.as_it_comes();
        let cold = self.topic_for(1, system)?;
        self.fill(&cold, records, "-s 1024")?;
        forget_pages(self.server.folder())?;
        let tail = self.topic_for(1, system)?;
        let millis = self.lengths.measure.as_millis();
        let args = format!("--mode round-trip --rate {rate} -c 1000 -d {millis}ms");
        let tailing = self.bench().start(&tail, &args)?;
        let reading = self
            .bench()
            .run(&cold, "--mode consume -s 1024", RUN_DEADLINE)?;
        let is_rate = |(metric, _): &(Metric, f64)| *metric == Metric::RecordsPerS;
        let mut metrics = tailing.finish(RUN_DEADLINE)?.metrics;
        metrics.retain(|it| !is_rate(it));
        let rate = reading.metrics.into_iter().find(is_rate);
        metrics.extend(rate.map(|(_, rate)| (Metric::ColdMbPerS, rate * 1_024.0 / 1e6)));
        self.forget(&cold, system);
        self.forget(&tail, system);
        Ok(metrics)
    }

    /// Connections that have asked once and then say nothing.
    pub(super) fn connections(&mut self, count: u32) -> Found {
        let pid = self.server.pid();
        thread::sleep(self.lengths.idle);
        let (before_mb, _) = process::memory_mb(pid);
        let started = Instant::now();
        let mut connections = Vec::new();
        for number in 1..=count {
            // One after the other, each up to an answer: a queue of the server that overflows would cost
            // a second each time.
            let open = || -> io::Result<Connection> {
                let mut connection = Connection::open(self.server.port(), ATTEMPT)?;
                connection.api_versions()?;
                Ok(connection)
            };
            connections.push(open().map_err(|error| format!("connection {number}: {error}"))?);
            if started.elapsed() > RUN_DEADLINE {
                return Err(format!("only {number} connections stand in time"));
            }
        }
        let mut found = self.idle_figures();
        let (after_mb, _) = process::memory_mb(pid);
        let kib = (after_mb - before_mb) * 1e6 / 1_024.0 / f64::from(count);
        found.push((Metric::KibPerConnection, kib));
        Ok(found)
    }

    /// Topics created one by one, by one request each, up to a first record.
    pub(super) fn topics(&mut self, count: u32) -> Found {
        let flush_messages = flush_messages(self.as_it_comes());
        let (mut created, mut acknowledged) = (Vec::new(), Vec::new());
        for _topic in 0..(count / self.lengths.divisor).max(1) {
            let name = self.next_topic();
            let started = Instant::now();
            self.create(&[Topic {
                name: &name,
                partitions: 1,
                flush_messages,
            }])?;
            created.push(millis(started.elapsed()));
            self.server.first_record(&name)?;
            acknowledged.push(millis(started.elapsed()));
        }
        let median = |values: &[f64]| quantile(values, 0.5).unwrap_or(f64::NAN);
        Ok(vec![
            (Metric::CreateTopicMs, median(&created)),
            (Metric::FirstAckMs, median(&acknowledged)),
        ])
    }

    /// From SIGKILL under load to the next acknowledgement.
    pub(super) fn kill(&mut self, topics: u32) -> Found {
        self.ensure_wide_topics(topics)?;
        let topic = self.topic_for(1, self.as_it_comes())?;
        let args = format!("--driver native -c 16 --rate {KILL_RATE} -d 600s");
        let mut load = self.bench().start(&topic, &args)?;
        thread::sleep(self.lengths.measure);
        if let Some(end) = load.ended() {
            return Err(format!("the load is gone: {end}"));
        }
        let killed = Instant::now();
        self.server.kill_and_start()?;
        // One writer goes on asking while readiness is looked at, so that neither waits for the other.
        let port = self.server.port();
        let writer = thread::spawn(move || until_acknowledged(port, &topic));
        self.server.await_answer()?;
        let acknowledged = writer.join().map_err(|_panic| "the writer panicked")??;
        Ok(vec![
            (Metric::ReadyMs, millis(self.server.ready)),
            (
                Metric::GapS,
                acknowledged.duration_since(killed).as_secs_f64(),
            ),
        ])
    }

    /// What a server does when there is nothing to do.
    pub(super) fn idle(&mut self, topics: u32) -> Found {
        self.ensure_wide_topics(topics)?;
        thread::sleep(self.lengths.idle);
        Ok(self.idle_figures())
    }

    fn idle_figures(&self) -> Vec<(Metric, f64)> {
        let pid = self.server.pid();
        let (started, before) = (Instant::now(), Counters::of(pid));
        thread::sleep(self.lengths.idle);
        let seconds = started.elapsed().as_secs_f64();
        let (used, woken) = Counters::of(pid).since(&before);
        vec![
            (Metric::IdleCpuPercent, used / seconds * 100.0),
            (Metric::WakeUpsPerS, woken / seconds),
            (Metric::RssMb, process::memory_mb(pid).0),
        ]
    }

    fn ensure_wide_topics(&mut self, count: u32) -> Result<(), String> {
        let flush_messages = flush_messages(self.as_it_comes());
        while self.wide_topics < count {
            let name = self.next_topic();
            self.create(&[Topic {
                name: &name,
                partitions: 1_000,
                flush_messages,
            }])?;
            self.server.first_record(&name)?;
            self.wide_topics += 1;
        }
        Ok(())
    }

    const fn as_it_comes(&self) -> System {
        self.server.as_it_comes()
    }
}

/// Asks again and again until a record is acknowledged.
fn until_acknowledged(port: u16, topic: &str) -> Result<Instant, String> {
    let started = Instant::now();
    while started.elapsed() < RUN_DEADLINE {
        let connection = Connection::open(port, ATTEMPT);
        if matches!(connection.and_then(|mut it| it.produce(topic)), Ok(0)) {
            return Ok(Instant::now());
        }
        thread::sleep(LOOK_AGAIN);
    }
    Err("no record was acknowledged after the start".to_owned())
}

/// Writes everything below a folder to disk and drops its pages, which needs no rights of its own.
fn forget_pages(folder: &Path) -> Result<(), String> {
    let path = folder.display().to_string();
    process::run(&words(["sync", "-f", &path]), folder, RUN_DEADLINE)?;
    for file in files(&folder.join("data")) {
        let input = format!("if={file}");
        let command = words(["dd", &input, "iflag=nocache", "count=0", "status=none"]);
        process::run(&command, folder, RUN_DEADLINE)?;
    }
    Ok(())
}

/// All large files below a folder; one that goes meanwhile is left out.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.metadata() {
            Ok(facts) if facts.is_dir() => found.extend(files(&path)),
            Ok(facts) if facts.len() >= LARGE_BYTES => found.push(path.display().to_string()),
            Ok(_) | Err(_) => {}
        }
    }
    found
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

const KILL_RATE: u32 = 10_000;
const LARGE_BYTES: u64 = 64 << 10;
const ATTEMPT: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(2);
