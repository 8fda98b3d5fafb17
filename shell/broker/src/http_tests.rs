//! Requests over a loopback connection.

use std::io::{Read, Write};
use std::net::TcpStream;

use chronik_model::Mono;

use super::*;
use crate::config::MetricsView;
use crate::metrics::{
    GroupSample, GroupStats, JournalCounters, PartitionSample, PartitionStats, Sources, StoreSample,
};

struct Nothing;

impl PartitionStats for Nothing {
    fn partitions(&self) -> Vec<PartitionSample> {
        Vec::new()
    }
}

impl GroupStats for Nothing {
    fn groups(&self) -> Vec<GroupSample> {
        Vec::new()
    }
}

fn server(health: Health) -> SocketAddr {
    let sources = Sources {
        loops: Vec::new(),
        journal: Arc::new(JournalCounters::new()),
        partitions: Arc::new(Nothing),
        groups: Arc::new(Nothing),
        store: Arc::new(StoreSample::default),
        clock: Arc::new(|| Mono(0)),
    };
    let metrics = Metrics::new(
        sources,
        MetricsView {
            kafka_names: true,
            partitions: true,
        },
    );
    serve(
        &HostPort::new("127.0.0.1", 0),
        metrics,
        Arc::new(move || health.clone()),
    )
    .unwrap()
}

/// Status line, headers and body of one answer.
fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn states_are_told_apart() {
    let ready = server(Health {
        not_live: Vec::new(),
        not_ready: Vec::new(),
        detail: json!({ "node_id": 1 }),
    });
    let starting = server(Health {
        not_live: Vec::new(),
        not_ready: vec!["recovering, 38 %".to_owned()],
        detail: json!({}),
    });
    let check = |address, method: &str, path: &str, status: &str, part: &str| {
        let answer = ask(address, method, path);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{path}: {answer}"
        );
        assert!(answer.contains(part), "{path}: {answer}");
    };
    check(ready, "GET", "/livez", "200", r#""status":"ok""#);
    check(ready, "GET", "/readyz", "200", r#""reasons":[]"#);
    check(ready, "GET", "/healthz", "200", r#""node_id":1"#);
    check(ready, "GET", "/metrics", "200", "# EOF\n");
    check(
        ready,
        "GET",
        "/metrics",
        "200",
        "application/openmetrics-text; version=1.0.0",
    );
    check(ready, "GET", "/", "200", "/readyz");
    check(ready, "HEAD", "/livez", "200", "application/json");
    check(ready, "POST", "/livez", "405", "");
    check(ready, "GET", "/nothing", "404", "");
    check(starting, "GET", "/livez", "200", r#""status":"ok""#);
    check(
        starting,
        "GET",
        "/readyz",
        "503",
        r#""reasons":["recovering, 38 %"]"#,
    );
    check(starting, "GET", "/healthz", "503", "recovering");
}

#[test]
fn a_taken_port_is_an_error() {
    let taken = StdListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let sources = Sources {
        loops: Vec::new(),
        journal: Arc::new(JournalCounters::new()),
        partitions: Arc::new(Nothing),
        groups: Arc::new(Nothing),
        store: Arc::new(StoreSample::default),
        clock: Arc::new(|| Mono(0)),
    };
    let metrics = Metrics::new(
        sources,
        MetricsView {
            kafka_names: false,
            partitions: false,
        },
    );
    let health = || Health {
        not_live: Vec::new(),
        not_ready: Vec::new(),
        detail: Value::Null,
    };
    let served = serve(&HostPort::new("127.0.0.1", port), metrics, Arc::new(health));
    assert_eq!(
        served.map_err(|error| error.kind()),
        Err(io::ErrorKind::AddrInUse)
    );
}
