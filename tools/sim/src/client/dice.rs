//! What an actor leaves to chance.

use chronik_model::Mono;
use chronik_model::rng::Rng;

/// One ms of world time.
pub const MS: u64 = 1_000_000;

/// The random stream of one actor.
#[derive(Debug, Clone)]
pub struct Dice(Rng);

impl Dice {
    /// Throws what this stream holds.
    #[must_use]
    pub const fn new(rng: Rng) -> Self {
        Self(rng)
    }

    /// True in so many of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.0.below(100) < percent
    }

    /// A number of this range, both ends included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.below(high.saturating_sub(low) + 1)
    }

    /// An index below `len`.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.0.below(len.max(1) as u64)).unwrap_or(0)
    }

    /// A small number of this range, both ends included.
    pub fn small(&mut self, low: i32, high: i32) -> i32 {
        let width = u64::from(high.saturating_sub(low).unsigned_abs());
        low.saturating_add(i32::try_from(self.0.below(width + 1)).unwrap_or(0))
    }

    /// One of them.
    ///
    /// # Panics
    /// Where there is nothing to choose from.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let index = self.index(from.len());
        *from.get(index).expect("there is something to choose from")
    }

    /// A time so many ms later.
    pub fn later(&mut self, now: Mono, low_ms: u64, high_ms: u64) -> Mono {
        Mono(now.0 + self.between(low_ms * MS, high_ms * MS))
    }

    /// Sixteen random bytes in hexadecimal, as clients make their ids.
    pub fn id(&mut self) -> String {
        format!("{:016x}{:016x}", self.0.next_u64(), self.0.next_u64())
    }
}
