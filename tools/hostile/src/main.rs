//! `chronik-hostile`: hostile bytes by the million, in this process or over sockets.

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use chronik_hostile::allocator::Counting;
use chronik_hostile::campaign::{Plan, Report, carry_out};
use chronik_hostile::case::load;
use chronik_hostile::live::{Fire, Hits, fire};
use chronik_hostile::reduce::{note_panics, replay};
use chronik_hostile::targets::all;
use clap::Parser;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Hands hostile bytes to everything that reads bytes.
#[derive(Debug, Parser)]
#[command(name = "chronik-hostile", version)]
struct Args {
    /// Inputs in all.
    #[arg(long, default_value_t = 300_000)]
    frames: u64,
    /// Decides every input, together with the number of threads.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: u64,
    /// A server to send all of it to, instead of the targets in this process.
    #[arg(long, conflicts_with_all = ["target", "replay"])]
    address: Option<SocketAddr>,
    /// Runs the cases of this folder again, and nothing else.
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Only this target.
    #[arg(long)]
    target: Option<String>,
    /// Where cases are put that fail.
    #[arg(long, default_value = "hostile-cases")]
    corpus: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    note_panics();
    if let Some(address) = args.address {
        return send(&Fire {
            address,
            frames: args.frames,
            seed: args.seed,
            threads: args.threads,
        });
    }
    if let Some(folder) = args.replay {
        return again(&folder);
    }
    let plan = Plan {
        frames: args.frames,
        seed: args.seed,
        threads: args.threads,
        target: args.target,
        corpus: args.corpus,
    };
    let report = carry_out(&plan, &|done| println!("{done} of {} inputs", plan.frames));
    print(&report);
    if report.found.is_empty() && report.idle().is_empty() && report.inputs() > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn send(plan: &Fire) -> ExitCode {
    let hits = Hits::default();
    let sent = fire(plan, &hits);
    let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "{} frames over {} connections, of which the server closed {}; {} bytes came back",
        number(&hits.frames),
        number(&hits.connections),
        number(&hits.closed),
        number(&hits.bytes_back)
    );
    match sent {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn again(folder: &Path) -> ExitCode {
    let mut failed = false;
    for (_, mut target) in all() {
        let cases = match load(folder, target.name()) {
            Ok(cases) => cases,
            Err(error) => {
                println!("FAILED: {}: {error}", folder.display());
                return ExitCode::FAILURE;
            }
        };
        for (path, case) in cases {
            let verdict = replay(&mut *target, &case);
            failed |= verdict.is_err();
            println!("{path}: {}", verdict.err().as_deref().unwrap_or("ok"));
        }
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn print(report: &Report) {
    println!(
        "{:18} {:>12} {:>12} {:>16}",
        "target", "accepted", "refused", "most bytes held"
    );
    for (name, count) in &report.counts {
        println!(
            "{name:18} {:>12} {:>12} {:>16}",
            count.accepted, count.refused, count.most_held
        );
    }
    let inputs = report.inputs();
    let ms = report.took.as_millis().max(1);
    let rate = u128::from(inputs) * 1_000 / ms;
    println!(
        "{inputs} inputs in {}.{:03} s, {rate} a second",
        ms / 1_000,
        ms % 1_000
    );
    for name in report.idle() {
        println!("FAILED: {name} never accepted or never refused anything");
    }
    for found in &report.found {
        println!(
            "FAILED: {}: {}\n  {}",
            found.target, found.failure, found.path
        );
    }
}
