//! Log compaction, under Chronik's names and Kafka's.

use std::fmt;

use chronik_model::Mono;
use prometheus_client::registry::Unit;

use super::StoreSample;
use super::sheet::Sheet;

pub(super) fn write(
    sheet: &mut Sheet<'_>,
    store: &StoreSample,
    now: Mono,
    kafka_names: bool,
) -> fmt::Result {
    let stats = &store.compaction;
    let bytes = || Some(Unit::Bytes);
    for (name, unit, help, value) in [
        (
            "runs",
            None,
            "Compactions that reached their end",
            stats.runs,
        ),
        (
            "aborted",
            None,
            "Compactions that were given up and are tried again",
            stats.aborted,
        ),
        ("read", bytes(), "Read by compactions", stats.bytes_read),
        (
            "written",
            bytes(),
            "Written by compactions",
            stats.bytes_written,
        ),
    ] {
        sheet.counter(&format!("chronik_compaction_{name}"), unit, help, value)?;
    }
    let gauges = [
        (
            "chronik_compaction_max_dirty_percent",
            "kafka_log_logcleanermanager_max_dirty_percent",
            "Largest share of a log that could be compacted and was not yet",
            store.max_dirty_percent,
        ),
        (
            "chronik_compaction_uncleanable_partitions",
            "kafka_log_logcleanermanager_uncleanable_partitions_count",
            "Partitions that are damaged and not compacted any more",
            stats.uncleanable,
        ),
        (
            "chronik_compaction_since_last_run_ms",
            "kafka_log_logcleanermanager_time_since_last_run_ms",
            "Milliseconds since a compaction ended, or since the start",
            since_ms(now, stats.last_end.unwrap_or(Mono(0))),
        ),
        (
            "chronik_compaction_longest_ms",
            "kafka_log_logcleaner_max_clean_time_ms",
            "Milliseconds that the longest compaction took",
            stats.longest_ms,
        ),
    ];
    for (own, kafka, help, value) in gauges {
        sheet.gauge(own, None, help, value)?;
        if kafka_names {
            sheet.gauge(kafka, None, help, value)?;
        }
    }
    Ok(())
}

fn since_ms(now: Mono, earlier: Mono) -> u64 {
    u64::try_from(now.since(earlier).as_millis()).unwrap_or(u64::MAX)
}
