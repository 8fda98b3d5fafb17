//! Walking a segment file batch by batch, for logs whose end nothing else tells.

use bytes::Bytes;
use chronik_model::Offset;
use chronik_model::batch::{self, BatchHeader};

use crate::disk::{Disk, DiskError, DiskErrorKind};
use crate::log::PartitionLog;
use crate::log::Segment;
use crate::log::partition_log::NewBatch;
use crate::select::{HeaderWalk, ReadFailure};

/// Base offsets and sizes of the segments in a directory, oldest first.
pub(super) fn segment_files(
    disk: &mut dyn Disk,
    directory: &str,
) -> Result<Vec<(Offset, u64)>, DiskError> {
    let mut files: Vec<(Offset, u64)> = disk
        .list(directory)?
        .iter()
        .filter_map(|entry| {
            let base = entry.name.strip_suffix(".log")?.parse().ok()?;
            Some((Offset(base), entry.bytes))
        })
        .collect();
    files.sort_unstable();
    Ok(files)
}

/// Which part of the segment files to take into a log.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    /// Base offsets and sizes.
    pub(super) files: &'a [(Offset, u64)],
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
        for (base, size) in self.files {
            let active = log.active().base_offset;
            if *base < active {
                continue;
            }
            if *base > active {
                if *base != log.log_end || *base >= self.limit {
                    break;
                }
                log.segments.push_back(Segment::new(*base));
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
        let (base, start) = (log.active().base_offset, log.active().bytes);
        let path = log.file(base).log_path();
        let mut walk = HeaderWalk::new(start, size);
        let mut read = |position, length| {
            disk.read(&path, position, length)
                .map(Bytes::from)
                .map_err(ReadFailure::Disk)
        };
        loop {
            let (position, header) = match walk.next(&mut read) {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(log.active().bytes == size),
                Err(ReadFailure::Corrupt { .. }) => return Ok(false),
                Err(ReadFailure::Disk(error)) => return Err(error),
            };
            let bytes = match read(position, header.size_bytes()) {
                Ok(bytes) => bytes,
                Err(ReadFailure::Corrupt { .. }) => return Ok(false),
                Err(ReadFailure::Disk(error)) => return Err(error),
            };
            let follows = if self.gapless {
                header.base_offset() == log.log_end
            } else {
                header.base_offset() >= log.log_end
            };
            let wanted = follows && header.last_offset() < self.limit;
            if !wanted || batch::verify(&bytes).is_err() {
                return Ok(false);
            }
            take(log, &header);
            *batches += 1;
        }
    }
}

/// Takes a batch in where it stands: the file decides where segments end, not the settings of today.
fn take(log: &mut PartitionLog, header: &BatchHeader) {
    let limit = std::mem::replace(&mut log.config.segment_bytes, u64::MAX);
    let age = std::mem::replace(&mut log.config.segment_ms, i64::MAX);
    log.place(&NewBatch::stored(header));
    log.config.segment_bytes = limit;
    log.config.segment_ms = age;
}

/// Byte of the first batch of a file that reaches `end` or lies behind it.
pub(super) fn position_of(disk: &mut dyn Disk, path: &str, end: Offset) -> Result<u64, DiskError> {
    let mut read = |position, length| {
        disk.read(path, position, length)
            .map(Bytes::from)
            .map_err(ReadFailure::Disk)
    };
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
