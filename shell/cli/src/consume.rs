//! `consume`: reads partitions from their leaders and prints the records. Records of transactions
//! that are still open or were aborted are printed too (isolation level `read_uncommitted`).

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use chronik_model::batch::{BatchError, BatchView, batches, records};
use chronik_model::compression::{DecompressLimits, Decompressor};
use chronik_model::{ErrorCode, NodeId, Offset, PartitionIndex, TopicName};
use chronik_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use chronik_protocol::messages::fetch_response::PartitionData;
use chronik_protocol::messages::{BrokerId, FetchRequest};

use crate::args::{ConsumeArgs, GlobalArgs, OutputFormat, RecordFormat, StartOffset};
use crate::client::{Client, IfMissing, Target, no_such_partition, wire_name};
use crate::error::{CliError, is_transient};
use crate::member::{Member, Standing};
use crate::offsets::{EARLIEST, LATEST, list_offset};
use crate::record_format::write_record;
use crate::retry::Retry;

/// Runs `consume` until its count, its end or its timeout is reached; for ever without any of them.
pub(crate) fn run(
    args: &ConsumeArgs,
    client: &mut Client,
    globals: &GlobalArgs,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let format = match globals.output {
        OutputFormat::Json => RecordFormat::Json,
        OutputFormat::Table => args.format,
    };
    let mut consumer = Consumer {
        args,
        client,
        format,
        out,
        positions: BTreeMap::new(),
        printed: 0,
        scratch: Decompressor::new(),
        retry: None,
        member: args
            .group
            .as_ref()
            .map(|group| Member::new(group, &args.topic)),
        next_commit: Instant::now() + COMMIT_INTERVAL,
    };
    consumer.join()?;
    let read = consumer.read(globals.timeout);
    // What was printed counts as consumed, also when reading ended with a failure.
    let left = consumer.leave();
    read.and(left)
}

/// The reading of one topic.
struct Consumer<'a> {
    args: &'a ConsumeArgs,
    client: &'a mut Client,
    format: RecordFormat,
    out: &'a mut dyn Write,
    positions: BTreeMap<PartitionIndex, Position>,
    printed: u64,
    scratch: Decompressor,
    /// Attempts since a leader last answered as it should.
    retry: Option<Retry>,
    /// The group that shares the partitions, if any.
    member: Option<Member>,
    next_commit: Instant,
}

/// How far a partition was read.
#[derive(Debug, Clone, Copy)]
struct Position {
    next: Offset,
    /// Where to stop, if reading ends at the end.
    end: Option<Offset>,
    /// Whether anything was read: an offset that is out of range now was deleted meanwhile.
    started: bool,
    /// What the group knows.
    committed: Offset,
}

impl Position {
    fn is_at_end(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }
}

impl Consumer<'_> {
    /// Joins the group if there is one, and finds out where to read.
    fn join(&mut self) -> Result<(), CliError> {
        self.positions.clear();
        let Some(mut member) = self.member.take() else {
            return self.find_positions();
        };
        let joined = self.join_as(&mut member);
        self.member = Some(member);
        joined
    }

    fn join_as(&mut self, member: &mut Member) -> Result<(), CliError> {
        self.client.topic(&self.args.topic, IfMissing::Fail)?;
        let partitions = member.join(self.client)?;
        let committed = member.committed(self.client, &partitions)?;
        for index in partitions {
            self.start_at(index, committed.get(&index).copied())?;
        }
        Ok(())
    }

    /// Stays in the group: heartbeats, commits what was printed, and joins again when told to.
    fn keep_membership(&mut self) -> Result<(), CliError> {
        let Some(mut member) = self.member.take() else {
            return Ok(());
        };
        let mut standing = member.heartbeat(self.client)?;
        if Instant::now() >= self.next_commit || standing == Standing::Rejoin {
            let committed = self.commit(&mut member)?;
            if committed == Standing::Rejoin {
                standing = Standing::Rejoin;
            }
        }
        self.member = Some(member);
        match standing {
            Standing::Member => Ok(()),
            Standing::Rejoin => self.join(),
        }
    }

    fn commit(&mut self, member: &mut Member) -> Result<Standing, CliError> {
        self.next_commit = Instant::now() + COMMIT_INTERVAL;
        let changed = self
            .positions
            .iter_mut()
            .filter(|(_, it)| it.next != it.committed);
        let offsets: BTreeMap<_, _> = changed
            .map(|(index, position)| {
                position.committed = position.next;
                (*index, position.next)
            })
            .collect();
        if offsets.is_empty() {
            return Ok(Standing::Member);
        }
        member.commit(self.client, &offsets)
    }

    fn leave(&mut self) -> Result<(), CliError> {
        self.out.flush()?;
        let Some(mut member) = self.member.take() else {
            return Ok(());
        };
        let committed = self.commit(&mut member);
        member.leave(self.client);
        committed.map(|_standing| ())
    }

    fn find_positions(&mut self) -> Result<(), CliError> {
        let topic = self.client.topic(&self.args.topic, IfMissing::Fail)?;
        let all: Vec<_> = topic
            .partitions
            .iter()
            .map(|partition| partition.index)
            .collect();
        for wanted in &self.args.partition {
            if !all.contains(wanted) {
                return Err(no_such_partition(&topic, *wanted));
            }
        }
        let wanted = if self.args.partition.is_empty() {
            &all
        } else {
            &self.args.partition
        };
        for index in wanted {
            self.start_at(*index, None)?;
        }
        Ok(())
    }

    /// Starts a partition where its group left off, or else where the arguments say.
    fn start_at(
        &mut self,
        index: PartitionIndex,
        committed: Option<Offset>,
    ) -> Result<(), CliError> {
        let end = match self.args.exit_at_end {
            true => Some(self.list_offset(index, LATEST)?),
            false => None,
        };
        let next = match (committed, self.args.start()) {
            (Some(offset), _) | (None, StartOffset::At(offset)) => offset,
            (None, StartOffset::Earliest) => self.list_offset(index, EARLIEST)?,
            (None, StartOffset::Latest) => self.list_offset(index, LATEST)?,
        };
        let position = Position {
            next,
            end,
            // A group's offset was reached by reading, once.
            started: committed.is_some(),
            committed: committed.unwrap_or(NOTHING_COMMITTED),
        };
        self.positions.insert(index, position);
        Ok(())
    }

    fn read(&mut self, idle_limit: Option<Duration>) -> Result<(), CliError> {
        let mut last_record = Instant::now();
        loop {
            if self.is_done() || self.at_end() {
                return Ok(());
            }
            let idle = last_record.elapsed();
            if idle_limit.is_some_and(|limit| idle >= limit) {
                return self.ended_idle(idle_limit.unwrap_or(idle));
            }
            // Brokers answer within half of the time after which they count as lost.
            let longest = MAX_WAIT.min(self.client.timeout() / 2);
            let wait = idle_limit.map_or(longest, |limit| limit.saturating_sub(idle).min(longest));
            if self.read_round(wait)? {
                last_record = Instant::now();
            }
            self.out.flush()?;
            self.keep_membership()?;
        }
    }

    /// Whether reading ends at the ends, and is there.
    fn at_end(&self) -> bool {
        let mut positions = self.positions.values();
        self.args.exit_at_end && positions.all(Position::is_at_end)
    }

    /// Running out of time is a failure only for those who wanted a number of records.
    fn ended_idle(&self, limit: Duration) -> Result<(), CliError> {
        let Some(count) = self.args.count else {
            return Ok(());
        };
        let (printed, topic, seconds) = (self.printed, &self.args.topic, limit.as_secs_f64());
        Err(CliError::Refused {
            what: format!("read {count} records from {topic}"),
            why: format!("{printed} arrived, and none for {seconds} s"),
            next: match self.args.start() {
                StartOffset::Latest => ". Older records need --from-beginning".into(),
                StartOffset::Earliest | StartOffset::At(_) => "".into(),
            },
        })
    }

    /// Asks every leader once; whether records came.
    fn read_round(&mut self, wait: Duration) -> Result<bool, CliError> {
        let mut by_leader: BTreeMap<NodeId, Vec<PartitionIndex>> = BTreeMap::new();
        let unfinished = self.positions.iter().filter(|(_, it)| !it.is_at_end());
        for (index, _) in unfinished {
            let leader = self.client.leader(&self.args.topic, *index)?;
            by_leader.entry(leader).or_default().push(*index);
        }
        if by_leader.is_empty() {
            // A member without partitions waits for its share.
            std::thread::sleep(wait);
        }
        // The leaders are asked one after the other, so that each may wait its share only.
        let leaders = u32::try_from(by_leader.len()).unwrap_or(u32::MAX).max(1);
        let mut found = false;
        for (leader, indexes) in by_leader {
            let request = self.fetch_request(&indexes, wait / leaders);
            match self.client.call(Target::Broker(leader), &request) {
                Ok(answer) => {
                    if answer.error_code != ErrorCode::None.code() {
                        self.try_again(answer.error_code)?;
                    }
                    for partition in answer.responses.iter().flat_map(|topic| &topic.partitions) {
                        found |= self.take(partition)?;
                    }
                }
                // Reading twice does no harm: any broken connection may be tried again.
                Err(CliError::Connect { .. } | CliError::Lost { .. }) if self.pause() => {}
                Err(error) => return Err(error),
            }
            if self.is_done() {
                break;
            }
        }
        Ok(found)
    }

    fn list_offset(&mut self, index: PartitionIndex, timestamp: i64) -> Result<Offset, CliError> {
        list_offset(self.client, &self.args.topic, index, timestamp)
    }

    fn fetch_request(&self, indexes: &[PartitionIndex], wait: Duration) -> FetchRequest {
        let mut topic = FetchTopic::default();
        topic.topic = wire_name(&self.args.topic);
        for index in indexes {
            let Some(position) = self.positions.get(index) else {
                continue;
            };
            let mut partition = FetchPartition::default();
            partition.partition = index.0;
            partition.fetch_offset = position.next.0;
            partition.partition_max_bytes = PARTITION_MAX_BYTES;
            topic.partitions.push(partition);
        }
        let mut request = FetchRequest::default();
        request.replica_id = BrokerId(-1);
        request.max_wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        request.min_bytes = 1;
        request.max_bytes = FETCH_MAX_BYTES;
        request.session_epoch = NO_SESSION;
        request.topics = vec![topic];
        request
    }

    /// Prints what a partition sent and moves its position; whether there were records.
    fn take(&mut self, data: &PartitionData) -> Result<bool, CliError> {
        let index = PartitionIndex(data.partition_index);
        let Some(mut position) = self.positions.get(&index).copied() else {
            return Ok(false);
        };
        if data.error_code == ErrorCode::OffsetOutOfRange.code() {
            return self.out_of_range(index, position).map(|()| false);
        }
        if data.error_code != ErrorCode::None.code() {
            return self.try_again(data.error_code).map(|()| false);
        }
        self.retry = None;
        position.started = true;
        let printed_before = self.printed;
        for batch in batches(data.records.as_deref().unwrap_or_default()) {
            let unreadable = unreadable(&self.args.topic, index, position.next);
            let batch = batch.map_err(unreadable)?;
            batch.check_crc().map_err(unreadable)?;
            let next = self.print_batch(index, position, &batch)?;
            position.next = position.next.max(next);
            if self.is_done() {
                break;
            }
        }
        self.positions.insert(index, position);
        Ok(self.printed > printed_before)
    }

    /// Prints the records from the position to the end, and returns where to go on; a batch may begin
    /// before the one and end after the other. Control records are for brokers and clients, not for
    /// people.
    fn print_batch(
        &mut self,
        index: PartitionIndex,
        position: Position,
        batch: &BatchView<'_>,
    ) -> Result<Offset, CliError> {
        let behind = batch.header().next_offset();
        if batch.header().is_control() {
            return Ok(behind);
        }
        let unreadable = unreadable(&self.args.topic, index, position.next);
        for record in records(batch, &mut self.scratch, DECOMPRESS_LIMITS).map_err(unreadable)? {
            let record = record.map_err(unreadable)?;
            let at_end = position.end.is_some_and(|end| record.offset >= end);
            if at_end || self.args.count.is_some_and(|count| self.printed >= count) {
                // A group goes on with the first record that was not printed.
                return Ok(record.offset);
            }
            if record.offset >= position.next {
                write_record(&self.args.topic, index, &record, self.format, self.out)?;
                self.printed += 1;
            }
        }
        Ok(behind)
    }

    /// An offset given by the person is wrong; one reached by reading was deleted by retention,
    /// and reading goes on with the oldest record there is.
    fn out_of_range(&mut self, index: PartitionIndex, position: Position) -> Result<(), CliError> {
        let start = self.list_offset(index, EARLIEST)?;
        if position.started {
            self.positions.insert(
                index,
                Position {
                    next: start,
                    ..position
                },
            );
            return Ok(());
        }
        let end = self.list_offset(index, LATEST)?;
        let (topic, index, next) = (&self.args.topic, index.0, position.next);
        Err(CliError::Usage(format!(
            "offset {next} is outside of {topic} [{index}], which has {start} to {end}. Start at \
             one of these, or at --offset earliest or latest"
        )))
    }

    /// Pauses after a code that passes; fails with every other, or when the time is used up.
    fn try_again(&mut self, code: i16) -> Result<(), CliError> {
        if is_transient(code) && self.pause() {
            return Ok(());
        }
        Err(CliError::refused(
            format!("read topic {}", self.args.topic),
            code,
            None,
        ))
    }

    fn pause(&mut self) -> bool {
        self.client.forget_topic(&self.args.topic);
        let timeout = self.client.timeout();
        self.retry
            .get_or_insert_with(|| Retry::within(timeout))
            .again()
    }

    fn is_done(&self) -> bool {
        self.args.count.is_some_and(|count| self.printed >= count)
    }
}

/// Makes errors about bytes that are no batches.
fn unreadable(
    topic: &TopicName,
    index: PartitionIndex,
    offset: Offset,
) -> impl Fn(BatchError) -> CliError + Copy {
    move |error| CliError::Refused {
        what: format!("read {topic} [{}] from offset {offset}", index.0),
        why: error.to_string(),
        next: "".into(),
    }
}

/// Fetch without a session (KIP-227): every request names its partitions.
const NO_SESSION: i32 = -1;
/// Before the first commit: differs from every offset that can be committed.
const NOTHING_COMMITTED: Offset = Offset(-1);
/// Records that were printed since the last commit are printed again after a crash.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// How long brokers wait for a record to arrive.
const MAX_WAIT: Duration = Duration::from_millis(500);
const PARTITION_MAX_BYTES: i32 = 1 << 20;
const FETCH_MAX_BYTES: i32 = 16 << 20;
/// Far above `max.message.bytes` of any sane topic, far below a machine's memory.
const DECOMPRESS_LIMITS: DecompressLimits = DecompressLimits {
    max_bytes: 256 << 20,
    max_ratio: 1_024,
};
