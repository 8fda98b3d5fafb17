//! One thread with many connections, each with a fixed number of requests in flight, or requests at
//! a fixed rate over all of them.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mio::{Events, Poll, Token};

use super::connection::{Connection, Pending};
use super::timer::Timer;
use crate::driver::Setup;
use crate::failure::Failure;
use crate::pace::Pace;
use crate::run::{Gate, Run, Sent};
use crate::stats::Recorder;

/// What requests ask and what answers say.
pub(super) trait Load {
    /// Records of one request; 0 when only the answer tells.
    fn records(&self) -> u64;

    /// Appends the next request of a connection to `out`; `false` when it has nothing more to ask.
    fn request(&mut self, connection: usize, request: &Pending, out: &mut BytesMut) -> bool;

    /// Reads an answer.
    ///
    /// # Errors
    /// An answer that makes no sense.
    fn answer(&mut self, connection: usize, frame: &Bytes) -> io::Result<Answer>;
}

/// What an answer says.
#[derive(Debug)]
pub(super) enum Answer {
    /// All records of the request are acknowledged.
    Good {
        /// Bytes of their values.
        bytes: u64,
    },
    /// So many records came.
    Read {
        /// Their number.
        records: u64,
        /// Bytes of their batches.
        bytes: u64,
    },
    /// The request failed.
    Refused(String),
}

pub(super) struct EventLoop {
    poll: Poll,
    timer: Timer,
    connections: Vec<Connection>,
    load: Box<dyn Load + Send>,
    gate: Gate,
    pipeline: usize,
    pace: Option<Pace>,
    /// Places for requests that keep the pace, each by its connection.
    idle: VecDeque<usize>,
    /// By each connection: only within one is the order of records promised.
    sent: Vec<Sent>,
    /// By all of them.
    requests: u64,
    /// Whether failures are remembered for the validation.
    remembers: bool,
    /// Connections that have nothing more to ask.
    exhausted: Vec<bool>,
}

impl EventLoop {
    pub(super) fn new(
        setup: &Setup,
        (index, threads): (usize, usize),
        streams: Vec<TcpStream>,
        load: Box<dyn Load + Send>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let args = &setup.plan.args;
        let pipeline = args.pipeline.unwrap_or(1);
        let connections = streams
            .into_iter()
            .enumerate()
            .map(|(number, stream)| Connection::new(stream, Token(number), poll.registry()))
            .collect::<io::Result<Vec<_>>>()?;
        let places = (0..pipeline).flat_map(|_| 0..connections.len());
        Ok(Self {
            timer: Timer::new(poll.registry(), TIMER)?,
            gate: Gate::new(&setup.plan, index, threads),
            pipeline,
            pace: args
                .rate
                .map(|rate| Pace::new(rate, index as u64, threads as u64)),
            idle: places.collect(),
            sent: connections.iter().map(|_| Sent::default()).collect(),
            requests: 0,
            remembers: setup.stamps(),
            exhausted: vec![false; connections.len()],
            connections,
            load,
            poll,
        })
    }

    /// Runs until the end. A lost connection ends it at once: this driver measures, and does not
    /// find its way around trouble.
    pub(super) fn run(mut self, run: &Run, recorder: &Recorder) -> Result<Vec<Sent>, Failure> {
        let mut events = Events::with_capacity(MAX_EVENTS);
        let mut scratch = vec![0; SCRATCH_BYTES];
        self.start(run).map_err(|error| lost(&error))?;
        while !run.is_abandoned() && !self.is_done(run) {
            self.keep_pace(run).map_err(|error| lost(&error))?;
            if let Err(error) = self.poll.poll(&mut events, Some(LOOK_AROUND))
                && error.kind() != io::ErrorKind::Interrupted
            {
                return Err(lost(&error));
            }
            for event in &events {
                let Token(number) = event.token();
                if event.token() != TIMER {
                    let turn = self.serve(number, run, recorder, &mut scratch);
                    turn.map_err(|error| lost(&error))?;
                }
            }
        }
        let waiting = self.connections.iter().flat_map(|it| &it.pending);
        let waiting: u64 = waiting.map(|pending| pending.records.max(1)).sum();
        if waiting > 0 {
            let now_ns = run.now_ns();
            recorder.entry(now_ns).failed(now_ns, waiting, "no answer");
        }
        Ok(self.sent)
    }

    fn start(&mut self, run: &Run) -> io::Result<()> {
        if self.pace.is_none() {
            for number in 0..self.connections.len() {
                self.fill(number, run)?;
            }
        }
        Ok(())
    }

    fn is_done(&self, run: &Run) -> bool {
        let closed = run.is_over(run.now_ns())
            || !self.gate.is_open()
            || self.exhausted.iter().all(|exhausted| *exhausted);
        closed && self.connections.iter().all(|it| it.pending.is_empty())
    }

    /// A connection's turn: what it received, then what it may send.
    fn serve(
        &mut self,
        number: usize,
        run: &Run,
        recorder: &Recorder,
        scratch: &mut [u8],
    ) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(number) else {
            return Ok(());
        };
        let (load, gate) = (&mut self.load, &mut self.gate);
        let (sent, idle) = (&mut self.sent, &mut self.idle);
        let (paced, remembers) = (self.pace.is_some(), self.remembers);
        connection.receive(scratch, |pending, frame| {
            let answer = load.answer(number, frame)?;
            let now_ns = run.now_ns();
            let mut entry = recorder.entry(now_ns);
            match answer {
                Answer::Good { bytes } => entry.answered(pending.sent_ns, pending.records, bytes),
                Answer::Read { records, bytes } => {
                    let counted = gate.pass(run, now_ns, records);
                    entry.received(counted, bytes * counted / records.max(1));
                }
                Answer::Refused(reason) => {
                    entry.failed(pending.sent_ns, pending.records.max(1), &reason);
                    if let Some(sent) = sent.get_mut(number).filter(|_| remembers) {
                        let after = pending.first + pending.records;
                        sent.unacknowledged.extend(pending.first..after);
                    }
                }
            }
            if paced {
                idle.push_back(number);
            }
            Ok(())
        })?;
        if self.pace.is_none() {
            self.fill(number, run)?;
        } else if let Some(connection) = self.connections.get_mut(number) {
            connection.flush(self.poll.registry())?;
        }
        Ok(())
    }

    /// Sends requests until the connection has its number in flight.
    fn fill(&mut self, number: usize, run: &Run) -> io::Result<()> {
        while let Some(connection) = self.connections.get(number)
            && connection.pending.len() < self.pipeline
            && self.send(number, run.now_ns(), run)
        {}
        match self.connections.get_mut(number) {
            Some(connection) => connection.flush(self.poll.registry()),
            None => Ok(()),
        }
    }

    /// Sends what is due, while there are places, and sets the timer for what is not.
    fn keep_pace(&mut self, run: &Run) -> io::Result<()> {
        let Some(pace) = self.pace else {
            return Ok(());
        };
        loop {
            let intended_ns = pace.intended_ns(self.requests);
            let now_ns = run.now_ns();
            if intended_ns > now_ns {
                return self.timer.set(Duration::from_nanos(intended_ns - now_ns));
            }
            let Some(number) = self.idle.pop_front() else {
                return Ok(());
            };
            if run.is_over(now_ns) || !self.send(number, intended_ns, run) {
                self.idle.push_front(number);
                return Ok(());
            }
            if let Some(connection) = self.connections.get_mut(number) {
                connection.flush(self.poll.registry())?;
            }
        }
    }

    /// Queues one request; `false` when nothing more is to be sent.
    fn send(&mut self, number: usize, sent_ns: u64, run: &Run) -> bool {
        let wanted = self.load.records();
        // Requests have one size: a part of one is left out.
        let passes = match wanted {
            0 => self.gate.is_open() && !run.is_over(sent_ns),
            wanted => self.gate.pass(run, sent_ns, wanted) == wanted,
        };
        if !passes {
            return false;
        }
        let sender = self
            .connections
            .get_mut(number)
            .zip(self.sent.get_mut(number));
        let Some((connection, sent)) = sender else {
            return false;
        };
        let pending = Pending {
            sent_ns,
            records: wanted,
            first: sent.records,
            correlation_id: connection.correlation_id(),
        };
        if !self.load.request(number, &pending, &mut connection.out) {
            if let Some(exhausted) = self.exhausted.get_mut(number) {
                *exhausted = true;
            }
            return false;
        }
        connection.pending.push_back(pending);
        sent.records += wanted;
        self.requests += 1;
        true
    }
}

fn lost(error: &io::Error) -> Failure {
    let reason = if error.kind() == io::ErrorKind::UnexpectedEof {
        "the broker closed it".to_owned()
    } else {
        error.to_string()
    };
    Failure::Unreachable(format!("a connection was lost: {reason}"))
}

const TIMER: Token = Token(usize::MAX - 1);
const MAX_EVENTS: usize = 1_024;
const SCRATCH_BYTES: usize = 256 * 1_024;
/// How soon the end of a run is noticed.
const LOOK_AROUND: Duration = Duration::from_millis(50);
