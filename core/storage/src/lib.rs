//! One data directory as pure decisions: a shared journal that makes appends durable, partition
//! logs that serve reads, checkpoints that bound recovery. Nothing here touches a file: running
//! machines emit [`disk::DiskOp`]s and learn their outcome, recovery is handed a [`disk::Disk`].

#![warn(clippy::indexing_slicing)]

pub mod checkpoint;
pub mod codec;
pub mod compaction;
pub mod disk;
pub mod journal;
pub mod log;
pub mod meta_properties;
pub mod recovery;
pub mod select;
pub mod store;

pub use disk::{Disk, DiskError};
pub use store::{LogSlot, LogStore};
