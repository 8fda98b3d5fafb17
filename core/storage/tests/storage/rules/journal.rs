//! The journal: which frames count (rules J1, J2, J4, J13).

use bytes::Bytes;
use chronik_model::Offset;
use chronik_model::rng::Rng;
use chronik_sim_disk::Crash;
use chronik_storage::journal::format::FRAME_ALIGNMENT;
use chronik_storage::journal::replay::ReplayError;
use chronik_storage::journal::ring::ring_path;

use super::{DURABLE, LAZY, Story, start};
use crate::model::read_all;
use crate::shell::RING_FILE_BYTES;

/// Writes frames `n` and `n + 1` as if both were in flight, but only `n + 1` arrives.
fn lose_the_first_of_two(story: &mut Story, id: u64) {
    story.append(id, 300);
    let mut frames = story.shell.store.seal();
    let lost = story.shell.ring.plan(&mut frames).unwrap();
    story.append(id, 300);
    let mut frames = story.shell.store.seal();
    let kept = story.shell.ring.plan(&mut frames).unwrap();
    assert_eq!(lost.first_sequence + 1, kept.first_sequence);
    let write = &kept.writes[0];
    let path = ring_path(write.file);
    let bytes = write.buffers.concat();
    story
        .shell
        .disk
        .write_through(&path, write.position, &bytes)
        .unwrap();
}

#[test]
fn j1_a_rewritten_frame_orphans_the_old_successor() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    story.append(id, 300);
    story.commit();
    lose_the_first_of_two(&mut story, id);
    story.crash(Crash::Power);
    assert_eq!(story.of(id).log_end, Offset(1));
    story.append(id, 500);
    story.commit();
    story.crash(Crash::Power);
    assert_eq!(story.of(id).log_end, Offset(2));
    assert_eq!(read_all(story.of(id), &story.shell.disk).len(), 2);
}

#[test]
fn j1_a_successor_of_other_bytes_is_no_successor() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    let start = story.shell.checkpoint.start;
    lose_the_first_of_two(&mut story, id);
    // The first frame is written again, with the same number and other bytes.
    let mut other = Story::new();
    let same = other.log(DURABLE);
    assert_eq!(same, id);
    other.rng = Rng::new(8);
    other.append(id, 300);
    let mut frames = other.shell.store.seal();
    let plan = other.shell.ring.plan(&mut frames).unwrap();
    let (path, bytes) = (ring_path(start.file), plan.writes[0].buffers.concat());
    story.shell.disk.write_through(&path, 0, &bytes).unwrap();
    let started = self::start(story.shell.disk).unwrap();
    let log = started.store.log(started.slot_of(id).unwrap()).unwrap();
    assert_eq!(log.log_end, Offset(1));
}

#[test]
fn j1_the_chain_is_followed_across_files_and_laps() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    let laps = 3 * 4 * RING_FILE_BYTES / (8 << 10);
    for _ in 0..laps {
        story.append(id, 7 << 10);
        story.drain();
    }
    assert!(story.shell.counts.0["trims"] > 3);
    story.crash(Crash::Power);
}

#[test]
fn j2_a_damaged_frame_that_a_later_one_vouches_for_refuses_the_start() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    for _ in 0..3 {
        story.append(id, 300);
        story.commit();
    }
    let file = story.shell.checkpoint.start.file;
    let second = FRAME_ALIGNMENT;
    for byte in [0, 9, 50, 300, 4095] {
        let mut disk = story.shell.disk.clone();
        let mut content = disk.content(&ring_path(file)).unwrap().to_vec();
        content[second + byte] ^= 1;
        disk.plant(&ring_path(file), &content);
        match start(disk) {
            Err(ReplayError::Damaged { path, position, .. }) => {
                assert_eq!((path, position), (ring_path(file), second as u64));
            }
            other => panic!("byte {byte}: {:?}", other.map(|_| "started")),
        }
    }
}

#[test]
fn j2_the_first_frame_of_the_next_file_is_vouched_for_too() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    while story.shell.ring.usage().0 < 2 {
        story.append(id, 7 << 10);
        story.commit();
    }
    story.append(id, 300);
    story.commit();
    let file = story.shell.checkpoint.start.file + 1;
    let mut disk = story.shell.disk.clone();
    let mut content = disk.content(&ring_path(file)).unwrap().to_vec();
    content[100] ^= 1;
    disk.plant(&ring_path(file), &content);
    assert!(matches!(start(disk), Err(ReplayError::Damaged { .. })));
}

#[test]
fn j2_a_journal_cut_behind_the_last_commit_loses_nothing() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    for _ in 0..4 {
        story.append(id, 300);
        story.commit();
    }
    let acked = story.model.clone();
    story.append(id, 6000);
    let mut frames = story.shell.store.seal();
    let plan = story.shell.ring.plan(&mut frames).unwrap();
    let (write, bytes) = (&plan.writes[0], plan.writes[0].buffers.concat());
    let path = ring_path(write.file);
    for _ in 0..200 {
        let cut = usize::try_from(story.rng.below(bytes.len() as u64 + 1)).unwrap();
        let mut disk = story.shell.disk.clone();
        let mut content = disk.content(&path).unwrap().to_vec();
        let at = usize::try_from(write.position).unwrap();
        content[at..at + cut].copy_from_slice(&bytes[..cut]);
        disk.plant(&path, &content);
        let shell = start(disk).unwrap();
        let whole = bytes[cut..].iter().all(|byte| *byte == 0);
        let model = if whole { &story.model } else { &acked };
        model.clone().check(&shell, Some(Crash::Power));
    }
}

#[test]
fn j4_what_a_killed_process_left_readable_is_durable_before_it_is_served() {
    let mut story = Story::new();
    let id = story.log(LAZY);
    story.drain();
    for _ in 0..5 {
        story.append(id, 300);
    }
    story.shell.store.end_turn();
    story.shell.work(100).unwrap();
    story.model.note(&mut story.shell);
    assert_eq!(story.of(id).stable_end(), Offset(5));
    story.crash(Crash::Kill);
    assert_eq!(story.of(id).log_end, Offset(5));
    story.crash(Crash::Power);
    assert_eq!(story.of(id).log_end, Offset(5));
}

#[test]
fn j13_frames_share_no_block_and_straddle_no_file() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    for size in [1, 4000, 5000, 30_000, 20_000, 10] {
        story.append(id, size);
        let mut frames = story.shell.store.seal();
        for write in story.shell.ring.plan(&mut frames).unwrap().writes {
            let length: usize = write.buffers.iter().map(Bytes::len).sum();
            let aligned = |bytes: u64| bytes.is_multiple_of(FRAME_ALIGNMENT as u64);
            assert!(aligned(write.position) && aligned(length as u64));
            assert!(write.position + length as u64 <= RING_FILE_BYTES);
        }
        story.shell.ring.completed();
    }
}
