//! Recovers the directory, puts the machines together and lets them serve.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use chronik_model::LogId;
use chronik_model::config::{BrokerConfig, Layers};
use chronik_model::rng::Rng;
use chronik_node::{
    ControllerConfig, Endpoint, Frontend, FrontendConfig, FrontendId, Identity, IncarnationId,
    Quorum, RegisterBroker, RegistryValidator, Shard, ShardConfig, ShardId, ViewBuilder,
    controller_settings, metadata_log, snapshot_policy,
};
use chronik_storage::checkpoint::Checkpoint;
use chronik_storage::journal::Ring;
use chronik_storage::recovery::Recovered;
use chronik_storage::store::StoreLimits;

use super::checkpointer::Checkpointer;
use super::directory::DataDirectory;
use super::{Failure, Running, disk_failure, groups, health};
use crate::clock::Clock;
use crate::config::{Listener, ServerConfig};
use crate::disk::filesystem::FilesystemKind;
use crate::disk::journal_files::JournalFiles;
use crate::disk::pool::{self, DiskPool};
use crate::event_loop::{EventLoop, LoopConfig};
use crate::http;
use crate::hub::{Hub, HubEvent, LoopHandle, METADATA_SHARD};
use crate::journal::{Journal, JournalHandle};
use crate::memory::Memory;
use crate::metrics::{JournalCounters, LoopCounters, Metrics, Sources};

/// Requests of one connection that may wait for their replies.
const MAX_PIPELINED: usize = 256;
/// What a journal frame adds to a batch, rounded up generously.
const FRAME_OVERHEAD_BYTES: usize = 64 << 10;
/// Registration is a few journal writes; a disk that takes longer is broken.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(30);

/// What a broker is started with.
pub(super) struct Startup<'a> {
    pub(super) config: &'a ServerConfig,
    pub(super) listeners: Vec<StdListener>,
    pub(super) clock: Clock,
    pub(super) cores: usize,
    pub(super) events_in: SyncSender<HubEvent>,
    pub(super) events: &'a Receiver<HubEvent>,
}

impl Startup<'_> {
    /// Recovers the directory, puts the machines together and lets them serve.
    pub(super) fn run(self, mut directory: DataDirectory) -> Result<Running, Failure> {
        let recovered = directory.recover()?;
        let metadata = load_metadata(&mut directory, &recovered)?;
        let checkpoint = recovered.checkpoint;
        let shards = shards(&directory, recovered.logs, &checkpoint, self.cores);
        let (ring, files) = open_journal(self.config, &directory, &checkpoint)?;
        let memory = Memory::new(self.config.memory_bytes, shards.len());
        let journal = JournalHandle::default();
        let hub = Hub::new(self.clock, shards, journal, memory, self.events_in);
        let hub = Arc::new(hub);
        let pool = start_pool(&hub, self.config);
        hub.set_pool(pool.map_err(|error| disk_failure(&error))?);
        let journal_counters = Arc::new(JournalCounters::new());
        let journal = Journal::new(
            Arc::clone(&hub),
            ring,
            files,
            Arc::clone(&journal_counters),
            self.config.data_dir.clone(),
        );
        let journal = spawn("journal", move || journal.run())?;
        let identity = Arc::new(identity(self.config, &directory));
        let incarnation = directory.incarnation;
        register(
            &hub,
            self.config,
            &identity,
            metadata,
            incarnation,
            self.events,
        )?;
        let counters: Vec<_> = (0..self.cores)
            .map(|_| Arc::new(LoopCounters::new()))
            .collect();
        let loops = start_loops(&hub, &identity, self.listeners, &counters)?;
        let metrics = serve_metrics(&hub, self.config, &directory, counters, journal_counters)?;
        warn_of_unclaimed(&hub);
        let (disk, lock) = directory.into_parts();
        let checkpointer = Checkpointer::new(Arc::clone(&hub), disk, checkpoint);
        Ok(Running {
            hub,
            checkpointer,
            journal,
            loops,
            identity,
            metrics,
            _lock: lock,
        })
    }
}

fn load_metadata(
    directory: &mut DataDirectory,
    recovered: &Recovered,
) -> Result<metadata_log::Loaded, Failure> {
    let log = recovered
        .logs
        .iter()
        .find(|log| log.log_id == LogId::METADATA);
    let loaded = metadata_log::load(directory.disk(), log, recovered.checkpoint.vote);
    let loaded = loaded.map_err(|error| disk_failure(&error))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(loaded)
}

fn open_journal(
    config: &ServerConfig,
    directory: &DataDirectory,
    checkpoint: &Checkpoint,
) -> Result<(Ring, JournalFiles), Failure> {
    let meta = &directory.meta;
    let (count, bytes) = (meta.journal_files, meta.journal_file_bytes);
    let files = JournalFiles::open(&config.data_dir, count, bytes);
    let files = files.map_err(|error| disk_failure(&error))?;
    match files.filesystem() {
        FilesystemKind::Direct => {}
        FilesystemKind::Buffered(reason) => {
            tracing::info!(%reason, "journal writes are buffered and synced");
        }
        FilesystemKind::NotDurable(reason) => {
            tracing::warn!(%reason, "this data directory does not survive a power cut");
        }
    }
    Ok((
        Ring::new(meta.directory_id, count, bytes, checkpoint.start),
        files,
    ))
}

/// Logs that no topic claims are kept, not served; people are told.
fn warn_of_unclaimed(hub: &Hub) {
    for index in 0..hub.shard_count() {
        let lines = hub.shard(index).map(|shard| shard.set_aside());
        for line in lines.unwrap_or_default() {
            tracing::warn!("{line}");
        }
    }
}

fn shards(
    directory: &DataDirectory,
    logs: Vec<chronik_storage::log::PartitionLog>,
    checkpoint: &Checkpoint,
    cores: usize,
) -> Vec<Shard> {
    let count = u16::try_from(cores).unwrap_or(u16::MAX);
    let mut by_shard: Vec<Vec<_>> = (0..count).map(|_| Vec::new()).collect();
    for log in logs {
        let home = if log.log_id == LogId::METADATA {
            METADATA_SHARD
        } else {
            ShardId::of(log.partition, count)
        };
        if let Some(logs) = by_shard.get_mut(usize::from(home.0)) {
            logs.push(log);
        }
    }
    // A journal frame holds at least one whole batch, and a ring file at least one frame.
    let max_batch_bytes = usize::try_from(directory.meta.journal_file_bytes).unwrap_or(usize::MAX)
        - FRAME_OVERHEAD_BYTES;
    let shards = (0..count).zip(by_shard).map(|(id, logs)| {
        let shard = ShardConfig {
            id: ShardId(id),
            count,
            limits: StoreLimits::default(),
            next_log_id: checkpoint.next_log_id,
            seed: seed(directory.incarnation),
            max_batch_bytes,
        };
        Shard::new(shard, logs, checkpoint.vote)
    });
    shards.collect()
}

/// Another number with every start, for ids and election timeouts.
fn seed(incarnation: [u8; 16]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = incarnation;
    Rng::new(u64::from_le_bytes([a, b, c, d, e, f, g, h])).next_u64()
}

fn start_pool(hub: &Arc<Hub>, config: &ServerConfig) -> std::io::Result<DiskPool> {
    let weak = Arc::downgrade(hub);
    let complete: pool::Complete = Arc::new(move |shard, done| {
        let Some(hub) = weak.upgrade() else { return };
        for done in done {
            hub.disk_done(shard, done);
        }
    });
    DiskPool::start(pool::DEFAULT_THREADS, config.data_dir.clone(), complete)
}

fn identity(config: &ServerConfig, directory: &DataDirectory) -> Identity {
    let broker = BrokerConfig::resolve(&Layers::of_static(&config.static_broker));
    let endpoint = |listener: &Listener| Endpoint {
        listener: listener.name.clone(),
        host: listener.advertised.host.clone(),
        port: listener.advertised.port,
    };
    Identity {
        node_id: chronik_model::NodeId(directory.meta.node_id),
        cluster_id: directory.meta.cluster_id.clone(),
        listeners: config.listeners.iter().map(endpoint).collect(),
        rack: broker.rack,
    }
}

/// Opens the controller, and waits until this broker is registered with it.
fn register(
    hub: &Arc<Hub>,
    config: &ServerConfig,
    identity: &Identity,
    metadata: metadata_log::Loaded,
    incarnation: [u8; 16],
    events: &Receiver<HubEvent>,
) -> Result<(), Failure> {
    let controller = ControllerConfig {
        node_id: identity.node_id,
        voters: vec![identity.node_id],
        cluster_id: identity.cluster_id.clone(),
        seed: seed(incarnation),
        settings: controller_settings(&config.static_broker),
        validator: Box::new(RegistryValidator),
        snapshots: snapshot_policy(&config.static_broker),
    };
    let registration = RegisterBroker {
        node_id: identity.node_id,
        cluster_id: identity.cluster_id.clone(),
        incarnation: IncarnationId(incarnation),
        endpoints: identity.listeners.clone(),
        rack: identity.rack.clone(),
    };
    let views = ViewBuilder::new(identity.node_id, Arc::new(config.static_broker.clone()));
    let mut outputs = Vec::new();
    let now = hub.clock.now();
    let quorum = Quorum::open(controller, metadata, registration, views, now, &mut outputs)
        .map_err(|error| Failure::new(Failure::DISK, format!("metadata: {error}")))?;
    hub.start_quorum(quorum, outputs);
    let deadline = Instant::now() + REGISTRATION_TIMEOUT;
    let mut stop = false;
    while !hub.is_registered() {
        match events.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(HubEvent::Fatal(reason)) => return Err(Failure::new(Failure::BUG, reason)),
            Ok(HubEvent::Stop) => stop = true,
            Ok(HubEvent::Registered | HubEvent::TrimWanted(_) | HubEvent::Trimmed(_)) => {}
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let reason = "the journal did not take this broker's registration within 30 s";
                return Err(Failure::new(Failure::DISK, reason));
            }
        }
    }
    if stop {
        // Heard too early: said again to those who act on it.
        hub.event(HubEvent::Stop);
    }
    Ok(())
}

fn start_loops(
    hub: &Arc<Hub>,
    identity: &Arc<Identity>,
    listeners: Vec<StdListener>,
    counters: &[Arc<LoopCounters>],
) -> Result<Vec<JoinHandle<()>>, Failure> {
    let broken =
        |error: std::io::Error| Failure::new(Failure::RUNTIME, format!("event loop: {error}"));
    let view = hub
        .view()
        .ok_or_else(|| Failure::new(Failure::BUG, "no metadata was published"))?;
    let network = view.broker.network;
    // A request that memory can never hold is refused when its size is read.
    let max_frame_bytes = u64::try_from(network.socket_request_max_bytes).unwrap_or(u64::MAX);
    let max_frame_bytes = u32::try_from(max_frame_bytes.min(hub.memory.limit()));
    let max_frame_bytes = max_frame_bytes.unwrap_or(u32::MAX);
    let mut loops = Vec::new();
    for (index, own) in counters.iter().enumerate() {
        let poll = mio::Poll::new().map_err(broken)?;
        let handle = Arc::new(LoopHandle::new(EventLoop::waker(&poll).map_err(broken)?));
        let frontend = FrontendConfig {
            id: FrontendId(u16::try_from(index).unwrap_or(u16::MAX)),
            shard_count: u16::try_from(hub.shard_count()).unwrap_or(u16::MAX),
            identity: Arc::clone(identity),
            max_pipelined: MAX_PIPELINED,
        };
        let config = LoopConfig {
            index,
            loop_count: counters.len(),
            max_frame_bytes,
            max_connections: network.max_connections,
            idle: network
                .connections_max_idle_ms
                .and_then(|ms| u64::try_from(ms).ok())
                .map(Duration::from_millis),
        };
        let frontend = Frontend::new(frontend, Arc::clone(&view));
        loops.push(EventLoop::new(
            config,
            poll,
            handle,
            Arc::clone(hub),
            frontend,
            Arc::clone(own),
        ));
    }
    hub.set_loops(loops.iter().map(EventLoop::handle).collect());
    let listeners = listeners
        .into_iter()
        .map(mio::net::TcpListener::from_std)
        .collect();
    if let Some(first) = loops.first_mut() {
        first.listen(listeners).map_err(broken)?;
    }
    loops
        .into_iter()
        .map(|one| spawn("loop", move || one.run()))
        .collect()
}

fn serve_metrics(
    hub: &Arc<Hub>,
    config: &ServerConfig,
    directory: &DataDirectory,
    loops: Vec<Arc<LoopCounters>>,
    journal: Arc<JournalCounters>,
) -> Result<std::net::SocketAddr, Failure> {
    let clock = hub.clock;
    let sources = Sources {
        loops,
        journal,
        partitions: Arc::new(health::Partitions(Arc::clone(hub))),
        groups: Arc::new(groups::Groups(Arc::clone(hub))),
        store: health::store_sampler(hub, config, directory),
        clock: Arc::new(move || clock.mono()),
    };
    let metrics = Metrics::new(sources, config.metrics_view);
    http::serve(&config.metrics, metrics, health::check(hub)).map_err(|error| {
        Failure::new(
            Failure::PORT_IN_USE,
            format!(
                "E0108 cannot serve metrics on {}: {error}. Stop what listens there, or choose another port with --metrics-port.",
                config.metrics
            ),
        )
    })
}

fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Failure> {
    let thread = Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(|error| Failure::new(Failure::RUNTIME, format!("no thread for {name}: {error}")))
}
