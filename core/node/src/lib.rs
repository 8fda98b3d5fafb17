//! The broker as deterministic machines joined by messages.
//!
//! - [`Frontend`]: connections of one event loop: frames in, replies out in request order.
//! - [`Shard`]: owns partitions: appends, reads, parked replies.
//! - [`Quorum`]: the controller and the metadata log.
//!
//! Each machine is stepped with the time and one input and says what it wants done. Nothing here
//! touches a socket, a file or a clock; the shell and the test harness run the same machines.

pub mod api;
mod config_validator;
mod frontend;
mod messages;
pub mod metadata_log;
mod metadata_snapshot;
mod quorum;
mod shard;
mod view;

pub use chronik_controller::{
    ControllerConfig, Endpoint, IncarnationId, MetadataDelta, Recovered as RecoveredMetadata,
    RegisterBroker, SnapshotPolicy,
};
pub use chronik_coordinator::{CommittedOffset, GroupStatus};
pub use chronik_protocol::frame::{FrameError, FrameLimits, FrameReader};
pub use config_validator::{RegistryValidator, controller_settings, snapshot_policy};
pub use frontend::{
    CloseReason, Frontend, FrontendConfig, FrontendInput, FrontendOutput, Observation,
};
pub use messages::{
    ActiveProducer, ConnectionId, FetchPart, FetchParts, FetchedPart, FrontendId, PartitionAnswer,
    PartitionOp, Peer, Piece, Pieces, ProducePart, Produced, ShardId, ShardReply, ShardRequest,
    Ticket,
};
pub use metadata_snapshot::{MetadataTrim, SnapshotId, Snapshots};
pub use quorum::{Quorum, QuorumInput, QuorumOutput, SnapshotWritten};
pub use shard::{
    Ahead, GroupCursor, PartitionStatus, Shard, ShardConfig, ShardInput, ShardOutputs, TrimAnswer,
};
pub use view::{ClusterView, Identity, ViewBuilder};
