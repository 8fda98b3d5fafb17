//! Recovery's view of the data directory: plain synchronous calls.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use chronik_storage::disk::{DirEntry, Disk, DiskError};

use super::file_io::{self, disk_error, sync_error};
use super::file_table::{Access, FileTable};

/// Files that recovery keeps open.
const MAX_OPEN_FILES: usize = 64;

/// A data directory of the operating system.
#[derive(Debug)]
pub(crate) struct OsDisk {
    files: FileTable,
}

impl OsDisk {
    /// Paths are below `data_dir`, which need not exist yet.
    pub(crate) fn new(data_dir: PathBuf) -> Self {
        Self {
            files: FileTable::new(data_dir.into(), MAX_OPEN_FILES),
        }
    }

    /// Syncs what was written and not synced, and closes all files.
    ///
    /// # Errors
    /// A sync failed: what recovery wrote must be taken for lost.
    pub(crate) fn close(mut self) -> Result<(), DiskError> {
        self.files.close_all()
    }
}

impl Disk for OsDisk {
    fn list(&mut self, path: &str) -> Result<Vec<DirEntry>, DiskError> {
        let failed = |error: std::io::Error| disk_error(path, &error);
        let entries = match fs::read_dir(self.files.full_path(path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut listed = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let metadata = entry.metadata().map_err(failed)?;
            let is_directory = metadata.is_dir();
            let bytes = if is_directory { 0 } else { metadata.len() };
            let name = entry.file_name().to_string_lossy().into_owned();
            listed.push(DirEntry {
                name,
                bytes,
                is_directory,
            });
        }
        // The operating system's order differs from run to run.
        listed.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(listed)
    }

    fn read(&mut self, path: &str, position: u64, length: usize) -> Result<Vec<u8>, DiskError> {
        let file = self.files.open(path, Access::Read)?;
        file_io::read_at(&file, position, length).map_err(|error| disk_error(path, &error))
    }

    fn write(&mut self, path: &str, position: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let file = self.files.open(path, Access::Create)?;
        file_io::write_all_at(&file, position, &[bytes]).map_err(|error| disk_error(path, &error))
    }

    fn truncate(&mut self, path: &str, length: u64) -> Result<(), DiskError> {
        let file = self.files.open(path, Access::Change)?;
        file.set_len(length)
            .map_err(|error| disk_error(path, &error))
    }

    fn sync(&mut self, path: &str) -> Result<(), DiskError> {
        let plan = self.files.plan_sync(path)?;
        self.files.finish_sync(&plan, plan.run())
    }

    fn sync_directory(&mut self, path: &str) -> Result<(), DiskError> {
        file_io::sync_directory(&self.files.full_path(path))
            .map_err(|error| sync_error(path, &error))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.files.release(from)?;
        self.files.forget(to);
        fs::rename(self.files.full_path(from), self.files.full_path(to))
            .map_err(|error| disk_error(from, &error))
    }

    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        self.files.forget(path);
        self.files.forget_directory(path);
        file_io::remove(&self.files.full_path(path)).map_err(|error| disk_error(path, &error))
    }
}

#[cfg(test)]
mod tests {
    use chronik_storage::disk::{DiskErrorKind, replace_file};

    use super::*;

    fn disk() -> (tempfile::TempDir, OsDisk) {
        let directory = tempfile::tempdir().unwrap();
        let disk = OsDisk::new(directory.path().join("data"));
        (directory, disk)
    }

    #[test]
    fn what_is_written_is_read_and_listed() {
        let (_directory, mut disk) = disk();
        assert_eq!(disk.list("").unwrap(), []);
        disk.write("logs/a-0/1.log", 3, b"defg").unwrap();
        disk.write("logs/a-0/1.log", 0, b"abc").unwrap();
        disk.write("logs/b", 0, b"").unwrap();
        disk.sync("logs/a-0/1.log").unwrap();
        disk.sync_directory("logs").unwrap();
        assert_eq!(disk.read("logs/a-0/1.log", 0, 100).unwrap(), b"abcdefg");
        assert_eq!(disk.read("logs/a-0/1.log", 5, 1).unwrap(), b"f");
        let entry = |name: &str, bytes, is_directory| DirEntry {
            name: name.to_owned(),
            bytes,
            is_directory,
        };
        assert_eq!(
            disk.list("logs").unwrap(),
            [entry("a-0", 0, true), entry("b", 0, false)]
        );
        assert_eq!(disk.list("logs/a-0").unwrap(), [entry("1.log", 7, false)]);
        disk.truncate("logs/a-0/1.log", 2).unwrap();
        assert_eq!(disk.read("logs/a-0/1.log", 0, 100).unwrap(), b"ab");
        disk.close().unwrap();
    }

    #[test]
    fn an_absent_file_is_not_found() {
        let (_directory, mut disk) = disk();
        let check = |result: Result<(), DiskError>| {
            let error = result.unwrap_err();
            assert_eq!(
                (error.kind, error.path.as_str()),
                (DiskErrorKind::NotFound, "x/y")
            );
        };
        check(disk.read("x/y", 0, 1).map(drop));
        check(disk.truncate("x/y", 0));
        check(disk.sync("x/y"));
        check(disk.rename("x/y", "z"));
        disk.remove("x/y").unwrap();
        disk.remove("x").unwrap();
    }

    #[test]
    fn replacing_and_removing_is_seen_by_open_handles() {
        let (_directory, mut disk) = disk();
        for content in [&b"first"[..], b"second, longer", b"3"] {
            replace_file(&mut disk, "meta/checkpoint", content).unwrap();
            assert_eq!(disk.read("meta/checkpoint", 0, 100).unwrap(), content);
        }
        disk.write("meta/checkpoints/x", 0, b"kept").unwrap();
        disk.remove("meta/checkpoint").unwrap();
        assert_eq!(
            disk.read("meta/checkpoint", 0, 1).unwrap_err().kind,
            DiskErrorKind::NotFound
        );
        assert_eq!(disk.read("meta/checkpoints/x", 0, 9).unwrap(), b"kept");
        disk.remove("meta").unwrap();
        assert_eq!(
            disk.read("meta/checkpoints/x", 0, 1).unwrap_err().kind,
            DiskErrorKind::NotFound
        );
        assert_eq!(disk.list("").unwrap(), []);
    }

    #[test]
    fn more_files_than_stay_open() {
        let (_directory, mut disk) = disk();
        for pass in 0..3_u8 {
            for file in 0..2 * MAX_OPEN_FILES {
                disk.write(&format!("d/{file}"), u64::from(pass), &[pass])
                    .unwrap();
            }
        }
        for file in 0..2 * MAX_OPEN_FILES {
            disk.sync(&format!("d/{file}")).unwrap();
            assert_eq!(disk.read(&format!("d/{file}"), 0, 9).unwrap(), [0, 1, 2]);
        }
    }
}
