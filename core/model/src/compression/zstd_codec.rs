//! Zstandard.
//!
//! Decompression is done in one call per attempt, straight into the output: unlike zstd's streaming
//! decoder this needs no window, whose size (up to 128 MiB) the input would choose.

use zstd::zstd_safe::{self, DCtx};

use super::decompress::Bounded;
use super::{Codec, CompressionError};

pub(super) fn compress(level: Option<i32>, input: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
    zstd::bulk::compress(input, level).map_err(|error| CompressionError::encode(Codec::Zstd, error))
}

/// A decoder state (about 160 KB), kept from batch to batch.
pub(super) struct ZstdDecoder(DCtx<'static>);

impl Default for ZstdDecoder {
    fn default() -> Self {
        Self(DCtx::create())
    }
}

impl ZstdDecoder {
    /// Tries a small output first and four times as much after each failure for want of room, so
    /// that memory follows the bytes that really come out; the attempts sum to a third of the last.
    pub(super) fn decompress(
        &mut self,
        input: &[u8],
        output: &mut Bounded<'_>,
    ) -> Result<(), CompressionError> {
        if input.is_empty() {
            return Err(output.corrupt("no frame"));
        }
        let mut capacity = first_capacity(input).min(output.limit_bytes);
        loop {
            output.bytes.reserve_exact(capacity);
            match self.0.decompress(output.bytes, input) {
                Ok(count) if count > output.limit_bytes => return Err(output.exceeded()),
                Ok(_) => return Ok(()),
                Err(code) if code != OUTPUT_TOO_SMALL => {
                    return Err(output.corrupt(zstd_safe::get_error_name(code)));
                }
                Err(_) if output.bytes.capacity() >= output.limit_bytes => {
                    return Err(output.exceeded());
                }
                Err(_) => {
                    // A frame that claims to be empty had no room at all so far.
                    let wanted = output.bytes.capacity().saturating_mul(4);
                    capacity = wanted.max(SMALL_BYTES).min(output.limit_bytes);
                }
            }
        }
    }
}

/// Room for the first attempt: what the frame claims if that is believable, else a guess.
fn first_capacity(input: &[u8]) -> usize {
    let guess = input.len().saturating_mul(4).max(SMALL_BYTES);
    let believable = input.len().saturating_mul(BELIEVED_RATIO).max(SMALL_BYTES);
    let claim = zstd_safe::get_frame_content_size(input).ok().flatten();
    let claim = claim.and_then(|claim| usize::try_from(claim).ok());
    claim.filter(|claim| *claim <= believable).unwrap_or(guess)
}

/// Room that is given without looking at the input.
const SMALL_BYTES: usize = 64 * 1024;

/// Claims up to this multiple of the input are allocated at once.
const BELIEVED_RATIO: usize = 32;

/// `-ZSTD_error_dstSize_tooSmall`, the form in which zstd returns its errors.
const OUTPUT_TOO_SMALL: usize = 0_usize.wrapping_sub(70);
