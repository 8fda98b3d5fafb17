//! Which crate may import which. Everything that is not in the table is forbidden, test and build
//! dependencies included.

use std::collections::{BTreeMap, BTreeSet};

use super::Problem;
use super::workspace::Workspace;

/// The drawing in ARCHITECTURE.md, as data: a crate and what it may import. A crate that is absent
/// imports none of ours.
const EDGES: &[(&str, &[&str])] = &[
    ("protocol", &["model"]),
    ("storage", &["model"]),
    ("replication", &["model"]),
    ("controller", &["model"]),
    ("coordinator", &["model"]),
    (
        "node",
        &[
            "model",
            "protocol",
            "storage",
            "replication",
            "controller",
            "coordinator",
        ],
    ),
    // No `protocol`: the broker reads frames through `node`, and wire structs stop at its door.
    ("broker", &["model", "storage", "controller", "node", "cli"]),
    ("cli", &["model", "protocol"]),
];

const DRAWING: &str = "ARCHITECTURE.md";

/// Every import between our crates is in the table.
pub(super) fn imports(workspace: &Workspace) -> Vec<Problem> {
    let ours: BTreeSet<&str> = workspace.packages.iter().map(|p| p.name.as_str()).collect();
    let table: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let mut problems = Vec::new();
    for package in &workspace.packages {
        let from = short_name(&package.name);
        let allowed = table.get(from).copied().unwrap_or_default();
        let imported = package
            .dependencies
            .iter()
            .filter(|d| ours.contains(d.name.as_str()));
        for to in imported.map(|dependency| short_name(&dependency.name)) {
            if to != from && !allowed.contains(&to) {
                problems.push(format!(
                    "{}/Cargo.toml: {from} -> {to} is not an allowed edge (xtask/src/tidy/edges.rs)",
                    package.folder
                ));
            }
        }
    }
    problems
}

/// The drawing says what the table says.
pub(super) fn drawing(workspace: &Workspace) -> Vec<Problem> {
    let Some(text) = workspace.text(DRAWING) else {
        return Vec::new();
    };
    let Some(drawn) = drawn_edges(text) else {
        return vec![format!(
            "{DRAWING}: no block ```edges with lines like `protocol -> model`"
        )];
    };
    let allowed: BTreeSet<Edge> = EDGES
        .iter()
        .flat_map(|(from, imports)| imports.iter().map(|to| edge(from, to)))
        .collect();
    let undrawn = allowed
        .difference(&drawn)
        .map(|e| (e, "is allowed but not drawn"));
    let unknown = drawn
        .difference(&allowed)
        .map(|e| (e, "is drawn but not allowed"));
    undrawn
        .chain(unknown)
        .map(|((from, to), why)| format!("{DRAWING}: {from} -> {to} {why}"))
        .collect()
}

type Edge = (String, String);

fn edge(from: &str, to: &str) -> Edge {
    (from.trim().to_owned(), to.trim().to_owned())
}

/// Reads lines `a, b -> c, d` of the first ```` ```edges ```` block; `None` without one.
fn drawn_edges(text: &str) -> Option<BTreeSet<Edge>> {
    let mut lines = text.lines().skip_while(|line| line.trim() != "```edges");
    lines.next()?;
    let block = lines.take_while(|line| line.trim() != "```");
    let mut edges = BTreeSet::new();
    for (left, right) in block.filter_map(|line| line.split_once("->")) {
        for from in left.split(',') {
            edges.extend(right.split(',').map(|to| edge(from, to)));
        }
    }
    Some(edges)
}

/// A package's name in the drawing.
fn short_name(package: &str) -> &str {
    match package {
        "chronik-server" => "broker",
        _ => package.strip_prefix("chronik-").unwrap_or(package),
    }
}

#[cfg(test)]
mod tests {
    use super::super::workspace::{Dependency, Kind, Package, Workspace};
    use super::{EDGES, drawing, imports};

    #[test]
    fn only_the_edges_of_the_table_are_allowed() {
        let check = |from: &str, to: &str, kind: Kind, allowed: bool| {
            let package = |name: &str| Package {
                name: name.to_owned(),
                ..Package::default()
            };
            let dependencies = vec![
                Dependency {
                    name: to.to_owned(),
                    kind,
                },
                Dependency {
                    name: "bytes".to_owned(),
                    kind: Kind::Normal,
                },
            ];
            let workspace = Workspace::of_packages(vec![
                Package {
                    dependencies,
                    ..package(from)
                },
                package(to),
            ]);
            assert_eq!(imports(&workspace).is_empty(), allowed, "{from} -> {to}");
        };
        check("chronik-storage", "chronik-model", Kind::Normal, true);
        check(
            "chronik-storage",
            "chronik-replication",
            Kind::Normal,
            false,
        );
        check("chronik-storage", "chronik-protocol", Kind::Dev, false);
        check("chronik-model", "chronik-storage", Kind::Build, false);
        check("chronik-server", "chronik-node", Kind::Normal, true);
        check("chronik-server", "chronik-protocol", Kind::Normal, false);
        check("chronik-cli", "chronik-node", Kind::Normal, false);
        check("xtask", "chronik-model", Kind::Normal, false);
        check("a-test-suite", "chronik-model", Kind::Dev, false);
    }

    #[test]
    fn the_drawing_equals_the_table() {
        let check = |block: &str, expected: usize| {
            let workspace = Workspace::of(&[("ARCHITECTURE.md", block)]);
            let problems = drawing(&workspace);
            assert_eq!(problems.len(), expected, "{problems:?}");
        };
        let lines: String = EDGES
            .iter()
            .map(|(from, to)| format!("{from} -> {}\n", to.join(", ")))
            .collect();
        check(&format!("# Rooms\n```edges\n{lines}```\n"), 0);
        check(&format!("```edges\n{lines}model -> node\n```\n"), 1);
        check(&format!("```edges\n{lines}```\nmodel -> node\n"), 0);
        check(
            &format!(
                "```edges\n{}```\n",
                lines.replace("cli -> model, protocol\n", "")
            ),
            2,
        );
        check("no block", 1);
        assert!(drawing(&Workspace::default()).is_empty());
    }
}
