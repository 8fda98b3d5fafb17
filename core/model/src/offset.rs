//! Positions in a partition.

use std::fmt;
use std::ops::{Add, Sub};

/// A record's position in its partition. Every bound called `*_offset` is an exclusive end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(pub i64);

impl Offset {
    /// The first offset of a new partition.
    pub const ZERO: Self = Self(0);

    /// Number of offsets from `earlier` (inclusive) to `self` (exclusive); negative when reversed.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The following offset.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Add<i64> for Offset {
    type Output = Self;

    fn add(self, count: i64) -> Self {
        Self(self.0.saturating_add(count))
    }
}

impl Sub<i64> for Offset {
    type Output = Self;

    fn sub(self, count: i64) -> Self {
        Self(self.0.saturating_sub(count))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
