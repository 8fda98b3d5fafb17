//! The walls around the core: no IO, clock, thread or operating system in `core/`, wire structs
//! only at the door, `unsafe` only where it is named.

use super::Problem;
use super::source::{PathUse, Source};
use super::workspace::{Kind, Package, Workspace};

/// External crates that `core/` may link: they compute and do no IO.
const PURE_CRATES: &[&str] = &[
    "bytes",
    "crc32c",
    "flate2",
    "imbl",
    "lz4_flex",
    "twox-hash",
    "proto-kafka",
    "protobuf",
    "raft",
    "regex",
    "rustc-hash",
    "slog",
    "snap",
    "thiserror",
    "zstd",
];

/// Paths that no file of `core/` may name, its tests included: a test that needs a clock or a file
/// belongs to the shell.
const IMPURE_PATHS: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "getrandom",
    "tokio",
];

/// Files that may hold `unsafe`, each with a reason. A file that no longer does must leave.
const UNSAFE_FILES: &[&str] = &[
    // Calls librdkafka where the safe wrapper costs more than the call.
    "shell/bench/src/librdkafka/native_calls.rs",
    // Fills memory that was not zeroed first.
    "shell/broker/src/event_loop/receive.rs",
    // Wraps the system's allocator, to count what an input takes.
    "tools/hostile/src/allocator.rs",
];

/// Where generated request and response structs come from.
const WIRE_PATHS: &[&str] = &["chronik_protocol::messages", "proto_kafka"];

/// Core crates link pure crates only and have no build scripts.
pub(super) fn dependencies(workspace: &Workspace) -> Vec<Problem> {
    let in_core = workspace
        .packages
        .iter()
        .filter(|package| package.folder.starts_with("core/"));
    in_core.flat_map(impure_dependencies).collect()
}

fn impure_dependencies(package: &Package) -> Vec<Problem> {
    let is_pure = |name: &str| name.starts_with("chronik-") || PURE_CRATES.contains(&name);
    let mut problems = Vec::new();
    for dependency in &package.dependencies {
        let why = match dependency.kind {
            Kind::Dev => continue,
            Kind::Build => "core has no build scripts",
            Kind::Normal if is_pure(&dependency.name) => continue,
            Kind::Normal => "not on the list of pure crates (xtask/src/tidy/purity.rs)",
        };
        problems.push(format!(
            "{}/Cargo.toml: {}: {why}",
            package.folder, dependency.name
        ));
    }
    problems
}

/// Core names nothing that reaches the operating system.
pub(super) fn paths(workspace: &Workspace) -> Vec<Problem> {
    let in_core = |path: &str| path.starts_with("core/");
    forbidden(
        workspace,
        in_core,
        IMPURE_PATHS,
        "core is pure: take it as an argument",
    )
}

/// In `node`, generated wire structs are known to the API handlers only.
pub(super) fn wire_structs(workspace: &Workspace) -> Vec<Problem> {
    let behind_the_door =
        |path: &str| path.starts_with("core/node/src/") && !path.starts_with("core/node/src/api");
    forbidden(
        workspace,
        behind_the_door,
        WIRE_PATHS,
        "wire structs stay in node/src/api",
    )
}

fn forbidden(
    workspace: &Workspace,
    is_bound: impl Fn(&str) -> bool,
    prefixes: &[&str],
    why: &str,
) -> Vec<Problem> {
    let bound = workspace.sources().filter(|(file, _)| is_bound(file));
    bound
        .flat_map(|(file, source)| {
            let mut uses = source.paths();
            uses.retain(|found| prefixes.iter().any(|prefix| is_below(&found.path, prefix)));
            uses.into_iter()
                .map(move |PathUse { path, line }| format!("{file}:{line}: {path}: {why}"))
        })
        .collect()
}

/// Whether `path` is `prefix` or something inside it.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// `unsafe` stands in the named files only, and the list names no other.
pub(super) fn unsafe_code(workspace: &Workspace) -> Vec<Problem> {
    unsafe_outside(workspace, UNSAFE_FILES)
}

fn unsafe_outside(workspace: &Workspace, named: &[&str]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (file, source) in workspace
        .sources()
        .filter(|(file, _)| !named.contains(file))
    {
        if let Some(line) = first_unsafe(source) {
            problems.push(format!(
                "{file}:{line}: `unsafe` outside the named files (xtask/src/tidy/purity.rs)"
            ));
        }
    }
    for file in named {
        if workspace.source(file).and_then(first_unsafe).is_none() {
            problems.push(format!(
                "{file}: has no `unsafe`: drop it from xtask/src/tidy/purity.rs"
            ));
        }
    }
    problems
}

fn first_unsafe(source: &Source) -> Option<usize> {
    source
        .tokens()
        .iter()
        .find(|token| token.text == "unsafe")
        .map(|token| token.line)
}

#[cfg(test)]
mod tests {
    use super::super::workspace::{Dependency, Kind, Package, Workspace};
    use super::{dependencies, paths, unsafe_outside, wire_structs};

    #[test]
    fn core_links_pure_crates_only() {
        let check = |folder: &str, name: &str, kind: Kind, pure: bool| {
            let dependency = Dependency {
                name: name.to_owned(),
                kind,
            };
            let package = Package {
                folder: folder.to_owned(),
                dependencies: vec![dependency],
                ..Package::default()
            };
            let workspace = Workspace::of_packages(vec![package]);
            assert_eq!(dependencies(&workspace).is_empty(), pure, "{folder} {name}");
        };
        check("core/model", "bytes", Kind::Normal, true);
        check("core/model", "tokio", Kind::Normal, false);
        check("core/model", "proptest", Kind::Dev, true);
        check("core/model", "cc", Kind::Build, false);
        check("shell/broker", "tokio", Kind::Normal, true);
    }

    #[test]
    fn core_names_nothing_impure() {
        let check = |file: &str, text: &str, expected: &[&str]| {
            assert_eq!(paths(&Workspace::of(&[(file, text)])), expected, "{text}");
        };
        let core = "core/model/src/a.rs";
        let why = "core is pure: take it as an argument";
        check(core, "use std::time::Duration;", &[]);
        check(core, "// std::fs\nlet x = \"std::fs\";", &[]);
        check(core, "use std::fstab;", &[]);
        check(
            core,
            "\nstd::fs::read(x)",
            &[&format!("{core}:2: std::fs::read: {why}")],
        );
        check(
            core,
            "use std::{fmt, time::{Duration, Instant}};",
            &[&format!("{core}:1: std::time::Instant: {why}")],
        );
        check(
            core,
            "tokio::spawn(x)",
            &[&format!("{core}:1: tokio::spawn: {why}")],
        );
        check("shell/broker/src/a.rs", "std::fs::read(x)", &[]);
    }

    #[test]
    fn wire_structs_stop_at_the_door() {
        let check = |file: &str, expected: usize| {
            let text = "use chronik_protocol::messages::FetchRequest;";
            assert_eq!(
                wire_structs(&Workspace::of(&[(file, text)])).len(),
                expected,
                "{file}"
            );
        };
        check("core/node/src/shard.rs", 1);
        check("core/node/src/api/fetch.rs", 0);
        check("shell/cli/src/lib.rs", 0);
    }

    #[test]
    fn unsafe_needs_a_name_on_the_list() {
        let check = |text: &str, named: &[&str], expected: usize| {
            let workspace = Workspace::of(&[("shell/broker/src/a.rs", text)]);
            assert_eq!(unsafe_outside(&workspace, named).len(), expected, "{text}");
        };
        check("unsafe { f() }", &[], 1);
        check("unsafe { f() }", &["shell/broker/src/a.rs"], 0);
        check("f() // unsafe", &[], 0);
        check("#![expect(unsafe_code)]", &[], 0);
        check("f()", &["shell/broker/src/a.rs"], 1);
    }
}
