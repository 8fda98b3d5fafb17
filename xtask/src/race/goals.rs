//! What the race is run for: goals as data, and whether they were met.

use std::fmt;

use super::samples::{Metric, PAIRINGS, Pairing, SHARE, Samples, System};
use super::stats::Spread;
use super::workloads::WORKLOADS;

/// A figure and how far it has to go.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Goal {
    pub(super) workload: String,
    pub(super) metric: Metric,
    pub(super) of: Of,
    pub(super) bound: Bound,
}

/// What the bound is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Ratio(Pairing),
    Value(System),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Met,
    /// Below the goal, but at 80 % of what the reference server reached in the same run: the machine
    /// has no more to give.
    AtTheCeiling,
    Missed,
    Unmeasured,
}

/// A goal and what became of it.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) goal: Goal,
    pub(super) found: Option<Spread>,
    pub(super) verdict: Verdict,
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

/// `>= 2`.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, bound) = match self {
            Self::AtLeast(bound) => (">=", bound),
            Self::AtMost(bound) => ("<=", bound),
        };
        // Thirds are not written to the last digit.
        write!(f, "{sign} {}", (bound * 1e3).round() / 1e3)
    }
}

impl Verdict {
    /// For files.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::AtTheCeiling => "at-the-ceiling",
            Self::Missed => "missed",
            Self::Unmeasured => "unmeasured",
        }
    }

    /// For people.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::AtTheCeiling => "met: at least 80 % of the reference",
            Self::Missed => "**missed**",
            Self::Unmeasured => "not measured",
        }
    }
}

/// Every goal beside what was found.
pub(super) fn judge(samples: &Samples) -> Vec<Outcome> {
    all()
        .into_iter()
        .map(|goal| outcome(goal, samples))
        .collect()
}

fn outcome(goal: Goal, samples: &Samples) -> Outcome {
    let found = match goal.of {
        Of::Ratio(pairing) => samples.ratio(&goal.workload, pairing, goal.metric),
        Of::Value(system) => samples.spread(&goal.workload, system, goal.metric),
    };
    let verdict = match found {
        None => Verdict::Unmeasured,
        Some(found) if goal.bound.holds(found.median) => Verdict::Met,
        Some(_) if at_the_ceiling(&goal, samples) => Verdict::AtTheCeiling,
        Some(_) => Verdict::Missed,
    };
    Outcome {
        goal,
        found,
        verdict,
    }
}

/// The reference server syncs, so that it says nothing about those who do not.
fn at_the_ceiling(goal: &Goal, samples: &Samples) -> bool {
    let is_rate = goal.metric == RecordsPerS && goal.of != Of::Ratio(SHARE);
    let syncs = matches!(goal.of, Of::Ratio(pairing) if pairing.ours == System::Chronik);
    let share = samples.ratio(&goal.workload, SHARE, goal.metric);
    is_rate && syncs && share.is_some_and(|share| share.median >= LEAST_SHARE)
}

/// All goals, workload by workload.
pub(super) fn all() -> Vec<Goal> {
    let mut goals = Vec::new();
    for (workload, metric, bounds) in RATIOS {
        for (pairing, bound) in PAIRINGS.into_iter().zip(bounds) {
            goals.extend(bound.map(|bound| Goal {
                workload: (*workload).to_owned(),
                metric: *metric,
                of: Of::Ratio(pairing),
                bound,
            }));
        }
    }
    for workload in WORKLOADS.iter().filter(|it| it.has_reference()) {
        goals.push(Goal {
            workload: workload.id.to_owned(),
            metric: RecordsPerS,
            of: Of::Ratio(SHARE),
            bound: Bound::AtLeast(LEAST_SHARE),
        });
    }
    let value = |(workload, metric, bound): &(&str, Metric, Bound)| Goal {
        workload: (*workload).to_owned(),
        metric: *metric,
        of: Of::Value(System::Chronik),
        bound: *bound,
    };
    goals.extend(VALUES.iter().map(value));
    goals.sort_by_key(|goal| place(&goal.workload));
    goals
}

/// Goals of one workload stand together, in the order of the table.
fn place(workload: &str) -> usize {
    let known = WORKLOADS.iter().position(|it| it.id == workload);
    known.unwrap_or(WORKLOADS.len())
}

const LEAST_SHARE: f64 = 0.8;

const fn least(bound: f64) -> Option<Bound> {
    Some(Bound::AtLeast(bound))
}

const fn most(bound: f64) -> Option<Bound> {
    Some(Bound::AtMost(bound))
}

use Metric::{
    CpuPerMillion, CreateTopicMs, GapS, IdleCpuPercent, P50AboveSyncMs, P99Ms, PeakMb, ReadyMs,
    RecordsPerS,
};

/// Bounds of the ratios, in the order of [`PAIRINGS`].
const RATIOS: &[(&str, Metric, [Option<Bound>; 3])] = &[
    ("P1 c=1", RecordsPerS, [least(2.0), least(0.7), least(1.3)]),
    ("P1 c=1", CpuPerMillion, [most(0.7), most(1.5), most(0.5)]),
    (
        "P1 c=16",
        RecordsPerS,
        [least(15.0), least(0.7), least(1.4)],
    ),
    ("P1 c=16", CpuPerMillion, [most(0.1), most(1.0), most(0.5)]),
    (
        "P1 c=128",
        RecordsPerS,
        [least(45.0), least(1.5), least(2.0)],
    ),
    ("P1 c=128", P99Ms, [None, most(1.0 / 3.0), None]),
    (
        "P1 c=128",
        CpuPerMillion,
        [most(0.1), most(0.5), most(1.0 / 3.0)],
    ),
    (
        "P2 128 connections",
        RecordsPerS,
        [least(25.0), least(1.5), least(2.2)],
    ),
    (
        "P2 128 connections",
        CpuPerMillion,
        [most(0.1), most(0.5), most(1.0 / 3.0)],
    ),
    (
        "P2 1000 connections",
        RecordsPerS,
        [least(25.0), least(1.5), least(2.2)],
    ),
    (
        "P2 1000 connections",
        CpuPerMillion,
        [most(0.1), most(0.5), most(1.0 / 3.0)],
    ),
    (
        "P2 8 x 64",
        RecordsPerS,
        [least(250.0), least(20.0), least(25.0)],
    ),
    (
        "P2 8 x 64",
        CpuPerMillion,
        [most(0.1), most(0.5), most(1.0 / 3.0)],
    ),
    ("P3 1 MB", RecordsPerS, [least(2.5), least(2.0), least(1.5)]),
    ("P3 1 MB", CpuPerMillion, [None, most(0.5), most(1.0 / 3.0)]),
    ("F1 1 partition", RecordsPerS, [None, least(1.0), None]),
    ("F1 8 partitions", RecordsPerS, [None, least(1.0), None]),
    ("M1 topics", CreateTopicMs, [None, most(1.0 / 3.0), None]),
    ("R1 kill", ReadyMs, [None, most(1.0 / 5.0), None]),
    ("R1 kill", GapS, [None, most(1.0 / 30.0), None]),
    ("R1 1000 partitions", ReadyMs, [None, most(1.0 / 5.0), None]),
    ("R1 1000 partitions", GapS, [None, most(1.0 / 30.0), None]),
    (
        "I1 10000 partitions",
        IdleCpuPercent,
        [None, most(1.0 / 20.0), None],
    ),
    ("start", ReadyMs, [None, most(1.0 / 30.0), None]),
    ("memory in P1", PeakMb, [None, most(0.1), None]),
    ("memory in P2", PeakMb, [None, most(0.1), None]),
    ("memory in P3", PeakMb, [None, most(0.1), None]),
    ("memory in P5", PeakMb, [None, most(0.1), None]),
];

/// Bounds of Chronik's own figures.
const VALUES: &[(&str, Metric, Bound)] = &[
    ("P1 c=1", P50AboveSyncMs, Bound::AtMost(0.110)),
    ("F1 1 partition", CpuPerMillion, Bound::AtMost(0.1)),
    ("F1 8 partitions", CpuPerMillion, Bound::AtMost(0.1)),
    ("memory in P1", PeakMb, Bound::AtMost(150.0)),
    ("memory in P2", PeakMb, Bound::AtMost(150.0)),
    ("memory in P3", PeakMb, Bound::AtMost(150.0)),
    ("memory in P5", PeakMb, Bound::AtMost(150.0)),
    ("memory in F", PeakMb, Bound::AtMost(150.0)),
    ("memory in M", PeakMb, Bound::AtMost(150.0)),
];

#[cfg(test)]
mod tests {
    use super::super::samples::tests::{sample, samples};
    use super::super::samples::{Metric, PAIRINGS, System};
    use super::{Of, Verdict, all, judge};

    fn verdict(chronik: f64, kafka_sync: f64, reference: Option<f64>) -> Verdict {
        let rate = |system, value| sample(system, Metric::RecordsPerS, 0, value);
        let mut measured = vec![
            rate(System::Chronik, chronik),
            rate(System::KafkaSync, kafka_sync),
        ];
        measured.extend(reference.map(|value| rate(System::Reference, value)));
        let outcomes = judge(&samples(&measured));
        let both_syncing = outcomes.iter().find(|it| {
            let goal = &it.goal;
            goal.workload == "P1 c=1"
                && goal.metric == Metric::RecordsPerS
                && goal.of == Of::Ratio(PAIRINGS[0])
        });
        both_syncing.unwrap().verdict
    }

    #[test]
    fn a_goal_is_met_by_its_bound_or_by_the_ceiling() {
        assert_eq!(verdict(200.0, 100.0, None), Verdict::Met);
        assert_eq!(verdict(190.0, 100.0, None), Verdict::Missed);
        assert_eq!(verdict(190.0, 100.0, Some(200.0)), Verdict::AtTheCeiling);
        assert_eq!(verdict(190.0, 100.0, Some(300.0)), Verdict::Missed);
        assert_eq!(verdict(190.0, 0.0, Some(200.0)), Verdict::Unmeasured);
    }

    #[test]
    fn costs_are_bounded_from_above() {
        let p50 = |value| {
            let measured = [sample(System::Chronik, Metric::P50AboveSyncMs, 0, value)];
            let outcomes = judge(&samples(&measured));
            let own = outcomes
                .iter()
                .find(|it| it.goal.metric == Metric::P50AboveSyncMs);
            own.unwrap().verdict
        };
        assert_eq!(p50(0.10), Verdict::Met);
        assert_eq!(p50(0.12), Verdict::Missed);
    }

    #[test]
    fn goals_are_of_workloads_that_there_are() {
        for goal in all() {
            let besides = goal.workload == "start" || goal.workload.starts_with("memory in ");
            let known = super::WORKLOADS.iter().any(|it| it.id == goal.workload);
            assert!(known || besides, "{}", goal.workload);
        }
    }
}
