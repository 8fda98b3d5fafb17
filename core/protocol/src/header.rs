//! Headers of requests and responses.
//!
//! | Request header | Fields |
//! | --- | --- |
//! | v0 | api key, api version, correlation id (ControlledShutdown v0 only) |
//! | v1 | and client id |
//! | v2 | and tagged fields, in flexible versions |
//!
//! A response header has the correlation id, and tagged fields in flexible versions except those of
//! ApiVersions, whose reader does not know yet which versions the broker speaks (KIP-511).

use bytes::{Bytes, BytesMut};

use crate::api_key::{self, ApiKey, CONTROLLED_SHUTDOWN};
use crate::wire::{Reader, WireError, Writer};

/// What a request is and who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    /// Number of the API; [`ApiKey::from_i16`] says whether it is known.
    pub api_key: i16,
    /// Version of the API's schema.
    pub api_version: i16,
    /// Number that the response repeats.
    pub correlation_id: i32,
    /// The client's `client.id`.
    pub client_id: Option<&'a str>,
}

/// A header that could not be read, with as much of it as was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed request header: {cause}")]
pub struct RequestHeaderError {
    /// Number of the API, if it was there.
    pub api_key: Option<i16>,
    /// Version, if it was there.
    pub api_version: Option<i16>,
    /// Correlation id, if it was there.
    pub correlation_id: Option<i32>,
    /// What is wrong.
    #[source]
    pub cause: WireError,
}

impl<'a> RequestHeader<'a> {
    /// Reads the header of `frame` and returns the body behind it.
    ///
    /// A number that is no API is read with header v1, so that the caller can answer or log it.
    ///
    /// # Errors
    /// The malformed field, with the correlation id when that was readable.
    pub fn decode(frame: &'a Bytes) -> Result<(Self, Bytes), RequestHeaderError> {
        let mut partial = RequestHeaderError {
            api_key: None,
            api_version: None,
            correlation_id: None,
            cause: WireError::Truncated {
                wanted: 0,
                present: 0,
            },
        };
        Self::read(frame, &mut partial).map_err(|cause| RequestHeaderError { cause, ..partial })
    }

    fn read(
        frame: &'a Bytes,
        partial: &mut RequestHeaderError,
    ) -> Result<(Self, Bytes), WireError> {
        let mut reader = Reader::new(frame, false);
        let api_key = *partial.api_key.insert(reader.i16()?);
        let api_version = *partial.api_version.insert(reader.i16()?);
        let correlation_id = *partial.correlation_id.insert(reader.i32()?);
        let version = request_header_version(api_key, api_version);
        // Not compact even in v2, so that every broker can read it.
        let client_id = if version == 0 {
            None
        } else {
            reader.nullable_string()?
        };
        let mut reader = reader.with_flexible(version == 2);
        reader.skip_tags()?;
        let header = Self {
            api_key,
            api_version,
            correlation_id,
            client_id,
        };
        Ok((header, reader.into_rest()))
    }

    /// Writes the header, for requests of our own.
    pub fn write(&self, out: &mut BytesMut) {
        let version = request_header_version(self.api_key, self.api_version);
        let mut writer = Writer::new(out, false);
        writer.i16(self.api_key);
        writer.i16(self.api_version);
        writer.i32(self.correlation_id);
        if version > 0 {
            writer.nullable_string(self.client_id);
        }
        Writer::new(out, version == 2).tag_count(0);
    }
}

/// The version (0 to 2) of the header in front of a request.
#[must_use]
pub const fn request_header_version(api_key: i16, api_version: i16) -> i16 {
    if api_key == CONTROLLED_SHUTDOWN && api_version == 0 {
        0
    } else if api_key::is_flexible(api_key, api_version) {
        2
    } else {
        1
    }
}

/// The version (0 or 1) of the header in front of a response.
#[must_use]
pub const fn response_header_version(api_key: i16, api_version: i16) -> i16 {
    if api_key != ApiKey::ApiVersions.code() && api_key::is_flexible(api_key, api_version) {
        1
    } else {
        0
    }
}

/// Writes a response header of `header_version`, see [`response_header_version`].
pub fn write_response_header(out: &mut BytesMut, header_version: i16, correlation_id: i32) {
    let mut writer = Writer::new(out, header_version >= 1);
    writer.i32(correlation_id);
    writer.tag_count(0);
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
