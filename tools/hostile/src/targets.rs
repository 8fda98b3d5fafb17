//! Everything that takes bytes from network or disk.

mod batches;
mod compression;
mod decoders;
mod frames;
mod groups;
mod handlers;
mod headers;
mod metadata;
mod properties;
mod reads;
mod recovery;
mod samples;
mod wire;

use crate::target::Target;

/// Record batches of every codec, and bombs.
#[must_use]
pub fn batches_of_every_kind() -> Vec<Vec<u8>> {
    let mut all = samples::batches();
    all.extend(samples::bombs());
    all
}

/// How often a target gets its turn.
pub type Share = u64;

/// Every target, with its share of the inputs.
///
/// # Panics
/// A broker without hostile input does not work.
#[must_use]
pub fn all() -> Vec<(Share, Box<dyn Target>)> {
    let directory = samples::directory(TOPICS_OF_A_SNAPSHOT);
    let without_snapshot = samples::directory(0);
    let mut targets: Vec<(Share, Box<dyn Target>)> = vec![
        (200, Box::new(handlers::Handlers::new())),
        (100, Box::new(decoders::Decoders::new())),
        (10, Box::new(frames::Frames::new())),
        (40, Box::new(headers::Headers::new())),
        (15, Box::new(batches::Batches::new())),
        (12, Box::new(compression::Compression::new())),
        (12, Box::new(reads::Reads::new(&directory))),
        (10, Box::new(reads::Index::new(&directory))),
        (12, Box::new(groups::Groups::new(&directory))),
        (12, Box::new(metadata::Records::new())),
        (12, Box::new(metadata::Snapshot::new(&directory))),
        (6, Box::new(properties::Properties)),
    ];
    for kind in recovery::Kind::ALL {
        let directory = match kind {
            recovery::Kind::MetadataLog => &without_snapshot,
            recovery::Kind::Journal
            | recovery::Kind::Rebuild
            | recovery::Kind::Checkpoint
            | recovery::Kind::Marker => &directory,
        };
        targets.push((1, Box::new(recovery::Recovery::new(kind, directory))));
    }
    targets
}

/// Topics whose creation makes a broker under test write a snapshot of its metadata.
const TOPICS_OF_A_SNAPSHOT: usize = 20;
