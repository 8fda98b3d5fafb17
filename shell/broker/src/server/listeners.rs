//! The sockets that clients connect to.

use std::net::TcpListener as StdListener;

use super::Failure;
use crate::config::{Listener, ServerConfig};

/// Binds every listener, and puts the ports that were bound into the configuration.
pub(super) fn bind(config: &mut ServerConfig) -> Result<Vec<StdListener>, Failure> {
    let mut bound = Vec::new();
    let mut ports = Vec::new();
    for Listener { bind, .. } in &config.listeners {
        let in_use = |error: std::io::Error| {
            Failure::new(
                Failure::PORT_IN_USE,
                format!(
                    "E0107 cannot listen on {bind}: {error}. Stop what listens there, or choose another port with --kafka-port."
                ),
            )
        };
        let addresses = bind.bind_addresses().map_err(in_use)?;
        let listener = listen(
            &addresses,
            config.static_broker.get("socket.listen.backlog.size"),
        );
        let listener = listener.map_err(in_use)?;
        ports.push(listener.local_addr().map_err(in_use)?.port());
        bound.push(listener);
    }
    config.bound(&ports);
    Ok(bound)
}

/// Listens on the first address that works, with a backlog that survives a burst of connections.
fn listen(
    addresses: &[std::net::SocketAddr],
    backlog: Option<&String>,
) -> std::io::Result<StdListener> {
    const DEFAULT_BACKLOG: i32 = 1024;
    let backlog = backlog
        .and_then(|value| value.parse().ok())
        .unwrap_or(DEFAULT_BACKLOG);
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        let attempt = || {
            let domain = socket2::Domain::for_address(*address);
            let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            if address.is_ipv6() {
                // One socket for both families, as the wildcard of IPv6 is meant here.
                socket.set_only_v6(false)?;
            }
            socket.bind(&(*address).into())?;
            socket.listen(backlog.max(DEFAULT_BACKLOG))?;
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
