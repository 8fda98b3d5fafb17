//! Where a classic group is in its life.

/// State of a group. A group that does not exist is "Dead" to those who ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// No members; there may be offsets.
    Empty,
    /// Waits for its members to join the next generation.
    PreparingRebalance,
    /// Waits for the leader to bring the assignment.
    CompletingRebalance,
    /// Members have their assignments.
    Stable,
}

impl State {
    /// As the tools write it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}
