//! Topics, configs and offsets by the admin client.

use rdkafka::admin::{AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{Outgoing, Session, assert_refused, first_error, numbered, offsets as counted, options};
use crate::report::{Outcome, WAIT, assert_equal, failed, wait_for};

pub fn create_topic(session: &Session) -> Outcome {
    let topic = session.new_topic(3, &[])?;
    let again = session.create_topic(&topic, 3, &[]);
    assert_refused(again, RDKafkaErrorCode::TopicAlreadyExists, "created again")
}

pub fn configs(session: &Session) -> Outcome {
    let topic = session.new_topic(1, &[("cleanup.policy", "compact")])?;
    assert_equal(&config(session, &topic, "cleanup.policy")?, &Some("compact".to_owned()), "as created")?;
    assert_equal(&config(session, &topic, "retention.ms")?, &Some("604800000".to_owned()), "the default")?;

    // The request of this client replaces everything that was set.
    let set = |retention: &str| alter(session, &topic, &[("cleanup.policy", "compact"), ("retention.ms", retention)]);
    set("3600000")?;
    wait_for("the altered retention.ms", || {
        Ok((config(session, &topic, "retention.ms")?.as_deref() == Some("3600000")).then_some(()))
    })?;
    assert_equal(&config(session, &topic, "cleanup.policy")?, &Some("compact".to_owned()), "kept")?;
    // The crate does not tell the error of one resource, so what counts is what the broker keeps.
    set("soon")?;
    assert_equal(&config(session, &topic, "retention.ms")?, &Some("3600000".to_owned()), "after retention.ms=soon")
}

pub fn partitions(session: &Session) -> Outcome {
    let topic = session.new_topic(1, &[])?;
    create_partitions(session, &topic, 4)?;
    session.wait_partitions(&topic, 4)?;
    assert_equal(&session.send(&topic, &numbered(5, 3))?, &counted(0..5), "offsets in the new partition")?;
    assert_refused(create_partitions(session, &topic, 2), RDKafkaErrorCode::InvalidPartitions, "fewer partitions")
}

pub fn delete_records(session: &Session) -> Outcome {
    let topic = session.new_topic(1, &[])?;
    session.send(&topic, &numbered(100, 0))?;
    delete_before(session, &topic, 40)?;
    assert_equal(&watermarks(session, &topic, 0)?, &(40, 100), "offsets after the delete")?;
    let first = session.read(&topic, &[(0, 40)], 1)?;
    assert_equal(&first[0].value, &Some(b"0-40".to_vec()), "the first record left")?;
    assert_refused(delete_before(session, &topic, 1_000), RDKafkaErrorCode::OffsetOutOfRange, "delete beyond the end")
}

pub fn offsets(session: &Session) -> Outcome {
    let topic = session.new_topic(2, &[])?;
    assert_equal(&watermarks(session, &topic, 1)?, &(0, 0), "offsets of an empty partition")?;
    session.send(&topic, &numbered(70, 1))?;
    assert_equal(&watermarks(session, &topic, 1)?, &(0, 70), "offsets of 70 records")?;
    assert_equal(&watermarks(session, &topic, 0)?, &(0, 0), "offsets of the other partition")
}

pub fn recreate(session: &Session) -> Outcome {
    let topic = session.new_topic(2, &[])?;
    session.send(&topic, &numbered(20, 0))?;
    for _ in 0..if session.full { 3 } else { 1 } {
        session.delete_topic(&topic)?;
        session.wait_partitions(&topic, 0)?;
        session.create_topic(&topic, 1, &[])?;
        session.wait_partitions(&topic, 1)?;
        let new = Outgoing { value: Some(b"new".to_vec()), ..Outgoing::default() };
        assert_equal(&session.send(&topic, &[new])?, &vec![0], "the first offset of the new topic")?;
        let got = session.read(&topic, &[(0, 0)], 1)?;
        assert_equal(&got[0].value, &Some(b"new".to_vec()), "the record of the new topic")?;
    }
    Ok(())
}

fn config(session: &Session, topic: &str, name: &str) -> Outcome<Option<String>> {
    let answers = session.wait(session.admin()?.describe_configs(&[ResourceSpecifier::Topic(topic)], &options()))?;
    let Some(answer) = answers.into_iter().next() else {
        return failed("no answer about the topic's configs");
    };
    let resource = answer.map_err(KafkaError::AdminOp)?;
    Ok(resource.get(name).and_then(|entry| entry.value.clone()))
}

fn alter(session: &Session, topic: &str, entries: &[(&str, &str)]) -> Outcome {
    let request = entries
        .iter()
        .fold(AlterConfig::new(ResourceSpecifier::Topic(topic)), |request, (name, value)| request.set(name, value));
    let answers = session.wait(session.admin()?.alter_configs([&request], &options()))?;
    for answer in answers {
        if let Err((_, code)) = answer {
            return Err(KafkaError::AdminOp(code).into());
        }
    }
    Ok(())
}

fn create_partitions(session: &Session, topic: &str, total: usize) -> Outcome {
    let answers = session.wait(session.admin()?.create_partitions([&NewPartitions::new(topic, total)], &options()))?;
    first_error(answers)
}

fn delete_before(session: &Session, topic: &str, before: i64) -> Outcome {
    let mut asked = TopicPartitionList::new();
    asked.add_partition_offset(topic, 0, Offset::Offset(before))?;
    let answers = session.wait(session.admin()?.delete_records(&asked, &options()))?;
    for one in answers.elements() {
        one.error()?;
    }
    Ok(())
}

fn watermarks(session: &Session, topic: &str, partition: i32) -> Outcome<(i64, i64)> {
    Ok(session.reader(&[])?.fetch_watermarks(topic, partition, WAIT)?)
}
