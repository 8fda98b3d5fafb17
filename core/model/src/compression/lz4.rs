//! LZ4 frames, format version 1.6.
//!
//! Frames are written as Java's producer writes them: independent blocks of 64 KiB, no checksums
//! but the header's. Reading takes linked blocks, all block sizes and all checksums, and
//! decompresses each block straight behind its predecessor, so that the size of block that a header
//! announces (up to 4 MiB) costs nothing by itself.
//!
//! ```text
//! magic 184D2204 | flags | block size | [content size: 8] | header checksum | blocks | 0 | [xxh32]
//! block: length (high bit: stored as is) | bytes | [xxh32]
//! ```

use lz4_flex::block::DecompressError;
use twox_hash::XxHash32;

use super::decompress::Bounded;
use super::{Codec, CompressionError};

pub(super) fn compress(input: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let failed = |detail: String| CompressionError::encode(Codec::Lz4, detail);
    let descriptor = [
        VERSION | INDEPENDENT_BLOCKS,
        BLOCK_SIZE_64_KIB << BLOCK_SIZE_SHIFT,
    ];
    let mut output = Vec::with_capacity(FRAME_OVERHEAD_BYTES + input.len() / 2);
    output.extend_from_slice(&MAGIC);
    output.extend_from_slice(&descriptor);
    output.push(header_checksum(&descriptor));
    let block_bytes = BLOCK_BYTES.min(input.len());
    let mut block = vec![0; lz4_flex::block::get_maximum_output_size(block_bytes)];
    for chunk in input.chunks(BLOCK_BYTES) {
        let count = lz4_flex::block::compress_into(chunk, &mut block)
            .map_err(|error| failed(error.to_string()))?;
        let (stored, flag) = match block.get(..count) {
            Some(compressed) if count < chunk.len() => (compressed, 0),
            Some(_) | None => (chunk, STORED),
        };
        let length = u32::try_from(stored.len()).map_err(|error| failed(error.to_string()))?;
        output.extend_from_slice(&(length | flag).to_le_bytes());
        output.extend_from_slice(stored);
    }
    output.extend_from_slice(&END_MARK.to_le_bytes());
    Ok(output)
}

pub(super) fn decompress(input: &[u8], output: &mut Bounded<'_>) -> Result<(), CompressionError> {
    let mut input = Input { rest: input };
    let frame = input.frame().map_err(|detail| output.corrupt(detail))?;
    loop {
        let word = input.u32().map_err(|detail| output.corrupt(detail))?;
        if word == END_MARK {
            break;
        }
        let block = input
            .block(&frame, word)
            .map_err(|detail| output.corrupt(detail))?;
        if word & STORED == 0 {
            decompress_block(&frame, block, output)?;
        } else {
            output.extend(block)?;
        }
    }
    frame
        .check_content(&mut input, output.bytes)
        .map_err(|detail| output.corrupt(detail))
}

fn decompress_block(
    frame: &Frame,
    block: &[u8],
    output: &mut Bounded<'_>,
) -> Result<(), CompressionError> {
    let codec = output.codec;
    let most = frame.block_bytes.min(block.len().saturating_mul(MAX_RATIO));
    let granted = most.min(output.room());
    let (written, fresh) = output.grow(granted)?;
    let written_bytes = written.len();
    let result = if frame.linked {
        let window = written.len().saturating_sub(WINDOW_BYTES);
        let (_, window) = written.split_at(window);
        lz4_flex::block::decompress_into_with_dict(block, fresh, window)
    } else {
        lz4_flex::block::decompress_into(block, fresh)
    };
    let too_small = matches!(result, Err(DecompressError::OutputTooSmall { .. }));
    if too_small && granted < most {
        return Err(output.exceeded());
    }
    let count = result.map_err(|error| CompressionError::corrupt(codec, error))?;
    output.bytes.truncate(written_bytes + count);
    Ok(())
}

/// What the frame header says.
struct Frame {
    block_bytes: usize,
    linked: bool,
    block_checksums: bool,
    content_checksum: bool,
    content_bytes: Option<u64>,
}

impl Frame {
    fn check_content(&self, input: &mut Input<'_>, content: &[u8]) -> Result<(), &'static str> {
        if self.content_checksum && input.u32()? != XxHash32::oneshot(0, content) {
            return Err("the content checksum does not match");
        }
        let length = u64::try_from(content.len()).unwrap_or(u64::MAX);
        if self
            .content_bytes
            .is_some_and(|announced| announced != length)
        {
            return Err("the content has another length than announced");
        }
        if input.rest.is_empty() {
            Ok(())
        } else {
            Err("bytes follow the frame")
        }
    }
}

/// The bytes that are still to be read; errors say what was wrong with them.
struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (head, tail) = self
            .rest
            .split_at_checked(count)
            .ok_or("the frame is cut off")?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (head, tail) = self
            .rest
            .split_first_chunk()
            .ok_or("the frame is cut off")?;
        self.rest = tail;
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u32, &'static str> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn frame(&mut self) -> Result<Frame, &'static str> {
        if self.array()? != MAGIC {
            return Err("no LZ4 frame");
        }
        let after_magic = self.rest;
        let [flags, sizes] = self.array()?;
        if flags & VERSION_MASK != VERSION || flags & (RESERVED | DICTIONARY) != 0 {
            return Err("a frame of an unknown version, or with a dictionary");
        }
        let content_bytes = match flags & CONTENT_SIZE {
            0 => None,
            _ => Some(u64::from_le_bytes(self.array()?)),
        };
        let descriptor_bytes = after_magic.len() - self.rest.len();
        let [checksum] = self.array()?;
        if after_magic.get(..descriptor_bytes).map(header_checksum) != Some(checksum) {
            return Err("the header checksum does not match");
        }
        Ok(Frame {
            block_bytes: block_bytes(sizes).ok_or("an unknown block size")?,
            linked: flags & INDEPENDENT_BLOCKS == 0,
            block_checksums: flags & BLOCK_CHECKSUMS != 0,
            content_checksum: flags & CONTENT_CHECKSUM != 0,
            content_bytes,
        })
    }

    fn block(&mut self, frame: &Frame, word: u32) -> Result<&'a [u8], &'static str> {
        let length = usize::try_from(word & !STORED).unwrap_or(usize::MAX);
        if length > frame.block_bytes {
            return Err("a block is larger than announced");
        }
        let block = self.take(length)?;
        if frame.block_checksums && self.u32()? != XxHash32::oneshot(0, block) {
            return Err("a block checksum does not match");
        }
        Ok(block)
    }
}

/// Largest uncompressed block that the descriptor's second byte allows.
fn block_bytes(sizes: u8) -> Option<usize> {
    match sizes {
        0x40 => Some(64 * 1024),
        0x50 => Some(256 * 1024),
        0x60 => Some(1024 * 1024),
        0x70 => Some(4 * 1024 * 1024),
        _ => None,
    }
}

/// The second byte of the descriptor's xxHash32.
fn header_checksum(descriptor: &[u8]) -> u8 {
    let [_, second, ..] = XxHash32::oneshot(0, descriptor).to_le_bytes();
    second
}

const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
const VERSION_MASK: u8 = 0b1100_0000;
const VERSION: u8 = 0b0100_0000;
const INDEPENDENT_BLOCKS: u8 = 0b0010_0000;
const BLOCK_CHECKSUMS: u8 = 0b0001_0000;
const CONTENT_SIZE: u8 = 0b0000_1000;
const CONTENT_CHECKSUM: u8 = 0b0000_0100;
const RESERVED: u8 = 0b0000_0010;
const DICTIONARY: u8 = 0b0000_0001;
const BLOCK_SIZE_64_KIB: u8 = 4;
const BLOCK_SIZE_SHIFT: u8 = 4;
const STORED: u32 = 1 << 31;
const END_MARK: u32 = 0;

/// Header, one block length and the end mark.
const FRAME_OVERHEAD_BYTES: usize = 15;

/// Uncompressed bytes per block when writing.
const BLOCK_BYTES: usize = 64 * 1024;

/// How far back a match in a linked block can reach.
const WINDOW_BYTES: usize = 64 * 1024;

/// No byte of an LZ4 block stands for more output than this.
const MAX_RATIO: usize = 255;
