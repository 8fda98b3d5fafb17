//! Hosts and ports as people write them.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// A host and a port. An empty host means every address of the machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostPort {
    /// Name or address; an IPv6 address stands here without brackets.
    pub(crate) host: String,
    /// Port; 0 where the operating system is to choose.
    pub(crate) port: u16,
}

impl HostPort {
    /// `host` as it is, for callers that know it to be one.
    pub(crate) fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
        }
    }

    /// Whether this means every address of the machine, which nobody can connect to.
    pub(crate) fn is_wildcard(&self) -> bool {
        is_wildcard(&self.host)
    }

    /// Whether the host is an address of IPv4.
    pub(crate) fn is_ipv4(&self) -> bool {
        self.host.parse::<Ipv4Addr>().is_ok()
    }

    /// Whether the host is an address of IPv6.
    pub(crate) fn is_ipv6(&self) -> bool {
        self.host.parse::<Ipv6Addr>().is_ok()
    }

    /// Addresses to bind to, the first that works. Without a host that is IPv6 and IPv4 together,
    /// or IPv4 alone on machines that have no IPv6.
    ///
    /// # Errors
    /// The host has no address.
    pub(crate) fn bind_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        if self.host.is_empty() {
            return Ok(vec![
                (Ipv6Addr::UNSPECIFIED, self.port).into(),
                (Ipv4Addr::UNSPECIFIED, self.port).into(),
            ]);
        }
        Ok((self.host.as_str(), self.port).to_socket_addrs()?.collect())
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for HostPort {
    type Err = String;

    /// Reads `host:port`, `[ipv6]:port` or `:port`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = split(text)?;
        let port = port.ok_or_else(|| format!("{text:?} has no port: write HOST:PORT"))?;
        Ok(Self { host, port })
    }
}

/// Where clients are told to connect: a host, and a port unless it is the one listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advertise {
    /// Name or address, never a wildcard.
    pub(crate) host: String,
    /// Port as seen by clients; `None` for the port listened on.
    pub(crate) port: Option<u16>,
}

impl FromStr for Advertise {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = split(text)?;
        if is_wildcard(&host) {
            return Err(format!(
                "clients can not connect to {text:?}: advertise a name or address of this machine"
            ));
        }
        Ok(Self {
            host,
            port: port.filter(|port| *port != 0),
        })
    }
}

/// Whether this host means every address of the machine.
fn is_wildcard(host: &str) -> bool {
    host.is_empty()
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_unspecified())
}

fn split(text: &str) -> Result<(String, Option<u16>), String> {
    let text = text.trim();
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest
                .split_once(']')
                .ok_or_else(|| format!("{text:?} lacks its ']'"))?;
            check_ipv6(host)?;
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err(format!("{text:?} is not [ADDRESS]:PORT")),
            }
        }
        // A bare IPv6 address has no port that could be told from it.
        None if text.matches(':').count() > 1 => {
            check_ipv6(text).map_err(|_bad| {
                format!("{text:?} is neither HOST:PORT nor an IPv6 address in brackets")
            })?;
            (text, None)
        }
        None => text
            .split_once(':')
            .map_or((text, None), |(host, port)| (host, Some(port))),
    };
    check_host(host)?;
    let port = port.map(|port| {
        port.parse()
            .map_err(|_bad| format!("{port:?} is not a port from 0 to 65535"))
    });
    Ok((host.to_owned(), port.transpose()?))
}

fn check_ipv6(text: &str) -> Result<(), String> {
    let address = text
        .split_once('%')
        .map_or(text, |(address, _scope)| address);
    match address.parse::<Ipv6Addr>() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{text:?}: {error}")),
    }
}

fn check_host(host: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '%');
    if host.chars().all(legal) {
        Ok(())
    } else {
        Err(format!("{host:?} is not a host name or address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_printed() {
        let check = |text: &str, expected: Option<(&str, u16)>| {
            let read = text.parse::<HostPort>();
            let expected_value = expected.map(|(host, port)| HostPort::new(host, port));
            assert_eq!(read.clone().ok(), expected_value, "{text}: {read:?}");
            if let Ok(address) = read {
                assert_eq!(address.to_string(), text);
            }
        };
        check("localhost:9092", Some(("localhost", 9092)));
        check("0.0.0.0:0", Some(("0.0.0.0", 0)));
        check(":9092", Some(("", 9092)));
        check("[::1]:9092", Some(("::1", 9092)));
        check("[fe80::1%eth0]:9092", Some(("fe80::1%eth0", 9092)));
        check("localhost", None);
        check("localhost:", None);
        check("localhost:65536", None);
        check("localhost:-1", None);
        check("::1:9092", None);
        check("[::1", None);
        check("[::1]9092", None);
        check("[nonsense]:1", None);
        check("a b:1", None);
        check("http://a:1", None);
    }

    #[test]
    fn nobody_can_be_sent_to_a_wildcard() {
        let check = |text: &str, expected: Option<(&str, Option<u16>)>| {
            let expected = expected.map(|(host, port)| Advertise {
                host: host.to_owned(),
                port,
            });
            assert_eq!(text.parse::<Advertise>().ok(), expected, "{text}");
        };
        check("example.org", Some(("example.org", None)));
        check("example.org:9192", Some(("example.org", Some(9192))));
        check("example.org:0", Some(("example.org", None)));
        check("::1", Some(("::1", None)));
        check("[::1]:1", Some(("::1", Some(1))));
        check("0.0.0.0", None);
        check("0.0.0.0:9092", None);
        check("[::]:9092", None);
        check("::", None);
        check("", None);
        check(":9092", None);
    }

    #[test]
    fn no_host_binds_everything() {
        let addresses = HostPort::new("", 7).bind_addresses().unwrap();
        assert_eq!(
            addresses,
            ["[::]:7".parse().unwrap(), "0.0.0.0:7".parse().unwrap()]
        );
        let addresses = HostPort::new("127.0.0.1", 7).bind_addresses().unwrap();
        assert_eq!(addresses, ["127.0.0.1:7".parse().unwrap()]);
    }
}
