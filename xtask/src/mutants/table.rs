//! The table of mutants on the page about the simulator.

use std::fmt::Write as _;

use super::Outcome;
use super::simulator::Verdict;

/// Lines around the table.
pub(super) const BEGIN: &str = "<!-- mutants -->";
pub(super) const END: &str = "<!-- /mutants -->";

/// The table, with one line below it.
pub(super) fn render(outcomes: &[Outcome]) -> String {
    let mut out =
        "| Mutant | What is broken | Killed by seed | Rule broken | Seconds |\n".to_owned();
    out.push_str("| --- | --- | ---: | --- | ---: |\n");
    for Outcome {
        mutant,
        verdict,
        took,
    } in outcomes
    {
        let (seed, rule) = match verdict {
            Verdict::Killed { seed, rule, .. } => (seed.to_string(), rule.as_str()),
            Verdict::Survived { .. } => ("none".to_owned(), "none"),
        };
        let (name, broken, seconds) = (&mutant.name, &mutant.broken, took.as_secs_f64());
        let _infallible = writeln!(
            out,
            "| {name} | {broken} | {seed} | {rule} | {seconds:.1} |"
        );
    }
    let mut seeds: Vec<u64> = outcomes.iter().filter_map(killing_seed).collect();
    seeds.sort_unstable();
    let killed = seeds.len();
    let median = seeds.get(killed / 2).map_or(0, |seed| seed + 1);
    let most = seeds.last().map_or(0, |seed| seed + 1);
    let all = outcomes.len();
    let _infallible = writeln!(
        out,
        "\n{killed} of {all} killed; seeds that it took: {median} in the middle, {most} at most."
    );
    out
}

const fn killing_seed(outcome: &Outcome) -> Option<u64> {
    match outcome.verdict {
        Verdict::Killed { seed, .. } => Some(seed),
        Verdict::Survived { .. } => None,
    }
}

/// The page with this table; `None` where it has no place for one.
pub(super) fn put_in(page: &str, outcomes: &[Outcome]) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    let table = render(outcomes);
    Some(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

/// The seed that killed a mutant when the page was written.
pub(super) fn known_seed(page: &str, name: &str) -> Option<u64> {
    let (_, rest) = page.split_once(BEGIN)?;
    let (table, _) = rest.split_once(END)?;
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect();
    let rows = table.lines().map(cells);
    let mut rows = rows.filter_map(|cells: Vec<String>| match cells.as_slice() {
        [_, mutant, _, seed, ..] if mutant == name => seed.parse().ok(),
        _ => None,
    });
    rows.next()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::simulator::Mutant;
    use super::*;

    fn outcome(name: &str, seed: Option<u64>) -> Outcome {
        let killed = |seed| Verdict::Killed {
            seed,
            rule: "lost write".to_owned(),
            reached: 1,
        };
        let survived = Verdict::Survived {
            seeds: 2000,
            reached: 0,
        };
        Outcome {
            mutant: Mutant {
                name: name.to_owned(),
                broken: "it forgets".to_owned(),
            },
            verdict: seed.map_or(survived, killed),
            took: Duration::from_millis(1500),
        }
    }

    #[test]
    fn a_page_tells_the_seeds_that_were_put_in() {
        let outcomes = [
            outcome("A", Some(12)),
            outcome("B", None),
            outcome("AB", Some(3)),
        ];
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let page = put_in(&page, &outcomes).unwrap();
        assert!(page.starts_with("before\n") && page.ends_with("\nafter\n"));
        assert!(page.contains("| A | it forgets | 12 | lost write | 1.5 |"));
        assert!(page.contains("2 of 3 killed; seeds that it took: 13 in the middle, 13 at most."));
        assert!(!page.contains("old"));
        let check = |name, expected| assert_eq!(known_seed(&page, name), expected, "{name}");
        check("A", Some(12));
        check("AB", Some(3));
        check("B", None);
        check("C", None);
        assert_eq!(put_in("no place", &outcomes), None);
    }
}
