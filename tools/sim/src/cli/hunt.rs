//! `mutant`: the deliberate bugs of this build, and which seed finds one.

use std::ops::Range;

use chronik_model::mutant::{self, Mutant};
use chronik_sim::launch::Launch;
use chronik_sim::run::Options;
use clap::Args;

use super::{Outcome, parse_range};

#[derive(Debug, Args)]
pub(super) struct HuntArgs {
    /// Its name, or `none`
    #[arg(required_unless_present = "list", requires = "seeds")]
    name: Option<String>,
    /// Seeds to try, in order
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    seeds: Option<Range<u64>>,
    /// Lists all, with what is broken
    #[arg(long, conflicts_with = "name")]
    list: bool,
}

/// The last line says what became of it; `xtask mutants` reads that.
pub(super) fn run(args: &HuntArgs) -> Outcome {
    if args.list {
        for (_, name, broken) in Mutant::ALL {
            println!("{name}\t{broken}");
        }
        return Ok(true);
    }
    let name = args.name.as_deref().unwrap_or("none");
    let chosen = match name {
        "none" => None,
        name => Some(name.parse::<Mutant>()?),
    };
    let seeds = args.seeds.clone().unwrap_or(0..1);
    let count = seeds.end - seeds.start;
    let mut reached = 0;
    for seed in seeds {
        mutant::set(chosen);
        let report = Launch::draw(seed, &Options::default()).run();
        reached += mutant::reached();
        if let Some(violation) = report.violation {
            println!("{violation}");
            println!("killed\t{seed}\t{}\t{}", violation.rule, mutant::reached());
            return Ok(true);
        }
    }
    println!("survived\t{count}\t{reached}");
    Ok(true)
}
