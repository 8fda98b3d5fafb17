//! Writing batches.

use super::header::{
    BatchHeader, CODEC_MASK, CONTROL, CRC_FROM, DELETE_HORIZON, HEADER_BYTES, LOG_APPEND_TIME,
    LOG_OVERHEAD_BYTES, MAGIC, NO_TIMESTAMP, TRANSACTIONAL, TimestampType,
};
use super::patch::{ATTRIBUTES_AT, BATCH_LENGTH_AT, CRC_AT, put};
use super::record::Header;
use super::varint;
use crate::compression::{Codec, CompressionError, compress};
use crate::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// The fields of a batch that its records do not determine. The default is what a producer without
/// idempotence sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSpec {
    /// Offset of the first record.
    pub base_offset: Offset,
    /// Epoch of the leader that appends the batch.
    pub leader_epoch: LeaderEpoch,
    /// The idempotent producer, if any.
    pub producer: Option<ProducerState>,
    /// How the records are compressed.
    pub codec: Codec,
    /// The codec's own scale; `None` for its default.
    pub level: Option<i32>,
    /// Where the timestamps come from. With `LogAppendTime` the largest appended timestamp counts
    /// for all records.
    pub timestamp_type: TimestampType,
    /// Whether the batch belongs to a transaction.
    pub transactional: bool,
    /// Whether the batch holds a control record.
    pub control: bool,
    /// Wall-clock milliseconds after which tombstones and markers may go (KIP-534).
    pub delete_horizon_ms: Option<i64>,
}

impl Default for BatchSpec {
    fn default() -> Self {
        Self {
            base_offset: Offset::ZERO,
            leader_epoch: LeaderEpoch::NONE,
            producer: None,
            codec: Codec::None,
            level: None,
            timestamp_type: TimestampType::CreateTime,
            transactional: false,
            control: false,
            delete_horizon_ms: None,
        }
    }
}

impl BatchSpec {
    /// The fields of an existing batch, for a copy with other records, as compaction writes it.
    /// `None` when its codec is unknown.
    #[must_use]
    pub fn of(header: &BatchHeader) -> Option<Self> {
        let producer = ProducerState {
            id: header.producer_id(),
            epoch: header.producer_epoch(),
            base_sequence: header.base_sequence(),
        };
        Some(Self {
            base_offset: header.base_offset(),
            leader_epoch: header.leader_epoch(),
            producer: header.has_producer_id().then_some(producer),
            codec: header.compression().ok()?,
            level: None,
            timestamp_type: header.timestamp_type(),
            transactional: header.is_transactional(),
            control: header.is_control(),
            delete_horizon_ms: header.delete_horizon_ms(),
        })
    }

    fn attributes(&self) -> i16 {
        let flag = |set: bool, bit: i16| if set { bit } else { 0 };
        i16::from(self.codec.id())
            | flag(
                self.timestamp_type == TimestampType::LogAppendTime,
                LOG_APPEND_TIME,
            )
            | flag(self.transactional, TRANSACTIONAL)
            | flag(self.control, CONTROL)
            | flag(self.delete_horizon_ms.is_some(), DELETE_HORIZON)
    }
}

/// The idempotent producer of a batch (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerState {
    /// The producer.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// Sequence number of the first record; -1 for control batches, which have none.
    pub base_sequence: i32,
}

impl ProducerState {
    const NONE: Self = Self {
        id: ProducerId::NONE,
        epoch: ProducerEpoch(-1),
        base_sequence: -1,
    };
}

/// Why a batch can not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A length or count does not fit its field of 32 bits.
    #[error("the batch is too large for its format")]
    TooLarge,
    /// Offsets must increase, and stay within 2^31 of the base offset.
    #[error("offset {offset} can not follow in the batch")]
    OffsetOutOfOrder {
        /// The refused offset.
        offset: Offset,
    },
    /// The codec failed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
}

/// Collects records and writes them as one batch.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    spec: BatchSpec,
    /// The records as they will be compressed.
    payload: Vec<u8>,
    record_count: i32,
    /// Of the last record, or of a record that is no longer there; -1 before the first.
    last_offset_delta: i32,
    base_timestamp: Option<i64>,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// A batch without records.
    #[must_use]
    pub const fn new(spec: BatchSpec) -> Self {
        Self {
            base_timestamp: spec.delete_horizon_ms,
            spec,
            payload: Vec::new(),
            record_count: 0,
            last_offset_delta: -1,
            max_timestamp: NO_TIMESTAMP,
        }
    }

    /// Number of records so far.
    #[must_use]
    pub const fn record_count(&self) -> i32 {
        self.record_count
    }

    /// Bytes of the batch so far, before compression.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }

    /// Adds a record at the next offset. `timestamp` is in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// Those of [`BatchBuilder::append_at`].
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> Result<(), BuildError> {
        let offset = self.spec.base_offset + i64::from(self.last_offset_delta) + 1;
        self.append_at(offset, timestamp, key, value, headers.iter().copied())
    }

    /// Adds a record at an offset of its own, for batches with gaps. `headers` may be the
    /// [`Headers`](super::Headers) of a record that is copied, or a slice's iterator.
    ///
    /// # Errors
    /// [`BuildError::OffsetOutOfOrder`] and [`BuildError::TooLarge`]; the batch is as before.
    pub fn append_at<'h>(
        &mut self,
        offset: Offset,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = Header<'h>, IntoIter: Clone>,
    ) -> Result<(), BuildError> {
        let headers = headers.into_iter();
        let offset_delta = self.delta_of(offset)?;
        let record_count = self
            .record_count
            .checked_add(1)
            .ok_or(BuildError::TooLarge)?;
        let base_timestamp = self.base_timestamp.unwrap_or(timestamp);
        let mut body = Measured::default();
        let timestamp_delta = timestamp.saturating_sub(base_timestamp);
        let header_count = i32::try_from(headers.clone().count());
        let header_count = header_count.map_err(|_large| BuildError::TooLarge)?;
        let parts = Parts {
            timestamp_delta,
            offset_delta,
            key,
            value,
            header_count,
        };
        write_body(&mut body, &parts, headers.clone())?;
        let length = i32::try_from(body.bytes).map_err(|_large| BuildError::TooLarge)?;
        let total = self
            .size_bytes()
            .saturating_add(body.bytes)
            .saturating_add(MAX_VARINT_BYTES);
        i32::try_from(total).map_err(|_large| BuildError::TooLarge)?;
        varint::put(&mut self.payload, i64::from(length));
        write_body(&mut self.payload, &parts, headers)?;
        self.record_count = record_count;
        self.last_offset_delta = offset_delta;
        self.base_timestamp = Some(base_timestamp);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        Ok(())
    }

    /// Makes the batch reach up to `last_offset` though no record has it, so that a compacted batch
    /// covers the offsets of its original.
    ///
    /// # Errors
    /// [`BuildError::OffsetOutOfOrder`] when a record lies beyond.
    pub fn extend_to(&mut self, last_offset: Offset) -> Result<(), BuildError> {
        let reached = self.spec.base_offset + i64::from(self.last_offset_delta);
        if last_offset != reached {
            self.last_offset_delta = self.delta_of(last_offset)?;
        }
        Ok(())
    }

    /// Writes the batch. Without records it must have been extended.
    ///
    /// # Errors
    /// [`BuildError::Compression`]; [`BuildError::TooLarge`] when compression grew the records
    /// above 2 GiB; [`BuildError::OffsetOutOfOrder`] for a batch without any offset.
    pub fn finish(self) -> Result<Vec<u8>, BuildError> {
        if self.last_offset_delta < 0 {
            return Err(BuildError::OffsetOutOfOrder {
                offset: self.spec.base_offset - 1,
            });
        }
        let spec = &self.spec;
        let producer = spec.producer.unwrap_or(ProducerState::NONE);
        let mut batch = Vec::with_capacity(self.size_bytes());
        batch.extend_from_slice(&spec.base_offset.0.to_be_bytes());
        batch.extend_from_slice(&[0; 4]);
        batch.extend_from_slice(&spec.leader_epoch.0.to_be_bytes());
        batch.extend_from_slice(&MAGIC.to_be_bytes());
        batch.extend_from_slice(&[0; 4]);
        batch.extend_from_slice(&spec.attributes().to_be_bytes());
        batch.extend_from_slice(&self.last_offset_delta.to_be_bytes());
        let base_timestamp = self.base_timestamp.unwrap_or(NO_TIMESTAMP);
        batch.extend_from_slice(&base_timestamp.to_be_bytes());
        batch.extend_from_slice(&self.max_timestamp.to_be_bytes());
        batch.extend_from_slice(&producer.id.0.to_be_bytes());
        batch.extend_from_slice(&producer.epoch.0.to_be_bytes());
        batch.extend_from_slice(&producer.base_sequence.to_be_bytes());
        batch.extend_from_slice(&self.record_count.to_be_bytes());
        append_payload(&mut batch, &self.payload, spec.codec, spec.level)?;
        seal(&mut batch, spec.codec)?;
        Ok(batch)
    }

    fn delta_of(&self, offset: Offset) -> Result<i32, BuildError> {
        let delta = i32::try_from(offset.since(self.spec.base_offset)).ok();
        delta
            .filter(|delta| *delta > self.last_offset_delta)
            .ok_or(BuildError::OffsetOutOfOrder { offset })
    }
}

/// Appends records as `codec` compresses them; no records are no bytes, whatever the codec.
pub(super) fn append_payload(
    batch: &mut Vec<u8>,
    payload: &[u8],
    codec: Codec,
    level: Option<i32>,
) -> Result<(), CompressionError> {
    if codec == Codec::None || payload.is_empty() {
        batch.extend_from_slice(payload);
    } else {
        batch.extend_from_slice(&compress(codec, level, payload)?);
    }
    Ok(())
}

/// Fills in what depends on the bytes: the length, the codec and the checksum.
pub(super) fn seal(batch: &mut [u8], codec: Codec) -> Result<(), BuildError> {
    let length = batch.len().saturating_sub(LOG_OVERHEAD_BYTES);
    let length = i32::try_from(length).map_err(|_large| BuildError::TooLarge)?;
    if let Some(header) = batch.first_chunk_mut::<HEADER_BYTES>() {
        put(header, BATCH_LENGTH_AT, length.to_be_bytes());
        if let Some(low) = header.get_mut(ATTRIBUTES_AT + 1) {
            *low = (*low & !CODEC_MASK) | codec.id();
        }
    }
    let crc = crc32c::crc32c(batch.get(CRC_FROM..).unwrap_or_default());
    if let Some(header) = batch.first_chunk_mut::<HEADER_BYTES>() {
        put(header, CRC_AT, crc.to_be_bytes());
    }
    Ok(())
}

/// The fields of a record but its headers.
struct Parts<'a> {
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    header_count: i32,
}

/// Where a record is written to: first a measure, then the batch.
trait Sink {
    fn varint(&mut self, number: i64);
    fn bytes(&mut self, bytes: &[u8]);

    fn nullable(&mut self, bytes: Option<&[u8]>) -> Result<(), BuildError> {
        let Some(bytes) = bytes else {
            self.varint(-1);
            return Ok(());
        };
        let length = i32::try_from(bytes.len()).map_err(|_large| BuildError::TooLarge)?;
        self.varint(i64::from(length));
        self.bytes(bytes);
        Ok(())
    }
}

fn write_body<'h>(
    sink: &mut impl Sink,
    parts: &Parts<'_>,
    headers: impl Iterator<Item = Header<'h>>,
) -> Result<(), BuildError> {
    sink.bytes(&[RECORD_ATTRIBUTES]);
    sink.varint(parts.timestamp_delta);
    sink.varint(i64::from(parts.offset_delta));
    sink.nullable(parts.key)?;
    sink.nullable(parts.value)?;
    sink.varint(i64::from(parts.header_count));
    for header in headers {
        sink.nullable(Some(header.key))?;
        sink.nullable(header.value)?;
    }
    Ok(())
}

impl Sink for Vec<u8> {
    fn varint(&mut self, number: i64) {
        varint::put(self, number);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts what would be written.
#[derive(Default)]
struct Measured {
    bytes: usize,
}

impl Sink for Measured {
    fn varint(&mut self, number: i64) {
        self.bytes = self.bytes.saturating_add(varint::len(number));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len());
    }
}

/// Records have no attributes yet.
const RECORD_ATTRIBUTES: u8 = 0;

/// The most bytes of a record's length.
const MAX_VARINT_BYTES: usize = 5;
