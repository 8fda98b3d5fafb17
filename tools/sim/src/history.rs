//! What clients did and saw. The checkers believe nothing else.

use chronik_model::{Mono, TopicId};

use crate::actor::ActorId;

/// A partition of one life of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The topic.
    pub topic: TopicId,
    /// Index of the partition.
    pub partition: i32,
}

/// The value of one record: no two records of a run have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value {
    /// Who wrote it.
    pub actor: ActorId,
    /// Counts the actor's values.
    pub number: u64,
}

/// Joins an operation's beginning and end; unique in its actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End<T> {
    /// The broker said yes.
    Done(T),
    /// The broker said no with this error code, and has done nothing.
    Refused(i16),
    /// Nobody knows: no reply, or one that leaves it open. It may still come to be, later.
    Unknown,
}

/// How a topic keeps what it acknowledges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Safety {
    /// On disk before it is acknowledged.
    Durable,
    /// `flush.messages` above 1: a power cut may take what was acknowledged, never a process crash.
    Lazy,
}

/// How a consumer reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reader {
    /// On its own: from an offset on without a gap, until it seeks. Counts its seeks.
    Assigned {
        /// Positions before and after a seek have nothing to do with each other.
        seek: u32,
    },
    /// As the member of a group that was given the partition.
    Member {
        /// The group's number.
        group: u16,
        /// Generation or member epoch.
        epoch: i32,
    },
}

/// One thing that an actor did or saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A topic exists.
    Created {
        /// The topic's name.
        name: String,
        /// Its id.
        topic: TopicId,
        /// Its partitions.
        partitions: i32,
        /// How it keeps records.
        safety: Safety,
        /// Whether every record stays until somebody asks for its removal. Not so with
        /// `cleanup.policy=compact` or short retention, where absence is no loss.
        keeps_all: bool,
    },
    /// A topic has more partitions.
    Grown {
        /// The topic.
        topic: TopicId,
        /// Their number now.
        partitions: i32,
    },
    /// Somebody asked for the removal of a topic: from now on its records may be gone.
    Deleting(TopicId),
    /// A topic was removed, as the broker said.
    Deleted(TopicId),
    /// Records before an offset were asked to go.
    DeletingRecords {
        /// From where.
        place: Place,
        /// First offset that stays.
        before: i64,
    },
    /// Records before an offset are gone, as the broker said.
    DeletedRecords {
        /// From where.
        place: Place,
        /// When it was asked for.
        asked: Mono,
        /// First offset that there is.
        log_start: i64,
    },
    /// A producer was given an id of its own.
    ProducerId {
        /// The id.
        id: i64,
        /// When it was asked for.
        asked: Mono,
    },
    /// A batch was sent, for the first time or again.
    Sent {
        /// The same for every attempt.
        op: OpId,
        /// Where to.
        place: Place,
        /// Its records, in order.
        values: Vec<Value>,
        /// `acks`.
        acks: i16,
        /// Producer id, epoch and base sequence of an idempotent producer.
        sequence: Option<(i64, i16, i32)>,
    },
    /// An attempt to send ended. Of idempotent producers any attempt may be the one that counts; of
    /// others every attempt that is not refused may add the records once more.
    SendEnded {
        /// The batch.
        op: OpId,
        /// Offset of its first record, where it was acknowledged; -1 where the broker knows that it
        /// has it but not where.
        end: End<i64>,
    },
    /// Records came back from a fetch.
    Read {
        /// Who reads.
        reader: Reader,
        /// From where.
        place: Place,
        /// When the fetch was sent: what was acknowledged or seen before then binds its answer.
        asked: Mono,
        /// The offset asked for.
        position: i64,
        /// Offset and value of each record at or behind the position.
        records: Vec<(i64, Value)>,
        /// The high watermark that came along.
        high_watermark: i64,
        /// The log start that came along.
        log_start: i64,
    },
    /// A member was given partitions and works on them from now on.
    Owns {
        /// The group's number.
        group: u16,
        /// Member id of the actor's.
        member: String,
        /// Generation or member epoch.
        epoch: i32,
        /// All that it has now, by the topic's name at that time.
        places: Vec<Place>,
    },
    /// A member has given up partitions, all or those named, or has to take itself for fenced.
    GivesUp {
        /// The group's number.
        group: u16,
        /// Member id.
        member: String,
        /// Those it has no longer; all for `None`.
        places: Option<Vec<Place>>,
    },
    /// A commit was sent.
    Committing {
        /// Joins it with its end.
        op: OpId,
        /// The group's number.
        group: u16,
        /// Member id, empty for a commit without membership.
        member: String,
        /// Generation or member epoch.
        epoch: i32,
        /// Partition and next offset.
        offsets: Vec<(Place, i64)>,
    },
    /// A commit ended; one result for each of its offsets.
    CommitEnded {
        /// The commit.
        op: OpId,
        /// Its end.
        end: End<()>,
    },
    /// A group's committed offsets as the broker gave them; -1 for none.
    CommitsRead {
        /// The group's number.
        group: u16,
        /// When it was asked for, to order it against commits.
        asked: Mono,
        /// Partition and offset.
        offsets: Vec<(Place, i64)>,
    },
    /// The end of a partition, as ListOffsets gave it.
    EndRead {
        /// Of which partition.
        place: Place,
        /// When it was asked for.
        asked: Mono,
        /// The offset behind the last readable record.
        end: i64,
    },
    /// The whole of a partition as a reader found it when all was over, oldest first.
    Scanned {
        /// The partition.
        place: Place,
        /// First offset that there is.
        log_start: i64,
        /// The end.
        high_watermark: i64,
        /// Offset and value of every record.
        records: Vec<(i64, Value)>,
    },
    /// A reply that breaks the protocol: of the wrong correlation id, undecodable, or an error that no
    /// broker may give here.
    Protocol(String),
}

/// A fact with its time and witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// World time.
    pub at: Mono,
    /// Who saw it; none for what the world itself did.
    pub actor: Option<ActorId>,
    /// What was seen.
    pub what: Event,
}

/// What a history consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A client's fact.
    Fact(Fact),
    /// A fault or a start, told by the world.
    World(Happening),
}

/// What happened to brokers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A fault began.
    Fault(crate::plan::Fault),
    /// A broker's process or machine died; with power, what was not synced is at risk.
    Died {
        /// Whether the machine died.
        power: bool,
    },
    /// It serves again, in its n-th life.
    Serves {
        /// Counted from 1.
        life: u32,
    },
    /// Bytes of this partition were damaged on its only disk: reads of them may fail from now on, but
    /// may not lie.
    Damaged(Place),
    /// A start finds its checkpoints damaged, and knows of the logs what their segments and the journal
    /// tell: records that were deleted may be there again.
    Rebuilt,
    /// A start does not find what a failed sync had left in memory: what was not synced is at risk.
    Forgotten,
    /// All that was ever stored is gone with its disk.
    Wiped,
    /// The faults are over.
    Healed,
}
