//! `mutants`: whether the simulator finds every deliberate bug that is compiled in for it.
//!
//! The bugs are listed in `core/model/src/mutant.rs`. One build of the simulator has them all; each
//! is run alone until a seed finds it. The same build without a bug has to pass, and no build that
//! anybody uses may have heard of them.

mod absent;
mod simulator;
mod table;

use std::collections::VecDeque;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::tidy;
use simulator::{Mutant, Simulator, Verdict};

/// A bug that no seed below finds counts as not found.
const SEEDS: u64 = 2000;
/// Seeds that the build passes without a bug.
const CANARY_SEEDS: u64 = 100;
/// Both, where time is short and the known seed has changed its mind.
const QUICK_SEEDS: u64 = 40;
const QUICK_CANARY_SEEDS: u64 = 20;
/// Simulators at a time.
const WORKERS: usize = 2;
const PAGE: &str = "docs/simulation.md";

/// What to do, as the command line says.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Begin with the seeds that the page knows, and do not look far beyond.
    quick: bool,
    /// Put the table on the page.
    write: bool,
    /// Only these.
    names: Vec<String>,
}

impl Options {
    pub(crate) fn parse(args: &[&str]) -> Result<Self, String> {
        let mut options = Self::default();
        for arg in args {
            match *arg {
                "--quick" => options.quick = true,
                "--write" => options.write = true,
                flag if flag.starts_with('-') => return Err(format!("mutants knows no {flag}")),
                name => options.names.push(name.to_owned()),
            }
        }
        if options.write && (options.quick || !options.names.is_empty()) {
            return Err("--write is for all mutants, from their first seed on".to_owned());
        }
        Ok(options)
    }
}

/// A mutant and what became of it.
#[derive(Debug)]
struct Outcome {
    mutant: Mutant,
    verdict: Verdict,
    took: Duration,
}

/// Runs every mutant; fails where one survives.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let simulator = Simulator::build()?;
    let mutants = simulator.mutants()?;
    let names: Vec<&str> = mutants.iter().map(|mutant| mutant.name.as_str()).collect();
    absent::check(&names)?;
    let seeds = if options.quick {
        QUICK_CANARY_SEEDS
    } else {
        CANARY_SEEDS
    };
    canary(&simulator, seeds)?;
    let page = fs::read_to_string(tidy::root().join(PAGE)).unwrap_or_default();
    let chosen = choose(mutants, &options.names)?;
    let outcomes = run_all(chosen, |mutant| {
        let known = options
            .quick
            .then(|| table::known_seed(&page, &mutant.name));
        find(&simulator, mutant, known)
    })?;
    println!("{}", table::render(&outcomes));
    if options.write {
        let page = table::put_in(&page, &outcomes)
            .ok_or_else(|| format!("{PAGE} has no {} ... {}", table::BEGIN, table::END))?;
        let path = tidy::root().join(PAGE);
        fs::write(path, page).map_err(|error| format!("{PAGE}: {error}"))?;
    }
    judge(&outcomes)
}

fn choose(mutants: Vec<Mutant>, names: &[String]) -> Result<Vec<Mutant>, String> {
    let is_known = |name: &&String| mutants.iter().any(|mutant| mutant.name == **name);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        return Err(format!("no mutant is called {unknown}"));
    }
    let mut chosen = mutants;
    chosen.retain(|mutant| names.is_empty() || names.contains(&mutant.name));
    Ok(chosen)
}

fn canary(simulator: &Simulator, seeds: u64) -> Result<(), String> {
    let start = Instant::now();
    match simulator.hunt(None, 0..seeds)? {
        Verdict::Survived { .. } => {
            let seconds = start.elapsed().as_secs_f64();
            println!("without a mutant: {seeds} seeds pass, {seconds:.1} s");
            Ok(())
        }
        Verdict::Killed { seed, rule, .. } => Err(format!(
            "without a mutant, seed {seed} breaks {rule:?}: what is killed below proves nothing"
        )),
    }
}

/// Looks for a seed. With `known` there is little time: the seed that did it before comes first.
fn find(
    simulator: &Simulator,
    mutant: &Mutant,
    known: Option<Option<u64>>,
) -> Result<Verdict, String> {
    let Some(known) = known else {
        return simulator.hunt(Some(mutant), 0..SEEDS);
    };
    if let Some(seed) = known {
        let again = simulator.hunt(Some(mutant), seed..seed + 1)?;
        if matches!(again, Verdict::Killed { .. }) {
            return Ok(again);
        }
    }
    simulator.hunt(Some(mutant), 0..QUICK_SEEDS)
}

fn run_all(
    mutants: Vec<Mutant>,
    find: impl Fn(&Mutant) -> Result<Verdict, String> + Sync,
) -> Result<Vec<Outcome>, String> {
    let count = mutants.len();
    let queue: Mutex<VecDeque<(usize, Mutant)>> =
        Mutex::new(mutants.into_iter().enumerate().collect());
    let next = || {
        queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    };
    let work = || {
        let mut done = Vec::new();
        while let Some((index, mutant)) = next() {
            let start = Instant::now();
            let verdict = find(&mutant)?;
            let took = start.elapsed();
            println!("{:28} {verdict}, {:.1} s", mutant.name, took.as_secs_f64());
            done.push((
                index,
                Outcome {
                    mutant,
                    verdict,
                    took,
                },
            ));
        }
        Ok::<_, String>(done)
    };
    let mut outcomes = Vec::with_capacity(count);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            let done = worker
                .join()
                .map_err(|_panic| "a worker panicked".to_owned())?;
            outcomes.extend(done?);
        }
        Ok::<_, String>(())
    })?;
    outcomes.sort_by_key(|(index, _)| *index);
    Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
}

fn judge(outcomes: &[Outcome]) -> Result<(), String> {
    let survivors: Vec<&str> = outcomes
        .iter()
        .filter(|outcome| matches!(outcome.verdict, Verdict::Survived { .. }))
        .map(|outcome| outcome.mutant.name.as_str())
        .collect();
    if survivors.is_empty() {
        println!("{} mutants, all killed", outcomes.len());
        return Ok(());
    }
    Err(format!("not killed: {}", survivors.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn the_table_is_written_from_whole_runs_only() {
        let check = |args: &[&str], works: bool| {
            assert_eq!(Options::parse(args).is_ok(), works, "{args:?}");
        };
        check(&[], true);
        check(&["--write"], true);
        check(&["--quick", "AckBeforeSync"], true);
        check(&["--quick", "--write"], false);
        check(&["--write", "AckBeforeSync"], false);
        check(&["--fast"], false);
    }
}
