//! What a run exercised: a run in which nothing was committed, crashed or recovered proves nothing.

use std::collections::BTreeMap;

use crate::plan::FaultKind;

/// Everything that is counted beside faults and errors, so that what never happened shows as zero.
const NAMES: [&str; 33] = [
    "batches-recovered",
    "bytes-received",
    "bytes-sent",
    "checkpoints",
    "checkpoints-failed",
    "commits",
    "connections",
    "crashes-disk-write-underway",
    "crashes-journal-write-underway",
    "crashes-power",
    "crashes-process",
    "crashes-recovery",
    "disk-compactions",
    "disk-failures",
    "disk-operations",
    "disk-reads",
    "disk-syncs",
    "disk-writes",
    "frames-recovered",
    "journal-stuck",
    "metadata-snapshots",
    "offline",
    "operations",
    "out-of-space",
    "recoveries",
    "recoveries-clean",
    "recoveries-failed",
    "recoveries-rebuilt",
    "recoveries-torn",
    "requests",
    "resets",
    "starts",
    "stops-clean",
];

/// See the module.
#[derive(Debug, Clone)]
pub struct Counters {
    counts: BTreeMap<&'static str, u64>,
}

impl Default for Counters {
    fn default() -> Self {
        let names = NAMES.into_iter();
        let faults = FaultKind::ALL.into_iter().map(|(kind, _)| fault_name(kind));
        Self {
            counts: names.chain(faults).map(|name| (name, 0)).collect(),
        }
    }
}

impl Counters {
    /// Adds to a counter.
    pub fn add(&mut self, name: &'static str, count: u64) {
        *self.counts.entry(name).or_default() += count;
    }

    /// A fault took effect.
    pub(crate) fn fault(&mut self, kind: FaultKind) {
        self.add(fault_name(kind), 1);
    }

    /// Counts by name.
    #[must_use]
    pub fn into_map(self) -> BTreeMap<&'static str, u64> {
        self.counts
    }
}

/// A fault's counter. `fault-crash` is one that was asked for, `crashes-process` one that happened.
const fn fault_name(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Crash => "fault-crash",
        FaultKind::Power => "fault-power",
        FaultKind::Torn => "fault-torn",
        FaultKind::Fsync => "fault-fsync",
        FaultKind::Journal => "fault-journal",
        FaultKind::Io => "fault-io",
        FaultKind::Full => "fault-full",
        FaultKind::Slow => "fault-slow",
        FaultKind::Rot => "fault-rot",
        FaultKind::Checkpoint => "fault-checkpoint",
        FaultKind::Misdirect => "fault-misdirect",
        FaultKind::Reset => "fault-reset",
        FaultKind::Clog => "fault-clog",
        FaultKind::HalfOpen => "fault-half-open",
        FaultKind::Pause => "fault-pause",
        FaultKind::Clock => "fault-clock",
        FaultKind::Restart => "fault-restart",
        FaultKind::Wipe => "fault-wipe",
    }
}
