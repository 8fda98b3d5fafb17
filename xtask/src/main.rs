//! Chores of this repository, in plain Rust so that nothing else has to be installed:
//! `cargo xtask check`, `cargo xtask tidy`, `cargo xtask fix`, `cargo xtask mutants`, `cargo xtask race`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks there"
)]

mod check;
mod mutants;
mod race;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <command>

  check [--no-test]   everything that must hold before a push; changes no file
  tidy                the repository's own rules alone; a second or two
  fix                 format and apply clippy's machine-made suggestions
  mutants [NAME...]   whether the simulator finds every deliberate bug; all of them takes a while
    --quick           begin with the seeds in docs/simulation.md, and do not look far
    --write           put the table into docs/simulation.md
  race                Chronik beside Apache Kafka on this machine; an hour and more, which it wants for itself
    --only NAME,...   these workloads: P1, or \"P2 8 x 64\"
    --rounds N        rounds, 5 without it
    --seconds S       length of a measurement, 2.5 without it
    --quick           one round of 2 s each, to try it
    --dir DIR         where the servers' data is, on the disk to be measured; target/ without it
    --json FILE       write every single value
    --from FILE       show what such a file has, and run nothing
    --write           put it into docs/benchmarks.md, .json and .svg; whole races only";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args.as_slice() {
        ["check"] => check::check(check::Tests::Run),
        ["check", "--no-test"] => check::check(check::Tests::Skip),
        ["tidy"] => tidy::run(),
        ["fix"] => check::fix(),
        ["mutants", options @ ..] => {
            mutants::Options::parse(options).and_then(|options| mutants::run(&options))
        }
        ["race", options @ ..] => {
            race::Options::parse(options).and_then(|options| race::run(&options))
        }
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
