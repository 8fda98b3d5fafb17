//! Walking a segment file batch by batch, for logs whose end nothing else tells.

use bytes::Bytes;
use chronik_model::Offset;
use chronik_model::batch;

use crate::disk::{Disk, DiskError, DiskErrorKind};
use crate::log::PartitionLog;
use crate::log::Segment;
use crate::log::partition_log::NewBatch;
use crate::log::segment::IndexState;
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

/// Adds the intact batches of `files` behind the end of the log, and cuts off what is not intact.
/// `position` is where the first file's unknown part starts.
pub(super) fn extend_from_files(
    disk: &mut dyn Disk,
    log: &mut PartitionLog,
    files: &[(Offset, u64)],
    position: u64,
) -> Result<u64, DiskError> {
    let mut batches = 0;
    let mut start = position;
    let mut intact = true;
    for (base, size) in files {
        let path = log.file(*base).log_path();
        if !intact
            || *base < log.active().base_offset
            || (*base > log.log_end && log.log_end > log.log_start)
        {
            disk.remove(&path)?;
            continue;
        }
        if log.active().base_offset != *base {
            if log.log_end < *base {
                log.log_start = *base;
                log.log_end = *base;
                log.segments.clear();
            }
            log.segments.push_back(Segment::new(*base));
        }
        let end = extend_from_file(disk, log, &path, (start, *size), &mut batches)?;
        if end < *size {
            disk.truncate(&path, end)?;
            intact = false;
        }
        start = 0;
    }
    log.written_end = log.log_end;
    log.committed_end = log.log_end;
    for segment in &mut log.segments {
        segment.written_bytes = segment.bytes;
    }
    Ok(batches)
}

/// Takes intact batches in and returns the byte behind the last one.
fn extend_from_file(
    disk: &mut dyn Disk,
    log: &mut PartitionLog,
    path: &str,
    (start, size): (u64, u64),
    batches: &mut u64,
) -> Result<u64, DiskError> {
    let mut walk = HeaderWalk::new(start, size);
    let mut end = start;
    let mut read = |position, length| {
        disk.read(path, position, length)
            .map(Bytes::from)
            .map_err(ReadFailure::Disk)
    };
    loop {
        let (position, header) = match walk.next(&mut read) {
            Ok(Some(found)) => found,
            Ok(None) | Err(ReadFailure::Corrupt { .. }) => return Ok(end),
            Err(ReadFailure::Disk(error)) => return Err(error),
        };
        let bytes = match read(position, header.size_bytes()) {
            Ok(bytes) => bytes,
            Err(ReadFailure::Corrupt { .. }) => return Ok(end),
            Err(ReadFailure::Disk(error)) => return Err(error),
        };
        if batch::verify(&bytes).is_err() || header.base_offset() < log.log_end {
            return Ok(end);
        }
        // The file decides where segments end, not the settings of today.
        let limit = std::mem::replace(&mut log.config.segment_bytes, u64::MAX);
        let age = std::mem::replace(&mut log.config.segment_ms, i64::MAX);
        log.place(&NewBatch::stored(&header));
        log.config.segment_bytes = limit;
        log.config.segment_ms = age;
        log.active().index_state = IndexState::Complete;
        *batches += 1;
        end = position + header.size_bytes() as u64;
    }
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
