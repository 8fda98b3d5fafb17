//! Frames: every message on a connection is preceded by its size in 4 bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes of the size in front of a frame.
pub const PREFIX_BYTES: usize = 4;

/// The first capacity of a buffer for a frame of which only a part has come.
const FIRST_CAPACITY: usize = 8 * 1024;

/// What a connection may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLimits {
    /// The largest frame, in bytes without its prefix.
    pub max_frame_bytes: u32,
}

impl FrameLimits {
    /// Kafka's `socket.request.max.bytes`: 100 MiB.
    pub const DEFAULT: Self = Self {
        max_frame_bytes: 100 * 1024 * 1024,
    };
    /// For peers that have not said who they are, as Kafka's `sasl.server.max.receive.size`:
    /// 512 KiB.
    pub const BEFORE_AUTHENTICATION: Self = Self {
        max_frame_bytes: 512 * 1024,
    };
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Why the stream of frames can not go on; the connection has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The prefix is below zero.
    #[error("frame of negative size {0}")]
    Negative(i32),
    /// The prefix is above the limit. A TLS or HTTP greeting on a Kafka port looks like this.
    #[error("frame of {size} bytes, the limit is {limit}")]
    TooLarge {
        /// Bytes that the prefix announces.
        size: u32,
        /// [`FrameLimits::max_frame_bytes`] of the connection.
        limit: u32,
    },
}

/// A frame that is too large for its own prefix (2 GiB) can not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an outgoing frame of {size} bytes does not fit its length prefix")]
pub struct FrameTooLong {
    /// Bytes of the frame without its prefix.
    pub size: usize,
}

/// Cuts a connection's bytes into frames.
///
/// Whole frames are slices of the bytes that the socket delivered, and keep the memory of that read
/// alive for as long as they live. Only a frame that comes in parts is gathered in a buffer of its
/// own, which grows with the bytes that have really come.
#[derive(Debug)]
pub struct FrameReader {
    limits: FrameLimits,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Fewer than 4 bytes of the next prefix.
    Prefix {
        bytes: [u8; PREFIX_BYTES],
        filled: usize,
    },
    /// A part of a frame of `size` bytes.
    Body { buffer: BytesMut, size: usize },
}

impl State {
    const START: Self = Self::Prefix {
        bytes: [0; PREFIX_BYTES],
        filled: 0,
    };
}

impl FrameReader {
    /// A reader at the start of a connection.
    #[must_use]
    pub fn new(limits: FrameLimits) -> Self {
        Self {
            limits,
            state: State::START,
        }
    }

    /// Changes the limits for frames whose prefix has not been read yet.
    pub fn set_limits(&mut self, limits: FrameLimits) {
        self.limits = limits;
    }

    /// The next whole frame without its prefix; `None` when more bytes are needed, and then `input`
    /// is empty and may serve another connection.
    ///
    /// # Errors
    /// A prefix that is negative or beyond the limit. The reader then has lost its place.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Bytes>, FrameError> {
        if let State::Prefix { bytes, filled } = &mut self.state {
            fill_prefix(bytes, filled, input);
            if *filled < PREFIX_BYTES {
                return Ok(None);
            }
            let size = checked_size(*bytes, self.limits)?;
            if input.len() >= size {
                self.state = State::START;
                return Ok(Some(input.split_to(size).freeze()));
            }
            self.state = State::Body {
                buffer: BytesMut::new(),
                size,
            };
        }
        self.gather(input);
        Ok(self.take_complete())
    }

    /// Bytes that the frame in progress, or its prefix, still needs; 0 when nothing has come of it.
    #[must_use]
    pub fn wanted(&self) -> usize {
        match &self.state {
            State::Prefix { filled: 0, .. } => 0,
            State::Prefix { filled, .. } => PREFIX_BYTES.saturating_sub(*filled),
            State::Body { buffer, size } => size.saturating_sub(buffer.len()),
        }
    }

    /// Size of the frame in progress, once its prefix is known; else 0.
    #[must_use]
    pub const fn frame_bytes(&self) -> usize {
        match &self.state {
            State::Prefix { .. } => 0,
            State::Body { size, .. } => *size,
        }
    }

    /// The buffer of the frame in progress, for reading a large frame from the socket without the
    /// detour through the shared scratch. It has spare capacity and never more than
    /// [`Self::wanted`] of it; fill only that, then call [`Self::next`] with an empty input.
    pub fn partial_buffer(&mut self) -> Option<&mut BytesMut> {
        match &mut self.state {
            State::Prefix { .. } => None,
            State::Body { buffer, size } => {
                grow(buffer, *size, 1);
                Some(buffer)
            }
        }
    }

    /// Memory that the frame in progress holds, for the budget of request bytes.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        match &self.state {
            State::Prefix { .. } => 0,
            State::Body { buffer, .. } => buffer.capacity(),
        }
    }

    fn gather(&mut self, input: &mut BytesMut) {
        if let State::Body { buffer, size } = &mut self.state {
            let count = input.len().min(size.saturating_sub(buffer.len()));
            grow(buffer, *size, count);
            buffer.put(input.split_to(count));
        }
    }

    fn take_complete(&mut self) -> Option<Bytes> {
        let State::Body { buffer, size } = &mut self.state else {
            return None;
        };
        assert!(
            buffer.len() <= *size,
            "more bytes than wanted were put into the partial buffer"
        );
        if buffer.len() < *size {
            return None;
        }
        let frame = std::mem::take(buffer).freeze();
        self.state = State::START;
        Some(frame)
    }
}

/// Starts an outgoing frame: room for the prefix, which [`seal_frame`] fills in.
#[must_use]
pub fn start_frame(capacity: usize) -> BytesMut {
    let mut frame = BytesMut::new();
    begin_frame(&mut frame, capacity);
    frame
}

/// Like [`start_frame`], in a buffer that is there already; what is in it goes.
pub(crate) fn begin_frame(frame: &mut BytesMut, capacity: usize) {
    frame.clear();
    frame.reserve(capacity.saturating_add(PREFIX_BYTES));
    frame.put_bytes(0, PREFIX_BYTES);
}

/// Writes the prefix of a frame that [`start_frame`] began. `foreign_bytes` are sent with the frame
/// but are not in `frame`.
///
/// # Errors
/// [`FrameTooLong`] beyond 2 GiB.
pub fn seal_frame(frame: &mut BytesMut, foreign_bytes: usize) -> Result<(), FrameTooLong> {
    let own = frame.len().saturating_sub(PREFIX_BYTES);
    let size = own.saturating_add(foreign_bytes);
    let Ok(prefix) = i32::try_from(size) else {
        return Err(FrameTooLong { size });
    };
    if let Some(place) = frame.first_chunk_mut() {
        *place = prefix.to_be_bytes();
    }
    Ok(())
}

fn fill_prefix(bytes: &mut [u8; PREFIX_BYTES], filled: &mut usize, input: &mut BytesMut) {
    let missing = bytes.get_mut(*filled..).unwrap_or_default();
    let count = missing.len().min(input.len());
    if let Some(place) = missing.get_mut(..count) {
        input.copy_to_slice(place);
    }
    *filled += count;
}

fn checked_size(prefix: [u8; PREFIX_BYTES], limits: FrameLimits) -> Result<usize, FrameError> {
    let announced = i32::from_be_bytes(prefix);
    let Ok(size) = u32::try_from(announced) else {
        return Err(FrameError::Negative(announced));
    };
    let limit = limits.max_frame_bytes;
    match usize::try_from(size) {
        Ok(bytes) if size <= limit => Ok(bytes),
        Ok(_) | Err(_) => Err(FrameError::TooLarge { size, limit }),
    }
}

/// Makes room for `more` bytes of a frame of `size` bytes: at least doubling, so that a frame is
/// moved few times, and never past the frame's end, so that a finished frame wastes nothing. Once a
/// quarter of it has come there is room for all, so that a large frame is hardly ever there twice.
fn grow(buffer: &mut BytesMut, size: usize, more: usize) {
    let needed = buffer.len().saturating_add(more).min(size);
    if needed <= buffer.capacity() {
        return;
    }
    let doubled = buffer.capacity().saturating_mul(2);
    let capacity = if doubled >= size / 2 { size } else { doubled };
    let capacity = capacity.max(FIRST_CAPACITY).max(needed).min(size);
    let mut larger = BytesMut::with_capacity(capacity);
    larger.put_slice(buffer);
    *buffer = larger;
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
