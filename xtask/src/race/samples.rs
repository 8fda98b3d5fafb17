//! What was measured: a list of single values, each with what it is of.

use serde_json::{Value, json};

use super::stats::Spread;

/// Who is measured, with what it promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    /// As it comes: nothing is acknowledged before it is on disk.
    Chronik,
    /// `flush.messages` at Kafka's default: acknowledged from the page cache.
    ChronikLazy,
    /// As it comes: acknowledged from the page cache.
    Kafka,
    /// `flush.messages=1`: synced before it is acknowledged.
    KafkaSync,
    /// Kafka as it comes, with a heap of 4 GB.
    KafkaBigHeap,
    /// The reference server, syncing.
    Reference,
}

impl System {
    pub(super) const ALL: [Self; 6] = [
        Self::Chronik,
        Self::ChronikLazy,
        Self::KafkaSync,
        Self::Kafka,
        Self::KafkaBigHeap,
        Self::Reference,
    ];

    /// For files.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Chronik => "chronik",
            Self::ChronikLazy => "chronik-lazy",
            Self::Kafka => "kafka",
            Self::KafkaSync => "kafka-sync",
            Self::KafkaBigHeap => "kafka-4g",
            Self::Reference => "reference",
        }
    }

    /// For people.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Chronik => "Chronik",
            Self::ChronikLazy => "Chronik, lazy",
            Self::Kafka => "Kafka",
            Self::KafkaSync => "Kafka, syncing",
            Self::KafkaBigHeap => "Kafka, 4 GB heap",
            Self::Reference => "reference",
        }
    }
}

/// Which two are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pairing {
    pub(super) ours: System,
    pub(super) theirs: System,
    pub(super) title: &'static str,
}

/// The comparisons of every workload, in the order of all tables.
pub(super) const PAIRINGS: [Pairing; 3] = [
    Pairing {
        ours: System::Chronik,
        theirs: System::KafkaSync,
        title: "both syncing",
    },
    Pairing {
        ours: System::Chronik,
        theirs: System::Kafka,
        title: "syncing / Kafka's default",
    },
    Pairing {
        ours: System::ChronikLazy,
        theirs: System::Kafka,
        title: "lazy / Kafka's default",
    },
];

/// How much of the reference server's speed is left.
pub(super) const SHARE: Pairing = Pairing {
    ours: System::Chronik,
    theirs: System::Reference,
    title: "share of the reference",
};

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    RecordsPerS,
    P50Ms,
    P99Ms,
    /// The median latency beyond a synchronous write of 4 KiB to the same disk.
    P50AboveSyncMs,
    CpuPerMillion,
    PeakMb,
    ReadyMs,
    FirstRecordMs,
    CreateTopicMs,
    FirstAckMs,
    GapS,
    IdleCpuPercent,
    WakeUpsPerS,
    RssMb,
    KibPerConnection,
    ColdMbPerS,
    DeviceSyncUs,
}

impl Metric {
    pub(super) const ALL: [Self; 17] = [
        Self::RecordsPerS,
        Self::P50Ms,
        Self::P99Ms,
        Self::P50AboveSyncMs,
        Self::CpuPerMillion,
        Self::PeakMb,
        Self::ReadyMs,
        Self::FirstRecordMs,
        Self::CreateTopicMs,
        Self::FirstAckMs,
        Self::GapS,
        Self::IdleCpuPercent,
        Self::WakeUpsPerS,
        Self::RssMb,
        Self::KibPerConnection,
        Self::ColdMbPerS,
        Self::DeviceSyncUs,
    ];

    /// For files.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::RecordsPerS => "records_per_s",
            Self::P50Ms => "p50_ms",
            Self::P99Ms => "p99_ms",
            Self::P50AboveSyncMs => "p50_above_sync_ms",
            Self::CpuPerMillion => "cpu_s_per_million",
            Self::PeakMb => "peak_mb",
            Self::ReadyMs => "ready_ms",
            Self::FirstRecordMs => "first_record_ms",
            Self::CreateTopicMs => "create_topic_ms",
            Self::FirstAckMs => "first_ack_ms",
            Self::GapS => "gap_s",
            Self::IdleCpuPercent => "idle_cpu_percent",
            Self::WakeUpsPerS => "wake_ups_per_s",
            Self::RssMb => "rss_mb",
            Self::KibPerConnection => "kib_per_connection",
            Self::ColdMbPerS => "cold_mb_per_s",
            Self::DeviceSyncUs => "device_sync_us",
        }
    }

    /// For people.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::RecordsPerS => "records/s",
            Self::P50Ms => "p50, ms",
            Self::P99Ms => "p99, ms",
            Self::P50AboveSyncMs => "p50 beyond a bare sync, ms",
            Self::CpuPerMillion => "server CPU s per million",
            Self::PeakMb => "peak memory, MB",
            Self::ReadyMs => "ready, ms",
            Self::FirstRecordMs => "first record acknowledged, ms",
            Self::CreateTopicMs => "topic created, ms",
            Self::FirstAckMs => "first record of a new topic, ms",
            Self::GapS => "gap in acknowledgements, s",
            Self::IdleCpuPercent => "idle CPU, % of a core",
            Self::WakeUpsPerS => "wake-ups/s",
            Self::RssMb => "memory, MB",
            Self::KibPerConnection => "memory per connection, KiB",
            Self::ColdMbPerS => "cold read, MB/s",
            Self::DeviceSyncUs => "bare synced write of 4 KiB, us",
        }
    }
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    /// Its id in the table of workloads, or the name of a measurement that is made besides.
    pub(super) workload: String,
    pub(super) system: System,
    pub(super) metric: Metric,
    /// When it was measured: values of one turn are a pair.
    pub(super) turn: usize,
    pub(super) value: f64,
}

/// All values of a race.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Samples {
    all: Vec<Sample>,
}

impl Samples {
    pub(super) fn add(&mut self, sample: Sample) {
        self.all.push(sample);
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The names of everything measured, in the order of the first values.
    pub(super) fn workloads(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for sample in &self.all {
            if !names.contains(&sample.workload.as_str()) {
                names.push(&sample.workload);
            }
        }
        names
    }

    /// One figure over all turns.
    pub(super) fn spread(&self, workload: &str, system: System, metric: Metric) -> Option<Spread> {
        Spread::of(self.values(workload, system, metric).map(|it| it.value))
    }

    /// Ours by theirs, turn by turn.
    pub(super) fn ratio(&self, workload: &str, pairing: Pairing, metric: Metric) -> Option<Spread> {
        let ours = self.values(workload, pairing.ours, metric);
        let pairs = ours.filter_map(|ours| {
            let mut theirs = self.values(workload, pairing.theirs, metric);
            let theirs = theirs.find(|theirs| theirs.turn == ours.turn)?;
            Some((ours.value, theirs.value))
        });
        Spread::of_ratios(pairs)
    }

    fn values<'a>(
        &'a self,
        workload: &'a str,
        system: System,
        metric: Metric,
    ) -> impl Iterator<Item = &'a Sample> {
        self.all
            .iter()
            .filter(move |it| it.workload == workload && it.system == system && it.metric == metric)
    }

    /// For files.
    pub(super) fn to_json(&self) -> Vec<Value> {
        let rows = self.all.iter().map(|it| {
            json!({
                "workload": it.workload,
                "system": it.system.key(),
                "metric": it.metric.key(),
                "turn": it.turn,
                "value": it.value,
            })
        });
        rows.collect()
    }

    /// The same way back.
    pub(super) fn from_json(value: &Value) -> Result<Self, String> {
        let rows = value.as_array().ok_or("samples are not a list")?;
        let all: Option<Vec<_>> = rows.iter().map(sample_of).collect();
        let all = all.ok_or("a sample can not be read")?;
        Ok(Self { all })
    }
}

fn sample_of(row: &Value) -> Option<Sample> {
    let system = row.get("system")?.as_str()?;
    let metric = row.get("metric")?.as_str()?;
    Some(Sample {
        workload: row.get("workload")?.as_str()?.to_owned(),
        system: System::ALL.into_iter().find(|it| it.key() == system)?,
        metric: Metric::ALL.into_iter().find(|it| it.key() == metric)?,
        turn: usize::try_from(row.get("turn")?.as_u64()?).ok()?,
        value: row.get("value")?.as_f64()?,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Metric, PAIRINGS, Sample, Samples, System};

    /// A value of `P1 c=1`.
    pub(crate) fn sample(system: System, metric: Metric, turn: usize, value: f64) -> Sample {
        Sample {
            workload: "P1 c=1".to_owned(),
            system,
            metric,
            turn,
            value,
        }
    }

    pub(crate) fn samples(all: &[Sample]) -> Samples {
        Samples { all: all.to_vec() }
    }

    #[test]
    fn values_of_one_turn_are_a_pair() {
        let rate = |system, turn, value| sample(system, Metric::RecordsPerS, turn, value);
        let samples = samples(&[
            rate(System::Chronik, 0, 10.0),
            rate(System::KafkaSync, 0, 5.0),
            rate(System::Chronik, 1, 30.0),
            rate(System::KafkaSync, 1, 10.0),
            rate(System::Chronik, 2, 99.0),
            rate(System::Kafka, 1, 60.0),
        ]);
        let ratio = |index: usize| samples.ratio("P1 c=1", PAIRINGS[index], Metric::RecordsPerS);
        assert_eq!(ratio(0).map(|it| (it.median, it.count)), Some((2.5, 2)));
        assert_eq!(ratio(1).map(|it| it.median), Some(0.5));
        assert_eq!(ratio(2), None);
    }

    #[test]
    fn files_hold_every_value() {
        let rows = System::ALL.into_iter().zip(Metric::ALL);
        let all: Vec<_> = rows
            .map(|(system, metric)| sample(system, metric, 3, 1.5))
            .collect();
        let written = samples(&all);
        assert_eq!(
            Samples::from_json(&serde_json::Value::Array(written.to_json())),
            Ok(written)
        );
        let broken = serde_json::json!([{ "workload": "P1", "system": "nobody" }]);
        assert!(Samples::from_json(&broken).is_err());
    }
}
