//! Where recovery starts: one file for the whole directory, in two generations.
//!
//! `docs/formats/checkpoint.md` draws the bytes.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use chronik_model::{LeaderEpoch, LogId, Offset, PartitionIndex, TopicId, TopicPartition, mutant};

use crate::codec::{Reader, Truncated, put_count, put_string};
use crate::journal::format::{ChainLink, MAX_COUNTER};
use crate::journal::ring::JournalStart;
use crate::log::cut::CutState;
use crate::log::producers::ProducerTable;
use crate::log::{EpochHistory, PartitionLog, RecoveryPoint, Segment, SegmentId};

/// Version of the checkpoint file; the first one is read too.
pub const CHECKPOINT_FORMAT_VERSION: u16 = 2;
/// First bytes of the file: "CHCK".
pub const CHECKPOINT_MAGIC: u32 = 0x4B43_4843;
/// No log gets here in its life, and all offsets can be counted up from here.
const MAX_OFFSET: Offset = Offset(i64::MAX / 2);
/// The two generations; a new checkpoint replaces the older one.
pub const CHECKPOINT_PATHS: [&str; 2] = ["checkpoint.0", "checkpoint.1"];

/// Raft's hard state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vote {
    /// Term.
    pub term: u64,
    /// Node voted for, or 0.
    pub vote: u64,
    /// Highest index known to be committed.
    pub commit: u64,
}

/// A segment that is durable, at least in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentCheckpoint {
    /// Which segment.
    pub id: SegmentId,
    /// Bytes that are durable.
    pub bytes: u64,
    /// Largest timestamp, in ms.
    pub max_timestamp_ms: i64,
    /// First offset of the batch that has it.
    pub max_timestamp_offset: Offset,
    /// Timestamp of the first batch, in ms.
    pub first_timestamp_ms: Option<i64>,
}

impl SegmentCheckpoint {
    /// The durable part of a segment.
    #[must_use]
    pub const fn of(segment: &Segment) -> Self {
        Self {
            id: segment.id(),
            bytes: segment.synced_bytes,
            max_timestamp_ms: segment.max_timestamp_ms,
            max_timestamp_offset: segment.max_timestamp_offset,
            first_timestamp_ms: segment.first_timestamp_ms,
        }
    }

    pub(crate) fn encode(&self, out: &mut impl BufMut) {
        out.put_i64_le(self.id.base_offset.0);
        out.put_u32_le(self.id.generation);
        out.put_u64_le(self.bytes);
        out.put_i64_le(self.max_timestamp_ms);
        out.put_i64_le(self.max_timestamp_offset.0);
        out.put_i64_le(self.first_timestamp_ms.unwrap_or(i64::MIN));
    }

    pub(crate) fn decode(reader: &mut Reader<'_>, version: u16) -> Result<Self, Truncated> {
        Ok(Self {
            id: SegmentId {
                base_offset: Offset(reader.i64()?),
                generation: if version < 2 { 0 } else { reader.u32()? },
            },
            bytes: reader.u64()?,
            max_timestamp_ms: reader.i64()?,
            max_timestamp_offset: Offset(reader.i64()?),
            first_timestamp_ms: Some(reader.i64()?).filter(|first| *first != i64::MIN),
        })
    }
}

/// A truncation or reset that is reflected in a checkpoint, but may be in the journal only later, or
/// never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutCheckpoint {
    /// Generation that the log entered with it.
    pub generation: u32,
    /// What stood at or behind this offset is gone.
    pub end: Offset,
    /// Where the log goes on, if it was emptied.
    pub restart: Option<Offset>,
}

/// One log's state at its recovery point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCheckpoint {
    /// The log.
    pub log_id: LogId,
    /// What it is the log of.
    pub partition: TopicPartition,
    /// Directory of its segments.
    pub directory: Arc<str>,
    /// Generation of the log, which orders this state among the journal's operations.
    pub generation: u32,
    /// Truncations and resets that the journal did not have yet.
    pub cuts: Vec<CutCheckpoint>,
    /// Why the log can not be used, if so; it stays unusable until it is deleted.
    pub failed: Option<String>,
    /// First offset that can be read; may be above the recovery point.
    pub log_start: Offset,
    /// What lies below was compacted.
    pub clean_end: Offset,
    /// Everything below is durable in the segments.
    pub recovery_point: RecoveryPoint,
    /// Segments up to the recovery point, oldest first.
    pub segments: Vec<SegmentCheckpoint>,
    /// Leader epochs.
    pub epochs: EpochHistory,
    /// Idempotent producers; may be ahead of the recovery point, never behind.
    pub producers: ProducerTable,
}

impl LogCheckpoint {
    /// The state of a log as it may be relied on after a crash.
    #[must_use]
    pub fn of(log: &PartitionLog) -> Self {
        let recovery_point = log.recovery_point();
        let durable = log
            .segments
            .iter()
            .filter(|segment| segment.base_offset <= recovery_point.segment);
        let segments = durable.map(SegmentCheckpoint::of);
        Self {
            log_id: log.log_id,
            partition: log.partition,
            directory: Arc::clone(&log.directory),
            generation: log.journaled_generation,
            cuts: pending_cuts(log),
            failed: log.failed.clone(),
            log_start: log.log_start,
            clean_end: log.compaction.clean_end,
            recovery_point,
            segments: segments.collect(),
            epochs: log.epochs.clone(),
            producers: if mutant!(ProducersNotInCheckpoint) {
                ProducerTable::default()
            } else {
                log.producers.clone()
            },
        }
    }

    /// Whether a log can ever be like this: recovery removes what its checkpoint does not tell of. The
    /// log start may lie above the recovery point, where only the journal has what follows.
    fn is_possible(&self) -> bool {
        let RecoveryPoint {
            offset, segment, ..
        } = self.recovery_point;
        let bases = self.segments.iter().map(|segment| segment.id.base_offset);
        let mut bounds = bases.clone().chain([segment, offset, self.log_start]);
        bounds.all(|bound| (Offset::ZERO..=MAX_OFFSET).contains(&bound))
            && bases
                .clone()
                .zip(bases.skip(1))
                .all(|(one, next)| one < next)
            && self
                .segments
                .last()
                .is_none_or(|last| last.id.base_offset <= segment)
    }
}

/// The state of a data directory at one point of its journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Counts checkpoints; the larger one is newer.
    pub generation: u64,
    /// The data directory.
    pub directory_id: [u8; 16],
    /// Where replay starts.
    pub start: JournalStart,
    /// Raft's hard state of the metadata log.
    pub vote: Vote,
    /// No log has this id or a larger one.
    pub next_log_id: u64,
    /// The logs.
    pub logs: Vec<LogCheckpoint>,
}

impl Checkpoint {
    /// The file that takes this generation.
    #[must_use]
    pub const fn path(&self) -> &'static str {
        if self.generation.is_multiple_of(2) {
            CHECKPOINT_PATHS[0]
        } else {
            CHECKPOINT_PATHS[1]
        }
    }

    /// Bytes of the file.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u32_le(CHECKPOINT_MAGIC);
        out.put_u16_le(CHECKPOINT_FORMAT_VERSION);
        out.put_u16_le(0);
        out.put_u64_le(self.generation);
        out.put_slice(&self.directory_id);
        out.put_u32_le(u32::try_from(self.start.file).unwrap_or(u32::MAX));
        out.put_u64_le(self.start.link.incarnation);
        out.put_u64_le(self.start.link.sequence);
        out.put_u32_le(self.start.link.previous_checksum);
        out.put_u64_le(self.vote.term);
        out.put_u64_le(self.vote.vote);
        out.put_u64_le(self.vote.commit);
        out.put_u64_le(self.next_log_id);
        put_count(&mut out, self.logs.len());
        for log in &self.logs {
            encode_log(log, &mut out);
        }
        let checksum = crc32c::crc32c(&out);
        out.put_u32_le(checksum);
        out.freeze()
    }

    /// Reads a checkpoint back, of whichever directory; `None` for anything that is not whole and of
    /// this version.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, checksum) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(content) != u32::from_le_bytes(*checksum) {
            return None;
        }
        Self::read(content).ok().flatten()
    }

    fn read(content: &[u8]) -> Result<Option<Self>, Truncated> {
        let mut reader = Reader::new(content);
        let magic = reader.u32()?;
        let version = reader.u16()?;
        let _flags = reader.u16()?;
        if magic != CHECKPOINT_MAGIC || !(1..=CHECKPOINT_FORMAT_VERSION).contains(&version) {
            return Ok(None);
        }
        let generation = reader.u64()?;
        let directory_id = reader.id()?;
        let file = usize::try_from(reader.u32()?).map_err(|_large| Truncated)?;
        let link = ChainLink {
            incarnation: reader.u64()?,
            sequence: reader.u64()?,
            previous_checksum: reader.u32()?,
        };
        let vote = Vote {
            term: reader.u64()?,
            vote: reader.u64()?,
            commit: reader.u64()?,
        };
        let next_log_id = reader.u64()?;
        let counters = [generation, link.incarnation, link.sequence, next_log_id];
        if counters.iter().any(|counter| *counter > MAX_COUNTER) {
            return Ok(None);
        }
        let count = reader.count(64)?;
        let logs: Vec<LogCheckpoint> = (0..count)
            .map(|_| decode_log(&mut reader, version))
            .collect::<Result<_, _>>()?;
        if !logs.iter().all(LogCheckpoint::is_possible) {
            return Ok(None);
        }
        let start = JournalStart { file, link };
        Ok(Some(Self {
            generation,
            directory_id,
            start,
            vote,
            next_log_id,
            logs,
        }))
    }
}

fn pending_cuts(log: &PartitionLog) -> Vec<CutCheckpoint> {
    let pending = log.cuts.iter();
    pending
        .filter(|cut| cut.state == CutState::Journaling)
        .map(|cut| CutCheckpoint {
            generation: cut.generation,
            end: cut.end,
            restart: cut.restart,
        })
        .collect()
}

fn encode_log(log: &LogCheckpoint, out: &mut BytesMut) {
    out.put_u64_le(log.log_id.0);
    out.put_slice(&log.partition.topic_id.0);
    out.put_i32_le(log.partition.partition.0);
    put_string(out, &log.directory);
    out.put_u32_le(log.generation);
    put_count(out, log.cuts.len());
    for cut in &log.cuts {
        out.put_u32_le(cut.generation);
        out.put_i64_le(cut.end.0);
        out.put_i64_le(cut.restart.map_or(i64::MIN, |restart| restart.0));
    }
    put_string(out, log.failed.as_deref().unwrap_or_default());
    out.put_i64_le(log.log_start.0);
    out.put_i64_le(log.clean_end.0);
    out.put_i64_le(log.recovery_point.offset.0);
    out.put_i64_le(log.recovery_point.segment.0);
    out.put_u64_le(log.recovery_point.position);
    out.put_u8(u8::from(log.recovery_point.unjournaled));
    put_count(out, log.segments.len());
    for segment in &log.segments {
        segment.encode(out);
    }
    put_count(out, log.epochs.pairs().len());
    for (epoch, start) in log.epochs.pairs() {
        out.put_i32_le(epoch.0);
        out.put_i64_le(start.0);
    }
    log.producers.encode(out);
}

fn decode_log(reader: &mut Reader<'_>, version: u16) -> Result<LogCheckpoint, Truncated> {
    let log_id = LogId(reader.u64()?);
    let topic_id = TopicId(reader.id()?);
    let partition = TopicPartition {
        topic_id,
        partition: PartitionIndex(reader.i32()?),
    };
    let directory = reader.string()?.into();
    let generation = reader.u32()?;
    let mut cuts = Vec::new();
    for _ in 0..reader.count(20)? {
        cuts.push(CutCheckpoint {
            generation: reader.u32()?,
            end: Offset(reader.i64()?),
            restart: Some(Offset(reader.i64()?)).filter(|restart| restart.0 != i64::MIN),
        });
    }
    let failed = Some(reader.string()?).filter(|reason| !reason.is_empty());
    let log_start = Offset(reader.i64()?);
    let clean_end = Offset(if version < 2 { i64::MIN } else { reader.i64()? });
    let recovery_point = RecoveryPoint {
        offset: Offset(reader.i64()?),
        segment: Offset(reader.i64()?),
        position: reader.u64()?,
        unjournaled: reader.u8()? != 0,
    };
    let count = reader.count(40)?;
    let segments = (0..count)
        .map(|_| SegmentCheckpoint::decode(reader, version))
        .collect::<Result<_, _>>()?;
    let mut epochs = Vec::new();
    for _ in 0..reader.count(12)? {
        epochs.push((LeaderEpoch(reader.i32()?), Offset(reader.i64()?)));
    }
    Ok(LogCheckpoint {
        log_id,
        partition,
        directory,
        generation,
        cuts,
        failed: failed.map(str::to_owned),
        log_start,
        clean_end,
        recovery_point,
        segments,
        epochs: EpochHistory::from_pairs(epochs),
        producers: ProducerTable::decode(reader, version)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Checkpoint {
        let log = LogCheckpoint {
            log_id: LogId(3),
            partition: TopicPartition {
                topic_id: TopicId([5; 16]),
                partition: PartitionIndex(1),
            },
            directory: "topics/a-1.3".into(),
            generation: 2,
            cuts: vec![CutCheckpoint {
                generation: 3,
                end: Offset(80),
                restart: None,
            }],
            failed: Some("gone".to_owned()),
            log_start: Offset(4),
            clean_end: Offset(50),
            recovery_point: RecoveryPoint {
                offset: Offset(90),
                segment: Offset(50),
                position: 777,
                unjournaled: false,
            },
            segments: vec![SegmentCheckpoint {
                id: SegmentId {
                    base_offset: Offset(50),
                    generation: 7,
                },
                bytes: 777,
                max_timestamp_ms: 12,
                max_timestamp_offset: Offset(60),
                first_timestamp_ms: None,
            }],
            epochs: EpochHistory::from_pairs([(LeaderEpoch(1), Offset(0))]),
            producers: ProducerTable::default(),
        };
        Checkpoint {
            generation: 9,
            directory_id: [1; 16],
            start: JournalStart {
                file: 2,
                link: ChainLink::start(&[1; 16], 4, 1000),
            },
            vote: Vote {
                term: 1,
                vote: 1,
                commit: 8,
            },
            next_log_id: 4,
            logs: vec![log],
        }
    }

    /// The sample as the first format has it.
    fn first_format() -> Bytes {
        let mut out = BytesMut::new();
        out.put_u32_le(CHECKPOINT_MAGIC);
        out.put_u16_le(1);
        out.put_u16_le(0);
        out.put_u64_le(9);
        out.put_slice(&[1; 16]);
        let start = sample().start;
        out.put_u32_le(2);
        out.put_u64_le(start.link.incarnation);
        out.put_u64_le(start.link.sequence);
        out.put_u32_le(start.link.previous_checksum);
        for field in [1, 1, 8, 4] {
            out.put_u64_le(field);
        }
        out.put_u32_le(1);
        out.put_u64_le(3);
        out.put_slice(&[5; 16]);
        out.put_i32_le(1);
        put_string(&mut out, "topics/a-1.3");
        out.put_u32_le(2);
        out.put_u32_le(1);
        out.put_u32_le(3);
        out.put_i64_le(80);
        out.put_i64_le(i64::MIN);
        put_string(&mut out, "gone");
        for field in [4, 90, 50, 777] {
            out.put_i64_le(field);
        }
        out.put_u8(0);
        out.put_u32_le(1);
        for field in [50, 777, 12, 60, i64::MIN] {
            out.put_i64_le(field);
        }
        out.put_u32_le(1);
        out.put_i32_le(1);
        out.put_i64_le(0);
        out.put_u32_le(0);
        let checksum = crc32c::crc32c(&out);
        out.put_u32_le(checksum);
        out.freeze()
    }

    #[test]
    fn the_first_format_is_still_read() {
        let mut expected = sample();
        for log in &mut expected.logs {
            log.clean_end = Offset(i64::MIN);
            log.segments[0].id = SegmentId::appended(Offset(50));
        }
        assert_eq!(Checkpoint::decode(&first_format()), Some(expected));
    }

    #[test]
    fn a_log_that_can_not_be_is_damage() {
        let check = |change: &dyn Fn(&mut LogCheckpoint), possible: bool| {
            let mut changed = sample();
            change(&mut changed.logs[0]);
            let decoded = Checkpoint::decode(&changed.encode());
            assert_eq!(decoded.is_some(), possible, "{:?}", changed.logs[0]);
        };
        check(&|log| log.log_start = Offset(91), true);
        check(&|log| log.log_start = Offset(-1), false);
        check(&|log| log.log_start = Offset(i64::MAX), false);
        check(&|log| log.recovery_point.offset = Offset(-1), false);
        check(&|log| log.recovery_point.segment = Offset(49), false);
        check(&|log| log.segments[0].id.base_offset = Offset(-1), false);
        check(&|log| log.segments.push(log.segments[0].clone()), false);
        check(&|log| log.segments.clear(), true);
    }

    #[test]
    fn a_checkpoint_comes_back_whole_or_not_at_all() {
        let bytes = sample().encode();
        assert_eq!(Checkpoint::decode(&bytes), Some(sample()));
        for position in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[position] ^= 4;
            assert_eq!(Checkpoint::decode(&damaged), None, "byte {position}");
        }
    }
}
