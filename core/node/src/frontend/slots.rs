//! What a request in flight waits for.

use std::fmt;

use chronik_model::{Now, TopicPartition};

use super::{Frontend, FrontendOutput};
use crate::api::fetch::FetchSlot;
use crate::api::produce::ProduceSlot;
use crate::api::{AfterController, AfterPartitions, AfterProducerId, Context};
use crate::messages::{
    ConnectionId, PartitionAnswer, PartitionOp, Pieces, ShardId, ShardRequest, Ticket,
};

/// A request in flight.
pub(crate) enum Slot {
    /// Its reply waits for those before it.
    Ready(Pieces),
    /// Its reply is being made in this very step.
    Busy,
    /// Batches on their way to disk.
    Produce(ProduceSlot),
    /// Records, or their arrival.
    Fetch(Box<FetchSlot>),
    /// Answers of partitions.
    Partitions(Box<PartitionsSlot>),
    /// The controller.
    Controller(AfterController),
    /// A producer id.
    ProducerId(AfterProducerId),
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready(_) => "Ready",
            Self::Busy => "Busy",
            Self::Produce(_) => "Produce",
            Self::Fetch(_) => "Fetch",
            Self::Partitions(_) => "Partitions",
            Self::Controller(_) => "Controller",
            Self::ProducerId(_) => "ProducerId",
        })
    }
}

/// Answers of several partitions, gathered.
pub(crate) struct PartitionsSlot {
    answers: Vec<Option<PartitionAnswer>>,
    finish: AfterPartitions,
}

impl Frontend {
    pub(super) fn start_partitions(
        &mut self,
        now: Now,
        id: ConnectionId,
        operations: Vec<(TopicPartition, PartitionOp)>,
        finish: AfterPartitions,
        out: &mut Vec<FrontendOutput>,
    ) {
        let slot = PartitionsSlot {
            answers: vec![None; operations.len()],
            finish,
        };
        let Some(ticket) = self.push(id, Slot::Partitions(Box::new(slot))) else {
            return;
        };
        if operations.is_empty() {
            self.finish_partitions(now, ticket, out);
        }
        for (part, (partition, op)) in (0..).zip(operations) {
            let shard = ShardId::of(partition, self.config.shard_count);
            let request = ShardRequest::Partition {
                ticket,
                part,
                partition,
                op,
            };
            out.push(FrontendOutput::Shard(shard, request));
        }
    }

    pub(super) fn partition_answer(
        &mut self,
        now: Now,
        ticket: Ticket,
        part: u32,
        answer: PartitionAnswer,
        out: &mut Vec<FrontendOutput>,
    ) {
        let slot = self
            .connection(ticket.connection)
            .and_then(|it| it.slot(ticket.request));
        let Some(Slot::Partitions(slot)) = slot else {
            return;
        };
        if let Some(place) = slot.answers.get_mut(part as usize) {
            *place = Some(answer);
        }
        if slot.answers.iter().all(Option::is_some) {
            self.finish_partitions(now, ticket, out);
        }
    }

    fn finish_partitions(&mut self, now: Now, ticket: Ticket, out: &mut Vec<FrontendOutput>) {
        let Some(gathered) = self.slot(ticket).and_then(Slot::take_partitions) else {
            return;
        };
        let view = std::sync::Arc::clone(&self.view);
        let peer = self.peer(ticket.connection);
        let context = Context {
            view: &view,
            identity: &self.config.identity,
            peer: &peer,
            now,
        };
        let answers = gathered.answers.into_iter().flatten().collect();
        let frame = (gathered.finish)(&context, answers).map(Pieces::One);
        self.fill(ticket, frame, out);
    }
}

/// Taking what a slot holds leaves it busy; a slot of another kind stays as it is.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "any other kind goes back as it was"
)]
impl Slot {
    pub(super) const fn is_ready(&self) -> bool {
        matches!(self, Self::Ready(_))
    }

    pub(super) fn into_ready(self) -> Option<Pieces> {
        match self {
            Self::Ready(pieces) => Some(pieces),
            _ => None,
        }
    }

    pub(super) fn take_controller(&mut self) -> Option<AfterController> {
        match std::mem::replace(self, Self::Busy) {
            Self::Controller(finish) => Some(finish),
            other => self.put_back(other),
        }
    }

    pub(super) fn take_producer_id(&mut self) -> Option<AfterProducerId> {
        match std::mem::replace(self, Self::Busy) {
            Self::ProducerId(finish) => Some(finish),
            other => self.put_back(other),
        }
    }

    pub(crate) fn take_fetch(&mut self) -> Option<Box<FetchSlot>> {
        match std::mem::replace(self, Self::Busy) {
            Self::Fetch(fetch) => Some(fetch),
            other => self.put_back(other),
        }
    }

    fn take_partitions(&mut self) -> Option<Box<PartitionsSlot>> {
        match std::mem::replace(self, Self::Busy) {
            Self::Partitions(gathered) => Some(gathered),
            other => self.put_back(other),
        }
    }

    fn put_back<T>(&mut self, other: Self) -> Option<T> {
        *self = other;
        None
    }
}
