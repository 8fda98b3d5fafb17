//! Changing a batch in place.

use super::crc;
use super::error::BatchError;
use super::header::{BatchHeader, CRC_FROM, HEADER_BYTES, LOG_APPEND_TIME};
use super::view::BatchView;
use crate::{LeaderEpoch, Offset};

/// The bytes of exactly one batch, to be changed by the leader that appends it.
#[derive(Debug)]
pub struct BatchMut<'a> {
    header: &'a mut [u8; HEADER_BYTES],
    payload_bytes: usize,
}

impl<'a> BatchMut<'a> {
    /// Takes `bytes` as one batch; its checksum was verified before.
    ///
    /// # Errors
    /// Those of [`BatchView::parse`].
    #[inline]
    pub fn new(bytes: &'a mut [u8]) -> Result<Self, BatchError> {
        BatchView::parse(bytes)?;
        let present = bytes.len();
        let (header, payload) = bytes.split_first_chunk_mut().ok_or(BatchError::TooShort {
            present,
            needed: HEADER_BYTES,
        })?;
        Ok(Self {
            header,
            payload_bytes: payload.len(),
        })
    }

    /// Gives the batch its place in the log. The checksum does not cover these fields.
    #[inline]
    pub fn assign(&mut self, base_offset: Offset, leader_epoch: LeaderEpoch) {
        put(self.header, BASE_OFFSET_AT, base_offset.0.to_be_bytes());
        put(self.header, LEADER_EPOCH_AT, leader_epoch.0.to_be_bytes());
    }

    /// Turns the batch to `LogAppendTime` at `timestamp_ms` (milliseconds since the Unix epoch).
    /// The checksum follows by combination; the records are not read.
    pub fn stamp_append_time(&mut self, timestamp_ms: i64) {
        self.change_covered(|header, attributes| {
            put(
                header,
                ATTRIBUTES_AT,
                (attributes | LOG_APPEND_TIME).to_be_bytes(),
            );
            put(header, MAX_TIMESTAMP_AT, timestamp_ms.to_be_bytes());
        });
    }

    /// Corrects a max timestamp that the records contradict, in milliseconds since the Unix epoch.
    /// The checksum follows by combination.
    pub fn correct_max_timestamp(&mut self, timestamp_ms: i64) {
        self.change_covered(|header, _| put(header, MAX_TIMESTAMP_AT, timestamp_ms.to_be_bytes()));
    }

    fn change_covered(&mut self, change: impl FnOnce(&mut [u8; HEADER_BYTES], i16)) {
        let old = *self.header;
        // Constructing `self` has parsed these very bytes.
        let Ok(decoded) = BatchHeader::parse(&old) else {
            return;
        };
        change(self.header, decoded.attributes());
        let (_, old_covered) = old.split_at(CRC_FROM);
        let (_, new_covered) = self.header.split_at(CRC_FROM);
        let crc = crc::replace_head(decoded.crc(), old_covered, new_covered, self.payload_bytes);
        put(self.header, CRC_AT, crc.to_be_bytes());
    }
}

/// Writes a field at its place in the header.
#[inline]
pub(super) fn put<const N: usize>(header: &mut [u8; HEADER_BYTES], at: usize, field: [u8; N]) {
    if let Some(place) = header.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<N>) {
        *place = field;
    }
}

const BASE_OFFSET_AT: usize = 0;
pub(super) const BATCH_LENGTH_AT: usize = 8;
const LEADER_EPOCH_AT: usize = 12;
pub(super) const CRC_AT: usize = 17;
pub(super) const ATTRIBUTES_AT: usize = 21;
const MAX_TIMESTAMP_AT: usize = 35;
