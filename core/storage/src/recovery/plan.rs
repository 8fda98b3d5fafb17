//! What the journal as a whole says about each log, learned before anything is applied.
//!
//! Replay can then take the operations in order without ever writing what a later one takes back:
//! a batch that a truncation behind it removes is passed over, and so is all of a deleted log.

use std::collections::BTreeMap;

use chronik_model::{LogId, Offset, TopicPartition, mutant};

use crate::checkpoint::CutCheckpoint;
use crate::journal::{Operation, Replacement};
use crate::log::RecoveryPoint;

/// The plans of all logs that the journal names.
#[derive(Debug, Default)]
pub(super) struct Plans {
    logs: BTreeMap<LogId, LogPlan>,
    order: u64,
}

/// What the journal says about one log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LogPlan {
    cuts: Vec<PlannedCut>,
    /// What compaction has put in place of others, in order.
    pub(super) replacements: Vec<Replacement>,
    /// The newest recovery point and its generation.
    pub(super) point: Option<(u32, RecoveryPoint)>,
    /// Highest log start since the last reset.
    pub(super) log_start: Option<Offset>,
    /// What the log id means.
    pub(super) opened: Option<(TopicPartition, String)>,
    /// The log is gone at the end.
    pub(super) deleted: bool,
    /// Largest generation that was journaled.
    pub(super) generation: u32,
}

/// A truncation or reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PlannedCut {
    /// Place among all operations.
    order: u64,
    generation: u32,
    end: Offset,
    /// Where the log goes on, if it was emptied.
    restart: Option<Offset>,
    /// Lowest end of this cut and all later ones: what stands at or behind it does not stay.
    lowest: Offset,
}

/// Something that changed the segments of a log other than by appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change<'a> {
    /// The end was taken back to this offset.
    Cut(Offset),
    /// The log was emptied and goes on here.
    Restart(Offset),
    /// Compaction has put one segment in place of others.
    Replaced(&'a Replacement),
}

/// What cuts leave of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remains {
    /// Everything.
    All,
    /// What lies before this offset.
    Below(Offset),
    /// Nothing; it goes on here.
    Nothing(Offset),
}

impl Remains {
    /// The part of a log that ends at `end`.
    pub(super) fn of(self, end: Offset) -> Offset {
        match self {
            Self::All => end,
            Self::Below(cut) => end.min(cut),
            Self::Nothing(start) => start,
        }
    }
}

impl Plans {
    /// Notes one operation.
    pub(super) fn note(&mut self, log_id: LogId, operation: &Operation<'_>) {
        self.order += 1;
        let order = self.order;
        let log = self.logs.entry(log_id).or_default();
        match *operation {
            Operation::SegmentsReplaced(ref replacement) => {
                log.generation = log.generation.max(replacement.generation);
                log.replacements.push(replacement.clone());
            }
            // A truncation at the end of the log takes nothing back and has no generation of its own.
            Operation::Truncate { generation, .. } if generation <= log.generation => {}
            Operation::Truncate {
                end_offset,
                generation,
            } => log.cut(order, generation, end_offset, None),
            Operation::Reset {
                start_offset,
                generation,
            } => {
                log.log_start = None;
                log.cut(order, generation, Offset(i64::MIN), Some(start_offset));
            }
            Operation::RecoveryPoint {
                offset,
                segment,
                position,
                unjournaled,
                generation,
            } => {
                let point = RecoveryPoint {
                    offset,
                    segment,
                    position,
                    unjournaled,
                };
                log.generation = log.generation.max(generation);
                log.point = Some((generation, point));
            }
            Operation::LogStart { .. } if mutant!(LogStartForgotten) => {}
            Operation::LogStart { start_offset } => {
                log.log_start = log.log_start.max(Some(start_offset));
            }
            Operation::Delete => log.deleted = true,
            Operation::Open {
                partition,
                directory,
            } => log.opened = Some((partition, directory.to_owned())),
            Operation::Append { .. } | Operation::EpochStart { .. } | Operation::Vote { .. } => {}
        }
    }

    /// All logs of which the journal says what they are.
    pub(super) fn opened(&self) -> Vec<(LogId, TopicPartition, String)> {
        let opened = self.logs.iter().filter_map(|(log_id, plan)| {
            let (partition, directory) = plan.opened.clone()?;
            Some((*log_id, partition, directory))
        });
        opened.collect()
    }

    /// The plan of one log.
    pub(super) fn of(&self, log_id: LogId) -> LogPlan {
        self.logs.get(&log_id).cloned().unwrap_or_default()
    }
}

impl LogPlan {
    fn cut(&mut self, order: u64, generation: u32, end: Offset, restart: Option<Offset>) {
        for earlier in &mut self.cuts {
            earlier.lowest = earlier.lowest.min(end);
        }
        self.generation = self.generation.max(generation);
        self.cuts.push(PlannedCut {
            order,
            generation,
            end,
            restart,
            lowest: end,
        });
    }

    /// Adds a cut that a checkpoint has; if the journal does not have it, it has nothing behind it
    /// either.
    pub(super) fn add(&mut self, cut: &CutCheckpoint) {
        let known = |planned: &PlannedCut| planned.generation == cut.generation;
        if !self.cuts.iter().any(known) {
            if cut.restart.is_some() {
                self.log_start = None;
            }
            self.cut(u64::MAX, cut.generation, cut.end, cut.restart);
        }
    }

    /// Whether an operation's data up to `last_offset` is there in the end.
    pub(super) fn survives(&self, order: u64, last_offset: Offset) -> bool {
        let later = self.cuts.partition_point(|cut| cut.order <= order);
        self.cuts
            .get(later)
            .is_none_or(|cut| last_offset < cut.lowest)
    }

    /// What changed the segments behind generation `after`, in order.
    pub(super) fn changes(&self, after: u32) -> Vec<Change<'_>> {
        let cuts = self.cuts.iter().map(|cut| {
            let change = cut.restart.map_or(Change::Cut(cut.end), Change::Restart);
            (cut.generation, change)
        });
        let replaced = self.replacements.iter();
        let replaced = replaced.map(|known| (known.generation, Change::Replaced(known)));
        let mut changes: Vec<_> = cuts.chain(replaced).collect();
        changes.retain(|(generation, _)| *generation > after);
        changes.sort_by_key(|(generation, _)| *generation);
        changes.into_iter().map(|(_, change)| change).collect()
    }

    /// Lowest end of a truncation behind generation `after`, if there was one.
    pub(super) fn lowest_cut(&self, after: u32) -> Option<Offset> {
        let later = self.cuts.iter().filter(|cut| cut.generation > after);
        later.map(|cut| cut.end).min()
    }

    /// What the cuts behind `after` leave, up to and including generation `until`.
    pub(super) fn remains(&self, after: u32, until: u32) -> Remains {
        let mut remains = Remains::All;
        for cut in &self.cuts {
            if cut.generation <= after || cut.generation > until {
                continue;
            }
            remains = match (cut.restart, remains) {
                (Some(start), _) | (None, Remains::Nothing(start)) => Remains::Nothing(start),
                (None, Remains::All) => Remains::Below(cut.end),
                (None, Remains::Below(end)) => Remains::Below(end.min(cut.end)),
            };
        }
        remains
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(operations: &[Operation<'_>]) -> LogPlan {
        let mut plans = Plans::default();
        for operation in operations {
            plans.note(LogId(1), operation);
        }
        plans.of(LogId(1))
    }

    const APPEND: Operation<'_> = Operation::Append {
        base_offset: Offset(0),
        last_offset: Offset(0),
        batch: &[],
    };

    const fn truncate(end: i64, generation: u32) -> Operation<'static> {
        Operation::Truncate {
            end_offset: Offset(end),
            generation,
        }
    }

    #[test]
    fn a_batch_survives_if_no_later_cut_reaches_it() {
        let plan = plan(&[APPEND, truncate(50, 1), APPEND, truncate(80, 2), APPEND]);
        let check = |order, last, expected| {
            assert_eq!(
                plan.survives(order, Offset(last)),
                expected,
                "{order} {last}"
            );
        };
        check(1, 49, true);
        check(1, 50, false);
        check(3, 50, true);
        check(3, 80, false);
        check(5, 80, true);
    }

    #[test]
    fn cuts_leave_what_lies_below_the_lowest() {
        let reset = Operation::Reset {
            start_offset: Offset(70),
            generation: 3,
        };
        let plan = plan(&[truncate(50, 1), truncate(60, 2), reset, truncate(90, 4)]);
        let check = |after, until, expected| assert_eq!(plan.remains(after, until), expected);
        check(0, 2, Remains::Below(Offset(50)));
        check(1, 2, Remains::Below(Offset(60)));
        check(0, u32::MAX, Remains::Nothing(Offset(70)));
        check(3, u32::MAX, Remains::Below(Offset(90)));
        check(4, u32::MAX, Remains::All);
    }
}
