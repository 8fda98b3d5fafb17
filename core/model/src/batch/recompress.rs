//! Changing the codec of a batch, for topics whose `compression.type` differs from the producer's.

use super::builder::{BuildError, append_payload, seal};
use super::error::BatchError;
use super::header::HEADER_BYTES;
use super::view::BatchView;
use crate::compression::{Codec, CompressionError, DecompressLimits, Decompressor};

/// Writes `batch` with its records compressed by `codec` at `level` (`None`: the codec's default).
/// The records and every other field stay as they are; only length, codec and checksum change.
///
/// # Errors
/// [`BatchError::Compression`] when the records do not decompress within `limits` or do not
/// compress, [`BatchError::UnknownCodec`].
pub fn recompress(
    batch: &BatchView<'_>,
    codec: Codec,
    level: Option<i32>,
    scratch: &mut Decompressor,
    limits: DecompressLimits,
) -> Result<Vec<u8>, BatchError> {
    let payload = batch.payload();
    let plain = match batch.header().compression()? {
        Codec::None => payload,
        old @ (Codec::Gzip | Codec::Snappy | Codec::Lz4 | Codec::Zstd) if !payload.is_empty() => {
            scratch.decompress(old, payload, limits.for_input(payload.len()))?
        }
        Codec::Gzip | Codec::Snappy | Codec::Lz4 | Codec::Zstd => payload,
    };
    let header = batch.bytes().get(..HEADER_BYTES).unwrap_or_default();
    let mut output = Vec::with_capacity(HEADER_BYTES + plain.len() / 2);
    output.extend_from_slice(header);
    append_payload(&mut output, plain, codec, level)?;
    seal(&mut output, codec).map_err(|error: BuildError| {
        BatchError::Compression(CompressionError::Encode {
            codec,
            detail: error.to_string(),
        })
    })?;
    Ok(output)
}
