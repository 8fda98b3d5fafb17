//! One life of a directory: recovery, store and ring, driven as a server would drive them.

use std::collections::{BTreeMap, VecDeque};

use chronik_model::rng::Rng;
use chronik_model::{BrokerEpoch, Mono, Now, Offset};
use chronik_sim_disk::SimDisk;
use chronik_storage::checkpoint::{Checkpoint, Vote};
use chronik_storage::compaction::CompactionSettings;
use chronik_storage::disk::{
    DiskDone, DiskError, DiskErrorKind, DiskOp, DiskRequest, FileKey, replace_file,
};
use chronik_storage::journal::format::{FRAME_HEADER_BYTES, Operation, Operations};
use chronik_storage::journal::frame::CommittedFrame;
use chronik_storage::journal::replay::ReplayError;
use chronik_storage::journal::ring::{Ring, ring_path};
use chronik_storage::journal::{JournalStart, RingError, SealedFrame};
use chronik_storage::recovery::{
    CLEAN_SHUTDOWN_PATH, DirectoryShape, RecoveryReport, clean_marker, recover,
};
use chronik_storage::store::{Completion, StoreLimits, TrimProgress};
use chronik_storage::{LogSlot, LogStore};

pub(crate) const DIRECTORY_ID: [u8; 16] = [0xD1; 16];
pub(crate) const RING_FILES: usize = 4;
pub(crate) const RING_FILE_BYTES: u64 = 64 << 10;

pub(crate) const SHAPE: DirectoryShape = DirectoryShape {
    directory_id: DIRECTORY_ID,
    journal_files: RING_FILES,
};

/// What was exercised, so that a test can tell that it tested something.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts(pub(crate) BTreeMap<&'static str, u64>);

impl Counts {
    pub(crate) fn add(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            self.add(what, *count);
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) disk: SimDisk,
    pub(crate) store: LogStore,
    pub(crate) ring: Ring,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) counts: Counts,
    /// Disk operations not carried out yet.
    queue: VecDeque<DiskRequest>,
    /// Frames that the ring has no room for.
    waiting: Vec<SealedFrame>,
    /// Frames that are durable, but of which the store does not know yet.
    pub(crate) undelivered: VecDeque<CommittedFrame>,
    trimming: Option<JournalStart>,
    /// Operations that failed.
    pub(crate) failed: Vec<DiskOp>,
    /// Control tokens of ours that came back.
    pub(crate) tokens: Vec<u64>,
    pub(crate) completions: Vec<Completion>,
}

/// A directory with a ring written with zeros, as a server makes it before its first start.
pub(crate) fn new_directory() -> SimDisk {
    directory_with_ring(RING_FILE_BYTES)
}

/// The same with ring files of another size.
pub(crate) fn directory_with_ring(file_bytes: u64) -> SimDisk {
    let mut disk = SimDisk::default();
    let zeros = vec![0; usize::try_from(file_bytes).unwrap()];
    for file in 0..RING_FILES {
        disk.plant(&ring_path(file), &zeros);
    }
    disk
}

impl Shell {
    /// Recovers the directory and hands the logs to a store.
    pub(crate) fn start(
        mut disk: SimDisk,
        limits: StoreLimits,
    ) -> Result<(Self, RecoveryReport), Box<(SimDisk, ReplayError)>> {
        let recovered = match recover(&mut disk, &SHAPE) {
            Ok(recovered) => recovered,
            Err(error) => return Err(Box::new((disk, error))),
        };
        let mut store = LogStore::new(limits, recovered.checkpoint.next_log_id, 1);
        for log in recovered.logs {
            store.adopt(log);
        }
        let start = recovered.checkpoint.start;
        let file_bytes = disk.content(&ring_path(0)).unwrap().len() as u64;
        let mut shell = Self {
            disk,
            store,
            ring: Ring::new(DIRECTORY_ID, RING_FILES, file_bytes, start),
            checkpoint: recovered.checkpoint,
            counts: Counts::default(),
            queue: VecDeque::new(),
            waiting: Vec::new(),
            undelivered: VecDeque::new(),
            trimming: None,
            failed: Vec::new(),
            tokens: Vec::new(),
            completions: Vec::new(),
        };
        shell.counts.add("recoveries", 1);
        shell
            .counts
            .add("torn frames", u64::from(recovered.report.torn));
        shell
            .counts
            .add("clean starts", u64::from(recovered.report.clean));
        Ok((shell, recovered.report))
    }

    pub(crate) fn slot_of(&self, log_id: u64) -> Option<LogSlot> {
        let found = |slot: &LogSlot| {
            self.store
                .log(*slot)
                .is_some_and(|log| log.log_id.0 == log_id)
        };
        self.store.slots().find(found)
    }

    /// Writes what waits into the journal. What it made durable is told by [`Shell::deliver`].
    pub(crate) fn commit(&mut self) -> Result<(), DiskError> {
        self.waiting.extend(self.store.seal());
        // A failure below one log stops the journal.
        if self.waiting.is_empty() || self.store.offline().is_some() {
            return Ok(());
        }
        let plan = match self.ring.plan(&mut self.waiting) {
            Ok(plan) => plan,
            Err(RingError::Full) => {
                self.counts.add("full rings", 1);
                return Ok(());
            }
            Err(error) => panic!("{error}"),
        };
        let mut bytes = Vec::new();
        for write in &plan.writes {
            let mut position = write.position;
            for buffer in &write.buffers {
                let path = ring_path(write.file);
                let written = self.disk.write_through(&path, position, buffer);
                if replaces_segments(buffer) {
                    let crashed = u64::from(self.disk.is_crashed());
                    self.counts
                        .add("crashes: a replacement is journaled", crashed);
                }
                written?;
                position += buffer.len() as u64;
                bytes.push(buffer.clone());
            }
        }
        self.ring.completed();
        for (index, frame) in self.waiting.drain(..).enumerate() {
            self.counts.add("commits", 1);
            self.undelivered.push_back(CommittedFrame {
                sequence: plan.first_sequence + index as u64,
                bytes: bytes[index].clone(),
                entries: frame.entries,
                controls: frame.controls,
            });
        }
        Ok(())
    }

    /// Tells the store of durable frames.
    pub(crate) fn deliver(&mut self) {
        if self.store.offline().is_some() {
            return;
        }
        for frame in std::mem::take(&mut self.undelivered) {
            self.store.committed(&frame);
            for token in &frame.controls {
                self.tokens.extend(self.store.control_committed(*token));
            }
        }
    }

    /// Carries out up to `most` disk operations.
    pub(crate) fn work(&mut self, most: u64) -> Result<(), DiskError> {
        for _ in 0..most {
            self.queue.extend(self.store.take_requests());
            let Some(request) = self.queue.pop_front() else {
                return Ok(());
            };
            let rolls = matches!(request.op, DiskOp::WriteIndex { .. });
            self.counts.add("rolls", u64::from(rolls));
            let stage = self.compaction_stage(&request.op);
            let result = self.disk.carry_out(&request.op);
            if let Some(stage) = stage {
                self.counts.add(stage, u64::from(self.disk.is_crashed()));
            }
            if self.disk.is_crashed() {
                return Err(result.expect_err("a crash is never reported as success"));
            }
            if result.is_err() {
                self.failed.push(request.op);
            }
            let done = DiskDone {
                token: request.token,
                result,
            };
            self.completions.extend(self.store.disk_done(done));
            self.store.invariants().unwrap();
        }
        Ok(())
    }

    /// What compaction is about to do with an operation, if it is one of its own.
    fn compaction_stage(&self, op: &DiskOp) -> Option<&'static str> {
        let compacted = |file: &FileKey| file.segment.generation > 0;
        if let DiskOp::RemoveSegment { file } = op {
            let log = self.store.log(self.slot_of(file.log_id.0)?)?;
            let holder = log.segment_of(file.segment.base_offset)?;
            let replaced = holder.generation > 0 && log.segment(file.segment).is_none();
            return replaced.then_some("crashes: a replaced segment is removed");
        }
        let stages: [(&str, bool); 4] = [
            (
                "crashes: a compacted segment is written",
                matches!(op, DiskOp::Write { file, .. } if compacted(file)),
            ),
            (
                "crashes: a compacted segment is synced",
                matches!(op, DiskOp::Sync { file } if compacted(file)),
            ),
            (
                "crashes: a compacted segment is indexed",
                matches!(op, DiskOp::WriteIndex { file, .. } if compacted(file)),
            ),
            (
                "crashes: a compacted segment is cut",
                matches!(op, DiskOp::Truncate { file, .. } if compacted(file)),
            ),
        ];
        let stage = stages.into_iter().find(|(_, matches)| *matches);
        stage.map(|(name, _)| name)
    }

    /// Takes the next step of a compaction, if one is due.
    pub(crate) fn compact(&mut self, wall_ms: i64, map_bytes: usize) {
        let now = Now {
            mono: Mono(u64::MAX / 2),
            wall_ms,
        };
        let settings = CompactionSettings {
            map_bytes,
            ..CompactionSettings::default()
        };
        self.store
            .compact(now, &settings, &|_slot| Some(Offset(i64::MAX)));
        for report in self.store.take_compaction_reports() {
            self.counts.add("compactions", 1);
            let multi = u64::from(report.clean_end < report.first_dirty + 20);
            self.counts.add("short compactions", multi);
        }
        assert_eq!(
            self.store.take_compaction_warnings(),
            Vec::<String>::new(),
            "nothing is damaged here"
        );
    }

    /// Takes the next step of trimming the ring, where it wants one.
    pub(crate) fn trim(&mut self) -> Result<(), DiskError> {
        if self.store.offline().is_some() {
            return Ok(());
        }
        if self.trimming.is_none() && self.undelivered.is_empty() {
            self.trimming = self.ring.wanted_trim();
            if let Some(start) = self.trimming {
                self.store.start_trim(start.link.sequence);
            }
        }
        let Some(start) = self.trimming else {
            return Ok(());
        };
        if let Some(TrimProgress::Ready(logs)) = self.store.trim_progress() {
            self.trimming = None;
            self.write_checkpoint(start, logs)?;
            self.ring.trim(start);
            self.counts.add("trims", 1);
        }
        Ok(())
    }

    fn write_checkpoint(
        &mut self,
        start: JournalStart,
        logs: Vec<chronik_storage::checkpoint::LogCheckpoint>,
    ) -> Result<(), DiskError> {
        let checkpoint = Checkpoint {
            generation: self.checkpoint.generation + 1,
            directory_id: DIRECTORY_ID,
            start,
            vote: Vote::default(),
            next_log_id: self.store.next_log_id(),
            logs,
        };
        replace_file(&mut self.disk, checkpoint.path(), &checkpoint.encode())?;
        self.checkpoint = checkpoint;
        self.counts.add("checkpoints", 1);
        Ok(())
    }

    /// Commits and writes until nothing is left to do.
    pub(crate) fn drain(&mut self) -> Result<(), DiskError> {
        for _ in 0..10_000 {
            self.store.end_turn();
            self.commit()?;
            self.deliver();
            self.work(1000)?;
            self.trim()?;
            self.queue.extend(self.store.take_requests());
            if let Some(reason) = self.store.offline() {
                return Err(DiskError::new("", DiskErrorKind::Failed, reason));
            }
            let idle = self.queue.is_empty() && self.waiting.is_empty() && self.trimming.is_none();
            if idle && !self.store.wants_commit() {
                return Ok(());
            }
        }
        let logs: Vec<String> = self
            .store
            .slots()
            .filter_map(|slot| self.store.log(slot))
            .map(super::model::ends)
            .collect();
        panic!(
            "the store never comes to rest: trimming {:?}, {} operations, {} frames, ring {:?}, {:?}, {logs:#?}",
            self.trimming,
            self.queue.len(),
            self.waiting.len(),
            self.ring.usage(),
            self.store.trim_progress()
        );
    }

    /// What `flush.ms` would do by now.
    pub(crate) fn flush_timed(&mut self) {
        let slots: Vec<LogSlot> = self.store.slots().collect();
        for slot in slots {
            if self.store.flush_interval_ms(slot).is_some() {
                self.store.flush(slot);
            }
        }
    }

    /// Stops as a server is asked to.
    pub(crate) fn stop(&mut self) -> Result<(), DiskError> {
        self.drain()?;
        self.store.flush_all();
        for _ in 0..1000 {
            self.drain()?;
            if self.store.is_clean() {
                break;
            }
        }
        assert!(self.store.is_clean());
        let start = self.ring.oldest().expect("a ring has a file");
        let logs = self.store.checkpoints();
        self.write_checkpoint(start, logs)?;
        replace_file(
            &mut self.disk,
            CLEAN_SHUTDOWN_PATH,
            &clean_marker(&start, Some(BrokerEpoch(7))),
        )?;
        self.counts.add("clean stops", 1);
        Ok(())
    }

    /// A few steps of whatever is due, in an order that `rng` chooses.
    pub(crate) fn turn(&mut self, rng: &mut Rng) -> Result<(), DiskError> {
        if rng.below(2) == 0 {
            self.store.end_turn();
        }
        if rng.below(2) == 0 {
            self.commit()?;
        }
        if rng.below(3) > 0 {
            self.deliver();
        }
        self.work(rng.below(5))?;
        if rng.below(2) == 0 {
            self.trim()?;
        }
        self.store.invariants().unwrap();
        Ok(())
    }
}

/// Whether a frame tells of a compaction.
fn replaces_segments(frame: &[u8]) -> bool {
    // What pads the operations is no operation.
    let mut operations = Operations::new(&frame[FRAME_HEADER_BYTES..]).map_while(Result::ok);
    operations.any(|(_, operation)| matches!(operation, Operation::SegmentsReplaced(_)))
}
