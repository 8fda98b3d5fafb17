//! The few frames that the race sends itself, written by hand: what it times is one request, without
//! a client library between.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const PRODUCE: i16 = 0;
const API_VERSIONS: i16 = 18;
const CREATE_TOPICS: i16 = 19;
const DELETE_TOPICS: i16 = 20;
const LONGEST_REPLY_BYTES: usize = 16 << 20;

/// A topic to create.
#[derive(Debug)]
pub(super) struct Topic<'a> {
    pub(super) name: &'a str,
    pub(super) partitions: u32,
    pub(super) flush_messages: i64,
}

/// One connection to the server at a port of this machine.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
}

impl Connection {
    /// Every step of it has `timeout`.
    pub(super) fn open(port: u16, timeout: Duration) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Self { stream })
    }

    /// Any answer will do.
    pub(super) fn api_versions(&mut self) -> io::Result<()> {
        self.call(API_VERSIONS, 0, &[]).map(|_answer| ())
    }

    /// Returns the first error code that is not 0.
    pub(super) fn create_topics(&mut self, topics: &[Topic<'_>]) -> io::Result<i16> {
        let answer = self.call(CREATE_TOPICS, 2, &create_topics(topics))?;
        // Throttle time, then for each topic its name, a code and a message.
        let mut at = Cursor { bytes: &answer };
        at.skip(4)?;
        for _topic in 0..at.count()? {
            at.skip_string()?;
            let code = at.i16()?;
            at.skip_string()?;
            if code != 0 {
                return Ok(code);
            }
        }
        Ok(0)
    }

    /// Returns the error code.
    pub(super) fn delete_topic(&mut self, name: &str) -> io::Result<i16> {
        let mut body = Vec::new();
        body.extend(1_i32.to_be_bytes());
        put_string(&mut body, name);
        body.extend(TIMEOUT_MS.to_be_bytes());
        let answer = self.call(DELETE_TOPICS, 1, &body)?;
        let mut at = Cursor { bytes: &answer };
        at.skip(8)?;
        at.skip_string()?;
        at.i16()
    }

    /// One record to partition 0 with acks=all; returns the error code.
    pub(super) fn produce(&mut self, topic: &str) -> io::Result<i16> {
        let answer = self.call(PRODUCE, 3, &produce(topic))?;
        // One topic, its name, one partition, its index.
        let mut at = Cursor { bytes: &answer };
        at.skip(4)?;
        at.skip_string()?;
        at.skip(8)?;
        at.i16()
    }

    fn call(&mut self, api: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
        let mut header = Vec::new();
        header.extend(api.to_be_bytes());
        header.extend(version.to_be_bytes());
        header.extend(1_i32.to_be_bytes());
        put_string(&mut header, "xtask-race");
        let mut frame = length(header.len() + body.len());
        frame.extend(header);
        frame.extend(body);
        self.stream.write_all(&frame)?;
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let size = usize::try_from(u32::from_be_bytes(size)).unwrap_or(usize::MAX);
        if !(4..=LONGEST_REPLY_BYTES).contains(&size) {
            return Err(malformed());
        }
        let mut answer = vec![0; size];
        self.stream.read_exact(&mut answer)?;
        Ok(answer.split_off(4))
    }
}

const TIMEOUT_MS: i32 = 120_000;

fn create_topics(topics: &[Topic<'_>]) -> Vec<u8> {
    let mut body = length(topics.len());
    for topic in topics {
        put_string(&mut body, topic.name);
        body.extend(topic.partitions.to_be_bytes());
        body.extend(1_i16.to_be_bytes());
        body.extend(0_i32.to_be_bytes());
        body.extend(1_i32.to_be_bytes());
        put_string(&mut body, "flush.messages");
        put_string(&mut body, &topic.flush_messages.to_string());
    }
    body.extend(TIMEOUT_MS.to_be_bytes());
    body.push(0);
    body
}

fn produce(topic: &str) -> Vec<u8> {
    let mut body = (-1_i16).to_be_bytes().to_vec();
    body.extend((-1_i16).to_be_bytes());
    body.extend(TIMEOUT_MS.to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    put_string(&mut body, topic);
    body.extend(1_i32.to_be_bytes());
    body.extend(0_i32.to_be_bytes());
    let batch = batch();
    body.extend(length(batch.len()));
    body.extend(batch);
    body
}

/// A batch of one record with the value `first`, without key, time and producer.
fn batch() -> Vec<u8> {
    // Length, attributes, time and offset deltas, no key, the value, no headers; small numbers are
    // zigzag-encoded in one byte.
    let mut record = vec![22, 0, 0, 0, 1, 10];
    record.extend(b"first");
    record.push(0);
    let mut checked = vec![0_u8; 2 + 4 + 8 + 8];
    checked.extend([0xff; 8 + 2 + 4]);
    checked.extend(1_i32.to_be_bytes());
    checked.extend(record);
    // Base offset, length, leader epoch, magic, checksum.
    let mut batch = vec![0_u8; 8];
    batch.extend(length(4 + 1 + 4 + checked.len()));
    batch.extend([0; 4]);
    batch.push(2);
    batch.extend(crc32c(&checked).to_be_bytes());
    batch.extend(checked);
    batch
}

/// One bit at a time: it sees a hundred bytes.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _bit in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
        }
    }
    !crc
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(0);
    out.extend(length.to_be_bytes());
    out.extend(text.as_bytes());
}

fn length(count: usize) -> Vec<u8> {
    u32::try_from(count).unwrap_or(0).to_be_bytes().to_vec()
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an answer can not be read")
}

struct Cursor<'a> {
    bytes: &'a [u8],
}

impl Cursor<'_> {
    fn skip(&mut self, count: usize) -> io::Result<()> {
        self.bytes = self.bytes.get(count..).ok_or_else(malformed)?;
        Ok(())
    }

    fn i16(&mut self) -> io::Result<i16> {
        let (bytes, rest) = self.bytes.split_first_chunk().ok_or_else(malformed)?;
        self.bytes = rest;
        Ok(i16::from_be_bytes(*bytes))
    }

    fn count(&mut self) -> io::Result<u32> {
        let (bytes, rest) = self.bytes.split_first_chunk().ok_or_else(malformed)?;
        self.bytes = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    fn skip_string(&mut self) -> io::Result<()> {
        // -1 is no string.
        let length = usize::try_from(self.i16()?.max(0)).unwrap_or(0);
        self.skip(length)
    }
}

#[cfg(test)]
mod tests {
    use super::{Topic, batch, crc32c, create_topics};

    #[test]
    fn the_checksum_is_that_of_record_batches() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn lengths_are_those_of_what_follows() {
        let batch = batch();
        let length = u32::from_be_bytes(*batch[8..].first_chunk().unwrap());
        assert_eq!(batch.len(), 12 + usize::try_from(length).unwrap());
        // The record's own length, behind the 61 bytes of the header, counts half its zigzag number.
        assert_eq!(batch.len() - 62, usize::from(batch[61] / 2));
    }

    #[test]
    fn topics_carry_their_promise() {
        let topic = Topic {
            name: "t",
            partitions: 2,
            flush_messages: 1,
        };
        let body = create_topics(&[topic]);
        let mut expected = vec![
            0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1,
        ];
        expected.extend([0, 14]);
        expected.extend(b"flush.messages");
        expected.extend([0, 1, b'1', 0, 1, 0xd4, 0xc0, 0]);
        assert_eq!(body, expected);
    }
}
