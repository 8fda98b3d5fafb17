//! OffsetCommitKey and OffsetCommitValue.

use std::sync::Arc;

use bytes::Bytes;
use chronik_model::{Offset, TopicId};

use super::wire::{Format, Reader, WireError, Writer};

/// Tag of the topic id in version 4.
const TOPIC_ID_TAG: u32 = 0;

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OffsetValue {
    /// Next offset to consume.
    pub(crate) offset: Offset,
    /// Leader epoch of the last consumed record, or -1.
    pub(crate) leader_epoch: i32,
    /// The client's own.
    pub(crate) metadata: Box<str>,
    /// Wall clock of the commit, in ms.
    pub(crate) commit_ms: i64,
    /// Wall clock from which the offset is expired, where the client said so; in ms.
    pub(crate) expire_ms: Option<i64>,
    /// The topic, or [`TopicId::ZERO`].
    pub(crate) topic_id: TopicId,
}

pub(super) fn encode_key(version: i16, group_id: &str, topic: &str, partition: i32) -> Bytes {
    let mut writer = Writer::versioned(version);
    writer.string(Format::Classic, group_id);
    writer.string(Format::Classic, topic);
    writer.i32(partition);
    writer.finish()
}

pub(super) fn decode_key(key: &mut Reader) -> Result<(Arc<str>, Arc<str>, i32), WireError> {
    let group_id = key.string(Format::Classic)?;
    let topic = key.string(Format::Classic)?;
    Ok((group_id.into(), topic.into(), key.i32()?))
}

impl OffsetValue {
    /// Version 4, or 1 with an expiry, which no later version can say.
    pub(super) fn encode(&self) -> Bytes {
        let Some(expire_ms) = self.expire_ms else {
            return self.encode_v4();
        };
        let mut writer = Writer::versioned(1);
        writer.i64(self.offset.0);
        writer.string(Format::Classic, &self.metadata);
        writer.i64(self.commit_ms);
        writer.i64(expire_ms);
        writer.finish()
    }

    fn encode_v4(&self) -> Bytes {
        let mut writer = Writer::versioned(4);
        writer.i64(self.offset.0);
        writer.i32(self.leader_epoch);
        writer.string(Format::Flexible, &self.metadata);
        writer.i64(self.commit_ms);
        if self.topic_id == TopicId::ZERO {
            writer.uvarint(0);
        } else {
            writer.uvarint(1);
            writer.uvarint(TOPIC_ID_TAG);
            writer.uvarint(16);
            writer.raw(&self.topic_id.0);
        }
        writer.finish()
    }

    pub(super) fn decode(version: i16, reader: &mut Reader) -> Result<Option<Self>, WireError> {
        if !(0..=4).contains(&version) {
            return Ok(None);
        }
        let format = if version >= 4 {
            Format::Flexible
        } else {
            Format::Classic
        };
        let offset = Offset(reader.i64()?);
        let leader_epoch = if version >= 3 { reader.i32()? } else { -1 };
        let metadata = reader.string(format)?.into_boxed_str();
        let commit_ms = reader.i64()?;
        let expire_ms = if version == 1 { reader.i64()? } else { -1 };
        let mut topic_id = TopicId::ZERO;
        reader.tagged(format, |tag, field| {
            if tag == TOPIC_ID_TAG {
                topic_id = TopicId(field.uuid()?);
            }
            Ok(())
        })?;
        Ok(Some(Self {
            offset,
            leader_epoch,
            metadata,
            commit_ms,
            expire_ms: (expire_ms != -1).then_some(expire_ms),
            topic_id,
        }))
    }
}
