//! A number that only rises, with when it rose.

use chronik_model::Mono;

/// What was known when: a question binds its answer to what was known when it was asked, not to
/// what became known while it was under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Stairs {
    steps: Vec<(Mono, i64)>,
}

impl Stairs {
    /// From `at` on it is at least `value`.
    pub(super) fn raise(&mut self, at: Mono, value: i64) {
        if value > self.last() {
            self.steps.push((at, value));
        }
    }

    /// Nothing is known any more but that it is at least `value`.
    pub(super) fn restart(&mut self, at: Mono, value: i64) {
        self.steps.clear();
        self.raise(at, value);
    }

    /// What was known before `asked`.
    pub(super) fn before(&self, asked: Mono) -> i64 {
        let known = self.steps.partition_point(|(at, _)| *at < asked);
        let step = known.checked_sub(1).and_then(|last| self.steps.get(last));
        step.map_or(0, |(_, value)| *value)
    }

    /// What is known now.
    pub(super) fn last(&self) -> i64 {
        self.steps.last().map_or(0, |(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_bound_by_what_was_known_before_it() {
        let mut stairs = Stairs::default();
        stairs.raise(Mono(10), 5);
        stairs.raise(Mono(20), 4);
        stairs.raise(Mono(30), 9);
        let known = [9, 10, 11, 30, 31].map(|asked| stairs.before(Mono(asked)));
        assert_eq!(known, [0, 0, 5, 5, 9]);
        stairs.restart(Mono(40), 2);
        assert_eq!((stairs.before(Mono(41)), stairs.last()), (2, 2));
    }
}
