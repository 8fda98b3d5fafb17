//! What the machines say to each other.

use bytes::Bytes;
use chronik_coordinator::{GroupRequest, GroupResponse};
use chronik_model::batch::BatchHeader;
use chronik_model::{ErrorCode, LeaderEpoch, Offset, ProducerEpoch, ProducerId, TopicPartition};
use chronik_storage::disk::FileRange;

/// One event loop's frontend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrontendId(pub u16);

/// One shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl ShardId {
    /// The shard that owns a partition, in a broker of `count` shards.
    #[must_use]
    pub fn of(partition: TopicPartition, count: u16) -> Self {
        let (_, low) = partition.topic_id.0.split_at(8);
        let seed = low
            .iter()
            .fold(0u64, |seed, byte| (seed << 8) | u64::from(*byte));
        let index = u64::from(partition.partition.0.unsigned_abs());
        let shard = seed.wrapping_add(index) % u64::from(count.max(1));
        Self(u16::try_from(shard).unwrap_or(0))
    }
}

/// A connection of one frontend. The index is used again, the generation is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    /// Place in the frontend's table.
    pub index: u32,
    /// Counts connections in that place.
    pub generation: u32,
}

/// The other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The listener it came in on, as an index into the broker's listeners.
    pub listener: usize,
    /// Address without port, for group members and logs.
    pub host: Box<str>,
}

/// Where an answer belongs: the reply slot of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// The frontend that asked.
    pub frontend: FrontendId,
    /// The connection.
    pub connection: ConnectionId,
    /// Number of the request on that connection, from 0.
    pub request: u64,
}

/// Bytes of a reply.
#[derive(Debug, Clone)]
pub enum Pieces {
    /// All in one.
    One(Bytes),
    /// Back to back.
    Many(Vec<Piece>),
}

/// A part of a reply.
#[derive(Debug, Clone)]
pub enum Piece {
    /// In memory.
    Memory(Bytes),
    /// In a segment's file, from where it goes to the socket unread.
    File(FileRange),
}

impl Piece {
    /// Its bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File(range) => range.length,
        }
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Pieces {
    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::One(bytes) => bytes.len(),
            Self::Many(pieces) => pieces.iter().map(Piece::len).sum(),
        }
    }

    /// All of it in one; `None` if a part lies in a file.
    #[must_use]
    pub fn joined(self) -> Option<Bytes> {
        let pieces = match self {
            Self::One(bytes) => return Some(bytes),
            Self::Many(pieces) => pieces,
        };
        let in_memory = |piece| match piece {
            Piece::Memory(bytes) => Some(bytes),
            Piece::File(_) => None,
        };
        let parts: Option<Vec<Bytes>> = pieces.into_iter().map(in_memory).collect();
        parts.map(|parts| parts.concat().into())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a frontend asks of a shard.
#[derive(Debug)]
pub enum ShardRequest {
    /// Append one checked batch.
    Produce(ProducePart),
    /// Read several partitions, and watch them if there is not enough.
    Fetch(FetchParts),
    /// A fetch no longer waits.
    CancelFetch(Ticket),
    /// Do one thing to one partition.
    Partition {
        /// Where the answer belongs.
        ticket: Ticket,
        /// Which part of the request this is.
        part: u32,
        /// The partition.
        partition: TopicPartition,
        /// What to do.
        op: PartitionOp,
    },
}

/// One partition of a Produce request.
#[derive(Debug)]
pub struct ProducePart {
    /// Where the answer belongs; `None` for acks=0.
    pub ticket: Option<Ticket>,
    /// Which part of the request this is.
    pub part: u32,
    /// The partition.
    pub partition: TopicPartition,
    /// The batch, checked.
    pub batch: Bytes,
    /// Its header.
    pub header: BatchHeader,
    /// Whether the broker's clock sets the timestamp (`message.timestamp.type=LogAppendTime`).
    pub append_time: bool,
}

/// Partitions of a fetch that one shard owns.
#[derive(Debug)]
pub struct FetchParts {
    /// Where the answer belongs.
    pub ticket: Ticket,
    /// The partitions.
    pub parts: Vec<FetchPart>,
    /// Most bytes over all of them; the first batch is returned even if it is larger.
    pub max_bytes: usize,
    /// Send [`ShardReply::FetchReady`] once when one of them can give more than it did now.
    pub watch: bool,
}

/// One partition of a fetch.
#[derive(Debug, Clone, Copy)]
pub struct FetchPart {
    /// Place in the request.
    pub part: u32,
    /// The partition.
    pub partition: TopicPartition,
    /// First offset wanted.
    pub offset: Offset,
    /// Epoch that the client believes in, or [`LeaderEpoch::NONE`].
    pub current_leader_epoch: LeaderEpoch,
    /// Epoch of the record before `offset`, or [`LeaderEpoch::NONE`] (KIP-595).
    pub last_fetched_epoch: LeaderEpoch,
    /// Most bytes.
    pub max_bytes: usize,
}

/// An operation on one partition that is neither produce nor fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionOp {
    /// ListOffsets: one of the special timestamps, or a time in ms.
    ListOffset {
        /// `-1` latest, `-2` earliest, `-3` largest timestamp, `-4` earliest local, `-5` latest
        /// tiered, `-6` earliest pending upload; others: first record at or after that time.
        timestamp: i64,
        /// Epoch that the client believes in, or [`LeaderEpoch::NONE`].
        current_leader_epoch: LeaderEpoch,
    },
    /// DeleteRecords: everything before the offset; -1 means the high watermark.
    DeleteRecords {
        /// New log start.
        before: Offset,
    },
    /// OffsetForLeaderEpoch: the largest epoch that is not above this one, and where it ends.
    EpochEnd {
        /// The epoch asked about.
        epoch: LeaderEpoch,
        /// Epoch that the client believes in, or [`LeaderEpoch::NONE`].
        current_leader_epoch: LeaderEpoch,
    },
    /// DescribeLogDirs: how large the log is.
    Size,
    /// DescribeProducers: who writes with sequences.
    Producers,
    /// A request to the group coordinator of this partition of `__consumer_offsets`.
    Group(Box<GroupRequest>),
}

/// The answer to a [`PartitionOp`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionAnswer {
    /// ListOffsets found this; offset and timestamp -1 for nothing.
    Offset {
        /// The record's offset.
        offset: Offset,
        /// Its timestamp in ms, or -1.
        timestamp_ms: i64,
        /// Epoch of the leader that wrote it.
        leader_epoch: LeaderEpoch,
    },
    /// DeleteRecords is durable.
    LogStart(Offset),
    /// An epoch and the offset behind its last record; none for an epoch that is yet to come.
    EpochEnd(Option<(LeaderEpoch, Offset)>),
    /// Bytes of all segments.
    Size(u64),
    /// Idempotent producers, by id.
    Producers(Vec<ActiveProducer>),
    /// What the group coordinator says.
    Group(Box<GroupResponse>),
    /// Refused.
    Failed(ErrorCode),
}

/// What a partition remembers of an idempotent producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveProducer {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// Sequence of its last record, or -1.
    pub last_sequence: i32,
    /// Largest timestamp of its last batch in ms, or -1.
    pub last_timestamp_ms: i64,
}

/// What a shard answers to a frontend.
#[derive(Debug)]
pub enum ShardReply {
    /// One part of a Produce request is decided.
    Produced {
        /// Whom it belongs to.
        ticket: Ticket,
        /// Which part.
        part: u32,
        /// What came of it.
        result: Result<Produced, ErrorCode>,
    },
    /// All partitions of a [`FetchParts`] are read.
    Fetched {
        /// Whom it belongs to.
        ticket: Ticket,
        /// One per part, in no particular order.
        parts: Vec<FetchedPart>,
    },
    /// A watched fetch can give more now.
    FetchReady(Ticket),
    /// A [`PartitionOp`] is done.
    Partition {
        /// Whom it belongs to.
        ticket: Ticket,
        /// Which part.
        part: u32,
        /// What came of it.
        answer: PartitionAnswer,
    },
}

impl ShardReply {
    /// Whom the reply belongs to.
    #[must_use]
    pub const fn ticket(&self) -> Ticket {
        match self {
            Self::Produced { ticket, .. }
            | Self::Fetched { ticket, .. }
            | Self::FetchReady(ticket)
            | Self::Partition { ticket, .. } => *ticket,
        }
    }
}

/// A batch that is in the log and as safe as its topic asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Time of the append in ms where the topic stamps it, else -1.
    pub append_time_ms: i64,
    /// First offset of the partition.
    pub log_start: Offset,
}

/// What a fetch found in one partition.
#[derive(Debug)]
pub struct FetchedPart {
    /// Place in the request.
    pub part: u32,
    /// What went wrong, or [`ErrorCode::None`].
    pub error: ErrorCode,
    /// End of what consumers may read.
    pub high_watermark: Offset,
    /// First offset of the partition.
    pub log_start: Offset,
    /// Where the reader's history departs from this log (KIP-595): epoch and its end.
    pub diverging: Option<(LeaderEpoch, Offset)>,
    /// Whether there are records behind these that another read would give: a read ends with the
    /// segment that it began in.
    pub more: bool,
    /// Record batches.
    pub records: Vec<Piece>,
    /// Their size.
    pub bytes: usize,
}
