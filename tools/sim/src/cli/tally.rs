//! What many runs come to.

use std::collections::BTreeMap;
use std::time::Duration;

use chronik_sim::run::Report;
use serde_json::{Value, json};

/// A seed that broke a promise.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) seed: u64,
    pub(super) rule: &'static str,
    pub(super) what: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) seeds: u64,
    pub(super) twice: u64,
    pub(super) failures: Vec<Failure>,
    pub(super) counters: BTreeMap<&'static str, u64>,
    /// Fewest operations of a seed, and the seed.
    pub(super) fewest: Option<(u64, u64)>,
    steps: u64,
    simulated: Duration,
    busy: Duration,
    hash: u64,
}

impl Tally {
    /// Takes in a run that took a thread so long.
    pub(super) fn take(&mut self, report: &Report, took: Duration) {
        self.seeds += 1;
        self.steps += report.steps;
        self.simulated += Duration::from_nanos(report.simulated_ns);
        self.busy += took;
        // Runs end in any order, so they are added up.
        let salted = report.hash ^ report.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.hash = self.hash.wrapping_add(salted.rotate_left(23));
        for (name, count) in &report.counters {
            *self.counters.entry(name).or_default() += count;
        }
        let operations = report.counters.get("operations").copied().unwrap_or(0);
        let candidate = (operations, report.seed);
        self.fewest = Some(self.fewest.map_or(candidate, |it| it.min(candidate)));
        if let Some(violation) = &report.violation {
            self.failures.push(Failure {
                seed: report.seed,
                rule: violation.rule.name(),
                what: violation.what.clone(),
            });
        }
    }

    /// What has never happened and should have.
    pub(super) fn not_exercised(&self) -> Vec<&'static str> {
        let never = self.counters.iter().filter(|(_, count)| **count == 0);
        never.map(|(name, _)| *name).collect()
    }

    /// Simulated time for each second of a core.
    fn speed(&self) -> f64 {
        self.simulated.as_secs_f64() / self.busy.as_secs_f64().max(1e-9)
    }

    /// In words.
    pub(super) fn print(&self, wall: Duration) {
        let width = self.counters.keys().map(|name| name.len()).max();
        let width = width.unwrap_or(0);
        println!("Exercised:");
        for (name, count) in &self.counters {
            println!("  {name:width$}  {count:>14}");
        }
        let per_core = self.busy.as_secs_f64() / as_f64(self.seeds.max(1));
        println!(
            "\n{} seeds in {:.1} s: {:.1} h of simulated time, {:.0} times real time on each core, \
             {:.3} s of a core for each seed",
            self.seeds,
            wall.as_secs_f64(),
            self.simulated.as_secs_f64() / 3_600.0,
            self.speed(),
            per_core,
        );
        let (fewest, weakest) = self.fewest.unwrap_or_default();
        println!(
            "{} steps; at least {fewest} operations in each seed (seed {weakest}); {} seeds run twice; \
             combined trace hash {:016x}",
            self.steps, self.twice, self.hash
        );
    }

    /// For programs.
    pub(super) fn json(&self, wall: Duration) -> Value {
        let failures = self
            .failures
            .iter()
            .map(|it| json!({"seed": it.seed, "rule": it.rule, "what": it.what}));
        json!({
            "seeds": self.seeds,
            "twice": self.twice,
            "violations": failures.collect::<Vec<_>>(),
            "not_exercised": self.not_exercised(),
            "counters": self.counters,
            "fewest_operations": self.fewest.map(|(operations, _)| operations),
            "fewest_operations_seed": self.fewest.map(|(_, seed)| seed),
            "steps": self.steps,
            "simulated_seconds": self.simulated.as_secs_f64(),
            "core_seconds": self.busy.as_secs_f64(),
            "wall_seconds": wall.as_secs_f64(),
            "times_real_time_per_core": self.speed(),
            "hash": format!("{:016x}", self.hash),
        })
    }
}

/// One run, for programs.
pub(super) fn json_of_one(report: &Report) -> Value {
    let violation = report
        .violation
        .as_ref()
        .map(|it| json!({"rule": it.rule.name(), "at_ns": it.at.0, "what": it.what}));
    json!({
        "seed": report.seed,
        "hash": format!("{:016x}", report.hash),
        "steps": report.steps,
        "simulated_ns": report.simulated_ns,
        "counters": report.counters,
        "violation": violation,
    })
}

/// For figures that people read.
pub(super) fn as_f64(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
