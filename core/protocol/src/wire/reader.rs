//! Reading primitives from a frame without copies and without trust.

use bytes::Bytes;

use super::WireError;

/// The most elements that one array may claim.
pub const MAX_ELEMENTS: usize = 1_000_000;

/// The most tagged fields that one struct may claim.
pub const MAX_TAGGED_FIELDS: usize = 10_000;

/// The most partitions of one Produce or Fetch request, over all of its topics. The broker notes more
/// for each than the request has bytes for it.
pub const MAX_PARTITIONS: usize = 100_000;

/// Counts the partitions of a request's topics.
#[derive(Debug, Default)]
pub(crate) struct PartitionCount(usize);

impl PartitionCount {
    /// Adds those of one more topic.
    ///
    /// # Errors
    /// [`WireError::TooManyElements`] above [`MAX_PARTITIONS`].
    pub(crate) fn add(&mut self, count: usize) -> Result<(), WireError> {
        self.0 = self.0.saturating_add(count);
        if self.0 <= MAX_PARTITIONS {
            return Ok(());
        }
        Err(WireError::TooManyElements {
            count: self.0,
            limit: MAX_PARTITIONS,
        })
    }
}

/// A cursor over one message. Copying it is cheap and marks a place to read again from.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// What zero-copy slices share.
    source: &'a Bytes,
    /// The part not yet read.
    rest: &'a [u8],
    flexible: bool,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `source`.
    #[must_use]
    pub fn new(source: &'a Bytes, flexible: bool) -> Self {
        Self {
            source,
            rest: source,
            flexible,
        }
    }

    /// The same place, read in the other or the same flavor.
    #[must_use]
    pub fn with_flexible(self, flexible: bool) -> Self {
        Self { flexible, ..self }
    }

    /// Whether lengths are compact and structs end in tagged fields.
    #[must_use]
    pub fn is_flexible(&self) -> bool {
        self.flexible
    }

    /// Bytes not yet read.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The bytes not yet read, as a slice that shares the frame's memory.
    #[must_use]
    pub fn into_rest(self) -> Bytes {
        self.source.slice_ref(self.rest)
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    /// [`WireError::TrailingBytes`] when bytes are left.
    pub fn finish(self) -> Result<(), WireError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(WireError::TrailingBytes(left)),
        }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(WireError::Truncated {
                wanted: count,
                present: self.rest.len(),
            });
        };
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(WireError::Truncated {
                wanted: N,
                present: self.rest.len(),
            });
        };
        self.rest = rest;
        Ok(*taken)
    }

    /// An `int8`.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn i8(&mut self) -> Result<i8, WireError> {
        Ok(i8::from_be_bytes(self.take_array()?))
    }

    /// An `int16`.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    #[inline]
    pub fn i16(&mut self) -> Result<i16, WireError> {
        Ok(i16::from_be_bytes(self.take_array()?))
    }

    /// An `int32`.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    #[inline]
    pub fn i32(&mut self) -> Result<i32, WireError> {
        Ok(i32::from_be_bytes(self.take_array()?))
    }

    /// An `int64`.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn i64(&mut self) -> Result<i64, WireError> {
        Ok(i64::from_be_bytes(self.take_array()?))
    }

    /// A `uuid`, as its 16 bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    pub fn uuid(&mut self) -> Result<[u8; 16], WireError> {
        self.take_array()
    }

    /// An `unsigned varint` of 32 bits.
    ///
    /// # Errors
    /// [`WireError::Truncated`], or [`WireError::MalformedVarint`] past 5 bytes or 32 bits.
    #[inline]
    pub fn unsigned_varint(&mut self) -> Result<u32, WireError> {
        // Most of them are lengths of names and counts of tags: one byte.
        if let Some((byte @ 0..0x80, rest)) = self.rest.split_first() {
            self.rest = rest;
            return Ok(u32::from(*byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u32, WireError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.take_array()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && byte > 0x0f {
                return Err(WireError::MalformedVarint);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::MalformedVarint)
    }

    /// A zigzag `varint` of 32 bits.
    ///
    /// # Errors
    /// As [`Self::unsigned_varint`].
    pub fn varint(&mut self) -> Result<i32, WireError> {
        let raw = self.unsigned_varint()?;
        let magnitude = (raw >> 1).cast_signed();
        Ok(if raw & 1 == 0 { magnitude } else { !magnitude })
    }

    /// A string that may be null.
    ///
    /// # Errors
    /// A malformed length, [`WireError::Truncated`] or [`WireError::NotUtf8`].
    pub fn nullable_string(&mut self) -> Result<Option<&'a str>, WireError> {
        let length = if self.flexible {
            self.compact_length()?
        } else {
            length(self.i16()?.into())?
        };
        let Some(length) = length else {
            return Ok(None);
        };
        match std::str::from_utf8(self.take(length)?) {
            Ok(text) => Ok(Some(text)),
            Err(_position) => Err(WireError::NotUtf8),
        }
    }

    /// A string.
    ///
    /// # Errors
    /// As [`Self::nullable_string`], and [`WireError::UnexpectedNull`].
    pub fn string(&mut self) -> Result<&'a str, WireError> {
        self.nullable_string()?.ok_or(WireError::UnexpectedNull)
    }

    /// Bytes that may be null, borrowed.
    ///
    /// # Errors
    /// A malformed length or [`WireError::Truncated`].
    #[inline]
    pub fn nullable_slice(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        match self.long_length()? {
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }

    /// Bytes that may be null, as a slice that shares the frame's memory.
    ///
    /// # Errors
    /// As [`Self::nullable_slice`].
    pub fn nullable_bytes(&mut self) -> Result<Option<Bytes>, WireError> {
        Ok(self.nullable_slice()?.map(|slice| self.share(slice)))
    }

    /// Bytes, as a slice that shares the frame's memory.
    ///
    /// # Errors
    /// As [`Self::nullable_slice`], and [`WireError::UnexpectedNull`].
    pub fn bytes(&mut self) -> Result<Bytes, WireError> {
        self.nullable_bytes()?.ok_or(WireError::UnexpectedNull)
    }

    /// The number of elements of an array that may be null, each of at least `min_element_bytes`.
    ///
    /// # Errors
    /// A malformed length, or [`WireError::TooManyElements`] when the remaining bytes can not hold
    /// the elements or when they are more than [`MAX_ELEMENTS`].
    pub fn nullable_array_len(
        &mut self,
        min_element_bytes: usize,
    ) -> Result<Option<usize>, WireError> {
        let Some(count) = self.long_length()? else {
            return Ok(None);
        };
        let limit = MAX_ELEMENTS.min(self.remaining() / min_element_bytes.max(1));
        if count > limit {
            return Err(WireError::TooManyElements { count, limit });
        }
        Ok(Some(count))
    }

    /// The number of elements of an array, each of at least `min_element_bytes`.
    ///
    /// # Errors
    /// As [`Self::nullable_array_len`], and [`WireError::UnexpectedNull`].
    pub fn array_len(&mut self, min_element_bytes: usize) -> Result<usize, WireError> {
        self.nullable_array_len(min_element_bytes)?
            .ok_or(WireError::UnexpectedNull)
    }

    /// Skips the tagged fields at the end of a struct, keeping none. Versions that are not flexible
    /// have none to skip.
    ///
    /// # Errors
    /// A malformed field, or [`WireError::TooManyTaggedFields`].
    #[inline]
    pub fn skip_tags(&mut self) -> Result<(), WireError> {
        self.visit_tags(|_, _| Ok(()))
    }

    /// Shows each tagged field at the end of a struct to `visit`, with a reader bounded to its
    /// value. Versions that are not flexible have none to show.
    ///
    /// # Errors
    /// A malformed field, [`WireError::TooManyTaggedFields`], or what `visit` returns.
    #[inline]
    pub fn visit_tags(
        &mut self,
        mut visit: impl FnMut(u32, Self) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        if !self.flexible {
            return Ok(());
        }
        let count = to_usize(self.unsigned_varint()?);
        if count > MAX_TAGGED_FIELDS {
            return Err(WireError::TooManyTaggedFields { count });
        }
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            let size = to_usize(self.unsigned_varint()?);
            let value = self.take(size)?;
            visit(
                tag,
                Self {
                    rest: value,
                    ..*self
                },
            )?;
        }
        Ok(())
    }

    /// A slice of this message that shares the frame's memory.
    pub(crate) fn share(&self, slice: &'a [u8]) -> Bytes {
        self.source.slice_ref(slice)
    }

    /// Length of bytes or of an array; `None` is null.
    #[inline]
    fn long_length(&mut self) -> Result<Option<usize>, WireError> {
        if self.flexible {
            self.compact_length()
        } else {
            length(self.i32()?)
        }
    }

    /// Compact lengths count from 1, because 0 is null.
    #[inline]
    fn compact_length(&mut self) -> Result<Option<usize>, WireError> {
        Ok(self.unsigned_varint()?.checked_sub(1).map(to_usize))
    }
}

fn length(raw: i32) -> Result<Option<usize>, WireError> {
    if raw == -1 {
        return Ok(None);
    }
    match usize::try_from(raw) {
        Ok(length) => Ok(Some(length)),
        Err(_negative) => Err(WireError::NegativeLength(raw)),
    }
}

/// Saturates on machines whose addresses are narrower than the number.
fn to_usize(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
