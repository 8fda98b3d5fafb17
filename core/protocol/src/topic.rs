//! Parts that Produce and Fetch share: how a topic is named, and the hints about leaders (KIP-951).

use chronik_model::{LeaderEpoch, NodeId, TopicId};

use crate::wire::{Reader, WireError, Writer};

/// A topic as a request names it: by name, or by id in the newest versions (KIP-516).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicRef<'a> {
    /// The name, not yet checked against Kafka's rules.
    Name(&'a str),
    /// The id.
    Id(TopicId),
}

impl<'a> TopicRef<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>, by_id: bool) -> Result<Self, WireError> {
        if by_id {
            Ok(Self::Id(TopicId(reader.uuid()?)))
        } else {
            Ok(Self::Name(reader.string()?))
        }
    }

    /// Panics when the kind is not the one that the version carries: the caller answers with the
    /// reference that the request had.
    pub(crate) fn write(self, writer: &mut Writer<'_>, by_id: bool) {
        match self {
            Self::Name(name) => {
                assert!(!by_id, "this version names topics by id");
                writer.string(name);
            }
            Self::Id(TopicId(id)) => {
                assert!(by_id, "this version names topics by name");
                writer.uuid(id);
            }
        }
    }

    /// Bytes of the shortest reference.
    pub(crate) const fn min_bytes(by_id: bool, flexible: bool) -> usize {
        match (by_id, flexible) {
            (true, _) => 16,
            (false, true) => 1,
            (false, false) => 2,
        }
    }
}

/// The leader that a client should go to instead (KIP-951).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrentLeader {
    /// Broker that leads the partition.
    pub leader_id: NodeId,
    /// Epoch in which it leads.
    pub leader_epoch: LeaderEpoch,
}

impl CurrentLeader {
    pub(crate) fn write(self, writer: &mut Writer<'_>) {
        writer.i32(self.leader_id.0);
        writer.i32(self.leader_epoch.0);
        writer.tag_count(0);
    }
}

/// Where to reach a broker that a [`CurrentLeader`] of the same response mentions (KIP-951).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeEndpoint<'a> {
    /// The broker.
    pub node_id: NodeId,
    /// Host of the listener that the request came through.
    pub host: &'a str,
    /// Port of that listener.
    pub port: i32,
    /// The broker's rack.
    pub rack: Option<&'a str>,
}

impl NodeEndpoint<'_> {
    /// The tagged fields of a whole response, of which the endpoints are number 0. `known` says
    /// whether the version has them.
    pub(crate) fn write_response_tags(writer: &mut Writer<'_>, known: bool, endpoints: &[Self]) {
        if !known || endpoints.is_empty() {
            return writer.tag_count(0);
        }
        writer.tag_count(1);
        writer.tag(0, |writer| {
            writer.long_length(endpoints.len());
            for endpoint in endpoints {
                writer.i32(endpoint.node_id.0);
                writer.string(endpoint.host);
                writer.i32(endpoint.port);
                writer.nullable_string(endpoint.rack);
                writer.tag_count(0);
            }
        });
    }
}
