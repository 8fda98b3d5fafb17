//! What a disk does wrong while it runs.

use chronik_model::rng::Rng;
use chronik_storage::disk::{DiskError, DiskErrorKind};

use crate::step::Step;

/// What a fault waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A write into the cache.
    Write,
    /// A synchronous write.
    WriteThrough,
    /// A cut of a file.
    Truncate,
    /// A sync of a file.
    Sync,
    /// A sync of a directory's names.
    SyncDirectory,
    /// A rename.
    Rename,
    /// A removal.
    Remove,
    /// A read.
    Read,
}

/// What becomes of the operation that a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It fails and nothing of it is done. What a failed sync was for is taken for clean and is gone
    /// at the next power cut.
    Nothing(DiskErrorKind),
    /// It fails, and a part of it is done that the number decides. A failed sync made that part
    /// durable.
    Part(DiskErrorKind, u64),
    /// A read succeeds, with bytes of another place in the same file that the number decides.
    OtherPosition(u64),
    /// A read succeeds, with bytes of another file of the same kind that the number decides.
    OtherFile(u64),
}

/// A fault that hits once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which operation it waits for.
    pub action: Action,
    /// How the path of the file begins, as "topics/" does.
    pub prefix: &'static str,
    /// How the path of the file ends, as ".log" does.
    pub suffix: &'static str,
    /// Operations of that sort that still go well.
    pub skip: u64,
    /// What happens.
    pub failure: Failure,
}

impl Fault {
    /// A fault of the next operation of that sort on a segment file.
    #[must_use]
    pub const fn on_segment(action: Action, failure: Failure) -> Self {
        Self {
            action,
            prefix: "",
            suffix: ".log",
            skip: 0,
            failure,
        }
    }

    fn hits(&self, action: Action, path: &str) -> bool {
        self.action == action && path.starts_with(self.prefix) && path.ends_with(self.suffix)
    }
}

/// Everything that a disk does wrong, as switches.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// The machine dies at the operation of that number, as [`SimDisk::operations`] counts.
    ///
    /// [`SimDisk::operations`]: crate::SimDisk::operations
    pub crash_at: Option<u64>,
    /// The operation of that number fails.
    pub fail_at: Option<(u64, Failure)>,
    /// The first operation each of these waits for fails.
    pub once: Vec<Fault>,
    /// Segment writes and files that replace others fail like this, before anything is done.
    pub writes: Option<DiskErrorKind>,
    /// Bytes that all files may have together. A write that goes beyond is short.
    pub capacity: Option<u64>,
    /// What `fail_at` and `once` have hit so far.
    pub hits: Vec<(Action, String)>,
}

impl Faults {
    /// Forgets what belongs to a process; what is wrong with the device stays.
    pub fn restart(&mut self) {
        self.crash_at = None;
        self.fail_at = None;
        self.once.clear();
        self.hits.clear();
    }

    /// How the operation that is about to be carried out fails, if it does.
    pub(crate) fn hit(&mut self, number: u64, action: Action, path: &str) -> Option<Failure> {
        if let Some((_, failure)) = self.fail_at.filter(|(at, _)| *at == number) {
            self.hits.push((action, path.to_owned()));
            return Some(failure);
        }
        self.once(action, path)
    }

    /// How an operation of that sort fails, if it does.
    pub(crate) fn once(&mut self, action: Action, path: &str) -> Option<Failure> {
        let mut due = None;
        for (index, fault) in self.once.iter_mut().enumerate() {
            if !fault.hits(action, path) {
                continue;
            }
            match fault.skip.checked_sub(1) {
                Some(left) => fault.skip = left,
                None => due = due.or(Some(index)),
            }
        }
        let failure = self.once.remove(due?).failure;
        self.hits.push((action, path.to_owned()));
        Some(failure)
    }
}

/// The error of an operation that a fault hit.
pub(crate) fn error_of(failure: Failure, path: &str) -> DiskError {
    match failure {
        Failure::Nothing(kind) | Failure::Part(kind, _) => simulated(path, kind),
        Failure::OtherPosition(_) | Failure::OtherFile(_) => simulated(path, DiskErrorKind::Failed),
    }
}

pub(crate) fn simulated(path: &str, kind: DiskErrorKind) -> DiskError {
    DiskError::new(path, kind, "simulated")
}

/// The part of an operation that was done before it failed.
pub(crate) fn part_of(failure: Failure) -> Option<Rng> {
    match failure {
        Failure::Part(_, seed) => Some(Rng::new(seed)),
        Failure::Nothing(_) | Failure::OtherPosition(_) | Failure::OtherFile(_) => None,
    }
}

impl Step<'_> {
    pub(crate) const fn action(&self) -> Action {
        match self {
            Self::Write { through: false, .. } => Action::Write,
            Self::Write { through: true, .. } => Action::WriteThrough,
            Self::Truncate { .. } => Action::Truncate,
            Self::Sync { .. } => Action::Sync,
            Self::SyncDirectory { .. } => Action::SyncDirectory,
            Self::Rename { .. } => Action::Rename,
            Self::Remove { .. } => Action::Remove,
        }
    }
}
