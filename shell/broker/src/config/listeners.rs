//! `listeners`, `advertised.listeners` and the keys around them, read as Kafka reads them.

use std::collections::{BTreeMap, BTreeSet};

use super::failure::ConfigFailure;
use super::settings::{Setting, Settings};
use super::{Advertise, HostPort};

/// An address that clients connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listener {
    /// Name in capitals, such as `PLAINTEXT`.
    pub(crate) name: String,
    /// What to listen on.
    pub(crate) bind: HostPort,
    /// What clients of this listener are told; port 0 until the socket is bound.
    pub(crate) advertised: HostPort,
    /// Whether nobody said what to advertise and `localhost` stands in for a wildcard, so that only
    /// clients on this machine can connect.
    pub(crate) local_only: bool,
}

/// What flags and their variables say about the first listener; it beats every file.
#[derive(Debug, Clone, Default)]
pub(super) struct Overrides {
    /// Port to listen on.
    pub(super) kafka_port: Option<u16>,
    /// What clients are told.
    pub(super) advertise: Option<Advertise>,
}

/// The listeners for clients, at least one, in the order in which they are written.
///
/// # Errors
/// The addresses can not be read, contradict each other, can not be connected to, or ask for a
/// security protocol that does not exist yet.
pub(super) fn resolve(
    settings: &Settings,
    overrides: &Overrides,
    notes: &mut Vec<String>,
) -> Result<Vec<Listener>, ConfigFailure> {
    let mut failure = ConfigFailure::default();
    let protocols = Protocols::of(settings, &mut failure);
    let bound = bound(
        settings,
        &protocols,
        overrides.kafka_port,
        notes,
        &mut failure,
    );
    let advertised = advertised(settings, &protocols, &bound, &mut failure);
    let mut listeners: Vec<Listener> = bound
        .iter()
        .map(|bound| listener(bound, advertised.get(&bound.endpoint.name)))
        .collect();
    if let (Some(first), Some(advertise)) = (listeners.first_mut(), &overrides.advertise) {
        let port = advertise.port.unwrap_or(first.bind.port);
        first.advertised = HostPort::new(&advertise.host, port);
        first.local_only = false;
    }
    failure.unless_any(listeners)
}

/// `NAME://host:port`
#[derive(Debug, Clone, PartialEq, Eq)]
struct Endpoint {
    name: String,
    address: HostPort,
}

/// A listener whose port may have been replaced by a flag.
#[derive(Debug)]
struct Bound {
    endpoint: Endpoint,
    /// Port before it was replaced.
    written_port: u16,
}

fn listener(bound: &Bound, advertised: Option<&HostPort>) -> Listener {
    let Endpoint { name, address } = &bound.endpoint;
    let advertised_address = match advertised {
        // A port that is the same inside and outside stays the same when a flag moves it.
        Some(said) if said.port == bound.written_port => HostPort::new(&said.host, address.port),
        Some(said) => said.clone(),
        None if address.is_wildcard() => HostPort::new("localhost", address.port),
        None => address.clone(),
    };
    Listener {
        name: name.clone(),
        bind: address.clone(),
        advertised: advertised_address,
        local_only: advertised.is_none() && address.is_wildcard(),
    }
}

fn bound(
    settings: &Settings,
    protocols: &Protocols,
    port: Option<u16>,
    notes: &mut Vec<String>,
    failure: &mut ConfigFailure,
) -> Vec<Bound> {
    let mut listeners = Vec::new();
    for endpoint in endpoints(settings, "listeners", DEFAULT_LISTENERS, failure) {
        if protocols.is_controller(&endpoint.name) {
            notes.push(format!(
                "listener {} serves the controller quorum, which a single server does not need: \
                 it stays closed",
                endpoint.name
            ));
            continue;
        }
        protocols.check(&endpoint.name, failure);
        let written_port = endpoint.address.port;
        listeners.push(Bound {
            endpoint,
            written_port,
        });
    }
    match (listeners.first_mut(), port) {
        (Some(first), Some(port)) => first.endpoint.address.port = port,
        (Some(_), None) => {}
        (None, _) => failure.add("listeners: no listener for clients is left"),
    }
    check_distinct(&listeners, failure);
    listeners
}

fn check_distinct(listeners: &[Bound], failure: &mut ConfigFailure) {
    let mut names = BTreeSet::new();
    let mut by_port: BTreeMap<u16, Vec<&HostPort>> = BTreeMap::new();
    for Endpoint { name, address } in listeners.iter().map(|bound| &bound.endpoint) {
        if !names.insert(name) {
            failure.add(format!("listeners: there are two listeners called {name}"));
        }
        if address.port != 0 {
            by_port.entry(address.port).or_default().push(address);
        }
    }
    for (port, addresses) in by_port {
        let distinct = match addresses.as_slice() {
            [_] => true,
            // As in Kafka, one may be for IPv4 and the other for IPv6.
            [one, other] => one.is_ipv4() && other.is_ipv6() || one.is_ipv6() && other.is_ipv4(),
            _ => false,
        };
        if !distinct {
            failure.add(format!(
                "listeners: two listeners have port {port}: give each a port of its own"
            ));
        }
    }
}

fn advertised(
    settings: &Settings,
    protocols: &Protocols,
    bound: &[Bound],
    failure: &mut ConfigFailure,
) -> BTreeMap<String, HostPort> {
    let mut addresses = BTreeMap::new();
    for Endpoint { name, address } in endpoints(settings, ADVERTISED, "", failure) {
        if protocols.is_controller(&name) {
            continue;
        }
        if address.is_wildcard() {
            failure.add(format!(
                "{ADVERTISED}: clients can not connect to {name}://{address}: write a name or \
                 address of this machine"
            ));
        }
        if !bound.iter().any(|bound| bound.endpoint.name == name) {
            failure.add(format!(
                "{ADVERTISED} names {name}, which listeners does not have"
            ));
        }
        if addresses.insert(name.clone(), address).is_some() {
            failure.add(format!("{ADVERTISED} names {name} twice"));
        }
    }
    addresses
}

fn endpoints(
    settings: &Settings,
    key: &str,
    default: &str,
    failure: &mut ConfigFailure,
) -> Vec<Endpoint> {
    let mut found = Vec::new();
    for item in items(settings.text(key).unwrap_or(default)) {
        match endpoint(item) {
            Ok(endpoint) => found.push(endpoint),
            Err(reason) => failure.add(match settings.get(key) {
                Some(setting) => setting.problem(reason),
                None => reason,
            }),
        }
    }
    found
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    let form = || format!("{text:?} is not NAME://HOST:PORT");
    let (name, address) = text.split_once("://").ok_or_else(form)?;
    if name.is_empty() {
        return Err(form());
    }
    let address = address
        .parse()
        .map_err(|reason: String| format!("{text:?}: {reason}"))?;
    Ok(Endpoint {
        name: name.to_ascii_uppercase(),
        address,
    })
}

/// Which listener speaks what, and which ones belong to the controller.
#[derive(Debug)]
struct Protocols {
    by_listener: BTreeMap<String, String>,
    controllers: Vec<String>,
}

impl Protocols {
    fn of(settings: &Settings, failure: &mut ConfigFailure) -> Self {
        let controllers = match settings.text("controller.listener.names") {
            Some(names) => items(names).map(str::to_ascii_uppercase).collect(),
            None => vec!["CONTROLLER".to_owned()],
        };
        let by_listener = match settings.get(PROTOCOL_MAP) {
            Some(setting) => protocol_map(setting, failure),
            None => PROTOCOLS
                .iter()
                .map(|name| (name.to_string(), name.to_string()))
                .collect(),
        };
        Self {
            by_listener,
            controllers,
        }
    }

    fn is_controller(&self, listener: &str) -> bool {
        self.controllers.iter().any(|name| name == listener)
    }

    fn check(&self, listener: &str, failure: &mut ConfigFailure) {
        match self.by_listener.get(listener).map(String::as_str) {
            Some("PLAINTEXT") => {}
            Some(protocol) => failure.add_not_built(format!(
                "listener {listener}: {protocol} is not built yet, only PLAINTEXT is"
            )),
            None => failure.add(format!(
                "listener {listener} has no security protocol: add {listener}:PLAINTEXT to \
                 {PROTOCOL_MAP}"
            )),
        }
    }
}

fn protocol_map(setting: &Setting, failure: &mut ConfigFailure) -> BTreeMap<String, String> {
    let mut map = BTreeMap::new();
    for item in items(&setting.value) {
        let Some((name, protocol)) = item.split_once(':') else {
            failure.add(setting.problem(format!("{item:?} is not NAME:PROTOCOL")));
            continue;
        };
        let (name, protocol) = (name.trim().to_ascii_uppercase(), protocol.trim());
        let protocol = protocol.to_ascii_uppercase();
        if !PROTOCOLS.contains(&protocol.as_str()) {
            failure
                .add(setting.problem(format!("{protocol:?} is none of {}", PROTOCOLS.join(", "))));
        }
        map.insert(name, protocol);
    }
    map
}

/// Items of a list, which are separated by commas.
pub(super) fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

const ADVERTISED: &str = "advertised.listeners";
const PROTOCOL_MAP: &str = "listener.security.protocol.map";
const DEFAULT_LISTENERS: &str = "PLAINTEXT://:9092";
const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];

#[cfg(test)]
#[path = "listeners_tests.rs"]
mod tests;
