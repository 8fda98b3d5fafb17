//! Open files of one data directory: least recently used closed first, never one whose content is
//! not synced, and a sync that failed is never forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronik_storage::disk::DiskError;

use super::file_io::{disk_error, parent, sync_directory, sync_error, with_ancestors};

/// Oldest files looked at for one that can be closed without a sync.
const EVICTION_CANDIDATES: usize = 32;

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reading; the file must be there.
    Read,
    /// Changing; the file must be there.
    Change,
    /// Writing; file and directories are made where absent.
    Create,
}

/// Handles of recently used files, by path relative to the data directory.
///
/// The table only opens and closes; reads, writes and syncs happen on the shared handle, so that no
/// lock around the table is held while the disk is busy (but for the sync of a file that has to make
/// room).
#[derive(Debug)]
pub(crate) struct FileTable {
    root: Arc<Path>,
    capacity: usize,
    open: BTreeMap<Arc<str>, OpenFile>,
    /// The same files, longest unused first.
    by_use: BTreeMap<u64, Arc<str>>,
    last_use: u64,
    /// Files whose sync failed: the kernel reports that once and takes the pages for clean, so only
    /// this keeps a later sync from succeeding over lost bytes.
    lost: BTreeMap<Arc<str>, DiskError>,
    /// Directories synced since the last name was made in them. One that an earlier process made is
    /// not in here either: that process may have died before its sync.
    synced_directories: BTreeSet<String>,
}

#[derive(Debug)]
struct OpenFile {
    file: Arc<File>,
    /// Changed since the last sync began.
    dirty: bool,
    used: u64,
}

/// A sync that was begun: [`SyncPlan::run`] does it, [`FileTable::finish_sync`] notes the outcome.
#[derive(Debug)]
pub(crate) struct SyncPlan {
    root: Arc<Path>,
    path: String,
    file: Arc<File>,
    directories: Vec<String>,
}

impl SyncPlan {
    /// Makes the file's content durable, then its name, then its directories' names.
    ///
    /// # Errors
    /// One of the syncs failed.
    pub(crate) fn run(&self) -> Result<(), DiskError> {
        self.file
            .sync_data()
            .map_err(|error| sync_error(&self.path, &error))?;
        for directory in &self.directories {
            sync_directory(&self.root.join(directory))
                .map_err(|error| sync_error(directory, &error))?;
        }
        Ok(())
    }
}

impl FileTable {
    /// An empty table that keeps up to `capacity` files open.
    pub(crate) const fn new(root: Arc<Path>, capacity: usize) -> Self {
        Self {
            root,
            capacity,
            open: BTreeMap::new(),
            by_use: BTreeMap::new(),
            last_use: 0,
            lost: BTreeMap::new(),
            synced_directories: BTreeSet::new(),
        }
    }

    /// Absolute path of a file.
    pub(crate) fn full_path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Whether opening `path` closes no other file.
    pub(crate) fn has_room_for(&self, path: &str) -> bool {
        self.open.len() < self.capacity || self.open.contains_key(path)
    }

    /// A handle of `path`. It is not closed while the caller holds it.
    ///
    /// # Errors
    /// The file is absent, or can not be opened or made.
    pub(crate) fn open(&mut self, path: &str, access: Access) -> Result<Arc<File>, DiskError> {
        let dirty = access != Access::Read;
        if let Some(file) = self.touch(path, dirty) {
            return Ok(file);
        }
        let existing = File::options()
            .read(true)
            .write(true)
            .open(self.full_path(path));
        let file = match existing {
            Err(error) if error.kind() == ErrorKind::NotFound && access == Access::Create => {
                self.create(path)?
            }
            opened => opened.map_err(|error| disk_error(path, &error))?,
        };
        let file = Arc::new(file);
        self.make_room();
        self.last_use += 1;
        let key: Arc<str> = path.into();
        self.by_use.insert(self.last_use, Arc::clone(&key));
        self.open.insert(
            key,
            OpenFile {
                file: Arc::clone(&file),
                dirty,
                used: self.last_use,
            },
        );
        Ok(file)
    }

    /// A handle of `path` if it is open.
    pub(crate) fn opened(&mut self, path: &str) -> Option<Arc<File>> {
        self.touch(path, false)
    }

    fn touch(&mut self, path: &str, dirty: bool) -> Option<Arc<File>> {
        let open = self.open.get_mut(path)?;
        open.dirty |= dirty;
        let key = self.by_use.remove(&open.used)?;
        self.last_use += 1;
        open.used = self.last_use;
        self.by_use.insert(self.last_use, key);
        Some(Arc::clone(&open.file))
    }

    /// Makes an empty file, which is not put into the table. An older one is cut to nothing.
    ///
    /// # Errors
    /// The file or one of its directories can not be made.
    pub(crate) fn create(&mut self, path: &str) -> Result<File, DiskError> {
        let full_path = self.full_path(path);
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(true);
        self.synced_directories.remove(parent(path));
        let created = match options.open(&full_path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.names_changed(path);
                let directory = self.full_path(parent(path));
                fs::create_dir_all(directory).and_then(|()| options.open(&full_path))
            }
            created => created,
        };
        created.map_err(|error| disk_error(path, &error))
    }

    /// Begins to make `path` and its name durable.
    ///
    /// # Errors
    /// The file is absent, or an earlier sync of it failed.
    pub(crate) fn plan_sync(&mut self, path: &str) -> Result<SyncPlan, DiskError> {
        if let Some(error) = self.lost.get(path) {
            return Err(error.clone());
        }
        // Also where nothing is known to be dirty: a process that died may have left unsynced pages.
        let file = self.open(path, Access::Read)?;
        if let Some(open) = self.open.get_mut(path) {
            open.dirty = false;
        }
        Ok(self.plan_sync_of(path, file))
    }

    /// Like [`Self::plan_sync`] for a file that is not in the table.
    pub(crate) fn plan_sync_of(&mut self, path: &str, file: Arc<File>) -> SyncPlan {
        // Taken for synced from here on, so that a name made meanwhile asks for another sync.
        let directories = with_ancestors(parent(path))
            .filter(|directory| self.synced_directories.insert((*directory).to_owned()))
            .map(str::to_owned)
            .collect();
        SyncPlan {
            root: Arc::clone(&self.root),
            path: path.to_owned(),
            file,
            directories,
        }
    }

    /// Notes how a sync went; a failure is repeated by every later sync until the file is removed.
    ///
    /// # Errors
    /// The error in `result`.
    pub(crate) fn finish_sync(
        &mut self,
        plan: &SyncPlan,
        result: Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        if let Err(error) = &result {
            for directory in &plan.directories {
                self.synced_directories.remove(directory);
            }
            self.lost.insert(plan.path.as_str().into(), error.clone());
        }
        result
    }

    /// Closes `path` without a sync because it is about to be removed or replaced.
    pub(crate) fn forget(&mut self, path: &str) {
        self.close(path);
        self.lost.remove(path);
        self.synced_directories.remove(parent(path));
    }

    /// Closes all files below `directory` without a sync because it is about to be removed.
    pub(crate) fn forget_directory(&mut self, directory: &str) {
        let prefix = format!("{directory}/");
        for path in keys_with_prefix(&self.open, &prefix) {
            self.close(&path);
        }
        for path in keys_with_prefix(&self.lost, &prefix) {
            self.lost.remove(&path);
        }
        self.synced_directories
            .retain(|path| path != directory && !path.starts_with(&prefix));
        self.synced_directories.remove(parent(directory));
    }

    /// Syncs and closes `path` because it is about to get another name.
    ///
    /// # Errors
    /// A sync of it failed, now or earlier.
    pub(crate) fn release(&mut self, path: &str) -> Result<(), DiskError> {
        self.evict(&path.into());
        self.lost
            .get(path)
            .map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Notes that names on the way to `path` changed.
    pub(crate) fn names_changed(&mut self, path: &str) {
        for directory in with_ancestors(parent(path)) {
            self.synced_directories.remove(directory);
        }
    }

    /// Syncs and closes everything.
    ///
    /// # Errors
    /// The first sync that failed, now or earlier.
    pub(crate) fn close_all(&mut self) -> Result<(), DiskError> {
        let paths: Vec<Arc<str>> = self.open.keys().cloned().collect();
        for path in paths {
            self.evict(&path);
        }
        self.lost
            .values()
            .next()
            .map_or(Ok(()), |error| Err(error.clone()))
    }

    fn make_room(&mut self) {
        while self.open.len() >= self.capacity {
            // Where all are in use, the table grows past its capacity for a moment.
            let Some(victim) = self.victim() else { return };
            self.evict(&victim);
        }
    }

    fn victim(&self) -> Option<Arc<str>> {
        let mut idle = self
            .by_use
            .values()
            .filter_map(|path| self.open.get(path).map(|open| (path, open)))
            .filter(|(_, open)| Arc::strong_count(&open.file) == 1)
            .take(EVICTION_CANDIDATES);
        let (oldest, open) = idle.next()?;
        let clean = if open.dirty {
            idle.find(|(_, open)| !open.dirty)
        } else {
            None
        };
        Some(Arc::clone(clean.map_or(oldest, |(path, _)| path)))
    }

    /// Closes a file, after a sync where it is dirty: errors of pages written later would reach
    /// nobody.
    fn evict(&mut self, path: &Arc<str>) {
        let Some(open) = self.close(path) else { return };
        if open.dirty
            && let Err(error) = open.file.sync_data()
        {
            self.lost
                .entry(Arc::clone(path))
                .or_insert_with(|| sync_error(path, &error));
        }
    }

    fn close(&mut self, path: &str) -> Option<OpenFile> {
        let open = self.open.remove(path)?;
        self.by_use.remove(&open.used);
        Some(open)
    }
}

fn keys_with_prefix<V>(map: &BTreeMap<Arc<str>, V>, prefix: &str) -> Vec<Arc<str>> {
    map.range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
        .map(|(key, _)| Arc::clone(key))
        .take_while(|key| key.starts_with(prefix))
        .collect()
}

#[cfg(test)]
#[path = "file_table_tests.rs"]
mod tests;
