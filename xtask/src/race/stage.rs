//! A server's life: warmed up, and every workload of it measured.

use std::time::Duration;

use super::bench::{Bench, Figures};
use super::process::{self, Counters};
use super::programs::Programs;
use super::samples::{Metric, System};
use super::server::Server;
use super::wire::{Connection, Topic};
use super::workloads::{Kind, Workload};

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths {
    pub(super) measure: Duration,
    /// Before each measurement, with the same load.
    pub(super) settle: Duration,
    /// After a start of Kafka, once for single records and once for batches.
    pub(super) warm_up: Duration,
    /// Fixed numbers of records and topics are divided by this.
    pub(super) divisor: u32,
    pub(super) idle: Duration,
}

/// A running server and what is needed to measure it.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) server: Server,
    pub(super) programs: &'a Programs,
    pub(super) lengths: Lengths,
    /// Highest peak of memory, in MB.
    pub(super) peak_mb: f64,
    /// Topics of 1,000 partitions that are there.
    pub(super) wide_topics: u32,
    topics: u32,
}

impl<'a> Stage<'a> {
    pub(super) const fn new(server: Server, programs: &'a Programs, lengths: Lengths) -> Self {
        Self {
            server,
            programs,
            lengths,
            peak_mb: 0.0,
            wide_topics: 0,
            topics: 0,
        }
    }

    /// Figures of one workload for one promise.
    pub(super) fn measure(
        &mut self,
        workload: &Workload,
        system: System,
    ) -> Result<Vec<(Metric, f64)>, String> {
        process::forget_peak(self.server.pid());
        let mut found = self.act(workload, system)?;
        let (_, peak_mb) = process::memory_mb(self.server.pid());
        self.peak_mb = self.peak_mb.max(peak_mb);
        found.push((Metric::PeakMb, peak_mb));
        Ok(found)
    }

    fn act(&mut self, workload: &Workload, system: System) -> Result<Vec<(Metric, f64)>, String> {
        match workload.kind {
            Kind::Timed(args) => self.timed(workload, system, args),
            Kind::Read { records, args } => self.read(workload, records, args),
            Kind::TailWhileCold { rate, records } => self.tail_while_cold(rate, records),
            Kind::Connections(count) => self.connections(count),
            Kind::Topics(count) => self.topics(count),
            Kind::Kill { topics } => self.kill(topics),
            Kind::Idle { topics } => self.idle(topics),
        }
    }

    fn timed(
        &mut self,
        workload: &Workload,
        system: System,
        args: &str,
    ) -> Result<Vec<(Metric, f64)>, String> {
        let topic = self.topic_for(workload.partitions, system)?;
        let settle = format!("{args} -d {}ms", self.lengths.settle.as_millis());
        self.bench().run(&topic, &settle, RUN_DEADLINE)?;
        let args = format!("{args} -d {}ms", self.lengths.measure.as_millis());
        let found = self.counted(&topic, &args)?;
        self.forget(&topic, system);
        Ok(found)
    }

    fn read(
        &mut self,
        workload: &Workload,
        records: u64,
        args: &str,
    ) -> Result<Vec<(Metric, f64)>, String> {
        let system = self.server.as_it_comes();
        let topic = self.topic_for(workload.partitions, system)?;
        self.fill(&topic, records, "-s 256")?;
        self.bench().run(&topic, args, RUN_DEADLINE)?;
        let found = self.counted(&topic, args)?;
        self.forget(&topic, system);
        Ok(found)
    }

    /// A run with the CPU that it cost the server.
    fn counted(&self, topic: &str, args: &str) -> Result<Vec<(Metric, f64)>, String> {
        let before = Counters::of(self.server.pid());
        let Figures {
            records,
            mut metrics,
        } = self.bench().run(topic, args, RUN_DEADLINE)?;
        let (used, _) = Counters::of(self.server.pid()).since(&before);
        if records > 0.0 {
            metrics.push((Metric::CpuPerMillion, used / records * 1e6));
        }
        Ok(metrics)
    }

    /// Writes so many records, in large batches.
    pub(super) fn fill(&self, topic: &str, records: u64, args: &str) -> Result<(), String> {
        let records = records / u64::from(self.lengths.divisor);
        let args = format!(
            "--message-count {records} -c 100000 --linger-ms 5 --batch-size 1000000 {args}"
        );
        self.bench()
            .run(topic, &args, RUN_DEADLINE)
            .map(|_figures| ())
    }

    pub(super) fn bench(&self) -> Bench<'_> {
        Bench {
            programs: self.programs,
            port: self.server.port(),
            folder: self.server.folder(),
        }
    }

    /// What a JVM needs to compile its hot paths; shorter where there is nothing to compile.
    pub(super) fn warm_up(&mut self, system: System, time: Duration) -> Result<(), String> {
        let topic = self.topic_for(1, system)?;
        let millis = time.as_millis();
        for load in WARM_UP {
            self.bench()
                .run(&topic, &format!("{load} -d {millis}ms"), RUN_DEADLINE)?;
        }
        self.forget(&topic, system);
        Ok(())
    }

    /// A topic of its own for every run.
    pub(super) fn topic_for(&mut self, partitions: u32, system: System) -> Result<String, String> {
        let name = self.next_topic();
        if system == System::Reference {
            // It has every topic.
            return Ok(name);
        }
        self.create(&[Topic {
            name: &name,
            partitions,
            flush_messages: flush_messages(system),
        }])?;
        self.server.first_record(&name)?;
        Ok(name)
    }

    pub(super) fn next_topic(&mut self) -> String {
        self.topics += 1;
        format!("race-{}", self.topics)
    }

    pub(super) fn create(&self, topics: &[Topic<'_>]) -> Result<(), String> {
        let connection = Connection::open(self.server.port(), ADMIN_DEADLINE);
        match connection.and_then(|mut it| it.create_topics(topics)) {
            Ok(0) => Ok(()),
            Ok(code) => Err(format!("topics can not be created: error code {code}")),
            Err(error) => Err(format!("topics can not be created: {error}")),
        }
    }

    /// Gives the disk back what a run has written; the directory goes at the end in any case.
    pub(super) fn forget(&self, topic: &str, system: System) {
        if system == System::Reference {
            return;
        }
        let connection = Connection::open(self.server.port(), ADMIN_DEADLINE);
        match connection.and_then(|mut it| it.delete_topic(topic)) {
            Ok(0) => {}
            outcome => eprintln!("    {topic} stays: {outcome:?}"),
        }
    }
}

/// What a topic promises.
pub(super) const fn flush_messages(system: System) -> i64 {
    match system {
        System::Chronik | System::KafkaSync | System::Reference => 1,
        System::ChronikLazy | System::Kafka | System::KafkaBigHeap => i64::MAX,
    }
}

const WARM_UP: [&str; 2] = [
    "--driver native -c 128",
    "-c 100000 --linger-ms 5 --batch-size 1000000",
];
pub(super) const RUN_DEADLINE: Duration = Duration::from_secs(180);
const ADMIN_DEADLINE: Duration = Duration::from_secs(120);
