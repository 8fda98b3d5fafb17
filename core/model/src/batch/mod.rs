//! Record batches, format v2 (KIP-98): the unit that producers send, the log stores and consumers
//! fetch. Brokers read the header and leave the records alone.
//!
//! ```text
//!  0 base offset        i64 | assigned by the leader
//!  8 batch length       i32 | bytes that follow this field
//! 12 leader epoch       i32 | assigned by the leader
//! 16 magic              i8  | 2
//! 17 CRC-32C            u32 | of all that follows
//! 21 attributes         i16 | codec (3 bits), timestamp type, transactional, control, horizon
//! 23 last offset delta  i32
//! 27 base timestamp     i64 | or the delete horizon (KIP-534)
//! 35 max timestamp      i64
//! 43 producer id        i64
//! 51 producer epoch     i16
//! 53 base sequence      i32
//! 57 record count       i32
//! 61 records                | compressed as a whole
//! ```
//!
//! The base offset and the leader epoch lie before the checksummed part, so a leader assigns both
//! in place ([`BatchMut`]).

#![warn(clippy::indexing_slicing)]

mod builder;
mod control;
mod crc;
mod error;
mod header;
mod partitioner;
mod patch;
mod recompress;
mod record;
#[cfg(test)]
mod tests;
mod validate;
mod varint;
mod view;

pub use builder::{BatchBuilder, BatchSpec, BuildError, ProducerState};
pub use control::{ControlKind, EndTxnMarker, end_txn_marker};
pub use error::{BatchError, RecordError};
pub use header::{BatchHeader, HEADER_BYTES, LOG_OVERHEAD_BYTES, NO_TIMESTAMP, TimestampType};
pub use partitioner::{murmur2, partition_for_key};
pub use patch::BatchMut;
pub use recompress::recompress;
pub use record::{Header, Headers, RecordView, Records, records};
pub use validate::{
    ProduceRules, RecordsSummary, TimestampRule, ValidatedBatch, check_records, validate_produced,
};
pub use view::{BatchView, Batches, batches, verify};
