//! Frames while they are filled, written, and kept as the hot tail.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use chronik_model::LogId;

use super::format::{FRAME_ALIGNMENT, FRAME_HEADER_BYTES, Operation};
use crate::log::partition_log::Placement;
use crate::store::LogSlot;

/// Bytes allocated at once for frames; a larger batch gets a chunk of its own.
pub const CHUNK_BYTES: usize = 1 << 20;
/// What is left of a chunk below this is given up rather than filled with tiny frames.
const MIN_REMAINDER_BYTES: usize = 16 << 10;

/// One batch inside a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameEntry {
    /// The log, by identity.
    pub log_id: LogId,
    /// The log, by place in its store.
    pub slot: LogSlot,
    /// Where the batch lies in the frame.
    pub range: Range<usize>,
    /// Where the batch stands in its log.
    pub placement: Placement,
}

/// The frame that a shard fills until the journal takes it.
///
/// ```text
/// chunk   |<- header space ->|<- operations ... ->|<- padding ->|<- next frame ...
///         ^ 4 KiB boundary                                      ^ 4 KiB boundary
/// ```
#[derive(Debug)]
pub struct OpenFrame {
    chunk: BytesMut,
    chunk_bytes: usize,
    entries: Vec<FrameEntry>,
    controls: Vec<u64>,
    full: Vec<SealedFrame>,
}

/// A frame that is complete but for its header, which the journal writes.
#[derive(Debug)]
pub struct SealedFrame {
    /// Header space, operations and padding.
    pub bytes: BytesMut,
    /// Bytes of the operations.
    pub operation_bytes: usize,
    /// The batches in it.
    pub entries: Vec<FrameEntry>,
    /// Tokens of control operations in it, told when it is durable.
    pub controls: Vec<u64>,
}

/// A frame that is durable.
#[derive(Debug)]
pub struct CommittedFrame {
    /// Its number in the chain.
    pub sequence: u64,
    /// Header, operations and padding: the hot tail slices its batches out of here.
    pub bytes: Bytes,
    /// The batches in it.
    pub entries: Vec<FrameEntry>,
    /// Tokens of the control operations in it.
    pub controls: Vec<u64>,
}

impl Default for OpenFrame {
    fn default() -> Self {
        Self::new(CHUNK_BYTES)
    }
}

impl OpenFrame {
    /// One that closes frames before they have `chunk_bytes`, but for a batch that is larger.
    #[must_use]
    pub fn new(chunk_bytes: usize) -> Self {
        Self {
            chunk: BytesMut::new(),
            chunk_bytes,
            entries: Vec::new(),
            controls: Vec::new(),
            full: Vec::new(),
        }
    }

    /// Whether nothing waits for the journal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunk.len() <= FRAME_HEADER_BYTES && self.full.is_empty()
    }

    /// Bytes that wait for the journal.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let full: usize = self.full.iter().map(|frame| frame.bytes.len()).sum();
        full + self.chunk.len()
    }

    /// Copies one batch in and returns its bytes for patching.
    pub fn append(
        &mut self,
        entry_of: impl FnOnce(Range<usize>) -> FrameEntry,
        operation: &Operation<'_>,
        log_id: LogId,
    ) -> &mut [u8] {
        self.make_room(operation.batch_bytes());
        let start = operation.write(log_id, &mut self.chunk);
        let range = start..self.chunk.len();
        self.entries.push(entry_of(range.clone()));
        self.chunk.get_mut(range).unwrap_or_default()
    }

    /// Adds an operation without a batch; `token` comes back when it is durable.
    pub fn control(&mut self, log_id: LogId, operation: &Operation<'_>, token: Option<u64>) {
        self.make_room(0);
        operation.write(log_id, &mut self.chunk);
        self.controls.extend(token);
    }

    /// Has `token` told when what was added last is durable.
    pub fn tell(&mut self, token: u64) {
        self.controls.push(token);
    }

    /// Takes everything that waits, in order.
    pub fn seal(&mut self) -> Vec<SealedFrame> {
        self.close();
        std::mem::take(&mut self.full)
    }

    fn make_room(&mut self, batch_bytes: usize) {
        // An operation's own header and a directory name fit in one block.
        let needed = batch_bytes + FRAME_ALIGNMENT;
        if self.chunk.is_empty() {
            self.start(needed);
        } else if self.chunk.capacity() - self.chunk.len() < needed + FRAME_ALIGNMENT {
            self.close();
            self.start(needed);
        }
    }

    fn start(&mut self, needed: usize) {
        let needed = needed + FRAME_HEADER_BYTES + FRAME_ALIGNMENT;
        if self.chunk.capacity() < needed.max(MIN_REMAINDER_BYTES) {
            self.chunk = aligned_chunk(needed.max(self.chunk_bytes));
        }
        self.chunk.resize(FRAME_HEADER_BYTES, 0);
    }

    fn close(&mut self) {
        if self.chunk.len() <= FRAME_HEADER_BYTES {
            return;
        }
        let operation_bytes = self.chunk.len() - FRAME_HEADER_BYTES;
        self.chunk
            .resize(self.chunk.len().next_multiple_of(FRAME_ALIGNMENT), 0);
        // The next frame is likely to take as many.
        let next_entries = Vec::with_capacity(self.entries.len());
        self.full.push(SealedFrame {
            bytes: self.chunk.split(),
            operation_bytes,
            entries: std::mem::replace(&mut self.entries, next_entries),
            controls: std::mem::take(&mut self.controls),
        });
    }
}

/// A buffer whose first byte lies on a [`FRAME_ALIGNMENT`] boundary, as direct writes need it. Its size
/// does not depend on where it lies: that decides where frames end.
fn aligned_chunk(bytes: usize) -> BytesMut {
    let bytes = bytes.next_multiple_of(FRAME_ALIGNMENT);
    let mut chunk = BytesMut::with_capacity(bytes + FRAME_ALIGNMENT);
    let gap = chunk.as_ptr().align_offset(FRAME_ALIGNMENT);
    chunk.resize(gap, 0);
    let mut aligned = chunk.split_off(gap);
    drop(aligned.split_off(bytes));
    aligned
}

#[cfg(test)]
mod tests {
    use chronik_model::Offset;

    use super::*;

    fn append(frame: &mut OpenFrame, batch: &[u8]) {
        let operation = Operation::Append {
            base_offset: Offset(0),
            last_offset: Offset(0),
            batch,
        };
        let entry = |range| FrameEntry {
            log_id: LogId(1),
            slot: LogSlot(0),
            range,
            placement: Placement {
                base_offset: Offset(0),
                last_offset: Offset(0),
                segment: Offset(0),
                position: 0,
                generation: 0,
            },
        };
        let copied = frame.append(entry, &operation, LogId(1));
        assert_eq!(copied, batch);
    }

    #[test]
    fn frames_are_aligned_in_memory_and_in_length() {
        let mut frame = OpenFrame::default();
        for size in [1, 5000, CHUNK_BYTES, 3 * CHUNK_BYTES, 10] {
            append(&mut frame, &vec![7; size]);
            append(&mut frame, &[8; 100]);
            let sealed = frame.seal();
            assert!(!sealed.is_empty());
            for sealed in sealed {
                assert_eq!(sealed.bytes.len() % FRAME_ALIGNMENT, 0);
                assert_eq!(sealed.bytes.as_ptr().align_offset(FRAME_ALIGNMENT), 0);
                for entry in &sealed.entries {
                    let batch = &sealed.bytes[entry.range.clone()];
                    assert!(batch.iter().all(|byte| *byte == 7 || *byte == 8));
                }
            }
            assert!(frame.is_empty());
        }
    }
}
