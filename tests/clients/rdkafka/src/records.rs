//! Records in and out: codecs, round trips, positions, idempotence and transactions.

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer;
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{Outgoing, Record, Session, numbered, offsets};
use crate::report::{Outcome, Problem, WAIT, assert_equal, failed};

const FIRST_TIMESTAMP_MS: i64 = 1_750_000_000_000;
const STEP_MS: i64 = 1_000;

pub fn produce(session: &Session, codec: &str) -> Outcome {
    let topic = session.new_topic(1, &[])?;
    let count = if session.full { 5_000 } else { 500 };
    let sent: Vec<Outgoing> = (0..count)
        .map(|number| Outgoing {
            value: Some(format!("{}{number}", "compressible ".repeat(40)).into_bytes()),
            ..Outgoing::default()
        })
        .collect();
    let producer = session.producer(&[("compression.type", codec)])?;
    assert_equal(&session.send_with(&producer, &topic, &sent)?, &offsets(0..count), "offsets")?;
    assert_values(&session.read(&topic, &[(0, 0)], count)?, &sent)
}

pub fn round_trip(session: &Session) -> Outcome {
    let topic = session.new_topic(1, &[])?;
    let header = |name: &str, value: &[u8]| (name.to_owned(), value.to_vec());
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let all = |value: Option<&[u8]>, key: Option<&[u8]>, headers: &[(String, Vec<u8>)], after_ms: i64| Outgoing {
        value: value.map(<[u8]>::to_vec),
        key: key.map(<[u8]>::to_vec),
        headers: headers.to_vec(),
        timestamp_ms: Some(FIRST_TIMESTAMP_MS + after_ms),
        partition: 0,
    };
    let headers = [header("one", b"1"), header("one", b"again"), header("binary", &every_byte)];
    let sent = [
        all(Some(b"value"), Some(b"key"), &headers, 0),
        all(Some("v\u{e4}lue".as_bytes()), None, &[], 1),
        all(None, Some(b"tombstone"), &[], 2),
        all(Some(b""), Some(b""), &[header("empty", b"")], 3),
        all(Some(&[b'x'; 100_000]), Some(&[b'k'; 1_000]), &[], 4),
    ];
    session.send(&topic, &sent)?;
    let got = session.read(&topic, &[(0, 0)], sent.len())?;
    for ((out, back), offset) in sent.into_iter().zip(got).zip(0..) {
        let expected = Record {
            partition: 0,
            offset,
            timestamp_ms: out.timestamp_ms,
            key: out.key,
            value: out.value,
            headers: out.headers,
        };
        assert_equal(&back, &expected, &format!("record {offset}"))?;
    }
    Ok(())
}

pub fn consume_from_start(session: &Session) -> Outcome {
    let (partitions, count) = (3, 200);
    let topic = session.new_topic(partitions, &[])?;
    for partition in 0..partitions {
        session.send(&topic, &numbered(count, partition))?;
    }
    let got = session.read(&topic, &[(0, 0), (1, 0), (2, 0)], 3 * count)?;
    for partition in 0..partitions {
        let part: Vec<Record> = got.iter().filter(|one| one.partition == partition).cloned().collect();
        let found: Vec<i64> = part.iter().map(|one| one.offset).collect();
        assert_equal(&found, &offsets(0..count), &format!("offsets of partition {partition}"))?;
        assert_values(&part, &numbered(count, partition))?;
    }
    Ok(())
}

pub fn consume_by_offset(session: &Session) -> Outcome {
    let topic = session.new_topic(1, &[])?;
    let sent = numbered(300, 0);
    session.send(&topic, &sent)?;
    // In the middle of a batch, at its first record and at the last one.
    for start in [0_usize, 1, 157, 299] {
        let from = i64::try_from(start).unwrap_or(i64::MAX);
        let got = session.read(&topic, &[(0, from)], 300 - start)?;
        let found: Vec<i64> = got.iter().map(|one| one.offset).collect();
        assert_equal(&found, &offsets(start..300), &format!("from {start}"))?;
        assert_values(&got, &sent[start..])?;
    }
    Ok(())
}

pub fn consume_by_time(session: &Session) -> Outcome {
    let topic = session.new_topic(1, &[])?;
    let mut sent = numbered(100, 0);
    for (one, number) in sent.iter_mut().zip(0..) {
        one.timestamp_ms = Some(FIRST_TIMESTAMP_MS + number * STEP_MS);
    }
    // More than one batch, so the answer takes more than the times of whole batches.
    for part in sent.chunks(20) {
        session.send(&topic, part)?;
    }
    for (after_ms, expected) in [
        (-1, Offset::Offset(0)),
        (0, Offset::Offset(0)),
        (50 * STEP_MS, Offset::Offset(50)),
        (50 * STEP_MS + 1, Offset::Offset(51)),
        (99 * STEP_MS, Offset::Offset(99)),
        (99 * STEP_MS + 1, Offset::End),
    ] {
        let found = offset_at(session, &topic, FIRST_TIMESTAMP_MS + after_ms)?;
        assert_equal(&found, &expected, &format!("first offset at {after_ms} ms"))?;
    }
    Ok(())
}

pub fn idempotent(session: &Session) -> Outcome {
    let topic = session.new_topic(1, &[])?;
    let half = if session.full { 2_000 } else { 500 };
    let records = numbered(half, 0);
    let producer = session.producer(&[("enable.idempotence", "true")])?;
    let mut found = session.send_with(&producer, &topic, &records)?;
    session.restart_broker()?;
    found.extend(session.send_with(&producer, &topic, &records)?);
    assert_equal(&found, &offsets(0..2 * half), "offsets over a kill of the broker")?;
    let twice = [records.as_slice(), records.as_slice()].concat();
    assert_values(&session.read(&topic, &[(0, 0)], 2 * half)?, &twice)
}

pub fn transactions(session: &Session) -> Outcome {
    let topic = session.new_topic(1, &[])?;
    let producer = session.producer(&[("transactional.id", &session.name("transactions"))])?;
    if let Err(error) = producer.init_transactions(WAIT / 2) {
        return match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::UnsupportedVersion
                | RDKafkaErrorCode::UnsupportedFeature
                | RDKafkaErrorCode::TransactionalIdAuthorizationFailed,
            ) => Err(Problem::Skipped(format!("not served yet ({error})"))),
            _ => Err(error.into()),
        };
    }
    for (value, commit) in [("committed 1", true), ("aborted", false), ("committed 2", true)] {
        let one = Outgoing { value: Some(value.as_bytes().to_vec()), ..Outgoing::default() };
        producer.begin_transaction()?;
        session.send_with(&producer, &topic, &[one])?;
        let ended = if commit { producer.commit_transaction(WAIT) } else { producer.abort_transaction(WAIT) };
        ended?;
    }
    let reader = session.reader(&[("isolation.level", "read_committed")])?;
    let got = session.read_with(&reader, &topic, &[(0, 0)], 2)?;
    let values: Vec<&[u8]> = got.iter().filter_map(|one| one.value.as_deref()).collect();
    assert_equal(&values, &vec![&b"committed 1"[..], b"committed 2"], "what a reader of committed records sees")
}

fn offset_at(session: &Session, topic: &str, timestamp_ms: i64) -> Outcome<Offset> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition_offset(topic, 0, Offset::Offset(timestamp_ms))?;
    let found = session.reader(&[])?.offsets_for_times(asked, WAIT)?;
    match found.elements().first() {
        Some(one) => Ok(one.error().map(|()| one.offset())?),
        None => Err(KafkaError::NoMessageReceived.into()),
    }
}

fn assert_values(got: &[Record], expected: &[Outgoing]) -> Outcome {
    if got.len() != expected.len() {
        return failed(format!("{} records, expected {}", got.len(), expected.len()));
    }
    for (back, out) in got.iter().zip(expected) {
        assert_equal(&back.value, &out.value, &format!("the value at {}", back.offset))?;
    }
    Ok(())
}
