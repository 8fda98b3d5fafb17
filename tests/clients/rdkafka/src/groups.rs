//! Consumer groups: sharing, resuming, fencing, and what is told about them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use crate::client::{Outgoing, Record, Session, assert_refused, options, record};
use crate::report::{Outcome, WAIT, assert_equal, failed, wait_for};

const PARTITIONS: i32 = 4;
const PER_PARTITION: usize = 25;
const POLL: Duration = Duration::from_millis(100);

/// Two members share a topic, then one has it alone again.
pub fn share(session: &Session, protocol: &str) -> Outcome {
    let topic = session.new_topic(PARTITIONS, &[])?;
    let config = member_config(session, &session.name("g"), &[("group.protocol", protocol)]);
    let early = fill(session, &topic, "alone", PARTITIONS)?;
    let first = Running::join(&config, &topic)?;
    wait_settled(&[&first])?;
    wait_records(&[&first], early.len())?;

    let second = Running::join(&config, &topic)?;
    wait_settled(&[&first, &second])?;
    let before = [first.count(), second.count()];
    let sent = fill(session, &topic, "shared", PARTITIONS)?;
    wait_records(&[&first, &second], before[0] + before[1] + sent.len())?;
    let parts = [first.records_from(before[0]), second.records_from(before[1])];
    if parts.iter().any(Vec::is_empty) {
        return failed("one member consumed everything");
    }
    assert_once(&parts.concat(), &sent, "shared by two")?;

    second.close()?;
    wait_settled(&[&first])?;
    let before = first.count();
    let last = fill(session, &topic, "alone again", PARTITIONS)?;
    wait_records(&[&first], before + last.len())?;
    assert_once(&first.records_from(before), &last, "alone again")?;
    first.close()
}

/// What a group committed before its broker was killed is what it goes on from.
pub fn resume(session: &Session) -> Outcome {
    let topic = session.new_topic(2, &[])?;
    let config = member_config(session, &session.name("g"), &[]);
    for label in ["before the restart", "after the restart"] {
        let sent = fill(session, &topic, label, 2)?;
        let member = Running::join(&config, &topic)?;
        wait_records(&[&member], sent.len())?;
        let records = member.records_from(0);
        member.close()?;
        assert_once(&records, &sent, label)?;
        if label.starts_with("before") {
            session.restart_broker()?;
        }
    }
    Ok(())
}

/// The second of two members with one instance id fences the first.
pub fn fenced(session: &Session) -> Outcome {
    let topic = session.new_topic(1, &[])?;
    let config = member_config(session, &session.name("g"), &[("group.instance.id", "the-one")]);
    let first = Running::join(&config, &topic)?;
    wait_for("the first member", || Ok((first.owned().len() == 1).then_some(())))?;
    let second = Running::join(&config, &topic)?;
    wait_for("the second member", || Ok((second.owned().len() == 1).then_some(())))?;
    let error = wait_for("the broker to refuse the first member", || Ok(first.error()))?;
    assert_refused::<()>(Err(error.into()), RDKafkaErrorCode::FencedInstanceId, "the error of the fenced member")?;
    let sent = fill(session, &topic, "after", 1)?;
    wait_records(&[&second], sent.len())?;
    second.close()
}

/// A group is listed, described and deleted.
pub fn admin(session: &Session) -> Outcome {
    let topic = session.new_topic(1, &[])?;
    let group = session.name("g");
    let sent = fill(session, &topic, "seen", 1)?;
    let member = Running::join(&member_config(session, &group, &[]), &topic)?;
    wait_records(&[&member], sent.len())?;
    let listed = session.reader(&[])?.fetch_group_list(None, WAIT)?;
    if !listed.groups().iter().any(|one| one.name() == group) {
        return failed("the group is not listed");
    }
    wait_for("the group to be stable", || Ok((describe(session, &group)? == ("Stable".to_owned(), 1)).then_some(())))?;
    assert_refused(delete(session, &group), RDKafkaErrorCode::NonEmptyGroup, "delete of a group with a member")?;
    member.close()?;

    let committed = committed(session, &group, &topic)?;
    assert_equal(&committed, &Offset::Offset(25), "the committed offset")?;
    wait_for("the group to be empty", || Ok((describe(session, &group)? == ("Empty".to_owned(), 0)).then_some(())))?;
    delete(session, &group)?;
    assert_refused(delete(session, &group), RDKafkaErrorCode::GroupIdNotFound, "delete of a group that is not there")
}

/// A member in a thread of its own: polls, and commits after every record, until it is closed.
#[derive(Debug)]
struct Running {
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    records: Vec<Record>,
    owned: BTreeSet<i32>,
    error: Option<KafkaError>,
}

impl Running {
    fn join(config: &ClientConfig, topic: &str) -> Outcome<Self> {
        let consumer: BaseConsumer = config.create()?;
        consumer.subscribe(&[topic])?;
        let state = Arc::new(Mutex::new(State::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (Arc::clone(&state), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Err(error) = poll(&consumer, &shared) {
                    locked(&shared).error = Some(error);
                    break;
                }
            }
        });
        Ok(Self { state, stop, thread: Some(thread) })
    }

    fn owned(&self) -> BTreeSet<i32> {
        locked(&self.state).owned.clone()
    }

    fn count(&self) -> usize {
        locked(&self.state).records.len()
    }

    fn records_from(&self, first: usize) -> Vec<Record> {
        locked(&self.state).records[first..].to_vec()
    }

    fn error(&self) -> Option<KafkaError> {
        locked(&self.state).error.clone()
    }

    /// Leaves the group.
    fn close(mut self) -> Outcome {
        self.end();
        self.error().map_or(Ok(()), |error| Err(error.into()))
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            eprintln!("a member panicked");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn poll(consumer: &BaseConsumer, state: &Mutex<State>) -> Result<(), KafkaError> {
    let polled = consumer.poll(POLL);
    let assignment = consumer.assignment()?;
    locked(state).owned = assignment.elements().iter().map(|one| one.partition()).collect();
    match polled {
        Some(Ok(message)) => {
            consumer.commit_message(&message, CommitMode::Sync)?;
            locked(state).records.push(record(&message));
            Ok(())
        }
        Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
            Err(consumer.client().fatal_error().map_or(error, |(code, _)| KafkaError::MessageConsumptionFatal(code)))
        }
        // The library repeats what it can.
        Some(Err(error)) => {
            eprintln!("poll: {error}");
            Ok(())
        }
        None => Ok(()),
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn member_config(session: &Session, group: &str, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = session.config(&[("auto.offset.reset", "earliest"), ("enable.auto.commit", "false")]);
    config.set("group.id", group);
    for (name, value) in settings {
        config.set(*name, *value);
    }
    // The new protocol leaves these to the broker.
    if !settings.contains(&("group.protocol", "consumer")) {
        config.set("session.timeout.ms", "10000").set("heartbeat.interval.ms", "1000");
    }
    config
}

/// Sends records to every partition; their values.
fn fill(session: &Session, topic: &str, label: &str, partitions: i32) -> Outcome<BTreeSet<Vec<u8>>> {
    let mut sent = BTreeSet::new();
    for partition in 0..partitions {
        let records: Vec<Outgoing> = (0..PER_PARTITION)
            .map(|number| Outgoing {
                value: Some(format!("{label} {partition} {number}").into_bytes()),
                partition,
                ..Outgoing::default()
            })
            .collect();
        session.send(topic, &records)?;
        sent.extend(records.into_iter().filter_map(|one| one.value));
    }
    Ok(sent)
}

/// Returns when the members own all partitions, each of them at least one, and none twice.
fn wait_settled(members: &[&Running]) -> Outcome {
    wait_for(&format!("{} members to share {PARTITIONS} partitions", members.len()), || {
        check(members)?;
        let owned: Vec<BTreeSet<i32>> = members.iter().map(|one| one.owned()).collect();
        let mut all: Vec<i32> = owned.iter().flatten().copied().collect();
        all.sort_unstable();
        let settled = owned.iter().all(|one| !one.is_empty()) && all == (0..PARTITIONS).collect::<Vec<_>>();
        Ok(settled.then_some(()))
    })
}

fn wait_records(members: &[&Running], count: usize) -> Outcome {
    wait_for(&format!("{count} records for {} members", members.len()), || {
        check(members)?;
        Ok((members.iter().map(|one| one.count()).sum::<usize>() >= count).then_some(()))
    })
}

fn check(members: &[&Running]) -> Outcome {
    members.iter().find_map(|one| one.error()).map_or(Ok(()), |error| Err(error.into()))
}

/// Every expected value is there once, and nothing else.
fn assert_once(records: &[Record], expected: &BTreeSet<Vec<u8>>, what: &str) -> Outcome {
    let mut counts: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for one in records {
        *counts.entry(one.value.clone().unwrap_or_default()).or_default() += 1;
    }
    let missing = expected.iter().filter(|value| !counts.contains_key(*value)).count();
    let doubled = counts.values().filter(|times| **times > 1).count();
    let foreign = counts.keys().filter(|value| !expected.contains(*value)).count();
    if missing + doubled + foreign == 0 {
        return Ok(());
    }
    failed(format!("{what}: {missing} missing, {doubled} consumed more than once, {foreign} not expected"))
}

/// State and number of members.
fn describe(session: &Session, group: &str) -> Outcome<(String, usize)> {
    let list = session.reader(&[])?.fetch_group_list(Some(group), WAIT)?;
    match list.groups().first() {
        Some(found) => Ok((found.state().to_owned(), found.members().len())),
        None => failed("the group is not described"),
    }
}

fn delete(session: &Session, group: &str) -> Outcome {
    for answer in session.wait(session.admin()?.delete_groups(&[group], &options()))? {
        if let Err((_, code)) = answer {
            return Err(KafkaError::AdminOp(code).into());
        }
    }
    Ok(())
}

fn committed(session: &Session, group: &str, topic: &str) -> Outcome<Offset> {
    let reader: BaseConsumer = session.config(&[("group.id", group)]).create()?;
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, 0);
    let found = reader.committed_offsets(asked, WAIT)?;
    found.elements().first().map_or_else(|| failed("no answer"), |one| Ok(one.offset()))
}
