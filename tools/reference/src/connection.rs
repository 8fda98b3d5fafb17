//! One client: frames in, replies out in their order.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use chronik_protocol::{FrameLimits, FrameReader};
use mio::net::TcpStream;

/// A reply, and the batch that has to be written before it leaves.
#[derive(Debug)]
pub(crate) struct Reply {
    /// Number of the batch; 0 for none.
    pub(crate) behind: u64,
    /// The frame.
    pub(crate) frame: Bytes,
}

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    frames: FrameReader,
    received: BytesMut,
    waiting: VecDeque<Reply>,
    unsent: BytesMut,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            frames: FrameReader::new(FrameLimits::DEFAULT),
            received: BytesMut::new(),
            waiting: VecDeque::new(),
            unsent: BytesMut::new(),
        }
    }

    /// Reads until nothing is left to read; false when the client is gone.
    pub(crate) fn receive(
        &mut self,
        scratch: &mut [u8],
        frames: &mut Vec<Bytes>,
    ) -> io::Result<bool> {
        loop {
            let read = match self.stream.read(scratch) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.received.extend_from_slice(&scratch[..read]);
            while let Some(frame) = self
                .frames
                .next(&mut self.received)
                .map_err(io::Error::other)?
            {
                frames.push(frame);
            }
            // Less than was asked for: the socket is empty, and will say so when it is not.
            if read < scratch.len() {
                return Ok(true);
            }
        }
    }

    pub(crate) fn reply(&mut self, reply: Reply) {
        self.waiting.push_back(reply);
    }

    /// Sends the replies whose batches are written.
    pub(crate) fn send(&mut self, written: u64) -> io::Result<()> {
        while let Some(reply) = self.waiting.pop_front_if(|reply| reply.behind <= written) {
            self.unsent.extend_from_slice(&reply.frame);
        }
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(sent) => self.unsent.advance(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}
