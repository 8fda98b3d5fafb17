//! What must hold between any two steps.

use super::LogStore;
use crate::log::{Mode, PartitionLog};

impl LogStore {
    /// Checks every log and the store's own accounts.
    ///
    /// # Errors
    /// The first rule that does not hold, and where.
    pub fn invariants(&self) -> Result<(), String> {
        for log in self.logs.iter().flatten() {
            check(log).map_err(|rule| format!("{}: {rule}; {}", log.directory, outline(log)))?;
        }
        let kept: usize = self.resident.iter().map(|resident| resident.bytes).sum();
        let unwritten: u64 = self
            .logs
            .iter()
            .flatten()
            .filter(|log| log.failed.is_none())
            .map(PartitionLog::unwritten_bytes)
            .sum();
        let rules = [
            (
                "resident bytes are accounted for",
                kept == self.resident_bytes,
            ),
            (
                "unwritten bytes are accounted for",
                unwritten == self.unwritten_bytes,
            ),
        ];
        holds(&rules)
    }
}

/// What tells most of a log, in a line.
fn outline(log: &PartitionLog) -> String {
    let segments = log.segments.iter();
    let segments: Vec<_> = segments
        .map(|segment| format!("{} ({} bytes)", segment.base_offset.0, segment.bytes))
        .collect();
    let (start, end) = (log.log_start.0, log.log_end.0);
    format!("{start} to {end}, segments {}", segments.join(", "))
}

fn check(log: &PartitionLog) -> Result<(), String> {
    if log.failed.is_some() {
        return Ok(());
    }
    let cutting = !log.cuts.is_empty();
    let waiting = log.tail_start().max(log.written_end);
    let in_order = log
        .tail
        .iter()
        .zip(log.tail.iter().skip(1))
        .all(|(batch, next)| batch.last_offset < next.base_offset);
    let segments_in_order = log
        .segments
        .iter()
        .zip(log.segments.iter().skip(1))
        .all(|(segment, next)| segment.base_offset < next.base_offset);
    let sizes = log.segments.iter().all(|segment| {
        let written = segment.written_bytes <= segment.bytes;
        written && (cutting || segment.synced_bytes <= segment.written_bytes)
    });
    let first = log.segments.front();
    let rules = [
        (
            "the log start is below the end",
            log.log_start <= log.log_end,
        ),
        ("synced is below written", log.synced_end <= log.written_end),
        ("written is below the end", log.written_end <= log.log_end),
        (
            "committed is below the end",
            log.committed_end <= log.log_end,
        ),
        ("stable is below the end", log.stable_end() <= log.log_end),
        ("the tail is in order", in_order),
        ("the tail ends below the end", log.tail_end() <= log.log_end),
        (
            "what is not in the tail is written",
            log.tail.is_empty()
                || cutting
                || log.tail_start() <= log.written_end.max(log.log_start),
        ),
        (
            "only unjournaled batches are held",
            log.held.is_empty() || log.mode == Mode::Unjournaled,
        ),
        ("what waits lies below the end", waiting <= log.log_end),
        ("segments are in order", segments_in_order),
        ("a log has a segment", first.is_some()),
        (
            "the log start has a segment",
            first.is_none_or(|first| first.base_offset <= log.log_start),
        ),
        ("sizes of segments nest", sizes),
        (
            "producers have written below the end",
            log.producers.lie_below(log.log_end),
        ),
    ];
    holds(&rules)
}

fn holds(rules: &[(&str, bool)]) -> Result<(), String> {
    let broken = rules.iter().find(|(_, holds)| !holds);
    broken.map_or(Ok(()), |(rule, _)| Err((*rule).to_owned()))
}
