//! The frame reader, whose stream is cut at any place.

use bytes::{BufMut, Bytes, BytesMut};
use chronik_model::rng::Rng;
use chronik_protocol::{FrameError, FrameLimits, FrameReader};

use super::samples;
use crate::chance::{byte, index, one_in};
use crate::mutate::mutate;
use crate::requests::Requests;
use crate::target::{Failure, Handled, Target, handled};

/// Frames above this are refused.
const LIMITS: FrameLimits = FrameLimits {
    max_frame_bytes: 64 << 10,
};

/// See the module. An input is the stream of one connection.
#[derive(Debug)]
pub(super) struct Frames {
    requests: Requests,
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            requests: Requests::new(samples::batches()),
        }
    }

    fn stream(&self, rng: &mut Rng) -> Vec<u8> {
        let mut stream = Vec::new();
        for number in 0..1 + index(rng, 4) {
            let frame = if one_in(rng, 8) {
                (0..index(rng, 20_000)).map(|_| byte(rng)).collect()
            } else {
                let api = &self.requests.apis[index(rng, self.requests.apis.len())];
                self.requests
                    .write(api, i32::try_from(number).unwrap_or(0), rng)
            };
            let length = i32::try_from(frame.len()).unwrap_or(i32::MAX);
            stream.extend(length.to_be_bytes());
            stream.extend(frame);
        }
        stream
    }
}

impl Target for Frames {
    fn name(&self) -> &'static str {
        "frames"
    }

    fn generate(&mut self, rng: &mut Rng) -> Vec<u8> {
        let mut stream = self.stream(rng);
        if !one_in(rng, 4) {
            let other = self.stream(rng);
            mutate(rng, &mut stream, &other);
        }
        stream
    }

    fn run(&mut self, input: &[u8]) -> Result<Handled, Failure> {
        let whole = read(input, &mut |rest| rest);
        // The input decides where it is cut, so that it fails again when it is run again.
        let mut cuts = Rng::new(u64::from(crc32c::crc32c(input)));
        let most = if one_in(&mut cuts, 2) { 5 } else { 3_000 };
        handled(|| {
            let parts = read(input, &mut |rest| (1 + index(&mut cuts, most)).min(rest));
            if parts != whole {
                return Err(format!("cut: {parts:?}, whole: {whole:?}"));
            }
            Ok(whole.1.is_none())
        })
    }
}

/// How many frames there were, and what was in them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    count: usize,
    checksum: u32,
}

impl Seen {
    fn note(&mut self, frame: &Bytes) {
        self.count += 1;
        let length = frame.len().to_le_bytes();
        self.checksum = crc32c::crc32c_append(self.checksum, &length);
        self.checksum = crc32c::crc32c_append(self.checksum, frame);
    }
}

/// The frames, and what ended the stream. `next` says how much of the rest comes at once.
fn read(stream: &[u8], next: &mut dyn FnMut(usize) -> usize) -> (Seen, Option<FrameError>) {
    let mut reader = FrameReader::new(LIMITS);
    let mut frames = Seen::default();
    let mut rest = stream;
    while !rest.is_empty() {
        let (mut piece, behind) = rest.split_at(next(rest.len()));
        rest = behind;
        while !piece.is_empty() {
            let taken = fill_partial(&mut reader, piece);
            let mut input = BytesMut::from(
                piece
                    .get(taken..)
                    .filter(|_| taken == 0)
                    .unwrap_or_default(),
            );
            piece = if taken == 0 {
                &[]
            } else {
                piece.get(taken..).unwrap_or_default()
            };
            if let Err(error) = drain(&mut reader, &mut input, &mut frames) {
                return (frames, Some(error));
            }
        }
    }
    (frames, None)
}

/// Puts bytes into the buffer of a frame that has begun, as a loop that reads a large one does.
fn fill_partial(reader: &mut FrameReader, piece: &[u8]) -> usize {
    let Some(buffer) = reader.partial_buffer() else {
        return 0;
    };
    let count = piece.len().min(buffer.capacity() - buffer.len());
    buffer.put_slice(piece.get(..count).unwrap_or_default());
    count
}

fn drain(
    reader: &mut FrameReader,
    input: &mut BytesMut,
    frames: &mut Seen,
) -> Result<(), FrameError> {
    while let Some(frame) = reader.next(input)? {
        frames.note(&frame);
    }
    Ok(())
}
