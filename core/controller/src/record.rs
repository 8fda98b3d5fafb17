//! The records of the metadata log and their bytes.
//!
//! ```text
//! entry   format u8 = 1, then records up to the end of the entry
//! record  kind u8, version u8, body length u32, body
//! ```
//!
//! Everything is little-endian. A kind with the top bit set may be skipped by a version that does
//! not know it; any other unknown kind, and any unknown version of a known kind, is refused. An
//! empty entry is what consensus itself writes when a leader begins.

use bytes::Bytes;
use chronik_model::{
    BrokerEpoch, LeaderEpoch, NodeId, PartitionIndex, ProducerId, TopicId, TopicName,
};

use crate::codec::{DecodeError, Reader, Writer};
use crate::image::PartitionEpoch;

/// One change of cluster metadata. The records of one log entry are applied together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataRecord {
    /// The cluster begins to exist.
    ClusterCreated {
        /// Kafka's cluster id, as clients see it.
        cluster_id: String,
    },
    /// A broker process begins its life (KIP-631).
    BrokerRegistered(BrokerRegistered),
    /// A topic begins to exist; its partitions follow in the same entry.
    TopicCreated {
        /// The new identity.
        topic_id: TopicId,
        /// The name, free until now.
        name: TopicName,
    },
    /// The next partition of a topic.
    PartitionCreated(PartitionRecord),
    /// A topic ends, with its partitions and configs.
    TopicDeleted {
        /// The topic.
        topic_id: TopicId,
    },
    /// One config key is set or removed.
    ConfigSet(ConfigSet),
    /// All producer ids below `next_producer_id` are handed out.
    ProducerIdsReserved {
        /// The broker that asked.
        node_id: NodeId,
        /// The first id that is still free.
        next_producer_id: ProducerId,
    },
    /// The whole new state of an existing partition.
    PartitionChanged(PartitionRecord),
}

/// A broker's registration. Replaying it also starts a new leader epoch in every partition that the
/// broker leads: a process that restarted may have lost what it never synced, and must not write
/// other bytes under an epoch it led before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerRegistered {
    /// The broker.
    pub node_id: NodeId,
    /// The process.
    pub incarnation: IncarnationId,
    /// Where clients and peers reach it, in its own order.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `None`: the offset of this entry. Snapshots, whose records have no offset, say it.
    pub broker_epoch: Option<BrokerEpoch>,
}

/// A random id that a broker process draws when it starts (KIP-631).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncarnationId(pub [u8; 16]);

/// One advertised address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name.
    pub listener: String,
    /// Host name or address as clients should use it.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// A partition's replicas and leadership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRecord {
    /// The topic.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// All replicas; the first is the preferred leader.
    pub replicas: Vec<NodeId>,
    /// The replicas in sync.
    pub isr: Vec<NodeId>,
    /// The leader, when there is one.
    pub leader: Option<NodeId>,
    /// Counts leaders.
    pub leader_epoch: LeaderEpoch,
    /// Counts changes.
    pub partition_epoch: PartitionEpoch,
}

/// One config override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSet {
    /// Whose config.
    pub target: ConfigTarget,
    /// The key.
    pub key: String,
    /// The new value; `None` removes the override.
    pub value: Option<String>,
}

/// What a config override belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigTarget {
    /// A topic, by identity: a successor of the same name starts without overrides.
    Topic(TopicId),
    /// One broker, or with `None` all of them.
    Broker(Option<NodeId>),
}

/// The bytes of one log entry.
#[must_use]
pub fn encode_batch(records: &[MetadataRecord]) -> Bytes {
    let mut out = Writer::default();
    out.u8(BATCH_FORMAT);
    for record in records {
        encode_record(record, &mut out);
    }
    out.into_bytes().into()
}

/// The records of one log entry; an empty entry has none.
///
/// # Errors
/// What is wrong with the bytes, or which record is too new for this version.
pub fn decode_batch(bytes: &[u8]) -> Result<Vec<MetadataRecord>, DecodeError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(bytes);
    match reader.u8()? {
        BATCH_FORMAT => decode_records(reader),
        format => Err(DecodeError::UnknownFormat(format)),
    }
}

/// All records up to the end of `reader`.
pub(crate) fn decode_records(mut reader: Reader<'_>) -> Result<Vec<MetadataRecord>, DecodeError> {
    let mut records = Vec::new();
    while !reader.is_empty() {
        records.extend(decode_record(&mut reader)?);
    }
    Ok(records)
}

pub(crate) fn encode_record(record: &MetadataRecord, out: &mut Writer) {
    out.u8(kind_of(record));
    out.u8(VERSION);
    out.framed(|out| encode_body(record, out));
}

const fn kind_of(record: &MetadataRecord) -> u8 {
    match record {
        MetadataRecord::ClusterCreated { .. } => CLUSTER_CREATED,
        MetadataRecord::BrokerRegistered(_) => BROKER_REGISTERED,
        MetadataRecord::TopicCreated { .. } => TOPIC_CREATED,
        MetadataRecord::PartitionCreated(_) => PARTITION_CREATED,
        MetadataRecord::TopicDeleted { .. } => TOPIC_DELETED,
        MetadataRecord::ConfigSet(_) => CONFIG_SET,
        MetadataRecord::ProducerIdsReserved { .. } => PRODUCER_IDS_RESERVED,
        MetadataRecord::PartitionChanged(_) => PARTITION_CHANGED,
    }
}

fn encode_body(record: &MetadataRecord, out: &mut Writer) {
    match record {
        MetadataRecord::ClusterCreated { cluster_id } => out.string(cluster_id),
        MetadataRecord::BrokerRegistered(broker) => encode_broker(broker, out),
        MetadataRecord::TopicCreated { topic_id, name } => {
            out.raw(&topic_id.0);
            out.string(name.as_str());
        }
        MetadataRecord::PartitionCreated(partition)
        | MetadataRecord::PartitionChanged(partition) => {
            encode_partition(partition, out);
        }
        MetadataRecord::TopicDeleted { topic_id } => out.raw(&topic_id.0),
        MetadataRecord::ConfigSet(config) => {
            encode_target(config.target, out);
            out.string(&config.key);
            out.optional_string(config.value.as_deref());
        }
        MetadataRecord::ProducerIdsReserved {
            node_id,
            next_producer_id,
        } => {
            out.i32(node_id.0);
            out.i64(next_producer_id.0);
        }
    }
}

fn encode_broker(broker: &BrokerRegistered, out: &mut Writer) {
    out.i32(broker.node_id.0);
    out.raw(&broker.incarnation.0);
    out.i64(broker.broker_epoch.map_or(NO_EPOCH, |epoch| epoch.0));
    out.optional_string(broker.rack.as_deref());
    out.length(broker.endpoints.len());
    for endpoint in &broker.endpoints {
        out.string(&endpoint.listener);
        out.string(&endpoint.host);
        out.u16(endpoint.port);
    }
}

fn encode_partition(partition: &PartitionRecord, out: &mut Writer) {
    out.raw(&partition.topic_id.0);
    out.i32(partition.partition.0);
    out.i32(partition.leader.map_or(NO_NODE, |leader| leader.0));
    out.i32(partition.leader_epoch.0);
    out.i32(partition.partition_epoch.0);
    out.node_ids(&partition.replicas);
    out.node_ids(&partition.isr);
}

fn encode_target(target: ConfigTarget, out: &mut Writer) {
    match target {
        ConfigTarget::Topic(topic_id) => {
            out.u8(TARGET_TOPIC);
            out.raw(&topic_id.0);
        }
        ConfigTarget::Broker(Some(node_id)) => {
            out.u8(TARGET_BROKER);
            out.i32(node_id.0);
        }
        ConfigTarget::Broker(None) => out.u8(TARGET_ALL_BROKERS),
    }
}

/// One record; `None` when it is unknown and may be skipped.
fn decode_record(reader: &mut Reader<'_>) -> Result<Option<MetadataRecord>, DecodeError> {
    let kind = reader.u8()?;
    let version = reader.u8()?;
    let mut body = Reader::new(reader.framed()?);
    if !(CLUSTER_CREATED..=PARTITION_CHANGED).contains(&kind) {
        let skip = kind & IGNORABLE != 0;
        return if skip {
            Ok(None)
        } else {
            Err(DecodeError::UnknownKind(kind))
        };
    }
    if version != VERSION {
        return Err(DecodeError::UnknownVersion { kind, version });
    }
    let record = decode_body(kind, &mut body)?;
    body.finish()?;
    Ok(Some(record))
}

fn decode_body(kind: u8, body: &mut Reader<'_>) -> Result<MetadataRecord, DecodeError> {
    Ok(match kind {
        CLUSTER_CREATED => MetadataRecord::ClusterCreated {
            cluster_id: body.string()?.into(),
        },
        BROKER_REGISTERED => MetadataRecord::BrokerRegistered(decode_broker(body)?),
        TOPIC_CREATED => MetadataRecord::TopicCreated {
            topic_id: body.topic_id()?,
            name: TopicName::new(body.string()?).or(Err(DecodeError::Invalid("topic name")))?,
        },
        PARTITION_CREATED => MetadataRecord::PartitionCreated(decode_partition(body)?),
        TOPIC_DELETED => MetadataRecord::TopicDeleted {
            topic_id: body.topic_id()?,
        },
        CONFIG_SET => MetadataRecord::ConfigSet(ConfigSet {
            target: decode_target(body)?,
            key: body.string()?.into(),
            value: body.optional_string("config value")?.map(Into::into),
        }),
        PRODUCER_IDS_RESERVED => MetadataRecord::ProducerIdsReserved {
            node_id: NodeId(body.i32()?),
            next_producer_id: ProducerId(body.i64()?),
        },
        PARTITION_CHANGED => MetadataRecord::PartitionChanged(decode_partition(body)?),
        unknown => return Err(DecodeError::UnknownKind(unknown)),
    })
}

fn decode_broker(body: &mut Reader<'_>) -> Result<BrokerRegistered, DecodeError> {
    let node_id = NodeId(body.i32()?);
    let incarnation = IncarnationId(body.bytes16()?);
    let broker_epoch = Some(body.i64()?)
        .filter(|epoch| *epoch != NO_EPOCH)
        .map(BrokerEpoch);
    let rack = body.optional_string("rack")?.map(Into::into);
    let count = body.count(ENDPOINT_MIN_BYTES)?;
    let endpoints = (0..count)
        .map(|_| decode_endpoint(body))
        .collect::<Result<_, _>>()?;
    Ok(BrokerRegistered {
        node_id,
        incarnation,
        endpoints,
        rack,
        broker_epoch,
    })
}

fn decode_endpoint(body: &mut Reader<'_>) -> Result<Endpoint, DecodeError> {
    Ok(Endpoint {
        listener: body.string()?.into(),
        host: body.string()?.into(),
        port: body.u16()?,
    })
}

fn decode_partition(body: &mut Reader<'_>) -> Result<PartitionRecord, DecodeError> {
    Ok(PartitionRecord {
        topic_id: body.topic_id()?,
        partition: PartitionIndex(body.i32()?),
        leader: Some(body.i32()?)
            .filter(|leader| *leader != NO_NODE)
            .map(NodeId),
        leader_epoch: LeaderEpoch(body.i32()?),
        partition_epoch: PartitionEpoch(body.i32()?),
        replicas: body.node_ids()?,
        isr: body.node_ids()?,
    })
}

fn decode_target(body: &mut Reader<'_>) -> Result<ConfigTarget, DecodeError> {
    match body.u8()? {
        TARGET_TOPIC => body.topic_id().map(ConfigTarget::Topic),
        TARGET_BROKER => body
            .i32()
            .map(|node| ConfigTarget::Broker(Some(NodeId(node)))),
        TARGET_ALL_BROKERS => Ok(ConfigTarget::Broker(None)),
        _ => Err(DecodeError::Invalid("config target")),
    }
}

const BATCH_FORMAT: u8 = 1;
/// Every kind has only its first version so far.
const VERSION: u8 = 0;
/// Kinds with this bit may be skipped by versions that do not know them.
const IGNORABLE: u8 = 0x80;

const CLUSTER_CREATED: u8 = 1;
const BROKER_REGISTERED: u8 = 2;
const TOPIC_CREATED: u8 = 3;
const PARTITION_CREATED: u8 = 4;
const TOPIC_DELETED: u8 = 5;
const CONFIG_SET: u8 = 6;
const PRODUCER_IDS_RESERVED: u8 = 7;
const PARTITION_CHANGED: u8 = 8;

const TARGET_TOPIC: u8 = 0;
const TARGET_BROKER: u8 = 1;
const TARGET_ALL_BROKERS: u8 = 2;

const NO_NODE: i32 = -1;
const NO_EPOCH: i64 = -1;
/// Two empty strings and a port.
const ENDPOINT_MIN_BYTES: usize = 10;
