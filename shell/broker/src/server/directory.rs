//! Opens a data directory: lock, identity, recovery.

use std::path::Path;

use chronik_model::ids::base64_url;
use chronik_storage::checkpoint::CHECKPOINT_PATHS;
use chronik_storage::disk::{Disk, DiskErrorKind, replace_file};
use chronik_storage::journal::ring::{RING_DIRECTORY, ring_path};
use chronik_storage::meta_properties::{META_PROPERTIES_PATH, MetaProperties};
use chronik_storage::recovery::{DirectoryShape, Recovered, recover};

use super::{Failure, disk_failure};
use crate::config::{DEFAULT_NODE_ID, ServerConfig};
use crate::disk::filesystem::{size_ring, total_bytes};
use crate::disk::lock::DirectoryLock;
use crate::disk::os_disk::OsDisk;

/// A directory that this process owns.
#[derive(Debug)]
pub(super) struct DataDirectory {
    pub(super) meta: MetaProperties,
    /// This life of the broker.
    pub(super) incarnation: [u8; 16],
    disk: OsDisk,
    lock: DirectoryLock,
}

impl DataDirectory {
    /// Takes the directory into use, or starts a new one, and settles the node id.
    pub(super) fn open(config: &mut ServerConfig) -> Result<Self, Failure> {
        let path = config.data_dir.clone();
        std::fs::create_dir_all(&path).map_err(|error| {
            let shown = path.display();
            Failure::new(
                Failure::CANNOT_CREATE,
                format!("E0104 cannot create the data directory {shown}: {error}. Choose another with --data-dir."),
            )
        })?;
        let lock = DirectoryLock::acquire(&path);
        let lock = lock.map_err(|error| Failure::new(Failure::CANNOT_CREATE, error.to_string()))?;
        let mut disk = OsDisk::new(path.clone());
        let meta = match read_meta(&mut disk)? {
            Some(meta) => meta,
            None => create_meta(&mut disk, config, &path)?,
        };
        if let Some(asked) = config.node_id.filter(|asked| asked.0 != meta.node_id) {
            let message = format!(
                "E0106 the data directory {} belongs to node {}, not {}. Start with --node-id {} or choose another --data-dir.",
                path.display(),
                meta.node_id,
                asked.0,
                meta.node_id
            );
            return Err(Failure::new(Failure::CANNOT_CREATE, message));
        }
        config.settle_node_id(chronik_model::NodeId(meta.node_id));
        Ok(Self {
            meta,
            incarnation: random()?,
            disk,
            lock,
        })
    }

    /// Brings the directory to the state of its last durable operation.
    pub(super) fn recover(&mut self) -> Result<Recovered, Failure> {
        self.check_ring()?;
        let shape = DirectoryShape {
            directory_id: self.meta.directory_id,
            journal_files: self.meta.journal_files,
        };
        let recovered = recover(&mut self.disk, &shape)
            .map_err(|error| Failure::new(Failure::DISK, format!("E0120 recovery: {error}")))?;
        let report = &recovered.report;
        for warning in &report.warnings {
            tracing::warn!("{warning}");
        }
        if report.frames > 0 || report.torn || report.rebuilt {
            tracing::info!(
                frames = report.frames,
                batches = report.batches,
                torn = report.torn,
                rebuilt = report.rebuilt,
                "recovered from the journal"
            );
        }
        Ok(recovered)
    }

    /// Every ring file must be there: a new directory has them before it has `meta.properties`, and
    /// what a missing one held can not be told from what never was.
    fn check_ring(&mut self) -> Result<(), Failure> {
        let present = self
            .disk
            .list(RING_DIRECTORY)
            .map_err(|error| disk_failure(&error))?;
        for file in 0..self.meta.journal_files {
            let path = ring_path(file);
            let name = path.rsplit('/').next().unwrap_or_default();
            if !present.iter().any(|entry| entry.name == name) {
                let message = format!(
                    "E0121 {path} is missing: it may have held acknowledged records. Restore it, or start with an empty data directory."
                );
                return Err(Failure::new(Failure::DISK, message));
            }
        }
        Ok(())
    }

    pub(super) fn disk(&mut self) -> &mut dyn Disk {
        &mut self.disk
    }

    pub(super) fn into_parts(self) -> (OsDisk, DirectoryLock) {
        (self.disk, self.lock)
    }
}

fn read_meta(disk: &mut OsDisk) -> Result<Option<MetaProperties>, Failure> {
    const MAX_BYTES: usize = 64 << 10;
    let bytes = match disk.read(META_PROPERTIES_PATH, 0, MAX_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(disk_failure(&error)),
    };
    let text = String::from_utf8_lossy(&bytes);
    MetaProperties::decode(&text)
        .map(Some)
        .map_err(|error| disk_failure(&error))
}

fn create_meta(
    disk: &mut OsDisk,
    config: &ServerConfig,
    path: &Path,
) -> Result<MetaProperties, Failure> {
    refuse_orphans(disk, path)?;
    let total = total_bytes(path).map_err(|error| disk_failure(&error))?;
    let (journal_files, journal_file_bytes) = size_ring(total, config.journal_bytes);
    let cluster_id = match &config.cluster_id {
        Some(cluster_id) => cluster_id.clone(),
        None => base64_url(&random()?),
    };
    let meta = MetaProperties {
        cluster_id,
        node_id: config.node_id.unwrap_or(DEFAULT_NODE_ID).0,
        directory_id: random()?,
        journal_files,
        journal_file_bytes,
    };
    for file in 0..journal_files {
        disk.write(&ring_path(file), 0, &[])
            .map_err(|error| disk_failure(&error))?;
    }
    disk.sync_directory(RING_DIRECTORY)
        .map_err(|error| disk_failure(&error))?;
    disk.sync_directory("")
        .map_err(|error| disk_failure(&error))?;
    replace_file(disk, META_PROPERTIES_PATH, meta.encode().as_bytes())
        .map_err(|error| disk_failure(&error))?;
    Ok(meta)
}

/// A directory that has a checkpoint had a `meta.properties`. With a new one, its journal would be taken
/// for another's.
fn refuse_orphans(disk: &mut OsDisk, path: &Path) -> Result<(), Failure> {
    let entries = disk.list("").map_err(|error| disk_failure(&error))?;
    let orphan = entries
        .iter()
        .find(|entry| CHECKPOINT_PATHS.contains(&entry.name.as_str()));
    let Some(orphan) = orphan else { return Ok(()) };
    let (path, name) = (path.display(), &orphan.name);
    let message = format!(
        "E0122 {path} has {name}, but no {META_PROPERTIES_PATH}. Restore the {META_PROPERTIES_PATH} that belongs to these files, or start with an empty data directory."
    );
    Err(Failure::new(Failure::DISK, message))
}

fn random() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(Failure::RUNTIME, error.to_string()))?;
    Ok(bytes)
}
