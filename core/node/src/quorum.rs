//! The controller as the node sees it: requests of frontends in, entries for the metadata log, views
//! and answers out.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chronik_controller::{
    AllocateProducerIds, ConsensusSnapshot, Controller, ControllerConfig, ControllerInput,
    ControllerOutput, ControllerReply, ControllerRequest, Entry, HardState, MetadataDelta,
    OpenError, RegisterBroker,
};
use chronik_model::{Mono, Now, Offset, mutant};

use crate::messages::{FrontendId, Ticket};
use crate::metadata_log::Loaded;
use crate::metadata_snapshot::{MetadataTrim, SnapshotId, Snapshots};
use crate::view::{ClusterView, ViewBuilder};

/// Producer ids that a frontend takes at once.
const PRODUCER_ID_BLOCK: i32 = 1000;

/// What the node tells the controller.
#[derive(Debug)]
pub enum QuorumInput {
    /// A request of a client.
    Request {
        /// Where the answer belongs.
        ticket: Ticket,
        /// The request.
        request: ControllerRequest,
    },
    /// A frontend has no producer ids left.
    ProducerIds(FrontendId),
    /// Entries up to this persist sequence are durable.
    Persisted(u64),
    /// A snapshot is durable, or could not be written.
    Snapshot(SnapshotWritten),
    /// [`Quorum::deadline`] passed.
    Tick,
    /// The directory with the metadata log is offline: nothing can be decided any more.
    Offline,
}

/// What came of a snapshot that was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotWritten {
    /// The snapshot.
    pub id: SnapshotId,
    /// Whether it is durable.
    pub durable: bool,
}

/// What the controller wants done, in this order.
#[derive(Debug)]
pub enum QuorumOutput {
    /// Append to the metadata log; [`QuorumInput::Persisted`] with the sequence follows.
    Persist {
        /// Grows with each.
        sequence: u64,
        /// Raft's hard state, when it changed.
        hard_state: Option<HardState>,
        /// Entries to append.
        entries: Vec<Entry>,
    },
    /// Write all metadata beside the metadata log; [`QuorumInput::Snapshot`] follows.
    Snapshot {
        /// Names it.
        id: SnapshotId,
        /// The content of its file.
        bytes: Bytes,
    },
    /// What snapshots make superfluous may go.
    Trim(MetadataTrim),
    /// Committed metadata: shards act on it before frontends see it.
    Publish(Arc<ClusterView>, Arc<MetadataDelta>),
    /// The answer to a client's request.
    Reply {
        /// Where it belongs.
        ticket: Ticket,
        /// The answer.
        reply: ControllerReply,
        /// It holds in views of at least this offset.
        offset: Offset,
    },
    /// A frontend's new block of producer ids; empty when there is none to be had now.
    ProducerIds(FrontendId, std::ops::Range<i64>),
    /// The broker is registered and may serve.
    Registered,
    /// Metadata contradicts itself: the process must stop.
    Halt(String),
}

#[derive(Debug, Clone, Copy)]
enum Asker {
    Client(Ticket),
    ProducerIds(FrontendId),
    Registration,
}

/// See the module.
#[derive(Debug)]
pub struct Quorum {
    controller: Controller,
    views: ViewBuilder,
    snapshots: Snapshots,
    /// The snapshot that is on its way to disk.
    writing: Option<SnapshotId>,
    asked: BTreeMap<u64, Asker>,
    next_ticket: u64,
    node_id: chronik_model::NodeId,
    outputs: Vec<ControllerOutput>,
    offline: bool,
}

impl Quorum {
    /// Continues from what an earlier life left, and registers this broker: a new life leads in a
    /// new epoch, so that no two lives write different bytes at one offset of one epoch (rule J5).
    ///
    /// # Errors
    /// What is on disk is damaged or of a later version.
    pub fn open(
        config: ControllerConfig,
        loaded: Loaded,
        registration: RegisterBroker,
        views: ViewBuilder,
        now: Now,
        out: &mut Vec<QuorumOutput>,
    ) -> Result<Self, OpenError> {
        let node_id = config.node_id;
        let mut outputs = Vec::new();
        let controller = Controller::open(config, loaded.recovered, &mut outputs)?;
        let mut quorum = Self {
            controller,
            views,
            snapshots: loaded.snapshots,
            writing: None,
            asked: BTreeMap::new(),
            next_ticket: 0,
            node_id,
            outputs,
            offline: false,
        };
        quorum.ask(
            now,
            Asker::Registration,
            ControllerRequest::RegisterBroker(registration),
        );
        quorum.emit(out);
        Ok(quorum)
    }

    /// When [`QuorumInput::Tick`] is wanted.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        let deadline = self.controller.snapshot_deadline();
        deadline.filter(|_| !self.offline)
    }

    /// Takes one input; what is to be done goes to `out`.
    pub fn step(&mut self, now: Now, input: QuorumInput, out: &mut Vec<QuorumOutput>) {
        if self.offline {
            return refuse(input, out);
        }
        match input {
            QuorumInput::Offline => {
                self.offline = true;
                for asker in std::mem::take(&mut self.asked).into_values() {
                    out.push(refusal(asker));
                }
                return;
            }
            QuorumInput::Request { ticket, request } => {
                self.ask(now, Asker::Client(ticket), request)
            }
            QuorumInput::ProducerIds(frontend) => {
                let block = AllocateProducerIds {
                    node_id: self.node_id,
                    count: PRODUCER_ID_BLOCK,
                };
                self.ask(
                    now,
                    Asker::ProducerIds(frontend),
                    ControllerRequest::AllocateProducerIds(block),
                );
            }
            QuorumInput::Persisted(sequence) => {
                self.tell(now, ControllerInput::Persisted { sequence });
            }
            QuorumInput::Snapshot(SnapshotWritten { id, durable }) => {
                let index = id.index;
                let written = if durable {
                    ControllerInput::SnapshotPersisted { index }
                } else {
                    ControllerInput::SnapshotFailed { index }
                };
                self.tell(now, written);
            }
            QuorumInput::Tick => self.tell(now, ControllerInput::SnapshotDue),
        }
        self.emit(out);
    }

    fn ask(&mut self, now: Now, asker: Asker, request: ControllerRequest) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.asked.insert(ticket, asker);
        self.tell(now, ControllerInput::Request { ticket, request });
    }

    fn tell(&mut self, now: Now, input: ControllerInput) {
        self.controller.step(now, input, &mut self.outputs);
    }

    fn emit(&mut self, out: &mut Vec<QuorumOutput>) {
        for output in std::mem::take(&mut self.outputs) {
            match output {
                ControllerOutput::Persist {
                    sequence,
                    hard_state,
                    reset: _,
                    entries,
                } => {
                    out.push(QuorumOutput::Persist {
                        sequence,
                        hard_state,
                        entries,
                    });
                }
                ControllerOutput::Publish { image, delta } => {
                    let view = self.views.build(image, &delta);
                    out.push(QuorumOutput::Publish(view, delta));
                }
                ControllerOutput::Reply {
                    ticket,
                    reply,
                    offset,
                } => {
                    if let Some(asker) = self.asked.remove(&ticket) {
                        out.push(answer(asker, reply, offset));
                    }
                }
                ControllerOutput::Halt { reason } => out.push(QuorumOutput::Halt(reason)),
                ControllerOutput::Snapshot(ConsensusSnapshot { index, term, bytes }) => {
                    let id = SnapshotId { index, term };
                    self.writing = Some(id);
                    out.push(QuorumOutput::Snapshot { id, bytes });
                    if mutant!(MetadataTrimmedEarly) {
                        let (start, remove) = (id.end(), Vec::new());
                        out.push(QuorumOutput::Trim(MetadataTrim { start, remove }));
                    }
                }
                // Which index that is follows from the snapshots that are kept.
                ControllerOutput::TruncateBefore { index: _ } => {
                    if let Some(id) = self.writing.take() {
                        out.push(QuorumOutput::Trim(self.snapshots.add(id)));
                    }
                }
                // A lone voter sends nothing.
                ControllerOutput::Send(_) => {}
            }
        }
    }
}

/// Answers what is asked of a controller that can not write.
fn refuse(input: QuorumInput, out: &mut Vec<QuorumOutput>) {
    match input {
        QuorumInput::Request { ticket, .. } => out.push(refusal(Asker::Client(ticket))),
        QuorumInput::ProducerIds(frontend) => out.push(refusal(Asker::ProducerIds(frontend))),
        QuorumInput::Persisted(_)
        | QuorumInput::Snapshot(_)
        | QuorumInput::Tick
        | QuorumInput::Offline => {}
    }
}

/// Clients take it as a reason to look for another controller, and to try again.
fn refusal(asker: Asker) -> QuorumOutput {
    let leader = None;
    answer(
        asker,
        ControllerReply::NotController { leader },
        Offset::ZERO,
    )
}

fn answer(asker: Asker, reply: ControllerReply, offset: Offset) -> QuorumOutput {
    match (asker, reply) {
        (Asker::Client(ticket), reply) => QuorumOutput::Reply {
            ticket,
            reply,
            offset,
        },
        (Asker::ProducerIds(frontend), ControllerReply::AllocateProducerIds(Ok(block))) => {
            let first = block.first.0;
            QuorumOutput::ProducerIds(frontend, first..first + i64::from(block.count))
        }
        (Asker::ProducerIds(frontend), _) => QuorumOutput::ProducerIds(frontend, 0..0),
        (Asker::Registration, ControllerReply::RegisterBroker(Ok(_))) => QuorumOutput::Registered,
        (Asker::Registration, reply) => {
            QuorumOutput::Halt(format!("this broker can not be registered: {reply:?}"))
        }
    }
}
