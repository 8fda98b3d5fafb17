//! The clocks of one broker: a monotonic one that runs a little fast or slow, and a wall clock that
//! leaps.

use chronik_model::{Mono, Now};

/// What the wall clock shows when the world begins.
pub const WALL_START_MS: i64 = 1_700_000_000_000;
const MILLION: i64 = 1_000_000;

/// See the module.
#[derive(Debug, Clone, Copy)]
pub struct Clocks {
    /// Nanoseconds that the broker counts too many in a millisecond of true time.
    skew_ppm: i64,
    /// How far the wall clock was set off.
    leapt_ms: i64,
}

impl Clocks {
    /// Clocks that agree with true time but for their rate, which is off by less than 10 %.
    #[must_use]
    pub fn new(skew_ppm: i64) -> Self {
        Self {
            skew_ppm: skew_ppm.clamp(-100_000, 100_000),
            leapt_ms: 0,
        }
    }

    /// What they show at a point of true time.
    #[must_use]
    pub fn read(&self, at: Mono) -> Now {
        let mono = self.local(at);
        let passed = i64::try_from(mono.0 / 1_000_000).unwrap_or(i64::MAX);
        Now {
            mono,
            wall_ms: WALL_START_MS
                .saturating_add(passed)
                .saturating_add(self.leapt_ms),
        }
    }

    /// The first point of true time at which the monotonic clock shows `local` or more.
    #[must_use]
    pub fn when(&self, local: Mono) -> Mono {
        let wide = i128::from(local.0) * i128::from(MILLION);
        let guess = wide / i128::from(MILLION + self.skew_ppm);
        let mut at = Mono(u64::try_from(guess).unwrap_or(u64::MAX).saturating_sub(1));
        while self.local(at) < local && at < Mono::MAX {
            at.0 += 1;
        }
        at
    }

    /// Sets the wall clock forward or back.
    pub const fn leap(&mut self, ms: i64) {
        self.leapt_ms = self.leapt_ms.saturating_add(ms);
    }

    fn local(&self, at: Mono) -> Mono {
        let wide = i128::from(at.0) * i128::from(MILLION + self.skew_ppm);
        Mono(u64::try_from(wide / i128::from(MILLION)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_met_as_soon_as_the_clock_shows_them() {
        for skew_ppm in [-100_000, -37, 0, 1, 99_999] {
            let clocks = Clocks::new(skew_ppm);
            for local in [0, 1, 999, 1_000_000_007, 12_345_678_901_234] {
                let at = clocks.when(Mono(local));
                assert!(clocks.read(at).mono >= Mono(local), "{skew_ppm} {local}");
                let before = Mono(at.0.saturating_sub(1));
                let early = at == before || clocks.read(before).mono < Mono(local);
                assert!(early, "{skew_ppm} {local}");
            }
        }
    }

    #[test]
    fn only_the_wall_clock_leaps() {
        let mut clocks = Clocks::new(0);
        clocks.leap(-3_600_000);
        let now = clocks.read(Mono(5_000_000));
        assert_eq!(now.mono, Mono(5_000_000));
        assert_eq!(now.wall_ms, WALL_START_MS + 5 - 3_600_000);
    }
}
