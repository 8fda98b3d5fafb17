//! Steps carried out, or failing as a fault wants it.

use chronik_model::rng::Rng;
use chronik_storage::disk::{DirEntry, Disk, DiskError, DiskErrorKind};

use crate::faults::{Action, Failure, error_of, part_of, simulated};
use crate::file::SECTOR_BYTES;
use crate::names::Entry;
use crate::step::{Step, chance};
use crate::{SimDisk, index, pick};

impl SimDisk {
    /// Counts an operation and carries it out, unless a fault is due.
    pub(crate) fn run(&mut self, step: Step<'_>) -> Result<(), DiskError> {
        if self.crashed {
            return Err(simulated(step.path(), DiskErrorKind::Failed));
        }
        self.operations += 1;
        if self.faults.crash_at == Some(self.operations) {
            self.crashed = true;
            let error = simulated(step.path(), DiskErrorKind::Failed);
            self.interrupted = Some(step.into_owned());
            return Err(error);
        }
        let hit = self.faults.hit(self.operations, step.action(), step.path());
        if let Some(failure) = hit {
            self.fail(&step, failure);
            return Err(error_of(failure, step.path()));
        }
        self.check_space(&step)?;
        self.apply(&step);
        Ok(())
    }

    pub(crate) fn apply(&mut self, step: &Step<'_>) {
        match step {
            Step::Write {
                path,
                position,
                bytes,
                through,
            } => {
                self.create(path);
                let Some(file) = self.file_mut(path) else {
                    return;
                };
                if *through {
                    file.put_through(*position, bytes);
                } else {
                    file.put(*position, bytes);
                }
            }
            Step::Truncate { path, length } => {
                if let Some(file) = self.file_mut(path) {
                    file.set_len(*length);
                }
            }
            Step::Sync { path } => {
                if !self.is_durable(path)
                    && let Some(file) = self.file_mut(path)
                {
                    file.sync();
                }
            }
            Step::SyncDirectory { path } => self.names.sync(path),
            Step::Rename { from, to } => {
                if let Some(file) = self.names.file(from) {
                    self.names.put(to, file);
                    self.names.take(from);
                    self.count_removal();
                }
            }
            Step::Remove { path } => {
                self.names.take_all(path);
                self.count_removal();
            }
        }
    }

    /// What a failing operation does all the same.
    fn fail(&mut self, step: &Step<'_>, failure: Failure) {
        let mut rng = part_of(failure);
        match step {
            Step::Sync { path } => {
                let odds = rng.as_mut().map_or(0, chance);
                let mut written = |_| rng.as_mut().is_some_and(|rng| rng.below(100) < odds);
                if let Some(file) = self.file_mut(path) {
                    file.fail_sync(&mut written);
                }
            }
            Step::Write { .. } => {
                if let Some(mut rng) = rng {
                    self.write_short(step, &mut rng);
                }
            }
            Step::Truncate { .. }
            | Step::SyncDirectory { .. }
            | Step::Rename { .. }
            | Step::Remove { .. } => {}
        }
    }

    /// Carries out the beginning of a write.
    fn write_short(&mut self, step: &Step<'_>, rng: &mut Rng) {
        if let Step::Write { bytes, .. } = step {
            let length = rng.below(bytes.len() as u64 + 1);
            self.write_beginning(step, usize::try_from(length).unwrap_or(0));
        }
    }

    fn write_beginning(&mut self, step: &Step<'_>, length: usize) {
        if let Step::Write {
            path,
            position,
            bytes,
            through,
        } = step
        {
            self.apply(&Step::Write {
                path: path.as_ref().into(),
                position: *position,
                bytes: bytes.get(..length).unwrap_or_default().into(),
                through: *through,
            });
        }
    }

    /// Cuts a write short that the capacity has no room for.
    fn check_space(&mut self, step: &Step<'_>) -> Result<(), DiskError> {
        let (
            Some(capacity),
            Step::Write {
                path,
                position,
                bytes,
                ..
            },
        ) = (self.faults.capacity, step)
        else {
            return Ok(());
        };
        let there = self.content(path).map_or(0, <[u8]>::len);
        let room = capacity.saturating_sub(self.used_bytes());
        let end = there.saturating_add(usize::try_from(room).unwrap_or(usize::MAX));
        if position + bytes.len() <= end {
            return Ok(());
        }
        self.write_beginning(step, end.saturating_sub(*position).min(bytes.len()));
        Err(simulated(path, DiskErrorKind::Full))
    }

    /// What a read that goes astray brings back.
    fn misdirected(&self, path: &str, failure: Failure, length: usize) -> Option<(String, usize)> {
        match failure {
            Failure::OtherPosition(seed) => {
                let sectors = self.content(path)?.len().saturating_sub(length) / SECTOR_BYTES;
                let sector = Rng::new(seed).below(sectors as u64 + 1);
                let position = usize::try_from(sector).ok()? * SECTOR_BYTES;
                Some((path.to_owned(), position))
            }
            Failure::OtherFile(seed) => {
                let kind = path.rsplit_once('.').map_or("", |(_, kind)| kind);
                let mut others = self.paths();
                others.retain(|other| other != path && other.ends_with(kind));
                pick(&others, &mut Rng::new(seed)).map(|other| (other, 0))
            }
            Failure::Nothing(_) | Failure::Part(..) => None,
        }
    }
}

impl Disk for SimDisk {
    fn list(&mut self, path: &str) -> Result<Vec<DirEntry>, DiskError> {
        if self.crashed {
            return Err(simulated(path, DiskErrorKind::Failed));
        }
        let listed = self.names.list(path).map(|(name, entry)| {
            let (bytes, is_directory) = match entry {
                Entry::File(number) => {
                    let file = self.files.get(number).and_then(Option::as_deref);
                    (file.map_or(0, |file| file.content().len() as u64), false)
                }
                Entry::Directory(_) => (0, true),
            };
            DirEntry {
                name: name.to_owned(),
                bytes,
                is_directory,
            }
        });
        Ok(listed.collect())
    }

    fn read(&mut self, path: &str, position: u64, length: usize) -> Result<Vec<u8>, DiskError> {
        if self.crashed {
            return Err(simulated(path, DiskErrorKind::Failed));
        }
        let Some(content) = self.content(path) else {
            return Err(simulated(path, DiskErrorKind::NotFound));
        };
        let start = usize::try_from(position)
            .unwrap_or(usize::MAX)
            .min(content.len());
        let length = length.min(content.len() - start);
        let Some(failure) = self.faults.once(Action::Read, path) else {
            return Ok(self.bytes(path, start, length).to_vec());
        };
        match failure {
            Failure::Nothing(_) | Failure::Part(..) => Err(error_of(failure, path)),
            Failure::OtherPosition(_) | Failure::OtherFile(_) => {
                let astray = self.misdirected(path, failure, length);
                let (other, at) = astray.unwrap_or_else(|| (path.to_owned(), start));
                let mut bytes = self.bytes(&other, at, length).to_vec();
                bytes.resize(length, 0);
                Ok(bytes)
            }
        }
    }

    fn write(&mut self, path: &str, position: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.run(Step::Write {
            path: path.into(),
            position: index(path, position)?,
            bytes: bytes.into(),
            through: false,
        })
    }

    fn truncate(&mut self, path: &str, length: u64) -> Result<(), DiskError> {
        self.must_exist(path)?;
        self.run(Step::Truncate {
            path: path.into(),
            length: index(path, length)?,
        })
    }

    fn sync(&mut self, path: &str) -> Result<(), DiskError> {
        self.must_exist(path)?;
        self.run(Step::Sync { path: path.into() })
    }

    fn sync_directory(&mut self, path: &str) -> Result<(), DiskError> {
        self.must_exist(path)?;
        self.run(Step::SyncDirectory { path: path.into() })
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.must_exist(from)?;
        self.run(Step::Rename {
            from: from.into(),
            to: to.into(),
        })
    }

    fn remove(&mut self, path: &str) -> Result<(), DiskError> {
        if self.names.find(path).is_none() && !self.crashed {
            return Ok(());
        }
        self.run(Step::Remove { path: path.into() })
    }
}
