//! Byte streams between actors and brokers: in order, late, cut anywhere, and sometimes lost.

mod faults;
mod pipe;

use std::collections::BTreeMap;

use bytes::Bytes;
use chronik_model::Mono;
use chronik_model::rng::Rng;
use chronik_node::ConnectionId;

use crate::actor::{ActorId, BrokerId, Link};
use crate::run::Pace;
use crate::schedule::Schedule;
use crate::world::Event;
use pipe::{Pipe, Way};

/// What a machine that hears nothing waits before it sends again.
const RETRANSMIT_NS: u64 = 200_000_000;

/// A connection, counted over the whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireId(pub u32);

/// What the network does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkEvent {
    /// What stands first on its way to the broker arrives.
    Up(WireId),
    /// What stands first on its way to the actor arrives.
    Down(WireId),
}

impl NetworkEvent {
    const fn parts(self) -> (WireId, Way) {
        match self {
            Self::Up(id) => (id, Way::Up),
            Self::Down(id) => (id, Way::Down),
        }
    }

    pub(crate) const fn code(self) -> u64 {
        match self {
            Self::Up(wire) => 1 << 40 | wire.0 as u64,
            Self::Down(wire) => 2 << 40 | wire.0 as u64,
        }
    }
}

/// One thing on its way.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    /// To a broker: somebody wants to connect. To an actor: the connection stands.
    Open,
    /// Bytes.
    Bytes(Bytes),
    /// Nothing more comes.
    End,
}

/// Where a connection ends in a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) frontend: u16,
    pub(crate) id: ConnectionId,
}

/// See the module.
#[derive(Debug)]
struct Wire {
    actor: ActorId,
    link: Link,
    broker: BrokerId,
    /// The broker's side, once it has accepted.
    socket: Option<Socket>,
    /// The actor wants to hear of it.
    heard: bool,
    up: Pipe,
    down: Pipe,
}

/// All connections.
#[derive(Debug)]
pub struct Network {
    pace: Pace,
    rng: Rng,
    wires: Vec<Wire>,
    by_link: BTreeMap<(ActorId, Link), WireId>,
    /// By broker: until when bytes stand still on their way to it, and from it.
    clogged: Vec<[Mono; 2]>,
}

/// The time, and what is to happen at others.
pub(crate) struct Times<'a> {
    pub(crate) now: Mono,
    pub(crate) schedule: &'a mut Schedule<Event>,
}

impl Network {
    pub(crate) fn new(pace: Pace, rng: Rng, brokers: u16) -> Self {
        Self {
            pace,
            rng,
            wires: Vec::new(),
            by_link: BTreeMap::new(),
            clogged: vec![[Mono(0); 2]; usize::from(brokers)],
        }
    }

    fn wire(&self, id: WireId) -> Option<&Wire> {
        self.wires.get(index(id))
    }

    /// An actor connects.
    pub(crate) fn open(&mut self, times: &mut Times<'_>, from: (ActorId, Link), broker: BrokerId) {
        let id = WireId(u32::try_from(self.wires.len()).unwrap_or(u32::MAX));
        let (actor, link) = from;
        self.wires.push(Wire {
            actor,
            link,
            broker,
            socket: None,
            heard: true,
            up: Pipe::default(),
            down: Pipe::default(),
        });
        self.by_link.insert(from, id);
        self.put(times, id, Way::Up, Piece::Open);
    }

    /// An actor writes.
    pub(crate) fn send_up(&mut self, times: &mut Times<'_>, from: (ActorId, Link), bytes: Bytes) {
        if let Some(id) = self.by_link.get(&from).copied() {
            self.put_bytes(times, id, Way::Up, bytes);
        }
    }

    /// An actor closes, and hears nothing more.
    pub(crate) fn close_up(&mut self, times: &mut Times<'_>, from: (ActorId, Link)) {
        if let Some(id) = self.by_link.remove(&from) {
            self.put(times, id, Way::Up, Piece::End);
            self.deafen(id);
        }
    }

    /// A broker has taken the connection.
    pub(crate) fn accepted(&mut self, times: &mut Times<'_>, id: WireId, socket: Socket) {
        if let Some(wire) = self.wires.get_mut(index(id)) {
            wire.socket = Some(socket);
            self.put(times, id, Way::Down, Piece::Open);
        }
    }

    /// A broker writes.
    pub(crate) fn send_down(&mut self, times: &mut Times<'_>, id: WireId, bytes: Bytes) {
        self.put_bytes(times, id, Way::Down, bytes);
    }

    /// A broker closes, or its machine answers for it.
    pub(crate) fn close_down(&mut self, times: &mut Times<'_>, id: WireId) {
        if let Some(wire) = self.wires.get_mut(index(id)) {
            wire.socket = None;
            self.put(times, id, Way::Down, Piece::End);
        }
    }

    /// Nobody answers now: what came is sent again later.
    pub(crate) fn send_again(&mut self, times: &mut Times<'_>, id: WireId, piece: Piece) {
        let at = Mono(times.now.0 + RETRANSMIT_NS + self.rng.below(RETRANSMIT_NS));
        if let Some(wire) = self.wires.get_mut(index(id)) {
            wire.up.put_back(piece, at);
            times
                .schedule
                .push(at, Event::Network(NetworkEvent::Up(id)));
        }
    }

    /// The broker's side of a connection.
    pub(crate) fn socket(&self, id: WireId) -> Option<Socket> {
        self.wire(id).and_then(|wire| wire.socket)
    }

    /// The actor's side of a connection.
    pub(crate) fn ends(&self, id: WireId) -> Option<(ActorId, Link)> {
        self.wire(id).map(|wire| (wire.actor, wire.link))
    }

    /// The broker at the end of a connection.
    pub(crate) fn broker(&self, id: WireId) -> Option<BrokerId> {
        self.wire(id).map(|wire| wire.broker)
    }

    /// What would arrive now arrives later.
    pub(crate) fn hold(&mut self, times: &mut Times<'_>, event: NetworkEvent, until: Mono) {
        let (id, way) = event.parts();
        if let Some(wire) = self.wires.get_mut(index(id)) {
            wire.pipe(way).wait_for(until);
            times.schedule.push(until, Event::Network(event));
        }
    }

    /// What arrives with an event; none where it is stopped on its way, or nobody hears it.
    pub(crate) fn arrive(&mut self, times: &mut Times<'_>, event: NetworkEvent) -> Option<Piece> {
        let (id, way) = event.parts();
        let wire = self.wires.get_mut(index(id))?;
        let clogged = self.clogged.get(usize::from(wire.broker.0));
        let until = clogged.map_or(Mono(0), |ways| ways[way as usize]);
        let pipe = wire.pipe(way);
        if pipe.is_empty() {
            return None;
        }
        if until > times.now {
            pipe.wait_for(until);
            times.schedule.push(until, Event::Network(event));
            return None;
        }
        let piece = pipe.take()?;
        match way {
            Way::Up => Some(piece),
            Way::Down => self.heard(id, piece),
        }
    }

    fn heard(&mut self, id: WireId, piece: Piece) -> Option<Piece> {
        let wire = self.wires.get_mut(index(id))?;
        if !wire.heard {
            return None;
        }
        if matches!(piece, Piece::End) {
            let from = (wire.actor, wire.link);
            self.by_link.remove(&from);
            self.deafen(id);
        }
        Some(piece)
    }

    fn deafen(&mut self, id: WireId) {
        if let Some(wire) = self.wires.get_mut(index(id)) {
            wire.heard = false;
            wire.down.clear();
        }
    }

    /// Cuts bytes where the network pleases, and sends the parts off.
    fn put_bytes(&mut self, times: &mut Times<'_>, id: WireId, way: Way, mut bytes: Bytes) {
        /// A write is cut into this many parts at most.
        const MOST_CUTS: u64 = 12;
        if self.rng.below(100) < self.pace.cut_percent {
            for _ in 0..self.rng.below(MOST_CUTS) {
                let most = match self.rng.below(3) {
                    0 => 1,
                    1 => 8,
                    _ => bytes.len() as u64,
                };
                let size = usize::try_from(1 + self.rng.below(most)).unwrap_or(1);
                if size >= bytes.len() {
                    break;
                }
                let part = bytes.split_to(size);
                self.put(times, id, way, Piece::Bytes(part));
            }
        }
        if !bytes.is_empty() {
            self.put(times, id, way, Piece::Bytes(bytes));
        }
    }

    fn put(&mut self, times: &mut Times<'_>, id: WireId, way: Way, piece: Piece) {
        let takes = self.pace.network_ns + self.rng.below(self.pace.jitter_ns);
        let Some(wire) = self.wires.get_mut(index(id)) else {
            return;
        };
        if way == Way::Down && !wire.heard {
            return;
        }
        let Some(at) = wire.pipe(way).put(piece, Mono(times.now.0 + takes)) else {
            return;
        };
        let event = match way {
            Way::Up => NetworkEvent::Up(id),
            Way::Down => NetworkEvent::Down(id),
        };
        times.schedule.push(at, Event::Network(event));
    }
}

impl Wire {
    const fn pipe(&mut self, way: Way) -> &mut Pipe {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }
}

const fn index(id: WireId) -> usize {
    id.0 as usize
}
