//! The sockets that clients connect to.

use std::net::TcpListener as StdListener;

use super::Failure;
use crate::config::{HostPort, Listener, ServerConfig};

/// Connections that may wait to be accepted, whatever `socket.listen.backlog.size` says.
const MIN_BACKLOG: i32 = 1024;

/// Binds every listener, and puts the ports that were bound into the configuration.
pub(super) fn bind(config: &mut ServerConfig) -> Result<Vec<StdListener>, Failure> {
    let backlog = config.static_broker.get("socket.listen.backlog.size");
    let backlog = backlog.and_then(|value| value.parse().ok());
    let backlog = backlog.unwrap_or(MIN_BACKLOG).max(MIN_BACKLOG);
    let mut bound = Vec::new();
    let mut ports = Vec::new();
    for (index, Listener { name, bind, .. }) in config.listeners.iter().enumerate() {
        let in_use = |error: std::io::Error| {
            let remedy = if index == 0 {
                "with --kafka-port".to_owned()
            } else {
                format!("for {name} in listeners")
            };
            Failure::new(
                Failure::PORT_IN_USE,
                format!(
                    "E0107 cannot listen on {bind}: {error}. Stop what listens there, or choose another port {remedy}."
                ),
            )
        };
        let listener = listen(bind, backlog, shares_port(bind, &config.listeners));
        let listener = listener.map_err(in_use)?;
        ports.push(listener.local_addr().map_err(in_use)?.port());
        bound.push(listener);
    }
    config.bound(&ports);
    Ok(bound)
}

/// Whether another listener has the same port, for the other family of addresses.
fn shares_port(address: &HostPort, listeners: &[Listener]) -> bool {
    let same = |other: &&Listener| address.port != 0 && other.bind.port == address.port;
    listeners.iter().filter(same).count() > 1
}

/// Listens on the first address that works.
fn listen(bind: &HostPort, backlog: i32, shares_port: bool) -> std::io::Result<StdListener> {
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for address in bind.bind_addresses()? {
        let attempt = || {
            let domain = socket2::Domain::for_address(address);
            let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            if address.is_ipv6() {
                // One socket for both families, as the wildcard of IPv6 is meant here, unless a
                // listener of its own is there for IPv4.
                socket.set_only_v6(shares_port)?;
            }
            socket.bind(&address.into())?;
            socket.listen(backlog)?;
            socket.set_nonblocking(true)?;
            Ok(StdListener::from(socket))
        };
        match attempt() {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}
