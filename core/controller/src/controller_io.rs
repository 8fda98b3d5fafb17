//! The controller's doors: how it is set up, what it is told and what it wants done.

use std::sync::Arc;

use chronik_model::{NodeId, Offset};

use crate::codec::DecodeError;
use crate::consensus::{ConsensusSnapshot, Entry, HardState, PeerMessage, RecoveryError};
use crate::delta::MetadataDelta;
use crate::image::MetadataImage;
use crate::request::{ConfigValidator, ControllerReply, ControllerRequest, ControllerSettings};
use crate::snapshot::SnapshotError;

/// Who this controller is and how it decides.
#[derive(Debug)]
pub struct ControllerConfig {
    /// This node.
    pub node_id: NodeId,
    /// All voters, this node among them.
    pub voters: Vec<NodeId>,
    /// The id that the cluster gets when its log is empty.
    pub cluster_id: String,
    /// Decides placement, topic ids and election timeouts.
    pub seed: u64,
    /// Defaults of the cluster.
    pub settings: ControllerSettings,
    /// Knows the config keys.
    pub validator: Box<dyn ConfigValidator>,
    /// When to write snapshots.
    pub snapshots: SnapshotPolicy,
}

/// When a snapshot replaces the entries before it: whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotPolicy {
    /// Entries applied since the last one.
    pub entries: u64,
    /// Bytes of entries applied since the last one.
    pub bytes: u64,
    /// Milliseconds since the first entry that the last one does not have; `None` for no limit.
    pub interval_ms: Option<i64>,
}

impl Default for SnapshotPolicy {
    fn default() -> Self {
        Self {
            entries: 10_000,
            bytes: 8 << 20,
            interval_ms: None,
        }
    }
}

/// What the node tells the controller.
#[derive(Debug)]
pub enum ControllerInput {
    /// A request; exactly one [`ControllerOutput::Reply`] with this ticket follows, unless
    /// [`ControllerOutput::Halt`] does.
    Request {
        /// Chosen by the node.
        ticket: u64,
        /// The request.
        request: ControllerRequest,
    },
    /// Every [`ControllerOutput::Persist`] up to this sequence is durable.
    Persisted {
        /// The sequence.
        sequence: u64,
    },
    /// The [`ControllerOutput::Snapshot`] at this index is durable.
    SnapshotPersisted {
        /// The index.
        index: u64,
    },
    /// The [`ControllerOutput::Snapshot`] at this index could not be written. Another is made once as
    /// much has changed again.
    SnapshotFailed {
        /// The index.
        index: u64,
    },
    /// [`Controller::snapshot_deadline`](crate::Controller::snapshot_deadline) passed.
    SnapshotDue,
    /// A voter's message.
    Peer(PeerMessage),
    /// Time passes, at a constant rate. Only while
    /// [`Controller::needs_ticks`](crate::Controller::needs_ticks).
    Tick,
}

/// What the controller wants done, in this order.
#[derive(Debug)]
pub enum ControllerOutput {
    /// To write durably, then [`ControllerInput::Persisted`].
    Persist {
        /// Grows with each.
        sequence: u64,
        /// When it changed. It must not become durable without the entries, which its commit index
        /// may cover.
        hard_state: Option<HardState>,
        /// The log begins anew after this snapshot of a peer.
        reset: Option<ConsensusSnapshot>,
        /// To append; what is at or after the first index is truncated before. The offset in the
        /// metadata log is the entry's index.
        entries: Vec<Entry>,
    },
    /// Committed metadata, to act on. After a start, images of the past come first: a broker leads
    /// nothing before it sees an image with its own registration, which ends the leader epochs of
    /// its earlier life.
    Publish {
        /// All of it.
        image: Arc<MetadataImage>,
        /// What changed since the image published before; since nothing, in the first.
        delta: Arc<MetadataDelta>,
    },
    /// The answer to a request.
    Reply {
        /// The request.
        ticket: u64,
        /// The answer.
        reply: ControllerReply,
        /// The answer holds in images of at least this offset.
        offset: Offset,
    },
    /// To write durably beside the log, then [`ControllerInput::SnapshotPersisted`], or
    /// [`ControllerInput::SnapshotFailed`].
    Snapshot(ConsensusSnapshot),
    /// The entries before this index are no longer needed.
    TruncateBefore {
        /// The first index that is.
        index: u64,
    },
    /// To send to a voter.
    Send(PeerMessage),
    /// The metadata log contradicts itself. This controller does nothing more; the process should
    /// stop rather than act on metadata that may be wrong.
    Halt {
        /// For the operator.
        reason: String,
    },
}

/// Why a controller can not start from what is on disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The log or its hard state.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// The snapshot.
    #[error("metadata snapshot: {0}")]
    Snapshot(#[from] SnapshotError),
    /// The snapshot says another position than what holds it.
    #[error("the metadata snapshot of index {found} is stored as {expected}")]
    SnapshotIndex {
        /// Where it is stored.
        expected: u64,
        /// What it says.
        found: i64,
    },
    /// An entry of the log.
    #[error("entry {index} of the metadata log: {error}")]
    Entry {
        /// The entry.
        index: u64,
        /// What is wrong with it.
        error: DecodeError,
    },
}
