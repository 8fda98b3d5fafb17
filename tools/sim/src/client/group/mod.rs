//! Members of groups.

mod assignment;
pub mod classic;
pub mod consumer;
mod work;

use self::work::Task;

/// What a request of a member is about.
#[derive(Debug)]
enum About {
    /// The coordinator, which also makes the topic of groups where that is missing.
    Find,
    Join,
    Sync,
    Heartbeat,
    Leave,
    Work(Task),
}

/// How the members of a group work together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Classic: everybody gives up everything before everybody joins anew.
    Eager,
    /// Classic: only what moves is given up.
    Cooperative,
    /// The consumer group protocol, in which the broker assigns.
    Consumer,
}

/// The protocol of a group, which all of its members know by its number.
#[must_use]
pub const fn protocol_of(group: u16) -> Protocol {
    match group % 4 {
        0 => Protocol::Eager,
        2 => Protocol::Cooperative,
        _ => Protocol::Consumer,
    }
}

const fn is_new_protocol(group: u16) -> bool {
    matches!(protocol_of(group), Protocol::Consumer)
}

/// What an error of a coordinator means for a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Look for the coordinator, and ask again.
    Again,
    /// The member is none any more.
    Fenced,
    /// The group begins a new generation.
    Rebalance,
    /// The member that was there before has to go first.
    Occupied,
}

/// What the code means; `None` for one that no broker may give to a member.
const fn fate(code: i16) -> Option<Fate> {
    match code {
        // COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR,
        // REQUEST_TIMED_OUT, UNKNOWN_SERVER_ERROR.
        14..=16 | 7 | -1 => Some(Fate::Again),
        // ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, GROUP_ID_NOT_FOUND, FENCED_INSTANCE_ID,
        // FENCED_MEMBER_EPOCH.
        22 | 25 | 69 | 82 | 110 => Some(Fate::Fenced),
        // REBALANCE_IN_PROGRESS.
        27 => Some(Fate::Rebalance),
        // UNRELEASED_INSTANCE_ID.
        111 => Some(Fate::Occupied),
        _ => None,
    }
}

/// How long a member takes itself for one after its coordinator heard from it, of the timeout after
/// which the coordinator takes it for dead. Their clocks may differ a little.
const fn lease_ns(session_ms: u64) -> u64 {
    session_ms * 950_000
}
