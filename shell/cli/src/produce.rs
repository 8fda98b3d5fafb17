//! `produce`: values from arguments or lines, batched per partition, sent to the leaders.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use chronik_model::batch::{BatchBuilder, BatchSpec, BuildError, Header};
use chronik_model::compression::Codec;
use chronik_model::{ErrorCode, Offset, PartitionIndex, TopicName};
use chronik_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use chronik_protocol::messages::{ProduceRequest, ProduceResponse};
use serde_json::json;

use crate::args::{Acks, CompressionArg, KeyValue, OutputFormat, ProduceArgs};
use crate::client::{Client, IfMissing, Target, no_such_partition, wire_name};
use crate::error::{CliError, is_transient};
use crate::output::object;
use crate::partitioner::Partitioner;
use crate::retry::Retry;

/// Runs `produce`; `input` is read when there are no values among the arguments.
pub(crate) fn run(
    args: &ProduceArgs,
    client: &mut Client,
    input: impl Read,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let mut producer = Producer::new(args, client, format, out)?;
    match feed(args, input, &mut producer) {
        // What stands before the faulty line is sent, so that its number says where to go on.
        Err(error @ (CliError::Usage(_) | CliError::Input(_))) => producer.flush().and(Err(error)),
        Err(error) => Err(error),
        Ok(()) => producer.flush(),
    }
}

fn feed(args: &ProduceArgs, input: impl Read, producer: &mut Producer<'_>) -> Result<(), CliError> {
    let source = RecordSource::new(args);
    for value in &args.values {
        let bytes = Bytes::copy_from_slice(value.as_bytes());
        producer.add(&source.record(bytes, || format!("value '{value}'"))?)?;
    }
    if !args.values.is_empty() {
        return Ok(());
    }
    let mut input = BufReader::with_capacity(INPUT_BUFFER_BYTES, input);
    for number in 1_u64.. {
        // Whatever was read is sent before more is waited for: a person sees each line arrive, a
        // file fills the batches.
        if input.buffer().is_empty() {
            producer.flush()?;
        }
        let Some(line) = read_line(&mut input, number)? else {
            break;
        };
        producer.add(&source.record(line, || format!("line {number}"))?)?;
    }
    Ok(())
}

/// Splits lines into keys and values.
#[derive(Debug)]
struct RecordSource {
    separator: Option<Bytes>,
    key: Option<Bytes>,
}

/// A key and a value to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NewRecord {
    key: Option<Bytes>,
    value: Bytes,
}

impl RecordSource {
    fn new(args: &ProduceArgs) -> Self {
        let bytes = |text: &String| Bytes::copy_from_slice(text.as_bytes());
        Self {
            separator: args.key_separator.as_ref().map(bytes),
            key: args.key.as_ref().map(bytes),
        }
    }

    /// `place` names the line for the person who has to mend it.
    fn record(&self, line: Bytes, place: impl Fn() -> String) -> Result<NewRecord, CliError> {
        let Some(separator) = &self.separator else {
            return Ok(NewRecord {
                key: self.key.clone(),
                value: line,
            });
        };
        let found = line
            .windows(separator.len())
            .position(|window| window == separator);
        let Some(at) = found else {
            let (place, separator) = (place(), String::from_utf8_lossy(separator));
            return Err(CliError::Usage(format!(
                "{place} has no key separator '{separator}'; what stands before it was written"
            )));
        };
        let key = Some(line.slice(..at));
        Ok(NewRecord {
            key,
            value: line.slice(at + separator.len()..),
        })
    }
}

/// Batches under way to one topic.
struct Producer<'a> {
    topic: TopicName,
    acks: Acks,
    codec: Codec,
    headers: Vec<KeyValue>,
    /// Where all records go, if the person said so.
    fixed: Option<PartitionIndex>,
    partitioner: Partitioner,
    pending: BTreeMap<PartitionIndex, BatchBuilder>,
    client: &'a mut Client,
    report: Report<'a>,
}

impl<'a> Producer<'a> {
    fn new(
        args: &ProduceArgs,
        client: &'a mut Client,
        format: OutputFormat,
        out: &'a mut dyn Write,
    ) -> Result<Self, CliError> {
        let topic = client.topic(&args.topic, IfMissing::Create)?;
        if let Some(fixed) = args.partition
            && !topic
                .partitions
                .iter()
                .any(|partition| partition.index == fixed)
        {
            return Err(no_such_partition(&topic, fixed));
        }
        let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let seed = i32::try_from(now_ms().rem_euclid(1 << 31)).unwrap_or(0);
        Ok(Self {
            topic: args.topic.clone(),
            acks: args.acks,
            codec: codec(args.compression),
            headers: args.headers.clone(),
            fixed: args.partition,
            partitioner: Partitioner::new(count, seed),
            pending: BTreeMap::new(),
            client,
            report: Report {
                format,
                verbose: args.verbose,
                out,
            },
        })
    }

    /// Takes a record into the batch of its partition; sends that batch first when it is full.
    fn add(&mut self, record: &NewRecord) -> Result<(), CliError> {
        let mut partition = self.partition_of(record);
        let size = self.size_bound(record);
        let waiting = self.pending.get(&partition);
        if waiting.is_some_and(|batch| batch.size_bytes() + size > MAX_BATCH_BYTES) {
            if let Some(batch) = self.pending.remove(&partition) {
                self.send(partition, batch)?;
            }
            partition = self.partition_of(record);
        }
        let spec = BatchSpec {
            codec: self.codec,
            ..BatchSpec::default()
        };
        let batch = self
            .pending
            .entry(partition)
            .or_insert_with(|| BatchBuilder::new(spec));
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|h| Header {
                key: h.key.as_bytes(),
                value: Some(h.value.as_bytes()),
            })
            .collect();
        batch
            .append(
                now_ms(),
                record.key.as_deref(),
                Some(&record.value),
                &headers,
            )
            .map_err(|error| not_built(&error))
    }

    fn partition_of(&self, record: &NewRecord) -> PartitionIndex {
        self.fixed
            .unwrap_or_else(|| self.partitioner.choose(record.key.as_deref()))
    }

    /// No fewer bytes than the record takes before compression.
    fn size_bound(&self, record: &NewRecord) -> usize {
        let header = |h: &KeyValue| h.key.len() + h.value.len() + 2 * MAX_VARINT_BYTES;
        let headers: usize = self.headers.iter().map(header).sum();
        let key = record.key.as_ref().map_or(0, Bytes::len);
        RECORD_OVERHEAD_BYTES + key + record.value.len() + headers
    }

    fn flush(&mut self) -> Result<(), CliError> {
        while let Some((partition, batch)) = self.pending.pop_first() {
            self.send(partition, batch)?;
        }
        self.report.flush()
    }

    /// Sends one batch to the leader, and again while the leader is moving. After a lost
    /// connection it is not sent again: the records could end up in the log twice.
    fn send(&mut self, index: PartitionIndex, batch: BatchBuilder) -> Result<(), CliError> {
        let count = batch.record_count();
        let bytes = batch.finish().map_err(|error| not_built(&error))?;
        let request = self.request(index, Bytes::from(bytes));
        self.partitioner.batch_sent();
        let mut retry = Retry::within(self.client.timeout());
        loop {
            let leader = self.client.leader(&self.topic, index)?;
            let outcome = match self.acks {
                Acks::None => self
                    .client
                    .send(Target::Broker(leader), &request)
                    .map(|()| None),
                Acks::All | Acks::Leader => {
                    self.client.call(Target::Broker(leader), &request).map(Some)
                }
            };
            match outcome {
                Ok(None) => return self.report.batch(&self.topic, index, None, count),
                Ok(Some(answer)) => {
                    let answer = Acknowledged::of(&answer);
                    if answer.code == ErrorCode::None.code() {
                        let offset = Some(answer.base_offset);
                        return self.report.batch(&self.topic, index, offset, count);
                    }
                    if !is_transient(answer.code) || !retry.again() {
                        let what = format!("write to {} [{}]", self.topic, index.0);
                        return Err(CliError::refused(what, answer.code, answer.message));
                    }
                }
                Err(error) if error.nothing_was_sent() && retry.again() => {}
                Err(error) => return Err(error),
            }
            self.client.forget_topic(&self.topic);
        }
    }

    fn request(&self, index: PartitionIndex, batch: Bytes) -> ProduceRequest {
        let mut partition = PartitionProduceData::default();
        partition.index = index.0;
        partition.records = Some(batch);
        let mut topic = TopicProduceData::default();
        topic.name = wire_name(&self.topic);
        topic.partition_data = vec![partition];
        let mut request = ProduceRequest::default();
        request.acks = match self.acks {
            Acks::All => -1,
            Acks::Leader => 1,
            Acks::None => 0,
        };
        request.timeout_ms = self.client.broker_timeout_ms();
        request.topic_data = vec![topic];
        request
    }
}

/// The answer about the one batch of a request.
#[derive(Debug)]
struct Acknowledged<'a> {
    code: i16,
    message: Option<&'a str>,
    base_offset: Offset,
}

impl<'a> Acknowledged<'a> {
    fn of(answer: &'a ProduceResponse) -> Self {
        let partition = answer
            .responses
            .first()
            .and_then(|t| t.partition_responses.first());
        let Some(partition) = partition else {
            let code = ErrorCode::UnknownServerError.code();
            let message = Some("the answer leaves the partition out");
            return Self {
                code,
                message,
                base_offset: Offset::ZERO,
            };
        };
        // The message about a single record says more than the one about its batch.
        let record = partition
            .record_errors
            .iter()
            .find_map(|e| e.batch_index_error_message.as_deref());
        Self {
            code: partition.error_code,
            message: record.or(partition.error_message.as_deref()),
            base_offset: Offset(partition.base_offset),
        }
    }
}

/// Says where batches went, to those who asked.
struct Report<'a> {
    format: OutputFormat,
    verbose: bool,
    out: &'a mut dyn Write,
}

impl Report<'_> {
    /// `base_offset` is not known with acks=0.
    fn batch(
        &mut self,
        topic: &TopicName,
        index: PartitionIndex,
        base_offset: Option<Offset>,
        count: i32,
    ) -> Result<(), CliError> {
        let offset = base_offset.map(|offset| offset.0);
        match self.format {
            OutputFormat::Table if !self.verbose => {}
            OutputFormat::Table => {
                let offset = offset.map_or_else(|| "unknown".to_owned(), |o| o.to_string());
                writeln!(
                    self.out,
                    "{topic} [{}] offset {offset}  {count} records",
                    index.0
                )?;
            }
            OutputFormat::Json => {
                let fields = object([
                    ("topic", json!(topic.as_str())),
                    ("partition", json!(index.0)),
                    ("base_offset", json!(offset)),
                    ("count", json!(count)),
                ]);
                writeln!(self.out, "{fields}")?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), CliError> {
        Ok(self.out.flush()?)
    }
}

/// The next line without its line feed; `None` at the end of the input.
fn read_line(input: &mut impl BufRead, number: u64) -> Result<Option<Bytes>, CliError> {
    let mut line = Vec::new();
    let mut limited = input.take(MAX_LINE_BYTES + 1);
    let read = limited
        .read_until(b'\n', &mut line)
        .map_err(CliError::Input)?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if limited.limit() == 0 {
        return Err(CliError::Usage(format!(
            "line {number} is longer than {MAX_LINE_BYTES} bytes; send smaller records"
        )));
    }
    Ok(Some(Bytes::from(line)))
}

fn not_built(error: &BuildError) -> CliError {
    CliError::Refused {
        what: "build a batch".to_owned(),
        why: error.to_string(),
        next: "".into(),
    }
}

const fn codec(compression: CompressionArg) -> Codec {
    match compression {
        CompressionArg::None => Codec::None,
        CompressionArg::Gzip => Codec::Gzip,
        CompressionArg::Snappy => Codec::Snappy,
        CompressionArg::Lz4 => Codec::Lz4,
        CompressionArg::Zstd => Codec::Zstd,
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Kafka's default `max.message.bytes` leaves room for this.
const MAX_BATCH_BYTES: usize = 1 << 20;
const MAX_VARINT_BYTES: usize = 10;
/// Length, attributes, time and offset deltas, lengths of key and value, number of headers.
const RECORD_OVERHEAD_BYTES: usize = 6 * MAX_VARINT_BYTES + 1;
const INPUT_BUFFER_BYTES: usize = 1 << 20;
/// Protects this process; the broker's limit is usually far lower.
const MAX_LINE_BYTES: u64 = 64 << 20;

#[cfg(test)]
#[path = "produce_tests.rs"]
mod tests;
