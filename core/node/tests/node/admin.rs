//! Requests of administrators and consumers, as short as the tests want them.

use chronik_model::{ErrorCode, TopicId};
use chronik_protocol::ApiKey;
use chronik_protocol::messages::{
    self, BrokerId, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest,
    CreateTopicsResponse, DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, FetchRequest, FetchResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, InitProducerIdRequest, InitProducerIdResponse,
    ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse, ProducerId,
    StrBytes,
    create_partitions_request::CreatePartitionsTopic,
    create_topics_request::{CreatableTopic, CreatableTopicConfig},
    delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic},
    delete_topics_request::DeleteTopicState,
    fetch_request::{FetchPartition, FetchTopic},
    incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig},
    list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
};

use crate::harness::Sim;
use crate::harness::client::{About, Call, Topic, fetched, name};
use crate::harness::ledger::Seen;

/// How a fetch waits and how much it takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    pub(crate) max_ms: i32,
    pub(crate) min_bytes: i32,
    pub(crate) max_bytes: i32,
}

impl Wait {
    pub(crate) const NONE: Self = Self {
        max_ms: 0,
        min_bytes: 0,
        max_bytes: 1 << 20,
    };
}

/// One partition and the offset to read from.
pub(crate) type From = (Topic, i32, i64);

/// A session that a fetch belongs to: id and epoch.
pub(crate) type Session = (i32, i32);

/// No session.
pub(crate) const NO_SESSION: Session = (0, -1);

/// The version that names topics by id.
const FETCH_VERSION: i16 = 17;

pub(crate) fn create_request(
    topic: &'static str,
    partitions: i32,
    configs: &[(&'static str, &'static str)],
) -> CreateTopicsRequest {
    let config = |(key, value): &(&'static str, &'static str)| {
        let mut config = CreatableTopicConfig::default();
        config.name = StrBytes::from_static_str(key);
        config.value = Some(StrBytes::from_static_str(value));
        config
    };
    let mut creatable = CreatableTopic::default();
    creatable.name = name(topic);
    creatable.num_partitions = partitions;
    creatable.replication_factor = 1;
    creatable.configs = configs.iter().map(config).collect();
    let mut request = CreateTopicsRequest::default();
    request.topics = vec![creatable];
    request.timeout_ms = 10_000;
    request
}

impl Sim {
    pub(crate) fn send_create(
        &mut self,
        connection: usize,
        topic: &'static str,
        partitions: i32,
        configs: &[(&'static str, &'static str)],
    ) -> Call {
        let request = create_request(topic, partitions, configs);
        self.send(connection, ApiKey::CreateTopics, 7, &request)
    }

    pub(crate) fn created(&mut self, call: Call, topic: &'static str) -> Topic {
        let response: CreateTopicsResponse = self.wait(call);
        assert_eq!(response.topics[0].error_code, 0, "{response:?}");
        Topic {
            name: topic,
            id: messages::topic_id(response.topics[0].topic_id),
        }
    }

    pub(crate) fn create(
        &mut self,
        connection: usize,
        topic: &'static str,
        partitions: i32,
        configs: &[(&'static str, &'static str)],
    ) -> Topic {
        let call = self.send_create(connection, topic, partitions, configs);
        self.created(call, topic)
    }

    pub(crate) fn delete(&mut self, connection: usize, topic: Topic) -> i16 {
        let mut state = DeleteTopicState::default();
        state.name = Some(name(topic.name));
        let mut request = DeleteTopicsRequest::default();
        request.topics = vec![state];
        request.timeout_ms = 10_000;
        let response: DeleteTopicsResponse =
            self.call(connection, ApiKey::DeleteTopics, 6, &request);
        response.responses[0].error_code
    }

    pub(crate) fn grow(&mut self, connection: usize, topic: Topic, count: i32) -> i16 {
        let mut growing = CreatePartitionsTopic::default();
        growing.name = name(topic.name);
        growing.count = count;
        growing.assignments = None;
        let mut request = CreatePartitionsRequest::default();
        request.topics = vec![growing];
        request.timeout_ms = 10_000;
        let response: CreatePartitionsResponse =
            self.call(connection, ApiKey::CreatePartitions, 3, &request);
        response.results[0].error_code
    }

    pub(crate) fn configure(
        &mut self,
        connection: usize,
        topic: Topic,
        key: &'static str,
        value: &'static str,
    ) {
        let error = self.try_configure(connection, topic, key, value);
        assert_eq!(error, 0, "{key}={value}");
    }

    pub(crate) fn try_configure(
        &mut self,
        connection: usize,
        topic: Topic,
        key: &'static str,
        value: &'static str,
    ) -> i16 {
        const TOPIC: i8 = 2;
        let mut config = AlterableConfig::default();
        config.name = StrBytes::from_static_str(key);
        config.value = Some(StrBytes::from_static_str(value));
        let mut resource = AlterConfigsResource::default();
        resource.resource_type = TOPIC;
        resource.resource_name = StrBytes::from_static_str(topic.name);
        resource.configs = vec![config];
        let mut request = IncrementalAlterConfigsRequest::default();
        request.resources = vec![resource];
        let response: IncrementalAlterConfigsResponse =
            self.call(connection, ApiKey::IncrementalAlterConfigs, 1, &request);
        response.responses[0].error_code
    }

    pub(crate) fn producer_id(&mut self, connection: usize) -> i64 {
        let mut request = InitProducerIdRequest::default();
        request.transactional_id = None;
        request.producer_id = ProducerId(-1);
        request.producer_epoch = -1;
        let response: InitProducerIdResponse =
            self.call(connection, ApiKey::InitProducerId, 4, &request);
        assert_eq!(response.error_code, 0);
        response.producer_id.0
    }

    pub(crate) fn send_delete_records(
        &mut self,
        connection: usize,
        topic: Topic,
        index: i32,
        before: i64,
    ) -> Call {
        let mut part = DeleteRecordsPartition::default();
        part.partition_index = index;
        part.offset = before;
        let mut deleting = DeleteRecordsTopic::default();
        deleting.name = name(topic.name);
        deleting.partitions = vec![part];
        let mut request = DeleteRecordsRequest::default();
        request.topics = vec![deleting];
        request.timeout_ms = 10_000;
        self.send(connection, ApiKey::DeleteRecords, 2, &request)
    }

    /// Error and new log start.
    pub(crate) fn delete_records(
        &mut self,
        connection: usize,
        topic: Topic,
        index: i32,
        before: i64,
    ) -> (i16, i64) {
        let call = self.send_delete_records(connection, topic, index, before);
        let response: DeleteRecordsResponse = self.wait(call);
        let part = &response.topics[0].partitions[0];
        (part.error_code, part.low_watermark)
    }

    /// Error and offset.
    pub(crate) fn list_offset(
        &mut self,
        connection: usize,
        topic: Topic,
        index: i32,
        timestamp: i64,
    ) -> (i16, i64) {
        let mut part = ListOffsetsPartition::default();
        part.partition_index = index;
        part.timestamp = timestamp;
        part.current_leader_epoch = -1;
        let mut listed = ListOffsetsTopic::default();
        listed.name = name(topic.name);
        listed.partitions = vec![part];
        let mut request = ListOffsetsRequest::default();
        request.replica_id = BrokerId(-1);
        request.topics = vec![listed];
        let response: ListOffsetsResponse = self.call(connection, ApiKey::ListOffsets, 7, &request);
        let part = &response.topics[0].partitions[0];
        (part.error_code, part.offset)
    }

    /// Leader epochs by topic, of all topics.
    pub(crate) fn metadata(&mut self, connection: usize) -> Vec<(String, TopicId, Vec<i32>)> {
        let mut request = MetadataRequest::default();
        request.topics = None;
        let response: MetadataResponse = self.call(connection, ApiKey::Metadata, 12, &request);
        let row = |topic: &messages::metadata_response::MetadataResponseTopic| {
            let name = topic
                .name
                .as_ref()
                .map(|name| name.0.to_string())
                .unwrap_or_default();
            let epochs = topic
                .partitions
                .iter()
                .map(|part| part.leader_epoch)
                .collect();
            (name, messages::topic_id(topic.topic_id), epochs)
        };
        response.topics.iter().map(row).collect()
    }

    pub(crate) fn send_fetch(
        &mut self,
        connection: usize,
        from: &[From],
        wait: Wait,
        session: Session,
    ) -> Call {
        let request = fetch_request(from, wait, session);
        let topics = from.iter().map(|(topic, _, _)| *topic).collect();
        let key = (ApiKey::Fetch, FETCH_VERSION);
        self.send_about(connection, key, &request, About::Fetch(topics))
    }

    pub(crate) fn fetch(
        &mut self,
        connection: usize,
        from: &[From],
        wait: Wait,
        session: Session,
    ) -> FetchResponse {
        let call = self.send_fetch(connection, from, wait, session);
        self.wait(call)
    }

    /// Reads a partition from its start to its high watermark, in pieces, and checks it.
    pub(crate) fn read_whole(&mut self, connection: usize, topic: Topic, index: i32) -> Vec<Seen> {
        let (error, start) = self.list_offset(connection, topic, index, -2);
        assert_eq!(error, 0);
        let mut next = start;
        let mut all: Vec<Seen> = Vec::new();
        loop {
            let max_bytes = i32::try_from(1 + self.rng.below(2000)).unwrap();
            let wait = Wait {
                max_bytes,
                ..Wait::NONE
            };
            let response = self.fetch(connection, &[(topic, index, next)], wait, NO_SESSION);
            let part = &response.responses[0].partitions[0];
            assert_eq!(part.error_code, ErrorCode::None.code());
            let (_, high_watermark, records) = fetched(&response, &[topic]).remove(0);
            let fresh = records.into_iter().filter(|seen| seen.offset >= next);
            all.extend(fresh);
            if next >= high_watermark {
                break;
            }
            let last = all.last().map_or(start, |seen| seen.offset + 1);
            assert!(last > next, "no progress at {next} below {high_watermark}");
            next = last;
        }
        self.ledger.check_whole((topic.id, index), start, &all);
        all
    }
}

fn fetch_request(from: &[From], wait: Wait, session: Session) -> FetchRequest {
    let mut topics: Vec<FetchTopic> = Vec::new();
    for (topic, index, offset) in from {
        let mut part = FetchPartition::default();
        part.partition = *index;
        part.fetch_offset = *offset;
        part.current_leader_epoch = -1;
        part.partition_max_bytes = wait.max_bytes;
        let known = topics
            .iter_mut()
            .find(|it| messages::topic_id(it.topic_id) == topic.id);
        if let Some(known) = known {
            known.partitions.push(part);
            continue;
        }
        let mut named = FetchTopic::default();
        named.topic_id = messages::uuid(topic.id);
        named.partitions = vec![part];
        topics.push(named);
    }
    let mut request = FetchRequest::default();
    request.max_wait_ms = wait.max_ms;
    request.min_bytes = wait.min_bytes;
    request.max_bytes = wait.max_bytes;
    (request.session_id, request.session_epoch) = session;
    request.topics = topics;
    request
}
