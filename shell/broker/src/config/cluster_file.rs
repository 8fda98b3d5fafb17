//! The cluster file: TOML, one per node.
//!
//! Each of its keys stands for a Kafka key, so that everything after this file knows one set of
//! names. `[config]` takes Kafka's own names.

use serde::Deserialize;
use toml::{Table, Value};

use super::HostPort;
use super::failure::ConfigFailure;
use super::settings::{Origin, Setting, closest};

/// What a cluster file says.
#[derive(Debug)]
pub(super) struct ClusterFile {
    /// Its values under Kafka's names.
    pub(super) settings: Vec<Setting>,
    /// What an operator should know, such as addresses that are not used yet.
    pub(super) notes: Vec<String>,
}

/// Reads the text of the file that people call `file`.
///
/// # Errors
/// It is not TOML, has unknown or mistyped keys, contradicts itself, or describes more than one
/// node.
pub(super) fn read(file: &str, text: &str) -> Result<ClusterFile, ConfigFailure> {
    let mistyped = |error: toml::de::Error| {
        let line = error.span().map(|span| line_of(text, span.start));
        let line = line.map(|line| format!(":{line}")).unwrap_or_default();
        ConfigFailure::invalid(format!(
            "{file}{line}: {}",
            error.message().replace('\n', " ")
        ))
    };
    let table: Table = toml::from_str(text).map_err(mistyped)?;
    let mut failure = ConfigFailure::default();
    check_names(file, &table, &mut failure);
    failure.unless_any(())?;
    let parsed: Parsed = toml::from_str(text).map_err(mistyped)?;
    translate(file, &parsed)
}

#[derive(Debug, Deserialize)]
struct Parsed {
    node_id: Option<i32>,
    cluster_id: Option<String>,
    data_dir: Option<String>,
    log_level: Option<String>,
    rack: Option<String>,
    replication_factor: Option<i16>,
    min_insync_replicas: Option<i32>,
    #[serde(default)]
    bind: Addresses,
    #[serde(default)]
    advertise: Addresses,
    #[serde(default)]
    peers: Vec<Peer>,
    #[serde(default)]
    config: Table,
}

#[derive(Debug, Default, Deserialize)]
struct Addresses {
    kafka: Option<String>,
    wal: Option<String>,
    raft: Option<String>,
    metrics: Option<String>,
    search: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Peer {
    id: i32,
    #[serde(flatten)]
    addresses: Addresses,
}

fn translate(file: &str, parsed: &Parsed) -> Result<ClusterFile, ConfigFailure> {
    let mut failure = ConfigFailure::default();
    check_peers(file, parsed, &mut failure);
    check_addresses(file, parsed, &mut failure);
    let origin = Origin::File {
        file: file.to_owned(),
        line: None,
    };
    let mut settings = Vec::new();
    let mut set = |name: &str, value: Option<String>| {
        settings.extend(value.map(|value| Setting::new(name, &value, origin.clone())));
    };
    set("node.id", parsed.node_id.map(|id| id.to_string()));
    set("cluster.id", parsed.cluster_id.clone());
    set("log.dirs", parsed.data_dir.clone());
    set("log.level", parsed.log_level.clone());
    set("broker.rack", parsed.rack.clone());
    set(
        "default.replication.factor",
        parsed.replication_factor.map(|count| count.to_string()),
    );
    set(
        "min.insync.replicas",
        parsed.min_insync_replicas.map(|count| count.to_string()),
    );
    set("metrics.listener", parsed.bind.metrics.clone());
    set("listeners", parsed.bind.kafka.as_deref().map(plaintext));
    set("advertised.listeners", advertised(parsed).map(plaintext));
    let mut own = Vec::new();
    flatten("", &parsed.config, &origin, &mut own, &mut failure);
    for setting in &own {
        if settings.iter().any(|earlier| earlier.name == setting.name) {
            failure.add(setting.problem("it is set twice, under this name and another"));
        }
    }
    settings.append(&mut own);
    failure.unless_any(ClusterFile {
        settings,
        notes: notes(file, parsed),
    })
}

fn plaintext(address: &str) -> String {
    format!("PLAINTEXT://{address}")
}

/// What others are told: `[advertise]`, or what the list of peers says of this node.
fn advertised(parsed: &Parsed) -> Option<&str> {
    let listed = || {
        parsed
            .peers
            .first()
            .and_then(|peer| peer.addresses.kafka.as_deref())
    };
    parsed.advertise.kafka.as_deref().or_else(listed)
}

fn check_peers(file: &str, parsed: &Parsed, failure: &mut ConfigFailure) {
    match (parsed.peers.as_slice(), parsed.node_id) {
        ([], _) | ([_], None) => {}
        ([peer], Some(node_id)) if peer.id == node_id => {}
        ([peer], Some(node_id)) => failure.add(format!(
            "{file}: node_id is {node_id}, but the only one of [[peers]] has id {}",
            peer.id
        )),
        (peers, _) => failure.add_not_built(format!(
            "{file}: clusters are not built yet, and [[peers]] lists {} nodes: keep this node \
             alone in it to run a single server",
            peers.len()
        )),
    }
}

fn check_addresses(file: &str, parsed: &Parsed, failure: &mut ConfigFailure) {
    let peers = parsed.peers.iter().map(|peer| ("peers", &peer.addresses));
    let tables = [("bind", &parsed.bind), ("advertise", &parsed.advertise)];
    for (table, addresses) in tables.into_iter().chain(peers) {
        for (name, address) in addresses.named() {
            if let Err(reason) = address.parse::<HostPort>() {
                failure.add(format!("{file}: {table}.{name}: {reason}"));
            }
        }
    }
    if parsed.bind.search.is_some() {
        failure.add_not_built(format!(
            "{file}: full-text search is not built yet: remove bind.search"
        ));
    }
}

impl Addresses {
    fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("kafka", &self.kafka),
            ("wal", &self.wal),
            ("raft", &self.raft),
            ("metrics", &self.metrics),
            ("search", &self.search),
        ];
        all.into_iter()
            .filter_map(|(name, address)| Some((name, address.as_deref()?)))
    }
}

fn notes(file: &str, parsed: &Parsed) -> Vec<String> {
    let unused: Vec<String> = parsed
        .bind
        .named()
        .filter(|(name, _)| matches!(*name, "wal" | "raft"))
        .map(|(name, _)| format!("bind.{name}"))
        .collect();
    if unused.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "{file}: {} wait for clusters and are not used yet",
        unused.join(" and ")
    )]
}

/// Turns nested tables into dotted names: `[config.num]` with `partitions` is `num.partitions`.
fn flatten(
    prefix: &str,
    table: &Table,
    origin: &Origin,
    settings: &mut Vec<Setting>,
    failure: &mut ConfigFailure,
) {
    for (key, value) in table {
        let name = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        if let Value::Table(inner) = value {
            flatten(&name, inner, origin, settings, failure);
        } else if let Some(text) = scalar(value) {
            settings.push(Setting::new(&name, &text, origin.clone()));
        } else {
            failure.add(format!(
                "{origin}: config.{name}: write a text, a number or a list"
            ));
        }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Array(items) => items
            .iter()
            .map(scalar)
            .collect::<Option<Vec<_>>>()
            .map(|items| items.join(",")),
        Value::Datetime(_) | Value::Table(_) => None,
    }
}

fn check_names(file: &str, table: &Table, failure: &mut ConfigFailure) {
    check_table(file, "", table, TOP_NAMES, failure);
    for name in ["bind", "advertise"] {
        if let Some(Value::Table(inner)) = table.get(name) {
            check_table(file, &format!("{name}."), inner, ADDRESS_NAMES, failure);
        }
    }
    if let Some(Value::Array(peers)) = table.get("peers") {
        for peer in peers.iter().filter_map(Value::as_table) {
            check_table(file, "peers.", peer, PEER_NAMES, failure);
        }
    }
}

fn check_table(
    file: &str,
    path: &str,
    table: &Table,
    known: &'static [&'static str],
    failure: &mut ConfigFailure,
) {
    for name in table.keys().filter(|name| !known.contains(&name.as_str())) {
        let similar = closest(&name.to_ascii_lowercase(), known.iter().copied());
        failure.add(match similar {
            Some(similar) => {
                format!("{file}: unknown key {path}{name}; did you mean {path}{similar}?")
            }
            None if path.is_empty() && name.contains('.') => {
                format!("{file}: unknown key {name}; Kafka's keys go into [config]")
            }
            None => format!(
                "{file}: unknown key {path}{name}; known are {}",
                known.join(", ")
            ),
        });
    }
}

/// Number of the line that holds the byte at `position`.
fn line_of(text: &str, position: usize) -> usize {
    text.bytes()
        .take(position)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

const TOP_NAMES: &[&str] = &[
    "node_id",
    "cluster_id",
    "data_dir",
    "log_level",
    "rack",
    "replication_factor",
    "min_insync_replicas",
    "bind",
    "advertise",
    "peers",
    "config",
];
const ADDRESS_NAMES: &[&str] = &["kafka", "wal", "raft", "metrics", "search"];
const PEER_NAMES: &[&str] = &["id", "kafka", "wal", "raft"];

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = r#"
        node_id = 1
        replication_factor = 3
        min_insync_replicas = 2
        [bind]
        kafka = "0.0.0.0:9092"
        wal   = "0.0.0.0:9291"
        raft  = "0.0.0.0:5001"
        [advertise]
        kafka = "localhost:9092"
        wal   = "localhost:9291"
        raft  = "localhost:5001"
    "#;
    const PEER: &str = r#"
        [[peers]]
        id = 1
        kafka = "example.org:9092"
        wal   = "localhost:9291"
        raft  = "localhost:5001"
    "#;

    fn values(text: &str) -> Vec<(String, String)> {
        let file = read("n.toml", text).unwrap();
        file.settings
            .into_iter()
            .map(|setting| (setting.name, setting.value))
            .collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn keys_become_kafkas() {
        let expected = pairs(&[
            ("node.id", "1"),
            ("default.replication.factor", "3"),
            ("min.insync.replicas", "2"),
            ("listeners", "PLAINTEXT://0.0.0.0:9092"),
            ("advertised.listeners", "PLAINTEXT://localhost:9092"),
        ]);
        assert_eq!(values(NODE), expected);
        assert_eq!(values(&format!("{NODE}{PEER}")), expected);
        assert_eq!(read("n.toml", NODE).unwrap().notes.len(), 1);
    }

    #[test]
    fn kafkas_own_names_go_into_config() {
        let text = r#"
            [config]
            "num.partitions" = 4
            log.retention.ms = "1000"
            auto.create.topics.enable = false
            "super.users" = ["User:a", "User:b"]
        "#;
        let mut found = values(text);
        found.sort();
        let expected = pairs(&[
            ("auto.create.topics.enable", "false"),
            ("log.retention.ms", "1000"),
            ("num.partitions", "4"),
            ("super.users", "User:a,User:b"),
        ]);
        assert_eq!(found, expected);
    }

    #[test]
    fn the_only_peer_says_what_to_advertise() {
        let found = values(&format!("node_id = 1\n{PEER}"));
        let expected = pairs(&[
            ("node.id", "1"),
            ("advertised.listeners", "PLAINTEXT://example.org:9092"),
        ]);
        assert_eq!(found, expected);
    }

    #[test]
    fn mistakes_are_named() {
        let check = |text: &str, status: u8, part: &str| {
            let failure = read("n.toml", text).expect_err(part);
            let message = failure.to_string();
            assert!(message.starts_with("n.toml"), "{message}");
            assert!(message.contains(part), "{message}");
            assert_eq!(failure.exit_status(), status, "{message}");
        };
        let two = format!("node_id = 1\n{PEER}{}", PEER.replace("id = 1", "id = 2"));
        check(&two, 2, "clusters are not built yet");
        check(
            "[bind]\nsearch = \"0.0.0.0:6080\"",
            2,
            "search is not built yet",
        );
        check(&format!("node_id = 2\n{PEER}"), 78, "node_id is 2");
        check("nod_id = 1", 78, "did you mean node_id?");
        check("[bind]\nkafak = \"a:1\"", 78, "did you mean bind.kafka?");
        check(
            "[[peers]]\nid = 1\nwall = \"a:1\"",
            78,
            "did you mean peers.wal?",
        );
        check("\"num.partitions\" = 1", 78, "[config]");
        check("colour = 1", 78, "known are");
        check("\nnode_id = \"one\"", 78, "n.toml:2: ");
        check("\n\nnode_id = ", 78, "n.toml:3: ");
        check("[bind]\nkafka = \"9092\"", 78, "bind.kafka");
        check(
            "[config]\nnum.partitions = 1979-05-27",
            78,
            "config.num.partitions",
        );
        check("node_id = 1\n[config]\n\"node.id\" = 2", 78, "set twice");
    }
}
