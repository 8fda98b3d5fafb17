//! Metadata requests for the topic.

use std::io;

use bytes::{Bytes, BytesMut};
use chronik_cli::wire_name;
use chronik_protocol::messages::metadata_request::MetadataRequestTopic;
use chronik_protocol::messages::{
    MetadataRequest, MetadataResponse, decode_response, encode_request,
};
use chronik_protocol::{ApiKey, RequestHeader};

use super::connection::{Pending, invalid};
use super::event_loop::{Answer, Load};
use super::produce::name_of;
use crate::driver::Setup;
use crate::failure::Failure;

pub(super) struct Asking {
    encoded: Bytes,
    version: i16,
}

impl Asking {
    pub(super) fn new(setup: &Setup) -> Result<Self, Failure> {
        let mut topic = MetadataRequestTopic::default();
        topic.name = Some(wire_name(&setup.plan.args.topic));
        let mut request = MetadataRequest::default();
        request.topics = Some(vec![topic]);
        request.allow_auto_topic_creation = false;
        let version = setup.cluster.versions.metadata;
        let header = RequestHeader {
            api_key: ApiKey::Metadata.code(),
            api_version: version,
            correlation_id: 0,
            client_id: Some("chronik-bench"),
        };
        let encoded = encode_request(&header, &request);
        let encoded = encoded.map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(Self { encoded, version })
    }
}

impl Load for Asking {
    fn records(&self) -> u64 {
        1
    }

    fn request(&mut self, _connection: usize, request: &Pending, out: &mut BytesMut) -> bool {
        let start = out.len();
        out.extend_from_slice(&self.encoded);
        let place = out.get_mut(start + CORRELATION_ID_AT..);
        if let Some(place) = place.and_then(<[u8]>::first_chunk_mut) {
            *place = request.correlation_id.to_be_bytes();
        }
        true
    }

    fn answer(&mut self, _connection: usize, frame: &Bytes) -> io::Result<Answer> {
        let decoded = decode_response(frame, ApiKey::Metadata.code(), self.version);
        let (_, answer): (i32, MetadataResponse) = decoded.map_err(invalid)?;
        let code = answer.topics.first().map_or(0, |topic| topic.error_code);
        Ok(match code {
            0 => Answer::Good { bytes: 0 },
            code => Answer::Refused(name_of(code)),
        })
    }
}

/// Behind the frame's length, the API key and the version.
const CORRELATION_ID_AT: usize = 8;
