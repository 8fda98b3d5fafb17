//! The primitive types of Kafka's messages, as the records of `__consumer_offsets` use them. Reading
//! is bounded by the bytes there are.

use bytes::{BufMut, Bytes, BytesMut};

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// The bytes end inside a field.
    #[error("the bytes end inside a field")]
    Truncated,
    /// A length that can not be.
    #[error("a length is negative or too large")]
    BadLength,
    /// A null where there is none.
    #[error("a field is null that can not be")]
    UnexpectedNull,
    /// Text is not UTF-8.
    #[error("a string is not UTF-8")]
    NotText,
}

/// Reads fields from the front of bytes that it shares.
#[derive(Debug)]
pub(crate) struct Reader {
    bytes: Bytes,
}

impl Reader {
    /// Reads `bytes`.
    pub(crate) const fn new(bytes: Bytes) -> Self {
        Self { bytes }
    }

    /// Bytes not read yet.
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// Takes `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<Bytes, WireError> {
        if count > self.bytes.len() {
            return Err(WireError::Truncated);
        }
        Ok(self.bytes.split_to(count))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let taken = self.take(N)?;
        <[u8; N]>::try_from(&taken[..]).map_err(|_wrong_length| WireError::Truncated)
    }

    /// INT8.
    pub(crate) fn i8(&mut self) -> Result<i8, WireError> {
        self.array().map(i8::from_be_bytes)
    }

    /// INT16.
    pub(crate) fn i16(&mut self) -> Result<i16, WireError> {
        self.array().map(i16::from_be_bytes)
    }

    /// INT32.
    pub(crate) fn i32(&mut self) -> Result<i32, WireError> {
        self.array().map(i32::from_be_bytes)
    }

    /// INT64.
    pub(crate) fn i64(&mut self) -> Result<i64, WireError> {
        self.array().map(i64::from_be_bytes)
    }

    /// UUID.
    pub(crate) fn uuid(&mut self) -> Result<[u8; 16], WireError> {
        self.array()
    }

    /// UNSIGNED_VARINT.
    pub(crate) fn uvarint(&mut self) -> Result<u32, WireError> {
        let mut value: u32 = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array::<1>()?;
            if shift == 28 && byte > 0x0F {
                return Err(WireError::BadLength);
            }
            value |= u32::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::BadLength)
    }

    /// A length, minus one for null: INT16 or INT32 as given, or UNSIGNED_VARINT plus one.
    fn size(&mut self, format: Format, wide: bool) -> Result<Option<usize>, WireError> {
        let size = match format {
            Format::Flexible => i64::from(self.uvarint()?) - 1,
            Format::Classic if wide => i64::from(self.i32()?),
            Format::Classic => i64::from(self.i16()?),
        };
        if size == -1 {
            return Ok(None);
        }
        let size = usize::try_from(size).map_err(|_negative| WireError::BadLength)?;
        Ok(Some(size))
    }

    /// NULLABLE_STRING.
    pub(crate) fn nullable_string(&mut self, format: Format) -> Result<Option<String>, WireError> {
        let Some(size) = self.size(format, false)? else {
            return Ok(None);
        };
        let bytes = self.take(size)?;
        let text = std::str::from_utf8(&bytes).map_err(|_not_utf8| WireError::NotText)?;
        Ok(Some(text.to_owned()))
    }

    /// STRING.
    pub(crate) fn string(&mut self, format: Format) -> Result<String, WireError> {
        self.nullable_string(format)?
            .ok_or(WireError::UnexpectedNull)
    }

    /// BYTES, copied so that they do not hold on to the batch they came in.
    pub(crate) fn bytes(&mut self, format: Format) -> Result<Bytes, WireError> {
        let size = self.size(format, true)?.ok_or(WireError::UnexpectedNull)?;
        Ok(Bytes::copy_from_slice(&self.take(size)?))
    }

    /// The count of an ARRAY, none for null. No more than the bytes there are can hold, if each
    /// element takes `least` bytes (> 0) or more.
    pub(crate) fn nullable_count(
        &mut self,
        format: Format,
        least: usize,
    ) -> Result<Option<usize>, WireError> {
        let count = self.size(format, true)?;
        if count.is_some_and(|count| count > self.remaining() / least.max(1)) {
            return Err(WireError::BadLength);
        }
        Ok(count)
    }

    /// The count of an ARRAY that is not null; see [`Reader::nullable_count`].
    pub(crate) fn count(&mut self, format: Format, least: usize) -> Result<usize, WireError> {
        self.nullable_count(format, least)?
            .ok_or(WireError::UnexpectedNull)
    }

    /// Tagged fields: hands each to `field`, by its tag.
    pub(crate) fn tagged(
        &mut self,
        format: Format,
        mut field: impl FnMut(u32, &mut Self) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        if format == Format::Classic {
            return Ok(());
        }
        for _ in 0..self.uvarint()? {
            let tag = self.uvarint()?;
            let size = usize::try_from(self.uvarint()?).unwrap_or(usize::MAX);
            field(tag, &mut Self::new(self.take(size)?))?;
        }
        Ok(())
    }

    /// Tagged fields of which none is known.
    pub(crate) fn skip_tagged(&mut self, format: Format) -> Result<(), WireError> {
        self.tagged(format, |_tag, _field| Ok(()))
    }
}

/// How lengths are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// As INT16 and INT32.
    Classic,
    /// As UNSIGNED_VARINT, and with tagged fields (KIP-482).
    Flexible,
}

/// Writes fields.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: BytesMut,
}

impl Writer {
    /// Starts with the version that opens every key and value.
    pub(crate) fn versioned(version: i16) -> Self {
        let mut writer = Self::default();
        writer.i16(version);
        writer
    }

    /// What was written.
    pub(crate) fn finish(self) -> Bytes {
        self.bytes.freeze()
    }

    /// INT8.
    pub(crate) fn i8(&mut self, value: i8) {
        self.bytes.put_i8(value);
    }

    /// INT16.
    pub(crate) fn i16(&mut self, value: i16) {
        self.bytes.put_i16(value);
    }

    /// INT32.
    pub(crate) fn i32(&mut self, value: i32) {
        self.bytes.put_i32(value);
    }

    /// INT64.
    pub(crate) fn i64(&mut self, value: i64) {
        self.bytes.put_i64(value);
    }

    /// UUID, or bytes that are already encoded.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.put_slice(bytes);
    }

    /// UNSIGNED_VARINT.
    pub(crate) fn uvarint(&mut self, mut value: u32) {
        while value > 0x7F {
            let low = u8::try_from(value & 0x7F).unwrap_or(0);
            self.bytes.put_u8(low | 0x80);
            value >>= 7;
        }
        self.bytes.put_u8(u8::try_from(value).unwrap_or(0));
    }

    fn size(&mut self, format: Format, wide: bool, size: Option<usize>) {
        let size = size.map(|size| u32::try_from(size).unwrap_or(u32::MAX));
        match format {
            Format::Flexible => self.uvarint(size.map_or(0, |size| size.saturating_add(1))),
            Format::Classic if wide => {
                self.i32(size.map_or(-1, |size| i32::try_from(size).unwrap_or(i32::MAX)));
            }
            Format::Classic => {
                self.i16(size.map_or(-1, |size| i16::try_from(size).unwrap_or(i16::MAX)));
            }
        }
    }

    /// NULLABLE_STRING. Text beyond the 32,767 bytes that Kafka's strings have is cut.
    pub(crate) fn nullable_string(&mut self, format: Format, text: Option<&str>) {
        let text = text.map(shortened);
        self.size(format, false, text.map(str::len));
        self.raw(text.unwrap_or_default().as_bytes());
    }

    /// STRING; see [`Writer::nullable_string`].
    pub(crate) fn string(&mut self, format: Format, text: &str) {
        self.nullable_string(format, Some(text));
    }

    /// BYTES.
    pub(crate) fn bytes(&mut self, format: Format, bytes: &[u8]) {
        self.size(format, true, Some(bytes.len()));
        self.raw(bytes);
    }

    /// The count of an ARRAY.
    pub(crate) fn count(&mut self, format: Format, count: usize) {
        self.size(format, true, Some(count));
    }

    /// No tagged fields.
    pub(crate) fn no_tagged(&mut self, format: Format) {
        if format == Format::Flexible {
            self.uvarint(0);
        }
    }
}

/// The longest front of `text` that a Kafka string can hold.
fn shortened(text: &str) -> &str {
    let mut end = text.len().min(usize::from(i16::MAX.unsigned_abs()));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
