//! Committed offsets: one register for each group and partition, whose reads and writes have a
//! beginning and an end.
//!
//! ```text
//!   commit 5  |------|
//!   commit 9              |-----------|
//!   commit 7                    |- - - - - - ?      nobody knows its end
//!   read                                 |----|     9 or 7, never 5: 9 was over before it began,
//!                                                   and 5 was over before 9 began
//! ```

use chronik_model::Mono;
use rustc_hash::FxHashMap;

use super::rule::{Rule, Violation};
use crate::actor::ActorId;
use crate::history::{End, OpId, Place};

type Key = (u16, Place);

/// How far a commit came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    /// It may come to be, now or later.
    Possible,
    /// It has come to be before that time.
    Done(Mono),
    /// It will never be.
    Refused,
}

#[derive(Debug, Clone, Copy)]
struct Commit {
    began: Mono,
    offset: i64,
    write: Write,
}

/// An operation that commits.
#[derive(Debug)]
struct Operation {
    /// Which commits of which registers.
    commits: Vec<(Key, usize)>,
    wipes: u32,
}

/// All committed offsets.
#[derive(Debug, Default)]
pub(super) struct Commits {
    registers: FxHashMap<Key, Vec<Commit>>,
    operations: FxHashMap<(ActorId, OpId), Operation>,
    /// How often everything was lost with the disk.
    wipes: u32,
    wiped_at: Mono,
    /// The partitions that hold committed offsets were damaged: absence is no loss.
    pub(super) damaged: bool,
}

impl Commits {
    /// A commit was sent.
    pub(super) fn begin(
        &mut self,
        at: Mono,
        op: (ActorId, OpId),
        group: u16,
        offsets: &[(Place, i64)],
    ) {
        let mut commits = Vec::with_capacity(offsets.len());
        for (place, offset) in offsets {
            let register = self.registers.entry((group, *place)).or_default();
            commits.push(((group, *place), register.len()));
            register.push(Commit {
                began: at,
                offset: *offset,
                write: Write::Possible,
            });
        }
        let wipes = self.wipes;
        self.operations.insert(op, Operation { commits, wipes });
    }

    /// A commit ended.
    pub(super) fn end(&mut self, at: Mono, op: (ActorId, OpId), end: End<()>) {
        let write = match end {
            End::Done(()) => Write::Done(at),
            End::Refused(_) => Write::Refused,
            End::Unknown => return,
        };
        let operation = self.operations.remove(&op);
        let Some(operation) = operation.filter(|it| it.wipes == self.wipes) else {
            return;
        };
        for (key, index) in operation.commits {
            let register = self.registers.get_mut(&key);
            if let Some(commit) = register.and_then(|it| it.get_mut(index))
                && commit.write == Write::Possible
            {
                commit.write = write;
            }
        }
    }

    /// A committed offset was given to somebody who asked at that time; -1 for none.
    pub(super) fn read(
        &mut self,
        at: Mono,
        asked: Mono,
        key: Key,
        offset: i64,
    ) -> Result<(), Violation> {
        if asked <= self.wiped_at && self.wipes > 0 {
            return Ok(());
        }
        let damaged = self.damaged;
        let register = self.registers.entry(key).or_default();
        // What began before this and was over by then has been replaced.
        let replaced = register
            .iter()
            .filter(|it| matches!(it.write, Write::Done(end) if end < asked))
            .max_by_key(|it| it.began)
            .copied();
        let current = |commit: &Commit| {
            damaged
                || replaced.is_none_or(|replaced| match commit.write {
                    Write::Done(end) => end >= replaced.began,
                    Write::Possible => true,
                    Write::Refused => false,
                })
        };
        if offset < 0 && (replaced.is_none() || damaged) {
            return Ok(());
        }
        let possible =
            |it: &Commit| it.offset == offset && it.write != Write::Refused && current(it);
        let mut matching = register.iter_mut().filter(|it| possible(it));
        match (matching.next(), matching.next()) {
            (Some(only), None) => {
                // It has come to be, whatever its client was told.
                if only.write == Write::Possible {
                    only.write = Write::Done(at);
                }
                Ok(())
            }
            (Some(_), Some(_)) => Ok(()),
            (None, _) => {
                let rule = rule(register, offset);
                let what = story(key, offset, asked, register);
                Err(Violation::new(rule, at, what))
            }
        }
    }

    /// Everything is gone.
    pub(super) fn wiped(&mut self, at: Mono) {
        self.registers.clear();
        self.wipes += 1;
        self.wiped_at = at;
    }
}

/// Which promise an impossible offset breaks.
fn rule(register: &[Commit], offset: i64) -> Rule {
    let mut same = register.iter().filter(|it| it.offset == offset);
    let replaced = same.any(|it| it.write != Write::Refused);
    if offset < 0 || replaced {
        Rule::CommitLost
    } else {
        Rule::CommitInvented
    }
}

fn story((group, place): Key, offset: i64, asked: Mono, register: &[Commit]) -> String {
    const SHOWN: usize = 6;
    let skipped = register.len().saturating_sub(SHOWN);
    let latest = register.iter().skip(skipped).map(|it| {
        let end = match it.write {
            Write::Possible => "open".to_owned(),
            Write::Done(end) => format!("done by {} us", end.0 / 1_000),
            Write::Refused => "refused".to_owned(),
        };
        format!("{} at {} us, {end}", it.offset, it.began.0 / 1_000)
    });
    let latest: Vec<_> = latest.collect();
    format!(
        "group {group} has offset {offset} for partition {} of topic {}, asked at {} us; latest \
         commits: {}",
        place.partition,
        place.topic,
        asked.0 / 1_000,
        latest.join("; ")
    )
}
