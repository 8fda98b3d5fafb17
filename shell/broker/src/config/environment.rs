//! Environment variables.
//!
//! `KAFKA_NUM_PARTITIONS` is `num.partitions`: one underscore is a dot, two are an underscore, three
//! a dash. `CHRONIK_` works the same, and finds keys that begin with `chronik.` too. A name with
//! `_FILE` behind it reads the value from that file, for secrets.

use std::io;
use std::path::{Path, PathBuf};

use super::Advertise;
use super::failure::ConfigFailure;
use super::settings::{Origin, Setting, is_known, suggestion, unknown};

/// What the environment says.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// Values under Kafka's names.
    pub(super) settings: Vec<Setting>,
    /// Stands in for `--config`.
    pub(super) config: Option<PathBuf>,
    /// Stands in for `--kafka-port`.
    pub(super) kafka_port: Option<u16>,
    /// Stands in for `--metrics-port`.
    pub(super) metrics_port: Option<u16>,
    /// Stands in for `--search-port`.
    pub(super) search_port: Option<u16>,
    /// Stands in for `--advertise`.
    pub(super) advertise: Option<Advertise>,
    /// Variables that were not understood.
    pub(super) warnings: Vec<String>,
}

/// Reads `variables`, of which only those with our names count; `read_file` is asked for the files
/// behind `_FILE`.
///
/// # Errors
/// A value of ours can not be read. Unknown variables are only warned of: the environment belongs
/// to others as well.
pub(super) fn read(
    variables: &[(String, String)],
    read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<Environment, ConfigFailure> {
    let mut environment = Environment::default();
    let mut failure = ConfigFailure::default();
    for (name, value) in variables {
        let ours = name == "CLUSTER_ID" || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if !ours || value.trim().is_empty() || is_foreign(name, value) {
            continue;
        }
        let taken = match special(&mut environment, name, value.trim()) {
            Some(taken) => taken,
            None => general(&mut environment, name, value, read_file),
        };
        if let Err(reason) = taken {
            failure.add(format!("environment variable {name}: {reason}"));
        }
    }
    failure.unless_any(environment)
}

/// Variables with a meaning of their own; `None` for all others.
fn special(environment: &mut Environment, name: &str, value: &str) -> Option<Result<(), String>> {
    let mut set = |key: &str| {
        let origin = Origin::Environment(name.to_owned());
        environment.settings.push(Setting::new(key, value, origin));
        Ok(())
    };
    Some(match name {
        "CLUSTER_ID" => set("cluster.id"),
        "CHRONIK_DATA_DIR" => set("log.dirs"),
        "CHRONIK_LOG" => set("log.level"),
        "CHRONIK_CONFIG" => {
            environment.config = Some(PathBuf::from(value));
            Ok(())
        }
        "CHRONIK_KAFKA_PORT" => port(value).map(|port| environment.kafka_port = Some(port)),
        "CHRONIK_METRICS_PORT" => port(value).map(|port| environment.metrics_port = Some(port)),
        "CHRONIK_SEARCH_PORT" => port(value).map(|port| environment.search_port = Some(port)),
        "CHRONIK_ADVERTISE" => value
            .parse()
            .map(|advertise| environment.advertise = Some(advertise)),
        _ => return None,
    })
}

fn port(value: &str) -> Result<u16, String> {
    value
        .parse()
        .map_err(|_bad| format!("{value:?} is not a port from 0 to 65535"))
}

fn general(
    environment: &mut Environment,
    name: &str,
    value: &str,
    read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<(), String> {
    let origin = Origin::Environment(name.to_owned());
    if let Some(key) = known_key(name) {
        environment.settings.push(Setting::new(&key, value, origin));
    } else if let Some(key) = name.strip_suffix("_FILE").and_then(known_key) {
        let content = read_file(Path::new(value)).map_err(|error| format!("{value}: {error}"))?;
        let text = String::from_utf8(content)
            .map_err(|_bad| format!("{value} holds something other than text"))?;
        environment.settings.push(Setting::new(&key, &text, origin));
    } else {
        let key = keys(name).pop().unwrap_or_default();
        let nameless = unknown(&Setting::new(&key, "", origin));
        let end = if suggestion(&key).is_some() {
            ""
        } else {
            "; it has no effect"
        };
        environment.warnings.push(format!("{nameless}{end}"));
    }
    Ok(())
}

fn known_key(name: &str) -> Option<String> {
    keys(name).into_iter().find(|key| is_known(key))
}

/// The keys that a variable can mean, the likeliest last.
fn keys(name: &str) -> Vec<String> {
    match (name.strip_prefix("KAFKA_"), name.strip_prefix("CHRONIK_")) {
        (Some(rest), _) => vec![key(rest)],
        (None, Some(rest)) => vec![format!("chronik.{}", key(rest)), key(rest)],
        (None, None) => Vec::new(),
    }
}

fn key(rest: &str) -> String {
    rest.to_ascii_lowercase()
        .replace("___", "-")
        .replace("__", "\u{0}")
        .replace('_', ".")
        .replace('\u{0}', "_")
}

/// Variables with our prefix that other programs set: the JVM scripts of Kafka's images, and
/// Kubernetes, which describes every service called `kafka` or `chronik` by such names.
fn is_foreign(name: &str, value: &str) -> bool {
    let of_kubernetes = value.starts_with("tcp://")
        || value.starts_with("udp://")
        || name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.contains("_TCP_")
        || name.contains("_UDP_");
    let of_scripts =
        |rest: &str| FOREIGN.contains(&rest) || FOREIGN_ENDS.iter().any(|end| rest.ends_with(end));
    // The client commands read the brokers.
    of_kubernetes
        || name == "CHRONIK_BROKERS"
        || name.strip_prefix("KAFKA_").is_some_and(of_scripts)
}

const PREFIXES: [&str; 2] = ["KAFKA_", "CHRONIK_"];
const FOREIGN: &[&str] = &[
    "BASE_DIR",
    "CFG_FILE",
    "CONF_DIR",
    "DATA_DIR",
    "DEBUG",
    "DIR",
    "GROUP",
    "HOME",
    "JMX_HOSTNAME",
    "JMX_PORT",
    "KERBEROS_PARAMS",
    "LOG4J_LOGGERS",
    "LOG4J_ROOT_LOGLEVEL",
    "MODE",
    "TOOLS_LOG4J_LOGLEVEL",
    "URL",
    "USER",
    "VERSION",
];
const FOREIGN_ENDS: &[&str] = &["OPTS", "OPTIONS", "_CREDENTIALS"];

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Result<Environment, ConfigFailure> {
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        read(&variables, &|path| match path.to_str() {
            Some("/secret") => Ok(b"hunter2\n".to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        })
    }

    #[test]
    fn names_become_keys() {
        let check = |name: &str, value: &str, expected: Option<(&str, &str)>| {
            let found = environment(&[(name, value)]).unwrap();
            let first = found.settings.first();
            let pair = first.map(|setting| (setting.name.as_str(), setting.value.as_str()));
            assert_eq!(pair, expected, "{name}");
            assert!(found.warnings.is_empty(), "{:?}", found.warnings);
        };
        check("KAFKA_NUM_PARTITIONS", "3", Some(("num.partitions", "3")));
        check(
            "CHRONIK_NUM_PARTITIONS",
            " 3 ",
            Some(("num.partitions", "3")),
        );
        check(
            "CHRONIK_MEMORY_BYTES",
            "1",
            Some(("chronik.memory.bytes", "1")),
        );
        check(
            "KAFKA_CHRONIK_MEMORY_BYTES",
            "1",
            Some(("chronik.memory.bytes", "1")),
        );
        check("CHRONIK_NODE_ID", "2", Some(("node.id", "2")));
        check("CLUSTER_ID", "abc", Some(("cluster.id", "abc")));
        check("CHRONIK_LOG", "debug", Some(("log.level", "debug")));
        check("CHRONIK_LOG_FORMAT", "json", Some(("log.format", "json")));
        check("CHRONIK_DATA_DIR", "/d", Some(("log.dirs", "/d")));
        check(
            "KAFKA_LISTENER_NAME_INTERNAL_SCRAM___SHA___256_SASL_JAAS_CONFIG",
            "x",
            Some(("listener.name.internal.scram-sha-256.sasl.jaas.config", "x")),
        );
        check(
            "KAFKA_SSL_KEY_PASSWORD_FILE",
            "/secret",
            Some(("ssl.key.password", "hunter2")),
        );
        check("KAFKA_NUM_PARTITIONS", "", None);
        check("KAFKA_HEAP_OPTS", "-Xmx1G", None);
        check("KAFKA_HOME", "/opt/kafka", None);
        check("KAFKA_PORT", "tcp://10.0.0.1:9092", None);
        check("CHRONIK_KAFKA_PORT", "tcp://10.0.0.1:9092", None);
        check("KAFKA_PORT_9092_TCP_ADDR", "10.0.0.1", None);
        check("CHRONIK_SERVICE_HOST", "10.0.0.1", None);
        check("HOME", "/root", None);
        check("KAFKANUM_PARTITIONS", "3", None);
    }

    #[test]
    fn flags_have_variables() {
        let found = environment(&[
            ("CHRONIK_KAFKA_PORT", "9192"),
            ("CHRONIK_METRICS_PORT", "0"),
            ("CHRONIK_SEARCH_PORT", "6080"),
            ("CHRONIK_ADVERTISE", "example.org"),
            ("CHRONIK_CONFIG", "/etc/chronik/server.properties"),
        ])
        .unwrap();
        let ports = (found.kafka_port, found.metrics_port, found.search_port);
        assert_eq!(ports, (Some(9192), Some(0), Some(6080)));
        assert_eq!(found.advertise, "example.org".parse().ok());
        assert_eq!(
            found.config.as_deref(),
            Some(Path::new("/etc/chronik/server.properties"))
        );
        assert!(found.settings.is_empty());
    }

    #[test]
    fn unknown_variables_are_only_warned_of() {
        let check = |name: &str, part: &str| {
            let found = environment(&[(name, "1")]).unwrap();
            let [warning] = found.warnings.as_slice() else {
                panic!("{found:?}")
            };
            assert!(
                warning.contains(name) && warning.contains(part),
                "{warning}"
            );
        };
        check("KAFKA_NUM_PARTITION", "did you mean num.partitions?");
        check("CHRONIK_NUM_PARTITION", "did you mean num.partitions?");
        check("KAFKA_CREATE_TOPICS", "it has no effect");
    }

    #[test]
    fn unreadable_values_are_refused() {
        let check = |name: &str, value: &str, part: &str| {
            let message = environment(&[(name, value)]).expect_err(name).to_string();
            assert!(
                message.contains(name) && message.contains(part),
                "{message}"
            );
        };
        check("CHRONIK_KAFKA_PORT", "http", "not a port");
        check("CHRONIK_ADVERTISE", "0.0.0.0", "0.0.0.0");
        check("KAFKA_SSL_KEY_PASSWORD_FILE", "/missing", "/missing");
    }
}
