//! Named values with where they come from, checked against the known keys.

use std::collections::BTreeMap;
use std::fmt;

use chronik_model::config::{broker_key, broker_keys, topic_key, validate};

use super::failure::ConfigFailure;

/// Where a value was written. Later variants win over earlier ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A configuration file and, where known, a line in it.
    File {
        /// The file as it was named.
        file: String,
        /// Line, from 1.
        line: Option<usize>,
    },
    /// An environment variable.
    Environment(String),
    /// A flag on the command line.
    Flag(&'static str),
}

impl Origin {
    /// Position in the order in which sources win.
    pub(crate) const fn rank(&self) -> u8 {
        match self {
            Self::File { .. } => 0,
            Self::Environment(_) => 1,
            Self::Flag(_) => 2,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                file,
                line: Some(line),
            } => write!(f, "{file}:{line}"),
            Self::File { file, line: None } => f.write_str(file),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One value as it was written.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Key as operators write it.
    pub(crate) name: String,
    /// Text without surrounding space.
    pub(crate) value: String,
    /// Where it was written.
    pub(crate) origin: Origin,
}

impl fmt::Debug for Setting {
    /// Leaves the value out: it can be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Setting({} from {})", self.name, self.origin)
    }
}

impl Setting {
    /// A value, with the space around it cut off as Kafka does.
    pub(crate) fn new(name: &str, value: &str, origin: Origin) -> Self {
        Self {
            name: name.to_owned(),
            value: value.trim().to_owned(),
            origin,
        }
    }

    /// A sentence about what is wrong with this value.
    pub(crate) fn problem(&self, reason: impl fmt::Display) -> String {
        format!("{}: {}: {reason}", self.origin, self.name)
    }
}

/// The winning value of each key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings(BTreeMap<String, Setting>);

impl Settings {
    /// Takes `setting` unless a stronger source has set the key.
    pub(crate) fn set(&mut self, setting: Setting) {
        let stronger = |held: &Setting| held.origin.rank() > setting.origin.rank();
        if !self.0.get(&setting.name).is_some_and(stronger) {
            self.0.insert(setting.name.clone(), setting);
        }
    }

    /// The value of a key, if some source sets it.
    pub(crate) fn get(&self, name: &str) -> Option<&Setting> {
        self.0.get(name)
    }

    /// The text of a key, if some source sets it to something.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)
            .map(|setting| setting.value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The stronger of two keys that mean the same; `first` where they are equally strong.
    pub(crate) fn stronger(&self, first: &str, second: &str) -> Option<&Setting> {
        match (self.get(first), self.get(second)) {
            (Some(a), Some(b)) if b.origin.rank() > a.origin.rank() => Some(b),
            (Some(a), _) => Some(a),
            (None, b) => b,
        }
    }

    /// All winning values in the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.0.values()
    }

    /// Values of the registry's keys: the broker's static configuration.
    pub(crate) fn static_broker(&self) -> BTreeMap<String, String> {
        self.iter()
            .filter(|setting| local_key(&setting.name).is_none())
            .map(|setting| (setting.name.clone(), setting.value.clone()))
            .collect()
    }

    /// Adds to `failure` every key that is unknown and every value that breaks a rule.
    pub(crate) fn check(&self, failure: &mut ConfigFailure) {
        for setting in self.iter() {
            if let Err(problem) = check_one(setting) {
                failure.add(problem);
            }
        }
    }
}

fn check_one(setting: &Setting) -> Result<(), String> {
    if let Some(key) = local_key(&setting.name) {
        return (key.check)(&setting.value).map_err(|reason| setting.problem(reason));
    }
    let Some(key) = broker_key(&setting.name) else {
        return Err(unknown(setting));
    };
    match validate(key, &setting.value) {
        Ok(()) => Ok(()),
        Err(error) => Err(format!("{}: {error}", setting.origin)),
    }
}

/// What to say about a key that nobody knows.
pub(crate) fn unknown(setting: &Setting) -> String {
    let Setting { name, origin, .. } = setting;
    if let Some(default) = topic_key(name).and_then(|key| key.synonym()) {
        return format!(
            "{origin}: {name} belongs to single topics; the default of all topics is {default}"
        );
    }
    match suggestion(name) {
        Some(similar) => format!("{origin}: unknown key {name}; did you mean {similar}?"),
        None => format!("{origin}: unknown key {name}"),
    }
}

/// The known key that looks most like `name`.
pub(crate) fn suggestion(name: &str) -> Option<&'static str> {
    let wanted = name.to_ascii_lowercase().replace('_', ".");
    let known = broker_keys()
        .map(|key| key.name)
        .chain(LOCAL_KEYS.iter().map(|key| key.name));
    closest(&wanted, known)
}

/// The candidate that takes the fewest edits, unless it takes so many that it is another word.
pub(super) fn closest<'a>(
    wanted: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = (wanted.len() / EDITS_PER_CHARACTERS).max(1);
    candidates
        .map(|candidate| (strsim::osa_distance(wanted, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Whether some part of the server understands this key.
pub(crate) fn is_known(name: &str) -> bool {
    local_key(name).is_some() || broker_key(name).is_some()
}

/// A key of the process around the broker, which clients neither see nor change.
#[derive(Debug)]
struct LocalKey {
    name: &'static str,
    check: fn(&str) -> Result<(), String>,
}

fn local_key(name: &str) -> Option<&'static LocalKey> {
    LOCAL_KEYS.iter().find(|key| key.name == name)
}

const LOCAL_KEYS: &[LocalKey] = &[
    LocalKey {
        name: "cluster.id",
        check: check_cluster_id,
    },
    LocalKey {
        name: "log.format",
        check: |value| parsed::<crate::logging::LogFormat>(value),
    },
    LocalKey {
        name: "log.level",
        check: |value| crate::logging::parse_level(value).map(drop),
    },
    LocalKey {
        name: "metrics.kafka.names.enable",
        check: check_boolean,
    },
    LocalKey {
        name: "metrics.listener",
        check: |value| parsed::<super::HostPort>(value),
    },
    LocalKey {
        name: "metrics.partition.level",
        check: check_boolean,
    },
    LocalKey {
        name: "shutdown.timeout.ms",
        check: |value| parsed::<u32>(value),
    },
];

fn parsed<T: std::str::FromStr<Err: fmt::Display>>(value: &str) -> Result<(), String> {
    match value.parse::<T>() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{value:?}: {error}")),
    }
}

fn check_boolean(value: &str) -> Result<(), String> {
    let known = ["true", "false"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word));
    if known {
        Ok(())
    } else {
        Err(format!("{value:?} is neither true nor false"))
    }
}

/// The id goes into `meta.properties` and into answers as it is.
fn check_cluster_id(value: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=');
    if !value.is_empty() && value.len() <= MAX_CLUSTER_ID_BYTES && value.chars().all(legal) {
        return Ok(());
    }
    Err(format!(
        "{value:?} is not 1 to {MAX_CLUSTER_ID_BYTES} letters, digits, '-', '_', '.' and '='"
    ))
}

/// One typing mistake is forgiven for so many characters.
const EDITS_PER_CHARACTERS: usize = 4;
const MAX_CLUSTER_ID_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(line: usize) -> Origin {
        Origin::File {
            file: "f".to_owned(),
            line: Some(line),
        }
    }

    #[test]
    fn the_stronger_source_wins_in_any_order() {
        let sources = [
            (file(1), "file"),
            (Origin::Environment("KAFKA_A".to_owned()), "environment"),
            (Origin::Flag("--a"), "flag"),
        ];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut settings = Settings::default();
            for index in order {
                let (origin, value) = &sources[index];
                settings.set(Setting::new("a", value, origin.clone()));
            }
            assert_eq!(settings.text("a"), Some("flag"), "{order:?}");
        }
    }

    #[test]
    fn wrong_settings_are_named_with_their_place() {
        let check = |name: &str, value: &str, expected: Option<&str>| {
            let result = check_one(&Setting::new(name, value, file(7)));
            match expected {
                None => assert_eq!(result, Ok(()), "{name}={value}"),
                Some(part) => {
                    let message = result.expect_err(name);
                    assert!(message.starts_with("f:7: "), "{message}");
                    assert!(message.contains(part), "{message}");
                }
            }
        };
        check("num.partitions", " 3 ", None);
        check("listener.name.external.ssl.client.auth", "required", None);
        check("log.format", "json", None);
        check("cluster.id", "4L6g3nShT-eMCtK--X86sw", None);
        check("num.partitions", "zero", Some("num.partitions"));
        check("num.partitions", "0", Some("num.partitions"));
        check("num.partition", "3", Some("did you mean num.partitions?"));
        check("NUM_PARTITIONS", "3", Some("did you mean num.partitions?"));
        check("log.fromat", "json", Some("did you mean log.format?"));
        check(
            "retention.ms",
            "1",
            Some("the default of all topics is log.retention.ms"),
        );
        check(
            "completely.different",
            "1",
            Some("unknown key completely.different"),
        );
        check("log.format", "xml", Some("xml"));
        check("shutdown.timeout.ms", "-1", Some("shutdown.timeout.ms"));
        check("metrics.kafka.names.enable", "yes", Some("yes"));
        check("cluster.id", "a b", Some("a b"));
        check("cluster.id", "", Some("cluster.id"));
    }

    #[test]
    fn secrets_are_not_printed() {
        let setting = Setting::new("ssl.key.password", "hunter2", file(1));
        assert!(!format!("{setting:?}").contains("hunter2"));
    }
}
