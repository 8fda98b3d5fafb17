//! Which leader epoch wrote which offsets (KIP-101, KIP-279).

use chronik_model::{LeaderEpoch, Offset};

/// Epochs of one log with their first offsets, both strictly rising.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EpochHistory {
    starts: Vec<(LeaderEpoch, Offset)>,
}

impl EpochHistory {
    /// Rebuilds a history from stored pairs; pairs that do not rise are dropped.
    #[must_use]
    pub fn from_pairs(pairs: impl IntoIterator<Item = (LeaderEpoch, Offset)>) -> Self {
        let mut history = Self::default();
        for (epoch, start) in pairs {
            history.assign(epoch, start);
        }
        history
    }

    /// Notes that `epoch` writes from `start` on. An epoch without records gives way to the next one
    /// that starts at the same offset.
    pub fn assign(&mut self, epoch: LeaderEpoch, start: Offset) -> bool {
        if self.starts.last().is_some_and(|(last, _)| *last >= epoch) {
            return false;
        }
        self.starts.retain(|(_, earlier)| *earlier < start);
        self.starts.push((epoch, start));
        true
    }

    /// The newest epoch.
    #[must_use]
    pub fn latest(&self) -> Option<LeaderEpoch> {
        self.starts.last().map(|(epoch, _)| *epoch)
    }

    /// The epoch that wrote `offset`.
    #[must_use]
    pub fn of_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.starts.partition_point(|(_, start)| *start <= offset);
        after
            .checked_sub(1)
            .and_then(|index| self.starts.get(index))
            .map(|(epoch, _)| *epoch)
    }

    /// The largest epoch that is not above `epoch`, and where it ends in a log that ends at
    /// `log_end` (rule T3); `None` when every epoch is above.
    #[must_use]
    pub fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> Option<(LeaderEpoch, Offset)> {
        let after = self.starts.partition_point(|(known, _)| *known <= epoch);
        let (found, _) = self.starts.get(after.checked_sub(1)?)?;
        Some((
            *found,
            self.starts.get(after).map_or(log_end, |(_, start)| *start),
        ))
    }

    /// Forgets epochs that start at or behind `end` (rule T5).
    pub fn truncate_end(&mut self, end: Offset) {
        self.starts.retain(|(_, start)| *start < end);
    }

    /// Forgets what lies before `start`; the epoch that holds it begins there from now on.
    pub fn truncate_start(&mut self, start: Offset) {
        let holding = self.starts.partition_point(|(_, first)| *first <= start);
        self.starts.drain(..holding.saturating_sub(1));
        if let Some((_, first)) = self.starts.first_mut() {
            *first = (*first).max(start);
        }
    }

    /// Epochs and first offsets, oldest first.
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = (LeaderEpoch, Offset)> + '_ {
        self.starts.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(pairs: &[(i32, i64)]) -> EpochHistory {
        EpochHistory::from_pairs(
            pairs
                .iter()
                .map(|(epoch, start)| (LeaderEpoch(*epoch), Offset(*start))),
        )
    }

    #[test]
    fn the_end_of_an_epoch_is_the_start_of_the_next() {
        let history = history(&[(1, 0), (3, 10), (7, 25)]);
        let check = |epoch, expected: Option<(i32, i64)>| {
            let expected = expected.map(|(epoch, end)| (LeaderEpoch(epoch), Offset(end)));
            assert_eq!(
                history.end_of(LeaderEpoch(epoch), Offset(40)),
                expected,
                "epoch {epoch}"
            );
        };
        check(0, None);
        check(1, Some((1, 10)));
        check(2, Some((1, 10)));
        check(6, Some((3, 25)));
        check(7, Some((7, 40)));
        check(9, Some((7, 40)));
    }

    #[test]
    fn an_epoch_without_records_leaves_no_trace() {
        assert_eq!(
            history(&[(1, 0), (2, 5), (4, 5)]),
            history(&[(1, 0), (4, 5)])
        );
    }

    #[test]
    fn truncation_cuts_both_ends() {
        let mut cut = history(&[(1, 0), (3, 10), (7, 25)]);
        cut.truncate_end(Offset(25));
        assert_eq!(cut, history(&[(1, 0), (3, 10)]));
        cut.truncate_start(Offset(12));
        assert_eq!(cut, history(&[(3, 12)]));
    }
}
