//! What the coordinator wants done.

use bytes::Bytes;

use crate::response::GroupResponse;

/// The request that a reply belongs to, chosen by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Waiter(pub u64);

/// One record of `__consumer_offsets`, in Kafka's own key and value formats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Key, version first.
    pub key: Bytes,
    /// Value; none removes what the key stands for.
    pub value: Option<Bytes>,
}

/// Records to append as one batch, in order and already replayed into the coordinator that made
/// them; and replies that may leave once all records of the partition, these included, are safe.
#[derive(Debug, Default)]
pub struct Outcome {
    /// To be appended.
    pub records: Vec<Record>,
    /// To be sent after that.
    pub replies: Vec<(Waiter, GroupResponse)>,
}
