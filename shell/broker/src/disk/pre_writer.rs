//! Writes journal files full of zeros in the background before the ring reaches them.
//!
//! A write into blocks that exist changes no metadata and is durable in half the time. Only bytes
//! behind the end of a file are written here, and only until the ring claims the file: a claim waits
//! for the piece being written, and none follows it.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use chronik_storage::journal::ring::ring_path;
use rustix::fs::OFlags;

use super::file_io::{DIRECT_ALIGNMENT, aligned_zeros, write_all_at, write_all_direct};
use super::filesystem::open_with_flags;
use super::locked;

/// Bytes of one write; a claim waits for at most one.
const PIECE_BYTES: usize = 1 << 20;
/// Pieces written and synced before the disk is left to others.
const PIECES_PER_TURN: usize = 4;
/// How long the disk is left to others.
const PAUSE: Duration = Duration::from_millis(5);

/// The journal's files as both sides see them.
#[derive(Debug, Clone)]
pub(super) struct RingFiles {
    /// Directory above `journal/`.
    pub(super) data_dir: PathBuf,
    /// Number of files.
    pub(super) file_count: usize,
    /// Bytes of each file.
    pub(super) file_bytes: u64,
    /// Whether to write past the page cache.
    pub(super) direct: bool,
}

/// The background thread; dropping it stops and joins the thread.
#[derive(Debug)]
pub(super) struct PreWriter {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    ring: RingFiles,
    slots: Vec<Slot>,
    stopping: Mutex<bool>,
    stopped: Condvar,
}

/// The hand-over of one file.
#[derive(Debug, Default)]
struct Slot {
    /// The ring owns the file, or waits for the piece being written to do so.
    claimed: AtomicBool,
    /// Held while a piece is written.
    writing: Mutex<()>,
}

impl PreWriter {
    /// Starts to fill the files that are shorter than they will be.
    ///
    /// # Errors
    /// The thread can not be started.
    pub(super) fn start(ring: RingFiles) -> io::Result<Self> {
        let mut slots = Vec::new();
        slots.resize_with(ring.file_count, Slot::default);
        let (stopping, stopped) = (Mutex::new(false), Condvar::new());
        let shared = Arc::new(Shared {
            ring,
            slots,
            stopping,
            stopped,
        });
        let thread = thread::Builder::new()
            .name("journal-prepare".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.run()
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Takes a file for the ring; on return nothing here writes to it any more.
    pub(super) fn claim(&self, file: usize) {
        if let Some(slot) = self.shared.slots.get(file) {
            slot.claimed.store(true, Ordering::Release);
            drop(locked(&slot.writing));
        }
    }

    /// Whether the ring has taken the file.
    #[cfg(test)]
    pub(super) fn is_claimed(&self, file: usize) -> bool {
        self.shared.slots[file].claimed.load(Ordering::Acquire)
    }

    /// Waits until all files are full or claimed.
    #[cfg(test)]
    pub(super) fn finish(&mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

impl Drop for PreWriter {
    fn drop(&mut self) {
        *locked(&self.shared.stopping) = true;
        self.shared.stopped.notify_all();
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the thread that prepares journal files panicked");
        }
    }
}

impl Shared {
    fn run(&self) {
        for file in 0..self.slots.len() {
            match self.fill(file) {
                Ok(true) => {}
                Ok(false) => return,
                // The ring can do without; it will tell of a disk that is full or broken.
                Err(error) => {
                    let file = ring_path(file);
                    tracing::warn!(%error, file, "journal files are not prepared ahead");
                    return;
                }
            }
        }
    }

    /// Fills one file, in turns; false when the thread is to end.
    fn fill(&self, file: usize) -> io::Result<bool> {
        let Some(slot) = self.slots.get(file) else {
            return Ok(true);
        };
        let mut filler = None;
        loop {
            for _ in 0..PIECES_PER_TURN {
                let writing = locked(&slot.writing);
                if slot.claimed.load(Ordering::Acquire) {
                    return Ok(true);
                }
                let filler = match &mut filler {
                    Some(filler) => filler,
                    None => filler.insert(Filler::open(&self.ring, file, self.ring.file_bytes)?),
                };
                if !filler.write_piece()? {
                    drop(writing);
                    filler.sync()?;
                    return Ok(true);
                }
            }
            if let Some(filler) = &filler {
                filler.sync()?;
            }
            if self.pause() {
                return Ok(false);
            }
        }
    }

    /// Leaves the disk to others for a while; true when the thread is to end.
    fn pause(&self) -> bool {
        let stopping = locked(&self.stopping);
        let waited = self
            .stopped
            .wait_timeout_while(stopping, PAUSE, |stopping| !*stopping);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Writes zeros from the end of one file up to a length.
#[derive(Debug)]
struct Filler {
    file: File,
    direct: bool,
    position: u64,
    end: u64,
    zeros: Bytes,
    changed: bool,
}

impl Filler {
    fn open(ring: &RingFiles, file: usize, end: u64) -> io::Result<Self> {
        let path = ring.data_dir.join(ring_path(file));
        let flags = if ring.direct {
            OFlags::DIRECT
        } else {
            OFlags::empty()
        };
        let file = open_with_flags(&path, flags, false)?;
        let position = file
            .metadata()?
            .len()
            .next_multiple_of(DIRECT_ALIGNMENT as u64);
        let zeros = if position < end {
            aligned_zeros(PIECE_BYTES)
        } else {
            Bytes::new()
        };
        Ok(Self {
            file,
            direct: ring.direct,
            position,
            end,
            zeros,
            changed: false,
        })
    }

    /// Writes the next piece; false when there is none.
    fn write_piece(&mut self) -> io::Result<bool> {
        let rest = usize::try_from(self.end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let piece = self.zeros.slice(..rest.min(self.zeros.len()));
        if piece.is_empty() {
            return Ok(false);
        }
        let write = if self.direct {
            write_all_direct
        } else {
            write_all_at
        };
        write(&self.file, self.position, &[&piece])?;
        self.position += piece.len() as u64;
        self.changed = true;
        Ok(true)
    }

    fn sync(&self) -> io::Result<()> {
        if self.changed {
            self.file.sync_data()
        } else {
            Ok(())
        }
    }
}

/// Fills the beginning of one file up to `end` in the calling thread.
///
/// # Errors
/// The file is absent or can not be written.
pub(super) fn fill_beginning(ring: &RingFiles, file: usize, end: u64) -> io::Result<()> {
    let mut filler = Filler::open(ring, file, end.min(ring.file_bytes))?;
    while filler.write_piece()? {}
    filler.sync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_waits_for_the_piece_being_written() {
        let data_dir = tempfile::tempdir().unwrap().path().to_owned();
        let ring = RingFiles {
            data_dir,
            file_count: 1,
            file_bytes: 0,
            direct: false,
        };
        let mut pre_writer = PreWriter::start(ring).unwrap();
        pre_writer.finish();
        let slot = &pre_writer.shared.slots[0];
        let written = AtomicBool::new(false);
        let writing = locked(&slot.writing);
        thread::scope(|scope| {
            scope.spawn(|| {
                pre_writer.claim(0);
                assert!(written.load(Ordering::Acquire), "claimed too early");
            });
            while !slot.claimed.load(Ordering::Acquire) {
                thread::yield_now();
            }
            // Time for a claim that does not wait to be caught.
            for _ in 0..1000 {
                thread::yield_now();
            }
            written.store(true, Ordering::Release);
            drop(writing);
        });
    }
}
