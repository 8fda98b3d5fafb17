//! The storage engine on a disk that forgets: whole lives of a directory, cut short at every
//! operation.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected has failed"
)]

mod compacted;
mod compaction;
mod crash;
mod enumeration;
mod model;
mod rules;
mod shell;
mod sync_failure;
