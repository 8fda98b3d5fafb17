//! The newest offset of each key, in a fixed amount of memory.
//!
//! Keys are told apart by a hash of 128 bits, so that their length does not matter; with a seed that
//! differs from run to run, nobody can choose keys that collide.

use chronik_model::Offset;
use twox_hash::XxHash3_128;

/// Bytes of one entry.
pub const ENTRY_BYTES: usize = size_of::<Entry>();

/// At most this share of the entries is used, in percent: a fuller table is searched for long.
const LOAD_PERCENT: usize = 90;

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Both halves of the hash; an array of `u64`, as `u128` would be aligned to 16 bytes.
    hash: [u64; 2],
    /// -1 in a free entry.
    offset: i64,
}

const FREE: Entry = Entry {
    hash: [0; 2],
    offset: -1,
};

/// See the module. Open addressing, linear probing.
#[derive(Debug, Clone)]
pub struct OffsetMap {
    entries: Vec<Entry>,
    used: usize,
    seed: u64,
    covered: Offset,
}

impl OffsetMap {
    /// A map for up to `keys` keys, or as many as fit `budget_bytes`; always for one.
    #[must_use]
    pub fn new(keys: u64, budget_bytes: usize, seed: u64) -> Self {
        let keys = usize::try_from(keys).unwrap_or(usize::MAX);
        let wanted = keys.saturating_mul(100) / LOAD_PERCENT + 2;
        let entries = wanted.min(budget_bytes / ENTRY_BYTES).max(2);
        Self {
            entries: vec![FREE; entries],
            used: 0,
            seed,
            covered: Offset(i64::MIN),
        }
    }

    /// Notes that `key` is at `offset`, which is above all offsets so far. False when the map is
    /// full and does not know the key.
    #[must_use]
    pub fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        let hash = self.hash(key);
        let full = self.used >= self.capacity();
        let Some(entry) = self.find(hash).and_then(|at| self.entries.get_mut(at)) else {
            return false;
        };
        if entry.offset < 0 {
            if full {
                return false;
            }
            self.used += 1;
        }
        *entry = Entry {
            hash,
            offset: offset.0,
        };
        true
    }

    /// The newest offset of a key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Offset> {
        let entry = self.entries.get(self.find(self.hash(key))?)?;
        Some(Offset(entry.offset)).filter(|offset| offset.0 >= 0)
    }

    /// All keys at and below this offset are known.
    #[must_use]
    pub const fn covered(&self) -> Offset {
        self.covered
    }

    /// All keys up to `offset` are known.
    pub fn cover(&mut self, offset: Offset) {
        self.covered = self.covered.max(offset);
    }

    /// Number of keys.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.used
    }

    /// Whether no key is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Most keys that fit.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        let entries = self.entries.len();
        let loaded = entries / 100 * LOAD_PERCENT + entries % 100 * LOAD_PERCENT / 100;
        // There are two entries at least, and one stays free, so that a search ends.
        if loaded == 0 { 1 } else { loaded }
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        let hash = XxHash3_128::oneshot_with_seed(self.seed, key).to_le_bytes();
        let (low, high) = hash.split_at(8);
        [low, high].map(|half| {
            half.first_chunk()
                .map_or(0, |half| u64::from_le_bytes(*half))
        })
    }

    /// The entry of a hash, or the free one where it belongs.
    fn find(&self, hash: [u64; 2]) -> Option<usize> {
        let [low, _] = hash;
        let start = usize::try_from(low % self.entries.len() as u64).ok()?;
        let (before, behind) = self.entries.split_at_checked(start)?;
        let hit = |entry: &Entry| entry.offset < 0 || entry.hash == hash;
        match behind.iter().position(hit) {
            Some(at) => Some(start + at),
            None => before.iter().position(hit),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chronik_model::rng::Rng;

    use super::*;

    #[test]
    fn an_entry_has_24_bytes() {
        assert_eq!(ENTRY_BYTES, 24);
    }

    #[test]
    fn the_newest_offset_of_each_key_is_known() {
        let mut map = OffsetMap::new(500, 1 << 20, 3);
        let mut model = BTreeMap::new();
        let mut rng = Rng::new(1);
        for offset in 0..5000 {
            let key = rng.below(400).to_be_bytes();
            assert!(map.put(&key, Offset(offset)));
            model.insert(key, Offset(offset));
        }
        assert_eq!(map.len(), model.len());
        for number in 0..500_u64 {
            let key = number.to_be_bytes();
            assert_eq!(map.get(&key), model.get(&key).copied());
        }
    }

    #[test]
    fn a_full_map_takes_known_keys_only() {
        for budget in [0, 24, 48, 100, 240, 1000] {
            let mut map = OffsetMap::new(1000, budget, 0);
            let capacity = map.capacity();
            assert!(capacity >= 1 && capacity * ENTRY_BYTES < budget.max(48));
            for number in 0..capacity {
                assert!(map.put(&number.to_be_bytes(), Offset(1)));
            }
            assert!(!map.put(b"one more", Offset(2)), "{budget}");
            assert!(map.put(&0_usize.to_be_bytes(), Offset(3)));
            assert_eq!(map.get(&0_usize.to_be_bytes()), Some(Offset(3)));
            assert_eq!(map.get(b"one more"), None);
        }
    }

    #[test]
    fn no_more_is_allocated_than_keys_need() {
        assert!(OffsetMap::new(10, 1 << 30, 0).entries.len() < 20);
        assert_eq!(OffsetMap::new(u64::MAX, 4800, 0).entries.len(), 200);
    }
}
