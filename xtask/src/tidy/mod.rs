//! The repository's own rules: what neither the compiler nor clippy can hold.
//!
//! A rule is a function from the [`Workspace`] to the problems it found. The same rules run as a
//! test of this crate, so `cargo test` holds them too.

mod edges;
mod modules;
mod mutants;
mod pages;
mod purity;
mod sizes;
mod source;
mod text;
mod workspace;

pub(crate) use workspace::{cargo_program, root};

use workspace::Workspace;

/// One broken rule: `place: what is wrong`.
type Problem = String;

type Rule = fn(&Workspace) -> Vec<Problem>;

const RULES: &[Rule] = &[
    edges::imports,
    edges::drawing,
    purity::dependencies,
    purity::paths,
    purity::wire_structs,
    purity::unsafe_code,
    modules::reached,
    mutants::placed,
    pages::api_table,
    pages::formats,
    pages::decisions,
    text::ascii,
    text::leftovers,
    text::dependency_reasons,
];

/// Checks every rule, prints the longest files and functions, and fails with all problems.
pub(crate) fn run() -> Result<(), String> {
    let workspace = Workspace::load()?;
    print!("{}", sizes::report(&workspace));
    let problems = problems(&workspace);
    if problems.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}\ntidy: {} problem(s)",
        problems.join("\n"),
        problems.len()
    ))
}

fn problems(workspace: &Workspace) -> Vec<Problem> {
    RULES.iter().flat_map(|rule| rule(workspace)).collect()
}

#[cfg(test)]
mod tests {
    use super::{Workspace, problems};

    #[test]
    fn the_repository_is_tidy() {
        let workspace = Workspace::load().unwrap();
        assert!(
            workspace.sources().count() > 10,
            "the walk lost the sources"
        );
        assert!(!workspace.packages.is_empty(), "the walk lost the packages");
        let problems = problems(&workspace);
        assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    }
}
