//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use super::stage::Lengths;

/// What to do.
#[derive(Debug)]
pub(crate) struct Options {
    /// Groups of workloads, or single ones; all without any.
    pub(super) only: Vec<String>,
    pub(super) rounds: usize,
    seconds: f64,
    quick: bool,
    /// Where single values go.
    pub(super) json: Option<PathBuf>,
    /// A race that was run before.
    pub(super) from: Option<PathBuf>,
    /// Put everything on the page.
    pub(super) write: bool,
    /// Where the servers' data is.
    pub(super) dir: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(args: &[&str]) -> Result<Self, String> {
        let mut options = Self {
            only: Vec::new(),
            rounds: ROUNDS,
            seconds: SECONDS,
            quick: args.contains(&"--quick"),
            json: None,
            from: None,
            write: false,
            dir: None,
        };
        if options.quick {
            (options.rounds, options.seconds) = (1, QUICK_SECONDS);
        }
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match *arg {
                "--quick" => {}
                "--write" => options.write = true,
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--rounds" => options.rounds = number(arg, value()?)?,
                "--seconds" => options.seconds = number(arg, value()?)?,
                "--json" => options.json = Some(value()?.into()),
                "--from" => options.from = Some(value()?.into()),
                "--dir" => options.dir = Some(value()?.into()),
                unknown => return Err(format!("race knows no {unknown}")),
            }
        }
        options.check()?;
        Ok(options)
    }

    fn check(&self) -> Result<(), String> {
        if self.rounds == 0 || !(0.1..=600.0).contains(&self.seconds) {
            return Err("--rounds is at least 1, --seconds from 0.1 to 600".to_owned());
        }
        if self.write && self.from.is_none() && !self.is_whole(self.rounds) {
            return Err(format!(
                "--write is for all workloads in at least {ROUNDS} rounds at full length"
            ));
        }
        Ok(())
    }

    /// Whether what is measured in so many rounds may stand for the project.
    pub(super) fn is_whole(&self, rounds: usize) -> bool {
        self.only.is_empty() && !self.quick && rounds >= ROUNDS
    }

    pub(super) fn lengths(&self) -> Lengths {
        let warm_up = if self.quick { 1.0 } else { WARM_UP_SECONDS };
        Lengths {
            measure: Duration::from_secs_f64(self.seconds),
            settle: Duration::from_secs_f64((self.seconds / 4.0).min(SETTLE_SECONDS)),
            warm_up: Duration::from_secs_f64(warm_up),
            divisor: if self.quick { 10 } else { 1 },
            idle: Duration::from_secs_f64(if self.quick { 1.0 } else { IDLE_SECONDS }),
        }
    }

    /// For the report.
    pub(super) const fn seconds(&self) -> f64 {
        self.seconds
    }
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_not_one| format!("{option} takes a number, not {text}"))
}

const ROUNDS: usize = 5;
const SECONDS: f64 = 2.5;
const QUICK_SECONDS: f64 = 2.0;
const SETTLE_SECONDS: f64 = 0.6;
const WARM_UP_SECONDS: f64 = 6.0;
const IDLE_SECONDS: f64 = 4.0;

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn the_page_is_written_from_whole_races_only() {
        let check = |args: &[&str], works: bool| {
            assert_eq!(Options::parse(args).is_ok(), works, "{args:?}");
        };
        check(&[], true);
        check(&["--write"], true);
        check(&["--write", "--rounds", "7"], true);
        check(&["--write", "--rounds", "4"], false);
        check(&["--write", "--quick"], false);
        check(&["--write", "--only", "P1"], false);
        check(&["--write", "--from", "race.json"], true);
        check(&["--quick", "--only", "P1,P2 8 x 64"], true);
        check(&["--rounds"], false);
        check(&["--rounds", "0"], false);
        check(&["--seconds", "soon"], false);
        check(&["--fast"], false);
    }

    #[test]
    fn quick_is_one_short_round() {
        let options = Options::parse(&["--quick", "--seconds", "1"]).unwrap();
        assert_eq!(options.rounds, 1);
        assert_eq!(options.lengths().measure.as_secs_f64(), 1.0);
        assert_eq!(Options::parse(&["--quick"]).unwrap().seconds(), 2.0);
    }
}
