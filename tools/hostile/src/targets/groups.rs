//! Records of groups, as a coordinator that loads its partition replays them.

use bytes::Bytes;
use chronik_coordinator::{
    GroupConfig, GroupCoordinator, GroupRequest, ListGroups, NoTopics, Outcome, Record, Waiter,
};
use chronik_model::batch::{batches, records};
use chronik_model::compression::{DecompressLimits, Decompressor};
use chronik_model::rng::Rng;
use chronik_model::{Mono, Now};

use crate::chance::{index, one_in, pick};
use crate::mutate::mutate;
use crate::node::MemoryDisk;
use crate::target::{CONSTANT_BYTES, Failure, Handled, Target, handled};

/// A group of a few members, for each record at most.
const BYTES_PER_INPUT_BYTE: u64 = 16;

/// See the module. An input is a list of records: key length, key, value length + 1 or 0, value.
#[derive(Debug)]
pub(super) struct Groups {
    samples: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Groups {
    pub(super) fn new(directory: &MemoryDisk) -> Self {
        let mut samples = Vec::new();
        let paths = directory
            .paths()
            .filter(|path| path.starts_with("topics/__consumer") && path.ends_with(".log"));
        let mut scratch = Decompressor::new();
        for view in paths
            .filter_map(|path| directory.file(path))
            .flat_map(batches)
            .flatten()
        {
            let found = records(&view, &mut scratch, DecompressLimits::default());
            let found = found.into_iter().flatten().flatten();
            samples.extend(found.map(|record| {
                (
                    record.key.unwrap_or_default().to_vec(),
                    record.value.map(<[u8]>::to_vec),
                )
            }));
        }
        // Many say the same: a part of them is enough.
        samples.sort();
        samples.dedup_by(|one, other| one.0 == other.0);
        Self { samples }
    }
}

impl Target for Groups {
    fn name(&self) -> &'static str {
        "group-records"
    }

    fn generate(&mut self, rng: &mut Rng) -> Vec<u8> {
        let mut out = Vec::new();
        for _ in 0..1 + index(rng, 5) {
            let (mut key, mut value) = pick(rng, &self.samples).clone();
            let (other_key, other_value) = pick(rng, &self.samples).clone();
            match rng.below(4) {
                0 => mutate(rng, &mut key, &other_key),
                1 | 2 => mutate(
                    rng,
                    value.get_or_insert_default(),
                    &other_value.unwrap_or_default(),
                ),
                _ if one_in(rng, 4) => value = None,
                _ => {}
            }
            put(&mut out, Some(&key));
            put(&mut out, value.as_deref());
        }
        out
    }

    fn run(&mut self, input: &[u8]) -> Result<Handled, Failure> {
        let records = list(input);
        handled(|| {
            let mut coordinator = GroupCoordinator::new(GroupConfig::default(), 1);
            let mut accepted = true;
            for record in &records {
                accepted &= coordinator.replay(record).is_ok();
            }
            let mut out = Outcome::default();
            let now = Now {
                mono: Mono(1),
                wall_ms: super::samples::NOW_MS,
            };
            coordinator.loaded(now, &NoTopics, &mut out);
            let list = ListGroups {
                states: Vec::new(),
                types: Vec::new(),
            };
            coordinator.handle(
                now,
                &NoTopics,
                Waiter(1),
                GroupRequest::List(list),
                &mut out,
            );
            let later = Now {
                mono: now.mono.plus_ms(1_000_000),
                wall_ms: now.wall_ms + 1_000_000,
            };
            coordinator.tick(later, &NoTopics, &mut out);
            if out.replies.is_empty() {
                return Err("groups can not be listed".to_owned());
            }
            Ok(accepted)
        })
    }

    fn allowance(&self, length: usize) -> u64 {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        length.saturating_mul(BYTES_PER_INPUT_BYTE) + CONSTANT_BYTES
    }
}

fn put(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    let length = bytes.map_or(0, |bytes| bytes.len() + 1);
    out.extend(u32::try_from(length).unwrap_or(0).to_be_bytes());
    out.extend(bytes.unwrap_or_default());
}

fn list(mut input: &[u8]) -> Vec<Record> {
    let mut found = Vec::new();
    while let Some(key) = take(&mut input) {
        let value = take(&mut input).flatten();
        found.push(Record {
            key: key.unwrap_or_default(),
            value,
        });
    }
    found
}

/// The next field; what is cut off counts as far as it goes.
fn take(input: &mut &[u8]) -> Option<Option<Bytes>> {
    let (length, rest) = input.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    let Some(length) = length.checked_sub(1) else {
        *input = rest;
        return Some(None);
    };
    let (bytes, rest) = rest.split_at(length.min(rest.len()));
    *input = rest;
    Some(Some(Bytes::copy_from_slice(bytes)))
}
