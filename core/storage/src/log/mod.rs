//! One partition's log: its end, its segments, its hot tail. See [`partition_log::PartitionLog`].

mod age;
pub mod cut;
pub mod epochs;
pub mod index;
pub mod partition_log;
pub mod producers;
pub mod segment;

pub use epochs::EpochHistory;
pub use partition_log::{LogConfig, Mode, PartitionLog, RecoveryPoint};
pub use segment::{Segment, SegmentId};
