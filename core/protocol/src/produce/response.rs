//! Writing Produce responses, topic by topic, without structs in between.

use bytes::{Bytes, BytesMut};
use chronik_model::{ErrorCode, Offset, PartitionIndex};

use super::{MAX_VERSION, by_id, is_flexible};
use crate::ApiKey;
use crate::frame::{FrameTooLong, begin_frame, seal_frame};
use crate::header::{response_header_version, write_response_header};
use crate::topic::{CurrentLeader, NodeEndpoint, TopicRef};
use crate::wire::Writer;

/// A response frame of one topic and one partition fits here.
const USUAL_FRAME_BYTES: usize = 256;

/// How the records of one partition fared. Fields that a version does not have are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducePartitionResponse<'a> {
    /// The partition.
    pub index: PartitionIndex,
    /// Outcome.
    pub error: ErrorCode,
    /// Offset of the first record; -1 on error.
    pub base_offset: Offset,
    /// When the leader stamped the records, in milliseconds since 1970; -1 when the timestamps are
    /// those of the producer.
    pub log_append_time_ms: i64,
    /// Start of the partition's log; -1 on error.
    pub log_start_offset: Offset,
    /// Records for whose sake the whole batch was refused.
    pub record_errors: &'a [RecordError<'a>],
    /// The outcome in words.
    pub error_message: Option<&'a str>,
    /// Where the partition is led now, with NOT_LEADER_OR_FOLLOWER.
    pub current_leader: Option<CurrentLeader>,
}

impl ProducePartitionResponse<'_> {
    /// The answer for a partition that took nothing.
    #[must_use]
    pub const fn failed(index: PartitionIndex, error: ErrorCode) -> Self {
        Self {
            index,
            error,
            base_offset: Offset(-1),
            log_append_time_ms: -1,
            log_start_offset: Offset(-1),
            record_errors: &[],
            error_message: None,
            current_leader: None,
        }
    }
}

/// Why one record was refused (KIP-467).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordError<'a> {
    /// Place of the record in its batch, from 0.
    pub batch_index: i32,
    /// The reason in words.
    pub message: Option<&'a str>,
}

/// Writes one response frame. Topics and partitions are told in the order of the request, each
/// with the number announced before; a wrong number is a bug of the caller and panics.
#[derive(Debug)]
pub struct ProduceResponseWriter<'b> {
    frame: &'b mut BytesMut,
    version: i16,
    topics_left: usize,
    partitions_left: usize,
}

impl<'b> ProduceResponseWriter<'b> {
    /// Starts the frame of a response with `topic_count` topics in `buffer`, whose memory many
    /// responses may share: each takes its part with it. What an unfinished one left there goes.
    #[must_use]
    pub fn new(
        buffer: &'b mut BytesMut,
        version: i16,
        correlation_id: i32,
        topic_count: usize,
    ) -> Self {
        assert!(
            (0..=MAX_VERSION).contains(&version),
            "Produce has no version {version}"
        );
        begin_frame(buffer, USUAL_FRAME_BYTES);
        let header_version = response_header_version(ApiKey::Produce.code(), version);
        write_response_header(buffer, header_version, correlation_id);
        Writer::new(buffer, is_flexible(version)).long_length(topic_count);
        Self {
            frame: buffer,
            version,
            topics_left: topic_count,
            partitions_left: 0,
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

    /// Writes the next partition of the topic.
    pub fn partition(&mut self, partition: &ProducePartitionResponse<'_>) {
        assert!(self.partitions_left > 0, "more partitions than announced");
        self.partitions_left -= 1;
        let version = self.version;
        let mut writer = self.writer();
        writer.i32(partition.index.0);
        writer.i16(partition.error.code());
        writer.i64(partition.base_offset.0);
        if version >= 2 {
            writer.i64(partition.log_append_time_ms);
        }
        if version >= 5 {
            writer.i64(partition.log_start_offset.0);
        }
        if version >= 8 {
            write_record_errors(&mut writer, partition.record_errors);
            writer.nullable_string(partition.error_message);
        }
        match partition.current_leader {
            Some(leader) if version >= 10 => {
                writer.tag_count(1);
                writer.tag(0, |writer| leader.write(writer));
            }
            Some(_) | None => writer.tag_count(0),
        }
        self.end_topic_if_complete();
    }

    /// Ends the response; `node_endpoints` say where the leaders mentioned are. Returns the frame
    /// with its length prefix.
    ///
    /// # Errors
    /// [`FrameTooLong`] beyond 2 GiB.
    pub fn finish(
        mut self,
        throttle_time_ms: i32,
        node_endpoints: &[NodeEndpoint<'_>],
    ) -> Result<Bytes, FrameTooLong> {
        assert!(
            self.partitions_left == 0 && self.topics_left == 0,
            "less told than announced"
        );
        let version = self.version;
        let mut writer = self.writer();
        if version >= 1 {
            writer.i32(throttle_time_ms);
        }
        NodeEndpoint::write_response_tags(&mut writer, version >= 10, node_endpoints);
        seal_frame(self.frame, 0)?;
        Ok(self.frame.split().freeze())
    }

    fn end_topic_if_complete(&mut self) {
        if self.partitions_left == 0 {
            self.writer().tag_count(0);
        }
    }

    fn writer(&mut self) -> Writer<'_> {
        Writer::new(self.frame, is_flexible(self.version))
    }
}

fn write_record_errors(writer: &mut Writer<'_>, errors: &[RecordError<'_>]) {
    writer.long_length(errors.len());
    for error in errors {
        writer.i32(error.batch_index);
        writer.nullable_string(error.message);
        writer.tag_count(0);
    }
}
