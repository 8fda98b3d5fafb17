//! What clients were promised, kept by the simplest means, and whether a directory keeps it.

use std::collections::BTreeMap;

use chronik_model::batch::{BatchBuilder, BatchHeader, BatchSpec, ProducerState, TimestampType};
use chronik_model::rng::Rng;
use chronik_model::{
    LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, TopicId, TopicPartition,
};
use chronik_sim_disk::{Crash, SimDisk};
use chronik_storage::LogSlot;
use chronik_storage::compaction::CompactionConfig;
use chronik_storage::log::partition_log::sequenced;
use chronik_storage::log::producers::SequenceCheck;
use chronik_storage::log::{LogConfig, PartitionLog};
use chronik_storage::store::Append;

use super::shell::Shell;

/// A batch as it must be read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: i64,
    pub(crate) journaled: bool,
}

type Timeline = BTreeMap<i64, Kept>;

/// `cleanup.policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Cleanup {
    #[default]
    Delete,
    Compact,
    Both,
}

/// One log's promises.
#[derive(Debug, Clone, Default)]
pub(crate) struct ModelLog {
    /// Batches by first offset.
    pub(crate) batches: Timeline,
    /// Earlier timelines whose end is not durably taken back yet, by token.
    pub(crate) replaced: Vec<(u64, Timeline, i64)>,
    /// End of what was acknowledged.
    pub(crate) acked: i64,
    /// End of what survives a power cut.
    pub(crate) safe: i64,
    /// Log start that was acknowledged, and the highest asked for.
    pub(crate) start: (i64, i64),
    pub(crate) starts: Vec<(u64, i64)>,
    pub(crate) end: i64,
    pub(crate) next_sequence: BTreeMap<i64, i32>,
    /// Its end was taken back once: duplicates of what stayed may have been forgotten.
    pub(crate) retaken: bool,
    /// `flush.messages`.
    pub(crate) flush_messages: u64,
    /// `cleanup.policy`.
    pub(crate) cleanup: Cleanup,
    /// Records below may be missing, as an end was taken back that had outdated them.
    pub(crate) outdated: i64,
    /// Removal was asked for.
    pub(crate) deleted: bool,
}

impl ModelLog {
    fn count_sequences(&mut self) {
        self.next_sequence.clear();
        for kept in self.batches.values() {
            let header = BatchHeader::parse(&kept.bytes).unwrap();
            if let Some(fields) = sequenced(&header) {
                let next = fields.last_sequence + 1;
                self.next_sequence.insert(fields.producer_id.0, next);
            }
        }
    }

    /// End of what must be left after a crash.
    fn promised(&self, crash: Option<Crash>) -> i64 {
        let promised = if crash == Some(Crash::Power) {
            self.safe
        } else {
            self.acked
        };
        // A reset log ends somewhere without anybody having written up to there.
        let ends = self.batches.values().map(|kept| kept.end);
        ends.filter(|end| *end <= promised).max().unwrap_or(0)
    }

    /// The settings of the log.
    pub(crate) fn config(&self) -> LogConfig {
        let config = config(12 << 10, self.flush_messages);
        LogConfig {
            cleanup_delete: self.cleanup != Cleanup::Compact,
            compact: (self.cleanup != Cleanup::Delete).then_some(COMPACTION),
            ..config
        }
    }

    /// Compares what is there with what was appended, and returns the timeline that it is of.
    fn check_content(&self, id: u64, log: &PartitionLog, disk: &SimDisk) -> Timeline {
        let found = read_all(log, disk);
        if self.cleanup != Cleanup::Delete {
            return self.check_compacted(id, log, &found);
        }
        let mut timelines = vec![&self.batches];
        timelines.extend(self.replaced.iter().map(|(_, timeline, _)| timeline));
        let fits = |timeline: &&Timeline| {
            let same = |(base, bytes): &(i64, Vec<u8>)| {
                timeline.get(base).is_some_and(|kept| kept.bytes == *bytes)
            };
            found.iter().all(same)
        };
        let bases: Vec<_> = found.iter().map(|(base, _)| *base).collect();
        let Some(timeline) = timelines.into_iter().find(fits) else {
            let expected = self.batches.keys();
            panic!("log {id}: foreign bytes among batches {bases:?}, expected {expected:?}");
        };
        let mut next = None;
        for (base, bytes) in &found {
            let header = BatchHeader::parse(bytes).unwrap();
            assert!(
                next.is_none_or(|next| next == *base),
                "log {id}: gap before {base}"
            );
            next = Some(header.next_offset().0);
        }
        let end = next.unwrap_or(log.log_end.0);
        assert_eq!(end, log.log_end.0, "log {id}: what is there ends elsewhere");
        timeline.clone()
    }
}

/// End of what compaction may have looked at to see which records are outdated.
fn compacted_end(log: &PartitionLog) -> i64 {
    let compacted = log.segments.iter().any(|segment| segment.generation > 0);
    if compacted { log.log_end.0 } else { 0 }
}

/// Every batch of a log, from its files.
pub(crate) fn read_all(log: &PartitionLog, disk: &SimDisk) -> Vec<(i64, Vec<u8>)> {
    let mut found = Vec::new();
    for segment in &log.segments {
        let path = log.file(segment.base_offset).log_path();
        let Some(mut rest) = disk.content(&path) else {
            assert_eq!(segment.bytes, 0, "{path} is missing");
            continue;
        };
        assert_eq!(rest.len() as u64, segment.bytes, "{path}");
        while !rest.is_empty() {
            let header = BatchHeader::parse(rest);
            let at = segment.bytes - rest.len() as u64;
            let header = header.unwrap_or_else(|error| panic!("{path} at {at}: {error}, {log:#?}"));
            let (batch, behind) = rest.split_at(header.size_bytes());
            chronik_model::batch::verify(batch).unwrap();
            if header.last_offset() >= log.log_start {
                found.push((header.base_offset().0, batch.to_vec()));
            }
            rest = behind;
        }
    }
    found
}

/// Compacts early, and lets tombstones go soon.
pub(crate) const COMPACTION: CompactionConfig = CompactionConfig {
    min_cleanable_dirty_ratio: 0.1,
    min_lag_ms: 0,
    max_lag_ms: i64::MAX,
    delete_retention_ms: 40,
};

pub(crate) fn config(segment_bytes: u64, flush_messages: u64) -> LogConfig {
    LogConfig {
        segment_bytes,
        segment_ms: i64::MAX,
        retention_ms: None,
        retention_bytes: Some(6 * segment_bytes),
        flush_messages,
        flush_ms: Some(1000),
        index_interval_bytes: 4096,
        cleanup_delete: true,
        compact: None,
    }
}

pub(crate) fn partition(number: u64) -> TopicPartition {
    TopicPartition {
        topic_id: TopicId([u8::try_from(number % 250).unwrap() + 1; 16]),
        partition: PartitionIndex(0),
    }
}

/// A batch of `records` records around `size` bytes in all.
pub(crate) fn batch(
    rng: &mut Rng,
    records: u64,
    size: usize,
    producer: Option<(i64, i32)>,
) -> Vec<u8> {
    let spec = BatchSpec {
        producer: producer.map(|(id, base_sequence)| ProducerState {
            id: ProducerId(id),
            epoch: ProducerEpoch(0),
            base_sequence,
        }),
        timestamp_type: TimestampType::CreateTime,
        ..BatchSpec::default()
    };
    let mut builder = BatchBuilder::new(spec);
    for _ in 0..records {
        let length = size / usize::try_from(records).unwrap();
        let value: Vec<u8> = (0..length)
            .map(|_| rng.next_u64().to_le_bytes()[0])
            .collect();
        builder.append(1000, None, Some(&value), &[]).unwrap();
    }
    builder.finish().unwrap()
}

/// The promises of one directory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) logs: BTreeMap<u64, ModelLog>,
    next_token: u64,
    /// No log is acknowledged before it is synced.
    pub(crate) only_durable: bool,
}

impl Model {
    pub(crate) fn create(&mut self, shell: &mut Shell, number: u64, flush_messages: u64) -> u64 {
        self.create_with(shell, number, flush_messages, Cleanup::Delete)
    }

    pub(crate) fn create_with(
        &mut self,
        shell: &mut Shell,
        number: u64,
        flush_messages: u64,
        cleanup: Cleanup,
    ) -> u64 {
        let log = ModelLog {
            flush_messages: if self.only_durable { 1 } else { flush_messages },
            cleanup,
            ..ModelLog::default()
        };
        let slot = shell.store.create(partition(number), "t", log.config());
        let id = shell.store.log(slot).unwrap().log_id.0;
        let earlier = self.logs.insert(id, log);
        assert!(
            earlier.is_none_or(|log| log.batches.is_empty()),
            "log id {id} is used twice"
        );
        id
    }

    pub(crate) fn append(&mut self, shell: &mut Shell, id: u64, batch: &[u8]) -> Option<Offset> {
        let slot = shell.slot_of(id)?;
        let model = self.logs.get_mut(&id)?;
        shell.store.check_writable(slot).ok()?;
        let header = BatchHeader::parse(batch).unwrap();
        if let Some(fields) = sequenced(&header) {
            let log = shell.store.log(slot)?;
            let check = log.producers.check(&fields);
            if check != Ok(SequenceCheck::New) {
                return None;
            }
            let next = fields.last_sequence + 1;
            model.next_sequence.insert(fields.producer_id.0, next);
        }
        let journaled = shell.store.log(slot)?.mode == chronik_storage::log::Mode::Journaled;
        let append = Append {
            header: &header,
            batch,
            leader_epoch: LeaderEpoch(3),
            append_time_ms: None,
        };
        let placement = shell.store.append(slot, &append)?;
        let mut bytes = batch.to_vec();
        let mut copy = chronik_model::batch::BatchMut::new(&mut bytes).unwrap();
        copy.assign(placement.base_offset, LeaderEpoch(3));
        let end = placement.last_offset.next().0;
        assert_eq!(
            placement.base_offset.0, model.end,
            "log {id}: an offset is passed over"
        );
        model.end = end;
        let kept = Kept {
            bytes,
            end,
            journaled,
        };
        model.batches.insert(placement.base_offset.0, kept);
        Some(placement.base_offset)
    }

    /// Gives the logs of a directory that was just recovered their settings back, and removes those
    /// whose removal was cut short.
    pub(crate) fn configure(&self, shell: &mut Shell) {
        for (id, log) in &self.logs {
            let Some(slot) = shell.slot_of(*id) else {
                continue;
            };
            if log.deleted {
                shell.store.delete(slot);
            } else {
                shell.store.configure(slot, log.config());
            }
        }
    }

    fn token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    pub(crate) fn delete_records(&mut self, shell: &mut Shell, id: u64, start: i64) {
        let Some(slot) = shell.slot_of(id) else {
            return;
        };
        let token = self.token();
        shell.store.delete_records(slot, Offset(start), Some(token));
        if let Some(log) = self.logs.get_mut(&id) {
            log.starts.push((token, start));
            log.start.1 = log.start.1.max(start);
        }
    }

    /// Takes the end back to a batch boundary, or, with `reset`, everything.
    pub(crate) fn truncate(&mut self, shell: &mut Shell, id: u64, end: i64, reset: bool) {
        let Some(slot) = shell.slot_of(id) else {
            return;
        };
        let token = self.token();
        let Some(log) = self.logs.get_mut(&id) else {
            return;
        };
        log.replaced.push((token, log.batches.clone(), log.end));
        if let Some(compacted) = shell.store.log(slot).map(compacted_end)
            && end < compacted
        {
            log.outdated = log.outdated.max(compacted);
        }
        if reset {
            log.batches.clear();
            // Both old and new starts are right until the journal has it.
            log.start = (end.min(log.start.0), end.max(log.start.1));
            log.starts.clear();
            shell.store.reset(slot, Offset(end), Some(token));
        } else {
            log.batches.retain(|_, kept| kept.end <= end);
            shell.store.truncate(slot, Offset(end), Some(token));
        }
        log.end = end;
        log.acked = log.acked.min(end);
        log.safe = log.safe.min(end);
        log.retaken = true;
        log.count_sequences();
    }

    pub(crate) fn delete(&mut self, shell: &mut Shell, id: u64) {
        let Some(slot) = shell.slot_of(id) else {
            return;
        };
        shell.store.delete(slot);
        if let Some(log) = self.logs.get_mut(&id) {
            log.deleted = true;
        }
    }

    /// Notes what the store acknowledges by now.
    pub(crate) fn note(&mut self, shell: &mut Shell) {
        let tokens = std::mem::take(&mut shell.tokens);
        for (id, model) in &mut self.logs {
            for token in &tokens {
                let starts = model.starts.iter().filter(|(known, _)| known == token);
                let start = starts.map(|(_, start)| *start).max();
                model.start.0 = model.start.0.max(start.unwrap_or(0));
                if let Some(at) = model.replaced.iter().position(|(known, ..)| known == token) {
                    model.replaced.drain(..=at);
                }
            }
            let Some(slot) = shell.slot_of(*id) else {
                continue;
            };
            note_log(model, shell, slot);
        }
    }

    /// Compares a directory that was just recovered with the promises, and goes on from what it has.
    pub(crate) fn check(&mut self, shell: &Shell, crash: Option<Crash>) {
        let mut gone = Vec::new();
        for (id, model) in &mut self.logs {
            let Some(slot) = shell.slot_of(*id) else {
                let promised = model.promised(crash);
                assert!(model.deleted || promised == 0, "log {id} is gone");
                gone.push(*id);
                continue;
            };
            let log = shell.store.log(slot).unwrap();
            if log.failed.as_deref() == Some("its deletion was underway") {
                assert!(model.deleted, "log {id}");
                continue;
            }
            assert_eq!(log.failed, None);
            check_log(*id, model, log, crash);
            model.batches = model.check_content(*id, log, &shell.disk);
            check_producers(*id, model, log);
            go_on(model, log);
        }
        for id in gone {
            self.logs.remove(&id);
        }
        for slot in shell.store.slots() {
            let id = shell.store.log(slot).unwrap().log_id.0;
            assert!(self.logs.contains_key(&id), "log {id} came back");
        }
    }
}

/// The bounds of a log, for messages.
pub(crate) fn ends(log: &PartitionLog) -> String {
    format!(
        "start {} end {} committed {} written {} synced {} mode {:?} switch {:?} cuts {:?} uncovered {:?}",
        log.log_start,
        log.log_end,
        log.committed_end,
        log.written_end,
        log.synced_end,
        log.mode,
        log.switch,
        log.cuts,
        log.uncovered_cut
    )
}

fn note_log(model: &mut ModelLog, shell: &Shell, slot: LogSlot) {
    let log = shell.store.log(slot).unwrap();
    assert_eq!(
        log.log_end.0,
        model.end,
        "log {}: {} {:?} deleted {}",
        log.log_id.0,
        ends(log),
        log.failed,
        model.deleted
    );
    let stable = log.stable_end().0;
    assert!(
        stable >= model.acked,
        "log {}: {} was acknowledged, now only {stable}: {}",
        log.log_id.0,
        model.acked,
        ends(log)
    );
    model.acked = stable;
    let journaled = model
        .batches
        .iter()
        .rev()
        .find(|(_, kept)| kept.end <= stable && kept.journaled);
    let journaled = journaled.map_or(0, |(_, kept)| kept.end);
    // What lies before a log start needs no sync, but counts only once the log start is durable.
    let settled = log.cuts.is_empty() && log.log_start.0 <= model.start.0;
    let synced = if settled {
        log.synced_end.0.min(stable)
    } else {
        0
    };
    model.safe = model.safe.max(journaled).max(synced);
    model.start.1 = model.start.1.max(log.log_start.0);
}

fn check_log(id: u64, model: &ModelLog, log: &PartitionLog, crash: Option<Crash>) {
    let promised = model.promised(crash);
    let (start, end) = (log.log_start.0, log.log_end.0);
    assert!(
        end >= promised,
        "log {id}: {promised} was acknowledged, {end} is left after {crash:?}: {}, {:?}",
        ends(log),
        model.batches.keys()
    );
    let longest = model.replaced.iter().map(|(_, _, end)| *end).max();
    assert!(
        end <= model.end.max(longest.unwrap_or(0)).max(start),
        "log {id}: too long"
    );
    assert!(
        start >= model.start.0 && start <= model.start.1,
        "log {id}: starts at {start}, not within {:?}",
        model.start
    );
    assert_eq!(log.synced_end, log.log_end);
    assert_eq!(log.stable_end(), log.log_end);
}

/// The last five batches of a producer are duplicates, the next one is new, a gap is refused.
fn check_producers(id: u64, model: &ModelLog, log: &PartitionLog) {
    // A power cut may take unjournaled batches along, of which only a log start is left.
    let mut forgotten = model.batches.range(..log.log_start.0);
    if model.retaken || forgotten.any(|(_, kept)| !kept.journaled) {
        return;
    }
    // Where only the segments know, compaction leaves the last batch of a producer.
    let compacted = model.cleanup != Cleanup::Delete;
    let unjournaled = model.batches.values().any(|kept| !kept.journaled);
    let remembered = if compacted && unjournaled { 1 } else { 5 };
    let mut seen = BTreeMap::<i64, Vec<_>>::new();
    for (base, kept) in model.batches.range(..log.log_end.0) {
        let header = BatchHeader::parse(&kept.bytes).unwrap();
        if let Some(fields) = sequenced(&header) {
            seen.entry(fields.producer_id.0)
                .or_default()
                .push((fields, *base));
        }
    }
    for (producer, batches) in seen {
        for (fields, base) in batches.iter().rev().take(remembered) {
            match log.producers.check(fields) {
                Ok(SequenceCheck::Duplicate(known)) => assert_eq!(known.base_offset.0, *base),
                other => panic!("log {id}, producer {producer}: {fields:?} at {base}: {other:?}"),
            }
        }
        let (last, _) = batches[batches.len() - 1];
        let mut next = last;
        next.first_sequence = last.last_sequence + 1;
        next.last_sequence = next.first_sequence;
        assert_eq!(log.producers.check(&next), Ok(SequenceCheck::New));
        next.first_sequence += 1;
        next.last_sequence += 1;
        assert!(log.producers.check(&next).is_err());
    }
}

/// What is there now is what counts from here on.
fn go_on(model: &mut ModelLog, log: &PartitionLog) {
    let end = log.log_end.0;
    model.batches.retain(|_, kept| kept.end <= end);
    model.replaced.clear();
    model.starts.clear();
    model.start = (log.log_start.0, log.log_start.0);
    (model.end, model.acked, model.safe) = (end, end, end);
    model.count_sequences();
    model.deleted = false;
}
