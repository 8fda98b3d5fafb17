//! Reading Fetch requests without copies and allocations.

use bytes::Bytes;
use chronik_model::{BrokerEpoch, LeaderEpoch, NodeId, Offset, PartitionIndex};

use super::{MAX_VERSION, MIN_VERSION, by_id, is_flexible};
use crate::topic::TopicRef;
use crate::wire::{PartitionCount, Reader, WireError};

/// Which records a consumer may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsolationLevel {
    /// All below the high watermark.
    ReadUncommitted,
    /// All below the last stable offset, with the list of aborted transactions (KIP-98).
    ReadCommitted,
}

/// A Fetch request whose whole structure has been checked.
#[derive(Debug, Clone)]
pub struct FetchRequest<'a> {
    /// The cluster that the sender means, v12 and up.
    pub cluster_id: Option<&'a str>,
    /// The follower that asks; negative for consumers.
    pub replica_id: NodeId,
    /// Life of the follower, v15 and up; -1 if not known.
    pub replica_epoch: BrokerEpoch,
    /// Milliseconds to wait for `min_bytes`.
    pub max_wait_ms: i32,
    /// Bytes of records to wait for.
    pub min_bytes: i32,
    /// Bytes of records to answer with at most, except that the first batch is always sent
    /// (KIP-74).
    pub max_bytes: i32,
    /// Which records to send.
    pub isolation_level: IsolationLevel,
    /// The fetch session; 0 for none (KIP-227).
    pub session_id: i32,
    /// Counts the requests of the session; 0 opens one, -1 closes it or means none.
    pub session_epoch: i32,
    /// The consumer's rack; empty if not set (KIP-392).
    pub rack_id: &'a str,
    /// The topics, in the order of the request; clone it to walk over them. A topic may come more
    /// than once.
    pub topics: FetchTopics<'a>,
    /// What to drop from the session.
    pub forgotten_topics: ForgottenTopics<'a>,
}

impl<'a> FetchRequest<'a> {
    /// Reads the body of a request of `version`.
    ///
    /// # Errors
    /// The first malformed field; [`WireError::TrailingBytes`] when the body goes on behind the
    /// request; [`WireError::UnsupportedVersion`].
    pub fn decode(body: &'a Bytes, version: i16) -> Result<Self, WireError> {
        if !(MIN_VERSION..=MAX_VERSION).contains(&version) {
            return Err(WireError::UnsupportedVersion(version));
        }
        let mut reader = Reader::new(body, is_flexible(version));
        let has_session = version >= 7;
        let mut request = Self {
            cluster_id: None,
            replica_id: NodeId(if version <= 14 { reader.i32()? } else { -1 }),
            replica_epoch: BrokerEpoch(-1),
            max_wait_ms: reader.i32()?,
            min_bytes: reader.i32()?,
            max_bytes: reader.i32()?,
            isolation_level: read_isolation_level(&mut reader)?,
            session_id: if has_session { reader.i32()? } else { 0 },
            session_epoch: if has_session { reader.i32()? } else { -1 },
            topics: FetchTopics::read(&mut reader, version)?,
            forgotten_topics: ForgottenTopics::read(&mut reader, version)?,
            rack_id: if version >= 11 { reader.string()? } else { "" },
        };
        reader.visit_tags(|tag, value| request.read_tag(tag, value, version))?;
        reader.finish()?;
        Ok(request)
    }

    /// Whether a replica asks, not a consumer.
    #[must_use]
    pub fn is_from_follower(&self) -> bool {
        self.replica_id.0 >= 0
    }

    fn read_tag(&mut self, tag: u32, value: Reader<'a>, version: i16) -> Result<(), WireError> {
        let mut value = value;
        match tag {
            0 => self.cluster_id = value.nullable_string()?,
            1 if version < 15 => return Err(WireError::UnexpectedTag { tag }),
            1 => {
                self.replica_id = NodeId(value.i32()?);
                self.replica_epoch = BrokerEpoch(value.i64()?);
                value.skip_tags()?;
            }
            _ => return Ok(()),
        }
        value.finish()
    }
}

/// Iterates over the topics of a request.
#[derive(Debug, Clone)]
pub struct FetchTopics<'a> {
    reader: Reader<'a>,
    left: usize,
    version: i16,
}

impl<'a> FetchTopics<'a> {
    fn read(reader: &mut Reader<'a>, version: i16) -> Result<Self, WireError> {
        let left = reader.array_len(min_topic_bytes(version))?;
        let topics = Self {
            reader: *reader,
            left,
            version,
        };
        let mut partitions = PartitionCount::default();
        for _ in 0..left {
            let topic = FetchTopic::read(reader, version)?;
            partitions.add(topic.partitions.len())?;
        }
        Ok(topics)
    }
}

impl<'a> Iterator for FetchTopics<'a> {
    type Item = FetchTopic<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // Can not fail: decoding the request read the same bytes.
        FetchTopic::read(&mut self.reader, self.version).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for FetchTopics<'_> {}

/// One topic of a request.
#[derive(Debug, Clone)]
pub struct FetchTopic<'a> {
    /// Name, or id from v13 on.
    pub topic: TopicRef<'a>,
    /// The partitions, in the order of the request.
    pub partitions: FetchPartitions<'a>,
}

impl<'a> FetchTopic<'a> {
    fn read(reader: &mut Reader<'a>, version: i16) -> Result<Self, WireError> {
        let topic = TopicRef::read(reader, by_id(version))?;
        let left = reader.array_len(min_partition_bytes(version))?;
        let partitions = FetchPartitions {
            reader: *reader,
            left,
            version,
        };
        for _ in 0..left {
            FetchPartition::read(reader, version)?;
        }
        reader.skip_tags()?;
        Ok(Self { topic, partitions })
    }
}

/// Iterates over the partitions of a topic.
#[derive(Debug, Clone)]
pub struct FetchPartitions<'a> {
    reader: Reader<'a>,
    left: usize,
    version: i16,
}

impl Iterator for FetchPartitions<'_> {
    type Item = FetchPartition;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // Can not fail: decoding the request read the same bytes.
        FetchPartition::read(&mut self.reader, self.version).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for FetchPartitions<'_> {}

/// One partition of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchPartition {
    /// The partition.
    pub index: PartitionIndex,
    /// Epoch of the leader that the sender knows, v9 and up; [`LeaderEpoch::NONE`] if not known.
    pub current_leader_epoch: LeaderEpoch,
    /// The first offset wanted.
    pub fetch_offset: Offset,
    /// Epoch of the last record that the sender has, v12 and up; [`LeaderEpoch::NONE`] if none.
    pub last_fetched_epoch: LeaderEpoch,
    /// Start of the follower's log, v5 and up; -1 from consumers.
    pub log_start_offset: Offset,
    /// Bytes of records of this partition to answer with at most.
    pub partition_max_bytes: i32,
    /// Directory of the follower's replica, v17 and up; zeros if not set.
    pub replica_directory_id: [u8; 16],
    /// High watermark that the follower knows, v18 and up: -1 if none, `i64::MAX` if it does not
    /// say.
    pub high_watermark: Offset,
}

impl FetchPartition {
    fn read(reader: &mut Reader<'_>, version: i16) -> Result<Self, WireError> {
        let mut partition = Self {
            index: PartitionIndex(reader.i32()?),
            current_leader_epoch: LeaderEpoch(if version >= 9 { reader.i32()? } else { -1 }),
            fetch_offset: Offset(reader.i64()?),
            last_fetched_epoch: LeaderEpoch(if version >= 12 { reader.i32()? } else { -1 }),
            log_start_offset: Offset(if version >= 5 { reader.i64()? } else { -1 }),
            partition_max_bytes: reader.i32()?,
            replica_directory_id: [0; 16],
            high_watermark: Offset(i64::MAX),
        };
        reader.visit_tags(|tag, value| partition.read_tag(tag, value, version))?;
        Ok(partition)
    }

    fn read_tag(&mut self, tag: u32, value: Reader<'_>, version: i16) -> Result<(), WireError> {
        let mut value = value;
        match tag {
            0 if version < 17 => return Err(WireError::UnexpectedTag { tag }),
            0 => self.replica_directory_id = value.uuid()?,
            1 if version < 18 => return Err(WireError::UnexpectedTag { tag }),
            1 => self.high_watermark = Offset(value.i64()?),
            _ => return Ok(()),
        }
        value.finish()
    }
}

/// Iterates over the topics that the session shall forget.
#[derive(Debug, Clone)]
pub struct ForgottenTopics<'a> {
    reader: Reader<'a>,
    left: usize,
    version: i16,
}

impl<'a> ForgottenTopics<'a> {
    fn read(reader: &mut Reader<'a>, version: i16) -> Result<Self, WireError> {
        let left = if version >= 7 {
            reader.array_len(min_topic_bytes(version))?
        } else {
            0
        };
        let topics = Self {
            reader: *reader,
            left,
            version,
        };
        let mut partitions = PartitionCount::default();
        for _ in 0..left {
            let topic = ForgottenTopic::read(reader, version)?;
            partitions.add(topic.partitions.left)?;
        }
        Ok(topics)
    }
}

impl<'a> Iterator for ForgottenTopics<'a> {
    type Item = ForgottenTopic<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // Can not fail: decoding the request read the same bytes.
        ForgottenTopic::read(&mut self.reader, self.version).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for ForgottenTopics<'_> {}

/// Partitions of one topic that the session shall forget.
#[derive(Debug, Clone)]
pub struct ForgottenTopic<'a> {
    /// Name, or id from v13 on.
    pub topic: TopicRef<'a>,
    /// The partitions.
    pub partitions: ForgottenPartitions<'a>,
}

impl<'a> ForgottenTopic<'a> {
    fn read(reader: &mut Reader<'a>, version: i16) -> Result<Self, WireError> {
        let topic = TopicRef::read(reader, by_id(version))?;
        let left = reader.array_len(size_of::<i32>())?;
        let partitions = ForgottenPartitions {
            reader: *reader,
            left,
        };
        reader.take(left.saturating_mul(size_of::<i32>()))?;
        reader.skip_tags()?;
        Ok(Self { topic, partitions })
    }
}

/// Iterates over the partitions of a forgotten topic.
#[derive(Debug, Clone)]
pub struct ForgottenPartitions<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl Iterator for ForgottenPartitions<'_> {
    type Item = PartitionIndex;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // Can not fail: decoding the request skipped the same bytes.
        self.reader.i32().ok().map(PartitionIndex)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for ForgottenPartitions<'_> {}

fn read_isolation_level(reader: &mut Reader<'_>) -> Result<IsolationLevel, WireError> {
    match reader.i8()? {
        0 => Ok(IsolationLevel::ReadUncommitted),
        1 => Ok(IsolationLevel::ReadCommitted),
        other => Err(WireError::InvalidValue {
            field: "isolation_level",
            value: i64::from(other),
        }),
    }
}

/// Reference, partition count, tagged fields.
fn min_topic_bytes(version: i16) -> usize {
    let flexible = is_flexible(version);
    TopicRef::min_bytes(by_id(version), flexible) + if flexible { 2 } else { 4 }
}

/// Index, fetch offset and size limit; then what the versions added.
fn min_partition_bytes(version: i16) -> usize {
    let start_offset = if version >= 5 { 8 } else { 0 };
    let leader_epoch = if version >= 9 { 4 } else { 0 };
    let fetched_epoch_and_tags = if version >= 12 { 5 } else { 0 };
    16 + start_offset + leader_epoch + fetched_epoch_and_tags
}
