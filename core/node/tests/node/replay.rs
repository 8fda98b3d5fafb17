//! A seed decides everything.

use crate::harness::{Sim, seeds};
use crate::produce::workload;

fn trace(seed: u64) -> (u64, u64) {
    let mut sim = Sim::new(seed);
    workload(&mut sim);
    (sim.trace(), sim.steps)
}

#[test]
fn the_same_seed_gives_the_same_outputs_and_another_seed_others() {
    for seed in seeds(3) {
        let (first, again, other) = (trace(seed), trace(seed), trace(seed + 100));
        assert_eq!(first, again, "seed {seed}");
        assert_ne!(first, other, "seed {seed}");
    }
}
