//! One connection to one broker: frames with deadlines and limits, versions agreed on at the start.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use chronik_model::ErrorCode;
use chronik_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, Decodable, Encodable, HeaderVersion, RequestHeader,
    ResponseHeader, StrBytes,
};

use crate::api::{Api, Versions};
use crate::args::BrokerAddress;
use crate::error::CliError;

/// A connection that knows which versions its broker speaks.
#[derive(Debug)]
pub struct Connection {
    address: BrokerAddress,
    stream: TcpStream,
    broker_versions: BTreeMap<i16, Versions>,
    correlation_id: i32,
}

impl Connection {
    /// Connects and asks for the broker's versions, each within `timeout`.
    ///
    /// # Errors
    /// [`CliError::Connect`] when there is no connection; as [`Self::call`] afterwards.
    pub fn open(address: &BrokerAddress, timeout: Duration) -> Result<Self, CliError> {
        let stream = connect(address, timeout).map_err(|error| CliError::Connect {
            address: address.clone(),
            reason: describe(&error),
        })?;
        let broker_versions = BTreeMap::new();
        let mut connection = Self {
            address: address.clone(),
            stream,
            broker_versions,
            correlation_id: 0,
        };
        match connection.learn_versions(timeout) {
            Ok(()) => Ok(connection),
            // As good as no connection: nothing was asked yet.
            Err(CliError::Lost {
                address, reason, ..
            }) => Err(CliError::Connect { address, reason }),
            Err(error) => Err(error),
        }
    }

    /// Sends `request` in the highest common version and waits for the answer.
    ///
    /// # Errors
    /// The connection is of no use after any error but [`CliError::Unsupported`].
    pub fn call<A: Api>(
        &mut self,
        request: &A,
        timeout: Duration,
    ) -> Result<A::Response, CliError> {
        let version = self.version_of::<A>()?;
        let deadline = Instant::now() + timeout;
        self.write_request(request, version, deadline)
            .and_then(|()| self.read_answer(deadline))
            .map_err(|error| self.broken::<A>(&error, timeout))
            .and_then(|answer| self.decode::<A>(answer, version))
    }

    /// Sends a request that the broker does not answer: Produce with acks=0.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub(crate) fn send<A: Api>(&mut self, request: &A, timeout: Duration) -> Result<(), CliError> {
        let version = self.version_of::<A>()?;
        self.write_request(request, version, Instant::now() + timeout)
            .map_err(|error| self.broken::<A>(&error, timeout))
    }

    /// Asks with the newest form first; a broker that does not know it answers
    /// `UNSUPPORTED_VERSION` in the oldest form, which every broker understands (KIP-511).
    fn learn_versions(&mut self, timeout: Duration) -> Result<(), CliError> {
        let newest = ApiVersionsRequest::VERSIONS.max;
        let mut answer = self.ask_versions(newest, timeout)?;
        if answer.error_code == ErrorCode::UnsupportedVersion.code() {
            answer = self.ask_versions(ApiVersionsRequest::VERSIONS.min, timeout)?;
        }
        if answer.error_code != ErrorCode::None.code() {
            let what = format!("agree on versions with {}", self.address);
            return Err(CliError::refused(what, answer.error_code, None));
        }
        let entry = |api: &chronik_protocol::messages::api_versions_response::ApiVersion| {
            (
                api.api_key,
                Versions {
                    min: api.min_version,
                    max: api.max_version,
                },
            )
        };
        self.broker_versions = answer.api_keys.iter().map(entry).collect();
        Ok(())
    }

    fn ask_versions(
        &mut self,
        version: i16,
        timeout: Duration,
    ) -> Result<ApiVersionsResponse, CliError> {
        let mut request = ApiVersionsRequest::default();
        if version >= 3 {
            request.client_software_name = StrBytes::from_static_str(CLIENT_ID);
            request.client_software_version = StrBytes::from_static_str(env!("CARGO_PKG_VERSION"));
        }
        let deadline = Instant::now() + timeout;
        let answer = self
            .write_request(&request, version, deadline)
            .and_then(|()| self.read_answer(deadline))
            .map_err(|error| self.broken::<ApiVersionsRequest>(&error, timeout))?;
        let version = if is_unsupported_version(&answer) {
            0
        } else {
            version
        };
        self.decode::<ApiVersionsRequest>(answer, version)
    }

    /// The version in which both sides speak an API.
    ///
    /// # Errors
    /// [`CliError::Unsupported`].
    pub fn version_of<A: Api>(&self) -> Result<i16, CliError> {
        let theirs = self.broker_versions.get(&A::KEY).copied();
        theirs
            .and_then(|theirs| A::VERSIONS.highest_common(theirs))
            .ok_or_else(|| CliError::Unsupported {
                address: self.address.clone(),
                api: A::NAME,
                theirs: theirs.map_or_else(|| "none".to_owned(), |theirs| theirs.to_string()),
                ours: A::VERSIONS.to_string(),
            })
    }

    fn write_request<A: Api>(
        &mut self,
        request: &A,
        version: i16,
        deadline: Instant,
    ) -> io::Result<()> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let frame = encode_request(request, version, self.correlation_id)?;
        WithDeadline {
            stream: &self.stream,
            deadline,
        }
        .write_all(&frame)
    }

    /// The answer from its header on.
    fn read_answer(&self, deadline: Instant) -> io::Result<Bytes> {
        let frame = read_frame(&mut WithDeadline {
            stream: &self.stream,
            deadline,
        })?;
        if frame.starts_with(&self.correlation_id.to_be_bytes()) {
            Ok(frame)
        } else {
            Err(invalid("it belongs to another request"))
        }
    }

    fn decode<A: Api>(&self, answer: Bytes, version: i16) -> Result<A::Response, CliError> {
        decode_answer::<A>(answer, version).map_err(|reason| CliError::Malformed {
            address: self.address.clone(),
            api: A::NAME,
            reason,
        })
    }

    fn broken<A: Api>(&self, error: &io::Error, timeout: Duration) -> CliError {
        let (address, api) = (self.address.clone(), A::NAME);
        if is_timeout(error) {
            CliError::TimedOut {
                address,
                api,
                seconds: timeout.as_secs_f64(),
            }
        } else if error.kind() == io::ErrorKind::InvalidData {
            CliError::Malformed {
                address,
                api,
                reason: error.to_string(),
            }
        } else {
            CliError::Lost {
                address,
                api,
                reason: describe(error),
                changes: A::CHANGES,
            }
        }
    }
}

/// Tries every address of the name within one deadline.
fn connect(address: &BrokerAddress, timeout: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now() + timeout;
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for socket in (address.host.as_str(), address.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&socket, remaining(deadline)?) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn encode_request<A: Api>(request: &A, version: i16, correlation_id: i32) -> io::Result<BytesMut> {
    let mut header = RequestHeader::default();
    header.request_api_key = A::KEY;
    header.request_api_version = version;
    header.correlation_id = correlation_id;
    header.client_id = Some(StrBytes::from_static_str(CLIENT_ID));
    let mut frame = BytesMut::from(&[0; LENGTH_BYTES][..]);
    header
        .encode(&mut frame, A::header_version(version))
        .and_then(|()| request.encode(&mut frame, version))
        .map_err(|error| invalid(&format!("the request can not be encoded: {error}")))?;
    let length = i32::try_from(frame.len() - LENGTH_BYTES)
        .map_err(|error| invalid(&format!("the request is too large: {error}")))?;
    if let Some(prefix) = frame.first_chunk_mut::<LENGTH_BYTES>() {
        *prefix = length.to_be_bytes();
    }
    Ok(frame)
}

/// Decodes header and body, to the last byte.
fn decode_answer<A: Api>(mut answer: Bytes, version: i16) -> Result<A::Response, String> {
    ResponseHeader::decode(&mut answer, A::Response::header_version(version))
        .and_then(|_header| A::Response::decode(&mut answer, version))
        .map_err(|error| error.to_string())
        .and_then(|body| match answer.len() {
            0 => Ok(body),
            left => Err(format!("{left} bytes left over")),
        })
}

/// Whether an answer to ApiVersions, of which the header is a correlation id alone, begins with
/// `UNSUPPORTED_VERSION`.
fn is_unsupported_version(answer: &[u8]) -> bool {
    let body = answer.get(CORRELATION_ID_BYTES..).unwrap_or_default();
    body.starts_with(&ErrorCode::UnsupportedVersion.code().to_be_bytes())
}

/// Reads a length and that many bytes. Memory grows with what arrives, not with what is announced.
fn read_frame(source: &mut impl Read) -> io::Result<Bytes> {
    let mut prefix = [0; LENGTH_BYTES];
    source.read_exact(&mut prefix)?;
    let length = i32::from_be_bytes(prefix);
    let announced = u64::try_from(length).unwrap_or(u64::MAX);
    if announced > MAX_RESPONSE_BYTES {
        return Err(invalid(&format!(
            "it announces {length} bytes, allowed are {MAX_RESPONSE_BYTES}"
        )));
    }
    let mut body = Vec::new();
    let read = source.take(announced).read_to_end(&mut body)?;
    if u64::try_from(read).is_ok_and(|read| read == announced) {
        Ok(Bytes::from(body))
    } else {
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, CLOSED))
    }
}

/// A socket of which every read and write ends at the deadline.
#[derive(Debug)]
struct WithDeadline<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
}

impl Read for WithDeadline<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream
            .set_read_timeout(Some(remaining(self.deadline)?))?;
        self.stream.read(buffer)
    }
}

impl Write for WithDeadline<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream
            .set_write_timeout(Some(remaining(self.deadline)?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn remaining(deadline: Instant) -> io::Result<Duration> {
    let remaining = deadline.saturating_duration_since(Instant::now());
    if remaining.is_zero() {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "timed out"));
    }
    Ok(remaining)
}

/// Sockets report a passed read timeout as `WouldBlock` on Unix and as `TimedOut` elsewhere.
fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
    )
}

/// The reason in a few lower-case words, without the operating system's number.
fn describe(error: &io::Error) -> String {
    let known = [
        (io::ErrorKind::ConnectionRefused, "connection refused"),
        (io::ErrorKind::ConnectionReset, "connection reset"),
        (io::ErrorKind::BrokenPipe, CLOSED),
        (io::ErrorKind::UnexpectedEof, CLOSED),
        (io::ErrorKind::TimedOut, "timed out"),
        (io::ErrorKind::WouldBlock, "timed out"),
        (io::ErrorKind::HostUnreachable, "host unreachable"),
        (io::ErrorKind::NetworkUnreachable, "network unreachable"),
    ];
    let found = known.iter().find(|(kind, _)| *kind == error.kind());
    found.map_or_else(|| error.to_string(), |(_, text)| (*text).to_owned())
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

/// Largest answer that is read; far above what the requests here ask for.
const MAX_RESPONSE_BYTES: u64 = 128 << 20;
const LENGTH_BYTES: usize = 4;
const CORRELATION_ID_BYTES: usize = 4;
const CLIENT_ID: &str = "chronik-cli";
const CLOSED: &str = "the other side closed the connection";

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
