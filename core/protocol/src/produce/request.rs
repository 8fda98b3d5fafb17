//! Reading Produce requests without copies and allocations.

use bytes::Bytes;
use chronik_model::PartitionIndex;

use super::{MAX_VERSION, by_id, is_flexible};
use crate::topic::TopicRef;
use crate::wire::{PartitionCount, Reader, WireError};

/// A Produce request whose whole structure has been checked; the records have not.
#[derive(Debug, Clone)]
pub struct ProduceRequest<'a> {
    /// Set by transactional producers.
    pub transactional_id: Option<&'a str>,
    /// Replicas to wait for: 0 for none and no response, 1 for the leader, -1 for all in sync.
    pub acks: i16,
    /// Milliseconds that the client is ready to wait for the replicas.
    pub timeout_ms: i32,
    /// The topics, in the order of the request; clone it to walk over them. A topic may come more
    /// than once.
    pub topics: ProduceTopics<'a>,
}

impl<'a> ProduceRequest<'a> {
    /// Reads the body of a request of `version`.
    ///
    /// # Errors
    /// The first malformed field; [`WireError::TrailingBytes`] when the body goes on behind the
    /// request; [`WireError::UnsupportedVersion`].
    pub fn decode(body: &'a Bytes, version: i16) -> Result<Self, WireError> {
        if !(0..=MAX_VERSION).contains(&version) {
            return Err(WireError::UnsupportedVersion(version));
        }
        let mut reader = Reader::new(body, is_flexible(version));
        let transactional_id = if version >= 3 {
            reader.nullable_string()?
        } else {
            None
        };
        let acks = reader.i16()?;
        let timeout_ms = reader.i32()?;
        let left = reader.array_len(min_topic_bytes(version))?;
        let mut topics = ProduceTopics {
            first: None,
            reader,
            left,
            version,
        };
        let mut partitions = PartitionCount::default();
        for index in 0..left {
            let topic = ProduceTopic::read(&mut reader, version)?;
            partitions.add(topic.partitions.len())?;
            if index == 0 {
                topics.first = Some(topic);
                topics.reader = reader;
            }
        }
        reader.skip_tags()?;
        reader.finish()?;
        Ok(Self {
            transactional_id,
            acks,
            timeout_ms,
            topics,
        })
    }
}

/// Iterates over the topics of a request.
#[derive(Debug, Clone)]
pub struct ProduceTopics<'a> {
    /// Most requests have no other topic, and this one is not read twice.
    first: Option<ProduceTopic<'a>>,
    /// Behind the first topic.
    reader: Reader<'a>,
    left: usize,
    version: i16,
}

impl<'a> Iterator for ProduceTopics<'a> {
    type Item = ProduceTopic<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        // Can not fail: decoding the request read the same bytes.
        ProduceTopic::read(&mut self.reader, self.version).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for ProduceTopics<'_> {}

/// One topic of a request.
#[derive(Debug, Clone)]
pub struct ProduceTopic<'a> {
    /// Name, or id from v13 on.
    pub topic: TopicRef<'a>,
    /// The partitions, in the order of the request. A partition may come more than once.
    pub partitions: ProducePartitions<'a>,
}

impl<'a> ProduceTopic<'a> {
    fn read(reader: &mut Reader<'a>, version: i16) -> Result<Self, WireError> {
        let topic = TopicRef::read(reader, by_id(version))?;
        let left = reader.array_len(min_partition_bytes(version))?;
        let partitions = ProducePartitions {
            reader: *reader,
            left,
        };
        for _ in 0..left {
            read_partition(reader)?;
        }
        reader.skip_tags()?;
        Ok(Self { topic, partitions })
    }
}

/// Iterates over the partitions of a topic.
#[derive(Debug, Clone)]
pub struct ProducePartitions<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl Iterator for ProducePartitions<'_> {
    type Item = ProducePartition;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // Can not fail: decoding the request read the same bytes.
        let (index, records) = read_partition(&mut self.reader).ok()?;
        let records = records.map(|records| self.reader.share(records));
        Some(ProducePartition { index, records })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for ProducePartitions<'_> {}

/// One partition of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducePartition {
    /// The partition.
    pub index: PartitionIndex,
    /// Record batches, unchecked, in the memory of the frame.
    pub records: Option<Bytes>,
}

fn read_partition<'a>(
    reader: &mut Reader<'a>,
) -> Result<(PartitionIndex, Option<&'a [u8]>), WireError> {
    let index = PartitionIndex(reader.i32()?);
    let records = reader.nullable_slice()?;
    reader.skip_tags()?;
    Ok((index, records))
}

/// Reference, partition count, tagged fields.
fn min_topic_bytes(version: i16) -> usize {
    let flexible = is_flexible(version);
    TopicRef::min_bytes(by_id(version), flexible) + if flexible { 2 } else { 4 }
}

/// Index, length of the records, tagged fields.
fn min_partition_bytes(version: i16) -> usize {
    if is_flexible(version) { 6 } else { 8 }
}
