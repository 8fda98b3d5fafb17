//! A disk in memory that loses what was not synced.

use std::collections::BTreeMap;

use bytes::Bytes;
use chronik_model::rng::Rng;
use chronik_storage::disk::{
    DirEntry, Disk, DiskData, DiskError, DiskErrorKind, DiskOp, replace_file,
};
use chronik_storage::select::{self, ReadFailure};

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

#[derive(Debug, Clone, Default)]
struct SimFile {
    content: Vec<u8>,
    /// What a power cut can not take.
    durable: Vec<u8>,
}

/// Files by path. Names are durable at once: what names can lose is the storage crate's own test.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimDisk {
    files: BTreeMap<String, SimFile>,
    /// How writes of running machines fail, if they do.
    pub(crate) fails: Option<DiskErrorKind>,
    /// No operation of running machines comes back.
    pub(crate) held: bool,
}

impl SimDisk {
    /// The machine died in the middle of an operation that has several steps.
    pub(crate) fn tear(&mut self, op: &DiskOp, rng: &mut Rng) {
        let DiskOp::ReplaceFile { path, bytes, .. } = op else {
            return;
        };
        let temporary = format!("{path}.tmp");
        let step = rng.below(5);
        let written = match step {
            0 => return,
            1 => &bytes[..bytes.len() / 2],
            2..5 => &bytes[..],
            _ => unreachable!(),
        };
        self.write(&temporary, 0, written).unwrap();
        if step >= 3 {
            self.sync(&temporary).unwrap();
        }
        if step >= 4 {
            self.rename(&temporary, path).unwrap();
        }
    }

    /// Whether all that is in the segments below `directory` survives a power cut.
    pub(crate) fn is_synced(&self, directory: &str) -> bool {
        let mut below = self
            .files
            .iter()
            .filter(|(path, _)| path.starts_with(directory) && path.ends_with(".log"));
        below.all(|(_, file)| file.content == file.durable)
    }

    /// Somebody removed a file.
    pub(crate) fn forget(&mut self, path: &str) {
        self.files.remove(path);
    }

    /// Turns one byte over, as time does.
    pub(crate) fn rot(&mut self, path: &str, rng: &mut Rng) {
        let file = self.files.get_mut(path).unwrap();
        let at = usize::try_from(rng.below(file.content.len() as u64)).unwrap();
        file.content[at] ^= 4;
        file.durable.clone_from(&file.content);
    }

    /// A synchronous write: durable when it comes back.
    pub(crate) fn write_through(&mut self, path: &str, position: u64, bytes: &[u8]) {
        let file = self.files.entry(path.to_owned()).or_default();
        put(&mut file.content, position, bytes);
        put(&mut file.durable, position, bytes);
    }

    /// A write that the machine died in: some of its sectors made it.
    pub(crate) fn write_torn(&mut self, path: &str, position: u64, bytes: &[u8], rng: &mut Rng) {
        let odds = [0, 50, 100][usize::try_from(rng.below(3)).unwrap()];
        for (sector, at) in bytes
            .chunks(SECTOR_BYTES)
            .zip((position..).step_by(SECTOR_BYTES))
        {
            if rng.below(100) < odds {
                self.write_through(path, at, sector);
            }
        }
    }

    /// The power fails: of what was not synced, each sector stays or goes.
    pub(crate) fn cut_power(&mut self, rng: &mut Rng) {
        for file in self.files.values_mut() {
            if file.content == file.durable {
                continue;
            }
            let odds = [0, 50, 100][usize::try_from(rng.below(3)).unwrap()];
            for start in (0..file.content.len()).step_by(SECTOR_BYTES) {
                let end = (start + SECTOR_BYTES).min(file.content.len());
                if rng.below(100) < odds {
                    put(&mut file.durable, start as u64, &file.content[start..end]);
                }
            }
            file.content.clone_from(&file.durable);
        }
    }

    /// Carries out one operation as a shell would.
    pub(crate) fn carry_out(&mut self, op: &DiskOp) -> Result<DiskData, DiskError> {
        let writes = matches!(op, DiskOp::Write { .. } | DiskOp::ReplaceFile { .. });
        if let Some(kind) = self.fails.filter(|_| writes) {
            return Err(DiskError::new("a file", kind, "simulated"));
        }
        match op {
            DiskOp::Write {
                file,
                position,
                buffers,
                ..
            } => {
                self.write(&file.log_path(), *position, &buffers.concat())?;
            }
            DiskOp::Sync { file } => self.sync(&file.log_path())?,
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
            DiskOp::Compact { file, step } => {
                let (path, mut step) = (file.log_path(), step.clone());
                let run = step.run(&mut |at, length| self.piece(&path, at, length));
                run.map_err(|failure| failed(&path, failure))?;
                return Ok(DiskData::Compacted(step));
            }
            DiskOp::WriteIndex { file, bytes } => {
                self.write_through(&file.index_path(), 0, bytes);
            }
            DiskOp::ReadIndex { file } => {
                return self
                    .read(&file.index_path(), 0, usize::MAX)
                    .map(|it| DiskData::File(it.into()));
            }
            DiskOp::Truncate { file, length } => {
                self.remove(&file.index_path())?;
                if self.files.contains_key(&file.log_path()) {
                    self.truncate(&file.log_path(), *length)?;
                    self.sync(&file.log_path())?;
                }
            }
            DiskOp::RemoveSegment { file } => {
                self.remove(&file.log_path())?;
                self.remove(&file.index_path())?;
            }
            DiskOp::ReplaceFile { path, bytes, .. } => replace_file(self, path, bytes)?,
            DiskOp::RemoveFile { path, .. } => self.remove(path)?,
            DiskOp::RemoveLog { directory, .. } => self.remove(directory)?,
        }
        Ok(DiskData::Done)
    }

    /// What no power cut can take of each segment.
    pub(crate) fn durable_segments(&self) -> impl Iterator<Item = &[u8]> {
        let segments = self.files.iter().filter(|(path, _)| path.ends_with(".log"));
        segments.map(|(_, file)| &file.durable[..])
    }

    /// Paths of all files.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    fn file(&mut self, path: &str) -> Result<&mut SimFile, DiskError> {
        let absent = || DiskError::new(path, DiskErrorKind::NotFound, "no such file");
        self.files.get_mut(path).ok_or_else(absent)
    }

    fn piece(&mut self, path: &str, position: u64, length: usize) -> Result<Bytes, ReadFailure> {
        self.read(path, position, length)
            .map(Bytes::from)
            .map_err(ReadFailure::Disk)
    }
}

impl Disk for SimDisk {
    fn list(&mut self, path: &str) -> Result<Vec<DirEntry>, DiskError> {
        let mut found = BTreeMap::new();
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        for (full, file) in &self.files {
            let Some(rest) = full.strip_prefix(&prefix) else {
                continue;
            };
            let (name, is_directory) = match rest.split_once('/') {
                Some((name, _)) => (name.to_owned(), true),
                None => (rest.to_owned(), false),
            };
            let bytes = if is_directory {
                0
            } else {
                file.content.len() as u64
            };
            found.insert(
                name.clone(),
                DirEntry {
                    name,
                    bytes,
                    is_directory,
                },
            );
        }
        Ok(found.into_values().collect())
    }

    fn read(&mut self, path: &str, position: u64, length: usize) -> Result<Vec<u8>, DiskError> {
        let content = &self.file(path)?.content;
        let start = usize::try_from(position).unwrap().min(content.len());
        let end = start.saturating_add(length).min(content.len());
        Ok(content[start..end].to_vec())
    }

    fn write(&mut self, path: &str, position: u64, bytes: &[u8]) -> Result<(), DiskError> {
        put(
            &mut self.files.entry(path.to_owned()).or_default().content,
            position,
            bytes,
        );
        Ok(())
    }

    fn truncate(&mut self, path: &str, length: u64) -> Result<(), DiskError> {
        let length = usize::try_from(length).unwrap();
        self.file(path)?.content.resize(length, 0);
        Ok(())
    }

    fn sync(&mut self, path: &str) -> Result<(), DiskError> {
        let file = self.file(path)?;
        file.durable.clone_from(&file.content);
        Ok(())
    }

    fn sync_directory(&mut self, _path: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let file = self.file(from)?.clone();
        self.files.remove(from);
        self.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        let below = format!("{path}/");
        self.files
            .retain(|name, _| name != path && !name.starts_with(&below));
        Ok(())
    }
}

fn put(content: &mut Vec<u8>, position: u64, bytes: &[u8]) {
    let start = usize::try_from(position).unwrap();
    content.resize(content.len().max(start + bytes.len()), 0);
    content[start..start + bytes.len()].copy_from_slice(bytes);
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
