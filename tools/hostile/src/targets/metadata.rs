//! Records and snapshots of the cluster's metadata.

use bytes::Bytes;
use chronik_controller::{
    BrokerRegistered, ConfigSet, ConfigTarget, Endpoint, IncarnationId, MetadataRecord,
    PartitionEpoch, PartitionRecord, decode_batch, decode_snapshot, encode_batch, encode_snapshot,
};
use chronik_model::rng::Rng;
use chronik_model::{
    BrokerEpoch, LeaderEpoch, NodeId, PartitionIndex, ProducerId, TopicId, TopicName,
};

use super::recovery::path_of_largest;
use crate::chance::{index, one_in};
use crate::mutate::mutate;
use crate::node::MemoryDisk;
use crate::seal;
use crate::target::{CONSTANT_BYTES, Failure, Handled, Target, handled};

/// Structs of the smallest records, and the maps of an image.
const BYTES_PER_INPUT_BYTE: u64 = 32;

fn allowed(length: usize) -> u64 {
    let length = u64::try_from(length).unwrap_or(u64::MAX);
    length.saturating_mul(BYTES_PER_INPUT_BYTE) + CONSTANT_BYTES
}

/// One entry of the metadata log. An input is the entry.
#[derive(Debug)]
pub(super) struct Records {
    records: Vec<MetadataRecord>,
}

impl Records {
    pub(super) fn new() -> Self {
        Self {
            records: one_of_each(),
        }
    }
}

fn one_of_each() -> Vec<MetadataRecord> {
    let topic_id = TopicId([3; 16]);
    let partition = PartitionRecord {
        topic_id,
        partition: PartitionIndex(0),
        replicas: vec![NodeId(1)],
        isr: vec![NodeId(1)],
        leader: Some(NodeId(1)),
        leader_epoch: LeaderEpoch(0),
        partition_epoch: PartitionEpoch(0),
    };
    let config = |target| {
        MetadataRecord::ConfigSet(ConfigSet {
            target,
            key: "retention.ms".to_owned(),
            value: Some("1000".to_owned()),
        })
    };
    let mut records = vec![
        MetadataRecord::ClusterCreated {
            cluster_id: "hostile".to_owned(),
        },
        MetadataRecord::BrokerRegistered(BrokerRegistered {
            node_id: NodeId(1),
            incarnation: IncarnationId([1; 16]),
            endpoints: vec![Endpoint {
                listener: "PLAINTEXT".to_owned(),
                host: "broker.test".to_owned(),
                port: 9092,
            }],
            rack: Some("left".to_owned()),
            broker_epoch: Some(BrokerEpoch(4)),
        }),
        MetadataRecord::PartitionCreated(partition.clone()),
        config(ConfigTarget::Topic(topic_id)),
        config(ConfigTarget::Broker(None)),
        MetadataRecord::ProducerIdsReserved {
            node_id: NodeId(1),
            next_producer_id: ProducerId(1_000),
        },
        MetadataRecord::PartitionChanged(partition),
        MetadataRecord::TopicDeleted { topic_id },
    ];
    if let Ok(name) = TopicName::new("orders") {
        records.insert(2, MetadataRecord::TopicCreated { topic_id, name });
    }
    records
}

impl Target for Records {
    fn name(&self) -> &'static str {
        "metadata-records"
    }

    fn generate(&mut self, rng: &mut Rng) -> Vec<u8> {
        let start = index(rng, self.records.len());
        let end = start + 1 + index(rng, self.records.len() - start);
        let mut bytes = encode_batch(self.records.get(start..end).unwrap_or_default()).to_vec();
        if !one_in(rng, 8) {
            let other = encode_batch(&self.records);
            mutate(rng, &mut bytes, &other);
        }
        bytes
    }

    fn run(&mut self, input: &[u8]) -> Result<Handled, Failure> {
        handled(|| {
            let Ok(records) = decode_batch(input) else {
                return Ok(false);
            };
            match decode_batch(&encode_batch(&records)) {
                Ok(again) if again == records => Ok(true),
                other => Err(format!("written again: {other:?}, first: {records:?}")),
            }
        })
    }

    fn allowance(&self, length: usize) -> u64 {
        allowed(length)
    }
}

/// Snapshots of all metadata. An input is the file.
#[derive(Debug)]
pub(super) struct Snapshot {
    file: Vec<u8>,
}

impl Snapshot {
    pub(super) fn new(directory: &MemoryDisk) -> Self {
        let path = path_of_largest(directory, "metadata", ".checkpoint");
        Self {
            file: directory.file(&path).unwrap_or_default().to_vec(),
        }
    }
}

impl Target for Snapshot {
    fn name(&self) -> &'static str {
        "snapshot"
    }

    fn generate(&mut self, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = self.file.clone();
        if !one_in(rng, 8) {
            mutate(rng, &mut bytes, &self.file);
        }
        if !one_in(rng, 3) {
            seal::ahead(&mut bytes, CHECKSUM_AT);
        }
        bytes
    }

    fn run(&mut self, input: &[u8]) -> Result<Handled, Failure> {
        let input = Bytes::copy_from_slice(input);
        handled(|| {
            let Ok(image) = decode_snapshot(&input) else {
                return Ok(false);
            };
            match decode_snapshot(&encode_snapshot(&image)) {
                Ok(again) if again == image => Ok(true),
                other => Err(format!("written again: {other:?}, first: {image:?}")),
            }
        })
    }

    fn allowance(&self, length: usize) -> u64 {
        allowed(length)
    }
}

/// Behind magic and version.
const CHECKSUM_AT: usize = 5;
