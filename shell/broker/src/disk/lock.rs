//! One process per data directory.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process;

/// Name of the lock file in the data directory.
pub(crate) const LOCK_FILE: &str = ".lock";
/// Bytes of the lock file that are looked at.
const MAX_LOCK_FILE_BYTES: u64 = 32;

/// Holds the data directory until dropped; the operating system lets go of it when the process ends.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

/// Why a data directory can not be had.
#[derive(Debug)]
pub(crate) enum LockError {
    /// Another process holds it.
    InUse {
        /// The directory as it was given.
        data_dir: PathBuf,
        /// The holder, where it has told.
        holder: Option<Holder>,
    },
    /// The lock file can not be opened or written.
    Io {
        /// The lock file.
        path: PathBuf,
        /// The operating system's words.
        error: io::Error,
    },
}

/// The process that holds a directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pid: u32,
    /// Name of its program, where the operating system tells.
    name: Option<String>,
}

impl std::fmt::Display for LockError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InUse { data_dir, holder } => {
                write!(
                    f,
                    "E0105 data directory {} is in use by ",
                    data_dir.display()
                )?;
                match holder {
                    Some(Holder {
                        pid,
                        name: Some(name),
                    }) => write!(f, "pid {pid} ({name})")?,
                    Some(Holder { pid, name: None }) => write!(f, "pid {pid}")?,
                    None => write!(f, "another process")?,
                }
                write!(f, ". Stop it, or choose another with --data-dir.")
            }
            Self::Io { path, error } => {
                write!(
                    f,
                    "E0105 data directory can not be locked: {}: {error}",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::InUse { .. } => None,
            Self::Io { error, .. } => Some(error),
        }
    }
}

impl DirectoryLock {
    /// Takes `data_dir` for this process, making the directory where it is absent.
    ///
    /// # Errors
    /// Another process has it, or the lock file can not be written.
    pub(crate) fn acquire(data_dir: &Path) -> Result<Self, LockError> {
        let path = data_dir.join(LOCK_FILE);
        let failed = |error| LockError::Io {
            path: path.clone(),
            error,
        };
        fs::create_dir_all(data_dir).map_err(failed)?;
        let mut options = File::options();
        // Not cut to nothing before the lock is held: the content names the holder.
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = read_holder(&mut file);
                return Err(LockError::InUse {
                    data_dir: data_dir.to_owned(),
                    holder,
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        write_holder(&mut file).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", process::id())
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut content = String::new();
    file.take(MAX_LOCK_FILE_BYTES)
        .read_to_string(&mut content)
        .ok()?;
    let pid: u32 = content.trim().parse().ok()?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    Some(Holder {
        pid,
        name: name.map(|name| name.trim().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_was_first() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("new/data");
        let lock = DirectoryLock::acquire(&data_dir).unwrap();
        let message = DirectoryLock::acquire(&data_dir).unwrap_err().to_string();
        let expected = format!("is in use by pid {} (", process::id());
        assert!(message.contains(&expected), "{message}");
        drop(lock);
        DirectoryLock::acquire(&data_dir).unwrap();
    }

    #[test]
    fn a_pid_that_was_left_behind_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(LOCK_FILE), "4294967295, and more").unwrap();
        let _lock = DirectoryLock::acquire(directory.path()).unwrap();
        let content = fs::read_to_string(directory.path().join(LOCK_FILE)).unwrap();
        assert_eq!(content, format!("{}\n", process::id()));
    }

    #[test]
    fn messages_say_what_to_do() {
        let check = |holder, expected: &str| {
            let data_dir = PathBuf::from("./chronik-data");
            assert_eq!(LockError::InUse { data_dir, holder }.to_string(), expected);
        };
        let name = Some("chronik-server".to_owned());
        check(
            Some(Holder { pid: 4711, name }),
            "E0105 data directory ./chronik-data is in use by pid 4711 (chronik-server). \
             Stop it, or choose another with --data-dir.",
        );
        check(
            None,
            "E0105 data directory ./chronik-data is in use by another process. \
             Stop it, or choose another with --data-dir.",
        );
    }
}
