//! What the broker must refuse, and in which words.

use rdkafka::error::RDKafkaErrorCode;

use crate::client::{Outgoing, Session, assert_refused};
use crate::report::{Outcome, Problem, assert_equal, failed};

pub fn too_large(session: &Session) -> Outcome {
    let topic = session.new_topic(1, &[("max.message.bytes", "10000")])?;
    let producer = session.producer(&[("message.max.bytes", "10000000")])?;
    let large = Outgoing { value: Some(vec![b'x'; 100_000]), ..Outgoing::default() };
    let refused = session.send_with(&producer, &topic, &[large]);
    assert_refused(refused, RDKafkaErrorCode::MessageSizeTooLarge, "100,000 bytes where 10,000 are allowed")?;
    assert_equal(&session.send(&topic, &[small()])?, &vec![0], "the offset of a small record after it")
}

pub fn unknown_topic(session: &Session) -> Outcome {
    let topic = session.name("nobody-made-this");
    // How long the library believes that a topic it was not told of may still appear.
    let producer = session.producer(&[("topic.metadata.propagation.max.ms", "1000")])?;
    match session.send_with(&producer, &topic, &[small()]) {
        Err(Problem::Failed(reason)) if is_unknown_topic(&reason) => {}
        other => return failed(format!("produce: {other:?}")),
    }
    assert_refused(session.delete_topic(&topic), RDKafkaErrorCode::UnknownTopicOrPartition, "delete")
}

/// The library takes the topic's name from the broker's answer about the topic, before it sends a record.
fn is_unknown_topic(reason: &str) -> bool {
    [RDKafkaErrorCode::UnknownTopic, RDKafkaErrorCode::UnknownTopicOrPartition]
        .iter()
        .any(|code| reason.contains(&code.to_string()))
}

pub fn bad_version(session: &Session) -> Outcome {
    let topic = session.new_topic(1, &[])?;
    // Without the broker's table of versions the library writes the message format of the version it is told.
    let outdated = session.producer(&[
        ("api.version.request", "false"),
        ("broker.version.fallback", "0.9.0.1"),
        ("message.timeout.ms", "5000"),
    ])?;
    if let Ok(offsets) = session.send_with(&outdated, &topic, &[small()]) {
        return failed(format!("a record in an outdated format was taken at {offsets:?}"));
    }
    assert_equal(&session.send(&topic, &[small()])?, &vec![0], "the offset of the first record that was taken")
}

fn small() -> Outgoing {
    Outgoing { value: Some(b"small".to_vec()), ..Outgoing::default() }
}
