//! The rules of the storage engine, one story each.

use bytes::Bytes;
use chronik_model::batch::BatchHeader;
use chronik_model::ids::base64_url;
use chronik_model::rng::Rng;
use chronik_model::{LeaderEpoch, LogId, Mono, Now, Offset};
use chronik_storage::checkpoint::CHECKPOINT_PATHS;
use chronik_storage::disk::{Disk, DiskErrorKind, DiskOp};
use chronik_storage::journal::format::FRAME_ALIGNMENT;
use chronik_storage::journal::replay::ReplayError;
use chronik_storage::journal::ring::ring_path;
use chronik_storage::log::PartitionLog;
use chronik_storage::recovery::{CLEAN_SHUTDOWN_PATH, DirectoryShape, recover};
use chronik_storage::store::{
    Append, Completion, METADATA_DIRECTORY, METADATA_PARTITION, ReadOutcome, ReadRequest,
    StoreError, StoreLimits,
};

use super::disk::{Crash, SimDisk};
use super::model::{Model, batch, config, read_all};
use super::shell::{DIRECTORY_ID, RING_FILE_BYTES, SHAPE, Shell, new_directory};

const DURABLE: u64 = 1;
const LAZY: u64 = 1000;

/// A directory with its promises.
struct Story {
    shell: Shell,
    model: Model,
    rng: Rng,
}

impl Story {
    fn new() -> Self {
        Self {
            shell: start(new_directory()).unwrap(),
            model: Model::default(),
            rng: Rng::new(7),
        }
    }

    fn log(&mut self, flush_messages: u64) -> u64 {
        self.model.create(&mut self.shell, 1, flush_messages)
    }

    fn append(&mut self, id: u64, bytes: usize) -> i64 {
        let batch = batch(&mut self.rng, 1, bytes, None);
        self.model.append(&mut self.shell, id, &batch).unwrap().0
    }

    /// Commits what waits and tells the store.
    fn commit(&mut self) {
        self.shell.store.end_turn();
        self.shell.commit().unwrap();
        self.shell.deliver();
        self.model.note(&mut self.shell);
    }

    fn drain(&mut self) {
        self.shell.drain().unwrap();
        self.model.note(&mut self.shell);
    }

    fn of(&self, id: u64) -> &PartitionLog {
        self.shell
            .store
            .log(self.shell.slot_of(id).unwrap())
            .unwrap()
    }

    /// Crashes and comes back, with every promise checked.
    fn crash(&mut self, crash: Crash) {
        let left = self.shell.disk.after(crash, &mut self.rng);
        self.shell = start(left).unwrap();
        self.model.check(&self.shell, Some(crash));
        self.model.configure(&mut self.shell);
    }

    /// Recovers a disk that somebody damaged; every promise must still hold.
    fn check_damaged(&self, disk: SimDisk, what: &str) {
        let shell = start(disk).unwrap_or_else(|error| panic!("{what}: {error}"));
        self.model.clone().check(&shell, Some(Crash::Power));
    }
}

fn start(disk: SimDisk) -> Result<Shell, ReplayError> {
    let limits = StoreLimits {
        tail_bytes: 48 << 10,
        write_back_bytes: 8 << 10,
    };
    match Shell::start(disk, limits) {
        Ok((shell, _)) => Ok(shell),
        Err(failed) => Err(failed.1),
    }
}

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
fn j7_a_directory_without_checkpoints_is_rebuilt_from_its_segments() {
    let mut story = filled();
    for lost in [
        &CHECKPOINT_PATHS[..1],
        &CHECKPOINT_PATHS[1..],
        &CHECKPOINT_PATHS,
    ] {
        let mut disk = story.shell.disk.clone();
        for path in lost {
            disk.remove(path).unwrap();
            disk.sync_directory("").unwrap();
        }
        story.check_damaged(disk, &format!("without {lost:?}"));
    }
    story.crash(Crash::Power);
}

#[test]
fn j7_a_checkpoint_of_an_earlier_life_is_not_taken_for_the_newest() {
    let mut story = filled();
    story.crash(Crash::Power);
    let id = *story.model.logs.keys().next().unwrap();
    story.append(id, 500);
    story.commit();
    let mut disk = story.shell.disk.clone();
    disk.remove(story.shell.checkpoint.path()).unwrap();
    disk.sync_directory("").unwrap();
    story.check_damaged(disk, "without the newest checkpoint");
}

/// Logs of both modes, several trims, a deletion, a truncation, and a tail in the journal.
fn filled() -> Story {
    let mut story = Story::new();
    let (durable, lazy, gone) = (story.log(DURABLE), story.log(LAZY), story.log(DURABLE));
    story.append(gone, 9000);
    story.drain();
    for _ in 0..60 {
        story.append(durable, 5000);
        story.append(lazy, 700);
        story.drain();
    }
    story.model.delete(&mut story.shell, gone);
    let end = story.model.logs[&durable].end;
    story
        .model
        .truncate(&mut story.shell, durable, end - 2, false);
    story.model.truncate(&mut story.shell, lazy, end - 2, false);
    for _ in 0..3 {
        story.append(durable, 900);
        story.append(lazy, 900);
        story.drain();
    }
    story.shell.flush_timed();
    story.drain();
    assert!(story.shell.counts.0["trims"] > 1);
    story
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
fn j9_without_space_data_waits_in_memory_and_is_written_later() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    story.shell.disk.full = true;
    for _ in 0..4 {
        story.append(id, 3000);
    }
    story.commit();
    story.shell.work(100).unwrap();
    let slot = story.shell.slot_of(id).unwrap();
    assert_eq!(
        story.shell.store.check_writable(slot),
        Err(StoreError::Full)
    );
    let request = ReadRequest {
        from: Offset(0),
        bound: Offset(4),
        max_bytes: 1 << 20,
        at_least_one: true,
    };
    let outcome = story.shell.store.read(slot, &request, 1);
    assert!(matches!(outcome, ReadOutcome::Batches { pieces, .. } if pieces.len() == 4));
    story.shell.disk.full = false;
    story.shell.store.retry_writes();
    story.shell.work(100).unwrap();
    assert_eq!(story.of(id).written_end, Offset(4));
    assert_eq!(story.shell.store.check_writable(slot), Ok(()));
    assert_eq!(story.shell.store.unwritten_bytes(), 0);
}

#[test]
fn j9_a_failed_sync_takes_the_directory_offline_and_is_never_tried_again() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    story.append(id, 9000);
    story.commit();
    story.shell.work(1).unwrap();
    story.shell.store.flush_all();
    let next = story.shell.disk.operations + 1;
    story.shell.disk.fail_at = Some((next, DiskErrorKind::Failed));
    story.shell.work(1).unwrap();
    let slot = story.shell.slot_of(id).unwrap();
    let refused = story.shell.store.check_writable(slot);
    assert!(
        matches!(refused, Err(StoreError::Offline(_))),
        "{refused:?}"
    );
    story.shell.store.flush_all();
    story.shell.store.retry_writes();
    assert!(story.shell.store.take_requests().is_empty());
    story.crash(Crash::Power);
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
fn j11_a_retry_is_known_after_a_crash_that_lost_newer_batches() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    for sequence in 0..3 {
        let bytes = batch(&mut story.rng, 1, 100, Some((5, sequence)));
        story.model.append(&mut story.shell, id, &bytes).unwrap();
        story.commit();
    }
    // A checkpoint may know batches that never become durable.
    for sequence in 3..12 {
        let bytes = batch(&mut story.rng, 1, 100, Some((5, sequence)));
        story.model.append(&mut story.shell, id, &bytes).unwrap();
    }
    let mut checkpoint = story.shell.checkpoint.clone();
    checkpoint.generation += 1;
    checkpoint.logs = story.shell.store.checkpoints();
    let path = checkpoint.path();
    story.shell.disk.plant(path, &checkpoint.encode());
    story.crash(Crash::Power);
    assert_eq!(story.of(id).log_end, Offset(3));
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

#[test]
fn j14_the_marker_of_a_clean_stop_is_good_for_one_start() {
    let mut story = filled();
    story.shell.stop().unwrap();
    story.model.note(&mut story.shell);
    let stopped = story.shell.disk.clone();
    let marker = stopped.content(CLEAN_SHUTDOWN_PATH).unwrap().to_vec();
    let clean_starts = |disk: SimDisk| start(disk).unwrap().counts.0["clean starts"];
    assert_eq!(clean_starts(stopped.clone()), 1);
    let started = start(stopped.clone()).unwrap().disk;
    assert!(started.content(CLEAN_SHUTDOWN_PATH).is_none());
    assert_eq!(clean_starts(started), 0);
    for byte in 0..marker.len() {
        let mut damaged = marker.clone();
        damaged[byte] ^= 0x10;
        let mut disk = stopped.clone();
        disk.plant(CLEAN_SHUTDOWN_PATH, &damaged);
        assert_eq!(clean_starts(disk.clone()), 0, "byte {byte}");
        story.check_damaged(disk, &format!("marker byte {byte}"));
    }
}

#[test]
fn j15_a_checkpoint_with_any_byte_changed_costs_time_but_no_data() {
    let story = filled();
    for path in CHECKPOINT_PATHS {
        let good = story.shell.disk.content(path).unwrap().to_vec();
        for byte in 0..good.len() {
            let mut damaged = good.clone();
            damaged[byte] ^= 1 << (byte % 8);
            let mut disk = story.shell.disk.clone();
            disk.plant(path, &damaged);
            story.check_damaged(disk, &format!("{path} byte {byte}"));
        }
    }
}

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
        super::model::ModelLog {
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

#[test]
fn j15_a_checkpoint_of_another_directory_is_refused() {
    let mut story = filled();
    story.commit();
    let shape = DirectoryShape {
        directory_id: [9; 16],
        ..SHAPE
    };
    let refused = recover(&mut story.shell.disk, &shape).unwrap_err();
    let ReplayError::OtherDirectory { path, found, .. } = &refused else {
        panic!("{refused}");
    };
    assert!(path.starts_with("checkpoint."), "{refused}");
    assert_eq!(*found, base64_url(&DIRECTORY_ID));
    assert!(refused.to_string().contains("meta.properties"));
}
