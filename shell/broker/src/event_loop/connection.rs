//! One socket: a partial request, and replies that have not left yet.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chronik_model::Mono;
use chronik_node::{ConnectionId, FrameError, FrameLimits, FrameReader, Piece, Pieces};
use mio::net::TcpStream;

use super::output::Output;
use super::receive::receive;
use crate::memory::{Kind, Lease, Memory};

/// A connection with this much output waiting hands in no more requests.
pub(super) const MAX_OUTPUT_BYTES: usize = 1 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) stream: TcpStream,
    pub(super) last_active: Mono,
    /// The socket takes no more; writability is waited for.
    pub(super) blocked: bool,
    /// The peer sends nothing more, so that a read has to find the end of what it sent.
    pub(super) hung_up: bool,
    /// Close once everything is written.
    pub(super) closing: bool,
    /// Reading stopped because of too much output.
    pub(super) starved_by_output: bool,
    /// The request that is on its way in stands in line for memory.
    pub(super) queued: bool,
    /// Memory of the request that is on its way in.
    pub(super) lease: Option<Lease>,
    reader: FrameReader,
    output: Output,
    /// Memory of its small replies, once the socket takes no more.
    small_lease: Option<Lease>,
}

/// What one read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Bytes; 0 at the end of the stream.
    pub(super) bytes: usize,
    /// There is no more for now, and readiness will tell of what comes: a read that is not filled says
    /// as much as one that would block (epoll(7)).
    pub(super) last: bool,
}

/// What became of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flushed {
    /// It is all written.
    All,
    /// The socket takes no more now.
    Blocked,
    /// The peer is gone.
    Failed,
}

impl Connection {
    pub(super) fn new(
        id: ConnectionId,
        stream: TcpStream,
        max_frame_bytes: u32,
        now: Mono,
    ) -> Self {
        Self {
            id,
            stream,
            last_active: now,
            blocked: false,
            hung_up: false,
            closing: false,
            starved_by_output: false,
            queued: false,
            lease: None,
            reader: FrameReader::new(FrameLimits { max_frame_bytes }),
            output: Output::default(),
            small_lease: None,
        }
    }

    /// Reads once: into the rest of a large request, or into `scratch`.
    pub(super) fn read(&mut self, scratch: &mut BytesMut) -> io::Result<Chunk> {
        let wanted = self.reader.wanted();
        if let Some(buffer) = self.reader.partial_buffer() {
            let bytes = receive(&self.stream, buffer, wanted)?;
            return Ok(Chunk { bytes, last: false });
        }
        let room = scratch.spare_capacity_mut().len();
        let bytes = receive(&self.stream, scratch, room)?;
        let last = bytes < room && !self.hung_up;
        Ok(Chunk { bytes, last })
    }

    /// Size of the request of which a part has come, or 0 if none has.
    pub(super) const fn bytes_of_partial_request(&self) -> usize {
        self.reader.frame_bytes()
    }

    /// Bytes that are held because the peer does not read, or does not send the rest of a request.
    pub(super) fn held_by_its_peer(&self) -> Option<usize> {
        let unsent = if self.blocked {
            self.output.bytes_in_memory()
        } else {
            0
        };
        let partial = self.lease.as_ref().map_or(0, Lease::bytes);
        let held = unsent.saturating_add(usize::try_from(partial).unwrap_or(usize::MAX));
        (held > 0).then_some(held)
    }

    /// Accounts for small replies that the socket did not take, and lets go of their memory when
    /// there are none.
    pub(super) fn account_small(&mut self, memory: &Arc<Memory>) {
        if let Some(bytes) = self.output.small_bytes() {
            let lease = &mut self.small_lease;
            match lease {
                Some(lease) if lease.bytes() == bytes as u64 => {}
                Some(lease) => lease.resize(bytes as u64),
                None => *lease = Some(memory.take(Kind::Replies, bytes)),
            }
            return;
        }
        self.small_lease = None;
        self.output.shrink();
    }

    /// The next whole request of what was read.
    pub(super) fn next_frame(
        &mut self,
        scratch: &mut BytesMut,
    ) -> Result<Option<Bytes>, FrameError> {
        self.reader.next(scratch)
    }

    pub(super) const fn output_bytes(&self) -> usize {
        self.output.bytes()
    }

    /// Adds a reply to the output.
    pub(super) fn send(&mut self, pieces: Pieces) {
        match pieces {
            Pieces::One(bytes) => self.output.push(Piece::Memory(bytes)),
            Pieces::Many(pieces) => {
                pieces.into_iter().for_each(|piece| self.output.push(piece));
            }
        }
    }

    /// Writes as much as the socket takes.
    pub(super) fn flush(&mut self) -> Flushed {
        if self.blocked {
            return Flushed::Blocked;
        }
        while self.output.bytes() > 0 {
            match self.output.write(&self.stream) {
                Ok(0) => return Flushed::Failed,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Flushed::Blocked;
                }
                Err(_gone) => return Flushed::Failed,
            }
        }
        Flushed::All
    }
}
