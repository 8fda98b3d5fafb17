//! Reads by offset and by time (rule J15).

use chronik_model::Offset;
use chronik_model::batch::BatchHeader;
use chronik_sim_disk::Crash;
use chronik_storage::store::{Completion, ReadOutcome, ReadRequest};

use super::{DURABLE, Story, start};
use crate::shell::Shell;

#[test]
fn j15_an_index_with_any_byte_changed_costs_a_scan_but_no_data() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    for _ in 0..12 {
        story.append(id, 2000);
        story.drain();
    }
    story.shell.store.flush_all();
    story.drain();
    let file = story.of(id).file(Offset(0));
    let index = story
        .shell
        .disk
        .content(&file.index_path())
        .unwrap()
        .to_vec();
    for byte in 0..=index.len() {
        let mut disk = story.shell.disk.clone();
        let mut damaged = index.clone();
        if let Some(byte) = damaged.get_mut(byte) {
            *byte ^= 0x20;
        }
        disk.plant(&file.index_path(), &damaged);
        let mut shell = start(disk).unwrap();
        for _ in 0..2 {
            read_through(&mut shell, id, 12);
        }
    }
}

/// Reads a log from its start to `end`, as a consumer would.
fn read_through(shell: &mut Shell, id: u64, end: i64) {
    let slot = shell.slot_of(id).unwrap();
    let mut from = shell.store.log(slot).unwrap().log_start;
    while from < Offset(end) {
        let request = ReadRequest {
            from,
            bound: Offset(end),
            max_bytes: 3000,
            at_least_one: true,
        };
        let bytes = match shell.store.read(slot, &request, 4) {
            ReadOutcome::Batches { pieces, .. } => pieces.concat(),
            ReadOutcome::OnDisk => {
                shell.work(10).unwrap();
                match shell.completions.pop() {
                    Some(Completion::Read { result, ticket: 4 }) => result.unwrap().bytes.to_vec(),
                    other => panic!("{other:?}"),
                }
            }
        };
        let header = BatchHeader::parse(&bytes).unwrap();
        assert_eq!(header.base_offset(), from);
        from = header.next_offset();
    }
}

#[test]
fn reads_go_on_over_segment_boundaries_from_files_and_memory() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    for _ in 0..14 {
        story.append(id, 5000);
        story.drain();
    }
    read_through(&mut story.shell, id, 14);
    story.crash(Crash::Power);
    read_through(&mut story.shell, id, 14);
}

#[test]
fn a_timestamp_is_found_in_files_and_in_memory() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    for _ in 0..14 {
        story.append(id, 5000);
        story.drain();
    }
    let slot = story.shell.slot_of(id).unwrap();
    let mut find = |timestamp| {
        let found = story
            .shell
            .store
            .find_timestamp(slot, timestamp, Offset(14), 9);
        found.unwrap_or_else(|_| {
            story.shell.work(20).unwrap();
            match story.shell.completions.pop() {
                Some(Completion::Timestamp { result, ticket: 9 }) => result.unwrap(),
                other => panic!("{other:?}"),
            }
        })
    };
    assert_eq!(find(1000).map(|hit| hit.offset), Some(Offset(0)));
    assert_eq!(find(1001), None);
}
