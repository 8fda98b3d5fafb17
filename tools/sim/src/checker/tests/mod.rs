//! Each rule with a history that breaks it and its neighbours that do not.

mod commits;
mod groups;
mod records;
mod replica;
mod scans;
mod text;

use super::{Checker, Rule, Violation};

/// A history as text (see [`text`]), and the rule that it breaks.
struct Case {
    name: &'static str,
    breaks: Option<Rule>,
    history: &'static str,
}

fn judge(history: &str) -> Result<(), Violation> {
    let mut checker = Checker::new();
    for entry in text::parse(history) {
        checker.take(&entry)?;
    }
    checker.finish()
}

fn check(cases: &[Case]) {
    for case in cases {
        let verdict = judge(case.history);
        let broken = verdict.as_ref().err().map(|violation| violation.rule);
        assert_eq!(broken, case.breaks, "{}: {verdict:?}", case.name);
    }
}
