//! `race`: Chronik beside Apache Kafka on this machine, in one run, under the same load.
//!
//! Servers take turns on the same disk, each alone, A B A B, with a fresh data directory for every
//! life. What is compared are ratios of one turn; docs/benchmarks.md has what came of it. What runs is
//! in `workloads.rs`, what it is meant to reach in `goals.rs`.

mod bench;
mod goals;
mod machine;
mod numbers;
mod options;
mod page;
mod plot;
mod process;
mod programs;
mod report;
mod samples;
mod scenes;
mod server;
mod stage;
mod stats;
mod track;
mod wire;
mod workloads;

pub(crate) use options::Options;

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::tidy;
use report::Report;

const PAGE: &str = "docs/benchmarks.md";
const FIGURES: &str = "docs/benchmarks.json";
const PLOT: &str = "docs/benchmarks.svg";

/// Runs the race, or reads one that was run, and shows it; fails when something could not be measured.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let report = match &options.from {
        Some(path) => Report::from_json(&read_json(path)?)?,
        None => track::run(options)?,
    };
    if report.samples.is_empty() {
        return Err(format!(
            "nothing was measured:\n{}",
            report.problems.join("\n")
        ));
    }
    if let Some(path) = &options.json {
        write(path, &report.to_text())?;
    }
    println!("{}", page::render(&report));
    if options.write && !report.whole {
        return Err("only a whole race goes on the page".to_owned());
    }
    if options.write {
        let root = tidy::root();
        let old =
            fs::read_to_string(root.join(PAGE)).map_err(|error| format!("{PAGE}: {error}"))?;
        write(&root.join(PAGE), &page::put_in(&old, &report)?)?;
        write(&root.join(FIGURES), &report.to_text())?;
        write(&root.join(PLOT), &plot::render(&report.samples))?;
    }
    if report.problems.is_empty() {
        return Ok(());
    }
    Err(format!("not measured:\n{}", report.problems.join("\n")))
}

fn read_json(path: &Path) -> Result<Value, String> {
    let problem = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = fs::read_to_string(path).map_err(|error| problem(&error))?;
    serde_json::from_str(&text).map_err(|error| problem(&error))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
