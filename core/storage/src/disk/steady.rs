//! Readings that are believed only when they repeat themselves.

use std::fmt;

use super::{DirEntry, Disk, DiskError, DiskErrorKind};

/// Readings of one place after which the disk is taken for broken.
const MOST_READINGS: usize = 5;

/// A disk that reads each place until two readings in a row bring back the same bytes.
///
/// A reading can go wrong without an error: the device answers with another sector, or a bit turns
/// over on the way. What has a checksum is read once, and again through this before it is taken for
/// torn; what has none, or decides about other files, is read through this alone. Where the wrong
/// bytes stay, as on a damaged sector or in a page of the kernel's cache, this does not help.
pub struct Steady<'a>(pub &'a mut dyn Disk);

impl fmt::Debug for Steady<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Steady").finish_non_exhaustive()
    }
}

impl Disk for Steady<'_> {
    fn read(&mut self, path: &str, position: u64, length: usize) -> Result<Vec<u8>, DiskError> {
        let mut before = self.0.read(path, position, length)?;
        for _ in 1..MOST_READINGS {
            let now = self.0.read(path, position, length)?;
            if now == before {
                return Ok(now);
            }
            before = now;
        }
        let detail = format!("no two of {MOST_READINGS} readings of byte {position} agree");
        Err(DiskError::new(path, DiskErrorKind::Failed, detail))
    }

    fn list(&mut self, path: &str) -> Result<Vec<DirEntry>, DiskError> {
        self.0.list(path)
    }

    fn write(&mut self, path: &str, position: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.0.write(path, position, bytes)
    }

    fn truncate(&mut self, path: &str, length: u64) -> Result<(), DiskError> {
        self.0.truncate(path, length)
    }

    fn sync(&mut self, path: &str) -> Result<(), DiskError> {
        self.0.sync(path)
    }

    fn sync_directory(&mut self, path: &str) -> Result<(), DiskError> {
        self.0.sync_directory(path)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.0.rename(from, to)
    }

    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        self.0.remove(path)
    }
}
