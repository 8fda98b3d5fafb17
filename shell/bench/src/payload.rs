//! The bytes of records, and the stamp that some of them carry.

use chronik_model::rng::Rng;

/// Bytes of a [`Stamp`] at the start of a value.
pub(crate) const STAMP_BYTES: usize = 32;

/// Says which record this is.
///
/// ```text
///  0 magic     u32
///  4 worker    u32
///  8 run       u64 | differs from run to run
/// 16 sequence  u64 | counts the records of the worker from 0
/// 24 sent      u64 | nanoseconds since the run began
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The run.
    pub(crate) run: u64,
    /// Who sent it.
    pub(crate) worker: u32,
    /// Which of its records.
    pub(crate) sequence: u64,
    /// When it was, or should have been, sent.
    pub(crate) sent_ns: u64,
}

impl Stamp {
    /// Writes the stamp over the start of `value`; nothing when that is too short.
    pub(crate) fn write(&self, value: &mut [u8]) {
        let Some(place) = value.first_chunk_mut::<STAMP_BYTES>() else {
            return;
        };
        let (ids, times) = place.split_at_mut(16);
        let (magic, worker) = ids.split_at_mut(4);
        let (worker, run) = worker.split_at_mut(4);
        let (sequence, sent) = times.split_at_mut(8);
        magic.copy_from_slice(&MAGIC.to_be_bytes());
        worker.copy_from_slice(&self.worker.to_be_bytes());
        run.copy_from_slice(&self.run.to_be_bytes());
        sequence.copy_from_slice(&self.sequence.to_be_bytes());
        sent.copy_from_slice(&self.sent_ns.to_be_bytes());
    }

    /// The stamp of a value; `None` for values without one.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let (magic, rest) = value.split_first_chunk::<4>()?;
        let (worker, rest) = rest.split_first_chunk::<4>()?;
        let (run, rest) = rest.split_first_chunk::<8>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (sent, _) = rest.split_first_chunk::<8>()?;
        (u32::from_be_bytes(*magic) == MAGIC).then(|| Self {
            run: u64::from_be_bytes(*run),
            worker: u32::from_be_bytes(*worker),
            sequence: u64::from_be_bytes(*sequence),
            sent_ns: u64::from_be_bytes(*sent),
        })
    }
}

/// Values of one size, handed out in turn.
#[derive(Debug)]
pub(crate) struct Payloads {
    values: Vec<Vec<u8>>,
    next: usize,
}

impl Payloads {
    /// Values of `size` bytes. For compression there are many, half random and half repeated, about
    /// as compressible as JSON; otherwise one, which costs the client's caches least.
    pub(crate) fn new(size: usize, compressed: bool) -> Self {
        let count = if compressed {
            (COMPRESSED_POOL_BYTES / size.max(1)).clamp(2, COMPRESSED_VALUES)
        } else {
            1
        };
        let mut rng = Rng::new(SEED);
        let values = (0..count).map(|_| half_random(size, &mut rng)).collect();
        Self { values, next: 0 }
    }

    /// The next value, with a stamp if one is wanted.
    pub(crate) fn next(&mut self, stamp: Option<&Stamp>) -> &[u8] {
        self.next = (self.next + 1) % self.values.len().max(1);
        let Some(value) = self.values.get_mut(self.next) else {
            return &[];
        };
        if let Some(stamp) = stamp {
            stamp.write(value);
        }
        value
    }
}

/// Letters: eight at random, then eight that are always the same.
fn half_random(size: usize, rng: &mut Rng) -> Vec<u8> {
    let mut value = Vec::with_capacity(size + 16);
    while value.len() < size {
        let random = rng.next_u64().to_be_bytes();
        value.extend(random.map(|byte| b'a' + byte % 26));
        value.extend_from_slice(b"chronik-");
    }
    value.truncate(size);
    value
}

const MAGIC: u32 = u32::from_be_bytes(*b"CBN1");
const SEED: u64 = 0x5EED;
const COMPRESSED_VALUES: usize = 1_024;
const COMPRESSED_POOL_BYTES: usize = 8 << 20;

#[cfg(test)]
mod tests {
    use super::{Payloads, STAMP_BYTES, Stamp};
    use chronik_model::compression::{Codec, compress};

    const STAMP: Stamp = Stamp {
        run: 7,
        worker: 3,
        sequence: 1 << 40,
        sent_ns: 99,
    };

    #[test]
    fn stamps_are_read_as_written() {
        let mut value = vec![0; STAMP_BYTES + 5];
        assert_eq!(Stamp::read(&value), None);
        STAMP.write(&mut value);
        assert_eq!(Stamp::read(&value), Some(STAMP));
        assert_eq!(Stamp::read(&value[..STAMP_BYTES]), Some(STAMP));
        assert_eq!(Stamp::read(&value[..STAMP_BYTES - 1]), None);
        STAMP.write(&mut value[..3]);
    }

    #[test]
    fn values_have_their_size_and_differ_only_for_compression() {
        let check = |size, compressed| {
            let mut payloads = Payloads::new(size, compressed);
            let first = payloads.next(None).to_vec();
            let second = payloads.next(None).to_vec();
            assert_eq!((first.len(), second.len()), (size, size));
            assert_eq!(first != second, compressed && size > 0);
        };
        check(0, false);
        check(256, false);
        check(256, true);
        check(10 << 20, true);
    }

    #[test]
    fn compressible_values_shrink_to_about_half() {
        let mut payloads = Payloads::new(256, true);
        let many: Vec<u8> = (0..1_000)
            .flat_map(|_| payloads.next(None).to_vec())
            .collect();
        let small = compress(Codec::Zstd, None, &many).unwrap().len() * 100 / many.len();
        assert!((25..60).contains(&small), "{small} %");
    }
}
