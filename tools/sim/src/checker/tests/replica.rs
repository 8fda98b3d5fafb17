//! A replica's numbers.

use chronik_model::{Mono, TopicId};

use crate::checker::{ReplicaChecker, ReplicaState};
use crate::history::Place;

const fn state(log_start: i64, high_watermark: i64, stable_end: i64, log_end: i64) -> ReplicaState {
    ReplicaState {
        log_start,
        high_watermark,
        stable_end,
        log_end,
    }
}

#[test]
fn numbers_fit_together_and_rise() {
    let before = state(2, 5, 7, 9);
    let cases = [
        (state(2, 5, 7, 9), true),
        (state(3, 6, 8, 10), true),
        (state(2, 8, 7, 9), false),
        (state(2, 5, 10, 9), false),
        (state(6, 5, 7, 9), false),
        (state(1, 5, 7, 9), false),
        (state(2, 4, 7, 9), false),
        (state(2, 5, 6, 9), false),
        (state(2, 5, 7, 8), false),
    ];
    let place = Place {
        topic: TopicId::ZERO,
        partition: 0,
    };
    for (after, holds) in cases {
        let mut checker = ReplicaChecker::default();
        checker.look(Mono(1), place, before).unwrap();
        assert_eq!(
            checker.look(Mono(2), place, after).is_ok(),
            holds,
            "{after:?}"
        );
    }
}

#[test]
fn a_new_life_begins_where_recovery_ends() {
    let place = Place {
        topic: TopicId::ZERO,
        partition: 0,
    };
    let mut checker = ReplicaChecker::default();
    checker.look(Mono(1), place, state(0, 7, 7, 9)).unwrap();
    checker.died();
    checker.look(Mono(2), place, state(0, 7, 7, 7)).unwrap();
}
