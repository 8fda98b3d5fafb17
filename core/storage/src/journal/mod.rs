//! The shared journal: one ring of files per data directory that makes every append durable.
//!
//! A *frame* is the unit of the chain: a header, operations, padding. Shards fill frames, the
//! [`Ring`] numbers and places them, replay reads them back in order.

pub mod format;
pub mod frame;
pub mod replay;
pub mod ring;

pub use format::{ChainLink, FrameHeader, Operation, Replacement};
pub use frame::{FrameEntry, OpenFrame, SealedFrame};
pub use replay::{JournalEnd, ReplayError, Replayed};
pub use ring::{CommitPlan, JournalStart, Ring, RingError};
