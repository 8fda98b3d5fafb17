//! Writing primitives onto a buffer.

use bytes::{BufMut, BytesMut};

/// Appends fields of one message to a buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut BytesMut,
    flexible: bool,
}

impl<'a> Writer<'a> {
    /// The longest string that Kafka's clients accept, in bytes.
    pub const MAX_STRING_BYTES: usize = 32_767;

    /// A writer that appends to `out`.
    #[must_use]
    pub fn new(out: &'a mut BytesMut, flexible: bool) -> Self {
        Self { out, flexible }
    }

    /// An `int8`.
    pub fn i8(&mut self, value: i8) {
        self.out.put_i8(value);
    }

    /// An `int16`.
    pub fn i16(&mut self, value: i16) {
        self.out.put_i16(value);
    }

    /// An `int32`.
    pub fn i32(&mut self, value: i32) {
        self.out.put_i32(value);
    }

    /// An `int64`.
    pub fn i64(&mut self, value: i64) {
        self.out.put_i64(value);
    }

    /// A `uuid` from its 16 bytes.
    pub fn uuid(&mut self, value: [u8; 16]) {
        self.out.put_slice(&value);
    }

    /// An `unsigned varint`.
    pub fn unsigned_varint(&mut self, value: u32) {
        let mut value = value;
        loop {
            let [.., low] = (value & 0x7f).to_be_bytes();
            value >>= 7;
            if value == 0 {
                return self.out.put_u8(low);
            }
            self.out.put_u8(low | 0x80);
        }
    }

    /// A zigzag `varint`.
    pub fn varint(&mut self, value: i32) {
        self.unsigned_varint(((value << 1) ^ (value >> 31)).cast_unsigned());
    }

    /// A string; what exceeds [`Self::MAX_STRING_BYTES`] is cut off, since only texts written for
    /// people can be that long.
    pub fn string(&mut self, value: &str) {
        let value = truncated(value);
        if self.flexible {
            self.compact_length(value.len());
        } else {
            self.out
                .put_i16(i16::try_from(value.len()).unwrap_or(i16::MAX));
        }
        self.out.put_slice(value.as_bytes());
    }

    /// A string or null.
    pub fn nullable_string(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.string(value),
            None if self.flexible => self.out.put_u8(0),
            None => self.out.put_i16(-1),
        }
    }

    /// Bytes with their length.
    pub fn bytes(&mut self, value: &[u8]) {
        self.long_length(value.len());
        self.out.put_slice(value);
    }

    /// Bytes with their length, or null.
    pub fn nullable_bytes(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => self.bytes(value),
            None => self.null_array(),
        }
    }

    /// The length of bytes that follow from elsewhere, or the number of elements that follow.
    /// Saturates past 2 GiB; sealing the frame then fails.
    pub fn long_length(&mut self, length: usize) {
        if self.flexible {
            self.compact_length(length);
        } else {
            self.out.put_i32(i32::try_from(length).unwrap_or(i32::MAX));
        }
    }

    /// The null array, which is also how null bytes look.
    pub fn null_array(&mut self) {
        if self.flexible {
            self.out.put_u8(0);
        } else {
            self.out.put_i32(-1);
        }
    }

    /// The number of tagged fields that follow; nothing in versions without them.
    pub fn tag_count(&mut self, count: u32) {
        if self.flexible {
            self.unsigned_varint(count);
        }
    }

    /// One tagged field, whose value `write` produces. Only flexible versions have them.
    pub fn tag(&mut self, tag: u32, write: impl FnOnce(&mut Writer<'_>)) {
        assert!(
            self.flexible,
            "tagged fields exist in flexible versions only"
        );
        let mut value = BytesMut::new();
        write(&mut Writer::new(&mut value, true));
        self.unsigned_varint(tag);
        self.unsigned_varint(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.out.put_slice(&value);
    }

    fn compact_length(&mut self, length: usize) {
        self.unsigned_varint(u32::try_from(length).unwrap_or(u32::MAX).saturating_add(1));
    }
}

/// The longest prefix that fits and ends between characters.
fn truncated(value: &str) -> &str {
    let end = value.floor_char_boundary(Writer::MAX_STRING_BYTES);
    value.get(..end).unwrap_or(value)
}
