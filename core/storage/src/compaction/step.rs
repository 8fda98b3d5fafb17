//! One operation of a compaction: read a bounded part of a segment, and learn or copy.

use std::sync::Arc;

use bytes::Bytes;
use chronik_model::Offset;
use chronik_model::batch::{BatchView, batches};
use chronik_model::compression::Decompressor;

use super::OffsetMap;
use super::filter::{Remainder, Rules, learn};
use crate::log::partition_log::stored_timestamp_ms;
use crate::log::segment::AppendedBatch;
use crate::select::{Boundary, ReadAt, ReadFailure, Selection, read_batches};

/// See the module. It carries the map along, so that only one thread ever has it.
#[derive(Debug, Clone)]
pub struct Step {
    /// The part of the segment that is read.
    pub selection: Selection,
    /// Keys and their newest offsets.
    pub map: OffsetMap,
    /// What is done with the batches.
    pub work: Work,
    /// Where the next step goes on; set by the step.
    pub next: Boundary,
}

/// What a step does with the batches that it reads.
#[derive(Debug, Clone)]
pub enum Work {
    /// Learns the keys.
    Learn {
        /// What lies below was learned before.
        from: Offset,
        /// The map is full; set by the step.
        full: bool,
    },
    /// Picks what stays.
    Copy {
        /// What that is.
        rules: Arc<Rules>,
        /// The offsets of the batch that ends the segment stay, with or without records.
        keep_end: bool,
        /// What stays; set by the step.
        kept: Kept,
    },
}

/// Batches that stay.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// Their bytes, back to back.
    pub buffers: Vec<Bytes>,
    /// Where they stand.
    pub batches: Vec<AppendedBatch>,
}

impl Kept {
    /// Bytes of all.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.batches.iter().map(|batch| batch.bytes).sum()
    }

    fn push(&mut self, bytes: Bytes) -> Result<(), String> {
        let view = BatchView::parse(&bytes).map_err(|error| error.to_string())?;
        let header = view.header();
        self.batches.push(AppendedBatch {
            base_offset: header.base_offset(),
            last_offset: header.last_offset(),
            bytes: bytes.len() as u64,
            max_timestamp_ms: stored_timestamp_ms(header),
        });
        self.buffers.push(bytes);
        Ok(())
    }
}

impl Step {
    /// Reads and works.
    ///
    /// # Errors
    /// The disk fails, or a batch is damaged.
    pub fn run(&mut self, read: &mut ReadAt<'_>) -> Result<(), ReadFailure> {
        let selected = read_batches(&self.selection, read)?;
        let mut scratch = Decompressor::new();
        let mut at = 0;
        for view in batches(&selected.bytes) {
            let position = selected.position + at as u64;
            let corrupt = |detail: String| ReadFailure::Corrupt { position, detail };
            let view = view.map_err(|error| corrupt(error.to_string()))?;
            let range = at..at + view.bytes().len();
            at = range.end;
            let end = selected.position + at as u64;
            let at_end = end == self.selection.end_position;
            let bytes = || selected.bytes.slice(range);
            self.take(&view, bytes, at_end, &mut scratch)
                .map_err(corrupt)?;
            if matches!(self.work, Work::Learn { full: true, .. }) {
                break;
            }
        }
        self.next = Boundary {
            position: selected.position + at as u64,
            offset: selected.next_offset,
        };
        Ok(())
    }

    fn take(
        &mut self,
        view: &BatchView<'_>,
        bytes: impl FnOnce() -> Bytes,
        at_end: bool,
        scratch: &mut Decompressor,
    ) -> Result<(), String> {
        match &mut self.work {
            Work::Learn { from, full } => {
                let learned = learn(&mut self.map, view, *from, scratch);
                *full = !learned.map_err(|error| error.to_string())?;
                Ok(())
            }
            Work::Copy {
                rules,
                keep_end,
                kept,
            } => {
                let left = rules.filter(&self.map, view, *keep_end && at_end, scratch);
                match left.map_err(|error| error.to_string())? {
                    Remainder::Whole => kept.push(bytes()),
                    Remainder::Part(part) => kept.push(part.into()),
                    Remainder::Nothing => Ok(()),
                }
            }
        }
    }
}
