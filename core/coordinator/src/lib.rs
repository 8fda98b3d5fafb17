//! Consumer groups and their committed offsets: one [`GroupCoordinator`] per partition of
//! `__consumer_offsets`.
//!
//! A request is turned into records and replies; durable state changes only in
//! [`GroupCoordinator::replay`], which serves loading and service alike. The caller appends the
//! records to the coordinator's partition and holds the replies until they, and everything before
//! them, are as durable as the partition asks for. What Kafka keeps in memory only (who waits in a
//! rebalance, sessions) is soft state here too, and starts anew after loading.
//!
//! **Invariant**: no reply tells of anything that a crash could take back, provided the caller holds
//! replies as said. Nothing here reads a clock, a file or a socket.

mod assignor;
mod classic;
mod config;
mod consumer;
mod coordinator;
mod group;
mod offsets;
mod outcome;
mod record;
mod request;
mod response;
mod status;
mod step;
mod sweep;
mod timers;
mod topics;

pub use config::GroupConfig;
pub use coordinator::GroupCoordinator;
pub use outcome::{Outcome, Record, Waiter};
pub use request::{
    CommitOffsets, CommittedPartition, ConsumerHeartbeat, DeleteOffsets, FetchOffsets,
    GroupRequest, Heartbeat, JoinGroup, LeaveGroup, LeavingMember, ListGroups, OffsetsFence,
    SyncGroup, TopicAssignment,
};
pub use response::{
    AssignedTopic, ClassicDescription, ClassicMemberDescription, ConsumerDescription,
    ConsumerHeartbeatResponse, ConsumerMemberDescription, FetchedOffset, FetchedTopic,
    GroupResponse, JoinResponse, LeftMember, ListedGroup, SyncResponse,
};
pub use status::{CommittedOffset, GroupStatus};
pub use topics::{NoTopics, TopicInfo, Topics};
