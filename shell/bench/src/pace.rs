//! When records should be sent.

/// Sends at a fixed rate: record `n` has its time, whatever became of those before it. Latency that
/// counts from these times shows waiting that a sender who is held up would leave out
/// (coordinated omission).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    per_second: u64,
    /// This worker among those that share the rate.
    index: u64,
    workers: u64,
}

impl Pace {
    /// The share of worker `index` of `workers`, who take turns.
    pub(crate) fn new(per_second: u64, index: u64, workers: u64) -> Self {
        Self {
            per_second: per_second.max(1),
            index,
            workers: workers.max(1),
        }
    }

    /// When record `number` of this worker should be sent, in nanoseconds since the run began.
    pub(crate) fn intended_ns(&self, number: u64) -> u64 {
        let of_all = u128::from(number) * u128::from(self.workers) + u128::from(self.index);
        u64::try_from(of_all * NANOS_PER_SECOND / u128::from(self.per_second)).unwrap_or(u64::MAX)
    }
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::Pace;

    #[test]
    fn every_record_has_its_time() {
        let check = |rate, number, expected| {
            assert_eq!(Pace::new(rate, 0, 1).intended_ns(number), expected);
        };
        check(1, 0, 0);
        check(1, 5, 5_000_000_000);
        check(1_000, 1, 1_000_000);
        check(3, 1, 333_333_333);
        // Rounding does not add up: after a day the rate is still the rate.
        check(3, 3 * 86_400, 86_400_000_000_000);
        check(1, u64::MAX, u64::MAX);
    }

    #[test]
    fn workers_take_turns() {
        let pace = |index| Pace::new(1_000, index, 4);
        let mut times: Vec<u64> = (0..4)
            .flat_map(|worker| (0..250).map(move |n| pace(worker).intended_ns(n)))
            .collect();
        times.sort_unstable();
        let expected: Vec<u64> = (0..1_000).map(|n| n * 1_000_000).collect();
        assert_eq!(times, expected);
    }
}
