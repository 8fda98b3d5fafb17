//! Hostile frames over real sockets, against a server that runs.
//!
//! Nothing is checked here but that the server goes on taking connections: its health, its memory and
//! what others feel of it are watched from outside.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chronik_model::rng::Rng;
use chronik_protocol::ApiKey;

use crate::chance::{byte, index, one_in, pick};
use crate::mutate::mutate;
use crate::requests::Requests;
use crate::targets::batches_of_every_kind;

/// What to send where.
#[derive(Debug, Clone, Copy)]
pub struct Fire {
    /// The server.
    pub address: SocketAddr,
    /// Frames in all.
    pub frames: u64,
    /// Decides all of them, with the number of threads.
    pub seed: u64,
    /// Threads, each with one connection at a time.
    pub threads: u64,
}

/// What was done and seen.
#[derive(Debug, Default)]
pub struct Hits {
    /// Frames that were handed to a socket.
    pub frames: AtomicU64,
    /// Connections that were opened.
    pub connections: AtomicU64,
    /// Connections that the server closed.
    pub closed: AtomicU64,
    /// Bytes that came back.
    pub bytes_back: AtomicU64,
}

/// How long one write or one look for an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Frames that one connection sends at most.
const FRAMES_PER_CONNECTION: usize = 400;
/// Frames that go out in one piece at most. Those behind one that ends the connection are lost.
const FRAMES_AT_ONCE: usize = 4;
/// How long an answer is waited for, which some requests do not get.
const ANSWER_PATIENCE: Duration = Duration::from_millis(5);
/// Lengths that promise more than will ever come.
const LENGTHS: &[i32] = &[
    i32::MAX,
    i32::MAX - 1,
    1 << 30,
    100 << 20,
    (100 << 20) + 1,
    -1,
    i32::MIN,
    0,
];

/// Sends everything.
///
/// # Errors
/// The server takes no connection any more.
pub fn fire(plan: &Fire, hits: &Hits) -> io::Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..plan.threads.max(1))
            .map(|number| scope.spawn(move || Shooter::new(plan, number, hits).run()))
            .collect();
        for thread in threads {
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err(io::Error::other("a thread of the driver panicked")))?;
        }
        Ok(())
    })
}

struct Shooter<'a> {
    plan: &'a Fire,
    hits: &'a Hits,
    rng: Rng,
    requests: Requests,
    left: u64,
}

impl<'a> Shooter<'a> {
    fn new(plan: &'a Fire, number: u64, hits: &'a Hits) -> Self {
        let mut requests = Requests::new(batches_of_every_kind());
        // What makes topics makes directories: a little of it is enough.
        let mut rng = Rng::new(plan.seed ^ number.wrapping_mul(0x9E37_79B9));
        requests.apis.retain(|api| {
            !matches!(api.key, ApiKey::CreateTopics | ApiKey::CreatePartitions)
                || one_in(&mut rng, 4)
        });
        Self {
            plan,
            hits,
            rng,
            requests,
            left: plan.frames / plan.threads.max(1),
        }
    }

    fn run(mut self) -> io::Result<()> {
        while self.left > 0 {
            let stream = TcpStream::connect_timeout(&self.plan.address, PATIENCE)?;
            self.hits.connections.fetch_add(1, Ordering::Relaxed);
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(PATIENCE))?;
            if self.connection(stream).is_err() {
                self.hits.closed.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// One connection until the server closes it, or its time has come.
    fn connection(&mut self, mut stream: TcpStream) -> io::Result<()> {
        for _ in 0..1 + index(&mut self.rng, FRAMES_PER_CONNECTION / FRAMES_AT_ONCE) {
            let count = (1 + index(&mut self.rng, FRAMES_AT_ONCE))
                .min(usize::try_from(self.left).unwrap_or(1));
            let mut burst = Vec::new();
            for _ in 0..count {
                self.frame(&mut burst);
            }
            let count = u64::try_from(count).unwrap_or(1);
            self.left = self.left.saturating_sub(count);
            self.hits.frames.fetch_add(count, Ordering::Relaxed);
            self.send(&mut stream, &burst)?;
            self.listen(&mut stream)?;
            if self.left == 0 {
                break;
            }
        }
        self.leave(&mut stream)
    }

    fn frame(&mut self, out: &mut Vec<u8>) {
        let rng = &mut self.rng;
        if one_in(rng, 64) {
            out.extend(pick(rng, LENGTHS).to_be_bytes());
            out.extend((0..index(rng, 200)).map(|_| byte(rng)));
            return;
        }
        let mut frame = self.request();
        let rng = &mut self.rng;
        if !one_in(rng, 4) {
            let other = frame.clone();
            mutate(rng, &mut frame, &other);
        }
        let length = i32::try_from(frame.len()).unwrap_or(i32::MAX);
        out.extend(length.to_be_bytes());
        out.extend(frame);
    }

    fn request(&mut self) -> Vec<u8> {
        let at = index(&mut self.rng, self.requests.apis.len());
        let api = self.requests.apis[at].clone();
        self.requests.write(&api, 1, &mut self.rng)
    }

    /// In one piece, in two, or byte by byte.
    fn send(&mut self, stream: &mut TcpStream, burst: &[u8]) -> io::Result<()> {
        match self.rng.below(64) {
            0 => burst
                .iter()
                .take(600)
                .try_for_each(|byte| stream.write_all(&[*byte])),
            1..8 => {
                let (front, back) = burst.split_at(index(&mut self.rng, burst.len()));
                stream.write_all(front)?;
                stream.write_all(back)
            }
            _ => stream.write_all(burst),
        }
    }

    /// Waits a little for an answer and takes what is there; sometimes nothing is taken at all.
    fn listen(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        if one_in(&mut self.rng, 16) {
            return Ok(());
        }
        stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
        let mut buffer = [0; 64 << 10];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    count_up(&self.hits.bytes_back, count);
                    if count < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if is_timeout(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Half closed, in the middle of a frame, or just gone.
    fn leave(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        match self.rng.below(3) {
            0 => stream.write_all(&[0, 0, 4, 0, 0, 18])?,
            1 => stream.shutdown(Shutdown::Write)?,
            _ => {}
        }
        Ok(())
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn count_up(counter: &AtomicU64, more: usize) {
    counter.fetch_add(u64::try_from(more).unwrap_or(0), Ordering::Relaxed);
}
