//! Runs that once went wrong, kept as text so that they never do again.
//!
//! ```text
//! # What it guards against, in words.
//! seed        42
//! operations  300
//! duration    12.5s
//! idle        1 4 5
//! fault       12.000345678s broker 0 power for 4ms chance 0x1f2e3d
//! ```
//!
//! Only `seed` and `operations` have to be there. `idle` are the clients that do nothing. A file without
//! `fault` lines and without `faults none` has the faults that its seed draws;
//! `faults crash,torn` has those of some kinds drawn.

use std::collections::BTreeSet;
use std::fmt;

use chronik_model::Mono;
use thiserror::Error;

use crate::actor::BrokerId;
use crate::plan::{Fault, FaultKind, Plan};

/// A run that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// What it guards against.
    pub guards: String,
    /// The seed.
    pub seed: u64,
    /// Client operations.
    pub operations: u64,
    /// How long clients work, in ns; as long as the seed says for `None`.
    pub duration_ns: Option<u64>,
    /// Clients that do nothing, by number.
    pub idle: BTreeSet<u16>,
    /// What goes wrong.
    pub faults: Faults,
}

/// What goes wrong in a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Faults {
    /// These, at these times.
    Listed(Plan),
    /// What the seed draws from these kinds.
    Drawn(Vec<FaultKind>),
}

/// A line that is not understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {what}")]
pub struct ScenarioError {
    line: usize,
    what: String,
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// The first line that is not understood; line 0 stands for one that is missing.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let mut draft = Draft::default();
        for (number, line) in (1..).zip(text.lines()) {
            draft
                .take(line.trim())
                .map_err(|what| ScenarioError { line: number, what })?;
        }
        draft
            .finish()
            .map_err(|what| ScenarioError { line: 0, what })
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.guards.lines() {
            writeln!(f, "# {line}")?;
        }
        writeln!(f, "seed        {}", self.seed)?;
        writeln!(f, "operations  {}", self.operations)?;
        if let Some(duration) = self.duration_ns {
            writeln!(f, "duration    {duration}ns")?;
        }
        if !self.idle.is_empty() {
            let idle: Vec<_> = self.idle.iter().map(ToString::to_string).collect();
            writeln!(f, "idle        {}", idle.join(" "))?;
        }
        match &self.faults {
            Faults::Drawn(kinds) => {
                let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
                let names = if names.is_empty() {
                    "none".to_owned()
                } else {
                    names.join(",")
                };
                writeln!(f, "faults      {names}")
            }
            Faults::Listed(plan) if plan.faults.is_empty() => writeln!(f, "faults      none"),
            Faults::Listed(plan) => plan
                .faults
                .iter()
                .try_for_each(|fault| writeln!(f, "fault       {}", Told(fault))),
        }
    }
}

/// A fault on its line.
struct Told<'a>(&'a Fault);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault {
            at,
            broker,
            kind,
            lasts_ns,
            seed,
        } = self.0;
        write!(
            f,
            "{}ns broker {} {kind} for {lasts_ns}ns chance {seed:#x}",
            at.0, broker.0
        )
    }
}

/// A scenario that is being read.
#[derive(Debug, Default)]
struct Draft {
    guards: Vec<String>,
    seed: Option<u64>,
    operations: Option<u64>,
    duration_ns: Option<u64>,
    idle: BTreeSet<u16>,
    kinds: Option<Vec<FaultKind>>,
    listed: Vec<Fault>,
}

impl Draft {
    fn take(&mut self, line: &str) -> Result<(), String> {
        if let Some(words) = line.strip_prefix('#') {
            self.guards.push(words.trim().to_owned());
            return Ok(());
        }
        let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let value = value.trim();
        match key {
            "" => Ok(()),
            "seed" => once(&mut self.seed, key, parse_number(value)?),
            "operations" => once(&mut self.operations, key, parse_number(value)?),
            "duration" => once(&mut self.duration_ns, key, parse_time(value)?),
            "idle" => {
                let numbers = value.split_whitespace().map(str::parse::<u16>);
                let numbers: Result<Vec<_>, _> = numbers.collect();
                let numbers = numbers.map_err(|error| format!("{value:?}: {error}"))?;
                self.idle.extend(numbers);
                Ok(())
            }
            "faults" => once(&mut self.kinds, key, parse_kinds(value)?),
            "fault" => {
                self.listed.push(parse_fault(value)?);
                Ok(())
            }
            other => Err(format!(
                "{other:?} is none of seed, operations, duration, idle, faults and fault"
            )),
        }
    }

    fn finish(mut self) -> Result<Scenario, String> {
        if self.guards.is_empty() {
            return Err("no comment says what it guards against".to_owned());
        }
        let faults = match (self.kinds, self.listed.is_empty()) {
            (Some(_), false) => {
                return Err("faults are drawn (`faults`) or listed (`fault`), not both".to_owned());
            }
            (Some(kinds), true) if kinds.is_empty() => Faults::Listed(Plan::default()),
            (Some(kinds), true) => Faults::Drawn(kinds),
            (None, true) => Faults::Drawn(all_kinds()),
            (None, false) => {
                self.listed.sort_by_key(|fault| (fault.at, fault.seed));
                Faults::Listed(Plan {
                    faults: self.listed,
                })
            }
        };
        Ok(Scenario {
            guards: self.guards.join("\n"),
            seed: self.seed.ok_or("there is no `seed`")?,
            operations: self.operations.ok_or("there is no `operations`")?,
            duration_ns: self.duration_ns,
            idle: self.idle,
            faults,
        })
    }
}

fn once<T>(field: &mut Option<T>, key: &str, value: T) -> Result<(), String> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{key} stands there twice")),
    }
}

/// Every kind of fault.
#[must_use]
pub fn all_kinds() -> Vec<FaultKind> {
    FaultKind::ALL.iter().map(|(kind, _)| *kind).collect()
}

/// Kinds of faults as the command line and scenarios have them: names, `all` or `none`.
///
/// # Errors
/// The first name that is none.
pub fn parse_kinds(text: &str) -> Result<Vec<FaultKind>, String> {
    match text {
        "all" => Ok(all_kinds()),
        "none" => Ok(Vec::new()),
        names => names.split(',').map(|name| name.trim().parse()).collect(),
    }
}

fn parse_fault(text: &str) -> Result<Fault, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [at, "broker", broker, kind, "for", lasts, "chance", seed] = words.as_slice() else {
        return Err(format!(
            "{text:?} is not of the form `12.5s broker 0 crash for 4ms chance 0x1f`"
        ));
    };
    let broker = parse_number(broker)?;
    Ok(Fault {
        at: Mono(parse_time(at)?),
        broker: BrokerId(
            u16::try_from(broker).map_err(|error| format!("broker {broker}: {error}"))?,
        ),
        kind: kind.parse()?,
        lasts_ns: parse_time(lasts)?,
        seed: parse_number(seed)?,
    })
}

/// A number, decimal or hexadecimal.
fn parse_number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| format!("{text:?} is no number: {error}"))
}

/// A time with its unit, in ns.
fn parse_time(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 4] = [
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
    ];
    let unit = UNITS
        .iter()
        .find_map(|(name, factor)| Some((text.strip_suffix(name)?, *factor)));
    let (digits, factor) = unit.ok_or_else(|| format!("{text:?} has no unit: ns, us, ms or s"))?;
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let mut time = parse_number(whole)?.checked_mul(factor);
    let mut weight = factor;
    for digit in part.chars() {
        let digit = digit
            .to_digit(10)
            .ok_or_else(|| format!("{text:?} is no time"))?;
        weight /= 10;
        time = time.and_then(|time| time.checked_add(u64::from(digit) * weight));
    }
    time.ok_or_else(|| format!("{text:?} is too long a time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# A lost write.
# In two lines.
seed        42
operations  300
duration    12500000000ns
idle        1 4
fault       12000345678ns broker 0 power for 4000000ns chance 0x1f
fault       20000000000ns broker 0 half-open for 1ns chance 0x0
";

    #[test]
    fn what_is_written_is_read() {
        let scenario = Scenario::parse(TEXT).unwrap();
        assert_eq!(scenario.to_string(), TEXT);
        assert_eq!(scenario.guards, "A lost write.\nIn two lines.");
    }

    #[test]
    fn faults_are_listed_or_drawn() {
        let parse = |lines: &str| Scenario::parse(&format!("# x\nseed 1\noperations 2\n{lines}"));
        let faults = |lines| parse(lines).unwrap().faults;
        assert_eq!(faults(""), Faults::Drawn(all_kinds()));
        assert_eq!(faults("faults all"), Faults::Drawn(all_kinds()));
        assert_eq!(faults("faults none"), Faults::Listed(Plan::default()));
        let two = vec![FaultKind::Crash, FaultKind::HalfOpen];
        assert_eq!(faults("faults crash,half-open"), Faults::Drawn(two));
        let none = parse("faults none").unwrap();
        assert_eq!(Scenario::parse(&none.to_string()), Ok(none));
    }

    #[test]
    fn times_have_units() {
        for (text, ns) in [
            ("7ns", 7),
            ("1.5us", 1_500),
            ("12.000345678s", 12_000_345_678),
            ("4ms", 4_000_000),
        ] {
            assert_eq!(parse_time(text), Ok(ns), "{text}");
        }
        for text in ["7", "s", "x s", "1.xs", "99999999999999999s"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        for (text, told) in [
            ("seed 1\noperations 1", "line 0: no comment says"),
            ("# x\noperations 1", "line 0: there is no `seed`"),
            ("# x\nseed 1\nseed 2", "line 3: seed stands there twice"),
            ("# x\nsed 1", "line 2: \"sed\" is none of"),
            ("# x\nseed x", "line 2: \"x\" is no number"),
            (
                "# x\nfault 1s crash",
                "line 2: \"1s crash\" is not of the form",
            ),
            (
                "# x\nfault 1s broker 0 smash for 1s chance 0",
                "line 2: no fault is called \"smash\"",
            ),
            (
                "# x\nseed 1\noperations 1\nfaults all\nfault 1s broker 0 crash for 1s chance 0",
                "line 0: faults are drawn",
            ),
        ] {
            let error = Scenario::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(told), "{error}");
        }
    }
}
