//! Carries out one operation on segment files.

use std::fs::{self, File};
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use chronik_storage::disk::{DiskData, DiskError, DiskErrorKind, DiskOp, FileKey, PinnedFile};
use chronik_storage::select::{self, ReadFailure, Selection};

use super::file_io::{self, disk_error};
use super::file_table::{Access, FileTable, SyncPlan};
use super::locked;

/// Largest index file that is read back.
const MAX_INDEX_BYTES: u64 = 256 << 20;
/// Shorter ranges are read.
const MIN_PINNED_BYTES: u64 = 32 << 10;

/// Carries out `op`. The lock on `files` is held to find handles, not while they are used.
///
/// # Errors
/// What the disk said, or that the bytes it brought back are damaged.
pub(crate) fn execute(files: &Mutex<FileTable>, op: DiskOp) -> Result<DiskData, DiskError> {
    match op {
        DiskOp::Write {
            file,
            position,
            buffers,
            urgent: _,
        } => write(files, &file, position, &buffers).map(|()| DiskData::Done),
        DiskOp::Sync { file } => {
            let plan = locked(files).plan_sync(&file.log_path())?;
            sync(files, &plan).map(|()| DiskData::Done)
        }
        DiskOp::Read {
            file,
            selection,
            may_pin,
        } => {
            if may_pin {
                let opened = locked(files).open(&file.log_path(), Access::Read)?;
                if let Some(pinned) = pin(opened, &selection) {
                    return Ok(DiskData::Pinned(pinned));
                }
            }
            with_reader(files, &file, |read| select::read_batches(&selection, read))
                .map(DiskData::Batches)
        }
        DiskOp::FindTimestamp { file, query } => {
            with_reader(files, &file, |read| select::find_timestamp(&query, read))
                .map(DiskData::Timestamp)
        }
        DiskOp::Compact { file, mut step } => {
            with_reader(files, &file, |read| step.run(read))?;
            Ok(DiskData::Compacted(step))
        }
        DiskOp::WriteIndex { file, bytes } => {
            write_index(files, &file, &bytes).map(|()| DiskData::Done)
        }
        DiskOp::ReadIndex { file } => read_index(files, &file).map(DiskData::File),
        DiskOp::Truncate { file, length } => {
            truncate(files, &file, length).map(|()| DiskData::Done)
        }
        DiskOp::RemoveSegment { file } => {
            remove(files, &file.log_path())?;
            remove(files, &file.index_path())?;
            sync_names(files, &file.directory).map(|()| DiskData::Done)
        }
        DiskOp::ReplaceFile {
            log_id: _,
            path,
            bytes,
        } => replace(files, &path, &bytes).map(|()| DiskData::Done),
        DiskOp::RemoveFile { log_id: _, path } => {
            remove(files, &path)?;
            sync_names(files, file_io::parent(&path)).map(|()| DiskData::Done)
        }
        DiskOp::RemoveLog {
            log_id: _,
            directory,
        } => {
            locked(files).forget_directory(&directory);
            remove(files, &directory)?;
            sync_names(files, file_io::parent(&directory)).map(|()| DiskData::Done)
        }
    }
}

/// Cuts a segment and makes that durable; its index no longer fits and goes. An absent segment is
/// as short as can be.
fn truncate(files: &Mutex<FileTable>, file: &FileKey, length: u64) -> Result<(), DiskError> {
    let path = file.log_path();
    remove(files, &file.index_path())?;
    let opened = locked(files).open(&path, Access::Change);
    match opened {
        Ok(handle) => {
            let cut = handle.set_len(length);
            cut.map_err(|error| disk_error(&path, &error))?;
            let plan = locked(files).plan_sync(&path)?;
            sync(files, &plan)?;
        }
        Err(error) if error.kind == DiskErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    sync_names(files, &file.directory)
}

/// Makes removals in a directory durable; one that is gone has nothing to keep.
fn sync_names(files: &Mutex<FileTable>, directory: &str) -> Result<(), DiskError> {
    let full_path = locked(files).full_path(directory);
    match file_io::sync_directory(&full_path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(file_io::sync_error(directory, &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn write(
    files: &Mutex<FileTable>,
    file: &FileKey,
    position: u64,
    buffers: &[Bytes],
) -> Result<(), DiskError> {
    let path = file.log_path();
    let handle = locked(files).open(&path, Access::Create)?;
    file_io::write_all_at(&handle, position, buffers).map_err(|error| disk_error(&path, &error))
}

fn sync(files: &Mutex<FileTable>, plan: &SyncPlan) -> Result<(), DiskError> {
    let result = plan.run();
    locked(files).finish_sync(plan, result)
}

/// The open file, if the bytes of the selection are in the page cache, and so many that copying them
/// would cost more than having them sent.
pub(crate) fn pin(file: Arc<File>, selection: &Selection) -> Option<PinnedFile> {
    let range = selection.start.position..selection.end_position;
    let is_worth_it = range.end.saturating_sub(range.start) >= MIN_PINNED_BYTES;
    if is_worth_it && file_io::is_cached(&file, range) {
        Some(file)
    } else {
        None
    }
}

fn with_reader<T>(
    files: &Mutex<FileTable>,
    file: &FileKey,
    select: impl FnOnce(&mut select::ReadAt<'_>) -> Result<T, ReadFailure>,
) -> Result<T, DiskError> {
    let path = file.log_path();
    let handle = locked(files).open(&path, Access::Read)?;
    let selected = select(&mut |position, length| read(&handle, &path, position, length));
    selected.map_err(|failure| match failure {
        ReadFailure::Disk(error) => error,
        ReadFailure::Corrupt { position, detail } => DiskError::new(
            &path,
            DiskErrorKind::Corrupt,
            format!("byte {position}: {detail}"),
        ),
    })
}

fn read(handle: &File, path: &str, position: u64, length: usize) -> Result<Bytes, ReadFailure> {
    let read = file_io::read_at(handle, position, length);
    read.map(Bytes::from)
        .map_err(|error| ReadFailure::Disk(disk_error(path, &error)))
}

/// Index files are written once and read rarely: they stay out of the table of open files.
fn write_index(files: &Mutex<FileTable>, file: &FileKey, bytes: &Bytes) -> Result<(), DiskError> {
    write_whole(files, &file.index_path(), bytes)
}

/// Writes a file from its beginning and makes it durable.
fn write_whole(files: &Mutex<FileTable>, path: &str, bytes: &Bytes) -> Result<(), DiskError> {
    let file = locked(files).create(path)?;
    file_io::write_all_at(&file, 0, &[bytes]).map_err(|error| disk_error(path, &error))?;
    let plan = locked(files).plan_sync_of(path, Arc::new(file));
    sync(files, &plan)
}

fn read_index(files: &Mutex<FileTable>, file: &FileKey) -> Result<Bytes, DiskError> {
    let path = file.index_path();
    let failed = |error: io::Error| disk_error(&path, &error);
    let full_path = locked(files).full_path(&path);
    let index = File::open(full_path).map_err(failed)?;
    let length = index.metadata().map_err(failed)?.len();
    if length > MAX_INDEX_BYTES {
        let detail =
            format!("{length} bytes are more than the {MAX_INDEX_BYTES} an index may have");
        return Err(DiskError::new(&path, DiskErrorKind::Corrupt, detail));
    }
    file_io::read_at(&index, 0, usize::MAX)
        .map(Bytes::from)
        .map_err(failed)
}

/// Puts a whole file in the place of `path`, which keeps its content where this fails.
fn replace(files: &Mutex<FileTable>, path: &str, bytes: &Bytes) -> Result<(), DiskError> {
    let temporary = format!("{path}.tmp");
    remove(files, &temporary)?;
    let renamed = write_whole(files, &temporary, bytes).and_then(|()| {
        let (from, to) = {
            let mut files = locked(files);
            files.forget(path);
            (files.full_path(&temporary), files.full_path(path))
        };
        fs::rename(from, to).map_err(|error| disk_error(path, &error))
    });
    if renamed.is_err() {
        // Space is short, perhaps. What can not be removed now is at the next start.
        drop(remove(files, &temporary));
    }
    renamed?;
    sync_names(files, file_io::parent(path))
}

fn remove(files: &Mutex<FileTable>, path: &str) -> Result<(), DiskError> {
    let full_path = {
        let mut files = locked(files);
        files.forget(path);
        files.full_path(path)
    };
    file_io::remove(&full_path).map_err(|error| disk_error(path, &error))
}
