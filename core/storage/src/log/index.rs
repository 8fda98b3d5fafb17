//! Sparse index of one segment: where to start reading for an offset or a timestamp.
//!
//! An index is a cache of what the batches say: entries may be missing, and a lost or damaged index
//! file costs a scan, never data.

use bytes::{BufMut, Bytes, BytesMut};
use chronik_model::Offset;

use crate::codec::{Reader, Truncated, put_count};
use crate::select::Boundary;

/// Version of the index file.
pub const INDEX_FORMAT_VERSION: u16 = 1;
/// First bytes of an index file: "CHIX".
pub const INDEX_MAGIC: u32 = 0x5849_4843;

const ENTRY_BYTES: usize = 24;

/// A batch boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    /// First offset at or behind `position`.
    pub offset: Offset,
    /// Byte in the segment where a batch starts.
    pub position: u64,
    /// Largest timestamp of all batches before `position`, in ms; `i64::MIN` for none or unknown.
    pub max_timestamp_before: i64,
}

/// Entries in order of offset and position.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SegmentIndex {
    entries: Vec<IndexEntry>,
}

impl SegmentIndex {
    /// Adds an entry behind all others; earlier ones are ignored.
    pub fn push(&mut self, entry: IndexEntry) {
        if self
            .entries
            .last()
            .is_none_or(|last| last.position < entry.position)
        {
            self.entries.push(entry);
        }
    }

    /// Position of the last entry, or 0.
    #[must_use]
    pub fn last_position(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.position)
    }

    /// Where a reader of `offset` starts, in a segment that begins with `base`: at a batch that
    /// begins at or before it.
    #[must_use]
    pub fn floor(&self, offset: Offset, base: Offset) -> Boundary {
        let after = self.entries.partition_point(|entry| entry.offset <= offset);
        let entry = after
            .checked_sub(1)
            .and_then(|index| self.entries.get(index));
        entry.map_or_else(|| start_of(base), boundary_of)
    }

    /// The last known boundary at or before both a position and an offset.
    #[must_use]
    pub fn last_within(&self, position: u64, offset: Offset) -> Option<Boundary> {
        let is_within = |entry: &IndexEntry| entry.position <= position && entry.offset <= offset;
        let after = self.entries.partition_point(is_within);
        let entry = self.entries.get(after.checked_sub(1)?);
        entry.map(boundary_of)
    }

    /// Where to start looking for the first batch with a timestamp of at least `timestamp_ms`, in a
    /// segment that begins with `base`.
    #[must_use]
    pub fn floor_of_time(&self, timestamp_ms: i64, base: Offset) -> Boundary {
        // Entries learned from reads do not know what lies before them, so they say nothing.
        let known = self
            .entries
            .iter()
            .filter(|entry| entry.max_timestamp_before != i64::MIN);
        let entry = known
            .take_while(|entry| entry.max_timestamp_before < timestamp_ms)
            .last();
        entry.map_or_else(|| start_of(base), boundary_of)
    }

    /// Largest timestamp of all batches before some entry behind `offset`, in ms: what is at `offset`
    /// is among them. `None` where no entry near by knows.
    #[must_use]
    pub fn time_behind(&self, offset: Offset) -> Option<i64> {
        /// Entries learned from reads know no timestamps; not all of them are looked at.
        const MOST_LOOKED_AT: usize = 64;
        let after = self.entries.partition_point(|entry| entry.offset <= offset);
        let behind = self.entries.iter().skip(after).take(MOST_LOOKED_AT);
        let mut times = behind.map(|entry| entry.max_timestamp_before);
        times.find(|time| *time != i64::MIN)
    }

    /// Drops entries at and behind `position`.
    pub fn truncate(&mut self, position: u64) {
        self.entries.retain(|entry| entry.position < position);
    }

    /// Content of the index file; `docs/formats/segment.md` draws it.
    #[must_use]
    pub fn encode(&self, segment_bytes: u64) -> Bytes {
        let mut out = BytesMut::with_capacity(24 + self.entries.len() * ENTRY_BYTES);
        out.put_u32_le(INDEX_MAGIC);
        out.put_u16_le(INDEX_FORMAT_VERSION);
        out.put_u16_le(0);
        out.put_u64_le(segment_bytes);
        put_count(&mut out, self.entries.len());
        for entry in &self.entries {
            out.put_i64_le(entry.offset.0);
            out.put_u64_le(entry.position);
            out.put_i64_le(entry.max_timestamp_before);
        }
        let checksum = crc32c::crc32c(&out);
        out.put_u32_le(checksum);
        out.freeze()
    }

    /// Reads an index file back; `None` for anything that is not whole, of this version, and made for
    /// a segment of `segment_bytes`.
    #[must_use]
    pub fn decode(bytes: &[u8], segment_bytes: u64) -> Option<Self> {
        let (content, checksum) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(content) != u32::from_le_bytes(*checksum) {
            return None;
        }
        Self::read(content, segment_bytes).ok().flatten()
    }

    fn read(content: &[u8], segment_bytes: u64) -> Result<Option<Self>, Truncated> {
        let mut reader = Reader::new(content);
        let known = reader.u32()? == INDEX_MAGIC && reader.u16()? == INDEX_FORMAT_VERSION;
        let _flags = reader.u16()?;
        if !known || reader.u64()? != segment_bytes {
            return Ok(None);
        }
        let count = reader.count(ENTRY_BYTES)?;
        let mut index = Self {
            entries: Vec::with_capacity(count),
        };
        for _ in 0..count {
            let (offset, position) = (Offset(reader.i64()?), reader.u64()?);
            index.push(IndexEntry {
                offset,
                position,
                max_timestamp_before: reader.i64()?,
            });
        }
        Ok(Some(index))
    }
}

const fn start_of(base: Offset) -> Boundary {
    Boundary {
        position: 0,
        offset: base,
    }
}

const fn boundary_of(entry: &IndexEntry) -> Boundary {
    Boundary {
        position: entry.position,
        offset: entry.offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> SegmentIndex {
        let mut index = SegmentIndex::default();
        for (offset, position, time) in [(10, 100, 5), (20, 200, 7), (30, 300, 7)] {
            index.push(IndexEntry {
                offset: Offset(offset),
                position,
                max_timestamp_before: time,
            });
        }
        index
    }

    #[test]
    fn lookups_start_at_or_before_the_wanted_batch() {
        let check = |offset, expected| {
            assert_eq!(index().floor(Offset(offset), Offset(0)).position, expected)
        };
        check(9, 0);
        check(10, 100);
        check(29, 200);
        check(1000, 300);
        let check =
            |time, expected| assert_eq!(index().floor_of_time(time, Offset(0)).position, expected);
        check(5, 0);
        check(6, 100);
        check(7, 100);
        check(8, 300);
    }

    #[test]
    fn the_last_boundary_is_within_both_limits() {
        let check = |position, offset, expected| {
            let found = index().last_within(position, Offset(offset));
            assert_eq!(found.map(|found| found.position), expected);
        };
        check(99, 1000, None);
        check(100, 9, None);
        check(100, 10, Some(100));
        check(299, 1000, Some(200));
        check(1000, 29, Some(200));
        check(1000, 1000, Some(300));
    }

    #[test]
    fn learned_entries_help_offsets_but_never_timestamps() {
        let mut learned = index();
        learned.push(IndexEntry {
            offset: Offset(40),
            position: 400,
            max_timestamp_before: i64::MIN,
        });
        assert_eq!(learned.floor(Offset(41), Offset(0)).position, 400);
        assert_eq!(learned.floor_of_time(6, Offset(0)).position, 100);
        assert_eq!(learned.floor_of_time(100, Offset(0)).position, 300);
    }

    #[test]
    fn an_index_file_with_any_byte_changed_is_refused() {
        let bytes = index().encode(400);
        assert_eq!(SegmentIndex::decode(&bytes, 400), Some(index()));
        assert_eq!(SegmentIndex::decode(&bytes, 401), None);
        for position in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[position] ^= 0x40;
            assert_eq!(SegmentIndex::decode(&damaged, 400), None, "byte {position}");
        }
    }
}
