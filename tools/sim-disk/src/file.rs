//! One file: what readers see, and what a power cut would leave of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use crate::losses::Spared;

/// What a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;

/// Content, and the way back to what is durable.
///
/// A sector is durable as it reads unless it is in `before` or lies behind `durable_bytes`: so an
/// append, and a synchronous write, touch nothing but the bytes written.
///
/// ```text
///   content  |#######|#######|#######|####
///   durable  |#######|#######|###
///                ^ in `before`  ^ durable_bytes
/// ```
#[derive(Debug, Clone, Default)]
pub(crate) struct SimFile {
    content: Vec<u8>,
    /// Length that a power cut leaves.
    durable_bytes: usize,
    /// Durable bytes of sectors that read differently, by number of the sector.
    before: BTreeMap<usize, Before>,
}

#[derive(Debug, Clone)]
struct Before {
    /// What is durable; behind its end there are zeros.
    bytes: Box<[u8]>,
    /// A sync of it failed: it is taken for clean, and no later sync writes it.
    lost: bool,
}

impl SimFile {
    /// What readers see.
    pub(crate) fn content(&self) -> &[u8] {
        &self.content
    }

    /// What a power cut leaves if it spares nothing.
    pub(crate) fn durable(&self) -> Cow<'_, [u8]> {
        if self.before.is_empty() && self.durable_bytes <= self.content.len() {
            return Cow::Borrowed(self.content.get(..self.durable_bytes).unwrap_or_default());
        }
        let mut left = self.clone();
        left.lose(&mut Spared::NOTHING.clone());
        Cow::Owned(left.content)
    }

    /// Whether a power cut takes nothing.
    pub(crate) fn is_durable(&self) -> bool {
        self.before.is_empty() && self.durable_bytes == self.content.len()
    }

    /// Writes into the cache.
    pub(crate) fn put(&mut self, position: usize, bytes: &[u8]) {
        let end = position.saturating_add(bytes.len());
        self.remember(position.min(self.content.len())..end);
        self.copy(position, bytes);
    }

    /// Writes what is durable at once.
    pub(crate) fn put_through(&mut self, position: usize, bytes: &[u8]) {
        let end = position.saturating_add(bytes.len());
        if end > self.durable_bytes {
            // The tail in front of it stays unsynced, although the file gets longer.
            for sector in sectors(&(self.durable_bytes..end.min(self.content.len()))) {
                self.remember_sector(sector);
            }
            self.durable_bytes = end;
        }
        self.copy(position, bytes);
        if self.before.is_empty() {
            return;
        }
        for sector in sectors(&(position..end)) {
            let Some(before) = self.before.get_mut(&sector) else {
                continue;
            };
            let start = sector * SECTOR_BYTES;
            let (from, to) = (position.max(start), end.min(start + SECTOR_BYTES));
            let mut durable = before.bytes.to_vec();
            durable.resize(durable.len().max(to - start), 0);
            if let (Some(into), Some(bytes)) = (
                durable.get_mut(from - start..to - start),
                bytes.get(from - position..to - position),
            ) {
                into.copy_from_slice(bytes);
            }
            before.bytes = durable.into();
            let uncut = self.durable_bytes <= self.content.len();
            let whole = to == end_of(sector) || (uncut && to == self.content.len());
            if from == start && whole {
                self.before.remove(&sector);
            }
        }
    }

    /// Cuts or extends it, in the cache.
    pub(crate) fn set_len(&mut self, length: usize) {
        self.remember(length.min(self.content.len())..self.content.len().max(length));
        self.content.resize(length, 0);
    }

    /// Cuts or extends it durably.
    pub(crate) fn set_len_through(&mut self, length: usize) {
        self.set_len(length);
        self.durable_bytes = self.durable_bytes.min(length);
        self.before
            .retain(|sector, _| sector * SECTOR_BYTES < length);
    }

    /// Makes everything durable but what an earlier failure lost.
    pub(crate) fn sync(&mut self) {
        self.durable_bytes = self.content.len();
        let end = self.durable_bytes;
        self.before
            .retain(|sector, before| before.lost && sector * SECTOR_BYTES < end);
    }

    /// A sync that fails: sectors that `written` says no to are taken for clean and will never be
    /// durable, unless they are written again.
    pub(crate) fn fail_sync(&mut self, written: &mut dyn FnMut(usize) -> bool) {
        for sector in self.unsynced() {
            if written(sector) {
                let start = sector * SECTOR_BYTES;
                let end = end_of(sector).min(self.content.len());
                let bytes = self.content.get(start..end).unwrap_or_default().to_vec();
                self.put_through(start, &bytes);
                self.before.remove(&sector);
            } else {
                self.remember_sector(sector);
                if let Some(before) = self.before.get_mut(&sector) {
                    before.lost = true;
                }
            }
        }
    }

    /// The cache forgets what it takes for clean: what a failed sync lost is not read any more.
    /// Whether there was any of that.
    pub(crate) fn evict(&mut self) -> bool {
        let lost = |(sector, before): (&usize, &Before)| before.lost.then_some(*sector);
        let lost: Vec<usize> = self.before.iter().filter_map(lost).collect();
        let any = !lost.is_empty();
        for sector in lost {
            let start = sector * SECTOR_BYTES;
            let bytes = self.durable_sector(sector);
            let end = end_of(sector).min(self.content.len());
            if let Some(into) = self.content.get_mut(start..end) {
                into.copy_from_slice(bytes.get(..end - start).unwrap_or_default());
            }
        }
        any
    }

    /// A power cut.
    pub(crate) fn lose(&mut self, spared: &mut Spared) {
        if self.is_durable() {
            return;
        }
        let cached = self.content.len();
        let mut length = self.durable_bytes;
        if spared.cut {
            length = length.min(cached);
        }
        let mut restored: Vec<usize> = Vec::new();
        for sector in self.unsynced() {
            if spared.sector(sector) {
                length = length.max(end_of(sector).min(cached));
            } else {
                restored.push(sector);
            }
        }
        if spared.length {
            length = length.max(cached);
        }
        let gone = |(sector, before): (&usize, &Before)| {
            (before.lost || sector * SECTOR_BYTES >= cached).then_some(*sector)
        };
        restored.extend(self.before.iter().filter_map(gone));
        let restored: Vec<_> = restored
            .into_iter()
            .map(|sector| (sector * SECTOR_BYTES, self.durable_sector(sector)))
            .collect();
        self.content.resize(cached.max(length), 0);
        for (start, bytes) in restored {
            let end = (start + SECTOR_BYTES).min(self.content.len());
            if let Some(into) = self.content.get_mut(start..end) {
                into.copy_from_slice(bytes.get(..end - start).unwrap_or_default());
            }
        }
        self.content.truncate(length);
        self.before.clear();
        self.durable_bytes = length;
    }

    /// Turns one bit over, in what is durable and in what is read.
    pub(crate) fn flip(&mut self, position: usize, bit: u8) {
        let mask = 1 << (bit % 8);
        if let Some(byte) = self.content.get_mut(position) {
            *byte ^= mask;
        }
        let sector = position / SECTOR_BYTES;
        if let Some(before) = self.before.get_mut(&sector)
            && let Some(byte) = before.bytes.get_mut(position % SECTOR_BYTES)
        {
            *byte ^= mask;
        }
    }

    /// Numbers of sectors that a sync would write.
    fn unsynced(&self) -> Vec<usize> {
        let cached = self.content.len();
        let changed = self.before.iter().filter_map(|(sector, before)| {
            (!before.lost && sector * SECTOR_BYTES < cached).then_some(*sector)
        });
        let tail = sectors(&(self.durable_bytes..cached));
        let tail = tail.filter(|sector| !self.before.contains_key(sector));
        changed.chain(tail).collect()
    }

    fn copy(&mut self, position: usize, bytes: &[u8]) {
        let end = position.saturating_add(bytes.len());
        if self.content.len() == position {
            self.content.extend_from_slice(bytes);
            return;
        }
        if self.content.len() < end {
            self.content.resize(end, 0);
        }
        if let Some(into) = self.content.get_mut(position..end) {
            into.copy_from_slice(bytes);
        }
    }

    /// Keeps what is durable of the sectors that bytes in `range` are about to change.
    fn remember(&mut self, range: Range<usize>) {
        if range.start >= self.durable_bytes && self.before.is_empty() {
            return;
        }
        for sector in sectors(&range) {
            if let Some(before) = self.before.get_mut(&sector) {
                before.lost = false;
            } else if sector * SECTOR_BYTES < self.durable_bytes {
                self.remember_sector(sector);
            }
        }
    }

    fn remember_sector(&mut self, sector: usize) {
        if !self.before.contains_key(&sector) {
            let bytes = self.durable_sector(sector).into();
            self.before.insert(sector, Before { bytes, lost: false });
        }
    }

    /// What is durable of a sector, and zeros.
    fn durable_sector(&self, sector: usize) -> Vec<u8> {
        let start = sector * SECTOR_BYTES;
        let end = end_of(sector).min(self.durable_bytes);
        let mut bytes = match self.before.get(&sector) {
            Some(before) => before.bytes.to_vec(),
            None => {
                let end = end.min(self.content.len());
                self.content.get(start..end).unwrap_or_default().to_vec()
            }
        };
        bytes.resize(SECTOR_BYTES, 0);
        bytes
    }
}

const fn end_of(sector: usize) -> usize {
    (sector + 1) * SECTOR_BYTES
}

/// Numbers of the sectors that hold bytes of `range`.
fn sectors(range: &Range<usize>) -> Range<usize> {
    if range.is_empty() {
        return 0..0;
    }
    range.start / SECTOR_BYTES..range.end.div_ceil(SECTOR_BYTES)
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
