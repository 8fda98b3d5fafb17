//! Records of consumer groups (KIP-848): Kafka's `ConsumerGroup*` formats, each of version 0.
//!
//! | key | holds | per |
//! | --- | --- | --- |
//! | 3 | group epoch, metadata hash (KIP-1101) | group |
//! | 4 | topics' metadata, written before Kafka 4.1 only | group |
//! | 5 | what a member said of itself | member |
//! | 6 | epoch and time of the target assignment (KIP-1263) | group |
//! | 7 | what a member shall own | member |
//! | 8 | what a member owns, with assignment epochs (KIP-1251) | member |
//! | 16 | topics that a regular expression matches | regular expression |

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use chronik_model::TopicId;

use super::{Format, Reader, RecordError, WireError, Writer, decode_value};
use crate::consumer::{
    ClassicMetadata, CurrentAssignment, MemberMetadata, MemberState, Owned, Target,
};
use crate::outcome::Record;

const EPOCH: i16 = 3;
const PARTITION_METADATA: i16 = 4;
const MEMBER: i16 = 5;
const TARGET_EPOCH: i16 = 6;
const TARGET_MEMBER: i16 = 7;
const CURRENT_MEMBER: i16 = 8;
const REGEX: i16 = 16;

/// All values are flexible.
const FLEXIBLE: Format = Format::Flexible;

/// The only version that values have had so far.
const VALUE_VERSION: i16 = 0;

/// Value of the group's own record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupEpoch {
    /// Grows with everything that asks for a new assignment.
    pub(crate) epoch: i32,
    /// Of the subscribed topics, to see that they changed.
    pub(crate) metadata_hash: i64,
}

/// Value of the target assignment's own record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TargetEpoch {
    /// Group epoch that the assignment was computed for.
    pub(crate) epoch: i32,
    /// When, in ms since the Unix epoch; 0 where unknown.
    pub(crate) timestamp_ms: i64,
}

/// What a regular expression matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResolvedRegex {
    /// Names of topics.
    pub(crate) topics: BTreeSet<String>,
    /// Version of the topics that were looked at.
    pub(crate) version: i64,
    /// When, in ms since the Unix epoch.
    pub(crate) timestamp_ms: i64,
}

/// A record of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsumerRecord {
    /// The group.
    pub(crate) group_id: Arc<str>,
    /// What is said of it.
    pub(crate) change: ConsumerChange,
}

/// What one record says of a group; a value of none removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConsumerChange {
    /// The group itself.
    Epoch(Option<GroupEpoch>),
    /// Only whether it is there counts: it is removed as soon as the group changes.
    PartitionMetadata(Option<()>),
    /// A member joins, changes or is removed.
    Member(Arc<str>, Option<Box<MemberMetadata>>),
    /// The target assignment is complete for an epoch.
    TargetEpoch(Option<TargetEpoch>),
    /// Target of one member.
    TargetMember(Arc<str>, Option<Target>),
    /// Ownership of one member.
    CurrentMember(Arc<str>, Option<CurrentAssignment>),
    /// Topics of a regular expression.
    Regex(Arc<str>, Option<ResolvedRegex>),
}

impl ConsumerRecord {
    /// As bytes.
    pub(crate) fn encode(&self) -> Record {
        let (key_type, second) = self.change.key();
        let mut key = Writer::versioned(key_type);
        key.string(Format::Classic, &self.group_id);
        if let Some(second) = second {
            key.string(Format::Classic, second);
        }
        Record {
            key: key.finish(),
            value: self.change.encode_value(),
        }
    }

    /// From bytes: a key, of which the type `key_type` was read, and the value that `record` has.
    pub(crate) fn decode(
        key_type: i16,
        mut key: Reader,
        record: &Record,
    ) -> Result<Self, RecordError> {
        let mut part = || -> Result<Arc<str>, RecordError> {
            let part = key.string(Format::Classic).map_err(RecordError::Key)?;
            Ok(part.into())
        };
        let group_id = match key_type {
            EPOCH..=CURRENT_MEMBER | REGEX => part()?,
            unknown => return Err(RecordError::UnknownKey(unknown)),
        };
        let change = match key_type {
            EPOCH => ConsumerChange::Epoch(value(key_type, record, read_epoch)?),
            PARTITION_METADATA => {
                ConsumerChange::PartitionMetadata(record.value.as_ref().map(|_unread| ()))
            }
            MEMBER => {
                let metadata = value(key_type, record, read_member)?;
                ConsumerChange::Member(part()?, metadata.map(Box::new))
            }
            TARGET_EPOCH => {
                ConsumerChange::TargetEpoch(value(key_type, record, read_target_epoch)?)
            }
            TARGET_MEMBER => {
                ConsumerChange::TargetMember(part()?, value(key_type, record, read_target)?)
            }
            CURRENT_MEMBER => {
                ConsumerChange::CurrentMember(part()?, value(key_type, record, read_current)?)
            }
            _ => ConsumerChange::Regex(part()?, value(key_type, record, read_regex)?),
        };
        Ok(Self { group_id, change })
    }
}

impl ConsumerChange {
    /// Type of the key, and what follows the group in it.
    const fn key(&self) -> (i16, Option<&Arc<str>>) {
        match self {
            Self::Epoch(_) => (EPOCH, None),
            Self::PartitionMetadata(_) => (PARTITION_METADATA, None),
            Self::Member(member, _) => (MEMBER, Some(member)),
            Self::TargetEpoch(_) => (TARGET_EPOCH, None),
            Self::TargetMember(member, _) => (TARGET_MEMBER, Some(member)),
            Self::CurrentMember(member, _) => (CURRENT_MEMBER, Some(member)),
            Self::Regex(regex, _) => (REGEX, Some(regex)),
        }
    }

    /// Whether it removes.
    pub(crate) const fn is_tombstone(&self) -> bool {
        match self {
            Self::Epoch(value) => value.is_none(),
            Self::PartitionMetadata(value) => value.is_none(),
            Self::Member(_, value) => value.is_none(),
            Self::TargetEpoch(value) => value.is_none(),
            Self::TargetMember(_, value) => value.is_none(),
            Self::CurrentMember(_, value) => value.is_none(),
            Self::Regex(_, value) => value.is_none(),
        }
    }

    fn encode_value(&self) -> Option<Bytes> {
        let mut out = Writer::versioned(VALUE_VERSION);
        match self {
            Self::Epoch(epoch) => write_epoch(&mut out, epoch.as_ref()?),
            Self::PartitionMetadata(present) => {
                let () = (*present)?;
                out.count(FLEXIBLE, 0);
                out.no_tagged(FLEXIBLE);
            }
            Self::Member(_, metadata) => write_member(&mut out, metadata.as_deref()?),
            Self::TargetEpoch(epoch) => write_target_epoch(&mut out, epoch.as_ref()?),
            Self::TargetMember(_, target) => write_target(&mut out, target.as_ref()?),
            Self::CurrentMember(_, current) => write_current(&mut out, current.as_ref()?),
            Self::Regex(_, resolved) => write_regex(&mut out, resolved.as_ref()?),
        }
        Some(out.finish())
    }
}

fn value<T>(
    key_type: i16,
    record: &Record,
    body: impl FnOnce(&mut Reader) -> Result<T, WireError>,
) -> Result<Option<T>, RecordError> {
    decode_value(key_type, record, |version, reader| match version {
        VALUE_VERSION => body(reader).map(Some),
        _ => Ok(None),
    })
}

/// Elements of an array, each at least `least` bytes long.
fn list<T>(
    reader: &mut Reader,
    least: usize,
    mut element: impl FnMut(&mut Reader) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let count = reader.count(FLEXIBLE, least)?;
    let mut list = Vec::new();
    for _ in 0..count {
        list.push(element(reader)?);
    }
    Ok(list)
}

fn text(reader: &mut Reader) -> Result<String, WireError> {
    reader.string(FLEXIBLE)
}

fn write_texts(out: &mut Writer, texts: &BTreeSet<String>) {
    out.count(FLEXIBLE, texts.len());
    for text in texts {
        out.string(FLEXIBLE, text);
    }
}

fn write_numbers<'a>(out: &mut Writer, numbers: impl ExactSizeIterator<Item = &'a i32>) {
    out.count(FLEXIBLE, numbers.len());
    for number in numbers {
        out.i32(*number);
    }
}

/// The one tagged field with number 0.
fn tag_zero(out: &mut Writer, write: impl FnOnce(&mut Writer)) {
    let mut field = Writer::default();
    write(&mut field);
    let field = field.finish();
    out.uvarint(1);
    out.uvarint(0);
    out.uvarint(u32::try_from(field.len()).unwrap_or(u32::MAX));
    out.raw(&field);
}

fn write_epoch(out: &mut Writer, value: &GroupEpoch) {
    out.i32(value.epoch);
    match value.metadata_hash {
        0 => out.no_tagged(FLEXIBLE),
        hash => tag_zero(out, |out| out.i64(hash)),
    }
}

fn read_epoch(reader: &mut Reader) -> Result<GroupEpoch, WireError> {
    let epoch = reader.i32()?;
    let mut metadata_hash = 0;
    reader.tagged(FLEXIBLE, |tag, field| {
        if tag == 0 {
            metadata_hash = field.i64()?;
        }
        Ok(())
    })?;
    Ok(GroupEpoch {
        epoch,
        metadata_hash,
    })
}

fn write_member(out: &mut Writer, value: &MemberMetadata) {
    out.nullable_string(FLEXIBLE, value.instance_id.as_deref());
    out.nullable_string(FLEXIBLE, value.rack_id.as_deref());
    out.string(FLEXIBLE, &value.client_id);
    out.string(FLEXIBLE, &value.client_host);
    write_texts(out, &value.topic_names);
    out.nullable_string(FLEXIBLE, value.topic_regex.as_deref());
    out.i32(value.rebalance_timeout_ms);
    out.nullable_string(FLEXIBLE, value.assignor.as_deref());
    match &value.classic {
        None => out.no_tagged(FLEXIBLE),
        Some(classic) => tag_zero(out, |out| write_classic(out, classic)),
    }
}

fn write_classic(out: &mut Writer, classic: &ClassicMetadata) {
    out.i8(PRESENT);
    out.i32(classic.session_timeout_ms);
    out.count(FLEXIBLE, classic.protocols.len());
    for (name, metadata) in &classic.protocols {
        out.string(FLEXIBLE, name);
        out.bytes(FLEXIBLE, metadata);
        out.no_tagged(FLEXIBLE);
    }
    out.no_tagged(FLEXIBLE);
}

fn read_member(reader: &mut Reader) -> Result<MemberMetadata, WireError> {
    let mut member = MemberMetadata {
        instance_id: reader.nullable_string(FLEXIBLE)?,
        rack_id: reader.nullable_string(FLEXIBLE)?,
        client_id: reader.string(FLEXIBLE)?,
        client_host: reader.string(FLEXIBLE)?,
        topic_names: list(reader, 1, text)?.into_iter().collect(),
        topic_regex: reader.nullable_string(FLEXIBLE)?,
        rebalance_timeout_ms: reader.i32()?,
        assignor: reader.nullable_string(FLEXIBLE)?,
        classic: None,
    };
    reader.tagged(FLEXIBLE, |tag, field| {
        if tag == 0 {
            member.classic = read_classic(field)?;
        }
        Ok(())
    })?;
    Ok(member)
}

fn read_classic(reader: &mut Reader) -> Result<Option<ClassicMetadata>, WireError> {
    if reader.i8()? != PRESENT {
        return Ok(None);
    }
    let session_timeout_ms = reader.i32()?;
    let protocols = list(reader, 3, |reader| {
        let protocol = (reader.string(FLEXIBLE)?, reader.bytes(FLEXIBLE)?);
        reader.skip_tagged(FLEXIBLE)?;
        Ok(protocol)
    })?;
    reader.skip_tagged(FLEXIBLE)?;
    Ok(Some(ClassicMetadata {
        session_timeout_ms,
        protocols,
    }))
}

fn write_target_epoch(out: &mut Writer, value: &TargetEpoch) {
    out.i32(value.epoch);
    match value.timestamp_ms {
        0 => out.no_tagged(FLEXIBLE),
        timestamp_ms => tag_zero(out, |out| out.i64(timestamp_ms)),
    }
}

fn read_target_epoch(reader: &mut Reader) -> Result<TargetEpoch, WireError> {
    let epoch = reader.i32()?;
    let mut timestamp_ms = 0;
    reader.tagged(FLEXIBLE, |tag, field| {
        if tag == 0 {
            timestamp_ms = field.i64()?;
        }
        Ok(())
    })?;
    Ok(TargetEpoch {
        epoch,
        timestamp_ms,
    })
}

fn write_target(out: &mut Writer, value: &Target) {
    out.count(FLEXIBLE, value.len());
    for (topic, partitions) in value {
        out.raw(&topic.0);
        write_numbers(out, partitions.iter());
        out.no_tagged(FLEXIBLE);
    }
    out.no_tagged(FLEXIBLE);
}

fn read_target(reader: &mut Reader) -> Result<Target, WireError> {
    let topics = list(reader, TOPIC_BYTES, |reader| {
        let topic = (TopicId(reader.uuid()?), list(reader, 4, Reader::i32)?);
        reader.skip_tagged(FLEXIBLE)?;
        Ok(topic)
    })?;
    reader.skip_tagged(FLEXIBLE)?;
    let mut target = Target::new();
    for (topic, partitions) in topics {
        if !partitions.is_empty() {
            target.entry(topic).or_default().extend(partitions);
        }
    }
    Ok(target)
}

fn write_current(out: &mut Writer, value: &CurrentAssignment) {
    out.i32(value.epoch);
    out.i32(value.previous_epoch);
    out.i8(value.state.code());
    write_owned(out, &value.assigned);
    write_owned(out, &value.pending_revocation);
    out.no_tagged(FLEXIBLE);
}

fn write_owned(out: &mut Writer, owned: &Owned) {
    out.count(FLEXIBLE, owned.len());
    for (topic, partitions) in owned {
        out.raw(&topic.0);
        write_numbers(out, partitions.keys());
        tag_zero(out, |out| write_numbers(out, partitions.values()));
    }
}

fn read_current(reader: &mut Reader) -> Result<CurrentAssignment, WireError> {
    let epoch = reader.i32()?;
    let previous_epoch = reader.i32()?;
    let state = MemberState::from_code(reader.i8()?);
    let assigned = read_owned(reader, epoch)?;
    let pending_revocation = read_owned(reader, epoch)?;
    reader.skip_tagged(FLEXIBLE)?;
    Ok(CurrentAssignment {
        epoch,
        previous_epoch,
        state,
        assigned,
        pending_revocation,
    })
}

/// Without assignment epochs, or with fewer or more than partitions, the member's epoch counts;
/// that of a static member that is away counts as zero.
fn read_owned(reader: &mut Reader, member_epoch: i32) -> Result<Owned, WireError> {
    let topics = list(reader, TOPIC_BYTES, |reader| {
        let topic = TopicId(reader.uuid()?);
        let partitions = list(reader, 4, Reader::i32)?;
        let mut epochs = None;
        reader.tagged(FLEXIBLE, |tag, field| {
            if tag == 0 {
                epochs = read_epochs(field)?;
            }
            Ok(())
        })?;
        Ok((topic, partitions, epochs))
    })?;
    let mut owned = Owned::new();
    for (topic, partitions, epochs) in topics {
        if partitions.is_empty() {
            continue;
        }
        let epochs = epochs
            .filter(|epochs| epochs.len() == partitions.len())
            .unwrap_or_else(|| vec![member_epoch.max(0); partitions.len()]);
        owned
            .entry(topic)
            .or_default()
            .extend(partitions.into_iter().zip(epochs));
    }
    Ok(owned)
}

fn read_epochs(field: &mut Reader) -> Result<Option<Vec<i32>>, WireError> {
    let Some(count) = field.nullable_count(FLEXIBLE, 4)? else {
        return Ok(None);
    };
    (0..count)
        .map(|_index| field.i32())
        .collect::<Result<_, _>>()
        .map(Some)
}

fn write_regex(out: &mut Writer, value: &ResolvedRegex) {
    write_texts(out, &value.topics);
    out.i64(value.version);
    out.i64(value.timestamp_ms);
    out.no_tagged(FLEXIBLE);
}

fn read_regex(reader: &mut Reader) -> Result<ResolvedRegex, WireError> {
    let resolved = ResolvedRegex {
        topics: list(reader, 1, text)?.into_iter().collect(),
        version: reader.i64()?,
        timestamp_ms: reader.i64()?,
    };
    reader.skip_tagged(FLEXIBLE)?;
    Ok(resolved)
}

/// Least bytes of a topic with its partitions: id, count and tagged fields.
const TOPIC_BYTES: usize = 18;

/// Marks a nullable structure that is there.
const PRESENT: i8 = 1;

#[cfg(test)]
#[path = "consumer_tests.rs"]
mod tests;
