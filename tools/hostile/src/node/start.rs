//! How a broker under test begins.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chronik_model::{LogId, Mono, NodeId};
use chronik_node::{
    ControllerConfig, Endpoint, Frontend, FrontendConfig, FrontendId, Identity, IncarnationId,
    Quorum, RegisterBroker, RegistryValidator, Shard, ShardConfig, ShardId, SnapshotPolicy,
    ViewBuilder, controller_settings, metadata_log,
};
use chronik_storage::journal::Ring;
use chronik_storage::log::partition_log::PartitionLog;
use chronik_storage::recovery::{DirectoryShape, recover};
use chronik_storage::store::StoreLimits;

use super::journal::Journal;
use super::{MemoryDisk, Node};

/// The data directory's id.
pub const DIRECTORY_ID: [u8; 16] = [7; 16];
/// Files of the journal ring.
pub const JOURNAL_FILES: usize = 4;
const JOURNAL_FILE_BYTES: u64 = 16 << 20;
const NODE_ID: NodeId = NodeId(1);
const SHARDS: u16 = 2;
pub(super) const METADATA_SHARD: usize = 0;
pub(super) const FRONTEND: FrontendId = FrontendId(0);
/// Requests of a connection in flight.
const MAX_PIPELINED: usize = 16;

/// Few partitions of offsets, small segments: there is more to go wrong in less memory.
const SETTINGS: &[(&str, &str)] = &[
    ("offsets.topic.num.partitions", "2"),
    ("offsets.topic.segment.bytes", "65536"),
    ("log.segment.bytes", "65536"),
];

/// The shape of the data directory.
#[must_use]
pub const fn shape() -> DirectoryShape {
    DirectoryShape {
        directory_id: DIRECTORY_ID,
        journal_files: JOURNAL_FILES,
    }
}

impl Node {
    /// Recovers what is on the disk, registers, and opens the door.
    ///
    /// # Errors
    /// What is on the disk can not be recovered.
    pub fn start(mut disk: MemoryDisk) -> Result<Self, String> {
        let recovered = recover(&mut disk, &shape()).map_err(|error| error.to_string())?;
        let checkpoint = recovered.checkpoint;
        let log = recovered
            .logs
            .iter()
            .find(|log| log.log_id == LogId::METADATA);
        let metadata = metadata_log::load(&mut disk, log, checkpoint.vote);
        let metadata = metadata.map_err(|error| error.to_string())?;
        let settings: BTreeMap<String, String> = SETTINGS
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let controller = controller_config(&settings);
        let views = ViewBuilder::new(NODE_ID, Arc::new(settings));
        let mut out = Vec::new();
        let now = chronik_model::Now::default();
        let quorum = Quorum::open(controller, metadata, registration(), views, now, &mut out);
        let mut node = Self {
            quorum: quorum.map_err(|error| error.to_string())?,
            shards: shards(recovered.logs, checkpoint.next_log_id, checkpoint.vote),
            frontend: None,
            journal: Journal::new(
                Ring::new(
                    DIRECTORY_ID,
                    JOURNAL_FILES,
                    JOURNAL_FILE_BYTES,
                    checkpoint.start,
                ),
                checkpoint,
            ),
            disk,
            queue: VecDeque::new(),
            view: None,
            mono: Mono(0),
            told: Vec::new(),
            fatal: None,
            next_connection: 0,
        };
        node.quorum_outputs(out);
        node.settle()?;
        let view = node.view.clone().ok_or("the broker was not registered")?;
        node.frontend = Some(Frontend::new(frontend_config(), view));
        Ok(node)
    }
}

fn controller_config(settings: &BTreeMap<String, String>) -> ControllerConfig {
    ControllerConfig {
        node_id: NODE_ID,
        voters: vec![NODE_ID],
        cluster_id: "hostile".to_owned(),
        seed: 1,
        settings: controller_settings(settings),
        validator: Box::new(RegistryValidator),
        snapshots: SnapshotPolicy {
            entries: 16,
            bytes: 1 << 20,
            interval_ms: None,
        },
    }
}

fn endpoint() -> Endpoint {
    Endpoint {
        listener: "PLAINTEXT".to_owned(),
        host: "broker.test".to_owned(),
        port: 9092,
    }
}

fn registration() -> RegisterBroker {
    RegisterBroker {
        node_id: NODE_ID,
        cluster_id: "hostile".to_owned(),
        incarnation: IncarnationId([1; 16]),
        endpoints: vec![endpoint()],
        rack: None,
    }
}

fn frontend_config() -> FrontendConfig {
    FrontendConfig {
        id: FRONTEND,
        shard_count: SHARDS,
        identity: Arc::new(Identity {
            node_id: NODE_ID,
            cluster_id: "hostile".to_owned(),
            listeners: vec![endpoint()],
            rack: None,
        }),
        max_pipelined: MAX_PIPELINED,
    }
}

fn shards(
    recovered: Vec<PartitionLog>,
    next_log_id: u64,
    vote: chronik_storage::checkpoint::Vote,
) -> Vec<Shard> {
    let mut logs: Vec<Vec<PartitionLog>> = (0..SHARDS).map(|_| Vec::new()).collect();
    for log in recovered {
        let home = match log.log_id {
            LogId::METADATA => METADATA_SHARD,
            _ => usize::from(ShardId::of(log.partition, SHARDS).0),
        };
        if let Some(place) = logs.get_mut(home) {
            place.push(log);
        }
    }
    let shard = |(id, logs)| {
        let config = ShardConfig {
            id: ShardId(id),
            count: SHARDS,
            limits: StoreLimits {
                tail_bytes: 128 << 10,
                write_back_bytes: 16 << 10,
                ..StoreLimits::default()
            },
            max_batch_bytes: 256 << 10,
            next_log_id,
            seed: u64::from(id),
        };
        Shard::new(config, logs, vote)
    };
    (0..).zip(logs).map(shard).collect()
}
