//! The data directory on a real disk: segment files by a pool of threads, journal files by direct
//! writes, recovery by plain calls. What is written where is decided elsewhere; here it happens.

pub(crate) mod file_io;
pub(crate) mod file_table;
pub(crate) mod filesystem;
pub(crate) mod journal_files;
pub(crate) mod lock;
pub(crate) mod operations;
pub(crate) mod os_disk;
pub(crate) mod pool;
pub(crate) mod pre_writer;

#[cfg(test)]
mod pool_tests;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`; what it guards stays consistent at every point where a thread could panic.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
