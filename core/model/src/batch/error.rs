//! Why a batch or a record is refused, and the Kafka code that says so.

use crate::ErrorCode;
use crate::compression::CompressionError;

/// Why bytes are not a batch, or not one that may be appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Fewer bytes than a header has.
    #[error("{present} bytes are too few for a batch header of {needed}")]
    TooShort {
        /// Bytes at hand.
        present: usize,
        /// Bytes of a header.
        needed: usize,
    },
    /// The length field is negative or leaves no room for a header.
    #[error("the batch length {batch_length} is too small for a header")]
    InvalidLength {
        /// The length field: bytes after itself.
        batch_length: i32,
    },
    /// The length field and the bytes at hand disagree.
    #[error("the batch announces {declared} bytes, yet there are {present}")]
    LengthMismatch {
        /// Size of the batch according to its header, in bytes.
        declared: usize,
        /// Bytes at hand.
        present: usize,
    },
    /// Message format 0 or 1, which KIP-724 retired.
    #[error("message format {magic} is no longer supported; format 2 is")]
    UnsupportedMagic {
        /// 0 or 1.
        magic: i8,
    },
    /// No message format that Kafka has defined.
    #[error("message format {magic} is unknown")]
    UnknownMagic {
        /// The magic byte.
        magic: i8,
    },
    /// The checksum does not match: the bytes changed on their way.
    #[error("the batch has CRC {computed:08x}, its header says {stored:08x}")]
    CrcMismatch {
        /// From the header.
        stored: u32,
        /// Of the bytes.
        computed: u32,
    },
    /// A count of records that the batch can not have.
    #[error("{record_count} records do not fit a last offset delta of {last_offset_delta}")]
    InvalidRecordCount {
        /// From the header.
        record_count: i32,
        /// From the header.
        last_offset_delta: i32,
    },
    /// The last offset lies before the first.
    #[error("the last offset delta {last_offset_delta} is negative")]
    InvalidOffsetDelta {
        /// From the header.
        last_offset_delta: i32,
    },
    /// Since Produce v3 a partition's records are exactly one batch: there was none.
    #[error("there is no batch; exactly one is expected")]
    NoBatch,
    /// Since Produce v3 a partition's records are exactly one batch: more bytes follow it.
    #[error("{trailing} bytes follow the batch; exactly one batch is expected")]
    MoreThanOneBatch {
        /// Bytes after the first batch.
        trailing: usize,
    },
    /// More bytes than `max.message.bytes`.
    #[error("the batch has {size} bytes, more than max.message.bytes ({limit})")]
    TooLarge {
        /// Bytes of the batch.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// An unassigned codec number.
    #[error("compression codec {id} is unknown")]
    UnknownCodec {
        /// The low three bits of the attributes.
        id: u8,
    },
    /// Zstandard before Produce v7 (KIP-110).
    #[error("zstd needs version 7 or later of the produce request")]
    ZstdNotAllowed,
    /// Clients do not write control batches.
    #[error("clients can not write control batches")]
    ControlFromClient,
    /// Clients do not set delete horizons.
    #[error("clients can not set a delete horizon")]
    DeleteHorizonFromClient,
    /// A transactional batch where none may be.
    #[error("the batch is transactional, its request is not")]
    TransactionalNotAllowed,
    /// A producer id without epoch or sequence, or a transaction without a producer id.
    #[error(
        "producer id {producer_id} does not go with epoch {producer_epoch} and sequence \
         {base_sequence}"
    )]
    InvalidProducer {
        /// From the header.
        producer_id: i64,
        /// From the header.
        producer_epoch: i16,
        /// From the header.
        base_sequence: i32,
    },
    /// Clients do not set the timestamp type.
    #[error("clients can not set the timestamp type to LogAppendTime")]
    AppendTimeFromClient,
    /// A timestamp outside what the topic accepts, or no timestamp at all.
    #[error("timestamp {timestamp_ms} is outside the accepted range {earliest_ms}..={latest_ms}")]
    TimestampOutOfRange {
        /// The offending timestamp, milliseconds since the Unix epoch.
        timestamp_ms: i64,
        /// Earliest accepted timestamp.
        earliest_ms: i64,
        /// Latest accepted timestamp.
        latest_ms: i64,
    },
    /// The records do not decompress.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// A record is malformed or refused.
    #[error("record {index}: {error}")]
    Record {
        /// Position of the record in its batch, from 0.
        index: i32,
        /// What is wrong with it.
        error: RecordError,
    },
    /// Bytes follow the last record.
    #[error("{trailing} bytes follow the last record")]
    TrailingRecordBytes {
        /// Their number.
        trailing: usize,
    },
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The batch ends inside the record.
    #[error("the record is cut off")]
    CutOff,
    /// A variable-length number has more bytes than its type.
    #[error("a variable-length number is malformed")]
    Varint,
    /// The record's length does not match its fields.
    #[error("the record's length does not match its fields")]
    Length,
    /// A negative number of headers, or more than bytes.
    #[error("{count} headers do not fit the record")]
    HeaderCount {
        /// The number of headers.
        count: i32,
    },
    /// A header without a key.
    #[error("a header has no key")]
    HeaderKey,
    /// Offsets of a produced batch count up from 0 by 1.
    #[error("offset delta {found} where {expected} is due")]
    OffsetDelta {
        /// From the record.
        found: i32,
        /// Its position.
        expected: i32,
    },
    /// Compacted topics need keys.
    #[error("the topic is compacted and the record has no key")]
    KeyMissing,
}

impl BatchError {
    /// The code that tells a Kafka client.
    #[must_use]
    pub const fn error_code(&self) -> ErrorCode {
        match self {
            Self::TooShort { .. }
            | Self::InvalidLength { .. }
            | Self::LengthMismatch { .. }
            | Self::UnknownMagic { .. }
            | Self::CrcMismatch { .. } => ErrorCode::CorruptMessage,
            Self::UnsupportedMagic { .. } => ErrorCode::UnsupportedForMessageFormat,
            Self::TooLarge { .. } => ErrorCode::MessageTooLarge,
            Self::UnknownCodec { .. } | Self::ZstdNotAllowed => {
                ErrorCode::UnsupportedCompressionType
            }
            Self::AppendTimeFromClient | Self::TimestampOutOfRange { .. } => {
                ErrorCode::InvalidTimestamp
            }
            Self::InvalidRecordCount { .. }
            | Self::InvalidOffsetDelta { .. }
            | Self::NoBatch
            | Self::MoreThanOneBatch { .. }
            | Self::ControlFromClient
            | Self::DeleteHorizonFromClient
            | Self::TransactionalNotAllowed
            | Self::InvalidProducer { .. }
            | Self::Compression(_)
            | Self::Record { .. }
            | Self::TrailingRecordBytes { .. } => ErrorCode::InvalidRecord,
        }
    }

    /// The record at fault, for the `record_errors` of Produce v8 and later (KIP-467).
    #[must_use]
    pub const fn record_index(&self) -> Option<i32> {
        if let Self::Record { index, .. } = self {
            Some(*index)
        } else {
            None
        }
    }
}
