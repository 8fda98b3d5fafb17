//! Where broker values come from, and which source wins.

use std::collections::BTreeMap;

use super::broker_keys::alias;
use super::{Synonym, Unit, broker_key, validate};

/// The source of a value, with the codes of DescribeConfigs (KIP-226).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Set for this broker while it runs.
    DynamicBroker,
    /// Set for all brokers while they run.
    DynamicDefault,
    /// Given at start: file, environment or flag.
    Static,
    /// Nobody set it.
    Default,
    /// Level of a logger, set while the broker runs (KIP-412).
    DynamicLogger,
    /// Set on a client metrics subscription (KIP-714).
    ClientMetrics,
    /// Set on a group (KIP-848).
    Group,
}

impl ConfigSource {
    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> i8 {
        match self {
            Self::Topic => 1,
            Self::DynamicBroker => 2,
            Self::DynamicDefault => 3,
            Self::Static => 4,
            Self::Default => 5,
            Self::DynamicLogger => 6,
            Self::ClientMetrics => 7,
            Self::Group => 8,
        }
    }
}

/// The values set for one broker, by source. Sources further up win.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a> {
    /// Set for this broker while it runs.
    pub dynamic_broker: &'a BTreeMap<String, String>,
    /// Set for all brokers while they run.
    pub dynamic_default: &'a BTreeMap<String, String>,
    /// Given at start: file, environment and flags, already merged.
    pub static_broker: &'a BTreeMap<String, String>,
}

impl<'a> Layers<'a> {
    /// Layers of a broker on which nothing was set while it runs.
    #[must_use]
    pub const fn of_static(static_broker: &'a BTreeMap<String, String>) -> Self {
        const NONE: &BTreeMap<String, String> = &BTreeMap::new();
        Self {
            dynamic_broker: NONE,
            dynamic_default: NONE,
            static_broker,
        }
    }

    /// The winning value set for a broker key, under its own name or its alias.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<(&'a str, ConfigSource)> {
        self.sources()
            .into_iter()
            .find_map(|(map, source)| Some((lookup(map, name)?, source)))
    }

    /// The sources, the winning one first.
    pub(super) fn sources(&self) -> [(&'a BTreeMap<String, String>, ConfigSource); 3] {
        [
            (self.dynamic_broker, ConfigSource::DynamicBroker),
            (self.dynamic_default, ConfigSource::DynamicDefault),
            (self.static_broker, ConfigSource::Static),
        ]
    }

    /// The value that the first set synonym gives a key, in the unit of that key. Values that do
    /// not validate are passed over.
    pub(super) fn set_by_synonym(&self, synonyms: &[Synonym]) -> Option<String> {
        synonyms.iter().find_map(|synonym| {
            let key = broker_key(synonym.name)?;
            let mut values = self
                .sources()
                .into_iter()
                .filter_map(|(map, _)| lookup(map, synonym.name));
            let value = values.find(|value| validate(key, value).is_ok())?;
            Some(convert(value, synonym.unit))
        })
    }
}

/// The value of a broker key in one source.
pub(super) fn lookup<'a>(map: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    let value = map.get(name).or_else(|| map.get(alias(name)?))?;
    Some(value.as_str())
}

/// A negative time means "no limit" in any unit, so it stays -1 rather than being multiplied.
fn convert(value: &str, unit: Unit) -> String {
    let Some(millis) = unit.millis() else {
        return value.trim().to_owned();
    };
    let count: i64 = value.trim().parse().unwrap_or_default();
    if count < 0 {
        "-1".to_owned()
    } else {
        count.saturating_mul(millis).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_become_milliseconds() {
        let check = |value: &str, unit, expected: &str| assert_eq!(convert(value, unit), expected);
        check("1", Unit::Hours, "3600000");
        check(" 2 ", Unit::Minutes, "120000");
        check("-1", Unit::Hours, "-1");
        check("2147483647", Unit::Hours, "7730941129200000");
        check("-7", Unit::Same, "-7");
    }

    #[test]
    fn node_id_and_broker_id_are_one_setting() {
        let file = BTreeMap::from([("broker.id".to_owned(), "3".to_owned())]);
        let layers = Layers::of_static(&file);
        assert_eq!(layers.get("node.id"), Some(("3", ConfigSource::Static)));
        assert_eq!(layers.get("broker.id"), Some(("3", ConfigSource::Static)));
    }
}
