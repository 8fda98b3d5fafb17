//! The simulator with the deliberate bugs compiled in, as a program that is asked.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::str::FromStr;

use crate::tidy;

/// A deliberate bug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mutant {
    pub(super) name: String,
    /// What is broken.
    pub(super) broken: String,
}

/// What a hunt for a mutant came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A seed broke a rule.
    Killed {
        seed: u64,
        rule: String,
        /// How often that seed came to the place of the bug.
        reached: u64,
    },
    /// All of so many seeds passed.
    Survived { seeds: u64, reached: u64 },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed { seed, rule, .. } => write!(f, "killed by seed {seed}: {rule}"),
            Self::Survived { seeds, reached } => {
                write!(
                    f,
                    "SURVIVED {seeds} seeds, which came to it {reached} times"
                )
            }
        }
    }
}

impl FromStr for Verdict {
    type Err = String;

    /// The line that `chronik-sim mutant` ends with.
    fn from_str(line: &str) -> Result<Self, String> {
        let wrong = || format!("chronik-sim mutant ended with {line:?}");
        let number = |text: &str| text.parse::<u64>().map_err(|_not_one| wrong());
        match *line.split('\t').collect::<Vec<_>>() {
            ["killed", seed, rule, reached] => Ok(Self::Killed {
                seed: number(seed)?,
                rule: rule.to_owned(),
                reached: number(reached)?,
            }),
            ["survived", seeds, reached] => Ok(Self::Survived {
                seeds: number(seeds)?,
                reached: number(reached)?,
            }),
            _ => Err(wrong()),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Simulator {
    program: PathBuf,
}

impl Simulator {
    /// Builds it in a target folder of its own, as everything is compiled anew for it.
    pub(super) fn build() -> Result<Self, String> {
        let target = target_folder().join("mutants");
        let status = Command::new(tidy::cargo_program())
            .args(["build", "--release", "--locked", "-p", "chronik-sim"])
            .current_dir(tidy::root())
            .env("RUSTFLAGS", "--cfg mutants")
            .env("CARGO_TARGET_DIR", &target)
            .status()
            .map_err(|error| format!("cannot start cargo: {error}"))?;
        if !status.success() {
            return Err(format!(
                "the simulator does not build with --cfg mutants: {status}"
            ));
        }
        Ok(Self {
            program: target.join("release").join("chronik-sim"),
        })
    }

    /// All mutants that it has.
    pub(super) fn mutants(&self) -> Result<Vec<Mutant>, String> {
        let listed = self.ask(&["mutant", "--list"])?;
        let parse = |line: &str| {
            let (name, broken) = line.split_once('\t')?;
            Some(Mutant {
                name: name.to_owned(),
                broken: broken.to_owned(),
            })
        };
        let mutants: Option<Vec<_>> = listed.lines().map(parse).collect();
        mutants
            .filter(|mutants| !mutants.is_empty())
            .ok_or_else(|| format!("chronik-sim mutant --list says {listed:?}"))
    }

    /// Runs seeds with a mutant, or none, up to the first that breaks a rule.
    pub(super) fn hunt(
        &self,
        mutant: Option<&Mutant>,
        seeds: Range<u64>,
    ) -> Result<Verdict, String> {
        let seeds = format!("{}..{}", seeds.start, seeds.end);
        let name = mutant.map_or("none", |mutant| &mutant.name);
        let said = self.ask(&["mutant", name, "--seeds", &seeds])?;
        said.lines().last().unwrap_or_default().parse()
    }

    fn ask(&self, args: &[&str]) -> Result<String, String> {
        let output = Command::new(&self.program)
            .args(args)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        if !output.status.success() {
            return Err(format!("chronik-sim {}: {}", args.join(" "), output.status));
        }
        String::from_utf8(output.stdout).map_err(|error| error.to_string())
    }
}

/// Where cargo puts what it builds.
pub(super) fn target_folder() -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    tidy::root().join(set.unwrap_or_else(|| "target".into()))
}

#[cfg(test)]
mod tests {
    use super::Verdict;

    #[test]
    fn verdicts_are_read_from_one_line() {
        let check = |line: &str, expected: Option<&str>| {
            let verdict: Result<Verdict, String> = line.parse();
            let said = verdict.map(|verdict| verdict.to_string()).ok();
            assert_eq!(said.as_deref(), expected, "{line:?}");
        };
        check(
            "killed\t7\tlost write\t3",
            Some("killed by seed 7: lost write"),
        );
        let survived = "SURVIVED 2000 seeds, which came to it 0 times";
        check("survived\t2000\t0", Some(survived));
        check("killed\t-7\tlost write\t3", None);
        check("killed", None);
        check("", None);
    }
}
