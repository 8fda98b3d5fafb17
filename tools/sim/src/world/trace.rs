//! What happened: as a hash that covers every byte, as the last events for a story, and in full for
//! who asks for it.

use std::collections::VecDeque;
use std::fmt;
use std::hash::Hasher;

use chronik_model::Mono;
use rustc_hash::FxHasher;

use crate::actor::{ActorId, BrokerId, Link};
use crate::plan::Fault;

use super::Event;

/// Events that are kept for the story.
const KEPT: usize = 200;

/// Whoever wants to hear of every event when it happens.
pub type Tracer = Box<dyn FnMut(Mono, &dyn fmt::Display)>;

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Note {
    /// An event of the schedule.
    Event(Event),
    /// A client wrote bytes.
    Up(ActorId, Link, usize),
    /// A broker wrote bytes to a client.
    Down(ActorId, Link, usize),
    /// A client opened a connection.
    Opens(ActorId, Link, BrokerId),
    /// A journal write of so many bytes is durable.
    Journal(BrokerId, usize),
    /// An operation of a log was carried out on the disk; whether it succeeded.
    Disk(BrokerId, &'static str, u64, bool),
    /// A fault begins.
    Fault(Fault),
    /// A broker's process or machine dies.
    Died(BrokerId, bool),
    /// A broker starts to recover.
    Starts(BrokerId),
    /// A broker serves.
    Serves(BrokerId, u32),
    /// A broker's words.
    Says(BrokerId, Box<str>),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => write!(f, "{event}"),
            Self::Up(actor, link, bytes) => {
                write!(
                    f,
                    "actor {} sends {bytes} bytes on link {}",
                    actor.0, link.0
                )
            }
            Self::Down(actor, link, bytes) => {
                write!(
                    f,
                    "{bytes} bytes leave for actor {} on link {}",
                    actor.0, link.0
                )
            }
            Self::Opens(actor, link, broker) => {
                let (actor, link, broker) = (actor.0, link.0, broker.0);
                write!(f, "actor {actor} opens link {link} to broker {broker}")
            }
            Self::Journal(broker, bytes) => {
                write!(
                    f,
                    "broker {}: {bytes} bytes of journal are durable",
                    broker.0
                )
            }
            Self::Disk(broker, op, log, done) => {
                let end = if *done { "done" } else { "failed" };
                write!(f, "broker {}: {op} of log {log} {end}", broker.0)
            }
            Self::Fault(fault) => write!(f, "broker {}: {} fault", fault.broker.0, fault.kind),
            Self::Died(broker, false) => write!(f, "broker {}: the process dies", broker.0),
            Self::Died(broker, true) => write!(f, "broker {}: the power fails", broker.0),
            Self::Starts(broker) => write!(f, "broker {}: recovers", broker.0),
            Self::Serves(broker, life) => write!(f, "broker {}: serves, life {life}", broker.0),
            Self::Says(broker, line) => write!(f, "broker {}: {line}", broker.0),
        }
    }
}

/// See the module.
#[derive(Default)]
pub struct Trace {
    hash: u64,
    last: VecDeque<(Mono, Note)>,
    tracer: Option<Tracer>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

impl Trace {
    /// One that tells `tracer`, if there is one, of everything.
    #[must_use]
    pub const fn new(tracer: Option<Tracer>) -> Self {
        Self {
            hash: 0,
            last: VecDeque::new(),
            tracer,
        }
    }

    /// Hash of every byte and time so far.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// The last things that happened, oldest first.
    pub fn last(&self) -> impl Iterator<Item = (Mono, String)> + '_ {
        self.last.iter().map(|(at, note)| (*at, note.to_string()))
    }

    /// Takes bytes into the hash.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let mut hasher = FxHasher::default();
        hasher.write_u64(self.hash);
        hasher.write(bytes);
        self.hash = hasher.finish();
    }

    /// Takes a number into the hash.
    pub(crate) fn number(&mut self, number: u64) {
        let mut hasher = FxHasher::default();
        hasher.write_u64(self.hash);
        hasher.write_u64(number);
        self.hash = hasher.finish();
    }

    /// Something happened.
    pub(crate) fn note(&mut self, at: Mono, note: Note) {
        if let Some(tracer) = &mut self.tracer {
            tracer(at, &note);
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back((at, note));
    }

    /// Something that only who follows every event wants to know.
    pub(crate) fn detail(&mut self, at: Mono, detail: &dyn fmt::Display) {
        if let Some(tracer) = &mut self.tracer {
            tracer(at, detail);
        }
    }

    /// Whether details are wanted.
    pub(crate) const fn is_followed(&self) -> bool {
        self.tracer.is_some()
    }
}
