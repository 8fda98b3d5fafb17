//! Configuration keys: their names, types, defaults and rules, the order in which sources win, and
//! the typed values that the rest of the broker uses.
//!
//! A value is text until it is resolved. [`validate()`] is the door: what passes it can be resolved
//! into [`TopicConfig`] and [`BrokerConfig`], and shown with its sources by [`describe_topic`] and
//! [`describe_broker`].

mod broker_config;
mod broker_keys;
mod describe;
mod key;
mod layers;
mod topic_config;
mod topic_keys;
mod validate;

pub use broker_config::{
    BrokerConfig, GroupSettings, MigrationPolicy, NetworkSettings, ReplicationSettings,
    TransactionSettings,
};
pub use broker_keys::{broker_key, broker_keys};
pub use describe::{
    DescribedConfig, DescribedSynonym, describe_broker, describe_cluster_default, describe_topic,
};
pub use key::{ConfigKey, ConfigType, Effect, Synonym, Unit, UpdateMode, Validator};
pub use layers::{ConfigSource, Layers};
pub use topic_config::{TimestampType, TopicCompression, TopicConfig};
pub use topic_keys::{topic_key, topic_keys};
pub use validate::{
    ConfigError, UpdateScope, append_list, check_dynamic_update, subtract_list, validate,
    validate_topic,
};
