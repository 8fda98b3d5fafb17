//! The tables of docs/benchmarks.md.

use std::fmt::Write as _;

use serde_json::Value;

use super::goals::{self, Of, Outcome, Verdict};
use super::numbers::{ratio, spread};
use super::programs::KAFKA_VERSION;
use super::report::Report;
use super::samples::{Metric, PAIRINGS, Pairing, SHARE, Samples, System};
use super::workloads::{Kind, WORKLOADS};

const BEGIN: &str = "<!-- race:begin -->";
const END: &str = "<!-- race:end -->";

const PROBLEM_CHARS: usize = 240;
const PICTURE: &str = "![Throughput of Chronik as a multiple of Kafka's](benchmarks.svg)\n\n\
                       Every single value is in [benchmarks.json](benchmarks.json).";

/// The page with the report between its markers.
pub(super) fn put_in(page: &str, report: &Report) -> Result<String, String> {
    let missing = || format!("the page has no {BEGIN} ... {END}");
    let (before, rest) = page.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    let tables = render(report);
    Ok(format!(
        "{before}{BEGIN}\n\n{PICTURE}\n\n{tables}\n{END}{after}"
    ))
}

/// Everything that was found, as Markdown.
pub(super) fn render(report: &Report) -> String {
    let samples = &report.samples;
    let outcomes = goals::judge(samples);
    let mut out = made_of(report);
    section(&mut out, "Goals", &goals_table(&outcomes));
    let ratios = [
        ("Throughput", Metric::RecordsPerS),
        ("Latency: p99", Metric::P99Ms),
        ("Server CPU per record", Metric::CpuPerMillion),
        ("Peak memory", Metric::PeakMb),
    ];
    for (title, metric) in ratios {
        section(
            &mut out,
            &format!("{title}, ours / theirs"),
            &ratio_table(samples, metric),
        );
    }
    section(&mut out, "Single measurements", &besides_table(samples));
    section(&mut out, "Figures", &figures_table(samples));
    let problems = report
        .problems
        .iter()
        .map(|it| format!("- {}\n", one_line(it)));
    section(
        &mut out,
        "What could not be measured",
        &problems.collect::<String>(),
    );
    out.trim_end().to_owned() + "\n"
}

fn section(out: &mut String, title: &str, body: &str) {
    if !body.is_empty() {
        let _infallible = write!(out, "### {title}\n\n{}\n\n", body.trim_end());
    }
}

/// The beginning of a problem; progress lines had all of it.
fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().take(PROBLEM_CHARS).collect();
    line.replace('|', "/")
}

/// What the figures are of.
fn made_of(report: &Report) -> String {
    let fact = |name: &str| match report.machine.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(value) if !value.is_null() => value.to_string(),
        _ => "?".to_owned(),
    };
    let sync = report
        .samples
        .spread("start", System::Chronik, Metric::DeviceSyncUs);
    format!(
        "{} x {}, {} GB, Linux {}, {}; a bare synced write of 4 KiB takes {} us. Apache Kafka {KAFKA_VERSION} on {}.\n\
         {}, commit {}: {} rounds of {} s per measurement in {:.0} min. Load average before {}, after {}.\n\n",
        fact("cpus"),
        fact("cpu"),
        fact("memory_gb"),
        fact("kernel"),
        fact("disk"),
        spread(sync),
        fact("java"),
        fact("date"),
        fact("commit"),
        report.rounds,
        report.seconds,
        report.minutes,
        fact("load_average"),
        report.load_after,
    )
}

fn goals_table(outcomes: &[Outcome]) -> String {
    let measured: Vec<_> = outcomes
        .iter()
        .filter(|it| it.verdict != Verdict::Unmeasured)
        .collect();
    if measured.is_empty() {
        return String::new();
    }
    let missed = measured
        .iter()
        .filter(|it| it.verdict == Verdict::Missed)
        .count();
    let mut out = format!("{} goals, {missed} missed.\n\n", measured.len());
    out += "| Workload | Figure | Compared | Found | Goal | |\n| --- | --- | --- | ---: | ---: | --- |\n";
    for outcome in measured {
        let goal = &outcome.goal;
        let (compared, found) = match goal.of {
            Of::Ratio(pairing) => (pairing.title, ratio(outcome.found)),
            Of::Value(system) => (system.title(), spread(outcome.found)),
        };
        let _infallible = writeln!(
            out,
            "| {} | {} | {compared} | {found} | {} | {} |",
            goal.workload,
            goal.metric.title(),
            goal.bound,
            outcome.verdict.title()
        );
    }
    out
}

/// One row per workload that has such a figure.
fn ratio_table(samples: &Samples, metric: Metric) -> String {
    let mut rows = String::new();
    for workload in WORKLOADS {
        let cells: Vec<_> = columns(metric)
            .map(|pairing| ratio(samples.ratio(workload.id, pairing, metric)))
            .collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            let _infallible = writeln!(
                rows,
                "| {} | {} | {} |",
                workload.id,
                workload.shape,
                cells.join(" | ")
            );
        }
    }
    if rows.is_empty() {
        return rows;
    }
    let titles: Vec<_> = columns(metric).map(|it| it.title).collect();
    let rule = " ---: |".repeat(titles.len());
    let titles = titles.join(" | ");
    format!("| | Workload | {titles} |\n| --- | --- |{rule}\n{rows}")
}

/// The reference server keeps nothing and answers nobody else, which its memory and latencies show.
fn columns(metric: Metric) -> impl Iterator<Item = Pairing> {
    let compared = matches!(metric, Metric::RecordsPerS | Metric::CpuPerMillion);
    PAIRINGS.into_iter().chain(compared.then_some(SHARE))
}

/// Starts, connections, topics, kills, idling, memory: what has no rate.
fn besides_table(samples: &Samples) -> String {
    let mut rows = String::new();
    for workload in samples.workloads() {
        let scene = WORKLOADS.iter().find(|it| it.id == workload);
        if scene.is_some_and(|it| matches!(it.kind, Kind::Timed(_) | Kind::Read { .. })) {
            continue;
        }
        // The disk is no figure of a server.
        let of_servers = |metric: &Metric| *metric != Metric::DeviceSyncUs;
        for metric in Metric::ALL.into_iter().filter(of_servers) {
            rows += &besides_row(samples, workload, metric);
        }
    }
    if rows.is_empty() {
        return rows;
    }
    let head = "| | Figure | Chronik | Kafka | Kafka, 4 GB heap | Chronik / Kafka |\n";
    format!("{head}| --- | --- | ---: | ---: | ---: | ---: |\n{rows}")
}

fn besides_row(samples: &Samples, workload: &str, metric: Metric) -> String {
    let of = |system| spread(samples.spread(workload, system, metric));
    let (chronik, kafka) = (of(System::Chronik), of(System::Kafka));
    if chronik.is_empty() && kafka.is_empty() {
        return String::new();
    }
    let [_, pairing, _] = PAIRINGS;
    format!(
        "| {workload} | {} | {chronik} | {kafka} | {} | {} |\n",
        metric.title(),
        of(System::KafkaBigHeap),
        ratio(samples.ratio(workload, pairing, metric))
    )
}

fn figures_table(samples: &Samples) -> String {
    const SHOWN: [Metric; 5] = [
        Metric::RecordsPerS,
        Metric::P50Ms,
        Metric::P99Ms,
        Metric::CpuPerMillion,
        Metric::PeakMb,
    ];
    let mut rows = String::new();
    for workload in WORKLOADS {
        for system in System::ALL {
            let rate = samples.spread(workload.id, system, Metric::RecordsPerS);
            if rate.is_none() {
                continue;
            }
            let cells = SHOWN.map(|metric| spread(samples.spread(workload.id, system, metric)));
            let _infallible = writeln!(
                rows,
                "| {} | {} | {} |",
                workload.id,
                system.title(),
                cells.join(" | ")
            );
        }
    }
    if rows.is_empty() {
        return rows;
    }
    let titles = SHOWN.map(Metric::title).join(" | ");
    format!("| | System | {titles} |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n{rows}")
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::report;
    use super::{put_in, render};

    #[test]
    fn tables_show_ratios_goals_and_figures() {
        let page = render(&report());
        for line in [
            "2 goals, 0 missed.",
            "| P1 c=1 | records/s | both syncing | 2.50 x | >= 2 | met |",
            "| P1 c=1 | librdkafka, 1 record in flight, acks=all | 2.50 x |  |  | 0.889 x |",
            "| P1 c=1 | Chronik | 4,000 | 0.250 |  |  |  |",
            "- R1 kill, Kafka: no answer",
        ] {
            assert!(page.lines().any(|it| it == line), "{line}\n{page}");
        }
        assert!(page.starts_with("2 x abacus, ? GB"), "{page}");
        // A section without rows is left out.
        assert!(!page.contains("Peak memory, ours"), "{page}");
    }

    #[test]
    fn text_around_the_markers_stays() {
        let page = "# Figures\n\n<!-- race:begin -->\nold\n<!-- race:end -->\n\n## More\n";
        let new = put_in(page, &report()).unwrap();
        assert!(
            new.starts_with("# Figures\n\n<!-- race:begin -->\n\n![")
                && new.contains("\n2 x abacus")
        );
        assert!(new.ends_with("<!-- race:end -->\n\n## More\n") && !new.contains("old"));
        assert_eq!(put_in(&new, &report()), Ok(new));
        assert!(put_in("# Figures\n", &report()).is_err());
    }
}
