//! What can be in the schedule: small things that say which queue moves; what lies in it stays there.

use std::fmt;

use crate::actor::{ActorId, BrokerId};
use crate::host::HostEvent;
use crate::network::NetworkEvent;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Something inside one life of a broker.
    Host(BrokerId, u32, HostEvent),
    /// Bytes, or the end of them, arrive.
    Network(NetworkEvent),
    /// An actor's deadline may have passed.
    Actor(ActorId),
    /// The fault with this number in the plan begins.
    Fault(u32),
    /// What a fault did to the disk or the links of a broker ends.
    FaultEnds(BrokerId, u32),
    /// A broker is started, if it still waits for this start.
    Start(BrokerId, u32),
    /// The operator gives a broker that is of no use any more a new life.
    Replace(BrokerId, u32),
}

impl Event {
    /// For the hash.
    pub(crate) const fn code(self) -> u64 {
        match self {
            Self::Host(broker, _, event) => (broker.0 as u64) << 48 | event.code(),
            Self::Network(event) => 1 << 56 | event.code(),
            Self::Actor(actor) => 2 << 56 | actor.0 as u64,
            Self::Fault(index) => 3 << 56 | index as u64,
            Self::FaultEnds(_, index) => 4 << 56 | index as u64,
            Self::Start(_, life) => 5 << 56 | life as u64,
            Self::Replace(_, life) => 6 << 56 | life as u64,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(broker, life, event) => {
                write!(f, "broker {} life {life}: {event:?}", broker.0)
            }
            Self::Network(event) => write!(f, "network: {event:?}"),
            Self::Actor(actor) => write!(f, "actor {}: deadline", actor.0),
            Self::Fault(index) => write!(f, "fault {index} begins"),
            Self::FaultEnds(broker, index) => {
                write!(f, "broker {}: fault {index} ends", broker.0)
            }
            Self::Start(broker, _) => write!(f, "broker {}: start", broker.0),
            Self::Replace(broker, _) => write!(f, "broker {}: replaced", broker.0),
        }
    }
}
