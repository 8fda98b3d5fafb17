//! What takes part: binaries of this repository, and Kafka's jars from Maven Central.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tidy;

/// The version that tests/kafka-tools/pom.xml fetches.
pub(super) const KAFKA_VERSION: &str = "4.3.1";

/// Where everything is.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    pub(super) server: PathBuf,
    pub(super) bench: PathBuf,
    pub(super) reference: PathBuf,
    pub(super) kafka_jars: PathBuf,
    pub(super) log4j: PathBuf,
}

impl Programs {
    /// Builds and fetches what is missing. `CHRONIK_SERVER`, `CHRONIK_BENCH`, `CHRONIK_REFERENCE` and
    /// `KAFKA_LIB` name others, which are taken as they are.
    pub(super) fn prepare() -> Result<Self, String> {
        let mut missing = Vec::new();
        let mut program = |variable: &str, package: &'static str| {
            std::env::var_os(variable).map_or_else(
                || {
                    missing.push(package);
                    target_folder().join("release").join(package)
                },
                PathBuf::from,
            )
        };
        let programs = Self {
            server: program("CHRONIK_SERVER", "chronik-server"),
            bench: program("CHRONIK_BENCH", "chronik-bench"),
            reference: program("CHRONIK_REFERENCE", "chronik-reference"),
            kafka_jars: std::env::var_os("KAFKA_LIB").map_or_else(
                || tidy::root().join("target/kafka-tools/lib"),
                PathBuf::from,
            ),
            log4j: tidy::root().join("tests/kafka-tools/log4j2.xml"),
        };
        build(&missing)?;
        programs.fetch_kafka()?;
        Ok(programs)
    }

    fn fetch_kafka(&self) -> Result<(), String> {
        if has_kafka(&self.kafka_jars) {
            return Ok(());
        }
        eprintln!("fetching Kafka {KAFKA_VERSION} from Maven Central");
        run(Command::new("mvn")
            .args(["--quiet", "--batch-mode", "-f"])
            .args(["tests/kafka-tools/pom.xml", "package"]))?;
        if has_kafka(&self.kafka_jars) {
            return Ok(());
        }
        let folder = self.kafka_jars.display();
        Err(format!("no kafka_2.13-{KAFKA_VERSION}.jar in {folder}"))
    }
}

fn has_kafka(folder: &Path) -> bool {
    fs::metadata(folder.join(format!("kafka_2.13-{KAFKA_VERSION}.jar"))).is_ok()
}

fn build(packages: &[&str]) -> Result<(), String> {
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.iter().flat_map(|package| ["-p", package]);
    run(Command::new(tidy::cargo_program())
        .args(["build", "--release", "--locked"])
        .args(names))
}

fn run(command: &mut Command) -> Result<(), String> {
    let status = command
        .current_dir(tidy::root())
        .status()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {status}"))
}

/// Where cargo puts what it builds.
pub(super) fn target_folder() -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    tidy::root().join(set.unwrap_or_else(|| "target".into()))
}
