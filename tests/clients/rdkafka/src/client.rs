//! What the checks ask of the crate: topics, sending and reading, with errors as the broker named them.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Runtime;

use crate::report::{Outcome, Problem, WAIT, failed, wait_for};

/// A record to be sent.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    pub value: Option<Vec<u8>>,
    pub key: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
    pub timestamp_ms: Option<i64>,
    pub partition: i32,
}

/// A record as it was consumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

/// The orders of the runner, and the names that are free.
#[derive(Debug)]
pub struct Session {
    pub full: bool,
    kafka: bool,
    bootstrap: String,
    control: Option<String>,
    prefix: String,
    names: Cell<u32>,
    runtime: Runtime,
}

impl Session {
    pub fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        Self {
            full: variable("PROFILE").as_deref() == Some("full"),
            kafka: variable("CHRONIK_PEER").as_deref() == Some("kafka"),
            bootstrap: variable("BOOTSTRAP").unwrap_or_else(|| "127.0.0.1:9092".to_owned()),
            control: variable("CONTROL"),
            prefix: variable("PREFIX").unwrap_or_else(|| format!("by-hand-{}-", std::process::id())),
            names: Cell::new(0),
            runtime: Runtime::new().expect("a process can start threads"),
        }
    }

    /// A name for a topic, group or transaction that nothing used before.
    pub fn name(&self, kind: &str) -> String {
        self.names.set(self.names.get() + 1);
        format!("{}{kind}{}", self.prefix, self.names.get())
    }

    /// Settings with the broker's address and these.
    pub fn config(&self, settings: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config
    }

    pub fn admin(&self) -> Outcome<AdminClient<DefaultClientContext>> {
        Ok(self.config(&[]).create()?)
    }

    /// Waits for an answer.
    pub fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }

    /// A topic of its own for a check, ready to be written.
    pub fn new_topic(&self, partitions: i32, config: &[(&str, &str)]) -> Outcome<String> {
        let topic = self.name("t");
        self.create_topic(&topic, partitions, config)?;
        self.wait_partitions(&topic, usize::try_from(partitions).unwrap_or(0))?;
        if self.kafka {
            // Kafka confirms before its broker leads the topic; ours must not, so there is no wait for ours.
            for partition in 0..partitions {
                wait_for(&format!("{topic} to be led"), || {
                    Ok(self.reader(&[])?.fetch_watermarks(&topic, partition, WAIT).ok())
                })?;
            }
        }
        Ok(topic)
    }

    pub fn create_topic(&self, topic: &str, partitions: i32, config: &[(&str, &str)]) -> Outcome {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (name, value) in config {
            new = new.set(name, value);
        }
        let answers = self.wait(self.admin()?.create_topics([&new], &options()))?;
        first_error(answers)
    }

    pub fn delete_topic(&self, topic: &str) -> Outcome {
        let answers = self.wait(self.admin()?.delete_topics(&[topic], &options()))?;
        first_error(answers)
    }

    pub fn wait_partitions(&self, topic: &str, count: usize) -> Outcome {
        wait_for(
            &format!("{topic} to have {count} partitions"),
            || Ok((self.partitions(topic)? == count).then_some(())),
        )
    }

    /// How many partitions a topic has that have a leader, 0 if it is not there.
    pub fn partitions(&self, topic: &str) -> Outcome<usize> {
        let metadata = self.reader(&[])?.fetch_metadata(Some(topic), WAIT)?;
        let found = metadata.topics().first().filter(|one| one.error().is_none());
        Ok(found.map_or(0, |one| one.partitions().iter().filter(|p| p.leader() >= 0).count()))
    }

    pub fn producer(&self, settings: &[(&str, &str)]) -> Outcome<FutureProducer> {
        let mut config = self.config(&[("linger.ms", "5"), ("message.timeout.ms", "30000")]);
        for (name, value) in settings {
            config.set(*name, *value);
        }
        Ok(config.create()?)
    }

    /// Sends with a producer of its own.
    pub fn send(&self, topic: &str, records: &[Outgoing]) -> Outcome<Vec<i64>> {
        self.send_with(&self.producer(&[])?, topic, records)
    }

    /// The offsets of the records, once all are acknowledged.
    pub fn send_with(&self, producer: &FutureProducer, topic: &str, records: &[Outgoing]) -> Outcome<Vec<i64>> {
        let futures: Vec<DeliveryFuture> = records
            .iter()
            .map(|one| producer.send_result(future_record(topic, one)).map_err(|(error, _)| error))
            .collect::<Result<_, KafkaError>>()?;
        let mut offsets = Vec::with_capacity(futures.len());
        for future in futures {
            match self.wait(future) {
                Ok(Ok(delivery)) => offsets.push(delivery.offset),
                Ok(Err((error, _))) => return Err(error.into()),
                Err(_) => return failed("the producer ended before its acknowledgements"),
            }
        }
        producer.flush(WAIT)?;
        Ok(offsets)
    }

    /// A consumer that joins no group and ends no read by itself.
    pub fn reader(&self, settings: &[(&str, &str)]) -> Outcome<BaseConsumer> {
        let mut config = self.config(&[("enable.auto.commit", "false"), ("auto.offset.reset", "error")]);
        config.set("group.id", format!("{}never-joined", self.prefix));
        for (name, value) in settings {
            config.set(*name, *value);
        }
        Ok(config.create()?)
    }

    /// The next `count` records from these offsets.
    pub fn read(&self, topic: &str, starts: &[(i32, i64)], count: usize) -> Outcome<Vec<Record>> {
        self.read_with(&self.reader(&[])?, topic, starts, count)
    }

    pub fn read_with(
        &self,
        reader: &BaseConsumer,
        topic: &str,
        starts: &[(i32, i64)],
        count: usize,
    ) -> Outcome<Vec<Record>> {
        let mut assignment = TopicPartitionList::new();
        for (partition, start) in starts {
            assignment.add_partition_offset(topic, *partition, Offset::Offset(*start))?;
        }
        reader.assign(&assignment)?;
        let end = Instant::now() + WAIT;
        let mut records = Vec::with_capacity(count);
        while records.len() < count {
            if Instant::now() > end {
                return failed(format!("{} of {count} records within {} s", records.len(), WAIT.as_secs()));
            }
            if let Some(message) = reader.poll(Duration::from_millis(200)) {
                records.push(record(&message?));
            }
        }
        Ok(records)
    }

    /// Has the broker killed and started again; returns when it is ready.
    pub fn restart_broker(&self) -> Outcome {
        let Some(control) = &self.control else {
            return Err(Problem::Skipped("CONTROL is not set: nobody restarts the broker".to_owned()));
        };
        let host = control.trim_start_matches("http://");
        let mut connection = TcpStream::connect(host)?;
        write!(connection, "POST /restart HTTP/1.0\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        if answer.split(' ').nth(1) == Some("200") { Ok(()) } else { failed(format!("restart: {answer}")) }
    }
}

/// The version of the crate and of the library within.
pub fn version() -> String {
    let lock = include_str!("../Cargo.lock");
    let crate_version = lock
        .split("[[package]]")
        .find(|entry| entry.contains("name = \"rdkafka\"\n"))
        .and_then(|entry| entry.split("version = \"").nth(1))
        .and_then(|rest| rest.split('"').next())
        .unwrap_or("unknown");
    format!("{crate_version} (librdkafka {})", rdkafka::util::get_rdkafka_version().1)
}

pub fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(WAIT)).operation_timeout(Some(WAIT))
}

/// The error of one topic's answer, as the error of the request.
pub fn first_error<T>(answers: Vec<Result<T, (String, RDKafkaErrorCode)>>) -> Outcome {
    for answer in answers {
        if let Err((_, code)) = answer {
            return Err(KafkaError::AdminOp(code).into());
        }
    }
    Ok(())
}

/// Fails unless the action was refused with this error.
pub fn assert_refused<T>(action: Outcome<T>, code: RDKafkaErrorCode, what: &str) -> Outcome {
    match action {
        // The crate's errors print the library's words for the code.
        Err(Problem::Failed(reason)) if reason.contains(&code.to_string()) => Ok(()),
        Err(Problem::Failed(reason)) => failed(format!("{what}: refused with {reason}, expected {code}")),
        Err(skipped) => Err(skipped),
        Ok(_) => failed(format!("{what}: not refused, expected {code}")),
    }
}

/// Records whose value is their partition and number.
pub fn numbered(count: usize, partition: i32) -> Vec<Outgoing> {
    (0..count)
        .map(|number| Outgoing {
            value: Some(format!("{partition}-{number}").into_bytes()),
            partition,
            ..Outgoing::default()
        })
        .collect()
}

/// The offsets 0, 1, 2 ... of a new partition with so many records.
pub fn offsets(range: std::ops::Range<usize>) -> Vec<i64> {
    range.filter_map(|number| i64::try_from(number).ok()).collect()
}

pub fn record(message: &impl Message) -> Record {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|one| (one.key.to_owned(), one.value.unwrap_or_default().to_vec())).collect()
    });
    Record {
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
    }
}

fn future_record<'a>(topic: &'a str, one: &'a Outgoing) -> FutureRecord<'a, [u8], [u8]> {
    let mut record = FutureRecord::to(topic).partition(one.partition);
    record.payload = one.value.as_deref();
    record.key = one.key.as_deref();
    record.timestamp = one.timestamp_ms;
    if !one.headers.is_empty() {
        let headers = one
            .headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
        record = record.headers(headers);
    }
    record
}
