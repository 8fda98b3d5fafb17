//! One connection to a broker, over and over again: requests in flight, replies in their order,
//! timeouts, and a new link where the old one broke.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use chronik_model::Mono;
use chronik_protocol::messages::{self, Decodable, Encodable};
use chronik_protocol::{ApiKey, RequestHeader};

use super::dice::{Dice, MS};
use crate::actor::{ActorInput, ActorOutputs, BrokerId, Link, LinkOp};

/// How a connection behaves.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// Which of the actor's connections this is, counted from 0.
    pub index: u32,
    /// How many connections the actor has.
    pub of: u32,
    /// Whom it connects to.
    pub broker: BrokerId,
    /// How long a reply may take, in ns.
    pub timeout: u64,
}

/// A reply that came, with what its request was about.
#[derive(Debug)]
pub struct Reply<A> {
    /// What the sender noted.
    pub about: A,
    /// The API.
    pub key: ApiKey,
    /// Version of request and reply.
    pub version: i16,
    /// When the request was sent.
    pub sent_at: Mono,
    /// The frame, without its length prefix.
    pub frame: Bytes,
}

impl<A> Reply<A> {
    /// The message, or what is wrong with it.
    ///
    /// # Errors
    /// A reply that is not what the version says.
    pub fn decode<T: Decodable>(&self) -> Result<T, String> {
        let decoded = messages::decode_response(&self.frame, self.key.code(), self.version);
        decoded
            .map(|(_, message)| message)
            .map_err(|error| format!("{} v{}: {error}", self.key.name(), self.version))
    }

    /// The same reply, about something else.
    pub fn map<B>(self, about: impl FnOnce(A) -> B) -> Reply<B> {
        Reply {
            about: about(self.about),
            key: self.key,
            version: self.version,
            sent_at: self.sent_at,
            frame: self.frame,
        }
    }
}

impl<A> Reply<Option<A>> {
    /// The reply, if it is about something.
    pub fn flatten(self) -> Option<Reply<A>> {
        let about = self.about?;
        Some(Reply {
            about,
            key: self.key,
            version: self.version,
            sent_at: self.sent_at,
            frame: self.frame,
        })
    }
}

/// What happened on a connection.
#[derive(Debug)]
pub enum Event<A> {
    /// It stands.
    Opened,
    /// A reply, in the order of the requests.
    Reply(Reply<A>),
    /// It is gone, with the requests that nobody will answer. One that stood is opened again.
    Lost(Vec<A>),
    /// The broker broke the protocol; [`Event::Lost`] follows.
    Broken(String),
}

#[derive(Debug)]
struct Expected<A> {
    correlation_id: i32,
    key: ApiKey,
    version: i16,
    sent_at: Mono,
    deadline: Mono,
    about: A,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nobody wants it.
    Idle,
    /// To be opened then.
    Waiting(Mono),
    /// Asked for; given up at that time.
    Opening(Mono),
    Open,
}

/// See the module.
#[derive(Debug)]
pub struct Connection<A> {
    habits: Habits,
    state: State,
    link: Link,
    links_used: u32,
    failures: u32,
    correlation_id: i32,
    expected: VecDeque<Expected<A>>,
    buffer: BytesMut,
    operations: u64,
}

impl<A> Connection<A> {
    /// A connection that is not open yet.
    #[must_use]
    pub fn new(habits: Habits) -> Self {
        Self {
            habits,
            state: State::Idle,
            link: Link(u32::MAX),
            links_used: 0,
            failures: 0,
            correlation_id: 0,
            expected: VecDeque::new(),
            buffer: BytesMut::new(),
            operations: 0,
        }
    }

    /// Whether requests can be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Requests without reply.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.expected.len()
    }

    /// Requests that were sent so far.
    #[must_use]
    pub const fn operations(&self) -> u64 {
        self.operations
    }

    /// Opens it at that time, and again whenever it breaks.
    pub fn open_at(&mut self, at: Mono) {
        if self.state == State::Idle {
            self.state = State::Waiting(at);
        }
    }

    /// Closes it until [`Connection::open_at`]; what is in flight stays open for ever.
    pub fn close(&mut self, out: &mut ActorOutputs) -> Vec<A> {
        if matches!(self.state, State::Opening(_) | State::Open) {
            out.links.push(LinkOp::Close(self.link));
        }
        self.state = State::Idle;
        self.forget()
    }

    /// When it wants a tick.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        match self.state {
            State::Idle => None,
            State::Waiting(at) | State::Opening(at) => Some(at),
            State::Open => self.expected.iter().map(|it| it.deadline).min(),
        }
    }

    /// Takes one input of the actor, and says what it means here.
    pub fn step(
        &mut self,
        (now, dice): (Mono, &mut Dice),
        input: &ActorInput,
        out: &mut ActorOutputs,
    ) -> Vec<Event<A>> {
        match input {
            ActorInput::Tick => self.tick(now, dice, out),
            ActorInput::Opened(link) if self.is_mine(*link) => {
                self.state = State::Open;
                vec![Event::Opened]
            }
            ActorInput::Received(link, bytes) if self.is_mine(*link) => {
                self.receive(now, bytes, dice, out)
            }
            ActorInput::Lost(link) if self.is_mine(*link) => vec![self.lose(now, dice)],
            ActorInput::Opened(_)
            | ActorInput::Received(..)
            | ActorInput::Lost(_)
            | ActorInput::WindDown => Vec::new(),
        }
    }

    /// Sends a request that will be answered.
    ///
    /// # Panics
    /// Where a field is set that the version does not have, which is a mistake of the actor.
    pub fn send<Q: Encodable>(
        &mut self,
        now: Mono,
        (key, version): (ApiKey, i16),
        request: &Q,
        about: A,
        out: &mut ActorOutputs,
    ) {
        let patience = self.habits.timeout;
        self.send_patiently((now, patience), (key, version), request, about, out);
    }

    /// The same for a request whose reply may take longer, or must not.
    ///
    /// # Panics
    /// Where a field is set that the version does not have.
    pub fn send_patiently<Q: Encodable>(
        &mut self,
        (now, patience): (Mono, u64),
        (key, version): (ApiKey, i16),
        request: &Q,
        about: A,
        out: &mut ActorOutputs,
    ) {
        let correlation_id = self.post((key, version), request, out);
        self.expected.push_back(Expected {
            correlation_id,
            key,
            version,
            sent_at: now,
            deadline: Mono(now.0 + patience),
            about,
        });
    }

    /// Sends a request that will not be answered.
    ///
    /// # Panics
    /// Where a field is set that the version does not have.
    pub fn post<Q: Encodable>(
        &mut self,
        (key, version): (ApiKey, i16),
        request: &Q,
        out: &mut ActorOutputs,
    ) -> i32 {
        debug_assert!(self.is_open(), "sends where nothing is open");
        let correlation_id = self.correlation_id;
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let header = RequestHeader {
            api_key: key.code(),
            api_version: version,
            correlation_id,
            client_id: Some("sim"),
        };
        let encoded = messages::encode_request(&header, request);
        let frame = encoded.unwrap_or_else(|error| panic!("{} v{version}: {error}", key.name()));
        out.links.push(LinkOp::Send(self.link, frame));
        self.operations += 1;
        correlation_id
    }

    /// Sends bytes that are no request.
    pub fn send_raw(&mut self, bytes: Bytes, out: &mut ActorOutputs) {
        out.links.push(LinkOp::Send(self.link, bytes));
        self.operations += 1;
    }

    /// Gives the link up and opens another one.
    pub fn break_off(&mut self, now: Mono, dice: &mut Dice, out: &mut ActorOutputs) -> Event<A> {
        out.links.push(LinkOp::Close(self.link));
        self.lose(now, dice)
    }

    fn is_mine(&self, link: Link) -> bool {
        self.link == link && matches!(self.state, State::Opening(_) | State::Open)
    }

    fn tick(&mut self, now: Mono, dice: &mut Dice, out: &mut ActorOutputs) -> Vec<Event<A>> {
        if self.deadline().is_none_or(|at| at > now) {
            return Vec::new();
        }
        match self.state {
            State::Idle => Vec::new(),
            State::Waiting(_) => {
                self.link = Link(self.links_used * self.habits.of + self.habits.index);
                self.links_used += 1;
                self.state = State::Opening(Mono(now.0 + OPEN_TIMEOUT));
                out.links.push(LinkOp::Open(self.link, self.habits.broker));
                Vec::new()
            }
            State::Opening(_) | State::Open => vec![self.break_off(now, dice, out)],
        }
    }

    fn receive(
        &mut self,
        now: Mono,
        bytes: &Bytes,
        dice: &mut Dice,
        out: &mut ActorOutputs,
    ) -> Vec<Event<A>> {
        let mut whole = if self.buffer.is_empty() {
            bytes.clone()
        } else {
            self.buffer.extend_from_slice(bytes);
            self.buffer.split().freeze()
        };
        let mut events = Vec::new();
        while let Some(frame) = next_frame(&mut whole) {
            match self.answer(frame) {
                Ok(reply) => events.push(Event::Reply(reply)),
                Err(broken) => {
                    events.push(Event::Broken(broken));
                    events.push(self.break_off(now, dice, out));
                    return events;
                }
            }
        }
        self.buffer.extend_from_slice(&whole);
        if !events.is_empty() {
            self.failures = 0;
        }
        events
    }

    fn answer(&mut self, frame: Bytes) -> Result<Reply<A>, String> {
        let next = self.expected.front();
        let next = next.ok_or("a reply that nobody asked for")?;
        let found = frame.first_chunk().map(|id| i32::from_be_bytes(*id));
        if found != Some(next.correlation_id) {
            let (key, id) = (next.key.name(), next.correlation_id);
            return Err(format!(
                "correlation id {found:?} where that of {key}, {id}, is next"
            ));
        }
        let expected = self.expected.pop_front();
        let expected = expected.ok_or("a reply that nobody asked for")?;
        Ok(Reply {
            about: expected.about,
            key: expected.key,
            version: expected.version,
            sent_at: expected.sent_at,
            frame,
        })
    }

    fn lose(&mut self, now: Mono, dice: &mut Dice) -> Event<A> {
        let backoff = FIRST_BACKOFF << self.failures.min(MOST_DOUBLINGS);
        self.failures += 1;
        self.state = State::Waiting(Mono(now.0 + dice.between(backoff / 2, backoff)));
        Event::Lost(self.forget())
    }

    fn forget(&mut self) -> Vec<A> {
        self.buffer.clear();
        self.expected.drain(..).map(|it| it.about).collect()
    }
}

/// Takes a frame off the front, without its length prefix, once it is whole.
fn next_frame(bytes: &mut Bytes) -> Option<Bytes> {
    let length = i32::from_be_bytes(*bytes.first_chunk()?);
    // A negative length never becomes whole: the request runs into its timeout.
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if bytes.len() - PREFIX_BYTES < length {
        return None;
    }
    let mut frame = bytes.split_to(PREFIX_BYTES + length);
    Some(frame.split_off(PREFIX_BYTES))
}

const PREFIX_BYTES: usize = 4;
/// How long a link may take to open, in ns.
const OPEN_TIMEOUT: u64 = 2_000 * MS;
/// Wait before the first new attempt, in ns; it doubles up to [`MOST_DOUBLINGS`] times.
const FIRST_BACKOFF: u64 = 20 * MS;
const MOST_DOUBLINGS: u32 = 5;

#[cfg(test)]
mod tests;
