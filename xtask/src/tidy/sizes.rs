//! The longest files and functions: figures to look at, not gates.

use std::cmp::Reverse;
use std::fmt::Write as _;

use super::source::{Source, text_at};
use super::workspace::Workspace;

const SHOWN_COUNT: usize = 5;

/// A file or function and its lines of code, without blanks and comments.
type Measured = (usize, String);

/// A short table for people.
pub(super) fn report(workspace: &Workspace) -> String {
    let mut files = Vec::new();
    let mut functions = Vec::new();
    for (file, source) in workspace.sources() {
        files.push((count(source, 1, usize::MAX), file.to_owned()));
        let named = functions_of(source).into_iter();
        functions.extend(named.map(|(lines, name)| (lines, format!("{file} {name}"))));
    }
    let mut out = String::new();
    for (title, all) in [("files", files), ("functions", functions)] {
        let _infallible = writeln!(out, "longest {title}, lines of code:");
        for (lines, name) in longest(all) {
            let _infallible = writeln!(out, "{lines:6} {name}");
        }
    }
    out
}

fn longest(mut all: Vec<Measured>) -> Vec<Measured> {
    all.sort_by_key(|(lines, _)| Reverse(*lines));
    all.truncate(SHOWN_COUNT);
    all
}

/// The functions of a file, from the line of `fn` to the line of the closing brace.
fn functions_of(source: &Source) -> Vec<Measured> {
    let tokens = source.tokens();
    let mut found = Vec::new();
    // Functions around the current token: name, first line, depth of the body's braces.
    let mut open: Vec<(&str, usize, usize)> = Vec::new();
    // A function whose body has not begun, and the brackets that are open inside its header: a
    // semicolon in one of them belongs to an array type.
    let mut header = None;
    let mut brackets = 0_i32;
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "fn" if text_at(&tokens, at + 1) != "(" => {
                header = Some((text_at(&tokens, at + 1), token.line));
                brackets = 0;
            }
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets -= 1,
            ";" if brackets == 0 => header = None,
            "{" => {
                depth += 1;
                open.extend(header.take().map(|(name, line)| (name, line, depth)));
            }
            "}" => {
                let closed = open.pop_if(|(_, _, inside)| *inside == depth);
                found.extend(
                    closed.map(|(name, first, _)| {
                        (count(source, first, token.line), name.to_owned())
                    }),
                );
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
    }
    found
}

/// Lines of code from `first` to `last`, counted from 1.
fn count(source: &Source, first: usize, last: usize) -> usize {
    let lines = (1..).zip(source.code_lines());
    lines
        .filter(|(line, text)| (first..=last).contains(line) && !text.trim().is_empty())
        .count()
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::functions_of;

    #[test]
    fn functions_are_measured_without_blanks_and_comments() {
        let check = |text: &str, expected: &[(usize, &str)]| {
            let found = functions_of(&Source::new(text.to_owned()));
            let found: Vec<_> = found
                .iter()
                .map(|(lines, name)| (*lines, name.as_str()))
                .collect();
            assert_eq!(found, expected, "{text}");
        };
        check("fn a() {}", &[(1, "a")]);
        check("fn a() {\n\n // why\n b();\n}", &[(3, "a")]);
        check("trait T { fn a() -> u8; fn b() {\n} }", &[(2, "b")]);
        check("fn a(x: [u8; 2]) {\n}", &[(2, "a")]);
        check("fn a(f: fn(u8)) {\nfn b() {}\n}", &[(1, "b"), (3, "a")]);
        check("struct S { f: fn() }", &[]);
    }
}
