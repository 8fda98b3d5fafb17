//! Small draws from a seeded generator.

use chronik_model::rng::Rng;

/// An index below `length`; 0 for an empty range.
pub fn index(rng: &mut Rng, length: usize) -> usize {
    let bound = u64::try_from(length).unwrap_or(u64::MAX);
    usize::try_from(rng.below(bound)).unwrap_or(0)
}

/// One of `choices`, which must not be empty.
///
/// # Panics
/// There is nothing to choose from.
pub fn pick<'a, T>(rng: &mut Rng, choices: &'a [T]) -> &'a T {
    let at = index(rng, choices.len());
    choices.get(at).expect("there is something to choose from")
}

/// True once in `n` times.
pub fn one_in(rng: &mut Rng, n: u64) -> bool {
    rng.below(n) == 0
}

/// The low byte of a draw.
pub fn byte(rng: &mut Rng) -> u8 {
    let [low, ..] = rng.next_u64().to_le_bytes();
    low
}
