//! Compaction, story by story.

use std::collections::BTreeMap;

use chronik_model::batch::{BatchBuilder, BatchHeader, BatchSpec, ProducerState, batches};
use chronik_model::compression::Codec;
use chronik_model::rng::Rng;
use chronik_model::{Mono, Now, Offset, ProducerEpoch, ProducerId};
use chronik_sim_disk::{Crash, Failure};
use chronik_storage::checkpoint::CHECKPOINT_PATHS;
use chronik_storage::compaction::{CompactionConfig, CompactionSettings};
use chronik_storage::disk::{Disk, DiskErrorKind};
use chronik_storage::journal::frame::CHUNK_BYTES;
use chronik_storage::log::partition_log::sequenced;
use chronik_storage::log::producers::SequenceCheck;
use chronik_storage::log::{LogConfig, PartitionLog};
use chronik_storage::store::{Completion, ReadOutcome, ReadRequest, StoreLimits};

use super::compacted::{Record, all_records, keyed_batch};
use super::model::{COMPACTION, Cleanup, Model};
use super::shell::{Shell, new_directory};

const LIMITS: StoreLimits = StoreLimits {
    tail_bytes: 48 << 10,
    write_back_bytes: 8 << 10,
    frame_bytes: CHUNK_BYTES,
};
const LARGE: usize = 1 << 20;

/// One compacted log with what it promises.
struct Story {
    shell: Shell,
    model: Model,
    rng: Rng,
    id: u64,
    wall_ms: i64,
}

impl Story {
    fn new(seed: u64) -> Self {
        let (mut shell, _) = Shell::start(new_directory(), LIMITS).unwrap();
        let mut model = Model::default();
        let id = model.create_with(&mut shell, 1, 1, Cleanup::Compact);
        Self {
            shell,
            model,
            rng: Rng::new(seed),
            id,
            wall_ms: 2000,
        }
    }

    fn log(&self) -> &PartitionLog {
        let slot = self.shell.slot_of(self.id).unwrap();
        self.shell.store.log(slot).unwrap()
    }

    fn configure(&mut self, change: impl FnOnce(&mut LogConfig)) {
        let mut config = self.log().config.clone();
        change(&mut config);
        let slot = self.shell.slot_of(self.id).unwrap();
        self.shell.store.configure(slot, config);
    }

    fn append(&mut self, batch: &[u8]) -> i64 {
        let offset = self.model.append(&mut self.shell, self.id, batch);
        self.drain();
        offset.unwrap().0
    }

    /// Appends one record, or a tombstone.
    fn put(&mut self, key: &str, value: Option<&str>, timestamp: i64) -> i64 {
        let mut builder = BatchBuilder::new(BatchSpec::default());
        let value = value.map(str::as_bytes);
        builder
            .append(timestamp, Some(key.as_bytes()), value, &[])
            .unwrap();
        self.append(&builder.finish().unwrap())
    }

    /// Random updates until `segments` segments have closed.
    fn fill(&mut self, segments: usize) {
        let wanted = self.log().segments.len() + segments;
        while self.log().segments.len() < wanted {
            let batch = keyed_batch(&mut self.rng, None);
            self.append(&batch);
        }
    }

    /// Closes the segment that takes appends.
    fn roll(&mut self) {
        let slot = self.shell.slot_of(self.id).unwrap();
        self.shell.store.roll(slot);
        self.drain();
    }

    fn drain(&mut self) {
        self.shell.drain().unwrap();
        self.model.note(&mut self.shell);
    }

    /// Compacts until nothing is due.
    fn compact(&mut self, map_bytes: usize) -> u64 {
        let before = self.shell.store.compaction_stats().runs;
        for _ in 0..10_000 {
            self.shell.compact(self.wall_ms, map_bytes);
            if !self.shell.store.compaction_is_ready() && !self.log().may_compact() {
                break;
            }
            self.drain();
        }
        self.drain();
        self.shell.store.compaction_stats().runs - before
    }

    fn headers_of_first_segment(&self) -> Vec<BatchHeader> {
        let path = self.log().file(Offset(0)).log_path();
        let content = self.shell.disk.content(&path).unwrap();
        batches(content)
            .map(|view| *view.unwrap().header())
            .collect()
    }

    fn lose_checkpoints(&mut self) {
        for path in CHECKPOINT_PATHS {
            self.shell.disk.remove(path).unwrap();
        }
        self.shell.disk.sync_directory("").unwrap();
    }

    fn restart(&mut self, crash: Crash) {
        let left = self.shell.disk.after(crash, &mut self.rng);
        self.shell = Shell::start(left, LIMITS).unwrap().0;
        self.model.check(&self.shell, Some(crash));
        self.model.configure(&mut self.shell);
    }

    /// Records as a consumer reads them from the start.
    fn read(&mut self) -> Vec<(i64, Record)> {
        let mut reader = Reader::new(self.log());
        while !reader.at_end(self.log()) {
            reader.ask(self);
            while reader.asked {
                assert_eq!(self.shell.completions.len(), 0);
                self.shell.work(1).unwrap();
                reader.take(self);
            }
        }
        reader.records
    }

    /// Keys and values that a consumer ends up with.
    fn table(&mut self) -> BTreeMap<String, String> {
        table(&self.read())
    }

    fn offsets(&mut self) -> Vec<i64> {
        self.read().iter().map(|(offset, _)| *offset).collect()
    }
}

fn table(records: &[(i64, Record)]) -> BTreeMap<String, String> {
    let mut table = BTreeMap::new();
    for (_, record) in records {
        let key = String::from_utf8_lossy(record.key.as_ref().unwrap()).into_owned();
        match &record.value {
            Some(value) => table.insert(key, String::from_utf8_lossy(value).into_owned()),
            None => table.remove(&key),
        };
    }
    table
}

/// A consumer in the middle of a log.
struct Reader {
    from: Offset,
    asked: bool,
    records: Vec<(i64, Record)>,
}

impl Reader {
    fn new(log: &PartitionLog) -> Self {
        Self {
            from: log.log_start,
            asked: false,
            records: Vec::new(),
        }
    }

    fn at_end(&self, log: &PartitionLog) -> bool {
        self.from >= log.log_end
    }

    fn ask(&mut self, story: &mut Story) {
        let slot = story.shell.slot_of(story.id).unwrap();
        let request = ReadRequest {
            from: self.from,
            bound: story.log().log_end,
            max_bytes: 2500,
            at_least_one: true,
            as_range: false,
        };
        match story.shell.store.read(slot, &request, 4) {
            ReadOutcome::Batches { pieces, .. } => self.seen(pieces.concat()),
            ReadOutcome::OnDisk => self.asked = true,
        }
    }

    fn take(&mut self, story: &mut Story) {
        match story.shell.completions.pop() {
            Some(Completion::Read { result, ticket: 4 }) => {
                self.asked = false;
                self.seen(result.unwrap().bytes.to_vec());
            }
            None => {}
            other => panic!("{other:?}"),
        }
    }

    fn seen(&mut self, bytes: Vec<u8>) {
        assert!(!bytes.is_empty(), "nothing at {}", self.from);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let header = BatchHeader::parse(rest).unwrap();
            assert!(header.last_offset() >= self.from, "read again");
            self.from = header.next_offset();
            rest = &rest[header.size_bytes()..];
        }
        let last = self.records.last().map_or(-1, |(offset, _)| *offset);
        let records = all_records(&bytes.into());
        assert!(records.is_sorted_by_key(|(offset, _)| *offset));
        assert!(records.first().is_none_or(|(first, _)| *first > last));
        self.records.extend(records);
    }
}

#[test]
fn the_newest_of_each_key_survives_random_updates_and_crashes() {
    for seed in 0..6 {
        let mut story = Story::new(seed);
        for round in 0..5 {
            story.fill(2);
            let before = story.read();
            let map_bytes = if round % 2 == 0 { LARGE } else { 120 };
            assert!(story.compact(map_bytes) > 0);
            let after = story.read();
            assert!(after.len() < before.len());
            assert_eq!(table(&after), table(&before), "seed {seed}");
            story.wall_ms += 30;
            let crash = if round % 2 == 0 {
                Crash::Power
            } else {
                Crash::Kill
            };
            story.restart(crash);
            assert_eq!(story.read(), after, "seed {seed}");
        }
    }
}

#[test]
fn readers_go_on_at_every_step_of_a_compaction() {
    for seed in 10..14 {
        let mut story = Story::new(seed);
        story.fill(4);
        let expected = table(&story.read());
        let mut steps = 0;
        let mut readers = 0;
        let mut reader = Reader::new(story.log());
        while story.log().may_compact() || story.shell.store.compaction_is_ready() {
            story.shell.compact(story.wall_ms, 120);
            if !reader.asked {
                reader.ask(&mut story);
            }
            story.shell.work(1).unwrap();
            reader.take(&mut story);
            story.shell.commit().unwrap();
            story.shell.deliver();
            steps += 1;
            if reader.at_end(story.log()) && !reader.asked {
                let seen = table(&reader.records);
                assert_eq!(seen, expected, "seed {seed}, step {steps}");
                reader = Reader::new(story.log());
                readers += 1;
            }
        }
        assert!(
            steps > 30 && readers > 3,
            "{steps} steps, {readers} readers"
        );
        while reader.asked {
            story.shell.work(1).unwrap();
            reader.take(&mut story);
        }
        story.drain();
        assert_eq!(story.table(), expected);
    }
}

#[test]
fn tombstones_stay_for_their_time_and_take_what_they_delete_along() {
    let mut story = Story::new(1);
    story.put("a", Some("1"), 1000);
    story.put("b", Some("2"), 1000);
    story.put("a", None, 1000);
    story.roll();
    story.put("c", Some("3"), 1000);
    let check = |story: &mut Story, expected: &[i64]| {
        assert_eq!(story.compact(LARGE), 1);
        assert_eq!(story.offsets(), expected);
    };
    check(&mut story, &[1, 2, 3]);
    let horizon = story.wall_ms + COMPACTION.delete_retention_ms;
    let tombstone = story.headers_of_first_segment()[1];
    assert_eq!(tombstone.delete_horizon_ms(), Some(horizon));
    assert_eq!(story.read()[1].1.timestamp, 1000);
    // Just before its time it is still there.
    story.wall_ms = horizon - 1;
    story.roll();
    story.put("d", Some("4"), 1000);
    check(&mut story, &[1, 2, 3, 4]);
    story.wall_ms = horizon;
    story.roll();
    story.put("e", Some("5"), 1000);
    check(&mut story, &[1, 3, 4, 5]);
    story.restart(Crash::Power);
    assert_eq!(story.table().get("a"), None);
}

#[test]
fn an_idempotent_producer_goes_on_behind_a_compaction_and_a_crash() {
    let mut story = Story::new(2);
    let batch = |sequence: i32| {
        let mut builder = BatchBuilder::new(BatchSpec {
            producer: Some(ProducerState {
                id: ProducerId(7),
                epoch: ProducerEpoch(0),
                base_sequence: sequence,
            }),
            codec: Codec::Zstd,
            ..BatchSpec::default()
        });
        builder.append(1000, Some(b"k"), Some(b"v"), &[]).unwrap();
        builder.finish().unwrap()
    };
    for sequence in 0..4 {
        story.append(&batch(sequence));
    }
    story.put("k", Some("newer"), 1000);
    story.roll();
    story.put("x", Some("y"), 1000);
    assert_eq!(story.compact(LARGE), 1);
    assert_eq!(story.offsets(), [4, 5]);
    // The last batch of the producer is there without its record, so that a rebuild knows it too.
    let header = story.headers_of_first_segment()[0];
    let counts = (header.base_offset().0, header.record_count());
    assert_eq!((counts, header.last_sequence()), ((3, 0), 3));
    assert_eq!(header.max_timestamp(), 1000);
    for lost in [false, true] {
        if lost {
            story.lose_checkpoints();
        }
        story.restart(Crash::Power);
        let bytes = batch(3);
        let again = sequenced(&BatchHeader::parse(&bytes).unwrap()).unwrap();
        let known = story.log().producers.check(&again);
        assert!(
            matches!(known, Ok(SequenceCheck::Duplicate(known)) if known.base_offset == Offset(3)),
            "{lost}: {known:?}"
        );
    }
    assert_eq!(story.append(&batch(4)), 6);
}

#[test]
fn keys_that_do_not_fit_the_map_are_left_to_the_next_runs() {
    let mut story = Story::new(3);
    for round in 0..3 {
        for key in 0..40 {
            story.put(&format!("key {key}"), Some(&format!("{round}")), 1000);
        }
    }
    story.roll();
    story.put("last", Some("x"), 1000);
    let expected = story.table();
    // 20 entries, of which 18 are used: 120 records with keys that never repeat within 18.
    let runs = story.compact(480);
    assert!((6..=8).contains(&runs), "{runs} runs");
    assert_eq!(story.table(), expected);
    let offsets: Vec<i64> = (80..=120).collect();
    assert_eq!(story.offsets(), offsets);
}

#[test]
fn small_segments_become_one_and_offsets_stay() {
    let mut story = Story::new(4);
    for key in ["a", "b", "a", "c", "b", "a"] {
        story.put(key, Some("v"), 1000);
        story.roll();
    }
    assert_eq!(story.compact(LARGE), 1);
    assert_eq!(story.offsets(), [3, 4, 5]);
    let bases: Vec<_> = story.log().segments.iter().map(|it| it.id()).collect();
    assert_eq!(bases.len(), 2, "{bases:?}");
    assert_eq!((bases[0].base_offset, bases[0].generation), (Offset(0), 1));
    assert_eq!(story.log().compaction.clean_end, Offset(6));
    story.restart(Crash::Power);
    assert_eq!(story.log().compaction.clean_end, Offset(6));
    assert_eq!(story.offsets(), [3, 4, 5]);
}

#[test]
fn a_damaged_batch_stops_the_compaction_of_its_log_and_nothing_is_dropped() {
    let mut story = Story::new(5);
    story.fill(3);
    let file = story.log().file(Offset(0));
    let mut content = story.shell.disk.content(&file.log_path()).unwrap().to_vec();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    story.shell.disk.plant(&file.log_path(), &content);
    let segments = story.log().segments.len();
    let now = Now {
        mono: Mono(0),
        wall_ms: story.wall_ms,
    };
    let settings = CompactionSettings::default();
    for _ in 0..100 {
        story
            .shell
            .store
            .compact(now, &settings, &|_| Some(Offset(i64::MAX)));
        story.drain();
    }
    let warnings = story.shell.store.take_compaction_warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains(&file.log_path()), "{warnings:?}");
    assert_eq!(story.log().segments.len(), segments);
    let left = story.shell.disk.content(&file.log_path()).unwrap();
    assert_eq!(left, &content[..]);
    assert_eq!(story.shell.store.compaction_stats().uncleanable, 1);
    assert!(!story.log().may_compact());
    assert_eq!(story.shell.store.offline(), None);
}

#[test]
fn without_space_a_compaction_is_given_up_and_tried_again() {
    let mut story = Story::new(6);
    story.fill(3);
    let expected = story.read();
    story.shell.disk.faults().writes = Some(DiskErrorKind::Full);
    story.shell.compact(story.wall_ms, LARGE);
    for _ in 0..20 {
        story.shell.work(10).unwrap();
        if story.shell.store.compaction_stats().aborted > 0 {
            break;
        }
        story.shell.compact(story.wall_ms, LARGE);
    }
    assert_eq!(story.shell.store.compaction_stats().aborted, 1);
    assert_eq!(story.shell.store.offline(), None);
    story.shell.disk.faults().writes = None;
    story.drain();
    assert_eq!(story.read(), expected);
    assert_eq!(story.compact(LARGE), 1);
    assert_eq!(table(&story.read()), table(&expected));
}

#[test]
fn a_failed_sync_of_what_was_copied_takes_the_directory_offline() {
    let mut story = Story::new(7);
    story.fill(2);
    let expected = story.read();
    for _ in 0..50 {
        story.shell.compact(story.wall_ms, LARGE);
        let next = story.shell.disk.operations() + 1;
        if story.shell.store.compaction_stats().bytes_written > 0 {
            story.shell.disk.faults().fail_at =
                Some((next, Failure::Nothing(DiskErrorKind::Failed)));
        }
        story.shell.work(1).unwrap();
        if story.shell.store.offline().is_some() {
            break;
        }
    }
    assert!(story.shell.store.offline().is_some());
    story.restart(Crash::Power);
    assert_eq!(story.read(), expected);
}

#[test]
fn bytes_per_second_are_kept_to() {
    let mut story = Story::new(8);
    story.fill(3);
    let bytes: u64 = story.log().segments.iter().map(|it| it.bytes).sum();
    let settings = CompactionSettings {
        bytes_per_second: Some(1000.0),
        ..CompactionSettings::default()
    };
    let mut now = Now {
        mono: Mono(0),
        wall_ms: story.wall_ms,
    };
    while story.shell.store.compaction_stats().runs == 0 {
        let later = story
            .shell
            .store
            .compact(now, &settings, &|_| Some(Offset(i64::MAX)));
        now.mono = now.mono.max(later.unwrap_or(now.mono));
        story.drain();
    }
    let stats = story.shell.store.compaction_stats();
    let moved = stats.bytes_read + stats.bytes_written;
    assert!(moved > bytes);
    let passed = now.mono.since(Mono(0)).as_millis();
    // The last step is not waited for.
    assert!(
        passed > u128::from(moved) * 8 / 10,
        "{passed} ms for {moved}"
    );
    assert!(passed <= u128::from(moved), "{passed} ms for {moved}");
}

#[test]
fn a_log_is_due_by_its_dirt_or_by_its_age() {
    let check = |change: fn(&mut CompactionConfig), wall_ms, expected: (bool, Option<i64>)| {
        let mut story = Story::new(9);
        story.put("a", Some("1"), 1000);
        story.put("b", Some("2"), 1500);
        story.roll();
        story.put("c", Some("3"), 3000);
        story.configure(|config| {
            let mut compact = COMPACTION;
            change(&mut compact);
            config.compact = Some(compact);
        });
        let dirt = story.log().dirt(wall_ms, Offset(i64::MAX)).unwrap();
        assert_eq!((dirt.due, dirt.wait_ms), expected);
    };
    check(|_| {}, 2000, (true, None));
    check(
        |config| config.min_cleanable_dirty_ratio = 1.0,
        2000,
        (false, None),
    );
    let old = |config: &mut CompactionConfig| {
        (config.min_cleanable_dirty_ratio, config.max_lag_ms) = (1.0, 700);
    };
    check(old, 1600, (false, Some(101)));
    check(old, 1701, (true, None));
    check(|config| config.min_lag_ms = 700, 2000, (false, Some(200)));
    check(|config| config.min_lag_ms = 700, 2200, (true, None));
}

#[test]
fn segments_close_early_enough_for_the_longest_lag() {
    let mut story = Story::new(10);
    story.configure(|config| {
        config.compact = Some(CompactionConfig {
            max_lag_ms: 500,
            ..COMPACTION
        });
    });
    for timestamp in [1000, 1400, 1501, 1900, 2002] {
        story.put("a", Some("1"), timestamp);
    }
    let segments = story.log().segments.iter();
    let bases: Vec<i64> = segments.map(|segment| segment.base_offset.0).collect();
    assert_eq!(bases, [0, 2, 4]);
}

#[test]
fn timestamps_are_found_in_a_compacted_log() {
    let mut story = Story::new(11);
    for (key, timestamp) in [("a", 900), ("b", 1100), ("a", 1050), ("c", 1000)] {
        story.put(key, Some("v"), timestamp);
    }
    story.roll();
    story.put("d", Some("v"), 1200);
    let find = |story: &mut Story, timestamp| {
        let slot = story.shell.slot_of(story.id).unwrap();
        let end = story.log().log_end;
        let found = story.shell.store.find_timestamp(slot, timestamp, end, 9);
        let hit = found.unwrap_or_else(|_| {
            story.shell.work(20).unwrap();
            match story.shell.completions.pop() {
                Some(Completion::Timestamp { result, ticket: 9 }) => result.unwrap(),
                other => panic!("{other:?}"),
            }
        });
        hit.map(|hit| (hit.offset.0, hit.timestamp_ms))
    };
    assert_eq!(find(&mut story, 800), Some((0, 900)));
    assert_eq!(story.compact(LARGE), 1);
    for _ in 0..2 {
        assert_eq!(find(&mut story, 800), Some((1, 1100)));
        assert_eq!(find(&mut story, 1001), Some((1, 1100)));
        assert_eq!(find(&mut story, 1101), Some((4, 1200)));
        assert_eq!(find(&mut story, 1201), None);
        assert_eq!(story.log().segments[0].max_timestamp_ms, 1100);
        story.restart(Crash::Power);
    }
}

#[test]
fn retention_goes_on_in_a_log_that_does_both() {
    let mut story = Story::new(12);
    story.put("a", Some("1"), 1000);
    story.roll();
    story.put("b", Some("1"), 5000);
    story.roll();
    story.put("a", Some("2"), 9000);
    story.roll();
    story.put("c", Some("1"), 9000);
    story.configure(|config| {
        (config.cleanup_delete, config.retention_ms) = (true, Some(3000));
        (config.segment_bytes, config.retention_bytes) = (80, None);
    });
    assert_eq!(story.compact(LARGE), 1);
    // Of the first segment only its end is left, without a record.
    assert_eq!(story.offsets(), [1, 2, 3]);
    let slot = story.shell.slot_of(story.id).unwrap();
    let now = Now {
        mono: Mono(0),
        wall_ms: 8500,
    };
    story.shell.store.retain(slot, now);
    story.drain();
    assert_eq!(story.log().log_start, Offset(2));
    assert_eq!(story.offsets(), [2, 3]);
    story.restart(Crash::Power);
    assert_eq!(story.offsets(), [2, 3]);
}

#[test]
fn an_end_that_is_taken_back_voids_a_compaction() {
    let mut story = Story::new(13);
    story.fill(3);
    let end = story.log().segments[2].base_offset.0;
    story.shell.compact(story.wall_ms, LARGE);
    story.shell.work(3).unwrap();
    story.model.truncate(&mut story.shell, story.id, end, false);
    story.drain();
    for _ in 0..5 {
        story.shell.compact(story.wall_ms, LARGE);
        story.drain();
    }
    assert_eq!(story.shell.store.compaction_stats().aborted, 1);
    let mut files = story.shell.disk.paths();
    files.retain(|path| path.ends_with(".log"));
    let files = files.len();
    let known = story
        .log()
        .segments
        .iter()
        .filter(|it| it.bytes > 0)
        .count();
    assert_eq!(files, known, "what was being written is gone");
    story.restart(Crash::Power);
}

#[test]
fn both_checkpoints_lost_a_compacted_log_is_found_whole() {
    for seed in 20..30 {
        let mut story = Story::new(seed);
        for _ in 0..3 {
            story.fill(2);
            story.compact(LARGE);
        }
        story.fill(1);
        // In the middle of another one.
        let steps = story.rng.below(40);
        for _ in 0..steps {
            story.shell.compact(story.wall_ms, LARGE);
            story.shell.work(1).unwrap();
            if story.rng.below(3) == 0 {
                story.shell.commit().unwrap();
                story.shell.deliver();
            }
        }
        story.model.note(&mut story.shell);
        story.lose_checkpoints();
        story.restart(Crash::Kill);
        let expected = story.read();
        story.restart(Crash::Power);
        assert_eq!(story.read(), expected);
    }
}
