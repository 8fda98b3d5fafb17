//! A history in words.

mod telling;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use chronik_model::{Mono, TopicId};

use crate::history::{Entry, Event, Fact, Happening, Place};

/// Entries that a story ends with.
const LAST: usize = 200;
/// Records that are named one by one.
const NAMED: usize = 4;

/// What a story is told from: all that happened to brokers, and the last that clients saw.
#[derive(Debug, Default)]
pub struct Chronicle {
    names: Names,
    happenings: Vec<(Mono, Happening)>,
    last: VecDeque<Entry>,
    skipped: u64,
}

/// Topics' names, which facts do not repeat.
#[derive(Debug, Default)]
struct Names {
    topics: BTreeMap<TopicId, String>,
    lives: BTreeMap<String, u32>,
}

impl Chronicle {
    /// The history goes on.
    pub fn take(&mut self, entry: &Entry) {
        match &entry.what {
            Event::World(happening) => self.happenings.push((entry.at, happening.clone())),
            Event::Fact(Fact::Created { name, topic, .. }) => self.names.learn(*topic, name),
            Event::Fact(_) => {}
        }
        if self.last.len() == LAST {
            self.last.pop_front();
            self.skipped += 1;
        }
        self.last.push_back(entry.clone());
    }

    /// How often brokers died.
    #[must_use]
    pub fn deaths(&self) -> usize {
        let died = |(_, it): &&(Mono, Happening)| matches!(it, Happening::Died { .. });
        self.happenings.iter().filter(died).count()
    }
}

impl fmt::Display for Chronicle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "What happened to the brokers\n")?;
        for (at, happening) in &self.happenings {
            writeln!(
                f,
                "{}  {}",
                Clock(*at),
                telling::happening(&self.names, happening)
            )?;
        }
        let skipped = self.skipped;
        writeln!(
            f,
            "\nWhat was seen at the end, after {skipped} things before\n"
        )?;
        for entry in &self.last {
            writeln!(f, "{}", Line(&self.names, entry))?;
        }
        Ok(())
    }
}

/// An entry on its line.
struct Line<'a>(&'a Names, &'a Entry);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(names, Entry { at, actor, what }) = self;
        write!(f, "{}  ", Clock(*at))?;
        match (what, actor) {
            (Event::World(happening), _) => {
                write!(f, "-------- {}", telling::happening(names, happening))
            }
            (Event::Fact(fact), Some(actor)) => {
                write!(f, "actor {:<2} {}", actor.0, telling::fact(names, fact))
            }
            (Event::Fact(fact), None) => write!(f, "         {}", telling::fact(names, fact)),
        }
    }
}

/// World time in seconds, to the microsecond.
#[derive(Debug, Clone, Copy)]
pub struct Clock(pub Mono);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.0 / 1_000;
        write!(f, "{:>4}.{:06} s", micros / 1_000_000, micros % 1_000_000)
    }
}

impl Names {
    fn learn(&mut self, topic: TopicId, name: &str) {
        if self.topics.contains_key(&topic) {
            return;
        }
        let life = self.lives.entry(name.to_owned()).or_default();
        *life += 1;
        let told = match life {
            1 => name.to_owned(),
            life => format!("{name} (life {life})"),
        };
        self.topics.insert(topic, told);
    }

    fn topic(&self, topic: TopicId) -> String {
        let known = self.topics.get(&topic);
        known.map_or_else(|| topic.to_string(), Clone::clone)
    }

    fn place(&self, place: Place) -> String {
        format!("{}-{}", self.topic(place.topic), place.partition)
    }
}
