//! What a producer needs to hear: versions, metadata, a producer id, offsets. `chronik-bench` looks for
//! Fetch and asks for the ends of partitions before any run, so that both are there: nothing is to be read.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use chronik_model::batch::verify;
use chronik_model::{ErrorCode, Offset, PartitionIndex, TopicId};
use chronik_protocol::header::response_header_version;
use chronik_protocol::messages::api_versions_response::ApiVersion;
use chronik_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use chronik_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use chronik_protocol::messages::{
    ApiVersionsResponse, BrokerId, Encodable, FetchResponse, InitProducerIdResponse,
    ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse, ProducerId,
    StrBytes, TopicName, decode_request, encode_response,
};
use chronik_protocol::produce::{ProducePartitionResponse, ProduceRequest, ProduceResponseWriter};
use chronik_protocol::{ApiKey, RequestHeader};

/// Why a request has no answer.
pub(crate) type Nonsense = Box<dyn std::error::Error>;

/// APIs that are answered, with the highest version that names topics.
const SERVED: [(ApiKey, i16, i16); 6] = [
    (ApiKey::Produce, 3, 12),
    (ApiKey::Fetch, 4, 12),
    (ApiKey::ListOffsets, 1, 7),
    (ApiKey::Metadata, 1, 9),
    (ApiKey::ApiVersions, 0, 3),
    (ApiKey::InitProducerId, 0, 4),
];
const THIS_BROKER: BrokerId = BrokerId(1);

/// One reply, and what has to be written before it leaves.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) batches: Vec<Bytes>,
    /// None for acks=0.
    pub(crate) frame: Option<Bytes>,
}

#[derive(Debug)]
pub(crate) struct Answers {
    port: u16,
    partitions: i32,
    next_offsets: BTreeMap<String, BTreeMap<PartitionIndex, i64>>,
    next_producer: i64,
}

impl Answers {
    pub(crate) const fn new(port: u16, partitions: i32) -> Self {
        Self {
            port,
            partitions,
            next_offsets: BTreeMap::new(),
            next_producer: 1,
        }
    }

    pub(crate) fn answer(&mut self, frame: &Bytes) -> Result<Answer, Nonsense> {
        let (header, body) = RequestHeader::decode(frame)?;
        let served = SERVED.iter().find(|(key, ..)| key.code() == header.api_key);
        let (key, ..) = served.ok_or("an API that producers do not need")?;
        if *key == ApiKey::Produce {
            return self.produce(&header, &body);
        }
        let frame = if *key == ApiKey::Metadata {
            let request = decode_request(&body, header.api_version)?;
            framed(&header, &self.metadata(&request))
        } else if *key == ApiKey::InitProducerId {
            let id = self.next_producer;
            self.next_producer += 1;
            framed(
                &header,
                &InitProducerIdResponse::default().with_producer_id(ProducerId(id)),
            )
        } else if *key == ApiKey::ListOffsets {
            let request = decode_request(&body, header.api_version)?;
            framed(&header, &self.offsets(&request))
        } else if *key == ApiKey::Fetch {
            framed(&header, &FetchResponse::default())
        } else {
            framed(&header, &versions())
        };
        Ok(Answer {
            batches: Vec::new(),
            frame: Some(frame?),
        })
    }

    fn produce(&mut self, header: &RequestHeader<'_>, body: &Bytes) -> Result<Answer, Nonsense> {
        let request = ProduceRequest::decode(body, header.api_version)?;
        let (version, topics) = (header.api_version, request.topics.clone());
        let mut frame = BytesMut::new();
        let (correlation_id, count) = (header.correlation_id, topics.len());
        let mut writer = ProduceResponseWriter::new(&mut frame, version, correlation_id, count);
        let mut batches = Vec::new();
        for topic in topics {
            let chronik_protocol::TopicRef::Name(name) = topic.topic else {
                return Err("a topic without name".into());
            };
            writer.topic(topic.topic, topic.partitions.len());
            for partition in topic.partitions {
                let records = partition.records.ok_or("no records")?;
                let count = i64::from(verify(&records)?.header().record_count());
                let base = self.next_offset(name, partition.index, count);
                batches.push(records);
                writer.partition(&ProducePartitionResponse {
                    base_offset: Offset(base),
                    log_start_offset: Offset(0),
                    ..ProducePartitionResponse::failed(partition.index, ErrorCode::None)
                });
            }
        }
        let frame = writer.finish(0, &[])?;
        Ok(Answer {
            batches,
            frame: (request.acks != 0).then_some(frame),
        })
    }

    fn next_offset(&mut self, topic: &str, index: PartitionIndex, count: i64) -> i64 {
        if !self.next_offsets.contains_key(topic) {
            self.next_offsets.insert(topic.to_owned(), BTreeMap::new());
        }
        let Some(partitions) = self.next_offsets.get_mut(topic) else {
            return 0;
        };
        let next = partitions.entry(index).or_default();
        *next += count;
        *next - count
    }

    /// The ends of all partitions that are asked for.
    fn offsets(&self, request: &ListOffsetsRequest) -> ListOffsetsResponse {
        let topics = request.topics.iter().map(|topic| {
            let known = self.next_offsets.get(topic.name.as_str());
            let partitions = topic.partitions.iter().map(|partition| {
                let index = PartitionIndex(partition.partition_index);
                let end = known.and_then(|offsets| offsets.get(&index)).copied();
                ListOffsetsPartitionResponse::default()
                    .with_partition_index(index.0)
                    .with_offset(end.unwrap_or(0))
            });
            ListOffsetsTopicResponse::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    }

    /// Every topic that is asked for exists.
    fn metadata(&self, request: &MetadataRequest) -> MetadataResponse {
        let asked = request.topics.iter().flatten();
        let topics = asked.filter_map(|topic| Some(self.topic(topic.name.clone()?)));
        let broker = MetadataResponseBroker::default()
            .with_node_id(THIS_BROKER)
            .with_host(StrBytes::from_static_str("127.0.0.1"))
            .with_port(i32::from(self.port));
        MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_controller_id(THIS_BROKER)
            .with_topics(topics.collect())
    }

    fn topic(&self, name: TopicName) -> MetadataResponseTopic {
        let partition = |index| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(THIS_BROKER)
                .with_replica_nodes(vec![THIS_BROKER])
                .with_isr_nodes(vec![THIS_BROKER])
        };
        MetadataResponseTopic::default()
            .with_name(Some(name))
            .with_topic_id(chronik_protocol::messages::uuid(TopicId::ZERO))
            .with_partitions((0..self.partitions).map(partition).collect())
    }
}

fn versions() -> ApiVersionsResponse {
    let served = SERVED.iter().map(|(key, min, max)| {
        ApiVersion::default()
            .with_api_key(key.code())
            .with_min_version(*min)
            .with_max_version(*max)
    });
    ApiVersionsResponse::default().with_api_keys(served.collect())
}

fn framed<T: Encodable>(header: &RequestHeader<'_>, message: &T) -> Result<Bytes, Nonsense> {
    let version = header.api_version;
    let header_version = response_header_version(header.api_key, version);
    Ok(encode_response(
        header_version,
        header.correlation_id,
        version,
        message,
    )?)
}
