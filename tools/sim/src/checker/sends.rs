//! What was sent, how each attempt ended, and so how often a record may be there.

use chronik_model::Mono;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::actor::ActorId;
use crate::history::{End, OpId, Place, Value};

/// Index of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct BatchId(usize);

/// A batch of records under one operation.
#[derive(Debug)]
pub(super) struct Batch {
    /// Where it was sent to.
    pub(super) place: Place,
    /// Its records.
    pub(super) values: Vec<Value>,
    /// Whether its acknowledgement is a promise.
    acks: i16,
    /// Attempts so far.
    attempts: u32,
    /// Attempts that ended.
    ended: u32,
    /// Attempts that were refused.
    refused: u32,
    /// Attempts of which nobody knows the end.
    unknown: u32,
    /// Different producer ids, epochs and sequences it was sent with; none for a plain producer.
    sequences: Vec<(i64, i16, i32)>,
    /// Its place among the batches of its producer and epoch.
    ordinal: u32,
    /// Start of the latest attempt.
    pub(super) sent: Mono,
    /// When the latest attempt ended.
    ended_at: Mono,
    /// Whether it was acknowledged with a promise.
    pub(super) promised: bool,
    /// Offsets at which copies of it begin, as far as they were seen.
    pub(super) copies: Vec<i64>,
}

impl Batch {
    /// How many copies there may be, by what is known now.
    pub(super) fn copies_allowed(&self) -> usize {
        let possible = self.attempts - self.refused;
        let allowed = if self.sequences.is_empty() {
            possible as usize
        } else {
            self.sequences.len().min(possible as usize)
        };
        allowed.max(usize::from(self.is_open()))
    }

    /// Whether any attempt has not ended.
    pub(super) const fn is_open(&self) -> bool {
        self.ended < self.attempts
    }

    /// Whether it may turn up where the name of its topic means another topic since `time`.
    pub(super) fn may_stray(&self, time: Mono) -> bool {
        self.is_open() || self.unknown > 0 || self.ended_at >= time
    }

    /// Producer id with the place in its order, which is that of epochs first, for batches that have
    /// one.
    pub(super) fn order(&self) -> Option<(i64, (i16, u32))> {
        match self.sequences.as_slice() {
            [(producer, epoch, _)] => Some((*producer, (*epoch, self.ordinal))),
            _ => None,
        }
    }

    /// How it was sent, in words.
    pub(super) fn story(&self) -> String {
        let Self {
            attempts,
            refused,
            unknown,
            ..
        } = self;
        let kind = if self.sequences.is_empty() {
            "plain"
        } else {
            "idempotent"
        };
        let open = attempts - self.ended;
        format!(
            "{kind}, acks={}, {attempts} attempts: {refused} refused, {unknown} unknown, {open} open",
            self.acks
        )
    }
}

/// An attempt to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) actor: ActorId,
    pub(super) op: OpId,
    pub(super) place: Place,
    pub(super) values: &'a [Value],
    pub(super) acks: i16,
    pub(super) sequence: Option<(i64, i16, i32)>,
}

/// All batches.
#[derive(Debug, Default)]
pub(super) struct Sends {
    batches: Vec<Batch>,
    by_value: FxHashMap<Value, (BatchId, u32)>,
    by_op: FxHashMap<(ActorId, OpId), BatchId>,
    /// Batches so far of a producer id and epoch in a partition.
    ordinals: FxHashMap<(Place, i64, i16), u32>,
    /// Producer ids that were given, each to one producer for ever.
    producers: FxHashSet<i64>,
    /// When all was lost with its disk, which is when ids begin anew.
    wiped_at: Option<Mono>,
}

impl Sends {
    /// A producer was given an id that it asked for at that time. Whether nobody else has it.
    pub(super) fn given(&mut self, id: i64, asked: Mono) -> bool {
        self.wiped_at.is_some_and(|wiped| asked <= wiped) || self.producers.insert(id)
    }

    /// Nothing that was is left.
    pub(super) fn wiped(&mut self, now: Mono) {
        self.producers.clear();
        self.wiped_at = Some(now);
    }

    /// An attempt begins. Says what is wrong with it, if the client itself is wrong.
    pub(super) fn begin(&mut self, now: Mono, attempt: &Attempt<'_>) -> Result<(), String> {
        let key = (attempt.actor, attempt.op);
        let Some(id) = self.by_op.get(&key).copied() else {
            return self.begin_first(now, attempt);
        };
        let batch = self.get_mut(id);
        if batch.values != attempt.values || batch.place != attempt.place {
            return Err(format!("{:?} was sent again as another batch", attempt.op));
        }
        batch.attempts += 1;
        batch.sent = now;
        if let Some(sequence) = attempt.sequence
            && !batch.sequences.contains(&sequence)
        {
            batch.sequences.push(sequence);
        }
        Ok(())
    }

    fn begin_first(&mut self, now: Mono, attempt: &Attempt<'_>) -> Result<(), String> {
        let id = BatchId(self.batches.len());
        for (value, index) in attempt.values.iter().zip(0..) {
            if self.by_value.insert(*value, (id, index)).is_some() {
                return Err(format!("{} was sent in two batches", name(*value)));
            }
        }
        let ordinal = attempt.sequence.map_or(0, |(producer, epoch, _)| {
            let next = self.ordinals.entry((attempt.place, producer, epoch));
            let next = next.or_default();
            *next += 1;
            *next
        });
        self.by_op.insert((attempt.actor, attempt.op), id);
        self.batches.push(Batch {
            place: attempt.place,
            values: attempt.values.to_vec(),
            acks: attempt.acks,
            attempts: 1,
            ended: 0,
            refused: 0,
            unknown: 0,
            sequences: attempt.sequence.into_iter().collect(),
            ordinal,
            sent: now,
            ended_at: now,
            promised: false,
            copies: Vec::new(),
        });
        Ok(())
    }

    /// The latest attempt ended. `None` if it never began.
    pub(super) fn end(
        &mut self,
        now: Mono,
        key: (ActorId, OpId),
        end: End<i64>,
    ) -> Option<BatchId> {
        let id = *self.by_op.get(&key)?;
        let batch = self.get_mut(id);
        if !batch.is_open() {
            return None;
        }
        batch.ended += 1;
        batch.ended_at = now;
        match end {
            End::Done(_) => batch.promised |= batch.acks != 0,
            End::Refused(_) => batch.refused += 1,
            End::Unknown => batch.unknown += 1,
        }
        Some(id)
    }

    /// The batch that a value belongs to, and its index there.
    pub(super) fn find(&self, value: Value) -> Option<(BatchId, u32)> {
        self.by_value.get(&value).copied()
    }

    /// A batch.
    pub(super) fn get(&self, id: BatchId) -> &Batch {
        &self.batches[id.0]
    }

    /// A batch.
    pub(super) fn get_mut(&mut self, id: BatchId) -> &mut Batch {
        &mut self.batches[id.0]
    }

    /// Every batch.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Batch> {
        self.batches.iter()
    }
}

/// A value in reports.
pub(super) fn name(value: Value) -> String {
    format!("record {}.{}", value.actor.0, value.number)
}
