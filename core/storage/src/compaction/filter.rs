//! What compaction leaves of a record batch.

use chronik_model::Offset;
use chronik_model::batch::{
    self, BatchBuilder, BatchError, BatchHeader, BatchMut, BatchSpec, BatchView, BuildError,
    RecordView,
};
use chronik_model::compression::{Codec, DecompressLimits, Decompressor};

use super::OffsetMap;

/// What is the same for all batches of a compaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Wall clock at the start, in ms since the Unix epoch.
    pub now_ms: i64,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// Last offsets of batches that stay, at least without records: each is the last one of an
    /// idempotent producer. In order.
    pub last_of_producers: Vec<Offset>,
}

/// What is left of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remainder {
    /// All of it: the bytes stay as they are.
    Whole,
    /// This, with the offsets of the original.
    Part(Vec<u8>),
    /// Nothing.
    Nothing,
}

/// Why a batch can not be compacted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It can not be read.
    #[error(transparent)]
    Read(#[from] BatchError),
    /// What is left of it can not be written.
    #[error(transparent)]
    Write(#[from] BuildError),
}

/// Learns the keys of a batch from offset `from` on; false when the map is full.
///
/// # Errors
/// The records can not be read.
pub fn learn(
    map: &mut OffsetMap,
    batch: &BatchView<'_>,
    from: Offset,
    scratch: &mut Decompressor,
) -> Result<bool, BatchError> {
    let last_offset = batch.header().last_offset();
    if last_offset < from || has_own_rules(batch.header()) {
        map.cover(last_offset);
        return Ok(true);
    }
    for record in batch::records(batch, scratch, DecompressLimits::default())? {
        let record = record?;
        let dirty = record.offset >= from;
        if let Some(key) = record.key.filter(|_| dirty)
            && !map.put(key, record.offset)
        {
            return Ok(false);
        }
        map.cover(record.offset);
    }
    map.cover(last_offset);
    Ok(true)
}

/// Batches of transactions: whether their records count is not known here, so they neither outdate
/// other records nor are they touched. Markers of control batches are no records at all.
const fn has_own_rules(header: &BatchHeader) -> bool {
    header.is_control() || header.is_transactional()
}

impl Rules {
    /// Decides what is left of a batch. With `keep_offsets`, its offsets stay even if no record does.
    ///
    /// # Errors
    /// The records can not be read, or not be written again.
    pub fn filter(
        &self,
        map: &OffsetMap,
        batch: &BatchView<'_>,
        keep_offsets: bool,
        scratch: &mut Decompressor,
    ) -> Result<Remainder, FilterError> {
        let header = *batch.header();
        if has_own_rules(&header) || header.base_offset() > map.covered() {
            return Ok(Remainder::Whole);
        }
        let mut kept = Vec::new();
        for record in batch::records(batch, scratch, DecompressLimits::default())? {
            let record = record?;
            if self.stays(map, &header, &record) {
                kept.push(record);
            }
        }
        if kept.is_empty() {
            return self.without_records(&header, keep_offsets);
        }
        let tombstones = kept.iter().any(|record| record.value.is_none());
        let starts_horizon = tombstones && header.delete_horizon_ms().is_none();
        let whole = usize::try_from(header.record_count()).is_ok_and(|count| count == kept.len());
        if whole && !starts_horizon {
            return Ok(Remainder::Whole);
        }
        let mut spec = spec_of(&header)?;
        if starts_horizon {
            let horizon = self.now_ms.saturating_add(self.delete_retention_ms);
            spec.delete_horizon_ms = Some(horizon);
        }
        let part = write(spec, &kept, header.last_offset())?;
        Ok(Remainder::Part(part))
    }

    /// Whether a record is the newest of its key, and no tombstone whose time is over. Records that
    /// the map does not cover stay; those without a key have no place in a compacted log.
    fn stays(&self, map: &OffsetMap, header: &BatchHeader, record: &RecordView<'_>) -> bool {
        if record.offset > map.covered() {
            return true;
        }
        let Some(key) = record.key else { return false };
        let newest = map.get(key).is_none_or(|newest| record.offset >= newest);
        let expired = header
            .delete_horizon_ms()
            .is_some_and(|horizon| horizon <= self.now_ms);
        newest && (record.value.is_some() || !expired)
    }

    fn without_records(
        &self,
        header: &BatchHeader,
        keep_offsets: bool,
    ) -> Result<Remainder, FilterError> {
        let last = header.last_offset();
        let of_producer =
            header.has_producer_id() && self.last_of_producers.binary_search(&last).is_ok();
        if !of_producer && !keep_offsets {
            return Ok(Remainder::Nothing);
        }
        if header.record_count() == 0 {
            return Ok(Remainder::Whole);
        }
        let spec = BatchSpec {
            codec: Codec::None,
            delete_horizon_ms: None,
            ..spec_of(header)?
        };
        let mut empty = write(spec, &[], last)?;
        BatchMut::new(&mut empty)?.correct_max_timestamp(header.max_timestamp());
        Ok(Remainder::Part(empty))
    }
}

fn spec_of(header: &BatchHeader) -> Result<BatchSpec, BatchError> {
    let codec = header.compression()?;
    BatchSpec::of(header).ok_or_else(|| BatchError::UnknownCodec { id: codec.id() })
}

fn write(
    spec: BatchSpec,
    records: &[RecordView<'_>],
    last_offset: Offset,
) -> Result<Vec<u8>, BuildError> {
    let mut builder = BatchBuilder::new(spec);
    for record in records {
        let RecordView {
            offset,
            timestamp,
            key,
            value,
            headers,
        } = *record;
        builder.append_at(offset, timestamp, key, value, headers)?;
    }
    builder.extend_to(last_offset)?;
    builder.finish()
}
