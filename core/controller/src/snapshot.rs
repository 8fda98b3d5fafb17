//! A whole image as bytes.
//!
//! `docs/formats/metadata-snapshot.md` draws them.

use bytes::Bytes;
use chronik_model::{NodeId, Offset, PartitionIndex, ProducerId};

use crate::codec::{DecodeError, Reader, Writer};
use crate::delta::MetadataDelta;
use crate::image::{BrokerImage, ConfigMap, MetadataImage, TopicImage};
use crate::record::{
    BrokerRegistered, ConfigSet, ConfigTarget, MetadataRecord, PartitionRecord, decode_records,
    encode_record,
};
use crate::replay::ReplayError;

/// Version of a snapshot's bytes.
pub const METADATA_SNAPSHOT_FORMAT_VERSION: u8 = 1;

/// Why bytes are no snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Something else, or a version that this one does not know.
    #[error("not a metadata snapshot of a known format")]
    UnknownFormat,
    /// The bytes are damaged.
    #[error("the checksum of the metadata snapshot does not match")]
    Checksum,
    /// The bytes are as written, but not understood.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The records contradict each other.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// The bytes from which [`decode_snapshot`] makes an equal image.
#[must_use]
pub fn encode_snapshot(image: &MetadataImage) -> Bytes {
    let mut content = Writer::default();
    content.u64(u64::try_from(image.offset().0).unwrap_or(0));
    content.u64(image.term());
    write_records(image, |record| encode_record(&record, &mut content));
    let content = content.into_bytes();
    let mut out = Writer::default();
    out.raw(MAGIC);
    out.u8(METADATA_SNAPSHOT_FORMAT_VERSION);
    out.u32(crc32c::crc32c(&content));
    out.raw(&content);
    out.into_bytes().into()
}

/// The image that was encoded.
///
/// # Errors
/// What is wrong with the bytes.
pub fn decode_snapshot(bytes: &[u8]) -> Result<MetadataImage, SnapshotError> {
    decode_with_delta(bytes, &mut MetadataDelta::default())
}

/// Also tells what is new compared to an empty image.
pub(crate) fn decode_with_delta(
    bytes: &[u8],
    delta: &mut MetadataDelta,
) -> Result<MetadataImage, SnapshotError> {
    let mut reader = Reader::new(bytes);
    if reader.take(MAGIC.len())? != MAGIC || reader.u8()? != METADATA_SNAPSHOT_FORMAT_VERSION {
        return Err(SnapshotError::UnknownFormat);
    }
    let crc = reader.u32()?;
    if crc != crc32c::crc32c(reader.rest()) {
        return Err(SnapshotError::Checksum);
    }
    let index = i64::try_from(reader.u64()?).or(Err(DecodeError::Invalid("index")))?;
    let term = reader.u64()?;
    let records = decode_records(reader)?;
    let mut image = MetadataImage::default();
    image.replay_entry(Offset(index), term, &records, delta)?;
    Ok(image)
}

/// The image as records, in an order in which they can be replayed.
fn write_records(image: &MetadataImage, mut write: impl FnMut(MetadataRecord)) {
    if let Some(cluster_id) = image.cluster_id() {
        write(MetadataRecord::ClusterCreated {
            cluster_id: cluster_id.into(),
        });
    }
    for broker in image.brokers() {
        write(MetadataRecord::BrokerRegistered(broker_record(broker)));
    }
    for (node_id, configs) in &image.broker_configs {
        write_configs(ConfigTarget::Broker(*node_id), configs, &mut write);
    }
    for topic in image.topics() {
        write_topic(topic, &mut write);
    }
    write(MetadataRecord::ProducerIdsReserved {
        node_id: NO_NODE,
        next_producer_id: image.next_producer_id().max(ProducerId(0)),
    });
}

fn broker_record(broker: &BrokerImage) -> BrokerRegistered {
    BrokerRegistered {
        node_id: broker.node_id,
        incarnation: broker.incarnation,
        endpoints: broker.endpoints.clone(),
        rack: broker.rack.clone(),
        broker_epoch: Some(broker.epoch),
    }
}

fn write_topic(topic: &TopicImage, write: &mut impl FnMut(MetadataRecord)) {
    write(MetadataRecord::TopicCreated {
        topic_id: topic.id,
        name: topic.name.clone(),
    });
    for (partition, state) in (0..).map(PartitionIndex).zip(&topic.partitions) {
        write(MetadataRecord::PartitionCreated(PartitionRecord {
            topic_id: topic.id,
            partition,
            replicas: state.replicas.clone(),
            isr: state.isr.clone(),
            leader: state.leader,
            leader_epoch: state.leader_epoch,
            partition_epoch: state.partition_epoch,
        }));
    }
    write_configs(ConfigTarget::Topic(topic.id), &topic.configs, write);
}

fn write_configs(
    target: ConfigTarget,
    configs: &ConfigMap,
    write: &mut impl FnMut(MetadataRecord),
) {
    for (key, value) in configs {
        let (key, value) = (key.clone(), Some(value.clone()));
        write(MetadataRecord::ConfigSet(ConfigSet { target, key, value }));
    }
}

const MAGIC: &[u8] = b"CKMS";
/// Snapshots do not say who reserved producer ids.
const NO_NODE: NodeId = NodeId(-1);
