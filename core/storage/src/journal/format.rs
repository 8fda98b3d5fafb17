//! Bytes of a journal frame; `docs/formats/journal.md` draws them.

use bytes::{BufMut, BytesMut};
use chronik_model::{LeaderEpoch, LogId, Offset, PartitionIndex, TopicId, TopicPartition, mutant};

use crate::checkpoint::SegmentCheckpoint;
use crate::codec::{Reader, Truncated, put_count, put_string};
use crate::log::SegmentId;

/// Version of the frame layout.
pub const JOURNAL_FORMAT_VERSION: u16 = 1;
/// First bytes of every frame: "CHJL".
pub const FRAME_MAGIC: u32 = 0x4C4A_4843;
/// Bytes of a frame's header.
pub const FRAME_HEADER_BYTES: usize = 80;
/// Frames start and end on this boundary, the largest that direct writes ask for in practice.
pub const FRAME_ALIGNMENT: usize = 4096;
/// Bytes of an operation's header.
pub const OPERATION_HEADER_BYTES: usize = 16;

const CHECKSUM_AT: std::ops::Range<usize> = 44..48;

/// No incarnation, generation, id or number of a frame gets here in the life of a directory, and all
/// of them can be counted up from here.
pub(crate) const MAX_COUNTER: u64 = u64::MAX / 2;

/// What the next frame must continue: a frame is only valid behind the one it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainLink {
    /// Start of the process that writes; every start writes a new one.
    pub incarnation: u64,
    /// Number of the next frame.
    pub sequence: u64,
    /// Checksum of the frame before it.
    pub previous_checksum: u32,
}

impl ChainLink {
    /// Where the chain of a new incarnation begins. The checksum is derived from the incarnation, so
    /// that no frame of an older one can be taken for its first.
    #[must_use]
    pub fn start(directory_id: &[u8; 16], incarnation: u64, sequence: u64) -> Self {
        let seed = crc32c::crc32c(directory_id);
        let previous_checksum = crc32c::crc32c_append(seed, &incarnation.to_le_bytes());
        Self {
            incarnation,
            sequence,
            previous_checksum,
        }
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The data directory; frames of another one are foreign.
    pub directory_id: [u8; 16],
    /// Place in the chain.
    pub link: ChainLink,
    /// CRC-32C of the whole frame, padding included, with this field zero.
    pub checksum: u32,
    /// Every frame up to this one was durable when this one was written.
    pub completed_sequence: u64,
    /// Frames below this one are no longer needed.
    pub trim_sequence: u64,
    /// Bytes of the whole frame, a multiple of [`FRAME_ALIGNMENT`].
    pub frame_bytes: u32,
    /// Bytes of operations behind the header.
    pub operation_bytes: u32,
}

/// Why bytes are not a frame of this journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// No magic, another directory, impossible lengths: never was a frame here.
    NotAFrame,
    /// A frame of a later format.
    UnknownVersion(u16),
    /// The checksum does not match: torn or damaged.
    BadChecksum,
}

impl FrameHeader {
    /// Reads and checks a header; the checksum is left to [`FrameHeader::verify`].
    ///
    /// # Errors
    /// Why it is no header of this journal.
    pub fn parse(bytes: &[u8], directory_id: &[u8; 16]) -> Result<Self, FrameError> {
        let header = Self::read(bytes).map_err(|Truncated| FrameError::NotAFrame)?;
        let (magic, version, header) = header;
        if magic != FRAME_MAGIC || header.directory_id != *directory_id {
            return Err(FrameError::NotAFrame);
        }
        if version != JOURNAL_FORMAT_VERSION {
            return Err(FrameError::UnknownVersion(version));
        }
        let frame_bytes = usize::try_from(header.frame_bytes).unwrap_or(0);
        let operations = usize::try_from(header.operation_bytes).unwrap_or(usize::MAX);
        let fits = operations.saturating_add(FRAME_HEADER_BYTES) <= frame_bytes;
        let counted = header.link.incarnation.max(header.link.sequence) <= MAX_COUNTER;
        if !fits || !counted || !frame_bytes.is_multiple_of(FRAME_ALIGNMENT) {
            return Err(FrameError::NotAFrame);
        }
        Ok(header)
    }

    fn read(bytes: &[u8]) -> Result<(u32, u16, Self), Truncated> {
        let mut reader = Reader::new(bytes);
        let magic = reader.u32()?;
        let version = reader.u16()?;
        let _flags = reader.u16()?;
        let directory_id = reader.id()?;
        let incarnation = reader.u64()?;
        let sequence = reader.u64()?;
        let previous_checksum = reader.u32()?;
        let header = Self {
            directory_id,
            link: ChainLink {
                incarnation,
                sequence,
                previous_checksum,
            },
            checksum: reader.u32()?,
            completed_sequence: reader.u64()?,
            trim_sequence: reader.u64()?,
            frame_bytes: reader.u32()?,
            operation_bytes: reader.u32()?,
        };
        Ok((magic, version, header))
    }

    /// Writes the header over the space kept free at the front of a sealed frame, checksum included,
    /// and returns that checksum.
    pub fn write(&self, frame: &mut [u8]) -> u32 {
        if let Some(space) = frame.get_mut(..FRAME_HEADER_BYTES) {
            self.put(space);
        }
        let checksum = crc32c::crc32c(frame);
        if let Some(space) = frame.get_mut(CHECKSUM_AT) {
            space.copy_from_slice(&checksum.to_le_bytes());
        }
        checksum
    }

    fn put(&self, mut header: &mut [u8]) {
        header.put_u32_le(FRAME_MAGIC);
        header.put_u16_le(JOURNAL_FORMAT_VERSION);
        header.put_u16_le(0);
        header.put_slice(&self.directory_id);
        header.put_u64_le(self.link.incarnation);
        header.put_u64_le(self.link.sequence);
        header.put_u32_le(self.link.previous_checksum);
        header.put_u32_le(0);
        header.put_u64_le(self.completed_sequence);
        header.put_u64_le(self.trim_sequence);
        header.put_u32_le(self.frame_bytes);
        header.put_u32_le(self.operation_bytes);
        header.fill(0);
    }

    /// Checks the checksum over the whole frame.
    ///
    /// # Errors
    /// [`FrameError::BadChecksum`], also when bytes are missing.
    pub fn verify(&self, frame: &[u8]) -> Result<(), FrameError> {
        let whole = usize::try_from(self.frame_bytes).is_ok_and(|bytes| frame.len() == bytes);
        let before = frame.get(..CHECKSUM_AT.start).filter(|_| whole);
        let after = frame.get(CHECKSUM_AT.end..);
        let (Some(before), Some(after)) = (before, after) else {
            return Err(FrameError::BadChecksum);
        };
        let checksum = crc32c::crc32c_append(crc32c::crc32c(before), &[0; 4]);
        let checksum = crc32c::crc32c_append(checksum, after);
        if checksum != self.checksum && !mutant!(FrameChecksumIgnored) {
            return Err(FrameError::BadChecksum);
        }
        Ok(())
    }
}

/// One operation of the journal, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation<'a> {
    /// A log id means this partition from here on.
    Open {
        /// The partition.
        partition: TopicPartition,
        /// Directory of its segments.
        directory: &'a str,
    },
    /// One record batch, as it stands in the segment.
    Append {
        /// First offset.
        base_offset: Offset,
        /// Last offset.
        last_offset: Offset,
        /// The batch.
        batch: &'a [u8],
    },
    /// Everything from this offset on is gone.
    Truncate {
        /// New end.
        end_offset: Offset,
        /// Generation that the log enters with it.
        generation: u32,
    },
    /// The log starts anew, empty, at this offset.
    Reset {
        /// New start and end.
        start_offset: Offset,
        /// Generation that the log enters with it.
        generation: u32,
    },
    /// Records below this offset are gone.
    LogStart {
        /// New start.
        start_offset: Offset,
    },
    /// A leader epoch begins here.
    EpochStart {
        /// The epoch.
        epoch: LeaderEpoch,
        /// Its first offset.
        start_offset: Offset,
    },
    /// The log and its files are gone.
    Delete,
    /// Everything below is durable in the segments; `unjournaled` says whether what follows is
    /// written to the segments only.
    RecoveryPoint {
        /// First offset that is not covered.
        offset: Offset,
        /// Segment that holds it.
        segment: Offset,
        /// Byte in that segment.
        position: u64,
        /// Whether appends that follow are not in the journal.
        unjournaled: bool,
        /// Generation that the log enters with it.
        generation: u32,
    },
    /// Raft's hard state of the metadata log.
    Vote {
        /// Term.
        term: u64,
        /// Node voted for, or 0.
        vote: u64,
        /// Highest index known to be committed.
        commit: u64,
    },
    /// Compaction has put one segment in the place of others.
    SegmentsReplaced(Replacement),
}

/// One segment in the place of others, by compaction. All that was in them lies below the recovery
/// point from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// Generation that the log enters with it.
    pub generation: u32,
    /// The new segment, which is durable.
    pub segment: SegmentCheckpoint,
    /// Where the replaced segments end.
    pub end: Offset,
    /// What lies below was compacted.
    pub clean_end: Offset,
    /// The replaced segments, oldest first; at most [`MAX_REPLACED_SEGMENTS`].
    pub replaced: Vec<SegmentId>,
}

/// Segments that one operation replaces at most, so that it fits a block of the journal.
pub const MAX_REPLACED_SEGMENTS: usize = 128;

const OPEN: u8 = 1;
const APPEND: u8 = 2;
const TRUNCATE: u8 = 3;
const RESET: u8 = 4;
const LOG_START: u8 = 5;
const EPOCH_START: u8 = 6;
const DELETE: u8 = 7;
const RECOVERY_POINT: u8 = 8;
const VOTE: u8 = 9;
const SEGMENTS_REPLACED: u8 = 10;

/// Version of the checkpoint whose layout of a segment SEGMENTS_REPLACED uses.
const SEGMENT_LAYOUT: u16 = 2;

/// Replay must understand this operation; one that it does not know and that lacks the flag is
/// passed over.
const CRITICAL: u8 = 1;

impl Operation<'_> {
    const fn kind(&self) -> u8 {
        match self {
            Self::Open { .. } => OPEN,
            Self::Append { .. } => APPEND,
            Self::Truncate { .. } => TRUNCATE,
            Self::Reset { .. } => RESET,
            Self::LogStart { .. } => LOG_START,
            Self::EpochStart { .. } => EPOCH_START,
            Self::Delete => DELETE,
            Self::RecoveryPoint { .. } => RECOVERY_POINT,
            Self::Vote { .. } => VOTE,
            Self::SegmentsReplaced(_) => SEGMENTS_REPLACED,
        }
    }

    /// Bytes of the batch that the operation carries, if any.
    #[must_use]
    pub const fn batch_bytes(&self) -> usize {
        match self {
            Self::Append { batch, .. } => batch.len(),
            Self::Open { .. }
            | Self::Truncate { .. }
            | Self::Reset { .. }
            | Self::LogStart { .. }
            | Self::EpochStart { .. }
            | Self::Delete
            | Self::RecoveryPoint { .. }
            | Self::Vote { .. }
            | Self::SegmentsReplaced(_) => 0,
        }
    }

    /// Appends the operation to a frame and returns where its batch starts, if it has one.
    pub fn write(&self, log_id: LogId, out: &mut BytesMut) -> usize {
        let start = out.len();
        out.put_u32_le(0);
        out.put_u8(self.kind());
        out.put_u8(CRITICAL);
        out.put_u16_le(0);
        out.put_u64_le(log_id.0);
        let batch_at = self.write_body(out);
        let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
        if let Some(space) = out.get_mut(start..start + 4) {
            space.copy_from_slice(&length.to_le_bytes());
        }
        batch_at
    }

    fn write_body(&self, out: &mut BytesMut) -> usize {
        match self {
            Self::Open {
                partition,
                directory,
            } => {
                out.put_slice(&partition.topic_id.0);
                out.put_i32_le(partition.partition.0);
                put_string(out, directory);
            }
            Self::Append {
                base_offset,
                last_offset,
                batch,
            } => {
                out.put_i64_le(base_offset.0);
                out.put_i64_le(last_offset.0);
                let batch_at = out.len();
                out.put_slice(batch);
                return batch_at;
            }
            Self::Truncate {
                end_offset: offset,
                generation,
            }
            | Self::Reset {
                start_offset: offset,
                generation,
            } => {
                out.put_i64_le(offset.0);
                out.put_u32_le(*generation);
            }
            Self::LogStart { start_offset } => out.put_i64_le(start_offset.0),
            Self::EpochStart {
                epoch,
                start_offset,
            } => {
                out.put_i32_le(epoch.0);
                out.put_i64_le(start_offset.0);
            }
            Self::Delete => {}
            Self::RecoveryPoint {
                offset,
                segment,
                position,
                unjournaled,
                generation,
            } => {
                out.put_i64_le(offset.0);
                out.put_i64_le(segment.0);
                out.put_u64_le(*position);
                out.put_u8(u8::from(*unjournaled));
                out.put_u32_le(*generation);
            }
            Self::Vote { term, vote, commit } => {
                out.put_u64_le(*term);
                out.put_u64_le(*vote);
                out.put_u64_le(*commit);
            }
            Self::SegmentsReplaced(replacement) => write_replacement(replacement, out),
        }
        out.len()
    }
}

/// Why a frame with a good checksum can not be replayed: written by a later version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// Lengths do not fit, although the checksum does.
    #[error("an operation's lengths do not fit its frame")]
    Malformed,
    /// A critical operation of a later version.
    #[error("operation kind {0} needs a later version of Chronik")]
    UnknownKind(u8),
}

impl From<Truncated> for OperationError {
    fn from(Truncated: Truncated) -> Self {
        Self::Malformed
    }
}

/// Walks the operations of a frame.
#[derive(Debug, Clone)]
pub struct Operations<'a> {
    reader: Reader<'a>,
}

impl<'a> Operations<'a> {
    /// `operations` are the bytes between header and padding.
    #[must_use]
    pub const fn new(operations: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(operations),
        }
    }

    fn read(&mut self) -> Result<Option<(LogId, Operation<'a>)>, OperationError> {
        let length =
            usize::try_from(self.reader.u32()?).map_err(|_large| OperationError::Malformed)?;
        let kind = self.reader.u8()?;
        let flags = self.reader.u8()?;
        let _version = self.reader.u16()?;
        let log_id = LogId(self.reader.u64()?);
        let body = length
            .checked_sub(OPERATION_HEADER_BYTES)
            .ok_or(OperationError::Malformed)?;
        let body = Reader::new(self.reader.bytes(body)?);
        match read_operation(kind, body)? {
            Some(operation) => Ok(Some((log_id, operation))),
            None if flags & CRITICAL == 0 => Ok(None),
            None => Err(OperationError::UnknownKind(kind)),
        }
    }
}

fn write_replacement(replacement: &Replacement, out: &mut BytesMut) {
    out.put_u32_le(replacement.generation);
    out.put_i64_le(replacement.end.0);
    out.put_i64_le(replacement.clean_end.0);
    replacement.segment.encode(out);
    put_count(out, replacement.replaced.len());
    for replaced in &replacement.replaced {
        out.put_i64_le(replaced.base_offset.0);
        out.put_u32_le(replaced.generation);
    }
}

fn read_replacement(body: &mut Reader<'_>) -> Result<Replacement, Truncated> {
    let mut replacement = Replacement {
        generation: body.u32()?,
        end: Offset(body.i64()?),
        clean_end: Offset(body.i64()?),
        segment: SegmentCheckpoint::decode(body, SEGMENT_LAYOUT)?,
        replaced: Vec::new(),
    };
    for _ in 0..body.count(12)? {
        replacement.replaced.push(SegmentId {
            base_offset: Offset(body.i64()?),
            generation: body.u32()?,
        });
    }
    Ok(replacement)
}

fn read_operation(kind: u8, mut body: Reader<'_>) -> Result<Option<Operation<'_>>, Truncated> {
    let operation = match kind {
        OPEN => Operation::Open {
            partition: TopicPartition {
                topic_id: TopicId(body.id()?),
                partition: PartitionIndex(body.i32()?),
            },
            directory: body.string()?,
        },
        APPEND => Operation::Append {
            base_offset: Offset(body.i64()?),
            last_offset: Offset(body.i64()?),
            batch: body.rest(),
        },
        TRUNCATE => Operation::Truncate {
            end_offset: Offset(body.i64()?),
            generation: body.u32()?,
        },
        RESET => Operation::Reset {
            start_offset: Offset(body.i64()?),
            generation: body.u32()?,
        },
        LOG_START => Operation::LogStart {
            start_offset: Offset(body.i64()?),
        },
        EPOCH_START => Operation::EpochStart {
            epoch: LeaderEpoch(body.i32()?),
            start_offset: Offset(body.i64()?),
        },
        DELETE => Operation::Delete,
        RECOVERY_POINT => Operation::RecoveryPoint {
            offset: Offset(body.i64()?),
            segment: Offset(body.i64()?),
            position: body.u64()?,
            unjournaled: body.u8()? != 0,
            generation: body.u32()?,
        },
        VOTE => Operation::Vote {
            term: body.u64()?,
            vote: body.u64()?,
            commit: body.u64()?,
        },
        SEGMENTS_REPLACED => Operation::SegmentsReplaced(read_replacement(&mut body)?),
        _ => return Ok(None),
    };
    Ok(Some(operation))
}

impl<'a> Iterator for Operations<'a> {
    type Item = Result<(LogId, Operation<'a>), OperationError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.reader.rest().is_empty() {
            match self.read() {
                Ok(Some(operation)) => return Some(Ok(operation)),
                Ok(None) => {}
                Err(error) => {
                    self.reader = Reader::new(&[]);
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_operation() -> Vec<Operation<'static>> {
        vec![
            Operation::Open {
                partition: TopicPartition {
                    topic_id: TopicId([7; 16]),
                    partition: PartitionIndex(3),
                },
                directory: "topics/a-3.9",
            },
            Operation::Append {
                base_offset: Offset(5),
                last_offset: Offset(7),
                batch: b"batch",
            },
            Operation::Truncate {
                end_offset: Offset(6),
                generation: 1,
            },
            Operation::Reset {
                start_offset: Offset(60),
                generation: 2,
            },
            Operation::LogStart {
                start_offset: Offset(61),
            },
            Operation::EpochStart {
                epoch: LeaderEpoch(4),
                start_offset: Offset(62),
            },
            Operation::Delete,
            Operation::RecoveryPoint {
                offset: Offset(1),
                segment: Offset(0),
                position: 99,
                unjournaled: true,
                generation: 3,
            },
            Operation::Vote {
                term: 1,
                vote: 2,
                commit: 3,
            },
            Operation::SegmentsReplaced(Replacement {
                generation: 4,
                segment: SegmentCheckpoint {
                    id: SegmentId {
                        base_offset: Offset(0),
                        generation: 1,
                    },
                    bytes: 77,
                    max_timestamp_ms: 5,
                    max_timestamp_offset: Offset(3),
                    first_timestamp_ms: Some(4),
                },
                end: Offset(50),
                clean_end: Offset(100),
                replaced: vec![SegmentId::appended(Offset(0)); MAX_REPLACED_SEGMENTS],
            }),
        ]
    }

    #[test]
    fn operations_come_back_as_they_were_written() {
        let mut bytes = BytesMut::new();
        for operation in every_operation() {
            operation.write(LogId(9), &mut bytes);
        }
        assert!(bytes.len() < FRAME_ALIGNMENT, "operations fit a block");
        let read: Vec<_> = Operations::new(&bytes).map(|read| read.unwrap()).collect();
        let expected: Vec<_> = every_operation()
            .into_iter()
            .map(|op| (LogId(9), op))
            .collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn unknown_operations_are_refused_unless_ignorable() {
        let mut bytes = BytesMut::new();
        Operation::Delete.write(LogId(1), &mut bytes);
        bytes[4] = 200;
        let read: Vec<_> = Operations::new(&bytes).collect();
        assert_eq!(read, vec![Err(OperationError::UnknownKind(200))]);
        bytes[5] = 0;
        assert_eq!(Operations::new(&bytes).count(), 0);
    }

    #[test]
    fn one_changed_byte_anywhere_breaks_the_frame() {
        let header = FrameHeader {
            directory_id: [1; 16],
            link: ChainLink {
                incarnation: 2,
                sequence: 3,
                previous_checksum: 4,
            },
            checksum: 0,
            completed_sequence: 2,
            trim_sequence: 1,
            frame_bytes: 4096,
            operation_bytes: 10,
        };
        let mut frame = vec![0xAB; 4096];
        header.write(&mut frame);
        let check = |frame: &[u8]| {
            FrameHeader::parse(frame, &[1; 16]).and_then(|header| header.verify(frame))
        };
        assert_eq!(check(&frame), Ok(()));
        for position in (0..4096).filter(|position| !(6..8).contains(position)) {
            frame[position] ^= 1;
            assert!(check(&frame).is_err(), "byte {position}");
            frame[position] ^= 1;
        }
    }
}
