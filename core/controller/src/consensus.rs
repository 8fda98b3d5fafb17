//! What the controller needs of a replicated log. No IO: the caller writes what [`Ready`] says and
//! reports back.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use chronik_model::NodeId;

/// A replicated log as a state machine. After any call, take [`Consensus::ready`] until it is
/// empty.
pub trait Consensus: fmt::Debug + Send {
    /// Appends an entry, when this node leads.
    ///
    /// # Errors
    /// [`NotLeader`], with the leader when it is known; nothing was appended.
    fn propose(&mut self, data: Bytes) -> Result<Proposal, NotLeader>;

    /// Takes a peer's message. One that makes no sense is dropped, as if the network had.
    fn step(&mut self, message: PeerMessage);

    /// Time passes. Only needed while [`Consensus::needs_ticks`].
    fn tick(&mut self);

    /// Whether elections and heartbeats need [`Consensus::tick`]: not with a single voter.
    fn needs_ticks(&self) -> bool;

    /// What is to be written, sent and applied now.
    fn ready(&mut self) -> Ready;

    /// Everything of the [`Ready`]s up to this [`Ready::sequence`] is durable.
    fn persisted(&mut self, sequence: u64);

    /// Forgets the entries up to the snapshot's index, which is durable and whose content replaces
    /// them for peers that lag behind.
    fn compact(&mut self, snapshot: ConsensusSnapshot);

    /// The term in which this node leads now.
    fn leading_term(&self) -> Option<u64>;

    /// The leader, when it is known.
    fn leader(&self) -> Option<NodeId>;

    /// Index of the last entry, committed or not; 0 when there is none.
    fn last_index(&self) -> u64;
}

/// One entry of the log. On disk and on the wire it is framed by us, never as raft's protobuf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The term of the leader that wrote it.
    pub term: u64,
    /// Position in the log, counted from 1; the offset in the metadata log.
    pub index: u64,
    /// Records; empty for the entry with which a leader begins.
    pub data: Bytes,
}

/// What a voter must not forget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HardState {
    /// The latest term seen.
    pub term: u64,
    /// Who got this node's vote in that term.
    pub vote: Option<NodeId>,
    /// The last index known to be committed; may lag behind, and is written only along with others.
    pub commit: u64,
}

/// The state up to one entry, instead of the entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsensusSnapshot {
    /// The last entry included.
    pub index: u64,
    /// The term of that entry.
    pub term: u64,
    /// The state.
    pub bytes: Bytes,
}

/// What an earlier life left on disk.
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    /// The hard state last written.
    pub hard_state: Option<HardState>,
    /// The latest snapshot.
    pub snapshot: Option<ConsensusSnapshot>,
    /// The entries after the snapshot; earlier ones are ignored.
    pub entries: VecDeque<Entry>,
}

/// Where a proposal will be, if it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposal {
    /// Its index.
    pub index: u64,
    /// Its term. Another term committed at this index means that the proposal is lost.
    pub term: u64,
}

/// This node does not lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this node is not the controller")]
pub struct NotLeader {
    /// Who does, when it is known.
    pub leader: Option<NodeId>,
}

/// What consensus wants done.
#[derive(Debug, Default)]
pub struct Ready {
    /// Grows; what [`Consensus::persisted`] is told once the three following fields are durable.
    /// `None`: there is nothing to write.
    pub sequence: Option<u64>,
    /// To write, together with the entries: its commit index may cover them.
    pub hard_state: Option<HardState>,
    /// To write, and to apply in place of all that was applied before; the log begins anew after
    /// it.
    pub snapshot: Option<ConsensusSnapshot>,
    /// To append. When the first index exists already, the log is truncated before it first.
    pub entries: Vec<Entry>,
    /// To send, in this order; those that promise durability are held back until it is reached.
    pub messages: Vec<PeerMessage>,
    /// To apply, in this order.
    pub committed: Vec<Entry>,
}

impl Ready {
    /// Whether nothing is to be done.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.sequence.is_none() && self.messages.is_empty() && self.committed.is_empty()
    }
}

/// A message between voters, opaque to all but the implementation of consensus.
#[derive(Debug, Clone)]
pub struct PeerMessage {
    pub(crate) to: NodeId,
    pub(crate) inner: raft::eraftpb::Message,
}

impl PeerMessage {
    /// The receiver.
    #[must_use]
    pub const fn to(&self) -> NodeId {
        self.to
    }
}

/// Why consensus can not continue from what is on disk. Taking part anyway could lose committed
/// entries or vote twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    /// Entries are missing or out of order.
    #[error("the metadata log has entry {found} where {expected} should be")]
    Gap {
        /// The index that should come next.
        expected: u64,
        /// The index that does.
        found: u64,
    },
    /// Terms that go backwards, or beyond the hard state's.
    #[error("entry {index} of the metadata log has the impossible term {term}")]
    Term {
        /// The entry.
        index: u64,
        /// Its term.
        term: u64,
    },
    /// Committed entries are gone.
    #[error("the metadata log ends at {last}, but was committed up to {commit}")]
    CommittedLost {
        /// The last entry found.
        last: u64,
        /// What the hard state says.
        commit: u64,
    },
    /// A node id that can not take part, or a refusal of the library.
    #[error("consensus refuses to start: {0}")]
    Refused(String),
}
