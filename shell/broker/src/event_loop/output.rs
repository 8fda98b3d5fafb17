//! Replies of one connection that have not left yet.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;

use bytes::{Buf, BytesMut};
use chronik_node::Piece;
use chronik_storage::disk::FileRange;
use rustix::net::{SendAncillaryBuffer, SendFlags};

/// Pieces up to this size are copied together.
pub(super) const SMALL_PIECE_BYTES: usize = 4096;
/// Memory that is kept for small replies while there are none.
const MAX_IDLE_SMALL_BYTES: usize = 16 << 10;
/// Pieces of one write.
const PIECES_PER_WRITE: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Output {
    pieces: VecDeque<Piece>,
    /// Small replies, behind all pieces.
    small: BytesMut,
    bytes: usize,
}

impl Output {
    /// Bytes that have not left.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of those that are in memory.
    pub(super) fn bytes_in_memory(&self) -> usize {
        let in_file = |piece: &Piece| match piece {
            Piece::Memory(_) => 0,
            Piece::File(range) => range.length,
        };
        self.bytes - self.pieces.iter().map(in_file).sum::<usize>()
    }

    /// Memory of small replies; `None` if there are none.
    pub(super) fn small_bytes(&self) -> Option<usize> {
        (!self.small.is_empty()).then(|| self.small.capacity())
    }

    /// Lets go of memory for small replies, of which there are none.
    pub(super) fn shrink(&mut self) {
        if self.small.capacity() > MAX_IDLE_SMALL_BYTES {
            self.small = BytesMut::new();
        }
    }

    pub(super) fn push(&mut self, piece: Piece) {
        self.bytes += piece.len();
        match &piece {
            Piece::Memory(bytes) if bytes.len() <= SMALL_PIECE_BYTES => {
                self.small.extend_from_slice(bytes);
            }
            Piece::Memory(_) | Piece::File(_) => {
                if !self.small.is_empty() {
                    let small = self.small.split().freeze();
                    self.pieces.push_back(Piece::Memory(small));
                }
                self.pieces.push_back(piece);
            }
        }
    }

    /// Writes once, and says how many bytes the socket took; none of them when it, or a file that
    /// they were to come from, has ended.
    pub(super) fn write(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let written = match self.pieces.front() {
            None => rustix::net::send(socket, &self.small, SendFlags::NOSIGNAL)?,
            Some(Piece::Memory(_)) => self.write_memory(socket)?,
            Some(Piece::File(range)) => send_range(socket, range)?,
        };
        self.consume(written);
        Ok(written)
    }

    fn write_memory(&self, socket: impl AsFd) -> io::Result<usize> {
        let pieces = self.pieces.iter().map_while(slice_of);
        let mut slices: Vec<IoSlice<'_>> = pieces.take(PIECES_PER_WRITE).collect();
        let mut flags = SendFlags::NOSIGNAL;
        match self.pieces.get(slices.len()) {
            // What comes before the bytes of a file leaves together with them.
            Some(Piece::File(_)) => flags |= SendFlags::MORE,
            Some(Piece::Memory(_)) => {}
            None if self.small.is_empty() => {}
            None => slices.push(IoSlice::new(&self.small)),
        }
        let mut no_control = SendAncillaryBuffer::default();
        let sent = rustix::net::sendmsg(socket, &slices, &mut no_control, flags)?;
        Ok(sent)
    }

    fn consume(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(piece) = self.pieces.front_mut() {
            if written < piece.len() {
                match piece {
                    Piece::Memory(bytes) => bytes.advance(written),
                    Piece::File(range) => {
                        range.position += written as u64;
                        range.length -= written;
                    }
                }
                return;
            }
            written -= piece.len();
            self.pieces.pop_front();
        }
        self.small.advance(written);
    }
}

fn slice_of(piece: &Piece) -> Option<IoSlice<'_>> {
    match piece {
        Piece::Memory(bytes) => Some(IoSlice::new(bytes)),
        Piece::File(_) => None,
    }
}

/// Has the kernel hand a part of a file to the socket.
fn send_range(socket: impl AsFd, range: &FileRange) -> io::Result<usize> {
    let file = range.file.downcast_ref::<File>();
    let file = file.ok_or(io::ErrorKind::InvalidInput)?;
    let mut position = range.position;
    let sent = rustix::fs::sendfile(socket, file, Some(&mut position), range.length)?;
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::thread;

    use bytes::Bytes;

    use super::*;
    use crate::disk::file_io::write_all_at;

    fn memory(bytes: &[u8]) -> Piece {
        Piece::Memory(Bytes::copy_from_slice(bytes))
    }

    fn range(content: &[u8], position: u64, length: usize) -> Piece {
        let file = tempfile::tempfile().unwrap();
        write_all_at(&file, 0, &[content]).unwrap();
        Piece::File(FileRange {
            file: Arc::new(file),
            position,
            length,
        })
    }

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    #[test]
    fn pieces_of_memory_and_of_files_leave_in_order() {
        let large = vec![7; 3 << 20];
        let mut output = Output::default();
        let pieces = [
            memory(b"head"),
            range(b"..in the file..", 2, 11),
            memory(b"between"),
            memory(&large),
            range(&large, 5, large.len() - 5),
            range(&large, 0, 1),
            memory(b"end"),
        ];
        pieces.into_iter().for_each(|piece| output.push(piece));
        let expected = [
            &b"headin the filebetween"[..],
            &large,
            &large[5..],
            &large[..1],
            b"end",
        ]
        .concat();
        assert_eq!(output.bytes(), expected.len());
        assert_eq!(output.bytes_in_memory(), 4 + 7 + large.len() + 3);
        let (near, mut far) = pair();
        near.set_nonblocking(true).unwrap();
        let reader = thread::spawn(move || {
            let mut read = Vec::new();
            far.read_to_end(&mut read).unwrap();
            read
        });
        while output.bytes() > 0 {
            match output.write(&near) {
                Ok(written) => assert!(written > 0),
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        drop(near);
        assert!(reader.join().unwrap() == expected);
        assert_eq!(output.small_bytes(), None);
    }

    #[test]
    fn a_file_that_is_too_short_ends_the_output() {
        let mut output = Output::default();
        output.push(range(b"short", 0, 6));
        let (near, _far) = pair();
        assert_eq!(output.write(&near).unwrap(), 5);
        assert_eq!(output.write(&near).unwrap(), 0);
    }
}
