//! The race itself: who runs when.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::machine;
use super::numbers::short;
use super::options::Options;
use super::process::{self, words};
use super::programs::{Programs, target_folder};
use super::report::Report;
use super::samples::{Metric, Sample, Samples, System};
use super::server::{BIG_HEAP_GB, Brand, HEAP_GB, Server, remove};
use super::stage::{RUN_DEADLINE, Stage};
use super::workloads::{Who, Workload, choose, lives};

/// All rounds of the chosen workloads.
pub(super) fn run(options: &Options) -> Result<Report, String> {
    let chosen = choose(&options.only)?;
    let programs = Programs::prepare()?;
    process::allow_open_files();
    let parent = options.dir.clone().unwrap_or_else(target_folder);
    let folder = parent.join(FOLDER);
    remove(&folder)?;
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let machine = machine::facts(&folder);
    let mut track = Track {
        options,
        programs,
        folder,
        samples: Samples::default(),
        problems: Vec::new(),
        turn: 0,
        started: Instant::now(),
    };
    let mut round = 0;
    loop {
        round += 1;
        for life in lives(&chosen) {
            let of_life = chosen.iter().filter(|it| it.life == life);
            let of_life: Vec<_> = of_life.copied().collect();
            track.take_turns(round, life, &of_life);
        }
        let report = track.report(round, machine.clone());
        let so_far = parent.join(SO_FAR);
        fs::write(&so_far, report.to_text())
            .map_err(|error| format!("{}: {error}", so_far.display()))?;
        let (rounds, minutes) = (options.rounds, report.minutes);
        let so_far = so_far.display();
        eprintln!("round {round} of {rounds} done after {minutes:.1} min; so far: --from {so_far}");
        if round >= rounds {
            remove(&track.folder)?;
            return Ok(report);
        }
    }
}

/// The state between lives.
struct Track<'a> {
    options: &'a Options,
    programs: Programs,
    folder: PathBuf,
    samples: Samples,
    problems: Vec<String>,
    turn: usize,
    started: Instant,
}

impl Track<'_> {
    /// What is known after so many rounds.
    fn report(&self, rounds: usize, machine: Value) -> Report {
        Report {
            machine,
            load_after: machine::load_average(),
            rounds: u64::try_from(rounds).unwrap_or(u64::MAX),
            seconds: self.options.seconds(),
            minutes: self.started.elapsed().as_secs_f64() / 60.0,
            whole: self.options.is_whole(rounds),
            samples: self.samples.clone(),
            problems: self.problems.clone(),
        }
    }

    /// Every server has its life, one after the other; what they find is a pair.
    fn take_turns(&mut self, round: usize, life: &str, workloads: &[Workload]) {
        let rounds = self.options.rounds;
        for brand in BRANDS {
            let share: Vec<_> = workloads
                .iter()
                .filter(|workload| !systems(brand, workload.who).is_empty())
                .copied()
                .collect();
            if share.is_empty() {
                continue;
            }
            let minutes = self.started.elapsed().as_secs_f64() / 60.0;
            eprintln!("{minutes:5.1} min, round {round} of {rounds}, {life}, {brand:?}");
            // Fewer lives would be faster, but the reference server knows its partitions from the start.
            let lives: Vec<_> = if matches!(brand, Brand::Reference { .. }) {
                share.chunks(1).collect()
            } else {
                vec![share.as_slice()]
            };
            for share in lives {
                if let Err(problem) = self.live(brand, life, share) {
                    self.note(format!("round {round}, {life}, {brand:?}: {problem}"));
                }
            }
        }
        self.turn += 1;
    }

    /// One life of a server.
    fn live(&mut self, brand: Brand, life: &str, workloads: &[Workload]) -> Result<(), String> {
        let brand = match (brand, workloads) {
            (Brand::Reference { .. }, [only]) => Brand::Reference {
                partitions: only.partitions,
            },
            (other, _) => other,
        };
        calm_down(&self.folder)?;
        let sync_us = machine::device_sync_us(&self.folder)?;
        let server = Server::start(brand, &self.programs, &self.folder.join("server"))?;
        let programs = self.programs.clone();
        let lengths = self.options.lengths();
        let mut stage = Stage::new(server, &programs, lengths);
        let system = stage.server.as_it_comes();
        self.add("start", system, (Metric::DeviceSyncUs, sync_us));
        if system != System::Reference {
            self.greet(&mut stage, system)?;
        }
        if system != System::Reference && workloads.iter().any(Workload::wants_warm_up) {
            stage.warm_up(system, lengths.warm_up.div_f64(warm_up_divisor(brand)))?;
        }
        for workload in workloads {
            for system in systems(brand, workload.who) {
                self.measure(&mut stage, workload, *system, sync_us)?;
            }
        }
        if system != System::Reference && stage.peak_mb > 0.0 {
            let name = format!("memory in {life}");
            self.add(&name, system, (Metric::PeakMb, stage.peak_mb));
        }
        Ok(())
    }

    /// How long a start takes, and what stands between it and the first record.
    fn greet(&mut self, stage: &mut Stage<'_>, system: System) -> Result<(), String> {
        stage.topic_for(1, system)?;
        let first = stage.server.started.elapsed();
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        self.add(
            "start",
            system,
            (Metric::ReadyMs, millis(stage.server.ready)),
        );
        self.add("start", system, (Metric::FirstRecordMs, millis(first)));
        Ok(())
    }

    /// Fails when the server is gone; otherwise the next workload may fare better.
    fn measure(
        &mut self,
        stage: &mut Stage<'_>,
        workload: &Workload,
        system: System,
        sync_us: f64,
    ) -> Result<(), String> {
        let found = match stage.measure(workload, system) {
            Ok(found) => found,
            Err(problem) => {
                self.note(format!("{}, {}: {problem}", workload.id, system.title()));
                return if stage.server.answers() {
                    Ok(())
                } else {
                    Err(format!("gone after {}", workload.id))
                };
            }
        };
        let words: Vec<_> = found
            .iter()
            .map(|(metric, value)| format!("{} {}", metric.title(), short(*value)))
            .collect();
        eprintln!(
            "  {}, {}: {}",
            workload.id,
            system.title(),
            words.join("; ")
        );
        for (metric, value) in found {
            self.add(workload.id, system, (metric, value));
            let syncs = matches!(
                system,
                System::Chronik | System::KafkaSync | System::Reference
            );
            if metric == Metric::P50Ms && syncs && workload.id == SINGLE {
                let beyond = value - sync_us / 1e3;
                self.add(workload.id, system, (Metric::P50AboveSyncMs, beyond));
            }
        }
        Ok(())
    }

    fn add(&mut self, workload: &str, system: System, (metric, value): (Metric, f64)) {
        if !value.is_finite() {
            let (who, what) = (system.title(), metric.title());
            return self.note(format!("{workload}, {who}: {what} is {value}"));
        }
        self.samples.add(Sample {
            workload: workload.to_owned(),
            system,
            metric,
            turn: self.turn,
            value,
        });
    }

    fn note(&mut self, problem: String) {
        eprintln!("  NOT MEASURED: {problem}");
        self.problems.push(problem);
    }
}

/// What a server stands for in a workload, in the order in which it runs.
const fn systems(brand: Brand, who: Who) -> &'static [System] {
    match (brand, who) {
        (Brand::Chronik, Who::AsTheyCome) => &[System::Chronik],
        (Brand::Chronik, Who::Everybody | Who::WithBigHeap | Who::Brokers) => {
            &[System::Chronik, System::ChronikLazy]
        }
        (Brand::Kafka { heap_gb: HEAP_GB }, Who::AsTheyCome) => &[System::Kafka],
        (Brand::Kafka { heap_gb: HEAP_GB }, Who::Everybody | Who::WithBigHeap | Who::Brokers) => {
            &[System::KafkaSync, System::Kafka]
        }
        (Brand::Kafka { .. }, Who::WithBigHeap) => &[System::KafkaBigHeap],
        (Brand::Reference { .. }, Who::Everybody | Who::WithBigHeap) => &[System::Reference],
        (Brand::Kafka { .. }, Who::Everybody | Who::Brokers | Who::AsTheyCome)
        | (Brand::Reference { .. }, Who::Brokers | Who::AsTheyCome) => &[],
    }
}

/// A JVM compiles for seconds; everything else is warm when its files and connections are.
const fn warm_up_divisor(brand: Brand) -> f64 {
    match brand {
        Brand::Kafka { .. } => 1.0,
        Brand::Chronik | Brand::Reference { .. } => 4.0,
    }
}

/// Nobody pays for what the one before has left to write.
fn calm_down(folder: &Path) -> Result<(), String> {
    let command = words(["sync", "-f", &folder.display().to_string()]);
    process::run(&command, folder, RUN_DEADLINE)
}

const BRANDS: [Brand; 4] = [
    Brand::Chronik,
    Brand::Kafka { heap_gb: HEAP_GB },
    Brand::Reference { partitions: 1 },
    Brand::Kafka {
        heap_gb: BIG_HEAP_GB,
    },
];
/// Below the folder that is asked for; it is removed whatever is in it.
const FOLDER: &str = "chronik-race-data";
/// A race of an hour may be ended early without losing its rounds.
const SO_FAR: &str = "chronik-race.json";
const SINGLE: &str = "P1 c=1";

#[cfg(test)]
mod tests {
    use super::super::workloads::WORKLOADS;
    use super::{BRANDS, Brand, System, Who, systems};

    #[test]
    fn every_workload_has_all_of_its_systems_once() {
        for workload in WORKLOADS {
            let all = BRANDS
                .iter()
                .flat_map(|brand| systems(*brand, workload.who));
            let all: Vec<_> = all.copied().collect();
            let expected = match workload.who {
                Who::WithBigHeap => 6,
                Who::Everybody => 5,
                Who::Brokers => 4,
                Who::AsTheyCome => 2,
            };
            assert_eq!(all.len(), expected, "{}", workload.id);
            for system in &all {
                let times = all.iter().filter(|it| *it == system).count();
                assert_eq!(times, 1, "{} {system:?}", workload.id);
            }
        }
    }

    #[test]
    fn syncing_comes_before_its_opposite() {
        let both = systems(Brand::Kafka { heap_gb: 1 }, Who::Brokers);
        assert_eq!(both, [System::KafkaSync, System::Kafka]);
    }
}
