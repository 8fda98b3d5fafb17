//! The operations that change a disk, and the parts of them that a crash leaves.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use chronik_model::rng::Rng;

use crate::SimDisk;
use crate::file::SECTOR_BYTES;
use crate::names::{Entry, parent};

/// One operation that changes something.
#[derive(Debug, Clone)]
pub(crate) enum Step<'a> {
    Write {
        path: Cow<'a, str>,
        position: usize,
        bytes: Cow<'a, [u8]>,
        /// Durable when it comes back.
        through: bool,
    },
    Truncate {
        path: Cow<'a, str>,
        length: usize,
    },
    Sync {
        path: Cow<'a, str>,
    },
    SyncDirectory {
        path: Cow<'a, str>,
    },
    Rename {
        from: Cow<'a, str>,
        to: Cow<'a, str>,
    },
    Remove {
        path: Cow<'a, str>,
    },
}

impl Step<'_> {
    pub(crate) fn path(&self) -> &str {
        match self {
            Self::Write { path, .. }
            | Self::Truncate { path, .. }
            | Self::Sync { path }
            | Self::SyncDirectory { path }
            | Self::Rename { from: path, .. }
            | Self::Remove { path } => path,
        }
    }

    pub(crate) fn into_owned(self) -> Step<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Write {
                path,
                position,
                bytes,
                through,
            } => Step::Write {
                path: owned(path),
                position,
                bytes: Cow::Owned(bytes.into_owned()),
                through,
            },
            Self::Truncate { path, length } => Step::Truncate {
                path: owned(path),
                length,
            },
            Self::Sync { path } => Step::Sync { path: owned(path) },
            Self::SyncDirectory { path } => Step::SyncDirectory { path: owned(path) },
            Self::Rename { from, to } => Step::Rename {
                from: owned(from),
                to: owned(to),
            },
            Self::Remove { path } => Step::Remove { path: owned(path) },
        }
    }
}

/// What has become of the operation that a crash interrupted: of each of its parts, whether it is
/// done. Parts are the sectors of a write behind the name that it makes, and the names that a rename
/// or a removal changes; everything else has one part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tear {
    /// See the type.
    pub done: Vec<bool>,
    /// Whether what is done is on the platter. If not, it is in the cache, as after a process crash.
    pub durable: bool,
}

/// Every tear worth trying of an operation of `parts` parts: all subsets of up to `most` parts; of
/// more, beginnings, ends, single parts and all but single parts.
fn subsets(parts: usize, most: usize) -> BTreeSet<Vec<bool>> {
    let of = |keep: &dyn Fn(usize) -> bool| (0..parts).map(keep).collect::<Vec<bool>>();
    if parts <= most.min(16) {
        let all = 0..1_u32 << parts;
        return all.map(|bits| of(&|part| bits >> part & 1 == 1)).collect();
    }
    let mut found = BTreeSet::from([of(&|_| true), of(&|_| false)]);
    for at in 0..parts {
        found.insert(of(&|part| part < at));
        found.insert(of(&|part| part >= at));
        found.insert(of(&|part| part == at));
        found.insert(of(&|part| part != at));
    }
    found
}

impl SimDisk {
    /// Every way in which the operation that a crash interrupted can have ended: all subsets of its
    /// parts where there are up to `most`, and a choice of them otherwise. In the cache (`durable` not
    /// set) only writes and removals of whole directories can be cut short.
    #[must_use]
    pub fn tears(&self, durable: bool, most: usize) -> Vec<Tear> {
        let Some(step) = &self.interrupted else {
            return Vec::new();
        };
        let parts = self.parts(step);
        let tear = |done| Tear { done, durable };
        let whole = || [false, true].map(|done| tear(vec![done; parts])).into();
        match step {
            Step::Write { .. } => subsets(parts, most).into_iter().map(tear).collect(),
            Step::Rename { .. } if durable => subsets(parts, most).into_iter().map(tear).collect(),
            Step::Remove { .. } if durable => subsets(parts, most).into_iter().map(tear).collect(),
            Step::Remove { .. } => {
                let removed = |count| tear((0..parts).map(|part| part < count).collect());
                (0..=parts).map(removed).collect()
            }
            Step::Truncate { .. }
            | Step::Sync { .. }
            | Step::SyncDirectory { .. }
            | Step::Rename { .. } => whole(),
        }
    }

    /// Leaves of the interrupted operation what `tear` says. Nothing is interrupted any more.
    pub fn tear(&mut self, tear: &Tear) {
        if let Some(step) = self.interrupted.take() {
            self.tear_step(&step, tear);
        }
    }

    /// Leaves any part of the interrupted operation.
    pub(crate) fn tear_by_chance(&mut self, durable: bool, rng: &mut Rng) {
        let Some(step) = self.interrupted.take() else {
            return;
        };
        let parts = self.parts(&step);
        let odds = chance(rng);
        let apart = durable || matches!(step, Step::Write { .. });
        let whole = rng.below(100) < odds;
        let mut done: Vec<bool> = (0..parts)
            .map(|_| if apart { rng.below(100) < odds } else { whole })
            .collect();
        if matches!(step, Step::Write { .. }) && parts > 1 && rng.below(3) == 0 {
            done.sort_by_key(|done| !done);
        }
        self.tear_step(&step, &Tear { done, durable });
    }

    fn parts(&self, step: &Step<'_>) -> usize {
        match step {
            Step::Write {
                path,
                position,
                bytes,
                ..
            } => {
                let new = self.names.file(path).is_none();
                usize::from(new) + pieces(*position, bytes.len()).count()
            }
            Step::Rename { .. } => 2,
            Step::Remove { path } => 1 + self.names.below(path).len(),
            Step::Truncate { .. } | Step::Sync { .. } | Step::SyncDirectory { .. } => 1,
        }
    }

    fn tear_step(&mut self, step: &Step<'_>, tear: &Tear) {
        let Tear { done, durable } = tear;
        let all = done.iter().all(|done| *done);
        match step {
            Step::Write {
                path,
                position,
                bytes,
                ..
            } => self.tear_write(path, *position, bytes, tear),
            Step::Rename { from, to } => self.tear_rename(from, to, tear),
            Step::Remove { path } => {
                let mut names = self.names.below(path);
                names.push(path.clone().into_owned());
                for (name, done) in names.iter().zip(done) {
                    if *done && *durable {
                        self.names.take_all(name);
                        self.names.settle(name);
                    } else if *done {
                        self.names.take_all(name);
                    }
                }
            }
            Step::Truncate { path, length } if all => {
                if let Some(file) = self.file_mut(path) {
                    if *durable {
                        file.set_len_through(*length);
                    } else {
                        file.set_len(*length);
                    }
                }
            }
            Step::Sync { .. } | Step::SyncDirectory { .. } if all => self.apply(step),
            Step::Truncate { .. } | Step::Sync { .. } | Step::SyncDirectory { .. } => {}
        }
    }

    fn tear_write(&mut self, path: &str, position: usize, bytes: &[u8], tear: &Tear) {
        let mut done = tear.done.iter().copied();
        if self.names.file(path).is_none() {
            if done.next() != Some(true) {
                return;
            }
            self.create(path);
            if tear.durable {
                self.names.settle(path);
            }
        }
        let Some(file) = self.file_mut(path) else {
            return;
        };
        for (piece, done) in pieces(position, bytes.len()).zip(done) {
            let Some(sector) = bytes.get(piece.clone()).filter(|_| done) else {
                continue;
            };
            if tear.durable {
                file.put_through(position + piece.start, sector);
            } else {
                file.put(position + piece.start, sector);
            }
        }
    }

    fn tear_rename(&mut self, from: &str, to: &str, tear: &Tear) {
        let Some(Entry::File(file)) = self.names.find(from) else {
            return;
        };
        let (gone, there) = match tear.done.as_slice() {
            [gone, there] => (*gone, *there),
            _ => (false, false),
        };
        if there {
            self.names.put(to, file);
        }
        if gone {
            self.names.take(from);
        }
        if tear.durable {
            let changed = [(there, to), (gone, from)];
            for (_, path) in changed.iter().filter(|(changed, _)| *changed) {
                self.names.settle_name(path);
            }
            self.names.settle(parent(to));
        }
    }
}

/// How likely parts make it: sometimes all or nothing, which random parts hardly ever are.
pub(crate) fn chance(rng: &mut Rng) -> u64 {
    match rng.below(5) {
        0 => 0,
        1 => 100,
        2 => 90,
        3 => 10,
        _ => 50,
    }
}

/// The ranges of a write's bytes that lie in one sector each.
fn pieces(position: usize, length: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let end = (start + SECTOR_BYTES - (position + start) % SECTOR_BYTES).min(length);
        let piece = start..end;
        start = end;
        (!piece.is_empty()).then_some(piece)
    })
}
