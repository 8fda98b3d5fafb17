//! Records: what was sent, acknowledged, read and deleted, judged as it becomes known.

use std::collections::BTreeMap;

use chronik_model::{Mono, TopicId};
use rustc_hash::FxHashMap;

use super::log::{Era, Log, Seen};
use super::rule::{Rule, Violation};
use super::sends::{Attempt, BatchId, Sends, name};
use crate::actor::ActorId;
use crate::history::{End, OpId, Place, Reader, Safety, Value};

/// A life of a topic.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) partitions: i32,
    pub(super) safety: Safety,
    pub(super) keeps_all: bool,
    /// Since when its records may be gone as a whole.
    pub(super) going: Option<Mono>,
}

impl Topic {
    pub(super) fn new(name: &str, partitions: i32, safety: Safety, keeps_all: bool) -> Self {
        Self {
            name: name.to_owned(),
            partitions,
            safety,
            keeps_all,
            going: None,
        }
    }
}

/// What a fetch returned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fetched<'a> {
    pub(super) actor: ActorId,
    pub(super) reader: Reader,
    pub(super) place: Place,
    pub(super) asked: Mono,
    pub(super) position: i64,
    pub(super) records: &'a [(i64, Value)],
    pub(super) high_watermark: i64,
    pub(super) log_start: i64,
}

/// All partitions and what was sent to them.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) now: Mono,
    pub(super) sends: Sends,
    pub(super) topics: BTreeMap<TopicId, Topic>,
    pub(super) logs: BTreeMap<Place, Log>,
    /// The next offset of readers that go on by themselves, by their seeks.
    positions: FxHashMap<(ActorId, Place), (u32, i64)>,
    /// Acknowledged without an offset.
    pub(super) unplaced: Vec<BatchId>,
    power_cuts: Vec<Mono>,
    /// When a process died last.
    died_at: Mono,
    /// What the world says is synced of partitions flushed now and then.
    synced: FxHashMap<Place, i64>,
}

impl Records {
    pub(super) fn broken(&self, rule: Rule, what: String) -> Violation {
        Violation::new(rule, self.now, what)
    }

    /// A topic exists. Told by several clients, what is weakest holds.
    pub(super) fn created(&mut self, topic: TopicId, told: Topic) {
        let Some(known) = self.topics.get_mut(&topic) else {
            self.topics.insert(topic, told);
            return;
        };
        known.partitions = known.partitions.max(told.partitions);
        known.keeps_all &= told.keeps_all;
        known.safety = known.safety.max(told.safety);
    }

    /// A topic has more partitions.
    pub(super) fn grown(&mut self, topic: TopicId, partitions: i32) {
        if let Some(known) = self.topics.get_mut(&topic) {
            known.partitions = known.partitions.max(partitions);
        }
    }

    /// From now on a topic's records may be gone.
    pub(super) fn going(&mut self, topic: TopicId) {
        let now = self.now;
        if let Some(known) = self.topics.get_mut(&topic) {
            known.going.get_or_insert(now);
        }
    }

    /// Nothing that was is left.
    pub(super) fn wiped(&mut self) {
        for topic in self.topics.values_mut() {
            topic.going.get_or_insert(self.now);
        }
        self.sends.wiped(self.now);
    }

    /// A producer was given an id.
    pub(super) fn producer(&mut self, id: i64, asked: Mono) -> Result<(), Violation> {
        if self.sends.given(id, asked) {
            return Ok(());
        }
        let what = format!("producer id {id} was given to two producers");
        Err(self.broken(Rule::Protocol, what))
    }

    /// A partition's log is at least so far on disk: no power cut takes that.
    pub(super) fn synced(&mut self, place: Place, end: i64) {
        let known = self.synced.entry(place).or_default();
        *known = end.max(*known);
    }

    /// The power went.
    pub(super) fn power_cut(&mut self) {
        let cut = self.power_cuts.len();
        self.power_cuts.push(self.now);
        for (place, log) in &mut self.logs {
            let synced = self.synced.get(place).filter(|_| !log.damaged);
            log.power_cut(self.now, synced.copied().unwrap_or(0), cut);
        }
    }

    /// A process came up. What is damaged in a partition without a journal looks like its torn end: a
    /// start cuts off all that lies behind it, as Kafka's does.
    pub(super) fn started(&mut self) {
        if !self.logs.values().any(|log| log.damaged && log.lazy) {
            return;
        }
        let cut = self.power_cuts.len();
        self.power_cuts.push(self.now);
        for log in self.logs.values_mut().filter(|log| log.damaged) {
            log.power_cut(self.now, 0, cut);
        }
    }

    pub(super) fn damaged(&mut self, place: Place) {
        self.log(place).damaged = true;
    }

    pub(super) fn sent(&mut self, attempt: &Attempt<'_>) -> Result<(), Violation> {
        let begun = self.sends.begin(self.now, attempt);
        begun.map_err(|what| self.broken(Rule::Protocol, what))
    }

    /// An attempt to send ended.
    pub(super) fn send_ended(
        &mut self,
        actor: ActorId,
        op: OpId,
        end: End<i64>,
    ) -> Result<(), Violation> {
        let Some(id) = self.sends.end(self.now, (actor, op), end) else {
            let what = format!("{op:?} of actor {} ended and never began", actor.0);
            return Err(self.broken(Rule::Protocol, what));
        };
        match end {
            End::Done(base) => self.acknowledged(id, base),
            End::Refused(code) => self.refused(id, code),
            End::Unknown => Ok(()),
        }
    }

    fn acknowledged(&mut self, id: BatchId, base: i64) -> Result<(), Violation> {
        let batch = self.sends.get(id);
        let place = batch.place;
        if !batch.promised || self.is_going(place) {
            return Ok(());
        }
        if base < 0 {
            self.unplaced.push(id);
            return Ok(());
        }
        let era = self.era(batch.sent);
        let values = batch.values.clone();
        let end = base + i64::try_from(values.len()).unwrap_or(0);
        for (offset, value) in (base..).zip(values) {
            self.see(place, offset, value, era)?;
        }
        if era == self.power_cuts.len() || !self.log(place).lazy {
            let now = self.now;
            self.log(place).ends.raise(now, end);
        }
        Ok(())
    }

    fn refused(&mut self, id: BatchId, code: i16) -> Result<(), Violation> {
        let batch = self.sends.get(id);
        let Some(copy) = batch.copies.first() else {
            return Ok(());
        };
        if batch.copies.len() <= batch.copies_allowed() || self.is_going(batch.place) {
            return Ok(());
        }
        let what = format!(
            "a batch was refused with error {code} and stands at offset {copy} of {}: {}",
            self.place_name(batch.place),
            batch.story(),
        );
        Err(self.broken(Rule::Refused, what))
    }

    /// Records before an offset were asked to go; all that there are for -1.
    pub(super) fn deleting_records(&mut self, place: Place, before: i64) {
        let before = if before < 0 { i64::MAX } else { before };
        let log = self.log(place);
        log.deletable = log.deletable.max(before);
    }

    /// Records before an offset are gone, as was answered to somebody who asked at that time.
    pub(super) fn deleted_records(
        &mut self,
        place: Place,
        asked: Mono,
        start: i64,
    ) -> Result<(), Violation> {
        if self.is_going(place) {
            return Ok(());
        }
        self.check_start(place, asked, start)?;
        let log = self.log(place);
        log.deleted = log.deleted.max(start);
        Ok(())
    }

    /// A process died: a deletion that was shown to readers, but not acknowledged, may not have
    /// reached the disk.
    pub(super) fn died(&mut self) {
        self.died_at = self.now;
        for log in self.logs.values_mut() {
            log.starts.restart(self.now, log.deleted);
        }
    }

    /// The checkpoints were lost, and with them what says of deletions that the journal has forgotten.
    pub(super) fn rebuilt(&mut self) {
        for log in self.logs.values_mut() {
            log.deleted = 0;
            log.starts.restart(self.now, 0);
        }
    }

    pub(super) fn end_read(
        &mut self,
        place: Place,
        asked: Mono,
        end: i64,
    ) -> Result<(), Violation> {
        if self.is_going(place) {
            return Ok(());
        }
        self.check_end(place, asked, end)
    }

    /// A fetch was answered.
    pub(super) fn fetched(&mut self, fetched: &Fetched<'_>) -> Result<(), Violation> {
        if self.is_going(fetched.place) {
            return Ok(());
        }
        self.check_deleted(fetched)?;
        self.check_end(fetched.place, fetched.asked, fetched.high_watermark)?;
        self.check_start(fetched.place, fetched.asked, fetched.log_start)?;
        self.check_offsets(fetched)?;
        let era = self.era(fetched.asked);
        for (offset, value) in fetched.records {
            self.see(fetched.place, *offset, *value, era)?;
        }
        self.check_position(fetched)
    }

    /// An end was given to somebody who asked at that time.
    pub(super) fn check_end(
        &mut self,
        place: Place,
        asked: Mono,
        end: i64,
    ) -> Result<(), Violation> {
        let (now, era) = (self.now, self.era(asked));
        let current = era == self.power_cuts.len();
        let log = self.log(place);
        let known = log.ends.before(asked);
        if end < known {
            let what = format!(
                "the end of {} is {end}, after it was {known}",
                self.place_name(place)
            );
            return Err(self.broken(Rule::EndWentBack, what));
        }
        if current || !log.lazy {
            log.ends.raise(now, end);
        }
        Ok(())
    }

    /// A log start was given to somebody who asked at that time.
    pub(super) fn check_start(
        &mut self,
        place: Place,
        asked: Mono,
        start: i64,
    ) -> Result<(), Violation> {
        let now = self.now;
        let known = self.log(place).starts.before(asked);
        // Older versions of Fetch do not tell.
        if start < 0 {
            return Ok(());
        }
        if start < known {
            let what = format!(
                "the log start of {} is {start}, after it was {known}",
                self.place_name(place)
            );
            return Err(self.broken(Rule::StartWentBack, what));
        }
        self.check_asked(place, start)?;
        // An answer of a process that died since may tell of a start that did not reach the disk.
        if asked >= self.died_at {
            self.log(place).starts.raise(now, start);
        }
        Ok(())
    }

    /// Of a topic that keeps all, nothing is missing that nobody asked to delete.
    pub(super) fn check_asked(&mut self, place: Place, start: i64) -> Result<(), Violation> {
        let keeps_all = self.keeps_all(place);
        let log = self.log(place);
        if keeps_all && start > log.deletable {
            let asked = log.deletable;
            let what = format!(
                "the log start of {} is {start}, and deletion was asked up to {asked} only",
                self.place_name(place)
            );
            return Err(self.broken(Rule::StartUnasked, what));
        }
        Ok(())
    }

    fn check_deleted(&mut self, fetched: &Fetched<'_>) -> Result<(), Violation> {
        let start = self.log(fetched.place).starts.before(fetched.asked);
        match fetched.records.first() {
            Some((offset, value)) if *offset < start => {
                let what = format!(
                    "{} at offset {offset} of {} was read after its log start was {start}",
                    name(*value),
                    self.place_name(fetched.place)
                );
                Err(self.broken(Rule::DeletedRead, what))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Offsets rise from the position on, without gaps where everything is kept, and stay below the
    /// high watermark.
    fn check_offsets(&mut self, fetched: &Fetched<'_>) -> Result<(), Violation> {
        let whole = self.keeps_all(fetched.place) && !self.log(fetched.place).damaged;
        let place = || self.place_name(fetched.place);
        let mut next = fetched.position;
        for (offset, _) in fetched.records {
            if *offset < next {
                let what = format!("offset {offset} of {} came where {next} was due", place());
                return Err(self.broken(Rule::NonMonotonic, what));
            }
            if whole && *offset > next {
                let what = format!(
                    "offsets {next} to {} of {} are missing",
                    offset - 1,
                    place()
                );
                return Err(self.broken(Rule::Skipped, what));
            }
            next = offset + 1;
        }
        if !fetched.records.is_empty() && next > fetched.high_watermark {
            let what = format!(
                "offset {} of {} was read with a high watermark of {}",
                next - 1,
                place(),
                fetched.high_watermark
            );
            return Err(self.broken(Rule::BeyondHighWatermark, what));
        }
        Ok(())
    }

    /// Who reads on by itself goes on where it was.
    fn check_position(&mut self, fetched: &Fetched<'_>) -> Result<(), Violation> {
        let Reader::Assigned { seek } = fetched.reader else {
            return Ok(());
        };
        let place = fetched.place;
        let behind = fetched.records.last().map(|(offset, _)| offset + 1);
        let next = behind.unwrap_or(fetched.position);
        let key = (fetched.actor, place);
        let before = self.positions.insert(key, (seek, next));
        let Some((_, due)) = before.filter(|(same, _)| *same == seek) else {
            return Ok(());
        };
        let position = fetched.position;
        let rule = if position < due {
            Rule::NonMonotonic
        } else if position > due && self.keeps_all(place) && !self.log(place).damaged {
            Rule::Skipped
        } else {
            return Ok(());
        };
        let what = format!(
            "a reader of {} asked for offset {position} where {due} was due",
            self.place_name(place)
        );
        Err(self.broken(rule, what))
    }

    /// A record stands at an offset, as somebody was told who asked in `era`.
    pub(super) fn see(
        &mut self,
        place: Place,
        offset: i64,
        value: Value,
        era: Era,
    ) -> Result<(), Violation> {
        match self.log(place).see(offset, value, era) {
            Seen::Before | Seen::Stale => Ok(()),
            Seen::Other(other) => {
                let what = format!(
                    "offset {offset} of {} holds {} and {}",
                    self.place_name(place),
                    name(other),
                    name(value)
                );
                Err(self.broken(Rule::Inconsistent, what))
            }
            Seen::New(gone) => {
                for (offset, value) in gone {
                    self.forget_copy(offset, value);
                }
                self.new_record(place, offset, value, era)
            }
        }
    }

    /// A record is seen for the first time: may it be there?
    fn new_record(
        &mut self,
        place: Place,
        offset: i64,
        value: Value,
        era: Era,
    ) -> Result<(), Violation> {
        let Some((id, index)) = self.sends.find(value) else {
            let place = self.place_name(place);
            let what = format!("nobody sent {} at offset {offset} of {place}", name(value));
            return Err(self.broken(Rule::Unsent, what));
        };
        let batch = self.sends.get(id);
        if batch.place != place {
            return self.check_stray(place, offset, value, id);
        }
        let base = offset - i64::from(index);
        if batch.copies.contains(&base) {
            return Ok(());
        }
        let sent = self.era(batch.sent);
        self.log(place).survived(offset, sent, era);
        self.forget_what_may_be_gone(place, id, era);
        self.sends.get_mut(id).copies.push(base);
        let batch = self.sends.get(id);
        let allowed = batch.copies_allowed();
        if batch.copies.len() <= allowed {
            return Ok(());
        }
        let rule = if allowed == 0 {
            Rule::Refused
        } else {
            Rule::Duplicate
        };
        let what = format!(
            "{} stands at offset {offset} of {}, its batch begins at {:?}; {}",
            name(value),
            self.place_name(place),
            batch.copies,
            batch.story()
        );
        Err(self.broken(rule, what))
    }

    /// A retry by name may reach the topic's next life, if it was under way when the last one ended.
    fn check_stray(
        &self,
        place: Place,
        offset: i64,
        value: Value,
        id: BatchId,
    ) -> Result<(), Violation> {
        let batch = self.sends.get(id);
        let (here, there) = (
            self.topics.get(&place.topic),
            self.topics.get(&batch.place.topic),
        );
        let same_name = here.is_some() && here.map(|it| &it.name) == there.map(|it| &it.name);
        let ended = there.and_then(|topic| topic.going);
        let partition = place.partition == batch.place.partition;
        if same_name && partition && ended.is_some_and(|time| batch.may_stray(time)) {
            return Ok(());
        }
        let what = format!(
            "{} stands at offset {offset} of {} and was sent to {}; {}",
            name(value),
            self.place_name(place),
            self.place_name(batch.place),
            batch.story()
        );
        Err(self.broken(Rule::Unsent, what))
    }

    /// Copies that a power cut may have taken do not count when others are found.
    fn forget_what_may_be_gone(&mut self, place: Place, id: BatchId, era: Era) {
        let log = self.logs.get(&place);
        if let Some(log) = log.filter(|log| log.lazy && era > 0) {
            let copies = &mut self.sends.get_mut(id).copies;
            copies.retain(|base| !log.may_be_gone(*base, era));
        }
    }

    fn forget_copy(&mut self, offset: i64, value: Value) {
        if let Some((id, index)) = self.sends.find(value) {
            let base = offset - i64::from(index);
            self.sends.get_mut(id).copies.retain(|copy| *copy != base);
        }
    }

    /// What is known of a partition.
    pub(super) fn log(&mut self, place: Place) -> &mut Log {
        let topics = &self.topics;
        self.logs.entry(place).or_insert_with(|| {
            let topic = topics.get(&place.topic);
            Log::new(topic.is_none_or(|topic| topic.safety == Safety::Lazy))
        })
    }

    /// Whether a topic's records may be gone, so that nothing is expected of them.
    pub(super) fn is_going(&self, place: Place) -> bool {
        let topic = self.topics.get(&place.topic);
        topic.is_some_and(|topic| topic.going.is_some())
    }

    pub(super) fn keeps_all(&self, place: Place) -> bool {
        let topic = self.topics.get(&place.topic);
        topic.is_some_and(|topic| topic.keeps_all)
    }

    /// How many power cuts there were before `time`.
    pub(super) fn era(&self, time: Mono) -> Era {
        self.power_cuts.partition_point(|cut| *cut < time)
    }

    /// A partition in reports.
    pub(super) fn place_name(&self, place: Place) -> String {
        let topic = self.topics.get(&place.topic);
        let name = topic.map_or_else(|| place.topic.to_string(), |topic| topic.name.clone());
        format!("{name}-{}", place.partition)
    }
}
