//! `meta.properties`: who owns a data directory and in which format it is written.
//!
//! The layout is Kafka's (version 1) with our keys beside it, so that people and tools read it alike.

use std::collections::BTreeMap;

use chronik_model::ids::{base_url_decode_16, base64_url};

use crate::journal::format::FRAME_ALIGNMENT;

/// Version of the directory as a whole; a directory of a later version is refused, one of an earlier
/// version is read.
pub const DIRECTORY_FORMAT_VERSION: u32 = 2;
/// Name of the file.
pub const META_PROPERTIES_PATH: &str = "meta.properties";

/// Fewest and most files of a journal ring: one is written, one is trimmed, one is kept free.
pub const JOURNAL_FILES: std::ops::RangeInclusive<usize> = 3..=4096;
/// Fewest and most bytes of a ring file, which must be a multiple of a frame's alignment.
pub const JOURNAL_FILE_BYTES: std::ops::RangeInclusive<u64> = 64 << 10..=1 << 40;

/// Content of `meta.properties`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaProperties {
    /// Cluster id as Kafka prints it.
    pub cluster_id: String,
    /// Broker that owns the directory.
    pub node_id: i32,
    /// Identity of the directory itself.
    pub directory_id: [u8; 16],
    /// Files of the journal ring.
    pub journal_files: usize,
    /// Bytes of each.
    pub journal_file_bytes: u64,
}

/// Why a directory is not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetaPropertiesError {
    /// A key is missing or has no readable value.
    #[error("meta.properties: {0} is missing or unreadable")]
    Invalid(&'static str),
    /// Written by a later version.
    #[error(
        "meta.properties: the directory has format version {found}, this is {DIRECTORY_FORMAT_VERSION}: use a later chronik-server"
    )]
    TooNew {
        /// Version found.
        found: u32,
    },
    /// A feature that this version does not know changes the meaning of the files.
    #[error("meta.properties: the directory needs the feature {0:?}: use a later chronik-server")]
    Incompatible(String),
}

impl MetaProperties {
    /// Text of the file.
    #[must_use]
    pub fn encode(&self) -> String {
        format!(
            "version=1\ncluster.id={}\nnode.id={}\ndirectory.id={}\nchronik.format.version={}\n\
             chronik.format.compatible=\nchronik.format.incompatible=\nchronik.journal.files={}\n\
             chronik.journal.file.bytes={}\n",
            self.cluster_id,
            self.node_id,
            base64_url(&self.directory_id),
            DIRECTORY_FORMAT_VERSION,
            self.journal_files,
            self.journal_file_bytes
        )
    }

    /// Reads the file.
    ///
    /// # Errors
    /// A key is missing, or the directory is of a later format.
    pub fn decode(text: &str) -> Result<Self, MetaPropertiesError> {
        let pairs: BTreeMap<&str, &str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.trim(), value.trim()))
            .collect();
        let found: u32 = number(&pairs, "chronik.format.version")?;
        if found > DIRECTORY_FORMAT_VERSION {
            return Err(MetaPropertiesError::TooNew { found });
        }
        if let Some(features) = pairs
            .get("chronik.format.incompatible")
            .filter(|set| !set.is_empty())
        {
            return Err(MetaPropertiesError::Incompatible((*features).to_owned()));
        }
        let directory_id = pairs
            .get("directory.id")
            .and_then(|id| base_url_decode_16(id));
        let journal_files = number(&pairs, "chronik.journal.files")?;
        if !JOURNAL_FILES.contains(&journal_files) {
            return Err(MetaPropertiesError::Invalid("chronik.journal.files"));
        }
        let journal_file_bytes: u64 = number(&pairs, "chronik.journal.file.bytes")?;
        let aligned = journal_file_bytes.is_multiple_of(FRAME_ALIGNMENT as u64);
        if !aligned || !JOURNAL_FILE_BYTES.contains(&journal_file_bytes) {
            return Err(MetaPropertiesError::Invalid("chronik.journal.file.bytes"));
        }
        Ok(Self {
            cluster_id: number(&pairs, "cluster.id")?,
            node_id: number(&pairs, "node.id")?,
            directory_id: directory_id.ok_or(MetaPropertiesError::Invalid("directory.id"))?,
            journal_files,
            journal_file_bytes,
        })
    }
}

fn number<T: std::str::FromStr>(
    pairs: &BTreeMap<&str, &str>,
    key: &'static str,
) -> Result<T, MetaPropertiesError> {
    let value = pairs.get(key).and_then(|value| value.parse().ok());
    value.ok_or(MetaPropertiesError::Invalid(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> MetaProperties {
        MetaProperties {
            cluster_id: "abc".to_owned(),
            node_id: 1,
            directory_id: [0xE7; 16],
            journal_files: 8,
            journal_file_bytes: 1 << 26,
        }
    }

    #[test]
    fn the_file_comes_back_as_written() {
        assert_eq!(MetaProperties::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn directories_of_an_earlier_version_are_read() {
        let text = sample()
            .encode()
            .replace("format.version=2", "format.version=1");
        assert_eq!(MetaProperties::decode(&text), Ok(sample()));
    }

    #[test]
    fn directories_of_a_later_version_are_refused() {
        let check = |from: &str, to: &str, expected: MetaPropertiesError| {
            let text = sample().encode().replace(from, to);
            assert_eq!(MetaProperties::decode(&text), Err(expected));
        };
        check(
            "format.version=2",
            "format.version=3",
            MetaPropertiesError::TooNew { found: 3 },
        );
        check(
            "incompatible=",
            "incompatible=x",
            MetaPropertiesError::Incompatible("x".to_owned()),
        );
        check(
            "node.id=1",
            "node.id=one",
            MetaPropertiesError::Invalid("node.id"),
        );
        check(
            "files=8",
            "files=2",
            MetaPropertiesError::Invalid("chronik.journal.files"),
        );
        check(
            "bytes=67108864",
            "bytes=67108865",
            MetaPropertiesError::Invalid("chronik.journal.file.bytes"),
        );
        check(
            "directory.id=5",
            "directory.id=!",
            MetaPropertiesError::Invalid("directory.id"),
        );
    }
}
