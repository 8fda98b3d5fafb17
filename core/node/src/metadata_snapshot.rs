//! Files of metadata snapshots beside the metadata log: their names, which of them are kept, and how
//! far the log goes back. `docs/formats/metadata-snapshot.md` draws the bytes.
//!
//! ```text
//!        older snapshot        newer snapshot
//!              v                     v
//!  - trimmed - |------ the log -------------------|
//! ```
//!
//! The log reaches back to the older of two snapshots, so that the newer one may be damaged.

use bytes::Bytes;
use chronik_controller::{ConsensusSnapshot, decode_snapshot};
use chronik_model::Offset;
use chronik_storage::disk::{Disk, DiskError, DiskErrorKind};
use chronik_storage::store::METADATA_DIRECTORY;

/// Snapshots that are kept.
const KEPT: usize = 2;
const SUFFIX: &str = ".checkpoint";
/// What a file is called while it is written.
const TEMPORARY_SUFFIX: &str = ".checkpoint.tmp";

/// Which snapshot. The newer one is the larger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotId {
    /// The last entry included; so the offset in the metadata log of the first one that is not.
    pub index: u64,
    /// The term of that entry.
    pub term: u64,
}

impl SnapshotId {
    /// Name of its file in the metadata log's directory, as Kafka names its own.
    #[must_use]
    pub fn file_name(self) -> String {
        format!("{:020}-{:010}{SUFFIX}", self.index, self.term)
    }

    fn path(self) -> String {
        format!("{METADATA_DIRECTORY}/{}", self.file_name())
    }

    fn parse(name: &str) -> Option<Self> {
        let (index, term) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        let id = Self {
            index: index.parse().ok()?,
            term: term.parse().ok()?,
        };
        (id.file_name() == name).then_some(id)
    }

    /// Offset in the metadata log of the first entry that is not included.
    pub(crate) fn end(self) -> Offset {
        Offset(i64::try_from(self.index).unwrap_or(i64::MAX))
    }
}

/// What may go now that a snapshot is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataTrim {
    /// The metadata log begins here from now on.
    pub start: Offset,
    /// Snapshots to remove.
    pub remove: Vec<SnapshotId>,
}

/// The snapshots that there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshots {
    /// Those that can be read, oldest first.
    intact: Vec<SnapshotId>,
    damaged: Vec<SnapshotId>,
}

impl Snapshots {
    /// A new one is durable: what it makes superfluous.
    pub(crate) fn add(&mut self, id: SnapshotId) -> MetadataTrim {
        self.damaged.retain(|damaged| *damaged != id);
        self.intact.retain(|intact| *intact < id);
        self.intact.push(id);
        let superfluous = self.intact.len().saturating_sub(KEPT);
        let mut remove = std::mem::take(&mut self.damaged);
        remove.extend(self.intact.drain(..superfluous));
        let oldest = self.intact.first().filter(|_| self.intact.len() == KEPT);
        MetadataTrim {
            start: oldest.map_or(Offset::ZERO, |oldest| oldest.end()),
            remove,
        }
    }
}

/// What start-up found of snapshots.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) snapshots: Snapshots,
    pub(crate) newest: Option<ConsensusSnapshot>,
    /// What is wrong with each that was passed over.
    pub(crate) warnings: Vec<String>,
}

/// Reads the newest intact snapshot from which a log that begins at `log_start` can go on. What a
/// crash left half written is removed.
///
/// # Errors
/// The disk fails, or the log begins behind the end of every intact snapshot.
pub(crate) fn load(disk: &mut dyn Disk, log_start: Offset) -> Result<Found, DiskError> {
    let mut found = Found::default();
    let mut ids = Vec::new();
    for entry in disk.list(METADATA_DIRECTORY)? {
        if entry.name.ends_with(TEMPORARY_SUFFIX) {
            disk.remove(&format!("{METADATA_DIRECTORY}/{}", entry.name))?;
        }
        ids.extend(SnapshotId::parse(&entry.name).map(|id| (id, entry.bytes)));
    }
    ids.sort_unstable();
    for (id, bytes) in ids.iter().rev() {
        match read(disk, *id, *bytes) {
            Err(error) => {
                found.snapshots.damaged.push(*id);
                found.warnings.push(format!("{}: {error}", id.path()));
            }
            Ok(snapshot) => {
                found.snapshots.intact.insert(0, *id);
                found.newest.get_or_insert(snapshot);
            }
        }
    }
    let reached = found.newest.as_ref().map_or(0, |newest| newest.index);
    if log_start.0.unsigned_abs() > reached {
        return Err(lost(&found, log_start));
    }
    for warning in &mut found.warnings {
        warning.push_str("; the metadata log has what it held, and replaces it");
    }
    Ok(found)
}

fn read(disk: &mut dyn Disk, id: SnapshotId, bytes: u64) -> Result<ConsensusSnapshot, String> {
    let length = usize::try_from(bytes).map_err(|error| error.to_string())?;
    let bytes = disk.read(&id.path(), 0, length);
    let bytes = Bytes::from(bytes.map_err(|error| error.detail)?);
    let image = decode_snapshot(&bytes).map_err(|error| error.to_string())?;
    let SnapshotId { index, term } = id;
    if (image.offset(), image.term()) != (id.end(), term) {
        let (offset, term) = (image.offset(), image.term());
        return Err(format!(
            "it is the snapshot of entry {offset} of term {term}"
        ));
    }
    Ok(ConsensusSnapshot { index, term, bytes })
}

/// Neither log nor snapshot has what the cluster looked like.
fn lost(found: &Found, log_start: Offset) -> DiskError {
    let newest = found.snapshots.damaged.iter().max();
    let path = newest.map_or_else(|| METADATA_DIRECTORY.to_owned(), |id| id.path());
    let wrong = found
        .warnings
        .first()
        .map_or("the snapshot before it is missing", String::as_str);
    let detail = format!(
        "the metadata log begins at offset {log_start}, and {wrong}. Topics and settings are not known without it: restore the file from a copy of this directory, or start with an empty data directory"
    );
    DiskError::new(&path, DiskErrorKind::Corrupt, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn id(index: u64) -> SnapshotId {
        SnapshotId { index, term: 3 }
    }

    #[test]
    fn names_are_those_of_kafka_and_come_back() {
        let name = "00000000000000000123-0000000003.checkpoint";
        assert_eq!(id(123).file_name(), name);
        let check = |name, expected| assert_eq!(SnapshotId::parse(name), expected, "{name}");
        check(name, Some(id(123)));
        check("00000000000000000123-0000000003.checkpoint.tmp", None);
        check("123-3.checkpoint", None);
        check("00000000000000000123.log", None);
        check("-.checkpoint", None);
    }

    #[test]
    fn the_log_reaches_back_to_the_older_of_two_snapshots() {
        let mut snapshots = Snapshots {
            intact: Vec::new(),
            damaged: vec![id(5)],
        };
        let mut check = |index, start, remove: &[u64]| {
            let expected = MetadataTrim {
                start: Offset(start),
                remove: remove.iter().copied().map(id).collect(),
            };
            assert_eq!(snapshots.add(id(index)), expected, "{index}");
        };
        check(10, 0, &[5]);
        check(20, 10, &[]);
        check(30, 20, &[10]);
        check(40, 30, &[20]);
    }
}
