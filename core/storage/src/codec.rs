//! Bounded little-endian reading and writing for our own on-disk formats.

use bytes::BufMut;

/// The bytes ended before the value did, or a count promised more than there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the data ends in the middle of a value")]
pub struct Truncated;

/// Reads values off the front of a slice.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Truncated> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// Sixteen bytes of an id.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn id(&mut self) -> Result<[u8; 16], Truncated> {
        self.array()
    }

    /// A string with a two-byte length.
    ///
    /// # Errors
    /// Fewer bytes are left, or they are no UTF-8.
    pub fn string(&mut self) -> Result<&'a str, Truncated> {
        let length = usize::from(self.u16()?);
        std::str::from_utf8(self.bytes(length)?).map_err(|_not_utf8| Truncated)
    }

    /// A four-byte count of elements that take at least `min_bytes` each.
    ///
    /// # Errors
    /// More elements than the remaining bytes can hold.
    pub fn count(&mut self, min_bytes: usize) -> Result<usize, Truncated> {
        let count = usize::try_from(self.u32()?).map_err(|_too_large| Truncated)?;
        if count.saturating_mul(min_bytes.max(1)) > self.rest.len() {
            return Err(Truncated);
        }
        Ok(count)
    }
}

macro_rules! numbers {
    ($($name:ident)*) => {
        impl Reader<'_> {
            $(
                /// A little-endian number.
                ///
                /// # Errors
                /// Fewer bytes are left.
                pub fn $name(&mut self) -> Result<$name, Truncated> {
                    self.array().map($name::from_le_bytes)
                }
            )*
        }
    };
}

numbers!(u8 u16 u32 u64 i16 i32 i64);

/// Appends a string with a two-byte length; longer ones are cut, which no caller's names reach.
pub fn put_string(out: &mut impl BufMut, text: &str) {
    let text = text.get(..text.floor_char_boundary(usize::from(u16::MAX)));
    let text = text.unwrap_or_default();
    out.put_u16_le(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put_slice(text.as_bytes());
}

/// Appends a four-byte element count.
pub fn put_count(out: &mut impl BufMut, count: usize) {
    out.put_u32_le(u32::try_from(count).unwrap_or(u32::MAX));
}
