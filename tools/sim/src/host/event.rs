//! What can happen inside one life of a broker.

use chronik_model::LogId;
use chronik_node::ConnectionId;

/// One of a broker's machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// A shard.
    Shard(u16),
    /// A frontend.
    Frontend(u16),
    /// The controller.
    Quorum,
}

/// See the module. Where something waits in a queue, the event says which queue moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostEvent {
    /// A shard takes what is first in this line.
    Shard(u16),
    /// A frontend takes what is first in this line.
    Frontend(u16),
    /// The controller takes what is first in this line.
    Quorum(u16),
    /// An event loop has read what there was.
    EndTurn(u16),
    /// An event loop looks again at a connection that had to wait.
    Read(u16, ConnectionId),
    /// The first operation of a log is carried out.
    Disk(u16, LogId),
    /// The journal looks for what waits.
    CommitBegin,
    /// The journal's write is done.
    CommitEnd,
    /// A machine's deadline may have passed.
    Tick(Machine),
    /// What found no space is tried again.
    RetryWrites,
    /// The checkpoint is written.
    CheckpointEnd,
    /// A checkpoint that failed is tried again.
    CheckpointRetry,
    /// A clean stop has taken too long.
    StopTimeout,
    /// The process, or with it the machine, dies.
    Die {
        /// The machine.
        power: bool,
    },
}

impl HostEvent {
    /// For the hash.
    pub(crate) const fn code(self) -> u64 {
        match self {
            Self::Shard(line) => 1 << 32 | line as u64,
            Self::Frontend(line) => 2 << 32 | line as u64,
            Self::Quorum(line) => 3 << 32 | line as u64,
            Self::EndTurn(frontend) => 4 << 32 | frontend as u64,
            Self::Read(frontend, id) => 5 << 32 | (id.index as u64) << 16 | frontend as u64,
            Self::Disk(shard, log) => 6 << 32 | log.0 << 16 | shard as u64,
            Self::CommitBegin => 7 << 32,
            Self::CommitEnd => 8 << 32,
            Self::Tick(Machine::Frontend(frontend)) => 9 << 32 | frontend as u64,
            Self::Tick(Machine::Shard(shard)) => 10 << 32 | shard as u64,
            Self::Tick(Machine::Quorum) => 11 << 32,
            Self::RetryWrites => 12 << 32,
            Self::CheckpointEnd => 13 << 32,
            Self::CheckpointRetry => 14 << 32,
            Self::StopTimeout => 15 << 32,
            Self::Die { power } => 16 << 32 | power as u64,
        }
    }
}
