//! Which part of a log is due for compaction, and in which groups its segments are copied.

use chronik_model::Offset;

use crate::journal::format::MAX_REPLACED_SEGMENTS;
use crate::log::{PartitionLog, Segment, SegmentId};

/// A segment that is compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Which one.
    pub id: SegmentId,
    /// Its bytes, all of them durable.
    pub bytes: u64,
    /// Where the next one starts.
    pub end: Offset,
}

/// What there is to compact in a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Dirt {
    /// Keys are learned from here on.
    pub first_dirty: Offset,
    /// All segments that may be compacted, oldest first.
    pub sources: Vec<Source>,
    /// Bytes of those that were not compacted before.
    pub dirty_bytes: u64,
    /// Bytes of all of them.
    pub total_bytes: u64,
    /// Whether the log is due: dirty enough, or dirty for too long.
    pub due: bool,
    /// Milliseconds until more may be due by time alone.
    pub wait_ms: Option<i64>,
    /// Whether segments could not be taken because they are not durable, or not visible, yet.
    pub blocked: bool,
}

impl Dirt {
    /// Share of the log that was not compacted before, 0 to 1.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        if self.total_bytes == 0 {
            return 0.0;
        }
        self.dirty_bytes as f64 / self.total_bytes as f64
    }

    /// The same in whole percent.
    #[must_use]
    pub fn percent(&self) -> u64 {
        let hundredfold = self.dirty_bytes.saturating_mul(100);
        hundredfold.checked_div(self.total_bytes).unwrap_or(0)
    }

    /// Offset behind the last segment that may be compacted.
    #[must_use]
    pub fn end(&self) -> Offset {
        let last = self.sources.last();
        last.map_or(self.first_dirty, |source| source.end)
    }

    fn add(&mut self, segment: &Segment, end: Offset) {
        if end > self.first_dirty {
            self.dirty_bytes += segment.bytes;
        }
        self.total_bytes += segment.bytes;
        self.sources.push(Source {
            id: segment.id(),
            bytes: segment.bytes,
            end,
        });
    }

    fn wait(&mut self, ms: i64) {
        self.wait_ms = Some(self.wait_ms.map_or(ms, |known| known.min(ms)));
    }
}

impl PartitionLog {
    /// First offset whose key compaction does not know.
    fn first_dirty(&self) -> Offset {
        let first = self.compaction.clean_end.max(self.log_start);
        if first > self.log_end {
            self.log_start
        } else {
            first
        }
    }

    /// Whether a closed segment was not compacted, and it was not looked at in vain before. Cheap.
    #[must_use]
    pub fn may_compact(&self) -> bool {
        let Some(active) = self.segments.back() else {
            return false;
        };
        self.config.compact.is_some()
            && self.failed.is_none()
            && self.compaction.uncleanable.is_none()
            && !self.compaction.rests_at(active.base_offset)
            && active.base_offset > self.first_dirty()
    }

    /// What there is to compact at wall time `now_ms`, of what consumers may see. `None` while the
    /// log is not compacted, or its end is being taken back.
    #[must_use]
    pub fn dirt(&self, now_ms: i64, visible_end: Offset) -> Option<Dirt> {
        let config = self.config.compact?;
        let usable = self.failed.is_none() && self.compaction.uncleanable.is_none();
        if !usable || !self.cuts.is_empty() || self.switch.is_some() {
            return None;
        }
        let mut dirt = Dirt {
            first_dirty: self.first_dirty(),
            sources: Vec::new(),
            dirty_bytes: 0,
            total_bytes: 0,
            due: false,
            wait_ms: None,
            blocked: false,
        };
        let durable_end = visible_end.min(self.stable_end()).min(self.synced_end);
        let mut oldest = None;
        for (segment, next) in self.segments.iter().zip(self.segments.iter().skip(1)) {
            let end = next.base_offset;
            if end > durable_end || segment.synced_bytes != segment.bytes {
                dirt.blocked = true;
                break;
            }
            if end > dirt.first_dirty {
                if let Some(wait) = too_new_for_ms(segment, now_ms, config.min_lag_ms) {
                    dirt.wait(wait);
                    break;
                }
                let first = segment.first_timestamp_ms.filter(|first| *first > 0);
                oldest = first.into_iter().chain(oldest).min();
            }
            dirt.add(segment, end);
        }
        let lag = Some(config.max_lag_ms).filter(|lag| *lag != i64::MAX);
        let overdue_in = oldest
            .zip(lag)
            .map(|(oldest, lag)| oldest.saturating_add(lag).saturating_sub(now_ms));
        let dirty_enough = dirt.ratio() > config.min_cleanable_dirty_ratio;
        let overdue = overdue_in.is_some_and(|ms| ms < 0);
        dirt.due = dirt.dirty_bytes > 0 && (dirty_enough || overdue);
        if let Some(ms) = overdue_in.filter(|_| !dirt.due) {
            dirt.wait(ms.saturating_add(1));
        }
        Some(dirt)
    }
}

/// Milliseconds until a segment is old enough for `min.compaction.lag.ms`, if it is not.
fn too_new_for_ms(segment: &Segment, now_ms: i64, min_lag_ms: i64) -> Option<i64> {
    if min_lag_ms <= 0 || segment.max_timestamp_ms == i64::MIN {
        return None;
    }
    let old_enough_at = segment.max_timestamp_ms.saturating_add(min_lag_ms);
    Some(old_enough_at.saturating_sub(now_ms)).filter(|wait| *wait > 0)
}

/// Groups the segments that begin below `end`: each group becomes one segment, which is no larger
/// than `segment_bytes` even if nothing leaves it.
pub(crate) fn group(sources: &[Source], end: Offset, segment_bytes: u64) -> Vec<Vec<Source>> {
    let mut groups: Vec<Vec<Source>> = Vec::new();
    let mut size = 0;
    for source in sources {
        let base = source.id.base_offset;
        if base >= end {
            break;
        }
        let fits = |group: &&mut Vec<Source>| {
            let first = group.first().map_or(base, |first| first.id.base_offset);
            // Kafka's index keeps offsets relative to the segment in 32 bits.
            let near = (source.end - 1).since(first) <= i64::from(i32::MAX);
            near && size + source.bytes <= segment_bytes && group.len() < MAX_REPLACED_SEGMENTS
        };
        match groups.last_mut().filter(fits) {
            Some(group) => {
                size += source.bytes;
                group.push(*source);
            }
            None => {
                size = source.bytes;
                groups.push(vec![*source]);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(sizes: &[u64], ends: &[i64]) -> Vec<Source> {
        let mut base = 0;
        let source = |(bytes, end): (&u64, &i64)| {
            let id = SegmentId::appended(Offset(base));
            base = *end;
            Source {
                id,
                bytes: *bytes,
                end: Offset(*end),
            }
        };
        sizes.iter().zip(ends).map(source).collect()
    }

    #[test]
    fn small_neighbours_are_grouped() {
        let check = |sizes: &[u64], ends: &[i64], end: i64, expected: &[&[i64]]| {
            let groups = group(&sources(sizes, ends), Offset(end), 100);
            let bases = |group: &Vec<Source>| -> Vec<i64> {
                group.iter().map(|source| source.id.base_offset.0).collect()
            };
            let found: Vec<Vec<i64>> = groups.iter().map(bases).collect();
            assert_eq!(found, expected);
        };
        let tens = [10, 20, 30, 40];
        check(&[40, 60, 1, 99], &tens, 40, &[&[0, 10], &[20, 30]]);
        check(&[40, 60, 1, 99], &tens, 21, &[&[0, 10], &[20]]);
        check(&[400, 0, 5], &tens, 30, &[&[0], &[10, 20]]);
        check(&[], &[], 30, &[]);
        let far = i64::from(i32::MAX);
        let ends = [10, far + 1, far + 2];
        check(&[1, 1, 1], &ends, far + 2, &[&[0, 10], &[far + 1]]);
    }
}
