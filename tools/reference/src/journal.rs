//! Everything that waits, in one synchronous write, over and over.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use mio::Waker;
use rustix::fs::{Mode, OFlags};

/// Direct writes begin and end at multiples of this.
const BLOCK_BYTES: usize = 4096;
/// The file is written to its end and then from its beginning.
const FILE_BYTES: u64 = 256 << 20;
/// Zeros are written in pieces of this size before the first commit.
const FILL_BYTES: usize = 1 << 20;

/// When a batch counts as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Safety {
    /// When the write has returned.
    PageCache,
    /// When the device has it.
    Disk,
}

/// The event loop's side of the journal thread.
#[derive(Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// Batches that are as safe as they are to be.
    written: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Batches so far, those in `bytes` included.
    batches: u64,
    failed: Option<String>,
}

impl Journal {
    /// Prepares the file and starts the thread, which wakes the loop behind every write.
    pub(crate) fn start(directory: &Path, safety: Safety, waker: Waker) -> io::Result<Self> {
        let file = prepare(directory, safety)?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                if let Err(error) = write_forever(&file, &theirs, &waker) {
                    lock(&theirs).failed = Some(error.to_string());
                }
            })?;
        Ok(Self { shared })
    }

    /// Hands over batches of one turn and returns the number of the last.
    pub(crate) fn append(&self, batches: &[bytes::Bytes]) -> io::Result<u64> {
        let mut waiting = lock(&self.shared);
        if let Some(error) = &waiting.failed {
            return Err(io::Error::other(format!("the journal failed: {error}")));
        }
        for batch in batches {
            waiting.bytes.extend_from_slice(batch);
            waiting.batches += 1;
        }
        let last = waiting.batches;
        drop(waiting);
        self.shared.wake.notify_one();
        Ok(last)
    }

    /// Number of the last batch that is written.
    pub(crate) fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Acquire)
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, Waiting> {
    shared
        .waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

/// A file whose blocks all exist, so that a synchronous write has no metadata to sync.
fn prepare(directory: &Path, safety: Safety) -> io::Result<File> {
    std::fs::create_dir_all(directory)?;
    let path = directory.join("journal");
    let file = File::create(&path)?;
    let zeros = vec![0; FILL_BYTES];
    for position in (0..FILE_BYTES).step_by(FILL_BYTES) {
        file.write_all_at(&zeros, position)?;
    }
    file.sync_all()?;
    let how = match safety {
        Safety::PageCache => OFlags::WRONLY,
        Safety::Disk => OFlags::WRONLY | OFlags::DIRECT | OFlags::DSYNC,
    };
    let opened = rustix::fs::open(&path, how, Mode::empty())?;
    Ok(File::from(opened))
}

fn write_forever(file: &File, shared: &Shared, waker: &Waker) -> io::Result<()> {
    let mut taken = Vec::new();
    let mut aligned = Aligned::default();
    let mut position = 0;
    loop {
        let batches = take(shared, &mut taken);
        let block = aligned.fill(&taken);
        let length = block.len() as u64;
        if position + length > FILE_BYTES {
            position = 0;
        }
        file.write_all_at(block, position)?;
        position += length;
        shared.written.store(batches, Ordering::Release);
        waker.wake()?;
    }
}

/// Waits until there is something, and takes it all.
fn take(shared: &Shared, taken: &mut Vec<u8>) -> u64 {
    taken.clear();
    let mut waiting = lock(shared);
    while waiting.bytes.is_empty() {
        waiting = shared
            .wake
            .wait(waiting)
            .unwrap_or_else(PoisonError::into_inner);
    }
    std::mem::swap(taken, &mut waiting.bytes);
    waiting.batches
}

/// A buffer that begins at a block's boundary in memory, as direct writes want it.
#[derive(Debug, Default)]
struct Aligned {
    memory: Vec<u8>,
}

impl Aligned {
    /// The bytes, with zeros up to the end of the last block.
    fn fill(&mut self, bytes: &[u8]) -> &[u8] {
        let padded = bytes.len().next_multiple_of(BLOCK_BYTES);
        if self.memory.len() < padded + BLOCK_BYTES {
            self.memory = vec![0; 2 * padded + BLOCK_BYTES];
        }
        let start = self.memory.as_ptr().align_offset(BLOCK_BYTES);
        let block = &mut self.memory[start..start + padded];
        let (content, padding) = block.split_at_mut(bytes.len());
        content.copy_from_slice(bytes);
        padding.fill(0);
        block
    }
}

#[cfg(test)]
mod tests {
    use super::{Aligned, BLOCK_BYTES};

    #[test]
    fn blocks_are_whole_and_aligned() {
        let mut aligned = Aligned::default();
        for length in [1, 4095, 4096, 4097, 100_000, 3] {
            let bytes = vec![7; length];
            let block = aligned.fill(&bytes);
            assert_eq!(block.len(), length.next_multiple_of(BLOCK_BYTES));
            assert!(block.as_ptr().cast::<[u8; BLOCK_BYTES]>().align_offset(1) == 0);
            assert_eq!(block.as_ptr().align_offset(BLOCK_BYTES), 0);
            assert_eq!(&block[..length], &bytes[..]);
            assert!(block[length..].iter().all(|byte| *byte == 0));
        }
    }
}
