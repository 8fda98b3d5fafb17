//! Fetch requests from the start of each partition to its end. Batches are counted by their headers
//! and not opened.

use std::io;

use bytes::{Bytes, BytesMut};
use chronik_cli::wire_name;
use chronik_model::batch::batches;
use chronik_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use chronik_protocol::messages::{
    BrokerId, FetchRequest, FetchResponse, TopicName, decode_response, encode_request,
};
use chronik_protocol::{ApiKey, RequestHeader};

use super::connection::{Pending, invalid};
use super::event_loop::{Answer, Load};
use super::produce::name_of;
use crate::driver::{Range, Setup};

pub(super) struct Consuming {
    topic: TopicName,
    version: i16,
    /// What each connection has left to read.
    ranges: Vec<Vec<Range>>,
}

impl Consuming {
    /// Connection `number` of `all` reads its share of the partitions.
    pub(super) fn new(setup: &Setup, numbers: &[usize], all: usize) -> Self {
        let unread = |number: &usize| {
            let mut ranges = setup.share_of(*number, all);
            ranges.retain(|range| range.begin < range.end);
            ranges
        };
        Self {
            topic: wire_name(&setup.plan.args.topic),
            version: setup.cluster.versions.fetch,
            ranges: numbers.iter().map(unread).collect(),
        }
    }

    fn encode(&self, ranges: &[Range], correlation_id: i32) -> Option<Bytes> {
        let partition = |range: &Range| {
            let mut partition = FetchPartition::default();
            partition.partition = range.partition.0;
            partition.fetch_offset = range.begin.0;
            partition.partition_max_bytes = PARTITION_BYTES;
            partition
        };
        let mut topic = FetchTopic::default();
        topic.topic = self.topic.clone();
        topic.partitions = ranges.iter().map(partition).collect();
        let mut request = FetchRequest::default();
        request.replica_id = BrokerId(-1);
        request.max_wait_ms = WAIT_MS;
        request.min_bytes = 1;
        request.max_bytes = FETCH_BYTES;
        request.session_epoch = NO_SESSION;
        request.topics = vec![topic];
        let header = RequestHeader {
            api_key: ApiKey::Fetch.code(),
            api_version: self.version,
            correlation_id,
            client_id: Some("chronik-bench"),
        };
        encode_request(&header, &request).ok()
    }
}

impl Load for Consuming {
    /// Not known before the answer.
    fn records(&self) -> u64 {
        0
    }

    fn request(&mut self, connection: usize, request: &Pending, out: &mut BytesMut) -> bool {
        let ranges = self.ranges.get(connection).filter(|it| !it.is_empty());
        let encoded = ranges.and_then(|ranges| self.encode(ranges, request.correlation_id));
        encoded.is_some_and(|frame| {
            out.extend_from_slice(&frame);
            true
        })
    }

    fn answer(&mut self, connection: usize, frame: &Bytes) -> io::Result<Answer> {
        let decoded = decode_response(frame, ApiKey::Fetch.code(), self.version);
        let (_, answer): (i32, FetchResponse) = decoded.map_err(invalid)?;
        let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let (mut records, mut bytes) = (0, 0);
        for partition in partitions {
            if partition.error_code != 0 {
                return Ok(Answer::Refused(name_of(partition.error_code)));
            }
            let ranges = self.ranges.get_mut(connection);
            let range = ranges.and_then(|ranges| {
                let mut ranges = ranges.iter_mut();
                ranges.find(|range| range.partition.0 == partition.partition_index)
            });
            let Some(range) = range else { continue };
            for batch in batches(partition.records.as_deref().unwrap_or_default()) {
                let batch = batch.map_err(invalid)?;
                let header = batch.header();
                range.begin = range.begin.max(header.next_offset());
                records += u64::try_from(header.record_count()).unwrap_or(0);
                bytes += batch.bytes().len() as u64;
            }
        }
        if let Some(ranges) = self.ranges.get_mut(connection) {
            ranges.retain(|range| range.begin < range.end);
        }
        Ok(Answer::Read { records, bytes })
    }
}

const PARTITION_BYTES: i32 = 4 << 20;
const FETCH_BYTES: i32 = 32 << 20;
const WAIT_MS: i32 = 500;
const NO_SESSION: i32 = -1;
