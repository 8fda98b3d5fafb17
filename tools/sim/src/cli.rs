//! The command line.
//!
//! Exit codes: 0, every promise was kept, and everything was exercised; 1, a promise was broken, or
//! something never happened; 2, the command line or a scenario makes no sense.

mod check;
#[cfg(mutants)]
mod hunt;
mod one;
mod range;
mod scenarios;
mod tally;

use std::num::NonZeroUsize;
use std::ops::Range;
use std::process::ExitCode;
use std::thread;

use chronik_sim::launch::Launch;
use chronik_sim::plan::FaultKind;
use chronik_sim::run::Options;
use chronik_sim::scenario::parse_kinds;
use clap::{Args, Parser, Subcommand};

/// A whole broker with its clients, disk, network and everything that goes wrong, decided by one seed.
#[derive(Debug, Parser)]
#[command(name = "chronik-sim", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  every promise was kept, and everything was exercised
  1  a promise was broken, or something was never exercised
  2  the command line or a scenario makes no sense";

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs one seed and tells its story, or a range of seeds
    Run(RunArgs),
    /// Makes a seed that breaks a promise small, and writes it as a scenario
    Shrink(ShrinkArgs),
    /// Runs the scenarios that are kept, or one of them
    Scenario(ScenarioArgs),
    /// Prints the trace hash of a seed
    Hash {
        #[command(flatten)]
        seed: SeedArgs,
    },
    /// Looks for the first seed that finds a deliberate bug
    #[cfg(mutants)]
    Mutant(hunt::HuntArgs),
}

/// What a run is drawn from.
#[derive(Debug, Clone, Args)]
struct DrawArgs {
    /// Kinds of faults, by comma; `all` or `none`
    #[arg(long, default_value = "all", value_parser = Kinds::parse)]
    faults: Kinds,
    /// Operations that clients do, at least
    #[arg(long, default_value_t = Options::default().operations)]
    operations: u64,
    /// A deliberate bug to switch on
    #[cfg(mutants)]
    #[arg(long)]
    mutant: Option<chronik_model::mutant::Mutant>,
}

#[derive(Debug, Args)]
struct SeedArgs {
    /// The seed
    #[arg(long)]
    seed: u64,
    #[command(flatten)]
    draw: DrawArgs,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// One seed, whose story is told
    #[arg(long, required_unless_present = "seeds", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Seeds, from the first up to but without the last
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    seeds: Option<Range<u64>>,
    #[command(flatten)]
    draw: DrawArgs,
    /// Prints every event of one seed
    #[arg(long, conflicts_with = "seeds")]
    trace: bool,
    /// Threads for a range of seeds; as many as there are cores by default
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Of so many seeds one is run twice, and has to do the same again; 0 for none
    #[arg(long, value_name = "N", default_value_t = 20)]
    twice: u64,
    /// Stops at the first seed that breaks a promise
    #[arg(long)]
    first: bool,
    /// Prints what came out as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShrinkArgs {
    #[command(flatten)]
    seed: SeedArgs,
    /// Where the scenario is written; to the screen by default
    #[arg(long, value_name = "FILE")]
    out: Option<std::path::PathBuf>,
}

#[derive(Debug, Args)]
struct ScenarioArgs {
    /// Its name, or the path of its file; all that are kept by default
    name: Option<String>,
    /// Prints every event
    #[arg(long, requires = "name")]
    trace: bool,
}

/// Kinds of faults with the words that named them.
#[derive(Debug, Clone)]
struct Kinds {
    words: String,
    kinds: Vec<FaultKind>,
}

impl Kinds {
    fn parse(words: &str) -> Result<Self, String> {
        let kinds = parse_kinds(words)?;
        let words = words.to_owned();
        Ok(Self { words, kinds })
    }
}

impl DrawArgs {
    fn options(&self) -> Options {
        Options {
            kinds: self.faults.kinds.clone(),
            operations: self.operations,
            ..Options::default()
        }
    }

    fn launch(&self, seed: u64) -> Launch {
        Launch::draw(seed, &self.options())
    }

    /// Switches the chosen bug on in this thread.
    fn arm(&self) {
        #[cfg(mutants)]
        chronik_model::mutant::set(self.mutant);
    }

    /// The options that repeat what these say.
    fn words(&self) -> String {
        let defaults = Options::default();
        let mut words = String::new();
        if self.faults.words != "all" {
            words.push_str(" --faults ");
            words.push_str(&self.faults.words);
        }
        if self.operations != defaults.operations {
            words.push_str(&format!(" --operations {}", self.operations));
        }
        #[cfg(mutants)]
        if let Some(mutant) = self.mutant {
            words.push_str(&format!(" --mutant {mutant}"));
        }
        words
    }

    /// One command that does the same with this seed.
    fn again(&self, seed: u64) -> String {
        format!("chronik-sim run --seed {seed}{}", self.words())
    }
}

impl RunArgs {
    fn jobs(&self) -> usize {
        let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.jobs.map_or_else(cores, NonZeroUsize::get)
    }
}

/// What a command comes to: whether all is well, or why it could not be done.
type Outcome = Result<bool, String>;

/// Does what the command line says.
pub(crate) fn run() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => match (args.seed, args.seeds.clone()) {
            (Some(seed), _) => Ok(one::tell(&args, seed)),
            (None, Some(seeds)) => Ok(range::run(&args, seeds)),
            (None, None) => Err("--seed or --seeds is needed".to_owned()),
        },
        Command::Shrink(args) => one::shrink(&args),
        Command::Scenario(args) => scenarios::run(&args),
        Command::Hash { seed } => {
            seed.draw.arm();
            println!("{:016x}", seed.draw.launch(seed.seed).run().hash);
            Ok(true)
        }
        #[cfg(mutants)]
        Command::Mutant(args) => hunt::run(&args),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::from(2)
        }
    }
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let halves = text.split_once("..");
    let parsed = halves.and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    parsed
        .filter(|range: &Range<u64>| !range.is_empty())
        .ok_or_else(|| format!("{text:?} is not of the form 0..200"))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command};

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_command_that_repeats_a_seed_means_the_same() {
        for line in [
            "chronik-sim run --seed 7",
            "chronik-sim run --seed 7 --faults crash,torn",
            "chronik-sim run --seed 7 --faults none --operations 50",
        ] {
            let parsed = Cli::try_parse_from(line.split_whitespace()).unwrap();
            let Command::Run(args) = parsed.command else {
                panic!("{line}");
            };
            assert_eq!(args.draw.again(7), line);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "chronik-sim run",
            "chronik-sim run --seed 1 --seeds 1..2",
            "chronik-sim run --seeds 2..2",
            "chronik-sim run --seed 1 --faults smash",
            "chronik-sim run --seeds 1..2 --trace",
        ] {
            assert!(
                Cli::try_parse_from(line.split_whitespace()).is_err(),
                "{line}"
            );
        }
    }
}
