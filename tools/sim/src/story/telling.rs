//! One sentence for each thing that can happen.

use std::collections::BTreeSet;

use super::{Clock, NAMED, Names};
use crate::history::{End, Fact, Happening, Place, Reader, Safety, Value};
use crate::plan::{Fault, FaultKind};

pub(super) fn happening(names: &Names, happening: &Happening) -> String {
    match happening {
        Happening::Fault(fault) => self::fault(fault),
        Happening::Died { power: false } => "the broker's process dies".to_owned(),
        Happening::Died { power: true } => {
            "the power fails: what was not synced may be gone".to_owned()
        }
        Happening::Serves { life } => format!("the broker serves, in its life {life}"),
        Happening::Damaged(place) => format!("bytes of {} are damaged", names.place(*place)),
        Happening::Rebuilt => {
            "the checkpoints are damaged: deleted records may be there again".to_owned()
        }
        Happening::Forgotten => "what was not synced may be forgotten".to_owned(),
        Happening::Wiped => "the disk is replaced by an empty one".to_owned(),
        Happening::Healed => "all is healed; what is left has to come to its end".to_owned(),
    }
}

fn fault(fault: &Fault) -> String {
    let millis = fault.lasts_ns / 1_000_000;
    let broker = fault.broker.0;
    let what = match fault.kind {
        FaultKind::Crash => "the process is to die",
        FaultKind::Power => "the power is to fail",
        FaultKind::Torn => "it is to die in the middle of a write",
        FaultKind::Fsync => "a sync of a segment is to fail",
        FaultKind::Journal => "a write of the journal is to fail",
        FaultKind::Io => "an operation on a segment is to fail",
        FaultKind::Full => "the disk is full",
        FaultKind::Slow => "the disk is slow",
        FaultKind::Rot => "a byte of a sealed segment turns over",
        FaultKind::Checkpoint => "a checkpoint is damaged, or is not to be written",
        FaultKind::Misdirect => "a read is to return what lies elsewhere",
        FaultKind::Reset => "connections are reset",
        FaultKind::Clog => "bytes on the network stand still",
        FaultKind::HalfOpen => "a connection dies unheard",
        FaultKind::Pause => "it stands still",
        FaultKind::Clock => "its wall clock leaps",
        FaultKind::Restart => "it is stopped in good order",
        FaultKind::Wipe => "its disk is to be replaced",
    };
    format!(
        "fault {}: broker {broker}, {what} (for {millis} ms)",
        fault.kind
    )
}

pub(super) fn fact(names: &Names, fact: &Fact) -> String {
    match fact {
        Fact::Created { .. }
        | Fact::Grown { .. }
        | Fact::Deleting(_)
        | Fact::Deleted(_)
        | Fact::DeletingRecords { .. }
        | Fact::DeletedRecords { .. }
        | Fact::Protocol(_) => admin(names, fact),
        Fact::ProducerId { .. }
        | Fact::Sent { .. }
        | Fact::SendEnded { .. }
        | Fact::Read { .. }
        | Fact::EndRead { .. }
        | Fact::Scanned { .. } => record(names, fact),
        Fact::Owns { .. }
        | Fact::GivesUp { .. }
        | Fact::Committing { .. }
        | Fact::CommitEnded { .. }
        | Fact::CommitsRead { .. } => group(names, fact),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "`fact` gives it these only")]
fn admin(names: &Names, fact: &Fact) -> String {
    match fact {
        Fact::Created {
            topic,
            partitions,
            safety,
            keeps_all,
            ..
        } => {
            let safety = match safety {
                Safety::Durable => "durable",
                Safety::Lazy => "flushed now and then",
            };
            let kept = if *keeps_all { "" } else { ", may forget" };
            let name = names.topic(*topic);
            format!("knows topic {name}: {partitions} partitions, {safety}{kept}")
        }
        Fact::Grown { topic, partitions } => {
            format!("topic {} has {partitions} partitions", names.topic(*topic))
        }
        Fact::Deleting(topic) => format!("asks for the removal of {}", names.topic(*topic)),
        Fact::Deleted(topic) => format!("topic {} is removed", names.topic(*topic)),
        Fact::DeletingRecords { place, before } => {
            format!(
                "asks for the removal of all before {before} in {}",
                names.place(*place)
            )
        }
        Fact::DeletedRecords {
            place, log_start, ..
        } => {
            format!("{} now starts at {log_start}", names.place(*place))
        }
        Fact::Protocol(what) => format!("can make nothing of a reply: {what}"),
        other => format!("{other:?}"),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "`fact` gives it these only")]
fn record(names: &Names, fact: &Fact) -> String {
    match fact {
        Fact::ProducerId { id, .. } => format!("is producer {id}"),
        Fact::Sent {
            op,
            place,
            values,
            acks,
            sequence,
        } => {
            let how = sequence.map_or_else(String::new, |(producer, epoch, base)| {
                format!(", producer {producer} epoch {epoch} sequence {base}")
            });
            format!(
                "sends {} to {}, acks={acks}{how} (#{})",
                self::values(values.iter()),
                names.place(*place),
                op.0
            )
        }
        Fact::SendEnded { op, end } => match end {
            End::Done(-1) => format!("#{} is acknowledged, without an offset", op.0),
            End::Done(base) => format!("#{} is acknowledged at offset {base}", op.0),
            End::Refused(code) => format!("#{} is refused with error {code}", op.0),
            End::Unknown => format!("#{} ends, nobody knows how", op.0),
        },
        Fact::Read {
            reader,
            place,
            position,
            records,
            high_watermark,
            log_start,
            ..
        } => format!(
            "reads {} from {position}: {} ({}; {log_start} to {high_watermark})",
            names.place(*place),
            self::records(records),
            self::reader(*reader)
        ),
        Fact::EndRead { place, asked, end } => {
            let asked = Clock(*asked).to_string();
            format!(
                "{} ends at {end}, asked at {}",
                names.place(*place),
                asked.trim_start()
            )
        }
        Fact::Scanned {
            place,
            log_start,
            high_watermark,
            records,
        } => format!(
            "has read the whole of {}, {log_start} to {high_watermark}: {} records",
            names.place(*place),
            records.len()
        ),
        other => format!("{other:?}"),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "`fact` gives it these only")]
fn group(names: &Names, fact: &Fact) -> String {
    match fact {
        Fact::Owns {
            group,
            member,
            epoch,
            places,
        } => format!(
            "is member {} of group {group} at epoch {epoch}, with {}",
            short(member),
            self::places(names, places)
        ),
        Fact::GivesUp {
            group,
            member,
            places,
        } => {
            let what = places
                .as_ref()
                .map_or_else(|| "everything".to_owned(), |them| self::places(names, them));
            format!(
                "as member {} of group {group} gives up {what}",
                short(member)
            )
        }
        Fact::Committing {
            op,
            group,
            epoch,
            offsets,
            ..
        } => format!(
            "commits {} for group {group} at epoch {epoch} (#{})",
            self::offsets(names, offsets),
            op.0
        ),
        Fact::CommitEnded { op, end } => match end {
            End::Done(()) => format!("#{} is committed", op.0),
            End::Refused(code) => format!("#{} is refused with error {code}", op.0),
            End::Unknown => format!("#{} ends, nobody knows how", op.0),
        },
        Fact::CommitsRead { group, offsets, .. } => {
            format!("group {group} has {}", self::offsets(names, offsets))
        }
        other => format!("{other:?}"),
    }
}

fn reader(reader: Reader) -> String {
    match reader {
        Reader::Assigned { seek } => format!("seek {seek}"),
        Reader::Member { group, epoch } => format!("group {group}, epoch {epoch}"),
    }
}

fn places(names: &Names, places: &[Place]) -> String {
    if places.is_empty() {
        return "nothing".to_owned();
    }
    let places: BTreeSet<_> = places.iter().map(|place| names.place(*place)).collect();
    let places: Vec<_> = places.into_iter().collect();
    places.join(", ")
}

fn offsets(names: &Names, offsets: &[(Place, i64)]) -> String {
    let each = offsets
        .iter()
        .map(|(place, offset)| format!("{}={offset}", names.place(*place)));
    each.collect::<Vec<_>>().join(", ")
}

fn records(records: &[(i64, Value)]) -> String {
    match (records.first(), records.last()) {
        (Some((first, value)), Some((last, _))) if first == last => {
            format!("{first}={}", self::value(*value))
        }
        (Some((first, _)), Some((last, _))) => {
            let values = values(records.iter().map(|(_, value)| value));
            format!("{first}..{last} = {values}")
        }
        (None, _) | (_, None) => "nothing".to_owned(),
    }
}

fn values<'a>(values: impl ExactSizeIterator<Item = &'a Value>) -> String {
    let count = values.len();
    let mut named: Vec<_> = values.take(NAMED).map(|it| value(*it)).collect();
    if count > NAMED {
        named.push(format!("{} more", count - NAMED));
    }
    named.join(" ")
}

fn value(value: Value) -> String {
    format!("{}.{}", value.actor.0, value.number)
}

/// Brokers give members long names.
fn short(member: &str) -> &str {
    const ENOUGH: usize = 12;
    match member.char_indices().nth(ENOUGH) {
        Some((end, _)) => &member[..end],
        None => member,
    }
}
