//! Puts a broker together, runs it, and takes it down.

mod checkpointer;
mod directory;
mod groups;
mod health;
mod listeners;
mod startup;

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chronik_node::{Identity, TrimAnswer};
use chronik_storage::journal::JournalStart;

use crate::args::ServerFlags;
use crate::banner::{Banner, Disk};
use crate::clock::Clock;
use crate::config::{self, ServerConfig};
use crate::hub::{Hub, HubEvent, LoopMessage};
use crate::journal::JournalEnd;
use crate::{logging, signals};
use checkpointer::Checkpointer;
use directory::DataDirectory;
use startup::Startup;

/// A checkpoint that failed is tried again after this time.
const CHECKPOINT_RETRY: Duration = Duration::from_secs(1);

/// Why a server does not run, and the exit status for that (sysexits where they fit).
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    const RUNTIME: u8 = 1;
    const PORT_IN_USE: u8 = 69;
    const BUG: u8 = 70;
    const CANNOT_CREATE: u8 = 73;
    const DISK: u8 = 74;

    fn new(status: u8, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Runs a server until it is told to stop.
pub(crate) fn run(flags: &ServerFlags) -> ExitCode {
    let started = Instant::now();
    let config = match config::load(flags) {
        Ok(config) => config,
        Err(failure) => {
            crate::complain(&failure);
            return ExitCode::from(failure.exit_status());
        }
    };
    let to_people = match logging::start(config.log_format, &config.log_level) {
        Ok(to_people) => to_people,
        Err(error) => {
            crate::complain(&error);
            return ExitCode::from(Failure::RUNTIME);
        }
    };
    for note in &config.notes {
        tracing::info!("{note}");
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    match serve(config, started, to_people) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            crate::complain(&failure);
            ExitCode::from(failure.status)
        }
    }
}

fn serve(mut config: ServerConfig, started: Instant, to_people: bool) -> Result<(), Failure> {
    let directory = DataDirectory::open(&mut config)?;
    let listeners = listeners::bind(&mut config)?;
    let (events_in, events) = sync_channel(4096);
    let startup = Startup {
        config: &config,
        listeners,
        clock: Clock::start(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        events_in: events_in.clone(),
        events: &events,
    };
    // From here on a signal is a wish: whatever is served by then is stopped cleanly.
    let on_stop = move |_signal| drop(events_in.send(HubEvent::Stop));
    signals::on_stop(on_stop).map_err(|error| Failure::new(Failure::RUNTIME, error.to_string()))?;
    let running = startup.run(directory)?;
    running.announce(&config, started, to_people);
    let outcome = running.watch(&events);
    let stopped = running.stop(&events, config.shutdown_timeout);
    outcome.and(stopped)
}

fn disk_failure(error: &dyn fmt::Display) -> Failure {
    Failure::new(Failure::DISK, error.to_string())
}

/// A broker that serves.
struct Running {
    hub: Arc<Hub>,
    checkpointer: Checkpointer,
    journal: JoinHandle<JournalEnd>,
    loops: Vec<JoinHandle<()>>,
    identity: Arc<Identity>,
    metrics: std::net::SocketAddr,
    /// Held until the end: one instance per directory.
    _lock: crate::disk::lock::DirectoryLock,
}

impl Running {
    fn announce(&self, config: &ServerConfig, started: Instant, to_people: bool) {
        let banner = Banner {
            node_id: self.identity.node_id,
            cluster_id: &self.identity.cluster_id,
            data_dir: &config.data_dir,
            disk: Disk::of(&config.data_dir).ok(),
            listeners: &config.listeners,
            http: Some(self.metrics),
            ready_after: started.elapsed(),
        };
        banner.announce(to_people);
    }

    /// Keeps the journal trimmed until somebody asks for a stop.
    fn watch(&self, events: &Receiver<HubEvent>) -> Result<(), Failure> {
        let mut again = None;
        loop {
            let event = match again {
                Some(_) => events.recv_timeout(CHECKPOINT_RETRY),
                None => events
                    .recv()
                    .map_err(|_closed| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(HubEvent::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(HubEvent::Fatal(reason)) => return Err(Failure::new(Failure::BUG, reason)),
                Ok(HubEvent::TrimWanted(start)) => self.checkpointer.begin(start),
                Ok(HubEvent::Trimmed(answer)) => again = self.checkpointed(answer),
                Ok(HubEvent::Registered) => {}
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(start) = again.take() {
                        self.checkpointer.begin(start);
                    }
                }
            }
        }
    }

    /// Takes a shard's answer; a checkpoint that can not be written is tried again later, and the
    /// journal keeps everything until then.
    fn checkpointed(&self, answer: TrimAnswer) -> Option<JournalStart> {
        let (start, error) = self.checkpointer.answer(answer).err()?;
        tracing::error!(%error, "a checkpoint can not be written");
        Some(start)
    }

    /// Finishes what is in flight, writes everything back and leaves the marker of a clean stop.
    fn stop(self, events: &Receiver<HubEvent>, timeout: Duration) -> Result<(), Failure> {
        tracing::info!("stopping");
        let deadline = Instant::now() + timeout;
        for handle in self.hub.loops() {
            handle.send([LoopMessage::Drain]);
        }
        // The first flush does the bulk while replies still leave; the second one covers what came
        // in meanwhile, when nobody is left to bring more.
        self.checkpointer.flush(events, deadline);
        for handle in self.hub.loops() {
            handle.send([LoopMessage::Stop]);
        }
        for thread in self.loops {
            drop(thread.join());
        }
        let clean = self.checkpointer.flush(events, deadline);
        self.hub.journal.stop();
        let end = self.journal.join();
        let end =
            end.map_err(|_panic| Failure::new(Failure::BUG, "the journal thread panicked"))?;
        if end.failed || !clean {
            let reason = "not everything could be written back; the next start replays the journal";
            return Err(Failure::new(Failure::DISK, reason));
        }
        self.checkpointer
            .finish(end.successor)
            .map_err(|error| Failure::new(Failure::DISK, error.to_string()))?;
        tracing::info!("stopped");
        Ok(())
    }
}
