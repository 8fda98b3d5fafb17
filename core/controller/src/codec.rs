//! Little-endian reading and writing of our own formats. Reading never panics and never reserves
//! more than the bytes present could fill.

use chronik_model::{NodeId, TopicId};

/// Why bytes are no metadata.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A field reaches past the end.
    #[error("the bytes end inside a field")]
    Truncated,
    /// Bytes are left over after the last field.
    #[error("{0} bytes follow the last field")]
    TrailingBytes(usize),
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// A field holds a value that no writer produces.
    #[error("the field {0} has an impossible value")]
    Invalid(&'static str),
    /// The batch of records has a layout that this version does not know.
    #[error("record batch format {0} is not known to this version")]
    UnknownFormat(u8),
    /// A record that may not be skipped has a kind that this version does not know.
    #[error("record kind {0} is not known to this version and may not be skipped")]
    UnknownKind(u8),
    /// A known record has a version that this version does not know.
    #[error("version {version} of record kind {kind} is not known to this version")]
    UnknownVersion {
        /// The record's kind.
        kind: u8,
        /// The record's version.
        version: u8,
    },
}

/// Appends fields to a buffer.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn length(&mut self, length: usize) {
        self.u32(length_u32(length));
    }

    pub(crate) fn string(&mut self, value: &str) {
        self.length(value.len());
        self.raw(value.as_bytes());
    }

    pub(crate) fn optional_string(&mut self, value: Option<&str>) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            self.string(value);
        }
    }

    pub(crate) fn node_ids(&mut self, nodes: &[NodeId]) {
        self.length(nodes.len());
        for node in nodes {
            self.i32(node.0);
        }
    }

    /// Writes `body` behind its own length.
    pub(crate) fn framed(&mut self, body: impl FnOnce(&mut Self)) {
        let at = self.bytes.len();
        self.u32(0);
        let start = self.bytes.len();
        body(self);
        let length = length_u32(self.bytes.len() - start).to_le_bytes();
        if let Some(field) = self.bytes.get_mut(at..start) {
            field.copy_from_slice(&length);
        }
    }
}

/// Takes fields from the front of a slice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) const fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(DecodeError::TrailingBytes(count)),
        }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_le_bytes)
    }

    pub(crate) fn bytes16(&mut self) -> Result<[u8; 16], DecodeError> {
        self.array()
    }

    pub(crate) fn topic_id(&mut self) -> Result<TopicId, DecodeError> {
        self.array().map(TopicId)
    }

    pub(crate) fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Invalid(field)),
        }
    }

    /// A number of elements of at least `element_bytes` each that the rest can hold.
    pub(crate) fn count(&mut self, element_bytes: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if count > self.rest.len() / element_bytes.max(1) {
            return Err(DecodeError::Truncated);
        }
        Ok(count)
    }

    pub(crate) fn framed(&mut self) -> Result<&'a [u8], DecodeError> {
        let count = self.count(1)?;
        self.take(count)
    }

    pub(crate) fn string(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.framed()?).or(Err(DecodeError::NotUtf8))
    }

    pub(crate) fn optional_string(
        &mut self,
        field: &'static str,
    ) -> Result<Option<&'a str>, DecodeError> {
        if self.bool(field)? {
            self.string().map(Some)
        } else {
            Ok(None)
        }
    }

    pub(crate) fn node_ids(&mut self) -> Result<Vec<NodeId>, DecodeError> {
        let count = self.count(size_of::<i32>())?;
        (0..count).map(|_| self.i32().map(NodeId)).collect()
    }
}

fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("metadata is bounded by the request frame, far below 4 GiB")
}
