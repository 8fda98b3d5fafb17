//! Everything that a race found, as a file.

use serde_json::{Value, json};

use super::goals::{self, Of};
use super::samples::Samples;
use super::stats::Spread;

/// What the page is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Report {
    pub(super) machine: Value,
    /// Load averages when it ended.
    pub(super) load_after: String,
    pub(super) rounds: u64,
    pub(super) seconds: f64,
    /// Wall time of the race.
    pub(super) minutes: f64,
    /// All workloads in enough rounds.
    pub(super) whole: bool,
    pub(super) samples: Samples,
    /// What could not be measured.
    pub(super) problems: Vec<String>,
}

impl Report {
    /// A document with everything, in which what was concluded stands beside single values.
    pub(super) fn to_text(&self) -> String {
        let parts = [
            ("machine", format!("{:#}", self.machine)),
            ("load_average_after", json!(self.load_after).to_string()),
            ("rounds", self.rounds.to_string()),
            ("seconds", json!(self.seconds).to_string()),
            ("minutes", json!(self.minutes).to_string()),
            ("whole", self.whole.to_string()),
            ("goals", lines(&self.goals())),
            ("problems", format!("{:#}", json!(self.problems))),
            ("samples", lines(&self.samples.to_json())),
        ];
        let parts = parts.map(|(name, value)| format!("\"{name}\": {value}"));
        format!("{{\n{}\n}}\n", parts.join(",\n"))
    }

    pub(super) fn from_json(document: &Value) -> Result<Self, String> {
        let part = |name: &str| {
            document
                .get(name)
                .ok_or_else(|| format!("there is no {name}"))
        };
        let wrong = |name: &str| format!("{name} can not be read");
        let problems = part("problems")?
            .as_array()
            .ok_or_else(|| wrong("problems"))?;
        let problems = problems.iter().filter_map(Value::as_str).map(str::to_owned);
        let load = part("load_average_after")?.as_str();
        let number = |name: &str| part(name)?.as_f64().ok_or_else(|| wrong(name));
        Ok(Self {
            machine: part("machine")?.clone(),
            load_after: load.unwrap_or_default().to_owned(),
            rounds: part("rounds")?.as_u64().ok_or_else(|| wrong("rounds"))?,
            seconds: number("seconds")?,
            minutes: number("minutes")?,
            whole: part("whole")?.as_bool().ok_or_else(|| wrong("whole"))?,
            samples: Samples::from_json(part("samples")?)?,
            problems: problems.collect(),
        })
    }

    fn goals(&self) -> Vec<Value> {
        let rows = goals::judge(&self.samples).into_iter().map(|outcome| {
            let goal = outcome.goal;
            let (ours, theirs) = match goal.of {
                Of::Ratio(pairing) => (pairing.ours, Some(pairing.theirs)),
                Of::Value(system) => (system, None),
            };
            json!({
                "workload": goal.workload,
                "metric": goal.metric.key(),
                "ours": ours.key(),
                "theirs": theirs.map(super::samples::System::key),
                "goal": goal.bound.to_string(),
                "found": outcome.found.map(spread),
                "verdict": outcome.verdict.key(),
            })
        });
        rows.collect()
    }
}

/// A list with a line for each: thousands of values are to be read, and compared by line.
fn lines(rows: &[Value]) -> String {
    let rows: Vec<_> = rows.iter().map(Value::to_string).collect();
    format!("[\n{}\n]", rows.join(",\n"))
}

fn spread(spread: Spread) -> Value {
    json!({
        "median": spread.median,
        "lowest": spread.lowest,
        "highest": spread.highest,
        "pairs": spread.count,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::super::samples::tests::{sample, samples};
    use super::super::samples::{Metric, System};
    use super::Report;

    /// A race of one pair.
    pub(crate) fn report() -> Report {
        let rate = |system, value| sample(system, Metric::RecordsPerS, 0, value);
        Report {
            machine: json!({ "cpu": "abacus", "cpus": 2 }),
            load_after: "0.1 0.2 0.3".to_owned(),
            rounds: 5,
            seconds: 3.0,
            minutes: 1.5,
            whole: true,
            samples: samples(&[
                rate(System::Chronik, 4_000.0),
                rate(System::KafkaSync, 1_600.0),
                rate(System::Reference, 4_500.0),
                sample(System::Chronik, Metric::P50Ms, 0, 0.25),
            ]),
            problems: vec!["R1 kill, Kafka: no answer".to_owned()],
        }
    }

    #[test]
    fn a_race_can_be_read_again() {
        let written = report();
        let document = serde_json::from_str(&written.to_text()).unwrap();
        assert_eq!(Report::from_json(&document), Ok(written));
        assert!(Report::from_json(&json!({})).is_err());
    }

    #[test]
    fn verdicts_stand_beside_values() {
        let text = report().to_text();
        assert!(text.contains(r#""verdict":"met""#), "{text}");
        assert!(text.contains(r#""verdict":"unmeasured""#), "{text}");
    }
}
