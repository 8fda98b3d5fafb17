//! The keys of a broker, one table per subject.

mod accepted;
mod groups;
mod network;
mod replication;
mod security;
mod storage;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::ConfigKey;

/// The broker key with this name. Names with a listener prefix (`listener.name.<listener>.` and,
/// for SASL, a mechanism after it) find the key behind the prefix; names of a family that is
/// accepted as a whole (`zookeeper.*`) find the family.
#[must_use]
pub fn broker_key(name: &str) -> Option<&'static ConfigKey> {
    let exact = || BY_NAME.get(name).copied();
    exact()
        .or_else(|| listener_key(name))
        .or_else(|| family(name))
}

/// All broker keys in alphabetical order, families left out.
pub fn broker_keys() -> impl Iterator<Item = &'static ConfigKey> {
    BY_NAME.values().copied()
}

/// The other name under which the same setting can be written.
pub(super) fn alias(name: &str) -> Option<&'static str> {
    match name {
        "node.id" => Some("broker.id"),
        "broker.id" => Some("node.id"),
        _ => None,
    }
}

fn listener_key(name: &str) -> Option<&'static ConfigKey> {
    let (_listener, base) = name.strip_prefix("listener.name.")?.split_once('.')?;
    if let Some(key) = BY_NAME.get(base) {
        return Some(key);
    }
    let (_mechanism, base) = base.split_once('.')?;
    let per_mechanism = base.starts_with("sasl.") || base == "connections.max.reauth.ms";
    BY_NAME.get(base).copied().filter(|_| per_mechanism)
}

fn family(name: &str) -> Option<&'static ConfigKey> {
    accepted::FAMILIES
        .iter()
        .find(|family| name.starts_with(family.name))
}

static BY_NAME: LazyLock<BTreeMap<&'static str, &'static ConfigKey>> = LazyLock::new(|| {
    tables()
        .into_iter()
        .flatten()
        .map(|key| (key.name, key))
        .collect()
});

fn tables() -> [&'static [ConfigKey]; 6] {
    [
        accepted::ACCEPTED,
        groups::GROUPS,
        network::NETWORK,
        replication::REPLICATION,
        security::SECURITY,
        storage::STORAGE,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_in_two_tables() {
        let rows: usize = tables().into_iter().map(<[ConfigKey]>::len).sum();
        assert_eq!(rows, broker_keys().count());
    }

    #[test]
    fn every_table_is_sorted_and_documented() {
        for table in tables() {
            assert!(
                table.is_sorted_by(|left, right| left.name < right.name),
                "{table:#?}"
            );
            assert!(table.iter().all(|key| key.doc.ends_with('.')));
        }
    }

    #[test]
    fn prefixed_names_find_their_key() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(broker_key(name).map(|key| key.name), expected, "{name}");
        };
        check("num.partitions", Some("num.partitions"));
        check(
            "listener.name.external.ssl.keystore.location",
            Some("ssl.keystore.location"),
        );
        check(
            "listener.name.external.scram-sha-256.sasl.jaas.config",
            Some("sasl.jaas.config"),
        );
        check("listener.name.external.plain.num.partitions", None);
        check("listener.name.external", None);
        check("zookeeper.connect", Some("zookeeper."));
        check("zookeeper", None);
        check("num.partition", None);
        check("", None);
    }

    #[test]
    fn update_modes_are_those_of_kafka() {
        use crate::config::UpdateMode::{ClusterWide, PerBroker, ReadOnly};
        for (name, expected) in [
            ("num.partitions", ReadOnly),
            ("log.retention.hours", ReadOnly),
            ("log.retention.ms", ClusterWide),
            ("message.max.bytes", ClusterWide),
            ("num.io.threads", ClusterWide),
            ("ssl.keystore.location", PerBroker),
        ] {
            assert_eq!(
                broker_key(name).map(|key| key.update),
                Some(expected),
                "{name}"
            );
        }
    }

    #[test]
    fn every_topic_synonym_is_a_broker_key() {
        for key in crate::config::topic_keys() {
            for synonym in key.synonyms {
                assert!(broker_key(synonym.name).is_some(), "{}", synonym.name);
            }
        }
    }
}
