//! Reading from a socket into memory that was not zeroed first.
//!
//! The one `unsafe` of the event loop: a [`BytesMut`] can only be told by `set_len` how much of its
//! spare capacity a system call has filled.

use std::io;
use std::os::fd::AsFd;

use bytes::BytesMut;

/// Reads once into the spare capacity of `buffer`, which must not be empty.
pub(super) fn receive(stream: impl AsFd, buffer: &mut BytesMut, most: usize) -> io::Result<usize> {
    let spare = buffer.spare_capacity_mut();
    let most = most.min(spare.len());
    let (filled, _) = rustix::io::read(stream, &mut spare[..most])?;
    let read = filled.len();
    let length = buffer.len() + read;
    #[expect(unsafe_code, reason = "set_len after the kernel filled the bytes")]
    // SAFETY: `read` bytes behind `len` were initialised by the system call just made, and they lie
    // within the capacity, as they are a part of `spare_capacity_mut`.
    unsafe {
        buffer.set_len(length);
    }
    Ok(read)
}
