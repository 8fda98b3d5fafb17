//! Segments and their indexes as fetches read them.

use bytes::Bytes;
use chronik_model::Offset;
use chronik_model::batch::batches;
use chronik_model::rng::Rng;
use chronik_storage::log::index::SegmentIndex;
use chronik_storage::select::{
    Boundary, Offsets, ReadFailure, Selection, TimestampQuery, find_timestamp, read_batches,
};

use super::recovery::path_of_largest;
use crate::chance::{index, one_in};
use crate::mutate::mutate;
use crate::node::MemoryDisk;
use crate::seal;
use crate::target::{CONSTANT_BYTES, Failure, Handled, Target, four_times, handled};

/// What a read of headers takes at once.
const WINDOW_BYTES: u64 = 1 << 20;
const MAX_BYTES: usize = 64 << 10;
/// Behind all records of a segment.
const END: Offset = Offset(500);

/// A segment of a topic with several batches.
fn segment(directory: &MemoryDisk) -> Vec<u8> {
    let path = path_of_largest(directory, "topics/orders", ".log");
    directory.file(&path).unwrap_or_default().to_vec()
}

/// Reads from a damaged segment. An input is the segment.
#[derive(Debug)]
pub(super) struct Reads {
    segment: Vec<u8>,
    /// Offset of its first record.
    base: Offset,
}

impl Reads {
    pub(super) fn new(directory: &MemoryDisk) -> Self {
        let mut segment = segment(directory);
        segment.truncate(40 << 10);
        let first = batches(&segment).flatten().next();
        let base = first.map_or(Offset::ZERO, |first| first.header().base_offset());
        Self { segment, base }
    }
}

impl Target for Reads {
    fn name(&self) -> &'static str {
        "reads"
    }

    fn generate(&mut self, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = self.segment.clone();
        if !one_in(rng, 8) {
            damage_a_batch(rng, &mut bytes);
        }
        if one_in(rng, 2) {
            seal::batches(&mut bytes);
        }
        bytes
    }

    fn run(&mut self, input: &[u8]) -> Result<Handled, Failure> {
        let segment = Bytes::copy_from_slice(input);
        let mut cuts = Rng::new(u64::from(crc32c::crc32c(input)));
        handled(|| {
            let mut read = |position, most| piece(&segment, position, most);
            let mut intact = true;
            for offsets in [Offsets::Dense, Offsets::Sparse(END)] {
                let from = self.base + i64::try_from(cuts.below(6)).unwrap_or(0);
                let start = Boundary {
                    position: 0,
                    offset: self.base,
                };
                let selection = Selection {
                    start,
                    ..selection(&segment, from, offsets)
                };
                intact &= match read_batches(&selection, &mut read) {
                    Ok(selected) => {
                        check_selected(&selected.bytes)?;
                        true
                    }
                    Err(_) => false,
                };
                let query = TimestampQuery {
                    timestamp_ms: super::samples::NOW_MS,
                    from,
                    bound: END,
                    start: selection.start,
                    end_position: selection.end_position,
                    offsets,
                };
                intact &= find_timestamp(&query, &mut read).is_ok();
            }
            Ok(intact)
        })
    }

    fn allowance(&self, length: usize) -> u64 {
        four_times(length) + WINDOW_BYTES + CONSTANT_BYTES
    }
}

/// Damages one batch at or near its header; its neighbours stay where they are mostly.
pub(super) fn damage_a_batch(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let starts: Vec<usize> = batches(bytes)
        .flatten()
        .scan(0, |end, view| {
            let start = *end;
            *end += view.bytes().len();
            Some(start)
        })
        .collect();
    let start = starts.get(index(rng, starts.len())).copied().unwrap_or(0);
    let mut rest = bytes.split_off(start.min(bytes.len()));
    let other = rest.clone();
    mutate(rng, &mut rest, &other);
    bytes.extend(rest);
}

fn selection(segment: &Bytes, from: Offset, offsets: Offsets) -> Selection {
    Selection {
        from,
        bound: END,
        start: Boundary {
            position: 0,
            offset: Offset::ZERO,
        },
        end_position: u64::try_from(segment.len()).unwrap_or(0),
        offsets,
        max_bytes: MAX_BYTES,
    }
}

/// What a fetch is given passes the checks of a consumer.
fn check_selected(bytes: &Bytes) -> Result<(), Failure> {
    let mut sum = 0;
    for view in batches(bytes) {
        let view = view.map_err(|error| format!("a fetch would send this: {error}"))?;
        view.check_crc()
            .map_err(|error| format!("a fetch would send this: {error}"))?;
        sum += view.bytes().len();
    }
    if sum == bytes.len() {
        Ok(())
    } else {
        Err(format!("{} bytes behind the last batch", bytes.len() - sum))
    }
}

fn piece(segment: &Bytes, position: u64, most: usize) -> Result<Bytes, ReadFailure> {
    let start = usize::try_from(position)
        .unwrap_or(usize::MAX)
        .min(segment.len());
    let end = start.saturating_add(most).min(segment.len());
    Ok(segment.slice(start..end))
}

/// Index files. An input is the file.
#[derive(Debug)]
pub(super) struct Index {
    segment: Bytes,
    file: Vec<u8>,
}

impl Index {
    pub(super) fn new(directory: &MemoryDisk) -> Self {
        let index = path_of_largest(directory, "topics/orders", ".cidx");
        let segment = index.replace(".cidx", ".log");
        let content = |path: &str| directory.file(path).unwrap_or_default().to_vec();
        Self {
            segment: content(&segment).into(),
            file: content(&index),
        }
    }
}

impl Target for Index {
    fn name(&self) -> &'static str {
        "index"
    }

    fn generate(&mut self, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = self.file.clone();
        if !one_in(rng, 8) {
            mutate(rng, &mut bytes, &self.file);
        }
        if !one_in(rng, 3) {
            seal::last_four(&mut bytes);
        }
        bytes
    }

    fn run(&mut self, input: &[u8]) -> Result<Handled, Failure> {
        let segment = self.segment.clone();
        let length = u64::try_from(segment.len()).unwrap_or(0);
        handled(|| {
            let Some(index) = SegmentIndex::decode(input, length) else {
                return Ok(false);
            };
            let mut read = |position, most| piece(&segment, position, most);
            for offset in [-1, 0, 3, 7, i64::MAX] {
                let (from, base) = (Offset(offset), Offset::ZERO);
                let _time = index.time_behind(from);
                for start in [index.floor(from, base), index.floor_of_time(offset, base)] {
                    let selection = Selection {
                        start,
                        ..selection(&segment, from, Offsets::Dense)
                    };
                    if let Ok(selected) = read_batches(&selection, &mut read) {
                        check_selected(&selected.bytes)?;
                    }
                }
            }
            Ok(true)
        })
    }

    fn allowance(&self, length: usize) -> u64 {
        four_times(length) + WINDOW_BYTES + CONSTANT_BYTES
    }
}
