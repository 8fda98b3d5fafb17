//! One seed: its story, and the smallest run that breaks the same promise.

use std::fs;
use std::time::Instant;

use chronik_model::Mono;
use chronik_sim::checker::Violation;
use chronik_sim::launch::Launch;
use chronik_sim::run::Report;
use chronik_sim::shrink::{Candidate, shrink as make_small};
use chronik_sim::story::{Chronicle, Clock};

use super::{Outcome, RunArgs, ShrinkArgs, check, tally};

/// Runs a seed and tells its story. Whether every promise was kept.
pub(super) fn tell(args: &RunArgs, seed: u64) -> bool {
    args.draw.arm();
    let launch = args.draw.launch(seed);
    let (mut report, chronicle) = play(&launch, args.trace, args.json);
    if args.twice == 1 && report.violation.is_none() {
        report.violation = check::again(&launch, &report);
    }
    if args.json {
        println!("{}", tally::json_of_one(&report));
    } else {
        print(&launch, &report, &chronicle);
        if report.violation.is_some() {
            println!("\nAgain:     {}", args.draw.again(seed));
            let words = args.draw.words();
            println!("Smaller:   chronik-sim shrink --seed {seed}{words}");
        }
    }
    report.violation.is_none()
}

/// Runs and, without `quiet`, says how it went.
pub(super) fn play(launch: &Launch, trace: bool, quiet: bool) -> (Report, Chronicle) {
    let begun = Instant::now();
    let tracer = trace.then(|| {
        let print = |at: Mono, what: &dyn std::fmt::Display| println!("{}  {what}", Clock(at));
        Box::new(print) as chronik_sim::world::Tracer
    });
    let (report, chronicle) = launch.tell(tracer);
    if !quiet {
        let world = Mono(report.simulated_ns);
        println!(
            "Seed {}: {} operations and {} deaths in {} of its world, which took {:.2} s of ours.",
            report.seed,
            report.counters.get("operations").copied().unwrap_or(0),
            chronicle.deaths(),
            Clock(world).to_string().trim_start(),
            begun.elapsed().as_secs_f64(),
        );
    }
    (report, chronicle)
}

/// The story of a run that has been made.
pub(super) fn print(launch: &Launch, report: &Report, chronicle: &Chronicle) {
    let setup = &launch.script.setup;
    println!(
        "{} shards, {} frontends, segments of {} bytes, {} faults; trace hash {:016x}.\n",
        setup.shards,
        setup.frontends,
        setup.segment_bytes,
        launch.script.plan.faults.len(),
        report.hash
    );
    println!("{chronicle}");
    match &report.violation {
        None => println!("Every promise was kept."),
        Some(violation) => print_violation(violation),
    }
}

fn print_violation(violation: &Violation) {
    println!("BROKEN:    {}", violation.rule);
    println!(
        "At:        {}",
        Clock(violation.at).to_string().trim_start()
    );
    println!("Seen:      {}", violation.what);
    println!("Promised:  {}", violation.rule.meaning());
}

/// Makes a failing seed small.
pub(super) fn shrink(args: &ShrinkArgs) -> Outcome {
    args.seed.draw.arm();
    let launch = args.seed.draw.launch(args.seed.seed);
    let Some(violation) = launch.run().violation else {
        return Err(format!("seed {} breaks no promise", args.seed.seed));
    };
    eprintln!(
        "seed {} breaks {}: {}",
        args.seed.seed, violation.rule, violation.what
    );
    let mut runs = 0_u64;
    let smallest = make_small(launch.to_candidate(), &mut |candidate: &Candidate| {
        runs += 1;
        let tried = launch.with(candidate).run().violation;
        let fails = tried.is_some_and(|it| it.rule == violation.rule);
        if fails {
            eprintln!(
                "{runs} runs: {} faults, {} operations, {:.1} s, {} of {} clients",
                candidate.plan.faults.len(),
                candidate.operations,
                Mono(candidate.duration_ns).since(Mono(0)).as_secs_f64(),
                usize::from(candidate.actors) - candidate.idle.len(),
                candidate.actors,
            );
        }
        fails
    });
    let guards = format!("{}: {}", violation.rule, violation.rule.meaning());
    let scenario = launch.with(&smallest).to_scenario(guards).to_string();
    match &args.out {
        None => print!("{scenario}"),
        Some(path) => {
            let written = fs::write(path, scenario);
            written.map_err(|error| format!("{}: {error}", path.display()))?;
            println!("written to {}", path.display());
        }
    }
    Ok(true)
}
