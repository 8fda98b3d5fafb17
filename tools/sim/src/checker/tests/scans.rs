//! What comes to light at the end, and what a power cut may take.

use super::{Case, Rule, check};

#[test]
fn what_was_acknowledged_or_served_is_there() {
    const SENT: &str = "topic a 1
        p1 sends #1 a-0: u v
        p1 acked #1 0
        p1 sends #2 a-0: w
        p1 unknown #2
        ";
    for (facts, breaks) in [
        (". scan a-0 0..2: 0=u 1=v", None),
        (". scan a-0 0..3: 0=u 1=v 2=w", None),
        (". scan a-0 0..1: 0=u", Some(Rule::EndWentBack)),
        (". scan a-0 0..2: 0=u", Some(Rule::Lost)),
        (". scan a-0 0..2: 1=v", Some(Rule::Lost)),
        (". scan a-0 0..3: 0=u 1=v", Some(Rule::Skipped)),
        (". scan a-0 0..2: 1=v 0=u", Some(Rule::Lost)),
        (
            "c1 reads a-0 2: 2=w\n. scan a-0 0..3: 0=u 1=v",
            Some(Rule::Withdrawn),
        ),
        ("", Some(Rule::Unseen)),
        ("d1 drops a", None),
        ("wiped", None),
        ("damaged a-0", None),
        ("damaged a-0\n. scan a-0 0..2: 0=u", None),
        (
            "damaged a-0\n. scan a-0 0..2: 0=v",
            Some(Rule::Inconsistent),
        ),
        (". scan a-0 1..2: 1=v", Some(Rule::StartUnasked)),
        ("d1 deleting a-0 1\n. scan a-0 1..2: 1=v", None),
        ("d1 deleting a-0 1\n. scan a-0 0..2: 0=u 1=v", None),
    ] {
        let verdict = super::judge(&format!("{SENT}{facts}"));
        assert_eq!(verdict.err().map(|it| it.rule), breaks, "{facts}");
    }
}

#[test]
fn an_acknowledgement_without_an_offset_is_a_promise() {
    const SENT: &str = "topic a 1
        p1 sends #1 a-0 seq=7/0/0: u
        p1 acked #1 -1
        ";
    for (facts, breaks) in [
        (". scan a-0 0..0:", Some(Rule::Lost)),
        (". scan a-0 0..1: 0=u", None),
        ("d1 deleting a-0 1\n. scan a-0 1..1:", None),
        ("", Some(Rule::Unseen)),
    ] {
        let verdict = super::judge(&format!("{SENT}{facts}"));
        assert_eq!(verdict.err().map(|it| it.rule), breaks, "{facts}");
    }
}

#[test]
fn batches_are_whole_and_in_order() {
    check(&[
        Case {
            name: "the end of a batch is missing",
            breaks: Some(Rule::Torn),
            history: "topic a 1
                p1 sends #1 a-0: u v
                p1 unknown #1
                . scan a-0 0..1: 0=u",
        },
        Case {
            name: "another batch in the middle",
            breaks: Some(Rule::Duplicate),
            history: "topic a 1
                p1 sends #1 a-0: u v
                p1 sends #2 a-0: x
                . scan a-0 0..3: 0=u 1=x 2=v",
        },
        Case {
            name: "the front of a batch was deleted",
            breaks: None,
            history: "topic a 1
                p1 sends #1 a-0: u v w
                p1 acked #1 0
                d1 deleting a-0 1
                d1 deleted a-0 1
                . scan a-0 1..3: 1=v 2=w",
        },
        Case {
            name: "idempotent batches out of order",
            breaks: Some(Rule::OutOfOrder),
            history: "topic a 1
                p1 sends #1 a-0 seq=7/0/0: u
                p1 sends #2 a-0 seq=7/0/1: v
                . scan a-0 0..2: 0=v 1=u",
        },
        Case {
            name: "an earlier epoch behind a later one",
            breaks: Some(Rule::OutOfOrder),
            history: "topic a 1
                p1 sends #1 a-0 seq=7/0/0: u
                p1 sends #2 a-0 seq=7/1/0: v
                . scan a-0 0..2: 0=v 1=u",
        },
        Case {
            name: "a later epoch behind an earlier one",
            breaks: None,
            history: "topic a 1
                p1 sends #1 a-0 seq=7/0/0: u
                p1 sends #2 a-0 seq=7/1/0: v
                . scan a-0 0..2: 0=u 1=v",
        },
        Case {
            name: "batches of two producers in any order",
            breaks: None,
            history: "topic a 1
                p1 sends #1 a-0 seq=7/0/0: u
                p1 sends #2 a-0 seq=8/0/0: v
                . scan a-0 0..2: 0=v 1=u",
        },
        Case {
            name: "plain batches in any order",
            breaks: None,
            history: "topic a 1
                p1 sends #1 a-0: u
                p1 sends #2 a-0: v
                . scan a-0 0..2: 0=v 1=u",
        },
    ]);
}

#[test]
fn a_power_cut_takes_a_suffix_of_what_is_flushed_now_and_then() {
    const SENT: &str = "topic a 1 lazy
        p1 sends #1 a-0: u v
        p1 acked #1 0
        p1 sends #2 a-0: w
        p1 acked #2 2
        ";
    for (facts, breaks) in [
        ("power\n. scan a-0 0..3: 0=u 1=v 2=w", None),
        ("power\n. scan a-0 0..2: 0=u 1=v", None),
        ("power\n. scan a-0 0..0:", None),
        ("crash\n. scan a-0 0..2: 0=u 1=v", Some(Rule::EndWentBack)),
        ("damaged a-0\ncrash\nserves\n. scan a-0 0..2: 0=u 1=v", None),
        ("crash\ndamaged a-0\nserves\n. scan a-0 0..2: 0=u 1=v", None),
        (
            "damaged a-0\ncrash\n. scan a-0 0..2: 0=u 1=v",
            Some(Rule::EndWentBack),
        ),
        (
            "damaged a-0\n. scan a-0 0..2: 0=u 1=v",
            Some(Rule::EndWentBack),
        ),
        ("power\n. scan a-0 0..3: 2=w", Some(Rule::Lost)),
        (
            "power\nc1 reads a-0 0: 0=u 1=v 2=w\n. scan a-0 0..2: 0=u 1=v",
            Some(Rule::EndWentBack),
        ),
        (
            "power\nc1 reads a-0 0 hw=2: 0=u 1=v\n. scan a-0 0..2: 0=u 1=v",
            None,
        ),
        // Something else stands where the lost one stood.
        (
            "power\np1 sends #3 a-0: z\np1 acked #3 2\n. scan a-0 0..3: 0=u 1=v 2=z",
            None,
        ),
        // A survivor at 2 shows that 0 and 1 are there.
        (
            "power\nc1 reads a-0 2: 2=w\np1 sends #3 a-0: z\nc1 reads a-0 0 seek=1 hw=3: 0=z",
            Some(Rule::Inconsistent),
        ),
        // Once cut at 2, what was acknowledged after that stays.
        (
            "power\np1 sends #3 a-0: z\np1 acked #3 2\ncrash\n. scan a-0 0..2: 0=u 1=v",
            Some(Rule::EndWentBack),
        ),
        // What survives a second cut says nothing of the first.
        (
            "power\np1 sends #3 a-0 acks=0: x y z\npower\n\
             . scan a-0 0..5: 0=u 1=v 2=x 3=y 4=z",
            None,
        ),
        (
            "power\nc1 reads a-0 0: 0=u 1=v 2=w\np1 sends #3 a-0 acks=0: x y z\npower\n\
             c1 reads a-0 3 seek=1: 3=x 4=y\np1 sends #4 a-0: q\n\
             . scan a-0 0..6: 0=u 1=v 2=q 3=x 4=y 5=z",
            Some(Rule::Inconsistent),
        ),
        // An answer from before the cut that comes late binds nobody.
        (
            "power\nc1 reads a-0 0 asked=4: 0=u 1=v 2=w\n. scan a-0 0..0:",
            None,
        ),
    ] {
        let verdict = super::judge(&format!("{SENT}{facts}"));
        assert_eq!(verdict.err().map(|it| it.rule), breaks, "{facts}");
    }
}

#[test]
fn what_a_power_cut_took_may_be_sent_again() {
    const SENT: &str = "topic a 1 lazy
        p1 sends #1 a-0 seq=7/0/0: u
        p1 acked #1 0
        p1 sends #2 a-0 seq=7/0/1: w
        p1 unknown #2
        c1 reads a-0 0: 0=u 1=w
        power
        ";
    for (facts, breaks) in [
        (
            "p2 sends #3 a-0: x\np1 sends #2 a-0 seq=7/0/1: w\np1 acked #2 2\n\
             c1 reads a-0 0 seek=1: 0=u 1=x 2=w\n. scan a-0 0..3: 0=u 1=x 2=w",
            None,
        ),
        (
            "p1 sends #2 a-0 seq=7/0/1: w\np1 acked #2 2\n. scan a-0 0..3: 0=u 1=w 2=w",
            Some(Rule::Duplicate),
        ),
    ] {
        let verdict = super::judge(&format!("{SENT}{facts}"));
        assert_eq!(verdict.err().map(|it| it.rule), breaks, "{facts}");
    }
}

#[test]
fn what_was_synced_is_safe_from_power_cuts() {
    use crate::checker::Checker;
    use crate::checker::tests::text;
    let history = "topic a 1 lazy
        p1 sends #1 a-0: u
        p1 acked #1 0
        power
        . scan a-0 0..0:";
    for (synced, breaks) in [(0, None), (1, Some(Rule::EndWentBack))] {
        let mut checker = Checker::new();
        let mut verdict = Ok(());
        for entry in text::parse(history) {
            verdict = verdict.and_then(|()| checker.take(&entry));
            if let crate::history::Event::Fact(crate::history::Fact::Sent { place, .. }) =
                entry.what
            {
                checker.synced(place, synced);
            }
        }
        assert_eq!(verdict.err().map(|it| it.rule), breaks, "synced {synced}");
    }
}
