//! The journal's ring of files: one write at a time, durable when it returns.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chronik_storage::disk::{DiskError, DiskErrorKind};
use chronik_storage::journal::ring::{RingWrite, ring_path};
use rustix::fs::OFlags;

use super::file_io::{
    DIRECT_ALIGNMENT, disk_error, sync_directory, sync_error, write_all_at, write_all_direct,
};
use super::filesystem::{self, FilesystemKind, is_refusal, open_with_flags};
use super::pre_writer::{PreWriter, RingFiles, fill_beginning};

/// Bytes of the first file that are prepared before the first commit may come.
const FIRST_BYTES: u64 = 8 << 20;

/// The ring files, opened when the ring first reaches them.
#[derive(Debug)]
pub(crate) struct JournalFiles {
    ring: RingFiles,
    filesystem: FilesystemKind,
    files: Vec<Option<RingFile>>,
    pre_writer: PreWriter,
}

/// A file that belongs to the ring.
#[derive(Debug)]
enum RingFile {
    /// Opened `O_DIRECT | O_DSYNC`.
    Direct(File),
    /// Through the page cache, synced behind each write.
    Buffered(File),
}

impl JournalFiles {
    /// Finds out how the filesystem wants to be written, makes missing files and starts to prepare
    /// them. What the files hold is not touched, so that it can be replayed before or after.
    ///
    /// # Errors
    /// The directory can not be examined, made or written.
    pub(crate) fn open(data_dir: &Path, file_count: usize, file_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(data_dir)?;
        let filesystem = filesystem::probe(data_dir)?;
        Self::open_as(data_dir, file_count, file_bytes, filesystem)
    }

    fn open_as(
        data_dir: &Path,
        file_count: usize,
        file_bytes: u64,
        filesystem: FilesystemKind,
    ) -> io::Result<Self> {
        let direct = filesystem == FilesystemKind::Direct;
        let data_dir = data_dir.to_owned();
        let ring = RingFiles {
            data_dir,
            file_count,
            file_bytes,
            direct,
        };
        create_files(&ring)?;
        let mut files = Vec::new();
        files.resize_with(file_count, || None);
        let pre_writer = PreWriter::start(ring.clone())?;
        Ok(Self {
            ring,
            filesystem,
            files,
            pre_writer,
        })
    }

    /// How the files are written, as found out at the start.
    pub(crate) const fn filesystem(&self) -> &FilesystemKind {
        &self.filesystem
    }

    /// Writes consecutive frames, which are durable on return.
    ///
    /// # Errors
    /// The write or its sync failed: any part of it may or may not be on the disk, and the journal
    /// must not be written again by this process.
    pub(crate) fn write(&mut self, write: &RingWrite) -> Result<(), DiskError> {
        let path = || ring_path(write.file);
        let length: u64 = write.buffers.iter().map(|buffer| buffer.len() as u64).sum();
        let end = write.position.saturating_add(length);
        if write.file >= self.ring.file_count || end > self.ring.file_bytes {
            let detail = format!("a write up to byte {end} is outside of the ring");
            return Err(DiskError::new(&path(), DiskErrorKind::Failed, detail));
        }
        debug_assert!((write.position | length).is_multiple_of(DIRECT_ALIGNMENT as u64));
        let file = self
            .file(write.file)
            .map_err(|error| disk_error(&path(), &error))?;
        let file = match file {
            RingFile::Direct(file) => {
                match write_all_direct(file, write.position, &write.buffers) {
                    Err(error) if is_refusal(&error) => {
                        let reopened = self.fall_back(write.file);
                        reopened.map_err(|error| disk_error(&path(), &error))?
                    }
                    written => return written.map_err(|error| disk_error(&path(), &error)),
                }
            }
            RingFile::Buffered(file) => file,
        };
        write_buffered(file, &path(), write.position, &write.buffers)
    }

    fn file(&mut self, index: usize) -> io::Result<&RingFile> {
        let Some(slot) = self.files.get_mut(index) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if slot.is_none() {
            self.pre_writer.claim(index);
            *slot = Some(open_file(&mut self.ring, index)?);
        }
        slot.as_ref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Goes on without direct writes, with the same file and all that are opened later.
    fn fall_back(&mut self, index: usize) -> io::Result<&File> {
        self.ring.direct = false;
        let file = self
            .files
            .get_mut(index)
            .ok_or(io::ErrorKind::InvalidInput)?;
        tracing::warn!(
            file = ring_path(index),
            "direct write refused; the journal is written buffered"
        );
        match file.insert(open_file(&mut self.ring, index)?) {
            RingFile::Direct(file) | RingFile::Buffered(file) => Ok(file),
        }
    }
}

fn open_file(ring: &mut RingFiles, index: usize) -> io::Result<RingFile> {
    let path = path_of(ring, index);
    if ring.direct {
        match open_with_flags(&path, OFlags::DIRECT | OFlags::DSYNC, false) {
            Err(error) if is_refusal(&error) => ring.direct = false,
            opened => return opened.map(RingFile::Direct),
        }
    }
    open_with_flags(&path, OFlags::empty(), false).map(RingFile::Buffered)
}

fn write_buffered(
    file: &File,
    path: &str,
    position: u64,
    buffers: &[Bytes],
) -> Result<(), DiskError> {
    write_all_at(file, position, buffers).map_err(|error| disk_error(path, &error))?;
    file.sync_data().map_err(|error| sync_error(path, &error))
}

/// Makes files that are absent, and their names durable: of a lost file the frames would be lost.
fn create_files(ring: &RingFiles) -> io::Result<()> {
    let first = path_of(ring, 0);
    let directory = first.parent().unwrap_or(&ring.data_dir);
    fs::create_dir_all(directory)?;
    for index in 0..ring.file_count {
        File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path_of(ring, index))?;
    }
    sync_directory(directory)?;
    sync_directory(&ring.data_dir)?;
    if ring.file_count > 0 && first.metadata()?.len() == 0 {
        fill_beginning(ring, 0, FIRST_BYTES)?;
    }
    Ok(())
}

fn path_of(ring: &RingFiles, index: usize) -> PathBuf {
    ring.data_dir.join(ring_path(index))
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use bytes::BytesMut;

    use super::*;

    const BLOCK: usize = DIRECT_ALIGNMENT;
    const FILE_BYTES: u64 = 3 << 20;

    /// `blocks` blocks of `byte`, `shift` bytes behind an aligned address.
    fn buffer(byte: u8, blocks: usize, shift: usize) -> Bytes {
        let mut bytes = BytesMut::zeroed((blocks + 1) * BLOCK + shift);
        let start = bytes.as_ptr().align_offset(BLOCK) + shift;
        bytes[start..start + blocks * BLOCK].fill(byte);
        bytes.freeze().slice(start..start + blocks * BLOCK)
    }

    fn write(file: usize, position: usize, buffers: Vec<Bytes>) -> RingWrite {
        RingWrite {
            file,
            position: position as u64,
            buffers,
        }
    }

    fn content(data_dir: &Path, file: usize) -> Vec<u8> {
        fs::read(data_dir.join(ring_path(file))).unwrap()
    }

    fn buffered() -> FilesystemKind {
        FilesystemKind::Buffered("asked for".to_owned())
    }

    #[test]
    fn what_is_written_is_in_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let probed = filesystem::probe(directory.path()).unwrap();
        for (name, kind) in [("probed", probed), ("buffered", buffered())] {
            let data_dir = directory.path().join(name);
            fs::create_dir(&data_dir).unwrap();
            let mut files = JournalFiles::open_as(&data_dir, 3, FILE_BYTES, kind).unwrap();
            files
                .write(&write(2, BLOCK, vec![buffer(1, 1, 0), buffer(2, 3, 0)]))
                .unwrap();
            files.write(&write(0, 0, vec![buffer(3, 1, 0)])).unwrap();
            files.write(&write(2, 0, vec![buffer(4, 1, 0)])).unwrap();
            let claimed = [0, 1, 2].map(|file| files.pre_writer.is_claimed(file));
            assert_eq!(claimed, [true, false, true]);
            let blocks: Vec<u8> = content(&data_dir, 2)
                .iter()
                .step_by(BLOCK)
                .copied()
                .take(5)
                .collect();
            assert_eq!(blocks, [4, 1, 2, 2, 2]);
            assert_eq!(
                content(&data_dir, 0)[..=BLOCK]
                    .iter()
                    .filter(|byte| **byte == 3)
                    .count(),
                BLOCK
            );
        }
    }

    #[test]
    fn a_refused_direct_write_is_done_buffered() {
        let directory = tempfile::tempdir().unwrap();
        let direct = FilesystemKind::Direct;
        let mut files = JournalFiles::open_as(directory.path(), 3, FILE_BYTES, direct).unwrap();
        let refuses = open_with_flags(&path_of(&files.ring, 1), OFlags::DIRECT, false)
            .and_then(|file| write_all_direct(&file, 0, &[buffer(7, 1, 1)]))
            .is_err();
        // An odd address is what filesystems with direct writes refuse.
        files.write(&write(0, 0, vec![buffer(7, 2, 1)])).unwrap();
        files
            .write(&write(0, 2 * BLOCK, vec![buffer(8, 1, 0)]))
            .unwrap();
        files.write(&write(1, 0, vec![buffer(9, 1, 1)])).unwrap();
        assert_eq!(files.ring.direct, !refuses);
        let blocks: Vec<u8> = content(directory.path(), 0)
            .iter()
            .step_by(BLOCK)
            .copied()
            .take(4)
            .collect();
        assert_eq!(blocks, [7, 7, 8, 0]);
        assert_eq!(content(directory.path(), 1)[..BLOCK], [9; BLOCK]);
    }

    #[test]
    fn writes_stay_inside_the_ring() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = JournalFiles::open(directory.path(), 3, FILE_BYTES).unwrap();
        let end = usize::try_from(FILE_BYTES).unwrap();
        let mut check = |file, position, fits| {
            let result = files.write(&write(file, position, vec![buffer(1, 1, 0)]));
            assert_eq!(result.is_ok(), fits, "file {file}, byte {position}");
        };
        check(0, end - BLOCK, true);
        check(0, end, false);
        check(3, 0, false);
    }

    #[test]
    fn files_are_filled_once_and_their_content_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = |file| directory.path().join(ring_path(file));
        for kind in [filesystem::probe(directory.path()).unwrap(), buffered()] {
            // Left by earlier runs: full, cut short in the middle, and with an odd length.
            fs::create_dir_all(directory.path().join("journal")).unwrap();
            fs::write(path(1), vec![1; 3 << 20]).unwrap();
            fs::write(path(2), vec![2; 5 * BLOCK]).unwrap();
            fs::write(path(3), vec![3; BLOCK + 1]).unwrap();
            let mut files = JournalFiles::open_as(directory.path(), 5, FILE_BYTES, kind).unwrap();
            files.pre_writer.finish();
            for (file, kept) in [(0, 0), (1, 3 << 20), (2, 5 * BLOCK), (3, BLOCK + 1), (4, 0)] {
                let mut expected = vec![u8::try_from(file).unwrap(); kept];
                expected.resize(usize::try_from(FILE_BYTES).unwrap(), 0);
                assert!(content(directory.path(), file) == expected, "file {file}");
            }
        }
    }

    #[test]
    fn the_beginning_of_the_first_file_is_ready_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let files = JournalFiles::open(directory.path(), 3, 2 * FIRST_BYTES).unwrap();
        files.pre_writer.claim(0);
        assert!(content(directory.path(), 0).len() >= usize::try_from(FIRST_BYTES).unwrap());
    }

    #[test]
    fn what_the_ring_writes_behind_its_claim_is_never_overwritten() {
        const FILES: usize = 6;
        let directory = tempfile::tempdir().unwrap();
        for kind in [filesystem::probe(directory.path()).unwrap(), buffered()] {
            let directory = tempfile::tempdir_in(directory.path()).unwrap();
            let mut files =
                JournalFiles::open_as(directory.path(), FILES, FILE_BYTES, kind).unwrap();
            let barrier = Barrier::new(FILES - 1);
            thread::scope(|scope| {
                for file in 1..FILES {
                    let (claimer, barrier, ring) = (&files.pre_writer, &barrier, &files.ring);
                    scope.spawn(move || {
                        barrier.wait();
                        claimer.claim(file);
                        let mut ring = ring.clone();
                        let (RingFile::Direct(opened) | RingFile::Buffered(opened)) =
                            open_file(&mut ring, file).unwrap();
                        let all = usize::try_from(FILE_BYTES).unwrap() / BLOCK;
                        write_all_at(&opened, 0, &[buffer(0xaa, all, 0)]).unwrap();
                    });
                }
            });
            files.pre_writer.finish();
            for file in 1..FILES {
                assert!(
                    content(directory.path(), file)
                        .iter()
                        .all(|byte| *byte == 0xaa),
                    "file {file}"
                );
            }
        }
    }
}
