//! GroupMetadataKey and GroupMetadataValue.

use std::sync::Arc;

use bytes::Bytes;

use super::wire::{Format, Reader, WireError, Writer};

/// Version that is written: the latest that Kafka itself writes.
const WRITTEN_VERSION: i16 = 3;

/// A classic group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupMetadataValue {
    /// Empty where no member ever joined.
    pub(crate) protocol_type: String,
    /// Generation.
    pub(crate) generation: i32,
    /// Chosen protocol; none where there are no members.
    pub(crate) protocol: Option<String>,
    /// Member id of the leader.
    pub(crate) leader: Option<Arc<str>>,
    /// Wall clock of the last change of state in ms, or -1.
    pub(crate) state_ms: i64,
    /// Members.
    pub(crate) members: Vec<MemberMetadata>,
}

/// One member of [`GroupMetadataValue`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberMetadata {
    /// Member id.
    pub(crate) member_id: Arc<str>,
    /// Static membership.
    pub(crate) instance_id: Option<Arc<str>>,
    /// Client id.
    pub(crate) client_id: Arc<str>,
    /// Address of the client.
    pub(crate) client_host: Arc<str>,
    /// In ms; -1 in version 0, which means the session timeout.
    pub(crate) rebalance_timeout_ms: i32,
    /// In ms.
    pub(crate) session_timeout_ms: i32,
    /// Metadata of the chosen protocol.
    pub(crate) subscription: Bytes,
    /// Assignment.
    pub(crate) assignment: Bytes,
}

pub(super) fn encode_key(version: i16, group_id: &str) -> Bytes {
    let mut writer = Writer::versioned(version);
    writer.string(Format::Classic, group_id);
    writer.finish()
}

impl GroupMetadataValue {
    pub(super) fn encode(&self) -> Bytes {
        let format = Format::Classic;
        let mut writer = Writer::versioned(WRITTEN_VERSION);
        writer.string(format, &self.protocol_type);
        writer.i32(self.generation);
        writer.nullable_string(format, self.protocol.as_deref());
        writer.nullable_string(format, self.leader.as_deref());
        writer.i64(self.state_ms);
        writer.count(format, self.members.len());
        for member in &self.members {
            writer.string(format, &member.member_id);
            writer.nullable_string(format, member.instance_id.as_deref());
            writer.string(format, &member.client_id);
            writer.string(format, &member.client_host);
            writer.i32(member.rebalance_timeout_ms);
            writer.i32(member.session_timeout_ms);
            writer.bytes(format, &member.subscription);
            writer.bytes(format, &member.assignment);
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
        let protocol_type = reader.string(format)?;
        let generation = reader.i32()?;
        let protocol = reader.nullable_string(format)?;
        let leader = reader.nullable_string(format)?.map(Arc::from);
        let state_ms = if version >= 2 { reader.i64()? } else { -1 };
        let count = reader.count(format, MemberMetadata::LEAST_BYTES)?;
        let mut members = Vec::new();
        for _ in 0..count {
            members.push(MemberMetadata::decode(version, format, reader)?);
        }
        reader.skip_tagged(format)?;
        Ok(Some(Self {
            protocol_type,
            generation,
            protocol,
            leader,
            state_ms,
            members,
        }))
    }
}

impl MemberMetadata {
    /// A member of any version takes at least this: five lengths of a byte each and a timeout.
    const LEAST_BYTES: usize = 9;

    fn decode(version: i16, format: Format, reader: &mut Reader) -> Result<Self, WireError> {
        let member_id = reader.string(format)?.into();
        let instance_id = if version >= 3 {
            reader.nullable_string(format)?.map(Arc::from)
        } else {
            None
        };
        let client_id = reader.string(format)?.into();
        let client_host = reader.string(format)?.into();
        let rebalance_timeout_ms = if version >= 1 { reader.i32()? } else { -1 };
        let session_timeout_ms = reader.i32()?;
        let subscription = reader.bytes(format)?;
        let assignment = reader.bytes(format)?;
        reader.skip_tagged(format)?;
        Ok(Self {
            member_id,
            instance_id,
            client_id,
            client_host,
            rebalance_timeout_ms,
            session_timeout_ms,
            subscription,
            assignment,
        })
    }
}
