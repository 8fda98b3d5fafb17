//! All sources together.

use super::*;

/// A file `server.properties` or `node.toml`, variables and flags.
fn loaded(
    file: Option<(&str, &str)>,
    variables: &[(&str, &str)],
    mut flags: ServerFlags,
) -> Result<ServerConfig, ConfigFailure> {
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    flags.config = flags
        .config
        .or_else(|| file.map(|(path, _)| PathBuf::from(path)));
    load_from(&flags, &variables, &|asked| match file {
        Some((path, text)) if Path::new(path) == asked => Ok(text.as_bytes().to_vec()),
        _ => Err(io::ErrorKind::NotFound.into()),
    })
}

fn properties(text: &str) -> Result<ServerConfig, ConfigFailure> {
    loaded(
        Some(("server.properties", text)),
        &[],
        ServerFlags::default(),
    )
}

#[test]
fn nothing_has_to_be_said() {
    let config = loaded(None, &[], ServerFlags::default()).unwrap();
    assert_eq!((config.node_id, config.cluster_id.as_deref()), (None, None));
    assert_eq!(config.data_dir, Path::new("./chronik-data"));
    assert_eq!(config.listeners[0].bind, HostPort::new("", 9092));
    assert_eq!(
        config.listeners[0].advertised,
        HostPort::new("localhost", 9092)
    );
    assert_eq!(config.metrics, HostPort::new("", 9990));
    assert_eq!(config.memory_bytes, 128 << 20);
    assert_eq!(config.journal_bytes, 1 << 30);
    assert_eq!(config.log_level, "info");
    assert_eq!(config.log_format, LogFormat::Auto);
    assert_eq!(
        config.metrics_view,
        MetricsView {
            kafka_names: true,
            partitions: true
        }
    );
    assert_eq!(config.shutdown_timeout, Duration::from_secs(30));
    assert!(
        config.notes.is_empty() && config.warnings.is_empty(),
        "{config:?}"
    );
}

#[test]
fn flag_beats_environment_beats_file() {
    let file = (
        "server.properties",
        "node.id=1\nlog.dirs=/file\nlog.level=warn\nnum.partitions=1",
    );
    let variables = [
        ("KAFKA_NODE_ID", "2"),
        ("KAFKA_LOG_DIRS", "/env"),
        ("CHRONIK_LOG", "debug"),
    ];
    let flags = ServerFlags {
        node_id: Some(3),
        data_dir: Some("/flag,with comma".into()),
        log_level: Some("trace".to_owned()),
        ..ServerFlags::default()
    };
    let check = |variables: &[_], flags, id: i32, dir: &str, level: &str| {
        let config = loaded(Some(file), variables, flags).unwrap();
        assert_eq!(config.node_id, Some(NodeId(id)));
        assert_eq!(config.data_dir, Path::new(dir));
        assert_eq!(config.log_level, level);
        assert_eq!(config.static_broker["node.id"], id.to_string());
        assert_eq!(config.static_broker["log.dirs"], dir);
        assert_eq!(config.static_broker["num.partitions"], "1");
        assert_eq!(config.static_broker.get("log.level"), None);
    };
    check(&variables, flags, 3, "/flag,with comma", "trace");
    check(&variables, ServerFlags::default(), 2, "/env", "debug");
    check(&[], ServerFlags::default(), 1, "/file", "warn");
}

#[test]
fn an_older_name_in_a_stronger_source_wins() {
    let file = ("server.properties", "node.id=1\nlog.dirs=/file");
    let variables = [("KAFKA_BROKER_ID", "2"), ("KAFKA_LOG_DIR", "/env")];
    let config = loaded(Some(file), &variables, ServerFlags::default()).unwrap();
    assert_eq!(config.node_id, Some(NodeId(2)));
    assert_eq!(config.data_dir, Path::new("/env"));
}

#[test]
fn kafkas_own_file_works() {
    let config = properties(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.bootstrap.servers=localhost:9093\n\
         listeners=PLAINTEXT://:9092,CONTROLLER://:9093\n\
         inter.broker.listener.name=PLAINTEXT\n\
         advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n\
         controller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,\
         SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL\n\
         num.network.threads=3\n\
         num.io.threads=8\n\
         socket.send.buffer.bytes=102400\n\
         log.dirs=/tmp/kraft-combined-logs\n\
         num.partitions=1\n\
         offsets.topic.replication.factor=1\n\
         log.retention.hours=168\n\
         log.segment.bytes=1073741824\n",
    )
    .unwrap();
    assert_eq!(config.listeners.len(), 1);
    assert!(!config.listeners[0].local_only);
    assert_eq!(config.notes.len(), 2, "{:?}", config.notes);
    assert_eq!(
        config.notes[1],
        "accepted without effect: num.io.threads, num.network.threads"
    );
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn a_cluster_file_with_one_node_is_a_single_server() {
    let text = "node_id = 1\nreplication_factor = 3\ndata_dir = \"/d\"\n\
                [bind]\nkafka = \"0.0.0.0:9093\"\nmetrics = \"127.0.0.1:9991\"\n\
                [advertise]\nkafka = \"example.org:9093\"\n\
                [config]\nchronik.memory.bytes = 1000\n";
    let config = loaded(Some(("node.toml", text)), &[], ServerFlags::default()).unwrap();
    assert_eq!(config.node_id, Some(NodeId(1)));
    assert_eq!(
        config.listeners[0].advertised,
        HostPort::new("example.org", 9093)
    );
    assert_eq!(config.metrics, HostPort::new("127.0.0.1", 9991));
    assert_eq!(config.memory_bytes, 1000);
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    let flags = ServerFlags {
        metrics_port: Some(0),
        ..ServerFlags::default()
    };
    let config = loaded(Some(("node.toml", text)), &[], flags).unwrap();
    assert_eq!(config.metrics, HostPort::new("127.0.0.1", 0));
}

#[test]
fn mistakes_are_refused_together() {
    let check = |text: &str, status: u8, parts: &[&str]| {
        let failure = properties(text).expect_err(text);
        assert_eq!(failure.exit_status(), status, "{failure}");
        let message = failure.to_string();
        assert_eq!(message.lines().count(), parts.len(), "{message}");
        for part in parts {
            assert!(message.contains(part), "{message}");
        }
    };
    check(
        "num.partition=1\nnode.id=x",
        78,
        &["num.partitions?", "node.id"],
    );
    check(
        "num.partition=1\nlog.dirs=/a,/b\nlisteners=SSL://:1",
        78,
        &["num.partitions?", "one data directory", "SSL"],
    );
    check("node.id=-2", 78, &["node.id"]);
    check("node.id=1\nbroker.id=2", 78, &["broker.id"]);
    check("log.dirs=/a,/b", 78, &["one data directory"]);
    check(
        "log.dirs=/a\nmetadata.log.dir=/b",
        78,
        &["metadata.log.dir"],
    );
    check("process.roles=broker", 2, &["clusters are not built yet"]);
    check(
        "controller.quorum.voters=1@a:1,2@b:1",
        2,
        &["clusters are not built yet"],
    );
    check("security.inter.broker.protocol=SSL", 2, &["not built yet"]);
    check(
        "authorizer.class.name=a.b.C",
        2,
        &["authorization is not built yet"],
    );
    check(
        "authorizer.class.name=a.b.C\nnode.id=x",
        78,
        &["authorization", "node.id"],
    );
    check("listeners=SSL://:9092", 2, &["SSL is not built yet"]);
    let missing = loaded(None, &[("CHRONIK_CONFIG", "/none")], ServerFlags::default());
    assert!(
        missing
            .expect_err("no such file")
            .to_string()
            .contains("/none")
    );
    let search = loaded(
        None,
        &[("CHRONIK_SEARCH_PORT", "1")],
        ServerFlags::default(),
    );
    assert_eq!(search.expect_err("no search").exit_status(), 2);
}

#[test]
fn bound_ports_replace_zeros() {
    let flags = ServerFlags {
        kafka_port: Some(0),
        ..ServerFlags::default()
    };
    let mut config = loaded(None, &[], flags).unwrap();
    config.bound(&[4711]);
    assert_eq!(config.listeners[0].bind, HostPort::new("", 4711));
    assert_eq!(
        config.listeners[0].advertised,
        HostPort::new("localhost", 4711)
    );
    assert_eq!(config.static_broker["listeners"], "PLAINTEXT://:4711");
    assert_eq!(
        config.static_broker["advertised.listeners"],
        "PLAINTEXT://localhost:4711"
    );
    config.settle_node_id(NodeId(7));
    assert_eq!(config.static_broker["node.id"], "7");
}
