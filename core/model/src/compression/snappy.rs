//! Snappy as Kafka carries it.
//!
//! Java and librdkafka write the stream of snappy-java: a header of 16 bytes (eight of magic, two
//! big-endian version numbers), then blocks, each with its compressed length in four big-endian
//! bytes. Some clients write one bare block instead; reading takes both.

use super::decompress::Bounded;
use super::{Codec, CompressionError};

pub(super) fn compress(input: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let failed = |error: snap::Error| CompressionError::encode(Codec::Snappy, error);
    let mut encoder = snap::raw::Encoder::new();
    let mut output = Vec::with_capacity(HEADER_BYTES + input.len() / 2);
    output.extend_from_slice(&MAGIC);
    output.extend_from_slice(&VERSION.to_be_bytes());
    output.extend_from_slice(&VERSION.to_be_bytes());
    let mut block = vec![0; snap::raw::max_compress_len(BLOCK_BYTES.min(input.len()))];
    for chunk in input.chunks(BLOCK_BYTES) {
        let count = encoder.compress(chunk, &mut block).map_err(failed)?;
        let length =
            u32::try_from(count).map_err(|error| CompressionError::encode(Codec::Snappy, error))?;
        output.extend_from_slice(&length.to_be_bytes());
        output.extend_from_slice(block.get(..count).unwrap_or_default());
    }
    Ok(output)
}

pub(super) fn decompress(input: &[u8], output: &mut Bounded<'_>) -> Result<(), CompressionError> {
    if !input.starts_with(&MAGIC) {
        return decompress_block(input, output);
    }
    let mut rest = input;
    while !rest.is_empty() {
        // Streams that were concatenated carry their header again.
        if rest.starts_with(&MAGIC) {
            let body = rest.get(HEADER_BYTES..);
            rest = body.ok_or_else(|| output.corrupt("the stream header is cut off"))?;
            continue;
        }
        let (length, tail) = rest
            .split_first_chunk()
            .ok_or_else(|| output.corrupt("a block length is cut off"))?;
        let block = usize::try_from(u32::from_be_bytes(*length))
            .ok()
            .and_then(|length| tail.split_at_checked(length));
        let (block, tail) = block.ok_or_else(|| output.corrupt("a block is cut off"))?;
        decompress_block(block, output)?;
        rest = tail;
    }
    Ok(())
}

fn decompress_block(block: &[u8], output: &mut Bounded<'_>) -> Result<(), CompressionError> {
    let length = snap::raw::decompress_len(block).map_err(|error| output.corrupt(error))?;
    if length > block.len().saturating_mul(MAX_RATIO) {
        return Err(output.corrupt("a block claims more bytes than it can hold"));
    }
    let codec = output.codec;
    let (_, fresh) = output.grow(length)?;
    snap::raw::Decoder::new()
        .decompress(block, fresh)
        .map_err(|error| CompressionError::corrupt(codec, error))?;
    Ok(())
}

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER_BYTES: usize = 16;

/// Both the version and the lowest compatible version.
const VERSION: u32 = 1;

/// Uncompressed bytes per block: what snappy-java writes by default.
const BLOCK_BYTES: usize = 32 * 1024;

/// Above what the format can reach: its densest element makes 64 bytes from 3.
const MAX_RATIO: usize = 22;
