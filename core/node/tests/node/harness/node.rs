//! One life of the broker: its machines, and the queues between them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use chronik_model::rng::Rng;
use chronik_model::{LogId, Mono, NodeId, Now};
use chronik_node::{
    ClusterView, ConnectionId, ControllerConfig, Endpoint, Frontend, FrontendConfig, FrontendId,
    FrontendInput, Identity, IncarnationId, Quorum, QuorumInput, QuorumOutput, RegisterBroker,
    RegistryValidator, Shard, ShardConfig, ShardId, ShardInput, SnapshotPolicy, ViewBuilder,
    controller_settings, metadata_log,
};
use chronik_sim_disk::SimDisk;
use chronik_storage::checkpoint::Checkpoint;
use chronik_storage::disk::{DiskError, DiskRequest};
use chronik_storage::journal::Ring;
use chronik_storage::log::PartitionLog;
use chronik_storage::recovery::{DirectoryShape, Recovered, recover};
use chronik_storage::store::StoreLimits;

use super::journal::Journal;

pub(crate) const NODE_ID: NodeId = NodeId(1);
const DIRECTORY_ID: [u8; 16] = [7; 16];
const METADATA_SHARD: u16 = 0;
/// Keeps what the controller draws in one life apart from other lives, as random bytes would.
const INCARNATION_SEED: u64 = 0x5eed_0000_0000;

/// How a run is set up.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) frontends: u16,
    pub(crate) shards: u16,
    pub(crate) max_pipelined: usize,
    pub(crate) journal_files: usize,
    pub(crate) journal_file_bytes: u64,
    pub(crate) limits: StoreLimits,
    pub(crate) broker: &'static [(&'static str, &'static str)],
    pub(crate) snapshots: SnapshotPolicy,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            frontends: 2,
            shards: 3,
            max_pipelined: 6,
            journal_files: 4,
            journal_file_bytes: 128 << 10,
            limits: StoreLimits {
                tail_bytes: 64 << 10,
                write_back_bytes: 1 << 10,
                ..StoreLimits::default()
            },
            broker: &[],
            snapshots: SnapshotPolicy {
                entries: u64::MAX,
                bytes: u64::MAX,
                interval_ms: None,
            },
        }
    }
}

/// Who puts messages into a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum From {
    Frontend(u16),
    Shard(u16),
    Quorum,
    Journal,
    Disk,
}

type Queues<T> = BTreeMap<(From, u16), VecDeque<T>>;

/// See the module.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) quorum: Quorum,
    pub(crate) shards: Vec<Shard>,
    pub(crate) frontends: Vec<Frontend>,
    pub(crate) journal: Journal,
    pub(crate) to_shard: Queues<ShardInput>,
    pub(crate) to_frontend: Queues<FrontendInput>,
    pub(crate) to_quorum: Queues<QuorumInput>,
    /// Disk operations in order per shard and log.
    pub(crate) to_disk: BTreeMap<(u16, LogId), VecDeque<DiskRequest>>,
    /// Shards that a frontend asked since its last end of turn.
    pub(crate) turns: BTreeMap<u16, Vec<u16>>,
    /// Views that some shards have not seen, with the number of those shards.
    publications: VecDeque<(Arc<ClusterView>, u16)>,
    /// Views handed to each frontend, and those it has taken.
    pub(crate) views_sent: u64,
    pub(crate) views_taken: Vec<u64>,
    view: Option<Arc<ClusterView>>,
    pub(crate) registered: bool,
    pub(crate) offline: bool,
    /// When segment writes that found no space are tried again.
    pub(crate) retry_at: Option<Mono>,
    pub(crate) warnings: Vec<String>,
    /// Snapshots of the metadata that became durable.
    pub(crate) snapshots: u64,
}

impl Node {
    /// Recovers what the disk has and registers with the controller.
    pub(crate) fn start(options: &Options, disk: &mut SimDisk, life: u8, now: Now) -> Self {
        let (recovered, metadata) = recover_all(options, disk).unwrap();
        let mut warnings = recovered.report.warnings;
        warnings.extend(metadata.warnings.iter().cloned());
        let checkpoint = recovered.checkpoint;
        let shards = shards(options, recovered.logs, &checkpoint);
        let ring = Ring::new(
            DIRECTORY_ID,
            options.journal_files,
            options.journal_file_bytes,
            checkpoint.start,
        );
        let settings = static_settings(options);
        let controller = controller_config(options, &settings, life);
        let views = ViewBuilder::new(NODE_ID, Arc::new(settings));
        let mut out = Vec::new();
        let quorum = Quorum::open(
            controller,
            metadata,
            registration(life),
            views,
            now,
            &mut out,
        )
        .unwrap();
        let mut node = Self {
            quorum,
            shards,
            frontends: Vec::new(),
            journal: Journal::new(ring, checkpoint),
            to_shard: BTreeMap::new(),
            to_frontend: BTreeMap::new(),
            to_quorum: BTreeMap::new(),
            to_disk: BTreeMap::new(),
            turns: BTreeMap::new(),
            publications: VecDeque::new(),
            views_sent: 0,
            views_taken: Vec::new(),
            view: None,
            registered: false,
            offline: false,
            retry_at: None,
            warnings,
            snapshots: 0,
        };
        node.carry_out(out);
        node
    }

    /// Opens the doors, once registered.
    pub(crate) fn open_frontends(&mut self, options: &Options) {
        let view = self.view.clone().expect("registration publishes a view");
        let identity = Arc::new(Identity {
            node_id: NODE_ID,
            cluster_id: "sim".to_owned(),
            listeners: vec![endpoint()],
            rack: None,
        });
        let frontend = |id| {
            let config = FrontendConfig {
                id: FrontendId(id),
                shard_count: options.shards,
                identity: Arc::clone(&identity),
                max_pipelined: options.max_pipelined,
            };
            Frontend::new(config, Arc::clone(&view))
        };
        self.frontends = (0..options.frontends).map(frontend).collect();
        self.views_sent = 0;
        self.views_taken = vec![0; self.frontends.len()];
    }

    pub(crate) fn push_to_shard(&mut self, from: From, shard: u16, input: ShardInput) {
        self.to_shard
            .entry((from, shard))
            .or_default()
            .push_back(input);
    }

    pub(crate) fn push_to_frontend(&mut self, from: From, frontend: u16, input: FrontendInput) {
        self.to_frontend
            .entry((from, frontend))
            .or_default()
            .push_back(input);
    }

    pub(crate) fn push_to_quorum(&mut self, from: From, input: QuorumInput) {
        self.to_quorum
            .entry((from, 0))
            .or_default()
            .push_back(input);
    }

    /// Does what the controller wants, in its order.
    pub(crate) fn carry_out(&mut self, outputs: Vec<QuorumOutput>) {
        for output in outputs {
            match output {
                QuorumOutput::Persist {
                    sequence,
                    hard_state,
                    entries,
                } => {
                    let persist = ShardInput::Persist {
                        sequence,
                        hard_state,
                        entries,
                    };
                    self.push_to_shard(From::Quorum, METADATA_SHARD, persist);
                }
                QuorumOutput::Snapshot { id, bytes } => {
                    let input = ShardInput::Snapshot { id, bytes };
                    self.push_to_shard(From::Quorum, METADATA_SHARD, input);
                }
                QuorumOutput::Trim(trim) => {
                    let input = ShardInput::TrimMetadata(trim);
                    self.push_to_shard(From::Quorum, METADATA_SHARD, input);
                }
                QuorumOutput::Publish(view, delta) => {
                    for shard in 0..self.shard_count() {
                        let input = ShardInput::View(Arc::clone(&view), Arc::clone(&delta));
                        self.push_to_shard(From::Quorum, shard, input);
                    }
                    self.publications.push_back((view, self.shard_count()));
                }
                QuorumOutput::Reply {
                    ticket,
                    reply,
                    offset,
                } => {
                    let input = FrontendInput::Controller(ticket, reply, offset);
                    self.push_to_frontend(From::Quorum, ticket.frontend.0, input);
                }
                QuorumOutput::ProducerIds(frontend, ids) => {
                    self.push_to_frontend(
                        From::Quorum,
                        frontend.0,
                        FrontendInput::ProducerIds(ids),
                    );
                }
                QuorumOutput::Registered => self.registered = true,
                QuorumOutput::Halt(reason) => panic!("{reason}"),
            }
        }
    }

    /// A shard has acted on a view; behind the last one the frontends get it.
    pub(crate) fn view_taken(&mut self, view: &Arc<ClusterView>) {
        let mut publications = self.publications.iter_mut();
        if let Some((_, left)) = publications.find(|(published, _)| Arc::ptr_eq(published, view)) {
            *left -= 1;
        }
        while let Some((view, _)) = self.publications.pop_front_if(|(_, left)| *left == 0) {
            let frontends = u16::try_from(self.frontends.len()).unwrap();
            for frontend in 0..frontends {
                self.push_to_frontend(
                    From::Quorum,
                    frontend,
                    FrontendInput::View(Arc::clone(&view)),
                );
            }
            self.views_sent += 1;
            self.view = Some(view);
        }
    }

    pub(crate) fn shard_count(&self) -> u16 {
        u16::try_from(self.shards.len()).unwrap()
    }

    /// What falls due by itself.
    pub(crate) fn deadline(&self) -> Option<Mono> {
        let frontends = self.frontends.iter().filter_map(Frontend::deadline);
        let others = self.quorum.deadline().into_iter().chain(self.retry_at);
        frontends.chain(others).chain(self.shard_deadline()).min()
    }

    pub(crate) fn shard_deadline(&self) -> Option<Mono> {
        self.shards.iter().filter_map(Shard::deadline).min()
    }

    /// The directory is offline for all who write to it.
    pub(crate) fn go_offline(&mut self, reason: &str) {
        for shard in 0..self.shard_count() {
            let failed = ShardInput::JournalFailed(reason.to_owned());
            self.push_to_shard(From::Journal, shard, failed);
        }
        self.push_to_quorum(From::Journal, QuorumInput::Offline);
    }

    /// Whether the connection may hand in another request.
    pub(crate) fn accepts(&mut self, frontend: u16, id: ConnectionId) -> bool {
        self.frontends[usize::from(frontend)].accepts(id)
    }
}

/// Recovers the directory and reads the metadata.
pub(crate) fn recover_all(
    options: &Options,
    disk: &mut SimDisk,
) -> Result<(Recovered, metadata_log::Loaded), DiskError> {
    let shape = DirectoryShape {
        directory_id: DIRECTORY_ID,
        journal_files: options.journal_files,
    };
    let recovered = recover(disk, &shape).unwrap();
    let mut logs = recovered.logs.iter();
    let log = logs.find(|log| log.log_id == LogId::METADATA);
    let metadata = metadata_log::load(disk, log, recovered.checkpoint.vote)?;
    Ok((recovered, metadata))
}

fn static_settings(options: &Options) -> BTreeMap<String, String> {
    let pairs = options.broker.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn endpoint() -> Endpoint {
    Endpoint {
        listener: "PLAINTEXT".to_owned(),
        host: "broker.sim".to_owned(),
        port: 9092,
    }
}

fn registration(life: u8) -> RegisterBroker {
    RegisterBroker {
        node_id: NODE_ID,
        cluster_id: "sim".to_owned(),
        incarnation: IncarnationId([life; 16]),
        endpoints: vec![endpoint()],
        rack: None,
    }
}

fn shards(options: &Options, recovered: Vec<PartitionLog>, checkpoint: &Checkpoint) -> Vec<Shard> {
    let mut logs: Vec<Vec<_>> = (0..options.shards).map(|_| Vec::new()).collect();
    for log in recovered {
        let home = match log.log_id {
            LogId::METADATA => METADATA_SHARD,
            _ => ShardId::of(log.partition, options.shards).0,
        };
        logs[usize::from(home)].push(log);
    }
    let shard = |(id, logs)| {
        let config = ShardConfig {
            id: ShardId(id),
            count: options.shards,
            limits: options.limits,
            max_batch_bytes: usize::try_from(options.journal_file_bytes / 2).unwrap(),
            next_log_id: checkpoint.next_log_id,
            seed: INCARNATION_SEED + u64::from(id),
        };
        Shard::new(config, logs, checkpoint.vote)
    };
    (0..).zip(logs).map(shard).collect()
}

fn controller_config(
    options: &Options,
    settings: &BTreeMap<String, String>,
    life: u8,
) -> ControllerConfig {
    ControllerConfig {
        node_id: NODE_ID,
        voters: vec![NODE_ID],
        cluster_id: "sim".to_owned(),
        seed: Rng::new(INCARNATION_SEED + u64::from(life)).next_u64(),
        settings: controller_settings(settings),
        validator: Box::new(RegistryValidator),
        snapshots: options.snapshots,
    }
}
