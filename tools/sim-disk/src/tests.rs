//! What is lost, kept, torn and damaged, as a user of the disk sees it.

use std::collections::BTreeSet;

use chronik_storage::disk::{Disk, replace_file};

use super::*;

/// What is left of `disk` after power cuts of many seeds, as the content of `path`.
fn left(disk: &SimDisk, path: &str) -> BTreeSet<Option<Vec<u8>>> {
    let after = |seed| disk.after(Crash::Power, &mut Rng::new(seed));
    let content = |disk: SimDisk| disk.content(path).map(<[u8]>::to_vec);
    (0..200).map(after).map(content).collect()
}

fn set<const N: usize>(of: [Option<&[u8]>; N]) -> BTreeSet<Option<Vec<u8>>> {
    of.map(|it| it.map(<[u8]>::to_vec)).into()
}

#[test]
fn a_name_is_durable_once_its_directories_are_synced() {
    let mut disk = SimDisk::default();
    disk.write("a/b/file", 0, b"x").unwrap();
    disk.sync("a/b/file").unwrap();
    let lost_or_not = set([None, Some(b"x")]);
    assert_eq!(left(&disk, "a/b/file"), lost_or_not);
    disk.sync_directory("a/b").unwrap();
    disk.sync_directory("a").unwrap();
    assert_eq!(left(&disk, "a/b/file"), lost_or_not);
    disk.sync_directory("").unwrap();
    assert_eq!(left(&disk, "a/b/file"), set([Some(b"x")]));
    disk.remove("a/b").unwrap();
    assert_eq!(disk.content("a/b/file"), None);
    assert_eq!(left(&disk, "a/b/file"), lost_or_not);
    disk.sync_directory("a").unwrap();
    assert_eq!(left(&disk, "a/b/file"), set([None]));
}

#[test]
fn a_replaced_file_is_the_old_or_the_new_one_at_every_operation() {
    let mut disk = SimDisk::default();
    replace_file(&mut disk, "d/file", b"old").unwrap();
    disk.sync_directory("").unwrap();
    let (mut seen, before) = (BTreeSet::new(), disk.operations());
    for at in 1.. {
        let mut disk = disk.clone();
        disk.faults().crash_at = Some(before + at);
        let done = replace_file(&mut disk, "d/file", b"newer");
        if done.is_ok() {
            assert_eq!(left(&disk, "d/file"), set([Some(b"newer")]));
            break;
        }
        assert!(disk.is_crashed() && disk.interrupted().is_some());
        seen.append(&mut left(&disk, "d/file"));
        for durable in [false, true] {
            for tear in disk.tears(durable, 4) {
                let left = disk.after_exactly(Some(&tear), durable.then_some(Losses::All));
                let content = left.content("d/file").map(<[u8]>::to_vec);
                seen.insert(content);
            }
        }
    }
    assert_eq!(seen, set([Some(b"old"), Some(b"newer")]));
}

#[test]
fn every_subset_of_the_sectors_of_a_torn_write_is_tried() {
    let mut disk = SimDisk::default();
    disk.plant("ring", &[0; 4 * SECTOR_BYTES]);
    disk.faults().crash_at = Some(1);
    let position = SECTOR_BYTES as u64 / 2;
    let write = [1; 3 * SECTOR_BYTES];
    assert!(disk.write_through("ring", position, &write).is_err());
    let tears = disk.tears(true, 4);
    let content = |tear| {
        disk.after_exactly(Some(tear), None)
            .content("ring")
            .unwrap()
            .to_vec()
    };
    let found: BTreeSet<Vec<u8>> = tears.iter().map(content).collect();
    assert_eq!((tears.len(), found.len()), (16, 16));
    assert!(found.iter().all(|it| it.len() == 4 * SECTOR_BYTES));
    // Of more parts, a choice.
    assert_eq!(disk.tears(true, 3).len(), 2 + 3 + 3 + 2 + 2);
}

#[test]
fn a_killed_process_leaves_what_it_wrote_and_no_more_durable_than_it_was() {
    let mut disk = SimDisk::default();
    disk.plant("f", b"1");
    disk.write("f", 1, b"2").unwrap();
    disk.crash(Crash::Kill, &mut Rng::new(1));
    assert_eq!(disk.content("f").unwrap(), b"12");
    assert_eq!(*disk.durable_content("f").unwrap(), *b"1");
    assert!(!disk.is_durable("f"));
}

#[test]
fn faults_hit_once_and_where_they_were_meant_to() {
    let mut disk = SimDisk::default();
    disk.plant("a.log", b"aaaa");
    disk.plant("b.cidx", b"b");
    let failure = Failure::Nothing(DiskErrorKind::Failed);
    let mut fault = Fault::on_segment(Action::Sync, failure);
    fault.skip = 1;
    disk.faults().once.push(fault);
    disk.write("a.log", 0, b"new!").unwrap();
    disk.sync("b.cidx").unwrap();
    disk.sync("a.log").unwrap();
    disk.write("a.log", 0, b"lost").unwrap();
    let refused = disk.sync("a.log").unwrap_err();
    assert_eq!(refused.kind, DiskErrorKind::Failed);
    assert_eq!(disk.faults().hits, [(Action::Sync, "a.log".to_owned())]);
    disk.sync("a.log").unwrap();
    assert_eq!(disk.content("a.log").unwrap(), b"lost");
    assert_eq!(left(&disk, "a.log"), set([Some(b"new!")]));
    disk.evict();
    assert_eq!(disk.content("a.log").unwrap(), b"new!");
}

#[test]
fn a_full_disk_takes_what_fits() {
    let mut disk = SimDisk::default();
    disk.plant("ring", b"12345678");
    disk.faults().capacity = Some(10);
    assert_eq!(
        disk.write("a", 0, b"abc").unwrap_err().kind,
        DiskErrorKind::Full
    );
    assert_eq!(disk.content("a").unwrap(), b"ab");
    disk.write_through("ring", 0, b"others").unwrap();
    assert!(disk.write("b", 0, b"b").is_err());
    disk.remove("a").unwrap();
    disk.write("b", 0, b"b").unwrap();
}

#[test]
fn a_failing_write_leaves_a_beginning() {
    let mut lengths = BTreeSet::new();
    for seed in 0..50 {
        let mut disk = SimDisk::default();
        disk.faults().fail_at = Some((1, Failure::Part(DiskErrorKind::Failed, seed)));
        assert!(disk.write("f", 0, b"abc").is_err());
        let content = disk.content("f").unwrap();
        assert!(b"abc".starts_with(content));
        lengths.insert(content.len());
    }
    assert_eq!(lengths, BTreeSet::from([0, 1, 2, 3]));
}

#[test]
fn reads_go_astray_once() {
    let mut disk = SimDisk::default();
    let sectors: Vec<u8> = (0..4).flat_map(|byte| [byte; SECTOR_BYTES]).collect();
    disk.plant("a.log", &sectors);
    disk.plant("b.log", &[9; 100]);
    let read = |disk: &mut SimDisk| disk.read("a.log", 0, SECTOR_BYTES).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..50 {
        let failures = [Failure::OtherPosition(seed), Failure::OtherFile(seed)];
        for failure in failures {
            let fault = Fault::on_segment(Action::Read, failure);
            disk.faults().once.push(fault);
            let astray = read(&mut disk);
            assert_eq!(astray.len(), SECTOR_BYTES);
            seen.insert(astray[0]);
            assert_eq!(read(&mut disk)[0], 0);
        }
    }
    assert_eq!(seen, BTreeSet::from([0, 1, 2, 3, 9]));
}

#[test]
fn rot_turns_one_bit_of_a_chosen_file_over_for_good() {
    let mut disk = SimDisk::default();
    disk.plant("a.log", &[0; 50]);
    disk.plant("b", &[0; 50]);
    let (path, at) = disk
        .rot(&mut Rng::new(3), |path, _| path == "a.log")
        .unwrap();
    assert_eq!(path, "a.log");
    let after = disk.after(Crash::Power, &mut Rng::new(1));
    for disk in [&disk, &after] {
        let content = disk.content("a.log").unwrap();
        let ones: u32 = content.iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(ones, 1);
        assert_ne!(content[usize::try_from(at).unwrap()], 0);
        assert_eq!(disk.content("b").unwrap(), [0; 50]);
    }
    assert_eq!(disk.rot(&mut Rng::new(3), |path, _| path == "c"), None);
}

#[test]
fn a_clone_has_files_of_its_own_and_removed_files_take_no_memory() {
    let mut disk = SimDisk::default();
    disk.plant("a", b"1");
    let copy = disk.clone();
    disk.write("a", 0, b"2").unwrap();
    assert_eq!(copy.content("a").unwrap(), b"1");
    for round in 0..1000 {
        let path = format!("d{}/f", round % 3);
        disk.write(&path, 0, &[1; 100]).unwrap();
        disk.remove(parent_of(&path)).unwrap();
        disk.sync_directory("").unwrap();
    }
    assert!(disk.files.len() < 200, "{}", disk.files.len());
    assert_eq!(disk.paths(), ["a"]);
}

fn parent_of(path: &str) -> &str {
    names::parent(path)
}

#[test]
fn a_place_that_no_file_has_is_refused() {
    let mut disk = SimDisk::default();
    for place in [u64::MAX, MOST_FILE_BYTES + 1] {
        assert!(disk.write("a", place, b"x").is_err());
        assert!(disk.write_through("a", place, b"x").is_err());
        assert!(disk.truncate("a", place).is_err());
    }
    disk.plant("a", b"x");
    assert!(disk.truncate("a", u64::MAX).is_err());
    assert_eq!(disk.read("a", u64::MAX, usize::MAX).unwrap(), b"");
}
