//! Batches in place.

use super::error::BatchError;
use super::header::{BatchHeader, CRC_FROM, HEADER_BYTES};

/// The bytes of exactly one batch with its decoded header.
#[derive(Debug, Clone, Copy)]
pub struct BatchView<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// Takes `bytes` as one batch without looking at its checksum: for bytes that were verified
    /// before.
    ///
    /// # Errors
    /// Those of [`BatchHeader::parse`], and [`BatchError::LengthMismatch`].
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        if header.size_bytes() != bytes.len() {
            let declared = header.size_bytes();
            return Err(BatchError::LengthMismatch {
                declared,
                present: bytes.len(),
            });
        }
        Ok(Self { header, bytes })
    }

    /// The decoded header.
    #[must_use]
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The records as they stand: compressed if the header says so.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }

    /// Compares the checksum; one pass over the bytes.
    ///
    /// # Errors
    /// [`BatchError::CrcMismatch`].
    #[inline]
    pub fn check_crc(&self) -> Result<(), BatchError> {
        let computed = crc32c::crc32c(self.bytes.get(CRC_FROM..).unwrap_or_default());
        let stored = self.header.crc();
        if computed == stored {
            Ok(())
        } else {
            Err(BatchError::CrcMismatch { stored, computed })
        }
    }
}

/// Takes `bytes` as one whole batch: structure, length and checksum.
///
/// # Errors
/// Those of [`BatchView::parse`], and [`BatchError::CrcMismatch`].
#[inline]
pub fn verify(bytes: &[u8]) -> Result<BatchView<'_>, BatchError> {
    let view = BatchView::parse(bytes)?;
    view.check_crc()?;
    Ok(view)
}

/// The batches that follow each other in a slice of a log, checksums not looked at. Ends before a
/// batch that the slice cuts off; an error is the last item.
#[must_use]
pub const fn batches(log: &[u8]) -> Batches<'_> {
    Batches {
        rest: log,
        failed: false,
    }
}

/// Iterator of [`batches`].
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    rest: &'a [u8],
    failed: bool,
}

impl<'a> Batches<'a> {
    /// The bytes after the batches returned so far: once the iterator has ended, the start of a
    /// batch that was cut off, or what was in error.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<BatchView<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.rest.is_empty() {
            return None;
        }
        let header = match BatchHeader::parse(self.rest) {
            Ok(header) => header,
            Err(BatchError::TooShort { .. }) => return None,
            Err(error) => {
                self.failed = true;
                return Some(Err(error));
            }
        };
        let (bytes, rest) = self.rest.split_at_checked(header.size_bytes())?;
        self.rest = rest;
        Some(Ok(BatchView { header, bytes }))
    }
}

impl std::iter::FusedIterator for Batches<'_> {}
