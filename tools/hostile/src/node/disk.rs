//! A disk in memory that keeps what it is given.

use std::collections::BTreeMap;

use bytes::Bytes;
use chronik_storage::disk::{
    DirEntry, Disk, DiskData, DiskError, DiskErrorKind, DiskOp, replace_file,
};
use chronik_storage::select::{self, ReadFailure};

/// Files by path.
#[derive(Debug, Clone)]
pub struct MemoryDisk {
    files: BTreeMap<String, Vec<u8>>,
    /// A write behind it is refused: a damaged position makes a sparse file on a disk, and is not to
    /// make a large one here.
    most_file_bytes: usize,
}

impl Default for MemoryDisk {
    fn default() -> Self {
        Self::of_files_up_to(64 << 20)
    }
}

impl MemoryDisk {
    /// An empty disk whose files are no larger than this.
    #[must_use]
    pub const fn of_files_up_to(most_file_bytes: usize) -> Self {
        Self {
            files: BTreeMap::new(),
            most_file_bytes,
        }
    }

    /// A copy whose files are no larger than this from now on.
    #[must_use]
    pub fn limited(&self, most_file_bytes: usize) -> Self {
        Self {
            files: self.files.clone(),
            most_file_bytes,
        }
    }

    /// Content of a file.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// Puts a file in place, or another content into it.
    pub fn set(&mut self, path: &str, content: Vec<u8>) {
        self.files.insert(path.to_owned(), content);
    }

    /// Paths of all files.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Carries out one operation as a shell would.
    ///
    /// # Errors
    /// What a disk would refuse.
    pub fn carry_out(&mut self, op: &DiskOp) -> Result<DiskData, DiskError> {
        match op {
            DiskOp::Write {
                file,
                position,
                buffers,
                ..
            } => self.write(&file.log_path(), *position, &buffers.concat())?,
            DiskOp::Sync { file } => self.sync(&file.log_path())?,
            DiskOp::Read {
                file,
                selection,
                may_pin: _,
            } => {
                let path = file.log_path();
                let read =
                    select::read_batches(selection, &mut |at, most| self.piece(&path, at, most));
                return read
                    .map(DiskData::Batches)
                    .map_err(|failure| failed(&path, failure));
            }
            DiskOp::FindTimestamp { file, query } => {
                let path = file.log_path();
                let found =
                    select::find_timestamp(query, &mut |at, most| self.piece(&path, at, most));
                return found
                    .map(DiskData::Timestamp)
                    .map_err(|failure| failed(&path, failure));
            }
            DiskOp::Compact { file, step } => {
                let (path, mut step) = (file.log_path(), step.clone());
                let run = step.run(&mut |at, most| self.piece(&path, at, most));
                run.map_err(|failure| failed(&path, failure))?;
                return Ok(DiskData::Compacted(step));
            }
            DiskOp::WriteIndex { file, bytes } => self.write(&file.index_path(), 0, bytes)?,
            DiskOp::ReadIndex { file } => {
                let content = self.read(&file.index_path(), 0, usize::MAX)?;
                return Ok(DiskData::File(content.into()));
            }
            DiskOp::Truncate { file, length } => {
                self.remove(&file.index_path())?;
                if self.files.contains_key(&file.log_path()) {
                    self.truncate(&file.log_path(), *length)?;
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

    fn piece(&self, path: &str, position: u64, most: usize) -> Result<Bytes, ReadFailure> {
        let content = self.content(path).map_err(ReadFailure::Disk)?;
        Ok(Bytes::copy_from_slice(part(content, position, most)))
    }

    fn content(&self, path: &str) -> Result<&[u8], DiskError> {
        let absent = || DiskError::new(path, DiskErrorKind::NotFound, "no such file");
        self.file(path).ok_or_else(absent)
    }
}

impl Disk for MemoryDisk {
    fn list(&mut self, path: &str) -> Result<Vec<DirEntry>, DiskError> {
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        let mut found = BTreeMap::new();
        for (full, content) in &self.files {
            let Some(rest) = full.strip_prefix(&prefix) else {
                continue;
            };
            let (name, is_directory) = rest
                .split_once('/')
                .map_or((rest, false), |(name, _)| (name, true));
            let bytes = if is_directory {
                0
            } else {
                content.len() as u64
            };
            let name = name.to_owned();
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
        Ok(part(self.content(path)?, position, length).to_vec())
    }

    fn write(&mut self, path: &str, position: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let start = usize::try_from(position).unwrap_or(usize::MAX);
        let end = start.saturating_add(bytes.len());
        if end > self.most_file_bytes {
            return Err(DiskError::new(
                path,
                DiskErrorKind::Failed,
                "beyond what a file may have",
            ));
        }
        let content = self.files.entry(path.to_owned()).or_default();
        content.resize(content.len().max(end), 0);
        if let Some(place) = content.get_mut(start..end) {
            place.copy_from_slice(bytes);
        }
        Ok(())
    }

    fn truncate(&mut self, path: &str, length: u64) -> Result<(), DiskError> {
        let too_long =
            |_| DiskError::new(path, DiskErrorKind::Failed, "beyond what a file may have");
        let length = usize::try_from(length).map_err(too_long)?;
        if length > self.most_file_bytes {
            return Err(DiskError::new(
                path,
                DiskErrorKind::Failed,
                "beyond what a file may have",
            ));
        }
        let absent = || DiskError::new(path, DiskErrorKind::NotFound, "no such file");
        self.files
            .get_mut(path)
            .ok_or_else(absent)?
            .resize(length, 0);
        Ok(())
    }

    fn sync(&mut self, path: &str) -> Result<(), DiskError> {
        self.content(path).map(drop)
    }

    fn sync_directory(&mut self, _path: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let absent = || DiskError::new(from, DiskErrorKind::NotFound, "no such file");
        let content = self.files.remove(from).ok_or_else(absent)?;
        self.files.insert(to.to_owned(), content);
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        let below = format!("{path}/");
        self.files
            .retain(|name, _| name != path && !name.starts_with(&below));
        Ok(())
    }
}

fn part(content: &[u8], position: u64, most: usize) -> &[u8] {
    let start = usize::try_from(position)
        .unwrap_or(usize::MAX)
        .min(content.len());
    let end = start.saturating_add(most).min(content.len());
    content.get(start..end).unwrap_or_default()
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
