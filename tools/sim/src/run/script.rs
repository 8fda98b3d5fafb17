//! What decides a run: its seed, its setup and its plan.

use crate::plan::{FaultKind, Odds, Plan};
use crate::random::{Purpose, Seed};
use chronik_model::Mono;
use chronik_model::rng::Rng;

use super::Setup;

/// How scripts are drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Kinds of faults that may happen. A seed takes only some of them.
    pub kinds: Vec<FaultKind>,
    /// Operations that the clients together are to do.
    pub operations: u64,
    /// Most faults of a run.
    pub most_faults: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kinds: FaultKind::ALL.iter().map(|(kind, _)| *kind).collect(),
            operations: 2_000,
            most_faults: 24,
        }
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Decides all that is left to chance.
    pub seed: Seed,
    /// The world.
    pub setup: Setup,
    /// What goes wrong in it.
    pub plan: Plan,
}

impl Script {
    /// The script of a seed.
    #[must_use]
    pub fn draw(seed: Seed, options: &Options) -> Self {
        let setup = Setup::draw(seed, options.operations);
        let mut rng = seed.stream(Purpose::Faults, 0);
        let kinds = options.kinds.iter().copied();
        let kinds: Vec<_> = kinds.filter(|kind| is_in(&mut rng, *kind)).collect();
        let odds = Odds {
            count: if kinds.is_empty() {
                0
            } else {
                4 + rng.below(options.most_faults.saturating_sub(3))
            },
            kinds,
            until: Mono(setup.duration_ns),
            brokers: setup.brokers,
        };
        let plan = Plan::draw(&mut rng, &odds);
        Self { seed, setup, plan }
    }
}

/// Whether a seed that may take a kind of fault does. Kinds that hide others, as they are excuses for
/// almost everything, are rare.
fn is_in(rng: &mut Rng, kind: FaultKind) -> bool {
    let percent = match kind {
        FaultKind::Crash | FaultKind::Power => 100,
        FaultKind::Wipe => 3,
        FaultKind::Rot => 15,
        FaultKind::Checkpoint | FaultKind::Misdirect => 25,
        FaultKind::Torn
        | FaultKind::Fsync
        | FaultKind::Journal
        | FaultKind::Io
        | FaultKind::Full
        | FaultKind::Slow
        | FaultKind::Reset
        | FaultKind::Clog
        | FaultKind::HalfOpen
        | FaultKind::Pause
        | FaultKind::Clock
        | FaultKind::Restart => 50,
    };
    rng.below(100) < percent
}
