//! The repository as the rules see it: packages from `cargo metadata`, text files from a walk.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::source::Source;

/// Packages and text files. Paths are relative to the root, with `/` between their parts.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    /// Text files other than Rust: pages and manifests.
    texts: BTreeMap<String, String>,
    sources: BTreeMap<String, Source>,
}

/// A member of the workspace.
#[derive(Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Folder of its manifest.
    pub(crate) folder: String,
    /// Root files of its targets: libraries, binaries, tests, build scripts.
    pub(crate) targets: Vec<String>,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// The section of the manifest a dependency stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Dev,
    Build,
}

impl Workspace {
    /// Reads the checkout this tool was built from.
    pub(crate) fn load() -> Result<Self, String> {
        let root = root();
        let mut workspace = Self {
            packages: packages(&root)?,
            ..Self::default()
        };
        workspace.read_folder(&root, "")?;
        Ok(workspace)
    }

    /// The text of a page or manifest.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Pages and manifests below `folder`, which ends with `/`.
    pub(crate) fn texts_in(&self, folder: &str) -> impl Iterator<Item = (&str, &str)> {
        let inside = self
            .texts
            .iter()
            .filter(move |(path, _)| path.starts_with(folder));
        inside.map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// One Rust file.
    pub(crate) fn source(&self, path: &str) -> Option<&Source> {
        self.sources.get(path)
    }

    /// All Rust files in the order of their paths.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.sources
            .iter()
            .map(|(path, source)| (path.as_str(), source))
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> Result<(), String> {
        let fail = |error| format!("cannot read {}: {error}", folder.display());
        for entry in fs::read_dir(folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let file_type = entry.file_type().map_err(fail)?;
            if file_type.is_dir() && !is_skipped(&name) && path != CLIENT_SUITES {
                self.read_folder(&entry.path(), &format!("{path}/"))?;
            } else if file_type.is_file() && is_text(&name) {
                let bytes = fs::read(entry.path()).map_err(fail)?;
                self.insert(path, String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        Ok(())
    }

    fn insert(&mut self, path: String, text: String) {
        if path.ends_with(".rs") {
            self.sources.insert(path, Source::new(text));
        } else {
            self.texts.insert(path, text);
        }
    }

    /// A workspace of the given files, for the tests of rules.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let mut workspace = Self::default();
        for (path, text) in files {
            workspace.insert((*path).to_owned(), (*text).to_owned());
        }
        workspace
    }

    /// A workspace of the given packages, for the tests of rules.
    #[cfg(test)]
    pub(crate) fn of_packages(packages: Vec<Package>) -> Self {
        Self {
            packages,
            ..Self::default()
        }
    }
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// The cargo that runs us, so that a chosen toolchain stays chosen.
pub(crate) fn cargo_program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Programs of other workspaces and languages, each with rules of its own.
const CLIENT_SUITES: &str = "tests/clients";

/// Folders that hold what tools made or fetched.
fn is_skipped(folder: &str) -> bool {
    folder.starts_with('.') || matches!(folder, "target" | "node_modules" | "chronik-data")
}

fn is_text(file: &str) -> bool {
    [".rs", ".toml", ".md"]
        .iter()
        .any(|ending| file.ends_with(ending))
}

/// Asks cargo for the members only: no network, no resolution.
fn packages(root: &Path) -> Result<Vec<Package>, String> {
    let output = Command::new(cargo_program())
        .args(["metadata", "--format-version=1", "--no-deps"])
        .current_dir(root)
        .output()
        .map_err(|error| format!("cannot start cargo metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata wrote bad JSON: {error}"))?;
    Ok(list(&metadata, "packages")
        .iter()
        .map(|package| read_package(package, root))
        .collect())
}

fn read_package(package: &Value, root: &Path) -> Package {
    let manifest = relative(string(package, "manifest_path"), root);
    Package {
        name: string(package, "name").to_owned(),
        folder: manifest
            .trim_end_matches("Cargo.toml")
            .trim_end_matches('/')
            .to_owned(),
        targets: list(package, "targets")
            .iter()
            .map(|target| relative(string(target, "src_path"), root))
            .collect(),
        dependencies: list(package, "dependencies")
            .iter()
            .map(read_dependency)
            .collect(),
    }
}

fn read_dependency(dependency: &Value) -> Dependency {
    let kind = match string(dependency, "kind") {
        "dev" => Kind::Dev,
        "build" => Kind::Build,
        _ => Kind::Normal,
    };
    Dependency {
        name: string(dependency, "name").to_owned(),
        kind,
    }
}

fn relative(path: &str, root: &Path) -> String {
    let path = Path::new(path);
    path.strip_prefix(root)
        .unwrap_or(path)
        .to_string_lossy()
        .replace('\\', "/")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn string<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
