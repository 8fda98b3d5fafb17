//! Clients: they speak the wire format, pipeline, and check every reply as it comes.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use chronik_model::batch::{BatchBuilder, BatchSpec, ProducerState};
use chronik_model::{ErrorCode, Now, ProducerEpoch, ProducerId, TopicId};
use chronik_node::{CloseReason, ConnectionId, FrontendInput, Peer, Pieces};
use chronik_protocol::messages::{
    self, Decodable, Encodable, FetchResponse, ProduceRequest, ProduceResponse, StrBytes,
    TopicName,
    produce_request::{PartitionProduceData, TopicProduceData},
};
use chronik_protocol::{ApiKey, RequestHeader};

use super::Sim;
use super::ledger::{Ledger, Place, Seen, read};

/// A request that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) connection: usize,
    pub(crate) correlation_id: i32,
    key: ApiKey,
    version: i16,
}

/// What a request brings along for the ledger.
#[derive(Debug, Clone)]
pub(crate) enum About {
    Nothing,
    /// The values sent to each partition, in the request's order.
    Produce(Vec<(Place, Vec<String>)>),
    /// Topics that the reply may name.
    Fetch(Vec<Topic>),
}

#[derive(Debug)]
struct Expected {
    call: Call,
    about: About,
}

/// A reply and when it came.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) frame: Bytes,
    pub(crate) at: Now,
}

/// One life of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) name: &'static str,
    pub(crate) id: TopicId,
}

/// The client's side of a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) frontend: u16,
    pub(crate) id: ConnectionId,
    /// Frames on their way, with the views that were published before they were sent.
    outgoing: VecDeque<(u64, Bytes)>,
    /// Requests without reply, in order.
    expected: VecDeque<Expected>,
    replies: BTreeMap<i32, Reply>,
    next_correlation_id: i32,
    pub(crate) paused: bool,
    /// Why the broker closed it.
    pub(crate) closed: Option<CloseReason>,
    lost: bool,
}

impl Connection {
    pub(crate) const fn is_open(&self) -> bool {
        !self.lost
    }

    /// The connection is gone, with all that was under way.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
        self.outgoing.clear();
        self.expected.clear();
    }

    pub(crate) fn can_deliver(&self, views_taken: u64) -> bool {
        let front = self.outgoing.front();
        !self.lost && !self.paused && front.is_some_and(|(views, _)| *views <= views_taken)
    }

    pub(crate) fn take_frame(&mut self) -> Bytes {
        self.outgoing
            .pop_front()
            .expect("only asked for where there is one")
            .1
    }

    /// Requests that were not answered yet.
    pub(crate) fn unanswered(&self) -> usize {
        self.expected.len()
    }

    /// Takes a reply: it must be that of the oldest request without one.
    pub(crate) fn receive(&mut self, frame: Bytes, now: Now, ledger: &mut Ledger) {
        let expected = self
            .expected
            .pop_front()
            .expect("a reply that nobody asked for");
        let Call {
            correlation_id,
            key,
            version,
            ..
        } = expected.call;
        assert_eq!(
            frame[..4],
            correlation_id.to_be_bytes(),
            "replies out of order"
        );
        match expected.about {
            About::Nothing => {}
            About::Produce(parts) => {
                let response: ProduceResponse = decode(&frame, key, version);
                note_produced(&response, &parts, ledger);
            }
            About::Fetch(topics) => {
                let response: FetchResponse = decode(&frame, key, version);
                for (place, high_watermark, records) in fetched(&response, &topics) {
                    ledger.observe(place, high_watermark, &records);
                }
            }
        }
        self.replies
            .insert(correlation_id, Reply { frame, at: now });
    }
}

fn note_produced(response: &ProduceResponse, parts: &[(Place, Vec<String>)], ledger: &mut Ledger) {
    let answers: Vec<_> = response
        .responses
        .iter()
        .flat_map(|it| &it.partition_responses)
        .collect();
    assert_eq!(answers.len(), parts.len(), "not one answer per partition");
    for (answer, (place, values)) in answers.into_iter().zip(parts) {
        assert_eq!(answer.index, place.1);
        if answer.error_code == ErrorCode::None.code() {
            ledger.acknowledge(*place, answer.base_offset, values);
        }
    }
}

/// What a Fetch reply says of each partition: place, high watermark, records.
pub(crate) fn fetched(response: &FetchResponse, topics: &[Topic]) -> Vec<(Place, i64, Vec<Seen>)> {
    let mut found = Vec::new();
    for topic in &response.responses {
        let named = messages::topic_id(topic.topic_id);
        let known = topics
            .iter()
            .find(|it| it.id == named || *it.name == *topic.topic.0);
        let id = known.map_or(named, |topic| topic.id);
        for part in topic.partitions.iter().filter(|part| part.error_code == 0) {
            let records = read(part.records.as_deref().unwrap_or_default());
            found.push(((id, part.partition_index), part.high_watermark, records));
        }
    }
    found
}

/// Everything that is sent in one go, without the length prefix.
pub(crate) fn joined(pieces: Pieces) -> Bytes {
    let frame = pieces.joined().unwrap();
    let size = i32::from_be_bytes(frame[..4].try_into().unwrap());
    assert_eq!(
        usize::try_from(size).unwrap(),
        frame.len() - 4,
        "the length prefix is wrong"
    );
    frame.slice(4..)
}

fn decode<A: Decodable>(frame: &Bytes, key: ApiKey, version: i16) -> A {
    messages::decode_response(frame, key.code(), version)
        .unwrap()
        .1
}

impl Sim {
    /// Opens a connection to a frontend.
    pub(crate) fn connect(&mut self, frontend: u16) -> usize {
        let index = self.connections.len();
        let id = ConnectionId {
            index: u32::try_from(index).unwrap(),
            generation: 0,
        };
        self.connections.push(Connection {
            frontend,
            id,
            outgoing: VecDeque::new(),
            expected: VecDeque::new(),
            replies: BTreeMap::new(),
            next_correlation_id: 100,
            paused: false,
            closed: None,
            lost: false,
        });
        self.step_frontend(frontend, FrontendInput::Connected(id, peer()));
        index
    }

    /// The client hangs up.
    pub(crate) fn hang_up(&mut self, connection: usize) {
        let (frontend, id) = (
            self.connections[connection].frontend,
            self.connections[connection].id,
        );
        self.connections[connection].lose();
        self.step_frontend(frontend, FrontendInput::Closed(id));
    }

    /// Sends a request that will be answered.
    pub(crate) fn send<Q: Encodable>(
        &mut self,
        connection: usize,
        key: ApiKey,
        version: i16,
        request: &Q,
    ) -> Call {
        self.send_about(connection, (key, version), request, About::Nothing)
    }

    pub(crate) fn send_about<Q: Encodable>(
        &mut self,
        connection: usize,
        (key, version): (ApiKey, i16),
        request: &Q,
        about: About,
    ) -> Call {
        let correlation_id = self.post(connection, (key, version), request);
        let call = Call {
            connection,
            correlation_id,
            key,
            version,
        };
        self.connections[connection]
            .expected
            .push_back(Expected { call, about });
        call
    }

    /// Sends a request that will not be answered, or whose answer is announced otherwise.
    pub(crate) fn post<Q: Encodable>(
        &mut self,
        index: usize,
        (key, version): (ApiKey, i16),
        request: &Q,
    ) -> i32 {
        let views = self.node.views_sent;
        let connection = &mut self.connections[index];
        assert!(connection.is_open(), "sends over a connection that is gone");
        let correlation_id = connection.next_correlation_id;
        connection.next_correlation_id += 1;
        let header = RequestHeader {
            api_key: key.code(),
            api_version: version,
            correlation_id,
            client_id: Some("sim"),
        };
        let frame = messages::encode_request(&header, request).unwrap();
        connection.outgoing.push_back((views, frame.slice(4..)));
        correlation_id
    }

    /// The reply to a request, if it is there.
    pub(crate) fn reply<A: Decodable>(&self, call: Call) -> Option<A> {
        let reply = self.connections[call.connection]
            .replies
            .get(&call.correlation_id)?;
        Some(decode(&reply.frame, call.key, call.version))
    }

    pub(crate) fn answered(&self, call: Call) -> bool {
        self.connections[call.connection]
            .replies
            .contains_key(&call.correlation_id)
    }

    /// When the reply came.
    pub(crate) fn replied_at(&self, call: Call) -> Now {
        self.connections[call.connection].replies[&call.correlation_id].at
    }

    /// Lets things happen until the reply is there.
    pub(crate) fn wait<A: Decodable>(&mut self, call: Call) -> A {
        let answered = self.run_until(|sim| sim.answered(call));
        assert!(answered, "{call:?} is never answered");
        self.reply(call).unwrap()
    }

    pub(crate) fn call<Q: Encodable, A: Decodable>(
        &mut self,
        connection: usize,
        key: ApiKey,
        version: i16,
        request: &Q,
    ) -> A {
        let call = self.send(connection, key, version, request);
        self.wait(call)
    }

    /// Checks that no request of an open connection is left without reply.
    pub(crate) fn check_all_answered(&self) {
        for connection in self
            .connections
            .iter()
            .filter(|connection| connection.is_open())
        {
            assert_eq!(connection.unanswered(), 0, "requests without reply");
        }
    }

    /// Sends one batch for each partition. A topic without id is named.
    pub(crate) fn produce(
        &mut self,
        connection: usize,
        topic: Topic,
        acks: i16,
        parts: &[(i32, Batch)],
    ) -> Option<Call> {
        let request = produce_request(topic, acks, parts);
        let version = if topic.id == TopicId::ZERO {
            BY_NAME
        } else {
            BY_ID
        };
        let key = (ApiKey::Produce, version);
        if acks == 0 {
            self.post(connection, key, &request);
            return None;
        }
        let values = parts
            .iter()
            .map(|(index, batch)| ((topic.id, *index), batch.values.clone()));
        let about = About::Produce(values.collect());
        Some(self.send_about(connection, key, &request, about))
    }
}

/// The last version of Produce that names topics.
const BY_NAME: i16 = 12;
/// The first version of Produce that has topic ids.
const BY_ID: i16 = 13;

/// A batch, and the values in it.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) values: Vec<String>,
    pub(crate) bytes: Bytes,
}

/// A batch of records with these values.
pub(crate) fn batch(values: &[String], timestamp: i64, producer: Option<(i64, i32)>) -> Batch {
    let producer = producer.map(|(id, base_sequence)| ProducerState {
        id: ProducerId(id),
        epoch: ProducerEpoch(0),
        base_sequence,
    });
    let mut builder = BatchBuilder::new(BatchSpec {
        producer,
        ..BatchSpec::default()
    });
    for value in values {
        builder
            .append(timestamp, None, Some(value.as_bytes()), &[])
            .unwrap();
    }
    Batch {
        values: values.to_vec(),
        bytes: builder.finish().unwrap().into(),
    }
}

fn produce_request(topic: Topic, acks: i16, parts: &[(i32, Batch)]) -> ProduceRequest {
    let part = |(index, batch): &(i32, Batch)| {
        let mut data = PartitionProduceData::default();
        data.index = *index;
        data.records = Some(batch.bytes.clone());
        data
    };
    let mut data = TopicProduceData::default();
    if topic.id == TopicId::ZERO {
        data.name = name(topic.name);
    } else {
        data.topic_id = messages::uuid(topic.id);
    }
    data.partition_data = parts.iter().map(part).collect();
    let mut request = ProduceRequest::default();
    request.acks = acks;
    request.timeout_ms = 30_000;
    request.topic_data = vec![data];
    request
}

pub(crate) fn name(name: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(name))
}

/// Errors of a Produce reply, in the request's order.
pub(crate) fn produce_errors(response: &ProduceResponse) -> Vec<i16> {
    let parts = response
        .responses
        .iter()
        .flat_map(|topic| &topic.partition_responses);
    parts.map(|part| part.error_code).collect()
}

fn peer() -> Peer {
    Peer {
        listener: 0,
        host: "127.0.0.1".into(),
    }
}
