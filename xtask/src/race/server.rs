//! A server process with a fresh data directory.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::process::{self, Process, words};
use super::programs::Programs;
use super::samples::System;
use super::wire::Connection;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Brand {
    Chronik,
    Kafka { heap_gb: u32 },
    Reference { partitions: u32 },
}

/// One server; dropped, it is killed and its directory removed.
#[derive(Debug)]
pub(super) struct Server {
    brand: Brand,
    programs: Programs,
    folder: PathBuf,
    ports: [u16; 2],
    process: Process,
    /// From the start of the process to its first answer.
    pub(super) ready: Duration,
    pub(super) started: Instant,
}

impl Server {
    /// Starts one in a folder of its own, and waits until it answers.
    pub(super) fn start(brand: Brand, programs: &Programs, folder: &Path) -> Result<Self, String> {
        let problem = |error| format!("{}: {error}", folder.display());
        remove(folder)?;
        fs::create_dir_all(folder.join("data")).map_err(problem)?;
        let ports = [free_port()?, free_port()?];
        let command = brand.command(programs, folder, ports)?;
        if let Brand::Kafka { .. } = brand {
            format_kafka(programs, folder)?;
        }
        let started = Instant::now();
        let process = Process::spawn(&command, folder, &folder.join("server.log"))?;
        let mut server = Self {
            brand,
            programs: programs.clone(),
            folder: folder.to_owned(),
            ports,
            process,
            ready: Duration::ZERO,
            started,
        };
        server.await_answer()?;
        Ok(server)
    }

    pub(super) const fn port(&self) -> u16 {
        self.ports[0]
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The system whose promise is the server's own default.
    pub(super) const fn as_it_comes(&self) -> System {
        match self.brand {
            Brand::Chronik => System::Chronik,
            Brand::Kafka { heap_gb: HEAP_GB } => System::Kafka,
            Brand::Kafka { .. } => System::KafkaBigHeap,
            Brand::Reference { .. } => System::Reference,
        }
    }

    /// SIGKILL, and a start on the same directory and port. Does not wait for an answer.
    pub(super) fn kill_and_start(&mut self) -> Result<(), String> {
        let command = self
            .brand
            .command(&self.programs, &self.folder, self.ports)?;
        let log = self.folder.join("server.log");
        self.process.kill();
        self.started = Instant::now();
        self.process = Process::spawn(&command, &self.folder, &log)?;
        Ok(())
    }

    /// Waits for the first answer, and says when it came.
    pub(super) fn await_answer(&mut self) -> Result<(), String> {
        loop {
            if self.answers() {
                self.ready = self.started.elapsed();
                return Ok(());
            }
            if let Some(status) = self.process.ended() {
                let words = self.process.last_words();
                return Err(format!("the server ended with {status}; {words}"));
            }
            if self.started.elapsed() > READY_DEADLINE {
                let seconds = READY_DEADLINE.as_secs();
                return Err(format!("the server gave no answer within {seconds} s"));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Whether it answers now.
    pub(super) fn answers(&self) -> bool {
        let connection = Connection::open(self.port(), ANSWER_DEADLINE);
        connection.and_then(|mut it| it.api_versions()).is_ok()
    }

    /// Writes a first record, again until it is taken.
    pub(super) fn first_record(&self, topic: &str) -> Result<(), String> {
        let started = Instant::now();
        loop {
            let connection = Connection::open(self.port(), ANSWER_DEADLINE);
            let outcome = connection.and_then(|mut it| it.produce(topic));
            if matches!(outcome, Ok(0)) {
                return Ok(());
            }
            if started.elapsed() > READY_DEADLINE {
                return Err(format!("{topic} takes no record: {outcome:?}"));
            }
            thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill();
        if let Err(problem) = remove(&self.folder) {
            eprintln!("{problem}");
        }
    }
}

impl Brand {
    fn command(
        self,
        programs: &Programs,
        folder: &Path,
        [port, second]: [u16; 2],
    ) -> Result<Vec<String>, String> {
        let data = folder.join("data");
        Ok(match self {
            Self::Chronik => {
                let mut command = words([&programs.server]);
                command.extend(["--kafka-port".to_owned(), port.to_string()]);
                command.extend(["--metrics-port".to_owned(), second.to_string()]);
                command.extend(["--data-dir".to_owned(), data.display().to_string()]);
                command.extend(words(["--log-level", "warn", "standalone"]));
                command
            }
            Self::Kafka { heap_gb } => {
                let config = folder.join("server.properties");
                fs::write(&config, kafka_properties(&data, [port, second]))
                    .map_err(|error| format!("{}: {error}", config.display()))?;
                let mut command = java(programs);
                command.extend([format!("-Xms{heap_gb}g"), format!("-Xmx{heap_gb}g")]);
                command.extend(words(KAFKA_JVM_FLAGS));
                command.extend(class_path(programs));
                command.extend(words(["kafka.Kafka"]));
                command.push(config.display().to_string());
                command
            }
            Self::Reference { partitions } => {
                let mut command = words([&programs.reference]);
                command.extend(["--port".to_owned(), port.to_string()]);
                command.extend(["--partitions".to_owned(), partitions.to_string()]);
                command.extend(["--journal".to_owned(), data.display().to_string()]);
                command
            }
        })
    }
}

/// A node on its own, as it comes but for what one node can not have.
fn kafka_properties(data: &Path, [port, controller]: [u16; 2]) -> String {
    let data = data.display();
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         controller.listener.names=CONTROLLER\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
         log.dirs={data}\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n"
    )
}

/// An empty directory is given its cluster id, which is no part of the start.
fn format_kafka(programs: &Programs, folder: &Path) -> Result<(), String> {
    let mut command = java(programs);
    command.extend(class_path(programs));
    command.extend(words(["kafka.tools.StorageTool", "format", "--standalone"]));
    command.extend(words(["-t", CLUSTER_ID, "-c", "server.properties"]));
    process::run(&command, folder, FORMAT_DEADLINE)
}

fn java(programs: &Programs) -> Vec<String> {
    let log4j = programs.log4j.display();
    vec![
        "java".to_owned(),
        format!("-Dlog4j2.configurationFile={log4j}"),
    ]
}

/// Java expands the star.
fn class_path(programs: &Programs) -> [String; 2] {
    let jars = programs.kafka_jars.display();
    ["-cp".to_owned(), format!("{jars}/*")]
}

/// Removes a folder, which need not be there.
pub(super) fn remove(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("{}: {error}", folder.display())),
    }
}

/// A port that nobody listens on, below those that the system gives to clients: one that dials a
/// killed server could otherwise get the server's port itself.
fn free_port() -> Result<u16, String> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..PORTS {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        let offset = u16::try_from(std::process::id() % u32::from(PORTS)).unwrap_or(0);
        let port = FIRST_PORT + (number + offset) % PORTS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no free port".to_owned())
}

/// The heap of Kafka's own start script.
pub(super) const HEAP_GB: u32 = 1;
pub(super) const BIG_HEAP_GB: u32 = 4;
const CLUSTER_ID: &str = "Y2hyb25pay1yYWNlLTAwMQ";
/// Those of Kafka's own start script.
const KAFKA_JVM_FLAGS: [&str; 5] = [
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
];
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;
const READY_DEADLINE: Duration = Duration::from_secs(180);
const FORMAT_DEADLINE: Duration = Duration::from_secs(60);
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(2);
