//! Which crate may import which. Everything that is not in the tables is forbidden, test and build
//! dependencies included.

use std::collections::{BTreeMap, BTreeSet};

use super::Problem;
use super::workspace::{Dependency, Kind, Workspace};

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
    ("bench", &["cli", "protocol", "model"]),
    ("reference", &["model", "protocol"]),
    ("sim-disk", &["model", "storage"]),
    ("sim", &["model", "protocol", "storage", "node", "sim-disk"]),
    (
        "hostile",
        &[
            "model",
            "protocol",
            "storage",
            "controller",
            "coordinator",
            "node",
        ],
    ),
];

/// What tests may import besides, drawn with an arrow of its own.
const TEST_EDGES: &[(&str, &[&str])] = &[("storage", &["sim-disk"]), ("node", &["sim-disk"])];

const DRAWING: &str = "ARCHITECTURE.md";
const ARROW: &str = "->";
const TEST_ARROW: &str = "~>";

/// Every import between our crates is in the table.
pub(super) fn imports(workspace: &Workspace) -> Vec<Problem> {
    let ours: BTreeSet<&str> = workspace.packages.iter().map(|p| p.name.as_str()).collect();
    let always: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let in_tests: BTreeMap<&str, &[&str]> = TEST_EDGES.iter().copied().collect();
    let mut problems = Vec::new();
    for package in &workspace.packages {
        let from = short_name(&package.name);
        let allowed = |dependency: &Dependency, to| {
            let of = |table: &BTreeMap<&str, &[&str]>| {
                table.get(from).is_some_and(|allowed| allowed.contains(&to))
            };
            to == from || of(&always) || (dependency.kind == Kind::Dev && of(&in_tests))
        };
        let imported = package
            .dependencies
            .iter()
            .filter(|d| ours.contains(d.name.as_str()));
        for dependency in imported {
            let to = short_name(&dependency.name);
            if !allowed(dependency, to) {
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
    let tables = [(EDGES, ARROW), (TEST_EDGES, TEST_ARROW)];
    let allowed: BTreeSet<Edge> = tables
        .iter()
        .flat_map(|(table, arrow)| table.iter().map(move |row| (arrow, row)))
        .flat_map(|(arrow, (from, to))| to.iter().map(move |to| edge(from, arrow, to)))
        .collect();
    let undrawn = allowed
        .difference(&drawn)
        .map(|e| (e, "is allowed but not drawn"));
    let unknown = drawn
        .difference(&allowed)
        .map(|e| (e, "is drawn but not allowed"));
    undrawn
        .chain(unknown)
        .map(|((from, arrow, to), why)| format!("{DRAWING}: {from} {arrow} {to} {why}"))
        .collect()
}

type Edge = (String, &'static str, String);

fn edge(from: &str, arrow: &'static str, to: &str) -> Edge {
    (from.trim().to_owned(), arrow, to.trim().to_owned())
}

/// Reads lines `a, b -> c, d` and `a ~> b` of the first ```` ```edges ```` block; `None` without one.
fn drawn_edges(text: &str) -> Option<BTreeSet<Edge>> {
    let mut lines = text.lines().skip_while(|line| line.trim() != "```edges");
    lines.next()?;
    let block = lines.take_while(|line| line.trim() != "```");
    let mut edges = BTreeSet::new();
    for line in block {
        for arrow in [ARROW, TEST_ARROW] {
            let (left, right) = line.split_once(arrow).unwrap_or_default();
            let importers = left.split(',').filter(|from| !from.is_empty());
            edges.extend(
                importers.flat_map(|from| right.split(',').map(|to| edge(from, arrow, to))),
            );
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
    use super::{ARROW, EDGES, TEST_ARROW, TEST_EDGES, drawing, imports};

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
        check("chronik-storage", "chronik-sim-disk", Kind::Dev, true);
        check("chronik-storage", "chronik-sim-disk", Kind::Normal, false);
        check("chronik-storage", "chronik-sim-disk", Kind::Build, false);
        check("chronik-sim", "chronik-node", Kind::Normal, true);
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
        let draw = |table: &[(&str, &[&str])], arrow| -> String {
            let line = |(from, to): &(&str, &[&str])| format!("{from} {arrow} {}\n", to.join(", "));
            table.iter().map(line).collect()
        };
        let lines = draw(EDGES, ARROW) + &draw(TEST_EDGES, TEST_ARROW);
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
        // Drawn as an import of the crate itself, an import of its tests is a lie.
        check(
            &format!(
                "```edges\n{}```\n",
                lines.replace("storage ~> sim-disk", "storage -> sim-disk")
            ),
            2,
        );
        check("no block", 1);
        assert!(drawing(&Workspace::default()).is_empty());
    }
}
