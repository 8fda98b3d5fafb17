//! Compression codecs of record batches.
//!
//! Compressing is plain; decompressing is written for hostile input: it never grows its output
//! above the caller's limit, and never allocates for what a header merely claims.

#![warn(clippy::indexing_slicing)]

mod decompress;
mod lz4;
mod snappy;
#[cfg(test)]
mod tests;
mod zstd_codec;

use std::fmt;
use std::io::Write;

pub use decompress::{DecompressLimits, Decompressor, decompress};

/// How the records of a batch are compressed; the numbers are the low three bits of the batch
/// attributes (KIP-98, KIP-110).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Codec {
    /// Records stand as they are.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy blocks in the framing of snappy-java ("xerial").
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// RFC 8878.
    Zstd,
}

impl Codec {
    /// Every codec, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The number in the batch attributes.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The codec of a number; `None` for numbers that Kafka has not assigned.
    #[must_use]
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The name in `compression.type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// The codec of a name as producers configure it; `None` for other names.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why bytes could not be compressed or decompressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// The input is not what the codec writes.
    #[error("malformed {codec} data: {detail}")]
    Corrupt {
        /// The codec that was asked to decompress.
        codec: Codec,
        /// What the codec found.
        detail: String,
    },
    /// The output would have been larger than allowed.
    #[error("{codec} data decompresses to more than {limit_bytes} bytes")]
    LimitExceeded {
        /// The codec that was asked to decompress.
        codec: Codec,
        /// The limit that applied.
        limit_bytes: usize,
    },
    /// The codec refused to compress.
    #[error("{codec} can not compress: {detail}")]
    Encode {
        /// The codec that was asked to compress.
        codec: Codec,
        /// What the codec said.
        detail: String,
    },
}

impl CompressionError {
    fn corrupt(codec: Codec, detail: impl fmt::Display) -> Self {
        Self::Corrupt {
            codec,
            detail: detail.to_string(),
        }
    }

    fn encode(codec: Codec, detail: impl fmt::Display) -> Self {
        Self::Encode {
            codec,
            detail: detail.to_string(),
        }
    }
}

/// Compresses `input`. `level` is the codec's own scale (`compression.gzip.level`,
/// `compression.zstd.level`, KIP-390), `None` its default; snappy has no levels and lz4 writes its
/// fast level whatever is asked.
///
/// # Errors
/// [`CompressionError::Encode`] when the codec fails, which in-memory input gives no reason for.
pub fn compress(
    codec: Codec,
    level: Option<i32>,
    input: &[u8],
) -> Result<Vec<u8>, CompressionError> {
    match codec {
        Codec::None => Ok(input.to_vec()),
        Codec::Gzip => gzip(level, input).map_err(|error| CompressionError::encode(codec, error)),
        Codec::Snappy => snappy::compress(input),
        Codec::Lz4 => lz4::compress(input),
        Codec::Zstd => zstd_codec::compress(level, input),
    }
}

fn gzip(level: Option<i32>, input: &[u8]) -> std::io::Result<Vec<u8>> {
    let level = level
        .and_then(|level| u32::try_from(level.min(GZIP_BEST)).ok())
        .map_or_else(flate2::Compression::default, flate2::Compression::new);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(input)?;
    encoder.finish()
}

/// The highest level of gzip.
const GZIP_BEST: i32 = 9;
