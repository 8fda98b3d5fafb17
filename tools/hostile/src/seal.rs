//! Checksums made right again, so that damage gets past them.

use chronik_storage::journal::format::{FRAME_ALIGNMENT, FrameHeader};

/// A record batch: bytes that its checksum covers begin here, and it stands here.
const BATCH_COVERED_FROM: usize = 21;
const BATCH_CRC: std::ops::Range<usize> = 17..21;
const BATCH_LENGTH: std::ops::Range<usize> = 8..12;
/// Bytes before the part that a batch's length counts.
const BATCH_OVERHEAD: usize = 12;

/// Gives the batch that `bytes` are a length and a checksum that fit.
pub fn batch(bytes: &mut [u8]) {
    let length = bytes.len().saturating_sub(BATCH_OVERHEAD);
    let length = i32::try_from(length).unwrap_or(i32::MAX);
    put(bytes, BATCH_LENGTH, &length.to_be_bytes());
    batch_checksum(bytes);
}

fn batch_checksum(bytes: &mut [u8]) {
    let checksum = crc32c::crc32c(bytes.get(BATCH_COVERED_FROM..).unwrap_or_default());
    put(bytes, BATCH_CRC, &checksum.to_be_bytes());
}

/// Gives each of the batches that follow each other in `bytes` a checksum that fits.
pub fn batches(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(length) = bytes
        .get(at + BATCH_LENGTH.start..)
        .and_then(|rest| rest.first_chunk())
    {
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let end = at.saturating_add(BATCH_OVERHEAD).saturating_add(length);
        let Some(one) = bytes
            .get_mut(at..end)
            .filter(|one| one.len() > BATCH_COVERED_FROM)
        else {
            return;
        };
        batch_checksum(one);
        at = end;
    }
}

/// Gives every frame of a ring file a checksum that fits, and has the next one name it.
pub fn journal(bytes: &mut [u8], directory_id: &[u8; 16]) {
    let mut at = 0;
    let mut previous = None;
    while let Some(Ok(mut header)) = bytes
        .get(at..)
        .map(|rest| FrameHeader::parse(rest, directory_id))
    {
        let size = usize::try_from(header.frame_bytes).unwrap_or(0);
        let Some(frame) = bytes
            .get_mut(at..at.saturating_add(size))
            .filter(|_| size >= FRAME_ALIGNMENT)
        else {
            return;
        };
        if let Some(previous) = previous {
            header.link.previous_checksum = previous;
        }
        previous = Some(header.write(frame));
        at += size;
    }
}

/// CRC-32C of everything before it in the last four bytes, little-endian.
pub fn last_four(bytes: &mut [u8]) {
    if let Some((content, place)) = bytes.split_last_chunk_mut::<4>() {
        *place = crc32c::crc32c(content).to_le_bytes();
    }
}

/// CRC-32C of all that follows in four bytes at `at`, little-endian.
pub fn ahead(bytes: &mut [u8], at: usize) {
    let checksum = crc32c::crc32c(bytes.get(at + 4..).unwrap_or_default());
    put(bytes, at..at + 4, &checksum.to_le_bytes());
}

fn put(bytes: &mut [u8], place: std::ops::Range<usize>, with: &[u8]) {
    if let Some(place) = bytes.get_mut(place) {
        place.copy_from_slice(with);
    }
}
