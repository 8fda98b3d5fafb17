//! Fetch (API 1), requests and responses v4 to v18.
//!
//! v7 brings fetch sessions (KIP-227), v9 leader epochs (KIP-320), v11 fetching from the closest
//! replica (KIP-392), v12 flexible fields and the last fetched epoch (KIP-595), v13 topic ids
//! (KIP-516), v15 the replica's state (KIP-903), v16 leader hints (KIP-951), v17 the follower's
//! directory (KIP-853), v18 the high watermark that the follower knows (KIP-1166).

mod request;
mod response;

pub use request::{
    FetchPartition, FetchPartitions, FetchRequest, FetchTopic, FetchTopics, ForgottenPartitions,
    ForgottenTopic, ForgottenTopics, IsolationLevel,
};
pub use response::{
    AbortedTransaction, EpochEndOffset, FetchPartitionResponse, FetchPiece, FetchResponseFrame,
    FetchResponseWriter,
};

/// The oldest version known here.
pub const MIN_VERSION: i16 = 4;

/// The newest version known here.
pub const MAX_VERSION: i16 = 18;

fn is_flexible(version: i16) -> bool {
    crate::ApiKey::Fetch.is_flexible(version)
}

/// Whether topics are named by id (KIP-516).
fn by_id(version: i16) -> bool {
    version >= 13
}

#[cfg(test)]
mod tests;
