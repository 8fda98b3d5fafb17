//! Every disk operation of random lives is the last one, in every way that it can be torn; and so is
//! every operation of the recoveries that follow.

use std::ops::Range;

use chronik_model::rng::Rng;
use chronik_sim_disk::{Action, Crash, Losses, SimDisk, Tear, Where};

use super::crash::{LIMITS, live, same_logs};
use super::model::Model;
use super::shell::{Counts, Shell, directory_with_ring};

/// Enough for a few segments, small enough that the ring turns over.
pub(crate) const RING_FILE_BYTES: u64 = 32 << 10;
/// Of an operation with up to so many parts, all subsets are tried.
const SUBSETS_OF: usize = 4;
/// Of an operation of recovery.
const NESTED_SUBSETS_OF: usize = 2;

/// One random life.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trace {
    pub(crate) seed: u64,
    pub(crate) steps: u64,
}

/// A life that ended, and what it had promised.
struct Died {
    disk: SimDisk,
    model: Model,
}

/// How much is tried at each crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// One kind of losses for each tear, one operation of one recovery.
    Sampled,
    /// All of them.
    Complete,
}

/// One way in which everything can end.
#[derive(Debug, Clone)]
struct End {
    tear: Tear,
    /// None when the process dies alone.
    losses: Option<Losses>,
}

impl End {
    const fn crash(&self) -> Crash {
        match self.losses {
            Some(_) => Crash::Power,
            None => Crash::Kill,
        }
    }

    fn of(&self, disk: &SimDisk) -> SimDisk {
        disk.after_exactly(Some(&self.tear), self.losses.clone())
    }
}

/// Every way in which the operation that `disk` died in can have ended.
fn ends(disk: &SimDisk, subsets_of: usize, depth: Depth, rng: &mut Rng) -> Vec<End> {
    let alone = |tear| End { tear, losses: None };
    let mut ends: Vec<End> = disk
        .tears(false, subsets_of)
        .into_iter()
        .map(alone)
        .collect();
    for (index, tear) in disk.tears(true, subsets_of).into_iter().enumerate() {
        let losses = [
            Losses::All,
            Losses::Nothing,
            Losses::Chance(Rng::new(rng.next_u64())),
        ];
        let of_each = match depth {
            Depth::Complete => &losses[..],
            Depth::Sampled => &losses[index % 3..=index % 3],
        };
        ends.extend(of_each.iter().map(|losses| End {
            tear: tear.clone(),
            losses: Some(losses.clone()),
        }));
    }
    ends
}

/// Lives until operation `crash_at`; `None` when the life ends before.
fn die_at(trace: Trace, crash_at: u64, counts: &mut Counts) -> Option<Died> {
    let mut rng = Rng::new(trace.seed);
    let mut model = Model::default();
    let mut disk = directory_with_ring(RING_FILE_BYTES);
    disk.faults().crash_at = Some(crash_at);
    let mut shell = match Shell::start(disk, LIMITS) {
        Ok((shell, _)) => shell,
        Err(failed) => {
            let disk = failed.0;
            assert!(disk.is_crashed());
            return Some(Died { disk, model });
        }
    };
    let done = live(&mut shell, &mut model, &mut rng, trace.steps);
    if done.is_ok() {
        counts.merge(&shell.counts);
        return None;
    }
    assert!(shell.disk.is_crashed(), "{done:?}");
    let disk = shell.disk;
    Some(Died { disk, model })
}

/// Recovery has no reason to fail.
pub(crate) fn start(disk: SimDisk) -> Shell {
    match Shell::start(disk, LIMITS) {
        Ok((shell, _)) => shell,
        Err(failed) => panic!("recovery fails: {}", failed.1),
    }
}

/// Starts what is left, and checks every promise; also when power fails right behind the start.
/// Returns the operations that recovery took.
pub(crate) fn comes_back(left: &SimDisk, model: &Model, crash: Crash) -> u64 {
    let shell = start(left.clone());
    let mut model = model.clone();
    model.check(&shell, Some(crash));
    let again = start(shell.disk.after_exactly(None, Some(Losses::All)));
    same_logs(&shell, &again);
    // What a start has found is safe from there on.
    model.check(&again, Some(Crash::Power));
    shell.disk.operations() - left.operations()
}

/// Cuts the recovery of `left` short at its operation `at`, in every way.
fn nested(left: &SimDisk, at: u64, model: &Model, first: Crash, run: &mut Run) {
    let mut disk = left.clone();
    disk.faults().crash_at = Some(left.operations() + at);
    let Err(failed) = Shell::start(disk, LIMITS) else {
        panic!("recovery did without operation {at}");
    };
    let (disk, error) = *failed;
    assert!(disk.is_crashed(), "recovery fails: {error}");
    run.counts.add("nested crash points", 1);
    for end in ends(&disk, NESTED_SUBSETS_OF, run.depth, &mut run.rng) {
        let worst = first.max(end.crash());
        let _where = Where(format_args!("recovery died at its operation {at}: {end:?}"));
        comes_back(&end.of(&disk), model, worst);
        run.counts.add("nested recoveries", 1);
    }
}

/// Seeds of the traces. `SIM_FACTOR`, where it is set at compile time, makes them more, and leaves
/// nothing to chance; `CHRONIK_SEEDS=100..200` chooses them.
pub(crate) fn seeds(count: u64) -> Range<u64> {
    let number = |text: &str| text.parse::<u64>().unwrap();
    match option_env!("CHRONIK_SEEDS").and_then(|range| range.split_once("..")) {
        Some((from, to)) => number(from)..number(to),
        None => 0..count * option_env!("SIM_FACTOR").map_or(1, number),
    }
}

/// What an enumeration goes by.
struct Run {
    depth: Depth,
    rng: Rng,
    counts: Counts,
}

impl Run {
    /// Lets `trace` die at each of its operations.
    fn enumerate(&mut self, trace: Trace) {
        self.counts.add("traces", 1);
        for crash_at in 1.. {
            let Some(died) = die_at(trace, crash_at, &mut self.counts) else {
                return;
            };
            self.counts.add("crash points", 1);
            let action = died.disk.interrupted().expect("it died in an operation");
            self.counts.add(name(action), 1);
            let _where = Where(format_args!("{trace:?} died at operation {crash_at}"));
            self.try_ends(&died);
        }
    }

    fn try_ends(&mut self, died: &Died) {
        let ends = ends(&died.disk, SUBSETS_OF, self.depth, &mut self.rng);
        let sampled = self.rng.below(ends.len() as u64);
        for (index, end) in (0..).zip(&ends) {
            let _where = Where(format_args!("{end:?}"));
            let left = end.of(&died.disk);
            let took = comes_back(&left, &died.model, end.crash());
            self.counts.add("torn variants", 1);
            self.counts.add("recoveries", 1);
            let all = match self.depth {
                Depth::Complete => 1..=took,
                Depth::Sampled if index == sampled => {
                    let at = 1 + self.rng.below(took);
                    at..=at
                }
                Depth::Sampled => continue,
            };
            for at in all {
                nested(&left, at, &died.model, end.crash(), self);
            }
        }
    }
}

const fn name(action: Action) -> &'static str {
    match action {
        Action::Write => "crash points: a write into the cache",
        Action::WriteThrough => "crash points: a synchronous write",
        Action::Truncate => "crash points: a cut",
        Action::Sync => "crash points: a sync",
        Action::SyncDirectory => "crash points: a sync of names",
        Action::Rename => "crash points: a rename",
        Action::Remove => "crash points: a removal",
        Action::Read => "crash points: a read",
    }
}

#[test]
fn every_operation_torn_in_every_way_loses_nothing_acknowledged() {
    let depth = match option_env!("SIM_FACTOR") {
        Some(_) => Depth::Complete,
        None => Depth::Sampled,
    };
    let mut run = Run {
        depth,
        rng: Rng::new(1),
        counts: Counts::default(),
    };
    for seed in seeds(3) {
        run.enumerate(Trace { seed, steps: 110 });
    }
    println!("{:#?}", run.counts.0);
    for what in [
        "crash points: a write into the cache",
        "crash points: a synchronous write",
        "crash points: a sync",
        "crash points: a sync of names",
        "crash points: a rename",
        "crash points: a removal",
        "nested recoveries",
        "rolls",
        "trims",
        "compactions",
        "truncations",
        "deletions",
        "mode switches",
    ] {
        let seen = run.counts.0.get(what).copied().unwrap_or(0);
        assert!(seen > 0, "never seen: {what}");
    }
}

/// A process that was killed leaves more readable than durable. Recovery acts on what it reads: when
/// power fails in the middle of that, what was removed must not be missed.
#[test]
fn power_fails_at_every_operation_of_a_start_behind_a_kill() {
    let mut counts = Counts::default();
    for seed in seeds(2) {
        let trace = Trace { seed, steps: 110 };
        for crash_at in 1.. {
            let Some(died) = die_at(trace, crash_at, &mut counts) else {
                break;
            };
            let _where = Where(format_args!("{trace:?} died at operation {crash_at}"));
            let acted_upon = [Some(Action::WriteThrough), Some(Action::Rename)];
            if acted_upon.contains(&died.disk.interrupted()) {
                cut_power_in_start(&died, &mut counts);
            }
        }
    }
    println!("{:#?}", counts.0);
    assert!(counts.0["power cuts in a start"] > 500);
}

fn cut_power_in_start(died: &Died, counts: &mut Counts) {
    let all = |tear: &Tear| tear.done.iter().all(|done| *done);
    let tear = died.disk.tears(false, 1).into_iter().find(all);
    let left = died.disk.after_exactly(tear.as_ref(), None);
    let took = start(left.clone()).disk.operations() - left.operations();
    for at in 1..=took {
        let _where = Where(format_args!("power failed at operation {at} of the start"));
        let mut disk = left.clone();
        disk.faults().crash_at = Some(left.operations() + at);
        let Err(failed) = Shell::start(disk, LIMITS) else {
            panic!("recovery did without operation {at}");
        };
        let left = failed.0.after_exactly(None, Some(Losses::All));
        comes_back(&left, &died.model, Crash::Power);
        counts.add("power cuts in a start", 1);
    }
}
