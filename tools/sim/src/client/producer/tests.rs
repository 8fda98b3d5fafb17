use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use chronik_model::TopicId;
use chronik_model::batch::BatchHeader;
use chronik_model::rng::Rng;
use chronik_protocol::RequestHeader;
use chronik_protocol::header::response_header_version;
use chronik_protocol::messages::api_versions_response::ApiVersion;
use chronik_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use chronik_protocol::messages::produce_response::{
    PartitionProduceResponse, TopicProduceResponse,
};
use chronik_protocol::messages::{
    ApiVersionsResponse, Encodable, MetadataResponse, decode_request, encode_response,
};

use super::*;
use crate::actor::{ActorId, BrokerId, Link, LinkOp};
use crate::client::topics::Topics;

/// A producer, and a broker that answers everything but Produce by itself.
struct Bench {
    producer: Producer,
    topics: Topics,
    now: Mono,
    link: Option<Link>,
    facts: Vec<Fact>,
    /// Produce requests without answer.
    asked: VecDeque<(RequestId, ProduceRequest)>,
}

type RequestId = (i16, i32);

impl Bench {
    fn new(kind: Kind, seed: u64) -> Self {
        let mut dice = Dice::new(Rng::new(seed));
        let topics = Topics::draw(&mut dice, 4_096);
        let terms = Terms {
            id: ActorId(5),
            broker: BrokerId(0),
            topics: topics.clone(),
            budget: 100_000,
            until: Mono(200_000 * MS),
        };
        let mut producer = Producer::new(terms, kind, 0, dice);
        producer.manner.restless = 0;
        producer.manner.delivery_ns = 60_000 * MS;
        Self {
            producer,
            topics,
            now: Mono(0),
            link: None,
            facts: Vec::new(),
            asked: VecDeque::new(),
        }
    }

    fn step(&mut self, input: ActorInput) {
        let mut out = ActorOutputs::default();
        self.producer.step(self.now, input, &mut out);
        self.facts.append(&mut out.facts);
        for op in out.links {
            match op {
                LinkOp::Open(link, _) => {
                    self.link = Some(link);
                    self.step(ActorInput::Opened(link));
                }
                LinkOp::Send(link, frame) if Some(link) == self.link => self.serve(&frame),
                LinkOp::Send(..) | LinkOp::Close(_) => {}
            }
        }
    }

    fn serve(&mut self, frame: &Bytes) {
        let frame = frame.slice(4..);
        let (header, body) = RequestHeader::decode(&frame).unwrap();
        let (version, id) = (header.api_version, header.correlation_id);
        let key = ApiKey::from_i16(header.api_key);
        if key == Some(ApiKey::Metadata) {
            let response = self.metadata();
            self.reply(ApiKey::Metadata, (version, id), &response);
        } else if key == Some(ApiKey::InitProducerId) {
            let response = InitProducerIdResponse::default().with_producer_id(77.into());
            self.reply(ApiKey::InitProducerId, (version, id), &response);
        } else if key == Some(ApiKey::Produce) {
            let request = decode_request(&body, version).unwrap();
            self.asked.push_back(((version, id), request));
        } else if key == Some(ApiKey::ApiVersions) {
            let keys = chronik_node::api::served_versions().into_iter().map(|it| {
                ApiVersion::default()
                    .with_api_key(it.api_key.code())
                    .with_min_version(it.min_version)
                    .with_max_version(it.max_version)
            });
            let response = ApiVersionsResponse::default().with_api_keys(keys.collect());
            self.reply(ApiKey::ApiVersions, (version, id), &response);
        } else {
            panic!("{key:?}");
        }
    }

    fn metadata(&self) -> MetadataResponse {
        let topics = (1..).zip(self.topics.all()).map(|(number, plan)| {
            let part = |index| MetadataResponsePartition::default().with_partition_index(index);
            MetadataResponseTopic::default()
                .with_name(Some(messages::TopicName(messages::StrBytes::from_string(
                    plan.name.clone(),
                ))))
                .with_topic_id(messages::uuid(TopicId([number; 16])))
                .with_partitions((0..plan.partitions).map(part).collect())
        });
        MetadataResponse::default().with_topics(topics.collect())
    }

    fn reply<T: Encodable>(&mut self, key: ApiKey, (version, id): RequestId, response: &T) {
        let header = response_header_version(key.code(), version);
        let frame = encode_response(header, id, version, response).unwrap();
        let link = self.link.unwrap();
        self.step(ActorInput::Received(link, frame));
    }

    /// Answers the oldest Produce, every partition with this code.
    fn answer(&mut self, code: i16) {
        let (id, request) = self.asked.pop_front().unwrap();
        let topics = request.topic_data.iter().map(|topic| {
            let parts = topic.partition_data.iter().map(|part| {
                PartitionProduceResponse::default()
                    .with_index(part.index)
                    .with_error_code(code)
                    .with_base_offset(if code == 0 { 40 } else { -1 })
            });
            TopicProduceResponse::default()
                .with_name(topic.name.clone())
                .with_topic_id(topic.topic_id)
                .with_partition_responses(parts.collect())
        });
        let response = ProduceResponse::default().with_responses(topics.collect());
        self.reply(ApiKey::Produce, id, &response);
    }

    /// Lets time pass until there are so many requests without answer.
    fn until_asked(&mut self, count: usize) {
        for _ in 0..1_000 {
            if self.asked.len() >= count {
                return;
            }
            self.tick();
        }
        panic!("{} at {:?}", self.producer.state(), self.now);
    }

    fn tick(&mut self) {
        self.now = self.producer.deadline().unwrap().max(self.now);
        self.step(ActorInput::Tick);
    }

    fn ends(&self) -> Vec<(OpId, End<i64>)> {
        let mut ends = Vec::new();
        for fact in &self.facts {
            if let Fact::SendEnded { op, end } = fact {
                ends.push((*op, *end));
            }
        }
        ends
    }

    fn batches(request: &ProduceRequest) -> Vec<Bytes> {
        let parts = request.topic_data.iter().flat_map(|it| &it.partition_data);
        parts.filter_map(|part| part.records.clone()).collect()
    }
}

#[test]
fn a_batch_of_unknown_fate_is_sent_again_byte_for_byte() {
    for (seed, code) in (0..40).zip([7, 56, -1, 3, 6, 20].into_iter().cycle()) {
        let mut bench = Bench::new(Kind::Idempotent, seed);
        bench.producer.manner.most_in_flight = 1;
        bench.until_asked(1);
        let first = Bench::batches(&bench.asked[0].1);
        bench.answer(code);
        let sent = bench.ends();
        let mut again = Vec::new();
        // Other partitions may come first.
        for _ in 0..400 {
            bench.until_asked(1);
            again.extend(Bench::batches(&bench.asked[0].1));
            bench.answer(0);
        }
        assert!(!sent.is_empty());
        assert!(
            first.iter().all(|batch| again.contains(batch)),
            "seed {seed}"
        );
        let ends = bench.ends();
        let unknown = !matches!(code, 3 | 6);
        let refused = if unknown {
            End::Unknown
        } else {
            End::Refused(code)
        };
        for (op, end) in &sent {
            assert_eq!(*end, refused);
            assert!(ends.contains(&(*op, End::Done(40))));
        }
    }
}

#[test]
fn everything_in_flight_is_sent_again_in_order_after_the_link_broke() {
    for seed in 0..40 {
        let mut bench = Bench::new(Kind::Idempotent, seed);
        bench.producer.manner.most_in_flight = 5;
        bench.producer.manner.most_parts = 1;
        bench.until_asked(4);
        let sequences = |bench: &Bench| {
            let mut by_partition: BTreeMap<_, Vec<Bytes>> = BTreeMap::new();
            for (_, request) in &bench.asked {
                let topic = &request.topic_data[0];
                let index = topic.partition_data[0].index;
                let place = (topic.name.to_string(), *topic.topic_id.as_bytes(), index);
                let batches = by_partition.entry(place).or_default();
                batches.extend(Bench::batches(request));
            }
            by_partition
        };
        let before = sequences(&bench);
        bench.asked.clear();
        bench.step(ActorInput::Lost(bench.link.unwrap()));
        assert!(bench.ends().iter().all(|(_, end)| *end == End::Unknown));
        bench.producer.manner.most_in_flight = 9;
        for _ in 0..50 {
            bench.tick();
        }
        let again = sequences(&bench);
        for (place, batches) in before {
            assert!(again[&place].starts_with(&batches), "seed {seed}");
        }
    }
}

#[test]
fn a_producer_out_of_sequence_begins_anew() {
    let mut bench = Bench::new(Kind::Idempotent, 3);
    bench.producer.manner.most_in_flight = 1;
    bench.until_asked(1);
    bench.answer(45);
    assert!(!bench.producer.has_pending());
    assert!(matches!(bench.ends()[0].1, End::Refused(45)));
    bench.until_asked(1);
    for batch in Bench::batches(&bench.asked[0].1) {
        assert_eq!(BatchHeader::parse(&batch).unwrap().base_sequence(), 0);
    }
}

#[test]
fn without_acknowledgement_every_end_is_unknown() {
    let mut bench = Bench::new(Kind::FireAndForget, 9);
    bench.until_asked(3);
    assert!(bench.asked.iter().all(|(_, request)| request.acks == 0));
    assert!(bench.ends().iter().all(|(_, end)| *end == End::Unknown));
    bench.step(ActorInput::WindDown);
    assert!(bench.producer.is_done());
}

#[test]
fn a_producer_ends_when_all_it_sent_is_decided() {
    let mut bench = Bench::new(Kind::Plain { acks: -1 }, 4);
    bench.until_asked(1);
    bench.step(ActorInput::WindDown);
    assert!(!bench.producer.is_done());
    while !bench.asked.is_empty() {
        bench.answer(0);
    }
    assert!(bench.producer.is_done());
}
