//! Writing Fetch responses around record bytes that stay where they are.

use bytes::{Bytes, BytesMut};
use chronik_model::{ErrorCode, LeaderEpoch, Offset, PartitionIndex, ProducerId};

use super::{MAX_VERSION, MIN_VERSION, by_id, is_flexible};
use crate::ApiKey;
use crate::frame::{FrameTooLong, seal_frame, start_frame};
use crate::header::{response_header_version, write_response_header};
use crate::topic::{CurrentLeader, NodeEndpoint, TopicRef};
use crate::wire::Writer;

/// Everything but the records of a response with a few partitions fits here.
const USUAL_FRAME_BYTES: usize = 512;

/// Where a follower's log departs from the leader's (KIP-595).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEndOffset {
    /// The largest epoch that both may share.
    pub epoch: LeaderEpoch,
    /// Where that epoch ends on the leader.
    pub end_offset: Offset,
}

/// A transaction whose records a consumer has to leave out (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Its producer.
    pub producer_id: ProducerId,
    /// Its first offset in the partition.
    pub first_offset: Offset,
}

/// What one partition answers, but for the records themselves. Fields that a version does not have
/// are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchPartitionResponse<'a> {
    /// The partition.
    pub index: PartitionIndex,
    /// Outcome.
    pub error: ErrorCode,
    /// End of what is replicated; -1 on error.
    pub high_watermark: Offset,
    /// End of what no open transaction can still change; -1 on error.
    pub last_stable_offset: Offset,
    /// Start of the partition's log; -1 on error.
    pub log_start_offset: Offset,
    /// Aborted transactions within the records; `None` for readers of uncommitted records.
    pub aborted_transactions: Option<&'a [AbortedTransaction]>,
    /// The replica that the consumer should ask instead; -1 for none (KIP-392).
    pub preferred_read_replica: i32,
    /// Where the follower has to truncate to.
    pub diverging_epoch: Option<EpochEndOffset>,
    /// Where the partition is led now, with NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH.
    pub current_leader: Option<CurrentLeader>,
    /// Bytes of the records, which the caller sends in their place.
    pub records_len: usize,
}

impl FetchPartitionResponse<'_> {
    /// The answer for a partition that gives nothing.
    #[must_use]
    pub const fn failed(index: PartitionIndex, error: ErrorCode) -> Self {
        Self {
            index,
            error,
            high_watermark: Offset(-1),
            last_stable_offset: Offset(-1),
            log_start_offset: Offset(-1),
            aborted_transactions: None,
            preferred_read_replica: -1,
            diverging_epoch: None,
            current_leader: None,
            records_len: 0,
        }
    }
}

/// Writes one response frame. Each topic and partition comes with the number announced before; a
/// wrong number is a bug of the caller and panics.
///
/// ```text
/// on the wire | prefix, header, partition 0 | records 0 | tags 0, partition 1 | records 1 |
/// pieces      | Own                         | Records   | Own                 | Records   |
/// ```
#[derive(Debug)]
pub struct FetchResponseWriter {
    frame: BytesMut,
    version: i16,
    topics_left: usize,
    partitions_left: usize,
    cuts: Vec<Cut>,
    records_bytes: usize,
}

/// Foreign record bytes that belong in front of `position` of the writer's own bytes.
#[derive(Debug, Clone, Copy)]
struct Cut {
    position: usize,
    records_len: usize,
}

impl FetchResponseWriter {
    /// Starts the frame of a response with `topic_count` topics. `error` and `session_id` exist
    /// from v7 on.
    #[must_use]
    pub fn new(
        version: i16,
        correlation_id: i32,
        throttle_time_ms: i32,
        error: ErrorCode,
        session_id: i32,
        topic_count: usize,
    ) -> Self {
        let known = MIN_VERSION..=MAX_VERSION;
        assert!(known.contains(&version), "Fetch has no version {version}");
        let mut frame = start_frame(USUAL_FRAME_BYTES);
        let header_version = response_header_version(ApiKey::Fetch.code(), version);
        write_response_header(&mut frame, header_version, correlation_id);
        let mut writer = Writer::new(&mut frame, is_flexible(version));
        writer.i32(throttle_time_ms);
        if version >= 7 {
            writer.i16(error.code());
            writer.i32(session_id);
        }
        writer.long_length(topic_count);
        Self {
            frame,
            version,
            topics_left: topic_count,
            partitions_left: 0,
            cuts: Vec::new(),
            records_bytes: 0,
        }
    }

    /// Starts the next topic, which has `partition_count` partitions.
    pub fn topic(&mut self, topic: TopicRef<'_>, partition_count: usize) {
        assert!(
            self.partitions_left == 0,
            "the topic before lacks partitions"
        );
        assert!(self.topics_left > 0, "more topics than announced");
        self.topics_left -= 1;
        self.partitions_left = partition_count;
        let version = self.version;
        let mut writer = self.writer();
        topic.write(&mut writer, by_id(version));
        writer.long_length(partition_count);
        self.end_topic_if_complete();
    }

    /// Writes the next partition of the topic. The caller keeps its records, of exactly
    /// `records_len` bytes, and sends them where [`FetchPiece::Records`] stands.
    pub fn partition(&mut self, partition: &FetchPartitionResponse<'_>) {
        assert!(self.partitions_left > 0, "more partitions than announced");
        self.partitions_left -= 1;
        self.write_before_records(partition);
        if partition.records_len > 0 {
            self.records_bytes = self.records_bytes.saturating_add(partition.records_len);
            let position = self.frame.len();
            self.cuts.push(Cut {
                position,
                records_len: partition.records_len,
            });
        }
        self.write_after_records(partition);
        self.end_topic_if_complete();
    }

    /// Bytes of the frame so far, foreign records included.
    #[must_use]
    pub fn frame_bytes(&self) -> usize {
        self.frame.len().saturating_add(self.records_bytes)
    }

    /// Ends the response; `node_endpoints` say where the leaders mentioned are.
    ///
    /// # Errors
    /// [`FrameTooLong`] beyond 2 GiB.
    pub fn finish(
        mut self,
        node_endpoints: &[NodeEndpoint<'_>],
    ) -> Result<FetchResponseFrame, FrameTooLong> {
        assert!(
            self.partitions_left == 0 && self.topics_left == 0,
            "less told than announced"
        );
        let has_endpoints = self.version >= 16;
        NodeEndpoint::write_response_tags(&mut self.writer(), has_endpoints, node_endpoints);
        seal_frame(&mut self.frame, self.records_bytes)?;
        Ok(FetchResponseFrame {
            own: self.frame.freeze(),
            cuts: self.cuts,
            records_bytes: self.records_bytes,
        })
    }

    fn write_before_records(&mut self, partition: &FetchPartitionResponse<'_>) {
        let version = self.version;
        let mut writer = self.writer();
        writer.i32(partition.index.0);
        writer.i16(partition.error.code());
        writer.i64(partition.high_watermark.0);
        writer.i64(partition.last_stable_offset.0);
        if version >= 5 {
            writer.i64(partition.log_start_offset.0);
        }
        write_aborted(&mut writer, partition.aborted_transactions);
        if version >= 11 {
            writer.i32(partition.preferred_read_replica);
        }
        writer.long_length(partition.records_len);
    }

    fn write_after_records(&mut self, partition: &FetchPartitionResponse<'_>) {
        if !is_flexible(self.version) {
            return;
        }
        let (diverging, leader) = (partition.diverging_epoch, partition.current_leader);
        let mut writer = self.writer();
        writer.tag_count(u32::from(diverging.is_some()) + u32::from(leader.is_some()));
        if let Some(diverging) = diverging {
            writer.tag(0, |writer| {
                writer.i32(diverging.epoch.0);
                writer.i64(diverging.end_offset.0);
                writer.tag_count(0);
            });
        }
        if let Some(leader) = leader {
            writer.tag(1, |writer| leader.write(writer));
        }
    }

    fn end_topic_if_complete(&mut self) {
        if self.partitions_left == 0 {
            self.writer().tag_count(0);
        }
    }

    fn writer(&mut self) -> Writer<'_> {
        Writer::new(&mut self.frame, is_flexible(self.version))
    }
}

fn write_aborted(writer: &mut Writer<'_>, aborted: Option<&[AbortedTransaction]>) {
    let Some(aborted) = aborted else {
        return writer.null_array();
    };
    writer.long_length(aborted.len());
    for transaction in aborted {
        writer.i64(transaction.producer_id.0);
        writer.i64(transaction.first_offset.0);
        writer.tag_count(0);
    }
}

/// A whole response frame, length prefix included, with gaps where the records go.
#[derive(Debug, Clone)]
pub struct FetchResponseFrame {
    own: Bytes,
    cuts: Vec<Cut>,
    records_bytes: usize,
}

/// The next part of a response frame on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchPiece {
    /// Bytes of the response itself.
    Own(Bytes),
    /// The place of the records of the next partition that has any: this many bytes of the caller.
    Records(usize),
}

impl FetchResponseFrame {
    /// Bytes on the wire, with the prefix and the records.
    #[must_use]
    pub fn wire_bytes(&self) -> usize {
        self.own.len().saturating_add(self.records_bytes)
    }

    /// The parts in the order of the wire. One [`FetchPiece::Records`] comes for each partition
    /// with records, in the order in which they were told.
    pub fn pieces(&self) -> impl Iterator<Item = FetchPiece> {
        let start_of = |number: usize| match number.checked_sub(1) {
            Some(before) => self
                .cuts
                .get(before)
                .map_or(self.own.len(), |cut| cut.position),
            None => 0,
        };
        let tail = FetchPiece::Own(self.own.slice(start_of(self.cuts.len())..));
        let cut_pieces = self.cuts.iter().enumerate().flat_map(move |(number, cut)| {
            let own = self.own.slice(start_of(number)..cut.position);
            [FetchPiece::Own(own), FetchPiece::Records(cut.records_len)]
        });
        cut_pieces.chain([tail])
    }
}
