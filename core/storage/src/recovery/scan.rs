//! Walking a segment file batch by batch, for logs whose end nothing else tells.

use bytes::Bytes;
use chronik_model::batch::{self, BatchHeader};
use chronik_model::{Offset, mutant};

use crate::disk::{Disk, DiskError, DiskErrorKind, Steady};
use crate::log::partition_log::NewBatch;
use crate::log::{PartitionLog, Segment, SegmentId};
use crate::select::{HeaderWalk, ReadFailure};

/// The segments in a directory with their sizes, oldest first.
pub(super) fn segment_files(
    disk: &mut dyn Disk,
    directory: &str,
) -> Result<Vec<(SegmentId, u64)>, DiskError> {
    let mut files: Vec<(SegmentId, u64)> = disk
        .list(directory)?
        .iter()
        .filter_map(|entry| Some((parse_name(&entry.name)?, entry.bytes)))
        .collect();
    files.sort_unstable();
    Ok(files)
}

/// Reads `BASE.log` or `BASE.GENERATION.log` back.
fn parse_name(name: &str) -> Option<SegmentId> {
    let name = name.strip_suffix(".log")?;
    let (base, generation) = match name.split_once('.') {
        Some((base, generation)) => (base, generation.parse().ok().filter(|known| *known > 0)?),
        None => (name, 0),
    };
    Some(SegmentId {
        base_offset: Offset(base.parse().ok()?),
        generation,
    })
}

/// Which part of the segment files to take into a log.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    /// Segments and sizes.
    pub(super) files: &'a [(SegmentId, u64)],
    /// Only batches that end before this offset.
    pub(super) limit: Offset,
    /// Each batch must begin where the one before it ended.
    pub(super) gapless: bool,
}

impl Scan<'_> {
    /// Adds intact batches behind the end of the log, up to the first one that is not intact, and
    /// returns their number.
    pub(super) fn extend(
        &self,
        disk: &mut dyn Disk,
        log: &mut PartitionLog,
    ) -> Result<u64, DiskError> {
        let mut batches = 0;
        for (id, size) in self.files {
            let active = log.active().id();
            let base = id.base_offset;
            if base < active.base_offset || (base == active.base_offset && *id != active) {
                continue;
            }
            if base > active.base_offset {
                // Compaction may have left a gap at an end that was taken back later.
                let gap = !self.gapless && active.generation > 0 && base > log.log_end;
                if (base != log.log_end && !gap) || base >= self.limit {
                    break;
                }
                log.log_end = base;
                let mut segment = Segment::new(base);
                segment.generation = id.generation;
                log.segments.push_back(segment);
            }
            if !self.extend_from_file(disk, log, *size, &mut batches)? {
                break;
            }
        }
        log.written_end = log.log_end;
        log.committed_end = log.log_end;
        for segment in &mut log.segments {
            segment.written_bytes = segment.bytes;
        }
        Ok(batches)
    }

    /// Takes batches of the last segment in; false when it does not end in a whole, wanted batch.
    fn extend_from_file(
        &self,
        disk: &mut dyn Disk,
        log: &mut PartitionLog,
        size: u64,
        batches: &mut u64,
    ) -> Result<bool, DiskError> {
        let base = log.active().base_offset;
        let path = log.file(base).log_path();
        let mut walk = HeaderWalk::new(log.active().bytes, size);
        while log.active().bytes < size {
            let mut found = self.next_batch(disk, &path, &mut walk, log.log_end)?;
            if found.is_none() {
                // What is taken for the end is cut off, so one bad reading must not decide it.
                walk = HeaderWalk::new(log.active().bytes, size);
                found = self.next_batch(&mut Steady(disk), &path, &mut walk, log.log_end)?;
            }
            let Some(header) = found else {
                return Ok(false);
            };
            // The file decides where segments end, not the settings of today.
            log.place_in_active(&NewBatch::stored(&header));
            *batches += 1;
        }
        Ok(true)
    }

    /// The next batch, if it is whole, intact and wanted behind `end`.
    fn next_batch(
        &self,
        disk: &mut dyn Disk,
        path: &str,
        walk: &mut HeaderWalk,
        end: Offset,
    ) -> Result<Option<BatchHeader>, DiskError> {
        let mut read = reader(disk, path);
        let (position, header) = match walk.next(&mut read) {
            Ok(Some(found)) => found,
            Ok(None) | Err(ReadFailure::Corrupt { .. }) => return Ok(None),
            Err(ReadFailure::Disk(error)) => return Err(error),
        };
        let bytes = match read(position, header.size_bytes()) {
            Ok(bytes) => bytes,
            Err(ReadFailure::Corrupt { .. }) => return Ok(None),
            Err(ReadFailure::Disk(error)) => return Err(error),
        };
        let follows = if self.gapless {
            header.base_offset() == end
        } else {
            header.base_offset() >= end
        };
        let wanted = follows && header.last_offset() < self.limit;
        Ok((wanted && is_intact(&bytes, &header)).then_some(header))
    }
}

/// Whether the bytes are the batch of this header: they were read apart from it.
fn is_intact(bytes: &[u8], header: &BatchHeader) -> bool {
    if mutant!(ScanChecksumIgnored) {
        return true;
    }
    batch::verify(bytes).is_ok_and(|view| view.header() == header)
}

/// Reads from one file.
fn reader(disk: &mut dyn Disk, path: &str) -> impl FnMut(u64, usize) -> Result<Bytes, ReadFailure> {
    move |position, length| {
        disk.read(path, position, length)
            .map(Bytes::from)
            .map_err(ReadFailure::Disk)
    }
}

/// Byte of the first batch of a file that reaches `end` or lies behind it.
pub(super) fn position_of(disk: &mut dyn Disk, path: &str, end: Offset) -> Result<u64, DiskError> {
    let mut disk = Steady(disk);
    let mut read = reader(&mut disk, path);
    let mut walk = HeaderWalk::new(0, u64::MAX);
    let mut position = 0;
    loop {
        match walk.next(&mut read) {
            Ok(Some((at, header))) if header.last_offset() >= end => return Ok(at),
            Ok(Some((at, header))) => position = at + header.size_bytes() as u64,
            Ok(None) | Err(ReadFailure::Corrupt { .. }) => return Ok(position),
            Err(ReadFailure::Disk(error)) if error.kind == DiskErrorKind::NotFound => return Ok(0),
            Err(ReadFailure::Disk(error)) => return Err(error),
        }
    }
}

/// Lets `seen` look at the headers of one segment's batches from `from` on. A file that is gone has
/// none.
pub(super) fn walk_headers(
    disk: &mut dyn Disk,
    path: &str,
    from: Offset,
    seen: &mut dyn FnMut(&BatchHeader),
) -> Result<(), DiskError> {
    let mut disk = Steady(disk);
    let mut read = reader(&mut disk, path);
    let mut walk = HeaderWalk::new(0, u64::MAX);
    loop {
        match walk.next(&mut read) {
            Ok(Some((_, header))) if header.last_offset() >= from => seen(&header),
            Ok(Some(_)) => {}
            Ok(None) | Err(ReadFailure::Corrupt { .. }) => return Ok(()),
            Err(ReadFailure::Disk(error)) if error.kind == DiskErrorKind::NotFound => return Ok(()),
            Err(ReadFailure::Disk(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_tell_base_and_generation() {
        let check = |name: &str, expected: Option<(i64, u32)>| {
            let expected = expected.map(|(base, generation)| SegmentId {
                base_offset: Offset(base),
                generation,
            });
            assert_eq!(parse_name(name), expected, "{name}");
        };
        check("00000000000000000012.log", Some((12, 0)));
        check("00000000000000000012.3.log", Some((12, 3)));
        check("00000000000000000012.0.log", None);
        check("00000000000000000012.-3.log", None);
        check("00000000000000000012.3.4.log", None);
        check("00000000000000000012.cidx", None);
        check("x.log", None);
    }
}
