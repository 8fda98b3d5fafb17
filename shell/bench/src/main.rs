//! `chronik-bench`: measures any Kafka-compatible cluster.

mod args;
mod compare;
mod driver;
mod failure;
mod librdkafka;
mod machine;
mod native;
mod pace;
mod payload;
mod preflight;
mod progress;
mod report;
mod run;
mod stats;
mod units;
mod validate;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

use chronik_cli::{Client, EARLIEST, LATEST, list_offset};
use chronik_model::rng::Rng;
use clap::Parser;
use serde_json::Value;

use crate::args::{Args, Mode, Plan};
use crate::driver::{Range, Setup};
use crate::failure::{Failure, Status};
use crate::preflight::Cluster;
use crate::progress::Progress;
use crate::report::{Csv, Document, Figures, HdrLog, print_text, write_json};
use crate::run::{EndedBy, Outcome, Second, Watch};
use crate::units::grouped;
use crate::validate::{Ledger, Verdict};

fn main() -> ExitCode {
    let status = match measure(Args::parse()) {
        Ok(status) => status,
        Err(failure) => {
            complain(&failure.to_string());
            failure.status()
        }
    };
    // Threads of a cluster that does not answer may still wait; nobody waits for them.
    ExitCode::from(status)
}

fn measure(args: Args) -> Result<Status, Failure> {
    let plan = args.plan()?;
    let interrupt = Arc::new(AtomicBool::new(false));
    let mut files = Files::open(&plan)?;
    let machine = machine::facts();
    let cluster = preflight::prepare(&plan.args, &mut io::stderr())?;
    let setup = Setup {
        ranges: ranges(&plan, &cluster)?,
        run_id: run_id(),
        plan,
        cluster,
    };
    let jobs = driver::jobs(&setup)?;
    catch_interrupts(&interrupt)?;
    let outcome = run::execute(&setup.plan, jobs, &interrupt, &mut files)?;
    files.progress.end();
    let figures = Figures::of(&outcome);
    let verdict = validate(&setup, &outcome)?;
    let plan = &setup.plan;
    let written = print_text(plan, &figures, verdict.as_ref(), &mut io::stdout());
    drop(written); // Nobody may be reading; files and the exit status say it too.
    let document = Document::new(
        (plan, &setup.cluster, &machine),
        outcome.started,
        &figures,
        verdict.as_ref(),
        outcome.ended_by.as_ref().map(EndedBy::to_string),
    );
    if let Some(path) = &plan.args.json {
        write_json(path, &document)?;
    }
    if let Some(old) = &files.old {
        let new = serde_json::to_value(&document);
        let new = new.map_err(|error| Failure::Usage(error.to_string()))?;
        tell(&compare::table(old, &new));
    }
    Ok(judge(plan, &outcome, &figures, verdict.as_ref()))
}

/// What the run came to, with a line about everything that is not as it should be.
fn judge(plan: &Plan, outcome: &Outcome, figures: &Figures, verdict: Option<&Verdict>) -> Status {
    match &outcome.ended_by {
        Some(EndedBy::Interrupt) | None => {}
        Some(EndedBy::Failure(failure)) => {
            complain(&failure.to_string());
            return failure.status();
        }
        Some(silence @ EndedBy::Silence(_)) => {
            complain(&silence.to_string());
            return Status::Unreachable;
        }
    }
    if figures.failed > 0 {
        complain("records failed");
        return Status::Failed;
    }
    if verdict.is_some_and(|verdict| !verdict.is_good()) {
        complain("the validation failed");
        return Status::Failed;
    }
    let missed = missed_bounds(plan, figures);
    missed.iter().for_each(|bound| complain(bound));
    if missed.is_empty() {
        Status::Success
    } else {
        Status::BoundMissed
    }
}

fn missed_bounds(plan: &Plan, figures: &Figures) -> Vec<String> {
    let mut missed = Vec::new();
    let rate = figures.records_per_s;
    if let Some(least) = plan.args.min_throughput.filter(|least| rate < *least) {
        missed.push(format!(
            "{} records/s is below --min-throughput {}",
            grouped(rate),
            grouped(least)
        ));
    }
    let p99 = figures.latency.map(|latency| latency.p99_ms);
    let most = plan.args.max_p99.map(|most| most.as_secs_f64() * 1e3);
    match (p99, most) {
        (Some(p99), Some(most)) if p99 > most => missed.push(format!(
            "a p99 of {p99:.3} ms is above --max-p99 {most:.3} ms"
        )),
        (None, Some(_)) => missed.push("no latency was measured for --max-p99".to_owned()),
        (Some(_) | None, _) => {}
    }
    missed
}

/// Reads back what was acknowledged, if that was asked for and the cluster still answers.
fn validate(setup: &Setup, outcome: &Outcome) -> Result<Option<Verdict>, Failure> {
    let gone = matches!(
        outcome.ended_by,
        Some(EndedBy::Failure(_) | EndedBy::Silence(_))
    );
    if !setup.plan.args.validate || gone {
        return Ok(None);
    }
    complain("reading back");
    let args = &setup.plan.args;
    let mut client = Client::for_brokers(args.bootstrap_servers.clone(), args.timeout);
    let mut ledger = Ledger::new(setup.run_id, &outcome.sent);
    let begins: Vec<_> = setup
        .ranges
        .iter()
        .map(|it| (it.partition, it.end))
        .collect();
    validate::read_back(&mut client, &args.topic, &begins, &mut ledger)?;
    Ok(Some(ledger.verdict()))
}

/// What there is to read, for those who read; others need not ask.
fn ranges(plan: &Plan, cluster: &Cluster) -> Result<Vec<Range>, Failure> {
    let args = &plan.args;
    let client = &mut Client::for_brokers(args.bootstrap_servers.clone(), args.timeout);
    let reads = matches!(args.mode, Mode::Consume | Mode::RoundTrip) || args.validate;
    if !reads {
        return Ok(Vec::new());
    }
    let mut ranges = Vec::with_capacity(cluster.topic.partitions.len());
    for partition in &cluster.topic.partitions {
        ranges.push(Range {
            partition: partition.index,
            begin: list_offset(client, &args.topic, partition.index, EARLIEST)?,
            end: list_offset(client, &args.topic, partition.index, LATEST)?,
        });
    }
    let empty = ranges.iter().all(|range| range.begin >= range.end);
    if args.mode == Mode::Consume && empty {
        return Err(Failure::Usage(format!(
            "topic {} holds nothing to consume: write to it first, with --mode produce",
            args.topic
        )));
    }
    Ok(ranges)
}

/// Where a run is shown and written.
struct Files {
    progress: Progress,
    csv: Option<Csv>,
    hdr: Option<HdrLog>,
    /// The document to compare with.
    old: Option<Value>,
}

impl Files {
    /// Everything is opened before the run: it is too long to find a wrong path at its end.
    fn open(plan: &Plan) -> Result<Self, Failure> {
        let args = &plan.args;
        // Before --json is made anew: it may be the same file.
        let old = args.compare.as_deref().map(compare::read).transpose()?;
        if let Some(path) = &args.json {
            let file = std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(path);
            drop(file.map_err(Failure::of_file(path))?);
        }
        Ok(Self {
            progress: Progress::new(),
            csv: args.csv.as_deref().map(Csv::create).transpose()?,
            hdr: args.hdr.as_deref().map(HdrLog::create).transpose()?,
            old,
        })
    }
}

impl Watch for Files {
    fn second(&mut self, second: &Second<'_>) -> Result<(), Failure> {
        self.progress.second(second)?;
        if let Some(csv) = &mut self.csv {
            csv.second(second)?;
        }
        if let Some(hdr) = &mut self.hdr {
            hdr.second(second)?;
        }
        Ok(())
    }
}

/// The first signal ends the measurement with a report, the second one the process.
fn catch_interrupts(interrupt: &Arc<AtomicBool>) -> Result<(), Failure> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag::{register, register_conditional_shutdown};
    for signal in [SIGINT, SIGTERM] {
        register_conditional_shutdown(signal, KILLED, Arc::clone(interrupt))
            .and_then(|_id| register(signal, Arc::clone(interrupt)))
            .map_err(|error| Failure::Usage(format!("cannot watch signals: {error}")))?;
    }
    Ok(())
}

/// Differs from run to run, also of two that start at the same time.
fn run_id() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    Rng::new(nanos ^ u64::from(std::process::id()).rotate_left(32)).next_u64()
}

/// A line on stderr. Nobody may be reading it; that changes nothing.
fn complain(text: &str) {
    drop(writeln!(io::stderr(), "{text}"));
}

fn tell(text: &str) {
    drop(write!(io::stdout(), "{text}"));
}

/// The status of a process that was ended by its second signal.
const KILLED: i32 = 130;
