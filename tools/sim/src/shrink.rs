//! Makes a run that goes wrong small: the fewest faults, the fewest clients, the shortest time and the
//! fewest operations with which the same promise is broken.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::plan::{Fault, Plan};

/// A run that may go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What goes wrong in the world.
    pub plan: Plan,
    /// Client operations.
    pub operations: u64,
    /// How long clients work.
    pub duration_ns: u64,
    /// How many clients there are.
    pub actors: u16,
    /// Those of them that do nothing.
    pub idle: BTreeSet<u16>,
}

/// Runs a candidate; whether the promise is broken in it too.
pub trait Trial {
    /// See the trait.
    fn fails(&mut self, candidate: &Candidate) -> bool;
}

impl<F: FnMut(&Candidate) -> bool> Trial for F {
    fn fails(&mut self, candidate: &Candidate) -> bool {
        self(candidate)
    }
}

/// The smallest candidate that was found, starting from one that fails.
#[must_use]
pub fn shrink(start: Candidate, trial: &mut impl Trial) -> Candidate {
    let mut smallest = start;
    loop {
        let before = smallest.clone();
        drop_faults(&mut smallest, trial);
        idle_actors(&mut smallest, trial);
        lower(&mut smallest, trial, |candidate| &mut candidate.duration_ns);
        lower(&mut smallest, trial, |candidate| &mut candidate.operations);
        shorten_faults(&mut smallest, trial);
        if smallest == before {
            return smallest;
        }
    }
}

/// Leaves out ever smaller parts of the list (delta debugging by complements).
fn drop_faults(smallest: &mut Candidate, trial: &mut impl Trial) {
    let mut part = smallest.plan.faults.len();
    while part > 0 {
        let mut start = 0;
        while start < smallest.plan.faults.len() {
            let end = (start + part).min(smallest.plan.faults.len());
            let candidate = without(smallest, start..end);
            if trial.fails(&candidate) {
                *smallest = candidate;
            } else {
                start = end;
            }
        }
        part /= 2;
    }
}

fn without(candidate: &Candidate, part: Range<usize>) -> Candidate {
    let kept = |(at, fault): (usize, &Fault)| (!part.contains(&at)).then_some(*fault);
    let faults = candidate.plan.faults.iter().enumerate().filter_map(kept);
    Candidate {
        plan: Plan {
            faults: faults.collect(),
        },
        ..candidate.clone()
    }
}

/// Has one client after the other do nothing; their numbers, and so their chances, stay.
fn idle_actors(smallest: &mut Candidate, trial: &mut impl Trial) {
    for actor in 0..smallest.actors {
        let mut candidate = smallest.clone();
        if candidate.idle.insert(actor) && trial.fails(&candidate) {
            *smallest = candidate;
        }
    }
}

/// Less of something makes another history, so that no smaller number need fail where a larger one
/// does: each fraction is tried for itself.
fn lower(
    smallest: &mut Candidate,
    trial: &mut impl Trial,
    number: impl Fn(&mut Candidate) -> &mut u64,
) {
    const FRACTIONS: [(u64, u64); 5] = [(1, 8), (1, 4), (1, 2), (3, 4), (9, 10)];
    while let Some(less) = FRACTIONS.iter().find_map(|(part, whole)| {
        let mut candidate = smallest.clone();
        let before = *number(&mut candidate);
        let lowered = before / whole * part;
        *number(&mut candidate) = lowered;
        let smaller = lowered > 0 && lowered < before;
        (smaller && trial.fails(&candidate)).then_some(candidate)
    }) {
        *smallest = less;
    }
}

/// A fault that lasts shorter is easier to understand.
fn shorten_faults(smallest: &mut Candidate, trial: &mut impl Trial) {
    const SHORT_NS: u64 = 1 << 20;
    for at in 0..smallest.plan.faults.len() {
        let mut candidate = smallest.clone();
        let Some(fault) = candidate.plan.faults.get_mut(at) else {
            return;
        };
        if fault.lasts_ns <= SHORT_NS {
            continue;
        }
        fault.lasts_ns = SHORT_NS;
        if trial.fails(&candidate) {
            *smallest = candidate;
        }
    }
}

#[cfg(test)]
mod tests {
    use chronik_model::Mono;

    use super::*;
    use crate::actor::BrokerId;
    use crate::plan::FaultKind;

    fn candidate(faults: u64, operations: u64) -> Candidate {
        let faults = (0..faults).map(|at| Fault {
            at: Mono(at),
            broker: BrokerId(0),
            kind: FaultKind::Crash,
            lasts_ns: 1 << 30,
            seed: at,
        });
        Candidate {
            plan: Plan {
                faults: faults.collect(),
            },
            operations,
            duration_ns: 1 << 35,
            actors: 8,
            idle: BTreeSet::new(),
        }
    }

    fn times(candidate: &Candidate) -> Vec<u64> {
        let faults = candidate.plan.faults.iter();
        faults.map(|fault| fault.at.0).collect()
    }

    #[test]
    fn what_is_not_needed_goes() {
        let mut trials = 0;
        let smallest = shrink(candidate(40, 2_000), &mut |candidate: &Candidate| {
            trials += 1;
            let times = times(candidate);
            let works = !candidate.idle.contains(&3) && candidate.duration_ns > 1 << 30;
            times.contains(&7) && times.contains(&31) && candidate.operations >= 300 && works
        });
        assert_eq!(times(&smallest), [7, 31]);
        assert_eq!(smallest.idle, BTreeSet::from([0, 1, 2, 4, 5, 6, 7]));
        assert!(smallest.duration_ns < 1 << 31);
        assert!((300..340).contains(&smallest.operations), "{smallest:?}");
        assert!(smallest.plan.faults.iter().all(|it| it.lasts_ns == 1 << 20));
        assert!(trials < 200, "{trials} runs");
    }

    #[test]
    fn what_always_fails_needs_no_faults_at_all() {
        let smallest = shrink(candidate(9, 50), &mut |_: &Candidate| true);
        assert_eq!((times(&smallest), smallest.operations), (vec![], 1));
    }
}
