//! Committed offsets.

use super::{Rule, judge};

#[test]
fn an_acknowledged_commit_stays_until_the_next() {
    for (history, breaks) in [
        (
            "m1 commits #1: a-0=5\nm1 committed #1\n. offsets: a-0=5",
            None,
        ),
        (
            "m1 commits #1: a-0=5\nm1 committed #1\n. offsets: a-0=-1",
            Some(Rule::CommitLost),
        ),
        (
            "m1 commits #1: a-0=5\nm1 committed #1\n. offsets asked=1: a-0=-1",
            None,
        ),
        (
            "m1 commits #1: a-0=5\nm1 committed #1\nm1 commits #2: a-0=7\nm1 committed #2\n\
             . offsets: a-0=5",
            Some(Rule::CommitLost),
        ),
        (
            "m1 commits #1: a-0=5\nm1 committed #1\nm1 commits #2: a-0=7\n. offsets: a-0=5",
            None,
        ),
        (
            "m1 commits #1: a-0=5\nm1 committed #1\nm1 commits #2: a-0=7\n. offsets: a-0=7",
            None,
        ),
        // Once it was seen, it stays.
        (
            "m1 commits #1: a-0=5\nm1 committed #1\nm1 commits #2: a-0=7\n. offsets: a-0=7\n\
             . offsets: a-0=5",
            Some(Rule::CommitLost),
        ),
        // Two at a time, in any order.
        (
            "m1 commits #1: a-0=5\nm2 commits #2: a-0=7\nm2 committed #2\nm1 committed #1\n\
             . offsets: a-0=7",
            None,
        ),
        (
            "m1 commits #1: a-0=5\nm2 commits #2: a-0=7\nm2 committed #2\nm1 committed #1\n\
             . offsets: a-0=5",
            None,
        ),
        (
            "m1 commits #1: a-0=5\nm1 committed #1\ncrash\n. offsets: a-0=-1",
            Some(Rule::CommitLost),
        ),
        (
            "m1 commits #1: a-0=5\nm1 committed #1\nwiped\n. offsets: a-0=-1",
            None,
        ),
        (
            "damaged b-0\nm1 commits #1: a-0=5\nm1 committed #1\n. offsets: a-0=-1",
            None,
        ),
        (
            "topic a 1\nm1 commits #1: a-0=5\nm1 committed #1\nd1 drops a\n. offsets: a-0=-1",
            None,
        ),
    ] {
        let verdict = judge(history);
        assert_eq!(verdict.err().map(|it| it.rule), breaks, "{history}");
    }
}

#[test]
fn a_committed_offset_was_committed() {
    for (history, breaks) in [
        (". offsets: a-0=-1", None),
        (". offsets: a-0=5", Some(Rule::CommitInvented)),
        (
            "m1 commits #1: a-0=5\n. offsets: a-1=5",
            Some(Rule::CommitInvented),
        ),
        (
            "m1 commits #1: a-0=5\n. offsets group=2: a-0=5",
            Some(Rule::CommitInvented),
        ),
        (
            "m1 commits #1: a-0=5\nm1 uncommitted #1\n. offsets: a-0=5",
            Some(Rule::CommitInvented),
        ),
        (
            "m1 commits #1: a-0=5\nm1 unknown #1\n. offsets: a-0=5",
            None,
        ),
        (
            "m1 commits #1: a-0=5\nwiped\n. offsets: a-0=5",
            Some(Rule::CommitInvented),
        ),
    ] {
        // `unknown` is the end of a send; for a commit it is no line at all.
        let history = history.replace("m1 unknown #1\n", "");
        let verdict = judge(&history);
        assert_eq!(verdict.err().map(|it| it.rule), breaks, "{history}");
    }
}
