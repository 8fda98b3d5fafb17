//! Chronik's own names.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::registry::Unit;

use super::counters::{AcksLabel, LoopCounters};
use super::groups::Groups;
use super::histogram::{Counter, Histogram, HistogramSnapshot};
use super::requests::api_name;
use super::sheet::Sheet;
use super::{PartitionSample, Sources, compaction, kafka_names};
use crate::config::MetricsView;

/// Gathers everything when somebody scrapes.
#[derive(Debug)]
pub(super) struct Collect {
    pub(super) sources: Sources,
    pub(super) view: MetricsView,
}

impl Collector for Collect {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sheet = Sheet::new(encoder);
        let totals = Totals::of(&self.sources.loops);
        let partitions = self.sources.partitions.partitions();
        let groups = Groups::new(self.sources.groups.groups());
        self.traffic(&mut sheet, &totals)?;
        self.loops(&mut sheet)?;
        self.journal(&mut sheet)?;
        self.store(&mut sheet, partitions.len())?;
        if self.view.partitions {
            write_partitions(&mut sheet, &partitions)?;
        }
        groups.write(&mut sheet, self.view.partitions)?;
        if self.view.kafka_names {
            kafka_names::write(&mut sheet, &totals, &partitions, self.view.partitions)?;
            groups.write_kafka_names(&mut sheet, self.view.partitions)?;
        }
        Ok(())
    }
}

impl Collect {
    fn traffic(&self, sheet: &mut Sheet<'_>, totals: &Totals) -> fmt::Result {
        let mut by_api: BTreeMap<&str, u64> = BTreeMap::new();
        for ((api_key, _version), count) in &totals.requests {
            *by_api.entry(api_name(*api_key)).or_default() += count;
        }
        if totals.other_requests > 0 {
            *by_api.entry("Other").or_default() += totals.other_requests;
        }
        let by_api = by_api.iter().map(|(api, count)| ([("api", *api)], *count));
        sheet.counters("chronik_requests", "Requests whose header was read", by_api)?;
        let sum = |of: fn(&LoopCounters) -> &Counter| self.sum(of);
        let bytes = || Some(Unit::Bytes);
        for (name, unit, help, value) in [
            (
                "chronik_request_errors",
                None,
                "Errors that were answered",
                sum(|l| &l.errors),
            ),
            (
                "chronik_network_received",
                bytes(),
                "Read from sockets",
                sum(|l| &l.bytes_in),
            ),
            (
                "chronik_network_sent",
                bytes(),
                "Written to sockets",
                sum(|l| &l.bytes_out),
            ),
            (
                "chronik_connections_opened",
                None,
                "Connections accepted",
                sum(|l| &l.connections_opened),
            ),
            (
                "chronik_produced_records",
                None,
                "Records appended",
                totals.produced_records,
            ),
            (
                "chronik_produced",
                bytes(),
                "Batches appended",
                totals.produced_bytes,
            ),
            (
                "chronik_fetched",
                bytes(),
                "Batches handed to consumers",
                totals.fetched_bytes,
            ),
        ] {
            sheet.counter(name, unit, help, value)?;
        }
        let closed = sum(|l| &l.connections_closed);
        let open = sum(|l| &l.connections_opened).saturating_sub(closed);
        sheet.gauge("chronik_connections", None, "Open connections", open)?;
        self.produce_latency(sheet)
    }

    fn produce_latency(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let series = AcksLabel::ALL
            .into_iter()
            .enumerate()
            .filter_map(|(index, acks)| {
                let of_loops = self.sources.loops.iter();
                let snapshots = of_loops
                    .filter_map(|one| one.produce_latency().get(index).map(Histogram::snapshot));
                let merged = snapshots.reduce(|sum, next: HistogramSnapshot| sum.merge(&next))?;
                Some(([("acks", acks.text())], merged))
            });
        sheet.histograms(
            "chronik_produce_latency",
            Some(Unit::Seconds),
            "From reading a produce request to its answer",
            NANOS_PER_SECOND,
            series,
        )
    }

    fn loops(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let now = (self.sources.clock)();
        let numbered = || self.sources.loops.iter().zip(0u64..);
        sheet.gauges(
            "chronik_event_loop_stall",
            Some(Unit::Seconds),
            "Longest time of the last one to two minutes that a loop did not come round",
            numbered().map(|(one, n)| ([("loop", n)], one.longest_turn(now).as_secs_f64())),
        )?;
        sheet.seconds(
            "chronik_event_loop_busy",
            "Time that a loop was working",
            numbered().map(|(one, n)| ([("loop", n)], one.busy().as_secs_f64())),
        )
    }

    fn journal(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let journal = &self.sources.journal;
        sheet.histogram(
            "chronik_journal_commit_duration",
            Some(Unit::Seconds),
            "From starting to write a commit until it is on disk",
            NANOS_PER_SECOND,
            &journal.commit_duration.snapshot(),
        )?;
        let help = "Records that share one commit";
        let records = journal.commit_records.snapshot();
        sheet.histogram("chronik_journal_commit_records", None, help, 1.0, &records)?;
        let help = "Bytes that share one commit";
        let bytes = journal.commit_bytes.snapshot();
        sheet.histogram(
            "chronik_journal_commit",
            Some(Unit::Bytes),
            help,
            1.0,
            &bytes,
        )?;
        let help = "Commits that could not be written";
        sheet.counter(
            "chronik_journal_failures",
            None,
            help,
            journal.failures.get(),
        )?;
        let help = "Appends that wait for the next commit";
        sheet.gauge(
            "chronik_journal_queue_depth",
            None,
            help,
            journal.queue_depth.get(),
        )
    }

    fn store(&self, sheet: &mut Sheet<'_>, partitions: usize) -> fmt::Result {
        let store = (self.sources.store)();
        let count = u64::try_from(partitions).unwrap_or(u64::MAX);
        sheet.gauge("chronik_partitions", None, "Partitions on this node", count)?;
        for (name, help, value) in [
            (
                "chronik_memory_used",
                "Memory budget in use",
                store.memory_used_bytes,
            ),
            (
                "chronik_memory_limit",
                "Memory budget",
                store.memory_limit_bytes,
            ),
            (
                "chronik_journal_used",
                "Journal not yet trimmed",
                store.journal_used_bytes,
            ),
            (
                "chronik_journal_limit",
                "Size of the journal",
                store.journal_limit_bytes,
            ),
            (
                "chronik_disk_free",
                "Free on the disk of the data directory",
                store.disk_free_bytes,
            ),
        ] {
            sheet.gauge(name, Some(Unit::Bytes), help, value)?;
        }
        let now = (self.sources.clock)();
        compaction::write(sheet, &store, now, self.view.kafka_names)?;
        let kinds = store.memory_by_kind.iter();
        sheet.gauges(
            "chronik_memory_held",
            Some(Unit::Bytes),
            "Memory by what it is held for; batches can be in the tail and in replies at once",
            kinds.map(|(kind, bytes)| ([("kind", *kind)], *bytes)),
        )
    }

    fn sum(&self, of: fn(&LoopCounters) -> &Counter) -> u64 {
        sum(&self.sources.loops, of)
    }
}

/// Sums over all loops that appear under more than one name.
#[derive(Debug, Default)]
pub(super) struct Totals {
    /// By API key and version.
    pub(super) requests: BTreeMap<(usize, usize), u64>,
    pub(super) other_requests: u64,
    pub(super) produced_records: u64,
    pub(super) produced_bytes: u64,
    pub(super) rejected_bytes: u64,
    pub(super) failed_produces: u64,
    pub(super) fetched_bytes: u64,
    pub(super) failed_fetches: u64,
}

impl Totals {
    fn of(loops: &[Arc<LoopCounters>]) -> Self {
        let mut requests: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        for (key, count) in loops.iter().flat_map(|one| one.requests.seen()) {
            *requests.entry(key).or_default() += count;
        }
        Self {
            requests,
            other_requests: loops.iter().map(|one| one.requests.other()).sum(),
            produced_records: sum(loops, |one| &one.produced_records),
            produced_bytes: sum(loops, |one| &one.produced_bytes),
            rejected_bytes: sum(loops, |one| &one.rejected_bytes),
            failed_produces: sum(loops, |one| &one.failed_produces),
            fetched_bytes: sum(loops, |one| &one.fetched_bytes),
            failed_fetches: sum(loops, |one| &one.failed_fetches),
        }
    }

    /// Requests to one API in all versions.
    pub(super) fn of_api(&self, api_key: usize) -> u64 {
        self.requests
            .range((api_key, 0)..(api_key + 1, 0))
            .map(|(_, count)| count)
            .sum()
    }
}

fn sum(loops: &[Arc<LoopCounters>], of: fn(&LoopCounters) -> &Counter) -> u64 {
    loops
        .iter()
        .fold(0, |sum, one| sum.wrapping_add(of(one).get()))
}

fn write_partitions(sheet: &mut Sheet<'_>, partitions: &[PartitionSample]) -> fmt::Result {
    type Value = fn(&PartitionSample) -> i64;
    let offsets: [(&str, &str, Value); 3] = [
        (
            "chronik_partition_high_watermark",
            "Where consumers stop",
            |p| p.high_watermark.0,
        ),
        (
            "chronik_partition_log_end_offset",
            "Behind the last record",
            |p| p.log_end.0,
        ),
        (
            "chronik_partition_log_start_offset",
            "First offset kept",
            |p| p.log_start.0,
        ),
    ];
    for (name, help, value) in offsets {
        let series = partitions
            .iter()
            .map(|one| (PartitionLabels::of(one), value(one)));
        sheet.gauges(name, None, help, series)?;
    }
    let sizes = partitions
        .iter()
        .map(|one| (PartitionLabels::of(one), one.bytes));
    sheet.gauges(
        "chronik_partition_size",
        Some(Unit::Bytes),
        "Bytes on disk",
        sizes,
    )
}

/// The labels `topic` and `partition`.
#[derive(Debug)]
pub(super) struct PartitionLabels<'a>([(&'static str, &'a str); 1], [(&'static str, i32); 1]);

impl<'a> PartitionLabels<'a> {
    pub(super) fn of(sample: &'a PartitionSample) -> Self {
        Self(
            [("topic", sample.topic.as_str())],
            [("partition", sample.partition.0)],
        )
    }
}

impl EncodeLabelSet for PartitionLabels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)?;
        self.1.encode(encoder)
    }
}

const NANOS_PER_SECOND: f64 = 1e9;
