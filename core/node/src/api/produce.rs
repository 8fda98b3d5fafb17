//! Produce (key 0), versions 0 to 13.
//!
//! Versions 0 to 2 are advertised because older librdkafka looks for them before it compresses, and
//! refused, as they carry message formats before record batches v2. Each partition brings exactly one
//! batch, which is checked here, before it reaches the shard that owns the partition; the reply
//! leaves when every partition's batch is as safe as its topic asks for. `acks=0` is answered by
//! nothing, and a failure by closing the connection. Batches are stored as the producer made them
//! unless `compression.type` names another codec. Transactions are refused.
//!
//! KIP-98 (idempotence), KIP-110 (zstd from v7), KIP-467 (record errors, v8), KIP-516 (topic ids,
//! v13), KIP-951 (leader hints, v10; a lone broker has none to give).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use chronik_controller::TopicImage;
use chronik_model::batch::{
    BatchError, BatchHeader, ProduceRules, TimestampRule, check_records, recompress,
    validate_produced,
};
use chronik_model::compression::{Codec, DecompressLimits, Decompressor};
use chronik_model::config::{TimestampType, TopicCompression, TopicConfig};
use chronik_model::{ErrorCode, Mono, Now, PartitionIndex, TopicId, TopicPartition};
use chronik_protocol::TopicRef;
use chronik_protocol::produce::{
    ProducePartition, ProducePartitionResponse, ProduceRequest, ProduceResponseWriter, RecordError,
};

use super::{Context, HandlerError, Outcome, Request};
use crate::frontend::{CloseReason, Frontend, FrontendOutput, Observation, Slot};
use crate::messages::{ConnectionId, Pieces, ProducePart, Produced, ShardId, ShardRequest, Ticket};

/// The first version that carries record batches v2.
const FIRST_BATCH_VERSION: i16 = 3;

/// Produce is woven into the frontend.
pub(super) fn hot(_context: &Context<'_>, _request: &Request<'_>) -> Result<Outcome, HandlerError> {
    Ok(Outcome::Hot)
}

/// A Produce request in flight.
#[derive(Debug)]
pub(crate) struct ProduceSlot {
    version: i16,
    correlation_id: i32,
    waiting: u32,
    parts: Parts,
    arrival: Arrival,
}

impl ProduceSlot {
    /// When the client gives up, by the request's `timeout_ms`.
    pub(crate) const fn deadline(&self) -> Mono {
        self.arrival.deadline
    }
}

/// What a request brought, for metrics and for its timeout.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    at: Mono,
    deadline: Mono,
    acks: i16,
    batches: u32,
    records: u64,
    bytes: u64,
}

impl Arrival {
    fn of(now: Now, produce: &ProduceRequest<'_>, accepted: &[ProducePart]) -> Self {
        let records = |part: &ProducePart| u64::from(part.header.record_count().unsigned_abs());
        Self {
            at: now.mono,
            deadline: now.mono.plus_ms(i64::from(produce.timeout_ms)),
            acks: produce.acks,
            batches: u32::try_from(accepted.len()).unwrap_or(u32::MAX),
            records: accepted.iter().map(records).sum(),
            bytes: accepted.iter().map(|part| part.batch.len() as u64).sum(),
        }
    }

    fn done(&self, now: Now) -> Observation {
        let Self {
            at,
            acks,
            records,
            bytes,
            ..
        } = *self;
        Observation::Produced {
            acks,
            records,
            bytes,
            took: now.mono.since(at),
        }
    }
}

/// One partition is what most requests have, and needs no allocation.
#[derive(Debug)]
enum Parts {
    One(Part),
    Many(Vec<Part>),
}

#[derive(Debug)]
struct Part {
    topic: TopicLabel,
    /// Which topic of the request this is; equal for neighbours of one topic.
    topic_number: u32,
    index: PartitionIndex,
    result: PartResult,
}

/// A topic as the reply must name it.
#[derive(Debug, Clone)]
enum TopicLabel {
    Known(Arc<TopicImage>),
    Name(Arc<str>),
    Id(TopicId),
}

#[derive(Debug)]
enum PartResult {
    Waiting,
    Done(Produced),
    Failed(ErrorCode),
    Refused(Box<BatchError>),
}

impl Parts {
    fn as_mut_slice(&mut self) -> &mut [Part] {
        match self {
            Self::One(part) => std::slice::from_mut(part),
            Self::Many(parts) => parts,
        }
    }

    fn as_slice(&self) -> &[Part] {
        match self {
            Self::One(part) => std::slice::from_ref(part),
            Self::Many(parts) => parts,
        }
    }
}

/// Memory of one request that the next one uses again.
#[derive(Debug)]
pub(crate) struct ProduceBuffers {
    parts: Vec<Part>,
    /// Batches that may be appended.
    accepted: Vec<ProducePart>,
    /// Where responses are written, one behind the other.
    responses: BytesMut,
}

impl ProduceBuffers {
    /// Partitions of one request that memory is kept for.
    const KEPT_PARTITIONS: usize = 16;
    /// Responses that share memory. It is let go with the last of them, so that few should.
    const RESPONSES_BYTES: usize = 4 << 10;

    /// Keeps these for the next request.
    fn put_back(&mut self, mut parts: Vec<Part>, mut accepted: Vec<ProducePart>) {
        parts.shrink_to(Self::KEPT_PARTITIONS);
        accepted.shrink_to(Self::KEPT_PARTITIONS);
        (self.parts, self.accepted) = (parts, accepted);
    }
}

impl Default for ProduceBuffers {
    fn default() -> Self {
        Self {
            parts: Vec::new(),
            accepted: Vec::new(),
            responses: BytesMut::with_capacity(Self::RESPONSES_BYTES),
        }
    }
}

impl Frontend {
    /// Checks every partition's batch and hands them to the shards.
    pub(crate) fn produce(
        &mut self,
        now: Now,
        id: ConnectionId,
        request: &Request<'_>,
        out: &mut Vec<FrontendOutput>,
    ) -> Result<Result<(), HandlerError>, CloseReason> {
        let produce = match ProduceRequest::decode(request.body, request.version) {
            Ok(produce) => produce,
            Err(error) => return Ok(Err(error.into())),
        };
        let (mut parts, mut accepted) = self.check(now, request.version, &produce);
        let first_failure = parts.iter().find_map(|part| part.result.error());
        let acked = produce.acks != 0;
        if let Some(error) = first_failure.filter(|_| !acked) {
            return Err(CloseReason::UnacknowledgedFailure(error));
        }
        let ticket = if acked {
            let arrival = Arrival::of(now, &produce, &accepted);
            self.take_produce_slot(id, request, &mut parts, arrival)
        } else {
            self.observe(Arrival::of(now, &produce, &accepted).done(now));
            parts.clear();
            None
        };
        let shard_count = self.config().shard_count;
        out.extend(accepted.drain(..).map(|part| {
            let shard = ShardId::of(part.partition, shard_count);
            let part = ProducePart { ticket, ..part };
            FrontendOutput::Shard(shard, ShardRequest::Produce(part))
        }));
        self.produce_buffers().put_back(parts, accepted);
        if let Some(ticket) = ticket {
            self.finish_produce(now, ticket, out);
            self.watch_produce(ticket);
        }
        Ok(Ok(()))
    }

    fn take_produce_slot(
        &mut self,
        id: ConnectionId,
        request: &Request<'_>,
        parts: &mut Vec<Part>,
        arrival: Arrival,
    ) -> Option<Ticket> {
        let parts = match parts.pop() {
            Some(part) if parts.is_empty() => Parts::One(part),
            Some(part) => {
                parts.push(part);
                Parts::Many(std::mem::take(parts))
            }
            None => Parts::Many(Vec::new()),
        };
        let slot = ProduceSlot {
            version: request.version,
            correlation_id: request.correlation_id,
            waiting: arrival.batches,
            parts,
            arrival,
        };
        self.push(id, Slot::Produce(slot))
    }

    fn check(
        &mut self,
        now: Now,
        version: i16,
        produce: &ProduceRequest<'_>,
    ) -> (Vec<Part>, Vec<ProducePart>) {
        let buffers = self.produce_buffers();
        let mut parts = std::mem::take(&mut buffers.parts);
        let mut accepted = std::mem::take(&mut buffers.accepted);
        let refused = refuse_whole(version, produce);
        for (topic_number, topic) in (0..).zip(produce.topics.clone()) {
            let known = self.find_topic(topic.topic);
            let label = match (&known, topic.topic) {
                (Some(known), _) => TopicLabel::Known(Arc::clone(known)),
                (None, TopicRef::Name(name)) => TopicLabel::Name(name.into()),
                (None, TopicRef::Id(id)) => TopicLabel::Id(id),
            };
            let config = known
                .as_ref()
                .map(|known| self.view().topic_config(known.id));
            // Only coordinators write what coordinators read.
            let internal = known.as_ref().is_some_and(|known| known.name.is_internal());
            let refused = refused.or_else(|| internal.then_some(ErrorCode::InvalidTopicException));
            for partition in topic.partitions {
                let index = partition.index;
                let checked = match (&refused, &known, &config) {
                    (Some(error), _, _) => Err(PartResult::Failed(*error)),
                    (None, Some(known), Some(config)) => {
                        self.check_partition((now, version), known, config, partition)
                    }
                    (None, _, _) => Err(PartResult::Failed(match topic.topic {
                        TopicRef::Name(_) => ErrorCode::UnknownTopicOrPartition,
                        TopicRef::Id(_) => ErrorCode::UnknownTopicId,
                    })),
                };
                let result = match checked {
                    Ok(batch) => {
                        let part = u32::try_from(parts.len()).unwrap_or(u32::MAX);
                        accepted.push(ProducePart { part, ..batch });
                        PartResult::Waiting
                    }
                    Err(result) => result,
                };
                parts.push(Part {
                    topic: label.clone(),
                    topic_number,
                    index,
                    result,
                });
            }
        }
        (parts, accepted)
    }

    fn find_topic(&self, topic: TopicRef<'_>) -> Option<Arc<TopicImage>> {
        let image = &self.view().image;
        let found = match topic {
            TopicRef::Name(name) => image.topic_by_name(name),
            TopicRef::Id(id) => image.topic(id),
        };
        found.cloned()
    }

    fn check_partition(
        &mut self,
        (now, version): (Now, i16),
        topic: &TopicImage,
        config: &TopicConfig,
        partition: ProducePartition,
    ) -> Result<ProducePart, PartResult> {
        if topic.partition(partition.index).is_none() {
            return Err(PartResult::Failed(ErrorCode::UnknownTopicOrPartition));
        }
        if !self.view().leads(topic, partition.index) {
            return Err(PartResult::Failed(ErrorCode::NotLeaderOrFollower));
        }
        let rules = rules(config, now, version);
        let records = partition.records.unwrap_or_default();
        let refused = |error| PartResult::Refused(Box::new(error));
        let (batch, header) =
            check_batch(records, &rules, config, self.scratch()).map_err(refused)?;
        Ok(ProducePart {
            ticket: None,
            part: 0,
            partition: TopicPartition {
                topic_id: topic.id,
                partition: partition.index,
            },
            batch,
            header,
            append_time: config.message_timestamp_type == TimestampType::LogAppendTime,
        })
    }

    /// One part of a produce is decided.
    pub(crate) fn produced(
        &mut self,
        now: Now,
        ticket: Ticket,
        part: u32,
        result: Result<Produced, ErrorCode>,
        out: &mut Vec<FrontendOutput>,
    ) {
        let Some(Slot::Produce(slot)) = self.slot(ticket) else {
            return;
        };
        if let Some(part) = slot.parts.as_mut_slice().get_mut(part as usize) {
            part.result = match result {
                Ok(produced) => PartResult::Done(produced),
                Err(error) => PartResult::Failed(error),
            };
            slot.waiting = slot.waiting.saturating_sub(1);
        }
        self.finish_produce(now, ticket, out);
    }

    /// The client has waited as long as it wants to. The batch may still become durable; a retry by
    /// an idempotent producer is then answered as the duplicate it is.
    pub(crate) fn produce_expired(
        &mut self,
        now: Now,
        ticket: Ticket,
        out: &mut Vec<FrontendOutput>,
    ) {
        let Some(Slot::Produce(slot)) = self.slot(ticket) else {
            return;
        };
        for part in slot.parts.as_mut_slice() {
            if matches!(part.result, PartResult::Waiting) {
                part.result = PartResult::Failed(ErrorCode::RequestTimedOut);
            }
        }
        slot.waiting = 0;
        self.finish_produce(now, ticket, out);
    }

    fn finish_produce(&mut self, now: Now, ticket: Ticket, out: &mut Vec<FrontendOutput>) {
        let (Some(Slot::Produce(slot)), buffers) = self.slot_and_buffers(ticket) else {
            return;
        };
        if slot.waiting == 0 {
            let failed = slot
                .parts
                .as_slice()
                .iter()
                .any(|part| part.result.error().is_some());
            let observed = match failed {
                true => Observation::ProduceFailed {
                    bytes: slot.arrival.bytes,
                },
                false => slot.arrival.done(now),
            };
            let frame = encode(slot, &mut buffers.responses).map(Pieces::One);
            self.observe(observed);
            self.fill(ticket, frame, out);
        }
    }
}

/// What makes a request fail for all of its partitions.
fn refuse_whole(version: i16, produce: &ProduceRequest<'_>) -> Option<ErrorCode> {
    if version < FIRST_BATCH_VERSION {
        return Some(ErrorCode::UnsupportedForMessageFormat);
    }
    if produce.transactional_id.is_some() {
        return Some(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    (!matches!(produce.acks, -1..=1)).then_some(ErrorCode::InvalidRequiredAcks)
}

fn rules(config: &TopicConfig, now: Now, version: i16) -> ProduceRules {
    const ZSTD_VERSION: i16 = 7;
    let timestamps = match config.message_timestamp_type {
        TimestampType::LogAppendTime => TimestampRule::LogAppendTime,
        TimestampType::CreateTime => TimestampRule::CreateTime {
            now_ms: now.wall_ms,
            before_max_ms: config.message_timestamp_before_max_ms,
            after_max_ms: config.message_timestamp_after_max_ms,
        },
    };
    ProduceRules {
        max_message_bytes: config.max_message_bytes,
        zstd_allowed: version >= ZSTD_VERSION,
        transactional_allowed: false,
        keys_required: config.cleanup_compact,
        timestamps,
        decompress: DecompressLimits::default(),
    }
}

/// Checks a batch, and brings it to the codec that its topic asks for.
fn check_batch(
    records: Bytes,
    rules: &ProduceRules,
    config: &TopicConfig,
    scratch: &mut Decompressor,
) -> Result<(Bytes, BatchHeader), BatchError> {
    let validated = validate_produced(&records, rules)?;
    let header = *validated.header();
    // Records that are not compressed are walked as well: a malformed one would stop every consumer.
    if rules.keys_required || validated.codec() == Codec::None {
        check_records(validated.view(), rules, scratch)?;
    }
    let wanted = match config.compression {
        TopicCompression::Producer => return Ok((records, header)),
        TopicCompression::Uncompressed => (Codec::None, None),
        TopicCompression::Gzip => (Codec::Gzip, Some(config.compression_gzip_level)),
        TopicCompression::Snappy => (Codec::Snappy, None),
        TopicCompression::Lz4 => (Codec::Lz4, Some(config.compression_lz4_level)),
        TopicCompression::Zstd => (Codec::Zstd, Some(config.compression_zstd_level)),
    };
    let (codec, level) = wanted;
    if codec == validated.codec() {
        return Ok((records, header));
    }
    let bytes = recompress(validated.view(), codec, level, scratch, rules.decompress)?;
    let header = BatchHeader::parse(&bytes)?;
    Ok((bytes.into(), header))
}

impl PartResult {
    fn error(&self) -> Option<ErrorCode> {
        match self {
            Self::Waiting | Self::Done(_) => None,
            Self::Failed(error) => Some(*error),
            Self::Refused(error) => Some(error.error_code()),
        }
    }
}

fn encode(slot: &ProduceSlot, buffer: &mut BytesMut) -> Result<Bytes, HandlerError> {
    let parts = slot.parts.as_slice();
    let groups = parts.chunk_by(|one, other| one.topic_number == other.topic_number);
    let topic_count = groups.clone().count();
    let (version, correlation_id) = (slot.version, slot.correlation_id);
    let mut writer = ProduceResponseWriter::new(buffer, version, correlation_id, topic_count);
    for group in groups {
        let Some(first) = group.first() else { continue };
        writer.topic(reference(&first.topic, slot.version), group.len());
        for part in group {
            write_part(&mut writer, part);
        }
    }
    Ok(writer.finish(0, &[])?)
}

fn reference(label: &TopicLabel, version: i16) -> TopicRef<'_> {
    const TOPIC_ID_VERSION: i16 = 13;
    match label {
        TopicLabel::Known(topic) if version >= TOPIC_ID_VERSION => TopicRef::Id(topic.id),
        TopicLabel::Known(topic) => TopicRef::Name(topic.name.as_str()),
        TopicLabel::Name(name) => TopicRef::Name(name),
        TopicLabel::Id(id) => TopicRef::Id(*id),
    }
}

fn write_part(writer: &mut ProduceResponseWriter<'_>, part: &Part) {
    let index = part.index;
    match &part.result {
        PartResult::Waiting => {
            let error = ErrorCode::UnknownServerError;
            writer.partition(&ProducePartitionResponse::failed(index, error));
        }
        PartResult::Failed(error) => {
            writer.partition(&ProducePartitionResponse::failed(index, *error))
        }
        PartResult::Done(produced) => writer.partition(&ProducePartitionResponse {
            index,
            error: ErrorCode::None,
            base_offset: produced.base_offset,
            log_append_time_ms: produced.append_time_ms,
            log_start_offset: produced.log_start,
            record_errors: &[],
            error_message: None,
            current_leader: None,
        }),
        PartResult::Refused(error) => {
            let message = error.to_string();
            let record = error.record_index().map(|batch_index| RecordError {
                batch_index,
                message: Some(&message),
            });
            let failed = ProducePartitionResponse::failed(index, error.error_code());
            let record_errors = record.as_slice();
            let error_message = Some(message.as_str());
            writer.partition(&ProducePartitionResponse {
                record_errors,
                error_message,
                ..failed
            });
        }
    }
}
