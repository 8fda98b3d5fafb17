//! Cluster metadata as one replicated log of records.
//!
//! A request is turned into records by a handler that only reads; the records are proposed to
//! consensus as one atomic entry; a committed entry is replayed into the [`MetadataImage`]. State
//! changes nowhere else, so recovery, standby and leader run the same code.
//!
//! **Invariant**: nothing here reads a clock, a file or a socket. The seed and the inputs decide
//! every output of [`Controller::step`].

mod brokers;
mod codec;
mod configs;
mod consensus;
mod controller;
mod controller_io;
mod delta;
mod image;
mod placement;
mod producer_ids;
mod raft_consensus;
mod raft_storage;
mod record;
mod replay;
mod request;
mod snapshot;
mod topics;
mod topics_create;

#[cfg(test)]
mod tests;

pub use codec::DecodeError;
pub use consensus::{
    Consensus, ConsensusSnapshot, Entry, HardState, NotLeader, PeerMessage, Proposal, Ready,
    Recovered, RecoveryError,
};
pub use controller::Controller;
pub use controller_io::{
    ControllerConfig, ControllerInput, ControllerOutput, OpenError, SnapshotPolicy,
};
pub use delta::MetadataDelta;
pub use image::{
    BrokerImage, ConfigMap, MetadataImage, PartitionEpoch, PartitionImage, TopicImage,
};
pub use raft_consensus::RaftConsensus;
pub use record::{
    BrokerRegistered, ConfigSet, ConfigTarget, Endpoint, IncarnationId, MetadataRecord,
    PartitionRecord, decode_batch, encode_batch,
};
pub use replay::ReplayError;
pub use request::{
    AllocateProducerIds, AlterConfigs, ConfigChange, ConfigOp, ConfigResource, ConfigScope,
    ConfigValidator, ControllerReply, ControllerRequest, ControllerSettings, CreatePartitions,
    CreateTopics, CreatedTopic, DeleteTopics, DeletedTopic, NewPartitions, NewTopic,
    ProducerIdBlock, RegisterBroker, RequestError, ResourceChanges, TopicRef,
};
pub use snapshot::{
    METADATA_SNAPSHOT_FORMAT_VERSION, SnapshotError, decode_snapshot, encode_snapshot,
};
pub use topics_create::{MAX_PARTITIONS_PER_REQUEST, MAX_PARTITIONS_PER_TOPIC};
