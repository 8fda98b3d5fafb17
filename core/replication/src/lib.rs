//! One partition's replica: what is visible to whom, by Kafka's ISR protocol.
//!
//! With one replica the high watermark is the replica's own stable end; followers' positions join
//! in where there are any.

mod replica;

pub use replica::Replica;
