//! How a run is doing: one line that is written over on a terminal, and lines elsewhere, ever fewer
//! of them as time passes.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use crate::failure::Failure;
use crate::run::{Second, Watch};
use crate::units::{count, grouped, ms};

/// Writes progress to stderr.
#[derive(Debug)]
pub(crate) struct Progress {
    terminal: bool,
    /// Plain lines: when the next one is due.
    next_line_s: f64,
}

impl Progress {
    /// Before the run.
    pub(crate) fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            next_line_s: f64::MIN,
        }
    }

    /// Leaves the live line as it is.
    pub(crate) fn end(&self) {
        if self.terminal {
            say("\n");
        }
    }
}

impl Watch for Progress {
    fn second(&mut self, second: &Second<'_>) -> Result<(), Failure> {
        if self.terminal {
            say(&format!("\r\x1b[K{}", line(second)));
        } else if second.to_s >= self.next_line_s {
            say(&format!("{}\n", line(second)));
            self.next_line_s = second.to_s + pause_after(second.to_s) - HALF_SECOND;
        }
        Ok(())
    }
}

fn line(second: &Second<'_>) -> String {
    let tally = second.tally;
    let length = (second.to_s - second.from_s).max(1e-9);
    let rate = grouped(count(tally.progress()) / length);
    let at = Duration::from_secs_f64(second.to_s.max(0.0)).as_secs_f64();
    let mut text = if second.to_s < HALF_SECOND && tally.records == 0 {
        format!("warm-up  {rate} records/s")
    } else {
        let megabytes = count(tally.bytes) / length / 1e6;
        format!("{at:>5.0} s  {rate} records/s  {megabytes:.1} MB/s")
    };
    if let (Some(p50), Some(p99)) = (tally.quantile_ns(0.5), tally.quantile_ns(0.99)) {
        text.push_str(&format!("  p50 {}  p99 {}", ms(p50), ms(p99)));
    }
    if tally.progress() == 0 {
        text.push_str("  waiting for an answer");
    }
    if second.total.failed > 0 {
        text.push_str(&format!("  {} failed", grouped(count(second.total.failed))));
    }
    text
}

/// Every second at first, then every ten, and after ten minutes every minute.
fn pause_after(elapsed_s: f64) -> f64 {
    match elapsed_s {
        s if s < 10.0 => 1.0,
        s if s < 600.0 => 10.0,
        _ => 60.0,
    }
}

/// Nobody may be reading; that changes nothing.
fn say(text: &str) {
    drop(std::io::stderr().write_all(text.as_bytes()));
}

/// Seconds are told a little late, and no line should be lost by that.
const HALF_SECOND: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::{line, pause_after};
    use crate::run::Second;
    use crate::stats::{Recorder, Tally};

    #[test]
    fn lines_say_what_happens() {
        let recorder = Recorder::new(0);
        let mut entry = recorder.entry(2_000_000);
        entry.answered(1_000_000, 5_000, 1_280_000);
        drop(entry);
        let tally = recorder.take();
        let mut total = tally.clone();
        total.failed = 2;
        let second = Second {
            from_s: 4.0,
            to_s: 5.0,
            tally: &tally,
            total: &total,
        };
        assert_eq!(
            line(&second),
            "    5 s  5,000 records/s  1.3 MB/s  p50 1.000 ms  p99 1.000 ms  2 failed"
        );
    }

    #[test]
    fn silence_and_warm_up_are_told() {
        let check = |to_s: f64, expected: &str| {
            let tally = Tally::default();
            let second = Second {
                from_s: to_s - 1.0,
                to_s,
                tally: &tally,
                total: &tally,
            };
            assert_eq!(line(&second), expected);
        };
        check(-1.0, "warm-up  0 records/s  waiting for an answer");
        check(3.0, "    3 s  0 records/s  0.0 MB/s  waiting for an answer");
    }

    #[test]
    fn lines_become_rare() {
        assert!(pause_after(-1.0) < pause_after(30.0));
        assert!(pause_after(30.0) < pause_after(86_400.0));
    }
}
