//! Snapshots of the metadata: they bound its log, and whatever a crash or time leaves of them, no
//! topic is lost.

use std::collections::BTreeMap;

use chronik_model::rng::Rng;
use chronik_model::{LogId, Offset, TopicId};
use chronik_node::SnapshotPolicy;
use chronik_sim_disk::SimDisk;
use chronik_storage::disk::DiskErrorKind;
use chronik_storage::log::PartitionLog;

use crate::harness::client::Topic;
use crate::harness::node::{Options, recover_all};
use crate::harness::{Sim, seeds};

const NAMES: [&str; 60] = {
    const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01234567";
    let mut names = [""; 60];
    let mut at = 0;
    while at < names.len() {
        let (_, rest) = LETTERS.split_at(at);
        (names[at], _) = rest.split_at(1);
        at += 1;
    }
    names
};

fn options(entries: u64) -> Options {
    let mut options = Options {
        snapshots: SnapshotPolicy {
            entries,
            bytes: u64::MAX,
            interval_ms: None,
        },
        ..Options::default()
    };
    options.limits.write_back_bytes = 1;
    options
}

fn metadata_log(sim: &Sim) -> &PartitionLog {
    let store = sim.node.shards[0].store();
    let mut logs = store.slots().filter_map(|slot| store.log(slot));
    logs.find(|log| log.log_id == LogId::METADATA).unwrap()
}

fn snapshots(disk: &SimDisk) -> Vec<String> {
    let mut paths = disk.paths();
    paths.retain(|path| path.contains(".checkpoint"));
    paths
}

/// What is known of each topic name: the id it was created with, or that it is gone.
#[derive(Debug, Default)]
struct Known {
    topics: BTreeMap<&'static str, Option<TopicId>>,
    /// A request about it was under way when the broker died.
    unsure: Option<&'static str>,
}

impl Known {
    fn check(&mut self, sim: &mut Sim, connection: usize) {
        let found = sim.metadata(connection);
        if let Some(name) = self.unsure.take() {
            let there = found.iter().find(|(found, _, _)| found == name);
            self.topics.insert(name, there.map(|(_, id, _)| *id));
        }
        for (name, id) in &self.topics {
            let there = found.iter().find(|(found, _, _)| found == name);
            assert_eq!(there.map(|(_, id, _)| *id), *id, "topic {name}");
        }
    }

    fn change(&mut self, sim: &mut Sim, connection: usize, name: &'static str) {
        let topic = match self.topics.get(name) {
            Some(Some(id)) => {
                let topic = Topic { name, id: *id };
                assert_eq!(sim.delete(connection, topic), 0);
                None
            }
            Some(None) | None => Some(sim.create(connection, name, 1, &[]).id),
        };
        self.topics.insert(name, topic);
    }

    /// Changes something and leaves it to its fate.
    fn begin(&mut self, sim: &mut Sim, connection: usize, name: &'static str) {
        if !matches!(self.topics.get(name), Some(Some(_))) {
            self.unsure = Some(name);
            sim.send_create(connection, name, 1, &[]);
            let steps = sim.rng.below(60);
            sim.run_steps(steps);
        }
    }
}

/// Changes topics through crashes, and returns how many changes and snapshots there were.
fn change_topics(seed: u64) -> (u64, u64) {
    let mut rng = Rng::new(seed);
    let mut sim = Sim::with(seed, options(1 + rng.below(8)));
    let mut known = Known::default();
    let (mut changes, mut snapshots) = (0, 0);
    for _ in 0..6 {
        let connection = sim.connect(0);
        known.check(&mut sim, connection);
        for _ in 0..rng.below(40) {
            let name = NAMES[usize::try_from(rng.below(60)).unwrap()];
            known.change(&mut sim, connection, name);
            changes += 1;
        }
        let name = NAMES[usize::try_from(rng.below(60)).unwrap()];
        known.begin(&mut sim, connection, name);
        snapshots += sim.node.snapshots;
        sim.crash(rng.below(2) == 0);
        assert_eq!(sim.node.warnings, Vec::<String>::new(), "seed {seed}");
    }
    let connection = sim.connect(1);
    known.check(&mut sim, connection);
    (changes, snapshots)
}

#[test]
fn topics_survive_crashes_at_every_step_of_a_snapshot() {
    let (mut changes, mut snapshots) = (0, 0);
    for seed in seeds(40) {
        let (changed, written) = change_topics(seed);
        changes += changed;
        snapshots += written;
    }
    assert!(changes > 2000, "only {changes} changes");
    assert!(snapshots > 500, "only {snapshots} snapshots");
}

#[test]
fn the_log_goes_back_to_the_older_of_two_snapshots() {
    for seed in seeds(10) {
        let mut sim = Sim::with(seed, options(5));
        let connection = sim.connect(0);
        for name in NAMES {
            sim.create(connection, name, 1, &[]);
        }
        sim.settle();
        let kept = snapshots(&sim.disk);
        assert_eq!(kept.len(), 2, "seed {seed}: {kept:?}");
        let log = metadata_log(&sim);
        assert!(log.log_start > Offset(40), "{}", log.log_start);
        let older = format!("metadata/{:020}-", log.log_start.0);
        assert!(kept[0].starts_with(&older), "{} {kept:?}", log.log_start);
        let first = format!("metadata/{:020}.log", 0);
        assert!(sim.disk.content(&first).is_none(), "seed {seed}");
    }
}

#[test]
fn time_makes_a_snapshot_of_what_changed_and_costs_nothing_when_nothing_did() {
    for seed in seeds(10) {
        let mut options = options(u64::MAX);
        options.snapshots.interval_ms = Some(60_000);
        let mut sim = Sim::with(seed, options);
        let connection = sim.connect(0);
        sim.run_for(70_000);
        // The registration of the broker.
        assert_eq!(sim.node.snapshots, 1);
        sim.run_for(600_000);
        assert_eq!((sim.node.snapshots, sim.node.deadline()), (1, None));
        sim.create(connection, "t", 1, &[]);
        sim.run_for(59_000);
        assert_eq!(sim.node.snapshots, 1, "seed {seed}");
        sim.run_for(2_000);
        assert_eq!(sim.node.snapshots, 2, "seed {seed}");
        assert_eq!(sim.node.deadline(), None);
    }
}

#[test]
fn a_damaged_snapshot_is_replaced_by_what_the_log_has_or_refused() {
    for seed in seeds(10) {
        let options = options(10);
        let mut sim = Sim::with(seed, options.clone());
        let connection = sim.connect(0);
        let mut known = Known::default();
        // The first snapshot only: the log has everything.
        for name in &NAMES[..12] {
            known.change(&mut sim, connection, name);
        }
        sim.settle();
        let only = snapshots(&sim.disk);
        assert_eq!(only.len(), 1);
        rot(&mut sim.disk, &only[0], &mut sim.rng);
        let connection = crash_with_warning(&mut sim, &only[0]);
        known.check(&mut sim, connection);
        for name in &NAMES[12..] {
            known.change(&mut sim, connection, name);
        }
        sim.settle();
        let two = snapshots(&sim.disk);
        assert_eq!(two.len(), 2, "the damaged one is replaced: {two:?}");
        rot(&mut sim.disk, &two[1], &mut sim.rng);
        let mut both = sim.disk.clone();
        rot(&mut both, &two[0], &mut sim.rng);
        let connection = crash_with_warning(&mut sim, &two[1]);
        known.check(&mut sim, connection);

        let refused = recover_all(&options, &mut both).unwrap_err();
        assert_eq!(refused.kind, DiskErrorKind::Corrupt);
        let said = refused.to_string();
        assert!(said.starts_with(&two[1]), "{said}");
        assert!(said.contains("restore the file"), "{said}");
        let mut missing = both;
        missing.unplant(&two[0]);
        missing.unplant(&two[1]);
        let said = recover_all(&options, &mut missing).unwrap_err().to_string();
        assert!(said.contains("snapshot before it is missing"), "{said}");
    }
}

/// Turns a bit of a file over.
fn rot(disk: &mut SimDisk, path: &str, rng: &mut Rng) {
    let hit = disk.rot(rng, |other, _| other == path);
    assert!(hit.is_some(), "{path}");
}

/// Starts again and returns a connection, if exactly one warning was given, about this file.
fn crash_with_warning(sim: &mut Sim, path: &str) -> usize {
    sim.crash(true);
    assert_eq!(sim.node.warnings.len(), 1, "{:?}", sim.node.warnings);
    assert!(
        sim.node.warnings[0].starts_with(path),
        "{:?}",
        sim.node.warnings
    );
    sim.connect(0)
}

#[test]
fn a_snapshot_that_finds_no_space_is_tried_again_and_the_log_is_kept() {
    for seed in seeds(10) {
        let mut sim = Sim::with(seed, options(5));
        let connection = sim.connect(0);
        sim.settle();
        sim.disk.faults().writes = Some(DiskErrorKind::Full);
        for name in &NAMES[..20] {
            sim.create(connection, name, 1, &[]);
        }
        sim.run_for(2_000);
        assert_eq!(sim.node.snapshots, 0, "seed {seed}");
        assert_eq!(metadata_log(&sim).log_start, Offset(0));
        assert!(!sim.node.offline);
        sim.disk.faults().writes = None;
        for name in &NAMES[20..] {
            sim.create(connection, name, 1, &[]);
        }
        sim.run_for(2_000);
        assert!(sim.node.snapshots > 2, "seed {seed}");
        sim.crash(true);
        let connection = sim.connect(0);
        assert_eq!(sim.metadata(connection).len(), NAMES.len());
    }
}
