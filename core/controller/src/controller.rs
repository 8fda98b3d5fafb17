//! The controller: requests in, entries to persist, images and replies out.
//!
//! ```text
//! request -> records -> propose -> Persist ... Persisted -> committed -> replay -> Publish -> Reply
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use chronik_model::rng::Rng;
use chronik_model::{Mono, NodeId, Now, Offset, mutant};

use crate::codec::DecodeError;
use crate::consensus::{Consensus, ConsensusSnapshot, Entry, Recovered};
use crate::controller_io::{ControllerConfig, ControllerInput, ControllerOutput, OpenError};
use crate::delta::MetadataDelta;
use crate::image::MetadataImage;
use crate::raft_consensus::RaftConsensus;
use crate::record::{MetadataRecord, decode_batch, encode_batch};
use crate::replay::ReplayError;
use crate::request::{ConfigValidator, ControllerReply, ControllerRequest, ControllerSettings};
use crate::snapshot::{decode_with_delta, encode_snapshot};
use crate::{brokers, configs, producer_ids, topics, topics_create};

/// The cluster's metadata and the right to change it, while this node leads.
#[derive(Debug)]
pub struct Controller {
    config: ControllerConfig,
    consensus: Box<dyn Consensus>,
    /// All committed entries, replayed.
    image: Arc<MetadataImage>,
    /// What `image` has that was not published yet.
    delta: MetadataDelta,
    /// While this node leads and knows everything its predecessors committed.
    active: Option<Active>,
    /// Requests that arrived before that.
    early: VecDeque<(u64, ControllerRequest)>,
    snapshots: SnapshotProgress,
    halted: bool,
}

/// What only a leader has. Dropped as a whole when leadership is lost.
#[derive(Debug)]
struct Active {
    term: u64,
    rng: Rng,
    /// The committed image and all entries proposed since, so that requests see those before them.
    pending: MetadataImage,
    /// Replies in the order of the offsets they wait for.
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    offset: Offset,
    ticket: u64,
    reply: ControllerReply,
}

#[derive(Debug, Default)]
struct SnapshotProgress {
    entries: u64,
    bytes: u64,
    /// When the first of these entries was noticed.
    since: Option<Mono>,
    /// On its way to disk.
    writing: Option<ConsensusSnapshot>,
}

/// What handlers may read.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) image: &'a MetadataImage,
    pub(crate) settings: &'a ControllerSettings,
    pub(crate) validator: &'a dyn ConfigValidator,
    pub(crate) node_id: NodeId,
}

/// What a handler decides.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) records: Vec<MetadataRecord>,
    pub(crate) reply: ControllerReply,
}

impl Outcome {
    pub(crate) const fn unchanged(reply: ControllerReply) -> Self {
        Self {
            records: Vec::new(),
            reply,
        }
    }
}

impl Controller {
    /// Continues from what an earlier life left on disk, or begins with nothing. What is to be
    /// done first goes to `out`.
    ///
    /// # Errors
    /// [`OpenError`] when what is on disk is damaged or of a later version.
    pub fn open(
        config: ControllerConfig,
        recovered: Recovered,
        out: &mut Vec<ControllerOutput>,
    ) -> Result<Self, OpenError> {
        let mut delta = MetadataDelta::default();
        let image = match &recovered.snapshot {
            None => MetadataImage::default(),
            Some(snapshot) => load(snapshot, &mut delta)?,
        };
        for entry in &recovered.entries {
            decode_batch(&entry.data).map_err(|error| OpenError::Entry {
                index: entry.index,
                error,
            })?;
        }
        let consensus = RaftConsensus::new(config.node_id, &config.voters, recovered, config.seed)?;
        let mut controller = Self {
            config,
            consensus: Box::new(consensus),
            image: Arc::new(image),
            delta,
            active: None,
            early: VecDeque::new(),
            snapshots: SnapshotProgress::default(),
            halted: false,
        };
        controller.run(out);
        Ok(controller)
    }

    /// Takes one input; what is to be done goes to `out`.
    pub fn step(&mut self, now: Now, input: ControllerInput, out: &mut Vec<ControllerOutput>) {
        if self.halted {
            return;
        }
        match input {
            ControllerInput::Request { ticket, request } => self.request(ticket, request, out),
            ControllerInput::Persisted { sequence } => self.consensus.persisted(sequence),
            ControllerInput::SnapshotPersisted { index } => self.snapshot_persisted(index, out),
            ControllerInput::SnapshotFailed { index } => self.snapshot_failed(index),
            ControllerInput::SnapshotDue => {}
            ControllerInput::Peer(message) => self.consensus.step(message),
            ControllerInput::Tick => self.consensus.tick(),
        }
        self.run(out);
        self.snapshot_if_due(now.mono, out);
    }

    /// When [`ControllerInput::SnapshotDue`] is wanted: only while something changed since the last
    /// snapshot.
    #[must_use]
    pub fn snapshot_deadline(&self) -> Option<Mono> {
        let interval_ms = self.config.snapshots.interval_ms?;
        let since = self.snapshots.since?;
        let waits = !self.halted && self.snapshots.writing.is_none();
        waits.then(|| since.plus_ms(interval_ms))
    }

    /// Whether [`ControllerInput::Tick`] is needed: not with a single voter.
    #[must_use]
    pub fn needs_ticks(&self) -> bool {
        self.consensus.needs_ticks()
    }

    /// All committed metadata.
    #[must_use]
    pub const fn image(&self) -> &Arc<MetadataImage> {
        &self.image
    }

    /// The node that decides requests, when it is known.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.consensus.leader()
    }

    /// Whether this node decides requests now.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.active.is_some()
    }

    fn request(
        &mut self,
        ticket: u64,
        request: ControllerRequest,
        out: &mut Vec<ControllerOutput>,
    ) {
        if self.active.is_some() {
            self.decide(ticket, &request, out);
        } else if self.consensus.leading_term().is_none() {
            self.reply_not_controller(ticket, out);
        } else if self.early.len() < MAX_WAITING {
            self.early.push_back((ticket, request));
        } else {
            let offset = self.image.offset();
            out.push(ControllerOutput::Reply {
                ticket,
                reply: ControllerReply::Overloaded,
                offset,
            });
        }
    }

    /// Computes and proposes the records of a request. Its reply waits for everything it was
    /// decided on, also when it changes nothing.
    fn decide(
        &mut self,
        ticket: u64,
        request: &ControllerRequest,
        out: &mut Vec<ControllerOutput>,
    ) {
        let Some(active) = &mut self.active else {
            return self.reply_not_controller(ticket, out);
        };
        let applied = self.image.offset();
        let refused = |reply| ControllerOutput::Reply {
            ticket,
            reply,
            offset: applied,
        };
        if active.waiting.len() >= MAX_WAITING {
            return out.push(refused(ControllerReply::Overloaded));
        }
        let context = Context {
            image: &active.pending,
            settings: &self.config.settings,
            validator: &*self.config.validator,
            node_id: self.config.node_id,
        };
        let next_offset = offset_of(self.consensus.last_index()).next();
        let Outcome { records, reply } = handle(&context, &mut active.rng, request, next_offset);
        let data = encode_batch(&records);
        if data.len() > self.config.settings.max_entry_bytes {
            return out.push(refused(ControllerReply::TooLarge));
        }
        if !records.is_empty() {
            self.propose(data, &records, out);
        }
        let Some(active) = &mut self.active else {
            return self.reply_not_controller(ticket, out);
        };
        let offset = active.pending.offset();
        let mut hasty = mutant!(MetadataAnsweredEarly);
        if matches!(request, ControllerRequest::AllocateProducerIds(_)) {
            hasty |= mutant!(ProducerIdsAnsweredEarly);
        }
        if hasty || offset <= applied {
            out.push(ControllerOutput::Reply {
                ticket,
                reply,
                offset: applied,
            });
        } else {
            active.waiting.push_back(Waiting {
                offset,
                ticket,
                reply,
            });
        }
    }

    /// Appends one entry and makes its effects visible to later requests.
    fn propose(
        &mut self,
        data: Bytes,
        records: &[MetadataRecord],
        out: &mut Vec<ControllerOutput>,
    ) {
        let Some(active) = &mut self.active else {
            return;
        };
        let expected = self.consensus.last_index() + 1;
        let Ok(proposal) = self.consensus.propose(data) else {
            return self.resign(out);
        };
        assert_eq!(
            (proposal.index, proposal.term),
            (expected, active.term),
            "a leader appends in its own term at the end of its log"
        );
        let offset = offset_of(proposal.index);
        let replayed = active.pending.replay_entry(
            offset,
            proposal.term,
            records,
            &mut MetadataDelta::default(),
        );
        if let Err(error) = replayed {
            self.halt(proposal.index, &error.to_string(), out);
        }
    }

    /// Does what consensus wants until it wants no more.
    fn run(&mut self, out: &mut Vec<ControllerOutput>) {
        while !self.halted {
            let ready = self.consensus.ready();
            let idle = ready.is_empty();
            if let Some(sequence) = ready.sequence {
                out.push(ControllerOutput::Persist {
                    sequence,
                    hard_state: ready.hard_state,
                    reset: ready.snapshot.clone(),
                    entries: ready.entries,
                });
            }
            out.extend(ready.messages.into_iter().map(ControllerOutput::Send));
            if let Some(snapshot) = &ready.snapshot {
                self.install(snapshot, out);
            }
            if !ready.committed.is_empty() {
                self.apply(&ready.committed, out);
            }
            let changed = self.follow_leadership(out);
            if idle && !changed {
                break;
            }
        }
    }

    fn apply(&mut self, committed: &[Entry], out: &mut Vec<ControllerOutput>) {
        let mut image = (*self.image).clone();
        for entry in committed {
            let replayed = replay(&mut image, entry, &mut self.delta);
            if let Err(reason) = replayed {
                return self.halt(entry.index, &reason, out);
            }
            self.snapshots.entries += 1;
            self.snapshots.bytes += u64::try_from(entry.data.len()).unwrap_or(u64::MAX);
        }
        self.image = Arc::new(image);
        self.publish(out);
        self.release_replies(out);
    }

    fn publish(&mut self, out: &mut Vec<ControllerOutput>) {
        let delta = Arc::new(std::mem::take(&mut self.delta));
        out.push(ControllerOutput::Publish {
            image: Arc::clone(&self.image),
            delta,
        });
    }

    fn release_replies(&mut self, out: &mut Vec<ControllerOutput>) {
        let Some(active) = &mut self.active else {
            return;
        };
        let applied = self.image.offset();
        while let Some(Waiting {
            offset,
            ticket,
            reply,
        }) = active
            .waiting
            .pop_front_if(|waiting| waiting.offset <= applied)
        {
            out.push(ControllerOutput::Reply {
                ticket,
                reply,
                offset,
            });
        }
        if active.pending.offset() <= applied {
            // Nothing is in flight: share the structure of the committed image again.
            active.pending = (*self.image).clone();
        }
    }

    /// Replaces everything by a peer's snapshot.
    fn install(&mut self, snapshot: &ConsensusSnapshot, out: &mut Vec<ControllerOutput>) {
        match load(snapshot, &mut MetadataDelta::default()) {
            Err(error) => self.halt(snapshot.index, &error.to_string(), out),
            Ok(image) => {
                self.image = Arc::new(image);
                self.delta = MetadataDelta {
                    reset: true,
                    ..MetadataDelta::default()
                };
                self.snapshots = SnapshotProgress::default();
                self.publish(out);
            }
        }
    }

    /// Begins and ends this node's time as the active controller; whether anything changed.
    fn follow_leadership(&mut self, out: &mut Vec<ControllerOutput>) -> bool {
        let leading = self.consensus.leading_term();
        let was_active = self.active.as_ref().map(|active| active.term);
        if was_active.is_some() && was_active != leading {
            self.resign(out);
        }
        if leading.is_none() {
            for (ticket, _) in std::mem::take(&mut self.early) {
                self.reply_not_controller(ticket, out);
            }
        }
        // An applied entry of its own term: all that any predecessor committed is applied too.
        match leading {
            Some(term) if self.active.is_none() && self.image.term() == term => {
                self.activate(term, out);
                self.active.is_some()
            }
            Some(_) | None => false,
        }
    }

    fn activate(&mut self, term: u64, out: &mut Vec<ControllerOutput>) {
        self.active = Some(Active {
            term,
            // Each term draws other ids, also when every life of the node gets the same seed.
            rng: Rng::new(self.config.seed ^ Rng::new(term).next_u64()),
            pending: (*self.image).clone(),
            waiting: VecDeque::new(),
        });
        if self.image.cluster_id().is_none() {
            let cluster_id = self.config.cluster_id.clone();
            let records = [MetadataRecord::ClusterCreated { cluster_id }];
            self.propose(encode_batch(&records), &records, out);
        }
        for (ticket, request) in std::mem::take(&mut self.early) {
            self.decide(ticket, &request, out);
        }
    }

    fn resign(&mut self, out: &mut Vec<ControllerOutput>) {
        let Some(active) = self.active.take() else {
            return;
        };
        for waiting in active.waiting {
            self.reply_not_controller(waiting.ticket, out);
        }
    }

    fn reply_not_controller(&self, ticket: u64, out: &mut Vec<ControllerOutput>) {
        let leader = self
            .consensus
            .leader()
            .filter(|leader| *leader != self.config.node_id);
        let reply = ControllerReply::NotController { leader };
        out.push(ControllerOutput::Reply {
            ticket,
            reply,
            offset: self.image.offset(),
        });
    }

    fn snapshot_if_due(&mut self, now: Mono, out: &mut Vec<ControllerOutput>) {
        if self.halted || self.snapshots.entries == 0 {
            return;
        }
        self.snapshots.since.get_or_insert(now);
        let policy = self.config.snapshots;
        let large =
            self.snapshots.entries >= policy.entries || self.snapshots.bytes >= policy.bytes;
        let due = large || self.snapshot_deadline().is_some_and(|due| due <= now);
        if !due || self.snapshots.writing.is_some() {
            return;
        }
        let snapshot = ConsensusSnapshot {
            index: index_of(self.image.offset()),
            term: self.image.term(),
            bytes: encode_snapshot(&self.image),
        };
        self.snapshots = SnapshotProgress {
            writing: Some(snapshot.clone()),
            ..SnapshotProgress::default()
        };
        out.push(ControllerOutput::Snapshot(snapshot));
    }

    fn snapshot_failed(&mut self, index: u64) {
        let failed = |snapshot: &mut ConsensusSnapshot| snapshot.index == index;
        drop(self.snapshots.writing.take_if(failed));
    }

    fn snapshot_persisted(&mut self, index: u64, out: &mut Vec<ControllerOutput>) {
        let written = self
            .snapshots
            .writing
            .take_if(|snapshot| snapshot.index == index);
        if let Some(snapshot) = written {
            self.consensus.compact(snapshot);
            out.push(ControllerOutput::TruncateBefore {
                index: index.saturating_add(1),
            });
        }
    }

    fn halt(&mut self, index: u64, reason: &str, out: &mut Vec<ControllerOutput>) {
        self.halted = true;
        self.resign(out);
        let reason = format!("metadata log entry {index}: {reason}");
        out.push(ControllerOutput::Halt { reason });
    }
}

fn handle(
    context: &Context<'_>,
    rng: &mut Rng,
    request: &ControllerRequest,
    next_offset: Offset,
) -> Outcome {
    match request {
        ControllerRequest::RegisterBroker(request) => {
            brokers::register(context, request, next_offset)
        }
        ControllerRequest::CreateTopics(request) => {
            topics_create::create_topics(context, rng, request)
        }
        ControllerRequest::DeleteTopics(request) => topics::delete_topics(context, request),
        ControllerRequest::CreatePartitions(request) => {
            topics::create_partitions(context, rng, request)
        }
        ControllerRequest::AlterConfigs(request) => configs::alter_configs(context, request),
        ControllerRequest::AllocateProducerIds(request) => producer_ids::allocate(context, request),
    }
}

fn load(
    snapshot: &ConsensusSnapshot,
    delta: &mut MetadataDelta,
) -> Result<MetadataImage, OpenError> {
    let image = decode_with_delta(&snapshot.bytes, delta)?;
    if image.offset() != offset_of(snapshot.index) || image.term() != snapshot.term {
        let found = image.offset().0;
        return Err(OpenError::SnapshotIndex {
            expected: snapshot.index,
            found,
        });
    }
    Ok(image)
}

fn replay(
    image: &mut MetadataImage,
    entry: &Entry,
    delta: &mut MetadataDelta,
) -> Result<(), String> {
    let records = decode_batch(&entry.data).map_err(|error: DecodeError| error.to_string())?;
    image
        .replay_entry(offset_of(entry.index), entry.term, &records, delta)
        .map_err(|error: ReplayError| error.to_string())
}

fn offset_of(index: u64) -> Offset {
    Offset(i64::try_from(index).unwrap_or(i64::MAX))
}

fn index_of(offset: Offset) -> u64 {
    u64::try_from(offset.0).unwrap_or(0)
}

/// Requests that may wait at once, before and after they are proposed.
const MAX_WAITING: usize = 10_000;
