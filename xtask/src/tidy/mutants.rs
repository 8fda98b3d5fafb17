//! The deliberate bugs: a build that has none takes any name for one, so the names are compared here.

use std::collections::BTreeMap;

use super::Problem;
use super::source::{Token, text_at};
use super::workspace::Workspace;

const LIST: &str = "core/model/src/mutant.rs";

/// Every listed mutant has a place in the code, and every place names one that is listed.
pub(super) fn placed(workspace: &Workspace) -> Vec<Problem> {
    let Some(list) = workspace.source(LIST) else {
        return Vec::new();
    };
    let listed = listed(&list.tokens());
    let mut places = BTreeMap::new();
    let others = workspace.sources().filter(|(file, _)| *file != LIST);
    for (file, source) in others {
        let tokens = source.tokens();
        let named = named(&tokens);
        places.extend(named.map(|name| (name.text.to_owned(), (file, name.line))));
    }
    let unplaced = listed.iter().filter(|name| !places.contains_key(**name));
    let mut problems: Vec<Problem> = unplaced
        .map(|name| format!("{LIST}: {name} has no place in the code"))
        .collect();
    let unlisted = places
        .iter()
        .filter(|(name, _)| !listed.contains(&name.as_str()));
    problems.extend(unlisted.map(|(name, (file, line))| {
        format!("{file}:{line}: the mutant {name} is not listed in {LIST}")
    }));
    problems
}

/// The names in `mutants! { A: "...", B: "...", }`.
fn listed<'a>(tokens: &[Token<'a>]) -> Vec<&'a str> {
    let opens = |at: &usize| {
        let shape = [0, 1, 2].map(|next| text_at(tokens, at + next));
        shape == ["mutants", "!", "{"]
    };
    let Some(start) = (0..tokens.len()).find(opens) else {
        return Vec::new();
    };
    let body = tokens.iter().skip(start + 3);
    let body = body.take_while(|token| token.text != "}");
    let names = body.filter(|token| token.is_word());
    names.map(|token| token.text).collect()
}

/// The names in `mutant!(A)`.
fn named<'a>(tokens: &[Token<'a>]) -> impl Iterator<Item = Token<'a>> {
    let shapes = tokens.windows(4);
    shapes.filter_map(|shape| match shape {
        [word, mark, open, name] => {
            let found = [word, mark, open].map(|token| token.text) == ["mutant", "!", "("];
            (found && name.is_word()).then_some(*name)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::{LIST, placed};
    use crate::tidy::workspace::Workspace;

    #[test]
    fn names_and_places_belong_together() {
        let list = "macro_rules! mutants { () => {} }\nmutants! { A: \"it\", B: \"that\", }";
        let check = |code: &str, expected: &[&str]| {
            let workspace = Workspace::of(&[(LIST, list), ("core/storage/src/a.rs", code)]);
            assert_eq!(placed(&workspace), expected, "{code}");
        };
        let both = "if mutant!(A) { x || mutant!(B) }";
        check(both, &[]);
        let missing = format!("{LIST}: B has no place in the code");
        check("mutant!(A)", &[&missing]);
        let unknown = format!("core/storage/src/a.rs:2: the mutant C is not listed in {LIST}");
        check(&format!("{both}\nmutant!(C)"), &[&unknown]);
    }
}
