//! Time as an argument: the core never asks a clock.

use std::ops::{Add, Sub};
use std::time::Duration;

/// A point on the monotonic clock, in nanoseconds since an arbitrary start of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub u64);

impl Mono {
    /// The latest representable point: "never".
    pub const MAX: Self = Self(u64::MAX);

    /// Time passed since `earlier`; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This point plus a number of milliseconds; negative counts as zero.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(
            self.0
                .saturating_add(ms.max(0).unsigned_abs().saturating_mul(1_000_000)),
        )
    }
}

impl Add<Duration> for Mono {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub<Duration> for Mono {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }
}

/// The time of one step: monotonic for deadlines, wall clock for timestamps and retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Monotonic time.
    pub mono: Mono,
    /// Milliseconds since the Unix epoch; may jump in either direction.
    pub wall_ms: i64,
}
