//! The configuration registry as the controller asks it.

use std::collections::BTreeMap;

use chronik_controller::{ConfigScope, ConfigValidator, SnapshotPolicy};
use chronik_model::config::{
    ConfigKey, ConfigType, UpdateScope, broker_key, check_dynamic_update, topic_key, validate,
};

/// Knows every key of [`chronik_model::config`].
#[derive(Debug, Clone, Copy, Default)]
pub struct RegistryValidator;

fn key_of(scope: ConfigScope, key: &str) -> Option<&'static ConfigKey> {
    match scope {
        ConfigScope::Topic => topic_key(key),
        ConfigScope::Broker => broker_key(key),
    }
}

impl ConfigValidator for RegistryValidator {
    fn topic(&self, key: &str, value: &str) -> Result<(), String> {
        let known = topic_key(key).ok_or_else(|| format!("Unknown topic config name: {key}"))?;
        validate(known, value).map_err(|error| error.to_string())
    }

    fn broker(&self, key: &str, value: &str) -> Result<(), String> {
        check_dynamic_update(key, value, UpdateScope::Broker).map_err(|error| error.to_string())
    }

    fn is_list(&self, scope: ConfigScope, key: &str) -> bool {
        key_of(scope, key).is_some_and(|known| known.kind == ConfigType::List)
    }

    fn default_value(&self, scope: ConfigScope, key: &str) -> Option<String> {
        key_of(scope, key)?.default.map(str::to_owned)
    }
}

/// When the metadata is written down as a whole, by what a broker was started with.
#[must_use]
pub fn snapshot_policy(static_broker: &BTreeMap<String, String>) -> SnapshotPolicy {
    let layers = chronik_model::config::Layers::of_static(static_broker);
    let broker = chronik_model::config::BrokerConfig::resolve(&layers);
    SnapshotPolicy {
        entries: u64::MAX,
        bytes: broker.metadata_snapshot_bytes,
        interval_ms: broker.metadata_snapshot_interval_ms,
    }
}

/// Settings of the cluster that decide requests, from what a broker was started with.
#[must_use]
pub fn controller_settings(
    static_broker: &BTreeMap<String, String>,
) -> chronik_controller::ControllerSettings {
    let layers = chronik_model::config::Layers::of_static(static_broker);
    let broker = chronik_model::config::BrokerConfig::resolve(&layers);
    chronik_controller::ControllerSettings {
        num_partitions: broker.num_partitions,
        default_replication_factor: broker.default_replication_factor,
        delete_topic_enable: broker.delete_topic_enable,
        ..Default::default()
    }
}
