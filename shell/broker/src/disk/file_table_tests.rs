//! Closing, syncing and forgetting files.

use chronik_storage::disk::DiskErrorKind;

use super::super::file_io::{read_at, write_all_at};
use super::*;

fn table(capacity: usize) -> (tempfile::TempDir, FileTable) {
    let directory = tempfile::tempdir().unwrap();
    let table = FileTable::new(directory.path().into(), capacity);
    (directory, table)
}

fn write(table: &mut FileTable, path: &str, bytes: &[u8]) {
    let file = table.open(path, Access::Create).unwrap();
    write_all_at(&file, 0, &[bytes]).unwrap();
}

fn sync(table: &mut FileTable, path: &str) -> Result<(), DiskError> {
    let plan = table.plan_sync(path)?;
    table.finish_sync(&plan, plan.run())
}

fn open_paths(table: &FileTable) -> Vec<&str> {
    assert_eq!(table.open.len(), table.by_use.len());
    table.by_use.values().map(|path| &**path).collect()
}

#[test]
fn the_longest_unused_file_is_closed_but_a_clean_one_before_a_dirty_one() {
    let (_directory, mut table) = table(3);
    for path in ["a", "b", "c"] {
        write(&mut table, path, path.as_bytes());
    }
    table.open("a", Access::Read).unwrap();
    write(&mut table, "d", b"d");
    assert_eq!(open_paths(&table), ["c", "a", "d"]);
    sync(&mut table, "a").unwrap();
    table.open("d", Access::Read).unwrap();
    write(&mut table, "e", b"e");
    assert_eq!(open_paths(&table), ["c", "d", "e"]);
    for path in ["a", "b", "c", "d", "e"] {
        sync(&mut table, path).unwrap();
        let file = table.open(path, Access::Read).unwrap();
        assert_eq!(read_at(&file, 0, 9).unwrap(), path.as_bytes());
    }
}

#[test]
fn a_file_in_use_is_not_closed() {
    let (_directory, mut table) = table(1);
    let first = table.open("a", Access::Create).unwrap();
    assert!(!table.has_room_for("b") && table.has_room_for("a"));
    drop(table.open("b", Access::Create).unwrap());
    assert_eq!(open_paths(&table), ["a", "b"]);
    drop(first);
    drop(table.open("c", Access::Create).unwrap());
    assert_eq!(open_paths(&table), ["c"]);
}

/// Character devices take writes and refuse to be synced.
#[test]
fn a_sync_that_failed_when_the_file_made_room_is_reported_by_its_next_sync() {
    let mut table = FileTable::new(Path::new("/dev").into(), 1);
    write(&mut table, "null", b"lost");
    table.open("zero", Access::Read).unwrap();
    assert_eq!(open_paths(&table), ["zero"]);
    for _ in 0..2 {
        // Not even tried again.
        let error = table.plan_sync("null").unwrap_err();
        assert_eq!(
            (error.path.as_str(), error.kind),
            ("null", DiskErrorKind::Failed)
        );
    }
    assert!(table.close_all().is_err());
}

#[test]
fn a_sync_that_failed_stays_failed_until_the_file_is_removed() {
    let mut table = FileTable::new(Path::new("/dev").into(), 8);
    write(&mut table, "null", b"lost");
    for _ in 0..2 {
        assert!(sync(&mut table, "null").is_err());
    }
    assert_eq!(
        table.plan_sync("null").unwrap_err().kind,
        DiskErrorKind::Failed
    );
    table.forget("null");
    assert!(table.plan_sync("null").is_ok());
}

#[test]
fn new_names_are_synced_once_up_to_the_data_directory() {
    let (_directory, mut table) = table(8);
    let mut check = |path: &str, expected: &[&str]| {
        drop(table.open(path, Access::Create).unwrap());
        let plan = table.plan_sync(path).unwrap();
        assert_eq!(plan.directories, expected, "{path}");
        table.finish_sync(&plan, plan.run()).unwrap();
    };
    check("logs/a/1", &["logs/a", "logs", ""]);
    check("logs/a/1", &[]);
    check("logs/a/2", &["logs/a"]);
    check("logs/b/1", &["logs/b", "logs", ""]);
    check("logs/a/2", &[]);
}

#[test]
fn a_name_made_during_a_sync_asks_for_another() {
    let (_directory, mut table) = table(8);
    drop(table.open("logs/a/1", Access::Create).unwrap());
    let plan = table.plan_sync("logs/a/1").unwrap();
    drop(table.open("logs/b/1", Access::Create).unwrap());
    table.finish_sync(&plan, plan.run()).unwrap();
    assert_eq!(
        table.plan_sync("logs/b/1").unwrap().directories,
        ["logs/b", "logs", ""]
    );
}

#[test]
fn forgetting_a_directory_spares_its_neighbours() {
    let (_directory, mut table) = table(8);
    for path in ["a/1", "a/2", "a-1/1", "ab/1"] {
        write(&mut table, path, b"x");
    }
    table.forget_directory("a");
    assert_eq!(open_paths(&table), ["a-1/1", "ab/1"]);
}
