//! A disk in memory that loses and damages what a real one may: unsynced sectors in any subset,
//! unsynced names, failing and lying syncs, rot.
//!
//! Everything is deterministic: what is left to chance is drawn from generators that callers bring.
//! What a call costs depends on the bytes that it touches, not on the size of the file; a clone
//! shares all files until one of both writes them.

mod apply;
mod faults;
mod file;
mod losses;
mod names;
mod operations;
mod panics;
mod step;

use std::borrow::Cow;
use std::sync::Arc;

use chronik_model::rng::Rng;
use chronik_storage::disk::{DiskError, DiskErrorKind};

use faults::simulated;
use file::SimFile;
use names::Names;
use step::Step;

pub use faults::{Action, Failure, Fault, Faults};
pub use file::SECTOR_BYTES;
pub use losses::Losses;
pub use panics::Where;
pub use step::Tear;

/// Longest file: keeps a wrong position from taking all memory.
const MOST_FILE_BYTES: u64 = 1 << 32;
/// Names that are taken away before files without a name are looked for.
const REMOVALS_PER_SWEEP: u32 = 64;

/// How a life of the disk's user ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Crash {
    /// The process dies; the cache stays, but is as unsynced as before.
    Kill,
    /// The machine dies with what was not synced, in part.
    Power,
}

/// See the crate.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    names: Names,
    files: Vec<Option<Arc<SimFile>>>,
    /// Numbers of files that are used again.
    free: Vec<usize>,
    removals: u32,
    operations: u64,
    faults: Faults,
    /// The operation that the machine died in, not carried out.
    interrupted: Option<Step<'static>>,
    crashed: bool,
}

impl SimDisk {
    /// What goes wrong from here on.
    pub const fn faults(&mut self) -> &mut Faults {
        &mut self.faults
    }

    /// Operations so far that change something or make it durable.
    #[must_use]
    pub const fn operations(&self) -> u64 {
        self.operations
    }

    /// Whether the machine died at [`Faults::crash_at`]. Every operation fails until
    /// [`Self::crash`].
    #[must_use]
    pub const fn is_crashed(&self) -> bool {
        self.crashed
    }

    /// The operation that the machine died in, if it was in one.
    #[must_use]
    pub fn interrupted(&self) -> Option<Action> {
        self.interrupted.as_ref().map(Step::action)
    }

    /// A synchronous write: durable when it comes back.
    ///
    /// # Errors
    /// A fault hit it.
    pub fn write_through(
        &mut self,
        path: &str,
        position: u64,
        bytes: &[u8],
    ) -> Result<(), DiskError> {
        self.run(Step::Write {
            path: path.into(),
            position: index(path, position)?,
            bytes: bytes.into(),
            through: true,
        })
    }

    /// A synchronous write that the machine dies in: some of its sectors are there. A crash must
    /// follow.
    pub fn write_torn(&mut self, path: &str, position: u64, bytes: &[u8], rng: &mut Rng) {
        let Ok(position) = usize::try_from(position) else {
            return;
        };
        self.interrupted = Some(Step::Write {
            path: path.to_owned().into(),
            position,
            bytes: bytes.to_vec().into(),
            through: true,
        });
        self.tear_by_chance(true, rng);
    }

    /// A file as somebody else made it, durable.
    pub fn plant(&mut self, path: &str, bytes: &[u8]) {
        self.create(path);
        self.names.settle(path);
        if let Some(file) = self.file_mut(path) {
            *file = SimFile::default();
            file.put_through(0, bytes);
        }
    }

    /// Somebody took a file or a directory away, durably.
    pub fn unplant(&mut self, path: &str) {
        self.names.take_all(path);
        self.names.settle(path);
    }

    /// Content as a reader sees it.
    #[must_use]
    pub fn content(&self, path: &str) -> Option<&[u8]> {
        self.file(path).map(SimFile::content)
    }

    /// Content that no power cut can take.
    #[must_use]
    pub fn durable_content(&self, path: &str) -> Option<Cow<'_, [u8]>> {
        self.file(path).map(SimFile::durable)
    }

    /// Whether a power cut takes nothing of the content; true of an absent file.
    #[must_use]
    pub fn is_durable(&self, path: &str) -> bool {
        self.file(path).is_none_or(SimFile::is_durable)
    }

    /// Paths of all files, in order.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let mut paths = self.names.below("");
        paths.retain(|path| self.names.file(path).is_some());
        paths.sort();
        paths
    }

    /// Bytes of all files.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        let paths = self.paths();
        let lengths = paths.iter().filter_map(|path| self.content(path));
        lengths.map(|content| content.len() as u64).sum()
    }

    /// Turns one bit over in one of the files that `chosen` says yes to, as time does, and says where.
    pub fn rot(
        &mut self,
        rng: &mut Rng,
        chosen: impl Fn(&str, &[u8]) -> bool,
    ) -> Option<(String, u64)> {
        let mut paths = self.paths();
        paths.retain(|path| {
            let content = self.content(path).unwrap_or_default();
            !content.is_empty() && chosen(path, content)
        });
        let path = pick(&paths, rng)?;
        let file = self.file_mut(&path)?;
        let position = rng.below(file.content().len() as u64);
        let bit = u8::try_from(rng.below(8)).unwrap_or(0);
        file.flip(usize::try_from(position).ok()?, bit);
        Some((path, position))
    }

    /// The cache makes room: what it takes for clean is read from the platter again, and what failed
    /// syncs lost is gone for readers too.
    ///
    /// Whether anything was.
    pub fn evict(&mut self) -> bool {
        let mut any = false;
        for file in self.files.iter_mut().flatten() {
            if !file.is_durable() {
                any |= Arc::make_mut(file).evict();
            }
        }
        any
    }

    /// The process or the machine dies. What the disk holds afterwards is what the next start finds.
    pub fn crash(&mut self, crash: Crash, rng: &mut Rng) {
        let durable = crash == Crash::Power && rng.below(2) == 0;
        self.tear_by_chance(durable, rng);
        if crash == Crash::Power {
            self.lose(&mut Losses::draw(rng));
        }
        self.restart();
    }

    /// What [`Self::crash`] would leave.
    #[must_use]
    pub fn after(&self, crash: Crash, rng: &mut Rng) -> Self {
        let mut left = self.clone();
        left.crash(crash, rng);
        left
    }

    /// What is left of the interrupted operation as `tear` says, nothing without one, and of
    /// everything else that was not synced as `losses` say. Without losses the process died alone.
    #[must_use]
    pub fn after_exactly(&self, tear: Option<&Tear>, losses: Option<Losses>) -> Self {
        let mut left = self.clone();
        if let Some(tear) = tear {
            left.tear(tear);
        }
        if let Some(mut losses) = losses {
            left.lose(&mut losses);
        }
        left.restart();
        left
    }

    fn lose(&mut self, losses: &mut Losses) {
        self.names.lose(&mut || losses.keeps_name());
        self.sweep();
        for file in self.files.iter_mut().flatten() {
            if !file.is_durable() {
                let sectors = file.content().len().div_ceil(SECTOR_BYTES) as u64;
                Arc::make_mut(file).lose(&mut losses.spared(sectors));
            }
        }
    }

    fn restart(&mut self) {
        self.crashed = false;
        self.interrupted = None;
        self.faults.restart();
    }

    fn file(&self, path: &str) -> Option<&SimFile> {
        self.files.get(self.names.file(path)?)?.as_deref()
    }

    fn file_mut(&mut self, path: &str) -> Option<&mut SimFile> {
        let file = self.files.get_mut(self.names.file(path)?)?.as_mut();
        file.map(Arc::make_mut)
    }

    fn bytes(&self, path: &str, start: usize, length: usize) -> &[u8] {
        let content = self.content(path).unwrap_or_default();
        let end = start.saturating_add(length).min(content.len());
        content.get(start..end).unwrap_or_default()
    }

    fn must_exist(&self, path: &str) -> Result<(), DiskError> {
        match self.names.find(path) {
            Some(_) => Ok(()),
            None => Err(simulated(path, DiskErrorKind::NotFound)),
        }
    }

    /// Makes an empty file where there is none.
    fn create(&mut self, path: &str) {
        if self.names.find(path).is_some() {
            return;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.files.push(None);
            self.files.len() - 1
        });
        if self.names.put(path, number)
            && let Some(file) = self.files.get_mut(number)
        {
            *file = Some(Arc::default());
        }
    }

    fn count_removal(&mut self) {
        self.removals += 1;
        if self.removals >= REMOVALS_PER_SWEEP {
            self.sweep();
        }
    }

    /// Frees files that have no name, and would have none after a power cut.
    fn sweep(&mut self) {
        self.removals = 0;
        let reachable = self.names.reachable();
        self.free.clear();
        for (number, file) in self.files.iter_mut().enumerate() {
            if !reachable.contains(&number) {
                *file = None;
                self.free.push(number);
            }
        }
    }
}

/// A place in a file, if files can be that long.
fn index(path: &str, position: u64) -> Result<usize, DiskError> {
    let fits = usize::try_from(position).ok();
    let fits = fits.filter(|_| position <= MOST_FILE_BYTES);
    fits.ok_or_else(|| DiskError::new(path, DiskErrorKind::Failed, "file too large"))
}

fn pick(paths: &[String], rng: &mut Rng) -> Option<String> {
    let chosen = rng.below(paths.len() as u64);
    paths.get(usize::try_from(chosen).ok()?).cloned()
}

#[cfg(test)]
mod tests;
