//! The records of a batch.
//!
//! ```text
//! length varint | attributes i8 (0) | timestamp delta varlong | offset delta varint
//! | key length varint (-1: null) | key | value length varint | value
//! | header count varint | { key length varint | key | value length varint | value }*
//! ```

use super::error::{BatchError, RecordError};
use super::header::{BatchHeader, TimestampType};
use super::varint;
use super::view::BatchView;
use crate::Offset;
use crate::compression::{Codec, DecompressLimits, Decompressor};

/// One record in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Its position in the partition.
    pub offset: Offset,
    /// Milliseconds since the Unix epoch: the producer's, or the time of the append.
    pub timestamp: i64,
    /// The key; `None` for null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` for null, the tombstone of compacted topics.
    pub value: Option<&'a [u8]>,
    /// The headers (KIP-82).
    pub headers: Headers<'a>,
}

/// One header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The key; UTF-8 by convention, which is not checked.
    pub key: &'a [u8],
    /// The value; `None` for null.
    pub value: Option<&'a [u8]>,
}

/// The headers of a record, an iterator; their framing was checked with the record's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Headers<'a> {
    count: i32,
    rest: &'a [u8],
}

impl<'a> Headers<'a> {
    /// Checks that `rest` is exactly `count` headers.
    #[inline]
    fn parse(count: i32, rest: &'a [u8]) -> Result<Self, RecordError> {
        let headers = Self { count, rest };
        // A header has at least two bytes.
        if usize::try_from(count).map_or(true, |count| count > rest.len() / 2) {
            return Err(RecordError::HeaderCount { count });
        }
        let mut unread = headers;
        while unread.count > 0 {
            unread.take_header()?;
        }
        if unread.rest.is_empty() {
            Ok(headers)
        } else {
            Err(RecordError::Length)
        }
    }

    fn take_header(&mut self) -> Result<Header<'a>, RecordError> {
        self.count -= 1;
        let key = take_bytes(&mut self.rest)?.ok_or(RecordError::HeaderKey)?;
        let value = take_bytes(&mut self.rest)?;
        Ok(Header { key, value })
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.count > 0 {
            self.take_header().ok()
        } else {
            None
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = usize::try_from(self.count).unwrap_or(0);
        (count, Some(count))
    }
}

impl ExactSizeIterator for Headers<'_> {}

/// The records of a batch, decompressed into `scratch` when they are compressed.
///
/// # Errors
/// [`BatchError::UnknownCodec`], and [`BatchError::Compression`] when the records do not decompress
/// within `limits`.
pub fn records<'a>(
    batch: &BatchView<'a>,
    scratch: &'a mut Decompressor,
    limits: DecompressLimits,
) -> Result<Records<'a>, BatchError> {
    let codec = batch.header().compression()?;
    let payload = batch.payload();
    let rest = match codec {
        Codec::None => payload,
        // An emptied batch keeps its codec bits but has nothing to decompress.
        Codec::Gzip | Codec::Snappy | Codec::Lz4 | Codec::Zstd if payload.is_empty() => payload,
        Codec::Gzip | Codec::Snappy | Codec::Lz4 | Codec::Zstd => {
            scratch.decompress(codec, payload, limits.for_input(payload.len()))?
        }
    };
    Ok(Records {
        header: *batch.header(),
        rest,
        index: 0,
        failed: false,
    })
}

/// Iterator of [`records`]; an error is its last item.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    header: BatchHeader,
    rest: &'a [u8],
    index: i32,
    failed: bool,
}

impl<'a> Records<'a> {
    /// Bytes of the records not returned yet, decompressed.
    #[must_use]
    pub const fn unread_bytes(&self) -> usize {
        self.rest.len()
    }

    /// The next record and its offset delta, or the end.
    #[inline]
    pub(super) fn advance(&mut self) -> Result<Option<(i32, RecordView<'a>)>, BatchError> {
        let index = self.index;
        if index >= self.header.record_count() {
            let trailing = self.rest.len();
            let whole = trailing == 0;
            return if whole {
                Ok(None)
            } else {
                Err(BatchError::TrailingRecordBytes { trailing })
            };
        }
        self.index += 1;
        let record = take_record(&self.header, &mut self.rest);
        record
            .map(Some)
            .map_err(|error| BatchError::Record { index, error })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordView<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let record = self.advance().transpose()?;
        self.failed = record.is_err();
        Some(record.map(|(_, record)| record))
    }
}

impl std::iter::FusedIterator for Records<'_> {}

#[inline]
fn take_record<'a>(
    header: &BatchHeader,
    rest: &mut &'a [u8],
) -> Result<(i32, RecordView<'a>), RecordError> {
    let length = varint::take_i32(rest)?;
    let length = usize::try_from(length).map_err(|_negative| RecordError::Length)?;
    let (mut body, tail) = rest.split_at_checked(length).ok_or(RecordError::CutOff)?;
    *rest = tail;
    let body = &mut body;
    let (_attributes, after) = body.split_first().ok_or(RecordError::Length)?;
    *body = after;
    let timestamp_delta = varint::take_i64(body)?;
    let offset_delta = varint::take_i32(body)?;
    let key = take_bytes(body)?;
    let value = take_bytes(body)?;
    let header_count = varint::take_i32(body)?;
    let timestamp = match header.timestamp_type() {
        TimestampType::CreateTime => header.base_timestamp().saturating_add(timestamp_delta),
        TimestampType::LogAppendTime => header.max_timestamp(),
    };
    let record = RecordView {
        offset: header.base_offset() + i64::from(offset_delta),
        timestamp,
        key,
        value,
        headers: Headers::parse(header_count, body)?,
    };
    Ok((offset_delta, record))
}

/// Splits a length and its bytes off the front; `None` for null, which any negative length means.
#[inline]
fn take_bytes<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordError> {
    let Ok(length) = usize::try_from(varint::take_i32(rest)?) else {
        return Ok(None);
    };
    let (bytes, tail) = rest.split_at_checked(length).ok_or(RecordError::CutOff)?;
    *rest = tail;
    Ok(Some(bytes))
}
