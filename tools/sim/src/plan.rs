//! What goes wrong in a run, as a list that can be told, cut short and repeated.

use std::fmt;
use std::str::FromStr;

use chronik_model::Mono;
use chronik_model::rng::Rng;

use crate::actor::BrokerId;

/// A kind of fault, as `--faults` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// The process dies; what it wrote stays in the page cache.
    Crash,
    /// The machine dies: of what was not synced, any sectors and names stay.
    Power,
    /// Crashes come while writes are under way, and leave any part of them. Adds to `crash` and
    /// `power`.
    Torn,
    /// A sync of a segment fails; afterwards its pages read as clean, and a power cut loses them.
    Fsync,
    /// A write of the journal fails.
    Journal,
    /// A write, index or read of a segment fails with EIO.
    Io,
    /// No space for segments, for a while.
    Full,
    /// The disk takes 10 to 1,000 times as long, for a while.
    Slow,
    /// A byte of a sealed segment turns over.
    Rot,
    /// A checkpoint can not be written, or one or both of those there are is found damaged by the next
    /// start, for which the process dies at once.
    Checkpoint,
    /// One read returns what lies elsewhere.
    Misdirect,
    /// Connections are reset, with any part of what was under way.
    Reset,
    /// Bytes stand still in one direction or both, for a while.
    Clog,
    /// A connection dies and the broker never hears of it.
    HalfOpen,
    /// The broker stands still for a while, as under SIGSTOP; time goes on.
    Pause,
    /// The wall clock leaps, forward or back, up to an hour.
    Clock,
    /// The broker is stopped in good order and started.
    Restart,
    /// The disk is replaced by an empty one.
    Wipe,
}

impl FaultKind {
    /// Every kind with its name.
    pub const ALL: [(Self, &'static str); 18] = [
        (Self::Crash, "crash"),
        (Self::Power, "power"),
        (Self::Torn, "torn"),
        (Self::Fsync, "fsync"),
        (Self::Journal, "journal"),
        (Self::Io, "io"),
        (Self::Full, "full"),
        (Self::Slow, "slow"),
        (Self::Rot, "rot"),
        (Self::Checkpoint, "checkpoint"),
        (Self::Misdirect, "misdirect"),
        (Self::Reset, "reset"),
        (Self::Clog, "clog"),
        (Self::HalfOpen, "half-open"),
        (Self::Pause, "pause"),
        (Self::Clock, "clock"),
        (Self::Restart, "restart"),
        (Self::Wipe, "wipe"),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(kind, _)| *kind == self);
        found.map_or("?", |(_, name)| name)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for FaultKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name);
        found.map(|(kind, _)| *kind).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|(_, name)| *name).collect();
            format!(
                "no fault is called {name:?}; there are {}",
                known.join(", ")
            )
        })
    }
}

/// One fault at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// When it begins.
    pub at: Mono,
    /// Whom it hits.
    pub broker: BrokerId,
    /// What it is.
    pub kind: FaultKind,
    /// How long it lasts, or until the broker is started again, in ns.
    pub lasts_ns: u64,
    /// Decides all that is left to chance in it, so that it hits the same when others are left out.
    pub seed: u64,
}

/// All faults of a run, by time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// See the type.
    pub faults: Vec<Fault>,
}

/// How a plan is drawn.
#[derive(Debug, Clone)]
pub struct Odds {
    /// Kinds that may happen.
    pub kinds: Vec<FaultKind>,
    /// How many faults there are.
    pub count: u64,
    /// Faults begin before this time.
    pub until: Mono,
    /// Brokers there are.
    pub brokers: u16,
}

/// Of a hundred faults, those that come soon after another one.
const AGAIN_PERCENT: u64 = 25;
const SOON_NS: u64 = 200_000_000;

impl Plan {
    /// Draws a plan. At least two crashes are in it where crashes are among the kinds.
    #[must_use]
    pub fn draw(rng: &mut Rng, odds: &Odds) -> Self {
        let crashes: Vec<_> = odds
            .kinds
            .iter()
            .copied()
            .filter(|kind| matches!(kind, FaultKind::Crash | FaultKind::Power))
            .collect();
        let mut faults: Vec<Fault> = Vec::new();
        for index in 0..odds.count {
            let from = if index < 3 && !crashes.is_empty() {
                &crashes
            } else {
                &odds.kinds
            };
            let drawn = rng.below(from.len().max(1) as u64);
            let Some(kind) = usize::try_from(drawn).ok().and_then(|it| from.get(it)) else {
                break;
            };
            let at = rng.below(odds.until.0);
            // What has just come back is hit again: not everything is as it was yet.
            let soon = rng.below(SOON_NS);
            let again = faults.last().filter(|_| rng.below(100) < AGAIN_PERCENT);
            let again = again.map(|before| before.at.0 + before.lasts_ns + soon);
            faults.push(Fault {
                at: Mono(again.filter(|again| *again < odds.until.0).unwrap_or(at)),
                broker: BrokerId(u16::try_from(rng.below(u64::from(odds.brokers))).unwrap_or(0)),
                kind: *kind,
                lasts_ns: 1 << (20 + rng.below(12)),
                seed: rng.next_u64(),
            });
        }
        faults.sort_by_key(|fault| (fault.at, fault.seed));
        Self { faults }
    }
}
