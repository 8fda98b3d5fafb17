//! What happens to a log beside appends: ends taken back, deletions, modes, starts (rules J3, J5, J6, J8, J10, J12, J16).

use chronik_model::batch::BatchHeader;
use chronik_model::{LeaderEpoch, LogId, Mono, Now, Offset};
use chronik_sim_disk::Crash;
use chronik_storage::disk::{Disk, DiskOp};
use chronik_storage::log::PartitionLog;
use chronik_storage::store::{Append, METADATA_DIRECTORY, METADATA_PARTITION};

use super::{DURABLE, LAZY, Story};
use crate::model::{batch, config, read_all};

#[test]
fn j3_a_truncated_suffix_does_not_come_back() {
    for (before, after) in [(false, false), (true, false), (true, true)] {
        let mut story = Story::new();
        let id = story.log(DURABLE);
        for _ in 0..6 {
            story.append(id, 3000);
        }
        story.commit();
        if before {
            story.shell.store.flush_all();
            story.drain();
        }
        story.model.truncate(&mut story.shell, id, 3, false);
        assert_eq!(story.append(id, 100), 3);
        story.commit();
        if after {
            story.drain();
        }
        story.crash(Crash::Power);
        assert_eq!(story.of(id).log_end, Offset(4));
    }
}

#[test]
fn j3_late_completions_of_what_was_truncated_count_for_nothing() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    for _ in 0..4 {
        story.append(id, 3000);
    }
    story.commit();
    // The write-back of all four is requested but not carried out.
    story.model.truncate(&mut story.shell, id, 1, false);
    story.append(id, 200);
    story.shell.work(100).unwrap();
    assert!(story.of(id).written_end <= Offset(1));
    story.drain();
    story.crash(Crash::Power);
}

#[test]
fn j5_an_epoch_without_records_is_remembered() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    story.append(id, 300);
    let slot = story.shell.slot_of(id).unwrap();
    story.shell.store.begin_epoch(slot, LeaderEpoch(9), Some(1));
    story.commit();
    story.crash(Crash::Power);
    assert_eq!(story.of(id).epochs.latest(), Some(LeaderEpoch(9)));
}

#[test]
fn j6_deleted_logs_stay_away_and_their_ids_are_not_used_again() {
    let mut story = Story::new();
    let first = story.log(DURABLE);
    story.append(first, 9000);
    story.drain();
    let directory = story.of(first).directory.clone();
    story.model.delete(&mut story.shell, first);
    let early: Vec<_> = story.shell.store.take_requests();
    assert!(
        early.is_empty(),
        "files go only when the journal says so: {early:?}"
    );
    story.drain();
    assert!(story.shell.disk.list(&directory).unwrap().is_empty());
    story.crash(Crash::Power);
    assert!(story.shell.slot_of(first).is_none());
    assert!(story.log(DURABLE) > first);
}

#[test]
fn j8_a_change_of_mode_is_journaled_before_anything_above_is_acknowledged() {
    let mut story = Story::new();
    let id = story.log(LAZY);
    story.drain();
    story.append(id, 300);
    story.shell.store.end_turn();
    story.shell.work(100).unwrap();
    let slot = story.shell.slot_of(id).unwrap();
    story.shell.store.configure(slot, config(12 << 10, DURABLE));
    story.append(id, 300);
    story.commit();
    // The second batch is in the journal, but what lies before it may still be lost.
    assert_eq!(story.of(id).stable_end(), Offset(1));
    story.drain();
    assert_eq!(story.of(id).stable_end(), Offset(2));
    story.crash(Crash::Power);
    assert_eq!(story.of(id).log_end, Offset(2));
}

#[test]
fn j10_files_go_oldest_first_once_the_log_start_is_durable() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    for _ in 0..12 {
        story.append(id, 5000);
        story.drain();
    }
    let slot = story.shell.slot_of(id).unwrap();
    story.model.delete_records(&mut story.shell, id, 9);
    assert!(story.shell.store.take_requests().is_empty());
    story.shell.commit().unwrap();
    story.shell.deliver();
    assert!(story.shell.tokens.len() == 1, "{:?}", story.shell.tokens);
    let removed = story.shell.store.take_requests();
    let bases: Vec<_> = removed
        .iter()
        .map(|request| {
            let DiskOp::RemoveSegment { file } = &request.op else {
                panic!("{request:?}");
            };
            file.segment.base_offset
        })
        .collect();
    assert!(bases.len() > 2 && bases.is_sorted(), "{bases:?}");
    story.model.note(&mut story.shell);
    story.crash(Crash::Power);
    assert_eq!(story.of(id).log_start, Offset(9));
    assert!(story.shell.slot_of(id).is_some_and(|found| found == slot));
}

#[test]
fn j12_append_time_never_runs_backwards() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    let slot = story.shell.slot_of(id).unwrap();
    let stored = [(50, 50), (40, 50), (60, 60), (10, 60)].map(|(wall, expected)| {
        let bytes = batch(&mut story.rng, 1, 6000, None);
        let header = BatchHeader::parse(&bytes).unwrap();
        let append = Append {
            header: &header,
            batch: &bytes,
            leader_epoch: LeaderEpoch(0),
            append_time_ms: Some(wall),
        };
        story.shell.store.append(slot, &append).unwrap();
        expected
    });
    story.shell.drain().unwrap();
    story.shell.store.flush_all();
    story.shell.drain().unwrap();
    let kept = read_all(story.of(id), &story.shell.disk);
    let times: Vec<_> = kept
        .iter()
        .map(|(_, bytes)| BatchHeader::parse(bytes).unwrap().max_timestamp())
        .collect();
    assert_eq!(times, stored);
}

#[test]
fn j16_the_metadata_log_is_a_log_like_any_other() {
    let mut story = Story::new();
    let metadata = PartitionLog::new(
        LogId::METADATA,
        METADATA_PARTITION,
        METADATA_DIRECTORY.into(),
        config(12 << 10, DURABLE),
    );
    story.shell.store.adopt(metadata);
    story.model.logs.insert(
        0,
        crate::model::ModelLog {
            flush_messages: DURABLE,
            ..Default::default()
        },
    );
    for _ in 0..5 {
        story.append(0, 4000);
        story.drain();
    }
    story.model.truncate(&mut story.shell, 0, 3, false);
    story.append(0, 100);
    story.commit();
    story.crash(Crash::Power);
    assert_eq!(story.of(0).log_end, Offset(4));
    story.model.truncate(&mut story.shell, 0, 40, true);
    assert_eq!(story.append(0, 100), 40);
    story.commit();
    story.crash(Crash::Power);
    let log = story.of(0);
    assert_eq!((log.log_start, log.log_end), (Offset(40), Offset(41)));
}

#[test]
fn a_log_that_is_deleted_while_it_is_written_leaves_nothing_behind() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    for _ in 0..4 {
        story.append(id, 3000);
    }
    story.commit();
    story.append(id, 3000);
    story.model.delete(&mut story.shell, id);
    let other = story.log(DURABLE);
    story.append(other, 100);
    story.drain();
    assert_eq!(story.shell.store.unwritten_bytes(), 100 + 70);
    story.shell.store.retain(
        story.shell.slot_of(other).unwrap(),
        Now {
            mono: Mono(0),
            wall_ms: 0,
        },
    );
    story.crash(Crash::Power);
}
