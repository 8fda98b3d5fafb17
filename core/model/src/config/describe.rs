//! Values with their sources, as DescribeConfigs reports them (KIP-226).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::layers::lookup;
use super::topic_config::effective;
use super::validate::canonical;
use super::{ConfigKey, ConfigSource, Layers, broker_key, broker_keys, topic_keys};

/// One key with its effective value.
#[derive(Debug, Clone, PartialEq)]
pub struct DescribedConfig {
    /// Name; differs from that of the key where it has a listener prefix.
    pub name: Cow<'static, str>,
    /// The key: type, documentation, effect.
    pub key: &'static ConfigKey,
    /// Effective value; `None` when null or sensitive.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Only a restart changes it.
    pub read_only: bool,
    /// The value is hidden.
    pub sensitive: bool,
    /// All settings that count for the key, the winning one first.
    pub synonyms: Vec<DescribedSynonym>,
}

/// One setting that counts for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedSynonym {
    /// Name of the setting.
    pub name: String,
    /// Its value in its own unit; `None` when sensitive.
    pub value: Option<String>,
    /// Where it was set.
    pub source: ConfigSource,
}

/// All keys of a topic in alphabetical order.
#[must_use]
pub fn describe_topic(
    overrides: &BTreeMap<String, String>,
    layers: &Layers<'_>,
) -> Vec<DescribedConfig> {
    topic_keys()
        .map(|key| described_topic_key(key, overrides, layers))
        .collect()
}

/// All keys of a broker, and those with a prefix that are set, in alphabetical order.
#[must_use]
pub fn describe_broker(layers: &Layers<'_>) -> Vec<DescribedConfig> {
    let plain = broker_keys().map(|key| (Cow::Borrowed(key.name), key));
    let set = layers.sources().into_iter().flat_map(|(map, _)| map.keys());
    let prefixed: BTreeSet<&String> = set.collect();
    let prefixed = prefixed.into_iter().filter_map(|name| {
        let key = broker_key(name).filter(|key| key.name != name)?;
        Some((Cow::Owned(name.clone()), key))
    });
    let mut all: Vec<DescribedConfig> = plain
        .chain(prefixed)
        .map(|(name, key)| described_broker_key(name, key, layers))
        .collect();
    all.sort_by(|left, right| left.name.cmp(&right.name));
    all
}

/// The values set for all brokers while they run: the answer for the broker without a name.
#[must_use]
pub fn describe_cluster_default(
    dynamic_default: &BTreeMap<String, String>,
) -> Vec<DescribedConfig> {
    let none = BTreeMap::new();
    let layers = Layers {
        dynamic_broker: &none,
        dynamic_default,
        static_broker: &none,
    };
    let described = dynamic_default.keys().filter_map(|name| {
        let mut one = described_broker_key(Cow::Owned(name.clone()), broker_key(name)?, &layers);
        one.synonyms
            .retain(|synonym| synonym.source == ConfigSource::DynamicDefault);
        Some(one)
    });
    described.collect()
}

fn described_topic_key(
    key: &'static ConfigKey,
    overrides: &BTreeMap<String, String>,
    layers: &Layers<'_>,
) -> DescribedConfig {
    let value = shown(key, &effective(key, overrides, layers));
    let own = overrides.contains_key(key.name).then(|| DescribedSynonym {
        name: key.name.to_owned(),
        value: value.clone(),
        source: ConfigSource::Topic,
    });
    let chain: Vec<&str> = key.synonyms.iter().map(|synonym| synonym.name).collect();
    let start = key.synonym().unwrap_or_default();
    let inherited = broker_synonyms(&chain, start, key, layers);
    let synonyms = own.into_iter().chain(inherited).collect();
    described(Cow::Borrowed(key.name), key, value, synonyms)
}

fn described_broker_key(
    name: Cow<'static, str>,
    key: &'static ConfigKey,
    layers: &Layers<'_>,
) -> DescribedConfig {
    let value = match layers.get(&name) {
        Some((value, _source)) => Some(value),
        // A prefixed name without a value of its own is not described at all.
        None => key.default,
    };
    let value = value.and_then(|value| shown(key, value));
    let own = [&*name];
    let prefixed = [&*name, key.name];
    let family: Vec<&str> = key.synonyms.iter().map(|synonym| synonym.name).collect();
    let chain = match (name == key.name, family.is_empty()) {
        (false, _) => &prefixed[..],
        (true, true) => &own[..],
        (true, false) => &family[..],
    };
    let synonyms = broker_synonyms(chain, &name, key, layers);
    described(name, key, value, synonyms)
}

fn described(
    name: Cow<'static, str>,
    key: &'static ConfigKey,
    value: Option<String>,
    synonyms: Vec<DescribedSynonym>,
) -> DescribedConfig {
    DescribedConfig {
        name,
        key,
        value,
        source: synonyms
            .first()
            .map_or(ConfigSource::Default, |winner| winner.source),
        read_only: key.read_only(),
        sensitive: key.sensitive(),
        synonyms,
    }
}

/// The settings of a chain of broker keys, source by source. As in Kafka the list starts with a
/// setting of the name `start` and is empty without one: `retention.ms` does not list
/// `log.retention.hours` until `log.retention.ms` is set somewhere.
fn broker_synonyms(
    chain: &[&str],
    start: &str,
    key: &ConfigKey,
    layers: &Layers<'_>,
) -> Vec<DescribedSynonym> {
    let synonym = |name: &str, value: &str, source| DescribedSynonym {
        name: name.to_owned(),
        value: (!key.sensitive()).then(|| value.to_owned()),
        source,
    };
    let mut all = Vec::new();
    for (map, source) in layers.sources() {
        let set = chain
            .iter()
            .filter_map(|name| Some(synonym(name, lookup(map, name)?, source)));
        all.extend(set);
    }
    all.extend(chain.iter().filter_map(|name| {
        let default = broker_key(name).filter(|key| key.name == *name)?.default?;
        Some(synonym(name, default, ConfigSource::Default))
    }));
    all.into_iter()
        .skip_while(|synonym| synonym.name != start)
        .collect()
}

fn shown(key: &ConfigKey, value: &str) -> Option<String> {
    (!key.sensitive()).then(|| canonical(key.kind, value).into_owned())
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

    /// `name=value source [synonyms]`, the form of kafka-configs.
    fn line(all: &[DescribedConfig], name: &str) -> String {
        let one = all.iter().find(|one| one.name == name).unwrap();
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
        let synonyms: Vec<String> = one
            .synonyms
            .iter()
            .map(|each| format!("{:?}:{}={}", each.source, each.name, text(&each.value)))
            .collect();
        format!(
            "{} {:?} [{}]",
            text(&one.value),
            one.source,
            synonyms.join(", ")
        )
    }

    #[test]
    fn topics_show_every_source_in_order() {
        let dynamic = map(&[("log.retention.ms", "2"), ("log.segment.bytes", "4096")]);
        let default = map(&[("log.retention.ms", "3")]);
        let file = map(&[("log.retention.hours", "4"), ("log.roll.hours", "1")]);
        let layers = Layers {
            dynamic_broker: &dynamic,
            dynamic_default: &default,
            static_broker: &file,
        };
        let all = describe_topic(&map(&[("retention.ms", " 1 ")]), &layers);
        let check = |name: &str, expected: &str| assert_eq!(line(&all, name), expected, "{name}");
        check(
            "retention.ms",
            "1 Topic [Topic:retention.ms=1, DynamicBroker:log.retention.ms=2, \
             DynamicDefault:log.retention.ms=3, Static:log.retention.hours=4, \
             Default:log.retention.hours=168]",
        );
        check(
            "segment.bytes",
            "4096 DynamicBroker [DynamicBroker:log.segment.bytes=4096, \
             Default:log.segment.bytes=1073741824]",
        );
        check("segment.ms", "3600000 Default []");
        check(
            "flush.messages",
            "1 Default [Default:log.flush.interval.messages=1]",
        );
        check("remote.storage.enable", "false Default []");
    }

    #[test]
    fn brokers_show_every_source_in_order_and_no_secrets() {
        let dynamic = map(&[("listener.name.tls.ssl.key.password", "secret")]);
        let default = map(&[("log.retention.ms", "3")]);
        let file = map(&[
            ("broker.id", "7"),
            ("log.retention.hours", "4"),
            ("ssl.key.password", "hidden"),
            ("zookeeper.connect", "zk:2181"),
            ("no.such.key", "1"),
        ]);
        let layers = Layers {
            dynamic_broker: &dynamic,
            dynamic_default: &default,
            static_broker: &file,
        };
        let all = describe_broker(&layers);
        let check = |name: &str, expected: &str| assert_eq!(line(&all, name), expected, "{name}");
        check("node.id", "7 Static [Static:node.id=7, Default:node.id=-1]");
        check(
            "log.retention.ms",
            "3 DynamicDefault [DynamicDefault:log.retention.ms=3, Static:log.retention.hours=4, \
             Default:log.retention.hours=168]",
        );
        check(
            "log.retention.hours",
            "4 Static [Static:log.retention.hours=4, Default:log.retention.hours=168]",
        );
        check("log.retention.minutes", "null Default []");
        check(
            "ssl.key.password",
            "null Static [Static:ssl.key.password=null]",
        );
        check(
            "listener.name.tls.ssl.key.password",
            "null DynamicBroker [DynamicBroker:listener.name.tls.ssl.key.password=null, \
             Static:ssl.key.password=null]",
        );
        check(
            "zookeeper.connect",
            "zk:2181 Static [Static:zookeeper.connect=zk:2181]",
        );
        assert!(all.iter().all(|one| one.name != "no.such.key"));
        assert!(all.is_sorted_by(|left, right| left.name < right.name));
        let read_only = |name: &str| all.iter().find(|one| one.name == name).unwrap().read_only;
        assert!(read_only("log.retention.hours") && !read_only("log.retention.ms"));
    }

    #[test]
    fn the_cluster_default_shows_only_what_is_set() {
        let all = describe_cluster_default(&map(&[("log.retention.ms", "3")]));
        assert_eq!(all.len(), 1);
        let expected = "3 DynamicDefault [DynamicDefault:log.retention.ms=3]";
        assert_eq!(line(&all, "log.retention.ms"), expected);
    }
}
