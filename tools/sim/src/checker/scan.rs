//! The whole of a partition, as it was found when all was over.

use chronik_model::Mono;
use rustc_hash::FxHashMap;

use super::records::Records;
use super::rule::{Rule, Violation};
use super::sends::{BatchId, name};
use crate::history::{Place, Value};

/// A partition from its start to its end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan<'a> {
    pub(super) place: Place,
    pub(super) log_start: i64,
    pub(super) high_watermark: i64,
    pub(super) records: &'a [(i64, Value)],
}

impl Records {
    /// A partition was read from its start to its end, with nothing else going on.
    pub(super) fn scanned(&mut self, scan: &Scan<'_>) -> Result<(), Violation> {
        if self.is_going(scan.place) {
            return Ok(());
        }
        self.log(scan.place).scanned = true;
        self.check_end(scan.place, self.now, scan.high_watermark)?;
        // Its start was shown when the scan began, and may have moved since.
        self.check_asked(scan.place, scan.log_start)?;
        let era = self.era(Mono::MAX);
        for (offset, value) in scan.records {
            self.see(scan.place, *offset, *value, era)?;
        }
        self.check_nothing_lost(scan)?;
        self.check_unplaced(scan)?;
        self.check_whole(scan)?;
        self.check_copies(scan)
    }

    /// When all is over: every partition that something was acknowledged in was scanned.
    pub(super) fn finish(&self) -> Result<(), Violation> {
        for (place, log) in &self.logs {
            let expected = !log.is_empty() && !log.damaged && !self.is_going(*place);
            if expected && !log.scanned && self.topics.contains_key(&place.topic) {
                let what = format!("nobody could read {} to its end", self.place_name(*place));
                return Err(self.broken(Rule::Unseen, what));
            }
        }
        let unseen = self.sends.iter().find(|batch| {
            let log = self.logs.get(&batch.place);
            batch.promised
                && !self.is_going(batch.place)
                && self.topics.contains_key(&batch.place.topic)
                && log.is_none_or(|log| !log.scanned && !log.damaged)
        });
        match unseen {
            Some(batch) => {
                let place = self.place_name(batch.place);
                let what = format!("nobody read {place}, which has acknowledged records");
                Err(self.broken(Rule::Unseen, what))
            }
            None => Ok(()),
        }
    }

    /// Everything that was ever known to be there is there, but for what may be gone.
    fn check_nothing_lost(&self, scan: &Scan<'_>) -> Result<(), Violation> {
        let Some(log) = self.logs.get(&scan.place) else {
            return Ok(());
        };
        if log.damaged || !self.keeps_all(scan.place) {
            return Ok(());
        }
        let era = self.era(Mono::MAX);
        let mut found = scan.records.iter().peekable();
        for (offset, known) in log.range(scan.log_start..) {
            while found.next_if(|(it, _)| *it < offset).is_some() {}
            let there = found.next_if(|(it, _)| *it == offset).is_some();
            if there || log.is_at_risk(offset, known, era) {
                continue;
            }
            return Err(self.lost(scan, offset, known.value));
        }
        Ok(())
    }

    fn lost(&self, scan: &Scan<'_>, offset: i64, value: Value) -> Violation {
        let batch = self.sends.find(value).map(|(id, _)| self.sends.get(id));
        let rule = if batch.is_some_and(|batch| batch.promised) {
            Rule::Lost
        } else {
            Rule::Withdrawn
        };
        let what = format!(
            "{} is gone from offset {offset} of {}, which now is {} to {}; {}",
            name(value),
            self.place_name(scan.place),
            scan.log_start,
            scan.high_watermark,
            batch.map_or_else(String::new, |batch| batch.story())
        );
        self.broken(rule, what)
    }

    /// What was acknowledged without an offset is somewhere.
    fn check_unplaced(&self, scan: &Scan<'_>) -> Result<(), Violation> {
        let Some(log) = self.logs.get(&scan.place) else {
            return Ok(());
        };
        if log.damaged || !self.keeps_all(scan.place) || scan.log_start > 0 {
            return Ok(());
        }
        let now = self.era(Mono::MAX);
        let lost = self.unplaced.iter().find(|id| {
            let batch = self.sends.get(**id);
            let certain = !log.lazy || self.era(batch.sent) == now;
            batch.place == scan.place && batch.copies.is_empty() && certain
        });
        match lost {
            Some(id) => {
                let batch = self.sends.get(*id);
                let what = format!(
                    "{} was acknowledged and is nowhere in {}; {}",
                    batch
                        .values
                        .first()
                        .map_or_else(String::new, |it| name(*it)),
                    self.place_name(scan.place),
                    batch.story()
                );
                Err(self.broken(Rule::Lost, what))
            }
            None => Ok(()),
        }
    }

    /// Offsets follow each other from the start to the end, where everything is kept.
    fn check_whole(&self, scan: &Scan<'_>) -> Result<(), Violation> {
        let damaged = self.logs.get(&scan.place).is_some_and(|log| log.damaged);
        let whole = self.keeps_all(scan.place) && !damaged;
        let mut next = scan.log_start;
        for (offset, _) in scan.records {
            if *offset < next || *offset >= scan.high_watermark {
                let place = self.place_name(scan.place);
                let what = format!("offset {offset} of {place} came where {next} was due");
                return Err(self.broken(Rule::NonMonotonic, what));
            }
            if whole && *offset > next {
                break;
            }
            next = offset + 1;
        }
        if whole && next < scan.high_watermark {
            let what = format!(
                "offset {next} of {}, which is {} to {}, holds nothing",
                self.place_name(scan.place),
                scan.log_start,
                scan.high_watermark
            );
            return Err(self.broken(Rule::Skipped, what));
        }
        Ok(())
    }

    /// Batches are whole, in order, and there as often as they may.
    fn check_copies(&self, scan: &Scan<'_>) -> Result<(), Violation> {
        let mut copies: FxHashMap<BatchId, usize> = FxHashMap::default();
        let mut orders: FxHashMap<i64, (i16, u32)> = FxHashMap::default();
        let damaged = self.logs.get(&scan.place).is_some_and(|log| log.damaged);
        let whole = self.keeps_all(scan.place) && !damaged;
        let mut current: Option<(BatchId, i64)> = None;
        for (at, (offset, value)) in scan.records.iter().enumerate() {
            let Some((id, index)) = self.sends.find(*value) else {
                continue;
            };
            let base = offset - i64::from(index);
            if current == Some((id, base)) || self.sends.get(id).place != scan.place {
                continue;
            }
            current = Some((id, base));
            let count = copies.entry(id).or_default();
            *count += 1;
            self.check_copy(scan, id, *count)?;
            if whole {
                self.check_batch(scan, at, base, id)?;
            }
            self.check_order(scan, id, *offset, &mut orders)?;
        }
        Ok(())
    }

    fn check_copy(&self, scan: &Scan<'_>, id: BatchId, count: usize) -> Result<(), Violation> {
        let batch = self.sends.get(id);
        let allowed = batch.copies_allowed();
        if count <= allowed {
            return Ok(());
        }
        let rule = if allowed == 0 {
            Rule::Refused
        } else {
            Rule::Duplicate
        };
        let what = format!(
            "{} stands {count} times in {}; {}",
            batch
                .values
                .first()
                .map_or_else(String::new, |it| name(*it)),
            self.place_name(scan.place),
            batch.story()
        );
        Err(self.broken(rule, what))
    }

    /// From its first record at or behind the log start on, a batch is there to its end.
    fn check_batch(
        &self,
        scan: &Scan<'_>,
        at: usize,
        base: i64,
        id: BatchId,
    ) -> Result<(), Violation> {
        let batch = self.sends.get(id);
        let first = scan.log_start.max(base);
        let skipped = usize::try_from(first - base).unwrap_or(0);
        let expected = batch.values.iter().skip(skipped);
        let found = scan.records.get(at..).unwrap_or_default().iter();
        let same = expected.clone().zip(found).zip(first..);
        let length = same
            .take_while(|((expected, (offset, value)), due)| *expected == value && offset == due)
            .count();
        if length == expected.len() {
            return Ok(());
        }
        let what = format!(
            "of the batch at offset {base} of {}, {length} of {} records are there; {}",
            self.place_name(scan.place),
            expected.len(),
            batch.story()
        );
        Err(self.broken(Rule::Torn, what))
    }

    fn check_order(
        &self,
        scan: &Scan<'_>,
        id: BatchId,
        offset: i64,
        orders: &mut FxHashMap<i64, (i16, u32)>,
    ) -> Result<(), Violation> {
        let Some((producer, order)) = self.sends.get(id).order() else {
            return Ok(());
        };
        let Some(before) = orders.insert(producer, order) else {
            return Ok(());
        };
        if before < order {
            return Ok(());
        }
        let ((epoch, ordinal), (epoch_before, ordinal_before)) = (order, before);
        let what = format!(
            "batch {ordinal} of producer {producer} epoch {epoch} stands at offset {offset} of {}, \
             behind batch {ordinal_before} of epoch {epoch_before}",
            self.place_name(scan.place)
        );
        Err(self.broken(Rule::OutOfOrder, what))
    }
}
