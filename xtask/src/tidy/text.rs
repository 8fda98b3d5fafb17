//! Plain text rules: ASCII, nothing left over, a reason for each dependency.

use super::Problem;
use super::source::text_at;
use super::workspace::Workspace;

/// Words in comments that mark unfinished work or tell a tale; put together here so that this file
/// does not trip over itself.
const MARKS: &[&str] = &[concat!("FIX", "ME"), concat!("CRIT", "ICAL")];

/// Rust sources are ASCII: what is written is what is compared.
pub(super) fn ascii(workspace: &Workspace) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (file, source) in workspace.sources() {
        for (line, text) in (1..).zip(source.text().lines()) {
            if let Some(found) = text.chars().find(|c| !c.is_ascii()) {
                problems.push(format!(
                    "{file}:{line}: {}: ASCII only",
                    found.escape_unicode()
                ));
            }
        }
    }
    problems
}

/// Nothing that was meant to be temporary stays.
pub(super) fn leftovers(workspace: &Workspace) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (file, source) in workspace.sources() {
        for (line, text) in source.comment_lines() {
            let marks = MARKS.iter().filter(|mark| text.contains(**mark));
            problems.extend(marks.map(|mark| format!("{file}:{line}: {mark} in a comment")));
        }
        let tokens = source.tokens();
        for (at, token) in tokens.iter().enumerate() {
            if token.text == "dbg" && text_at(&tokens, at + 1) == "!" {
                problems.push(format!("{file}:{}: dbg! left in the code", token.line));
            }
        }
    }
    problems
}

/// Every external dependency of the workspace has a comment above it that says why it is here.
/// Neighbours that start with the same word share one: `tracing`, `tracing-subscriber`.
pub(super) fn dependency_reasons(workspace: &Workspace) -> Vec<Problem> {
    let manifest = "Cargo.toml";
    let lines = workspace
        .text(manifest)
        .unwrap_or_default()
        .lines()
        .map(str::trim);
    let mut problems = Vec::new();
    let mut inside = false;
    let mut family = None;
    let mut above = "";
    for (number, line) in (1..).zip(lines) {
        if line.starts_with('[') {
            inside = line == "[workspace.dependencies]";
        } else if let Some((name, value)) = line
            .split_once('=')
            .filter(|_| inside && !line.starts_with('#'))
        {
            let own = name.trim().split(['-', '_']).next();
            let has_reason = above.starts_with('#') || family == own;
            if !has_reason && !value.contains("path =") {
                problems.push(format!(
                    "{manifest}:{number}: {}: say why above it",
                    name.trim()
                ));
            }
            family = own.filter(|_| has_reason);
        }
        above = line;
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::workspace::Workspace;
    use super::{ascii, dependency_reasons, leftovers};

    #[test]
    fn sources_are_ascii() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(ascii(&Workspace::of(&[("a.rs", text)])), expected);
        };
        check("// plain", &[]);
        check("a\n// \u{2014}", &["a.rs:2: \\u{2014}: ASCII only"]);
    }

    #[test]
    fn nothing_is_left_over() {
        let check = |text: &str, expected: usize| {
            assert_eq!(
                leftovers(&Workspace::of(&[("a.rs", text)])).len(),
                expected,
                "{text}"
            );
        };
        check("// FIXME later", 1);
        check("let x = \"FIXME\";", 0);
        check("/// CRITICAL: do not touch", 1);
        check("dbg!(x)", 1);
        check("// dbg!(x)", 0);
        check("fn dbg() {}", 0);
    }

    #[test]
    fn dependencies_have_reasons() {
        let check = |lines: &str, expected: usize| {
            let manifest = format!("[workspace.dependencies]\n{lines}\n[profile.dev]\ndebug = 1\n");
            let workspace = Workspace::of(&[("Cargo.toml", &manifest)]);
            assert_eq!(dependency_reasons(&workspace).len(), expected, "{lines}");
        };
        check("# Sums.\ncrc32c = \"0.6\"", 0);
        check("crc32c = \"0.6\"", 1);
        check("# Sums.\ncrc32c = \"0.6\"\nbytes = \"1\"", 1);
        check(
            "# Logs.\ntracing = \"0.1\"\ntracing-subscriber = \"0.3\"",
            0,
        );
        check("tracing = \"0.1\"\ntracing-subscriber = \"0.3\"", 2);
        check("chronik-model = { path = \"core/model\" }", 0);
        check("# x = \"why\"\n", 0);
    }
}
