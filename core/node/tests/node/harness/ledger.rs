//! What the harness knows that clients can not: which records are safe, what was promised, and what
//! was seen. Every record's value is unique in a run.

use std::collections::{BTreeMap, BTreeSet};

use chronik_model::batch::{batches, records};
use chronik_model::compression::{DecompressLimits, Decompressor};
use chronik_model::{LeaderEpoch, Offset, TopicId};

/// One partition of one life of a topic.
pub(crate) type Place = (TopicId, i32);

/// A record as a consumer gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) offset: i64,
    pub(crate) value: String,
    pub(crate) timestamp: i64,
    pub(crate) epoch: LeaderEpoch,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    durable: BTreeSet<String>,
    written: BTreeSet<String>,
    /// Topics whose acknowledgements wait for the write only.
    pub(crate) lazy: BTreeSet<TopicId>,
    /// Acknowledged records by offset.
    pub(crate) acked: BTreeMap<Place, BTreeMap<i64, String>>,
    /// Records that somebody has read.
    seen: BTreeMap<Place, BTreeMap<i64, String>>,
    high_watermarks: BTreeMap<Place, i64>,
}

impl Ledger {
    /// A commit with this batch is durable.
    pub(crate) fn committed(&mut self, batch: &[u8]) {
        self.durable
            .extend(read(batch).into_iter().map(|seen| seen.value));
    }

    /// These batches are in a segment, synced or not.
    pub(crate) fn written(&mut self, bytes: &[u8]) {
        self.written
            .extend(read(bytes).into_iter().map(|seen| seen.value));
    }

    /// A client was told that its records stand at `base`.
    pub(crate) fn acknowledge(&mut self, place: Place, base: i64, values: &[String]) {
        let acked = self.acked.entry(place).or_default();
        for (offset, value) in (base..).zip(values) {
            let safe = self.durable.contains(value)
                || (self.lazy.contains(&place.0) && self.written.contains(value));
            assert!(safe, "{value} was acknowledged before it was safe");
            let before = acked.insert(offset, value.clone());
            let same = before.as_ref().is_none_or(|before| before == value);
            assert!(
                same,
                "{before:?} and {value} were both promised offset {offset} of {place:?}"
            );
        }
    }

    /// A client has read this.
    pub(crate) fn observe(&mut self, place: Place, high_watermark: i64, records: &[Seen]) {
        let known = self.high_watermarks.entry(place).or_insert(-1);
        *known = high_watermark.max(*known);
        for Seen { offset, value, .. } in records {
            assert!(
                *offset < high_watermark,
                "{offset} is above the high watermark {high_watermark}"
            );
            let safe = self.durable.contains(value) || self.written.contains(value);
            assert!(safe, "{value} could be read before it was safe");
            let before = self
                .seen
                .entry(place)
                .or_default()
                .insert(*offset, value.clone());
            assert!(
                before.is_none_or(|before| before == *value),
                "history changed at {offset}"
            );
            let acked = self.acked.get(&place).and_then(|acked| acked.get(offset));
            assert!(
                acked.is_none_or(|acked| acked == value),
                "not what was acknowledged at {offset}"
            );
        }
    }

    /// The machine died: what topics that are lazy promised is void.
    pub(crate) fn forget_lazy(&mut self) {
        for topic in &self.lazy {
            self.acked.retain(|(id, _), _| id != topic);
            self.seen.retain(|(id, _), _| id != topic);
            self.high_watermarks.retain(|(id, _), _| id != topic);
        }
    }

    /// Checks that `records`, the whole partition from its log start on, has everything that was
    /// acknowledged or seen there, every value once, and in order.
    pub(crate) fn check_whole(&self, place: Place, log_start: i64, records: &[Seen]) {
        let mut values = BTreeSet::new();
        let mut expected = None;
        let mut by_offset = BTreeMap::new();
        let epochs = records.iter().map(|seen| seen.epoch);
        assert!(epochs.is_sorted(), "leader epochs run backwards");
        for Seen { offset, value, .. } in records {
            assert!(
                expected.is_none_or(|expected| expected == *offset),
                "a gap before {offset}"
            );
            assert!(values.insert(value.clone()), "{value} is there twice");
            expected = Some(offset + 1);
            by_offset.insert(*offset, value.clone());
        }
        let known = [self.acked.get(&place), self.seen.get(&place)];
        let known = known.into_iter().flatten().flatten();
        for (offset, value) in known.filter(|(offset, _)| **offset >= log_start) {
            assert_eq!(
                by_offset.get(offset),
                Some(value),
                "a record that is known is gone"
            );
        }
    }
}

/// The records of batches back to back.
pub(crate) fn read(bytes: &[u8]) -> Vec<Seen> {
    let mut scratch = Decompressor::default();
    let mut found = Vec::new();
    for view in batches(bytes) {
        let view = view.unwrap();
        view.check_crc().unwrap();
        let epoch = view.header().leader_epoch();
        for record in records(&view, &mut scratch, DecompressLimits::default()).unwrap() {
            let record = record.unwrap();
            let Offset(offset) = record.offset;
            let value = String::from_utf8_lossy(record.value.unwrap_or_default()).into_owned();
            found.push(Seen {
                offset,
                value,
                timestamp: record.timestamp,
                epoch,
            });
        }
    }
    found
}
