//! One socket: a partial request, and replies that have not left yet.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

use bytes::{Buf, Bytes, BytesMut};
use chronik_model::Mono;
use chronik_node::{ConnectionId, FrameError, FrameLimits, FrameReader, Pieces};
use mio::net::TcpStream;

use super::admission::FREE_BYTES;
use super::receive::receive;

/// A connection with this much output waiting hands in no more requests.
pub(super) const MAX_OUTPUT_BYTES: usize = 1 << 20;
/// Pieces up to this size are copied together.
const SMALL_PIECE_BYTES: usize = 4096;
/// Pieces of one write.
const PIECES_PER_WRITE: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) stream: TcpStream,
    pub(super) last_active: Mono,
    /// The socket takes no more; writability is waited for.
    pub(super) blocked: bool,
    /// Close once everything is written.
    pub(super) closing: bool,
    /// Reading stopped because of too much output.
    pub(super) starved_by_output: bool,
    /// Bytes reserved for the large request that is on its way in.
    pub(super) reserved: usize,
    reader: FrameReader,
    pieces: VecDeque<Bytes>,
    /// Small replies, behind all pieces.
    small: BytesMut,
    output_bytes: usize,
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
            closing: false,
            starved_by_output: false,
            reserved: 0,
            reader: FrameReader::new(FrameLimits { max_frame_bytes }),
            pieces: VecDeque::new(),
            small: BytesMut::new(),
            output_bytes: 0,
        }
    }

    /// Reads once: into the rest of a large request, or into `scratch`.
    pub(super) fn read(&mut self, scratch: &mut BytesMut) -> io::Result<usize> {
        let wanted = self.reader.wanted();
        match self.reader.partial_buffer() {
            Some(buffer) => receive(&self.stream, buffer, wanted),
            None => receive(&self.stream, scratch, usize::MAX),
        }
    }

    /// Bytes that must be reserved before more of the present request is read.
    pub(super) fn unreserved_bytes(&self) -> usize {
        let wanted = self.reader.wanted();
        if self.reserved == 0 && wanted > FREE_BYTES {
            wanted
        } else {
            0
        }
    }

    /// Gives up the reservation once its request is whole.
    pub(super) fn take_unneeded_reservation(&mut self) -> usize {
        if self.reader.wanted() == 0 {
            std::mem::take(&mut self.reserved)
        } else {
            0
        }
    }

    /// The next whole request of what was read.
    pub(super) fn next_frame(
        &mut self,
        scratch: &mut BytesMut,
    ) -> Result<Option<Bytes>, FrameError> {
        self.reader.next(scratch)
    }

    pub(super) const fn output_bytes(&self) -> usize {
        self.output_bytes
    }

    /// Adds a reply to the output.
    pub(super) fn send(&mut self, pieces: Pieces) {
        match pieces {
            Pieces::One(bytes) => self.push(bytes),
            Pieces::Many(pieces) => pieces.into_iter().for_each(|bytes| self.push(bytes)),
        }
    }

    fn push(&mut self, bytes: Bytes) {
        self.output_bytes += bytes.len();
        if bytes.len() <= SMALL_PIECE_BYTES {
            self.small.extend_from_slice(&bytes);
            return;
        }
        if !self.small.is_empty() {
            self.pieces.push_back(self.small.split().freeze());
        }
        self.pieces.push_back(bytes);
    }

    /// Writes as much as the socket takes.
    pub(super) fn flush(&mut self) -> Flushed {
        if self.blocked {
            return Flushed::Blocked;
        }
        while self.output_bytes > 0 {
            match self.write_once() {
                Ok(0) => return Flushed::Failed,
                Ok(written) => self.consume(written),
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

    fn write_once(&mut self) -> io::Result<usize> {
        if self.pieces.is_empty() {
            return self.stream.write(&self.small);
        }
        let mut slices: Vec<IoSlice<'_>> = self
            .pieces
            .iter()
            .take(PIECES_PER_WRITE)
            .map(|piece| IoSlice::new(piece))
            .collect();
        if slices.len() == self.pieces.len() && !self.small.is_empty() {
            slices.push(IoSlice::new(&self.small));
        }
        self.stream.write_vectored(&slices)
    }

    fn consume(&mut self, mut written: usize) {
        self.output_bytes -= written;
        while let Some(piece) = self.pieces.front_mut() {
            if written < piece.len() {
                piece.advance(written);
                return;
            }
            written -= piece.len();
            self.pieces.pop_front();
        }
        self.small.advance(written);
    }
}
