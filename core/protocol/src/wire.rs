//! Kafka's primitive types: a bounded reader over a frame and a writer onto a buffer.
//!
//! Both know whether the message version is flexible (KIP-482): strings, bytes and arrays then have
//! compact lengths, and every struct ends in tagged fields.

mod reader;
mod writer;

pub(crate) use reader::PartitionCount;
pub use reader::{MAX_ELEMENTS, MAX_PARTITIONS, MAX_TAGGED_FIELDS, Reader};
pub use writer::Writer;

/// Why bytes are not the message they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field reaches past the end of the message.
    #[error("the message ends inside a field: {wanted} more bytes wanted, {present} present")]
    Truncated {
        /// Bytes that the field needs.
        wanted: usize,
        /// Bytes that are there.
        present: usize,
    },
    /// A length below -1.
    #[error("negative length {0}")]
    NegativeLength(i32),
    /// Null where the schema does not allow it.
    #[error("null in a field that can not be null")]
    UnexpectedNull,
    /// A varint of more bytes or bits than its type has.
    #[error("malformed varint")]
    MalformedVarint,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    NotUtf8,
    /// An array of more elements than the limit, or than the remaining bytes can hold.
    #[error("an array claims {count} elements, at most {limit} are possible")]
    TooManyElements {
        /// Elements that the array claims.
        count: usize,
        /// The most that it could have.
        limit: usize,
    },
    /// More tagged fields than [`MAX_TAGGED_FIELDS`] in one struct.
    #[error("{count} tagged fields, at most {MAX_TAGGED_FIELDS} are allowed")]
    TooManyTaggedFields {
        /// Fields that the struct claims.
        count: usize,
    },
    /// A known tag in a version that does not have it.
    #[error("tagged field {tag} does not exist in this version")]
    UnexpectedTag {
        /// The tag.
        tag: u32,
    },
    /// Bytes behind the end of the message.
    #[error("{0} bytes behind the end of the message")]
    TrailingBytes(usize),
    /// A number that stands for nothing.
    #[error("{value} is no valid {field}")]
    InvalidValue {
        /// Kafka's name of the field.
        field: &'static str,
        /// The number.
        value: i64,
    },
    /// A version that this decoder does not know.
    #[error("version {0} is not supported")]
    UnsupportedVersion(i16),
}
