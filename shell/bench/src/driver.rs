//! What a driver is handed to make its workers from.

use chronik_model::{Offset, PartitionIndex};

use crate::args::{Driver, Plan};
use crate::failure::Failure;
use crate::preflight::Cluster;
use crate::run::Job;
use crate::{librdkafka, native};

/// Everything that is known before the load begins.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The checked arguments.
    pub(crate) plan: Plan,
    /// The cluster that is measured.
    pub(crate) cluster: Cluster,
    /// Tells records of this run from others.
    pub(crate) run_id: u64,
    /// What there is to read in each partition, from and to.
    pub(crate) ranges: Vec<Range>,
}

/// What a partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    /// The partition.
    pub(crate) partition: PartitionIndex,
    /// Its first offset.
    pub(crate) begin: Offset,
    /// The offset behind its last.
    pub(crate) end: Offset,
}

impl Setup {
    /// Whether records carry a stamp.
    pub(crate) const fn stamps(&self) -> bool {
        self.plan.args.validate
    }

    /// The ranges that fall to connection `index` of `of`.
    pub(crate) fn share_of(&self, index: usize, of: usize) -> Vec<Range> {
        let mine = |range: &&Range| {
            usize::try_from(range.partition.0).is_ok_and(|partition| partition % of.max(1) == index)
        };
        self.ranges.iter().filter(mine).copied().collect()
    }
}

/// The workers of a run, connected.
///
/// # Errors
/// [`Failure::Unreachable`] without a connection in time.
pub(crate) fn jobs(setup: &Setup) -> Result<Vec<Job>, Failure> {
    match setup.plan.args.driver {
        Driver::Librdkafka => librdkafka::jobs(setup),
        Driver::Native => native::jobs(setup),
    }
}

/// The part of worker `index` of `workers` in `all`; the first ones get what does not divide.
pub(crate) const fn share(all: usize, index: usize, workers: usize) -> usize {
    all / workers + if index < all % workers { 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn shares_add_up() {
        for (all, workers) in [(128, 1), (10, 3), (2, 5), (64, 64)] {
            let sum: usize = (0..workers).map(|index| share(all, index, workers)).sum();
            assert_eq!(sum, all);
        }
        assert_eq!((share(10, 0, 3), share(10, 2, 3)), (4, 3));
    }
}
