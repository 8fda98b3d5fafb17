//! The three calls in which a benchmark spends its time, without the wrapper's cost per record: a
//! record is sent through a topic handle instead of a name that is looked up each time, and reports
//! and records arrive in groups. Everything else goes through the `rdkafka` crate.
#![expect(
    unsafe_code,
    reason = "librdkafka is a C library; each call says why it is sound"
)]

use std::ffi::{CStr, CString, c_int, c_void};
use std::ptr;
use std::slice;

use rdkafka::ClientConfig;
use rdkafka::bindings as c;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::types::RDKafkaRespErr;

use crate::driver::Range;
use crate::failure::Failure;

/// A producer for one topic. Sending and polling may be done by different threads.
pub(super) struct Producer {
    topic: *mut c::rd_kafka_topic_t,
    queue: *mut c::rd_kafka_queue_t,
    client: BaseProducer,
}

// SAFETY: librdkafka's handles may be used by several threads at once (INTRODUCTION.md, "Threads
// and callbacks"), and the pointers stay valid until `drop`, which has the only reference.
unsafe impl Send for Producer {}
// SAFETY: as above.
unsafe impl Sync for Producer {}

/// Why a record was not taken.
#[derive(Debug)]
pub(super) enum NotSent {
    /// The queue is full; polling makes room.
    Full,
    /// It never will be.
    Refused(String),
}

/// What polling a producer brought.
#[derive(Debug)]
pub(super) enum Report {
    /// The record with this tag was acknowledged, or not for this reason.
    Delivery(usize, Result<(), String>),
    /// The library's word about a broker or a connection.
    Error(String),
}

impl Producer {
    /// A producer that connects when it has to.
    pub(super) fn open(config: &ClientConfig, topic: &str) -> Result<Self, Failure> {
        let client: BaseProducer = config.create().map_err(|error| refused(&error))?;
        let native = client.client().native_ptr();
        let topic = open_topic(native, topic)?;
        // SAFETY: `native` lives as long as `client`.
        let queue = unsafe { c::rd_kafka_queue_get_main(native) };
        Ok(Self {
            topic,
            queue,
            client,
        })
    }

    /// Queues a copy of a record for whichever partition the library chooses. The tag comes back
    /// with the report.
    pub(super) fn send(&self, value: &[u8], tag: usize) -> Result<(), NotSent> {
        // SAFETY: the handle is valid; with F_COPY the value is only read during the call, in spite
        // of its type; the opaque pointer is never followed by the library.
        let failed = unsafe {
            c::rd_kafka_produce(
                self.topic,
                ANY_PARTITION,
                c::RD_KAFKA_MSG_F_COPY,
                value.as_ptr().cast_mut().cast::<c_void>(),
                value.len(),
                ptr::null(),
                0,
                ptr::without_provenance_mut(tag),
            )
        };
        if failed == 0 {
            return Ok(());
        }
        // SAFETY: reads this thread's last error.
        let error = unsafe { c::rd_kafka_last_error() };
        if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__QUEUE_FULL {
            Err(NotSent::Full)
        } else {
            Err(NotSent::Refused(name_of(error)))
        }
    }

    /// Waits up to `timeout_ms` for a group of reports and hands them over; returns how many.
    pub(super) fn poll(&self, timeout_ms: c_int, mut take: impl FnMut(Report)) -> usize {
        // SAFETY: the queue is valid, and so is the event until it is destroyed below.
        let event = unsafe { c::rd_kafka_queue_poll(self.queue, timeout_ms) };
        if event.is_null() {
            return 0;
        }
        // SAFETY: the event is not null.
        let kind = unsafe { c::rd_kafka_event_type(event) };
        let mut taken = 0;
        if kind == c::RD_KAFKA_EVENT_DR {
            // SAFETY: the event is valid; a message lives as long as its event.
            while let Some(message) = unsafe { c::rd_kafka_event_message_next(event).as_ref() } {
                let outcome = if message.err == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                    Ok(())
                } else {
                    Err(name_of(message.err))
                };
                take(Report::Delivery(message._private.addr(), outcome));
                taken += 1;
            }
        } else if kind == c::RD_KAFKA_EVENT_ERROR {
            // SAFETY: the text of an error event lives as long as the event.
            take(Report::Error(text(unsafe {
                c::rd_kafka_event_error_string(event)
            })));
        }
        // SAFETY: nothing of the event is kept.
        unsafe { c::rd_kafka_event_destroy(event) };
        taken
    }

    /// The wrapped client.
    pub(super) const fn client(&self) -> &BaseProducer {
        &self.client
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        // SAFETY: both were made for this producer, whose client is dropped after them.
        unsafe {
            c::rd_kafka_topic_destroy(self.topic);
            c::rd_kafka_queue_destroy(self.queue);
        }
    }
}

/// A consumer of some partitions of one topic.
pub(super) struct Consumer {
    topic: *mut c::rd_kafka_topic_t,
    queue: *mut c::rd_kafka_queue_t,
    partitions: Vec<i32>,
    messages: Vec<*mut c::rd_kafka_message_t>,
    /// Kept for its client, which is dropped last.
    _client: BaseConsumer,
}

// SAFETY: as for producers; `poll` needs the only reference.
unsafe impl Send for Consumer {}

/// What polling a consumer brought.
#[derive(Debug)]
pub(super) enum Received<'a> {
    /// A record.
    Record {
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// Its value.
        value: &'a [u8],
    },
    /// The end of a partition was reached.
    End(i32),
    /// Something went wrong.
    Error(String),
}

impl Consumer {
    /// A consumer that has begun to fetch each range from its begin.
    pub(super) fn open(
        config: &ClientConfig,
        topic: &str,
        ranges: &[Range],
    ) -> Result<Self, Failure> {
        let client: BaseConsumer = config.create().map_err(|error| refused(&error))?;
        let native = client.client().native_ptr();
        let topic = open_topic(native, topic)?;
        let mut consumer = Self {
            topic,
            // SAFETY: `native` lives as long as `client`.
            queue: unsafe { c::rd_kafka_queue_new(native) },
            partitions: Vec::with_capacity(ranges.len()),
            messages: Vec::new(),
            _client: client,
        };
        for range in ranges {
            let (partition, begin) = (range.partition.0, range.begin.0);
            // SAFETY: both handles are valid.
            let failed = unsafe {
                c::rd_kafka_consume_start_queue(consumer.topic, partition, begin, consumer.queue)
            };
            if failed != 0 {
                // SAFETY: reads this thread's last error.
                let error = unsafe { c::rd_kafka_last_error() };
                return Err(Failure::Library(name_of(error)));
            }
            consumer.partitions.push(partition);
        }
        Ok(consumer)
    }

    /// Waits up to `timeout_ms` for a record, and hands it over with those that are there too.
    pub(super) fn poll(&mut self, timeout_ms: c_int, mut take: impl FnMut(&Received<'_>)) {
        // The library waits until it has as many as it may return: one, and then what is there.
        self.receive(timeout_ms, 1, &mut take);
        self.receive(0, BATCH_RECORDS, &mut take);
    }

    fn receive(&mut self, timeout_ms: c_int, most: usize, take: &mut impl FnMut(&Received<'_>)) {
        self.messages.reserve(most);
        // SAFETY: the queue is valid, and the array has room for as many pointers as are allowed.
        let got = unsafe {
            c::rd_kafka_consume_batch_queue(
                self.queue,
                timeout_ms,
                self.messages.as_mut_ptr(),
                most,
            )
        };
        // SAFETY: the library has written that many pointers.
        unsafe { self.messages.set_len(usize::try_from(got).unwrap_or(0)) };
        for pointer in self.messages.drain(..) {
            // SAFETY: each pointer is a message of ours until it is destroyed, right below.
            let message = unsafe { &*pointer };
            take(&received(message));
            // SAFETY: the borrow has ended with the call.
            unsafe { c::rd_kafka_message_destroy(pointer) };
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // SAFETY: the partitions were started on this topic; all was made for this consumer, whose
        // client is dropped after it.
        unsafe {
            for partition in &self.partitions {
                c::rd_kafka_consume_stop(self.topic, *partition);
            }
            c::rd_kafka_queue_destroy(self.queue);
            c::rd_kafka_topic_destroy(self.topic);
        }
    }
}

fn received(message: &c::rd_kafka_message_t) -> Received<'_> {
    if message.err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF {
        return Received::End(message.partition);
    }
    if message.err != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Received::Error(name_of(message.err));
    }
    let value = if message.payload.is_null() {
        &[]
    } else {
        // SAFETY: the payload of a message without error is `len` bytes that live as long as the
        // message.
        unsafe { slice::from_raw_parts(message.payload.cast::<u8>(), message.len) }
    };
    Received::Record {
        partition: message.partition,
        offset: message.offset,
        value,
    }
}

fn open_topic(client: *mut c::rd_kafka_t, name: &str) -> Result<*mut c::rd_kafka_topic_t, Failure> {
    let name = CString::new(name).map_err(|error| Failure::Usage(error.to_string()))?;
    // SAFETY: the client is valid, the name is copied, and without a configuration the client's
    // defaults hold.
    let topic = unsafe { c::rd_kafka_topic_new(client, name.as_ptr(), ptr::null_mut()) };
    if topic.is_null() {
        return Err(Failure::Library(format!("cannot open topic {name:?}")));
    }
    Ok(topic)
}

fn refused(error: &KafkaError) -> Failure {
    Failure::Usage(format!("librdkafka does not take this: {error}"))
}

fn name_of(error: RDKafkaRespErr) -> String {
    // SAFETY: the library's texts are static.
    text(unsafe { c::rd_kafka_err2str(error) })
}

fn text(words: *const std::ffi::c_char) -> String {
    if words.is_null() {
        return String::new();
    }
    // SAFETY: the library's texts end with a zero byte; the caller keeps them alive.
    unsafe { CStr::from_ptr(words) }
        .to_string_lossy()
        .into_owned()
}

/// `RD_KAFKA_PARTITION_UA`, which the bindings leave out: the library chooses.
const ANY_PARTITION: i32 = -1;
/// Records of one poll.
const BATCH_RECORDS: usize = 10_000;
