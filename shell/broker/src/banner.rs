//! What a person sees when the server is ready.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use chronik_model::NodeId;

use crate::config::Listener;

/// Facts about a server that has just started.
#[derive(Debug)]
pub(crate) struct Banner<'a> {
    /// Number of this node.
    pub(crate) node_id: NodeId,
    /// Id of its cluster.
    pub(crate) cluster_id: &'a str,
    /// Where everything is stored.
    pub(crate) data_dir: &'a Path,
    /// The disk below, if it could be asked.
    pub(crate) disk: Option<Disk>,
    /// Listeners with the ports that were bound.
    pub(crate) listeners: &'a [Listener],
    /// Address that metrics and health are served on.
    pub(crate) http: Option<SocketAddr>,
    /// Time since the process was started.
    pub(crate) ready_after: Duration,
}

impl Banner<'_> {
    /// Tells that the server is ready: people get the banner on stderr, machines one event.
    /// Afterwards comes the line that test harnesses made for Kafka wait for.
    pub(crate) fn announce(&self, to_people: bool) {
        if to_people {
            // Nobody may be reading stderr; that is no reason not to serve.
            drop(writeln!(io::stderr(), "{self}"));
        } else {
            tracing::info!(
                version = env!("CARGO_PKG_VERSION"),
                node_id = self.node_id.0,
                cluster_id = self.cluster_id,
                data_dir = %self.data_dir.display(),
                listeners = %Joined(self.listeners),
                http = self.http.map(tracing::field::display),
                ready_ms = u64::try_from(self.ready_after.as_millis()).unwrap_or(u64::MAX),
                "ready"
            );
        }
        tracing::info!(
            "[KafkaRaftServer nodeId={}] Kafka Server started",
            self.node_id.0
        );
    }
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "  chronik {}  node {}  cluster {}  data {}",
            env!("CARGO_PKG_VERSION"),
            self.node_id.0,
            self.cluster_id,
            self.data_dir.display()
        )?;
        if let Some(disk) = &self.disk {
            write!(f, " ({disk})")?;
        }
        writeln!(f)?;
        let several = self.listeners.len() > 1;
        for (index, listener) in self.listeners.iter().enumerate() {
            let hint = match (listener.local_only, index) {
                (true, 0) => "; other machines: --advertise HOST",
                (true, _) => "; other machines: advertised.listeners",
                (false, _) => "",
            };
            let Listener {
                name,
                bind,
                advertised,
                ..
            } = listener;
            let name = if several {
                format!("{name}, ")
            } else {
                String::new()
            };
            let shown = if bind.is_wildcard() {
                format!("*:{}", bind.port)
            } else {
                bind.to_string()
            };
            writeln!(
                f,
                "  kafka   {shown}  ({name}advertised {advertised}{hint})"
            )?;
        }
        if let Some(http) = self.http {
            let host = Reachable(http);
            writeln!(f, "  http    http://{host}   /metrics  /readyz")?;
        }
        write!(f, "  ready in {} ms.", self.ready_after.as_millis())?;
        let Some(first) = self.listeners.first() else {
            return Ok(());
        };
        let brokers = first.advertised.to_string();
        let option = if brokers == "localhost:9092" {
            String::new()
        } else {
            format!(" -X {brokers}")
        };
        write!(
            f,
            " Try:  chronik-server produce hello{option}   |   kcat -b {brokers} -L"
        )
    }
}

/// `NAME://host:port` of each listener as clients see it.
struct Joined<'a>(&'a [Listener]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for listener in self.0 {
            write!(f, "{separator}{}://{}", listener.name, listener.advertised)?;
            separator = ",";
        }
        Ok(())
    }
}

/// An address that a browser on this machine can open.
struct Reachable(SocketAddr);

impl fmt::Display for Reachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.ip().is_unspecified() {
            write!(f, "localhost:{}", self.0.port())
        } else {
            self.0.fmt(f)
        }
    }
}

/// A file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Bytes that this process may still use.
    pub(crate) free_bytes: u64,
    /// Kind, such as `ext4`, if it is a known one.
    pub(crate) kind: Option<&'static str>,
}

impl Disk {
    /// Asks the file system that holds `path`.
    ///
    /// # Errors
    /// `path` does not exist or can not be reached.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let space = rustix::fs::statvfs(path)?;
        Ok(Self {
            free_bytes: space.f_bavail.saturating_mul(space.f_frsize),
            kind: kind(path),
        })
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, unit) = match self.free_bytes {
            0..GIGABYTE => (self.free_bytes / MEGABYTE, "MB"),
            GIGABYTE..TEN_TERABYTES => (self.free_bytes / GIGABYTE, "GB"),
            TEN_TERABYTES.. => (self.free_bytes / TERABYTE, "TB"),
        };
        write!(f, "{size} {unit} free")?;
        match self.kind {
            Some(kind) => write!(f, ", {kind}"),
            None => Ok(()),
        }
    }
}

#[cfg(target_os = "linux")]
fn kind(path: &Path) -> Option<&'static str> {
    let magic = u64::try_from(rustix::fs::statfs(path).ok()?.f_type).ok()?;
    KINDS
        .iter()
        .find(|(known, _)| *known == magic)
        .map(|(_, name)| *name)
}

#[cfg(not(target_os = "linux"))]
const fn kind(_path: &Path) -> Option<&'static str> {
    None
}

/// Numbers of file systems, from `statfs(2)`.
#[cfg(target_os = "linux")]
const KINDS: &[(u64, &str)] = &[
    (0xEF53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683E, "btrfs"),
    (0x2FC1_2FC1, "zfs"),
    (0xF2F5_2010, "f2fs"),
    (0x794C_7630, "overlay"),
    (0x0102_1994, "tmpfs"),
    (0x6969, "nfs"),
    (0xFF53_4D42, "cifs"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
];

const MEGABYTE: u64 = 1_000_000;
const GIGABYTE: u64 = 1_000 * MEGABYTE;
const TERABYTE: u64 = 1_000 * GIGABYTE;
const TEN_TERABYTES: u64 = 10 * TERABYTE;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HostPort;

    fn listener(bind: HostPort, advertised: HostPort, local_only: bool) -> Listener {
        Listener {
            name: "PLAINTEXT".to_owned(),
            bind,
            advertised,
            local_only,
        }
    }

    fn banner<'a>(listeners: &'a [Listener], http: &str) -> Banner<'a> {
        Banner {
            node_id: NodeId(1),
            cluster_id: "4L6g3nShT-eMCtK--X86sw",
            data_dir: Path::new("./chronik-data"),
            disk: Some(Disk {
                free_bytes: 412 * GIGABYTE,
                kind: Some("ext4"),
            }),
            listeners,
            http: http.parse().ok(),
            ready_after: Duration::from_micros(41_900),
        }
    }

    #[test]
    fn a_fresh_start_says_how_to_be_reached() {
        let listeners = [listener(
            HostPort::new("", 9092),
            HostPort::new("localhost", 9092),
            true,
        )];
        let expected = concat!(
            "  chronik ",
            env!("CARGO_PKG_VERSION"),
            "  node 1  cluster 4L6g3nShT-eMCtK--X86sw  data ./chronik-data (412 GB free, ext4)
  kafka   *:9092  (advertised localhost:9092; other machines: --advertise HOST)
  http    http://localhost:9990   /metrics  /readyz
  ready in 41 ms. Try:  chronik-server produce hello   |   kcat -b localhost:9092 -L"
        );
        assert_eq!(banner(&listeners, "[::]:9990").to_string(), expected);
    }

    #[test]
    fn commands_name_the_address_that_is_not_the_default() {
        let address = HostPort::new("192.0.2.1", 9192);
        let listeners = [listener(address.clone(), address, false)];
        let text = banner(&listeners, "127.0.0.1:1").to_string();
        assert!(
            text.contains("  kafka   192.0.2.1:9192  (advertised 192.0.2.1:9192)\n"),
            "{text}"
        );
        assert!(text.contains("http://127.0.0.1:1 "), "{text}");
        assert!(text.contains("produce hello -X 192.0.2.1:9192 "), "{text}");
    }

    #[test]
    fn every_listener_has_a_line() {
        let inside = listener(HostPort::new("", 1), HostPort::new("localhost", 1), true);
        let mut outside = inside.clone();
        (outside.name, outside.bind) = ("OUTSIDE".to_owned(), HostPort::new("192.0.2.1", 2));
        let text = banner(&[inside, outside], "127.0.0.1:1").to_string();
        for line in [
            "  kafka   *:1  (PLAINTEXT, advertised localhost:1; other machines: --advertise HOST)\n",
            "  kafka   192.0.2.1:2  (OUTSIDE, advertised localhost:1; other machines: advertised.listeners)\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn free_space_is_rounded_down_to_a_fitting_unit() {
        let check = |free_bytes: u64, kind: Option<&'static str>, expected: &str| {
            assert_eq!(Disk { free_bytes, kind }.to_string(), expected);
        };
        check(0, None, "0 MB free");
        check(999_999_999, Some("xfs"), "999 MB free, xfs");
        check(GIGABYTE, None, "1 GB free");
        check(9_999 * GIGABYTE, None, "9999 GB free");
        check(u64::MAX, None, "18446744 TB free");
        assert!(Disk::of(Path::new(".")).is_ok());
        assert!(Disk::of(Path::new("./no such directory")).is_err());
    }
}
