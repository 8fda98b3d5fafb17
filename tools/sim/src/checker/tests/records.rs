//! What comes to light while clients are at work.

use super::{Case, Rule, check};

#[test]
fn offsets_name_one_record() {
    check(&[
        Case {
            name: "two readers see two records",
            breaks: Some(Rule::Inconsistent),
            history: "topic a 1
                p1 sends #1 a-0: x
                p1 sends #2 a-0: y
                c1 reads a-0 0: 0=x
                c2 reads a-0 0: 0=y",
        },
        Case {
            name: "an acknowledgement and a reader disagree",
            breaks: Some(Rule::Inconsistent),
            history: "topic a 1
                p1 sends #1 a-0: x
                p1 sends #2 a-0: y
                p1 acked #1 0
                c1 reads a-0 0: 0=y",
        },
        Case {
            name: "two acknowledgements overlap",
            breaks: Some(Rule::Inconsistent),
            history: "topic a 1
                p1 sends #1 a-0: x y
                p1 sends #2 a-0: z
                p1 acked #1 0
                p1 acked #2 1",
        },
        Case {
            name: "everybody agrees",
            breaks: None,
            history: "topic a 1
                p1 sends #1 a-0: x y
                p1 acked #1 0
                c1 reads a-0 0: 0=x 1=y
                c2 reads a-0 1: 1=y
                . scan a-0 0..2: 0=x 1=y",
        },
    ]);
}

#[test]
fn records_are_there_as_often_as_they_may() {
    check(&[
        Case {
            name: "an idempotent batch twice",
            breaks: Some(Rule::Duplicate),
            history: "topic a 1
                p1 sends #1 a-0 seq=7/0/0: x
                p1 unknown #1
                p1 sends #1 a-0 seq=7/0/0: x
                p1 acked #1 0
                c1 reads a-0 0: 0=x 1=x",
        },
        Case {
            name: "an idempotent batch acknowledged at two offsets",
            breaks: Some(Rule::Duplicate),
            history: "topic a 1
                p1 sends #1 a-0 seq=7/0/0: x
                p1 acked #1 0
                p1 sends #1 a-0 seq=7/0/0: x
                p1 acked #1 1",
        },
        Case {
            name: "an idempotent batch under a second epoch",
            breaks: None,
            history: "topic a 1
                p1 sends #1 a-0 seq=7/0/0: x
                p1 unknown #1
                p1 sends #1 a-0 seq=7/1/0: x
                p1 acked #1 1
                c1 reads a-0 0: 0=x 1=x
                . scan a-0 0..2: 0=x 1=x",
        },
        Case {
            name: "a plain batch once for each attempt",
            breaks: None,
            history: "topic a 1
                p1 sends #1 a-0: x
                p1 unknown #1
                p1 sends #1 a-0: x
                p1 acked #1 1
                c1 reads a-0 0: 0=x 1=x
                . scan a-0 0..2: 0=x 1=x",
        },
        Case {
            name: "a plain batch more often than it was sent",
            breaks: Some(Rule::Duplicate),
            history: "topic a 1
                p1 sends #1 a-0: x
                p1 acked #1 0
                c1 reads a-0 0: 0=x 1=x",
        },
        Case {
            name: "an attempt that was refused does not count",
            breaks: Some(Rule::Duplicate),
            history: "topic a 1
                p1 sends #1 a-0: x
                p1 refused #1
                p1 sends #1 a-0: x
                p1 acked #1 0
                c1 reads a-0 0: 0=x 1=x",
        },
    ]);
}

#[test]
fn what_was_refused_is_not_there() {
    check(&[
        Case {
            name: "read after it was refused",
            breaks: Some(Rule::Refused),
            history: "topic a 1
                p1 sends #1 a-0: x
                p1 refused #1
                c1 reads a-0 0: 0=x",
        },
        Case {
            name: "refused after it was read",
            breaks: Some(Rule::Refused),
            history: "topic a 1
                p1 sends #1 a-0: x
                c1 reads a-0 0: 0=x
                p1 refused #1",
        },
        Case {
            name: "another attempt was unknown",
            breaks: None,
            history: "topic a 1
                p1 sends #1 a-0 seq=7/0/0: x
                p1 unknown #1
                p1 sends #1 a-0 seq=7/0/0: x
                p1 refused #1
                c1 reads a-0 0: 0=x
                . scan a-0 0..1: 0=x",
        },
    ]);
}

#[test]
fn what_is_there_was_sent_to_there() {
    check(&[
        Case {
            name: "nobody sent it",
            breaks: Some(Rule::Unsent),
            history: "topic a 1
                c1 reads a-0 0: 0=x",
        },
        Case {
            name: "it was sent to another partition",
            breaks: Some(Rule::Unsent),
            history: "topic a 2
                p1 sends #1 a-1: x
                c1 reads a-0 0: 0=x",
        },
        Case {
            name: "it was acknowledged in an earlier life of the topic",
            breaks: Some(Rule::Unsent),
            history: "topic a 1
                p1 sends #1 a-0: x
                p1 acked #1 0
                d1 drops a
                topic a' 1
                c1 reads a'-0 0: 0=x",
        },
        Case {
            name: "a retry by name reaches the next life",
            breaks: None,
            history: "topic a 1
                p1 sends #1 a-0: x
                d1 drops a
                topic a' 1
                p1 unknown #1
                c1 reads a'-0 0: 0=x
                . scan a'-0 0..1: 0=x",
        },
    ]);
}

#[test]
fn readers_miss_nothing_and_never_go_back() {
    const SENT: &str = "topic a 1
        p1 sends #1 a-0: u v w x y z
        ";
    for (reads, breaks) in [
        ("c1 reads a-0 0: 0=u 2=w", Some(Rule::Skipped)),
        ("c1 reads a-0 1: 2=w", Some(Rule::Skipped)),
        ("c1 reads a-0 1: 0=u", Some(Rule::NonMonotonic)),
        ("c1 reads a-0 0: 0=u 0=u", Some(Rule::NonMonotonic)),
        (
            "c1 reads a-0 0: 0=u\nc1 reads a-0 2: 2=w",
            Some(Rule::Skipped),
        ),
        (
            "c1 reads a-0 0: 0=u 1=v\nc1 reads a-0 1: 1=v",
            Some(Rule::NonMonotonic),
        ),
        ("c1 reads a-0 0: 0=u\nc1 reads a-0 2 seek=1: 2=w", None),
        ("c1 reads a-0 0: 0=u\nc2 reads a-0 2: 2=w", None),
        ("c1 reads a-0 0: 0=u\nc1 reads a-0 1 hw=1:", None),
        (
            "c1 reads a-0 0 hw=1: 0=u 1=v",
            Some(Rule::BeyondHighWatermark),
        ),
        ("c1 reads a-0 0 hw=2: 0=u 1=v", None),
        ("damaged a-0\nc1 reads a-0 0: 0=u 2=w", None),
    ] {
        let history = format!("{SENT}{reads}\n. scan a-0 0..6: 0=u 1=v 2=w 3=x 4=y 5=z");
        let verdict = super::judge(&history);
        assert_eq!(verdict.err().map(|it| it.rule), breaks, "{reads}");
    }
    check(&[Case {
        name: "compaction leaves gaps",
        breaks: None,
        history: "topic a 1 compact
            p1 sends #1 a-0: u v w x
            c1 reads a-0 0: 0=u 2=w
            c1 reads a-0 3 start=2: 3=x
            . scan a-0 2..4: 3=x",
    }]);
}

#[test]
fn ends_and_starts_never_move_back() {
    const SENT: &str = "topic a 1
        p1 sends #1 a-0: u v w
        p1 acked #1 0
        ";
    for (facts, breaks) in [
        (". end a-0 2", Some(Rule::EndWentBack)),
        (". end a-0 2 asked=2", None),
        (". end a-0 3", None),
        ("c1 reads a-0 0 hw=2:", Some(Rule::EndWentBack)),
        ("crash\n. end a-0 2", Some(Rule::EndWentBack)),
        ("power\n. end a-0 2", Some(Rule::EndWentBack)),
        ("wiped\n. end a-0 0", None),
        ("d1 drops a\n. end a-0 0", None),
        ("c1 reads a-0 0 start=1 hw=3:", Some(Rule::StartUnasked)),
        ("d1 deleting a-0 2\nc1 reads a-0 2 start=1: 2=w", None),
        (
            "d1 deleting a-0 2\nd1 deleted a-0 2\nc1 reads a-0 2 start=1: 2=w",
            Some(Rule::StartWentBack),
        ),
        (
            "d1 deleting a-0 2\nd1 deleted a-0 2\nc1 reads a-0 1 start=2: 1=v 2=w",
            Some(Rule::DeletedRead),
        ),
        (
            "d1 deleting a-0 2\nd1 deleted a-0 2\nc1 reads a-0 1 asked=3: 1=v 2=w",
            None,
        ),
        (
            "d1 deleting a-0 2\nd1 deleted a-0 3",
            Some(Rule::StartUnasked),
        ),
        ("d1 deleting a-0 -1\nd1 deleted a-0 3", None),
        // Two were under way, and the answer to the first one comes behind what the second one did.
        (
            "d1 deleting a-0 2\nc1 reads a-0 2 start=2: 2=w\nd1 deleted a-0 1 asked=4",
            None,
        ),
        (
            "d1 deleting a-0 2\nc1 reads a-0 2 start=2: 2=w\nd1 deleted a-0 1",
            Some(Rule::StartWentBack),
        ),
        // Deletions go with the checkpoints, offsets do not.
        (
            "d1 deleting a-0 2\nd1 deleted a-0 2\ncrash\nc1 reads a-0 2 start=0: 2=w",
            Some(Rule::StartWentBack),
        ),
        (
            "d1 deleting a-0 2\nd1 deleted a-0 2\ncrash\nrebuilt\nc1 reads a-0 1 start=0: 1=v 2=w",
            None,
        ),
        ("crash\nrebuilt\n. end a-0 2", Some(Rule::EndWentBack)),
        // Shown, but not acknowledged: it need not outlive the process, however late the answer comes.
        (
            "d1 deleting a-0 2\nc1 reads a-0 2 start=2: 2=w\nc2 reads a-0 2 start=0: 2=w",
            Some(Rule::StartWentBack),
        ),
        (
            "d1 deleting a-0 2\nc1 reads a-0 2 start=2: 2=w\ncrash\nc2 reads a-0 2 start=0: 2=w",
            None,
        ),
        (
            "d1 deleting a-0 2\ncrash\nc1 reads a-0 2 start=2 asked=1: 2=w\nc2 reads a-0 2 start=0: 2=w",
            None,
        ),
    ] {
        let history = format!("{SENT}{facts}\n. end a-0 3");
        let verdict = super::judge(&history).err().map(|it| it.rule);
        let verdict = verdict.filter(|rule| *rule != Rule::Unseen);
        assert_eq!(verdict, breaks, "{facts}");
    }
}

#[test]
fn clients_that_contradict_themselves_are_told() {
    check(&[
        Case {
            name: "a broken reply",
            breaks: Some(Rule::Protocol),
            history: "p1 protocol undecodable",
        },
        Case {
            name: "an end without a beginning",
            breaks: Some(Rule::Protocol),
            history: "p1 acked #1 0",
        },
        Case {
            name: "two producers of one id",
            breaks: Some(Rule::Protocol),
            history: "p1 is 7
                crash
                p2 is 7",
        },
        Case {
            name: "two producers of one id, on two disks",
            breaks: None,
            history: "p1 is 7
                wiped
                p2 is 7
                p3 is 7 asked=1",
        },
        Case {
            name: "one value in two batches",
            breaks: Some(Rule::Protocol),
            history: "topic a 1
                p1 sends #1 a-0: x
                p1 sends #2 a-0: x",
        },
    ]);
}
