//! Bounded decompression.

use std::fmt;
use std::io::Read;

use super::zstd_codec::ZstdDecoder;
use super::{Codec, CompressionError, lz4, snappy};

/// How much the records of one batch may grow when decompressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecompressLimits {
    /// Most bytes of output, unless [`DecompressLimits::HARMLESS_RATIO`] allows more.
    pub max_bytes: usize,
    /// Most bytes of output per byte of input, for outputs above
    /// [`DecompressLimits::RATIO_FREE_BYTES`].
    pub max_ratio: usize,
}

impl DecompressLimits {
    /// Output up to this size is not held to the ratio: short runs of equal bytes compress
    /// thousandfold without ill intent.
    pub const RATIO_FREE_BYTES: usize = 4 * 1024 * 1024;
    /// Output of up to this many bytes per byte of input is allowed even above
    /// [`DecompressLimits::max_bytes`]: who sends that much is no bomb.
    pub const HARMLESS_RATIO: usize = 4;

    /// Bytes of output that `input_bytes` of input may give.
    #[must_use]
    pub fn for_input(self, input_bytes: usize) -> usize {
        let by_ratio = input_bytes
            .saturating_mul(self.max_ratio)
            .max(Self::RATIO_FREE_BYTES);
        let harmless = input_bytes.saturating_mul(Self::HARMLESS_RATIO);
        by_ratio.min(self.max_bytes.max(harmless))
    }
}

impl Default for DecompressLimits {
    fn default() -> Self {
        Self {
            max_bytes: 16 * 1024 * 1024,
            max_ratio: 1024,
        }
    }
}

/// A reusable output buffer and decoder state, so that reading batch after batch allocates once.
#[derive(Default)]
pub struct Decompressor {
    pub(super) output: Vec<u8>,
    zstd: Option<ZstdDecoder>,
}

impl Decompressor {
    /// A decompressor that owns no memory yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Decompresses `input` into the buffer, which the next call overwrites.
    ///
    /// # Errors
    /// [`CompressionError::LimitExceeded`] above `limit_bytes` of output,
    /// [`CompressionError::Corrupt`] when `input` is not what `codec` writes.
    pub fn decompress(
        &mut self,
        codec: Codec,
        input: &[u8],
        limit_bytes: usize,
    ) -> Result<&[u8], CompressionError> {
        self.output.clear();
        self.output.shrink_to(KEEP_BYTES);
        let output = &mut Bounded {
            bytes: &mut self.output,
            limit_bytes,
            codec,
        };
        match codec {
            Codec::None => output.extend(input)?,
            Codec::Gzip => gunzip(input, output)?,
            Codec::Snappy => snappy::decompress(input, output)?,
            Codec::Lz4 => lz4::decompress(input, output)?,
            Codec::Zstd => self
                .zstd
                .get_or_insert_default()
                .decompress(input, output)?,
        }
        Ok(&self.output)
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor")
            .field("capacity", &self.output.capacity())
            .finish_non_exhaustive()
    }
}

/// Decompresses `input` into memory of its own.
///
/// # Errors
/// Those of [`Decompressor::decompress`].
pub fn decompress(
    codec: Codec,
    input: &[u8],
    limit_bytes: usize,
) -> Result<Vec<u8>, CompressionError> {
    let mut decompressor = Decompressor::new();
    decompressor.decompress(codec, input, limit_bytes)?;
    Ok(decompressor.output)
}

/// An output that refuses to pass its limit. Its capacity stays at or below the limit too, but for
/// what an earlier use left behind.
pub(super) struct Bounded<'a> {
    pub(super) bytes: &'a mut Vec<u8>,
    pub(super) limit_bytes: usize,
    pub(super) codec: Codec,
}

impl Bounded<'_> {
    /// Bytes that may still be added.
    pub(super) fn room(&self) -> usize {
        self.limit_bytes.saturating_sub(self.bytes.len())
    }

    pub(super) fn exceeded(&self) -> CompressionError {
        CompressionError::LimitExceeded {
            codec: self.codec,
            limit_bytes: self.limit_bytes,
        }
    }

    pub(super) fn corrupt(&self, detail: impl fmt::Display) -> CompressionError {
        CompressionError::corrupt(self.codec, detail)
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) -> Result<(), CompressionError> {
        self.reserve(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends `count` zeros to be overwritten, and returns them with what stands before them.
    pub(super) fn grow(
        &mut self,
        count: usize,
    ) -> Result<(&mut [u8], &mut [u8]), CompressionError> {
        self.reserve(count)?;
        let old_len = self.bytes.len();
        self.bytes.resize(old_len + count, 0);
        Ok(self.bytes.split_at_mut(old_len))
    }

    /// Capacity for `count` more bytes: doubling, as `Vec` does, yet never above the limit.
    fn reserve(&mut self, count: usize) -> Result<(), CompressionError> {
        if count > self.room() {
            return Err(self.exceeded());
        }
        let wanted = self.bytes.len() + count;
        if wanted > self.bytes.capacity() {
            let target = self
                .bytes
                .capacity()
                .saturating_mul(2)
                .clamp(wanted, self.limit_bytes);
            self.bytes.reserve_exact(target - self.bytes.len());
        }
        Ok(())
    }
}

/// Concatenated members are one stream, as for Java's `GZIPInputStream`.
fn gunzip(input: &[u8], output: &mut Bounded<'_>) -> Result<(), CompressionError> {
    let mut decoder = flate2::bufread::MultiGzDecoder::new(input);
    let mut chunk = [0; GZIP_CHUNK_BYTES];
    loop {
        let count = decoder
            .read(&mut chunk)
            .map_err(|error| output.corrupt(error))?;
        if count == 0 {
            return Ok(());
        }
        output.extend(chunk.get(..count).unwrap_or_default())?;
    }
}

/// Bytes of stack between inflate and the output.
const GZIP_CHUNK_BYTES: usize = 8 * 1024;

/// Capacity that a decompressor keeps between batches.
const KEEP_BYTES: usize = 1024 * 1024;
