//! Calls on one file: whole writes, bounded reads, durable names, and what their errors mean.

use std::fs::{self, File};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::ops::Range;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use chronik_storage::disk::{DiskError, DiskErrorKind};
use rustix::buffer::spare_capacity;
use rustix::io::{Errno, ReadWriteFlags};

/// Boundary that direct writes keep in memory, in the file and in length.
pub(crate) const DIRECT_ALIGNMENT: usize = 4096;
/// Distance of the bytes that are looked for in the page cache, which takes and drops larger runs.
const CACHE_SAMPLE_BYTES: usize = 128 << 10;
/// Buffers of one `pwritev` (the kernel's `UIO_MAXIOV`).
const MAX_BUFFERS_PER_CALL: usize = 1024;
/// Short writes without progress that are put up with before giving up.
const MAX_STALLED_WRITES: usize = 8;

/// What an operating system error on `path` means.
pub(crate) fn disk_error(path: &str, error: &io::Error) -> DiskError {
    let kind = if error.kind() == ErrorKind::NotFound {
        DiskErrorKind::NotFound
    } else if matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    ) {
        DiskErrorKind::Full
    } else {
        DiskErrorKind::Failed
    };
    DiskError::new(path, kind, error.to_string())
}

/// What a failed sync of `path` means: never [`DiskErrorKind::Full`], because the kernel may have
/// dropped the pages, so that writing "again" has nothing to write.
pub(crate) fn sync_error(path: &str, error: &io::Error) -> DiskError {
    DiskError::new(path, DiskErrorKind::Failed, format!("sync: {error}"))
}

/// Writes all buffers back to back at `position`.
///
/// # Errors
/// The operating system's, after which any part of the bytes may have been written.
pub(crate) fn write_all_at<B: AsRef<[u8]>>(
    file: &File,
    position: u64,
    buffers: &[B],
) -> io::Result<()> {
    write_pieces(file, position, buffers, 1)
}

/// Like [`write_all_at`] on a file opened with `O_DIRECT`: what a short write leaves is issued again
/// from the last whole block.
///
/// # Errors
/// `EINVAL` where the filesystem refuses direct writes; else as [`write_all_at`].
pub(crate) fn write_all_direct<B: AsRef<[u8]>>(
    file: &File,
    position: u64,
    buffers: &[B],
) -> io::Result<()> {
    write_pieces(file, position, buffers, DIRECT_ALIGNMENT)
}

fn write_pieces<B: AsRef<[u8]>>(
    file: &File,
    mut position: u64,
    buffers: &[B],
    block: usize,
) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = buffers
        .iter()
        .map(AsRef::as_ref)
        .filter(|buffer| !buffer.is_empty())
        .map(IoSlice::new)
        .collect();
    let mut rest = slices.as_mut_slice();
    let mut stalled = 0;
    while !rest.is_empty() {
        let count = rest.len().min(MAX_BUFFERS_PER_CALL);
        let written =
            match rustix::io::pwritev(file, rest.get(..count).unwrap_or_default(), position) {
                Ok(written) => written - written % block,
                Err(Errno::INTR) => 0,
                Err(error) => return Err(error.into()),
            };
        stalled = if written == 0 { stalled + 1 } else { 0 };
        if stalled > MAX_STALLED_WRITES {
            return Err(ErrorKind::WriteZero.into());
        }
        position += written as u64;
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(())
}

/// Up to `length` bytes from `position`; fewer at the end of the file. Memory is taken for bytes
/// that the file has, whatever `length` says.
///
/// # Errors
/// The operating system's.
pub(crate) fn read_at(file: &File, position: u64, length: usize) -> io::Result<Vec<u8>> {
    let present = file.metadata()?.len().saturating_sub(position);
    let length = usize::try_from(present).unwrap_or(usize::MAX).min(length);
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let at = position + bytes.len() as u64;
        match rustix::io::pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The allocator may have given more room than was asked for.
    bytes.truncate(length);
    Ok(bytes)
}

/// Whether a range of a file is in the page cache, as far as samples tell: reading it would not wait
/// for the disk. Where the filesystem can not say, it is not.
pub(crate) fn is_cached(file: &File, range: Range<u64>) -> bool {
    let last = range.end.saturating_sub(1);
    let mut samples = range.step_by(CACHE_SAMPLE_BYTES).chain([last]);
    samples.all(|position| {
        let mut byte = [0];
        let mut buffers = [IoSliceMut::new(&mut byte)];
        rustix::io::preadv2(file, &mut buffers, position, ReadWriteFlags::NOWAIT) == Ok(1)
    })
}

/// Makes the names in a directory durable.
///
/// # Errors
/// The operating system's.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes a file, or a directory with all it holds; absent is fine.
///
/// # Errors
/// The operating system's.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The directory part of a relative path; empty for the data directory itself.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// `directory` and those above it, up to and including the data directory (the empty path).
pub(crate) fn with_ancestors(directory: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(directory), |path| {
        (!path.is_empty()).then(|| parent(path))
    })
}

/// Zeros whose first byte lies on a [`DIRECT_ALIGNMENT`] boundary.
pub(crate) fn aligned_zeros(length: usize) -> Bytes {
    let zeros = BytesMut::zeroed(length + DIRECT_ALIGNMENT).freeze();
    let gap = zeros.as_ptr().align_offset(DIRECT_ALIGNMENT);
    zeros.slice(gap..gap + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_of_many_buffers_arrive_whole() {
        let file = tempfile::tempfile().unwrap();
        for count in [0, 1, 1023, 1024, 1025, 3000] {
            let buffers: Vec<Vec<u8>> = (0..count)
                .map(|n: usize| vec![n.to_le_bytes()[0]; n % 5])
                .collect();
            file.set_len(0).unwrap();
            write_all_at(&file, 3, &buffers).unwrap();
            assert_eq!(
                read_at(&file, 3, usize::MAX).unwrap(),
                buffers.concat(),
                "{count} buffers"
            );
        }
    }

    #[test]
    fn reads_end_where_the_file_ends() {
        let file = tempfile::tempfile().unwrap();
        write_all_at(&file, 0, &[b"0123456789"]).unwrap();
        let check = |position, length, expected: &[u8]| {
            assert_eq!(read_at(&file, position, length).unwrap(), expected);
        };
        check(0, 10, b"0123456789");
        check(2, 3, b"234");
        check(8, usize::MAX, b"89");
        check(10, 1, b"");
        check(u64::MAX, 1, b"");
    }

    #[test]
    fn what_was_just_written_is_cached_and_what_is_not_there_is_not() {
        let file = tempfile::tempfile().unwrap();
        let bytes = vec![1; 3 * CACHE_SAMPLE_BYTES];
        write_all_at(&file, 0, &[&bytes]).unwrap();
        let end = bytes.len() as u64;
        assert!(is_cached(&file, 5..end));
        assert!(!is_cached(&file, 5..end + 1));
    }

    #[test]
    fn errors_are_told_apart() {
        let check = |error: io::Error, kind| assert_eq!(disk_error("f", &error).kind, kind);
        check(Errno::NOENT.into(), DiskErrorKind::NotFound);
        check(Errno::NOSPC.into(), DiskErrorKind::Full);
        check(Errno::DQUOT.into(), DiskErrorKind::Full);
        check(Errno::IO.into(), DiskErrorKind::Failed);
        check(Errno::ROFS.into(), DiskErrorKind::Failed);
        assert_eq!(
            sync_error("f", &Errno::NOSPC.into()).kind,
            DiskErrorKind::Failed
        );
    }

    #[test]
    fn a_full_device_is_full() {
        let file = File::options().write(true).open("/dev/full").unwrap();
        let error = write_all_at(&file, 0, &[b"x"]).unwrap_err();
        assert_eq!(disk_error("f", &error).kind, DiskErrorKind::Full);
    }

    #[test]
    fn ancestors_end_at_the_data_directory() {
        let check = |path, expected: &[&str]| {
            assert_eq!(with_ancestors(path).collect::<Vec<_>>(), expected);
        };
        check("", &[""]);
        check("a", &["a", ""]);
        check("a/b/c", &["a/b/c", "a/b", "a", ""]);
    }

    #[test]
    fn zeros_are_aligned() {
        for length in [0, 1, 4096, 1 << 20] {
            let zeros = aligned_zeros(length);
            assert_eq!(zeros.len(), length);
            assert_eq!(zeros.as_ptr().align_offset(DIRECT_ALIGNMENT), 0);
        }
    }
}
