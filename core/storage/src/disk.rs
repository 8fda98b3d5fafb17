//! What the engine asks of a disk.
//!
//! Running machines emit [`DiskRequest`]s; the shell carries them out, in order per file, and brings
//! back a [`DiskDone`]. Recovery runs before anything else does and reads and writes through
//! [`Disk`] directly. Paths are relative to the data directory and always use `/`.

mod steady;

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use chronik_model::{LogId, Offset, mutant};

use crate::compaction::Step;
use crate::log::segment::SegmentId;
use crate::select::{Selected, Selection, TimestampHit, TimestampQuery};
pub use steady::Steady;

/// A failed disk operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {detail}")]
pub struct DiskError {
    /// The file, relative to the data directory.
    pub path: String,
    /// What kind of failure it was.
    pub kind: DiskErrorKind,
    /// The operating system's words, or ours.
    pub detail: String,
}

/// What a failed operation means for the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskErrorKind {
    /// No such file.
    NotFound,
    /// No space left on the device: data stays in memory and the write is tried again.
    Full,
    /// The bytes that came back fail their checksum.
    Corrupt,
    /// Anything else.
    Failed,
}

impl DiskError {
    /// An error of `kind` on `path`.
    #[must_use]
    pub fn new(path: &str, kind: DiskErrorKind, detail: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            kind,
            detail: detail.into(),
        }
    }
}

/// A directory entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// File name without directory.
    pub name: String,
    /// Size in bytes; 0 for directories.
    pub bytes: u64,
    /// Whether it is a directory.
    pub is_directory: bool,
}

/// Synchronous access to one data directory, used by recovery only.
pub trait Disk {
    /// Entries of a directory; an absent one is empty.
    ///
    /// # Errors
    /// The directory can not be read.
    fn list(&mut self, path: &str) -> Result<Vec<DirEntry>, DiskError>;
    /// Up to `length` bytes from `position`; fewer at the end of the file.
    ///
    /// # Errors
    /// The file is absent or can not be read.
    fn read(&mut self, path: &str, position: u64, length: usize) -> Result<Vec<u8>, DiskError>;
    /// Writes all of `bytes` at `position`; creates the file and its directories where absent.
    ///
    /// # Errors
    /// The write failed or was short.
    fn write(&mut self, path: &str, position: u64, bytes: &[u8]) -> Result<(), DiskError>;
    /// Cuts or extends the file to `length` bytes.
    ///
    /// # Errors
    /// The file is absent or can not be changed.
    fn truncate(&mut self, path: &str, length: u64) -> Result<(), DiskError>;
    /// Makes the file's content durable.
    ///
    /// # Errors
    /// The sync failed; the content must be taken for lost.
    fn sync(&mut self, path: &str) -> Result<(), DiskError>;
    /// Makes names in a directory durable.
    ///
    /// # Errors
    /// The sync failed.
    fn sync_directory(&mut self, path: &str) -> Result<(), DiskError>;
    /// Replaces `to` by `from` atomically.
    ///
    /// # Errors
    /// The rename failed.
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError>;
    /// Removes a file or a directory with all it holds; absent is fine.
    ///
    /// # Errors
    /// The removal failed.
    fn remove(&mut self, path: &str) -> Result<(), DiskError>;
}

/// Writes `bytes` so that `path` holds either its old or its new content after a crash.
///
/// # Errors
/// Any of the steps failed; the old content is then still in place.
pub fn replace_file(disk: &mut dyn Disk, path: &str, bytes: &[u8]) -> Result<(), DiskError> {
    let temporary = format!("{path}.tmp");
    disk.remove(&temporary)?;
    disk.write(&temporary, 0, bytes)?;
    if mutant!(SkipCheckpointSync) {
        return disk.rename(&temporary, path);
    }
    disk.sync(&temporary)?;
    disk.rename(&temporary, path)?;
    disk.sync_directory(path.rsplit_once('/').map_or("", |(directory, _)| directory))
}

/// A segment file by identity, so that an operation that is late can not hit its successor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileKey {
    /// The log.
    pub log_id: LogId,
    /// The log's directory below the data directory.
    pub directory: Arc<str>,
    /// Which segment of the log; names the file.
    pub segment: SegmentId,
}

impl FileKey {
    /// Path of the record batches, named as Kafka names them; compaction's have a generation more.
    #[must_use]
    pub fn log_path(&self) -> String {
        self.path("log")
    }

    /// Path of our index beside it.
    #[must_use]
    pub fn index_path(&self) -> String {
        self.path("cidx")
    }

    fn path(&self, suffix: &str) -> String {
        let SegmentId {
            base_offset: Offset(base),
            generation,
        } = self.segment;
        match generation {
            0 => format!("{}/{base:020}.{suffix}", self.directory),
            _ => format!("{}/{base:020}.{generation}.{suffix}", self.directory),
        }
    }
}

/// Ties a completion to its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskToken(pub u64);

/// An operation for the shell, with the token its completion carries.
#[derive(Debug, Clone)]
pub struct DiskRequest {
    /// Echoed in the completion.
    pub token: DiskToken,
    /// What to do.
    pub op: DiskOp,
}

/// Operations on segment files. Those of one log are carried out in the order given.
#[derive(Debug, Clone)]
pub enum DiskOp {
    /// Write buffers back to back at `position`, creating directory and file where absent.
    Write {
        /// The segment.
        file: FileKey,
        /// Byte position of the first buffer.
        position: u64,
        /// Whole record batches.
        buffers: Vec<Bytes>,
        /// Carry it out in the calling thread: an acknowledgement waits for it.
        urgent: bool,
    },
    /// Make content and name of the segment durable.
    Sync {
        /// The segment.
        file: FileKey,
    },
    /// Read and check record batches of one segment.
    Read {
        /// The segment.
        file: FileKey,
        /// Which batches.
        selection: Selection,
        /// Instead, bring the file back open if all bytes from the selection's start to its end are
        /// in memory and no disk has to be waited for: they are whole batches, all of them are
        /// wanted, and they were checked since the start. A shell may always read.
        may_pin: bool,
    },
    /// Find the first record at or after a timestamp.
    FindTimestamp {
        /// The segment.
        file: FileKey,
        /// Where to look, and for what.
        query: TimestampQuery,
    },
    /// Take one step of a compaction, which reads a part of one segment.
    Compact {
        /// The segment.
        file: FileKey,
        /// What to do with its batches.
        step: Box<Step>,
    },
    /// Write the sealed segment's index file and make it durable.
    WriteIndex {
        /// The segment.
        file: FileKey,
        /// Content of the index file.
        bytes: Bytes,
    },
    /// Read the sealed segment's index file.
    ReadIndex {
        /// The segment.
        file: FileKey,
    },
    /// Cut the segment to `length` bytes, drop its index file, and make that durable. An absent file
    /// is fine.
    Truncate {
        /// The segment.
        file: FileKey,
        /// Bytes that stay.
        length: u64,
    },
    /// Remove a segment and its side files, and make that durable. Absent files are fine.
    RemoveSegment {
        /// The segment.
        file: FileKey,
    },
    /// Write a whole file beside a log's segments under a temporary name, make it durable, and put it
    /// in the place of `path`, as [`replace_file`] does.
    ReplaceFile {
        /// The log.
        log_id: LogId,
        /// The file.
        path: Arc<str>,
        /// Its new content.
        bytes: Bytes,
    },
    /// Remove a file beside a log's segments. An absent one is fine.
    RemoveFile {
        /// The log.
        log_id: LogId,
        /// The file.
        path: Arc<str>,
    },
    /// Remove a log's whole directory, and make that durable. An absent one is fine.
    RemoveLog {
        /// The log.
        log_id: LogId,
        /// Its directory.
        directory: Arc<str>,
    },
}

impl DiskOp {
    /// The log whose order this operation keeps.
    #[must_use]
    pub const fn log_id(&self) -> LogId {
        match self {
            Self::Write { file, .. }
            | Self::Sync { file }
            | Self::Read { file, .. }
            | Self::FindTimestamp { file, .. }
            | Self::Compact { file, .. }
            | Self::WriteIndex { file, .. }
            | Self::ReadIndex { file }
            | Self::Truncate { file, .. }
            | Self::RemoveSegment { file } => file.log_id,
            Self::ReplaceFile { log_id, .. }
            | Self::RemoveFile { log_id, .. }
            | Self::RemoveLog { log_id, .. } => *log_id,
        }
    }
}

/// The outcome of a [`DiskRequest`].
#[derive(Debug, Clone)]
pub struct DiskDone {
    /// Token of the request.
    pub token: DiskToken,
    /// What came of it.
    pub result: Result<DiskData, DiskError>,
}

/// A file that the shell keeps open while somebody has this, whatever becomes of its name. What it is
/// only the shell knows.
pub type PinnedFile = Arc<dyn Any + Send + Sync>;

/// Whole batches of a segment that are sent as they lie in its file.
#[derive(Debug, Clone)]
pub struct FileRange {
    /// The file.
    pub file: PinnedFile,
    /// First byte.
    pub position: u64,
    /// Bytes.
    pub length: usize,
}

/// What an operation brings back.
#[derive(Debug, Clone)]
pub enum DiskData {
    /// Nothing but success.
    Done,
    /// Batches of a [`DiskOp::Read`].
    Batches(Selected),
    /// The open file of a [`DiskOp::Read`] of which nothing had to be read.
    Pinned(PinnedFile),
    /// Answer to a [`DiskOp::FindTimestamp`]; `None` when the segment has no such record.
    Timestamp(Option<TimestampHit>),
    /// Content of a [`DiskOp::ReadIndex`].
    File(Bytes),
    /// A [`DiskOp::Compact`] that was carried out.
    Compacted(Box<Step>),
}
