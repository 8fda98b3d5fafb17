//! Histories as text, a line for each entry: who, what, options, and after a colon a list. The line's
//! number, from 1, is its time; `asked=2` means just after line 2.
//!
//! ```text
//! topic a 1                        lazy, compact
//! p1 is 7                          the id of a producer; asked=3
//! p1 sends #1 a-0: x y             acks=1, seq=7/0/0
//! p1 acked #1 0                    refused #1, unknown #1
//! c1 reads a-0 0: 0=x 1=y          hw=2, start=0, asked=3, seek=1; group=1
//! . end a-0 2
//! . scan a-0 0..2: 0=x 1=y
//! ```

use chronik_model::{Mono, TopicId};

use crate::actor::ActorId;
use crate::history::{End, Entry, Event, Fact, Happening, OpId, Place, Reader, Safety, Value};

/// Time of a line.
const LINE: u64 = 1_000;

pub(super) fn parse(history: &str) -> Vec<Entry> {
    let lines = history
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    lines
        .zip(1..)
        .map(|(line, number)| entry(line, number))
        .collect()
}

/// One line in its parts.
struct Line<'a> {
    number: u64,
    words: Vec<&'a str>,
    list: Vec<&'a str>,
}

fn entry(line: &str, number: u64) -> Entry {
    let (head, list) = line.split_once(':').unwrap_or((line, ""));
    let line = Line {
        number,
        words: head.split_whitespace().collect(),
        list: list.split_whitespace().collect(),
    };
    let actor = line.words[0].trim_start_matches(|it: char| !it.is_ascii_digit());
    Entry {
        at: Mono(number * LINE),
        actor: Some(ActorId(actor.parse().unwrap_or(0))),
        what: line.event(),
    }
}

impl Line<'_> {
    fn event(&self) -> Event {
        let happening = match self.words[0] {
            "power" => Happening::Died { power: true },
            "crash" => Happening::Died { power: false },
            "serves" => Happening::Serves { life: 2 },
            "wiped" => Happening::Wiped,
            "rebuilt" => Happening::Rebuilt,
            "damaged" => Happening::Damaged(place(self.words[1])),
            "topic" => return Event::Fact(self.topic()),
            _ => return Event::Fact(self.fact()),
        };
        Event::World(happening)
    }

    fn topic(&self) -> Fact {
        Fact::Created {
            name: self.words[1].trim_end_matches('\'').to_owned(),
            topic: topic(self.words[1]),
            partitions: self.words[2].parse().unwrap(),
            safety: if self.has("lazy") {
                Safety::Lazy
            } else {
                Safety::Durable
            },
            keeps_all: !self.has("compact"),
        }
    }

    fn fact(&self) -> Fact {
        match self.words[1] {
            "is" => Fact::ProducerId {
                id: number(self.words[2]),
                asked: self.asked(),
            },
            "sends" => Fact::Sent {
                op: op(self.words[2]),
                place: place(self.words[3]),
                values: self.list.iter().map(|it| value(it)).collect(),
                acks: self.number("acks", -1),
                sequence: self.option("seq").map(sequence),
            },
            "acked" => self.ended(End::Done(self.words[3].parse().unwrap())),
            "refused" => self.ended(End::Refused(45)),
            "unknown" => self.ended(End::Unknown),
            "reads" => self.read(),
            "end" => Fact::EndRead {
                place: place(self.words[2]),
                asked: self.asked(),
                end: self.words[3].parse().unwrap(),
            },
            "drops" => Fact::Deleting(topic(self.words[2])),
            "grows" => Fact::Grown {
                topic: topic(self.words[2]),
                partitions: self.words[3].parse().unwrap(),
            },
            "deleting" => Fact::DeletingRecords {
                place: place(self.words[2]),
                before: self.words[3].parse().unwrap(),
            },
            "deleted" => Fact::DeletedRecords {
                place: place(self.words[2]),
                asked: self.asked(),
                log_start: self.words[3].parse().unwrap(),
            },
            "scan" => self.scan(),
            "protocol" => Fact::Protocol(self.words[2].to_owned()),
            _ => self.group_fact(),
        }
    }

    fn group_fact(&self) -> Fact {
        let group = self.number("group", 1);
        let member = self.words[0].to_owned();
        let offsets = || {
            self.list
                .iter()
                .map(|it| (place(half(it).0), number(half(it).1)))
        };
        match self.words[1] {
            "owns" => Fact::Owns {
                group,
                member,
                epoch: self.words[2].parse().unwrap(),
                places: self.list.iter().map(|it| place(it)).collect(),
            },
            "gives-up" => Fact::GivesUp {
                group,
                member,
                places: (!self.list.is_empty())
                    .then(|| self.list.iter().map(|it| place(it)).collect()),
            },
            "commits" => Fact::Committing {
                op: op(self.words[2]),
                group,
                member,
                epoch: 1,
                offsets: offsets().collect(),
            },
            "committed" => Fact::CommitEnded {
                op: op(self.words[2]),
                end: End::Done(()),
            },
            "uncommitted" => Fact::CommitEnded {
                op: op(self.words[2]),
                end: End::Refused(22),
            },
            "offsets" => Fact::CommitsRead {
                group,
                asked: self.asked(),
                offsets: offsets().collect(),
            },
            other => panic!("line {}: no such fact: {other}", self.number),
        }
    }

    fn ended(&self, end: End<i64>) -> Fact {
        Fact::SendEnded {
            op: op(self.words[2]),
            end,
        }
    }

    fn read(&self) -> Fact {
        let records = self.records();
        let behind = records.last().map_or(0, |(offset, _)| offset + 1);
        Fact::Read {
            reader: match self.option("group") {
                Some(group) => Reader::Member {
                    group: group.parse().unwrap(),
                    epoch: 1,
                },
                None => Reader::Assigned {
                    seek: self.number("seek", 0),
                },
            },
            place: place(self.words[2]),
            asked: self.asked(),
            position: self.words[3].parse().unwrap(),
            records,
            high_watermark: self.number("hw", behind),
            log_start: self.number("start", 0),
        }
    }

    fn scan(&self) -> Fact {
        let (start, end) = self.words[3].split_once("..").unwrap();
        Fact::Scanned {
            place: place(self.words[2]),
            log_start: number(start),
            high_watermark: number(end),
            records: self.records(),
        }
    }

    fn records(&self) -> Vec<(i64, Value)> {
        let records = self.list.iter().map(|it| half(it));
        records
            .map(|(offset, it)| (number(offset), value(it)))
            .collect()
    }

    /// Just before this line, if it does not say otherwise.
    fn asked(&self) -> Mono {
        let line: u64 = self.number("asked", self.number - 1);
        Mono(line * LINE + 1)
    }

    fn has(&self, word: &str) -> bool {
        self.words.contains(&word)
    }

    fn option(&self, name: &str) -> Option<&str> {
        let mut options = self.words.iter().filter_map(|it| it.split_once('='));
        options.find(|(it, _)| *it == name).map(|(_, value)| value)
    }

    fn number<T: std::str::FromStr>(&self, name: &str, otherwise: T) -> T
    where
        T::Err: std::fmt::Debug,
    {
        self.option(name)
            .map_or(otherwise, |text| text.parse().unwrap())
    }
}

fn half(text: &str) -> (&str, &str) {
    text.split_once('=').unwrap()
}

fn number(text: &str) -> i64 {
    text.parse().unwrap()
}

fn op(text: &str) -> OpId {
    OpId(text.trim_start_matches('#').parse().unwrap())
}

fn value(text: &str) -> Value {
    Value {
        actor: ActorId(0),
        number: u64::from(text.as_bytes()[0]),
    }
}

fn sequence(text: &str) -> (i64, i16, i32) {
    let parts: Vec<i64> = text.split('/').map(number).collect();
    let epoch = i16::try_from(parts[1]).unwrap();
    (parts[0], epoch, i32::try_from(parts[2]).unwrap())
}

fn place(text: &str) -> Place {
    let (name, partition) = text.rsplit_once('-').unwrap();
    Place {
        topic: topic(name),
        partition: partition.parse().unwrap(),
    }
}

/// `a` and `a'` are two lives of one topic.
fn topic(name: &str) -> TopicId {
    let mut id = [0; 16];
    id[..name.len()].copy_from_slice(name.as_bytes());
    TopicId(id)
}
