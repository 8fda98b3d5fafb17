//! [`Consensus`] by the `raft` crate.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use chronik_model::NodeId;
use chronik_model::rng::Rng;
use raft::{RawNode, StateRole, eraftpb};

use crate::consensus::{
    Consensus, ConsensusSnapshot, Entry, HardState, NotLeader, PeerMessage, Proposal, Ready,
    Recovered, RecoveryError,
};
use crate::raft_storage::{RaftStorage, empty_snapshot};

/// A voter of a Raft group. With itself as the only voter it leads from the start and never needs
/// the time; with others it uses pre-votes and checks its quorum.
pub struct RaftConsensus {
    node: RawNode<RaftStorage>,
    /// Draws election timeouts, so that the seed decides elections too.
    rng: Rng,
    /// The term for which a timeout was drawn.
    timed_term: u64,
    /// The hard state, while what is on disk or on its way there is older. A commit index alone is
    /// not worth a write, and goes along with the next.
    unwritten: Option<HardState>,
    /// The last sequence handed out for writing.
    written: u64,
    /// The last sequence reported durable.
    durable: u64,
    /// Messages that may leave once their sequence is durable.
    held: VecDeque<(u64, Vec<PeerMessage>)>,
}

impl RaftConsensus {
    /// Continues from what an earlier life left on disk, or begins with nothing.
    ///
    /// # Errors
    /// [`RecoveryError`] when the log contradicts itself or its hard state.
    pub fn new(
        node_id: NodeId,
        voters: &[NodeId],
        recovered: Recovered,
        seed: u64,
    ) -> Result<Self, RecoveryError> {
        let config = raft::Config {
            id: raft_id(node_id)?,
            election_tick: ELECTION_TICKS,
            heartbeat_tick: HEARTBEAT_TICKS,
            applied: recovered
                .snapshot
                .as_ref()
                .map_or(0, |snapshot| snapshot.index),
            max_size_per_msg: MAX_APPEND_BYTES,
            check_quorum: true,
            pre_vote: true,
            ..raft::Config::default()
        };
        let voters = voters
            .iter()
            .copied()
            .map(raft_id)
            .collect::<Result<Vec<_>, _>>()?;
        let alone = voters == [config.id];
        let storage = recover(voters, recovered)?;
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&config, storage, &logger).map_err(refused)?;
        let mut consensus = Self {
            node,
            rng: Rng::new(seed),
            timed_term: u64::MAX,
            unwritten: None,
            written: 0,
            durable: 0,
            held: VecDeque::new(),
        };
        if alone {
            consensus.node.campaign().map_err(refused)?;
        }
        Ok(consensus)
    }

    fn alone(&self) -> bool {
        self.node.store().voters == [self.node.raft.id]
    }

    /// Takes one ready of the library into `out`.
    fn take(&mut self, out: &mut Ready) {
        let mut taken = self.node.ready();
        self.unwritten = taken.hs().map(hard_state).or(self.unwritten);
        // Messages of a ready without anything to write wait for what was written before it.
        if taken.must_sync() {
            self.written = taken.number();
            out.sequence = Some(self.written);
            out.hard_state = self.unwritten.take();
        }
        if !taken.snapshot().is_empty() {
            let snapshot = ConsensusSnapshot {
                index: taken.snapshot().get_metadata().index,
                term: taken.snapshot().get_metadata().term,
                bytes: taken.snapshot().data.clone(),
            };
            self.node.mut_store().install(snapshot.clone());
            out.snapshot = Some(snapshot);
        }
        self.node.mut_store().append(taken.entries());
        out.entries
            .extend(taken.take_entries().into_iter().map(entry));
        out.messages.extend(outgoing(taken.take_messages()));
        let promises: Vec<_> = outgoing(taken.take_persisted_messages()).collect();
        if self.written <= self.durable {
            out.messages.extend(promises);
        } else if !promises.is_empty() {
            self.held.push_back((self.written, promises));
        }
        let committed = taken.take_committed_entries();
        let applied = committed.last().map(|entry| entry.index);
        out.committed.extend(committed.into_iter().map(entry));
        self.node.advance_append_async(taken);
        if let Some(index) = applied {
            self.node.advance_apply_to(index);
        }
    }

    fn release_held(&mut self, out: &mut Ready) {
        while self
            .held
            .front()
            .is_some_and(|(sequence, _)| *sequence <= self.durable)
        {
            out.messages
                .extend(self.held.pop_front().into_iter().flat_map(|(_, held)| held));
        }
    }
}

impl Consensus for RaftConsensus {
    fn propose(&mut self, data: Bytes) -> Result<Proposal, NotLeader> {
        let not_leader = NotLeader {
            leader: self.leader(),
        };
        let term = self.leading_term().ok_or(not_leader)?;
        self.node
            .propose(Vec::new(), data.into())
            .or(Err(not_leader))?;
        Ok(Proposal {
            index: self.last_index(),
            term,
        })
    }

    fn step(&mut self, message: PeerMessage) {
        // The library refuses what it can not use, such as answers of removed peers.
        drop(self.node.step(message.inner));
    }

    fn tick(&mut self) {
        if self.timed_term != self.node.raft.term {
            self.timed_term = self.node.raft.term;
            let extra = self
                .rng
                .below(u64::try_from(ELECTION_TICKS).unwrap_or(u64::MAX));
            let timeout = ELECTION_TICKS + usize::try_from(extra).unwrap_or(0);
            self.node.raft.set_randomized_election_timeout(timeout);
        }
        self.node.tick();
    }

    fn needs_ticks(&self) -> bool {
        !self.alone()
    }

    fn ready(&mut self) -> Ready {
        let mut out = Ready::default();
        self.release_held(&mut out);
        while out.is_empty() && self.node.has_ready() {
            self.take(&mut out);
        }
        out
    }

    fn persisted(&mut self, sequence: u64) {
        assert!(
            sequence <= self.written,
            "{sequence} is reported durable but was never written"
        );
        self.durable = self.durable.max(sequence);
        self.node.on_persist_ready(sequence);
    }

    fn compact(&mut self, mut snapshot: ConsensusSnapshot) {
        if self.alone() {
            // There is no peer to send it to.
            snapshot.bytes = Bytes::new();
        }
        self.node.mut_store().compact(snapshot);
    }

    fn leading_term(&self) -> Option<u64> {
        (self.node.raft.state == StateRole::Leader).then_some(self.node.raft.term)
    }

    fn leader(&self) -> Option<NodeId> {
        node_id(self.node.raft.leader_id)
    }

    fn last_index(&self) -> u64 {
        self.node.raft.raft_log.last_index()
    }
}

impl fmt::Debug for RaftConsensus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RaftConsensus")
            .field("id", &self.node.raft.id)
            .field("term", &self.node.raft.term)
            .field("leader", &self.leader())
            .field("last_index", &self.last_index())
            .finish_non_exhaustive()
    }
}

/// Checks what the library would panic about, and what it would not notice.
fn recover(voters: Vec<u64>, recovered: Recovered) -> Result<RaftStorage, RecoveryError> {
    let snapshot = recovered.snapshot.unwrap_or(empty_snapshot());
    let stored = match recovered.hard_state {
        Some(stored) => stored,
        // What a lone voter ever promised, its entries show. One of several does not guess: it may have
        // given its vote in a term of which it knows nothing any more.
        None if voters.len() == 1 => HardState {
            term: (recovered.entries.back()).map_or(snapshot.term, |last| last.term),
            ..HardState::default()
        },
        None => HardState::default(),
    };
    let mut last = (snapshot.index, snapshot.term);
    let mut entries = VecDeque::new();
    for entry in recovered
        .entries
        .into_iter()
        .filter(|entry| entry.index > snapshot.index)
    {
        if entry.index != last.0 + 1 {
            return Err(RecoveryError::Gap {
                expected: last.0 + 1,
                found: entry.index,
            });
        }
        if entry.term < last.1 || entry.term > stored.term {
            return Err(RecoveryError::Term {
                index: entry.index,
                term: entry.term,
            });
        }
        last = (entry.index, entry.term);
        entries.push_back(eraftpb::Entry {
            term: entry.term,
            index: entry.index,
            data: entry.data,
            ..eraftpb::Entry::default()
        });
    }
    if stored.commit > last.0 {
        return Err(RecoveryError::CommittedLost {
            last: last.0,
            commit: stored.commit,
        });
    }
    if last.1 > stored.term {
        return Err(RecoveryError::Term {
            index: last.0,
            term: last.1,
        });
    }
    let hard_state = eraftpb::HardState {
        term: stored.term,
        vote: stored.vote.map_or(Ok(0), raft_id)?,
        // A snapshot is of committed entries, whatever the hard state had learnt.
        commit: stored.commit.max(snapshot.index),
        ..eraftpb::HardState::default()
    };
    Ok(RaftStorage {
        hard_state,
        voters,
        snapshot,
        entries,
    })
}

fn hard_state(state: &eraftpb::HardState) -> HardState {
    HardState {
        term: state.term,
        vote: node_id(state.vote),
        commit: state.commit,
    }
}

fn entry(entry: eraftpb::Entry) -> Entry {
    Entry {
        term: entry.term,
        index: entry.index,
        data: entry.data,
    }
}

fn outgoing(messages: Vec<eraftpb::Message>) -> impl Iterator<Item = PeerMessage> {
    messages
        .into_iter()
        .filter_map(|inner| node_id(inner.to).map(|to| PeerMessage { to, inner }))
}

/// The library's ids begin at 1, ours at 0.
fn raft_id(node_id: NodeId) -> Result<u64, RecoveryError> {
    u64::try_from(node_id.0)
        .map(|id| id + 1)
        .map_err(|_negative| RecoveryError::Refused(format!("node id {} is negative", node_id.0)))
}

fn node_id(raft_id: u64) -> Option<NodeId> {
    let id = raft_id.checked_sub(1)?;
    i32::try_from(id).ok().map(NodeId)
}

fn refused(error: raft::Error) -> RecoveryError {
    RecoveryError::Refused(error.to_string())
}

/// Ticks without a leader before an election, at least; at most twice as many.
const ELECTION_TICKS: usize = 10;
const HEARTBEAT_TICKS: usize = 2;
/// Bytes of entries in one message to a peer.
const MAX_APPEND_BYTES: u64 = 1 << 20;
