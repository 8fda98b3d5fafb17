//! The broker's side of connections: bytes in, frames to the frontends.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use chronik_node::{ConnectionId, FrameError, FrameLimits, FrameReader};

use crate::network::{Piece, WireId};

/// One connection.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) id: ConnectionId,
    pub(super) wire: WireId,
    reader: FrameReader,
    /// What has come and was not read.
    inbox: VecDeque<Piece>,
    /// What was read and gives frames.
    scratch: BytesMut,
}

/// What a read of a connection gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// Bytes.
    Some,
    /// Nothing now.
    Nothing,
    /// The peer is gone.
    End,
}

/// Connections of every frontend.
#[derive(Debug)]
pub(super) struct Doors {
    tables: Vec<Table>,
    next: usize,
    generation: u32,
    limits: FrameLimits,
}

#[derive(Debug, Default)]
struct Table {
    doors: Vec<Option<Door>>,
    free: Vec<u32>,
}

impl Doors {
    pub(super) fn new(frontends: u16, limits: FrameLimits) -> Self {
        Self {
            tables: (0..frontends).map(|_| Table::default()).collect(),
            next: 0,
            generation: 0,
            limits,
        }
    }

    /// Gives a new connection to the frontend whose turn it is.
    pub(super) fn open(&mut self, wire: WireId) -> (u16, ConnectionId) {
        let frontend = self.next % self.tables.len().max(1);
        self.next = frontend + 1;
        self.generation = self.generation.wrapping_add(1);
        let table = &mut self.tables[frontend];
        let index = table.free.pop().unwrap_or_else(|| {
            table.doors.push(None);
            u32::try_from(table.doors.len() - 1).unwrap_or(u32::MAX)
        });
        let id = ConnectionId {
            index,
            generation: self.generation,
        };
        table.doors[index as usize] = Some(Door {
            id,
            wire,
            reader: FrameReader::new(self.limits),
            inbox: VecDeque::new(),
            scratch: BytesMut::new(),
        });
        (u16::try_from(frontend).unwrap_or(u16::MAX), id)
    }

    /// Takes a connection away.
    pub(super) fn close(&mut self, frontend: u16, id: ConnectionId) -> Option<Door> {
        let table = self.tables.get_mut(usize::from(frontend))?;
        let place = table.doors.get_mut(id.index as usize)?;
        let door = place.take_if(|door| door.id == id)?;
        table.free.push(id.index);
        Some(door)
    }

    pub(super) fn get(&mut self, frontend: u16, id: ConnectionId) -> Option<&mut Door> {
        let table = self.tables.get_mut(usize::from(frontend))?;
        let place = table.doors.get_mut(id.index as usize)?;
        place.as_mut().filter(|door| door.id == id)
    }

    /// Every connection that stands.
    pub(super) fn all(&self) -> Vec<WireId> {
        let tables = self.tables.iter().flat_map(|table| &table.doors);
        tables.flatten().map(|door| door.wire).collect()
    }
}

impl Door {
    /// Something came from the peer.
    pub(super) fn put(&mut self, piece: Piece) {
        self.inbox.push_back(piece);
    }

    /// The next whole request of what was read.
    pub(super) fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        self.reader.next(&mut self.scratch)
    }

    /// Reads once.
    pub(super) fn read(&mut self) -> Read {
        match self.inbox.pop_front() {
            Some(Piece::Bytes(bytes)) => {
                self.scratch = bytes.into();
                Read::Some
            }
            Some(Piece::End) => Read::End,
            Some(Piece::Open) | None => Read::Nothing,
        }
    }
}
