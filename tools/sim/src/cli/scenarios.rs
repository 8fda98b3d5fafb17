//! The scenarios that are kept in `tools/sim/scenarios`.

use std::path::{Path, PathBuf};
use std::{env, fs};

use chronik_sim::launch::Launch;
use chronik_sim::scenario::Scenario;

use super::{Outcome, ScenarioArgs, one};

const EXTENSION: &str = "scenario";

pub(super) fn run(args: &ScenarioArgs) -> Outcome {
    if let Some(name) = &args.name {
        let scenario = read(&path_of(name))?;
        return Ok(tell(&scenario, args.trace));
    }
    let mut all_well = true;
    for path in kept()? {
        let scenario = read(&path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let violation = Launch::of_scenario(&scenario).run().violation;
        match &violation {
            None => println!("{name}: kept"),
            Some(violation) => {
                println!("{name}: {violation}\n  chronik-sim scenario {name}");
            }
        }
        all_well &= violation.is_none();
    }
    Ok(all_well)
}

fn tell(scenario: &Scenario, trace: bool) -> bool {
    println!("{}\n", scenario.guards);
    let launch = Launch::of_scenario(scenario);
    let (report, chronicle) = one::play(&launch, trace, false);
    one::print(&launch, &report, &chronicle);
    report.violation.is_none()
}

fn read(path: &Path) -> Result<Scenario, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Scenario::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// A name means the file that is kept under it; a path is a path.
fn path_of(name: &str) -> PathBuf {
    if name.contains(std::path::MAIN_SEPARATOR) || name.ends_with(EXTENSION) {
        return PathBuf::from(name);
    }
    folder().join(name).with_extension(EXTENSION)
}

fn kept() -> Result<Vec<PathBuf>, String> {
    let folder = folder();
    let entries =
        fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_some_and(|it| it == EXTENSION) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Below the current folder, from wherever in the repository that is.
fn folder() -> PathBuf {
    let here = env::current_dir().unwrap_or_default();
    let in_repository = here.ancestors().map(|it| it.join("tools/sim/scenarios"));
    let mut found = in_repository.filter(|it| it.is_dir());
    found
        .next()
        .unwrap_or_else(|| PathBuf::from("tools/sim/scenarios"))
}
