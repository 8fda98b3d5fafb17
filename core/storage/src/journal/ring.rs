//! Numbers frames, places them in the ring of files, and says what may be overwritten.

use bytes::Bytes;
use chronik_model::{LogId, mutant};

use super::format::{ChainLink, FRAME_ALIGNMENT, FrameHeader};
use super::frame::SealedFrame;

/// Directory of the ring files.
pub const RING_DIRECTORY: &str = "journal";

/// Path of a ring file below the data directory.
#[must_use]
pub fn ring_path(file: usize) -> String {
    format!("{RING_DIRECTORY}/{file:05}.ring")
}

/// Where the next incarnation starts to write, and what replay will start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalStart {
    /// Ring file whose first byte takes the next frame.
    pub file: usize,
    /// What that frame continues.
    pub link: ChainLink,
}

/// One write of consecutive frames to one ring file.
#[derive(Debug)]
pub struct RingWrite {
    /// Index of the file.
    pub file: usize,
    /// Byte position, a multiple of [`FRAME_ALIGNMENT`].
    pub position: u64,
    /// Frames back to back, aligned in memory.
    pub buffers: Vec<Bytes>,
}

/// What one commit writes, and the numbers of its frames.
#[derive(Debug)]
pub struct CommitPlan {
    /// To be carried out in order; all of them must succeed.
    pub writes: Vec<RingWrite>,
    /// Number of the first frame.
    pub first_sequence: u64,
}

/// Why a commit can not be placed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// The next file still holds frames that are needed; try again after a trim.
    #[error("the journal is full until its oldest file is trimmed")]
    Full,
    /// No file is large enough for this frame.
    #[error("a frame of {0} bytes does not fit a journal file")]
    TooLarge(usize),
}

#[derive(Debug, Clone, Copy)]
struct UsedFile {
    file: usize,
    /// What the file's first frame continues: replay may start here.
    link: ChainLink,
}

impl UsedFile {
    const fn start(&self) -> JournalStart {
        JournalStart {
            file: self.file,
            link: self.link,
        }
    }
}

/// The ring of files.
///
/// ```text
///   used (oldest first)          free
///   [file 6][file 7][file 0]     [file 1] ... [file 5]
///    ^ replay starts      ^ writes here; [`Ring::trim`] moves files from used to free
/// ```
#[derive(Debug)]
pub struct Ring {
    directory_id: [u8; 16],
    file_count: usize,
    file_bytes: u64,
    next: ChainLink,
    used: Vec<UsedFile>,
    position: u64,
    completed_sequence: u64,
    trim_sequence: u64,
}

impl Ring {
    /// Files that only control operations and metadata may take, so that a full journal can still
    /// be told to delete what fills it (rule J9).
    const RESERVED_FILES: usize = 1;

    /// A ring of `file_count` (at least 3) files of `file_bytes` each, empty from `start` on.
    #[must_use]
    pub fn new(
        directory_id: [u8; 16],
        file_count: usize,
        file_bytes: u64,
        start: JournalStart,
    ) -> Self {
        Self {
            directory_id,
            file_count: file_count.max(3),
            file_bytes,
            next: start.link,
            used: vec![UsedFile {
                file: start.file,
                link: start.link,
            }],
            position: 0,
            completed_sequence: start.link.sequence.saturating_sub(1),
            trim_sequence: start.link.sequence,
        }
    }

    /// The largest frame that fits.
    #[must_use]
    pub const fn max_frame_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// How many of the first frames there is room for now. A commit takes no more: what waits may be
    /// larger than the files that a trim could ever free at once.
    ///
    /// # Errors
    /// A frame is larger than a file.
    pub fn fitting(&self, frames: &[SealedFrame]) -> Result<usize, RingError> {
        let unused = self.file_count.saturating_sub(self.used.len());
        let (mut moves, mut position, mut has_data) = (0, self.position, false);
        for (index, frame) in frames.iter().enumerate() {
            let length = frame.bytes.len() as u64;
            debug_assert!(frame.bytes.len().is_multiple_of(FRAME_ALIGNMENT));
            if length > self.file_bytes {
                return Err(RingError::TooLarge(frame.bytes.len()));
            }
            if position + length > self.file_bytes {
                moves += 1;
                position = 0;
            }
            position += length;
            let mut entries = frame.entries.iter();
            has_data |= entries.any(|entry| entry.log_id != LogId::METADATA);
            let reserved = if has_data { Self::RESERVED_FILES } else { 0 };
            if moves > 0 && moves + reserved > unused && !mutant!(LiveRingOverwritten) {
                return Ok(index);
            }
        }
        Ok(frames.len())
    }

    /// Numbers the frames, writes their headers and says where they go. Nothing changes on error,
    /// and the frames stay with the caller.
    ///
    /// # Errors
    /// Not all of them fit, or a frame is larger than a file.
    pub fn plan(&mut self, frames: &mut [SealedFrame]) -> Result<CommitPlan, RingError> {
        if self.fitting(frames)? < frames.len() {
            return Err(RingError::Full);
        }
        let first_sequence = self.next.sequence;
        let completed_sequence = self.completed_sequence;
        let mut writes: Vec<RingWrite> = Vec::new();
        for frame in frames {
            let moved = self.place(frame.bytes.len() as u64);
            let header = self.header(frame, completed_sequence);
            let checksum = header.write(&mut frame.bytes);
            self.next.sequence += 1;
            self.next.previous_checksum = checksum;
            // The frame is complete: from here on everybody shares it.
            let bytes = frame.bytes.split().freeze();
            let length = bytes.len() as u64;
            match writes.last_mut() {
                Some(write) if !moved => write.buffers.push(bytes),
                Some(_) | None => writes.push(RingWrite {
                    file: self.current(),
                    position: self.position,
                    buffers: vec![bytes],
                }),
            }
            self.position += length;
        }
        Ok(CommitPlan {
            writes,
            first_sequence,
        })
    }

    /// Everything planned so far is durable.
    pub const fn completed(&mut self) {
        self.completed_sequence = self.next.sequence - 1;
    }

    /// Number of the last frame that was planned.
    #[must_use]
    pub const fn last_sequence(&self) -> u64 {
        self.next.sequence - 1
    }

    /// Once half of the ring is used: where replay could start so that about a quarter of it becomes
    /// free. Frames before that point are durable, and must be reflected in a checkpoint first.
    #[must_use]
    pub fn wanted_trim(&self) -> Option<JournalStart> {
        if self.used.len() * 2 < self.file_count {
            return None;
        }
        let keep_from = (self.file_count / 4).clamp(1, self.used.len() - 1);
        let durable = |used: &&UsedFile| used.link.sequence <= self.completed_sequence + 1;
        let start = self.used.get(keep_from).filter(durable);
        start.map(UsedFile::start)
    }

    /// Where replay starts as long as nothing is trimmed: what a checkpoint of a clean stop names.
    #[must_use]
    pub fn oldest(&self) -> Option<JournalStart> {
        self.used.first().map(UsedFile::start)
    }

    /// A checkpoint that replays from `start` is durable: files before it are free.
    pub fn trim(&mut self, start: JournalStart) {
        if let Some(keep_from) = self.used.iter().position(|used| used.link == start.link) {
            self.used.drain(..keep_from);
            self.trim_sequence = start.link.sequence;
        }
    }

    /// Where the next incarnation may start: behind everything that was written.
    #[must_use]
    pub fn successor(&self) -> JournalStart {
        let incarnation = self.next.incarnation + 1;
        let link = ChainLink::start(&self.directory_id, incarnation, self.next.sequence);
        JournalStart {
            file: (self.current() + 1) % self.file_count,
            link,
        }
    }

    /// Share of the ring that holds frames which are still needed, in files: (used, all).
    #[must_use]
    pub const fn usage(&self) -> (usize, usize) {
        (self.used.len(), self.file_count)
    }

    fn header(&self, frame: &SealedFrame, completed_sequence: u64) -> FrameHeader {
        FrameHeader {
            directory_id: self.directory_id,
            link: self.next,
            checksum: 0,
            completed_sequence,
            trim_sequence: self.trim_sequence,
            frame_bytes: u32::try_from(frame.bytes.len()).unwrap_or(u32::MAX),
            operation_bytes: u32::try_from(frame.operation_bytes).unwrap_or(u32::MAX),
        }
    }

    fn current(&self) -> usize {
        self.used.last().map_or(0, |used| used.file)
    }

    /// Makes `self.position` the place of a frame; true when it moved to the next file.
    fn place(&mut self, frame_bytes: u64) -> bool {
        if self.position + frame_bytes <= self.file_bytes {
            return false;
        }
        let file = (self.current() + 1) % self.file_count;
        self.used.push(UsedFile {
            file,
            link: self.next,
        });
        self.position = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use chronik_model::Offset;

    use super::*;
    use crate::journal::OpenFrame;
    use crate::journal::format::Operation;
    use crate::journal::frame::FrameEntry;
    use crate::log::partition_log::Placement;
    use crate::store::LogSlot;

    const FRAME_BYTES: u64 = FRAME_ALIGNMENT as u64;

    fn frame(log_id: LogId) -> SealedFrame {
        let operation = Operation::Append {
            base_offset: Offset(0),
            last_offset: Offset(0),
            batch: b"batch",
        };
        let entry = |range| FrameEntry {
            log_id,
            slot: LogSlot(0),
            range,
            placement: Placement {
                base_offset: Offset(0),
                last_offset: Offset(0),
                segment: Offset(0),
                position: 0,
                generation: 0,
            },
        };
        let mut open = OpenFrame::default();
        open.append(entry, &operation, log_id);
        open.seal().remove(0)
    }

    /// Four files of two frames each, with so many frames written.
    fn ring(written: usize) -> Ring {
        let link = ChainLink::start(&[3; 16], 1, 1);
        let mut ring = Ring::new([3; 16], 4, 2 * FRAME_BYTES, JournalStart { file: 0, link });
        for _ in 0..written {
            ring.plan(&mut [frame(LogId::METADATA)]).unwrap();
            ring.completed();
        }
        ring
    }

    fn check(written: usize, waiting: &[SealedFrame], expected: usize) {
        assert_eq!(ring(written).fitting(waiting), Ok(expected), "{written}");
    }

    #[test]
    fn more_than_the_ring_holds_is_taken_in_parts() {
        let data: Vec<_> = (0..20).map(|_| frame(LogId(1))).collect();
        // The last file is not for data.
        check(0, &data, 6);
        check(1, &data, 5);
        check(4, &data, 2);
        check(6, &data, 0);
        let metadata: Vec<_> = (0..20).map(|_| frame(LogId::METADATA)).collect();
        check(0, &metadata, 8);
        check(7, &metadata, 1);
        check(8, &metadata, 0);
    }

    #[test]
    fn a_full_ring_always_wants_a_trim() {
        for files in 3..20 {
            let link = ChainLink::start(&[3; 16], 1, 1);
            let start = JournalStart { file: 0, link };
            let mut ring = Ring::new([3; 16], files, FRAME_BYTES, start);
            for _ in 0..100 {
                while ring.fitting(&[frame(LogId(1))]) == Ok(1) {
                    ring.plan(&mut [frame(LogId(1))]).unwrap();
                    ring.completed();
                }
                let start = ring.wanted_trim().expect("nobody else would make room");
                ring.trim(start);
            }
        }
    }
}
