//! Recovery of a data directory of which one file is damaged.

use chronik_model::BrokerEpoch;
use chronik_model::rng::Rng;
use chronik_storage::checkpoint::{CHECKPOINT_PATHS, Checkpoint};
use chronik_storage::disk::Disk;
use chronik_storage::journal::format::FRAME_ALIGNMENT;
use chronik_storage::journal::ring::ring_path;
use chronik_storage::recovery::{CLEAN_SHUTDOWN_PATH, Recovered, clean_marker, recover};

use super::reads::damage_a_batch;
use crate::chance::{index, one_in};
use crate::mutate::mutate;
use crate::node::{DIRECTORY_ID, MemoryDisk, Node, shape};
use crate::seal;
use crate::target::{CONSTANT_BYTES, Failure, Handled, Target, four_times, handled};

/// Which file is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The ring file with the newest frames.
    Journal,
    /// A segment without a checkpoint: everything is read again.
    Rebuild,
    /// The checkpoint.
    Checkpoint,
    /// The marker of a clean stop.
    Marker,
    /// The log of the metadata, and the broker is started on it.
    MetadataLog,
}

impl Kind {
    /// All kinds.
    pub(super) const ALL: [Self; 5] = [
        Self::Journal,
        Self::Rebuild,
        Self::Checkpoint,
        Self::Marker,
        Self::MetadataLog,
    ];
}

/// See the module. An input is the file.
#[derive(Debug)]
pub(super) struct Recovery {
    kind: Kind,
    directory: MemoryDisk,
    path: String,
    /// Bytes of all files.
    directory_bytes: u64,
    /// What is recovered where nothing is damaged.
    undamaged: Vec<Ends>,
}

/// A log, its start and its end.
type Ends = (u64, i64, i64);

impl Recovery {
    pub(super) fn new(kind: Kind, directory: &MemoryDisk) -> Self {
        let mut directory = directory.limited(MOST_FILE_BYTES);
        let path = match kind {
            Kind::Journal => newest_ring_file(&directory),
            Kind::Rebuild => path_of_largest(&directory, "topics/orders", ".log"),
            Kind::Checkpoint => newest_checkpoint(&directory),
            Kind::Marker => CLEAN_SHUTDOWN_PATH.to_owned(),
            Kind::MetadataLog => path_of_largest(&directory, "metadata", ".log"),
        };
        if kind == Kind::MetadataLog {
            // From here on nothing but the log itself has what is in it.
            drop(recover(&mut directory, &shape()));
        }
        if kind == Kind::Rebuild {
            for checkpoint in CHECKPOINT_PATHS {
                // The memory disk removes what is there.
                drop(directory.remove(checkpoint));
            }
        }
        if kind == Kind::Marker {
            let checkpoint = directory
                .file(&newest_checkpoint(&directory))
                .and_then(Checkpoint::decode);
            let marker = checkpoint.map(|found| clean_marker(&found.start, Some(BrokerEpoch(9))));
            directory.set(&path, marker.unwrap_or_default());
        }
        let all = directory.paths().filter_map(|path| directory.file(path));
        let directory_bytes = all
            .map(|content| u64::try_from(content.len()).unwrap_or(0))
            .sum();
        let undamaged = recover(&mut directory.clone(), &shape());
        Self {
            kind,
            directory,
            path,
            directory_bytes,
            undamaged: undamaged.map_or_else(|_| Vec::new(), |recovered| ends(&recovered)),
        }
    }

    /// True when the damage took nothing away.
    fn recover_damaged(&self, mut disk: MemoryDisk, forged: bool) -> Result<bool, Failure> {
        let Ok(recovered) = recover(&mut disk, &shape()) else {
            return Ok(false);
        };
        let again = recover(&mut disk, &shape());
        if !forged {
            check(&recovered)?;
            let again = again.map_err(|error| format!("recovered once, but not twice: {error}"))?;
            let (first, second) = (ends(&recovered), ends(&again));
            if first != second {
                let logs = format!("{first:?}, then {second:?}");
                return Err(format!("the second recovery found other logs: {logs}"));
            }
        }
        if self.kind == Kind::Marker {
            return Ok(recovered.report.clean);
        }
        Ok(ends(&recovered) == self.undamaged)
    }

    /// Makes the checksums of a file right.
    fn seal(&self, bytes: &mut [u8]) {
        match self.kind {
            Kind::Journal => seal::journal(bytes, &DIRECTORY_ID),
            Kind::Rebuild | Kind::MetadataLog => seal::batches(bytes),
            Kind::Checkpoint | Kind::Marker => seal::last_four(bytes),
        }
    }

    /// Whether a file is not what was written although its checksums say so. No disk does that; such
    /// a file may say anything, and only must not take the process with it.
    fn is_forged(&self, input: &[u8]) -> bool {
        let mut sealed = input.to_vec();
        self.seal(&mut sealed);
        sealed == input && self.directory.file(&self.path) != Some(input)
    }
}

impl Target for Recovery {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Journal => "journal",
            Kind::Rebuild => "rebuild",
            Kind::Checkpoint => "checkpoint",
            Kind::Marker => "clean-marker",
            Kind::MetadataLog => "metadata-log",
        }
    }

    fn generate(&mut self, rng: &mut Rng) -> Vec<u8> {
        let original = self.directory.file(&self.path).unwrap_or_default();
        let mut bytes = original.to_vec();
        if !one_in(rng, 8) {
            match self.kind {
                Kind::Journal => damage_a_frame(rng, &mut bytes),
                Kind::Rebuild | Kind::MetadataLog => damage_a_batch(rng, &mut bytes),
                Kind::Checkpoint | Kind::Marker => mutate(rng, &mut bytes, original),
            }
        }
        if one_in(rng, 2) {
            self.seal(&mut bytes);
        }
        bytes
    }

    fn run(&mut self, input: &[u8]) -> Result<Handled, Failure> {
        let mut disk = self.directory.clone();
        disk.set(&self.path, input.to_vec());
        if self.kind == Kind::MetadataLog {
            return handled(|| Ok(Node::start(disk).is_ok()));
        }
        let forged = self.is_forged(input);
        handled(|| self.recover_damaged(disk, forged))
    }

    fn allowance(&self, length: usize) -> u64 {
        // All files are read, by windows, and what the journal has is written back.
        four_times(length) + 4 * self.directory_bytes + WINDOWS_BYTES + CONSTANT_BYTES
    }
}

/// No file of the directory is larger, nor becomes it.
const MOST_FILE_BYTES: usize = 1 << 20;

/// What recovery reads at once, for each of the files that it has open.
const WINDOWS_BYTES: u64 = 8 << 20;

fn check(recovered: &Recovered) -> Result<(), Failure> {
    for log in &recovered.logs {
        if log.log_start > log.log_end {
            let (start, end) = (log.log_start, log.log_end);
            return Err(format!("a log begins at {start} and ends at {end}"));
        }
    }
    Ok(())
}

fn ends(recovered: &Recovered) -> Vec<Ends> {
    let logs = recovered.logs.iter();
    logs.map(|log| (log.log_id.0, log.log_start.0, log.log_end.0))
        .collect()
}

/// Damages a frame's header or its first operations; frames behind it stay where they are mostly.
fn damage_a_frame(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let start = index(rng, bytes.len() / FRAME_ALIGNMENT) * FRAME_ALIGNMENT;
    let part = if one_in(rng, 3) { 0..80 } else { 80..400 };
    let (from, to) = (
        (start + part.start).min(bytes.len()),
        (start + part.end).min(bytes.len()),
    );
    let mut piece = bytes.get(from..to).unwrap_or_default().to_vec();
    let other = piece.clone();
    mutate(rng, &mut piece, &other);
    if !one_in(rng, 8) {
        piece.resize(to - from, 0);
    }
    bytes.splice(from..to, piece);
}

fn newest_checkpoint(directory: &MemoryDisk) -> String {
    let found = CHECKPOINT_PATHS.into_iter().filter_map(|path| {
        let checkpoint = Checkpoint::decode(directory.file(path)?)?;
        Some((checkpoint.generation, path))
    });
    found.max().map_or("", |(_, path)| path).to_owned()
}

/// The ring file that replay begins with.
fn newest_ring_file(directory: &MemoryDisk) -> String {
    let checkpoint = directory
        .file(&newest_checkpoint(directory))
        .and_then(Checkpoint::decode);
    ring_path(checkpoint.map_or(0, |found| found.start.file))
}

/// The largest file below a folder with that ending.
pub(super) fn path_of_largest(directory: &MemoryDisk, prefix: &str, suffix: &str) -> String {
    let named = directory
        .paths()
        .filter(|path| path.starts_with(prefix) && path.ends_with(suffix));
    let largest = named.max_by_key(|path| directory.file(path).map_or(0, <[u8]>::len));
    largest.unwrap_or_default().to_owned()
}
