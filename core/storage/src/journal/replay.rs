//! Reads a journal back: which frames were durable, and whether the end is torn or damaged.

use chronik_model::{LogId, mutant};

use super::format::{
    ChainLink, FRAME_ALIGNMENT, FRAME_HEADER_BYTES, FrameError, FrameHeader, Operation,
    OperationError, Operations,
};
use super::ring::{JournalStart, ring_path};
use crate::disk::{Disk, DiskError, DiskErrorKind, Steady};

/// What replay reports of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Frames applied.
    pub frames: u64,
    /// Where the chain ended.
    pub end: JournalEnd,
}

/// Where the chain of frames ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalEnd {
    /// File of the first byte that is no frame of the chain.
    pub file: usize,
    /// Position of that byte.
    pub position: u64,
    /// What a frame there would have to continue.
    pub link: ChainLink,
    /// Whether the bytes there look like a frame that was being written.
    pub torn: bool,
}

/// Why a journal can not be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A frame that had been acknowledged is damaged: a later one vouches for it.
    #[error(
        "{path}: the frame at byte {position} (number {sequence}) is damaged although it had been acknowledged"
    )]
    Damaged {
        /// Ring file.
        path: String,
        /// Byte in it.
        position: u64,
        /// Number of the damaged frame.
        sequence: u64,
    },
    /// Nothing in the journal of such a directory would be taken for its own.
    #[error(
        "{path} belongs to the data directory {found}, but meta.properties says directory.id={expected}. Restore the meta.properties that belongs to these files, or start with an empty data directory"
    )]
    OtherDirectory {
        /// The checkpoint.
        path: String,
        /// The directory that it is of, as `meta.properties` writes it.
        found: String,
        /// The directory that it lies in.
        expected: String,
    },
    /// Written by a later version.
    #[error("{path}: the frame at byte {position}: {error}")]
    Unreadable {
        /// Ring file.
        path: String,
        /// Byte in it.
        position: u64,
        /// What is not understood.
        error: OperationError,
    },
    /// The journal's own format is of a later version.
    #[error("{path}: journal format version {version} needs a later version of Chronik")]
    UnknownVersion {
        /// Ring file.
        path: String,
        /// The version found.
        version: u16,
    },
}

/// A reader of the ring files of one directory.
#[derive(Debug)]
pub struct Replay {
    /// The data directory's id.
    pub directory_id: [u8; 16],
    /// Files in the ring.
    pub file_count: usize,
}

/// Takes one operation; the disk is the one that the journal is read from.
pub type Apply<'a> = dyn FnMut(&mut dyn Disk, LogId, Operation<'_>) -> Result<(), DiskError> + 'a;

struct Frame {
    header: FrameHeader,
    bytes: Vec<u8>,
}

impl Replay {
    /// Applies every operation from `start` to the end of the chain, in order.
    ///
    /// # Errors
    /// The disk fails, an acknowledged frame is damaged, or a later version wrote the journal.
    pub fn run(
        &self,
        disk: &mut dyn Disk,
        start: JournalStart,
        apply: &mut Apply<'_>,
    ) -> Result<Replayed, ReplayError> {
        let mut link = start.link;
        let (mut file, mut position, mut frames) = (start.file, 0, 0);
        loop {
            let mut found = self.next_in_chain(disk, file, position, link)?;
            if found.is_none() && position > 0 {
                let next = (file + 1) % self.file_count.max(1);
                found = self.next_in_chain(disk, next, 0, link)?;
                if found.is_some() {
                    (file, position) = (next, 0);
                }
            }
            let Some(frame) = found else { break };
            apply_frame(disk, &frame, (file, position), apply)?;
            frames += 1;
            position += frame.bytes.len() as u64;
            link.sequence += 1;
            link.previous_checksum = frame.header.checksum;
        }
        let torn = self.check_end(disk, file, position, link)?;
        Ok(Replayed {
            frames,
            end: JournalEnd {
                file,
                position,
                link,
                torn,
            },
        })
    }

    /// Whether frames show that a newer checkpoint than the one that starts here was written: what
    /// replay would need from here on may be overwritten.
    ///
    /// # Errors
    /// The disk fails.
    pub fn is_outdated(
        &self,
        disk: &mut dyn Disk,
        start: JournalStart,
    ) -> Result<bool, ReplayError> {
        for file in 0..self.file_count {
            let Some(frame) = self.frame_at(&mut Steady(disk), file, 0)? else {
                continue;
            };
            let FrameHeader {
                link,
                trim_sequence,
                ..
            } = frame.header;
            let same = link.incarnation == start.link.incarnation;
            if link.incarnation > start.link.incarnation
                || (same && trim_sequence > start.link.sequence)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where the newest incarnation starts, for when no checkpoint is left to say so.
    ///
    /// # Errors
    /// The disk fails.
    pub fn find_start(&self, disk: &mut dyn Disk) -> Result<Option<JournalStart>, ReplayError> {
        let mut best: Option<JournalStart> = None;
        for file in 0..self.file_count {
            let Some(frame) = self.frame_at(&mut Steady(disk), file, 0)? else {
                continue;
            };
            let link = frame.header.link;
            let newer = best.is_none_or(|best| {
                (link.incarnation, best.link.sequence) > (best.link.incarnation, link.sequence)
            });
            if newer {
                best = Some(JournalStart { file, link });
            }
        }
        Ok(best)
    }

    fn next_in_chain(
        &self,
        disk: &mut dyn Disk,
        file: usize,
        position: u64,
        link: ChainLink,
    ) -> Result<Option<Frame>, ReplayError> {
        let follows = |frame: &Frame| {
            frame.header.link == link || (position > 0 && mutant!(StaleLapReplayed))
        };
        let once = self.frame_at(disk, file, position)?.filter(follows);
        if once.is_some() {
            return Ok(once);
        }
        // What is taken for the end is written over, so one bad reading must not decide it.
        let again = self.frame_at(&mut Steady(disk), file, position)?;
        Ok(again.filter(follows))
    }

    fn frame_at(
        &self,
        disk: &mut dyn Disk,
        file: usize,
        position: u64,
    ) -> Result<Option<Frame>, ReplayError> {
        let path = ring_path(file);
        let Some(header) = self.header_at(disk, &path, position)? else {
            return Ok(None);
        };
        let length = usize::try_from(header.frame_bytes).unwrap_or(0);
        let bytes = disk.read(&path, position, length)?;
        Ok(header
            .verify(&bytes)
            .is_ok()
            .then_some(Frame { header, bytes }))
    }

    fn header_at(
        &self,
        disk: &mut dyn Disk,
        path: &str,
        position: u64,
    ) -> Result<Option<FrameHeader>, ReplayError> {
        let bytes = match disk.read(path, position, FRAME_HEADER_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match FrameHeader::parse(&bytes, &self.directory_id) {
            Ok(header) => Ok(Some(header)),
            Err(FrameError::NotAFrame | FrameError::BadChecksum) => Ok(None),
            Err(FrameError::UnknownVersion(version)) => Err(ReplayError::UnknownVersion {
                path: path.to_owned(),
                version,
            }),
        }
    }

    /// Tells a torn end from a damaged middle: a valid later frame of the same incarnation whose
    /// completed sequence covers the first unreadable one proves that it had been acknowledged.
    fn check_end(
        &self,
        disk: &mut dyn Disk,
        file: usize,
        position: u64,
        link: ChainLink,
    ) -> Result<bool, ReplayError> {
        let path = ring_path(file);
        let step = FRAME_ALIGNMENT as u64;
        let vouches = |frame: &Frame| {
            frame.header.link.incarnation == link.incarnation
                && frame.header.link.sequence > link.sequence
                && frame.header.completed_sequence >= link.sequence
        };
        let damaged = |file, position| ReplayError::Damaged {
            path: ring_path(file),
            position,
            sequence: link.sequence,
        };
        let torn = self
            .header_at(disk, &path, position)?
            .is_some_and(|header| header.link == link);
        if self.vouched(disk, (file, position + step), link, &vouches)? {
            return Err(damaged(file, position));
        }
        // The unreadable frame may be the last of its file, or the first of the next one.
        let next = (file + 1) % self.file_count.max(1);
        let mut starts = (next..self.file_count).chain(0..next);
        let first = match starts.next() {
            Some(next) => self.frame_at(disk, next, 0)?,
            None => None,
        };
        if first.as_ref().is_some_and(vouches) {
            return Err(damaged(file, position));
        }
        if self.vouched(disk, (next, step), link, &vouches)? {
            // A first frame that is whole and later lies behind the unreadable one, though it was
            // written too early to vouch for it.
            let is_later = |frame: &Frame| {
                frame.header.link.incarnation == link.incarnation
                    && frame.header.link.sequence > link.sequence
            };
            let lies_before = first.as_ref().is_some_and(is_later);
            return Err(if lies_before {
                damaged(file, position)
            } else {
                damaged(next, 0)
            });
        }
        for other in starts.filter(|other| *other != file) {
            if self
                .frame_at(disk, other, 0)?
                .is_some_and(|frame| vouches(&frame))
            {
                return Err(damaged(file, position));
            }
        }
        Ok(torn)
    }

    /// Whether a frame of one file, from a byte on, vouches for the one that is sought.
    fn vouched(
        &self,
        disk: &mut dyn Disk,
        (file, from): (usize, u64),
        link: ChainLink,
        vouches: &dyn Fn(&Frame) -> bool,
    ) -> Result<bool, ReplayError> {
        let path = ring_path(file);
        for block in headers_from(disk, &path, from)? {
            // Frames of earlier laps are many; their headers are enough to pass over them.
            let header = self.header_at(disk, &path, block)?;
            let later = header.is_some_and(|header| header.link.sequence > link.sequence);
            if later
                && self
                    .frame_at(disk, file, block)?
                    .is_some_and(|frame| vouches(&frame))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Positions at and after `from` whose block starts with a frame's magic.
fn headers_from(disk: &mut dyn Disk, path: &str, from: u64) -> Result<Vec<u64>, DiskError> {
    const READ_BYTES: usize = 1 << 20;
    let mut found = Vec::new();
    let mut position = from;
    loop {
        let bytes = match disk.read(path, position, READ_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error),
        };
        let magic = super::format::FRAME_MAGIC.to_le_bytes();
        for (index, block) in bytes.chunks(FRAME_ALIGNMENT).enumerate() {
            if block.starts_with(&magic) {
                found.push(position + (index * FRAME_ALIGNMENT) as u64);
            }
        }
        if bytes.len() < READ_BYTES {
            return Ok(found);
        }
        position += READ_BYTES as u64;
    }
}

fn apply_frame(
    disk: &mut dyn Disk,
    frame: &Frame,
    (file, position): (usize, u64),
    apply: &mut Apply<'_>,
) -> Result<(), ReplayError> {
    let end = usize::try_from(frame.header.operation_bytes).unwrap_or(0) + FRAME_HEADER_BYTES;
    let operations = frame.bytes.get(FRAME_HEADER_BYTES..end).unwrap_or_default();
    for operation in Operations::new(operations) {
        let (log_id, operation) = operation.map_err(|error| ReplayError::Unreadable {
            path: ring_path(file),
            position,
            error,
        })?;
        apply(disk, log_id, operation)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
