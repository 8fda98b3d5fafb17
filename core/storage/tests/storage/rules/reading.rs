//! Reads by offset and by time (rule J15).

use std::sync::Arc;

use chronik_model::Offset;
use chronik_model::batch::{BatchHeader, batches};
use chronik_sim_disk::Crash;
use chronik_storage::disk::{DiskData, DiskDone, DiskOp};
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
            as_range: false,
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

/// Reads a log from its start to `end` and takes ranges where they are offered. Says how many batches
/// came in ranges, and how many had to be read from files.
fn read_ranges(shell: &mut Shell, id: u64, end: i64, max_bytes: usize) -> [usize; 2] {
    let slot = shell.slot_of(id).unwrap();
    let mut from = shell.store.log(slot).unwrap().log_start;
    let mut counts = [0, 0];
    while from < Offset(end) {
        let request = ReadRequest {
            from,
            bound: Offset(end),
            max_bytes,
            at_least_one: true,
            as_range: true,
        };
        let (bytes, next) = match shell.store.read(slot, &request, 4) {
            ReadOutcome::Batches { pieces, .. } => (pieces.concat(), None),
            ReadOutcome::OnDisk => {
                let (bytes, next) = answer_with_ranges(shell);
                let was_read = usize::from(next.is_none());
                counts[was_read] += batches(&bytes).count();
                (bytes, next)
            }
        };
        let mut due = from;
        for batch in batches(&bytes) {
            let header = *batch.unwrap().header();
            assert_eq!(header.base_offset(), due);
            due = header.next_offset();
        }
        assert!(due > from && due <= Offset(end));
        assert!(next.is_none_or(|next| next == due));
        assert!(next.is_none() || bytes.len() <= max_bytes);
        from = due;
    }
    counts
}

/// Carries out what the store has asked for. Where a file may be pinned it is, and what is in the range
/// then comes with the offset behind it.
fn answer_with_ranges(shell: &mut Shell) -> (Vec<u8>, Option<Offset>) {
    let mut found = None;
    for request in shell.store.take_requests() {
        let result = if matches!(request.op, DiskOp::Read { may_pin: true, .. }) {
            Ok(DiskData::Pinned(Arc::new(())))
        } else {
            shell.disk.carry_out(&request.op)
        };
        let token = request.token;
        match shell.store.disk_done(DiskDone { token, result }) {
            Some(Completion::Read { result, .. }) => {
                found = Some((result.unwrap().bytes.to_vec(), None));
            }
            Some(Completion::Range {
                range, next_offset, ..
            }) => {
                let DiskOp::Read { file, .. } = &request.op else {
                    panic!("a range of {request:?}");
                };
                let start = usize::try_from(range.position).unwrap();
                let content = shell.disk.content(&file.log_path()).unwrap();
                let bytes = content[start..start + range.length].to_vec();
                found = Some((bytes, Some(next_offset)));
            }
            Some(other) => panic!("{other:?}"),
            None => {}
        }
    }
    found.unwrap()
}

#[test]
fn n3_ranges_are_offered_of_what_was_checked_since_the_start_only() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    for _ in 0..14 {
        story.append(id, 5000);
        story.drain();
    }
    story.shell.store.flush_all();
    story.drain();
    let [in_ranges, read] = read_ranges(&mut story.shell, id, 14, 12_000);
    assert!(in_ranges > 0, "{read} were read");
    story.crash(Crash::Power);
    story.shell.store.flush_all();
    story.drain();
    let first = read_ranges(&mut story.shell, id, 14, 12_000);
    assert_eq!(first[0], 0);
    let again = read_ranges(&mut story.shell, id, 14, 12_000);
    assert!(again[0] > 0, "{again:?}");
    assert_eq!(read_ranges(&mut story.shell, id, 14, 12_000), again);
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
