//! The header of a batch.

use super::error::BatchError;
use crate::compression::Codec;
use crate::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// Bytes of a batch header; the records follow.
pub const HEADER_BYTES: usize = 61;

/// Bytes up to and including the length field, which that field does not count.
pub const LOG_OVERHEAD_BYTES: usize = 12;

/// "No timestamp", in records and headers.
pub const NO_TIMESTAMP: i64 = -1;

/// Where the timestamps of a batch come from (KIP-32).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer set them, record by record.
    CreateTime,
    /// The leader set one for the whole batch: the max timestamp.
    LogAppendTime,
}

/// A decoded header. Its existence says: format 2, a length that holds a header, a last offset not
/// before the first, and no more records than offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    base_offset: Offset,
    size_bytes: usize,
    leader_epoch: LeaderEpoch,
    crc: u32,
    attributes: i16,
    last_offset_delta: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    base_sequence: i32,
    record_count: i32,
}

impl BatchHeader {
    /// Decodes the header at the front of `bytes`; the batch itself need not be there.
    ///
    /// # Errors
    /// The structural rule that the bytes break. Checksum, records and attributes are not looked
    /// at.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        match bytes.get(MAGIC_AT).map(|magic| i8::from_be_bytes([*magic])) {
            Some(MAGIC) | None => {}
            Some(magic @ 0..MAGIC) => return Err(BatchError::UnsupportedMagic { magic }),
            Some(magic) => return Err(BatchError::UnknownMagic { magic }),
        }
        let decoded = Self::decode(bytes);
        let too_short = BatchError::TooShort {
            present: bytes.len(),
            needed: HEADER_BYTES,
        };
        let (header, batch_length) = decoded.ok_or(too_short)?;
        if header.size_bytes < HEADER_BYTES {
            return Err(BatchError::InvalidLength { batch_length });
        }
        let last_offset_delta = header.last_offset_delta;
        if last_offset_delta < 0 {
            return Err(BatchError::InvalidOffsetDelta { last_offset_delta });
        }
        let record_count = header.record_count;
        if record_count < 0 || record_count.saturating_sub(1) > last_offset_delta {
            return Err(BatchError::InvalidRecordCount {
                record_count,
                last_offset_delta,
            });
        }
        Ok(header)
    }

    /// The header and its length field; `None` when the bytes are too few.
    #[inline]
    fn decode(bytes: &[u8]) -> Option<(Self, i32)> {
        let mut rest = bytes.first_chunk::<HEADER_BYTES>()?.as_slice();
        let rest = &mut rest;
        let base_offset = Offset(i64::from_be_bytes(take(rest)?));
        let batch_length = i32::from_be_bytes(take(rest)?);
        let leader_epoch = LeaderEpoch(i32::from_be_bytes(take(rest)?));
        let [_magic] = take(rest)?;
        let header = Self {
            base_offset,
            size_bytes: usize::try_from(batch_length)
                .map_or(0, |length| length.saturating_add(LOG_OVERHEAD_BYTES)),
            leader_epoch,
            crc: u32::from_be_bytes(take(rest)?),
            attributes: i16::from_be_bytes(take(rest)?),
            last_offset_delta: i32::from_be_bytes(take(rest)?),
            base_timestamp: i64::from_be_bytes(take(rest)?),
            max_timestamp: i64::from_be_bytes(take(rest)?),
            producer_id: ProducerId(i64::from_be_bytes(take(rest)?)),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(take(rest)?)),
            base_sequence: i32::from_be_bytes(take(rest)?),
            record_count: i32::from_be_bytes(take(rest)?),
        };
        Some((header, batch_length))
    }

    /// Offset of the first record, whether or not compaction left it.
    #[must_use]
    pub const fn base_offset(&self) -> Offset {
        self.base_offset
    }

    /// Offset of the last record, whether or not compaction left it.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// The offset after the batch.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.last_offset().next()
    }

    /// Last offset less base offset; not negative.
    #[must_use]
    pub const fn last_offset_delta(&self) -> i32 {
        self.last_offset_delta
    }

    /// Bytes of the whole batch, header included.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Epoch of the leader that appended the batch.
    #[must_use]
    pub const fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The stored CRC-32C of everything behind it.
    #[must_use]
    pub const fn crc(&self) -> u32 {
        self.crc
    }

    /// The attribute bits as they stand.
    #[must_use]
    pub const fn attributes(&self) -> i16 {
        self.attributes
    }

    /// How the records are compressed.
    ///
    /// # Errors
    /// [`BatchError::UnknownCodec`] for numbers that Kafka has not assigned.
    #[inline]
    pub fn compression(&self) -> Result<Codec, BatchError> {
        let [_, low] = self.attributes.to_be_bytes();
        let id = low & CODEC_MASK;
        Codec::from_id(id).ok_or(BatchError::UnknownCodec { id })
    }

    /// Where the timestamps come from.
    #[must_use]
    pub const fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub const fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether the batch holds a control record, such as a transaction marker.
    #[must_use]
    pub const fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Wall-clock milliseconds after which compaction may drop the batch's tombstones and markers
    /// (KIP-534); `None` until compaction has set it.
    #[must_use]
    pub const fn delete_horizon_ms(&self) -> Option<i64> {
        if self.attributes & DELETE_HORIZON == 0 {
            None
        } else {
            Some(self.base_timestamp)
        }
    }

    /// What the records' timestamp deltas are relative to, in milliseconds.
    #[must_use]
    pub const fn base_timestamp(&self) -> i64 {
        self.base_timestamp
    }

    /// The largest timestamp of the records as the producer states it, or the time of the append;
    /// milliseconds since the Unix epoch, [`NO_TIMESTAMP`] for none.
    #[must_use]
    pub const fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// The producer; [`ProducerId::NONE`] (or another negative number) without idempotence.
    #[must_use]
    pub const fn producer_id(&self) -> ProducerId {
        self.producer_id
    }

    /// Whether the batch is from an idempotent or transactional producer.
    #[must_use]
    pub const fn has_producer_id(&self) -> bool {
        self.producer_id.0 >= 0
    }

    /// Epoch of the producer; negative without a producer id.
    #[must_use]
    pub const fn producer_epoch(&self) -> ProducerEpoch {
        self.producer_epoch
    }

    /// Sequence number of the first record; negative without a producer id.
    #[must_use]
    pub const fn base_sequence(&self) -> i32 {
        self.base_sequence
    }

    /// Sequence number of the last record. Numbers wrap from `i32::MAX` to 0; negative when the
    /// batch has none.
    #[must_use]
    pub const fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }

    /// Number of records; less than the number of offsets after compaction.
    #[must_use]
    pub const fn record_count(&self) -> i32 {
        self.record_count
    }
}

/// Splits `N` bytes off the front.
#[inline]
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

/// The format of this module.
pub(super) const MAGIC: i8 = 2;
const MAGIC_AT: usize = 16;

/// First byte that the CRC covers.
pub(super) const CRC_FROM: usize = 21;

pub(super) const CODEC_MASK: u8 = 0b111;
pub(super) const LOG_APPEND_TIME: i16 = 1 << 3;
pub(super) const TRANSACTIONAL: i16 = 1 << 4;
pub(super) const CONTROL: i16 = 1 << 5;
pub(super) const DELETE_HORIZON: i16 = 1 << 6;
