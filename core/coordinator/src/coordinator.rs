//! All groups of one partition of `__consumer_offsets`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use chronik_model::rng::Rng;
use chronik_model::{ErrorCode, Mono, Now, mutant};

use crate::classic::{ClassicGroup, start_session};
use crate::config::GroupConfig;
use crate::group::Group;
use crate::offsets::Offsets;
use crate::outcome::{Outcome, Record, Waiter};
use crate::record::{CoordinatorRecord, OffsetValue};
use crate::request::{GroupRequest, JoinGroup, ListGroups};
use crate::response::{ClassicDescription, GroupResponse, SyncResponse};
use crate::step::{Step, batch_bytes, record_bytes};
use crate::sweep::Sweep;
use crate::timers::{TimerKey, Timers};
use crate::topics::Topics;

/// See the module.
#[derive(Debug)]
pub struct GroupCoordinator {
    pub(crate) config: GroupConfig,
    pub(crate) groups: BTreeMap<Arc<str>, Group>,
    pub(crate) offsets: Offsets,
    pub(crate) timers: Timers,
    pub(crate) sweeps: VecDeque<Sweep>,
    pub(crate) rng: Rng,
}

impl GroupCoordinator {
    /// A coordinator without groups, to be fed with the records of its partition.
    ///
    /// `seed` makes the ids of members that join without one.
    #[must_use]
    pub fn new(config: GroupConfig, seed: u64) -> Self {
        Self {
            config,
            groups: BTreeMap::new(),
            offsets: Offsets::default(),
            timers: Timers::default(),
            sweeps: VecDeque::new(),
            rng: Rng::new(seed),
        }
    }

    /// New settings hold for what comes.
    pub fn configure(&mut self, config: GroupConfig) {
        self.config = config;
    }

    /// Takes in one record of the partition, in order. A record that can not be read says why; it
    /// changes nothing, and the ones behind it still count.
    ///
    /// # Errors
    /// The record is of no known kind, or damaged.
    pub fn replay(&mut self, record: &Record) -> Result<(), String> {
        if mutant!(TombstonesIgnored) && record.value.is_none() {
            return Ok(());
        }
        let record = CoordinatorRecord::decode(record).map_err(|error| error.to_string())?;
        if let CoordinatorRecord::OffsetCommit {
            group_id,
            topic,
            partition,
            ..
        } = &record
            && mutant!(OlderCommitWins)
            && self.offsets.get(group_id, topic, *partition).is_some()
        {
            return Ok(());
        }
        self.apply(record)
    }

    /// All records were replayed: members have a whole session from now on to be heard of.
    pub fn loaded(&mut self, now: Now, topics: &dyn Topics, out: &mut Outcome) {
        let step = &mut Step { now, topics, out };
        let mut too_large = Vec::new();
        for (group_id, group) in &self.groups {
            let Group::Classic(group) = group else {
                continue;
            };
            for member_id in group.members().keys() {
                start_session(step, group, &mut self.timers, member_id);
            }
            if group.members().len() > self.config.max_size {
                too_large.push(Arc::clone(group_id));
            }
        }
        for group_id in too_large {
            self.prepare_rebalance(step, &group_id);
        }
        self.consumer_loaded(step);
        self.schedule_retention(step);
    }

    /// Takes one request. Its reply comes with this or a later outcome, once. `out` is empty: its
    /// records become one batch.
    pub fn handle(
        &mut self,
        now: Now,
        topics: &dyn Topics,
        waiter: Waiter,
        request: GroupRequest,
        out: &mut Outcome,
    ) {
        let step = &mut Step { now, topics, out };
        match request {
            GroupRequest::Join(request) => self.join(step, waiter, request),
            GroupRequest::Sync(request) => match self.groups.get(request.group_id.as_str()) {
                Some(Group::Consumer(group)) if group.is_empty() => {
                    let response = SyncResponse::failed(ErrorCode::UnknownMemberId);
                    step.reply(waiter, GroupResponse::Sync(response));
                }
                Some(Group::Consumer(_)) => self.sync_consumer_group(step, waiter, &request),
                Some(Group::Classic(_)) | None => self.sync_classic_group(step, waiter, &request),
            },
            GroupRequest::Heartbeat(request) => match self.groups.get(request.group_id.as_str()) {
                Some(Group::Consumer(_)) => self.heartbeat_consumer_group(step, waiter, &request),
                Some(Group::Classic(_)) | None => {
                    self.heartbeat_classic_group(step, waiter, &request);
                }
            },
            GroupRequest::Leave(request) => match self.groups.get(request.group_id.as_str()) {
                Some(Group::Consumer(_)) => self.leave_consumer_group(step, waiter, &request),
                Some(Group::Classic(_)) => self.leave_classic_group(step, waiter, &request),
                None => {
                    let error = ErrorCode::UnknownMemberId;
                    step.reply(waiter, GroupResponse::Leave(error, Vec::new()));
                }
            },
            GroupRequest::DescribeClassic { group_id } => {
                let description = self.describe_classic(&group_id);
                step.reply(waiter, GroupResponse::DescribeClassic(description));
            }
            GroupRequest::List(request) => {
                let listed = self.list(&request);
                step.reply(waiter, listed);
            }
            GroupRequest::Delete { group_id } => self.delete_group(step, waiter, &group_id),
            GroupRequest::CommitOffsets(request) => self.commit_offsets(step, waiter, &request),
            GroupRequest::FetchOffsets(request) => self.fetch_offsets(step, waiter, &request),
            GroupRequest::DeleteOffsets(request) => self.delete_offsets(step, waiter, &request),
            GroupRequest::ConsumerHeartbeat(request) => {
                self.consumer_heartbeat(step, waiter, request);
            }
            GroupRequest::DescribeConsumer { group_id } => {
                self.describe_consumer(step, waiter, &group_id);
            }
        }
    }

    /// Topics were made, changed or deleted. Offsets of deleted topics (named) are removed.
    pub fn topics_changed(
        &mut self,
        now: Now,
        topics: &dyn Topics,
        deleted: &[String],
        out: &mut Outcome,
    ) {
        let step = &mut Step { now, topics, out };
        if !deleted.is_empty() {
            let topics: BTreeSet<String> = deleted.iter().cloned().collect();
            self.start_sweep(step, Sweep::Topics { topics, done: None });
        }
    }

    /// Does what is due. What would make too large a batch is left for the next call, which is wanted
    /// at once then.
    pub fn tick(&mut self, now: Now, topics: &dyn Topics, out: &mut Outcome) {
        let step = &mut Step { now, topics, out };
        while batch_bytes(&step.out.records) <= self.config.max_batch_bytes / 2
            && let Some(key) = self.timers.pop_due(now.mono)
        {
            match key {
                TimerKey::Session {
                    group_id,
                    member_id,
                } => self.session_due(step, &group_id, &member_id),
                TimerKey::Join(group_id) => self.join_due(step, &group_id),
                TimerKey::Sync(group_id) => self.sync_due(step, &group_id),
                TimerKey::Retention => self.retention_due(step),
                TimerKey::Sweep => {
                    self.sweep(step);
                    // A sweep that goes on is due at once, and has filled the batch.
                    return;
                }
                TimerKey::Consumer(timer) => self.consumer_timer(step, timer),
            }
        }
    }

    /// When [`GroupCoordinator::tick`] is wanted.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        self.timers.next()
    }

    fn join(&mut self, step: &mut Step<'_>, waiter: Waiter, request: JoinGroup) {
        match self.groups.get(request.group_id.as_str()) {
            Some(Group::Consumer(group)) if !group.is_empty() => {
                self.join_consumer_group(step, waiter, &request);
            }
            Some(Group::Consumer(_) | Group::Classic(_)) | None => {
                self.join_classic_group(step, waiter, &request);
            }
        }
    }

    fn describe_classic(&self, group_id: &str) -> ClassicDescription {
        let message = match self.groups.get(group_id) {
            Some(Group::Classic(group)) => return group.describe(),
            Some(Group::Consumer(_)) => format!("Group {group_id} is not a classic group."),
            None => format!("Group {group_id} not found."),
        };
        ClassicDescription {
            error: ErrorCode::GroupIdNotFound,
            error_message: Some(message),
            state: "Dead",
            protocol_type: String::new(),
            protocol: String::new(),
            members: Vec::new(),
        }
    }

    fn list(&self, request: &ListGroups) -> GroupResponse {
        let passes = |filter: &[String], word: &str| {
            filter.is_empty() || (filter.iter()).any(|one| one.trim().eq_ignore_ascii_case(word))
        };
        let groups = self.groups.iter().map(|(id, group)| group.listed(id));
        let listed = groups.filter(|group| {
            passes(&request.states, group.state) && passes(&request.types, group.group_type)
        });
        GroupResponse::List(listed.collect())
    }
}

/// Durable state.
impl GroupCoordinator {
    /// Emits a record: it will be appended, and holds at once.
    pub(crate) fn emit(&mut self, step: &mut Step<'_>, record: CoordinatorRecord) {
        let encoded = record.encode();
        self.emit_encoded(step, record, encoded);
    }

    /// Emits a record if the batch of this step has room for it, and says whether.
    pub(crate) fn try_emit(&mut self, step: &mut Step<'_>, record: CoordinatorRecord) -> bool {
        let encoded = record.encode();
        let bytes = batch_bytes(&step.out.records).saturating_add(record_bytes(&encoded));
        if bytes > self.config.max_batch_bytes {
            return false;
        }
        self.emit_encoded(step, record, encoded);
        true
    }

    /// Emits `record`, of which `encoded` are the bytes.
    pub(crate) fn emit_encoded(
        &mut self,
        step: &mut Step<'_>,
        record: CoordinatorRecord,
        encoded: Record,
    ) {
        step.out.records.push(encoded);
        let applied = self.apply(record);
        debug_assert_eq!(applied, Ok(()), "records of our own can be applied");
    }

    /// The one place where durable state changes.
    fn apply(&mut self, record: CoordinatorRecord) -> Result<(), String> {
        match record {
            CoordinatorRecord::OffsetCommit {
                group_id,
                topic,
                partition,
                value,
            } => {
                self.apply_offset(group_id, topic, partition, value);
                Ok(())
            }
            CoordinatorRecord::GroupMetadata { group_id, value } => {
                let Some(value) = value else {
                    self.forget_group(&group_id);
                    return Ok(());
                };
                if let Some(Group::Consumer(_)) = self.groups.get(&group_id) {
                    self.forget_group(&group_id);
                }
                let group = (self.groups.entry(Arc::clone(&group_id)))
                    .or_insert_with(|| Group::Classic(ClassicGroup::new(group_id)));
                if let Group::Classic(group) = group {
                    group.install(value);
                }
                Ok(())
            }
            CoordinatorRecord::Consumer(record) => self.apply_consumer(record),
        }
    }

    fn apply_offset(
        &mut self,
        group_id: Arc<str>,
        topic: Arc<str>,
        partition: i32,
        value: Option<OffsetValue>,
    ) {
        let Some(value) = value else {
            self.offsets.remove(&group_id, &topic, partition);
            return;
        };
        let known = self.groups.get_key_value(&group_id);
        let group_id = match known {
            Some((known, _)) => Arc::clone(known),
            None => {
                let group = Group::Classic(ClassicGroup::new(Arc::clone(&group_id)));
                self.groups.insert(Arc::clone(&group_id), group);
                group_id
            }
        };
        self.offsets.set(group_id, topic, partition, value);
    }

    /// Removes a group, and what is due for it.
    pub(crate) fn forget_group(&mut self, group_id: &Arc<str>) {
        if let Some(Group::Classic(group)) = self.groups.remove(group_id) {
            group.cancel_timers(&mut self.timers);
        }
    }

    /// The classic group of that id.
    pub(crate) fn classic(&self, group_id: &str) -> Option<&ClassicGroup> {
        match self.groups.get(group_id)? {
            Group::Classic(group) => Some(group),
            Group::Consumer(_) => None,
        }
    }

    /// The classic group of that id, and the timers.
    pub(crate) fn classic_mut(
        &mut self,
        group_id: &str,
    ) -> Option<(&mut ClassicGroup, &mut Timers)> {
        match self.groups.get_mut(group_id)? {
            Group::Classic(group) => Some((group, &mut self.timers)),
            Group::Consumer(_) => None,
        }
    }
}
