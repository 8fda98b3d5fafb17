//! A line per second.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::run::{Second, Watch};
use crate::units::count;

/// Writes seconds of the measurement to a file as they pass.
#[derive(Debug)]
pub(crate) struct Csv {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Csv {
    /// Makes the file.
    ///
    /// # Errors
    /// [`Failure::File`].
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let of_file = Failure::of_file(path);
        let mut out = BufWriter::new(File::create(path).map_err(&of_file)?);
        writeln!(out, "{HEADER}").map_err(&of_file)?;
        Ok(Self {
            path: path.to_owned(),
            out,
        })
    }

    /// Flushed, so that a run that is killed leaves what it has found.
    fn write(&mut self, second: &Second<'_>) -> io::Result<()> {
        writeln!(self.out, "{}", line(second))?;
        self.out.flush()
    }
}

impl Watch for Csv {
    fn second(&mut self, second: &Second<'_>) -> Result<(), Failure> {
        if second.to_s <= 0.0 {
            return Ok(());
        }
        let written = self.write(second);
        written.map_err(Failure::of_file(&self.path))
    }
}

/// Latencies are empty in seconds without any.
pub(super) fn line(second: &Second<'_>) -> String {
    let tally = second.tally;
    // The first second may have begun in the warm-up, of which nothing is counted.
    let from_s = second.from_s.max(0.0);
    let length = (second.to_s - from_s).max(1e-9);
    let latency = |share| {
        let ns = tally.quantile_ns(share);
        ns.map(|ns| format!("{:.3}", count(ns) / 1e6))
            .unwrap_or_default()
    };
    format!(
        "{:.3},{:.3},{},{},{:.0},{:.0},{},{},{},{},{}",
        from_s,
        second.to_s,
        tally.records,
        tally.failed,
        count(tally.records) / length,
        count(tally.bytes) / length,
        latency(0.5),
        latency(0.95),
        latency(0.99),
        latency(0.999),
        latency(1.0),
    )
}

pub(super) const HEADER: &str =
    "from_s,to_s,records,failed,records_per_s,bytes_per_s,p50_ms,p95_ms,p99_ms,p99_9_ms,max_ms";
