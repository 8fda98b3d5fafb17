//! One seed, one history.

use chronik_model::Mono;
use chronik_sim::checker::{Rule, Violation};
use chronik_sim::launch::Launch;
use chronik_sim::run::Report;

/// Runs once more; what differs, if anything does.
pub(super) fn again(launch: &Launch, first: &Report) -> Option<Violation> {
    let second = launch.run();
    let same = (first.hash, first.steps) == (second.hash, second.steps);
    (!same).then(|| {
        let what = format!(
            "trace hash {:016x} after {} steps, and {:016x} after {}",
            first.hash, first.steps, second.hash, second.steps
        );
        Violation::new(Rule::Diverged, Mono(first.simulated_ns), what)
    })
}
