//! Finding whole, intact record batches in a segment file. Pure: the caller brings the bytes, so the
//! same code runs on a pool thread and in the simulator.

use bytes::Bytes;
use chronik_model::batch::{self, BatchHeader, HEADER_BYTES};
use chronik_model::compression::{DecompressLimits, Decompressor};
use chronik_model::{LeaderEpoch, Offset, mutant};

use crate::disk::DiskError;

/// Bytes read at once while looking for the first batch.
const PROBE_BYTES: usize = 64 << 10;

/// A place in a segment where a batch starts, and the offset that it starts with. The checksum of a
/// batch leaves its base offset out, so that readers count along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boundary {
    /// Byte in the segment.
    pub position: u64,
    /// Offset of the first record there.
    pub offset: Offset,
}

/// Which batches of one segment to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// The batch that holds this offset comes first (or the next one, where it is gone).
    pub from: Offset,
    /// Only batches that end before this offset.
    pub bound: Offset,
    /// A boundary at or before `from`.
    pub start: Boundary,
    /// Bytes of the segment that are written: a boundary too.
    pub end_position: u64,
    /// See [`Offsets`].
    pub offsets: Offsets,
    /// Most bytes to return; one batch is returned even if it is larger.
    pub max_bytes: usize,
}

/// How the offsets of a segment's batches follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offsets {
    /// Without gaps, as they were appended.
    Dense,
    /// With the gaps that compaction has left, all of them below this offset.
    Sparse(Offset),
}

impl Offsets {
    /// Checks the place of a batch at a boundary where `due` is the lowest offset that may follow.
    fn check(self, header: &BatchHeader, due: Offset) -> Result<(), String> {
        let found = header.base_offset();
        match self {
            Self::Dense if found == due => Ok(()),
            Self::Dense => Err(format!(
                "the batch starts with offset {found}, but offset {due} is due here"
            )),
            Self::Sparse(end) if found >= due && header.last_offset() < end => Ok(()),
            Self::Sparse(end) => Err(format!(
                "the batch has offsets {found} to {}, but only {due} to {} can be here",
                header.last_offset(),
                end - 1
            )),
        }
    }
}

/// Batches that were found intact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// The batches, back to back.
    pub bytes: Bytes,
    /// Where they start in the segment.
    pub position: u64,
    /// First offset of the first batch.
    pub base_offset: Offset,
    /// Offset behind the last batch, or `from` when there is none.
    pub next_offset: Offset,
}

/// What to look for in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampQuery {
    /// The first record with at least this timestamp, in ms.
    pub timestamp_ms: i64,
    /// Only records at or behind this offset.
    pub from: Offset,
    /// Only records before this offset.
    pub bound: Offset,
    /// A boundary to start from.
    pub start: Boundary,
    /// Bytes of the segment that are written.
    pub end_position: u64,
    /// See [`Offsets`].
    pub offsets: Offsets,
}

/// A record found by its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampHit {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp in ms.
    pub timestamp_ms: i64,
    /// Epoch of the leader that wrote it.
    pub leader_epoch: LeaderEpoch,
}

/// Reads bytes of one segment.
pub type ReadAt<'a> = dyn FnMut(u64, usize) -> Result<Bytes, ReadFailure> + 'a;

/// Why a segment could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadFailure {
    /// The disk failed.
    Disk(DiskError),
    /// The bytes at this position are no intact batch.
    Corrupt {
        /// Byte in the segment.
        position: u64,
        /// What is wrong with them.
        detail: String,
    },
}

/// Finds and checks the batches of a selection.
///
/// # Errors
/// The disk fails, or a batch in the range is damaged.
pub fn read_batches(selection: &Selection, read: &mut ReadAt<'_>) -> Result<Selected, ReadFailure> {
    let Some((position, first)) = find_first(selection, read)? else {
        // One reading that went astray must not make a gap.
        return match find_first(selection, read)? {
            None => Ok(nothing(selection)),
            Some((position, _)) => Err(differing(position)),
        };
    };
    let available = usize::try_from(selection.end_position - position).unwrap_or(usize::MAX);
    let wanted = selection.max_bytes.max(first.size_bytes()).min(available);
    let bytes = read(position, wanted)?;
    let mut end = 0;
    let mut next_offset = first.base_offset();
    while let Some(rest) = bytes.get(end..).filter(|rest| rest.len() >= HEADER_BYTES) {
        let corrupt = |detail: String| ReadFailure::Corrupt {
            position: position + end as u64,
            detail,
        };
        let header = BatchHeader::parse(rest).map_err(|error| corrupt(error.to_string()))?;
        // A reading that went astray may bring back another log's batches, which look as good.
        if end == 0 && header != first {
            return Err(differing(position));
        }
        let Some(batch) = rest.get(..header.size_bytes()) else {
            break;
        };
        // Nothing in the header is believed, not even that it lies beyond the bound, before its
        // checksum and its place have been checked.
        if !mutant!(ReadChecksumIgnored) {
            batch::verify(batch).map_err(|error| corrupt(error.to_string()))?;
        }
        selection
            .offsets
            .check(&header, next_offset)
            .map_err(corrupt)?;
        if header.last_offset() >= selection.bound {
            break;
        }
        end += batch.len();
        next_offset = header.next_offset();
    }
    if end == 0 {
        return Ok(nothing(selection));
    }
    Ok(Selected {
        bytes: bytes.slice(..end),
        position,
        base_offset: first.base_offset(),
        next_offset,
    })
}

fn differing(position: u64) -> ReadFailure {
    ReadFailure::Corrupt {
        position,
        detail: "two readings differ".to_owned(),
    }
}

fn nothing(selection: &Selection) -> Selected {
    Selected {
        bytes: Bytes::new(),
        position: selection.start.position,
        base_offset: selection.from,
        next_offset: selection.from,
    }
}

fn find_first(
    selection: &Selection,
    read: &mut ReadAt<'_>,
) -> Result<Option<(u64, BatchHeader)>, ReadFailure> {
    let Selection {
        start,
        end_position,
        offsets,
        ..
    } = *selection;
    let mut walk = HeaderWalk::counting(start, end_position, offsets);
    while let Some((position, header)) = walk.next(read)? {
        if header.last_offset() >= selection.from {
            return Ok(Some((position, header)));
        }
    }
    Ok(None)
}

/// Finds the first record of a segment at or after a timestamp.
///
/// # Errors
/// The disk fails, or the batch that should hold the record is damaged.
pub fn find_timestamp(
    query: &TimestampQuery,
    read: &mut ReadAt<'_>,
) -> Result<Option<TimestampHit>, ReadFailure> {
    let mut walk = HeaderWalk::counting(query.start, query.end_position, query.offsets);
    while let Some((position, header)) = walk.next(read)? {
        if header.base_offset() >= query.bound {
            break;
        }
        if header.max_timestamp() < query.timestamp_ms || header.last_offset() < query.from {
            continue;
        }
        let bytes = read(position, header.size_bytes())?;
        let hit = timestamp_in_batch(&bytes, query)
            .map_err(|detail| ReadFailure::Corrupt { position, detail })?;
        if hit.is_some() {
            return Ok(hit);
        }
    }
    Ok(None)
}

/// Finds the first record of one batch that a query asks for.
///
/// # Errors
/// What is wrong with the batch.
pub fn timestamp_in_batch(
    bytes: &[u8],
    query: &TimestampQuery,
) -> Result<Option<TimestampHit>, String> {
    let view = batch::verify(bytes).map_err(|error| error.to_string())?;
    let leader_epoch = view.header().leader_epoch();
    let mut scratch = Decompressor::default();
    let limits = DecompressLimits::default();
    let records = batch::records(&view, &mut scratch, limits).map_err(|error| error.to_string())?;
    for record in records {
        let record = record.map_err(|error| error.to_string())?;
        let wanted = record.timestamp >= query.timestamp_ms && record.offset >= query.from;
        if wanted && record.offset < query.bound {
            let (offset, timestamp_ms) = (record.offset, record.timestamp);
            return Ok(Some(TimestampHit {
                offset,
                timestamp_ms,
                leader_epoch,
            }));
        }
    }
    Ok(None)
}

/// Hops from header to header through a segment, reading in pieces.
#[derive(Debug)]
pub struct HeaderWalk {
    position: u64,
    end: u64,
    window: Bytes,
    window_at: u64,
    /// Offset that is due at `position`, where both ends are known to be boundaries.
    due: Option<(Offset, Offsets)>,
}

impl HeaderWalk {
    /// Walks `[start, end)`, which must begin at a batch boundary and may end anywhere.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> Self {
        Self {
            position: start,
            end,
            window: Bytes::new(),
            window_at: start,
            due: None,
        }
    }

    /// Walks between two boundaries and counts along: a batch that does not continue its
    /// predecessor, or crosses the end, is damaged.
    #[must_use]
    pub fn counting(start: Boundary, end: u64, offsets: Offsets) -> Self {
        Self {
            due: Some((start.offset, offsets)),
            ..Self::new(start.position, end)
        }
    }

    /// The next batch's position and header; `None` at the end.
    ///
    /// # Errors
    /// The disk fails, or the bytes are no batch header.
    pub fn next(
        &mut self,
        read: &mut ReadAt<'_>,
    ) -> Result<Option<(u64, BatchHeader)>, ReadFailure> {
        let position = self.position;
        let corrupt = |detail: String| ReadFailure::Corrupt { position, detail };
        let left = self.end.saturating_sub(position);
        if left < HEADER_BYTES as u64 {
            return match self.due {
                Some(_) if left > 0 => Err(corrupt("the segment ends inside a batch".to_owned())),
                Some(_) | None => Ok(None),
            };
        }
        if self.in_window(position).is_none() {
            let length = usize::try_from(self.end - position)
                .unwrap_or(usize::MAX)
                .min(PROBE_BYTES);
            self.window = read(position, length)?;
            self.window_at = position;
        }
        let bytes = self
            .in_window(position)
            .ok_or_else(|| corrupt("the file ends early".to_owned()))?;
        let header = BatchHeader::parse(bytes).map_err(|error| corrupt(error.to_string()))?;
        let next = position + header.size_bytes() as u64;
        if let Some((due, offsets)) = &mut self.due {
            offsets.check(&header, *due).map_err(corrupt)?;
            if next > self.end {
                return Err(corrupt("the batch ends behind the segment".to_owned()));
            }
            *due = header.next_offset();
        }
        if next > self.end {
            return Ok(None);
        }
        self.position = next;
        Ok(Some((position, header)))
    }

    fn in_window(&self, position: u64) -> Option<&[u8]> {
        let at = usize::try_from(position.checked_sub(self.window_at)?).ok()?;
        self.window
            .get(at..)
            .filter(|bytes| bytes.len() >= HEADER_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use chronik_model::batch::{BatchBuilder, BatchSpec};

    use super::*;

    /// A batch of one record with offsets from `base` to `last`.
    fn batch(base: i64, last: i64) -> Vec<u8> {
        let mut builder = BatchBuilder::new(BatchSpec {
            base_offset: Offset(base),
            ..BatchSpec::default()
        });
        builder.append(1000, None, Some(b"value"), &[]).unwrap();
        builder.extend_to(Offset(last)).unwrap();
        builder.finish().unwrap()
    }

    /// First offsets of the batches that a reader of offset `from` gets.
    fn read(segment: &[u8], from: i64, offsets: Offsets) -> Result<Vec<i64>, String> {
        let selection = Selection {
            from: Offset(from),
            bound: Offset(100),
            start: Boundary {
                position: 0,
                offset: Offset(10),
            },
            end_position: segment.len() as u64,
            offsets,
            max_bytes: 10_000,
        };
        let bytes = Bytes::copy_from_slice(segment);
        let mut read = |position: u64, length: usize| {
            let start = usize::try_from(position).unwrap();
            let end = (start + length).min(bytes.len());
            Ok(bytes.slice(start..end))
        };
        match read_batches(&selection, &mut read) {
            Ok(found) => Ok(batch::batches(&found.bytes)
                .map(|view| view.unwrap().header().base_offset().0)
                .collect()),
            Err(ReadFailure::Corrupt { detail, .. }) => Err(detail),
            Err(ReadFailure::Disk(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn gaps_are_read_over_where_compaction_left_them_and_are_damage_elsewhere() {
        let dense = [batch(10, 12), batch(13, 13), batch(14, 20)].concat();
        let gaps = [batch(11, 12), batch(15, 15), batch(18, 20)].concat();
        let sparse = Offsets::Sparse(Offset(30));
        assert_eq!(read(&dense, 13, Offsets::Dense), Ok(vec![13, 14]));
        assert_eq!(read(&gaps, 10, sparse), Ok(vec![11, 15, 18]));
        assert_eq!(read(&gaps, 13, sparse), Ok(vec![15, 18]));
        assert_eq!(read(&gaps, 17, sparse), Ok(vec![18]));
        assert_eq!(read(&gaps, 21, sparse), Ok(vec![]));
        assert!(read(&gaps, 10, Offsets::Dense).is_err());
    }

    /// Reads `own` from an offset on, with one reading in turn that brings back `other` instead: the
    /// window, the batch, and one that does not come any more.
    fn one_reading_astray(own: &Bytes, other: &Bytes, from: i64) {
        for astray in 0..3 {
            let mut readings = 0;
            let mut read = |_, _| {
                let bytes = if readings == astray { other } else { own };
                readings += 1;
                Ok(bytes.clone())
            };
            let selection = Selection {
                from: Offset(from),
                bound: Offset(100),
                start: Boundary {
                    position: 0,
                    offset: Offset(0),
                },
                end_position: own.len().max(other.len()) as u64,
                offsets: Offsets::Dense,
                max_bytes: 10_000,
            };
            let found = read_batches(&selection, &mut read).map(|found| found.bytes);
            assert_eq!(found.ok(), (astray == 2).then(|| own.clone()), "{astray}");
        }
    }

    #[test]
    fn a_reading_that_went_astray_is_not_taken_and_makes_no_gap() {
        let of = |last| Bytes::from(batch(0, last));
        one_reading_astray(&of(0), &of(1), 0);
        one_reading_astray(&of(5), &of(1), 3);
    }

    #[test]
    fn offsets_that_run_backwards_or_leave_their_segment_are_damage() {
        let check = |batches: &[Vec<u8>], end: i64, expected: &str| {
            let found = read(&batches.concat(), 10, Offsets::Sparse(Offset(end)));
            assert_eq!(found, Err(expected.to_owned()));
        };
        check(
            &[batch(11, 15), batch(13, 20)],
            30,
            "the batch has offsets 13 to 20, but only 16 to 29 can be here",
        );
        check(
            &[batch(9, 9)],
            30,
            "the batch has offsets 9 to 9, but only 10 to 29 can be here",
        );
        check(
            &[batch(11, 15), batch(16, 20)],
            20,
            "the batch has offsets 16 to 20, but only 16 to 19 can be here",
        );
    }
}
