//! The values of one topic as the storage engine and the shards use them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::validate::{list_items, validate};
use super::{ConfigKey, Layers, topic_key};

/// The effective values of one topic. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicConfig {
    /// Old segments are deleted by age and size (`cleanup.policy`).
    pub cleanup_delete: bool,
    /// The newest record of each key survives (`cleanup.policy`).
    pub cleanup_compact: bool,
    /// Codec of stored batches.
    pub compression: TopicCompression,
    /// gzip level, or -1 for the library's choice.
    pub compression_gzip_level: i32,
    /// lz4 level.
    pub compression_lz4_level: i32,
    /// zstd level.
    pub compression_zstd_level: i32,
    /// Time that compaction keeps tombstones.
    pub delete_retention_ms: i64,
    /// Time between dropping a segment and deleting its file.
    pub file_delete_delay_ms: i64,
    /// Records between two syncs; 1 syncs before each acknowledgement.
    pub flush_messages: u64,
    /// Longest time before a sync; `None` for no limit.
    pub flush_ms: Option<i64>,
    /// Bytes of records between two index entries.
    pub index_interval_bytes: u64,
    /// Time after which compaction must have looked at a record; `i64::MAX` for no limit.
    pub max_compaction_lag_ms: i64,
    /// Largest batch in bytes.
    pub max_message_bytes: usize,
    /// How far ahead of the clock a timestamp may lie; `i64::MAX` for no limit.
    pub message_timestamp_after_max_ms: i64,
    /// How far behind the clock a timestamp may lie; `i64::MAX` for no limit.
    pub message_timestamp_before_max_ms: i64,
    /// Whose time records carry.
    pub message_timestamp_type: TimestampType,
    /// Share of a log, 0 to 1, that must be uncompacted before compaction takes it up.
    pub min_cleanable_dirty_ratio: f64,
    /// Time that a record stays out of compaction's reach.
    pub min_compaction_lag_ms: i64,
    /// Replicas in sync that `acks=all` asks for.
    pub min_insync_replicas: usize,
    /// Segments reserve their disk space at once.
    pub preallocate: bool,
    /// Bytes that each partition keeps; `None` for no limit.
    pub retention_bytes: Option<u64>,
    /// Time that records are kept; `None` for no limit.
    pub retention_ms: Option<i64>,
    /// A full-text index is kept (`chronik.search.enable`).
    pub search_enable: bool,
    /// Size at which a segment closes.
    pub segment_bytes: u64,
    /// Random time taken off `segment_ms`.
    pub segment_jitter_ms: i64,
    /// Age at which a segment closes.
    pub segment_ms: i64,
    /// A replica that is not in sync may lead when no other is left.
    pub unclean_leader_election_enable: bool,
}

/// Codec of stored batches, `compression.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicCompression {
    /// As the producer sent them.
    Producer,
    /// None.
    Uncompressed,
    /// gzip.
    Gzip,
    /// snappy.
    Snappy,
    /// lz4.
    Lz4,
    /// zstd.
    Zstd,
}

/// Whose time records carry, `message.timestamp.type` (KIP-32).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// That of the append.
    LogAppendTime,
}

impl TopicConfig {
    /// The effective values: what the topic sets, else what the broker sets for all topics, else
    /// the defaults. Values that do not validate are passed over.
    #[must_use]
    pub fn resolve(overrides: &BTreeMap<String, String>, layers: &Layers<'_>) -> Self {
        let topic = Topic { overrides, layers };
        let policy = topic.text("cleanup.policy");
        Self {
            cleanup_delete: list_items(&policy).any(|item| item == "delete"),
            cleanup_compact: list_items(&policy).any(|item| item == "compact"),
            compression: compression(&topic.text("compression.type")),
            compression_gzip_level: topic.number("compression.gzip.level"),
            compression_lz4_level: topic.number("compression.lz4.level"),
            compression_zstd_level: topic.number("compression.zstd.level"),
            delete_retention_ms: topic.number("delete.retention.ms"),
            file_delete_delay_ms: topic.number("file.delete.delay.ms"),
            flush_messages: topic.number("flush.messages"),
            flush_ms: topic.limit("flush.ms").filter(|limit| *limit != i64::MAX),
            index_interval_bytes: topic.number("index.interval.bytes"),
            max_compaction_lag_ms: topic.number("max.compaction.lag.ms"),
            max_message_bytes: topic.number("max.message.bytes"),
            message_timestamp_after_max_ms: topic.number("message.timestamp.after.max.ms"),
            message_timestamp_before_max_ms: topic.number("message.timestamp.before.max.ms"),
            message_timestamp_type: timestamp_type(&topic.text("message.timestamp.type")),
            min_cleanable_dirty_ratio: topic.fraction("min.cleanable.dirty.ratio"),
            min_compaction_lag_ms: topic.number("min.compaction.lag.ms"),
            min_insync_replicas: topic.number("min.insync.replicas"),
            preallocate: topic.flag("preallocate"),
            retention_bytes: topic
                .limit("retention.bytes")
                .and_then(|limit| u64::try_from(limit).ok()),
            retention_ms: topic.limit("retention.ms"),
            search_enable: topic.flag("chronik.search.enable"),
            segment_bytes: topic.number("segment.bytes"),
            segment_jitter_ms: topic.number("segment.jitter.ms"),
            segment_ms: topic.number("segment.ms"),
            unclean_leader_election_enable: topic.flag("unclean.leader.election.enable"),
        }
    }
}

impl Default for TopicConfig {
    /// A topic and a broker that set nothing.
    fn default() -> Self {
        let empty = BTreeMap::new();
        Self::resolve(&empty, &Layers::of_static(&empty))
    }
}

/// The effective text of a topic key; empty for a key without default, of which there is none.
pub(super) fn effective<'a>(
    key: &'static ConfigKey,
    overrides: &'a BTreeMap<String, String>,
    layers: &Layers<'_>,
) -> Cow<'a, str> {
    if let Some(value) = overrides
        .get(key.name)
        .filter(|value| validate(key, value).is_ok())
    {
        return Cow::Borrowed(value.trim());
    }
    // The broker's rule can be laxer than the topic's.
    match layers
        .set_by_synonym(key.synonyms)
        .filter(|value| validate(key, value).is_ok())
    {
        Some(value) => Cow::Owned(value),
        None => Cow::Borrowed(key.default.unwrap_or_default()),
    }
}

struct Topic<'a> {
    overrides: &'a BTreeMap<String, String>,
    layers: &'a Layers<'a>,
}

impl Topic<'_> {
    fn text(&self, name: &str) -> Cow<'_, str> {
        topic_key(name).map_or_else(Cow::default, |key| {
            effective(key, self.overrides, self.layers)
        })
    }

    fn number<T: TryFrom<i64> + Default>(&self, name: &str) -> T {
        number(&self.text(name))
    }

    /// A bound whose negative values mean that there is none.
    fn limit(&self, name: &str) -> Option<i64> {
        Some(self.number(name)).filter(|limit| *limit >= 0)
    }

    fn fraction(&self, name: &str) -> f64 {
        self.text(name).parse().unwrap_or_default()
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name).eq_ignore_ascii_case("true")
    }
}

/// The number in a validated text. What the type can not hold, which is a negative number where
/// none makes sense, counts as 0.
pub(super) fn number<T: TryFrom<i64> + Default>(text: &str) -> T {
    let value: i64 = text.parse().unwrap_or_default();
    T::try_from(value).unwrap_or_default()
}

fn compression(text: &str) -> TopicCompression {
    match text {
        "uncompressed" => TopicCompression::Uncompressed,
        "gzip" => TopicCompression::Gzip,
        "snappy" => TopicCompression::Snappy,
        "lz4" => TopicCompression::Lz4,
        "zstd" => TopicCompression::Zstd,
        _ => TopicCompression::Producer,
    }
}

fn timestamp_type(text: &str) -> TimestampType {
    match text {
        "LogAppendTime" => TimestampType::LogAppendTime,
        _ => TimestampType::CreateTime,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn defaults_are_those_of_kafka_but_for_the_sync() {
        let week = 604_800_000;
        let expected = TopicConfig {
            cleanup_delete: true,
            cleanup_compact: false,
            compression: TopicCompression::Producer,
            compression_gzip_level: -1,
            compression_lz4_level: 9,
            compression_zstd_level: 3,
            delete_retention_ms: 86_400_000,
            file_delete_delay_ms: 60_000,
            flush_messages: 1,
            flush_ms: None,
            index_interval_bytes: 4096,
            max_compaction_lag_ms: i64::MAX,
            max_message_bytes: 1_048_588,
            message_timestamp_after_max_ms: 3_600_000,
            message_timestamp_before_max_ms: i64::MAX,
            message_timestamp_type: TimestampType::CreateTime,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            min_insync_replicas: 1,
            preallocate: false,
            retention_bytes: None,
            retention_ms: Some(week),
            search_enable: false,
            segment_bytes: 1 << 30,
            segment_jitter_ms: 0,
            segment_ms: week,
            unclean_leader_election_enable: false,
        };
        assert_eq!(TopicConfig::default(), expected);
    }

    #[test]
    fn the_nearest_source_wins() {
        let check =
            |topic: &str, broker: &str, default: &str, file: &str, expected: Option<i64>| {
                let one = |name: &str, value: &str| {
                    if value.is_empty() {
                        BTreeMap::new()
                    } else {
                        map(&[(name, value)])
                    }
                };
                let (broker, default) = (
                    one("log.retention.ms", broker),
                    one("log.retention.ms", default),
                );
                let file = one("log.retention.ms", file);
                let layers = Layers {
                    dynamic_broker: &broker,
                    dynamic_default: &default,
                    static_broker: &file,
                };
                let config = TopicConfig::resolve(&one("retention.ms", topic), &layers);
                assert_eq!(config.retention_ms, expected);
            };
        check("1", "2", "3", "4", Some(1));
        check("", "2", "3", "4", Some(2));
        check("", "", "3", "4", Some(3));
        check("", "", "", "4", Some(4));
        check("", "", "", "", Some(604_800_000));
        check("-1", "2", "", "", None);
        check("junk", "2", "", "", Some(2));
        check("", "junk", "3", "", Some(3));
    }

    #[test]
    fn broker_keys_in_other_units_are_converted() {
        let check = |pairs: &[(&str, &str)], actual: fn(&TopicConfig) -> Option<i64>, expected| {
            let file = map(pairs);
            let config = TopicConfig::resolve(&BTreeMap::new(), &Layers::of_static(&file));
            assert_eq!(actual(&config), expected, "{pairs:?}");
        };
        let retention: fn(&TopicConfig) -> Option<i64> = |config| config.retention_ms;
        let (minutes, hours) = (("log.retention.minutes", "2"), ("log.retention.hours", "3"));
        check(&[minutes, hours], retention, Some(120_000));
        check(&[hours], retention, Some(10_800_000));
        check(
            &[("log.retention.ms", "7"), minutes, hours],
            retention,
            Some(7),
        );
        check(&[("log.retention.hours", "-1")], retention, None);
        check(
            &[("log.roll.hours", "1")],
            |config| Some(config.segment_ms),
            Some(3_600_000),
        );
        check(
            &[("log.roll.jitter.hours", "1")],
            |config| Some(config.segment_jitter_ms),
            Some(3_600_000),
        );
        check(
            &[("log.flush.scheduler.interval.ms", "9")],
            |config| config.flush_ms,
            Some(9),
        );
        check(
            &[("message.max.bytes", "77")],
            |config| i64::try_from(config.max_message_bytes).ok(),
            Some(77),
        );
    }

    #[test]
    fn words_become_variants() {
        let layers = BTreeMap::new();
        let overrides = map(&[
            ("cleanup.policy", "compact, delete"),
            ("compression.type", "zstd"),
            ("message.timestamp.type", "LogAppendTime"),
            ("preallocate", "TRUE"),
        ]);
        let config = TopicConfig::resolve(&overrides, &Layers::of_static(&layers));
        assert!(config.cleanup_compact && config.cleanup_delete && config.preallocate);
        assert_eq!(config.compression, TopicCompression::Zstd);
        assert_eq!(config.message_timestamp_type, TimestampType::LogAppendTime);
        let nothing = map(&[("cleanup.policy", "")]);
        let config = TopicConfig::resolve(&nothing, &Layers::of_static(&layers));
        assert!(!config.cleanup_compact && !config.cleanup_delete);
    }
}
