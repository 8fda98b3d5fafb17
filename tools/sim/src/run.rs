//! One seed from beginning to end: a workload under faults, the end of all faults, what must come right
//! then, and a last look at everything after one more crash.

mod panics;
mod script;
mod setup;

use std::collections::BTreeMap;
use std::rc::Rc;

use chronik_model::Mono;

use crate::actor::{Actor, ActorInput, BrokerId};
use crate::checker::{Rule, Violation};
use crate::host::Host;
use crate::plan::{Fault, FaultKind};
use crate::world::{Trace, Tracer, Watch, World};

pub use script::{Options, Script};
pub use setup::{Pace, Setup};

/// Brokers without faults serve within this time.
const START_NS: u64 = 30_000_000_000;
/// When the faults are over, all that was begun ends within this time.
const LIVENESS_NS: u64 = 120_000_000_000;
/// The workload is given up on after so many times its duration.
const PATIENCE: u64 = 12;

/// Who plays in a run.
#[derive(Debug)]
pub struct Cast {
    /// Clients, which go on until they are told to wind down.
    pub actors: Vec<Box<dyn Actor>>,
    /// Clients that read everything when all is over.
    pub scanners: Vec<Box<dyn Actor>>,
    /// Who judges.
    pub watch: Box<dyn Watch>,
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Hash of everything that happened.
    pub hash: u64,
    /// Events.
    pub steps: u64,
    /// Time that passed in the world.
    pub simulated_ns: u64,
    /// What was exercised.
    pub counters: BTreeMap<&'static str, u64>,
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
    /// The last things that happened, oldest first.
    pub last: Vec<(Mono, String)>,
}

/// Plays a script through.
#[must_use]
pub fn play(script: &Script, cast: Cast, tracer: Option<Tracer>) -> Report {
    let setup = Rc::new(script.setup.clone());
    let Cast {
        actors,
        scanners,
        watch,
    } = cast;
    let started = panics::caught(|| {
        let trace = Trace::new(tracer);
        World::new(script.seed, &setup, trace, watch)
    });
    let mut world = match started {
        Ok(world) => world,
        Err(words) => return stillborn(script, words),
    };
    let played = panics::caught(|| {
        perform(&mut world, script, actors, scanners);
    });
    if let Err(words) = played {
        let violation = Violation::new(Rule::Panicked, world.now(), words);
        world.accuse(violation);
    }
    let operations: u64 = world.actors().map(Actor::operations).sum();
    world.counters().add("operations", operations);
    Report {
        seed: script.seed.0,
        hash: world.trace().hash(),
        steps: world.steps(),
        simulated_ns: world.now().0,
        counters: world.counters().clone().into_map(),
        violation: world.violation().cloned(),
        last: world.trace().last().collect(),
    }
}

/// Not even the first start went well.
fn stillborn(script: &Script, words: String) -> Report {
    Report {
        seed: script.seed.0,
        hash: 0,
        steps: 0,
        simulated_ns: 0,
        counters: BTreeMap::new(),
        violation: Some(Violation::new(Rule::Panicked, Mono(0), words)),
        last: Vec::new(),
    }
}

fn perform(
    world: &mut World,
    script: &Script,
    actors: Vec<Box<dyn Actor>>,
    scanners: Vec<Box<dyn Actor>>,
) {
    let phases = |world: &mut World| {
        within(world, "the first start", all_serve)?;
        work(world, script, actors);
        world.heal();
        world.tell_all(&ActorInput::WindDown);
        within(world, "after the faults", |world| {
            all_serve(world) && all_done(world)
        })?;
        within(world, "the last look", |world| look(world, scanners))
    };
    match phases(world) {
        Ok(()) => world.finish(),
        // Where a promise was broken before, that one is told.
        Err(Stuck(what)) => world.accuse(Violation::new(Rule::Stuck, world.now(), what)),
    }
}

/// A phase that did not come to its end.
struct Stuck(String);

fn within(
    world: &mut World,
    name: &str,
    phase: impl FnOnce(&mut World) -> bool,
) -> Result<(), Stuck> {
    if phase(world) && world.violation().is_none() {
        return Ok(());
    }
    Err(Stuck(format!("{name}: {}", whereabouts(world))))
}

fn all_serve(world: &mut World) -> bool {
    let serves = |world: &World| world.hosts().iter().all(Host::serves);
    let end = Mono(world.now().0 + START_NS);
    world.run_until(end, serves) && serves(world)
}

fn work(world: &mut World, script: &Script, actors: Vec<Box<dyn Actor>>) {
    world.suffer(script.plan.clone());
    for actor in actors {
        world.enter(actor);
    }
    let (target, duration) = (script.setup.operations, script.setup.duration_ns);
    let begun = world.now().0;
    world.run_until(Mono(begun + duration), |_| false);
    let enough = |world: &World| world.actors().map(Actor::operations).sum::<u64>() >= target;
    world.run_until(Mono(begun + duration * PATIENCE), enough);
}

fn all_done(world: &mut World) -> bool {
    let done = |world: &World| world.actors().all(Actor::is_done);
    let end = Mono(world.now().0 + LIVENESS_NS);
    world.run_until(end, done) && done(world)
}

/// One more crash takes what was only believed to be there.
fn look(world: &mut World, scanners: Vec<Box<dyn Actor>>) -> bool {
    /// The machines are without power for so long.
    const DARK_NS: u64 = 1_000_000;
    let brokers = u16::try_from(world.hosts().len()).unwrap_or(u16::MAX);
    for broker in (0..brokers).map(BrokerId) {
        world.inflict(Fault {
            at: world.now(),
            broker,
            kind: FaultKind::Power,
            lasts_ns: DARK_NS,
            seed: world.trace().hash(),
        });
    }
    if !all_serve(world) {
        return false;
    }
    for scanner in scanners {
        world.enter(scanner);
    }
    all_done(world)
}

/// Who is waiting for what.
fn whereabouts(world: &World) -> String {
    let dark = world.hosts().iter().filter(|host| !host.serves()).count();
    let mut lines = vec![format!("{dark} brokers do not serve")];
    let actors = (0..).zip(world.actors());
    let waiting = actors.filter(|(_, actor)| !actor.is_done());
    lines.extend(waiting.map(|(id, actor): (u16, _)| format!("actor {id}: {}", actor.state())));
    lines.join("; ")
}

#[cfg(test)]
mod tests;
