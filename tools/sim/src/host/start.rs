//! From a disk to a broker that asks to be registered.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_model::ids::base64_url;
use chronik_model::rng::Rng;
use chronik_model::{LogId, NodeId, Now};
use chronik_node::{
    ControllerConfig, Endpoint, Identity, IncarnationId, Quorum, QuorumOutput, RegisterBroker,
    RegistryValidator, Shard, ShardConfig, ShardId, ViewBuilder, controller_settings, metadata_log,
    snapshot_policy,
};
use chronik_storage::Disk;
use chronik_storage::checkpoint::Checkpoint;
use chronik_storage::disk::{DiskErrorKind, replace_file};
use chronik_storage::journal::Ring;
use chronik_storage::journal::ring::{RING_DIRECTORY, ring_path};
use chronik_storage::log::PartitionLog;
use chronik_storage::meta_properties::{META_PROPERTIES_PATH, MetaProperties};
use chronik_storage::recovery::{DirectoryShape, RecoveryReport, recover};
use chronik_storage::store::StoreLimits;

use crate::actor::BrokerId;
use crate::run::Setup;

/// The shard that hosts the metadata log.
pub(super) const METADATA_SHARD: u16 = 0;
/// Of all brokers.
const CLUSTER_ID: &str = "simulated-cluster-000";
/// `meta.properties` is a few lines.
const MAX_META_BYTES: usize = 64 << 10;

/// The machines of a broker that is about to be registered.
#[derive(Debug)]
pub(super) struct Machines {
    pub(super) shards: Vec<Shard>,
    pub(super) quorum: Quorum,
    pub(super) wanted: Vec<QuorumOutput>,
    pub(super) ring: Ring,
    pub(super) checkpoint: Checkpoint,
    pub(super) report: RecoveryReport,
}

/// Brings what is on the disk back to life, as a server does that starts.
///
/// # Errors
/// Why the server would end right away.
pub(super) fn start(
    disk: &mut dyn Disk,
    setup: &Setup,
    broker: BrokerId,
    now: Now,
    chance: &mut Rng,
) -> Result<Machines, String> {
    let meta = match read_meta(disk)? {
        Some(meta) => meta,
        None => create_meta(disk, setup, broker, chance)?,
    };
    check_ring(disk, &meta)?;
    let shape = DirectoryShape {
        directory_id: meta.directory_id,
        journal_files: meta.journal_files,
    };
    let recovered = recover(disk, &shape).map_err(|error| format!("recovery: {error}"))?;
    let mut logs = recovered.logs.iter();
    let log = logs.find(|log| log.log_id == LogId::METADATA);
    let loaded = metadata_log::load(disk, log, recovered.checkpoint.vote);
    let loaded = loaded.map_err(|error| format!("metadata: {error}"))?;
    let mut report = recovered.report;
    report.warnings.extend(loaded.warnings.iter().cloned());
    let checkpoint = recovered.checkpoint;
    let incarnation = chance.bytes16();
    let shards = shards(setup, recovered.logs, &checkpoint, chance.next_u64());
    let settings: BTreeMap<_, _> = setup.settings.iter().cloned().collect();
    // Files of the ring are smaller here than a server's may be.
    let mut decisions = controller_settings(&settings);
    decisions.max_entry_bytes = usize::try_from(meta.journal_file_bytes / 4).unwrap_or(usize::MAX);
    let controller = ControllerConfig {
        node_id: node_id(broker),
        voters: vec![node_id(broker)],
        cluster_id: meta.cluster_id.clone(),
        seed: chance.next_u64(),
        settings: decisions,
        validator: Box::new(RegistryValidator),
        snapshots: snapshot_policy(&settings),
    };
    let registration = RegisterBroker {
        node_id: node_id(broker),
        cluster_id: meta.cluster_id.clone(),
        incarnation: IncarnationId(incarnation),
        endpoints: vec![endpoint(broker)],
        rack: None,
    };
    let views = ViewBuilder::new(node_id(broker), Arc::new(settings));
    let mut wanted = Vec::new();
    let quorum = Quorum::open(controller, loaded, registration, views, now, &mut wanted)
        .map_err(|error| format!("metadata: {error}"))?;
    let (files, bytes) = (meta.journal_files, meta.journal_file_bytes);
    Ok(Machines {
        shards,
        quorum,
        wanted,
        ring: Ring::new(meta.directory_id, files, bytes, checkpoint.start),
        checkpoint,
        report,
    })
}

/// Who a broker is.
pub(super) fn identity(broker: BrokerId) -> Identity {
    Identity {
        node_id: node_id(broker),
        cluster_id: CLUSTER_ID.to_owned(),
        listeners: vec![endpoint(broker)],
        rack: None,
    }
}

fn node_id(broker: BrokerId) -> NodeId {
    NodeId(i32::from(broker.0) + 1)
}

fn endpoint(broker: BrokerId) -> Endpoint {
    Endpoint {
        listener: "PLAINTEXT".to_owned(),
        host: format!("broker-{}.sim", broker.0),
        port: 9092,
    }
}

fn read_meta(disk: &mut dyn Disk) -> Result<Option<MetaProperties>, String> {
    let bytes = match disk.read(META_PROPERTIES_PATH, 0, MAX_META_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let meta = MetaProperties::decode(&String::from_utf8_lossy(&bytes));
    meta.map(Some).map_err(|error| error.to_string())
}

/// A new directory has its ring before it has a name.
fn create_meta(
    disk: &mut dyn Disk,
    setup: &Setup,
    broker: BrokerId,
    chance: &mut Rng,
) -> Result<MetaProperties, String> {
    let meta = MetaProperties {
        cluster_id: CLUSTER_ID.to_owned(),
        node_id: node_id(broker).0,
        directory_id: chance.bytes16(),
        journal_files: setup.journal_files,
        journal_file_bytes: setup.journal_file_bytes,
    };
    let mut create = || {
        for file in 0..setup.journal_files {
            // Frames are written over what is there: zeros at first, frames of earlier laps later.
            disk.write(&ring_path(file), 0, &[])?;
            disk.truncate(&ring_path(file), setup.journal_file_bytes)?;
            disk.sync(&ring_path(file))?;
        }
        disk.sync_directory(RING_DIRECTORY)?;
        disk.sync_directory("")?;
        replace_file(disk, META_PROPERTIES_PATH, meta.encode().as_bytes())
    };
    create().map_err(|error| {
        let id = base64_url(&meta.directory_id);
        format!("a new directory {id}: {error}")
    })?;
    Ok(meta)
}

/// What a missing ring file held can not be told from what never was.
fn check_ring(disk: &mut dyn Disk, meta: &MetaProperties) -> Result<(), String> {
    let present = disk.list(RING_DIRECTORY);
    let present = present.map_err(|error| error.to_string())?;
    for file in 0..meta.journal_files {
        let path = ring_path(file);
        let name = path.rsplit('/').next().unwrap_or_default();
        if !present.iter().any(|entry| entry.name == name) {
            return Err(format!("{path} is missing"));
        }
    }
    Ok(())
}

fn shards(
    setup: &Setup,
    recovered: Vec<PartitionLog>,
    checkpoint: &Checkpoint,
    seed: u64,
) -> Vec<Shard> {
    let mut logs: Vec<Vec<_>> = (0..setup.shards).map(|_| Vec::new()).collect();
    for log in recovered {
        let home = match log.log_id {
            LogId::METADATA => METADATA_SHARD,
            _ => ShardId::of(log.partition, setup.shards).0,
        };
        logs[usize::from(home)].push(log);
    }
    let shard = |(id, logs)| {
        let config = ShardConfig {
            id: ShardId(id),
            count: setup.shards,
            limits: StoreLimits {
                tail_bytes: setup.tail_bytes,
                write_back_bytes: setup.write_back_bytes,
                frame_bytes: usize::try_from(setup.journal_file_bytes / 2).unwrap_or(usize::MAX),
            },
            next_log_id: checkpoint.next_log_id,
            seed,
            max_batch_bytes: usize::try_from(setup.journal_file_bytes / 2).unwrap_or(usize::MAX),
        };
        Shard::new(config, logs, checkpoint.vote)
    };
    (0..).zip(logs).map(shard).collect()
}
