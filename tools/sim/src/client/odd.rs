//! Clients that do not behave: they must not matter to anybody else.

use bytes::Bytes;
use chronik_model::Mono;
use chronik_protocol::messages::{self, MetadataRequest};
use chronik_protocol::{ApiKey, RequestHeader};

use super::dice::{Dice, MS};
use crate::actor::{Actor, ActorInput, ActorOutputs, BrokerId, Link, LinkOp};

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// Sends a request and closes at once.
    Hasty,
    /// Sends many requests, and takes no notice of the replies.
    Deaf,
    /// Sends half of a request and nothing more.
    HalfHearted,
    /// Sends what is no request.
    Babbling,
}

/// See the module.
#[derive(Debug)]
pub struct Odd {
    oddity: Oddity,
    broker: BrokerId,
    dice: Dice,
    link: Link,
    is_open: bool,
    next_at: Mono,
    left: u64,
    sent: u64,
    finished: bool,
}

impl Odd {
    /// A client of that kind, which does it so many times.
    #[must_use]
    pub fn new(oddity: Oddity, broker: BrokerId, times: u64, mut dice: Dice) -> Self {
        Self {
            oddity,
            broker,
            link: Link(0),
            is_open: false,
            next_at: dice.later(Mono(0), 0, 2_000),
            left: times,
            sent: 0,
            finished: false,
            dice,
        }
    }

    fn act(&mut self, now: Mono, out: &mut ActorOutputs) {
        if self.finished || self.next_at > now {
            return;
        }
        if self.is_open {
            // It has stood there for long enough.
            out.links.push(LinkOp::Close(self.link));
            self.is_open = false;
        }
        if self.left == 0 {
            self.finished = true;
            return;
        }
        self.left -= 1;
        self.link = Link(self.link.0 + 1);
        self.is_open = true;
        self.next_at = self.dice.later(now, 200, 6_000);
        out.links.push(LinkOp::Open(self.link, self.broker));
    }

    fn speak(&mut self, now: Mono, out: &mut ActorOutputs) {
        let request = request();
        match self.oddity {
            Oddity::Hasty => {
                self.say(request, out);
                out.links.push(LinkOp::Close(self.link));
                self.is_open = false;
                self.next_at = self.dice.later(now, 10, 1_000);
            }
            Oddity::Deaf => {
                for _ in 0..self.dice.between(1, MOST_UNREAD) {
                    self.say(request.clone(), out);
                }
            }
            Oddity::HalfHearted => {
                let half = self.dice.index(request.len());
                self.say(request.slice(..half), out);
            }
            Oddity::Babbling => {
                let length = self.dice.between(1, 60);
                let bytes = (0..length).map(|_| self.dice.small(0, 255));
                let bytes: Vec<u8> = bytes.filter_map(|it| u8::try_from(it).ok()).collect();
                // The length is sound, so that there is something to decode.
                let prefix = u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes();
                self.say([prefix.as_slice(), &bytes].concat().into(), out);
            }
        }
    }

    fn say(&mut self, bytes: Bytes, out: &mut ActorOutputs) {
        self.sent += 1;
        out.links.push(LinkOp::Send(self.link, bytes));
    }
}

fn request() -> Bytes {
    let header = RequestHeader {
        api_key: ApiKey::Metadata.code(),
        api_version: METADATA_VERSION,
        correlation_id: 1,
        client_id: Some("odd"),
    };
    let request = MetadataRequest::default().with_topics(None);
    messages::encode_request(&header, &request).expect("all topics can be asked for")
}

impl Actor for Odd {
    fn step(&mut self, now: Mono, input: ActorInput, out: &mut ActorOutputs) {
        match input {
            ActorInput::Opened(link) if link == self.link && self.is_open => self.speak(now, out),
            ActorInput::Lost(link) if link == self.link && self.is_open => {
                self.is_open = false;
                self.next_at = self.dice.later(now, 10, 1_000);
            }
            ActorInput::WindDown => {
                self.left = 0;
                self.next_at = self.next_at.min(Mono(now.0 + 10 * MS));
            }
            ActorInput::Tick
            | ActorInput::Opened(_)
            | ActorInput::Received(..)
            | ActorInput::Lost(_) => {}
        }
        self.act(now, out);
    }

    fn deadline(&self) -> Option<Mono> {
        (!self.finished).then_some(self.next_at)
    }

    fn is_done(&self) -> bool {
        self.finished
    }

    fn state(&self) -> String {
        format!("{:?} client, {} times left", self.oddity, self.left)
    }

    fn operations(&self) -> u64 {
        self.sent
    }
}

/// Most requests whose replies nobody reads.
const MOST_UNREAD: u64 = 20;
const METADATA_VERSION: i16 = 9;
