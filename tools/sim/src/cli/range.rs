//! Many seeds, one to a thread at a time.

use std::io::{IsTerminal, Write, stderr};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use chronik_sim::run::Report;

use super::tally::{Tally, as_f64};
use super::{RunArgs, check};

/// From so many seeds on, with all faults, everything has to have happened.
const ENOUGH_SEEDS: u64 = 400;
/// Failures that are told while a range runs; the rest is counted.
const TOLD: usize = 20;

/// A run that ended.
struct Ended {
    report: Report,
    took: Duration,
    twice: bool,
}

/// Runs a range of seeds. Whether every promise was kept and everything exercised.
pub(super) fn run(args: &RunArgs, seeds: Range<u64>) -> bool {
    let begun = Instant::now();
    let count = seeds.end - seeds.start;
    let tally = run_all(args, seeds, begun);
    let wall = begun.elapsed();
    let is_complete = tally.seeds == count && args.draw.faults.words == "all";
    let missing = if is_complete && count >= ENOUGH_SEEDS {
        tally.not_exercised()
    } else {
        Vec::new()
    };
    if args.json {
        println!("{}", tally.json(wall));
        return tally.failures.is_empty() && missing.is_empty();
    }
    tally.print(wall);
    if !missing.is_empty() {
        println!("not exercised: {}", missing.join(", "));
    }
    match tally.failures.iter().map(|it| it.seed).min() {
        None => println!("no promise was broken"),
        Some(first) => {
            println!("{} seeds broke a promise; the first:", tally.failures.len());
            println!("  {}", args.draw.again(first));
        }
    }
    tally.failures.is_empty() && missing.is_empty()
}

fn run_all(args: &RunArgs, seeds: Range<u64>, begun: Instant) -> Tally {
    let next = AtomicU64::new(seeds.start);
    let stop = AtomicBool::new(false);
    let (sender, receiver) = mpsc::sync_channel(64);
    thread::scope(|scope| {
        for _ in 0..args.jobs() {
            let sender = sender.clone();
            let (next, stop) = (&next, &stop);
            scope.spawn(move || {
                args.draw.arm();
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || sender.send(run_one(args, seed)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut tally = Tally::default();
        let mut progress = Progress::new(begun, seeds.end - seeds.start);
        loop {
            match receiver.recv_timeout(Duration::from_millis(500)) {
                Ok(ended) => take(args, &mut tally, &ended, &mut progress),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if args.first && !tally.failures.is_empty() {
                stop.store(true, Ordering::Relaxed);
            }
            progress.tell(&tally, args.json);
        }
        progress.clear();
        tally
    })
}

fn run_one(args: &RunArgs, seed: u64) -> Ended {
    let launch = args.draw.launch(seed);
    let begun = Instant::now();
    let mut report = launch.run();
    let took = begun.elapsed();
    let twice = args.twice > 0 && seed.is_multiple_of(args.twice);
    if twice && report.violation.is_none() {
        report.violation = check::again(&launch, &report);
    }
    Ended {
        report,
        took,
        twice,
    }
}

fn take(args: &RunArgs, tally: &mut Tally, ended: &Ended, progress: &mut Progress) {
    tally.take(&ended.report, ended.took);
    tally.twice += u64::from(ended.twice);
    let failed = ended.report.violation.as_ref();
    let Some(violation) = failed.filter(|_| !args.json && tally.failures.len() <= TOLD) else {
        return;
    };
    progress.clear();
    println!("seed {}: {violation}", ended.report.seed);
    println!("  {}", args.draw.again(ended.report.seed));
}

/// A line on the terminal that grows with the work; elsewhere a line now and then.
struct Progress {
    begun: Instant,
    told: Instant,
    count: u64,
    is_terminal: bool,
}

impl Progress {
    fn new(begun: Instant, count: u64) -> Self {
        Self {
            begun,
            told: begun,
            count,
            is_terminal: stderr().is_terminal(),
        }
    }

    fn tell(&mut self, tally: &Tally, quiet: bool) {
        let pause = if self.is_terminal {
            Duration::from_millis(500)
        } else {
            Duration::from_secs(30)
        };
        if quiet || self.told.elapsed() < pause {
            return;
        }
        self.told = Instant::now();
        let seconds = self.begun.elapsed().as_secs_f64().max(1e-3);
        let line = format!(
            "{} of {} seeds, {:.1}/s, {} violations",
            tally.seeds,
            self.count,
            as_f64(tally.seeds) / seconds,
            tally.failures.len()
        );
        if self.is_terminal {
            eprint!("\r{line}   ");
            // Nothing is lost where the terminal is gone.
            stderr().flush().unwrap_or_default();
        } else {
            eprintln!("{line}");
        }
    }

    fn clear(&self) {
        if self.is_terminal {
            eprint!("\r{:60}\r", "");
        }
    }
}
