//! One seed, many independent streams: a fault drawn more does not shift what clients do.

use chronik_model::rng::Rng;

/// What a stream of random numbers is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// How this run is set up: sizes, numbers, odds.
    Setup,
    /// When machines get their messages.
    Schedule,
    /// How long the network takes, and where it cuts streams.
    Network,
    /// How long a disk takes, and what it loses.
    Disk,
    /// Which faults happen, and when.
    Faults,
    /// What an actor does.
    Actor,
    /// What the product draws for ids.
    Product,
}

/// The root of all chance in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream for a purpose, of the broker or actor with that index.
    #[must_use]
    pub fn stream(self, purpose: Purpose, index: u16) -> Rng {
        let salt = (purpose as u64) << 32 | u64::from(index) << 8 | 1;
        let mut mixed = Rng::new(self.0 ^ salt.wrapping_mul(0x9E6C_63D0_876A_46B5));
        Rng::new(mixed.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use super::{Purpose, Seed};

    #[test]
    fn streams_of_one_seed_differ_and_repeat() {
        let draw = |purpose, index| Seed(7).stream(purpose, index).next_u64();
        assert_eq!(draw(Purpose::Disk, 1), draw(Purpose::Disk, 1));
        assert_ne!(draw(Purpose::Disk, 1), draw(Purpose::Disk, 2));
        assert_ne!(draw(Purpose::Disk, 1), draw(Purpose::Network, 1));
    }
}
