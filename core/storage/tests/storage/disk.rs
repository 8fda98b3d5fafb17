//! A disk that loses what a real one may lose: unsynced sectors in any subset, unsynced names.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chronik_model::rng::Rng;
use chronik_storage::compaction::Step;
use chronik_storage::disk::{
    DirEntry, Disk, DiskData, DiskError, DiskErrorKind, DiskOp, DiskRequest, FileKey, replace_file,
};
use chronik_storage::select::{self, ReadFailure};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The process dies; the page cache stays, but is as unsynced as before.
    Kill,
    /// The machine dies with all that was not synced, in part.
    Power,
}

#[derive(Debug, Clone, Default)]
struct Inode {
    durable: Vec<u8>,
    content: Vec<u8>,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimDisk {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    directories: BTreeSet<String>,
    durable_directories: BTreeSet<String>,
    /// Operations so far that change something.
    pub(crate) operations: u64,
    /// The operation that does not come back, if one is to.
    pub(crate) crash_at: Option<u64>,
    /// The operation of that number fails with this kind.
    pub(crate) fail_at: Option<(u64, DiskErrorKind)>,
    /// Writes to segments fail for want of space.
    pub(crate) full: bool,
    pub(crate) crashed: bool,
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn parents(path: &str) -> impl Iterator<Item = &str> {
    let mut path = path;
    std::iter::from_fn(move || {
        path = parent(path);
        (!path.is_empty()).then_some(path)
    })
}

impl SimDisk {
    fn error(path: &str, kind: DiskErrorKind) -> DiskError {
        DiskError::new(path, kind, "simulated")
    }

    /// Counts an operation that changes something; the one that crashes is carried out, but never
    /// reported.
    fn begin(&mut self, path: &str) -> Result<(), DiskError> {
        if self.crashed {
            return Err(Self::error(path, DiskErrorKind::Failed));
        }
        self.operations += 1;
        if let Some((_, kind)) = self.fail_at.filter(|(at, _)| *at == self.operations) {
            return Err(Self::error(path, kind));
        }
        self.crashed = self.crash_at == Some(self.operations);
        Ok(())
    }

    fn end(&self, path: &str) -> Result<(), DiskError> {
        if self.crashed {
            return Err(Self::error(path, DiskErrorKind::Failed));
        }
        Ok(())
    }

    fn inode(&mut self, path: &str) -> Result<&mut Inode, DiskError> {
        let index = self.names.get(path).copied();
        index
            .and_then(|index| self.inodes.get_mut(index))
            .ok_or_else(|| Self::error(path, DiskErrorKind::NotFound))
    }

    fn put(&mut self, path: &str, position: u64, bytes: &[u8]) {
        if !self.names.contains_key(path) {
            for directory in parents(path) {
                self.directories.insert(directory.to_owned());
            }
            self.inodes.push(Inode::default());
            self.names.insert(path.to_owned(), self.inodes.len() - 1);
        }
        let start = usize::try_from(position).unwrap();
        let content = &mut self.inode(path).unwrap().content;
        content.resize(content.len().max(start + bytes.len()), 0);
        content[start..start + bytes.len()].copy_from_slice(bytes);
    }

    /// A synchronous write: durable when it comes back.
    pub(crate) fn write_through(
        &mut self,
        path: &str,
        position: u64,
        bytes: &[u8],
    ) -> Result<(), DiskError> {
        self.begin(path)?;
        self.put(path, position, bytes);
        self.end(path)?;
        let inode = self.inode(path)?;
        let (start, end) = (usize::try_from(position).unwrap(), bytes.len());
        inode.durable.resize(inode.content.len(), 0);
        inode.durable[start..start + end].copy_from_slice(bytes);
        Ok(())
    }

    /// A file as somebody else made it, durable.
    pub(crate) fn plant(&mut self, path: &str, bytes: &[u8]) {
        self.put(path, 0, bytes);
        let inode = self.inode(path).unwrap();
        inode.content.truncate(bytes.len());
        inode.durable.clone_from(&inode.content);
        let index = self.names[path];
        self.durable_names.insert(path.to_owned(), index);
        for directory in parents(path) {
            self.durable_directories.insert(directory.to_owned());
        }
    }

    /// Content as a reader sees it.
    pub(crate) fn content(&self, path: &str) -> Option<&[u8]> {
        let index = self.names.get(path)?;
        self.inodes.get(*index).map(|inode| &inode.content[..])
    }

    /// Number of segment files.
    pub(crate) fn segment_files(&self) -> usize {
        let logs = self.names.keys().filter(|name| name.ends_with(".log"));
        logs.count()
    }

    /// What is left after the process or the machine died.
    pub(crate) fn after(&self, crash: Crash, rng: &mut Rng) -> Self {
        let mut left = self.clone();
        left.crashed = false;
        left.crash_at = None;
        left.fail_at = None;
        left.full = false;
        if crash == Crash::Kill {
            return left;
        }
        for inode in &mut left.inodes {
            inode.content = survivors(inode, rng);
            inode.durable.clone_from(&inode.content);
        }
        left.names.clear();
        let paths: BTreeSet<&String> = self.names.keys().chain(self.durable_names.keys()).collect();
        for path in paths {
            let (old, new) = (self.durable_names.get(path), self.names.get(path));
            let kept = if rng.below(2) == 0 { old } else { new };
            if let Some(inode) = kept {
                left.names.insert(path.clone(), *inode);
            }
        }
        // A directory whose own name was not synced takes all it holds along.
        left.directories = self.durable_directories.clone();
        left.names.retain(|path, _| {
            parents(path).all(|directory| self.durable_directories.contains(directory))
        });
        left.durable_names.clone_from(&left.names);
        left
    }

    /// Carries out one operation as a shell would.
    pub(crate) fn carry_out(&mut self, request: &DiskRequest) -> Result<DiskData, DiskError> {
        match &request.op {
            DiskOp::Write {
                file,
                position,
                buffers,
                ..
            } => {
                let path = file.log_path();
                if self.full {
                    return Err(Self::error(&path, DiskErrorKind::Full));
                }
                let bytes = buffers.concat();
                self.write(&path, *position, &bytes)?;
            }
            DiskOp::Sync { file } => {
                self.sync(&file.log_path())?;
                self.sync_up(&file.log_path())?;
            }
            DiskOp::Read { file, selection } => {
                let path = file.log_path();
                return select::read_batches(selection, &mut |at, length| {
                    self.piece(&path, at, length)
                })
                .map(DiskData::Batches)
                .map_err(|failure| failed(&path, failure));
            }
            DiskOp::FindTimestamp { file, query } => {
                let path = file.log_path();
                return select::find_timestamp(query, &mut |at, length| {
                    self.piece(&path, at, length)
                })
                .map(DiskData::Timestamp)
                .map_err(|failure| failed(&path, failure));
            }
            DiskOp::Compact { file, step } => return self.compact(file, step.clone()),
            DiskOp::WriteIndex { file, bytes } => {
                self.write(&file.index_path(), 0, bytes)?;
                self.sync(&file.index_path())?;
            }
            DiskOp::ReadIndex { file } => {
                let bytes = self.read(&file.index_path(), 0, usize::MAX)?;
                return Ok(DiskData::File(bytes.into()));
            }
            DiskOp::Truncate { file, length } => {
                let path = file.log_path();
                self.remove(&file.index_path())?;
                if self.names.contains_key(&path) {
                    self.truncate(&path, *length)?;
                    self.sync(&path)?;
                }
                self.sync_directory(&file.directory)?;
            }
            DiskOp::RemoveSegment { file } => {
                self.remove(&file.log_path())?;
                self.remove(&file.index_path())?;
                self.sync_directory(&file.directory)?;
            }
            DiskOp::ReplaceFile { path, bytes, .. } => replace_file(self, path, bytes)?,
            DiskOp::RemoveFile { path, .. } => {
                self.remove(path)?;
                self.sync_directory(parent(path))?;
            }
            DiskOp::RemoveLog { directory, .. } => {
                self.remove(directory)?;
                self.sync_directory(parent(directory))?;
            }
        }
        Ok(DiskData::Done)
    }

    fn compact(&mut self, file: &FileKey, mut step: Box<Step>) -> Result<DiskData, DiskError> {
        let path = file.log_path();
        step.run(&mut |at, length| self.piece(&path, at, length))
            .map_err(|failure| failed(&path, failure))?;
        Ok(DiskData::Compacted(step))
    }

    fn sync_up(&mut self, path: &str) -> Result<(), DiskError> {
        let mut directory = parent(path).to_owned();
        loop {
            self.sync_directory(&directory)?;
            if directory.is_empty() {
                return Ok(());
            }
            directory = parent(&directory).to_owned();
        }
    }

    fn piece(&mut self, path: &str, position: u64, length: usize) -> Result<Bytes, ReadFailure> {
        self.read(path, position, length)
            .map(Bytes::from)
            .map_err(ReadFailure::Disk)
    }
}

fn failed(path: &str, failure: ReadFailure) -> DiskError {
    match failure {
        ReadFailure::Disk(error) => error,
        ReadFailure::Corrupt { position, detail } => DiskError::new(
            path,
            DiskErrorKind::Corrupt,
            format!("{position}: {detail}"),
        ),
    }
}

/// Each sector that differs from what is durable made it or not.
fn survivors(inode: &Inode, rng: &mut Rng) -> Vec<u8> {
    if inode.content == inode.durable {
        return inode.durable.clone();
    }
    let mut left = inode.durable.clone();
    if inode.content.len() < left.len() && rng.below(2) == 0 {
        left.truncate(inode.content.len());
    }
    // Sometimes all or nothing, which random sectors hardly ever are.
    let odds = [0, 50, 90, 100][usize::try_from(rng.below(4)).unwrap()];
    for (index, sector) in inode.content.chunks(SECTOR_BYTES).enumerate() {
        let start = index * SECTOR_BYTES;
        let end = start + sector.len();
        let same = inode.durable.get(start..end) == Some(sector);
        if !same && rng.below(100) < odds {
            left.resize(left.len().max(end), 0);
            left[start..end].copy_from_slice(sector);
        }
    }
    left
}

impl Disk for SimDisk {
    fn list(&mut self, path: &str) -> Result<Vec<DirEntry>, DiskError> {
        let mut found = BTreeMap::new();
        let inside = |full: &str| {
            let rest = if path.is_empty() {
                Some(full)
            } else {
                full.strip_prefix(path)
                    .and_then(|rest| rest.strip_prefix('/'))
            };
            rest.map(str::to_owned)
        };
        for (full, inode) in &self.names {
            let Some(rest) = inside(full) else { continue };
            let (name, is_directory) = match rest.split_once('/') {
                Some((name, _)) => (name.to_owned(), true),
                None => (rest, false),
            };
            let bytes = if is_directory {
                0
            } else {
                self.inodes[*inode].content.len() as u64
            };
            let entry = DirEntry {
                name: name.clone(),
                bytes,
                is_directory,
            };
            found.insert(name, entry);
        }
        Ok(found.into_values().collect())
    }

    fn read(&mut self, path: &str, position: u64, length: usize) -> Result<Vec<u8>, DiskError> {
        if self.crashed {
            return Err(Self::error(path, DiskErrorKind::Failed));
        }
        let content = &self.inode(path)?.content;
        let start = usize::try_from(position).unwrap().min(content.len());
        let end = start.saturating_add(length).min(content.len());
        Ok(content[start..end].to_vec())
    }

    fn write(&mut self, path: &str, position: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.begin(path)?;
        self.put(path, position, bytes);
        self.end(path)
    }

    fn truncate(&mut self, path: &str, length: u64) -> Result<(), DiskError> {
        self.begin(path)?;
        let length = usize::try_from(length).unwrap();
        self.inode(path)?.content.resize(length, 0);
        self.end(path)
    }

    fn sync(&mut self, path: &str) -> Result<(), DiskError> {
        self.begin(path)?;
        self.end(path)?;
        let inode = self.inode(path)?;
        inode.durable.clone_from(&inode.content);
        Ok(())
    }

    fn sync_directory(&mut self, path: &str) -> Result<(), DiskError> {
        self.begin(path)?;
        self.end(path)?;
        let here = |name: &String| parent(name) == path;
        self.durable_names.retain(|name, _| !here(name));
        let names = self.names.iter().filter(|(name, _)| here(name));
        self.durable_names
            .extend(names.map(|(name, inode)| (name.clone(), *inode)));
        self.durable_directories.retain(|name| !here(name));
        let directories = self.directories.iter().filter(|name| here(name));
        self.durable_directories.extend(directories.cloned());
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.begin(from)?;
        self.inode(from)?;
        if let Some(inode) = self.names.remove(from) {
            self.names.insert(to.to_owned(), inode);
        }
        self.end(from)
    }

    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        let below = format!("{path}/");
        let there = self.names.contains_key(path) || self.directories.contains(path);
        if !there && !self.crashed {
            return Ok(());
        }
        self.begin(path)?;
        self.names
            .retain(|name, _| name != path && !name.starts_with(&below));
        self.directories
            .retain(|name| name != path && !name.starts_with(&below));
        self.end(path)
    }
}
