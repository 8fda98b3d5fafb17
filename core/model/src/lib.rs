//! The words of Chronik: ids, offsets, epochs, time, error codes, record batches and configuration
//! keys. Everything here is plain data without IO; every other crate speaks it.

pub mod batch;
pub mod compression;
pub mod config;
pub mod error_code;
pub mod ids;
pub mod mutant;
pub mod offset;
pub mod rng;
pub mod time;

pub use error_code::ErrorCode;
pub use ids::{
    BrokerEpoch, LeaderEpoch, LogId, NodeId, PartitionIndex, ProducerEpoch, ProducerId, TopicId,
    TopicName, TopicPartition,
};
pub use offset::Offset;
pub use time::{Mono, Now};
