//! Produce (API 0), requests and responses v0 to v13.
//!
//! v2 carries the append time, v3 transactional ids and record batches of today's format, v5 the
//! log start offset, v8 errors of single records, v10 leader hints (KIP-951), v12 transactions
//! without AddPartitionsToTxn (KIP-890), v13 topic ids. Kafka 4 serves v3 and up; v0 to v2 are read
//! so that they can be answered in their own form.

mod request;
mod response;

pub use request::{
    ProducePartition, ProducePartitions, ProduceRequest, ProduceTopic, ProduceTopics,
};
pub use response::{ProducePartitionResponse, ProduceResponseWriter, RecordError};

/// The newest version known here.
pub const MAX_VERSION: i16 = 13;

fn is_flexible(version: i16) -> bool {
    crate::ApiKey::Produce.is_flexible(version)
}

/// Whether topics are named by id (KIP-516).
fn by_id(version: i16) -> bool {
    version >= 13
}

#[cfg(test)]
mod tests;
