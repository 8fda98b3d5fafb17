//! The group coordinators of the partitions of `__consumer_offsets` that this shard owns: each is
//! loaded from its partition, asked, and its records are appended there. Its replies leave when
//! everything in the partition at that moment is below the high watermark, so that none tells of
//! what a crash could take back.

mod load;
mod status;

use std::collections::{BTreeMap, VecDeque};

use chronik_controller::MetadataDelta;
use chronik_coordinator::{
    GroupConfig, GroupCoordinator, GroupRequest, GroupResponse, Outcome, Record, Waiter,
};
use chronik_model::batch::{BatchBuilder, BatchHeader, BatchSpec, BuildError};
use chronik_model::{ErrorCode, Mono, Now, Offset, TopicPartition, mutant};
use chronik_storage::LogSlot;
use chronik_storage::store::Append;
use rustc_hash::FxHashMap;

use super::{Shard, ShardOutputs};
use crate::messages::{PartitionAnswer, ShardReply, Ticket};
use crate::view::{ClusterView, ViewTopics};
pub use status::{Ahead, GroupCursor};

/// The topic in which groups are kept.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// The coordinators of one shard.
#[derive(Debug, Default)]
pub(super) struct Groups {
    hosted: BTreeMap<LogSlot, Hosted>,
    /// Who asked, by the number that the coordinator knows.
    waiters: BTreeMap<Waiter, Asked>,
    next_waiter: u64,
    /// Reads of partitions that are being loaded, on their way to the disk.
    loads: FxHashMap<u64, LogSlot>,
}

/// A question to a coordinator.
#[derive(Debug, Clone, Copy)]
struct Asked {
    slot: LogSlot,
    ticket: Ticket,
    part: u32,
}

/// The coordinator of one partition.
#[derive(Debug)]
struct Hosted {
    coordinator: GroupCoordinator,
    state: State,
    /// Replies in order of the high watermark that they wait for.
    parked: VecDeque<(Offset, Waiter, GroupResponse)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Records before `next` are replayed; those before `end` will be.
    Loading { next: Offset, end: Offset },
    /// It answers.
    Ready,
    /// Its partition can not be read.
    Failed,
}

/// What a coordinator is stepped with.
enum Step<'a> {
    Loaded,
    Request(Waiter, Box<GroupRequest>),
    TopicsChanged(&'a [String]),
    Tick,
}

impl Groups {
    /// When a coordinator wants a tick.
    pub(super) fn deadline(&self) -> Option<Mono> {
        let ready = self
            .hosted
            .values()
            .filter(|hosted| hosted.state == State::Ready);
        ready
            .filter_map(|hosted| hosted.coordinator.deadline())
            .min()
    }

    fn ready(&self) -> Vec<LogSlot> {
        let ready = self
            .hosted
            .iter()
            .filter(|(_, hosted)| hosted.state == State::Ready);
        ready.map(|(slot, _)| *slot).collect()
    }

    fn wait(&mut self, asked: Asked) -> Waiter {
        let waiter = Waiter(self.next_waiter);
        self.next_waiter += 1;
        self.waiters.insert(waiter, asked);
        waiter
    }

    /// Answers everybody who waits for the coordinator of `slot`, or of any slot.
    fn fail(&mut self, slot: Option<LogSlot>, error: ErrorCode, out: &mut ShardOutputs) {
        let failed = self
            .waiters
            .extract_if(.., |_, asked| slot.is_none_or(|slot| slot == asked.slot));
        for (_, asked) in failed {
            out.replies
                .push(asked.answer(PartitionAnswer::Failed(error)));
        }
    }
}

impl Asked {
    const fn answer(self, answer: PartitionAnswer) -> ShardReply {
        ShardReply::Partition {
            ticket: self.ticket,
            part: self.part,
            answer,
        }
    }
}

impl Shard {
    /// Takes a request to the coordinator of a partition.
    pub(super) fn ask_group(
        &mut self,
        now: Now,
        (ticket, part): (Ticket, u32),
        partition: TopicPartition,
        request: Box<GroupRequest>,
        out: &mut ShardOutputs,
    ) {
        match self.accept_group_request(partition, &request) {
            Ok(slot) => {
                let waiter = self.groups.wait(Asked { slot, ticket, part });
                self.step_groups(now, slot, Step::Request(waiter, request), out);
            }
            Err(error) => out.replies.push(ShardReply::Partition {
                ticket,
                part,
                answer: PartitionAnswer::Failed(error),
            }),
        }
    }

    /// The coordinator that can take the request now.
    fn accept_group_request(
        &self,
        partition: TopicPartition,
        request: &GroupRequest,
    ) -> Result<LogSlot, ErrorCode> {
        let slot = self
            .slots
            .get(&partition)
            .ok_or(ErrorCode::NotCoordinator)?;
        let hosted = self
            .groups
            .hosted
            .get(slot)
            .ok_or(ErrorCode::NotCoordinator)?;
        match hosted.state {
            State::Loading { .. } if !mutant!(AnswersBeforeLoaded) => {
                Err(ErrorCode::CoordinatorLoadInProgress)
            }
            State::Failed => Err(ErrorCode::CoordinatorNotAvailable),
            State::Ready if writes(request) && self.store.check_writable(*slot).is_err() => {
                Err(ErrorCode::CoordinatorNotAvailable)
            }
            State::Ready | State::Loading { .. } => Ok(*slot),
        }
    }

    /// Starts the coordinator of a partition of `__consumer_offsets`; it is loaded with
    /// [`Shard::load_groups`].
    pub(super) fn host_groups(&mut self, slot: LogSlot, view: &ClusterView) {
        let Some((log, partition)) = self.store.log(slot).zip(self.partition_of(slot)) else {
            return;
        };
        let index = u64::from(partition.partition.partition.0.unsigned_abs());
        let mut seed = chronik_model::rng::Rng::new(self.config.seed.wrapping_add(index));
        let hosted = Hosted {
            coordinator: GroupCoordinator::new(self.group_config(view), seed.next_u64()),
            state: State::Loading {
                next: log.log_start,
                end: log.log_end - i64::from(mutant!(GroupLoadStopsShort)),
            },
            parked: VecDeque::new(),
        };
        self.groups.hosted.insert(slot, hosted);
    }

    fn group_config(&self, view: &ClusterView) -> GroupConfig {
        let groups = &view.broker.groups;
        GroupConfig {
            min_session_timeout_ms: groups.min_session_timeout_ms,
            max_session_timeout_ms: groups.max_session_timeout_ms,
            initial_rebalance_delay_ms: groups.initial_rebalance_delay_ms,
            max_size: groups.max_size,
            offset_metadata_max_bytes: groups.offset_metadata_max_bytes,
            offsets_retention_ms: groups.offsets_retention_ms,
            offsets_retention_check_interval_ms: groups.offsets_retention_check_interval_ms,
            consumer_session_timeout_ms: groups.consumer_session_timeout_ms,
            consumer_heartbeat_interval_ms: groups.consumer_heartbeat_interval_ms,
            consumer_max_size: groups.consumer_max_size,
            consumer_assignors: groups.consumer_assignors.clone(),
            allow_upgrade: groups.consumer_migration.allows_upgrade(),
            allow_downgrade: groups.consumer_migration.allows_downgrade(),
            regex_refresh_interval_ms: groups.consumer_regex_refresh_interval_ms,
            max_batch_bytes: self.max_group_batch_bytes(),
        }
    }

    /// Kafka bounds a batch of the topic by `max.message.bytes`, which is 1 MiB there.
    fn max_group_batch_bytes(&self) -> usize {
        const OFFSETS_BATCH_BYTES: usize = 1 << 20;
        self.config.max_batch_bytes.min(OFFSETS_BATCH_BYTES)
    }

    /// Tells the coordinators of new settings and of topics that changed.
    pub(super) fn groups_see(
        &mut self,
        now: Now,
        view: &ClusterView,
        delta: &MetadataDelta,
        out: &mut ShardOutputs,
    ) {
        if !delta.broker_configs_changed.is_empty() {
            let config = self.group_config(view);
            for hosted in self.groups.hosted.values_mut() {
                hosted.coordinator.configure(config.clone());
            }
        }
        if !delta.topics_changed() {
            return;
        }
        // A name that was deleted and is there again is another topic: its offsets go as well.
        let deleted = delta.topics_deleted.values();
        let deleted: Vec<String> = deleted.map(|topic| topic.name.to_string()).collect();
        for slot in self.groups.ready() {
            self.step_groups(now, slot, Step::TopicsChanged(&deleted), out);
        }
    }

    /// Does what is due in any coordinator.
    pub(super) fn tick_groups(&mut self, now: Now, out: &mut ShardOutputs) {
        for slot in self.groups.ready() {
            let deadline = self
                .groups
                .hosted
                .get(&slot)
                .and_then(|hosted| hosted.coordinator.deadline());
            if deadline.is_some_and(|at| at <= now.mono) {
                self.step_groups(now, slot, Step::Tick, out);
            }
        }
    }

    fn step_groups(&mut self, now: Now, slot: LogSlot, step: Step<'_>, out: &mut ShardOutputs) {
        let Some(view) = self.view.clone() else {
            return;
        };
        let Some(hosted) = self.groups.hosted.get_mut(&slot) else {
            return;
        };
        let topics = ViewTopics(&view);
        let mut outcome = Outcome::default();
        let coordinator = &mut hosted.coordinator;
        match step {
            Step::Loaded => coordinator.loaded(now, &topics, &mut outcome),
            Step::Request(waiter, request) => {
                coordinator.handle(now, &topics, waiter, *request, &mut outcome);
            }
            Step::TopicsChanged(deleted) => {
                coordinator.topics_changed(now, &topics, deleted, &mut outcome);
            }
            Step::Tick => coordinator.tick(now, &topics, &mut outcome),
        }
        self.append_records(now, slot, &outcome.records, out);
        self.park_replies(slot, outcome.replies, out);
    }

    /// Appends what a coordinator decided: one batch, unless that would be larger than the topic
    /// takes.
    fn append_records(
        &mut self,
        now: Now,
        slot: LogSlot,
        records: &[Record],
        out: &mut ShardOutputs,
    ) {
        if records.is_empty() {
            return;
        }
        let most = self.max_group_batch_bytes();
        let mut builder = BatchBuilder::new(BatchSpec::default());
        for record in records {
            let bytes = record.key.len() + record.value.as_ref().map_or(0, bytes::Bytes::len);
            if builder.record_count() > 0 && builder.size_bytes() + bytes + RECORD_OVERHEAD > most {
                let full = std::mem::replace(&mut builder, BatchBuilder::new(BatchSpec::default()));
                self.append_batch(slot, full.finish(), out);
            }
            let (key, value) = (Some(&*record.key), record.value.as_deref());
            if let Err(error) = builder.append(now.wall_ms, key, value, &[]) {
                out.warnings
                    .push(format!("{OFFSETS_TOPIC}: a record is too large: {error}"));
            }
        }
        self.append_batch(slot, builder.finish(), out);
    }

    fn append_batch(
        &mut self,
        slot: LogSlot,
        batch: Result<Vec<u8>, BuildError>,
        out: &mut ShardOutputs,
    ) {
        let parsed = batch.map_err(|error| error.to_string()).and_then(|batch| {
            let header = BatchHeader::parse(&batch).map_err(|error| error.to_string())?;
            Ok((header, batch))
        });
        match parsed {
            Ok((header, batch)) => {
                let leader_epoch = self
                    .partition_of(slot)
                    .map_or(chronik_model::LeaderEpoch::NONE, |partition| {
                        partition.replica.leader_epoch()
                    });
                let append = Append {
                    header: &header,
                    batch: &batch,
                    leader_epoch,
                    append_time_ms: None,
                };
                self.store.append(slot, &append);
            }
            Err(error) => out.warnings.push(format!("{OFFSETS_TOPIC}: {error}")),
        }
    }

    /// Sends replies, or keeps them until everything that is in the partition now is safe.
    fn park_replies(
        &mut self,
        slot: LogSlot,
        replies: Vec<(Waiter, GroupResponse)>,
        out: &mut ShardOutputs,
    ) {
        let Some(mut log_end) = self.store.log(slot).map(|log| log.log_end) else {
            return;
        };
        if mutant!(CommitAnsweredEarly) {
            log_end = Offset::ZERO;
        }
        if let Some(hosted) = self.groups.hosted.get_mut(&slot) {
            let parked = replies.into_iter();
            hosted
                .parked
                .extend(parked.map(|(waiter, response)| (log_end, waiter, response)));
        }
        if mutant!(GroupReplyForgotten) {
            return;
        }
        self.release_groups(slot, out);
    }

    /// The high watermark of a partition may have moved: sends what waited for it.
    pub(super) fn release_groups(&mut self, slot: LogSlot, out: &mut ShardOutputs) {
        let Some(high_watermark) = self
            .partition_of(slot)
            .map(|partition| partition.replica.high_watermark())
        else {
            return;
        };
        let groups = &mut self.groups;
        let Some(hosted) = groups.hosted.get_mut(&slot) else {
            return;
        };
        let safe = hosted
            .parked
            .partition_point(|(offset, ..)| *offset <= high_watermark);
        for (_, waiter, response) in hosted.parked.drain(..safe) {
            if let Some(asked) = groups.waiters.remove(&waiter) {
                out.replies
                    .push(asked.answer(PartitionAnswer::Group(Box::new(response))));
            }
        }
    }

    /// A partition is no longer here.
    pub(super) fn drop_groups(&mut self, slot: LogSlot, out: &mut ShardOutputs) {
        if self.groups.hosted.remove(&slot).is_some() {
            // The place may be taken by another log before a read under way is back.
            self.groups.loads.retain(|_, loading| *loading != slot);
            self.groups.fail(Some(slot), ErrorCode::NotCoordinator, out);
        }
    }

    /// Nothing becomes durable any more: what the coordinators decided last may be lost, so that
    /// none of them may answer.
    pub(super) fn fail_groups(&mut self, out: &mut ShardOutputs) {
        for hosted in self.groups.hosted.values_mut() {
            hosted.state = State::Failed;
            hosted.parked.clear();
        }
        self.groups
            .fail(None, ErrorCode::CoordinatorNotAvailable, out);
    }
}

/// Most bytes that a record takes beside its key and value.
const RECORD_OVERHEAD: usize = 32;

/// Whether a request is refused while there is no space for records.
const fn writes(request: &GroupRequest) -> bool {
    match request {
        GroupRequest::Join(_)
        | GroupRequest::Sync(_)
        | GroupRequest::Leave(_)
        | GroupRequest::Delete { .. }
        | GroupRequest::CommitOffsets(_)
        | GroupRequest::DeleteOffsets(_) => true,
        // Members that are there stay: what little is written of them fits into the reserve.
        GroupRequest::ConsumerHeartbeat(request) => request.member_epoch == 0,
        GroupRequest::Heartbeat(_)
        | GroupRequest::DescribeClassic { .. }
        | GroupRequest::List(_)
        | GroupRequest::FetchOffsets(_)
        | GroupRequest::DescribeConsumer { .. } => false,
    }
}
