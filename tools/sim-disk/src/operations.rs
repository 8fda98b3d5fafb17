//! Operations as a server carries them out, made of single steps.

use std::borrow::Cow;

use bytes::Bytes;
use chronik_model::rng::Rng;
use chronik_storage::compaction::Step as CompactionStep;
use chronik_storage::disk::{
    Disk, DiskData, DiskError, DiskErrorKind, DiskOp, FileKey, replace_file,
};
use chronik_storage::select::{self, ReadAt, ReadFailure};

use crate::SimDisk;
use crate::faults::simulated;
use crate::names::{Entry, parent};

/// Steps of the longest operation, about.
const MOST_STEPS: u64 = 8;

impl SimDisk {
    /// Carries out one operation as a shell would.
    ///
    /// # Errors
    /// A fault hit it, the file is absent, or the bytes that it brought back are damaged.
    pub fn carry_out(&mut self, op: &DiskOp) -> Result<DiskData, DiskError> {
        self.refuse_writes(op)?;
        match op {
            DiskOp::Write {
                file,
                position,
                buffers,
                urgent: _,
            } => {
                let bytes: Cow<'_, [u8]> = match buffers.as_slice() {
                    [one] => one.as_ref().into(),
                    many => many.concat().into(),
                };
                self.write(&file.log_path(), *position, &bytes)?;
            }
            DiskOp::Sync { file } => self.sync_with_names(&file.log_path())?,
            DiskOp::Read {
                file,
                selection,
                may_pin: _,
            } => {
                return self
                    .with_reader(file, |read| select::read_batches(selection, read))
                    .map(DiskData::Batches);
            }
            DiskOp::FindTimestamp { file, query } => {
                return self
                    .with_reader(file, |read| select::find_timestamp(query, read))
                    .map(DiskData::Timestamp);
            }
            DiskOp::Compact { file, step } => {
                let mut step: Box<CompactionStep> = step.clone();
                self.with_reader(file, |read| step.run(read))?;
                return Ok(DiskData::Compacted(step));
            }
            DiskOp::WriteIndex { file, bytes } => self.write_index(file, bytes)?,
            DiskOp::ReadIndex { file } => {
                let bytes = self.read(&file.index_path(), 0, usize::MAX)?;
                return Ok(DiskData::File(bytes.into()));
            }
            DiskOp::Truncate { file, length } => self.truncate_segment(file, *length)?,
            DiskOp::RemoveSegment { file } => {
                self.remove(&file.log_path())?;
                self.remove(&file.index_path())?;
                self.sync_names(&file.directory)?;
            }
            DiskOp::ReplaceFile { path, bytes, .. } => replace_file(self, path, bytes)?,
            DiskOp::RemoveFile { path, .. } => {
                self.remove(path)?;
                self.sync_names(parent(path))?;
            }
            DiskOp::RemoveLog { directory, .. } => {
                self.remove(directory)?;
                self.sync_names(parent(directory))?;
            }
        }
        Ok(DiskData::Done)
    }

    /// The machine died at any point of an operation: of its steps the first ones are done, and one
    /// in part. A crash must follow.
    pub fn carry_out_in_part(&mut self, op: &DiskOp, rng: &mut Rng) {
        let before = self.faults.crash_at;
        self.faults.crash_at = Some(self.operations() + 1 + rng.below(MOST_STEPS));
        // How far it came is nobody's to know.
        drop(self.carry_out(op));
        self.tear_by_chance(false, rng);
        self.crashed = false;
        self.faults.crash_at = before;
    }

    fn refuse_writes(&self, op: &DiskOp) -> Result<(), DiskError> {
        let Some(kind) = self.faults.writes else {
            return Ok(());
        };
        match op {
            DiskOp::Write { file, .. } => Err(simulated(&file.log_path(), kind)),
            DiskOp::ReplaceFile { path, .. } => Err(simulated(path, kind)),
            DiskOp::Sync { .. }
            | DiskOp::Read { .. }
            | DiskOp::FindTimestamp { .. }
            | DiskOp::Compact { .. }
            | DiskOp::WriteIndex { .. }
            | DiskOp::ReadIndex { .. }
            | DiskOp::Truncate { .. }
            | DiskOp::RemoveSegment { .. }
            | DiskOp::RemoveFile { .. }
            | DiskOp::RemoveLog { .. } => Ok(()),
        }
    }

    /// Index files are written as a whole: an older one is cut to nothing first.
    fn write_index(&mut self, file: &FileKey, bytes: &Bytes) -> Result<(), DiskError> {
        let path = file.index_path();
        if self.content(&path).is_some_and(|old| !old.is_empty()) {
            self.truncate(&path, 0)?;
        }
        self.write(&path, 0, bytes)?;
        self.sync_with_names(&path)
    }

    fn truncate_segment(&mut self, file: &FileKey, length: u64) -> Result<(), DiskError> {
        let path = file.log_path();
        self.remove(&file.index_path())?;
        if matches!(self.names.find(&path), Some(Entry::File(_))) {
            self.truncate(&path, length)?;
            self.sync(&path)?;
        }
        self.sync_names(&file.directory)
    }

    /// Makes removals in a directory durable; one that is gone has nothing to keep.
    fn sync_names(&mut self, directory: &str) -> Result<(), DiskError> {
        match self.names.find(directory) {
            Some(Entry::Directory(_)) => self.sync_directory(directory),
            Some(Entry::File(_)) | None => Ok(()),
        }
    }

    /// Content, then the name, then the names of the directories on the way.
    fn sync_with_names(&mut self, path: &str) -> Result<(), DiskError> {
        self.sync(path)?;
        let mut directory = parent(path);
        loop {
            self.sync_directory(directory)?;
            if directory.is_empty() {
                return Ok(());
            }
            directory = parent(directory);
        }
    }

    fn with_reader<T>(
        &mut self,
        file: &FileKey,
        select: impl FnOnce(&mut ReadAt<'_>) -> Result<T, ReadFailure>,
    ) -> Result<T, DiskError> {
        let path = file.log_path();
        let selected = select(&mut |position, length| {
            let read = self.read(&path, position, length);
            read.map(Bytes::from).map_err(ReadFailure::Disk)
        });
        selected.map_err(|failure| match failure {
            ReadFailure::Disk(error) => error,
            ReadFailure::Corrupt { position, detail } => DiskError::new(
                &path,
                DiskErrorKind::Corrupt,
                format!("byte {position}: {detail}"),
            ),
        })
    }
}
