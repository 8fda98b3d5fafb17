//! The metadata log as a partition log: one record batch per entry, so that it is stored, synced and
//! recovered by the same engine as everybody's records.
//!
//! Entry `index` (from 1) stands at offset `index - 1`; its term is the batch's leader epoch.

use chronik_controller::{Entry, HardState, Recovered as RecoveredMetadata};
use chronik_model::batch::{BatchBuilder, BatchSpec, BatchView, batches, records};
use chronik_model::compression::{DecompressLimits, Decompressor};
use chronik_model::{LeaderEpoch, NodeId, Offset};
use chronik_storage::checkpoint::Vote;
use chronik_storage::disk::{Disk, DiskError, DiskErrorKind, Steady};
use chronik_storage::log::PartitionLog;
use chronik_storage::store::METADATA_DIRECTORY;

use crate::metadata_snapshot::{self, Snapshots};

/// Bytes read at once.
const READ_BYTES: usize = 4 << 20;

/// The batch that stores an entry.
pub(crate) fn encode_entry(entry: &Entry) -> Option<Vec<u8>> {
    let index = i64::try_from(entry.index).ok()?;
    let spec = BatchSpec {
        base_offset: Offset(index - 1),
        leader_epoch: LeaderEpoch(i32::try_from(entry.term).ok()?),
        ..BatchSpec::default()
    };
    let mut builder = BatchBuilder::new(spec);
    builder.append(0, None, Some(&entry.data), &[]).ok()?;
    builder.finish().ok()
}

/// Raft's hard state as the journal has it.
pub(crate) fn vote_of(state: &HardState) -> Vote {
    let vote = state.vote.and_then(|node| u64::try_from(node.0).ok());
    // Raft has no node 0 but Kafka does, so votes are stored one up.
    Vote {
        term: state.term,
        vote: vote.map_or(0, |vote| vote + 1),
        commit: state.commit,
    }
}

fn hard_state_of(vote: Vote) -> Option<HardState> {
    let voted = vote
        .vote
        .checked_sub(1)
        .and_then(|node| i32::try_from(node).ok())
        .map(NodeId);
    (vote != Vote::default()).then_some(HardState {
        term: vote.term,
        vote: voted,
        commit: vote.commit,
    })
}

/// What an earlier life left of the metadata.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The newest snapshot and the entries behind it.
    pub recovered: RecoveredMetadata,
    /// All snapshots.
    pub snapshots: Snapshots,
    /// Things an operator should know, each a sentence naming the file.
    pub warnings: Vec<String>,
}

/// Reads the newest intact snapshot of the metadata and the log behind it.
///
/// # Errors
/// The disk fails, the log is damaged, or a snapshot is whose content the log no longer has.
pub fn load(
    disk: &mut dyn Disk,
    log: Option<&PartitionLog>,
    vote: Vote,
) -> Result<Loaded, DiskError> {
    let disk = &mut Steady(disk);
    let (start, end) = log.map_or_else(Default::default, |log| (log.log_start, log.log_end));
    let found = metadata_snapshot::load(disk, start)?;
    let mut recovered = RecoveredMetadata {
        hard_state: hard_state_of(vote),
        snapshot: found.newest,
        ..Default::default()
    };
    let taken = snapshot_index(&recovered);
    if end.0.unsigned_abs() < taken {
        let detail = format!(
            "the log ends at offset {end}, before its snapshot of {taken} entries: restore the directory from a copy"
        );
        let kind = DiskErrorKind::Corrupt;
        return Err(DiskError::new(METADATA_DIRECTORY, kind, detail));
    }
    if let Some(log) = log {
        load_entries(disk, log, &mut recovered)?;
    }
    Ok(Loaded {
        recovered,
        snapshots: found.snapshots,
        warnings: found.warnings,
    })
}

fn snapshot_index(recovered: &RecoveredMetadata) -> u64 {
    let snapshot = recovered.snapshot.as_ref();
    snapshot.map_or(0, |snapshot| snapshot.index)
}

/// Reads the entries that the snapshot does not have.
fn load_entries(
    disk: &mut dyn Disk,
    log: &PartitionLog,
    recovered: &mut RecoveredMetadata,
) -> Result<(), DiskError> {
    for segment in &log.segments {
        let path = log.file(segment.base_offset).log_path();
        let mut position = 0;
        while position < segment.bytes {
            let bytes = disk.read(&path, position, READ_BYTES)?;
            let read = read_entries(&bytes, recovered);
            let read = read.map_err(|(at, detail)| {
                let detail = format!("byte {}: {detail}", position + at as u64);
                DiskError::new(&path, DiskErrorKind::Corrupt, detail)
            })?;
            if read == 0 {
                let detail = format!("no metadata entry at byte {position}");
                return Err(DiskError::new(&path, DiskErrorKind::Corrupt, detail));
            }
            position += read as u64;
        }
    }
    Ok(())
}

/// Takes the whole batches at the front of `bytes` in, and returns their size, or the place of the
/// first one that is damaged and what is wrong with it.
fn read_entries(bytes: &[u8], recovered: &mut RecoveredMetadata) -> Result<usize, (usize, String)> {
    let mut read = 0;
    for view in batches(bytes) {
        let size = view
            .map_err(|error| error.to_string())
            .and_then(|view| read_entry(&view, recovered))
            .map_err(|detail| (read, detail))?;
        read += size;
    }
    Ok(read)
}

fn read_entry(view: &BatchView<'_>, recovered: &mut RecoveredMetadata) -> Result<usize, String> {
    view.check_crc().map_err(|error| error.to_string())?;
    let header = *view.header();
    let term = u64::try_from(header.leader_epoch().0).map_err(|error| error.to_string())?;
    if header.last_offset().0.unsigned_abs() < snapshot_index(recovered) {
        return Ok(header.size_bytes());
    }
    let mut scratch = Decompressor::default();
    let found = records(view, &mut scratch, DecompressLimits::default());
    for record in found.map_err(|error| error.to_string())? {
        let record = record.map_err(|error| error.to_string())?;
        let index = u64::try_from(record.offset.0 + 1).map_err(|error| error.to_string())?;
        let data = bytes::Bytes::copy_from_slice(record.value.unwrap_or_default());
        recovered.entries.push_back(Entry { term, index, data });
    }
    Ok(header.size_bytes())
}
