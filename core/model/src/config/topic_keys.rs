//! The keys of a topic.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::ConfigKey;
use super::key::{
    ANY, CLEANUP_POLICIES, COMPRESSION_TYPES, GZIP_LEVELS, LZ4_LEVELS, MIN_SEGMENT_BYTES,
    TIMESTAMP_TYPES, Validator, ZSTD_LEVELS, at_least, config_keys,
};

/// The topic key with this name.
#[must_use]
pub fn topic_key(name: &str) -> Option<&'static ConfigKey> {
    BY_NAME.get(name).copied()
}

/// All topic keys in alphabetical order.
pub fn topic_keys() -> impl Iterator<Item = &'static ConfigKey> {
    BY_NAME.values().copied()
}

static BY_NAME: LazyLock<BTreeMap<&'static str, &'static ConfigKey>> =
    LazyLock::new(|| TOPIC.iter().map(|key| (key.name, key)).collect());

config_keys! { TOPIC:
    "chronik.search.enable" Boolean ["false"] ANY, PerTopic Honoured
        "Keeps a full-text index of the topic's records.";
    "cleanup.policy" List ["delete"] Validator::ListOf(CLEANUP_POLICIES), PerTopic Honoured
        "How old records leave: delete drops whole segments, compact keeps the newest record of each key, empty keeps everything."
        <- "log.cleanup.policy" Same;
    "compression.gzip.level" Int ["-1"] GZIP_LEVELS, PerTopic Honoured
        "Effort of gzip where compression.type is gzip; -1 leaves it to the library."
        <- "compression.gzip.level" Same;
    "compression.lz4.level" Int ["9"] LZ4_LEVELS, PerTopic Honoured
        "Effort of lz4 where compression.type is lz4."
        <- "compression.lz4.level" Same;
    "compression.type" String ["producer"] Validator::OneOf(COMPRESSION_TYPES), PerTopic Honoured
        "Codec of stored batches; producer keeps the bytes as they came."
        <- "compression.type" Same;
    "compression.zstd.level" Int ["3"] ZSTD_LEVELS, PerTopic Honoured
        "Effort of zstd where compression.type is zstd."
        <- "compression.zstd.level" Same;
    "delete.retention.ms" Long ["86400000"] at_least(0), PerTopic Honoured
        "Milliseconds that a compacted topic keeps tombstones, so that slow readers still see them."
        <- "log.cleaner.delete.retention.ms" Same;
    "file.delete.delay.ms" Long ["60000"] at_least(0), PerTopic Honoured
        "Milliseconds between dropping a segment from the log and deleting its file."
        <- "log.segment.delete.delay.ms" Same;
    "flush.messages" Long ["1"] at_least(1), PerTopic Honoured
        "Records between two syncs to disk; the default of 1 means that a batch is synced before it is acknowledged, where Kafka leaves syncing to the operating system."
        <- "log.flush.interval.messages" Same;
    "flush.ms" Long ["9223372036854775807"] at_least(0), PerTopic Honoured
        "Longest time in milliseconds that an accepted batch waits for its sync to disk."
        <- "log.flush.interval.ms" Same, "log.flush.scheduler.interval.ms" Same;
    "follower.replication.throttled.replicas" List [""] Validator::ThrottledReplicas, PerTopic Honoured
        "Replicas whose fetching counts against the follower throttle, as partition:broker pairs or * for all.";
    "index.interval.bytes" Int ["4096"] at_least(0), PerTopic Honoured
        "Bytes of records between two entries of the offset index."
        <- "log.index.interval.bytes" Same;
    "leader.replication.throttled.replicas" List [""] Validator::ThrottledReplicas, PerTopic Honoured
        "Replicas whose serving counts against the leader throttle, as partition:broker pairs or * for all.";
    "local.retention.bytes" Long ["-2"] at_least(-2), PerTopic AcceptedNoEffect
        "Bytes kept locally on a tiered topic; there is no tiered storage here."
        <- "log.local.retention.bytes" Same;
    "local.retention.ms" Long ["-2"] at_least(-2), PerTopic AcceptedNoEffect
        "Milliseconds kept locally on a tiered topic; there is no tiered storage here."
        <- "log.local.retention.ms" Same;
    "max.compaction.lag.ms" Long ["9223372036854775807"] at_least(1), PerTopic Honoured
        "Milliseconds after which a record must have been looked at by compaction."
        <- "log.cleaner.max.compaction.lag.ms" Same;
    "max.message.bytes" Int ["1048588"] at_least(0), PerTopic Honoured
        "Largest record batch that is accepted, in bytes as sent."
        <- "message.max.bytes" Same;
    "message.timestamp.after.max.ms" Long ["3600000"] at_least(0), PerTopic Honoured
        "How far in milliseconds a producer's timestamp may lie ahead of the broker's clock."
        <- "log.message.timestamp.after.max.ms" Same;
    "message.timestamp.before.max.ms" Long ["9223372036854775807"] at_least(0), PerTopic Honoured
        "How far in milliseconds a producer's timestamp may lie behind the broker's clock."
        <- "log.message.timestamp.before.max.ms" Same;
    "message.timestamp.type" String ["CreateTime"] Validator::OneOf(TIMESTAMP_TYPES), PerTopic Honoured
        "Whether records carry the producer's time or that of their append."
        <- "log.message.timestamp.type" Same;
    "min.cleanable.dirty.ratio" Double ["0.5"] Validator::Fraction { min: 0.0, max: 1.0 }, PerTopic Honoured
        "Share of a log that must be uncompacted before compaction takes it up."
        <- "log.cleaner.min.cleanable.ratio" Same;
    "min.compaction.lag.ms" Long ["0"] at_least(0), PerTopic Honoured
        "Milliseconds that a record stays out of compaction's reach."
        <- "log.cleaner.min.compaction.lag.ms" Same;
    "min.insync.replicas" Int ["1"] at_least(1), PerTopic Honoured
        "Replicas in sync that an append with acks=all asks for."
        <- "min.insync.replicas" Same;
    "preallocate" Boolean ["false"] ANY, PerTopic Honoured
        "Reserves the disk space of a segment when it is created."
        <- "log.preallocate" Same;
    "remote.log.copy.disable" Boolean ["false"] ANY, PerTopic AcceptedNoEffect
        "Stops copying segments to remote storage; there is no tiered storage here.";
    "remote.log.delete.on.disable" Boolean ["false"] ANY, PerTopic AcceptedNoEffect
        "Deletes remote segments when tiering is turned off; there is no tiered storage here.";
    "remote.storage.enable" Boolean ["false"] ANY, PerTopic AcceptedNoEffect
        "Moves old segments to remote storage; there is no tiered storage here.";
    "retention.bytes" Long ["-1"] ANY, PerTopic Honoured
        "Bytes that each partition keeps before old segments are deleted; negative for no limit."
        <- "log.retention.bytes" Same;
    "retention.ms" Long ["604800000"] at_least(-1), PerTopic Honoured
        "Milliseconds that records are kept before their segment is deleted; -1 for no limit."
        <- "log.retention.ms" Same, "log.retention.minutes" Minutes, "log.retention.hours" Hours;
    "segment.bytes" Int ["1073741824"] at_least(MIN_SEGMENT_BYTES), PerTopic Honoured
        "Size in bytes at which a segment is closed and the next one opened; accepted from 1 KiB, where Kafka asks for 1 MiB."
        <- "log.segment.bytes" Same;
    "segment.index.bytes" Int ["10485760"] at_least(4), PerTopic AcceptedNoEffect
        "Largest offset index of a segment; indexes grow as needed here."
        <- "log.index.size.max.bytes" Same;
    "segment.jitter.ms" Long ["0"] at_least(0), PerTopic Honoured
        "Random milliseconds taken off segment.ms, so that segments do not all close at once."
        <- "log.roll.jitter.ms" Same, "log.roll.jitter.hours" Hours;
    "segment.ms" Long ["604800000"] at_least(1), PerTopic Honoured
        "Milliseconds after which a segment is closed even if it is not full."
        <- "log.roll.ms" Same, "log.roll.hours" Hours;
    "unclean.leader.election.enable" Boolean ["false"] ANY, PerTopic Honoured
        "Lets a replica that is not in sync lead when no other is left, at the price of lost records."
        <- "unclean.leader.election.enable" Same;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::UpdateMode;

    #[test]
    fn the_table_is_sorted_without_duplicates() {
        assert!(TOPIC.is_sorted_by(|left, right| left.name < right.name));
        assert!(topic_keys().eq(TOPIC));
    }

    #[test]
    fn every_key_has_a_default_and_a_sentence() {
        for key in topic_keys() {
            assert!(key.default.is_some(), "{}", key.name);
            assert!(key.doc.ends_with('.'), "{}", key.name);
            assert_eq!(key.update, UpdateMode::PerTopic, "{}", key.name);
            assert!(!key.read_only() && !key.sensitive(), "{}", key.name);
        }
    }

    #[test]
    fn names_are_found_exactly() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(
                topic_key(name).and_then(ConfigKey::synonym),
                expected,
                "{name}"
            );
        };
        check("retention.ms", Some("log.retention.ms"));
        check("max.message.bytes", Some("message.max.bytes"));
        check("remote.storage.enable", None);
        check("Retention.ms", None);
        check("", None);
    }
}
