//! What a leader checks before it appends a produced batch.

use super::error::{BatchError, RecordError};
use super::header::{BatchHeader, NO_TIMESTAMP, TimestampType};
use super::record::{RecordView, records};
use super::view::BatchView;
use crate::compression::{Codec, DecompressLimits, Decompressor};
use crate::{Offset, ProducerEpoch, ProducerId};

/// What a topic and a request allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProduceRules {
    /// `max.message.bytes`: most bytes of a batch, header included.
    pub max_message_bytes: usize,
    /// Whether the request's version knows zstd: Produce v7 and later (KIP-110).
    pub zstd_allowed: bool,
    /// Whether the request carries a transactional id.
    pub transactional_allowed: bool,
    /// Whether every record needs a key: `cleanup.policy` contains `compact`. Only
    /// [`check_records`] looks at keys.
    pub keys_required: bool,
    /// Which timestamps are accepted.
    pub timestamps: TimestampRule,
    /// How far [`check_records`] decompresses.
    pub decompress: DecompressLimits,
}

/// `message.timestamp.type` with its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampRule {
    /// The leader overwrites what the producer states.
    LogAppendTime,
    /// The producer's timestamps stay, within a range around the leader's clock (KIP-937).
    CreateTime {
        /// The leader's clock, milliseconds since the Unix epoch.
        now_ms: i64,
        /// `message.timestamp.before.max.ms`.
        before_max_ms: i64,
        /// `message.timestamp.after.max.ms`.
        after_max_ms: i64,
    },
}

impl TimestampRule {
    fn check(self, timestamp_ms: i64) -> Result<(), BatchError> {
        let Self::CreateTime {
            now_ms,
            before_max_ms,
            after_max_ms,
        } = self
        else {
            return Ok(());
        };
        if timestamp_ms == NO_TIMESTAMP {
            return Ok(());
        }
        let earliest_ms = now_ms.saturating_sub(before_max_ms).max(0);
        let latest_ms = now_ms.saturating_add(after_max_ms);
        if (earliest_ms..=latest_ms).contains(&timestamp_ms) {
            return Ok(());
        }
        Err(BatchError::TimestampOutOfRange {
            timestamp_ms,
            earliest_ms,
            latest_ms,
        })
    }
}

/// A batch that passed [`validate_produced`].
#[derive(Debug, Clone, Copy)]
pub struct ValidatedBatch<'a> {
    view: BatchView<'a>,
    codec: Codec,
}

impl<'a> ValidatedBatch<'a> {
    /// The decoded header.
    #[must_use]
    pub const fn header(&self) -> &BatchHeader {
        self.view.header()
    }

    /// The batch.
    #[must_use]
    pub const fn view(&self) -> &BatchView<'a> {
        &self.view
    }

    /// How the records are compressed.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }
}

/// Checks what a producer sent for one partition: exactly one batch, its size, checksum and header.
/// One pass over the bytes and no allocation; the records are not looked at.
///
/// # Errors
/// The first rule that the bytes break. The checksum comes before the header's meaning, so that
/// damage on the way is reported as such and the client tries again.
#[inline]
pub fn validate_produced<'a>(
    bytes: &'a [u8],
    rules: &ProduceRules,
) -> Result<ValidatedBatch<'a>, BatchError> {
    if bytes.is_empty() {
        return Err(BatchError::NoBatch);
    }
    let size = BatchHeader::parse(bytes)?.size_bytes();
    if let Some(trailing) = bytes
        .len()
        .checked_sub(size)
        .filter(|trailing| *trailing > 0)
    {
        return Err(BatchError::MoreThanOneBatch { trailing });
    }
    if size > rules.max_message_bytes {
        return Err(BatchError::TooLarge {
            size,
            limit: rules.max_message_bytes,
        });
    }
    let view = BatchView::parse(bytes)?;
    view.check_crc()?;
    let header = view.header();
    let codec = check_attributes(header, rules)?;
    check_count(header)?;
    check_producer(header)?;
    check_timestamps(header, rules.timestamps)?;
    Ok(ValidatedBatch { view, codec })
}

fn check_attributes(header: &BatchHeader, rules: &ProduceRules) -> Result<Codec, BatchError> {
    let codec = header.compression()?;
    if codec == Codec::Zstd && !rules.zstd_allowed {
        return Err(BatchError::ZstdNotAllowed);
    }
    if header.is_control() {
        return Err(BatchError::ControlFromClient);
    }
    if header.is_transactional() && !rules.transactional_allowed {
        return Err(BatchError::TransactionalNotAllowed);
    }
    if header.delete_horizon_ms().is_some() {
        return Err(BatchError::DeleteHorizonFromClient);
    }
    match header.timestamp_type() {
        TimestampType::CreateTime => Ok(codec),
        TimestampType::LogAppendTime => Err(BatchError::AppendTimeFromClient),
    }
}

/// A producer's batch has a record for each of its offsets; only compaction leaves gaps.
fn check_count(header: &BatchHeader) -> Result<(), BatchError> {
    let (record_count, last_offset_delta) = (header.record_count(), header.last_offset_delta());
    if record_count > 0 && record_count - 1 == last_offset_delta {
        return Ok(());
    }
    Err(BatchError::InvalidRecordCount {
        record_count,
        last_offset_delta,
    })
}

fn check_producer(header: &BatchHeader) -> Result<(), BatchError> {
    let ProducerId(producer_id) = header.producer_id();
    let ProducerEpoch(producer_epoch) = header.producer_epoch();
    let base_sequence = header.base_sequence();
    let complete = producer_epoch >= 0 && base_sequence >= 0;
    let consistent = if header.has_producer_id() {
        complete
    } else {
        !header.is_transactional()
    };
    if consistent {
        return Ok(());
    }
    Err(BatchError::InvalidProducer {
        producer_id,
        producer_epoch,
        base_sequence,
    })
}

/// The header's timestamps bound those of the records as far as the producer tells the truth;
/// [`check_records`] looks at each.
fn check_timestamps(header: &BatchHeader, rule: TimestampRule) -> Result<(), BatchError> {
    for timestamp_ms in [header.base_timestamp(), header.max_timestamp()] {
        if timestamp_ms < NO_TIMESTAMP {
            let (earliest_ms, latest_ms) = (NO_TIMESTAMP, i64::MAX);
            return Err(BatchError::TimestampOutOfRange {
                timestamp_ms,
                earliest_ms,
                latest_ms,
            });
        }
    }
    rule.check(header.max_timestamp())
}

/// What [`check_records`] learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordsSummary {
    /// The largest timestamp of the records, milliseconds since the Unix epoch. Where the header
    /// says otherwise, [`BatchMut::correct_max_timestamp`](super::BatchMut::correct_max_timestamp)
    /// repairs it.
    pub max_timestamp: i64,
    /// The first record with that timestamp, relative to the batch's base offset.
    pub offset_of_max_timestamp: Offset,
    /// Bytes of the records, decompressed or not compressed.
    pub payload_bytes: usize,
}

/// Walks the records of a produced batch: their framing, offsets counting up from 0, timestamps,
/// and keys where the topic wants them. Compressed records are decompressed within
/// `rules.decompress`.
///
/// # Errors
/// What is wrong with which record, or with their compression.
pub fn check_records(
    batch: &BatchView<'_>,
    rules: &ProduceRules,
    scratch: &mut Decompressor,
) -> Result<RecordsSummary, BatchError> {
    let mut records = records(batch, scratch, rules.decompress)?;
    let payload_bytes = records.unread_bytes();
    let mut summary = RecordsSummary {
        max_timestamp: i64::MIN,
        offset_of_max_timestamp: Offset::ZERO,
        payload_bytes,
    };
    let mut index = 0;
    while let Some((offset_delta, record)) = records.advance()? {
        check_record(index, offset_delta, &record, rules)?;
        if record.timestamp > summary.max_timestamp {
            summary.max_timestamp = record.timestamp;
            summary.offset_of_max_timestamp = Offset(i64::from(index));
        }
        index += 1;
    }
    Ok(summary)
}

#[inline]
fn check_record(
    index: i32,
    offset_delta: i32,
    record: &RecordView<'_>,
    rules: &ProduceRules,
) -> Result<(), BatchError> {
    if offset_delta != index {
        let error = RecordError::OffsetDelta {
            found: offset_delta,
            expected: index,
        };
        return Err(BatchError::Record { index, error });
    }
    if rules.keys_required && record.key.is_none() {
        return Err(BatchError::Record {
            index,
            error: RecordError::KeyMissing,
        });
    }
    rules.timestamps.check(record.timestamp)
}
