//! `check`, the read-only gate, and `fix`, its writing twin.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::tidy;

/// Whether `check` runs the workspace's tests. CI skips them here: it has run them already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tests {
    Run,
    Skip,
}

/// One thing that must hold, and what to do when it does not.
#[derive(Debug)]
struct Step {
    name: &'static str,
    action: Action,
    hint: &'static str,
}

#[derive(Debug)]
enum Action {
    Tidy,
    /// Arguments of cargo.
    Cargo(&'static [&'static str]),
}

/// The steps in the order of what they cost. None of them writes outside the target folder, which
/// is why the lock file is `--locked`.
const STEPS: &[Step] = &[
    Step {
        name: "format",
        action: Action::Cargo(&["fmt", "--all", "--check"]),
        hint: "run `cargo xtask fix`",
    },
    Step {
        name: "tidy",
        action: Action::Tidy,
        hint: "each line above says what to change; CONTRIBUTING.md says why",
    },
    Step {
        name: "clippy",
        action: Action::Cargo(&[
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]),
        hint: "run `cargo xtask fix`, then change by hand what is left",
    },
    Step {
        name: TEST,
        action: Action::Cargo(&["test", "--locked", "--workspace"]),
        hint: "repeat one with `cargo test -p <crate> <part of its name>`",
    },
    Step {
        name: "doc",
        action: Action::Cargo(&["doc", "--locked", "--workspace", "--no-deps"]),
        hint: "mend the links and code blocks named above",
    },
];

const TEST: &str = "test";

/// Runs every step and stops at the first that fails.
pub(crate) fn check(tests: Tests) -> Result<(), String> {
    let start = Instant::now();
    for step in STEPS {
        if step.name == TEST && tests == Tests::Skip {
            println!("==> {} skipped", step.name);
            continue;
        }
        println!("==> {}", step.name);
        let step_start = Instant::now();
        let outcome = match step.action {
            Action::Tidy => tidy::run(),
            Action::Cargo(args) => cargo(args),
        };
        let minutes = minutes(step_start.elapsed());
        match outcome {
            Ok(()) => println!("==> {} ok, {minutes}", step.name),
            Err(why) => {
                return Err(format!(
                    "{why}\n==> {} FAILED, {minutes}: {}",
                    step.name, step.hint
                ));
            }
        }
    }
    println!("==> all ok, {}", minutes(start.elapsed()));
    Ok(())
}

/// Formats, then lets clippy apply what it can, also on files that are not committed yet.
pub(crate) fn fix() -> Result<(), String> {
    cargo(&[
        "clippy",
        "--fix",
        "--allow-dirty",
        "--allow-staged",
        "--workspace",
        "--all-targets",
    ])?;
    cargo(&["fmt", "--all"])
}

/// Runs the cargo that runs us, in the workspace root, with its output on ours.
fn cargo(args: &[&str]) -> Result<(), String> {
    let status = Command::new(tidy::cargo_program())
        .args(args)
        .current_dir(tidy::root())
        .env("RUSTDOCFLAGS", "-D warnings")
        .status()
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("cargo {}: {status}", args.join(" ")))
    }
}

fn minutes(duration: Duration) -> String {
    format!("{:.1} min", duration.as_secs_f64() / 60.0)
}
