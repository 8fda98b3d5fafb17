//! The door for values: types, rules, list operations and dynamic updates.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use super::topic_config::TopicConfig;
use super::{ConfigKey, ConfigType, Layers, UpdateMode, Validator, broker_key, topic_key};

/// Why a value or a change is refused, in the words that Kafka's tools know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The value breaks a rule of its key.
    #[error("Invalid value {value} for configuration {name}: {reason}")]
    Invalid {
        /// The key.
        name: String,
        /// The value as given.
        value: String,
        /// The rule, as a sentence.
        reason: String,
    },
    /// No topic key has this name.
    #[error("Unknown topic config name: {0}")]
    UnknownTopicKey(String),
    /// No broker key has this name.
    #[error("Unknown broker config name: {0}")]
    UnknownBrokerKey(String),
    /// APPEND or SUBTRACT on a key that holds no list (KIP-339).
    #[error("Can't change key {0} item by item because its type is not LIST.")]
    NotAList(String),
    /// The key changes only with a restart.
    #[error("Cannot update these configs dynamically: {0}")]
    ReadOnly(String),
    /// The key can not be a default of all brokers.
    #[error(
        "Cannot update these configs at default cluster level, broker id must be specified: {0}"
    )]
    PerBrokerOnly(String),
    /// Two values of one topic contradict each other.
    #[error("conflict topic config setting {low} ({low_value}) > {high} ({high_value})")]
    Conflict {
        /// The key that must not be larger.
        low: &'static str,
        /// Its value.
        low_value: i64,
        /// The key that must not be smaller.
        high: &'static str,
        /// Its value.
        high_value: i64,
    },
}

/// Where a dynamic broker value is to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateScope {
    /// For one broker.
    Broker,
    /// As the default of all brokers.
    ClusterDefault,
}

/// Checks the type and the rules of one value. Space around it does not count.
///
/// # Errors
/// [`ConfigError::Invalid`] with the rule that the value breaks.
pub fn validate(key: &ConfigKey, value: &str) -> Result<(), ConfigError> {
    let text = value.trim();
    let shown = if key.sensitive() { "[hidden]" } else { value };
    check_type(key.kind, text)
        .and_then(|()| check_rule(&key.validator, text))
        .map_err(|broken| invalid(key.name, broken.item.unwrap_or(shown), broken.reason))
}

/// Checks the names, values and agreement of all overrides of one topic.
///
/// # Errors
/// The first override that is unknown or invalid, or two that contradict each other.
pub fn validate_topic(
    overrides: &BTreeMap<String, String>,
    layers: &Layers<'_>,
) -> Result<(), ConfigError> {
    for (name, value) in overrides {
        let key = topic_key(name).ok_or_else(|| ConfigError::UnknownTopicKey(name.clone()))?;
        validate(key, value)?;
    }
    let config = TopicConfig::resolve(overrides, layers);
    if config.min_compaction_lag_ms > config.max_compaction_lag_ms {
        return Err(ConfigError::Conflict {
            low: "min.compaction.lag.ms",
            low_value: config.min_compaction_lag_ms,
            high: "max.compaction.lag.ms",
            high_value: config.max_compaction_lag_ms,
        });
    }
    Ok(())
}

/// Checks that the broker key `name` can be set to `value` while the broker runs (KIP-226).
///
/// # Errors
/// The key is unknown, changes only with a restart or per broker, or the value is invalid.
pub fn check_dynamic_update(
    name: &str,
    value: &str,
    scope: UpdateScope,
) -> Result<(), ConfigError> {
    let key = broker_key(name).ok_or_else(|| ConfigError::UnknownBrokerKey(name.to_owned()))?;
    match (key.update, scope) {
        (UpdateMode::ReadOnly, _) => return Err(ConfigError::ReadOnly(name.to_owned())),
        (UpdateMode::PerBroker, UpdateScope::ClusterDefault) => {
            return Err(ConfigError::PerBrokerOnly(name.to_owned()));
        }
        (UpdateMode::PerBroker, UpdateScope::Broker)
        | (UpdateMode::ClusterWide | UpdateMode::PerTopic, _) => {}
    }
    validate(key, value)
}

/// `current` with the items of `added` that it lacks, in order.
///
/// # Errors
/// [`ConfigError::NotAList`] if the key holds no list.
pub fn append_list(key: &ConfigKey, current: &str, added: &str) -> Result<String, ConfigError> {
    check_list(key)?;
    let mut items: Vec<&str> = list_items(current).collect();
    for item in list_items(added) {
        if !items.contains(&item) {
            items.push(item);
        }
    }
    Ok(items.join(","))
}

/// `current` without the items of `removed`.
///
/// # Errors
/// [`ConfigError::NotAList`] if the key holds no list.
pub fn subtract_list(key: &ConfigKey, current: &str, removed: &str) -> Result<String, ConfigError> {
    check_list(key)?;
    let removed: Vec<&str> = list_items(removed).collect();
    let kept: Vec<&str> = list_items(current)
        .filter(|item| !removed.contains(item))
        .collect();
    Ok(kept.join(","))
}

/// The items of a list value; an empty value has none.
pub(super) fn list_items(value: &str) -> impl Iterator<Item = &str> {
    let value = value.trim();
    value
        .split(',')
        .map(str::trim)
        .filter(move |_| !value.is_empty())
}

/// A valid value in the form in which it is shown: without outer space, lists without space
/// around their commas, booleans in lower case.
pub(super) fn canonical(kind: ConfigType, value: &str) -> Cow<'_, str> {
    let text = value.trim();
    match kind {
        ConfigType::Boolean => Cow::Owned(text.to_ascii_lowercase()),
        ConfigType::List => Cow::Owned(list_items(text).collect::<Vec<_>>().join(",")),
        ConfigType::String
        | ConfigType::Int
        | ConfigType::Short
        | ConfigType::Long
        | ConfigType::Double
        | ConfigType::Class
        | ConfigType::Password => Cow::Borrowed(text),
    }
}

/// A broken rule and, for lists, the item that breaks it.
struct Broken<'a> {
    item: Option<&'a str>,
    reason: String,
}

impl Broken<'_> {
    fn whole(reason: String) -> Self {
        Self { item: None, reason }
    }
}

fn invalid(name: &str, value: &str, reason: String) -> ConfigError {
    ConfigError::Invalid {
        name: name.to_owned(),
        value: value.to_owned(),
        reason,
    }
}

fn check_list(key: &ConfigKey) -> Result<(), ConfigError> {
    match key.kind {
        ConfigType::List => Ok(()),
        ConfigType::Boolean
        | ConfigType::String
        | ConfigType::Int
        | ConfigType::Short
        | ConfigType::Long
        | ConfigType::Double
        | ConfigType::Class
        | ConfigType::Password => Err(ConfigError::NotAList(key.name.to_owned())),
    }
}

fn check_type(kind: ConfigType, text: &str) -> Result<(), Broken<'_>> {
    let number = match kind {
        ConfigType::String | ConfigType::List | ConfigType::Class | ConfigType::Password => {
            return Ok(());
        }
        ConfigType::Boolean if is_boolean(text) => return Ok(()),
        ConfigType::Boolean => {
            return Err(Broken::whole(
                "Expected value to be either true or false".to_owned(),
            ));
        }
        ConfigType::Int => text.parse::<i32>().is_ok(),
        ConfigType::Short => text.parse::<i16>().is_ok(),
        ConfigType::Long => text.parse::<i64>().is_ok(),
        ConfigType::Double => text.parse::<f64>().is_ok_and(|value| !value.is_nan()),
    };
    if number {
        return Ok(());
    }
    Err(Broken::whole(format!(
        "Not a number of type {}",
        kind.name()
    )))
}

fn is_boolean(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
}

fn check_rule<'a>(validator: &Validator, text: &'a str) -> Result<(), Broken<'a>> {
    match *validator {
        Validator::Any => Ok(()),
        Validator::Range { min, max } => check_bounds(parsed::<i64>(text), min, max),
        Validator::RangeOr { min, max, or } => {
            let value = parsed::<i64>(text);
            if value == or || (min..=max).contains(&value) {
                return Ok(());
            }
            let reason = format!("Value must be between {min} and {max} or equal to {or}");
            Err(Broken::whole(reason))
        }
        Validator::Fraction { min, max } => check_bounds(parsed::<f64>(text), min, max),
        Validator::OneOf(words) => check_word(words, text, false).map_err(Broken::whole),
        Validator::OneOfIgnoreCase(words) => check_word(words, text, true).map_err(Broken::whole),
        Validator::ListOf(words) => {
            for item in list_items(text) {
                check_word(words, item, false).map_err(|reason| Broken {
                    item: Some(item),
                    reason,
                })?;
            }
            Ok(())
        }
        Validator::ThrottledReplicas => check_throttled_replicas(text),
    }
}

/// The number in a text whose type has been checked.
fn parsed<T: std::str::FromStr + Default>(text: &str) -> T {
    text.parse().unwrap_or_default()
}

fn check_bounds<T>(value: T, min: T, max: T) -> Result<(), Broken<'static>>
where
    T: PartialOrd + fmt::Display,
{
    if value < min {
        return Err(Broken::whole(format!("Value must be at least {min}")));
    }
    if value > max {
        return Err(Broken::whole(format!("Value must be no more than {max}")));
    }
    Ok(())
}

fn check_word(words: &[&str], text: &str, ignore_case: bool) -> Result<(), String> {
    let known = |word: &&str| *word == text || (ignore_case && word.eq_ignore_ascii_case(text));
    if words.iter().any(known) {
        return Ok(());
    }
    Err(format!("String must be one of: {}", words.join(", ")))
}

fn check_throttled_replicas(text: &str) -> Result<(), Broken<'_>> {
    let number = |part: &str| part.parse::<u32>().is_ok();
    let pair = |item: &str| {
        item.split_once(':')
            .is_some_and(|(partition, broker)| number(partition) && number(broker))
    };
    if text == "*" || list_items(text).all(pair) {
        return Ok(());
    }
    Err(Broken::whole(
        "Expected * or a list of partition:broker pairs".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{broker_keys, topic_keys};

    #[test]
    fn every_default_is_valid() {
        for key in topic_keys().chain(broker_keys()) {
            if let Some(default) = key.default {
                assert_eq!(validate(key, default), Ok(()), "{}", key.name);
                assert_eq!(canonical(key.kind, default), default, "{}", key.name);
            }
        }
    }

    /// Checks that `name` refuses `value` for `expected`, or takes it where that is empty.
    fn check_value((name, value, expected): (&str, &str, &str)) {
        let key = topic_key(name).or_else(|| broker_key(name)).unwrap();
        let actual =
            validate(key, value).map_or_else(|error| error.to_string(), |()| String::new());
        let prefix = format!("Invalid value {value} for configuration {name}: ");
        assert_eq!(
            actual.strip_prefix(&prefix).unwrap_or(&actual),
            expected,
            "{name}={value}"
        );
    }

    #[test]
    fn numbers_are_judged_in_kafkas_words() {
        [
            ("retention.ms", "abc", "Not a number of type LONG"),
            ("retention.ms", "", "Not a number of type LONG"),
            (
                "retention.ms",
                "9223372036854775808",
                "Not a number of type LONG",
            ),
            ("retention.ms", "-1", ""),
            ("retention.ms", " 5 ", ""),
            ("retention.ms", "-2", "Value must be at least -1"),
            ("segment.bytes", "1023", "Value must be at least 1024"),
            ("segment.bytes", "1024", ""),
            ("segment.bytes", "2147483648", "Not a number of type INT"),
            (
                "offsets.topic.replication.factor",
                "40000",
                "Not a number of type SHORT",
            ),
            ("compression.gzip.level", "-1", ""),
            (
                "compression.gzip.level",
                "0",
                "Value must be between 1 and 9 or equal to -1",
            ),
            (
                "compression.lz4.level",
                "18",
                "Value must be no more than 17",
            ),
            (
                "min.cleanable.dirty.ratio",
                "1.5",
                "Value must be no more than 1",
            ),
            (
                "min.cleanable.dirty.ratio",
                "-0.1",
                "Value must be at least 0",
            ),
            (
                "min.cleanable.dirty.ratio",
                "NaN",
                "Not a number of type DOUBLE",
            ),
        ]
        .into_iter()
        .for_each(check_value);
    }

    #[test]
    fn words_are_judged_in_kafkas_words() {
        let types = "String must be one of: CreateTime, LogAppendTime";
        let pairs = "Expected * or a list of partition:broker pairs";
        [
            ("preallocate", "TRUE", ""),
            (
                "preallocate",
                "yes",
                "Expected value to be either true or false",
            ),
            ("message.timestamp.type", "createtime", types),
            ("cleanup.policy", "compact, delete", ""),
            ("cleanup.policy", "", ""),
            (
                "cleanup.policy",
                "keep",
                "String must be one of: compact, delete",
            ),
            ("group.consumer.migration.policy", "UPGRADE", ""),
            ("leader.replication.throttled.replicas", "0:1,1:2", ""),
            ("leader.replication.throttled.replicas", "*", ""),
            ("leader.replication.throttled.replicas", "0:1,x", pairs),
        ]
        .into_iter()
        .for_each(check_value);
    }

    #[test]
    fn an_invalid_list_names_the_item() {
        let key = topic_key("cleanup.policy").unwrap();
        let error = validate(key, "delete,keep").unwrap_err().to_string();
        assert_eq!(
            error,
            "Invalid value keep for configuration cleanup.policy: \
             String must be one of: compact, delete"
        );
    }

    #[test]
    fn lists_grow_and_shrink_item_by_item() {
        let key = topic_key("cleanup.policy").unwrap();
        let check = |current: &str, change: &str, appended: &str, subtracted: &str| {
            assert_eq!(append_list(key, current, change).unwrap(), appended);
            assert_eq!(subtract_list(key, current, change).unwrap(), subtracted);
        };
        check("delete", "compact", "delete,compact", "delete");
        check("delete", "delete", "delete", "");
        check("", "compact", "compact", "");
        check(
            "delete, compact",
            " compact , delete ",
            "delete,compact",
            "",
        );
        check("delete", "", "delete", "delete");
        let number = topic_key("retention.ms").unwrap();
        let refused = Err(ConfigError::NotAList("retention.ms".to_owned()));
        assert_eq!(append_list(number, "1", "2"), refused);
        assert_eq!(subtract_list(number, "1", "2"), refused);
    }

    #[test]
    fn topics_are_judged_as_a_whole() {
        let empty = BTreeMap::new();
        let layers = Layers::of_static(&empty);
        let check = |pairs: &[(&str, &str)], expected: &str| {
            let overrides = pairs
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect();
            let actual =
                validate_topic(&overrides, &layers).map_or_else(|e| e.to_string(), |()| "".into());
            assert_eq!(actual, expected);
        };
        check(
            &[("retention.ms", "1"), ("chronik.search.enable", "true")],
            "",
        );
        check(
            &[("retention", "1")],
            "Unknown topic config name: retention",
        );
        check(
            &[
                ("min.compaction.lag.ms", "20"),
                ("max.compaction.lag.ms", "10"),
            ],
            "conflict topic config setting min.compaction.lag.ms (20) > max.compaction.lag.ms (10)",
        );
    }

    #[test]
    fn dynamic_updates_obey_the_update_mode() {
        use UpdateScope::{Broker, ClusterDefault};
        let check = |name: &str, value: &str, scope, allowed: bool| {
            let result = check_dynamic_update(name, value, scope);
            assert_eq!(result.is_ok(), allowed, "{name}: {result:?}");
        };
        check("log.retention.ms", "1", Broker, true);
        check("log.retention.ms", "1", ClusterDefault, true);
        check("log.retention.ms", "x", ClusterDefault, false);
        check("num.partitions", "1", Broker, false);
        check(
            "listener.name.external.ssl.keystore.location",
            "/k",
            Broker,
            true,
        );
        check(
            "listener.name.external.ssl.keystore.location",
            "/k",
            ClusterDefault,
            false,
        );
        check("no.such.key", "1", Broker, false);
    }
}
