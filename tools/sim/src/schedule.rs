//! What is to happen, by time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use chronik_model::Mono;
use chronik_model::rng::Rng;

/// Events by time. Which of two at the same time comes first is a matter of chance.
#[derive(Debug)]
pub struct Schedule<E> {
    heap: BinaryHeap<Entry<E>>,
    rng: Rng,
    sequence: u64,
}

/// Only its place counts in comparisons, the soonest being the greatest.
#[derive(Debug)]
struct Entry<E> {
    at: Mono,
    tie: u32,
    sequence: u64,
    event: E,
}

impl<E> Schedule<E> {
    /// An empty one; `rng` breaks ties.
    #[must_use]
    pub const fn new(rng: Rng) -> Self {
        Self {
            heap: BinaryHeap::new(),
            rng,
            sequence: 0,
        }
    }

    /// Has `event` happen at `at`.
    pub fn push(&mut self, at: Mono, event: E) {
        let tie = u32::try_from(self.rng.next_u64() >> 32).unwrap_or(0);
        self.sequence += 1;
        self.heap.push(Entry {
            at,
            tie,
            sequence: self.sequence,
            event,
        });
    }

    /// Takes the next event with its time.
    pub fn pop(&mut self) -> Option<(Mono, E)> {
        self.heap.pop().map(|entry| (entry.at, entry.event))
    }

    /// When the next event happens.
    #[must_use]
    pub fn next_at(&self) -> Option<Mono> {
        self.heap.peek().map(|entry| entry.at)
    }
}

impl<E> Entry<E> {
    const fn place(&self) -> (u64, u32, u64) {
        (self.at.0, self.tie, self.sequence)
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.place().cmp(&self.place())
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl<E> Eq for Entry<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(seed: u64) -> Vec<(u64, char)> {
        let mut schedule = Schedule::new(Rng::new(seed));
        for (at, event) in [(3, 'd'), (1, 'a'), (2, 'b'), (2, 'c')] {
            schedule.push(Mono(at), event);
        }
        std::iter::from_fn(|| schedule.pop())
            .map(|(at, event)| (at.0, event))
            .collect()
    }

    #[test]
    fn time_comes_first_and_chance_breaks_ties() {
        let orders: std::collections::BTreeSet<_> = (0..20).map(order).collect();
        let expected = [
            vec![(1, 'a'), (2, 'b'), (2, 'c'), (3, 'd')],
            vec![(1, 'a'), (2, 'c'), (2, 'b'), (3, 'd')],
        ];
        assert_eq!(orders, expected.into());
        assert_eq!(order(7), order(7));
    }
}
