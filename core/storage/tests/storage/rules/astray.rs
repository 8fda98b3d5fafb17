//! A reading of the start that brings back other bytes than those that are there, without an error.

use chronik_model::rng::Rng;
use chronik_sim_disk::{Action, Crash, Failure, Fault, SimDisk, Where};
use chronik_storage::checkpoint::CHECKPOINT_PATHS;
use chronik_storage::disk::{Disk, DiskErrorKind, Steady};

use super::{LAZY, Story, filled, start};
use crate::crash::{LIMITS, live, same_logs};
use crate::enumeration::{RING_FILE_BYTES, seeds};
use crate::model::Model;
use crate::shell::{Counts, Shell, directory_with_ring};

/// The two ways of a reading to go astray, with a few seeds each.
fn failures() -> impl Iterator<Item = Failure> {
    (0..2).flat_map(|seed| [Failure::OtherPosition(seed), Failure::OtherFile(seed)])
}

const fn reading(suffix: &'static str, skip: u64, failure: Failure) -> Fault {
    Fault {
        action: Action::Read,
        prefix: "",
        suffix,
        skip,
        failure,
    }
}

/// Lets each reading of a start go astray in turn: what is recovered stays the same.
fn enumerate(left: &SimDisk, model: &Model, counts: &mut Counts) {
    let expected = start(left.clone()).unwrap();
    model.clone().check(&expected, Some(Crash::Kill));
    for failure in failures() {
        for skip in 0.. {
            let _where = Where(format_args!("reading {skip}: {failure:?}"));
            let mut disk = left.clone();
            disk.faults().once.push(reading("", skip, failure));
            let mut shell = start(disk).unwrap();
            if shell.disk.faults().hits.is_empty() {
                break;
            }
            counts.add("readings", 1);
            same_logs(&expected, &shell);
            model.clone().check(&shell, Some(Crash::Kill));
        }
    }
}

#[test]
fn one_bad_reading_does_not_cut_a_log_that_is_not_journaled() {
    let mut story = Story::new();
    let id = story.log(LAZY);
    for size in (0..40).map(|round| 300 + round * 37) {
        story.append(id, size);
        story.drain();
    }
    assert!(story.of(id).segments.len() > 1);
    let left = story.shell.disk.after_exactly(None, None);
    enumerate(&left, &story.model, &mut Counts::default());
}

#[test]
fn one_bad_reading_changes_nothing_of_what_a_start_finds() {
    let story = filled();
    let left = story.shell.disk.after_exactly(None, None);
    let mut counts = Counts::default();
    enumerate(&left, &story.model, &mut counts);
    let mut rebuilt = left;
    for path in CHECKPOINT_PATHS {
        rebuilt.remove(path).unwrap();
    }
    enumerate(&rebuilt, &story.model, &mut counts);
    for seed in seeds(3) {
        let _where = Where(format_args!("seed {seed}"));
        let mut rng = Rng::new(seed);
        let mut model = Model::default();
        let disk = directory_with_ring(RING_FILE_BYTES);
        let Ok((mut shell, _)) = Shell::start(disk, LIMITS) else {
            panic!("a new directory");
        };
        live(&mut shell, &mut model, &mut rng, 60).unwrap();
        let left = shell.disk.after_exactly(None, None);
        enumerate(&left, &model, &mut counts);
    }
    println!("{:#?}", counts.0);
    assert!(counts.0["readings"] > 1000);
}

#[test]
fn bytes_are_believed_once_two_readings_agree() {
    let mut disk = SimDisk::default();
    let sectors: Vec<u8> = (0..64).flat_map(|byte| [byte; 512]).collect();
    disk.plant("a.log", &sectors);
    let astray = |count: u64| {
        let mut disk = disk.clone();
        let faults = (0..count).map(|seed| reading(".log", 0, Failure::OtherPosition(seed)));
        disk.faults().once.extend(faults);
        Steady(&mut disk).read("a.log", 0, 512)
    };
    for count in [0, 1, 2, 3] {
        assert_eq!(astray(count), Ok(vec![0; 512]), "{count} readings");
    }
    let refused = astray(4).unwrap_err();
    assert_eq!(refused.kind, DiskErrorKind::Failed);
    // An error is no reading, and is for others to try again.
    disk.faults()
        .once
        .push(reading(".log", 1, Failure::Nothing(DiskErrorKind::Failed)));
    let failed = Steady(&mut disk).read("a.log", 0, 512).unwrap_err();
    assert_eq!(failed.detail, "simulated");
}
