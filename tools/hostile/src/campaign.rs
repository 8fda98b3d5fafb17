//! Many inputs, over several threads, with counters.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chronik_model::rng::Rng;

use crate::case::Case;
use crate::reduce::{reduce, replay, run};
use crate::target::{Failure, Target};
use crate::targets::{Share, all};

/// Inputs after which a target that remembers begins anew.
const LIFE: usize = 1_024;

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Inputs in all.
    pub frames: u64,
    /// Decides all of them, with the number of threads.
    pub seed: u64,
    /// Threads.
    pub threads: u64,
    /// Only this target.
    pub target: Option<String>,
    /// Where cases are put that fail.
    pub corpus: PathBuf,
}

/// What a target has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Inputs that were taken for what they look like.
    pub accepted: u64,
    /// Inputs that were refused.
    pub refused: u64,
    /// Most bytes held on account of one input.
    pub most_held: u64,
}

/// An input that was not handled as it must be.
#[derive(Debug, Clone)]
pub struct Found {
    /// The target.
    pub target: &'static str,
    /// What went wrong.
    pub failure: Failure,
    /// Where the case is.
    pub path: String,
}

/// What came of a plan.
#[derive(Debug, Default)]
pub struct Report {
    /// By target.
    pub counts: BTreeMap<&'static str, Count>,
    /// Failures; a thread stops at its first.
    pub found: Vec<Found>,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// Inputs in all.
    #[must_use]
    pub fn inputs(&self) -> u64 {
        self.counts
            .values()
            .map(|count| count.accepted + count.refused)
            .sum()
    }

    /// Targets that took nothing, or refused nothing: what they said proves nothing.
    #[must_use]
    pub fn idle(&self) -> Vec<&'static str> {
        let idle = self
            .counts
            .iter()
            .filter(|(_, count)| count.accepted == 0 || count.refused == 0);
        idle.map(|(name, _)| *name).collect()
    }

    fn add(&mut self, other: Self) {
        self.found.extend(other.found);
        for (name, count) in other.counts {
            let sum = self.counts.entry(name).or_default();
            sum.accepted += count.accepted;
            sum.refused += count.refused;
            sum.most_held = sum.most_held.max(count.most_held);
        }
    }
}

/// Carries a plan out. `progress` is told the number of inputs so far every few seconds.
pub fn carry_out(plan: &Plan, progress: &(dyn Fn(u64) + Sync)) -> Report {
    let begun = Instant::now();
    let done = AtomicU64::new(0);
    let total = Mutex::new(Report::default());
    let share = plan.frames.div_ceil(plan.threads.max(1));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.threads.max(1))
            .map(|number| {
                let (done, total) = (&done, &total);
                scope.spawn(move || {
                    let report = work(plan, number, share, done);
                    if let Ok(mut total) = total.lock() {
                        total.add(report);
                    }
                })
            })
            .collect();
        let mut told = Instant::now();
        while workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::park_timeout(Duration::from_millis(20));
            if told.elapsed() > Duration::from_secs(5) {
                told = Instant::now();
                progress(done.load(Ordering::Relaxed));
            }
        }
    });
    let mut report = total.into_inner().unwrap_or_default();
    report.took = begun.elapsed();
    report
}

/// One thread's part.
fn work(plan: &Plan, number: u64, inputs: u64, done: &AtomicU64) -> Report {
    let mut rng = Rng::new(Rng::new(plan.seed ^ (number << 32)).next_u64());
    let mut targets = all();
    targets.retain(|(_, target)| {
        plan.target
            .as_ref()
            .is_none_or(|name| target.name() == name)
    });
    let mut lives: Vec<Life> = targets.into_iter().map(Life::new).collect();
    let shares: u64 = lives.iter().map(|life| life.share).sum();
    let mut report = Report::default();
    for life in &lives {
        report.counts.insert(life.target.name(), Count::default());
    }
    for _ in 0..inputs {
        let Some(life) = choose(&mut lives, rng.below(shares)) else {
            break;
        };
        let count = report.counts.entry(life.target.name()).or_default();
        if let Err((failure, case)) = life.step(&mut rng, count) {
            let target = life.target.name();
            let case = reduce(&mut *life.target, case);
            let path = case.save(&plan.corpus, target);
            let path =
                path.map_or_else(|error| error.to_string(), |path| path.display().to_string());
            report.found.push(Found {
                target,
                failure,
                path,
            });
            break;
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    report
}

fn choose(lives: &mut [Life], mut ticket: u64) -> Option<&mut Life> {
    lives.iter_mut().find(|life| {
        let mine = ticket < life.share;
        ticket = ticket.saturating_sub(life.share);
        mine
    })
}

/// A target and what it may remember.
struct Life {
    share: Share,
    target: Box<dyn Target>,
    past: Vec<Vec<u8>>,
}

impl Life {
    fn new((share, target): (Share, Box<dyn Target>)) -> Self {
        Self {
            share,
            target,
            past: Vec::new(),
        }
    }

    fn step(&mut self, rng: &mut Rng, count: &mut Count) -> Result<(), (Failure, Case)> {
        if self.past.len() >= LIFE {
            self.target.reset();
            self.past.clear();
        }
        let input = self.target.generate(rng);
        let handled = run(&mut *self.target, &input);
        if self.target.remembers() {
            self.past.push(input.clone());
        }
        match handled {
            Ok(handled) => {
                count.accepted += u64::from(handled.accepted);
                count.refused += u64::from(!handled.accepted);
                count.most_held = count.most_held.max(handled.held);
                Ok(())
            }
            Err(failure) => {
                let alone = Case::of(&input);
                let fails_alone = replay(&mut *self.target, &alone).is_err();
                let inputs = std::mem::take(&mut self.past);
                let case = if fails_alone || inputs.is_empty() {
                    alone
                } else {
                    Case { inputs }
                };
                Err((failure, case))
            }
        }
    }
}
