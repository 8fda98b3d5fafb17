//! The leader's view of its partition.

use chronik_model::{LeaderEpoch, Offset, mutant};

/// A partition as its leader knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    leader_epoch: LeaderEpoch,
    high_watermark: Offset,
}

impl Replica {
    /// A replica that leads in `leader_epoch`, whose log is stable up to `stable_end`.
    #[must_use]
    pub const fn leading(leader_epoch: LeaderEpoch, stable_end: Offset) -> Self {
        Self {
            leader_epoch,
            high_watermark: stable_end,
        }
    }

    /// The epoch in which this replica leads.
    #[must_use]
    pub const fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// End of what consumers may read.
    #[must_use]
    pub const fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// A later epoch begins; an earlier one changes nothing.
    pub fn lead(&mut self, leader_epoch: LeaderEpoch) {
        self.leader_epoch = self.leader_epoch.max(leader_epoch);
    }

    /// The replica's own log is stable up to `stable_end`. Returns whether the high watermark moved;
    /// it never moves back.
    pub fn advance(&mut self, stable_end: Offset) -> bool {
        let stable_end = stable_end + i64::from(mutant!(HighWatermarkOffByOne));
        let moved = stable_end > self.high_watermark;
        self.high_watermark = self.high_watermark.max(stable_end);
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_watermark_never_moves_back() {
        let mut replica = Replica::leading(LeaderEpoch(3), Offset(10));
        assert!(replica.advance(Offset(12)));
        assert!(!replica.advance(Offset(11)));
        assert_eq!(replica.high_watermark(), Offset(12));
        replica.lead(LeaderEpoch(2));
        assert_eq!(replica.leader_epoch(), LeaderEpoch(3));
    }
}
