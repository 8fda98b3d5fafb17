//! What lives in the world beside brokers: clients, as machines that see bytes and time only.

use bytes::Bytes;
use chronik_model::Mono;

use crate::history::Fact;

/// One actor, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorId(pub u16);

/// One broker, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerId(pub u16);

/// A connection, named by the actor that opens it. No actor uses a number twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link(pub u32);

/// What an actor is told.
#[derive(Debug, Clone)]
pub enum ActorInput {
    /// Its deadline has passed, or the world begins.
    Tick,
    /// The connection stands.
    Opened(Link),
    /// Bytes in order, cut anywhere.
    Received(Link, Bytes),
    /// The connection was refused, closed or reset; nothing more comes from it.
    Lost(Link),
    /// The faults are over: finish what is under way, begin nothing new.
    WindDown,
}

/// What an actor does with connections, in order.
#[derive(Debug, Clone)]
pub enum LinkOp {
    /// Connect to a broker; [`ActorInput::Opened`] or [`ActorInput::Lost`] follows, or nothing for as
    /// long as the network is cut.
    Open(Link, BrokerId),
    /// Write bytes.
    Send(Link, Bytes),
    /// Close it; nothing more is heard of it.
    Close(Link),
}

/// What an actor wants done, and what it saw.
#[derive(Debug, Default)]
pub struct ActorOutputs {
    /// Operations on connections.
    pub links: Vec<LinkOp>,
    /// For the history, in order.
    pub facts: Vec<Fact>,
}

/// See the module.
pub trait Actor: std::fmt::Debug {
    /// Takes one input.
    fn step(&mut self, now: Mono, input: ActorInput, out: &mut ActorOutputs);

    /// When [`ActorInput::Tick`] is wanted next.
    fn deadline(&self) -> Option<Mono>;

    /// After [`ActorInput::WindDown`]: whether nothing is left to do.
    fn is_done(&self) -> bool;

    /// One line on what it waits for, for whoever asks why a run does not end.
    fn state(&self) -> String;

    /// Requests that it has sent, or other things of which it saw the end.
    fn operations(&self) -> u64 {
        0
    }
}
