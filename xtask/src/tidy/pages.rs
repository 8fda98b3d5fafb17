//! Pages and tables that must name what the code has: API handlers, file formats, decisions.

use std::collections::{BTreeMap, BTreeSet};

use super::Problem;
use super::source::text_at;
use super::workspace::Workspace;

const API_FOLDER: &str = "core/node/src/api/";
const API_TABLE: &str = "core/node/src/api.rs";

/// Every file beside the API table is named by it, and every handler opens with the versions it
/// serves. Handlers are the files whose `handle` or `hot` stands in the table.
pub(super) fn api_table(workspace: &Workspace) -> Vec<Problem> {
    let Some(table) = workspace.source(API_TABLE) else {
        return Vec::new();
    };
    let words: BTreeSet<&str> = table.tokens().iter().map(|token| token.text).collect();
    let mut problems = Vec::new();
    for (file, source) in workspace.sources() {
        let Some(handler) = file
            .strip_prefix(API_FOLDER)
            .and_then(|f| f.strip_suffix(".rs"))
        else {
            continue;
        };
        if handler.contains('/') {
            continue;
        }
        if !words.contains(handler) {
            problems.push(format!("{file}: is not named by {API_TABLE}"));
        }
        let is_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
        let entries = [format!("{handler}::handle"), format!("{handler}::hot")];
        let mut paths = table.text().split(|c| !is_path(c));
        let is_handler = paths.any(|path| entries.iter().any(|entry| entry == path));
        if is_handler && !opens_with_versions(source.text()) {
            problems.push(format!(
                "{file}: must open with a `//!` comment that names its versions"
            ));
        }
    }
    problems
}

fn opens_with_versions(text: &str) -> bool {
    let doc: Vec<&str> = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .collect();
    let doc = doc.concat().to_ascii_lowercase();
    let numbered = |word: &str| {
        let digits = word.strip_prefix('v').unwrap_or_default();
        digits.starts_with(|c: char| c.is_ascii_digit())
    };
    let has_digit = doc.contains(|c: char| c.is_ascii_digit());
    doc.contains("version") && has_digit || doc.split_whitespace().any(numbered)
}

/// Every page about a file format names the constant that versions it, and the code has it.
pub(super) fn formats(workspace: &Workspace) -> Vec<Problem> {
    let constants = constants(workspace);
    let mut problems = Vec::new();
    for (file, text) in pages(workspace, "docs/formats/") {
        let named: BTreeSet<&str> = version_names(text).collect();
        if named.is_empty() {
            problems.push(format!(
                "{file}: names no version constant, such as `FORMAT_VERSION`"
            ));
        }
        let unknown = named.iter().filter(|name| !constants.contains(*name));
        problems.extend(unknown.map(|name| format!("{file}: no `const {name}` in the code")));
    }
    problems
}

fn constants(workspace: &Workspace) -> BTreeSet<&str> {
    let mut constants = BTreeSet::new();
    for (_, source) in workspace.sources() {
        let tokens = source.tokens();
        let after_const = |(at, token): (usize, &super::source::Token<'_>)| {
            (token.text == "const").then_some(at + 1)
        };
        let names = tokens.iter().enumerate().filter_map(after_const);
        constants.extend(names.map(|at| text_at(&tokens, at)));
    }
    constants
}

/// Names like `FORMAT_VERSION` or `journal::FORMAT_VERSION` between backticks.
fn version_names(text: &str) -> impl Iterator<Item = &str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter_map(|quoted| quoted.rsplit("::").next())
        .filter(|name| {
            let is_constant = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            name.contains("VERSION") && name.chars().all(is_constant)
        })
}

/// Every decision is `NNNN-title.md`, and no number is taken twice.
pub(super) fn decisions(workspace: &Workspace) -> Vec<Problem> {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for (file, _) in pages(workspace, "docs/adr/") {
        let name = file.rsplit('/').next().unwrap_or(file);
        let number = name.split_once('-').map_or("", |(number, _)| number);
        if number.len() != 4 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            problems.push(format!("{file}: a decision is named NNNN-title.md"));
        } else if let Some(other) = taken.insert(number, file) {
            problems.push(format!("{file}: number {number} is taken by {other}"));
        }
    }
    problems
}

/// The pages of a folder, without its table of contents.
fn pages<'a>(
    workspace: &'a Workspace,
    folder: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let texts = workspace.texts_in(folder);
    texts.filter(|(file, _)| file.ends_with(".md") && !file.ends_with("README.md"))
}

#[cfg(test)]
mod tests {
    use super::super::workspace::Workspace;
    use super::{api_table, decisions, formats};

    #[test]
    fn handlers_are_in_the_table_and_say_their_versions() {
        let check = |table: &str, handler: &str, expected: usize| {
            let files = [
                ("core/node/src/api.rs", table),
                ("core/node/src/api/fetch.rs", handler),
            ];
            let problems = api_table(&Workspace::of(&files));
            assert_eq!(problems.len(), expected, "{problems:?}");
        };
        check("fetch::handle", "//! Fetch, versions 4-17.\n", 0);
        check("list_fetch::handle", "//! Fetch, versions 4-17.\n", 1);
        check("// fetch", "//! Fetch, versions 4-17.\n", 1);
        check("fetch::handle", "//! Fetch.\n//!\n//! Versions: 4-17.\n", 0);
        check("fetch::handle", "//! Fetch.\n", 1);
        check("fetch::handle", "// Versions 4-17.\n", 1);
        let helper = ("core/node/src/api/fetch/session.rs", "");
        assert!(api_table(&Workspace::of(&[("core/node/src/api.rs", ""), helper])).is_empty());
        assert!(api_table(&Workspace::of(&[("core/node/src/api/fetch.rs", "")])).is_empty());
    }

    #[test]
    fn format_pages_name_their_version() {
        let check = |page: &str, expected: usize| {
            let code = (
                "core/storage/src/journal.rs",
                "pub const FORMAT_VERSION: u16 = 1;",
            );
            let problems = formats(&Workspace::of(&[code, ("docs/formats/journal.md", page)]));
            assert_eq!(problems.len(), expected, "{page}");
        };
        check("Version: `FORMAT_VERSION`.", 0);
        check("Version: `storage::journal::FORMAT_VERSION`.", 0);
        check("Version: `INDEX_VERSION`.", 1);
        check("Version: FORMAT_VERSION.", 1);
        check("", 1);
        assert!(formats(&Workspace::of(&[("docs/formats/README.md", "")])).is_empty());
    }

    #[test]
    fn decisions_have_numbers_of_their_own() {
        let check = |names: &[&str], expected: usize| {
            let files: Vec<_> = names.iter().map(|name| (*name, "")).collect();
            assert_eq!(
                decisions(&Workspace::of(&files)).len(),
                expected,
                "{names:?}"
            );
        };
        check(
            &[
                "docs/adr/0001-a.md",
                "docs/adr/0002-b.md",
                "docs/adr/README.md",
            ],
            0,
        );
        check(&["docs/adr/0001-a.md", "docs/adr/0001-b.md"], 1);
        check(
            &["docs/adr/1-a.md", "docs/adr/b.md", "docs/adr/000x-c.md"],
            3,
        );
    }
}
