//! Every Rust file is part of some target: a forgotten `mod` would silence its code and its tests.

use std::collections::BTreeSet;

use super::Problem;
use super::source::{Source, text_at};
use super::workspace::Workspace;

/// Every file is reached by `mod` declarations from a target of a package.
pub(super) fn reached(workspace: &Workspace) -> Vec<Problem> {
    let targets = workspace
        .packages
        .iter()
        .flat_map(|package| &package.targets);
    let roots: Vec<&str> = targets.map(String::as_str).collect();
    unreached(workspace, &roots)
}

fn unreached(workspace: &Workspace, roots: &[&str]) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    for root in roots {
        visit(workspace, root, folder_of(root), &mut seen);
    }
    let files = workspace.sources().map(|(file, _)| file);
    files
        .filter(|file| !seen.contains(*file))
        .map(|file| format!("{file}: no `mod` declaration leads here"))
        .collect()
}

/// Marks `file` and the modules it declares, whose files lie in `folder`.
fn visit(workspace: &Workspace, file: &str, folder: &str, seen: &mut BTreeSet<String>) {
    let Some(source) = workspace.source(file) else {
        return;
    };
    if !seen.insert(file.to_owned()) {
        return;
    }
    for module in declared(source) {
        if let Some(path) = module.path {
            let file = format!("{}/{path}", folder_of(file));
            visit(workspace, &file, folder_of(&file), seen);
            continue;
        }
        let inner = format!("{folder}/{}", module.name);
        for candidate in [format!("{inner}.rs"), format!("{inner}/mod.rs")] {
            visit(workspace, &candidate, &inner, seen);
        }
    }
}

fn folder_of(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A module that lives in another file.
#[derive(Debug)]
struct Declared<'a> {
    /// Its path relative to the declaring file's module folder: `b/c` for `mod b { mod c; }`.
    name: String,
    /// What `#[path]` says, relative to the declaring file. Only files of the same folder or below
    /// are found: a module is not shared by reaching into another's folder.
    path: Option<&'a str>,
}

fn declared(source: &Source) -> Vec<Declared<'_>> {
    let tokens = source.tokens();
    let mut modules = Vec::new();
    // Inline modules around the current token, each with the depth of its braces.
    let mut around: Vec<(&str, usize)> = Vec::new();
    let mut depth = 0_usize;
    let mut path = None;
    for (at, token) in tokens.iter().enumerate() {
        let name = text_at(&tokens, at + 1);
        match (token.text, text_at(&tokens, at + 2)) {
            ("{", _) => depth += 1,
            ("}", _) => {
                depth = depth.saturating_sub(1);
                around.retain(|(_, inside)| *inside <= depth);
            }
            ("path", "]") => path = literal_on(source, token.line),
            ("mod", "{") => around.push((name, depth + 1)),
            ("mod", ";") => {
                let parents: String = around
                    .iter()
                    .map(|(parent, _)| format!("{parent}/"))
                    .collect();
                modules.push(Declared {
                    name: parents + name,
                    path: path.take(),
                });
            }
            _ => {}
        }
    }
    modules
}

/// The first string on a line, counted from 1.
fn literal_on(source: &Source, line: usize) -> Option<&str> {
    source
        .text()
        .lines()
        .nth(line.saturating_sub(1))?
        .split('"')
        .nth(1)
}

#[cfg(test)]
mod tests {
    use super::super::workspace::Workspace;
    use super::unreached;

    #[test]
    fn forgotten_files_are_found() {
        let check = |files: &[(&str, &str)], expected: &[&str]| {
            let problems = unreached(&Workspace::of(files), &["a/src/lib.rs"]);
            let files: Vec<_> = problems
                .iter()
                .filter_map(|p| p.split(':').next())
                .collect();
            assert_eq!(files, expected);
        };
        check(&[("a/src/lib.rs", "")], &[]);
        check(
            &[("a/src/lib.rs", "// mod b;"), ("a/src/b.rs", "")],
            &["a/src/b.rs"],
        );
        check(
            &[
                ("a/src/lib.rs", "mod b;"),
                ("a/src/b.rs", "mod c;"),
                ("a/src/b/c.rs", ""),
            ],
            &[],
        );
        check(
            &[
                ("a/src/lib.rs", "mod b;"),
                ("a/src/b/mod.rs", "mod c;"),
                ("a/src/b/c.rs", ""),
            ],
            &[],
        );
        check(
            &[
                ("a/src/lib.rs", "mod b;"),
                ("a/src/b.rs", "mod c;"),
                ("a/src/c.rs", ""),
            ],
            &["a/src/c.rs"],
        );
        check(
            &[
                ("a/src/lib.rs", "mod b { fn f() {} mod c; } mod d;"),
                ("a/src/b/c.rs", ""),
            ],
            &[],
        );
        check(
            &[("a/src/lib.rs", "mod b { } mod c;"), ("a/src/b/c.rs", "")],
            &["a/src/b/c.rs"],
        );
        check(
            &[
                ("a/src/lib.rs", "macro!(mod); mod b;"),
                ("a/src/b.rs", "mod b;"),
            ],
            &[],
        );
    }
}
