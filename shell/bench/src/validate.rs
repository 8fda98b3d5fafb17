//! Reading back: is everything there that was acknowledged, once and in order?

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chronik_cli::{CliError, Client, EARLIEST, LATEST, Target, list_offset, wire_name};
use chronik_model::batch::{BatchError, BatchView, batches, records};
use chronik_model::compression::{DecompressLimits, Decompressor};
use chronik_model::{ErrorCode, Offset, PartitionIndex, TopicName};
use chronik_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use chronik_protocol::messages::{BrokerId, FetchRequest, FetchResponse};
use serde::Serialize;

use crate::failure::Failure;
use crate::payload::Stamp;
use crate::run::Sent;
use crate::units::{count, grouped};

/// What reading back found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    /// Records that were acknowledged.
    pub(crate) acknowledged: u64,
    /// Records of this run that are in the topic.
    pub(crate) read: u64,
    /// Acknowledged, and not there.
    pub(crate) lost: u64,
    /// There again after the first time.
    pub(crate) doubled: u64,
    /// Behind a record in the same partition that the same worker sent later.
    pub(crate) out_of_order: u64,
    /// There without an acknowledgement, which is no fault.
    pub(crate) unacknowledged: u64,
    /// The first few that were lost, as worker/sequence.
    pub(crate) first_lost: Vec<String>,
}

impl Verdict {
    /// Whether the cluster kept its word.
    pub(crate) const fn is_good(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.out_of_order == 0
    }

    /// In one line.
    pub(crate) fn describe(&self, idempotent: bool) -> String {
        let number = |n: u64| grouped(count(n));
        let mut text = format!(
            "{} acknowledged, {} read back: {} lost, {} doubled, {} out of order",
            number(self.acknowledged),
            number(self.read),
            number(self.lost),
            number(self.doubled),
            number(self.out_of_order)
        );
        if !self.first_lost.is_empty() {
            text.push_str(&format!(
                "; lost first (worker/record): {}",
                self.first_lost.join(" ")
            ));
        }
        if self.doubled + self.out_of_order > 0 && !idempotent {
            text.push_str("; without --idempotent the client's own retries can do that");
        }
        text
    }
}

/// What was sent against what is there.
#[derive(Debug)]
pub(crate) struct Ledger {
    run: u64,
    workers: Vec<Worker>,
    read: u64,
    doubled: u64,
    out_of_order: u64,
}

#[derive(Debug, Default)]
struct Worker {
    sent: u64,
    unacknowledged: BTreeSet<u64>,
    /// One bit for every sequence number.
    seen: Vec<u64>,
    /// The last sequence number in each partition.
    last: BTreeMap<PartitionIndex, u64>,
}

impl Ledger {
    /// What the workers of a run sent.
    pub(crate) fn new(run: u64, sent: &[Sent]) -> Self {
        let worker = |sent: &Sent| Worker {
            sent: sent.records,
            unacknowledged: sent.unacknowledged.iter().copied().collect(),
            ..Worker::default()
        };
        Self {
            run,
            workers: sent.iter().map(worker).collect(),
            read: 0,
            doubled: 0,
            out_of_order: 0,
        }
    }

    /// Takes note of a record, in the order of its partition. Those of other runs are passed over.
    pub(crate) fn read(&mut self, partition: PartitionIndex, value: &[u8]) {
        let Some(stamp) = Stamp::read(value).filter(|stamp| stamp.run == self.run) else {
            return;
        };
        let worker = usize::try_from(stamp.worker).ok();
        let Some(worker) = worker.and_then(|index| self.workers.get_mut(index)) else {
            return;
        };
        self.read += 1;
        if worker.see(stamp.sequence) {
            self.doubled += 1;
            return;
        }
        let last = worker.last.entry(partition).or_insert(stamp.sequence);
        self.out_of_order += u64::from(stamp.sequence < *last);
        *last = stamp.sequence.max(*last);
    }

    /// What is wrong, once everything was read.
    pub(crate) fn verdict(&self) -> Verdict {
        let mut verdict = Verdict {
            read: self.read,
            doubled: self.doubled,
            out_of_order: self.out_of_order,
            ..Verdict::default()
        };
        for (index, worker) in self.workers.iter().enumerate() {
            verdict.acknowledged += worker.sent - worker.unacknowledged.len() as u64;
            for sequence in 0..worker.sent {
                match (
                    worker.saw(sequence),
                    worker.unacknowledged.contains(&sequence),
                ) {
                    (true, true) => verdict.unacknowledged += 1,
                    (false, false) => {
                        verdict.lost += 1;
                        if verdict.first_lost.len() < NAMED {
                            verdict.first_lost.push(format!("{index}/{sequence}"));
                        }
                    }
                    (true, false) | (false, true) => {}
                }
            }
        }
        verdict
    }
}

impl Worker {
    /// Marks a sequence number; whether it was marked before.
    fn see(&mut self, sequence: u64) -> bool {
        let Ok(at) = usize::try_from(sequence / 64) else {
            return false;
        };
        if sequence >= self.sent {
            return false;
        }
        if at >= self.seen.len() {
            self.seen.resize(at + 1, 0);
        }
        let Some(word) = self.seen.get_mut(at) else {
            return false;
        };
        let bit = 1 << (sequence % 64);
        let before = *word & bit != 0;
        *word |= bit;
        before
    }

    fn saw(&self, sequence: u64) -> bool {
        let word = usize::try_from(sequence / 64).ok();
        word.and_then(|at| self.seen.get(at))
            .is_some_and(|word| word & (1 << (sequence % 64)) != 0)
    }
}

/// Reads all partitions of a topic into a ledger, from where each began before the run.
///
/// # Errors
/// A cluster that does not answer for the client's timeout, or says no.
pub(crate) fn read_back(
    client: &mut Client,
    topic: &TopicName,
    begins: &[(PartitionIndex, Offset)],
    ledger: &mut Ledger,
) -> Result<(), Failure> {
    for (index, begin) in begins {
        let mut reader = PartitionReader {
            client,
            topic,
            index: *index,
            next: *begin,
            end: Offset(0),
            scratch: Decompressor::new(),
        };
        reader.read(ledger)?;
    }
    Ok(())
}

struct PartitionReader<'a> {
    client: &'a mut Client,
    topic: &'a TopicName,
    index: PartitionIndex,
    next: Offset,
    end: Offset,
    scratch: Decompressor,
}

impl PartitionReader<'_> {
    fn read(&mut self, ledger: &mut Ledger) -> Result<(), Failure> {
        self.end = list_offset(self.client, self.topic, self.index, LATEST)?;
        let mut progress = Instant::now();
        while self.next < self.end {
            let leader = self.client.leader(self.topic, self.index)?;
            let answer = self.client.call(Target::Broker(leader), &self.request())?;
            let before = self.next;
            self.take(&answer, ledger)?;
            if self.next > before {
                progress = Instant::now();
            } else if progress.elapsed() > self.client.timeout() {
                let (topic, index, next) = (self.topic, self.index.0, self.next);
                return Err(Failure::Unreachable(format!(
                    "nothing more comes from {topic} [{index}] at offset {next}, before its end {}",
                    self.end
                )));
            }
        }
        Ok(())
    }

    fn request(&self) -> FetchRequest {
        let mut partition = FetchPartition::default();
        partition.partition = self.index.0;
        partition.fetch_offset = self.next.0;
        partition.partition_max_bytes = FETCH_BYTES;
        let mut topic = FetchTopic::default();
        topic.topic = wire_name(self.topic);
        topic.partitions = vec![partition];
        let mut request = FetchRequest::default();
        request.replica_id = BrokerId(-1);
        request.max_wait_ms = WAIT_MS;
        request.min_bytes = 1;
        request.max_bytes = FETCH_BYTES;
        request.session_epoch = NO_SESSION;
        request.topics = vec![topic];
        request
    }

    fn take(&mut self, answer: &FetchResponse, ledger: &mut Ledger) -> Result<(), Failure> {
        let partition = answer.responses.iter().flat_map(|t| &t.partitions).next();
        let code = partition.map_or(answer.error_code, |partition| partition.error_code);
        match ErrorCode::from_code(code) {
            Some(ErrorCode::None) => {}
            Some(ErrorCode::OffsetOutOfRange) => return self.skip_deleted(),
            Some(code) if chronik_cli::is_transient(code.code()) => {
                self.client.forget_topic(self.topic);
                std::thread::sleep(PAUSE);
                return Ok(());
            }
            Some(_) | None => {
                let what = format!("read {} [{}] back", self.topic, self.index.0);
                return Err(CliError::refused(what, code, None).into());
            }
        }
        let bytes = partition.and_then(|partition| partition.records.as_deref());
        for batch in batches(bytes.unwrap_or_default()) {
            let next = batch.and_then(|batch| self.take_batch(&batch, ledger));
            self.next = next.map_err(|error| self.unreadable(&error))?;
        }
        Ok(())
    }

    fn take_batch(
        &mut self,
        batch: &BatchView<'_>,
        ledger: &mut Ledger,
    ) -> Result<Offset, BatchError> {
        batch.check_crc()?;
        if !batch.header().is_control() {
            for record in records(batch, &mut self.scratch, LIMITS)? {
                let record = record?;
                if record.offset >= self.next {
                    ledger.read(self.index, record.value.unwrap_or_default());
                }
            }
        }
        Ok(batch.header().next_offset().max(self.next))
    }

    /// Records were deleted while nobody looked: what is left is read, and the rest is found lost.
    fn skip_deleted(&mut self) -> Result<(), Failure> {
        let start = list_offset(self.client, self.topic, self.index, EARLIEST)?;
        self.end = list_offset(self.client, self.topic, self.index, LATEST)?;
        self.next = start.max(self.next + 1).min(self.end);
        Ok(())
    }

    fn unreadable(&self, error: &BatchError) -> Failure {
        let (topic, index, next) = (self.topic, self.index.0, self.next);
        Failure::Cluster(CliError::Refused {
            what: format!("read {topic} [{index}] back from offset {next}"),
            why: error.to_string(),
            next: "".into(),
        })
    }
}

/// Lost records that are named.
const NAMED: usize = 5;
const FETCH_BYTES: i32 = 8 << 20;
const WAIT_MS: i32 = 500;
const NO_SESSION: i32 = -1;
const PAUSE: Duration = Duration::from_millis(50);
const LIMITS: DecompressLimits = DecompressLimits {
    max_bytes: 256 << 20,
    max_ratio: 4_096,
};

#[cfg(test)]
mod tests {
    use super::{Ledger, Verdict};
    use crate::payload::{STAMP_BYTES, Stamp};
    use crate::run::Sent;
    use chronik_model::PartitionIndex;

    const RUN: u64 = 77;

    /// Workers sent `sent` records each, without an acknowledgement for `unacknowledged` of the
    /// first; `read` is (partition, worker, sequence).
    fn verdict(sent: &[u64], unacknowledged: &[u64], read: &[(i32, u32, u64)]) -> Verdict {
        let mut sent: Vec<Sent> = sent
            .iter()
            .map(|records| Sent {
                records: *records,
                unacknowledged: Vec::new(),
            })
            .collect();
        sent[0].unacknowledged = unacknowledged.to_vec();
        let mut ledger = Ledger::new(RUN, &sent);
        for (partition, worker, sequence) in read {
            let mut value = [0; STAMP_BYTES];
            let stamp = Stamp {
                run: RUN,
                worker: *worker,
                sequence: *sequence,
                sent_ns: 0,
            };
            stamp.write(&mut value);
            ledger.read(PartitionIndex(*partition), &value);
        }
        ledger.verdict()
    }

    #[test]
    fn every_kind_of_damage_is_found() {
        let check = |read: &[(i32, u32, u64)], lost, doubled, out_of_order| {
            let found = verdict(&[3], &[], read);
            let counts = (found.lost, found.doubled, found.out_of_order);
            assert_eq!(counts, (lost, doubled, out_of_order), "{read:?}");
            assert_eq!(found.is_good(), lost + doubled + out_of_order == 0);
        };
        check(&[(0, 0, 0), (0, 0, 1), (0, 0, 2)], 0, 0, 0);
        check(&[(0, 0, 1), (1, 0, 0), (0, 0, 2)], 0, 0, 0);
        check(&[(0, 0, 0), (0, 0, 2)], 1, 0, 0);
        check(&[], 3, 0, 0);
        check(&[(0, 0, 0), (0, 0, 1), (0, 0, 1), (0, 0, 2)], 0, 1, 0);
        check(&[(0, 0, 0), (1, 0, 0), (0, 0, 1), (0, 0, 2)], 0, 1, 0);
        check(&[(0, 0, 0), (0, 0, 2), (0, 0, 1)], 0, 0, 1);
    }

    #[test]
    fn workers_are_looked_at_one_by_one() {
        let found = verdict(&[2, 2], &[], &[(0, 1, 0), (0, 0, 0), (0, 1, 1)]);
        assert_eq!((found.lost, found.acknowledged, found.read), (1, 4, 3));
        assert_eq!(found.first_lost, ["0/1"]);
    }

    #[test]
    fn what_was_not_acknowledged_may_be_there_or_not() {
        let found = verdict(&[3], &[1, 2], &[(0, 0, 0), (0, 0, 1)]);
        assert!(found.is_good());
        assert_eq!((found.acknowledged, found.unacknowledged), (1, 1));
    }

    #[test]
    fn other_records_are_passed_over() {
        let mut ledger = Ledger::new(RUN, &[]);
        ledger.read(PartitionIndex(0), b"somebody else's");
        assert_eq!(ledger.verdict(), Verdict::default());
        assert_eq!(
            verdict(&[1], &[], &[(0, 0, 0), (0, 9, 0), (0, 0, 5)]).read,
            2
        );
    }
}
