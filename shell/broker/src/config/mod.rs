//! What the server is told: command line, environment, configuration file and defaults, in this
//! order of strength, checked and turned into one [`ServerConfig`].

mod address;
mod cluster_file;
mod environment;
mod failure;
mod listeners;
mod properties;
mod settings;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chronik_model::NodeId;
use chronik_model::config::{BrokerConfig, ConfigKey, Effect, Layers, broker_key};

pub(crate) use address::{Advertise, HostPort};
pub(crate) use failure::{ConfigFailure, NotBuilt};
pub(crate) use listeners::Listener;

use crate::args::ServerFlags;
use crate::logging::LogFormat;
use environment::Environment;
use listeners::{Overrides, items};
use settings::{Origin, Setting, Settings};

/// Everything that a server needs to know to start.
#[derive(Debug, Clone)]
pub(crate) struct ServerConfig {
    /// Number of this node; `None` to take that of the data directory, or of a new one
    /// [`DEFAULT_NODE_ID`].
    pub(crate) node_id: Option<NodeId>,
    /// Id of the cluster; `None` to take that of the data directory, or to make one up.
    pub(crate) cluster_id: Option<String>,
    /// The one data directory.
    pub(crate) data_dir: PathBuf,
    /// Where Kafka clients connect; never empty, the first is the one that flags speak of.
    pub(crate) listeners: Vec<Listener>,
    /// Where metrics and health are served over HTTP.
    pub(crate) metrics: HostPort,
    /// Values of the broker's keys, for [`Layers::of_static`] and DescribeConfigs.
    pub(crate) static_broker: BTreeMap<String, String>,
    /// Memory budget of the process, `chronik.memory.bytes`.
    pub(crate) memory_bytes: u64,
    /// Size of the journal ring, `chronik.journal.bytes`; 0 to choose by the size of the disk.
    pub(crate) journal_bytes: u64,
    /// Level of logs, as [`crate::logging::parse_level`] accepts it.
    pub(crate) log_level: String,
    /// Form of logs.
    pub(crate) log_format: LogFormat,
    /// Which metrics are shown.
    pub(crate) metrics_view: MetricsView,
    /// How long a graceful stop may take.
    pub(crate) shutdown_timeout: Duration,
    /// What is worth one line at level info.
    pub(crate) notes: Vec<String>,
    /// What is worth one line at level warn.
    pub(crate) warnings: Vec<String>,
}

/// Which metrics are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MetricsView {
    /// Under the names of Kafka's exporters as well, `metrics.kafka.names.enable`.
    pub(crate) kafka_names: bool,
    /// One series for each partition, `metrics.partition.level`.
    pub(crate) partitions: bool,
}

/// Node number of a new data directory when nobody chose one.
pub(crate) const DEFAULT_NODE_ID: NodeId = NodeId(1);

impl ServerConfig {
    /// Puts the ports that were really bound in place of zeros, in the order of `listeners`, and
    /// shows the outcome in the static configuration.
    pub(crate) fn bound(&mut self, ports: &[u16]) {
        for (listener, port) in self.listeners.iter_mut().zip(ports) {
            listener.bind.port = *port;
            if listener.advertised.port == 0 {
                listener.advertised.port = *port;
            }
        }
        let show = |address: fn(&Listener) -> &HostPort| {
            let all = self
                .listeners
                .iter()
                .map(|one| format!("{}://{}", one.name, address(one)));
            all.collect::<Vec<_>>().join(",")
        };
        let (listeners, advertised) = (show(|one| &one.bind), show(|one| &one.advertised));
        self.static_broker.insert("listeners".to_owned(), listeners);
        self.static_broker
            .insert("advertised.listeners".to_owned(), advertised);
    }

    /// Shows the number that this node really has in the static configuration.
    pub(crate) fn settle_node_id(&mut self, node_id: NodeId) {
        self.node_id = Some(node_id);
        for name in ["node.id", "broker.id"] {
            self.static_broker
                .insert(name.to_owned(), node_id.0.to_string());
        }
    }
}

/// Reads the configuration of this process.
///
/// # Errors
/// Everything that is wrong with it, one line each.
pub(crate) fn load(flags: &ServerFlags) -> Result<ServerConfig, ConfigFailure> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    let variables: Vec<_> = std::env::vars_os()
        .map(|(name, value)| (text(name), text(value)))
        .collect();
    load_from(flags, &variables, &|path| std::fs::read(path))
}

/// [`load`] with the world as arguments.
fn load_from(
    flags: &ServerFlags,
    variables: &[(String, String)],
    read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<ServerConfig, ConfigFailure> {
    flags.check_built()?;
    let mut environment = environment::read(variables, read_file)?;
    let with_search = environment.search_port.map(|port| ServerFlags {
        search_port: Some(port),
        ..ServerFlags::default()
    });
    with_search.map_or(Ok(()), |flags| flags.check_built())?;
    let mut settings = Settings::default();
    let mut notes = Vec::new();
    if let Some(path) = flags.config.as_deref().or(environment.config.as_deref()) {
        for setting in read_config(path, read_file, &mut notes)? {
            settings.set(setting);
        }
    }
    for setting in environment.settings.drain(..).chain(of_flags(flags)) {
        settings.set(setting);
    }
    let mut failure = ConfigFailure::default();
    settings.check(&mut failure);
    check_built(&settings, &mut failure);
    resolve(&settings, flags, environment, notes, failure)
}

fn read_config(
    path: &Path,
    read_file: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    notes: &mut Vec<String>,
) -> Result<Vec<Setting>, ConfigFailure> {
    let file = path.display().to_string();
    let bytes = read_file(path)
        .map_err(|error| ConfigFailure::invalid(format!("can not read {file}: {error}")))?;
    if path.extension().is_none_or(|extension| extension != "toml") {
        return properties::read(&file, &bytes);
    }
    let text = str::from_utf8(&bytes)
        .map_err(|error| ConfigFailure::invalid(format!("{file}: not UTF-8: {error}")))?;
    let mut parsed = cluster_file::read(&file, text)?;
    notes.append(&mut parsed.notes);
    Ok(parsed.settings)
}

fn of_flags(flags: &ServerFlags) -> impl Iterator<Item = Setting> {
    let data_dir = flags.data_dir.as_ref().map(|dir| dir.display().to_string());
    let values = [
        ("log.dirs", "--data-dir", data_dir),
        (
            "node.id",
            "--node-id",
            flags.node_id.map(|id| id.to_string()),
        ),
        ("log.level", "--log-level", flags.log_level.clone()),
    ];
    values
        .into_iter()
        .filter_map(|(key, flag, value)| Some(Setting::new(key, &value?, Origin::Flag(flag))))
}

/// Finds settings that ask for what this version can not do. To ignore them would leave a server
/// less safe, or less available, than it was told to be.
fn check_built(settings: &Settings, failure: &mut ConfigFailure) {
    let mut refuse = |key: &str, wrong: fn(&str) -> bool, what: &str| {
        if let Some(setting) = settings.get(key).filter(|setting| wrong(&setting.value)) {
            failure.add_not_built(setting.problem(what));
        }
    };
    let several = |value: &str| items(value).count() > 1;
    refuse(
        "controller.quorum.voters",
        several,
        "clusters are not built yet: name one voter",
    );
    refuse(
        "controller.quorum.bootstrap.servers",
        several,
        "clusters are not built yet: name one server",
    );
    refuse(
        "process.roles",
        |value| !value.is_empty() && items(value).count() < 2,
        "clusters are not built yet: a single server is broker,controller",
    );
    refuse(
        "security.inter.broker.protocol",
        |value| value != "PLAINTEXT",
        "it is not built yet, only PLAINTEXT is",
    );
    refuse(
        "authorizer.class.name",
        |value| !value.is_empty(),
        "authorization is not built yet: without this key everybody may do everything",
    );
}

fn resolve(
    settings: &Settings,
    flags: &ServerFlags,
    environment: Environment,
    mut notes: Vec<String>,
    mut failure: ConfigFailure,
) -> Result<ServerConfig, ConfigFailure> {
    let overrides = Overrides {
        kafka_port: flags.kafka_port.or(environment.kafka_port),
        advertise: flags.advertise.clone().or(environment.advertise),
    };
    let listeners = listeners::resolve(settings, &overrides, &mut notes)
        .map_err(|problems| failure.absorb(problems))
        .unwrap_or_default();
    let node_id = node_id(settings, &mut failure);
    let data_dir = data_dir(settings, &mut failure);
    failure.unless_any(())?;

    let mut static_broker = settings.static_broker();
    static_broker.insert("log.dirs".to_owned(), data_dir.display().to_string());
    let broker = BrokerConfig::resolve(&Layers::of_static(&static_broker));
    notes.extend(without_effect(settings));
    let mut warnings = environment.warnings;
    warnings.extend(unreachable_replicas(
        &static_broker,
        "default.replication.factor",
    ));
    Ok(ServerConfig {
        node_id,
        cluster_id: settings.text("cluster.id").map(str::to_owned),
        data_dir,
        listeners,
        metrics: metrics(settings, flags.metrics_port.or(environment.metrics_port)),
        memory_bytes: broker.memory_bytes,
        journal_bytes: broker.journal_bytes,
        log_level: settings
            .text("log.level")
            .unwrap_or(DEFAULT_LOG_LEVEL)
            .to_owned(),
        log_format: parsed(settings, "log.format").unwrap_or_default(),
        metrics_view: MetricsView {
            kafka_names: flag(settings, "metrics.kafka.names.enable"),
            partitions: flag(settings, "metrics.partition.level"),
        },
        shutdown_timeout: parsed(settings, "shutdown.timeout.ms")
            .map_or(DEFAULT_SHUTDOWN_TIMEOUT, |ms: u32| {
                Duration::from_millis(ms.into())
            }),
        static_broker,
        notes,
        warnings,
    })
}

fn node_id(settings: &Settings, failure: &mut ConfigFailure) -> Option<NodeId> {
    let (newer, older) = (settings.get("node.id"), settings.get("broker.id"));
    if let (Some(newer), Some(older)) = (newer, older)
        && newer.origin.rank() == older.origin.rank()
        && newer.value != older.value
    {
        failure.add(older.problem(format!(
            "it is {}, but node.id is {}",
            older.value, newer.value
        )));
    }
    let setting = settings.stronger("node.id", "broker.id")?;
    match setting.value.parse().ok()? {
        -1 => None, // Kafka's "not chosen".
        id if id < 0 => {
            failure.add(setting.problem(format!("{id} is negative")));
            None
        }
        id => Some(NodeId(id)),
    }
}

fn data_dir(settings: &Settings, failure: &mut ConfigFailure) -> PathBuf {
    let chosen = settings
        .stronger("log.dirs", "log.dir")
        .filter(|dir| !dir.value.is_empty());
    let Some(setting) = chosen else {
        return PathBuf::from(DEFAULT_DATA_DIR);
    };
    let is_flag = matches!(setting.origin, Origin::Flag(_));
    // A flag names one directory, whatever characters are in it.
    if !is_flag && items(&setting.value).count() > 1 {
        failure.add(setting.problem(
            "there is one data directory: name one, and join several disks with RAID or LVM",
        ));
    }
    if let Some(metadata) = settings.get("metadata.log.dir")
        && !metadata.value.is_empty()
        && metadata.value != setting.value
    {
        failure.add(metadata.problem("metadata is kept in the one data directory: remove this"));
    }
    PathBuf::from(&setting.value)
}

fn metrics(settings: &Settings, port: Option<u16>) -> HostPort {
    let mut address = parsed(settings, "metrics.listener")
        .unwrap_or_else(|| HostPort::new("", DEFAULT_METRICS_PORT));
    if let Some(port) = port {
        address.port = port;
    }
    address
}

/// A value that [`Settings::check`] has let through.
fn parsed<T: std::str::FromStr>(settings: &Settings, name: &str) -> Option<T> {
    settings.text(name)?.parse().ok()
}

/// A switch that is on unless it is turned off.
fn flag(settings: &Settings, name: &str) -> bool {
    !settings
        .text(name)
        .is_some_and(|value| value.eq_ignore_ascii_case("false"))
}

/// One line about all keys that are taken and do nothing.
fn without_effect(settings: &Settings) -> Option<String> {
    let is_idle = |key: &ConfigKey| matches!(key.effect, Effect::AcceptedNoEffect);
    let names: Vec<&str> = settings
        .iter()
        .map(|setting| setting.name.as_str())
        .filter(|name| broker_key(name).is_some_and(is_idle))
        .collect();
    (!names.is_empty()).then(|| format!("accepted without effect: {}", names.join(", ")))
}

/// Replicas that new topics ask for and a single server does not have.
fn unreachable_replicas(values: &BTreeMap<String, String>, key: &str) -> Option<String> {
    let count: i64 = values.get(key)?.parse().ok()?;
    (count > 1).then(|| {
        format!(
            "{key} is {count}, but a single server holds one replica: topics that rely on the \
             default can not be created"
        )
    })
}

const DEFAULT_DATA_DIR: &str = "./chronik-data";
const DEFAULT_METRICS_PORT: u16 = 9990;
const DEFAULT_LOG_LEVEL: &str = "info";
const DEFAULT_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
