//! Generated request and response structs of the cold APIs, and how to read and write them.
//!
//! The generated decoder keeps unknown tagged fields and reserves memory for as many elements as an
//! array claims. [`decode_request`] therefore reads through a buffer that knows better limits.

mod bounded;

use bytes::{BufMut, Bytes, BytesMut};
use chronik_model::TopicId;
pub use proto_kafka::error::ProtoError;
pub use proto_kafka::messages::*;
pub use proto_kafka::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes};

use self::bounded::BoundedBuf;
pub use self::bounded::MAX_FIELDS;
use crate::frame::{FrameTooLong, seal_frame, start_frame};
use crate::header::{self, response_header_version, write_response_header};
use crate::wire::Reader;

/// The largest body that is decoded into structs, in bytes. Records, the only large things that
/// clients send, never come this way.
pub const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// Why a body is not the message it should be.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A malformed field, or a version that the schema does not have.
    #[error(transparent)]
    Schema(#[from] ProtoError),
    /// A malformed response header.
    #[error(transparent)]
    Header(#[from] crate::wire::WireError),
    /// Bytes behind the end of the message.
    #[error("{0} bytes behind the end of the message")]
    TrailingBytes(usize),
    /// More than [`MAX_BODY_BYTES`].
    #[error("a body of {0} bytes, the limit is {MAX_BODY_BYTES}")]
    BodyTooLarge(usize),
    /// More strings, byte fields and unknown tagged fields than [`MAX_FIELDS`], or more parts of
    /// another kind than anybody asks for at once.
    #[error("the message has more than {MAX_FIELDS} strings and tagged fields, or too many parts")]
    TooManyFields,
}

/// Why a message can not be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// A field that the version does not have, or a version that the schema does not have.
    #[error(transparent)]
    Schema(#[from] ProtoError),
    /// Beyond 2 GiB.
    #[error(transparent)]
    FrameTooLong(#[from] FrameTooLong),
}

/// Reads the body of a request. Bytes behind its end are passed over, as Kafka does: librdkafka
/// leaves some behind Metadata v13.
///
/// # Errors
/// A malformed, oversized or unfinished message.
pub fn decode_request<T: Decodable>(body: &Bytes, version: i16) -> Result<T, DecodeError> {
    if body.len() > MAX_BODY_BYTES {
        return Err(DecodeError::BodyTooLarge(body.len()));
    }
    let mut bounded = BoundedBuf::new(body.clone());
    let decoded = T::decode(&mut bounded, version);
    if bounded.is_exhausted() {
        return Err(DecodeError::TooManyFields);
    }
    Ok(decoded?)
}

/// Writes a whole response frame, length prefix included. `header_version` is that of
/// [`response_header_version`].
///
/// # Errors
/// A field set that `version` does not have.
pub fn encode_response<T: Encodable>(
    header_version: i16,
    correlation_id: i32,
    version: i16,
    message: &T,
) -> Result<Bytes, EncodeError> {
    let mut frame = start_frame(message.compute_size(version)?.saturating_add(HEADER_BYTES));
    write_response_header(&mut frame, header_version, correlation_id);
    message.encode(&mut frame, version)?;
    seal_frame(&mut frame, 0)?;
    Ok(frame.freeze())
}

/// Writes a response frame around a body that is already encoded.
///
/// # Errors
/// [`FrameTooLong`] beyond 2 GiB.
pub fn frame_response(
    header_version: i16,
    correlation_id: i32,
    body: &[u8],
) -> Result<Bytes, FrameTooLong> {
    let mut frame = start_frame(body.len().saturating_add(HEADER_BYTES));
    write_response_header(&mut frame, header_version, correlation_id);
    frame.put_slice(body);
    seal_frame(&mut frame, 0)?;
    Ok(frame.freeze())
}

/// Writes a whole request frame, length prefix included, for clients and peers.
///
/// # Errors
/// A field set that the version does not have.
pub fn encode_request<T: Encodable>(
    header: &header::RequestHeader<'_>,
    message: &T,
) -> Result<Bytes, EncodeError> {
    let mut frame = start_frame(message.compute_size(header.api_version)?);
    header.write(&mut frame);
    message.encode(&mut frame, header.api_version)?;
    seal_frame(&mut frame, 0)?;
    Ok(frame.freeze())
}

/// Reads a response frame without its length prefix, on the side of clients, which trust the
/// broker more than it trusts them: there is no limit but that of the frame. Returns the
/// correlation id with the message.
///
/// # Errors
/// A malformed or unfinished message.
pub fn decode_response<T: Decodable>(
    frame: &Bytes,
    api_key: i16,
    version: i16,
) -> Result<(i32, T), DecodeError> {
    let flexible = response_header_version(api_key, version) >= 1;
    let mut reader = Reader::new(frame, flexible);
    let correlation_id = reader.i32()?;
    reader.skip_tags()?;
    let mut body = reader.into_rest();
    let message = T::decode(&mut body, version)?;
    match body.len() {
        0 => Ok((correlation_id, message)),
        left => Err(DecodeError::TrailingBytes(left)),
    }
}

/// Writes only the body of a message.
///
/// # Errors
/// A field set that `version` does not have.
pub fn encode_body<T: Encodable>(version: i16, message: &T) -> Result<Bytes, EncodeError> {
    let mut body = BytesMut::with_capacity(message.compute_size(version)?);
    message.encode(&mut body, version)?;
    Ok(body.freeze())
}

/// Our topic id for the generated structs' `Uuid`.
#[must_use]
pub fn topic_id(uuid: impl AsRef<[u8]>) -> TopicId {
    uuid.as_ref().try_into().map_or(TopicId::ZERO, TopicId)
}

/// The generated structs' `Uuid`, or whatever else is made of 16 bytes, for our topic id.
#[must_use]
pub fn uuid<U: TryFrom<Vec<u8>> + Default>(TopicId(bytes): TopicId) -> U {
    U::try_from(bytes.to_vec()).unwrap_or_default()
}

/// Room for a response header.
const HEADER_BYTES: usize = 8;

#[cfg(test)]
mod tests;
