//! Produce requests with one batch each.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use chronik_cli::wire_name;
use chronik_model::ErrorCode;
use chronik_model::batch::{BatchBuilder, BatchSpec, BuildError};
use chronik_model::compression::Codec;
use chronik_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use chronik_protocol::messages::{ProduceRequest, encode_request};
use chronik_protocol::{ApiKey, Reader, RequestHeader, WireError};

use super::connection::{Pending, invalid};
use super::event_loop::{Answer, Load};
use super::partition_of;
use crate::driver::Setup;
use crate::failure::Failure;
use crate::payload::{Payloads, Stamp};

pub(super) struct Producing {
    template: Template,
    payloads: Payloads,
    /// Whole requests, one per connection, for records without a stamp.
    encoded: Vec<Bytes>,
    /// The number of each connection among those of all event loops.
    numbers: Vec<usize>,
    /// The partition of each connection.
    partitions: Vec<i32>,
    stamp: Option<Stamp>,
    bytes_per_request: u64,
}

/// What all requests have in common.
struct Template {
    topic: chronik_protocol::messages::TopicName,
    version: i16,
    acks: i16,
    timeout_ms: i32,
    codec: Codec,
    records: u64,
}

impl Producing {
    /// For the connections of these numbers.
    pub(super) fn new(setup: &Setup, numbers: &[usize]) -> Result<Self, Failure> {
        let args = &setup.plan.args;
        let records = args.batch_size.map_or(1, |bytes| {
            (bytes / (args.message_size + RECORD_OVERHEAD_BYTES)).max(1)
        });
        let template = Template {
            topic: wire_name(&args.topic),
            version: setup.cluster.versions.produce,
            acks: args.acks_code(),
            timeout_ms: i32::try_from(args.timeout.as_millis()).unwrap_or(i32::MAX),
            codec: args.codec(),
            records: records as u64,
        };
        let partition = |number: &usize| partition_of(setup, *number).map_or(0, |it| it.index.0);
        let partitions: Vec<i32> = numbers.iter().map(partition).collect();
        let mut payloads = Payloads::new(args.message_size, args.codec() != Codec::None);
        let stamp = setup.stamps().then_some(Stamp {
            run: setup.run_id,
            worker: 0,
            sequence: 0,
            sent_ns: 0,
        });
        let encoded = if stamp.is_some() {
            Vec::new()
        } else {
            let encode = |partition: &i32| template.encode(*partition, None, &mut payloads);
            let encoded = partitions.iter().map(encode).collect::<Result<_, _>>();
            encoded.map_err(|error| Failure::Usage(error.to_string()))?
        };
        Ok(Self {
            bytes_per_request: template.records * args.message_size as u64,
            template,
            payloads,
            encoded,
            numbers: numbers.to_vec(),
            partitions,
            stamp,
        })
    }
}

impl Load for Producing {
    fn records(&self) -> u64 {
        self.template.records
    }

    fn request(&mut self, connection: usize, request: &Pending, out: &mut BytesMut) -> bool {
        let start = out.len();
        if let Some(encoded) = self.encoded.get(connection) {
            out.extend_from_slice(encoded);
        } else {
            let partition = self.partitions.get(connection).copied().unwrap_or(0);
            let number = self.numbers.get(connection).copied().unwrap_or(0);
            let stamp = self.stamp.map(|stamp| Stamp {
                worker: u32::try_from(number).unwrap_or(u32::MAX),
                sequence: request.first,
                sent_ns: request.sent_ns,
                ..stamp
            });
            let encoded = self.template.encode(partition, stamp, &mut self.payloads);
            let Ok(encoded) = encoded else {
                return false;
            };
            out.extend_from_slice(&encoded);
        }
        let place = out.get_mut(start + CORRELATION_ID_AT..);
        if let Some(place) = place.and_then(<[u8]>::first_chunk_mut) {
            *place = request.correlation_id.to_be_bytes();
        }
        true
    }

    fn answer(&mut self, _connection: usize, frame: &Bytes) -> io::Result<Answer> {
        let code = error_code(frame, self.template.version).map_err(invalid)?;
        Ok(match code {
            0 => Answer::Good {
                bytes: self.bytes_per_request,
            },
            code => Answer::Refused(name_of(code)),
        })
    }
}

impl Template {
    /// A whole frame with one batch, of which the records carry the stamp and its successors.
    fn encode(
        &self,
        partition: i32,
        mut stamp: Option<Stamp>,
        payloads: &mut Payloads,
    ) -> Result<Bytes, EncodeError> {
        let mut batch = BatchBuilder::new(BatchSpec {
            codec: self.codec,
            ..BatchSpec::default()
        });
        let now_ms = now_ms();
        for _ in 0..self.records {
            let value = payloads.next(stamp.as_ref());
            batch.append(now_ms, None, Some(value), &[])?;
            if let Some(stamp) = &mut stamp {
                stamp.sequence += 1;
            }
        }
        let mut data = PartitionProduceData::default();
        data.index = partition;
        data.records = Some(Bytes::from(batch.finish()?));
        let mut topic = TopicProduceData::default();
        topic.name = self.topic.clone();
        topic.partition_data = vec![data];
        let mut request = ProduceRequest::default();
        request.acks = self.acks;
        request.timeout_ms = self.timeout_ms;
        request.topic_data = vec![topic];
        let header = RequestHeader {
            api_key: ApiKey::Produce.code(),
            api_version: self.version,
            correlation_id: 0,
            client_id: Some("chronik-bench"),
        };
        Ok(encode_request(&header, &request)?)
    }
}

/// Why a request can not be made.
#[derive(Debug, thiserror::Error)]
enum EncodeError {
    #[error(transparent)]
    Batch(#[from] BuildError),
    #[error(transparent)]
    Request(#[from] chronik_protocol::messages::EncodeError),
}

/// The code of the one partition of an answer; what follows it does not matter here.
fn error_code(frame: &Bytes, version: i16) -> Result<i16, WireError> {
    let mut reader = Reader::new(frame, ApiKey::Produce.is_flexible(version));
    reader.i32()?;
    reader.skip_tags()?;
    reader.array_len(1)?;
    reader.string()?;
    reader.array_len(1)?;
    reader.i32()?;
    reader.i16()
}

/// Kafka's name of a code.
pub(super) fn name_of(code: i16) -> String {
    ErrorCode::from_code(code).map_or_else(|| format!("error code {code}"), |it| it.to_string())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// Behind the frame's length, the API key and the version.
const CORRELATION_ID_AT: usize = 8;
/// Lengths, deltas and attributes of a small record.
const RECORD_OVERHEAD_BYTES: usize = 10;

#[cfg(test)]
mod tests {
    use super::{Template, error_code};
    use crate::payload::{Payloads, STAMP_BYTES, Stamp};
    use bytes::Bytes;
    use chronik_model::batch::{batches, records};
    use chronik_model::compression::{Codec, DecompressLimits, Decompressor};
    use chronik_protocol::header::{RequestHeader, response_header_version};
    use chronik_protocol::messages::produce_response::{
        PartitionProduceResponse, TopicProduceResponse,
    };
    use chronik_protocol::messages::{
        ProduceRequest, ProduceResponse, StrBytes, TopicName, decode_request, encode_response,
    };

    fn topic() -> TopicName {
        TopicName(StrBytes::from_static_str("t"))
    }

    #[test]
    fn requests_carry_stamped_records_in_their_order() {
        let template = Template {
            topic: topic(),
            version: 9,
            acks: 1,
            timeout_ms: 30_000,
            codec: Codec::Lz4,
            records: 3,
        };
        let stamp = Stamp {
            run: 5,
            worker: 1,
            sequence: 10,
            sent_ns: 7,
        };
        let mut payloads = Payloads::new(STAMP_BYTES, false);
        let frame = template
            .encode(2, Some(stamp), &mut payloads)
            .unwrap()
            .slice(4..);
        let (header, body) = RequestHeader::decode(&frame).unwrap();
        assert_eq!((header.api_key, header.api_version), (0, 9));
        let request: ProduceRequest = decode_request(&body, 9).unwrap();
        let partition = &request.topic_data[0].partition_data[0];
        assert_eq!((request.acks, partition.index), (1, 2));
        let bytes = partition.records.as_ref().unwrap();
        let batch = batches(bytes).next().unwrap().unwrap();
        let limits = DecompressLimits {
            max_bytes: 1 << 20,
            max_ratio: 100,
        };
        let mut scratch = Decompressor::new();
        let sequences: Vec<u64> = records(&batch, &mut scratch, limits)
            .unwrap()
            .map(|record| {
                Stamp::read(record.unwrap().value.unwrap())
                    .unwrap()
                    .sequence
            })
            .collect();
        assert_eq!(sequences, [10, 11, 12]);
    }

    #[test]
    fn answers_are_read_in_every_version() {
        for version in 3..=12 {
            let mut partition = PartitionProduceResponse::default();
            partition.error_code = 6;
            let mut topic_answer = TopicProduceResponse::default();
            topic_answer.name = topic();
            topic_answer.partition_responses = vec![partition];
            let mut answer = ProduceResponse::default();
            answer.responses = vec![topic_answer];
            let header = response_header_version(0, version);
            let frame = encode_response(header, 9, version, &answer)
                .unwrap()
                .slice(4..);
            assert_eq!(error_code(&frame, version).unwrap(), 6, "version {version}");
            for cut in 0..frame.len() - 20 {
                let cut_off = error_code(&frame.slice(..cut), version);
                assert!(cut_off.is_err() || cut_off == Ok(6), "{cut} bytes");
            }
        }
        assert!(error_code(&Bytes::new(), 9).is_err());
    }
}
