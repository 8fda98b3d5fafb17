//! One connection: bytes out, frames in.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use chronik_protocol::{FrameLimits, FrameReader};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// A request in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    /// When it was, or should have been, sent.
    pub(super) sent_ns: u64,
    /// Its records.
    pub(super) records: u64,
    /// The sequence number of the first.
    pub(super) first: u64,
    /// What the answer must carry.
    pub(super) correlation_id: i32,
}

#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    token: Token,
    reader: FrameReader,
    /// Bytes of requests that the socket has not taken.
    pub(super) out: BytesMut,
    /// Requests without an answer, in the order in which answers come.
    pub(super) pending: VecDeque<Pending>,
    next_correlation_id: i32,
    waits_for_room: bool,
}

impl Connection {
    pub(super) fn new(
        stream: std::net::TcpStream,
        token: Token,
        registry: &Registry,
    ) -> io::Result<Self> {
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE)?;
        Ok(Self {
            stream,
            token,
            reader: FrameReader::new(LIMITS),
            out: BytesMut::new(),
            pending: VecDeque::new(),
            next_correlation_id: 0,
            waits_for_room: false,
        })
    }

    pub(super) const fn correlation_id(&mut self) -> i32 {
        self.next_correlation_id = self.next_correlation_id.wrapping_add(1);
        self.next_correlation_id
    }

    /// Hands what waits to the socket, and watches for room when that is not everything.
    pub(super) fn flush(&mut self, registry: &Registry) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(written) => self.out.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let waits = !self.out.is_empty();
        if waits != self.waits_for_room {
            self.waits_for_room = waits;
            let interest = if waits {
                Interest::READABLE | Interest::WRITABLE
            } else {
                Interest::READABLE
            };
            registry.reregister(&mut self.stream, self.token, interest)?;
        }
        Ok(())
    }

    /// Reads what is there and hands over whole frames. `scratch` is shared by all connections.
    pub(super) fn receive(
        &mut self,
        scratch: &mut [u8],
        mut take: impl FnMut(Pending, &Bytes) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            let got = match self.stream.read(scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let mut input = BytesMut::from(scratch.get(..got).unwrap_or_default());
            while let Some(frame) = self.reader.next(&mut input).map_err(invalid)? {
                let pending = self.pending.pop_front();
                let pending = pending.ok_or_else(|| invalid("an answer that nobody asked for"))?;
                if !frame.starts_with(&pending.correlation_id.to_be_bytes()) {
                    return Err(invalid("an answer to another request"));
                }
                take(pending, &frame)?;
            }
            // A short read has emptied the socket: another call would say so, at a price.
            if got < scratch.len() {
                return Ok(());
            }
        }
    }
}

pub(super) fn invalid(reason: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_string())
}

const LIMITS: FrameLimits = FrameLimits {
    max_frame_bytes: 256 << 20,
};
