//! A few seeds, the scenarios that are kept, and one seed twice.

use std::fs;
use std::path::Path;

use chronik_sim::launch::Launch;
use chronik_sim::run::Options;
use chronik_sim::scenario::Scenario;

const SEEDS: u64 = 20;
const TWICE: u64 = 3;

/// Few enough operations for a build without optimization.
fn options() -> Options {
    Options {
        operations: 300,
        ..Options::default()
    }
}

#[test]
fn seeds_keep_every_promise() {
    for seed in 0..SEEDS {
        let report = Launch::draw(seed, &options()).run();
        assert_eq!(
            report.violation,
            None,
            "chronik-sim run --seed {seed} --operations {}",
            options().operations
        );
    }
}

#[test]
fn a_seed_decides_everything() {
    for seed in 0..TWICE {
        let [first, second] = [(), ()].map(|()| Launch::draw(seed, &options()).run());
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert_eq!(first.counters, second.counters, "seed {seed}");
    }
}

#[test]
fn whoever_listens_changes_nothing() {
    let launch = Launch::draw(1, &options());
    let (told, _) = launch.tell(Some(Box::new(|_, _| {})));
    assert_eq!(told.hash, launch.run().hash);
}

#[test]
fn scenarios_are_kept() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "scenario") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let scenario =
            Scenario::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let violation = Launch::of_scenario(&scenario).run().violation;
        assert_eq!(violation, None, "{}: {}", path.display(), scenario.guards);
    }
}
