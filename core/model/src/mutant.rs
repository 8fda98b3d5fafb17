//! Deliberate bugs, for the proof that the simulator finds them.
//!
//! [`mutant!`](crate::mutant!) marks the place of one: a literal `false` in every build but those with
//! `--cfg mutants`. There it asks whether the bug is the one that was chosen for this thread, as the
//! simulator runs each seed in one thread.
//!
//! ```
//! if chronik_model::mutant!(AckBeforeSync) {
//!     unreachable!("no build that anybody uses has bugs on purpose");
//! }
//! ```

/// Whether a deliberate bug is switched on.
#[cfg(not(mutants))]
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        false
    };
}

/// Whether a deliberate bug is switched on.
#[cfg(mutants)]
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutant::is_on($crate::mutant::Mutant::$name)
    };
}

#[cfg(mutants)]
pub use chosen::{Mutant, is_on, reached, set};

#[cfg(mutants)]
mod chosen {
    use std::cell::Cell;
    use std::fmt;
    use std::str::FromStr;

    macro_rules! mutants {
        ($($name:ident: $broken:literal,)+) => {
            /// A deliberate bug.
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub enum Mutant {
                $(#[doc = $broken] $name,)+
            }

            impl Mutant {
                /// Every one with its name and what is broken.
                pub const ALL: &'static [(Self, &'static str, &'static str)] =
                    &[$((Self::$name, stringify!($name), $broken),)+];
            }
        };
    }

    mutants! {
        AckBeforeSync: "a produce is acknowledged once it is appended, before the journal has it",
        HighWatermarkBeforeDurable: "the high watermark goes to the end of the log with whatever is durable first",
        HighWatermarkOffByOne: "the high watermark is one beyond the stable end",
        SkipDirectorySync: "recovery syncs the segments that it wrote, but not their names",
        SkipCheckpointSync: "a checkpoint is put in place without syncing it or its name",
        FrameChecksumIgnored: "replay of the journal takes frames whose checksum is wrong",
        StaleLapReplayed: "replay goes on into what an earlier lap left behind the newest frame",
        LiveRingOverwritten: "the journal goes round its ring without waiting for a trim",
        LogNotOpened: "the journal is never told what a log id means",
        FailedSyncRetried: "a sync that failed is tried again, and believed the second time",
        TrimBeforeSync: "what is written to a segment counts as synced, so the journal forgets it too early",
        RecoveryNotSynced: "recovery writes segments and begins anew without syncing them",
        ScanChecksumIgnored: "recovery of a log that does not journal takes batches unchecked",
        UnwrittenEvicted: "the hot tail lets go of batches that are not in a segment yet",
        FullDiskIgnored: "a segment write that found no space counts as done",
        ReadChecksumIgnored: "batches are served from disk without checking their checksum",
        ReadSkipsABatch: "a read that begins with the last record of a batch in memory passes it over",
        LogIdReused: "a start after a crash hands out log ids that the journal has used",
        LogStartForgotten: "replay does not hear of a log start",
        DeleteRecordsAnsweredEarly: "DeleteRecords is answered before the new log start is durable",
        RetentionTakesAll: "retention deletes closed segments of topics that keep everything",
        CompactionDropsNewest: "compaction drops the newest record of a key",
        SwitchWithoutSync: "a log begins to journal without a sync of what it had written before",
        EndTurnForgets: "the end of a turn passes over the last log that waits for its segment write",
        ProducersNotInCheckpoint: "checkpoints leave out the idempotent producers",
        ProducersForgotten: "replay appends batches but does not learn their producers",
        ProducersAheadOfLog: "recovery keeps what producers wrote behind the end of the log",
        WindowOfOne: "of an idempotent producer only the newest batch is known again",
        DuplicateAnsweredEarly: "a duplicate is acknowledged before its original is durable",
        SequenceGapAccepted: "a batch whose sequence leaves a gap is appended",
        OldProducerEpochAccepted: "a batch of a producer's earlier epoch is appended",
        RepliesOutOfOrder: "replies leave a connection as they are ready",
        FetchBeyondHighWatermark: "a fetch reads to the end of the log",
        DeletedRecordsServed: "a fetch may begin before the log start",
        CommitAnsweredEarly: "a group's replies leave before its records are durable",
        GroupLoadStopsShort: "loading a coordinator leaves out the last batch",
        TombstonesIgnored: "loading a coordinator passes over tombstones",
        AnswersBeforeLoaded: "a coordinator answers while it is being loaded",
        OlderCommitWins: "of several commits of one partition, the oldest counts when loading",
        StaleMemberCommits: "a member of an earlier generation or epoch may commit",
        HandedOutBeforeRevoked: "a member is given partitions that another has not given back",
        GroupReplyForgotten: "a group's reply waits for the next record even if it is safe already",
        MetadataAnsweredEarly: "the controller answers before its records are durable",
        ProducerIdsAnsweredEarly: "producer ids are handed out before their block is durable",
        MetadataTrimmedEarly: "the metadata log lets go of entries before their snapshot is durable",
    }

    thread_local! {
        static CHOSEN: Cell<Option<Mutant>> = const { Cell::new(None) };
        static REACHED: Cell<u64> = const { Cell::new(0) };
    }

    /// Switches one bug on for this thread, or all off.
    pub fn set(mutant: Option<Mutant>) {
        CHOSEN.set(mutant);
        REACHED.set(0);
    }

    /// How often this thread has come to the place of the chosen bug since [`set`].
    #[must_use]
    pub fn reached() -> u64 {
        REACHED.get()
    }

    /// What [`mutant!`](crate::mutant!) asks.
    #[must_use]
    pub fn is_on(mutant: Mutant) -> bool {
        let on = CHOSEN.get() == Some(mutant);
        if on {
            REACHED.set(REACHED.get() + 1);
        }
        on
    }

    impl Mutant {
        /// Its name.
        #[must_use]
        pub fn name(self) -> &'static str {
            let found = Self::ALL.iter().find(|(mutant, ..)| *mutant == self);
            found.map_or("?", |(_, name, _)| name)
        }
    }

    impl fmt::Display for Mutant {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.name())
        }
    }

    impl FromStr for Mutant {
        type Err = String;

        fn from_str(name: &str) -> Result<Self, String> {
            let found = Self::ALL.iter().find(|(_, known, _)| *known == name);
            found
                .map(|(mutant, ..)| *mutant)
                .ok_or_else(|| format!("no mutant is called {name:?}"))
        }
    }
}

#[cfg(all(test, mutants))]
mod tests {
    use super::{Mutant, reached, set};

    #[test]
    fn one_is_on_at_a_time_and_known_by_name() {
        assert!(!crate::mutant!(AckBeforeSync));
        set(Some("AckBeforeSync".parse().unwrap()));
        assert!(crate::mutant!(AckBeforeSync));
        assert!(!crate::mutant!(FetchBeyondHighWatermark));
        assert_eq!(reached(), 1);
        set(None);
        assert!(!crate::mutant!(AckBeforeSync));
        for (mutant, name, broken) in Mutant::ALL {
            assert_eq!(name.parse(), Ok(*mutant));
            assert_eq!(mutant.to_string(), *name);
            assert!(!broken.is_empty());
        }
    }
}
