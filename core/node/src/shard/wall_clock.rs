//! The time that expiry goes by. A wall clock that leaps ahead, for a moment or by a slip of the hand,
//! must not delete everything that is younger than the leap.
//!
//! ```text
//!  wall clock      ...........|''''''''''''''''''''''''''
//!  expiry's clock  ....................................|''''
//!                             ^ leap                   ^ it has lasted
//! ```

use chronik_model::{Mono, Now};

/// How far the wall clock may get ahead of the time that passed.
const TOLERANCE_MS: i64 = 3_600_000;
/// A leap that lasts this long is taken for the truth.
const HOLD_MS: i64 = 3_600_000;

/// See the module. Time that passes between two lives of the process is not seen.
#[derive(Debug, Default)]
pub(super) struct WallClock {
    /// When the wall clock was last believed.
    believed: Option<Now>,
    leapt: Option<Mono>,
}

impl WallClock {
    /// Takes the time of the start for the truth.
    pub(super) fn start(&mut self, now: Now) {
        self.believed.get_or_insert(now);
    }

    /// The wall time to expire by, in ms, and a line for people when a leap begins.
    pub(super) fn read(&mut self, now: Now) -> (i64, Option<String>) {
        let believed = *self.believed.get_or_insert(now);
        let passed = now.mono.since(believed.mono).as_millis();
        let expected = believed
            .wall_ms
            .saturating_add(i64::try_from(passed).unwrap_or(i64::MAX));
        let ahead = now.wall_ms.saturating_sub(expected);
        let begins = self.leapt.is_none();
        let leapt = *self.leapt.get_or_insert(now.mono);
        if ahead <= TOLERANCE_MS || leapt.plus_ms(HOLD_MS) <= now.mono {
            (self.believed, self.leapt) = (Some(now), None);
            return (now.wall_ms, None);
        }
        let line = begins.then(|| {
            format!(
                "the wall clock leapt {} s ahead: retention goes on as if it had not for the next {} s",
                ahead / 1000,
                HOLD_MS / 1000
            )
        });
        (expected, line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;
    const DAY_MS: i64 = 86_400_000;

    #[test]
    fn a_leap_counts_once_it_has_lasted() {
        let mut clock = WallClock::default();
        // Minutes since the start, how far the wall clock is off, and whether that is believed.
        let mut check = |minute: i64, off_ms: i64, believed, told| {
            let now = Now {
                mono: Mono(0).plus_ms(minute * MINUTE_MS),
                wall_ms: minute * MINUTE_MS + off_ms,
            };
            let (wall_ms, line) = clock.read(now);
            assert_eq!(wall_ms == now.wall_ms, believed, "minute {minute}");
            assert!(wall_ms <= now.wall_ms && line.is_some() == told, "{line:?}");
        };
        check(0, 0, true, false);
        check(5, 30 * MINUTE_MS, true, false);
        check(10, 0, true, false);
        check(15, DAY_MS, false, true);
        check(20, DAY_MS, false, false);
        check(25, 0, true, false);
        check(30, 90 * MINUTE_MS, false, true);
        check(60, 90 * MINUTE_MS, false, false);
        check(91, 90 * MINUTE_MS, true, false);
        check(96, 90 * MINUTE_MS, true, false);
        check(101, -DAY_MS, true, false);
        check(106, 0, false, true);
    }
}
