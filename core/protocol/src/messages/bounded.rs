//! The buffer through which untrusted bodies are decoded.

use std::ops::Range;

use bytes::{Buf, Bytes};
use proto_kafka::protocol::buf::{ByteBuf, NotEnoughBytesError};

/// The most strings, byte fields and unknown tagged fields of one message, all together. Each takes
/// much more memory than the byte that it needs on the wire.
pub const MAX_FIELDS: usize = 200_000;

/// The most elements that one array may claim: a topic has no more partitions.
const MAX_ELEMENTS: usize = 100_000;

/// The most numbers, lengths and counts of one message, all together: what bounds the elements of
/// arrays within arrays.
const MAX_READS: usize = 1_000_000;

/// Below this many bytes an array may claim one element for each of them.
const SMALL_BYTES: usize = 4096;

/// An array of more elements than [`SMALL_BYTES`] has at least this many bytes for each. Partition
/// numbers are the smallest elements that come in such amounts.
const BULK_ELEMENT_BYTES: usize = 4;

/// Shows the generated decoder a body in a way that bounds what it allocates.
///
/// The decoder lets an array claim as many elements as [`Buf::remaining`] has bytes, and reserves
/// memory for them; so `remaining` counts elements here where many bytes are left. Fields of
/// variable size are all taken through [`ByteBuf::try_get_bytes`], which compares with the true
/// number of bytes, and which is where their number is limited.
#[derive(Debug)]
pub(super) struct BoundedBuf {
    bytes: Bytes,
    fields_left: usize,
    reads_left: usize,
    exhausted: bool,
}

impl BoundedBuf {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self {
            bytes,
            fields_left: MAX_FIELDS,
            reads_left: MAX_READS,
            exhausted: false,
        }
    }

    /// Whether decoding failed because the message has too many parts.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted
    }
}

impl Buf for BoundedBuf {
    fn remaining(&self) -> usize {
        if self.exhausted {
            return 0;
        }
        let left = self.bytes.len();
        if left <= SMALL_BYTES {
            return left;
        }
        (left / BULK_ELEMENT_BYTES).clamp(SMALL_BYTES, MAX_ELEMENTS)
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.get(..self.remaining()).unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        // The decoder finds nothing left when it looks for more.
        self.reads_left = self.reads_left.saturating_sub(1);
        self.exhausted |= self.reads_left == 0;
    }
}

impl ByteBuf for BoundedBuf {
    fn peek_bytes(&mut self, range: Range<usize>) -> Bytes {
        self.bytes.slice(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.bytes.split_to(size)
    }

    fn try_peek_bytes(&mut self, range: Range<usize>) -> Result<Bytes, NotEnoughBytesError> {
        if range.start > range.end || range.end > self.bytes.len() {
            return Err(NotEnoughBytesError);
        }
        Ok(self.bytes.slice(range))
    }

    fn try_get_bytes(&mut self, size: usize) -> Result<Bytes, NotEnoughBytesError> {
        let Some(fields_left) = self.fields_left.checked_sub(1).filter(|_| !self.exhausted) else {
            self.exhausted = true;
            return Err(NotEnoughBytesError);
        };
        self.fields_left = fields_left;
        if size > self.bytes.len() {
            return Err(NotEnoughBytesError);
        }
        Ok(self.bytes.split_to(size))
    }
}
