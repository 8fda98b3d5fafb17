//! Runs with everything in its place: the clients of the workload, and the checkers as judge.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use chronik_model::Mono;

use crate::actor::{Actor, ActorInput, ActorOutputs};
use crate::checker::Judge;
use crate::random::Seed;
use crate::run::{Cast, Options, Report, Script, play};
use crate::scenario::{Faults, Scenario};
use crate::shrink::Candidate;
use crate::story::Chronicle;
use crate::workload::Workload;
use crate::world::Tracer;

/// A run that can be made as often as one likes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// Its seed, setup and plan.
    pub script: Script,
    /// Clients that do nothing, by number.
    pub idle: BTreeSet<u16>,
}

impl Launch {
    /// What a seed draws.
    #[must_use]
    pub fn draw(seed: u64, options: &Options) -> Self {
        Self {
            script: Script::draw(Seed(seed), options),
            idle: BTreeSet::new(),
        }
    }

    /// What a scenario says.
    #[must_use]
    pub fn of_scenario(scenario: &Scenario) -> Self {
        let mut options = Options {
            operations: scenario.operations,
            ..Options::default()
        };
        if let Faults::Drawn(kinds) = &scenario.faults {
            options.kinds.clone_from(kinds);
        }
        let mut script = Script::draw(Seed(scenario.seed), &options);
        if let Faults::Listed(plan) = &scenario.faults {
            script.plan.clone_from(plan);
        }
        if let Some(duration) = scenario.duration_ns {
            script.setup.duration_ns = duration;
        }
        Self {
            script,
            idle: scenario.idle.clone(),
        }
    }

    /// The same run as something to make smaller.
    #[must_use]
    pub fn to_candidate(&self) -> Candidate {
        let actors = self.workload().actors;
        Candidate {
            plan: self.script.plan.clone(),
            operations: self.script.setup.operations,
            duration_ns: self.script.setup.duration_ns,
            actors: u16::try_from(actors.len()).unwrap_or(u16::MAX),
            idle: self.idle.clone(),
        }
    }

    /// The same seed as `candidate` has it.
    #[must_use]
    pub fn with(&self, candidate: &Candidate) -> Self {
        let mut launch = self.clone();
        launch.script.plan.clone_from(&candidate.plan);
        launch.script.setup.operations = candidate.operations;
        launch.script.setup.duration_ns = candidate.duration_ns;
        launch.idle.clone_from(&candidate.idle);
        launch
    }

    /// The scenario that says the same.
    #[must_use]
    pub fn to_scenario(&self, guards: String) -> Scenario {
        let setup = &self.script.setup;
        Scenario {
            guards,
            seed: self.script.seed.0,
            operations: setup.operations,
            duration_ns: Some(setup.duration_ns),
            idle: self.idle.clone(),
            faults: Faults::Listed(self.script.plan.clone()),
        }
    }

    /// Makes the run.
    #[must_use]
    pub fn run(&self) -> Report {
        self.play(Judge::default(), None)
    }

    /// Makes the run and keeps what its story is told from.
    #[must_use]
    pub fn tell(&self, tracer: Option<Tracer>) -> (Report, Chronicle) {
        let chronicle = Rc::new(RefCell::new(Chronicle::default()));
        let report = self.play(Judge::telling(Rc::clone(&chronicle)), tracer);
        (report, chronicle.take())
    }

    fn workload(&self) -> Workload {
        Workload::draw(self.script.seed, &self.script.setup)
    }

    fn play(&self, judge: Judge, tracer: Option<Tracer>) -> Report {
        let Workload {
            mut actors,
            scanners,
        } = self.workload();
        for (number, actor) in (0_u16..).zip(&mut actors) {
            if self.idle.contains(&number) {
                *actor = Box::new(Idle);
            }
        }
        let cast = Cast {
            actors,
            scanners,
            watch: Box::new(judge),
        };
        play(&self.script, cast, tracer)
    }
}

/// A client that keeps its number and does nothing.
#[derive(Debug)]
struct Idle;

impl Actor for Idle {
    fn step(&mut self, _now: Mono, _input: ActorInput, _out: &mut ActorOutputs) {}

    fn deadline(&self) -> Option<Mono> {
        None
    }

    fn is_done(&self) -> bool {
        true
    }

    fn state(&self) -> String {
        "idle".to_owned()
    }
}
