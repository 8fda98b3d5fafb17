//! Latencies as an HdrHistogram interval log, which HistogramLogAnalyzer and others plot. Values are
//! nanoseconds; the maxima in its lines are milliseconds.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;

use crate::failure::Failure;
use crate::run::{Second, Watch};

/// Writes seconds of the measurement to a file as they pass.
pub(crate) struct HdrLog {
    path: PathBuf,
    file: File,
    begun: bool,
}

impl HdrLog {
    /// Makes the file.
    ///
    /// # Errors
    /// [`Failure::File`].
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        Ok(Self {
            path: path.to_owned(),
            file: File::create(path).map_err(Failure::of_file(path))?,
            begun: false,
        })
    }

    fn write(&mut self, second: &Second<'_>) -> io::Result<()> {
        let mut log = IntervalLogWriterBuilder::new();
        if !self.begun {
            let began = SystemTime::now() - Duration::from_secs_f64(second.to_s);
            log.add_comment("chronik-bench, values in nanoseconds");
            log.with_start_time(began).with_base_time(began);
        }
        let from = Duration::from_secs_f64(second.from_s.max(0.0));
        let length = Duration::from_secs_f64(second.to_s).saturating_sub(from);
        let text = encode(&mut log, from, length, &second.tally.latency)?;
        if self.begun {
            // Each writer begins a log; its header is wanted once.
            let data = text.split_inclusive(|byte| *byte == b'\n');
            let data = data.filter(|line| line.first().is_some_and(u8::is_ascii_digit));
            for line in data {
                self.file.write_all(line)?;
            }
        } else {
            self.file.write_all(&text)?;
        }
        self.begun = true;
        Ok(())
    }
}

impl Watch for HdrLog {
    fn second(&mut self, second: &Second<'_>) -> Result<(), Failure> {
        if second.to_s <= 0.0 {
            return Ok(());
        }
        let written = self.write(second);
        written.map_err(Failure::of_file(&self.path))
    }
}

fn encode(
    log: &mut IntervalLogWriterBuilder,
    from: Duration,
    length: Duration,
    latency: &Histogram<u64>,
) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    log.with_max_value_divisor(1e6)
        .begin_log_with(&mut text, &mut serializer)?
        .write_histogram(latency, from, length, None)
        .map_err(|error| io::Error::other(format!("{error:?}")))?;
    Ok(text)
}
