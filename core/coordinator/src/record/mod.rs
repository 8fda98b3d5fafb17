//! The records of `__consumer_offsets`, in the formats that Kafka 4.3 reads and writes.
//!
//! A key opens with its version, which says what the record is about: 0 and 1 an offset, 2 a classic
//! group, others the consumer protocol. A value opens with the version of its own fields; no value
//! removes what the key stands for.

mod consumer;
mod group;
mod offset;
mod wire;

use std::sync::Arc;

pub(crate) use consumer::{ConsumerChange, ConsumerRecord, GroupEpoch, ResolvedRegex, TargetEpoch};
pub(crate) use group::{GroupMetadataValue, MemberMetadata};
pub(crate) use offset::OffsetValue;
pub(crate) use wire::{Format, Reader, WireError, Writer};

use crate::outcome::Record;

/// Key versions of offsets; both mean the same.
const OFFSET_KEYS: [i16; 2] = [0, 1];
/// Key version of offsets that are written.
const OFFSET_KEY: i16 = 1;
/// Key version of classic groups.
const GROUP_KEY: i16 = 2;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CoordinatorRecord {
    /// An offset.
    OffsetCommit {
        /// The group.
        group_id: Arc<str>,
        /// The topic.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// None removes the offset.
        value: Option<OffsetValue>,
    },
    /// A classic group as it was when its leader brought the assignment, or when it became empty.
    GroupMetadata {
        /// The group.
        group_id: Arc<str>,
        /// None removes the group.
        value: Option<GroupMetadataValue>,
    },
    /// Of the consumer protocol.
    Consumer(ConsumerRecord),
}

/// Why a record can not be taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    /// Its key has a version that this broker does not know.
    #[error("key version {0} is not known")]
    UnknownKey(i16),
    /// Its value has a version that this broker does not know.
    #[error("value version {version} under key version {key} is not known")]
    UnknownValue {
        /// Version of the key.
        key: i16,
        /// Version of the value.
        version: i16,
    },
    /// Its key can not be read.
    #[error("the key can not be read: {0}")]
    Key(WireError),
    /// Its value can not be read.
    #[error("the value under key version {key} can not be read: {error}")]
    Value {
        /// Version of the key.
        key: i16,
        /// What is wrong.
        error: WireError,
    },
}

impl CoordinatorRecord {
    /// As bytes.
    pub(crate) fn encode(&self) -> Record {
        match self {
            Self::OffsetCommit {
                group_id,
                topic,
                partition,
                value,
            } => Record {
                key: offset::encode_key(OFFSET_KEY, group_id, topic, *partition),
                value: value.as_ref().map(OffsetValue::encode),
            },
            Self::GroupMetadata { group_id, value } => Record {
                key: group::encode_key(GROUP_KEY, group_id),
                value: value.as_ref().map(GroupMetadataValue::encode),
            },
            Self::Consumer(record) => record.encode(),
        }
    }

    /// From bytes.
    pub(crate) fn decode(record: &Record) -> Result<Self, RecordError> {
        let mut key = Reader::new(record.key.clone());
        let version = key.i16().map_err(RecordError::Key)?;
        if OFFSET_KEYS.contains(&version) {
            let (group_id, topic, partition) =
                offset::decode_key(&mut key).map_err(RecordError::Key)?;
            return Ok(Self::OffsetCommit {
                group_id,
                topic,
                partition,
                value: decode_value(version, record, OffsetValue::decode)?,
            });
        }
        if version == GROUP_KEY {
            let group_id = key.string(Format::Classic).map_err(RecordError::Key)?;
            return Ok(Self::GroupMetadata {
                group_id: group_id.into(),
                value: decode_value(version, record, GroupMetadataValue::decode)?,
            });
        }
        ConsumerRecord::decode(version, key, record).map(Self::Consumer)
    }
}

/// Reads the value of `record`, if it has one. `decode` gets the value's version, and says none to
/// versions that it does not know.
pub(crate) fn decode_value<T>(
    key: i16,
    record: &Record,
    decode: impl FnOnce(i16, &mut Reader) -> Result<Option<T>, WireError>,
) -> Result<Option<T>, RecordError> {
    let Some(value) = &record.value else {
        return Ok(None);
    };
    let mut reader = Reader::new(value.clone());
    let bad = |error| RecordError::Value { key, error };
    let version = reader.i16().map_err(bad)?;
    let value = decode(version, &mut reader).map_err(bad)?;
    value
        .ok_or(RecordError::UnknownValue { key, version })
        .map(Some)
}
