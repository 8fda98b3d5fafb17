//! Names that dashboards made for Kafka look for: those of the JMX exporter's Kafka rules and of
//! `kafka_exporter`. Only what is measured is written; a dashboard with a gap is better than one
//! with an invented number.

use std::collections::BTreeMap;
use std::fmt;

use super::PartitionSample;
use super::collect::{PartitionLabels, Totals};
use super::requests::api_name;
use super::sheet::Sheet;

/// Writes all families; those with one series for each partition only `with_partitions`.
pub(super) fn write(
    sheet: &mut Sheet<'_>,
    totals: &Totals,
    partitions: &[PartitionSample],
    with_partitions: bool,
) -> fmt::Result {
    broker_topics(sheet, totals)?;
    requests(sheet, totals)?;
    replicas(sheet, partitions)?;
    topics(sheet, partitions)?;
    if with_partitions {
        logs(sheet, partitions)
    } else {
        Ok(())
    }
}

fn broker_topics(sheet: &mut Sheet<'_>, totals: &Totals) -> fmt::Result {
    for (name, help, value) in [
        ("messagesin", "Records appended", totals.produced_records),
        (
            "bytesin",
            "Bytes of batches appended",
            totals.produced_bytes,
        ),
        (
            "bytesout",
            "Bytes of batches handed to consumers",
            totals.fetched_bytes,
        ),
        (
            "bytesrejected",
            "Bytes of batches refused",
            totals.rejected_bytes,
        ),
        (
            "failedproducerequests",
            "Partitions of produce refused",
            totals.failed_produces,
        ),
        (
            "failedfetchrequests",
            "Partitions of fetch refused",
            totals.failed_fetches,
        ),
        (
            "totalproducerequests",
            "Produce requests",
            totals.of_api(PRODUCE),
        ),
        ("totalfetchrequests", "Fetch requests", totals.of_api(FETCH)),
        (
            "replicationbytesin",
            "Bytes fetched from leaders; 0 on a single server",
            0,
        ),
        (
            "replicationbytesout",
            "Bytes sent to followers; 0 on a single server",
            0,
        ),
    ] {
        let name = format!("kafka_server_brokertopicmetrics_{name}");
        sheet.counter(&name, None, help, value)?;
    }
    Ok(())
}

fn requests(sheet: &mut Sheet<'_>, totals: &Totals) -> fmt::Result {
    let series = totals.requests.iter().map(|((api_key, version), count)| {
        let version = version.to_string();
        (
            [
                ("request", api_name(*api_key).to_owned()),
                ("version", version),
            ],
            *count,
        )
    });
    sheet.counters(
        "kafka_network_requestmetrics_requests",
        "Requests by version",
        series,
    )
}

/// A single server leads every partition it has, and is the only replica in sync.
fn replicas(sheet: &mut Sheet<'_>, partitions: &[PartitionSample]) -> fmt::Result {
    let count = u64::try_from(partitions.len()).unwrap_or(u64::MAX);
    for (name, help, value) in [
        ("partitioncount", "Partitions on this node", count),
        ("leadercount", "Partitions that this node leads", count),
        (
            "underreplicatedpartitions",
            "Partitions with replicas out of sync",
            0,
        ),
    ] {
        sheet.gauge(
            &format!("kafka_server_replicamanager_{name}"),
            None,
            help,
            value,
        )?;
    }
    for (name, help) in [
        ("isrshrinks", "Replicas fallen out of sync"),
        ("isrexpands", "Replicas back in sync"),
    ] {
        sheet.counter(
            &format!("kafka_server_replicamanager_{name}"),
            None,
            help,
            0,
        )?;
    }
    let topics = by_topic(partitions).len();
    let topics = u64::try_from(topics).unwrap_or(u64::MAX);
    for (name, help, value) in [
        (
            "activecontrollercount",
            "Whether this node is the controller",
            1,
        ),
        ("globaltopiccount", "Topics in the cluster", topics),
        ("globalpartitioncount", "Partitions in the cluster", count),
    ] {
        sheet.gauge(
            &format!("kafka_controller_kafkacontroller_{name}"),
            None,
            help,
            value,
        )?;
    }
    sheet.gauge("kafka_brokers", None, "Brokers in the cluster", 1)
}

fn topics(sheet: &mut Sheet<'_>, partitions: &[PartitionSample]) -> fmt::Result {
    let counts = by_topic(partitions);
    let series = counts
        .iter()
        .map(|(topic, count)| ([("topic", *topic)], *count));
    sheet.gauges(
        "kafka_topic_partitions",
        None,
        "Partitions of a topic",
        series,
    )
}

fn by_topic(partitions: &[PartitionSample]) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for sample in partitions {
        *counts.entry(sample.topic.as_str()).or_default() += 1;
    }
    counts
}

fn logs(sheet: &mut Sheet<'_>, partitions: &[PartitionSample]) -> fmt::Result {
    type Value = fn(&PartitionSample) -> i64;
    let saturated = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let families: [(&str, &str, Value); 4] = [
        (
            "kafka_log_log_logendoffset",
            "Behind the last record",
            |p| p.log_end.0,
        ),
        ("kafka_log_log_logstartoffset", "First offset kept", |p| {
            p.log_start.0
        }),
        (
            "kafka_topic_partition_current_offset",
            "Where consumers stop",
            |p| p.high_watermark.0,
        ),
        (
            "kafka_topic_partition_oldest_offset",
            "First offset kept",
            |p| p.log_start.0,
        ),
    ];
    for (name, help, value) in families {
        let series = partitions
            .iter()
            .map(|one| (PartitionLabels::of(one), value(one)));
        sheet.gauges(name, None, help, series)?;
    }
    let sizes = partitions
        .iter()
        .map(|one| (PartitionLabels::of(one), saturated(one.bytes)));
    sheet.gauges("kafka_log_log_size", None, "Bytes on disk", sizes)?;
    let segments = partitions
        .iter()
        .map(|one| (PartitionLabels::of(one), saturated(one.segments)));
    sheet.gauges(
        "kafka_log_log_numlogsegments",
        None,
        "Segments on disk",
        segments,
    )
}

const PRODUCE: usize = 0;
const FETCH: usize = 1;
