//! The promises, each with a name and what breaking it means.

use std::fmt;

use chronik_model::Mono;

/// A promise to clients, or one the brokers make to themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// What was acknowledged is there.
    Lost,
    /// What was served stays.
    Withdrawn,
    /// What was acknowledged can be read when all is well again.
    Unseen,
    /// Nothing is there more often than it may be.
    Duplicate,
    /// What was refused is not there.
    Refused,
    /// What is there was sent, and to there.
    Unsent,
    /// One offset, one record.
    Inconsistent,
    /// A batch is there as a whole or not at all.
    Torn,
    /// A reader never goes back.
    NonMonotonic,
    /// A reader misses nothing.
    Skipped,
    /// A producer's batches stand in its order.
    OutOfOrder,
    /// Nobody reads at or behind the high watermark.
    BeyondHighWatermark,
    /// The end of a partition never moves back.
    EndWentBack,
    /// The start of a partition never moves back.
    StartWentBack,
    /// The start of a partition moves only where somebody asked for it.
    StartUnasked,
    /// What was deleted is not read.
    DeletedRead,
    /// A partition has one owner in a group.
    TwoOwners,
    /// A member's epochs rise.
    EpochWentBack,
    /// An acknowledged commit stays until the next.
    CommitLost,
    /// A committed offset was committed.
    CommitInvented,
    /// Replies are well formed and belong to their requests.
    Protocol,
    /// The replica's own numbers fit together.
    Replica,
    /// The coordinator's state is what its records say.
    Coordinator,
    /// When all is healed, everything that waits is answered.
    Stuck,
    /// No machine panics, and no assertion of theirs fails.
    Panicked,
    /// One seed, one history.
    Diverged,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 26] = [
        Self::Lost,
        Self::Withdrawn,
        Self::Unseen,
        Self::Duplicate,
        Self::Refused,
        Self::Unsent,
        Self::Inconsistent,
        Self::Torn,
        Self::NonMonotonic,
        Self::Skipped,
        Self::OutOfOrder,
        Self::BeyondHighWatermark,
        Self::EndWentBack,
        Self::StartWentBack,
        Self::StartUnasked,
        Self::DeletedRead,
        Self::TwoOwners,
        Self::EpochWentBack,
        Self::CommitLost,
        Self::CommitInvented,
        Self::Protocol,
        Self::Replica,
        Self::Coordinator,
        Self::Stuck,
        Self::Panicked,
        Self::Diverged,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.text().0
    }

    /// What it promises, and what follows when it does not hold.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        self.text().1
    }

    #[expect(clippy::too_many_lines, reason = "a table")]
    const fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::Lost => (
                "lost write",
                "A record that was acknowledged, and that nobody asked to delete, has to be there for \
                 ever. Whoever wrote it has forgotten it by now.",
            ),
            Self::Withdrawn => (
                "withdrawn record",
                "A record that one consumer was given has to be there for the next one too, whether \
                 its producer heard of it or not. Two consumers now believe in two histories.",
            ),
            Self::Unseen => (
                "unseen after heal",
                "When every fault is over, all that was acknowledged has to be readable. Nobody could \
                 read this partition to its end.",
            ),
            Self::Duplicate => (
                "duplicate",
                "An idempotent producer's record stands in the log once, however often it was sent; \
                 another's at most once for each attempt that was not refused.",
            ),
            Self::Refused => (
                "refused write appeared",
                "An error that says \"not done\" lets its producer give up or send something else. \
                 The record may not be there after all.",
            ),
            Self::Unsent => (
                "record from nowhere",
                "What is read was sent by somebody, and to this partition of this life of the topic.",
            ),
            Self::Inconsistent => (
                "inconsistent offset",
                "An offset names one record for ever: every reader and every acknowledgement agree.",
            ),
            Self::Torn => (
                "torn batch",
                "A batch is appended as a whole: all of its records follow each other, or none is \
                 there.",
            ),
            Self::NonMonotonic => (
                "non-monotonic read",
                "Who reads on gets offsets that rise, at or behind the position asked for.",
            ),
            Self::Skipped => (
                "skipped offset",
                "Who reads on without seeking gets every record. Only compaction and deletion leave \
                 gaps, and nobody asked for either here.",
            ),
            Self::OutOfOrder => (
                "out of order",
                "With at most five batches under way, the batches of an idempotent producer stand in \
                 the partition in the order of their sequence numbers.",
            ),
            Self::BeyondHighWatermark => (
                "read beyond the high watermark",
                "What is at or behind the high watermark may still be gone after a crash, so nobody \
                 may see it.",
            ),
            Self::EndWentBack => (
                "the end went back",
                "High watermark and end offset never fall below what was acknowledged or shown before \
                 the question was asked.",
            ),
            Self::StartWentBack => (
                "the start went back",
                "The log start never falls below what was shown before the question was asked: what \
                 was deleted would come back.",
            ),
            Self::StartUnasked => (
                "records deleted unasked",
                "The log start of a topic that keeps everything moves only as far as DeleteRecords \
                 asked.",
            ),
            Self::DeletedRead => (
                "deleted record read",
                "Once DeleteRecords is answered, nothing below the log start is given to anybody.",
            ),
            Self::TwoOwners => (
                "two owners",
                "In one group a partition has one member at a time: its next owner begins after its \
                 last one has given it up.",
            ),
            Self::EpochWentBack => (
                "epoch went back",
                "The epochs a member is given rise; an older one would fence the wrong member.",
            ),
            Self::CommitLost => (
                "lost commit",
                "A committed offset that was acknowledged is what OffsetFetch returns until a later \
                 commit replaces it. The group would process records again, or never.",
            ),
            Self::CommitInvented => (
                "commit from nowhere",
                "OffsetFetch returns what a member committed, and never what was refused.",
            ),
            Self::Protocol => (
                "protocol",
                "Every reply decodes, carries its request's correlation id, and gives errors that its \
                 API may give.",
            ),
            Self::Replica => (
                "replica invariant",
                "Inside a replica: log start <= high watermark <= durable end <= log end, and none of \
                 them goes back in one life.",
            ),
            Self::Coordinator => (
                "coordinator invariant",
                "A coordinator's state is what a replay of its partition yields.",
            ),
            Self::Stuck => (
                "stuck",
                "Some time after the last fault every broker serves and every client's request is \
                 answered.",
            ),
            Self::Panicked => (
                "panic",
                "The machines hold their own assertions. One of them did not.",
            ),
            Self::Diverged => (
                "two runs of one seed differ",
                "Everything follows from the seed. Something else had a say: a clock, an address, the \
                 order of a hash map.",
            ),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A promise was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which promise.
    pub rule: Rule,
    /// When that came to light.
    pub at: Mono,
    /// What was seen, in one line.
    pub what: String,
}

impl Violation {
    /// A promise was broken, as came to light at that time.
    #[must_use]
    pub const fn new(rule: Rule, at: Mono, what: String) -> Self {
        Self { rule, at, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Rule;

    #[test]
    fn every_rule_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
        assert_eq!(names.len(), Rule::ALL.len());
        assert!(Rule::ALL.iter().all(|rule| !rule.meaning().is_empty()));
    }
}
