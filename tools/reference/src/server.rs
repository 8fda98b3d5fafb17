//! The event loop.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::answers::{Answer, Answers};
use crate::connection::{Connection, Reply};
use crate::journal::Journal;

const LISTENER: Token = Token(0);
const WRITTEN: Token = Token(1);
const FIRST_CONNECTION: usize = 2;
const SCRATCH_BYTES: usize = 256 << 10;

#[derive(Debug)]
pub(crate) struct Server {
    poll: Poll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    partitions: i32,
}

impl Server {
    pub(crate) fn bind(port: u16, partitions: i32) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            connections: Vec::new(),
            partitions,
        })
    }

    pub(crate) fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), WRITTEN)
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the process is ended.
    pub(crate) fn run(&mut self, journal: Option<&Journal>) -> io::Result<()> {
        let mut answers = Answers::new(self.address()?.port(), self.partitions);
        let mut events = Events::with_capacity(1024);
        let mut scratch = vec![0; SCRATCH_BYTES];
        loop {
            if let Err(error) = self.poll.poll(&mut events, None)
                && error.kind() != io::ErrorKind::Interrupted
            {
                return Err(error);
            }
            let mut turn = Turn::default();
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    WRITTEN => {}
                    Token(token) => {
                        let index = token - FIRST_CONNECTION;
                        self.receive(index, &mut scratch, &mut answers, &mut turn);
                    }
                }
            }
            self.end_turn(turn, journal)?;
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let token = Token(self.connections.len() + FIRST_CONNECTION);
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut stream, token, interest)?;
            self.connections.push(Some(Connection::new(stream)));
        }
    }

    /// Answers what a client sent; a client that sends nonsense is let go.
    fn receive(
        &mut self,
        index: usize,
        scratch: &mut [u8],
        answers: &mut Answers,
        turn: &mut Turn,
    ) {
        let Some(slot) = self.connections.get_mut(index) else {
            return;
        };
        let Some(connection) = slot else { return };
        let mut frames = Vec::new();
        let stays = connection.receive(scratch, &mut frames).unwrap_or(false);
        for frame in &frames {
            match answers.answer(frame) {
                Ok(Answer { batches, frame }) => {
                    turn.batches.extend(batches);
                    turn.replies.extend(frame.map(|frame| (index, frame)));
                }
                Err(_nonsense) => {
                    *slot = None;
                    return;
                }
            }
        }
        if !stays {
            *slot = None;
        }
    }

    /// Everything of this turn goes to the journal at once; replies leave whose batches are written.
    fn end_turn(&mut self, turn: Turn, journal: Option<&Journal>) -> io::Result<()> {
        let behind = match journal {
            Some(journal) if !turn.batches.is_empty() => journal.append(&turn.batches)?,
            Some(_) | None => 0,
        };
        let written = journal.map_or(u64::MAX, Journal::written);
        for (index, frame) in turn.replies {
            if let Some(Some(connection)) = self.connections.get_mut(index) {
                connection.reply(Reply { behind, frame });
            }
        }
        for slot in &mut self.connections {
            if let Some(connection) = slot
                && connection.is_waiting()
                && connection.send(written).is_err()
            {
                *slot = None;
            }
        }
        Ok(())
    }
}

/// What came in between two waits.
#[derive(Debug, Default)]
struct Turn {
    batches: Vec<Bytes>,
    replies: Vec<(usize, Bytes)>,
}
