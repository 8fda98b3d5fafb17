//! Partitions and their owners.

use super::{Rule, judge};

#[test]
fn a_partition_has_one_owner() {
    for (history, breaks) in [
        ("m1 owns 3: a-0 a-1\nm2 owns 3: a-1", Some(Rule::TwoOwners)),
        ("m1 owns 3: a-0\nm2 owns 3: a-1", None),
        ("m1 owns 3: a-0\nm1 gives-up\nm2 owns 4: a-0", None),
        ("m1 owns 3: a-0 a-1\nm1 gives-up: a-1\nm2 owns 4: a-1", None),
        (
            "m1 owns 3: a-0 a-1\nm1 gives-up: a-1\nm2 owns 4: a-0",
            Some(Rule::TwoOwners),
        ),
        ("m1 owns 3: a-0 a-1\nm1 owns 4: a-0\nm2 owns 4: a-1", None),
        ("m1 owns 3: a-0\nm2 owns 3 group=2: a-0", None),
        ("m1 owns 3: a-0\nwiped\nm2 owns 1: a-0", None),
        (
            "m1 owns 3: a-0\ncrash\nm2 owns 4: a-0",
            Some(Rule::TwoOwners),
        ),
    ] {
        let verdict = judge(history);
        assert_eq!(verdict.err().map(|it| it.rule), breaks, "{history}");
    }
}

#[test]
fn epochs_rise() {
    for (history, breaks) in [
        ("m1 owns 3: a-0\nm1 owns 2: a-0", Some(Rule::EpochWentBack)),
        ("m1 owns 3: a-0\nm1 owns 3: a-0", None),
        ("m1 owns 3: a-0\nm1 owns 4: a-0", None),
        ("m1 owns 3: a-0\nm2 owns 2: a-1", None),
        ("m1 owns 3: a-0\nwiped\nm1 owns 1: a-0", None),
    ] {
        let verdict = judge(history);
        assert_eq!(verdict.err().map(|it| it.rule), breaks, "{history}");
    }
}
