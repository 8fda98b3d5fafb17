//! From whatever a crash left to logs that can be appended to.
//!
//! 1. Make durable what is readable of journal and checkpoints. Load the newest intact checkpoint,
//!    or rebuild one by scanning every segment.
//! 2. Read the journal once for what it says of each log as a whole: its last recovery point, and
//!    what later operations take back.
//! 3. Cut each log's segments back to its recovery point; logs that do not journal keep the longest
//!    intact prefix instead.
//! 4. Apply the journal's operations in order, writing appends that stay straight to the segments.
//! 5. Sync what was touched and write a checkpoint that begins a new incarnation.
//!
//! Nothing is served before step 5 is durable, so bytes that were only readable, not durable, can
//! not vanish after they were seen. A crash anywhere in between starts over from the old checkpoint.

mod plan;
mod rebuild;
mod recovering;
mod replayer;
mod scan;

use chronik_model::BrokerEpoch;
use chronik_model::ids::base64_url;

use crate::checkpoint::{CHECKPOINT_PATHS, Checkpoint, LogCheckpoint, Vote};
use crate::disk::{Disk, DiskError, DiskErrorKind, Steady, replace_file};
use crate::journal::format::ChainLink;
use crate::journal::replay::{JournalEnd, Replay, ReplayError};
use crate::journal::ring::{JournalStart, ring_path};
use crate::log::PartitionLog;
use plan::Plans;
use replayer::{Outcome, Replayer};

/// Version of the marker that a clean stop leaves.
pub const CLEAN_SHUTDOWN_FORMAT_VERSION: u32 = 2;
/// Path of the marker that a clean stop leaves.
pub const CLEAN_SHUTDOWN_PATH: &str = "clean-shutdown";

/// The data directory as `meta.properties` describes it.
#[derive(Debug, Clone, Copy)]
pub struct DirectoryShape {
    /// Identity of the directory.
    pub directory_id: [u8; 16],
    /// Files of the journal ring.
    pub journal_files: usize,
}

/// What recovery found and did, for one line in the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The directory was stopped cleanly.
    pub clean: bool,
    /// Epoch of the broker that stopped cleanly, if it had one: what KIP-966 wants to know when the
    /// broker registers again.
    pub stopped_epoch: Option<BrokerEpoch>,
    /// Frames of the journal that were applied.
    pub frames: u64,
    /// Batches that were written back to segments.
    pub batches: u64,
    /// The journal ended in a frame that was being written.
    pub torn: bool,
    /// No checkpoint was left: every segment was scanned.
    pub rebuilt: bool,
    /// Things an operator should know, each a sentence naming file and offset.
    pub warnings: Vec<String>,
}

/// A directory that is ready to be appended to.
#[derive(Debug)]
pub struct Recovered {
    /// The logs, the metadata log among them.
    pub logs: Vec<PartitionLog>,
    /// The checkpoint that was written at the end.
    pub checkpoint: Checkpoint,
    /// What happened.
    pub report: RecoveryReport,
}

/// Brings a data directory to the state of its last durable operation.
///
/// # Errors
/// The disk fails, an acknowledged journal frame is damaged, or a later version wrote the files.
pub fn recover(disk: &mut dyn Disk, shape: &DirectoryShape) -> Result<Recovered, ReplayError> {
    let mut report = RecoveryReport::default();
    let replay = Replay {
        directory_id: shape.directory_id,
        file_count: shape.journal_files,
    };
    settle(disk, shape)?;
    let loaded = load_checkpoint(disk, &shape.directory_id)?;
    let outdated = match &loaded {
        Some(checkpoint) => replay.is_outdated(disk, checkpoint.start)?,
        None => true,
    };
    let checkpoint = match loaded {
        Some(checkpoint) if !outdated => checkpoint,
        Some(older) => rebuild::checkpoint(disk, shape, &replay, &mut report)?.after(&older),
        None => rebuild::checkpoint(disk, shape, &replay, &mut report)?,
    };
    if let Some(CleanStop { broker_epoch }) = take_clean_marker(disk, &checkpoint)? {
        report.clean = true;
        report.stopped_epoch = broker_epoch;
    }
    let mut plans = Plans::default();
    let planned = replay.run(disk, checkpoint.start, &mut |_disk, log_id, operation| {
        plans.note(log_id, &operation);
        Ok(())
    })?;
    let end = planned.end;
    report.torn = end.torn;
    let mut replayer = Replayer::new(plans, checkpoint.vote, checkpoint.next_log_id);
    for log in &checkpoint.logs {
        replayer.restore(disk, log, report.rebuilt)?;
    }
    replayer.open_new(disk)?;
    let replayed = replay.run(disk, checkpoint.start, &mut |disk, log_id, operation| {
        replayer.apply(disk, log_id, &operation)
    })?;
    report.frames = replayed.frames;
    let outcome = replayer.finish(disk)?;
    report.batches = outcome.batches;
    report.warnings.extend(outcome.warnings.iter().cloned());
    remove_stale_files(disk)?;
    let checkpoint = next_checkpoint(&checkpoint, &outcome, end, shape);
    replace_file(disk, checkpoint.path(), &checkpoint.encode())?;
    Ok(Recovered {
        logs: outcome.logs,
        checkpoint,
        report,
    })
}

/// Makes durable what a process that was killed left readable, perhaps no more than that: its last
/// journal frames, and the name of its checkpoint. Of what they say to remove, nothing is left for a
/// power cut that takes them back (rule J4).
fn settle(disk: &mut dyn Disk, shape: &DirectoryShape) -> Result<(), DiskError> {
    for file in 0..shape.journal_files {
        match disk.sync(&ring_path(file)) {
            Err(error) if error.kind == DiskErrorKind::NotFound => {}
            synced => synced?,
        }
    }
    if disk.list("")?.is_empty() {
        return Ok(());
    }
    disk.sync_directory("")
}

/// The checkpoint that begins a new incarnation, in the ring file behind the one that ended.
fn next_checkpoint(
    old: &Checkpoint,
    outcome: &Outcome,
    end: JournalEnd,
    shape: &DirectoryShape,
) -> Checkpoint {
    let incarnation = old.start.link.incarnation.max(end.link.incarnation) + 1;
    // A gap in the numbers keeps frames that were never durable apart from those to come.
    let sequence = end.link.sequence + 1_000_000;
    let start = JournalStart {
        file: (end.file + 1) % shape.journal_files.max(1),
        link: ChainLink::start(&shape.directory_id, incarnation, sequence),
    };
    let logs = outcome.logs.iter().map(LogCheckpoint::of).collect();
    Checkpoint {
        generation: old.generation + 1,
        directory_id: shape.directory_id,
        start,
        vote: outcome.vote,
        next_log_id: outcome.next_log_id,
        logs,
    }
}

/// The newer of the two generations that is intact. One of another directory is refused: the journal
/// is then another's as well, and acknowledged records in it would be passed over without a word.
fn load_checkpoint(
    disk: &mut dyn Disk,
    directory_id: &[u8; 16],
) -> Result<Option<Checkpoint>, ReplayError> {
    let mut newest: Option<Checkpoint> = None;
    for path in CHECKPOINT_PATHS {
        let Some(bytes) = read_whole(disk, path)? else {
            continue;
        };
        let Some(found) = Checkpoint::decode(&bytes) else {
            continue;
        };
        if found.directory_id != *directory_id {
            return Err(ReplayError::OtherDirectory {
                path: path.to_owned(),
                found: base64_url(&found.directory_id),
                expected: base64_url(directory_id),
            });
        }
        if newest
            .as_ref()
            .is_none_or(|newest| newest.generation < found.generation)
        {
            newest = Some(found);
        }
    }
    Ok(newest)
}

fn read_whole(disk: &mut dyn Disk, path: &str) -> Result<Option<Vec<u8>>, DiskError> {
    let entries = disk.list("")?;
    let Some(entry) = entries.iter().find(|entry| entry.name == path) else {
        return Ok(None);
    };
    let length = usize::try_from(entry.bytes).unwrap_or(usize::MAX);
    Steady(disk).read(path, 0, length).map(Some)
}

/// Content of the marker that a clean stop leaves (rule J14). `broker_epoch` is the one that the
/// broker was registered with, if it was.
#[must_use]
pub fn clean_marker(start: &JournalStart, broker_epoch: Option<BrokerEpoch>) -> Vec<u8> {
    let epoch = broker_epoch.map_or(-1, |epoch| epoch.0);
    sealed_marker(CLEAN_SHUTDOWN_FORMAT_VERSION, start, &epoch.to_le_bytes())
}

fn sealed_marker(version: u32, start: &JournalStart, epoch: &[u8]) -> Vec<u8> {
    let mut marker = version.to_le_bytes().to_vec();
    marker.extend_from_slice(&start.link.incarnation.to_le_bytes());
    marker.extend_from_slice(&start.link.sequence.to_le_bytes());
    marker.extend_from_slice(epoch);
    let checksum = crc32c::crc32c(&marker);
    marker.extend_from_slice(&checksum.to_le_bytes());
    marker
}

/// What the marker of a clean stop says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CleanStop {
    broker_epoch: Option<BrokerEpoch>,
}

/// What the marker of a clean stop says if it matches the checkpoint; it is removed before anything
/// else.
fn take_clean_marker(
    disk: &mut dyn Disk,
    checkpoint: &Checkpoint,
) -> Result<Option<CleanStop>, DiskError> {
    let Some(found) = read_whole(disk, CLEAN_SHUTDOWN_PATH)? else {
        return Ok(None);
    };
    disk.remove(CLEAN_SHUTDOWN_PATH)?;
    disk.sync_directory("")?;
    Ok(read_marker(&found, &checkpoint.start))
}

fn read_marker(found: &[u8], start: &JournalStart) -> Option<CleanStop> {
    const EPOCH_AT: usize = 20;
    if found == sealed_marker(1, start, &[]) {
        return Some(CleanStop { broker_epoch: None });
    }
    let epoch = found.get(EPOCH_AT..)?.first_chunk()?;
    let broker_epoch = Some(i64::from_le_bytes(*epoch)).filter(|epoch| *epoch >= 0);
    let broker_epoch = broker_epoch.map(BrokerEpoch);
    (found == clean_marker(start, broker_epoch)).then_some(CleanStop { broker_epoch })
}

impl Checkpoint {
    /// This checkpoint, rebuilt, in the place behind an older one that was found. The older one's vote
    /// is not taken over: another may have been given since.
    fn after(mut self, older: &Self) -> Self {
        self.generation = older.generation;
        self.next_log_id = self.next_log_id.max(older.next_log_id);
        self
    }
}

/// Removes what a crash in the middle of writing a checkpoint leaves.
fn remove_stale_files(disk: &mut dyn Disk) -> Result<(), DiskError> {
    for path in CHECKPOINT_PATHS {
        disk.remove(&format!("{path}.tmp"))?;
    }
    Ok(())
}

/// The checkpoint of a directory that never had one.
#[must_use]
pub fn first_checkpoint(directory_id: [u8; 16]) -> Checkpoint {
    Checkpoint {
        generation: 0,
        directory_id,
        start: JournalStart {
            file: 0,
            link: ChainLink::start(&directory_id, 0, 1),
        },
        vote: Vote::default(),
        next_log_id: 1,
        logs: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_believed_whole_and_for_its_own_start_only() {
        let start = first_checkpoint([7; 16]).start;
        let mut other = start;
        other.link.sequence += 1;
        for broker_epoch in [None, Some(BrokerEpoch(0)), Some(BrokerEpoch(1 << 40))] {
            let marker = clean_marker(&start, broker_epoch);
            assert_eq!(
                read_marker(&marker, &start),
                Some(CleanStop { broker_epoch })
            );
            assert_eq!(read_marker(&marker, &other), None);
            for length in 0..marker.len() {
                assert_eq!(read_marker(&marker[..length], &start), None);
            }
            for byte in 0..marker.len() {
                let mut damaged = marker.clone();
                damaged[byte] ^= 1;
                assert_eq!(read_marker(&damaged, &start), None, "byte {byte}");
            }
        }
        let first_format = sealed_marker(1, &start, &[]);
        assert_eq!(first_format.len(), 24);
        let stop = CleanStop { broker_epoch: None };
        assert_eq!(read_marker(&first_format, &start), Some(stop));
    }
}
